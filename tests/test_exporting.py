"""An exported BPR, scored without this package, gives the lists that `recommend` gives."""

import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from bpr_helpers import BPR, recommend, synthetic_interactions

NAMES = ["README.md", "items.parquet", "seen.parquet", "users.parquet"]


@pytest.fixture(scope="module")
def fitted() -> BPR:
    rows = synthetic_interactions(60, 40, 900, seed=3)
    return BPR(8, batch_size=64, epochs=3).fit(rows.assign(user_id="u" + rows["user_id"].astype(str)))


@pytest.fixture(scope="module")
def folded(fitted: BPR) -> BPR:
    """One newcomer with a history, one without."""
    rows = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [0, 5, -1], "timestamp": [1, 2, 3]})
    return fitted.fold_in(rows, strangers="popular")


def top_by_numpy(folder: Path, user_id: object) -> pd.DataFrame:
    """The README's rule and nothing of the package."""
    users, items, seen = (pd.read_parquet(folder / f"{name}.parquet") for name in ("users", "items", "seen"))
    [user] = users[users["user_id"] == user_id].to_dict("records")
    scores = np.stack(items["vector"]) @ user["vector"] + items["bias"]
    items["score"] = scores if user["n_seen"] else items["n_users"]
    own = seen.loc[seen["user_id"] == user_id, "item_id"]
    assert len(own) == user["n_seen"]
    ordered = items.sort_values(["score", "tie_order"], ascending=[False, True])
    return ordered[~ordered["item_id"].isin(own)].head(10)


def top_by_sql(folder: Path, user_id: object) -> pd.DataFrame:
    """The README's statement as it stands there."""
    statement = re.search(
        r"^    SELECT.*", (folder / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )[0]
    with duckdb.connect() as connection:
        connection.execute("SET file_search_path = ?", [str(folder)])
        return connection.execute(statement, {"user": user_id}).df()


@pytest.mark.parametrize("top", [top_by_numpy, top_by_sql])
@pytest.mark.parametrize("which", ["fitted", "folded"])
def test_anybody_gets_the_list_that_recommend_gives(
    which: str, top, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    model = request.getfixturevalue(which)
    model.export(tmp_path / "deep" / "tables")
    for user_id in model.matrix.user_ids[:5].tolist():
        mine, theirs = recommend(model, user_id), top(tmp_path / "deep" / "tables", user_id)
        assert theirs["item_id"].tolist() == mine["item_id"].tolist()
        assert theirs["score"].to_numpy() == pytest.approx(mine["score"].to_numpy(), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("top", [top_by_numpy, top_by_sql])
def test_equal_scores_stand_in_the_order_of_recommend(fitted: BPR, top, tmp_path: Path) -> None:
    flat = fitted.fold_in(pd.DataFrame({"user_id": ["n"], "item_id": [0]}))
    flat.item_vectors, flat.item_biases = np.zeros_like(flat.item_vectors), np.zeros(40, np.float32)
    flat.export(tmp_path)
    assert top(tmp_path, "n")["item_id"].tolist() == recommend(flat, "n")["item_id"].tolist()


def test_the_tables_are_small_and_plain(fitted: BPR, tmp_path: Path) -> None:
    fitted.export(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES
    readme = (tmp_path / "README.md").read_text("utf-8")
    assert len(readme.splitlines()) == 10 and readme.startswith("# A BPR in tables: 60 users, 40 items")
    types = {name: str(kind) for name, kind in zip(*_schema(tmp_path / "items.parquet"), strict=True)}
    assert re.match(r"fixed_size_list<\w+: float>\[8\]", types["vector"])
    assert types["bias"] == types["n_users"] == "float"
    counts = pd.read_parquet(tmp_path / "seen.parquet")["item_id"].value_counts()
    items = pd.read_parquet(tmp_path / "items.parquet").set_index("item_id")
    assert items["n_users"].to_dict() == counts.reindex(items.index, fill_value=0).to_dict()


def _schema(path: Path) -> tuple[list, list]:
    schema = pq.read_schema(path)
    return schema.names, schema.types


def test_an_export_that_was_cut_short_leaves_the_old_tables(
    fitted: BPR, folded: BPR, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted.export(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    write, written = pq.write_table, []

    def full(table: object, place: Path) -> None:
        written.append(place)
        if len(written) == 3:
            raise OSError("No space left on device")
        write(table, place)

    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(OSError, match="No space"):
        folded.export(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_cannot_be_exported_is_one_sentence(fitted: BPR, tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^This BPR is not fitted: call fit\(interactions\) before export\.$"
    ):
        BPR().export(tmp_path / "m")
    mixed = fitted.fold_in(pd.DataFrame({"user_id": [1], "item_id": [0]}))
    object.__setattr__(mixed.matrix, "user_ids", np.array([1, "a"], object))
    with pytest.raises(
        ValueError, match=r"^The column user_id holds ids of several types, .*: fit on ids that"
    ):
        mixed.export(tmp_path / "m")
    assert not (tmp_path / "m").exists()

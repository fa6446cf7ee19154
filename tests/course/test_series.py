"""The series: its order, and how each stage is built."""

from contextlib import nullcontext

import dask
import numpy as np
import pandas as pd
import pytest

from bpr_helpers import splitting
from bpr_helpers.course import series
from bpr_helpers.course.parameters import NOTEBOOKS, defaults
from bpr_helpers.course.series import (
    READS,
    RUN_ORDER,
    STAGES,
    describe,
    few_of_both,
    few_to_compare,
    fit_bpr,
    has_times,
    in_words,
    load_source,
    split_interactions,
    split_with_report,
)

FIRST, SECOND, THIRD, *_ = STAGES


def test_fit_bpr_chooses_epochs_on_valid_and_refits_on_both_parts(small, run):
    interactions, items = load_source(small[FIRST])
    split = split_interactions(interactions, small[SECOND])
    found = fit_bpr(split.train, split.valid, small[THIRD])
    assert len(items) == 0 and list(items.columns) == ["item_id", "title", "year", "genres"]
    assert found["model"].matrix.csr.nnz == len(split.train) + len(split.valid)
    assert found["valid_per_user"]["ndcg@10"].between(0, 1).all()
    best = found["history"].set_index("epoch")["valid_ndcg@10"].idxmax()
    assert found["model"].settings["epochs"] == best and len(found["model"].history) == best

    stage = run.write(THIRD, found, small[THIRD])
    np.testing.assert_array_equal(stage["model"].user_vectors, found["model"].user_vectors)
    (stage.path("model") / "model.keras").write_bytes(b"not a model")
    with pytest.raises(ValueError, match=f"rerun notebook {THIRD}"):
        run.read(THIRD)["model"]


def test_few_of_both_are_all_or_the_same_users_and_items_of_both_parts(small, monkeypatch, capsys):
    split = split_interactions(load_source(small[FIRST])[0], small[SECOND])
    train, valid = few_of_both(split.train, split.valid)
    assert train is split.train and valid.equals(split.valid) and capsys.readouterr().out == ""
    monkeypatch.setattr(splitting, "COMPARED", 40 / 200)  # 200 pairs: 20 items and 10 users
    train, valid = few_of_both(split.train, split.valid)
    users, items = set(train["user_id"]), set(train["item_id"])
    assert len(users) == 10 and len(items) == 20
    for kept, part in ((train, split.train), (valid, split.valid)):
        expected = part[part["user_id"].isin(users) & part["item_id"].isin(items)]
        pd.testing.assert_frame_equal(kept, expected)
    n_users, n_items = split.train[["user_id", "item_id"]].nunique()
    told = f"this looks at 10 of {n_users:,} users and 20 of {n_items:,} items.\n"
    assert capsys.readouterr().out.endswith(told)


def test_of_few_to_score_no_item_is_left_out(small, monkeypatch, capsys):
    rows, _ = load_source(small[FIRST])
    monkeypatch.setattr(splitting, "JUDGED", 40 / 500)
    some = few_to_compare(rows, scored=50)
    assert some.equals(rows[rows["user_id"].isin(some["user_id"])]) and some["user_id"].nunique() == 10
    assert "items" not in capsys.readouterr().out


def test_of_few_users_the_end_of_training_stands_in_for_no_validation_part(small):
    split = split_interactions(load_source(small[FIRST])[0], small[SECOND] | {"valid_fraction": 0.0})
    train, valid = few_of_both(split.train, split.valid)
    assert len(train) + len(valid) == len(split.train) and len(valid)
    last = train.groupby("user_id")["timestamp"].max()
    assert (valid["timestamp"] >= valid["user_id"].map(last)).all()


def test_without_a_validation_part_all_epochs_are_trained(small):
    interactions, _ = load_source(small[FIRST])
    split = split_interactions(interactions, small[SECOND] | {"valid_fraction": 0.0})
    found = fit_bpr(split.train, split.valid, small[THIRD] | {"patience": 0})
    assert len(found["history"]) == 3 and found["valid_per_user"].empty
    with pytest.raises(ValueError, match="patience"):
        fit_bpr(split.train, split.valid, small[THIRD])


@pytest.mark.parametrize("split", ["per_user", "leave_last", "global_time", "random"])
def test_every_protocol_is_reached_by_its_name(small, split):
    interactions, _ = load_source(small[FIRST])
    parts = split_interactions(interactions, small[SECOND] | {"split": split, "n_test": 2})
    assert len(parts.test) == {"global_time": 48}.get(split, 80)


def untimed(n_users=6, n_items=5):
    pairs = [(u, i) for u in range(n_users) for i in range(n_items)]
    return pd.DataFrame(pairs, columns=["user_id", "item_id"])


@pytest.mark.parametrize("times", [{}, {"timestamp": pd.Timestamp(2020, 1, 1)}])
def test_data_without_two_times_are_split_at_random_and_that_is_said_once(times, capsys):
    rows = untimed().assign(**times)
    values = defaults(SECOND)
    parts = split_interactions(rows, values)
    said = capsys.readouterr().out
    assert said.count("\n") == 1 and 'split="random"' in said
    assert list(parts.test.columns) == list(rows.columns) and parts.test.groupby("user_id").size().eq(1).all()
    named = split_interactions(rows, values | {"split": "random"})
    assert named.test.equals(parts.test) and not capsys.readouterr().out
    assert len(set(parts.test["item_id"])) > 1  # the last row of everybody, in order of the file, is item 4
    assert not parts.test.equals(split_interactions(rows, values | {"split_seed": 1}).test)


@pytest.mark.parametrize("split", ["leave_last", "global_time"])
def test_a_protocol_that_needs_times_and_was_named_is_refused_without_them(split):
    with pytest.raises(ValueError, match=f'no times, and split=.{split}. needs.* split="random"'):
        split_interactions(untimed(), defaults(SECOND) | {"split": split})


@pytest.mark.parametrize("split", ["per_user", "leave_last"])
def test_the_order_of_rows_stands_for_time_only_where_it_is_asked_for(split, capsys):
    parts = split_interactions(untimed(), defaults(SECOND) | {"split": split, "ties": "row"})
    assert parts.test["item_id"].eq(4).all() and not capsys.readouterr().out
    assert list(parts.test.columns) == ["user_id", "item_id"]


def test_a_split_that_leaves_nobody_to_be_tested_says_what_to_change():
    rows = untimed().assign(timestamp=lambda rows: rows.index)
    values = defaults(SECOND)
    with pytest.raises(ValueError, match=r"n_test=5.*smaller n_test.*user_k=6"):
        split_interactions(rows, values | {"split": "leave_last", "n_test": 5})
    with pytest.raises(ValueError, match="user_k=2"):
        split_interactions(rows.drop_duplicates("user_id"), values)
    with pytest.raises(ValueError, match=r"too late.*test_fraction"):
        split_interactions(rows, values | {"split": "global_time", "test_fraction": 0.1})


def test_recency_is_off_without_an_order_of_time_and_that_is_said_once(capsys):
    values = defaults(THIRD) | {"epochs": 1, "dim": 4}
    parts = split_interactions(untimed(), defaults(SECOND) | {"split": "random", "test_fraction": 0.2})
    found = fit_bpr(parts.train, parts.valid, values)
    assert found["model"].settings["recency"] == 0.0
    said = [line for line in capsys.readouterr().out.splitlines() if "recency" in line]
    assert len(said) == 1 and "(recency=0)" in said[0]
    fit_bpr(parts.train, parts.valid, values | {"recency": 0.0})
    assert "recency" not in capsys.readouterr().out


def test_one_time_is_no_order_of_time():
    rows = pd.DataFrame({"user_id": [1, 1], "item_id": [1, 2]})
    assert not has_times(rows) and not has_times(rows.assign(timestamp=3))
    assert has_times(rows.assign(timestamp=[3, 4])) and not has_times(rows.head(0).assign(timestamp=3))


def test_the_film_called_unknown_is_dropped_from_movielens_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("BPR_ROOT", str(tmp_path))
    untimed(2, 3).to_csv(tmp_path / "mine.csv", index=False)
    pd.DataFrame({"item_id": [0, 1, 2], "title": ["unknown", "b", "c"]}).to_csv(
        tmp_path / "t.csv", index=False
    )
    values = defaults(FIRST) | {"source": "mine.csv", "items_source": "t.csv"}
    assert set(load_source(values)[0]["item_id"]) == {0, 1, 2}


def test_movielens_own_movies_and_ratings_work_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv("BPR_ROOT", str(tmp_path))
    (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,7,4.0,964982703\n", "utf-8")
    (tmp_path / "movies.csv").write_text('movieId,title,genres\n7,"Heat, The (1995)",Action\n', "utf-8")
    values = defaults(FIRST) | {"source": "ratings.csv", "items_source": "movies.csv"}
    interactions, items = load_source(values | {"user_column": "userId", "item_column": "movieId"})
    assert interactions["item_id"].tolist() == items["item_id"].tolist() == [7]


def test_the_file_of_titles_has_the_items_column_or_item_id_and_the_column_of_titles_that_is_named(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("BPR_ROOT", str(tmp_path))
    untimed(2, 2).rename(columns={"item_id": "what"}).to_csv(tmp_path / "mine.csv", index=False)
    values = defaults(FIRST) | {"source": "mine.csv", "items_source": "t.csv", "item_column": "what"}
    for name in ("what", "item_id"):
        pd.DataFrame({name: [0, 1], "name": ["a", "b"]}).to_csv(tmp_path / "t.csv", index=False)
        assert load_source(values | {"title_column": "name"})[1]["title"].tolist() == ["a", "b"]


def test_the_text_speaks_of_a_run_only_where_all_that_it_reads_has_the_defaults(run):
    first, second = defaults(FIRST), defaults(SECOND)
    rows = untimed()
    run.write(FIRST, {"interactions": rows}, first | {"run_dir": "elsewhere"})
    run.write(SECOND, {"test": rows}, second)
    assert run.changed(FIRST, first | {"run_dir": "elsewhere"}) == run.changed(THIRD, defaults(THIRD)) == {}
    assert run.changed(FIRST, first | {"user_k": 7}) == {"user_k": (6, 7)}
    assert run.changed(SECOND, second | {"split_seed": 1}) == {"split_seed": (0, 1)}
    run.write(FIRST, {"interactions": rows}, first | {"user_k": 7})
    assert run.changed(SECOND, second) == {"user_k": (6, 7)}


def test_a_stage_in_words():
    mine = defaults(FIRST) | {"source": "a/mine.csv", "item_k": 2, "min_rating": 4.0}
    assert describe(FIRST, mine, {}) == (
        "mine.csv, ratings from 4, at least 6 interactions per user and 2 per item"
    )
    split, timed = defaults(SECOND), {"train": untimed().assign(timestamp=range(len(untimed())))}
    words = "last tenth per user for test, tenth of the rest for validation"
    assert describe(SECOND, split, timed) == words
    assert describe(SECOND, split, {"train": untimed()}) == words.replace(
        "last tenth per user", "tenth at random per user"
    )
    assert describe(SECOND, split | {"ties": "row"}, {"train": untimed()}) == words
    assert describe(SECOND, split | {"split": "leave_last"}, timed) == (
        "last 1 per user for test, 1 before for validation"
    )
    moment = split | {"split": "global_time", "test_fraction": 0.15, "valid_fraction": 0.0}
    assert describe(SECOND, moment, timed) == "last 15.0% of all for test, nothing of the rest for validation"
    assert describe(THIRD, defaults(THIRD) | {"recency": 0.0, "choose": False}, {}) == (
        "BPR with 64 dimensions, weighted negatives, no recency"
    )


def test_a_stage_reads_only_earlier_notebooks():
    names = list(READS)
    assert names == list(NOTEBOOKS) and sorted(RUN_ORDER) == names
    assert set(STAGES) <= set(names)
    assert all(
        set(ups) <= set(RUN_ORDER[: RUN_ORDER.index(stage)]) & set(STAGES) for stage, ups in READS.items()
    )


def test_titles_meet_the_items_whatever_their_ids_are_written_in(tmp_path, small):
    rows = pd.read_csv(small[FIRST]["source"])
    items = rows["item_id"].unique()
    titles = pd.DataFrame({"item_id": [f"{i}.0" for i in items[:-1]] + ["A5"], "title": "x"})
    titles.to_parquet(tmp_path / "titles.parquet")
    interactions, found = load_source(small[FIRST] | {"items_source": str(tmp_path / "titles.parquet")})
    told = in_words(interactions, found)
    assert set(items[:-1]) <= set(found["item_id"]) and f"{len(items) - 1} of {len(items)} items" in told
    assert told.startswith("480 interactions from 20")
    titles.tail(1).to_csv(tmp_path / "none.csv", index=False)
    with pytest.raises(ValueError, match=r"No title's item is known: 0 of 1 match; they are text"):
        load_source(small[FIRST] | {"items_source": str(tmp_path / "none.csv")})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ties": "item", "valid_fraction": 0.0},
        {"split": "leave_last", "ties": "row"},
        {"split": "global_time", "test_fraction": 0.2},
    ],
)
def test_a_split_in_parts_is_the_split_in_pandas_with_its_report(changes, small, run, monkeypatch):
    """With ids of digits that are text and equal times, in many parts, and one thread."""
    core, _ = load_source(small[FIRST])
    years = core["timestamp"].dt.floor("1000D")
    core = core.assign(user_id=core["user_id"].astype(str), timestamp=years).sample(frac=1, random_state=0)
    stored = run.write(FIRST, {"interactions": core}, small[FIRST]).path("interactions")
    monkeypatch.setattr(series, "ROWS", 50)
    monkeypatch.setattr(series, "_workers", nullcontext)
    values = small[SECOND] | changes
    expected, told = split_with_report(core, values | {"engine": "pandas"}, stored)
    with dask.config.set({"scheduler": "synchronous", "dataframe.shuffle.method": "tasks"}):
        found, report = split_with_report(core, values | {"engine": "dask"}, stored)
    assert found.counts == expected.counts and report.equals(told)
    for name in ("train", "valid", "test"):
        pd.testing.assert_frame_equal(getattr(found, name), getattr(expected, name).sort_index())
    assert not list(run.path.glob(".writing-*"))


def test_a_random_split_is_never_made_in_parts(small, run, monkeypatch):
    stored = run.write(FIRST, {"interactions": untimed()}, small[FIRST]).path("interactions")
    monkeypatch.setattr(series, "_split_in_parts", None)
    found, _ = split_with_report(untimed(), small[SECOND] | {"engine": "dask"}, stored)
    pd.testing.assert_frame_equal(found.test, split_interactions(untimed(), small[SECOND]).test)

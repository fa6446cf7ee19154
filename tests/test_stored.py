"""A matrix on the disk is the matrix of the frame, and BPR trains on it as on that."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpr_helpers import BPR, InteractionMatrix, synthetic_interactions, training
from bpr_helpers.stored import open_matrix, store_matrix

ROW = st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 4))
ROWS = st.lists(ROW, min_size=1, max_size=40)


def equal(found: InteractionMatrix, expected: InteractionMatrix) -> None:
    assert found.user_ids.tolist() == expected.user_ids.tolist()
    assert found.item_ids.tolist() == expected.item_ids.tolist()
    assert (found.csr != expected.csr).nnz == 0 and found.csr.nnz == expected.csr.nnz
    assert found.csr.indices.tolist() == expected.csr.indices.tolist()
    if expected.times is None:
        assert found.times is None
    else:
        assert found.times.tolist() == expected.times.tolist()


@given(ROWS, st.integers(1, 40), st.integers(1, 50), st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_stored_matrix_is_that_of_the_frame(tmp_path_factory, rows, cut, held, text, timed):
    home = tmp_path_factory.mktemp("stored")
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    frame["timestamp"] = pd.to_datetime(10**9 + frame["timestamp"], unit="s").astype("datetime64[ms]")
    frame = frame if timed else frame.drop(columns="timestamp")
    frame = frame.assign(user_id="u" + frame["user_id"].astype(str)) if text else frame
    for number, start in enumerate(range(0, len(frame), cut)):
        frame.iloc[start : start + cut].to_parquet(home / f"{number:02}.parquet", row_group_size=7)
    found = store_matrix(home, home / "matrix", rows=held)
    equal(found, InteractionMatrix.from_frame(frame))
    equal(open_matrix(home / "matrix"), found)
    assert not list((home / "matrix").glob(".*"))


@pytest.fixture
def stored(tmp_path):
    synthetic_interactions(80, 40, 1500).to_parquet(tmp_path / "rows.parquet")
    return store_matrix(tmp_path / "rows.parquet", tmp_path / "matrix"), tmp_path / "matrix"


def test_a_fit_on_a_stored_matrix_is_that_of_the_frame(stored):
    made = {"dim": 4, "epochs": 2, "batch_size": 64}
    frame = synthetic_interactions(80, 40, 1500)
    on_disk, in_memory = BPR(**made).fit(stored[0]), BPR(**made).fit(frame)
    assert on_disk.user_vectors.tobytes() == in_memory.user_vectors.tobytes()
    assert on_disk.item_vectors.tobytes() == in_memory.item_vectors.tobytes()


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "matrix.json").unlink(),
        lambda folder: (folder / "indices.npy").write_bytes((folder / "indices.npy").read_bytes()[:-40]),
        lambda folder: np.save(folder / "indices.npy", np.full(1500, 99, np.int32)),
        lambda folder: np.save(folder / "indptr.npy", np.zeros(81, np.int32)),
        lambda folder: np.save(folder / "times.npy", np.zeros(3, np.int64)),
        lambda folder: np.save(folder / "data.npy", np.array([{}] * 1500, object), allow_pickle=True),
        lambda folder: (folder / "users.parquet").write_bytes(b"PAR1"),
    ],
)
def test_a_damaged_matrix_is_refused_in_a_sentence(stored, damage):
    damage(stored[1])
    with pytest.raises(ValueError, match="does not hold a whole matrix"):
        open_matrix(stored[1])


def test_no_row_that_reaches_the_smallest_rating_is_refused(tmp_path):
    synthetic_interactions(10, 10, 50).assign(rating=3.0).to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="no row is left"):
        store_matrix(tmp_path / "rows.parquet", tmp_path / "matrix", min_rating=4.0)


def test_a_missing_id_is_refused_and_leaves_no_matrix(tmp_path):
    frame = synthetic_interactions(10, 10, 50).astype({"item_id": str})
    frame.loc[3, "item_id"] = None
    frame.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match="item_id"):
        store_matrix(tmp_path / "rows.parquet", tmp_path / "matrix")
    assert not (tmp_path / "matrix" / "matrix.json").exists()


@given(ROWS, st.integers(1, 9), st.integers(1, 30), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_an_order_in_runs_has_every_positive_once_with_its_user(rows, run, size, seed):
    matrix = InteractionMatrix.from_frame(pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "MANY", 0)
        patch.setattr(training, "RUN", run)
        pieces = list(training._pieces(matrix, size, np.random.default_rng(seed)))
        again = list(training._pieces(matrix, size, np.random.default_rng(seed)))
    users, places = (np.concatenate(side) for side in zip(*pieces, strict=True))
    assert sorted(places) == list(range(matrix.csr.nnz))
    assert users.tolist() == np.repeat(np.arange(matrix.n_users), np.diff(matrix.csr.indptr))[places].tolist()
    assert [len(one) for one, _ in pieces[:-1]] == [size] * (len(pieces) - 1)
    assert all((a[1] == b[1]).all() for a, b in zip(pieces, again, strict=True))


def test_an_order_in_runs_trains_as_well(monkeypatch):
    frame = synthetic_interactions(300, 60, 9000)
    made = {"dim": 8, "epochs": 6, "batch_size": 256, "recency": 0.0}
    losses = [BPR(**made).fit(frame).history["loss"].iloc[-1]]
    monkeypatch.setattr(training, "MANY", 0)
    monkeypatch.setattr(training, "RUN", 64)
    losses.append(BPR(**made).fit(frame).history["loss"].iloc[-1])
    assert losses[0] != losses[1] and losses[1] == pytest.approx(losses[0], rel=0.05)

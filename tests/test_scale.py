"""k-core, splits, report, ids and evaluation on Dask: row for row what pandas gives, however it is cut."""

import contextlib
import itertools
import warnings
from collections.abc import Iterator

import dask
import dask.dataframe as dd
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bpr_helpers
from bpr_helpers import InteractionMatrix, Popularity, load_interactions, parts, scale, synthetic_interactions
from bpr_helpers.evaluation import evaluate
from bpr_helpers.splitting import Split, split_report

PARTS = ("train", "valid", "test")
FEW = settings(max_examples=15, deadline=None)

# Rows that repeat another in every column could not be told apart.
ROW = st.tuples(st.integers(0, 5), st.integers(0, 6), st.integers(0, 4))
ROWS = st.lists(ROW, min_size=1, max_size=40, unique=True)
CUTS = st.lists(st.integers(0, 40), max_size=4)
TIES = st.sampled_from(["shuffle", "item", "row"])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Dask without a cluster: every task in this thread, and shuffles by tasks."""
    with dask.config.set({"scheduler": "synchronous", "dataframe.shuffle.method": "tasks"}):
        yield


def frame_of(rows: list[tuple[int, int, int]], text: bool = False) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    if text:
        frame = frame.assign(
            user_id="u" + frame["user_id"].astype(str), item_id="i" + frame["item_id"].astype(str)
        )
    return frame.set_index(pd.Index(range(100, 100 + len(frame))))


def in_parts(frame: pd.DataFrame, cuts: list[int]) -> dd.DataFrame:
    """Cut a frame into partitions at these places, some of them empty."""
    bounds = [0, *sorted(min(cut, len(frame)) for cut in cuts), len(frame)]
    parts = [frame.iloc[start:stop] for start, stop in itertools.pairwise(bounds)]
    return dd.from_delayed([dask.delayed(part) for part in parts], meta=frame.iloc[:0], verify_meta=False)


def same(found: dd.DataFrame, expected: pd.DataFrame, *, ordered: bool) -> None:
    computed = found.compute()
    computed = computed if ordered else computed.sort_index()
    pd.testing.assert_frame_equal(computed, expected if ordered else expected.sort_index())


def either(work, *arguments, **settings):
    """What a function gives, or the sentence with which it refuses."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        try:
            return work(*arguments, **settings)
        except ValueError as error:
            return str(error)


@given(ROWS, CUTS, st.booleans(), st.integers(1, 4), st.integers(1, 4))
@FEW
def test_a_core_is_that_of_pandas(rows, cuts, text, user_k, item_k):
    frame = frame_of(rows, text)
    expected = either(bpr_helpers.k_core, frame, user_k=user_k, item_k=item_k)
    found = either(scale.k_core, in_parts(frame, cuts), user_k=user_k, item_k=item_k)
    same(found.interactions, expected.interactions, ordered=True)
    pd.testing.assert_frame_equal(found.rounds, expected.rounds)


@given(ROWS, CUTS, st.booleans())
@FEW
def test_codes_are_those_of_the_matrix(rows, cuts, text):
    frame = frame_of(rows, text)
    coded, matrix = scale.with_codes(in_parts(frame, cuts)), InteractionMatrix.from_frame(frame)
    assert coded.user_ids.tolist() == matrix.user_ids.tolist()
    assert coded.item_ids.tolist() == matrix.item_ids.tolist()
    codes = coded.codes.compute()
    assert codes["user"].tolist() == matrix.user_codes(frame["user_id"]).tolist()
    assert codes["item"].tolist() == matrix.item_codes(frame["item_id"]).tolist()


def same_split(found: Split, expected: Split, *, ordered: bool) -> None:
    for name in PARTS:
        same(getattr(found, name), getattr(expected, name), ordered=ordered)
    assert found.counts == expected.counts


@given(ROWS, CUTS, st.booleans(), st.integers(1, 60), st.integers(0, 60), TIES, st.integers(0, 3))
@FEW
def test_a_split_per_user_is_that_of_pandas(rows, cuts, text, test, valid, ties, seed):
    frame = frame_of(rows, text)
    how = {"test_fraction": test / 100, "valid_fraction": valid / 100, "ties": ties, "seed": seed}
    expected = bpr_helpers.split_per_user(frame, **how)
    found = scale.split_per_user(in_parts(frame, cuts), **how)
    same_split(found, expected, ordered=False)
    pd.testing.assert_frame_equal(scale.split_report(found), split_report(expected))


@given(ROWS, CUTS, st.integers(1, 3), st.integers(0, 3), TIES)
@FEW
def test_leaving_out_the_last_is_that_of_pandas(rows, cuts, n_test, n_valid, ties):
    frame, how = frame_of(rows), {"n_test": n_test, "n_valid": n_valid, "ties": ties}
    expected = bpr_helpers.split_leave_last(frame, **how)
    same_split(scale.split_leave_last(in_parts(frame, cuts), **how), expected, ordered=False)


@given(ROWS, CUTS, st.integers(1, 60), st.integers(0, 60), st.sampled_from([1, -1, 0.25, -2.5, 2**61, 10**9]))
@FEW
def test_a_split_at_a_moment_is_that_of_pandas(rows, cuts, test, valid, unit):
    frame = frame_of(rows)
    frame["timestamp"] = frame["timestamp"] * unit - (2**62 if unit == 2**61 else 0)
    how = {"test_fraction": test / 100, "valid_fraction": valid / 100}
    expected = either(bpr_helpers.split_global_time, frame, **how)
    found = either(scale.split_global_time, in_parts(frame, cuts), **how)
    if isinstance(expected, str):
        assert found == expected
        return
    same_split(found, expected, ordered=True)
    pd.testing.assert_frame_equal(scale.split_report(found), split_report(expected))


def test_many_rows_in_few_bins_are_split_and_reported_alike(monkeypatch):
    monkeypatch.setattr(scale, "BINS", 4)
    frame = synthetic_interactions(60, 40, 900)
    expected = bpr_helpers.split_global_time(frame, valid_fraction=0.1)
    found = scale.split_global_time(in_parts(frame, [300, 500, 501]), valid_fraction=0.1)
    same_split(found, expected, ordered=True)
    pd.testing.assert_frame_equal(scale.split_report(found), split_report(expected))


@given(ROWS, ROWS, CUTS, st.booleans(), st.sampled_from(["all", ("uniform", 3), ("popularity", 2)]))
@FEW
def test_an_evaluation_is_that_of_pandas(rows, test_rows, cuts, text, candidates):
    model = Popularity().fit(frame_of([*rows, (9, 0, 0), (9, 1, 0)], text))
    test = frame_of([(user + 3, item + 2, time) for user, item, time in test_rows], text)
    how = {"ks": (1, 3), "candidates": candidates}
    expected = either(evaluate, model, test, **how)
    found = either(scale.evaluate, model, in_parts(test, cuts), **how)
    if isinstance(expected, str):
        assert found == expected
        return
    pd.testing.assert_frame_equal(found.per_user, expected.per_user)
    pd.testing.assert_frame_equal(found.ranks, expected.ranks)
    assert found.counts == expected.counts


@pytest.mark.parametrize("column", ["user_id", "item_id", "timestamp"])
def test_what_is_missing_is_named_by_its_row(column):
    frame = (
        synthetic_interactions(10, 10, 50).astype({"user_id": float, "item_id": float}).reset_index(drop=True)
    )
    frame.loc[37, column] = None
    parts = in_parts(frame, [20, 30])
    assert either(scale.split_per_user, parts) == either(bpr_helpers.split_per_user, frame)
    assert "row 37" in either(scale.split_per_user, parts)
    del frame[column]
    assert either(scale.split_per_user, in_parts(frame, [5])) == either(bpr_helpers.split_per_user, frame)


def test_arguments_are_refused_as_by_pandas():
    frame = synthetic_interactions(10, 10, 50)
    parts = in_parts(frame, [20])
    for name, wrong in (
        ("k_core", {"user_k": 0}),
        ("split_per_user", {"ties": "never"}),
        ("split_per_user", {"test_fraction": 2}),
        ("split_leave_last", {"n_test": 0}),
        ("split_global_time", {"valid_fraction": -1}),
    ):
        told = either(getattr(bpr_helpers, name), frame, **wrong)
        assert isinstance(told, str) and either(getattr(scale, name), parts, **wrong) == told


@pytest.mark.parametrize("text", ["", "numbers", "words"])
def test_a_folder_is_read_as_pandas_reads_it(tmp_path, text):
    frame = synthetic_interactions(30, 20, 400)
    frame = pd.concat([frame, frame.iloc[:30].assign(timestamp=frame["timestamp"].iloc[0])])  # repeated pairs
    if text:
        frame = frame.astype({"user_id": str, "item_id": str})
    if text == "words":
        frame.iloc[-1, 0] = "ann"
    for number, start in enumerate(range(0, len(frame), 150)):
        frame.iloc[start : start + 150].to_parquet(
            tmp_path / f"{number}.parquet", row_group_size=40, index=False
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        expected = load_interactions(tmp_path)
    found = scale.read_interactions(tmp_path, rows=100)
    assert found.npartitions == 6 and len(found) == len(frame)
    folded = scale.first_of_pairs(found).compute().sort_index().reset_index(drop=True)
    pd.testing.assert_frame_equal(folded, expected, check_dtype=True)


def test_what_is_written_is_read_again_and_replaces_what_was_there(tmp_path):
    frame = synthetic_interactions(30, 20, 400)
    split = scale.split_leave_last(in_parts(frame, [100, 200]))
    parts = {name: getattr(split, name) for name in ("train", "test")}
    for _ in range(2):
        stored = scale.write(tmp_path, **parts)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["test", "train"]
    for name, part in stored.items():
        expected = getattr(bpr_helpers.split_leave_last(frame), name)
        order = ["user_id", "item_id"]
        pd.testing.assert_frame_equal(
            part.compute().sort_values(order, ignore_index=True),
            expected.sort_values(order, ignore_index=True),
        )


def test_what_somebody_else_put_there_is_not_replaced(tmp_path):
    rows = in_parts(synthetic_interactions(10, 10, 50), [20])
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "mine.parquet").write_text("mine")
    (tmp_path / "file").write_text("mine")
    for name in ("rows", "file"):
        with pytest.raises(ValueError, match=f"{name} holds what was not written by an earlier call"):
            scale.write(tmp_path, **{name: rows})
    assert (tmp_path / "rows" / "mine.parquet").read_text() == (tmp_path / "file").read_text() == "mine"


def test_a_smallest_rating_without_ratings_is_refused_as_by_pandas(tmp_path):
    synthetic_interactions(10, 10, 50).to_parquet(tmp_path / "a.parquet")
    told = either(scale.read_interactions, tmp_path, min_rating=4.0)
    assert isinstance(told, str) and told == either(load_interactions, tmp_path, min_rating=4.0)


def test_parts_of_different_types_are_refused(tmp_path):
    frame = synthetic_interactions(10, 10, 50)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.astype({"user_id": str}).to_parquet(tmp_path / "b.parquet")
    told = either(scale.read_interactions, tmp_path)
    assert "b.parquet" in told and "'user_id'" in told and "a.parquet as int64" in told


def test_a_damaged_part_is_named_and_nothing_is_written(tmp_path):
    for number in range(3):
        synthetic_interactions(10, 10, 50, seed=number).to_parquet(tmp_path / f"{number}.parquet")
    opened = scale.read_interactions(tmp_path)
    damaged = tmp_path / "1.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-400])
    told = either(scale.k_core, opened)
    assert isinstance(told, str) and "1.parquet is damaged" in told
    with contextlib.suppress(ValueError):
        scale.write(tmp_path / "out", rows=opened)
    assert not any((tmp_path / "out").iterdir())


def test_a_folder_is_too_large_where_its_rows_fill_half_of_the_memory(tmp_path, monkeypatch):
    synthetic_interactions(10, 10, 50).to_parquet(tmp_path / "a.parquet")
    for gigabytes, large in ((2 * 49 * parts.PER_ROW, True), (2 * 51 * parts.PER_ROW, False)):
        monkeypatch.setattr(parts, "memory", lambda limit=gigabytes: float(limit))
        assert parts.too_large(tmp_path) is large


def test_tasks_are_told_apart_by_their_names():
    stream = [
        {
            "worker": "b",
            "key": key,
            "startstops": [{"action": "compute", "start": start, "stop": start + 2.0}],
        }
        for key, start in (("('shuffle-transfer-1', 0)", 7.0), ("_read-12", 5.0), ("sum-9", 6.0))
    ]
    stream[0]["startstops"].append({"action": "transfer", "start": 0.0, "stop": 1.0})
    tasks = scale.tasks_of(stream)
    assert tasks["kind"].tolist() == ["read", "other", "shuffle"]
    assert tasks["start"].tolist() == [0.0, 1.0, 2.0] and tasks["stop"].tolist() == [2.0, 3.0, 4.0]

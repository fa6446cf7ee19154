from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bpr_helpers.splitting import (
    COMPARED,
    JUDGED,
    Split,
    report_in_words,
    sample_to_split,
    split_global_time,
    split_leave_last,
    split_per_user,
    split_random,
    split_report,
    split_users,
    tied_boundary,
    within_seconds,
)
from bpr_helpers.synthetic import synthetic_interactions

# few times, so that ties are everywhere; distinct pairs, as the loader leaves them
ROWS = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(0, 12)), st.integers(0, 6), min_size=1, max_size=60
).map(lambda times: [(user, item, time) for (user, item), time in times.items()])
PERCENT = st.integers(1, 99)
unhurried = settings(deadline=None)
TIES = st.sampled_from(["shuffle", "item", "row"])


def frame(rows: list) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


def user_with(times: list, user: object = "al") -> pd.DataFrame:
    return frame([(user, item, time) for item, time in enumerate(times)])


def parts(split: Split) -> list[pd.DataFrame]:
    return [split.train, split.valid, split.test]


def items(part: pd.DataFrame) -> list:
    return part["item_id"].tolist()


def whole_ceil(percent: int, n: int) -> int:
    return -(-percent * n // 100)


def test_toy_by_hand() -> None:
    rows = user_with([50, 10, 40, 20, 30])
    split = split_per_user(rows, test_fraction=0.3, valid_fraction=0.3)
    assert (items(split.train), items(split.valid), items(split.test)) == ([1, 3], [4], [0, 2])
    split = split_leave_last(rows, n_test=1, n_valid=2)
    assert (items(split.train), items(split.valid), items(split.test)) == ([1, 3], [2, 4], [0])
    split = split_global_time(rows, test_fraction=0.2, valid_fraction=0.25)
    assert (items(split.train), items(split.valid), items(split.test)) == ([1, 3, 4], [2], [0])


@unhurried
@given(ROWS, PERCENT, st.integers(0, 99), TIES, st.integers(0, 3))
def test_per_user_is_disjoint_complete_chronological_and_of_the_right_size(
    rows: list, test: int, valid: int, ties: str, seed: int
) -> None:
    interactions = frame(rows)
    split = split_per_user(
        interactions, test_fraction=test / 100, valid_fraction=valid / 100, ties=ties, seed=seed
    )
    assert pd.concat(parts(split)).sort_index().equals(interactions)
    for user, group in interactions.groupby("user_id"):
        train, valid_part, test_part = (part[part["user_id"] == user]["timestamp"] for part in parts(split))
        n_test = min(whole_ceil(test, len(group)), len(group) - 1)
        n_valid = min(whole_ceil(valid, len(group) - n_test), len(group) - n_test - 1)
        assert (len(train), len(valid_part), len(test_part)) == (
            len(group) - n_test - n_valid,
            n_valid,
            n_test,
        )
        assert len(train) >= 1
        assert train.max() <= min(valid_part.min() if n_valid else 6, test_part.min() if n_test else 6)
        assert not n_valid or not n_test or valid_part.max() <= test_part.min()


@unhurried
@given(ROWS, st.integers(1, 4), st.integers(0, 4))
def test_leave_last(rows: list, n_test: int, n_valid: int) -> None:
    interactions = frame(rows)
    split = split_leave_last(interactions, n_test=n_test, n_valid=n_valid)
    assert pd.concat(parts(split)).sort_index().equals(interactions)
    sizes = interactions.groupby("user_id").size()
    in_test = split.test.groupby("user_id").size().reindex(sizes.index, fill_value=0)
    in_valid = split.valid.groupby("user_id").size().reindex(sizes.index, fill_value=0)
    assert in_test.equals(sizes.gt(n_test) * n_test)
    assert in_valid.equals((sizes - in_test).gt(n_valid) * n_valid)
    assert split.counts == {
        "users": len(sizes),
        "too_short_for_test": int((in_test == 0).sum()),
        "too_short_for_valid": int((in_valid == 0).sum()),
    }


@unhurried
@given(ROWS, PERCENT, st.integers(0, 99))
def test_global_never_cuts_inside_a_time(rows: list, test: int, valid: int) -> None:
    interactions = frame(rows)
    try:
        split = split_global_time(interactions, test_fraction=test / 100, valid_fraction=valid / 100)
    except ValueError as error:
        assert "share one time" in str(error)
        assert valid or len(set(interactions["timestamp"])) == 1
        return
    assert pd.concat(parts(split)).sort_index().equals(interactions)
    bounds = [(part["timestamp"].min(), part["timestamp"].max()) for part in parts(split) if len(part)]
    assert all(early[1] < late[0] for early, late in pairwise(bounds))
    assert len(split.train)
    wanted = whole_ceil(test, len(interactions))
    first_time = (split.test["timestamp"] == split.test["timestamp"].min()).sum()
    assert len(split.test) - first_time < wanted  # no more whole times than needed
    before = pd.concat([split.train, split.valid])["timestamp"]
    assert len(split.test) >= wanted or len(set(before)) == 1


@unhurried
@given(ROWS, PERCENT, st.sampled_from(["shuffle", "item"]), st.integers(0, 3), st.randoms())
def test_independent_of_row_order(rows: list, test: int, ties: str, seed: int, random) -> None:
    interactions = frame(rows)
    shuffled = interactions.iloc[random.sample(range(len(rows)), len(rows))]
    one, two = (
        split_per_user(f, test_fraction=test / 100, valid_fraction=0.2, ties=ties, seed=seed)
        for f in (interactions, shuffled)
    )
    assert all(a.equals(b.sort_index()) for a, b in zip(parts(one), parts(two), strict=True))


@unhurried
@given(ROWS, PERCENT, st.integers(1, 2**40))
def test_another_seed_changes_only_ties(rows: list, test: int, seed: int) -> None:
    one, two = (split_per_user(frame(rows), test_fraction=test / 100, seed=s) for s in (0, seed))
    key = ["user_id", "timestamp"]
    for a, b in zip(parts(one), parts(two), strict=True):
        assert a[key].sort_values(key).to_numpy().tolist() == b[key].sort_values(key).to_numpy().tolist()


@pytest.mark.parametrize("ids", ["int64", "int32", "str", "object", "category", "Int64"])
def test_ties_do_not_depend_on_how_ids_are_stored(ids: str) -> None:
    interactions = frame([(user, item, item // 8) for user in range(-9, 9) for item in range(-20, 23)])
    if ids in ("str", "object", "category"):
        interactions = interactions.astype({"user_id": str, "item_id": str})
    other = interactions.astype({"user_id": ids, "item_id": ids})
    same = split_per_user(interactions).test.index
    assert split_per_user(other).test.index.equals(same)
    assert split_per_user(other.iloc[::-1]).test.index.sort_values().equals(same)


def test_shuffled_ties_are_unrelated_to_ids_and_to_the_row() -> None:
    n_users, n_items = 300, 20
    interactions = frame([(user, item, 0) for user in range(n_users) for item in range(n_items)])
    for seed in range(3):
        test = split_per_user(interactions, test_fraction=0.2, seed=seed).test
        counts = np.bincount(items(test), minlength=n_items)  # each item is tested by a fifth of the users
        expected = n_users * 0.2
        chi_square = ((counts - expected) ** 2 / expected).sum()
        assert chi_square < 43.8  # the 0.999 quantile at 19 degrees of freedom
    different = split_per_user(interactions, test_fraction=0.2, seed=0).test.index
    assert len(different.intersection(test.index)) < 0.3 * len(test)


def test_ties_by_item_and_by_row() -> None:
    interactions = frame([("al", item, 7) for item in ("c", "a", "d", "b")])
    assert items(split_per_user(interactions, test_fraction=0.5, ties="item").test) == ["c", "d"]
    assert items(split_per_user(interactions, test_fraction=0.5, ties="row").test) == ["d", "b"]
    reverse = interactions[::-1]
    assert sorted(items(split_per_user(reverse, test_fraction=0.5, ties="item").test)) == ["c", "d"]
    assert items(split_per_user(reverse, test_fraction=0.5, ties="row").test) == ["a", "c"]


@pytest.mark.parametrize(
    ("fraction", "n", "size"),
    [(0.07, 100, 7), (0.1, 30, 3), (0.1, 31, 4), (0.29, 100, 29), (1e-9, 5, 1), (Fraction(1, 3), 9, 3)],
)
def test_sizes_in_exact_arithmetic(fraction: float, n: int, size: int) -> None:
    interactions = user_with(list(range(n)))
    assert len(split_per_user(interactions, test_fraction=fraction).test) == size
    assert len(split_global_time(interactions, test_fraction=fraction).test) == size
    with_test = split_per_user(interactions, test_fraction=1e-9, valid_fraction=fraction)
    assert len(with_test.valid) == -(-Fraction(str(fraction)) * (n - 1) // 1)


def test_short_users_stay_in_train_and_are_counted() -> None:
    interactions = pd.concat([user_with(list(range(n)), f"u{n}") for n in (1, 2, 3)], ignore_index=True)
    split = split_per_user(interactions, test_fraction=0.5, valid_fraction=0.5)
    assert split.train["user_id"].tolist() == ["u1", "u2", "u3"]
    assert split.counts == {"users": 3, "too_short_for_test": 1, "too_short_for_valid": 3}
    split = split_leave_last(interactions, n_test=2)
    assert split.train["user_id"].tolist() == ["u1", "u2", "u2", "u3"]
    assert split.counts["too_short_for_test"] == 2


def test_global_puts_late_users_in_test_only_and_counts_them() -> None:
    interactions = pd.concat([user_with([1, 2, 3], "early"), user_with([9], "late")], ignore_index=True)
    split = split_global_time(interactions, test_fraction=0.25)
    assert split.counts == {"users": 2, "users_not_in_train": 1}
    assert split.test["user_id"].tolist() == ["late"]


def test_columns_order_index_and_times_are_kept() -> None:
    interactions = user_with([3, 1, 2]).assign(rating=[1.0, 2.0, 3.0]).set_index(np.array([9, 4, 9]))
    interactions["timestamp"] = pd.to_datetime(interactions["timestamp"], unit="D").dt.tz_localize("UTC")
    for split in (
        split_per_user(interactions),
        split_leave_last(interactions),
        split_global_time(interactions),
    ):
        assert split.train.dtypes.equals(interactions.dtypes)
        assert split.valid.dtypes.equals(interactions.dtypes)
        assert split.train["rating"].tolist() == [2.0, 3.0]
        assert split.train.index.tolist() == [4, 9]


@unhurried
@example([2**62, -(2**62), 3])
@example([2**61, 0, 3])
@given(st.lists(st.integers(-(2**62), 2**62) | st.integers(0, 3), min_size=2, max_size=30))
def test_times_of_any_range(times: list) -> None:
    both = pd.concat([user_with(times, "al"), user_with(times, "bo")], ignore_index=True)
    train = split_per_user(both, test_fraction=0.5).train
    assert sorted(train["timestamp"]) == sorted(sorted(times)[: len(times) // 2] * 2)


def test_empty_frame() -> None:
    empty = user_with([1])[:0]
    for split in (split_per_user(empty), split_leave_last(empty), split_global_time(empty)):
        assert [len(part) for part in parts(split)] == [0, 0, 0]
        assert split_report(split)["rows"].tolist() == [0, 0, 0]


def test_report_by_hand() -> None:
    train = frame([("al", "a", 1), ("al", "b", 5), ("bo", "a", 2), ("bo", "c", 8)])
    valid = frame([("al", "c", 5)])
    test = frame([("al", "a", 6), ("bo", "z", 9), ("cy", "a", 0), ("cy", "z", 1)])
    report = split_report(Split(train, valid, test))
    assert report.loc["train"].tolist()[:6] == [4, 2, 3, 1, 0, 0]
    # al's b and c share their time; of the train rows only 8 is later than 5
    assert report.loc["valid"].tolist() == [1, 1, 1, 2, 0, 1, 0.25, 0, 0]
    # al's a was in train; later than 6, 9, 0, 1 are 1, 0, 4 and 3 of 4 train rows; cy and z are unknown
    assert report.loc["test"].tolist() == [4, 3, 2, 0, 1, 0, 0.5, 2, 2]
    assert np.isnan(report.loc["train", "later_in_train"])


def test_report_counts_a_repeated_pair_once_per_part() -> None:
    train, valid = frame([("al", "a", 1), ("al", "a", 2)]), frame([("al", "a", 3), ("al", "b", 3)])
    test = frame([("al", "b", 4), ("al", "a", 4), ("al", "a", 5), ("bo", "a", 5)])
    assert split_report(Split(train, valid, test))["repeated_pairs"].tolist() == [0, 1, 2]


@unhurried
@given(ROWS, PERCENT)
def test_report_of_a_split_agrees_with_counting(rows: list, test: int) -> None:
    split = split_per_user(frame(rows), test_fraction=test / 100)
    report = split_report(split)
    assert report["rows"].tolist() == [len(part) for part in parts(split)]
    assert report["repeated_pairs"].tolist() == [0, 0, 0]
    assert report.loc["test", "unknown_user_rows"] == 0
    train_items, last = set(items(split.train)), split.train.groupby("user_id")["timestamp"].max()
    assert report.loc["test", "unknown_item_rows"] == sum(
        item not in train_items for item in items(split.test)
    )
    first = split.test.groupby("user_id")["timestamp"].min()
    assert report.loc["test", "tied_users"] == sum(first[user] == last[user] for user in first.index)
    if len(split.test):
        later = [np.mean(split.train["timestamp"] > time) for time in split.test["timestamp"]]
        assert report.loc["test", "later_in_train"] == pytest.approx(np.mean(later), abs=1e-12)


def test_movielens_as_published(core: pd.DataFrame) -> None:
    split = split_per_user(core)
    assert (len(split.train), len(split.valid), len(split.test)) == (88_681, 0, 10_342)
    split = split_per_user(core, valid_fraction=0.1)
    assert (len(split.train), len(split.valid), len(split.test)) == (79_405, 9_276, 10_342)
    assert split_report(split).loc["test", "later_in_train"] > 0.1
    assert split_report(split_global_time(core)).loc["test", "later_in_train"] == 0


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan"), float("inf"), "half", None])
def test_bad_fractions_get_a_sentence(fraction: object) -> None:
    for split in (split_per_user, split_global_time):
        with pytest.raises(ValueError, match=r"test_fraction is .*: give a number"):
            split(user_with([1, 2]), test_fraction=fraction)


def test_bad_input_gets_a_sentence() -> None:
    rows = user_with([1, 2])
    with pytest.raises(ValueError, match="valid_fraction is 1: give a number at least 0"):
        split_per_user(rows, valid_fraction=1)
    with pytest.raises(ValueError, match="n_test is 0: give a whole number of at least 1"):
        split_leave_last(rows, n_test=0)
    with pytest.raises(ValueError, match="ties is 'random': choose"):
        split_per_user(rows, ties="random")
    for split in (split_per_user, split_leave_last, split_global_time):
        with pytest.raises(ValueError, match="needs a column timestamp"):
            split(rows.drop(columns="timestamp"))
        with pytest.raises(ValueError, match="no column item_id"):
            split(rows.drop(columns="item_id"))
        with pytest.raises(ValueError, match="no time in row 1"):
            split(rows.assign(timestamp=[1.0, np.nan]))
        with pytest.raises(ValueError, match="holds str, not times"):
            split(rows.astype({"timestamp": str}))
    with pytest.raises(ValueError, match="All 2 rows share one time"):
        split_global_time(user_with([4, 4]))


@unhurried
@given(ROWS, PERCENT, st.integers(0, 3), st.randoms())
def test_a_random_split_has_the_sizes_of_the_other_and_needs_no_time(rows, percent, seed, random) -> None:
    timeless = frame(rows).drop(columns="timestamp")
    split = split_random(timeless, test_fraction=percent / 100, seed=seed)
    timed = split_per_user(frame(rows), test_fraction=percent / 100)
    assert split.test.groupby("user_id").size().equals(timed.test.groupby("user_id").size())
    together = pd.concat(parts(split)).sort_index()
    pd.testing.assert_frame_equal(together, timeless)
    order = list(range(len(timeless)))
    random.shuffle(order)
    again = split_random(timeless.iloc[order], test_fraction=percent / 100, seed=seed)
    pd.testing.assert_frame_equal(again.test.sort_index(), split.test)


def test_a_random_split_is_random_and_seeded() -> None:
    rows = pd.DataFrame({"user_id": np.repeat(range(200), 10), "item_id": np.tile(range(10), 200)})
    tested = [split_random(rows, seed=seed).test for seed in range(20)]
    assert not tested[0].equals(tested[1])
    counts = pd.concat(tested)["item_id"].value_counts()  # 4,000 draws of ten items
    assert counts.between(300, 500).all()


def test_a_report_without_times_leaves_the_times_out() -> None:
    rows = frame([(u, i, 0) for u in range(4) for i in range(5)]).drop(columns="timestamp")
    report = split_report(split_random(rows))
    assert report.loc["test", ["tied_users", "later_in_train"]].isna().all()
    assert report.loc["test", "rows"] == 4


@pytest.mark.parametrize("kind", ["float", "str", "category"])
def test_a_report_knows_its_ids_in_parts_of_other_types(kind: str) -> None:
    split = split_per_user(frame([(u, i, i) for u in range(4) for i in range(5)]), test_fraction=0.2)
    other = Split(split.train, split.valid, split.test.astype({"user_id": kind, "item_id": kind}))
    pd.testing.assert_frame_equal(split_report(other), split_report(split))


def test_times_as_text_or_with_a_zone_split_as_times_do() -> None:
    rows = frame([(u, i, (7 * i) % 10) for u in range(3) for i in range(10)])
    expected = split_per_user(rows).test
    moments = pd.to_datetime(rows["timestamp"], unit="D", utc=True)
    for column in (moments, moments.astype(object), moments.dt.strftime("%Y-%m-%d")):
        assert split_per_user(rows.assign(timestamp=column)).test.index.equals(expected.index)


@unhurried
@given(ROWS, PERCENT, st.integers(0, 3), st.data())
def test_users_are_in_train_or_tested_with_their_past_folded_in(rows, percent, seed, data) -> None:
    whole = frame(rows)
    n_rows = whole.groupby("user_id").size()
    testable = int((n_rows > 1).sum())
    if testable < 2:
        with pytest.raises(ValueError, match=f"{testable} users have two rows or more: choose fewer"):
            split_users(whole, n_test_users=2)
        return
    n = data.draw(st.integers(1, testable - 1))
    split = split_users(whole, n_test_users=n, history_fraction=percent / 100, seed=seed)
    assert split.valid.empty and split.counts["test_users"] == n
    every = pd.concat([split.train, split.history, split.test])
    assert sorted(every.index) == list(whole.index)
    tested = set(split.test["user_id"])
    assert tested == set(split.history["user_id"]) and len(tested) == n
    assert not tested & set(split.train["user_id"])
    for user in tested:
        early, late = (part[part["user_id"] == user]["timestamp"] for part in (split.history, split.test))
        assert early.max() <= late.min()
        total = len(early) + len(late)
        assert len(late) == min(max(1, whole_ceil(100 - percent, total)), total - 1)
    shuffled = split_users(
        whole.sample(frac=1, random_state=data.draw(st.integers(0, 9))),
        n_test_users=n,
        history_fraction=percent / 100,
        seed=seed,
    )
    assert set(shuffled.test.index) == set(split.test.index)
    report = split_report(split)
    assert report.index.tolist() == ["train", "valid", "history", "test"]
    assert report.loc["test", "unknown_user_rows"] == len(split.test)


def test_another_seed_tests_other_users_and_text_ids_the_same() -> None:
    rows = frame([(user, item, item) for user in range(40) for item in range(5)])
    drawn = [set(split_users(rows, n_test_users=10, seed=s).test["user_id"]) for s in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    small = split_users(rows.astype({"user_id": "int32"}), n_test_users=10)
    assert set(small.test["user_id"]) == drawn[0]


@pytest.mark.parametrize("wrong", [{"n_test_users": 0}, {"n_test_users": 1, "history_fraction": 0}])
def test_users_that_cannot_be_split_get_a_sentence(wrong: dict) -> None:
    with pytest.raises(ValueError, match=f"{list(wrong)[-1]} is 0: give a"):
        split_users(frame([(user, item, item) for user in range(4) for item in range(3)]), **wrong)


def test_a_report_in_words_has_every_fact_and_a_dash_without_times() -> None:
    rows = synthetic_interactions(30, 40, 1200)
    report = split_report(split_per_user(rows, valid_fraction=0.1))
    words = report_in_words(report)
    assert words.columns.tolist() == ["train", "valid", "test"] and len(words) == report.shape[1]
    assert words["train"].iloc[0] == f"{report.loc['train', 'rows']:,.0f}"
    later = report.loc["test", "later_in_train"]
    assert words.loc["share of training that is later", "test"] == f"{later:.0%}"
    without = report_in_words(split_report(split_random(rows.drop(columns="timestamp"))))
    assert without["test"].tolist().count("-") == 2


def test_a_tied_boundary_is_shown_from_both_sides() -> None:
    free, tied = user_with([1, 2, 3, 4], "al"), user_with([1, 2, 2, 2, 2, 3], "bo")
    both = pd.concat([free, tied], ignore_index=True)
    shown = tied_boundary(split_per_user(both, test_fraction=0.5, ties="row"), n=2)
    assert shown["user_id"].unique().tolist() == ["bo"]
    assert shown["part"].tolist() == ["before", "before", "test", "test"]
    assert shown["item_id"].tolist() == [1, 2, 3, 4] and set(shown["timestamp"]) == {2}
    assert tied_boundary(split_per_user(free, test_fraction=0.5)).empty


class TestWithinSeconds:
    @settings(max_examples=40, deadline=None)
    @given(pairs=st.integers(1, 6000), scored=st.sampled_from([0, 80, 900]))
    def test_no_more_pairs_than_the_budget_and_the_most_frequent_items(self, pairs, scored) -> None:
        rows = synthetic_interactions(60, 80, 2400)
        some = within_seconds(rows, (pairs + 0.5) * (JUDGED if scored else COMPARED), scored=scored)
        n_users, n_items = some["user_id"].nunique(), scored or some["item_id"].nunique()
        assert n_users * n_items <= max(pairs, n_items)  # one user at the least
        own = rows[rows["user_id"].isin(some["user_id"])]
        if scored:
            assert some.equals(own)
        else:
            left = own[~own["item_id"].isin(some["item_id"])]["item_id"].value_counts()
            assert left.max() <= some["item_id"].value_counts().min() if len(left) else some.equals(own)
        assert (some is rows) == (60 * (scored or 80) <= pairs)

    def test_movielens_is_whole_and_few_users_leave_room_for_items(self) -> None:
        assert 943 * 1682 * COMPARED < 40
        rows = synthetic_interactions(10, 200, 1500)
        few = within_seconds(rows, 1500 * COMPARED)
        assert few["user_id"].nunique() == 10 and few["item_id"].nunique() == 150


class TestSampleToSplit:
    def test_few_interactions_stay_as_they_are(self) -> None:
        rows = synthetic_interactions(40, 50, 900)
        sample, told = sample_to_split(rows)
        assert sample.equals(rows)
        assert told.startswith("All of the data: 40 users with 50 items, 900 interactions from ")
        assert told.endswith(f" to {rows['timestamp'].max():%B %Y}.")

    def test_many_are_sampled_alike_for_any_order_of_the_rows(self) -> None:
        rows = synthetic_interactions(60, 80, 2400)
        sample, told = sample_to_split(rows, 800 * COMPARED)  # 800 pairs: 40 items and 20 users
        assert sample["user_id"].nunique() == 20 and sample["item_id"].nunique() == 40
        assert "20 users (of 60) with 40 items (of 80)" in told
        again, _ = sample_to_split(rows.sample(frac=1, random_state=0), 800 * COMPARED)
        assert set(again["user_id"]) == set(sample["user_id"])

    @pytest.mark.parametrize(
        ("change", "lacking"),
        [
            (lambda rows: rows.drop(columns="timestamp"), "no times"),
            (lambda rows: rows.assign(timestamp=7), "too few different times"),
            (lambda rows: rows[rows["user_id"] < 5], "fewer than 20 users or 30 items"),
            (lambda rows: rows.groupby("user_id").head(2), "fewer than 20 users"),
        ],
    )
    def test_what_cannot_show_a_split_gives_way_to_made_up_data(self, change, lacking) -> None:
        sample, told = sample_to_split(change(synthetic_interactions(40, 50, 900)))
        assert lacking in told and "made-up" in told
        assert sample.duplicated(["user_id", "timestamp"]).any()  # they have ties to look at
        at_one_moment = split_global_time(sample, valid_fraction=0.1)
        assert set(at_one_moment.train["user_id"]) & set(at_one_moment.test["user_id"])
        assert len(at_one_moment.valid)

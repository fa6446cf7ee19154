import warnings

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpr_helpers import pruning
from bpr_helpers.data import drop_unknown_titles, load_interactions, load_items
from bpr_helpers.pruning import KCore, core_sizes, k_core, largest_k

PAIRS = st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=60)
unhurried = settings(deadline=None)
THRESHOLDS = st.integers(1, 5)
TOY = [("al", "a"), ("al", "b"), ("bo", "a"), ("bo", "b"), ("cy", "b"), ("cy", "c"), ("di", "c")]


def frame(pairs: list) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["user_id", "item_id"])


def pruned(interactions: pd.DataFrame, user_k: int, item_k: int) -> KCore:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return k_core(interactions, user_k=user_k, item_k=item_k)


def one_by_one(pairs: list, user_k: int, item_k: int) -> list:
    """Remove one row at a time until every row's user and item have enough."""
    left = list(pairs)
    while True:
        users, items = [user for user, _ in left], [item for _, item in left]
        for row, (user, item) in enumerate(left):
            if users.count(user) < user_k or items.count(item) < item_k:
                del left[row]
                break
        else:
            return left


def test_toy_by_hand() -> None:
    core = k_core(frame(TOY), user_k=2, item_k=2)
    assert core.interactions.to_numpy().tolist() == [list(pair) for pair in TOY[:4]]
    # di goes first, which leaves item c with cy alone, which leaves cy with b alone
    assert core.rounds.columns.tolist() == [
        *("rows", "users", "items"),
        *("removed_rows", "removed_users", "removed_items"),
    ]
    assert core.rounds.to_numpy().tolist() == [
        [7, 4, 3, 0, 0, 0],
        [6, 3, 3, 1, 1, 0],
        [5, 3, 2, 1, 0, 1],
        [4, 2, 2, 1, 1, 0],
    ]


@unhurried
@given(PAIRS, THRESHOLDS, THRESHOLDS, st.sampled_from([0, 12]))
def test_agrees_with_a_naive_loop(pairs: list, user_k: int, item_k: int, full_passes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pruning, "_FULL_PASSES", full_passes)
        core = pruned(frame(pairs), user_k, item_k)
    assert list(core.interactions.itertuples(index=False, name=None)) == one_by_one(pairs, user_k, item_k)
    assert core.interactions.index.is_monotonic_increasing
    assert core.rounds["rows"].iloc[-1] == len(core.interactions)
    assert core.rounds["users"].iloc[-1] == core.interactions["user_id"].nunique()
    assert core.rounds["items"].iloc[-1] == core.interactions["item_id"].nunique()


@unhurried
@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9))), THRESHOLDS)
def test_agrees_with_networkx(pairs: set, k: int) -> None:
    graph = nx.Graph([(("user", user), ("item", item)) for user, item in pairs])
    edges = {tuple(sorted(edge, reverse=True)) for edge in nx.k_core(graph, k).edges}
    core = pruned(frame(sorted(pairs)), k, k)
    assert {(("user", u), ("item", i)) for u, i in core.interactions.itertuples(index=False)} == edges


@unhurried
@given(PAIRS, THRESHOLDS, THRESHOLDS, st.randoms())
def test_independent_of_row_order_and_of_the_type_of_ids(
    pairs: list, user_k: int, item_k: int, random
) -> None:
    interactions = frame(pairs)
    core = pruned(interactions, user_k, item_k)
    shuffled = interactions.iloc[random.sample(range(len(pairs)), len(pairs))]
    assert pruned(shuffled, user_k, item_k).interactions.sort_index().equals(core.interactions)
    for users in (
        interactions["user_id"].astype(str),
        interactions["user_id"] * (10**17) - 10**18,
        interactions["user_id"].astype("uint8"),
        interactions["user_id"].astype("category"),
    ):
        other = pruned(interactions.assign(user_id=users), user_k, item_k)
        assert other.interactions.index.equals(core.interactions.index)
        assert other.rounds.equals(core.rounds)


def test_rounds_of_a_long_cascade() -> None:
    n = 40  # a chain u0-i0-u1-i1-...: with both thresholds at 2 it crumbles from its two ends
    chain = [pair for step in range(n) for pair in ((f"u{step}", step), (f"u{step + 1}", step))]
    with pytest.warns(UserWarning, match=r"No interaction survives user_k=2 and item_k=2"):
        core = k_core(frame(chain), user_k=2, item_k=2)
    assert core.rounds["removed_rows"].tolist() == [0] + [2] * n


def test_a_core_that_vanishes_is_an_empty_frame() -> None:
    with pytest.warns(UserWarning, match="choose smaller thresholds"):
        core = k_core(frame(TOY).assign(rating=1.0), user_k=3, item_k=1)
    assert core.interactions.dtypes.equals(frame(TOY).assign(rating=1.0).dtypes)
    assert core.rounds["rows"].tolist() == [7, 0]
    assert k_core(frame(TOY[:0])).rounds["rows"].tolist() == [0]


def test_columns_order_and_index_are_kept() -> None:
    interactions = frame(TOY).assign(note=list("gfedcba")).set_index(np.array([5, 5, 3, 2, 1, 0, 0]))
    kept = k_core(interactions, user_k=1, item_k=3).interactions
    assert kept["note"].tolist() == list("fdc")
    assert kept.index.tolist() == [5, 2, 1]


def test_nothing_to_remove_keeps_everything() -> None:
    core = k_core(frame(TOY), user_k=1, item_k=1)
    assert core.interactions.equals(frame(TOY))
    assert len(core.rounds) == 1


def test_movielens_as_published() -> None:
    interactions = drop_unknown_titles(load_interactions("ml-100k"), load_items("ml-100k"))
    core = k_core(interactions)
    assert core.rounds["rows"].tolist() == [99_991, 99_023]
    assert core.rounds[["users", "items"]].iloc[-1].tolist() == [943, 1_297]


@pytest.mark.parametrize("k", [0, -1, 2.0, True, "6"])
def test_bad_thresholds_get_a_sentence(k: object) -> None:
    with pytest.raises(ValueError, match=r"item_k is .*: give a whole number of at least 1"):
        k_core(frame(TOY), item_k=k)


def test_bad_columns_get_a_sentence() -> None:
    with pytest.raises(ValueError, match="no column item_id"):
        k_core(frame(TOY).drop(columns="item_id"))
    with pytest.raises(ValueError, match="Column user_id has no id in row 1"):
        k_core(frame([(1, 1), (None, 2)]))


@unhurried
@given(PAIRS, st.lists(st.tuples(THRESHOLDS, THRESHOLDS), max_size=4))
def test_sizes_of_cores_are_the_last_round_of_each(pairs: list, thresholds: list) -> None:
    sizes = core_sizes(frame(pairs), thresholds)
    assert list(sizes[["user_k", "item_k"]].itertuples(index=False, name=None)) == thresholds
    for (user_k, item_k), found in zip(thresholds, sizes.to_dict("records"), strict=True):
        rounds = pruned(frame(pairs), user_k, item_k).rounds
        assert found["rounds"] == len(rounds) - 1
        assert [found[name] for name in ("rows", "users", "items")] == rounds.iloc[-1, :3].tolist()


@unhurried
@given(PAIRS)
def test_the_largest_k_is_the_last_with_a_core(pairs: list) -> None:
    k = largest_k(frame(pairs))
    assert core_sizes(frame(pairs), [max(k, 1), k + 1])["rows"].gt(0).tolist() == [k > 0, False]


@pytest.mark.parametrize("wrong", [0, True, 1.5, (2, 0)])
def test_sizes_refuse_what_is_no_threshold(wrong: object) -> None:
    with pytest.raises(ValueError, match="whole number of at least 1"):
        core_sizes(frame(TOY), [2, wrong])

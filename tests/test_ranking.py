"""Ranks, lists and sampled candidates against naive loops and chances worked out by hand."""

import threading
import time

import numpy as np
import pandas as pd
import pytest
import tqdm.auto
from fixed_scores import N_ITEMS, N_USERS, Fixed, matrix_of, pairs
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bpr_helpers import ranking
from bpr_helpers.evaluation import evaluate
from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.ranking import (
    full_ranks,
    in_order,
    marginal_relevance,
    mean_ndcg,
    sampled_ranks,
    tie_priority,
    top_k,
)


def codes(frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    ordered = frame.sort_values(["user_id", "item_id"])
    return ordered["user_id"].to_numpy(), ordered["item_id"].to_numpy()


def naive_list(scores, seen: InteractionMatrix, user: int, seed: int) -> np.ndarray:
    unseen = np.setdiff1d(np.arange(seen.n_items), seen.csr[user].indices)
    return in_order(scores[user], unseen, tie_priority(seen.n_items, seed))


def test_the_order_is_by_value_then_by_the_permutation():
    rng = np.random.default_rng(0)
    values, priority = rng.integers(0, 4, 20).astype(float), rng.permutation(20)
    codes = rng.permutation(20)[:15]
    expected = sorted(codes.tolist(), key=lambda code: (-values[code], priority[code]))
    assert in_order(values, codes, priority).tolist() == expected


@pytest.mark.parametrize("block", [1, 3 * N_ITEMS, 2**22])
@pytest.mark.parametrize("levels", [1, 3, 10**6])
@pytest.mark.parametrize(("long", "few"), [(4096, 10), (0, 5), (0, 99)])  # sorted, partly sorted, not sorted
def test_ranks_and_lists_agree_with_a_naive_sort(data, monkeypatch, block, levels, long, few):
    for name, value in {"BLOCK": block, "LONG": long, "FEW": few}.items():
        monkeypatch.setattr(ranking, name, value)
    _, test, seen = data
    scores = np.random.default_rng(levels).integers(0, levels, (N_USERS, N_ITEMS)).astype(np.float32)
    users, items = codes(test)
    found = full_ranks(lambda u: scores[u], seen, users, items, seed=3)
    lists = top_k(lambda u: scores[u], seen, np.arange(N_USERS), 45, seed=3)
    for user, item, rank, higher, equal, n_candidates in zip(users, items, *found, strict=True):
        expected = naive_list(scores, seen, user, seed=3)
        others = scores[user, expected]
        assert rank == np.flatnonzero(expected == item)[0] + 1
        assert higher == (others > scores[user, item]).sum()
        assert equal == (others == scores[user, item]).sum() - 1
        assert n_candidates == len(expected)
        assert [i for i in lists[user] if i >= 0] == expected[:45].tolist()


@pytest.mark.parametrize("levels", [1, 3, 10**6])
@pytest.mark.parametrize("first", [None, 1, 10, 60])
@pytest.mark.parametrize(("long", "few"), [(4096, 10), (0, 1), (0, 99)])
def test_seen_and_unknown_items_have_no_place(data, monkeypatch, levels, first, long, few):
    for name, value in {"BLOCK": 3 * N_ITEMS, "LONG": long, "FEW": few}.items():
        monkeypatch.setattr(ranking, name, value)
    seen = data[2]
    scores = np.random.default_rng(levels).integers(0, levels, (N_USERS, N_ITEMS)).astype(np.float32)
    users = np.repeat(np.arange(N_USERS), N_ITEMS + 1)
    items = np.tile(np.arange(-1, N_ITEMS), N_USERS)  # everything is relevant
    found = full_ranks(lambda u: scores[u], seen, users, items, first=first)
    for user in range(N_USERS):
        expected = np.full(N_ITEMS + 1, np.inf)
        order = naive_list(scores, seen, user, seed=0)
        expected[1 + np.asarray(order, int)] = np.arange(len(order)) + 1
        expected[expected > (first or np.inf)] = np.inf
        own = users == user
        np.testing.assert_array_equal(found.rank[own], expected)
        assert (found.n_candidates[own] == len(order)).all()
        if first is None:
            np.testing.assert_array_equal(np.isnan(found.higher[own]), np.isinf(expected))


@pytest.mark.parametrize("candidates", ["all", ("uniform", 10), ("popularity", 10)])
def test_constant_scores_rank_like_chance(candidates):
    rng = np.random.default_rng(0)
    rows = [(u, i) for u in range(400) for i in rng.choice(80, 24, replace=False)]
    train, test = [r for n, r in enumerate(rows) if n % 24], [r for n, r in enumerate(rows) if n % 24 == 0]
    model = Fixed(np.zeros((400, 80)), matrix_of(train, 400, 80))
    n_candidates = 80 - 23 if candidates == "all" else 11
    found = evaluate(model, pairs(test), ks=(5,), candidates=candidates).per_user
    assert (found["auc"] == 0.5).all()
    error = np.sqrt(5 / n_candidates / 400)  # at most a standard deviation of the mean of 400 coin flips
    assert abs(found["hit@5"].mean() - 5 / n_candidates) < 4 * error


def test_ties_follow_the_seed_and_not_the_order_of_items(data):
    _, test, seen = data
    constant = Fixed(np.ones((N_USERS, N_ITEMS)), seen)
    first, again, other = (evaluate(constant, test, seed=seed).ranks for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert not first["rank"].equals(other["rank"])
    assert abs(stats.spearmanr(first["item_id"], first["rank"]).statistic) < 0.3


@pytest.mark.parametrize("levels", [1, 3, 10**6])
@pytest.mark.parametrize("k", [1, 10, 40, 60])
@pytest.mark.parametrize("long", [0, 4096])
def test_mean_ndcg_is_that_of_evaluate_and_takes_some_users(data, monkeypatch, levels, k, long):
    monkeypatch.setattr(ranking, "LONG", long)
    _, test, seen = data
    model = Fixed(np.random.default_rng(0).integers(0, levels, (N_USERS, N_ITEMS)), seen)
    valid = InteractionMatrix.from_frame(test, like=seen)
    per_user = evaluate(model, test, ks=(k,)).per_user[f"ndcg@{k}"]
    assert mean_ndcg(model.score, seen, valid, k) == pytest.approx(per_user.mean(), abs=1e-15)
    monkeypatch.setattr(ranking, "BLOCK", 1)
    assert mean_ndcg(model.score, seen, valid, k) == pytest.approx(per_user.mean(), abs=1e-15)


def test_mean_ndcg_in_a_long_list(monkeypatch):
    """So long that several items share a group when the first k are bounded."""
    monkeypatch.setattr(ranking, "LONG", 1000)
    rng = np.random.default_rng(0)
    train = [(u, i) for u in range(6) for i in rng.choice(1500, 40, replace=False)]
    seen = matrix_of(train, 6, 1500)
    test = pairs([(u, i) for u in range(6) for i in rng.choice(1500, 300, replace=False)])
    for scores in (rng.random((6, 1500)), rng.integers(0, 20, (6, 1500))):
        model = Fixed(scores, seen)
        unseen = test[np.asarray(seen.csr[test["user_id"], test["item_id"]]).ravel() == 0]
        valid = InteractionMatrix.from_frame(unseen, like=seen)
        per_user = evaluate(model, unseen, ks=(10,)).per_user["ndcg@10"]
        assert mean_ndcg(model.score, seen, valid) == pytest.approx(per_user.mean(), abs=1e-15)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("long", [0, 4096])
def test_mean_ndcg_refuses_scores_that_are_not_finite(data, monkeypatch, bad, long):
    monkeypatch.setattr(ranking, "LONG", long)
    _, test, seen = data
    valid = InteractionMatrix.from_frame(test, like=seen)
    scores = np.random.default_rng(0).random((N_USERS, N_ITEMS)).astype(np.float32)
    user = int(test["user_id"].iloc[0])
    scores[user, np.setdiff1d(np.arange(N_ITEMS), seen.csr[user].indices)[0]] = bad
    with pytest.raises(ValueError, match="not all finite"):
        mean_ndcg(lambda users: scores[users], seen, valid)


def test_mean_ndcg_of_some_users(data):
    _, test, seen = data
    model = Fixed(np.random.default_rng(0).random((N_USERS, N_ITEMS)), seen)
    valid = InteractionMatrix.from_frame(test, like=seen)
    per_user = evaluate(model, test).per_user["ndcg@10"]
    some = np.array([9, 3, 4])
    assert mean_ndcg(model.score, seen, valid, users=some) == pytest.approx(per_user[some].mean(), abs=1e-15)


@pytest.mark.parametrize("weights", [None, "popularity"])
def test_sampled_candidates_agree_with_a_naive_count(data, monkeypatch, weights):
    """With as many candidates as there are, sampling is the full ranking without the other test items."""
    _, test, seen = data
    scores = np.random.default_rng(2).integers(0, 30, (N_USERS, N_ITEMS)).astype(np.float32)
    users, items = codes(test)
    weights = None if weights is None else np.bincount(seen.csr.indices, minlength=N_ITEMS) + 1.0
    found = sampled_ranks(lambda u: scores[u], seen, users, items, N_ITEMS, weights)
    for user, item, rank, n_candidates in zip(users, items, found.rank, found.n_candidates, strict=True):
        others = [i for i in items[users == user] if i != item]
        expected = [i for i in naive_list(scores, seen, user, seed=0) if i not in others]
        assert rank == expected.index(item) + 1 and n_candidates == len(expected)


def drawn(n_items, n, weights=None, *, forbidden=(), r=20_000, seed=0):
    """Candidates of r relevant items of one user."""
    mask = np.zeros((1, n_items), bool)
    mask[0, list(forbidden)] = True
    draws = ranking._Draws(n_items, n, weights, seed)
    return draws.candidates(mask, np.zeros(r, int), np.zeros(r, int), np.arange(r))


@pytest.mark.parametrize("turns", [0, 1, 16])
def test_sampled_candidates_are_drawn_without_replacement_by_weight(monkeypatch, turns):
    """Successive draws: chances of the first two of four items, worked out, by either way and by both."""
    monkeypatch.setattr(ranking, "MOST_TURNS", turns)
    weights, r = np.array([1.0, 2, 3, 4, 0, 9]), 20_000
    found = drawn(6, 2, weights, forbidden=[5])
    assert (found[:, 0] != found[:, 1]).all() and found.max() == 3
    chance = weights[:4] / 10
    both = chance + [
        sum(chance[j] * chance[i] / (1 - chance[j]) for j in range(4) if j != i) for i in range(4)
    ]
    assert np.abs(np.bincount(found.ravel()) / r - both).max() < 4 * np.sqrt(0.25 / r)


@pytest.mark.parametrize("turns", [0, 2, 16])
@pytest.mark.parametrize("n", [2, 6])
def test_uniform_candidates_are_uniform(monkeypatch, turns, n):
    monkeypatch.setattr(ranking, "MOST_TURNS", turns)
    found = drawn(13, n, forbidden=[3], r=5_000)
    counts = np.bincount(found.ravel(), minlength=13)
    assert counts[3] == 0 and (np.diff(np.sort(found, axis=1), axis=1) > 0).all()
    assert stats.chisquare(np.delete(counts, 3)).pvalue > 0.001
    pairs_of = np.sort(found, axis=1)[:, :2] @ [13, 1]  # which items come together is chance, too
    if n == 2:
        assert stats.chisquare(np.bincount(pairs_of)[np.unique(pairs_of)]).pvalue > 0.001


@settings(max_examples=50, deadline=None)
@given(
    n_items=st.integers(1, 40),
    n=st.integers(1, 50),
    seed=st.integers(-(2**40), 2**70),
    weighted=st.booleans(),
    share=st.floats(0, 1),
)
def test_candidates_are_as_many_as_there_can_be(n_items, n, seed, weighted, share):
    rng = np.random.default_rng(n)
    weights = rng.integers(0, 3, n_items).astype(float) + (np.arange(n_items) == 0) if weighted else None
    forbidden = np.flatnonzero(rng.random(n_items) < share)
    found = drawn(n_items, n, weights, forbidden=forbidden, r=9, seed=seed)
    allowed = np.setdiff1d(np.arange(n_items) if weights is None else np.flatnonzero(weights), forbidden)
    for row in found:
        items = row[row < n_items]
        assert len(items) == len(np.unique(items)) == min(n, len(allowed)) and set(items) <= set(allowed)


@pytest.mark.parametrize("weights", [None, "popularity"])
def test_the_candidates_of_an_item_depend_neither_on_blocks_nor_on_what_else_is_tested(
    data, monkeypatch, weights
):
    _, test, seen = data
    scores = np.random.default_rng(2).random((N_USERS, N_ITEMS)).astype(np.float32)
    users, items = codes(test)
    weights = None if weights is None else np.bincount(seen.csr.indices, minlength=N_ITEMS).astype(float)
    usual = sampled_ranks(lambda u: scores[u], seen, users, items, 5, weights)
    half = users % 2 == 0
    some = sampled_ranks(lambda u: scores[u], seen, users[half], items[half], 5, weights)
    np.testing.assert_array_equal(some.rank, usual.rank[half])
    monkeypatch.setattr(ranking, "BLOCK", 3 * N_ITEMS)
    by_block = sampled_ranks(lambda u: scores[u], seen, users, items, 5, weights)
    np.testing.assert_array_equal(by_block.rank, usual.rank)
    other = sampled_ranks(lambda u: scores[u], seen, users, items, 5, weights, seed=1)
    assert (other.rank != usual.rank).any()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("candidates", ["all", ("uniform", 5)])
@pytest.mark.parametrize(("long", "few"), [(4096, 10), (0, 1), (0, 99)])
def test_scores_that_are_not_finite_are_refused(data, monkeypatch, bad, candidates, long, few):
    monkeypatch.setattr(ranking, "LONG", long)
    monkeypatch.setattr(ranking, "FEW", few)
    _, test, seen = data
    scores = np.random.default_rng(0).random((N_USERS, N_ITEMS))
    user = int(test["user_id"].iloc[0])
    scores[user, np.setdiff1d(np.arange(N_ITEMS), seen.csr[user].indices)[0]] = bad
    with pytest.raises(ValueError, match="not all finite"):
        evaluate(Fixed(scores, seen), test, candidates=candidates)


@pytest.mark.parametrize("said", [{}, {"scores_at_once": False}, {"scores_at_once": True}])
def test_scores_are_asked_for_by_one_thread_unless_more_may(data, monkeypatch, said):
    monkeypatch.setattr(ranking, "BLOCK", N_ITEMS)  # one user
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    _, test, seen = data
    scores = np.random.default_rng(0).random((N_USERS, N_ITEMS)).astype(np.float32)
    inside, most = set(), []

    def score(users):
        inside.add(threading.get_ident())
        most.append(len(inside))
        time.sleep(0.01)
        inside.discard(threading.get_ident())
        return scores[users]

    model = Fixed(scores, seen)
    expected = evaluate(model, test).ranks
    vars(model).update(said, score=score)
    pd.testing.assert_frame_equal(evaluate(model, test).ranks, expected)
    assert (max(most) > 1) == said.get("scores_at_once", False)


def test_scores_of_a_wrong_shape_are_refused(data):
    _, test, seen = data
    with pytest.raises(ValueError, match="one row per user and one column per item"):
        evaluate(Fixed(np.ones((N_USERS, N_ITEMS - 1)), seen), test)


def test_the_progress_bar_counts_users_and_is_silent_by_default(data, monkeypatch):
    _, test, seen = data
    model = Fixed(np.random.default_rng(0).random((N_USERS, N_ITEMS)), seen)
    made = []
    usual = tqdm.auto.tqdm
    monkeypatch.setattr("tqdm.auto.tqdm", lambda **given: made.append(given) or usual(disable=True))
    evaluate(model, test)
    evaluate(model, test, progress=True)
    assert made[0] == {"disable": True}
    assert made[1]["total"] == test["user_id"].nunique() and "disable" not in made[1]


def test_a_recommenders_own_array_is_left_alone(data):
    _, test, seen = data
    scores = np.random.default_rng(0).random((N_USERS, N_ITEMS)).astype(np.float32)
    before = scores.copy()
    full_ranks(lambda users: scores[: len(users)], seen, *codes(test))
    np.testing.assert_array_equal(scores, before)


@given(st.integers(0, 2**31), st.integers(0, 7), st.integers(0, 9), st.sampled_from([0.0, 0.3, 0.5, 1.0]))
def test_marginal_relevance_takes_the_best_of_those_left(seed: int, m: int, n: int, diversity: float) -> None:
    """The formula of the paper, item by item."""
    rng = np.random.default_rng(seed)
    values, likeness = rng.integers(0, 4, m) / 4, rng.integers(-4, 5, (m, m)) / 4  # many ties
    left, expected = list(range(m)), []
    while left and len(expected) < n:
        worth = {
            i: (1 - diversity) * values[i] - diversity * max((likeness[j, i] for j in expected), default=0)
            for i in left
        }
        expected.append(max(left, key=worth.__getitem__))  # the first of the best
        left.remove(expected[-1])
    assert marginal_relevance(values, likeness, n, diversity=diversity).tolist() == expected

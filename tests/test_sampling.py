import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.sampling import (
    SAMPLERS,
    USUAL_NEGATIVES,
    ByPopularity,
    SeenBits,
    UnseenItems,
    Weighted,
    drawn_shares,
    make_sampler,
)


def matrix_of(seen: list[set[int]], n_items: int) -> InteractionMatrix:
    """The matrix in which user u has the items seen[u]; one more user has every item but the last."""
    pairs = [(u, i) for u, items in enumerate([*seen, set(range(n_items))]) for i in items]
    full = InteractionMatrix.from_frame(pd.DataFrame(pairs, columns=["user_id", "item_id"]))
    csr = full.csr.tolil()
    csr[len(seen), n_items - 1] = 0
    csr = csr.tocsr()
    csr.eliminate_zeros()
    return InteractionMatrix(full.user_ids, full.item_ids, csr)


SEEN = [{0, 3}, {1}, {0, 1, 2, 5}, {4}]
N_ITEMS = 7
users_and_items = st.integers(2, 12).flatmap(
    lambda n: st.tuples(
        st.lists(st.sets(st.integers(0, n - 1), min_size=1, max_size=n - 1), min_size=1, max_size=8),
        st.just(n),
    )
)


@given(users_and_items)
@settings(max_examples=60, deadline=None)
def test_unseen_items_are_those_a_set_difference_leaves(case: tuple[list[set[int]], int]) -> None:
    seen, n_items = case
    unseen = UnseenItems(matrix_of(seen, n_items))
    for user, items in enumerate(seen):
        ranks = np.arange(unseen.counts[user])
        assert unseen.item(np.full_like(ranks, user), ranks).tolist() == sorted(set(range(n_items)) - items)


def drawn(name: str, user: int, n: int = 60_000, **options: float) -> np.ndarray:
    """How often each item was drawn for a user, by an own sampler of one candidate."""
    sampler = SAMPLERS[name](matrix_of(SEEN, N_ITEMS), 1, **options)
    draws = sampler.draw(np.full((1, n), user), np.random.default_rng(1))
    return np.bincount(draws.ravel(), minlength=N_ITEMS)


@pytest.mark.parametrize("user", range(len(SEEN)))
def test_uniform_draws_every_unseen_item_alike_and_no_positive(user: int) -> None:
    counts = drawn("uniform", user)
    seen = sorted(SEEN[user])
    assert not counts[seen].any()
    assert chisquare(np.delete(counts, seen)).pvalue > 1e-3


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("tries", [0, 1, 20])  # 0: everything is drawn from the user's own distribution
def test_popularity_draws_in_proportion_to_the_power_of_popularity(
    alpha: float, tries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ByPopularity, "TRIES", tries)
    counts = drawn("popularity", 1, n=4_000 if tries < 2 else 60_000, alpha=alpha)
    # Users who have each item, the user of everything included.
    mass = np.array([3.0, 3, 2, 2, 2, 2, 0]) ** alpha
    mass[1] = 0
    possible = mass > 0
    assert not counts[~possible].any()
    assert chisquare(counts[possible], (mass / mass.sum() * counts.sum())[possible]).pvalue > 1e-3


def test_popularity_serves_a_user_to_whom_only_items_without_interactions_are_left() -> None:
    matrix = matrix_of([{0}], 3)  # the second user has items 0 and 1; nobody has item 2
    draws = make_sampler("popularity", matrix).draw(np.ones((2, 5), int), np.random.default_rng(0))
    assert (draws == 2).all()


def test_hard_takes_the_highest_of_its_uniform_candidates() -> None:
    n, k = 40_000, 3
    matrix = matrix_of(SEEN, N_ITEMS)
    sampler = make_sampler("hard", matrix, n_negatives=k)
    candidates = sampler.draw(np.zeros((1, n), int), np.random.default_rng(2))[0]
    frozen = np.array([9.0, 1, 2, 9, 3, 4, 5], np.float32)  # the user has items 0 and 3
    weights = sampler.negative_weights(tf.constant(frozen[candidates]), tf.ones((n, k))).numpy()
    assert weights.sum(1).tolist() == [1.0] * n
    counts = np.bincount(candidates[np.arange(n), weights.argmax(1)], minlength=N_ITEMS)
    place = np.arange(1, 6)  # the j-th lowest of 5 items is the highest of 3 draws
    expected = (place / 5) ** k - ((place - 1) / 5) ** k
    assert chisquare(counts[[1, 2, 4, 5, 6]], expected * n).pvalue > 1e-3


@pytest.mark.parametrize("name", ["shared", "weighted"])
def test_shared_candidates_are_uniform_and_one_row_serves_a_batch(name: str) -> None:
    sampler = make_sampler(name, matrix_of(SEEN, N_ITEMS), n_negatives=5)
    draws = sampler.draw(np.zeros((9_000, 4), int), np.random.default_rng(3))
    assert draws.shape == (9_000, 5)
    assert chisquare(np.bincount(draws.ravel(), minlength=N_ITEMS)).pvalue > 1e-3


def test_shared_weights_leave_out_positives_and_are_equal() -> None:
    sampler = make_sampler("shared", matrix_of(SEEN, N_ITEMS))
    allowed = tf.constant([[1.0, 0, 1, 1], [0, 0, 0, 0]])
    weights = sampler.negative_weights(tf.zeros((2, 4)), allowed).numpy()
    assert weights == pytest.approx(np.array([[1 / 3, 0, 1 / 3, 1 / 3], [0, 0, 0, 0]]))


@given(st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=4), st.floats(0.1, 5))
@settings(max_examples=30, deadline=None)
def test_weighted_is_a_softmax_over_the_allowed(scores: list[float], temperature: float) -> None:
    sampler = Weighted(matrix_of(SEEN, N_ITEMS), 4, temperature)
    weights = sampler.negative_weights(
        tf.constant([scores, scores]), tf.constant([[1.0, 1, 0, 1], [0, 0, 0, 0]])
    ).numpy()
    powers = np.exp(np.array(scores) / temperature) * [1, 1, 0, 1]
    assert weights[0] == pytest.approx(powers / powers.sum(), abs=1e-5)
    assert not weights[1].any()  # nothing allowed, nothing counts


@pytest.mark.parametrize("name", USUAL_NEGATIVES)
def test_the_same_seed_draws_the_same(name: str) -> None:
    sampler = make_sampler(name, matrix_of(SEEN, N_ITEMS))
    users = np.zeros((3, 50), int)
    first, again, other = (sampler.draw(users, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("name", USUAL_NEGATIVES)
def test_a_user_who_has_seen_everything_is_named(name: str) -> None:
    frame = pd.DataFrame({"user_id": ["ann", "ann", "bob"], "item_id": [1, 2, 1]})
    with pytest.raises(ValueError, match="'ann' has interacted with all 2 items"):
        make_sampler(name, InteractionMatrix.from_frame(frame))


def test_an_unknown_sampler_is_named() -> None:
    with pytest.raises(ValueError, match="no sampler 'adaptive': choose one of uniform"):
        make_sampler("adaptive", matrix_of(SEEN, N_ITEMS))  # type: ignore[arg-type]


@given(users_and_items)
@settings(max_examples=30, deadline=None)
def test_seen_bits_are_exact_while_the_table_holds_every_pair(case: tuple[list[set[int]], int]) -> None:
    matrix = matrix_of(*case)
    bits = SeenBits(matrix)
    users, items = tf.range(matrix.n_users), tf.range(matrix.n_items)
    unseen = bits.unseen(tf.constant(bits.table), users, items, matrix.n_items).numpy()
    assert (unseen == 1 - matrix.csr.toarray()).all()


def test_folded_seen_bits_never_let_a_positive_pass_and_seldom_hide_a_negative() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"user_id": rng.integers(3_000, size=9_000), "item_id": rng.integers(2_000, size=9_000)}
    )
    matrix = InteractionMatrix.from_frame(frame)
    bits = SeenBits(matrix)
    assert 8 * bits.table.size < matrix.n_users * matrix.n_items  # folded
    users, items = tf.range(matrix.n_users), tf.range(matrix.n_items)
    unseen = bits.unseen(tf.constant(bits.table), users, items, matrix.n_items).numpy()
    seen = matrix.csr.toarray() > 0
    assert not unseen[seen].any()
    assert 0 < 1 - unseen[~seen].mean() < 1 / SeenBits.BITS_PER_INTERACTION


@pytest.mark.parametrize("name", SAMPLERS)
def test_drawn_shares_are_those_of_unseen_items_and_rise_with_the_score_where_they_should(name: str) -> None:
    matrix = matrix_of(SEEN, N_ITEMS)
    users = np.random.default_rng(0).integers(len(SEEN), size=(50, 3))
    sampler = make_sampler(name, matrix, n_negatives=6, temperature=1.0)
    by_code = lambda owners, items: items + 0 * owners  # noqa: E731
    items, shares = drawn_shares(sampler, matrix, users, by_code, np.random.default_rng(1))
    assert items.shape == shares.shape == (150, 6)
    seen = np.array([[i in SEEN[u] for i in row] for u, row in zip(users.ravel(), items, strict=True)])
    assert shares[seen].sum() == 0
    assert np.allclose(shares.sum(1)[~seen.all(1)], 1)
    mean_code = (items * shares).sum(1)[~seen.all(1)].mean() - items[~seen].mean()
    assert (mean_code > 0.5) == (name in ("hard", "weighted"))

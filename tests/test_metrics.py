"""Metrics against hand-computed cases, ranx and scikit-learn, and what must hold for any ranks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from bpr_helpers import metrics

AT_K = (
    metrics.recall,
    metrics.precision,
    metrics.hit,
    metrics.ndcg,
    metrics.average_precision,
    metrics.reciprocal_rank,
)
INF, NAN = np.inf, np.nan


@st.composite
def ranked_users(draw):
    """Distinct ranks of a user's relevant items, some of them never ranked."""
    n_items = draw(st.integers(1, 30))
    ranked = draw(st.lists(st.integers(1, n_items), unique=True, min_size=1, max_size=n_items))
    return np.array(ranked + [INF] * draw(st.integers(0, 3)), float)


# Two of three relevant items stand at ranks 1 and 4; the third is at 7.
@pytest.mark.parametrize(
    ("metric", "k", "expected"),
    [
        (metrics.recall, 5, 2 / 3),
        (metrics.recall, 7, 1),
        (metrics.precision, 5, 2 / 5),
        (metrics.hit, 1, 1),
        (metrics.ndcg, 5, (1 + 1 / np.log2(5)) / (1 + 1 / np.log2(3) + 1 / 2)),
        (metrics.ndcg, 1, 1),  # the ideal list is cut at k, too
        (metrics.average_precision, 5, (1 + 2 / 4) / 3),
        (metrics.reciprocal_rank, 5, 1),
    ],
)
def test_hand_computed(metric, k, expected):
    assert metric([4, 1, 7], k) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("metric", AT_K)
def test_all_missed_is_zero_and_nothing_relevant_is_nan(metric):
    assert metric([6, INF], 5) == 0
    assert np.isnan(metric([], 5))
    assert np.isnan(metric([NAN, NAN], 5))


def test_a_list_shorter_than_k_still_divides_by_k():
    assert metrics.precision([1, 2], 10) == 0.2  # a catalogue of two items: both found, eight places empty
    assert metrics.recall([1, 2], 10) == metrics.ndcg([1, 2], 10) == 1


def test_an_unknown_item_counts_in_recall_and_in_the_ideal_list():
    assert metrics.recall([1, INF], 5) == 0.5
    assert metrics.ndcg([1, INF], 5) == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert metrics.average_precision([1, INF], 5) == 0.5


@pytest.mark.parametrize("metric", AT_K)
def test_many_users_at_once_equal_one_by_one(metric):
    padded = [[4, 1, 7], [2, NAN, NAN], [NAN, NAN, NAN], [INF, 3, NAN]]
    alone = [metric([4, 1, 7], 5), metric([2], 5), NAN, metric([INF, 3], 5)]
    np.testing.assert_array_equal(metric(padded, 5), alone)


@given(ranked_users(), st.integers(1, 12), st.randoms())
def test_bounded_relabelled_and_monotone(ranks, k, random):
    shuffled = ranks.copy()
    random.shuffle(shuffled)
    for metric in AT_K:
        assert 0 <= metric(ranks, k) <= 1 + 1e-12
        assert metric(shuffled, k) == pytest.approx(metric(ranks, k), abs=1e-12)
    for metric in (metrics.recall, metrics.hit, metrics.average_precision, metrics.reciprocal_rank):
        assert metric(ranks, k) <= metric(ranks, k + 1)  # precision and NDCG may fall
    better = np.where(ranks == ranks.min(), 1, ranks)
    assert metrics.ndcg(better, k) >= metrics.ndcg(ranks, k)


def test_ndcg_and_precision_may_fall_as_k_grows():
    assert metrics.ndcg([1, 9], 2) < metrics.ndcg([1, 9], 1)
    assert metrics.precision([1, 9], 2) < metrics.precision([1, 9], 1)


def test_agrees_with_ranx():
    """Ranx divides AP by the number of relevant items, precision by k, and cuts the ideal list, as we do."""
    numba = pytest.importorskip("numba")
    numba.config.DISABLE_JIT = True  # compiling takes half a minute, interpreting a second
    ranx = pytest.importorskip("ranx")
    rng = np.random.default_rng(0)
    n_users, n_items = 40, 60
    scores = rng.permuted(np.tile(np.arange(n_items, dtype=float), (n_users, 1)), axis=1)
    relevant = [rng.choice(n_items, rng.integers(1, 25), replace=False) for _ in range(n_users)]
    qrels = ranx.Qrels({f"u{u:02}": {f"i{i}": 1 for i in relevant[u]} for u in range(n_users)})
    run = ranx.Run({f"u{u:02}": {f"i{i}": scores[u, i] for i in range(n_items)} for u in range(n_users)})
    names = {"recall": 0, "precision": 1, "hit_rate": 2, "ndcg": 3, "map": 4, "mrr": 5}
    ks = (1, 5, 20)
    theirs = ranx.evaluate(qrels, run, [f"{name}@{k}" for name in names for k in ks], return_mean=False)
    for k in ks:
        for name, which in names.items():
            ours = [AT_K[which](n_items - scores[u, relevant[u]], k) for u in range(n_users)]
            np.testing.assert_allclose(ours, theirs[f"{name}@{k}"], rtol=0, atol=1e-12, err_msg=f"{name}@{k}")


def test_auc_by_hand():
    assert metrics.auc([0], [0], 5) == 1
    assert metrics.auc([4], [0], 5) == 0
    assert metrics.auc([1, 3], [0, 0], 5) == pytest.approx(1 - (1 + 2) / 6)  # b A c B d: A beats 2, B beats 1
    assert metrics.auc([0, 0], [4, 4], 5) == 0.5  # all scores equal
    assert np.isnan(metrics.auc([0], [0], 1))  # nothing to compare with
    assert np.isnan(metrics.auc([NAN], [NAN], 5))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_auc_agrees_with_scikit_learn(candidates):
    roc_auc_score = pytest.importorskip("sklearn.metrics").roc_auc_score
    relevant, scores = (np.array(column) for column in zip(*candidates, strict=True))
    if relevant.all() or not relevant.any():
        return
    own = scores[relevant][:, None]
    ours = metrics.auc((scores > own).sum(1), (scores == own).sum(1) - 1, len(scores))
    assert ours == pytest.approx(roc_auc_score(relevant, scores), abs=1e-12)


LISTS = np.array([[0, 1], [0, 2], [0, -1]])  # the third user gets one item only


def test_coverage_and_gini_by_hand():
    assert metrics.catalogue_coverage(LISTS, 5) == 3 / 5
    # exposures 0 0 1 1 3: sum of (2 i - 6) x = 0 * 1 + 2 * 1 + 4 * 3 = 14, over 4 * 5
    assert metrics.gini(LISTS, 5) == pytest.approx(14 / 20)
    assert metrics.gini([[0, 1], [2, 3]], 4) == 0
    assert metrics.gini([[2], [2]], 4) == 1
    assert np.isnan(metrics.gini([[0]], 1)) and np.isnan(metrics.gini([[-1]], 3))


def test_novelty_and_popularity_by_hand():
    popularity = [4, 2, 0]  # of 4 users: 0, 1 and (as if one had it) 2 bits
    np.testing.assert_allclose(metrics.novelty(LISTS, popularity, 4), [0.5, 1, 0])
    np.testing.assert_allclose(metrics.mean_popularity(LISTS, popularity), [3, 2, 4])
    assert np.isnan(metrics.mean_popularity([[-1, -1]], popularity)).all()


@pytest.mark.parametrize("wrap", [np.asarray, csr_matrix])
def test_intra_list_distance_by_hand(wrap):
    vectors = wrap([[1, 0], [0, 2], [3, 3], [0, 0]])
    lists = [[0, 1, -1], [0, 0, 0], [0, 1, 2], [0, 3, -1], [1, -1, -1]]
    half = 1 - np.sqrt(0.5)
    np.testing.assert_allclose(
        metrics.intra_list_distance(lists, vectors), [1, 0, (1 + 2 * half) / 3, 1, NAN], atol=1e-12
    )


def test_lists_that_are_all_too_short_have_no_distance():
    assert np.isnan(metrics.intra_list_distance([[0, -1, -1], [2, -1, -1]], np.eye(3))).all()
    assert metrics.intra_list_distance([[0, 1, -1], [2, -1, -1]], np.eye(3))[0] == 1


@pytest.mark.parametrize("at_once", [1, 7, 512])
def test_intra_list_distance_agrees_with_pairs(monkeypatch, at_once):
    monkeypatch.setattr(metrics, "ITEMS_AT_ONCE", at_once)
    pdist = pytest.importorskip("scipy.spatial.distance").pdist
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(20, 4))
    lists = np.stack([rng.choice(20, 6, replace=False) for _ in range(5)])
    expected = [pdist(vectors[row], "cosine").mean() for row in lists]
    np.testing.assert_allclose(metrics.intra_list_distance(lists, vectors), expected, atol=1e-12)


@given(st.permutations(range(6)))
def test_list_metrics_ignore_the_labels_of_items(relabel):
    lists = np.array([[0, 1, 4], [0, 2, 3]])
    popularity, new = np.array([5, 3, 2, 2, 1, 1]), np.array(relabel)
    moved = np.empty(6, int)
    moved[new] = popularity
    assert metrics.gini(new[lists], 6) == metrics.gini(lists, 6)
    assert metrics.catalogue_coverage(new[lists], 6) == metrics.catalogue_coverage(lists, 6)
    np.testing.assert_array_equal(
        metrics.novelty(new[lists], moved, 5), metrics.novelty(lists, popularity, 5)
    )

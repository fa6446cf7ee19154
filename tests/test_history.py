"""Weights of histories, by hand and in the models that use them."""

import numpy as np
import pandas as pd
import pytest

from bpr_helpers import BPR, EASE, IALS, InteractionMatrix, ItemKNN, Popularity, synthetic_interactions
from bpr_helpers.history import history_weights, recent_counts, tells_late_from_early, weighted_history


def test_history_weights_by_hand() -> None:
    frame = pd.DataFrame(
        {
            "user_id": [2, 1, 1, 1, 1],
            "item_id": [9, 3, 1, 2, 0],
            "timestamp": pd.to_datetime([5, 1, 3, 2, 2], unit="s"),
        }
    )
    weights = history_weights(InteractionMatrix.from_frame(frame), 1.5)
    later = np.array([1.5, 0, 1.5, 3]) / 4  # of user 1's items 0, 1, 2, 3: items 0 and 2 share their second
    expected = np.exp(-1.5 * later)
    assert weights[:4] == pytest.approx(expected / expected.mean())
    assert weights[4] == 1  # an only positive counts in full


def test_recent_counts_by_hand() -> None:
    frame = pd.DataFrame({"user_id": [1, 2, 3, 4], "item_id": [7, 7, 8, 8], "timestamp": [1, 4, 3, 3]})
    weights = np.exp(-2 * np.array([3, 0, 1.5, 1.5]) / 4)  # whoever did it: the share of all that is later
    weights *= 4 / weights.sum()
    found = recent_counts(InteractionMatrix.from_frame(frame), 2.0)
    assert found == pytest.approx([weights[0] + weights[1], 2 * weights[2]])
    assert recent_counts(InteractionMatrix.from_frame(frame), 0.0).tolist() == [2, 2]
    assert Popularity(recency=2.0).fit(frame).score([0])[0] == pytest.approx(found)


def test_recency_needs_somebody_with_two_times() -> None:
    frame = pd.DataFrame({"user_id": [1, 1, 2], "item_id": [7, 8, 9], "timestamp": [5, 5, 6]})
    tells = [
        tells_late_from_early(InteractionMatrix.from_frame(one))
        for one in (frame, frame.assign(timestamp=[5, 6, 6]), frame.drop(columns="timestamp"))
    ]
    assert tells == [False, True, False]


def test_without_recency_or_without_times_all_positives_count_alike() -> None:
    interactions = synthetic_interactions(60, 40, 900, seed=3)
    timed = InteractionMatrix.from_frame(interactions)
    timeless = InteractionMatrix.from_frame(interactions.drop(columns="timestamp"))
    assert (history_weights(timed, 0.0) == 1).all()
    assert (history_weights(timeless, 3.0) == 1).all()
    assert history_weights(timed, 3.0).std() > 0.1


def test_a_weighted_history_keeps_its_places_and_its_sums() -> None:
    matrix = InteractionMatrix.from_frame(synthetic_interactions(60, 40, 900, seed=3))
    history = weighted_history(matrix, 4.0)
    assert (history.indices == matrix.csr.indices).all() and history.data.std() > 0.1
    assert np.asarray(history.sum(1)).ravel() == pytest.approx(np.diff(matrix.csr.indptr), rel=1e-5)


@pytest.mark.parametrize("name", ["weights", "neighbours"])
def test_item_to_item_models_are_asked_with_the_weighted_history(name: str) -> None:
    rows = synthetic_interactions(60, 40, 900, seed=3)
    model = (EASE(recency=4.0) if name == "weights" else ItemKNN(recency=4.0)).fit(rows)
    between = getattr(model, name)
    between = between if isinstance(between, np.ndarray) else between.toarray()
    expected = weighted_history(model.matrix, 4.0).toarray() @ between
    np.testing.assert_allclose(model.score(np.arange(60)), expected, rtol=1e-4, atol=1e-5)


def test_ials_solves_for_users_with_the_weighted_history() -> None:
    """Against the normal equations written out for one user."""
    rows = synthetic_interactions(60, 40, 900, seed=3)
    model = IALS(4, recency=4.0).fit(rows)
    plain = IALS(4).fit(rows)
    np.testing.assert_array_equal(model.item_vectors, plain.item_vectors)  # items learn from all alike
    v, own = plain.item_vectors.astype(float), model.matrix.csr[7].indices
    w = weighted_history(model.matrix, 4.0)[7].data.astype(float)
    strength = model.l2 * (len(own) + model.pair_weight * 40) ** model.nu
    left = (v[own].T * w) @ v[own] + model.pair_weight * v.T @ v + strength * np.eye(4)
    np.testing.assert_allclose(model.user_vectors[7], np.linalg.solve(left, v[own].T @ w), rtol=1e-3)


@pytest.mark.parametrize(
    "make", [EASE, IALS, ItemKNN, Popularity, lambda **k: BPR(4, epochs=2, **{"recency": 0.0} | k)]
)
def test_equal_times_and_no_recency_change_nothing(make: type) -> None:
    rows = synthetic_interactions(60, 40, 900, seed=3)
    users = np.arange(60)
    plain = make().fit(rows).score(users)
    np.testing.assert_array_equal(make(recency=0.0).fit(rows).score(users), plain)
    np.testing.assert_array_equal(make(recency=5.0).fit(rows.assign(timestamp=3)).score(users), plain)
    np.testing.assert_array_equal(make(recency=5.0).fit(rows.drop(columns="timestamp")).score(users), plain)


@pytest.mark.parametrize("make", [EASE, IALS, ItemKNN, Popularity, BPR])
def test_the_largest_recency_leaves_a_history_of_ties_alone_and_a_larger_one_is_refused(make: type) -> None:
    tied = InteractionMatrix.from_frame(pd.DataFrame({"user_id": 1, "item_id": range(500), "timestamp": 5}))
    assert history_weights(tied, 100.0) == pytest.approx(np.ones(500))
    with pytest.raises(ValueError, match="recency"):
        make(recency=101.0)
    with pytest.raises(ValueError, match=r"recency is -1\.0: give 0 to 100"):
        make().fit(synthetic_interactions(20, 10, 90)).with_recency(-1.0)

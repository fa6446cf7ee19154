"""A user's vector from their history: against a general minimizer, and whatever the company."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import logsumexp

from bpr_helpers import folding
from bpr_helpers.folding import common_negatives, solve_users


def some_items(n_items: int = 30, d: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_items, d)).astype(np.float32), rng.normal(size=n_items).astype(np.float32)


def written_out(user, own, weights, negatives, vectors, biases, l2, temperature) -> float:
    scores = vectors.astype(float) @ user + biases
    others = [j for j in negatives if j not in own]
    level = temperature * (logsumexp(scores[others] / temperature) - np.log(len(others)))
    compared = np.logaddexp(0, level - scores[own])
    return float(weights @ compared + l2 / 2 * weights.sum() * user @ user)


@pytest.mark.parametrize("temperature", [0.1, 1.0])
@pytest.mark.parametrize("n_negatives", [12, 30])
def test_a_general_minimizer_finds_the_same_vectors(temperature: float, n_negatives: int) -> None:
    vectors, biases = some_items()
    histories = [([0, 3, 7], [0.5, 0.5, 2.0]), ([29], [1.0]), ([*range(10)], [1.0] * 10)]
    rows = np.repeat(np.arange(3), [len(own) for own, _ in histories])
    entries = np.concatenate([w for _, w in histories]), (rows, np.concatenate([own for own, _ in histories]))
    how = {"l2": 0.05, "temperature": temperature}
    found = solve_users(
        csr_matrix(entries, shape=(3, 30)), vectors, biases, n_negatives=n_negatives, seed=1, **how
    )
    negatives = common_negatives(30, n_negatives, 1)
    for user, (own, weights) in zip(found, histories, strict=True):
        given = np.array(own), np.array(weights), negatives, vectors, biases, 0.05, temperature
        best = minimize(written_out, np.zeros(4), args=given, options={"gtol": 1e-8})
        np.testing.assert_allclose(user, best.x, atol=2e-5)
        assert written_out(user.astype(float), *given) == pytest.approx(best.fun, abs=1e-7)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_nobody_elses_history_matters(data: st.DataObject) -> None:
    vectors, biases = some_items(seed=data.draw(st.integers(0, 9)))
    item = st.sets(st.integers(0, 29), min_size=1, max_size=29)
    histories = data.draw(st.lists(item, min_size=2, max_size=6))
    dense = np.zeros((len(histories), 30), np.float32)
    for row, own in zip(dense, histories, strict=True):
        row[list(own)] = np.linspace(0.1, 2, len(own))
    how = {"l2": data.draw(st.sampled_from([0.01, 0.05, 1.0])), "temperature": 0.5}
    together = solve_users(csr_matrix(dense), vectors, biases, **how)
    for user, row in zip(together, dense, strict=True):
        [alone] = solve_users(csr_matrix(row[None]), vectors, biases, **how)
        scores = vectors @ alone + biases
        # What is left is rounding to single precision
        np.testing.assert_allclose(vectors @ user + biases, scores, rtol=0, atol=1e-6 * np.abs(scores).max())


def test_in_blocks_of_any_size_the_vectors_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, biases = some_items()
    history = csr_matrix((np.random.default_rng(0).random((40, 30)) < 0.3).astype(np.float32))
    whole = solve_users(history, vectors, biases, l2=0.1, temperature=0.5)
    monkeypatch.setattr(folding, "BLOCK", 100)
    np.testing.assert_allclose(
        solve_users(history, vectors, biases, l2=0.1, temperature=0.5), whole, atol=1e-6
    )


def test_who_has_nothing_is_at_zero_and_who_has_everything_is_somewhere() -> None:
    vectors, biases = some_items()
    history = csr_matrix(np.stack([np.zeros(30), np.ones(30)]).astype(np.float32))
    nobody, omnivore = solve_users(history, vectors, biases, l2=0.1, temperature=0.5)
    assert (nobody == 0).all() and np.isfinite(omnivore).all()
    assert solve_users(history[:0], vectors, biases, l2=0.1, temperature=0.5).shape == (0, 4)


def test_scores_that_are_far_apart_do_no_harm() -> None:
    vectors, biases = some_items()
    history = csr_matrix((np.random.default_rng(0).random((20, 30)) < 0.3).astype(np.float32))
    found = solve_users(history, 300 * vectors, 300 * biases, l2=0.001, temperature=0.01)
    assert np.isfinite(found).all() and np.abs(found).max() > 0
    flat = solve_users(history, 0 * vectors, 0 * biases, l2=0.001, temperature=0.5)
    assert (flat == 0).all()


def test_common_negatives_are_seeded_and_distinct() -> None:
    assert common_negatives(5, 9, 0).tolist() == [0, 1, 2, 3, 4]
    drawn = common_negatives(100, 9, 3)
    assert len(set(drawn)) == 9 and drawn.tolist() == sorted(drawn) == common_negatives(100, 9, 3).tolist()
    assert drawn.tolist() != common_negatives(100, 9, 4).tolist()

"""Each baseline against an independent implementation on a small case."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors

from bpr_helpers import EASE, IALS, InteractionMatrix, ItemKNN, Popularity, Random
from bpr_helpers import baselines as module


@pytest.fixture(scope="module")
def matrix() -> InteractionMatrix:
    """600 users, 30 items, no equal similarities at a neighbourhood's edge; nobody has the last item."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"user_id": rng.integers(0, 600, 6000), "item_id": (29 * rng.random(6000) ** 1.5).astype(int)}
    )
    known = pd.DataFrame({"user_id": range(600), "item_id": [i % 30 for i in range(600)]})
    return InteractionMatrix.from_frame(frame, like=InteractionMatrix.from_frame(pd.concat([frame, known])))


def test_popularity_counts_users(matrix):
    scores = Popularity().fit(matrix).score(np.array([0, 5]))
    np.testing.assert_array_equal(scores, [matrix.csr.toarray().sum(0)] * 2)


def test_random_depends_on_seed_and_user_only(matrix):
    scores = Random(seed=3).fit(matrix).score(np.arange(600))
    np.testing.assert_array_equal(Random(seed=3).fit(matrix).score(np.array([41])), scores[[41]])
    assert not np.array_equal(Random(seed=4).fit(matrix).score(np.arange(600)), scores)
    assert len(np.unique(scores, axis=0)) == 600  # no two users have the same list
    assert abs(scores.mean() - 0.5) < 0.02


@pytest.mark.parametrize("block", [1, 7 * 30, 10**6])
def test_item_knn_agrees_with_scikit_learn(matrix, monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    dense = matrix.csr.toarray().astype(float)[:, :29]  # cosine to nobody's item is not defined
    distance, neighbour = NearestNeighbors(n_neighbors=8, metric="cosine").fit(dense.T).kneighbors()
    expected = np.zeros((600, 29))
    for item in range(29):
        expected[:, item] = dense[:, neighbour[item]] @ (1 - distance[item])
    scores = ItemKNN(k=8, shrink=0).fit(matrix).score(np.arange(600))
    np.testing.assert_allclose(scores[:, :29], expected, rtol=0, atol=1e-6)
    assert (scores[:, 29] == 0).all()


def test_item_knn_shrinks_by_hand():
    frame = pd.DataFrame({"user_id": [0, 0, 1, 2], "item_id": ["a", "b", "a", "b"]})
    scores = ItemKNN(shrink=3).fit(frame).score(np.array([1]))
    np.testing.assert_allclose(scores, [[0, 1 / (2 + 3)]], rtol=1e-6)  # one user has both, two have each


def test_ease_is_a_ridge_regression_of_every_item_on_the_others(matrix):
    """Steck (2019): column j is the ridge solution without item j among the predictors."""
    dense = matrix.csr.toarray().astype(float)
    expected = np.zeros((30, 30))
    for item in range(30):
        others = np.delete(np.arange(30), item)
        ridge = Ridge(alpha=20.0, fit_intercept=False, solver="cholesky")
        expected[others, item] = ridge.fit(dense[:, others], dense[:, item]).coef_
    model = EASE(l2=20.0).fit(matrix)
    np.testing.assert_allclose(model.weights, expected, rtol=0, atol=1e-6)
    np.testing.assert_allclose(model.score(np.arange(600)), dense @ expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("block", [1, 64, 10**6])
@pytest.mark.parametrize(("many", "dim"), [(4000, 4), (0, 4), (0, 24), (100, 40)])
def test_ials_agrees_with_a_loop_over_rows(matrix, monkeypatch, block, many, dim):
    monkeypatch.setattr(module, "BLOCK", block)
    monkeypatch.setattr(module, "MANY", many)
    l2, alpha0, nu = 0.02, 0.3, 0.7
    per_pair = alpha0 / (matrix.csr.nnz / np.prod(matrix.csr.shape))
    model = IALS(dim, l2=l2, alpha0=per_pair, nu=nu, iterations=3, seed=5).fit(matrix)
    dense = matrix.csr.toarray().astype(float)

    def solve(x, fixed):
        vectors = np.empty((len(x), dim))
        for row in range(len(x)):
            own = fixed[x[row] > 0]
            strength = l2 * (len(own) + alpha0 * len(fixed)) ** nu
            left = own.T @ own + alpha0 * fixed.T @ fixed + strength * np.eye(dim)
            vectors[row] = np.linalg.solve(left, own.sum(0))
        return vectors

    items = np.random.default_rng(5).normal(0, 0.1 / np.sqrt(dim), (30, dim))
    for _ in range(3):
        users = solve(dense, items)
        items = solve(dense.T, users)
    np.testing.assert_allclose(model.item_vectors, items, rtol=0, atol=1e-4)
    np.testing.assert_allclose(model.score(np.arange(600)), solve(dense, items) @ items.T, rtol=0, atol=1e-4)


@settings(max_examples=50, deadline=None)
@given(b=st.integers(1, 5), p=st.integers(1, 9), dim=st.integers(1, 12), seed=st.integers(0, 99))
def test_short_rows_are_solved_as_any_are(b, p, dim, seed):
    """With weights, and what fills up a row: its weight is 0."""
    rng = np.random.default_rng(seed)
    vectors, weights = rng.normal(size=(b, p, dim)), rng.exponential(size=(b, p)) * (rng.random((b, p)) < 0.7)
    spread, strengths = rng.random(dim), 0.1 + rng.random(b)
    found = module._short_rows(vectors, weights, spread + strengths[:, None])
    expected = module._any_rows(vectors, weights, np.diag(spread), strengths)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("l2", [0.5, 100.0])
@pytest.mark.parametrize("block", [1, 10**6])
@pytest.mark.parametrize(("n_users", "n_items"), [(60, 25), (13, 40)])  # by items, by users
def test_ease_by_either_table_is_that_of_a_general_inverse(monkeypatch, l2, block, n_users, n_items):
    monkeypatch.setattr(module, "BLOCK", block)
    rng = np.random.default_rng(0)
    rows = np.argwhere(rng.random((n_users, n_items)) < 0.4)
    fitted = EASE(l2=l2).fit(pd.DataFrame(rows, columns=["user_id", "item_id"]))
    x = fitted.matrix.csr.toarray().astype(float)
    inverse = np.linalg.inv(x.T @ x + l2 * np.eye(x.shape[1]))
    expected = inverse / -np.diag(inverse) * (1 - np.eye(x.shape[1]))
    np.testing.assert_allclose(fitted.weights, expected, rtol=0, atol=1e-6)


def test_ease_is_refused_where_it_does_not_fit_into_the_memory(matrix, monkeypatch):
    monkeypatch.setattr(module, "memory", lambda: 12 * 30**2 - 1)
    with pytest.raises(ValueError, match="EASE takes 0 GB for 30 items, and this machine has 0 GB: keep few"):
        EASE().fit(matrix)
    monkeypatch.setattr(module, "memory", lambda: 12 * 30**2 + 1)
    assert EASE().fit(matrix).weights.shape == (30, 30)


@pytest.mark.parametrize("k", [3, 12])
def test_item_knn_keeps_what_a_dense_table_would(matrix, k):
    x = matrix.csr.toarray().astype(float)
    norms = np.sqrt(x.sum(0))
    similarity = (x.T @ x) / (np.outer(norms, norms) + 5.0)
    np.fill_diagonal(similarity, 0)
    for row in similarity:
        row[np.argsort(row)[:-k]] = 0
    found = ItemKNN(k=k).fit(matrix).neighbours.T.toarray()
    np.testing.assert_allclose(found, similarity, rtol=1e-6)


def test_ials_lowers_its_loss(matrix):
    def loss(model):
        x, scores = matrix.csr.toarray(), model.score(np.arange(600)).astype(float)
        user_l2 = model.l2 * (x.sum(1) + model.pair_weight * 30) ** model.nu
        item_l2 = model.l2 * (x.sum(0) + model.pair_weight * 600) ** model.nu
        fit = ((1 - scores) ** 2)[x > 0].sum() + model.pair_weight * (scores**2).sum()
        norms = user_l2 @ (model.user_vectors**2).sum(1) + item_l2 @ (model.item_vectors**2).sum(1)
        return fit + norms

    losses = [loss(IALS(4, l2=0.05, iterations=n).fit(matrix)) for n in (1, 2, 4, 8)]
    assert losses == sorted(losses, reverse=True) and losses[0] > losses[-1] + 0.1


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: ItemKNN(k=0), "k is 0"),
        (lambda: ItemKNN(shrink=-1), "shrink is -1"),
        (lambda: EASE(l2=0), "l2 is 0"),
        (lambda: IALS(0), "dim"),
        (lambda: IALS(l2=0), "l2"),
    ],
)
def test_senseless_settings_are_refused(make, told):
    with pytest.raises(ValueError, match=told):
        make()


def test_only_popular_keeps_a_models_order_among_the_first_and_puts_the_rest_behind(matrix):
    model = EASE(l2=20.0).fit(matrix)
    only, users = module.OnlyPopular(model, 7), np.arange(40)
    counts = np.bincount(matrix.csr.indices, minlength=30)
    rest = np.setdiff1d(np.arange(30), only.first)
    assert len(only.first) == 7 and counts[only.first].min() >= counts[rest].max()
    scores, own = only.score(users), model.score(users)
    assert (scores[:, only.first].min(axis=1) > scores[:, rest].max(axis=1)).all()
    np.testing.assert_array_equal(scores[:, only.first], own[:, only.first])
    assert (scores[:, rest].argmax(axis=1) == own[:, rest].argmax(axis=1)).all()
    assert (module.OnlyPopular(model, 99).score(users) == own).all()

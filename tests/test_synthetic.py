"""synthetic: sizes, order and laws of the made-up interactions, and what their truth is worth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpr_helpers import synthetic
from bpr_helpers.synthetic import synthetic_interactions


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_synthetic_of_any_size(n_users: int, n_items: int, density: float, seed: int) -> None:
    n = max(1, round(density * n_users * n_items))
    made = synthetic_interactions(n_users, n_items, n, seed=seed)
    assert len(made) == n and not made.duplicated(["user_id", "item_id"]).any()
    assert made["user_id"].between(0, n_users - 1).all() and made["item_id"].between(0, n_items - 1).all()
    assert made["user_id"].nunique() == n_users or n < n_users
    steps = made.groupby("user_id")["timestamp"].diff().dropna()
    assert (steps > pd.Timedelta(0)).all() and made["timestamp"].between("2015", "2040").all()
    pd.testing.assert_frame_equal(made, synthetic_interactions(n_users, n_items, n, seed=seed))


def test_synthetic_sizes_are_checked() -> None:
    for sizes in ((2, 3, 7), (2, 3, 0), (0, 3, 1), (-2, -3, 1)):
        with pytest.raises(ValueError, match="n_interactions is"):
            synthetic_interactions(*sizes)


def test_synthetic_seed_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not synthetic_interactions(50, 60, 500).equals(synthetic_interactions(50, 60, 500, seed=1))
    monkeypatch.setattr(synthetic, "ROWS_PER_BLOCK", 100)
    made = synthetic_interactions(50, 60, 1500)
    assert len(made) == 1500 and not made.duplicated(["user_id", "item_id"]).any()


def test_synthetic_draws_follow_the_truth() -> None:
    """Of many users of one kind, the first items are drawn in proportion to the truth (chi-square)."""
    from scipy.stats import chisquare

    rng = np.random.default_rng(0)
    tastes = np.tile(rng.dirichlet(np.ones(synthetic.N_TASTES)), (20_000, 1))
    items = rng.dirichlet(np.full(30, 2.0), synthetic.N_TASTES).T
    counts = np.full(20_000, 3)
    drawn = synthetic._draw(tastes, items, synthetic._stack_cdfs(items.T), counts, rng).reshape(-1, 3)
    rates = items @ tastes[0]
    assert chisquare(np.bincount(drawn[:, 0], minlength=30), rates * 20_000).pvalue > 1e-4
    # The second item, given all first ones: what is left, in proportion.
    second = sum(rates[i] * np.where(np.arange(30) == i, 0, rates) / (1 - rates[i]) for i in range(30))
    assert chisquare(np.bincount(drawn[:, 1], minlength=30), second * 20_000).pvalue > 1e-4


def test_the_rest_is_drawn_as_the_beginning_is() -> None:
    """Waiting times give the same law as drawing with repetition and keeping the first draws."""
    from scipy.stats import chisquare

    rng = np.random.default_rng(1)
    rates = np.array([0.4, 0.3, 0.2, 0.1])
    third = [synthetic._draw_rest(np.array([0]), rates, 2, rng)[1] for _ in range(10_000)]
    assert chisquare(np.bincount(third, minlength=4)[1:], np.array([3, 2, 1]) / 6 * 10_000).pvalue > 1e-4


def test_synthetic_is_long_tailed_and_a_matter_of_taste() -> None:
    made, truth = synthetic_interactions(1000, 800, 40_000, return_truth=True)
    assert truth.user_vectors.shape == (1000, 12) and truth.item_vectors.shape == (800, 12)
    np.testing.assert_allclose(truth.user_vectors.sum(axis=1), 1)
    np.testing.assert_allclose(truth.item_vectors.sum(axis=0), 1)
    popularity = np.sort(np.bincount(made["item_id"], minlength=800))[::-1]
    assert popularity[:80].sum() > 0.3 * len(made), "a tenth of the items draws over three tenths"
    assert made["user_id"].value_counts().median() < 0.75 * 40
    last = made.groupby("user_id").tail(1)
    seen = np.zeros((1000, 800), dtype=bool)
    seen[made["user_id"], made["item_id"]] = True
    seen[last["user_id"], last["item_id"]] = False
    by_taste = np.where(seen, 0, truth.user_vectors @ truth.item_vectors.T)
    by_popularity = np.where(seen, -1, np.bincount(made["item_id"], minlength=800))
    hits = []
    for scores in (by_taste, by_popularity):
        top = np.argsort(-scores, axis=1)[:, :10]
        hits.append((top[last["user_id"]] == last[["item_id"]].to_numpy()).any(axis=1).mean())
    assert hits[0] > 1.5 * hits[1] > 0

"""Checks of the exercises of notebook 07."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpr_helpers.course.checks.verdict import exercise, number, require, returned, sort_claims


@exercise("07", "a number between 0 and 1")
def better_1(prediction: Any) -> None:
    """Predict the share of the first of three candidates at a temperature."""
    given = number(prediction)
    shares = np.exp(np.array([1.0, 0.5, 0.0]) / 0.25)
    require(0 <= given <= 1, "a share lies between 0 and 1.", "The shares of the three add up to 1.")
    require(
        abs(given - np.exp(1) / np.exp([1.0, 0.5, 0.0]).sum()) > 0.02,
        "that is the share at temperature 1.",
        "Divide the scores by the temperature first.",
    )
    require(
        abs(given - shares[0] / shares.sum()) < 0.02,
        "the share is off.",
        "A score that is higher by one temperature has a share that is e times as large.",
    )


@exercise("07", "a function with the arguments `scores, chosen, temperature`, which returns shares")
def better_2(function: Any) -> None:
    """Write softmax shares that leave out what the user has chosen."""
    rng = np.random.default_rng(0)
    for n, temperature, lift in ((6, 1.0, 0.0), (5, 0.3, 0.0), (4, 2.0, 0.0), (5, 0.5, 2000.0)):
        scores, chosen = rng.normal(size=n) + lift, np.arange(n) == n - 2
        found = np.asarray(returned(function, scores.copy(), chosen.copy(), temperature), float).ravel()
        require(len(found) == n, "there is a share for every candidate.", "Chosen ones have the share 0.")
        require(
            lift == 0 or np.isfinite(found).all(),
            "large scores give shares that are no numbers.",
            "Subtract the largest score before you take powers of e: no share changes by that.",
        )
        require(
            np.abs(found[chosen]).max() < 1e-9,
            "a chosen item has a share.",
            "What the user has chosen is never a negative.",
        )
        require(
            abs(found.sum() - 1) < 1e-5,
            "the shares do not add up to 1.",
            "Divide by the sum over the others.",
        )
        powers = np.where(chosen, 0, np.exp((scores - scores.max()) / temperature))
        require(
            np.allclose(found, powers / powers.sum(), atol=1e-5),
            "a share is off.",
            "The powers of e are those of score / temperature.",
        )


@exercise("07", "a function with the arguments `n, recency`, which returns n weights in the order of time")
def better_3(function: Any) -> None:
    """Weigh a history of n positives in the order of time."""
    for n, recency in ((5, 0.0), (4, 2.0), (100, 21.0), (1, 7.0)):
        later = np.arange(n)[::-1] / n
        weights = np.exp(-recency * later)
        right = weights / weights.mean()
        found = np.asarray(returned(function, n, recency), float).ravel()
        require(len(found) == n, "there is a weight for every positive.", "Return n numbers.")
        require(
            n == 1 or recency == 0 or found[-1] > found[0],
            "the first counts more than the last.",
            "The share of positives that are later is almost 1 for the first and 0 for the last.",
        )
        require(
            abs(found.mean() - 1) < 1e-4, "the mean weight is not 1.", "Divide by the mean, not by the sum."
        )
        require(
            np.allclose(found, right, atol=1e-3 * right.max()),
            "the weights are off.",
            "Of n positives, the first has n - 1 that are later: divide by n.",
        )


@exercise("07", "the letters of the true claims, such as `claims = 'ab'`")
def better_4(claims: Any) -> None:
    """Sort claims about ingredients, shares and folding in."""
    told = {
        "a": "“What each is worth when the others are there”",
        "b": "“Most comparisons teach little”",
        "c": "“Who a user is lately”",
        "d": "“How much of a difference is luck?”",
        "e": "“Shares and temperature”",
    }
    sort_claims(claims, "be", told)

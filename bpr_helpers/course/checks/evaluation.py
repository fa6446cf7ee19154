"""Checks of the exercises of notebook 04."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bpr_helpers import metrics
from bpr_helpers.course.checks.verdict import exercise, number, parts, require, returned, sort_claims
from bpr_helpers.significance import mean_interval


@exercise("04", "a number between 0 and 1")
def evaluation_1(prediction: Any) -> None:
    """Predict the best precision@10 that a user with two test items can have."""
    given = number(prediction)
    require(0 <= given <= 1, "a precision lies between 0 and 1.", "It is a share of the ten items of a list.")
    require(
        given < 0.99,
        "not even a perfect list reaches that.",
        "A perfect list finds everything that there is to find, and still has to fill ten places.",
    )
    require(abs(given - 0.2) < 1e-6, "the value is off.", "What is counted, and what is it divided by?")


@exercise("04", "a function with the arguments `ranks, k`, which returns a number between 0 and 1")
def evaluation_2(function: Any) -> None:
    """Write average precision at k from the ranks of all relevant items."""
    cases = ([1, 3], 10), ([2, 5, np.inf], 10), ([4], 3), ([1, 2, 3], 2), ([9, 1, 30], 20), ([np.inf], 5)
    for ranks, k in cases:
        right = float(metrics.average_precision(np.array([ranks], float), k)[0])
        found = number(returned(function, list(ranks), k))
        require(0 <= found <= 1, "it lies between 0 and 1.", "Divide by how many relevant items there are.")
        require(
            k >= max(ranks) or abs(found - right) < 1e-4,
            "an item behind the cut-off, or a missed one, is not treated well.",
            "It adds nothing, and still counts among the relevant items by which you divide.",
        )
        require(
            abs(found - right) < 1e-4,
            "the value is off.",
            "Go down the list: at each relevant item, which share of what you have read is relevant?",
        )


@exercise("04", "a function with the arguments `values, rng`, which returns two ends, low and high")
def evaluation_3(function: Any) -> None:
    """Write the 95 % bootstrap interval of a mean."""
    for seed, n in ((0, 40), (1, 300)):
        values = np.random.default_rng(seed).beta(1, 4, n)
        row = mean_interval(pd.DataFrame({"x": values}), n_resamples=9999, seed=5).iloc[0]
        found = [number(one) for one in parts(returned(function, values.copy(), np.random.default_rng(7)))]
        require(len(found) == 2, "there are two ends.", "Return the lower one, then the higher one.")
        low, high = found
        width = row["high"] - row["low"]
        require(low < high, "the interval has no width.", "Draw users with replacement.")
        require(
            (high - low) < 2 * width,
            "that is where single users lie, not their mean.",
            "Take the mean of every sample, and the quantiles of these means.",
        )
        require(
            abs((high - low) / width - 1) < 0.1,
            "the width is off.",
            "As many users as there are, two thousand times, and the middle 95 % of the means.",
        )
        require(
            abs(low - row["low"]) < 0.1 * width and abs(high - row["high"]) < 0.1 * width,
            "the interval lies elsewhere.",
            "Its ends are the quantiles .025 and .975 of the means.",
        )


@exercise("04", "a function with the arguments `differences, n_flips, rng`, which returns a p-value")
def evaluation_4(function: Any) -> None:
    """Write the two-sided p-value of a sign-flip test."""
    rng = np.random.default_rng(3)
    clear, mild = rng.normal(1, 0.1, 60), rng.normal(0.12, 1, 100)
    found = number(returned(function, clear.copy(), 999, np.random.default_rng(0)))
    require(0 <= found <= 1, "a p-value lies between 0 and 1.", "It is a share of all flips.")
    require(
        found > 0,
        "a p-value of 0 claims too much.",
        "What was observed is one way in which the coins may fall: count it, above and below the line.",
    )
    require(
        abs(found - 1 / 1000) < 1e-9,
        "with a clear difference and 999 flips, the value is off.",
        "No flip reaches what was observed; what remains is the observation itself.",
    )
    flips = np.random.default_rng(1).choice([-1, 1], (20_000, 100))
    right = (np.abs(flips @ mild) >= abs(mild.sum())).mean()
    for sign in (1, -1):
        found = number(returned(function, sign * mild, 3000, np.random.default_rng(2)))
        require(
            abs(found - right) < 0.05,
            "with a small difference, the value is off.",
            "The question has two sides: flips that are as far from 0 in the other direction count, too.",
        )


@exercise("04", "the letters of the true claims, such as `claims = 'ab'`")
def evaluation_5(claims: Any) -> None:
    """Sort claims about intervals, candidates and what a score hides."""
    told = {
        "a": "“The same users, twice”",
        "b": "“Ranked against what?”",
        "c": "the definition of recall",
        "d": "what is said about the smallest p-value",
        "e": "“Beyond accuracy”",
    }
    sort_claims(claims, "bcd", told)

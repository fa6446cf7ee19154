"""Checks of the exercises of notebook 04."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bpr_helpers import metrics
from bpr_helpers.baselines import OnlyPopular
from bpr_helpers.course.checks.verdict import exercise, number, parts, require, returned, sort_claims
from bpr_helpers.evaluation import evaluate
from bpr_helpers.significance import mean_interval


@exercise("04", "a number, such as `prediction = 2`")
def evaluation_1(prediction: Any) -> None:
    """Predict how many times as many users make an interval a third as wide."""
    given = number(prediction)
    require(given > 1, "fewer users make it wider.", "How many times as many are needed?")
    require(
        abs(given - 3**2) < 1e-6,
        "that changes the width by another factor.",
        "Read the answer to the lesson's guess about the width again: what does it fall with?",
    )


@exercise("04", "a function with the arguments `ranks, k`, which returns two numbers, recall and NDCG")
def evaluation_2(function: Any) -> None:
    """Write recall and NDCG from the ranks of all relevant items."""
    cases = ([1, 3], 10), ([5, 2, np.inf], 10), ([4], 3), ([1, 2, 3], 2), ([10, 1, 30], 10), ([np.inf], 5)
    for ranks, k in cases:
        recall, ndcg = (float(of(np.array(ranks, float), k)) for of in (metrics.recall, metrics.ndcg))
        found = [number(one) for one in parts(returned(function, list(ranks), k))]
        require(len(found) == 2, "there are two numbers.", "Return the recall and then the NDCG.")
        require(
            abs(found[0] - recall) < 1e-4,
            "the recall is off.",
            "Count the ranks up to the cut-off. Divide by the number of relevant items, found or not.",
        )
        require(
            max(ranks) <= k or abs(found[1] - ndcg) < 1e-4,
            "an item behind the cut-off, or a missed one, spoils the NDCG.",
            "It adds no gain. Yet the best list would show it, if the list has a place left.",
        )
        require(
            abs(found[1] - ndcg) < 1e-4,
            "the NDCG is off.",
            "Which weight has a hit at rank 1, and which at rank 2? And where are the hits of the best list?",
        )


@exercise("04", "a function with the arguments `a, b, rng`, which returns two ends, low and high")
def evaluation_3(function: Any) -> None:
    """Write the 95 % bootstrap interval of the mean difference of two models."""
    for seed, n in ((0, 40), (1, 300)):
        rng = np.random.default_rng(seed)
        a = rng.beta(1, 4, n)  # easy and hard users
        b = 0.9 * a + 0.02 * rng.normal(size=n)
        row = mean_interval(pd.DataFrame({"x": a - b}), n_resamples=9999, seed=5).iloc[0]
        found = [
            number(one) for one in parts(returned(function, a.copy(), b.copy(), np.random.default_rng(7)))
        ]
        require(len(found) == 2, "there are two ends.", "Return the lower one, then the higher one.")
        (low, high), width = found, row["high"] - row["low"]
        require(low < high, "the ends stand the wrong way, or in one place.", "Draw with replacement.")
        require(
            high - low < 2 * width,
            "the interval is much too wide.",
            "A user's two scores stay together: subtract first. And ask for the spread of the mean.",
        )
        require(
            abs((high - low) / width - 1) < 0.1,
            "the width is off.",
            "As many users as there are, two thousand times, and the middle 95 % of the means.",
        )
        require(
            max(abs(low - row["low"]), abs(high - row["high"])) < 0.1 * width,
            "the interval lies elsewhere.",
            "It is the first model's score minus the second's. Its ends leave as much below as above.",
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
        min(abs(found - smallest / 1000) for smallest in (1, 2)) < 1e-9,  # both sides at once, or one doubled
        "with a clear difference and 999 flips, the value is off.",
        "No flip reaches what was observed; what remains is the observation itself.",
    )
    flips = np.random.default_rng(1).choice([-1, 1], (20_000, 100))
    for differences in (mild, -mild, np.repeat([0.25, -0.25], 50)):
        right = (np.abs(flips @ differences) >= abs(differences.sum())).mean()
        found = number(returned(function, differences.copy(), 3000, np.random.default_rng(2)))
        require(found <= 1, "a p-value is never above 1.", "Whoever doubles a share must stop at 1.")
        require(
            abs(found - right) < 0.05,
            "with a small difference, or none, the value is off.",
            "The question has two sides: chance could have gone as far in the other direction, too.",
        )


@exercise("04", "one of the sizes, such as `fewest = 400`")
def evaluation_5(fewest: Any, model: Any, test: Any) -> None:
    """Find the smallest catalog that keeps nine tenths of a model's NDCG@10."""
    given, sizes = number(fewest), [25, 50, 100, 200, 400]
    require(given in sizes, "that is none of the sizes.", "Take one of those in `sizes`.")

    def kept(judged: Any) -> float:
        return float(evaluate(judged, test, ks=10, metrics="ndcg").per_user["ndcg@10"].mean())

    enough = 0.9 * kept(model)
    require(
        kept(OnlyPopular(model, int(given))) >= enough,
        "that loses more than a tenth.",
        "Divide the NDCG@10 of `OnlyPopular(model, n)` by that of `model`.",
    )
    require(
        all(kept(OnlyPopular(model, size)) < enough for size in sizes if size < given),
        "a smaller catalog is enough.",
        "Try all sizes, from the smallest on, and stop at the first that keeps nine tenths.",
    )


@exercise("04", "the letters of the true claims, such as `claims = 'ab'`")
def evaluation_6(claims: Any) -> None:
    """Sort claims about intervals, candidates, groups and what a score hides."""
    told = {
        "a": "what is said about intervals that overlap, in sections 2 and 3",
        "b": "“Ranked against what?”",
        "c": "the definition of recall",
        "d": "what is said about the smallest p-value",
        "e": "the table of “Beyond accuracy”",
        "f": "“Who is served badly?”",
    }
    sort_claims(claims, "bcd", told)

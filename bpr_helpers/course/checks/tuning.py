"""Checks of the exercises of notebook 06."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bpr_helpers.course.checks.verdict import exercise, number, require, returned, sort_claims


@exercise("06", "a whole number of seeds")
def tuning_1(prediction: Any) -> None:
    """Predict how many seeds bring luck from two points down to half a point."""
    given = number(prediction)
    require(given > 1, "one seed leaves luck as it is.", "A mean of several has less.")
    require(
        given != 4,
        "that many seeds only halve it.",
        "The luck of a mean falls with the square root of the number of seeds.",
    )
    require(given == (2 / 0.5) ** 2, "the number is off.", "By which factor must luck fall? Square it.")


@exercise("06", "a function with the arguments `n, luck, rng`, which returns a number of points")
def tuning_2(function: Any) -> None:
    """Compute what luck alone gives, on average, to the best of n equally good configurations."""
    for n, luck in ((1, 1.0), (20, 1.0), (20, 3.0), (100, 2.0)):
        best = np.random.default_rng(0).normal(0, luck, (20_000, n)).max(axis=1)
        found = number(returned(function, n, luck, np.random.default_rng(1)))
        require(
            abs(found - best.max()) > 0.3 * luck,
            "that is the best of all draws.",
            "Take the best of n, many times, and then the mean of these.",
        )
        require(
            n > 1 or abs(found) < 0.05 * luck,
            "one configuration has no lead, on average.",
            "Draw around 0, the true value that all of them share; do not take the size without its sign.",
        )
        require(
            abs(found - best.mean()) < 0.05 * luck,
            "the number is off.",
            "Take the largest of n normal numbers with standard deviation luck, thousands of times.",
        )


@exercise("06", "a function with the argument `trials`, which returns the name of a configuration")
def tuning_3(function: Any) -> None:
    """Name the winner of a table in which some trials failed."""
    rows = [
        ("default", 0, 0.200), ("default", 1, 0.198), ("default", 2, 0.202),
        ("dim 128", 0, 0.204), ("dim 128", 1, 0.201), ("dim 128", 2, 0.203),
        ("lucky once", 0, 0.219), ("lucky once", 1, 0.180), ("lucky once", 2, 0.190),
        ("failed twice", 0, 0.212), ("failed twice", 1, np.nan), ("failed twice", 2, np.nan),
        ("steady", 0, 0.2005), ("steady", 1, 0.2005), ("steady", 2, 0.2005),
    ]  # fmt: skip
    trials = pd.DataFrame(rows, columns=["configuration", "seed", "ndcg@10"])
    for table in (trials, trials.sample(frac=1, random_state=0), trials.dropna()):
        found = str(returned(function, table))
        require(
            found != "lucky once", "one good trial is no good configuration.", "Average over the seeds first."
        )
        require(
            found != "failed twice",
            "that configuration was not judged with every seed.",
            "Leave out who lacks a seed: a failed trial may be a missing row, or one without a number.",
        )
        require(found == "dim 128", "another configuration has a higher mean.", "Take the largest mean.")


@exercise("06", "the letters of the true claims, such as `claims = 'ab'`")
def tuning_4(claims: Any) -> None:
    """Sort claims about winners, luck and the test part."""
    told = {
        "a": "“Validation and test”",
        "b": "what is said about multiplying a p-value",
        "c": "what makes an interval narrower",
        "d": "“Validation and test”",
        "e": "“How many can you try?”",
    }
    sort_claims(claims, "abe", told)

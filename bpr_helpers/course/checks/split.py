"""Checks of the exercises of notebook 02."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd

from bpr_helpers.course.checks.verdict import (
    exercise,
    item_ids,
    number,
    parts,
    require,
    returned,
    sort_claims,
    word,
)
from bpr_helpers.splitting import split_per_user, split_report

PEOPLE = (1, 2, 10, 11, 25)  # how many rows each has


@exercise("02", "five whole numbers, such as `prediction = [1, 1, 1, 1, 1]`")
def split_1(prediction: Any) -> None:
    """Predict how many rows of five people are tested."""
    sizes = list(prediction.values()) if isinstance(prediction, dict) else parts(prediction)
    given = [number(one) for one in sizes]
    require(len(given) == len(PEOPLE), "the answer is five numbers.", "One for each of the five people.")
    right = [min(math.ceil(Fraction(n, 10)), n - 1) for n in PEOPLE]
    require(
        given[0] == right[0],
        "the first person's number is off.",
        "Something has to stay in the training part, whatever the fraction.",
    )
    require(given == right, "one of the five is off.", "A tenth of the rows, rounded up, however small.")


@exercise("02", "a function with the arguments `rows, fraction`, which returns the rows to test on")
def split_2(function: Any) -> None:
    """Cut off the latest fraction of one person's rows, exactly."""
    for n, fraction in ((10, "0.25"), (100, "0.07"), (2, "0.1"), (1, "0.1"), (5, "0.9"), (30, "0.1")):
        times = np.random.default_rng(n).permutation(n)
        rows = pd.DataFrame({"user_id": "Ann", "item_id": [f"film {t}" for t in times], "timestamp": times})
        size = min(math.ceil(Fraction(fraction) * n), n - 1)
        found = item_ids(returned(function, rows, fraction))
        require(
            len(found) < n,
            "nothing is left to learn from.",
            "One row alone stays in training; and where the size is 0, `rows[-0:]` is everything.",
        )
        require(
            len(found) == size,
            "a test part has the wrong size.",
            "Round up, and compute with `Fraction(fraction)`: floats can be a hair too large.",
        )
        latest = {f"film {t}" for t in range(n - size, n)}
        require(
            {*found} == latest, "an earlier row is tested.", "The file is in no order: sort by time first."
        )


@exercise("02", "a number between 0 and 1")
def split_3(ndcg: Any) -> None:
    """Compute the NDCG@10 of a list with two of three test items on it."""
    given = number(ndcg)
    worth = 1 / np.log2(np.arange(1, 11) + 1)
    found, best = worth[[1, 4]].sum(), worth[:3].sum()
    require(
        0 <= given <= 1,
        "an NDCG lies between 0 and 1.",
        "Divide the sum by that of the best list that there could be.",
    )
    require(
        abs(given - found / worth[:2].sum()) > 0.003,
        "the best possible list is better than that.",
        "It would hold all three test items, the one that was missed, too.",
    )
    require(
        abs(given - found / best) < 0.003,
        "the value is off.",
        "At rank r an item is worth 1 / log2(r + 1), and the best list has its items at ranks 1, 2 and 3.",
    )


@exercise("02", "a whole number of users")
def split_4(tied: Any, interactions: pd.DataFrame) -> None:
    """Count the users whose test part begins inside a tie, with times to the hour."""
    given = number(tied)
    hourly = interactions.assign(timestamp=interactions["timestamp"].dt.floor("h"))
    by_hour, by_second = (
        split_report(split_per_user(rows)).loc["test", "tied_users"] for rows in (hourly, interactions)
    )
    require(
        given != by_second,
        "that is the number for times to the second.",
        "Split the interactions with the new times, not the old split.",
    )
    require(
        given == by_hour,
        "the number is off.",
        "Split the table with floored times per user, and read `tied_users` of the test part in its report.",
    )


@exercise("02", "a word: 'rises', 'falls' or 'stays'")
def split_5(prediction: Any) -> None:
    """Predict what a copied half of the test part does to a score."""
    words = {"rises": "up", "rise": "up", "falls": "down", "fall": "down", "stays": "same", "stay": "same"}
    found = words[word(prediction)]
    require(
        found == "down",
        "think of what a list may hold.",
        "An item that the user has already is never on the list. Which items does the user have now?",
    )


@exercise("02", "the letters of the true claims, such as `claims = 'ab'`")
def split_6(claims: Any) -> None:
    """Sort claims about what leaks, and what luck does."""
    leaks, luck = "“What leaks”", "“Validation, and why test is read once”"
    told = {"a": leaks, "b": leaks, "c": leaks, "d": luck, "e": "“What a random split measures”"}
    sort_claims(claims, "acd", told)

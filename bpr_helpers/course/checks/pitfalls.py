"""Checks of the exercises of notebook 05."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from bpr_helpers.course.checks.verdict import exercise, number, parts, require, returned, sort_claims, word


@exercise("05", "a word: 'rises', 'falls' or 'stays'")
def pitfalls_1(prediction: Any) -> None:
    """Predict what a model does that was fitted on the test part, too, and may recommend it."""
    words = {"rises": "up", "rise": "up", "falls": "down", "fall": "down", "stays": "same", "stay": "same"}
    require(
        words[word(prediction)] == "up",
        "think of what a model says about what it was fitted on.",
        "Here the lists leave out only what is in the honest training part. What stands at their top?",
    )


@exercise("05", "a function with the arguments `train, test`, which returns ids of users")
def pitfalls_2(function: Any) -> None:
    """Find the users who have a test row before a row of their training."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        rows = pd.DataFrame({"user_id": np.repeat([f"u{n}" for n in range(12)], 6), "item_id": np.arange(72)})
        rows["timestamp"] = rng.integers(0, 9, len(rows)) + 100 * rng.permutation(12).repeat(6)
        late = rows.sort_values(["user_id", "timestamp"], kind="stable").groupby("user_id").tail(2)
        some = late["user_id"].isin(["u1", "u4"])  # of these, rows from anywhere are tested
        drawn = rows[rows["user_id"].isin(["u1", "u4"])].groupby("user_id").head(2)
        test = pd.concat([late[~some], drawn]).sample(frac=1, random_state=seed)
        train = rows.drop(test.index)
        last, first = train.groupby("user_id")["timestamp"].max(), test.groupby("user_id")["timestamp"].min()
        right = {*first.index[first < last.reindex(first.index)]}
        tied = {*first.index[first == last.reindex(first.index)]} - right
        found = {*map(str, parts(returned(function, train, test)))}
        require(found <= {*rows["user_id"]}, "that is no user.", "Return ids, as they stand in user_id.")
        require(
            not found & tied,
            "somebody is accused who has only a tie.",
            "A test row at the same time as the last training row is not before it.",
        )
        require(
            found == right,
            "the users are not the right ones.",
            "Compare, user by user, the earliest test row with the latest row of their own training.",
        )


@exercise("05", "a function with the arguments `mistaken, fair`, which returns mean, low and high")
def pitfalls_3(function: Any) -> None:
    """Compute a price: a mean difference over seeds with its 95 % interval."""
    for seed, n in ((0, 3), (1, 5), (2, 12)):
        rng = np.random.default_rng(seed)
        fair = 0.15 + 0.02 * rng.normal(size=n)  # the seeds differ more than the two sides do
        mistaken = fair + 0.01 + 0.003 * rng.normal(size=n)
        change = mistaken - fair
        room = stats.t.ppf(0.975, n - 1) * change.std(ddof=1) / np.sqrt(n)
        found = [number(one) for one in parts(returned(function, mistaken.copy(), fair.copy()))]
        require(len(found) == 3, "there are three numbers.", "Return the mean, the low end and the high end.")
        mean, low, high = found
        require(
            abs(mean - change.mean()) < 1e-6,
            "the mean is off.",
            "It is with the mistake minus without it.",
        )
        require(
            high - low < 4 * room or n > 5,
            "the interval is far too wide.",
            "Both sides have the same seeds: subtract seed by seed first.",
        )
        require(
            abs(high - mean - room) < 0.01 * room and abs(mean - low - room) < 0.01 * room,
            "the interval is off.",
            "Student's t with n - 1 degrees of freedom, times the standard error (with ddof=1).",
        )


@exercise("05", "the letters of the true claims, such as `claims = 'ab'`")
def pitfalls_4(claims: Any) -> None:
    """Sort claims about races, leaks and audits."""
    told = {
        "a": "pitfall 16",
        "b": "pitfall 11",
        "c": "pitfall 13",
        "d": "pitfall 16",
        "e": "what the audit cannot see",
    }
    sort_claims(claims, "ac", told)

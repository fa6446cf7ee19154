"""Checks of the exercises of notebook 01."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bpr_helpers.course.checks.verdict import exercise, number, pairs, require, returned, sort_claims
from bpr_helpers.pruning import k_core, largest_k

TOY = pd.DataFrame(
    {
        "user_id": ["Ann", "Ann", "Bob", "Bob", "Cho", "Cho", "Dee"],
        "item_id": ["Alien", "Brazil", "Alien", "Brazil", "Brazil", "Casablanca", "Casablanca"],
    }
)


@exercise("01", "a whole number, such as `prediction = 1`")
def kcore_1(prediction: Any, liked: pd.DataFrame) -> None:
    """Predict the last k with a core."""
    k, last = number(prediction), largest_k(liked)
    require(
        k < last + 11,
        "the core ends earlier.",
        "Users and items both lose rows, so the old last k is out of reach. How much is gone?",
    )
    require(
        k > last - 11,
        "the core lasts longer.",
        "About half of the rows are left, and those who hold each other up are the busiest.",
    )


@exercise("01", "a list of pairs, such as `[('Ann', 'Casablanca')]`")
def kcore_2(more: Any) -> None:
    """Add the fewest rows to the toy table so that nobody has to leave."""
    added = pairs(more)
    rows = pd.concat([TOY, added], ignore_index=True)
    known = {*TOY["user_id"], *TOY["item_id"]}
    require(
        not rows.duplicated().any(),
        "somebody has the same film twice.",
        "The rule asks for two films, not for two rows.",
    )
    require(
        len(k_core(rows, user_k=2, item_k=2).interactions) == len(rows),
        "somebody still has to leave.",
        "Who leaves first in the lesson? Give that person another film of the table, spelt as it is there."
        if {*added["user_id"], *added["item_id"]} <= known
        else "A new person or a new film needs two rows of its own. Names are spelt as in the table.",
    )
    require(len(added) == 1, "it can be done with fewer rows.", "Who leaves first, and what would hold them?")


@exercise("01", "a list of twelve pairs of a user and an item")
def kcore_3(stubborn: Any) -> None:
    """Make a table that needs many rounds until nothing is left."""
    rows = pairs(stubborn)
    require(len(rows) == 12, "the table should have twelve rows.", "A row is one pair of a user and an item.")
    require(not rows.duplicated().any(), "a row is there twice.", "Twelve different pairs, please.")
    left = k_core(rows, user_k=2, item_k=2).rounds["rows"]
    require(
        left.iloc[-1] == 0,
        "something is left at the end.",
        "There is a circle: from a user to an item to the next user and back. Open it.",
    )
    require(
        len(left) - 1 == 6,
        "it needs more rounds than that, or fewer.",
        "Each round should remove as little as possible. Draw users and items as dots and rows as lines: "
        "only dots with a single line leave. How few such dots can there be?",
    )


@exercise("01", "a function with the arguments `rows, user_k, item_k`, which returns the rows that stay")
def kcore_4(function: Any) -> None:
    """Prune one user or item at a time."""
    chain = pd.DataFrame({"user_id": [1, 1, 2, 2, 3, 3, 4], "item_id": list("abbccdd")}, index=range(7, 14))
    square = pd.DataFrame([(u, i) for u in range(4) for i in "pqr"], columns=["user_id", "item_id"])
    circle = pd.concat([square, chain.assign(user_id=chain["user_id"] + 8)], ignore_index=True)
    cases = [
        (TOY, 2, 2),
        (TOY, 1, 3),
        (TOY, 3, 1),
        (chain, 2, 2),
        (square, 3, 4),
        (circle, 2, 2),
        (circle, 3, 2),
    ]
    for rows, user_k, item_k in cases:
        kept = pairs(returned(function, rows, user_k, item_k))
        expected = pairs(k_core(rows, user_k=user_k, item_k=item_k).interactions)
        require(
            len(expected.merge(kept)) == len(expected),
            "somebody has to leave who has enough.",
            "A count equal to the threshold is enough. Is each threshold used for its own column?",
        )
        require(
            len(kept) == len(expected),
            "somebody stays who has too few.",
            "Count again after every removal, users and items alike, until nobody has too few.",
        )


@exercise("01", "the letters of the true claims, such as `claims = 'ab'`")
def kcore_5(claims: Any) -> None:
    """Sort claims about pruning once."""
    order, passes = "“Order does not matter”", "“One pass is not enough”"
    told = {
        "a": order,
        "b": "“By hand, on a toy table”",
        "c": order,
        "d": passes,
        "e": "“Who leaves?”",
        "f": passes,
    }
    sort_claims(claims, "adf", told)

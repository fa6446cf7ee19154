"""Checks of the exercises of notebook 00."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bpr_helpers.course.checks.verdict import exercise, item_ids, number, pairs, parts, require, sort_claims
from bpr_helpers.matrix import Recommender
from bpr_helpers.recommend import recommend


@exercise("00", "a whole number of filled cells, such as `prediction = 1`")
def start_1(prediction: Any, corner: pd.DataFrame) -> None:
    """Predict how many filled cells of a row give the most triples."""
    filled, n_items = number(prediction), corner.shape[1]
    most = max(range(n_items + 1), key=lambda n: n * (n_items - n))
    require(
        filled < n_items,
        "with every cell filled there would be no negative.",
        "A triple needs a filled cell and an empty one. Count the pairs.",
    )
    require(
        filled == most,
        "another number gives more.",
        "Every filled cell makes a triple with every empty cell: multiply their numbers.",
    )


@exercise("00", "a user, an item they chose and one they did not: `triple = (u, i, j)`")
def start_2(triple: Any, corner: pd.DataFrame) -> None:
    """Find a user with the most triples, and one triple of theirs."""
    u, i, j = map(str, parts(triple))  # an array has made texts of its numbers
    table = corner.set_axis(corner.index.map(str)).set_axis(corner.columns.map(str), axis=1)
    require(u in table.index, "the first part is no user of this corner.", "Users are named at the left.")
    require({i, j} <= {*table.columns}, "one item is not in this corner.", "Copy it from `corner.columns`.")
    n_chosen = table.sum(axis=1)
    n_triples = n_chosen * (table.shape[1] - n_chosen)
    require(
        n_triples[u] == n_triples.max(),
        "somebody else has more triples.",
        "Multiply, for every row, the filled cells by the empty ones.",
    )
    require(
        table.loc[u, i], "this user did not choose the positive.", "The order is user, positive, negative."
    )
    require(not table.loc[u, j], "this user chose the negative, too.", "Take an empty cell of the row for j.")


@exercise("00", "two collections of item ids, such as `[1, 50]`")
def start_3(common: Any, common_popular: Any, model: Recommender, popular: Recommender, users: Any) -> None:
    """Say which items two people are both offered, by a model and by popularity."""
    for answer, one, name in ((common, model, "item-kNN"), (common_popular, popular, "Popularity")):
        first, second = ({*recommend(one, u, n=10)["item_id"].tolist()} for u in users)
        given = {*item_ids(answer)}
        require(
            given <= first | second,
            f"by {name}, an item is on neither list.",
            "Give ids, not titles, and make lists of ten: `recommend(..., n=10)`.",
        )
        require(
            given <= first & second,
            f"by {name}, an item is on one list alone.",
            "Keep those on both: `isin`, or `&` of two sets.",
        )
        require(
            given == first & second,
            f"by {name}, an item is missing.",
            "Compare all ten places of both lists.",
        )


@exercise("00", "the letters of the true claims, such as `claims = 'ab'`")
def start_4(claims: Any) -> None:
    """Sort claims about two lists by popularity."""
    told = dict.fromkeys("abcd", "section 4, and the description of the list in section 1,")
    told["e"] = "section 2, below the picture of the matrix,"
    sort_claims(claims, "ade", told)


@exercise("00", "a list of pairs, such as `[('Ann', 'Alien'), ('Bob', 'Brazil')]`")
def start_5(rows: Any) -> None:
    """Write down interactions that a model can learn from."""
    friends = pairs(rows)
    require(len(friends) >= 12, "a dozen rows, please.", "One pair for each film that somebody saw.")
    require(
        not friends.duplicated().any(),
        "a row is there twice.",
        "An interaction says *that* somebody chose an item; saying it again adds nothing.",
    )
    films, people = friends["user_id"].value_counts(), friends["item_id"].value_counts()
    require(films.min() >= 2, "somebody has only one film.", "Two at least, so that films can be compared.")
    require(
        people.max() >= 2,
        "no film was seen by two people.",
        "Two films are similar if many of the same people saw both. Perhaps a title is spelt in two ways?",
    )
    require(
        films.max() < len(people), "somebody saw every film.", "Leave a film for everybody to be recommended."
    )

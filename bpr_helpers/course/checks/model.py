"""Checks of the exercises of notebook 03."""

from __future__ import annotations

from typing import Any

import numpy as np

from bpr_helpers.course.checks.verdict import (
    exercise,
    number,
    parts,
    require,
    returned,
    sort_claims,
    word,
)


def _sigmoid(x: float) -> float:
    return float(1 / (1 + np.exp(-x)))


@exercise("03", "a number, such as `prediction = 1.0`")
def model_1(prediction: Any) -> None:
    """Predict how much longer the step of a triple in the wrong order is."""
    given, right = number(prediction), _sigmoid(3) / _sigmoid(-3)
    require(
        given > 1,
        "the other step is the longer one.",
        "Read the figure of the loss again: which triples are pushed hard?",
    )
    require(
        abs(given / right - 1) < 0.25,
        "the factor is off.",
        "Both steps go along the same vectors. Only the push differs: compute it for both leads.",
    )


@exercise(
    "03", "a function with the arguments `user, positive, negative, b_i, b_j, l2`, returning two slopes"
)
def model_2(function: Any) -> None:
    """Derive the slopes of the loss for the biases of positive and negative."""
    rng = np.random.default_rng(0)
    for l2 in (0.0, 0.1, 2.0):
        user, positive, negative = rng.normal(size=(3, 4))
        b_i, b_j = 1.5, -0.75
        push = _sigmoid(-(user @ (positive - negative) + b_i - b_j))
        found = [
            number(one)
            for one in parts(returned(function, user.copy(), positive.copy(), negative.copy(), b_i, b_j, l2))
        ]
        require(len(found) == 2, "there are two slopes.", "Return the positive's and then the negative's.")
        require(
            l2 > 0 or np.sign(found).tolist() == [-1, 1],
            "a slope points the wrong way.",
            "The loss falls when the positive's bias rises, and rises with the negative's.",
        )
        require(
            l2 > 0 or np.allclose(found, [-push, push], atol=1e-6),
            "without L2 the slopes are off.",
            "The lead holds the biases, too: what is its slope for each of them? The rest is the push.",
        )
        require(
            np.allclose(found, [-push + l2 * b_i, push + l2 * b_j], atol=1e-6),
            "with L2 the slopes are off.",
            "Half the strength times the square of a number has the slope strength times number, for both.",
        )


@exercise("03", "a function with the arguments `chosen, n_items, n, rng`, which returns n codes of items")
def model_3(function: Any) -> None:
    """Draw negatives: uniformly from the items that a user has not chosen."""
    for chosen, n_items in (([1, 2, 3], 8), ([0, 7], 8), ([0, 1, 2, 4], 5), ([], 4)):
        n = 4000
        drawn = parts(returned(function, np.array(chosen, int), n_items, n, np.random.default_rng(1)))
        codes = np.array([number(one) for one in drawn])
        require(len(codes) == n, "the number of negatives is off.", "Draw with replacement: n may be large.")
        require(
            not np.isin(codes, chosen).any(),
            "a chosen item is among the negatives.",
            "Draw from the codes that are left when the chosen ones are taken out.",
        )
        others = np.setdiff1d(np.arange(n_items), chosen)
        require(np.isin(codes, others).all(), "there is no such item.", "Codes run from 0 to n_items - 1.")
        counts = np.array([(codes == other).sum() for other in others])
        room = 5 * np.sqrt(n / len(others)) if len(others) > 1 else 0
        require(
            np.abs(counts - n / len(others)).max() <= room,
            "some items are drawn more often than others.",
            "Draw anew, or from a list of what is left; do not move on to the next item.",
        )


@exercise("03", "a function with the arguments `users, items, u, i, j, rate, l2`, returning users and items")
def model_4(function: Any) -> None:
    """Take one step of stochastic gradient descent for one triple."""
    rng = np.random.default_rng(2)
    tables = rng.normal(size=(4, 3)), rng.normal(size=(5, 3))
    for l2 in (0.0, 0.3):
        users, items = (table.copy() for table in tables)
        user, positive, negative = users[1].copy(), items[2].copy(), items[4].copy()
        push = _sigmoid(-(user @ (positive - negative)))
        users[1] -= 0.5 * (l2 * user - push * (positive - negative))
        items[2] -= 0.5 * (l2 * positive - push * user)
        items[4] -= 0.5 * (l2 * negative + push * user)
        found = parts(returned(function, *(table.copy() for table in tables), 1, 2, 4, 0.5, l2))
        require(len(found) == 2, "there are two tables.", "Return users and items.")
        new_users, new_items = (np.asarray(table, float) for table in found)
        rest = np.delete(new_users, 1, 0), np.delete(new_items, [2, 4], 0)
        same = np.delete(tables[0], 1, 0), np.delete(tables[1], [2, 4], 0)
        require(
            all(np.allclose(a, b) for a, b in zip(rest, same, strict=True)),
            "a row that is not in the triple has moved.",
            "Only one user and two items take a step.",
        )
        require(
            np.allclose(new_users[1], users[1], atol=1e-5),
            "the user's vector is off.",
            "It moves towards the positive and away from the negative. L2, if there is any, shortens it.",
        )
        require(
            np.allclose(new_items[[2, 4]], items[[2, 4]], atol=1e-5),
            "with L2, an item's vector is off." if l2 else "an item's vector is off.",
            "L2 shortens all three vectors of the triple."
            if l2
            else "All three slopes are taken where the triple stood before any of its vectors moved.",
        )


@exercise("03", "a word, such as `prediction = 'shrinks'`")
def model_5(prediction: Any) -> None:
    """Predict what a thousand epochs without L2 do to the lengths of vectors."""
    given = word(prediction)
    require(given in {"settles", "grows", "shrinks"}, "it is one of three words.", "Look at the task again.")
    require(
        given == "grows",
        "the vectors do something else.",
        "Take a triple in the right order, and make its vectors a little longer. What does its loss do?",
    )


@exercise("03", "the letters of the true claims, such as `claims = 'ab'`")
def model_6(claims: Any) -> None:
    """Sort claims about over-fitting, the prior, the refit, biases and patience."""
    told = {
        "a": "the figure of the loss",
        "b": "“The cure”",
        "c": "“From one comparison to an objective”",
        "d": "the three steps at the end of “When to stop”",
        "e": "the definition of the lead in section 1",
        "f": "the table of “When to stop”",
    }
    sort_claims(claims, "ace", told)

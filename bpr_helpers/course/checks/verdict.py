"""What a check answers, and what all checks need: to read any form of an answer and to break on none."""

from __future__ import annotations

import functools
import html
import numbers
import warnings
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from typing import Any

import numpy as np
import pandas as pd

# The checks by the number of their notebook and by name, in the order of the exercises.
EXERCISES: dict[str, dict[str, Callable[..., Verdict]]] = {}
_MOST = 100_000  # of an answer's parts; an endless one has more


class NotYet(Exception):
    """An answer is not right yet; the arguments are two hints, the second a stronger one."""


class Verdict:
    """What a check found. It is true where the answer is right, and displays as a sentence.

    Parameters
    ----------
    hints : none where the answer is right, else two: one to show, and a stronger one to unfold

    Examples
    --------
    >>> Verdict()
    right
    >>> Verdict("count again.", "Ann counts, too.")
    not yet: count again.
    """

    def __init__(self, *hints: str) -> None:
        self.hints = hints

    def __bool__(self) -> bool:
        return not self.hints

    def __repr__(self) -> str:
        return f"not yet: {self.hints[0]}" if self.hints else "right"

    def _repr_html_(self) -> str:
        if not self.hints:
            return "<b>right</b>"
        hint, more = map(html.escape, self.hints)
        return f"<b>not yet</b>: {hint}<details><summary>another hint</summary>{more}</details>"


def exercise(notebook: str, form: str) -> Callable[[Callable[..., None]], Callable[..., Verdict]]:
    """Make a check of a function that raises `NotYet` unless the answer is right.

    Parameters
    ----------
    notebook : number of the notebook, under which the check is registered
    form : what an answer is, such as "a whole number"; shown where there is none, or one of another form

    Returns
    -------
    decorator
        The check takes the function's arguments, answers with a `Verdict`, and raises nothing.
    """

    def register(check: Callable[..., None]) -> Callable[..., Verdict]:
        @functools.wraps(check)
        def judge(*given: Any, **named: Any) -> Verdict:
            if any(one is ... or one is None for one in (*given, *named.values())):
                return Verdict("there is no answer yet.", f"The answer is {form}.")
            try:
                with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
                    check(*given, **named)
            except NotYet as found:
                return Verdict(*found.args)
            except (Exception, SystemExit):
                return Verdict("the answer has another form than the one asked for.", f"It is {form}.")
            return Verdict()

        EXERCISES.setdefault(notebook, {})[check.__name__] = judge
        return judge

    return register


def require(condition: Any, hint: str, more: str) -> None:
    """Go on where a condition holds, and else stop with two hints."""
    if not condition:
        raise NotYet(hint, more)


def number(answer: Any) -> float:
    """Read a number of any type: Python's, NumPy's, or the only one of an array, Series or list."""
    if isinstance(answer, (np.ndarray, pd.Series, list, tuple)):
        (answer,) = np.asarray(answer).ravel().tolist()
    if isinstance(answer, (bool, np.bool_)) or not isinstance(answer, numbers.Real):
        raise TypeError("not a number")
    return float(answer)


def parts(answer: Any) -> list[Any]:
    """Read the parts of a list, set, array, Series or another collection, as Python's values."""
    if isinstance(answer, (str, bytes, pd.DataFrame)):
        raise TypeError("not a list")
    some = list(islice(answer, _MOST))
    return [one.item() if isinstance(one, np.generic) else one for one in some]


def item_ids(answer: Any) -> list[Any]:
    """Read ids of items: those of a table's column item_id, or the parts of a collection."""
    return parts(answer["item_id"] if isinstance(answer, pd.DataFrame) else answer)


def pairs(answer: Any) -> pd.DataFrame:
    """Read pairs of a user and an item, as texts: a list of pairs, an array, or a table of these columns."""
    if isinstance(answer, pd.DataFrame):
        answer = answer[["user_id", "item_id"]].to_numpy()
    rows = [(str(user), str(item)) for user, item in map(parts, parts(answer))]
    return pd.DataFrame(rows, columns=["user_id", "item_id"])


def word(answer: Any) -> str:
    """Read a word, in upper or lower case and with or without blanks around it."""
    if not isinstance(answer, str):
        raise TypeError("not a word")
    return answer.strip().lower()


def returned(function: Any, *arguments: Any) -> Any:
    """Give what a reader's function returns for copies of the arguments, and stop with hints if it fails."""
    require(callable(function), "the answer should be a function.", "Give its name, without parentheses.")
    try:
        result = function(*(one.copy() if isinstance(one, pd.DataFrame) else one for one in arguments))
    except (Exception, SystemExit) as error:
        kind = type(error).__name__
        raise NotYet(
            f"the function stops with a {kind}.", "Call it yourself on a small example to see where."
        ) from error
    require(result is not None, "the function returns nothing yet.", "Its last line is `return ...`.")
    return result


def sort_claims(marked: Any, right: Collection[str], told_in: Mapping[str, str]) -> None:
    """Compare the letters of the claims that a reader takes for true with those that are.

    Parameters
    ----------
    marked : letters, as a text, a list, a set, or a dict of letters and truth values
    right : the letters of the true claims
    told_in : for every letter where the lesson speaks of it
    """
    if isinstance(marked, Mapping):
        marked = [letter for letter, holds in marked.items() if holds]
    letters: Iterable[str] = [c for c in marked if c.isalpha()] if isinstance(marked, str) else parts(marked)
    found = {word(letter) for letter in letters}
    require(
        found <= {*told_in}, "there is no claim with that letter.", f"Use {', '.join(told_in)}, as in 'ab'."
    )
    wrong = sorted(found ^ {*right})
    some = "one claim is" if len(wrong) == 1 else "some claims are"
    require(not wrong, f"{some} on the wrong side.", f"Read {told_in[min(wrong, default='a')]} again.")

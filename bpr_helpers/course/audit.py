"""What of a comparison can be checked without asking anybody: the split's parts, and one fitted model."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd

from bpr_helpers.history import FromHistories
from bpr_helpers.matrix import same_kind
from bpr_helpers.ranking import top_k
from bpr_helpers.splitting import Split, split_report

LOOKED_AT = 1000  # users whose scores and lists are looked at
SPARSE = 10  # ids that run to more than so many times the number of items


class Finding(NamedTuple):
    """Whether something is in order (None: it could not be checked), and a sentence about it."""

    fine: bool | None
    sentence: str


def audit(split: Split, recommender: FromHistories) -> pd.DataFrame:
    """Look for the mistakes of a comparison that show in its split and in its model.

    Most mistakes do not show: a choice that was made on the test part, or a rival that knew less, leaves no
    trace in either. What is told here is what the numbers alone can say.

    Parameters
    ----------
    split : Split, its parts with columns user_id, item_id and, where there are times, timestamp
    recommender : a model that was fitted on train, or on train and valid

    Returns
    -------
    DataFrame, a row per check, indexed by what was looked for
        verdict : "fine", "look" or "cannot say"
        finding : a sentence with the number that was found

    Raises
    ------
    ValueError
        The model is not fitted, or the test part is empty.

    Examples
    --------
    >>> from bpr_helpers import Popularity, split_leave_last, synthetic_interactions
    >>> split = split_leave_last(synthetic_interactions(50, 40, 600))
    >>> audit(split, Popularity().fit(split.train)).loc["the test part in the model", "verdict"]
    'fine'
    """
    if getattr(recommender, "matrix", None) is None:
        raise ValueError(
            f"{type(recommender).__name__} is not fitted: fit it on split.train before its audit."
        )
    if split.test.empty:
        raise ValueError("The test part is empty: there is nothing that could be judged with this split.")
    case = _Case(split, recommender)
    found = {name: check(case) for name, check in CHECKS.items()}
    words = {True: "fine", False: "look", None: "cannot say"}
    rows = [(words[finding.fine], finding.sentence) for finding in found.values()]
    return pd.DataFrame(rows, pd.Index(found, name="looked for"), ["verdict", "finding"])


class _Case:
    """A split and a model, with what several checks need of them."""

    def __init__(self, split: Split, recommender: FromHistories) -> None:
        self.split, self.matrix = split, recommender.matrix
        self.report = split_report(split)
        tested = same_kind(split.test["user_id"], self.matrix.user_ids).drop_duplicates()
        codes = self.matrix.user_codes(tested)
        self.unknown = int((codes < 0).sum())
        self.n_tested = len(codes)
        self.users = codes[codes >= 0][:LOOKED_AT]
        self.scores = np.asarray(recommender.score(self.users))  # (n, n_items)
        self.lists = top_k(recommender.score, self.matrix, self.users)  # (n, 10)

    def fact(self, name: str) -> float:
        """What the split's report says of the test part."""
        return float(self.report[name].to_numpy()[-1])

    def holds(self, part: pd.DataFrame) -> int:
        """How many rows of a part the model was fitted on."""
        users = self.matrix.user_codes(same_kind(part["user_id"], self.matrix.user_ids))
        items = self.matrix.item_codes(same_kind(part["item_id"], self.matrix.item_ids))
        known = (users >= 0) & (items >= 0)
        return int(self.matrix.contains(users[known], items[known]).sum())


def _share(n: int, of: int) -> str:
    return f"{n:,} of {of:,}"


def _test_in_model(case: _Case) -> Finding:
    found, n = case.holds(case.split.test), len(case.split.test)
    return Finding(
        not found,
        f"The model was fitted on {_share(found, n)} test rows; it never recommends those.",
    )


def _valid_in_model(case: _Case) -> Finding:
    found, n = case.holds(case.split.valid), len(case.split.valid)
    if not n:
        return Finding(None, "There is no validation part: choose settings on one, never on the test part.")
    told = f"The model was fitted on {_share(found, n)} validation rows"
    return Finding(found > n / 2, f"{told}; a model is fitted again on them before it is tested.")


def _repeated(case: _Case) -> Finding:
    found = int(case.fact("repeated_pairs"))
    return Finding(
        not found, f"{found:,} pairs of user and item in the test part stand in an earlier part, too."
    )


def _twice(case: _Case) -> Finding:
    found = int(case.split.test.duplicated(["user_id", "item_id"]).sum())
    return Finding(not found, f"{found:,} test rows repeat another one, and would count twice as relevant.")


def _order(case: _Case) -> Finding:
    if any("timestamp" not in part for part in (case.split.train, case.split.test)):
        return Finding(None, "There are no times: nobody can say whether the test part comes last.")
    last = case.split.train.groupby("user_id")["timestamp"].max()
    first = case.split.test.groupby("user_id")["timestamp"].min()
    both = pd.concat([last, first], axis=1, join="inner", keys=["train", "test"])
    found = int((both["test"] < both["train"]).sum())
    return Finding(
        not found, f"{_share(found, len(both))} users have a test row before one of their training."
    )


def _ties(case: _Case) -> Finding:
    found, n = case.fact("tied_users"), int(case.fact("users"))
    if pd.isna(found):
        return Finding(None, "There are no times, so there are no ties that could be looked for.")
    told = f"For {_share(int(found), n)} users a tie was cut, and the rule for ties decided"
    return Finding(found <= n / 20, f"{told}; judge with several seeds of it.")


def _future(case: _Case) -> Finding:
    found = case.fact("later_in_train")
    if pd.isna(found):
        return Finding(None, "There are no times: nobody can say how much of the future is in training.")
    told = f"On average {found:.0%} of training, by anybody, is later than a test row"
    return Finding(found < 0.01, f"{told}; a split at one moment has none of that.")


def _strangers(case: _Case) -> Finding:
    told = f"The model does not know {_share(case.unknown, case.n_tested)} test users"
    return Finding(not case.unknown, f"{told}; they are in no mean.")


def _unknown_items(case: _Case) -> Finding:
    items = same_kind(case.split.test["item_id"], case.matrix.item_ids)
    found, n = int((case.matrix.item_codes(items) < 0).sum()), len(items)
    told = f"{_share(found, n)} test rows are of items that the model does not know"
    return Finding(found <= n / 20, f"{told}; they count as missed.")


def _sparse_ids(case: _Case) -> Finding:
    ids = np.asarray(case.matrix.item_ids)
    if not np.issubdtype(ids.dtype, np.integer):
        return Finding(True, "Item ids are no numbers, so nobody takes the largest for a table's size.")
    table = int(ids.max()) + 1
    told = f"The largest item id asks for {table:,} rows where {len(ids):,} items need one"
    return Finding(table <= SPARSE * len(ids), f"{told}; use codes, not ids, as places in a table.")


def _constant(case: _Case) -> Finding:
    found = int((np.ptp(case.scores, axis=1) == 0).sum()) if case.scores.size else 0
    told = f"{_share(found, len(case.users))} users have the same score for every item"
    return Finding(not found, f"{told}; their list is the order in which ties are broken.")


def _alike(case: _Case) -> Finding:
    n = len(np.unique(np.sort(case.lists, axis=1), axis=0))
    told = f"{len(case.users):,} users got {n:,} different lists of ten"
    return Finding(n > len(case.users) / 2, f"{told}; popularity gives almost everybody the same.")


CHECKS: dict[str, Callable[[_Case], Finding]] = {
    "the test part in the model": _test_in_model,
    "the validation part in the model": _valid_in_model,
    "test pairs in earlier parts": _repeated,
    "test rows that stand twice": _twice,
    "test rows before training": _order,
    "ties at the boundary": _ties,
    "the future of others in training": _future,
    "test users whom the model does not know": _strangers,
    "test items that the model does not know": _unknown_items,
    "ids taken for a table's size": _sparse_ids,
    "constant scores": _constant,
    "lists that are all alike": _alike,
}

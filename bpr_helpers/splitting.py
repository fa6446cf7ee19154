"""Chronological splits: train on the past, test on what came later, and a report on what leaks.

Sizes, as the comments on shapes name them: n rows of the frame, t of them tied (their user has another row of
the same time), n_codes codes of users, some of which no row may have.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property

import numpy as np
import pandas as pd

from bpr_helpers.matrix import id_column, keep_rows, row_codes, same_kind, times_of

_TRAIN, _VALID, _TEST = range(3)


@dataclass(frozen=True, eq=False)
class Split:
    """The parts of a split; every row of the interactions is in exactly one of them.

    Attributes
    ----------
    train, valid, test : DataFrame, rows in their old order, with their old index and all columns
    counts : dict, the number of users, and how many of them were too short for a part
    """

    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame
    counts: dict[str, int] = field(default_factory=dict)


def split_per_user(
    interactions: pd.DataFrame,
    *,
    test_fraction: float = 0.1,
    valid_fraction: float = 0.0,
    ties: str = "shuffle",
    seed: int = 0,
) -> Split:
    """Test on the latest fraction of every user's interactions.

    Of a user's n rows the last ceil(test_fraction * n) are the test part, of the m rows before them the
    last ceil(valid_fraction * m) the validation part, in exact arithmetic; at least one row stays in
    train. Users with too few rows for a part have none, and are counted.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, columns user_id, item_id and timestamp
    test_fraction : float above 0 and below 1
    valid_fraction : float, at least 0 and below 1
    ties : how rows of one user with equal times are ordered: "shuffle" by a hash of user, item and seed,
        which is the same for any order of the rows; "item" by ascending item id; "row" as they stand
    seed : int, another one orders the ties, and only the ties, in another way

    Raises
    ------
    ValueError
        A column, an id or a time is missing, or an argument is out of its range.

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": [1, 1, 1, 2], "item_id": [7, 8, 9, 7], "timestamp": [3, 1, 2, 5]})
    >>> split = split_per_user(rows, test_fraction=0.3)
    >>> split.train["item_id"].tolist(), split.test["item_id"].tolist()
    ([8, 9, 7], [7])
    """
    test_share, valid_share = _share("test_fraction", test_fraction), _share("valid_fraction", valid_fraction)

    def sizes(n_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n_test = np.minimum(_ceil(test_share, n_rows), n_rows - 1)
        return n_test, np.minimum(_ceil(valid_share, n_rows - n_test), n_rows - n_test - 1)

    return _split_last(interactions, sizes, ties, seed)


def split_leave_last(
    interactions: pd.DataFrame, *, n_test: int = 1, n_valid: int = 0, ties: str = "shuffle", seed: int = 0
) -> Split:
    """Test on the last few interactions of every user.

    The last n_test rows of a user are the test part, the n_valid rows before them the validation part.
    A user who would have no row left in train is too short for that part: its rows stay in train.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, columns user_id, item_id and timestamp
    n_test : int >= 1
    n_valid : int >= 0
    ties, seed : the order of equal times, as in `split_per_user`

    Raises
    ------
    ValueError
        A column, an id or a time is missing, or an argument is out of its range.

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": [1, 1, 1, 2], "item_id": [7, 8, 9, 7], "timestamp": [3, 1, 2, 5]})
    >>> split_leave_last(rows).test["item_id"].tolist()
    [7]
    """
    for name, n, lowest in (("n_test", n_test, 1), ("n_valid", n_valid, 0)):
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < lowest:
            raise ValueError(f"{name} is {n!r}: give a whole number of at least {lowest}.")

    def sizes(n_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        in_test = np.where(n_rows > n_test, n_test, 0)
        return in_test, np.where(n_rows - in_test > n_valid, n_valid, 0)

    return _split_last(interactions, sizes, ties, seed)


def split_global_time(
    interactions: pd.DataFrame, *, test_fraction: float = 0.1, valid_fraction: float = 0.0
) -> Split:
    """Test on everything that happened after one moment, the same for all users.

    The test part is the latest ceil(test_fraction * n) rows and all rows that share the time of the first
    of them; where that would leave nothing for train, these go to train instead. The validation part is
    cut from the rows before it in the same way. A user who comes late may be in the test part only.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, columns user_id, item_id and timestamp
    test_fraction : float above 0 and below 1
    valid_fraction : float, at least 0 and below 1

    Raises
    ------
    ValueError
        A column, an id or a time is missing, an argument is out of its range, or all rows that are to be
        cut share one time.

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": [1, 1, 1, 2], "item_id": [7, 8, 9, 7], "timestamp": [3, 1, 2, 5]})
    >>> split_global_time(rows, test_fraction=0.25).test["user_id"].tolist()
    [2]
    """
    test_share, valid_share = _share("test_fraction", test_fraction), _share("valid_fraction", valid_fraction)
    users, times = row_codes(id_column(interactions, "user_id")), times_of(interactions)
    id_column(interactions, "item_id")
    ordered = np.sort(times)
    part = np.full(len(times), _TRAIN, dtype=np.int8)
    for label, share in ((_TEST, test_share), (_VALID, valid_share)):
        if share and len(ordered):
            start = _cut(ordered, share)
            part[(times >= start) & (part == _TRAIN)] = label
            ordered = ordered[ordered < start]
    n_users, in_train = len(np.unique(users)), len(np.unique(users[part == _TRAIN]))
    return _parts(interactions, part, {"users": n_users, "users_not_in_train": n_users - in_train})


def split_random(
    interactions: pd.DataFrame, *, test_fraction: float = 0.1, valid_fraction: float = 0.0, seed: int = 0
) -> Split:
    """Test on a random fraction of every user's interactions: for data without times.

    Sizes are those of `split_per_user`; which rows are drawn depends on user, item and seed, not on the order
    of the rows. One gives up the question that matters in use: from the past, what comes next? A model may
    learn here from what came after a test row, so results are higher than they would be in use, and whatever
    needs times, such as recency, cannot be judged.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, columns user_id and item_id; a timestamp is not read
    test_fraction : float above 0 and below 1
    valid_fraction : float, at least 0 and below 1
    seed : int, another one draws other rows

    Raises
    ------
    ValueError
        A column or an id is missing, or an argument is out of its range.

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": [1] * 10, "item_id": range(10)})
    >>> split = split_random(rows, test_fraction=0.2)
    >>> len(split.train), len(split.test)
    (8, 2)
    """
    numbered = interactions.reset_index(drop=True).assign(timestamp=0)  # all tied: the hash alone decides
    drawn = split_per_user(numbered, test_fraction=test_fraction, valid_fraction=valid_fraction, seed=seed)
    train, valid, test = (interactions.iloc[part.index] for part in (drawn.train, drawn.valid, drawn.test))
    return Split(train, valid, test, drawn.counts)


def split_report(split: Split) -> pd.DataFrame:
    """Say what a split holds and what leaks through it.

    Parameters
    ----------
    split : Split

    Returns
    -------
    DataFrame, one row per part (train, valid, test)
        rows, users, items : sizes
        users_missing : users of the whole split without a row in this part
        repeated_pairs : distinct (user, item) pairs that an earlier part holds too
        tied_users : users whose first row here has the time of their last row in the earlier parts, so
            that the rule for ties, not time, decided what is tested
        later_in_train : the share of the train rows, of anybody, that are later than a row of this part,
            averaged over its rows: what the model knows of the future. Without a column timestamp, this and
            tied_users are nan
        unknown_user_rows, unknown_item_rows : rows whose user (item) has no row in train

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": [1, 1, 1, 2], "item_id": [7, 8, 9, 7], "timestamp": [3, 1, 2, 5]})
    >>> split_report(split_leave_last(rows)).loc["test", "users_missing"].item()
    1
    """
    parts = [split.train, split.valid, split.test]
    part = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    rows = pd.concat([p for p in parts if len(p)] or [split.train])
    users, items = (_codes_of_parts(parts, column) for column in ("user_id", "item_id"))
    times = times_of(rows) if all("timestamp" in p for p in parts) else None
    facts = _Facts(users, items, times, part)
    report = pd.DataFrame([facts.of(label) for label in range(len(parts))], index=["train", "valid", "test"])
    report.index.name = "part"
    return report


def _codes_of_parts(parts: list[pd.DataFrame], column: str) -> np.ndarray:
    """Codes of all rows; the ids of every part are written as those of the first that has rows."""
    filled = [id_column(part, column) for part in parts if len(part)] or [id_column(parts[0], column)]
    like = pd.Index(filled[0].unique())
    return row_codes(pd.concat([filled[0], *(same_kind(ids, like) for ids in filled[1:])]))


@dataclass(frozen=True)
class _Facts:
    users: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    part: np.ndarray

    def of(self, label: int) -> dict[str, float]:
        here, before, train = self.part == label, self.part < label, self.part == _TRAIN
        users, items = self.users[here], self.items[here]
        return {
            "rows": len(users),
            "users": len(pd.unique(users)),
            "items": len(pd.unique(items)),
            "users_missing": len(pd.unique(self.users)) - len(pd.unique(users)),
            "repeated_pairs": int(self.repeated_pairs[label]),
            "tied_users": self._tied_users(here, before),
            "later_in_train": self._later_in_train(label, here, train),
            "unknown_user_rows": int(np.isin(users, self.users[train], invert=True).sum()),
            "unknown_item_rows": int(np.isin(items, self.items[train], invert=True).sum()),
        }

    @cached_property
    def repeated_pairs(self) -> np.ndarray:
        """Per part, how many of its distinct pairs an earlier part holds too: one sort of packed integers."""
        pairs = self.users * (self.items.max(initial=0) + 1) + self.items
        pairs, part = np.divmod(np.sort(pairs * 3 + self.part), 3)
        repeats = (pairs[1:] == pairs[:-1]) & (part[1:] != part[:-1])
        return np.bincount(part[1:][repeats], minlength=3)

    def _later_in_train(self, label: int, here: np.ndarray, train: np.ndarray) -> float:
        if self.times is None or label == _TRAIN:
            return float("nan")
        return _later(self.times[train], self.times[here])

    def _tied_users(self, here: np.ndarray, before: np.ndarray) -> float:
        if self.times is None:
            return float("nan")
        first = pd.Series(self.times[here]).groupby(self.users[here]).min()
        last = pd.Series(self.times[before]).groupby(self.users[before]).max()
        first, last = first.align(last, join="inner")
        return int((first == last).sum())


def _later(train_times: np.ndarray, times: np.ndarray) -> float:
    """Average over `times` of the share of `train_times` that are later."""
    if not len(times) or not len(train_times):
        return float("nan")
    return float(1 - np.searchsorted(np.sort(train_times), times, side="right").mean() / len(train_times))


def _share(name: str, fraction: float) -> Fraction:
    """Return the number that was written, not the binary one nearest to it: 0.07 is 7/100."""
    try:
        share = Fraction(str(fraction))
    except ValueError:
        raise ValueError(f"{name} is {fraction!r}: give a number like 0.1.") from None
    if not 0 <= share < 1 or (share == 0 and name == "test_fraction"):
        lowest = "above 0" if name == "test_fraction" else "at least 0"
        raise ValueError(f"{name} is {fraction!r}: give a number {lowest} and below 1.")
    return share


def _ceil(share: Fraction, n_rows: np.ndarray) -> np.ndarray:
    values, where = np.unique(n_rows, return_inverse=True)
    return np.array([math.ceil(share * int(n)) for n in values], dtype=np.int64)[where]


def _split_last(
    interactions: pd.DataFrame,
    sizes: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    ties: str,
    seed: int,
) -> Split:
    users, items = row_codes(id_column(interactions, "user_id")), id_column(interactions, "item_id")
    order = _chronological(
        users, times_of(interactions), _tie_key(interactions["user_id"], items, ties, seed)
    )
    n_rows = np.bincount(users)  # (n_codes,)
    n_test, n_valid = sizes(n_rows)  # (n_codes,) both; nonsense for codes that no row has, never looked up
    ordered_users = users[order]  # (n,): every user's rows side by side, in time
    from_end = np.cumsum(n_rows)[ordered_users] - 1 - np.arange(len(users))  # (n,): 0 is a user's latest row
    part = np.empty(len(users), dtype=np.int8)
    is_late = from_end < n_test[ordered_users]
    is_kept = from_end >= (n_test + n_valid)[ordered_users]
    part[order] = np.where(is_late, _TEST, np.where(is_kept, _TRAIN, _VALID))
    counts = {
        "users": int((n_rows > 0).sum()),
        "too_short_for_test": int(((n_rows > 0) & (n_test == 0)).sum()),
        "too_short_for_valid": int(((n_rows > 0) & (n_valid == 0)).sum()),
    }
    return _parts(interactions, part, counts)


def _chronological(
    users: np.ndarray, times: np.ndarray, tie_key: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Order of the rows by user, then time, then tie key, which only rows that share their time need.

    Sorting packed integers is at 20 million rows ten times faster than `lexsort` on three keys.
    """
    if not len(users):
        return np.empty(0, dtype=np.int64)
    if times.dtype.kind == "f" or (int(times.max()) - int(times.min()) + 1) * int(users.max() + 1) >= 2**63:
        times = np.unique(times, return_inverse=True)[1]  # their places: the order is all that is needed
    key = users * (times.max() - times.min() + 1) + (times - times.min())  # (n,): user and time in one number
    order = np.argsort(key)  # (n,)
    key = key[order]
    is_new = np.append(True, key[1:] != key[:-1])  # (n,): the first row of its user and time
    tied = np.flatnonzero(~(is_new & np.append(is_new[1:], True)))  # (t,): places that share a key
    rows = order[tied]  # (t,)
    rank = np.empty(len(rows), dtype=np.int64)  # (t,): of a row by its tie key, small enough to be packed too
    rank[np.argsort(tie_key(rows))] = np.arange(len(rows))
    group = np.cumsum(is_new[tied])  # (t,): rises with the key, so a group stays where it was
    order[tied] = rows[np.argsort(group * len(rows) + rank)]
    return order


def _tie_key(users: pd.Series, items: pd.Series, ties: str, seed: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the function from rows (positions) to the numbers that order them where times are equal."""
    if ties == "shuffle":
        return lambda rows: _hash_pairs(users.iloc[rows], items.iloc[rows], seed)
    if ties == "item":
        return lambda rows: pd.factorize(items.iloc[rows], sort=True)[0]
    if ties == "row":
        return lambda rows: rows
    raise ValueError(f'ties is {ties!r}: choose "shuffle", "item" or "row".')


def _hash_pairs(users: pd.Series, items: pd.Series, seed: int) -> np.ndarray:
    """Hash user, item and seed into 64 bits; pandas' hash of integers serves to mix."""
    mixed = pd.util.hash_array(np.array([seed % 2**64], dtype=np.uint64))
    for ids in (users, items):
        values = ids.astype("int64") if ids.dtype.kind in "iu" else ids  # the same for 32 and 64 bits
        mixed = pd.util.hash_array(mixed + pd.util.hash_pandas_object(values, index=False).to_numpy())
    return mixed


def _cut(ordered: np.ndarray, share: Fraction) -> int:
    """First time of the part that is cut from the end of the ordered times: at least `share` of them."""
    start = ordered[len(ordered) - math.ceil(share * len(ordered))]
    later = ordered[ordered > ordered[0]]
    if not len(later):
        raise ValueError(
            f"All {len(ordered):,} rows share one time: a split by time needs two times or more."
        )
    return max(start, later[0])


def _parts(interactions: pd.DataFrame, part: np.ndarray, counts: dict[str, int]) -> Split:
    train, valid, test = (keep_rows(interactions, part == label) for label in (_TRAIN, _VALID, _TEST))
    return Split(train, valid, test, counts)

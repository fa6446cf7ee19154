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
from bpr_helpers.synthetic import synthetic_interactions

_TRAIN, _VALID, _TEST = range(3)


@dataclass(frozen=True, eq=False)
class Split:
    """The parts of a split; every row of the interactions is in exactly one of them.

    Attributes
    ----------
    train, valid, test : DataFrame, rows in their old order, with their old index and all columns
    counts : dict, the number of users, and how many of them were too short for a part
    history : DataFrame or None, of users who are not in train what happened before the test: `split_users`
        alone has it, to be folded in
    """

    train: pd.DataFrame
    valid: pd.DataFrame
    test: pd.DataFrame
    counts: dict[str, int] = field(default_factory=dict)
    history: pd.DataFrame | None = None


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
    return split_last(interactions, sizes_per_user(test_fraction, valid_fraction), ties, seed)


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
    return split_last(interactions, sizes_leave_last(n_test, n_valid), ties, seed)


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
    test_share, valid_share = exact_shares(test_fraction, valid_fraction)
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


def split_users(
    interactions: pd.DataFrame, *, n_test_users: int, history_fraction: float = 0.8, seed: int = 0
) -> Split:
    """Test on users who are not in train at all, which is called strong generalization.

    Of a test user's n rows the last ceil((1 - history_fraction) * n), and at least one, are the test part,
    the others, and at least one, their history: fit on train, fold the history in, and evaluate on test.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, columns user_id, item_id and timestamp
    n_test_users : int >= 1, users to test, drawn from those with two rows or more by a hash of user and seed,
        which is the same for any order of the rows
    history_fraction : float above 0 and below 1
    seed : int, of the draw, and of the order of equal times

    Raises
    ------
    ValueError
        A column, an id or a time is missing, an argument is out of its range, or nobody would be left.

    References
    ----------
    Liang et al. (2018), Variational autoencoders for collaborative filtering.

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": [7, 8, 7, 9], "timestamp": [3, 1, 2, 5]})
    >>> split = split_users(rows, n_test_users=1, history_fraction=0.5)
    >>> len(split.train), len(split.history), len(split.test)
    (2, 1, 1)
    """
    late = 1 - _share("history_fraction", history_fraction)
    ids = id_column(interactions, "user_id")
    codes = row_codes(ids)
    n_rows = np.bincount(codes)  # (n_codes,)
    first = ids.drop_duplicates()
    first = first[n_rows[codes[~ids.duplicated()]] > 1]
    n_test_users = _whole("n_test_users", n_test_users, 1)
    if n_test_users >= len(first):
        raise ValueError(
            f"n_test_users is {n_test_users}, and {len(first):,} users have two rows or more: choose fewer, "
            "so that some are left to learn from."
        )
    drawn = first.iloc[np.argsort(_hash(seed, first), kind="stable")[:n_test_users]]
    is_tested = np.zeros(len(n_rows), bool)
    is_tested[codes[ids.isin(drawn)]] = True

    def sizes(n_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n_late = np.clip(_ceil(late, n_rows), 1, np.maximum(n_rows - 1, 1))
        return np.where(is_tested, n_late, 0), np.zeros_like(n_rows)

    split = split_last(interactions, sizes, "shuffle", seed)
    early = split.train["user_id"].isin(drawn).to_numpy()
    history, train = keep_rows(split.train, early), keep_rows(split.train, ~early)
    users = int((n_rows > 0).sum())
    counts = {"users": users, "test_users": n_test_users, "too_short_for_test": int((n_rows == 1).sum())}
    return Split(train, split.valid, split.test, counts, history)


def split_report(split: Split) -> pd.DataFrame:
    """Say what a split holds and what leaks through it.

    Parameters
    ----------
    split : Split

    Returns
    -------
    DataFrame, one row per part (train, valid, test, and before it history where the split has one)
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
    histories = {} if split.history is None else {"history": split.history}
    named = {"train": split.train, "valid": split.valid} | histories | {"test": split.test}
    parts = list(named.values())
    part = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    rows = pd.concat([p for p in parts if len(p)] or [split.train])
    users, items = (_codes_of_parts(parts, column) for column in ("user_id", "item_id"))
    times = times_of(rows) if all("timestamp" in p for p in parts) else None
    facts = _Facts(users, items, times, part)
    report = pd.DataFrame([facts.of(label) for label in range(len(parts))], index=list(named))
    report.index.name = "part"
    return report


_REPORT_WORDS = {
    "rows": "interactions",
    "users": "users",
    "items": "items",
    "users_missing": "users without an interaction here",
    "repeated_pairs": "pairs that an earlier part holds, too",
    "tied_users": "users whose boundary falls inside a tie",
    "later_in_train": "share of training that is later",
    "unknown_user_rows": "interactions of users unknown to training",
    "unknown_item_rows": "interactions with items unknown to training",
}


def report_in_words(report: pd.DataFrame) -> pd.DataFrame:
    """Write a report for people: its facts in words, one per row, and its numbers as text.

    Parameters
    ----------
    report : DataFrame, a row per part as `split_report` gives it, or such rows of several splits

    Returns
    -------
    DataFrame of str
        A column per row of the report; "-" stands for what needs times where there are none

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": [1, 1, 1, 2], "item_id": [7, 8, 9, 7], "timestamp": [3, 1, 2, 5]})
    >>> report_in_words(split_report(split_leave_last(rows)))["test"].iloc[0]
    '1'
    """

    def written(fact: pd.Series) -> list[str]:
        style = "{:.0%}" if fact.name == "later_in_train" else "{:,.0f}"
        return ["-" if pd.isna(value) else style.format(value) for value in fact]

    table = report[list(_REPORT_WORDS)].apply(written, result_type="expand").set_axis(report.index)
    return table.rename(columns=_REPORT_WORDS).T.rename_axis(columns=None)


def tied_boundary(split: Split, *, n: int = 4) -> pd.DataFrame:
    """Show a boundary of the test part that falls inside a tie: the rows around it, of one user.

    Parameters
    ----------
    split : Split, parts with columns user_id, item_id and timestamp
    n : int >= 1, at most how many rows to show on each side

    Returns
    -------
    DataFrame
        user_id, item_id, timestamp and part ("before" the boundary, or "test") in the order of time, of the
        first user whose first test row has the time of a row before it; empty if there is none

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": [1, 1, 1], "item_id": [7, 8, 9], "timestamp": [3, 5, 5]})
    >>> tied_boundary(split_leave_last(rows))["part"].tolist()
    ['before', 'before', 'test']
    """
    before = pd.concat([split.train, split.valid]).assign(part="before")
    last = before.groupby("user_id")["timestamp"].max()
    first = split.test.groupby("user_id")["timestamp"].min().reindex(last.index)
    user = last.index[(first == last).to_numpy()][:1]
    sides = [part[part["user_id"].isin(user)] for part in (before, split.test.assign(part="test"))]
    early, late = (side.sort_values("timestamp", kind="stable") for side in sides)
    return pd.concat([early.tail(n), late.head(n)])[["user_id", "item_id", "timestamp", "part"]]


# Seconds on two cores for each pair of a user and an item: COMPARED of a lesson that fits and judges models
# anew (25 seconds for MovieLens-100K), JUDGED of one that judges seven fitted models under three protocols.
COMPARED, JUDGED = 2e-5, 5e-7


def within_seconds(
    interactions: pd.DataFrame, seconds: float = 40.0, *, scored: int = 0, seed: int = 0
) -> pd.DataFrame:
    """Keep some users and a core of items, as many as a lesson can compare protocols on in some seconds.

    The users are drawn by a hash that is the same for any order of the rows; the items are those with most
    interactions among these users. Where items are many, there are about twice as many of them as users.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, columns user_id and item_id
    seconds : float, what the lesson may take on two cores; its size follows from `COMPARED`
    scored : int, the items that models score which are fitted already: then no item is left out, and the size
        follows from `JUDGED`; 0 where models are fitted anew
    seed : int, of the draw

    Returns
    -------
    DataFrame
        the rows of these users and items, in their old order; the frame itself where all of it is kept

    Examples
    --------
    >>> rows = synthetic_interactions(300, 200, 4000)
    >>> within_seconds(rows) is rows, within_seconds(rows, 0.2)[["user_id", "item_id"]].nunique().to_list()
    (True, [70, 141])
    """
    ids = interactions["user_id"].drop_duplicates()
    pairs = int(seconds / (JUDGED if scored else COMPARED))
    n_items = scored or interactions["item_id"].nunique()
    if len(ids) * n_items <= pairs:
        return interactions
    if not scored:
        n_items = min(n_items, max(math.isqrt(2 * pairs), pairs // len(ids)))
    drawn = ids.iloc[np.argsort(_hash(seed, ids), kind="stable")[: max(1, pairs // n_items)]]
    some = keep_rows(interactions, interactions["user_id"].isin(drawn).to_numpy())
    if scored:
        return some
    top = some["item_id"].value_counts().index[:n_items]
    return keep_rows(some, some["item_id"].isin(top).to_numpy())


def sample_to_split(
    interactions: pd.DataFrame, seconds: float = 40.0, *, seed: int = 0
) -> tuple[pd.DataFrame, str]:
    """Give a sample on which splits can be compared in seconds, and say in a sentence what it is.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, columns user_id and item_id, and timestamp if there
        are times
    seconds, seed : as in `within_seconds`

    Returns
    -------
    DataFrame, str
        the sample, in its old order; all interactions if they are few. Where times or enough users and items
        are lacking, so that no split by time shows what it does, made-up interactions

    Examples
    --------
    >>> sample, told = sample_to_split(synthetic_interactions(300, 200, 4000), 0.2)
    >>> told.split(",")[0]
    'A sample of the data: 70 users (of 300) with 141 items (of 196)'
    """
    sample = within_seconds(interactions, seconds, seed=seed)
    if lacking := _lacking(sample):
        return _made_up(), f"The data have {lacking}, so what follows is shown on made-up interactions."
    whole = sample is interactions
    ids = ("user_id", "item_id")
    kept, known = ([frame[column].nunique() for column in ids] for frame in (sample, interactions))
    users = f"{kept[0]:,} users" + ("" if whole else f" (of {known[0]:,})")
    items = f"{kept[1]:,} items" + ("" if whole else f" (of {known[1]:,})")
    kind = "All of the data" if whole else "A sample of the data"
    first, last = (f"{time:%B %Y}" for time in pd.to_datetime(sample["timestamp"]).agg(["min", "max"]))
    return sample, f"{kind}: {users} with {items}, {len(sample):,} interactions from {first} to {last}."


def _made_up() -> pd.DataFrame:
    """Make interactions within a few months, of whole minutes, so that users overlap and have ties."""
    rows = synthetic_interactions(300, 100, 9000)
    start = rows.groupby("user_id")["timestamp"].transform("min")
    return rows.assign(timestamp=(rows["timestamp"] - 0.95 * (start - start.min())).dt.floor("min"))


def _lacking(sample: pd.DataFrame) -> str:
    """Say what a sample lacks for all splits by time to show something, "" if nothing."""
    if "timestamp" not in sample:
        return "no times"
    if sample["user_id"].nunique() < 20 or sample["item_id"].nunique() < 30:
        return "fewer than 20 users or 30 items"
    if split_per_user(sample, valid_fraction=0.1).valid["user_id"].nunique() < 20:
        return "fewer than 20 users with enough interactions for a validation part"
    try:
        found = split_global_time(sample, valid_fraction=0.1)
    except ValueError:
        return "too few different times"
    return "" if len(found.valid) else "too few different times"


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
        n = int(self.part.max(initial=0)) + 1
        pairs, part = np.divmod(np.sort(pairs * n + self.part), n)
        repeats = (pairs[1:] == pairs[:-1]) & (part[1:] != part[:-1])
        return np.bincount(part[1:][repeats], minlength=4)

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


def exact_shares(test_fraction: float, valid_fraction: float) -> tuple[Fraction, Fraction]:
    """Check the two fractions of a split, and return them in exact arithmetic."""
    return _share("test_fraction", test_fraction), _share("valid_fraction", valid_fraction)


def _share(name: str, fraction: float) -> Fraction:
    """Return the number that was written, not the binary one nearest to it: 0.07 is 7/100."""
    try:
        share = Fraction(str(fraction))
    except ValueError:
        raise ValueError(f"{name} is {fraction!r}: give a number like 0.1.") from None
    if not 0 <= share < 1 or (share == 0 and name != "valid_fraction"):
        lowest = "at least 0" if name == "valid_fraction" else "above 0"
        raise ValueError(f"{name} is {fraction!r}: give a number {lowest} and below 1.")
    return share


def _whole(name: str, n: int, lowest: int) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < lowest:
        raise ValueError(f"{name} is {n!r}: give a whole number of at least {lowest}.")
    return int(n)


def _ceil(share: Fraction, n_rows: np.ndarray) -> np.ndarray:
    values, where = np.unique(n_rows, return_inverse=True)
    return np.array([math.ceil(share * int(n)) for n in values], dtype=np.int64)[where]


Sizes = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # rows of each user -> test rows, valid rows


def sizes_per_user(test_fraction: float, valid_fraction: float) -> Sizes:
    """Check the fractions of `split_per_user`, and give what they make of users' numbers of rows."""
    test_share, valid_share = exact_shares(test_fraction, valid_fraction)

    def sizes(n_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n_test = np.minimum(_ceil(test_share, n_rows), n_rows - 1)
        return n_test, np.minimum(_ceil(valid_share, n_rows - n_test), n_rows - n_test - 1)

    return sizes


def sizes_leave_last(n_test: int, n_valid: int) -> Sizes:
    """Check the numbers of `split_leave_last`, and give what they make of users' numbers of rows."""
    n_test, n_valid = _whole("n_test", n_test, 1), _whole("n_valid", n_valid, 0)

    def sizes(n_rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        in_test = np.where(n_rows > n_test, n_test, 0)
        return in_test, np.where(n_rows - in_test > n_valid, n_valid, 0)

    return sizes


def split_last(interactions: pd.DataFrame, sizes: Sizes, ties: str, seed: int) -> Split:
    """Split every user's latest rows off: what the splits by user have in common.

    Parameters
    ----------
    interactions, ties, seed : as in `split_per_user`
    sizes : from the numbers of rows of users (n,), how many of them are for test and for validation, (n,)
    """
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
    return _parts(interactions, part, counts_of_users(n_rows, n_test, n_valid))


def counts_of_users(n_rows: np.ndarray, n_test: np.ndarray, n_valid: np.ndarray) -> dict[str, int]:
    """Count the users, all (n,) of whom have so many rows, and those among them who are too short for a part.

    Whoever has no row at all is no user.
    """
    return {
        "users": int((n_rows > 0).sum()),
        "too_short_for_test": int(((n_rows > 0) & (n_test == 0)).sum()),
        "too_short_for_valid": int(((n_rows > 0) & (n_valid == 0)).sum()),
    }


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
        return lambda rows: _hash(seed, users.iloc[rows], items.iloc[rows])
    if ties == "item":
        return lambda rows: pd.factorize(items.iloc[rows], sort=True)[0]
    if ties == "row":
        return lambda rows: rows
    raise ValueError(f'ties is {ties!r}: choose "shuffle", "item" or "row".')


def _hash(seed: int, *columns: pd.Series) -> np.ndarray:
    """Hash the seed and the ids of a row into 64 bits; pandas' hash of integers serves to mix."""
    mixed = pd.util.hash_array(np.array([seed % 2**64], dtype=np.uint64))
    for ids in columns:
        values = ids.astype("int64") if ids.dtype.kind in "iu" else ids  # the same for 32 and 64 bits
        mixed = pd.util.hash_array(mixed + pd.util.hash_pandas_object(values, index=False).to_numpy())
    return mixed


def _cut(ordered: np.ndarray, share: Fraction) -> int:
    """First time of the part that is cut from the end of the ordered times: at least `share` of them."""
    start = ordered[len(ordered) - math.ceil(share * len(ordered))]
    later = ordered[ordered > ordered[0]]
    if not len(later):
        raise ValueError(all_at_once(len(ordered)))
    return max(start, later[0])


def all_at_once(n_rows: int) -> str:
    """Say that a split by time finds only one."""
    return f"All {n_rows:,} rows share one time: a split by time needs two times or more."


def _parts(interactions: pd.DataFrame, part: np.ndarray, counts: dict[str, int]) -> Split:
    train, valid, test = (keep_rows(interactions, part == label) for label in (_TRAIN, _VALID, _TEST))
    return Split(train, valid, test, counts)

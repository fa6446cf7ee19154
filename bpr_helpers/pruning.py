"""k-core pruning: keep the users and items that have enough interactions among themselves."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from bpr_helpers.matrix import id_column, keep_rows, row_codes

# A round that looks at every row is cheap, an index of rows by id costs as much as a dozen of them: only
# a core that still crumbles after so many rounds gets one, and from then on looks at what was removed.
_FULL_PASSES = 12


@dataclass(frozen=True, eq=False)
class KCore:
    """What `k_core` returns.

    Attributes
    ----------
    interactions : DataFrame, the rows that survive, in their old order and with their old index
    rounds : DataFrame, one row per round, row 0 being the input; rows, users, items: how many are left
        after the round; removed_rows, removed_users, removed_items: how many it removed
    """

    interactions: pd.DataFrame
    rounds: pd.DataFrame


def k_core(interactions: pd.DataFrame, *, user_k: int = 6, item_k: int = 6) -> KCore:
    """Keep the largest set of rows in which every user and every item still has enough interactions.

    Each round removes the users and the items that have too few rows, which may leave others with too
    few, until nothing changes. The result does not depend on the order of the rows.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, columns user_id and item_id (ids of any type)
    user_k, item_k : int >= 1, the smallest number of interactions kept per user and per item

    Returns
    -------
    KCore
        interactions: the surviving rows; rounds: what each round left and removed. If nothing survives,
        the frame is empty and a warning says so.

    Raises
    ------
    ValueError
        A column or an id is missing, or a threshold is not a whole number of at least 1.

    References
    ----------
    Seidman (1983), Network structure and minimum degree, Social Networks 5: the k-core of a graph.

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": [7, 8, 7, 8, 9]})
    >>> k_core(rows, user_k=2, item_k=2).interactions["user_id"].tolist()
    [1, 1, 2, 2]
    """
    check_thresholds(user_k, item_k)
    users = _Side(row_codes(id_column(interactions, "user_id")), user_k)
    items = _Side(row_codes(id_column(interactions, "item_id")), item_k)
    alive, sizes = _peel(users, items)
    if not alive.any() and len(alive):
        warnings.warn(
            f"No interaction survives user_k={user_k} and item_k={item_k}: choose smaller thresholds.",
            stacklevel=2,
        )
    return KCore(keep_rows(interactions, alive), rounds_table(sizes))


def core_sizes(interactions: pd.DataFrame, thresholds: Iterable[int | tuple[int, int]]) -> pd.DataFrame:
    """Say how large the cores at several thresholds are, without keeping them.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, columns user_id and item_id
    thresholds : a k for users and items alike, or pairs of user_k and item_k

    Returns
    -------
    DataFrame
        One row per threshold, in the order given: user_k, item_k, the rounds that it takes, and the rows,
        users and items that are left. A core may be empty.

    Raises
    ------
    ValueError
        As in `k_core`.

    Examples
    --------
    >>> rows = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": [7, 8, 7, 8, 9]})
    >>> core_sizes(rows, [1, 2, (3, 1)])["rows"].tolist()
    [5, 4, 0]
    """
    users, items = (row_codes(id_column(interactions, name)) for name in ("user_id", "item_id"))
    found = []
    for one in thresholds:
        user_k, item_k = one if isinstance(one, tuple) else (one, one)
        check_thresholds(user_k, item_k)
        _, sizes = _peel(_Side(users, user_k), _Side(items, item_k))
        found.append((user_k, item_k, len(sizes) - 1, *sizes[-1]))
    return pd.DataFrame(found, columns=["user_k", "item_k", "rounds", "rows", "users", "items"])


def largest_k(interactions: pd.DataFrame) -> int:
    """Find the largest k, for users and items alike, whose core is not empty; 0 without interactions.

    Cores lie one inside the other, so halving the range in which the last one must be finds it.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, columns user_id and item_id

    Examples
    --------
    >>> largest_k(pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": [7, 8, 7, 8, 9]}))
    2
    """
    users, items = (row_codes(id_column(interactions, name)) for name in ("user_id", "item_id"))
    some, none = 0, 1 + min(int(np.bincount(side).max(initial=0)) for side in (users, items))
    while none - some > 1:
        k = (some + none) // 2
        alive, _ = _peel(_Side(users, k), _Side(items, k))
        some, none = (k, none) if alive.any() else (some, k)
    return some


def check_thresholds(user_k: int, item_k: int) -> None:
    """Refuse thresholds that are no whole numbers from 1."""
    for name, k in (("user_k", user_k), ("item_k", item_k)):
        if isinstance(k, bool) or not isinstance(k, (int, np.integer)) or k < 1:
            raise ValueError(f"{name} is {k!r}: give a whole number of at least 1.")


class _Side:
    """The users, or the items: how many rows each code still has, and which codes have too few."""

    def __init__(self, codes: np.ndarray, k: int) -> None:
        self.codes, self.k = codes, k
        self.by_code: csr_array | None = None
        self.counts = np.bincount(codes)
        self._find_low()

    def _find_low(self) -> None:
        self.n_ids = int(np.count_nonzero(self.counts))
        self.low = np.flatnonzero((self.counts > 0) & (self.counts < self.k))

    def remove(self, rows: np.ndarray) -> None:
        self.counts -= np.bincount(self.codes[rows], minlength=len(self.counts))
        self._find_low()

    def is_low(self) -> np.ndarray:
        """Mask of the rows, dead ones among them, whose code has too few: looks at every row."""
        is_low = np.zeros(len(self.counts), dtype=bool)
        is_low[self.low] = True
        return is_low[self.codes] if len(self.low) else np.zeros(len(self.codes), dtype=bool)

    def low_rows(self) -> np.ndarray:
        """Their positions instead of the mask: looks only at those rows, once the index is made."""
        if self.by_code is None:
            n_rows = len(self.codes)
            cells = (np.ones(n_rows, dtype=np.int8), self.codes, np.arange(n_rows + 1))
            self.by_code = csr_array(cells, shape=(n_rows, len(self.counts))).tocsc()
        indices, bounds = self.by_code.indices, self.by_code.indptr
        return np.concatenate([indices[:0], *(indices[bounds[c] : bounds[c + 1]] for c in self.low)])


def _peel(users: _Side, items: _Side) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Remove in rounds what has too few rows; return which rows live, and (rows, users, items) per round."""
    alive = np.ones(len(users.codes), dtype=bool)
    sizes = [(len(alive), users.n_ids, items.n_ids)]
    while len(users.low) or len(items.low):
        if len(sizes) <= _FULL_PASSES:
            rows = np.flatnonzero((users.is_low() | items.is_low()) & alive)
        else:
            rows = np.union1d(users.low_rows(), items.low_rows())
            rows = rows[alive[rows]]
        alive[rows] = False
        users.remove(rows)
        items.remove(rows)
        sizes.append((sizes[-1][0] - len(rows), users.n_ids, items.n_ids))
    return alive, sizes


def rounds_table(sizes: list[tuple[int, int, int]]) -> pd.DataFrame:
    """Make `KCore.rounds` of the rows, users and items after every round."""
    left = pd.DataFrame(sizes, columns=["rows", "users", "items"], dtype=np.int64)
    left.index.name = "round"
    removed = -left.diff().fillna(0).astype(np.int64)
    return left.join(removed.add_prefix("removed_"))

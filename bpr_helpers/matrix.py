"""What all stand on: ids as contiguous codes, interactions as a sparse matrix, what a recommender is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

# Scores held at a time. 2^22 floats (16 MB) stay near the processor; larger blocks were slower, not faster.
BLOCK = 2**22

# Text that a whole number is written as: 7, -7, 7.0, but not 07, which another id may be.
_WHOLE = re.compile(r"(0|-?[1-9]\d*)(\.0)?", re.ASCII)


@dataclass(frozen=True, eq=False)
class InteractionMatrix:
    """Who interacted with what: a sparse matrix of ones, and the ids that its rows and columns stand for.

    The code of an id is its position in the sorted ids, so `user_ids[code]` leads back from code to id.

    Attributes
    ----------
    user_ids : array (n_users,), sorted and unique
    item_ids : array (n_items,), sorted and unique
    csr : csr_matrix (n_users, n_items) of float32 ones, indices sorted, one entry per distinct pair
    times : int64 or float64 (nnz,) or None, when each entry of `csr` happened (of repeated pairs the latest);
        None where the frame has no column timestamp
    n_dropped : int, the rows left out by `from_frame(..., unknown="drop")`
    """

    user_ids: np.ndarray
    item_ids: np.ndarray
    csr: csr_matrix
    times: np.ndarray | None = None
    n_dropped: int = 0

    @property
    def n_users(self) -> int:
        """Number of users: the rows of `csr`."""
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        """Number of items: the columns of `csr`."""
        return len(self.item_ids)

    @classmethod
    def from_frame(
        cls, interactions: pd.DataFrame, *, like: Self | None = None, unknown: str = "raise"
    ) -> Self:
        """Build the matrix of a frame of interactions.

        Parameters
        ----------
        interactions : DataFrame, one row per interaction, columns user_id and item_id (ids of any type)
        like : InteractionMatrix whose ids and codes to use; None takes the ids from the frame
        unknown : what to do with rows whose user or item `like` does not know: "raise", or "drop" them
            and count them in `n_dropped`

        Raises
        ------
        ValueError
            A column or an id is missing, a time is no time, an id is unknown and `unknown` is "raise", or not
            one of the users, or of the items, is known.

        Examples
        --------
        >>> rows = pd.DataFrame({"user_id": ["bo", "al", "bo"], "item_id": [7, 7, 9]})
        >>> matrix = InteractionMatrix.from_frame(rows)
        >>> matrix.user_ids.tolist(), matrix.csr.toarray().tolist()
        (['al', 'bo'], [[1.0, 0.0], [1.0, 1.0]])
        """
        if unknown not in ("raise", "drop"):
            raise ValueError(f'unknown is {unknown!r}: choose "raise" or "drop".')
        users, items = (id_column(interactions, column) for column in ("user_id", "item_id"))
        times = times_of(interactions) if "timestamp" in interactions else None
        if like is None:
            user_codes, user_ids = _factorize(users)
            item_codes, item_ids = _factorize(items)
            return cls(
                user_ids, item_ids, *_ones(user_codes, item_codes, len(user_ids), len(item_ids), times)
            )
        user_codes, item_codes = like.user_codes(users), like.item_codes(items)
        known = (user_codes >= 0) & (item_codes >= 0)
        if unknown == "raise" and not known.all():
            raise ValueError(_unknown_sentence(users, items, user_codes, item_codes))
        if not known.any():  # of one of them, perhaps, not a single id: say which types met
            meet(users, like.user_ids, "user")
            meet(items, like.item_ids, "item")
        times = None if times is None else times[known]
        kept = _ones(user_codes[known], item_codes[known], like.n_users, like.n_items, times)
        return cls(like.user_ids, like.item_ids, *kept, n_dropped=int(len(known) - known.sum()))

    def with_users_of(self, interactions: pd.DataFrame, *, strangers: bool = False) -> Self:
        """Build the matrix of other users, known or new, on the items of this one.

        Parameters
        ----------
        interactions : DataFrame, one row per interaction; rows of unknown items are left out and counted in
            `n_dropped`
        strangers : whether users without a known item are admitted, as empty rows

        Raises
        ------
        ValueError
            A column or an id is missing, or a user has no known item and is not admitted.
        """
        users, items = (id_column(interactions, column) for column in ("user_id", "item_id"))
        user_codes, user_ids = _factorize(same_kind(users, self._user_index))
        item_codes = self.item_codes(items)
        known = item_codes >= 0
        nobody = np.setdiff1d(np.arange(len(user_ids)), user_codes[known])
        if len(nobody) and not strangers:
            who = user_ids[nobody[:1]].tolist()[0]
            raise ValueError(
                f"User {who!r} has no item that the model knows ({len(nobody):,} of {len(user_ids):,} "
                'users): leave such users out, or pass strangers="popular" to recommend what is popular.'
            )
        times = times_of(interactions)[known] if "timestamp" in interactions else None
        kept = _ones(user_codes[known], item_codes[known], len(user_ids), self.n_items, times)
        return type(self)(user_ids, self.item_ids, *kept, n_dropped=int((~known).sum()))

    def with_items(self, item_ids: pd.Series) -> Self:
        """Build the matrix of the same interactions on more items, which nobody has yet.

        Parameters
        ----------
        item_ids : Series of ids, known or new

        Raises
        ------
        ValueError
            A new id is of another type than the known ones.
        """
        known = self._item_index
        ids = same_kind(item_ids, known)
        new = ids[known.get_indexer(pd.Index(ids)) < 0]
        if len(new) and pd.Index(new).inferred_type != known.inferred_type:
            raise ValueError(
                f"A new item_id is {new.iloc[:1].tolist()[0]!r}, and the new ones are {_type_name(new)}; the "
                f"known ones are {_type_name(known)}, such as {known[:1].tolist()[0]!r}: write all alike."
            )
        _, every = _factorize(pd.concat([pd.Series(known), new], ignore_index=True))
        moved = pd.Index(every).get_indexer(known)  # (n_items,), rising: the indices of csr stay sorted
        parts = self.csr.data, moved[self.csr.indices], self.csr.indptr
        csr = csr_matrix(parts, shape=(self.n_users, len(every)))
        return type(self)(self.user_ids, every, csr, self.times, self.n_dropped)

    def user_codes(self, ids: Any) -> np.ndarray:
        """Codes of user ids: int64, as long as `ids`, -1 where the id is unknown."""
        return _codes(ids, self._user_index)

    def item_codes(self, ids: Any) -> np.ndarray:
        """Codes of item ids: int64, as long as `ids`, -1 where the id is unknown."""
        return _codes(ids, self._item_index)

    def contains(self, user_codes: np.ndarray, item_codes: np.ndarray) -> np.ndarray:
        """Tell which pairs of codes are entries of `csr`: bool, as long as both; False where a code is -1."""
        known = (user_codes >= 0) & (item_codes >= 0)
        found = np.zeros(len(known), bool)
        if known.any():
            found[known] = np.asarray(self.csr[user_codes[known], item_codes[known]]).ravel() > 0
        return found

    @cached_property
    def _user_index(self) -> pd.Index:
        return pd.Index(self.user_ids)

    @cached_property
    def _item_index(self) -> pd.Index:
        return pd.Index(self.item_ids)


Interactions = pd.DataFrame | InteractionMatrix


def item_counts(matrix: InteractionMatrix) -> Codes:
    """Count the users of every item: int64 (n_items,), piece by piece, since the matrix may lie in files."""
    indices, counts = matrix.csr.indices, np.zeros(matrix.n_items, np.int64)
    for start in range(0, len(indices), BLOCK):
        counts += np.bincount(indices[start : start + BLOCK], minlength=matrix.n_items)
    return counts


class Recommender(Protocol):
    """What BPR and every baseline offer; `matrix` is what the model was fitted on: ids and seen items."""

    matrix: InteractionMatrix

    def fit(self, interactions: Interactions, *, valid: Interactions | None = None) -> Self:
        """Learn from the interactions; `valid` is for models that choose when to stop."""

    def score(self, user_codes: Codes) -> NDArray[np.float32]:
        """Scores of all items for some users: float32, (len(user_codes), n_items), higher is better."""

    def fold_in(self, interactions: pd.DataFrame) -> Self:
        """Give the same model for the users of a frame, known or new."""


def as_matrix(interactions: Interactions) -> InteractionMatrix:
    """Return the matrix of a frame, or the matrix itself: what every recommender's `fit` accepts."""
    if isinstance(interactions, InteractionMatrix):
        return interactions
    return InteractionMatrix.from_frame(interactions)


def id_column(interactions: pd.DataFrame, column: str) -> pd.Series:
    """Return the column of ids, or say in one sentence what is wrong with it.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction
    column : str, "user_id" or "item_id"

    Raises
    ------
    ValueError
        The column is missing, or a row of it has no id.
    """
    if column not in interactions.columns:
        raise ValueError(f"The interactions have no column {column}: rename the column that holds these ids.")
    ids = interactions[column]
    if ids.hasnans:
        raise ValueError(nothing_in_row(column, int(ids.isna().to_numpy().argmax())))
    return plain_ids(ids)


def nothing_in_row(column: str, row: int) -> str:
    """Say which row of which column holds nothing."""
    what = "time" if column == "timestamp" else "id"
    return f"Column {column} has no {what} in row {row}: fill or drop such rows."


def same_kind(ids: pd.Series, like: np.ndarray | pd.Index) -> pd.Series:
    """Write ids as other ids are written, so that those that mean the same are equal.

    The integer 1, the float 1.0 and the text "1" mean the same, in columns of any type. The text "01" means
    itself: reading it as 1 would lose its zero.

    Parameters
    ----------
    ids : Series (n,) of any type
    like : array or Index (m,), the ids that they are to meet

    Returns
    -------
    Series (n,) with the index of `ids`: in the type of `like` where every id can be written in it; an id that
    cannot, such as "A5" among integers, stays as it is.

    Examples
    --------
    >>> same_kind(pd.Series(["1", "20"]), np.array([1, 2])).tolist()
    [1, 20]
    >>> same_kind(pd.Series([1.0, 20.0]), np.array(["1", "A5"])).tolist()
    ['1', '20']
    """
    ids, known = plain_ids(ids), pd.Index(like)
    if ids.dtype == known.dtype and ids.dtype != object:
        return ids
    if not (_is_integer(ids.dtype) and _is_integer(known.dtype)):
        ids = _rewritten(ids, known)
    if _is_integer(ids.dtype) and _is_integer(known.dtype) and len(ids):
        fits = np.iinfo(known.dtype)
        if fits.min <= int(ids.min()) and int(ids.max()) <= fits.max:
            return ids.astype(known.dtype)
    return ids


def meet(ids: pd.Series, known_ids: np.ndarray | pd.Index, what: str) -> Codes:
    """Find ids of one frame among those of another, whatever type either is stored in.

    Parameters
    ----------
    ids : Series (n,)
    known_ids : array or Index (m,) of distinct ids
    what : str, what they are, for the sentence: "test user"

    Returns
    -------
    int64 (n,), the place of each id in known_ids, -1 where it is not there

    Raises
    ------
    ValueError
        There are ids, and not one of them is there.
    """
    known = pd.Index(known_ids)
    codes = known.get_indexer(pd.Index(same_kind(ids, known))).astype(np.int64)
    if len(ids) and (codes < 0).all():
        example = f", such as {known[:1].tolist()[0]!r}" if len(known) else ""
        raise ValueError(
            f"No {what} is known: 0 of {ids.nunique():,} match; they are {_type_name(ids)}, such as "
            f"{ids.iloc[:1].tolist()[0]!r}; the {len(known):,} known ids are {_type_name(known)}{example}. "
            "Use data with the same ids."
        )
    return codes


def _type_name(ids: pd.Series | pd.Index) -> str:
    inferred = pd.Index(ids).inferred_type
    names = {"string": "text", "integer": "integers", "floating": "floats", "categorical": "categories"}
    return names.get(inferred, inferred)


def times_of(interactions: pd.DataFrame) -> np.ndarray:
    """Return the times of a frame as numbers in the order of time, or say what is wrong with them.

    Parameters
    ----------
    interactions : DataFrame with a column timestamp: integers, floats, datetimes with or without a zone, or
        objects and ISO text that stand for them

    Returns
    -------
    array (n_rows,) of int64, or of float64 where the column holds fractions

    Raises
    ------
    ValueError
        There is no such column, a time is missing, or a value is no time.
    """
    if "timestamp" not in interactions.columns:
        raise ValueError("A chronological split needs a column timestamp: the interactions have none.")
    times = plain_ids(interactions["timestamp"])
    if not len(times):
        return np.empty(0, np.int64)
    _refuse_missing(times)
    if not (times.dtype.kind in "iufM" or isinstance(times.dtype, pd.DatetimeTZDtype)):
        times = _read_times(times)
        _refuse_missing(times)
    if times.dtype.kind == "f":
        return times.to_numpy(np.float64)
    if times.dtype.kind == "u" and int(times.max()) >= 2**63:  # too large for int64: their order is enough
        return np.unique(times.to_numpy(), return_inverse=True)[1].astype(np.int64)
    return times.astype("int64").to_numpy()


def _refuse_missing(times: pd.Series) -> None:
    if times.hasnans:
        raise ValueError(nothing_in_row("timestamp", int(times.isna().to_numpy().argmax())))


def _read_times(times: pd.Series) -> pd.Series:
    """Objects and text as numbers, or as datetimes, all in UTC."""
    refusal = f"Column timestamp holds {times.dtype}, not times: load it with load_interactions."
    if times.dtype == bool:
        raise ValueError(refusal)
    try:
        if pd.Index(times).inferred_type in ("integer", "floating", "mixed-integer-float", "decimal"):
            return pd.to_numeric(times)
        return pd.to_datetime(times, format="ISO8601", utc=True)
    except (ValueError, TypeError):
        raise ValueError(refusal) from None


def plain_ids(ids: pd.Series) -> pd.Series:
    """Return the ids of a categorical column as what they are; of any other column, the column."""
    if isinstance(ids.dtype, pd.CategoricalDtype):  # its own order of categories is not the order of the ids
        return ids.astype(ids.cat.categories.dtype)
    return ids


def _is_integer(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in "iu"


def _rewritten(ids: pd.Series, like: pd.Index) -> pd.Series:
    """Look at every distinct id once; an Index remembers the type of its values."""
    places, distinct = pd.factorize(ids, use_na_sentinel=False)
    kind = like.inferred_type
    if kind == "string" and pd.Index(distinct).inferred_type == "string":
        return ids
    if kind == "integer":
        values = [_meant(one) for one in distinct]
    elif kind == "string":
        values = [str(_meant(one)) if type(_meant(one)) is int else one for one in distinct]
    elif kind in ("floating", "mixed", "mixed-integer", "mixed-integer-float"):  # in one of three spellings
        spellings = [(one, _meant(one), str(_meant(one))) for one in distinct]
        values = [next((one for one in three if one in like), three[0]) for three in spellings]
    else:
        return ids
    types = {type(value) for value in values}
    written = pd.Series(values, dtype=object)
    if types == {int} or types == {str}:
        written = written.infer_objects()
    elif types == {type(one) for one in distinct}:
        return ids
    return pd.Series(written.array.take(places), index=ids.index, name=ids.name)


def _meant(one: Any) -> Any:
    """The integer that an id means, or the id itself."""
    if isinstance(one, str):
        return int(one.removesuffix(".0")) if _WHOLE.fullmatch(one) else one
    if isinstance(one, (float, np.floating)):
        return int(one) if float(one).is_integer() else one
    return int(one) if isinstance(one, (int, np.integer)) and not isinstance(one, bool) else one


def row_codes(ids: pd.Series) -> np.ndarray:
    """Give every row a small integer that stands for its id: equal for equal ids, with gaps perhaps.

    Parameters
    ----------
    ids : Series (n_rows,) of any type, none missing

    Returns
    -------
    array (n_rows,) of int64 >= 0. Integers in a range not much larger than the number of rows are their own
    codes, or are moved to 0: several times faster than looking each of them up.
    """
    values = ids.to_numpy() if ids.dtype.kind in "iu" else np.empty(0)
    if len(values):
        low, high = int(values.min()), int(values.max())
        if high - low <= 2 * len(values):
            is_code = low >= 0 and high <= 2 * len(values)
            return (values if is_code else values - low).astype(np.int64, copy=False)
    return pd.factorize(ids)[0].astype(np.int64, copy=False)


def keep_rows(interactions: pd.DataFrame, mask: np.ndarray) -> pd.DataFrame:
    """Return the rows where the mask is true, like `interactions[mask]`: column by column is twice as fast.

    Parameters
    ----------
    interactions : DataFrame (n_rows, ...)
    mask : array (n_rows,) of bool
    """
    columns = {place: interactions.iloc[:, place].array[mask] for place in range(interactions.shape[1])}
    kept = pd.DataFrame(columns, index=interactions.index.take(np.flatnonzero(mask)), copy=False)
    kept.columns = interactions.columns
    return kept


def like_lengths(lengths: Codes, budget: int) -> list[Codes]:
    """Group rows of similar length, so that padding a group to its longest row wastes little.

    Parameters
    ----------
    lengths : int array (n,)
    budget : int, entries that a group may have once it is padded; a single row may have more

    Returns
    -------
    list of int arrays, the rows of each group; one empty group where there is no row
    """
    order = np.argsort(lengths, kind="stable")
    groups: list[Codes] = []
    start = 0
    while start < len(order) or not groups:
        padded = np.maximum(lengths[order[start:]], 1) * np.arange(1, len(order) - start + 1)
        size = max(1, int(np.searchsorted(padded, budget, side="right")))
        groups.append(order[start : start + size])
        start += size
    return groups


def padded_rows(x: csr_matrix) -> tuple[Codes, NDArray[np.float32]]:
    """Write the rows of a sparse matrix side by side, each filled up to the longest.

    Returns
    -------
    codes, values : int64 and float32 (n_rows, longest), the columns of the entries and the entries; what
        fills up is column `x.shape[1]`, with 0
    """
    lengths = np.diff(x.indptr)
    filled = np.arange(lengths.max(initial=0)) < lengths[:, None]
    codes = np.full(filled.shape, x.shape[1])
    values = np.zeros(filled.shape, np.float32)
    codes[filled], values[filled] = x.indices, x.data
    return codes, values


def _codes(ids: Any, index: pd.Index) -> Codes:
    column = ids if isinstance(ids, pd.Series) else pd.Series(pd.Index(ids))
    return index.get_indexer(pd.Index(same_kind(column, index))).astype(np.int64)


def _factorize(ids: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    codes, unique = pd.factorize(ids, sort=True)
    return codes, np.asarray(unique)


def _ones(
    user_codes: np.ndarray, item_codes: np.ndarray, n_users: int, n_items: int, times: np.ndarray | None
) -> tuple[csr_matrix, np.ndarray | None]:
    """The matrix of ones, and the times in the order of its entries."""
    keys = user_codes * np.int64(n_items) + item_codes  # (n_rows,): a pair in one number, by user, then item
    order = np.argsort(keys, kind="stable") if times is None else np.lexsort((times, keys))
    keys = keys[order]
    last = np.ones(len(keys), bool)  # (n_rows,): the latest of the rows that repeat a pair
    last[:-1] = keys[1:] != keys[:-1]
    users, items = np.divmod(keys[last], max(n_items, 1))  # (nnz,) both
    indptr = np.concatenate([[0], np.cumsum(np.bincount(users, minlength=n_users))])  # (n_users + 1,)
    csr = csr_matrix((np.ones(len(items), np.float32), items, indptr), shape=(n_users, n_items))
    return csr, None if times is None else times[order][last]


def _unknown_sentence(
    users: pd.Series, items: pd.Series, user_codes: np.ndarray, item_codes: np.ndarray
) -> str:
    unknown = (user_codes < 0) | (item_codes < 0)
    row = int(unknown.argmax())
    column, ids = ("user_id", users) if user_codes[row] < 0 else ("item_id", items)
    return (
        f"{unknown.sum():,} of {len(unknown):,} rows hold ids that the matrix does not know, first in row "
        f'{row} ({column} {ids.iloc[[row]].tolist()[0]!r}): pass unknown="drop" to leave them out.'
    )

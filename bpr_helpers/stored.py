"""An InteractionMatrix on the disk: for positives that are more than memory holds.

`store_matrix` makes it of Parquet files in bounded memory, `open_matrix` gives it back as memory maps: of
what is looked at, the operating system keeps in memory what fits. `BPR.fit` goes through it in the order in
which it lies.

Sizes, as the comments on shapes name them: n rows of the files, nnz distinct pairs of a user and an item.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import csr_matrix

from bpr_helpers.files import replacing
from bpr_helpers.matrix import InteractionMatrix, id_column, times_of
from bpr_helpers.parts import ROWS, Part, open_parts

HEAD = "matrix.json"  # written last: a folder without it holds no matrix
NUMBERS = ("indptr", "indices", "data", "times")


def store_matrix(
    source: str | Path, folder: str | Path, *, rows: int = ROWS, **columns: Any
) -> InteractionMatrix:
    """Write the matrix of a folder of Parquet files into another folder, and open it.

    The files are read twice: once for the ids and how often each occurs, once to put every row where its user
    is. Memory holds the distinct ids and about `rows` rows at a time; the disk, beside the matrix, 12 bytes a
    row while it is made, or 4 without times.

    Parameters
    ----------
    source : a Parquet file, or a folder of them
    folder : made where it is missing
    rows : about how many rows are held at once; a user with more is held whole
    columns : user_column, item_column, timestamp_column, ... as in `load_interactions`

    Returns
    -------
    InteractionMatrix
        as `InteractionMatrix.from_frame` makes it of all the rows, with memory maps for arrays

    Raises
    ------
    ValueError
        A file or a column is not as described, an id or a time is missing, or no row is left.
    """
    parts, folder = open_parts(source, rows=rows, **columns), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HEAD).unlink(missing_ok=True)
    working = folder / ".working"
    shutil.rmtree(working, ignore_errors=True)
    working.mkdir()
    try:
        counts = _count(parts)
        if not len(counts[0]):
            raise ValueError(f"{source}: no row is left to store; choose a smaller min_rating.")
        users, items = (pd.Index(side.index) for side in counts)
        starts = np.concatenate([[0], np.cumsum(counts[0].to_numpy(np.int64))])  # (n_users + 1,)
        by_user = _scatter(parts, users, items, starts, working)
        lengths = _fold(by_user, starts, rows)
        nnz = int(lengths.sum())
        index = np.dtype(np.int32 if nnz < 2**31 else np.int64)
        _save(folder, "indptr", np.concatenate([[0], np.cumsum(lengths)]), index, len(starts))
        _save(folder, "indices", by_user[0], index, nnz)
        _save(folder, "data", None, np.dtype(np.float32), nnz)
        if by_user[1] is not None:
            _save(folder, "times", by_user[1], by_user[1].dtype, nnz)
        for name, ids in (("users", users), ("items", items)):
            with replacing(folder / f"{name}.parquet") as new:
                pd.DataFrame({"id": ids}).to_parquet(new)
        with replacing(folder / HEAD) as new:
            new.write_text(json.dumps({"nnz": nnz, "timed": by_user[1] is not None}) + "\n", "utf-8")
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return open_matrix(folder)


def open_matrix(folder: str | Path) -> InteractionMatrix:
    """Open what `store_matrix` wrote; its arrays are memory maps that cannot be written to.

    Raises
    ------
    ValueError
        The folder does not hold a whole matrix.
    """
    folder = Path(folder)
    try:
        head = json.loads((folder / HEAD).read_text("utf-8"))
        names = NUMBERS if head["timed"] else NUMBERS[:-1]
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in names}
        users, items = (
            np.asarray(pd.read_parquet(folder / f"{name}.parquet")["id"]) for name in ("users", "items")
        )
        _check(arrays, head["nnz"], len(users), len(items))
    except Exception as error:
        raise ValueError(
            f"{folder} does not hold a whole matrix ({error}): write it again with store_matrix."
        ) from error
    parts = arrays["data"], arrays["indices"], arrays["indptr"]
    csr = csr_matrix(parts, shape=(len(users), len(items)), copy=False)
    csr.has_sorted_indices = csr.has_canonical_format = True
    return InteractionMatrix(users, items, csr, arrays.get("times"))


def _check(arrays: dict[str, np.ndarray], nnz: int, n_users: int, n_items: int) -> None:
    """Refuse arrays that would lead outside of each other."""
    ends = arrays["indptr"]
    if len(ends) != n_users + 1 or ends[0] != 0 or ends[-1] != nnz or (np.diff(ends) < 0).any():
        raise ValueError("indptr.npy does not divide the entries among the users")
    for name in ("indices", "data", "times"):
        if name in arrays and arrays[name].shape != (nnz,):
            raise ValueError(f"{name}.npy has not one number for each entry")
    for start in range(0, nnz, ROWS):
        some = arrays["indices"][start : start + ROWS]
        if some.min() < 0 or some.max() >= n_items:
            raise ValueError("indices.npy names items that there are not")


def _count(parts: list[Part]) -> tuple[pd.Series, pd.Series]:
    """How many rows each user and each item has, in the order of the ids."""
    totals: list[pd.Series | None] = [None, None]
    for part in parts:
        frame = part.read()
        for side, column in enumerate(("user_id", "item_id")):
            counts = id_column(frame, column).value_counts()
            known = totals[side]
            totals[side] = counts if known is None else pd.concat([known, counts]).groupby(level=0).sum()
    users, items = (total.sort_index() for total in totals if total is not None)
    return users, items


def _scatter(
    parts: list[Part], users: pd.Index, items: pd.Index, starts: np.ndarray, working: Path
) -> tuple[np.ndarray, np.ndarray | None]:
    """Put every row's item and time where its user's rows are, in the order in which they come."""
    filled = starts[:-1].copy()  # (n_users,): where each user's next row goes
    at = np.lib.format.open_memmap(working / "items.npy", "w+", np.int32, (int(starts[-1]),))
    when: np.ndarray | None = None
    for part in parts:
        frame = part.read()
        codes = users.get_indexer(pd.Index(frame["user_id"]))
        order = np.argsort(codes, kind="stable")
        sorted_codes = codes[order]
        first = np.searchsorted(sorted_codes, sorted_codes)  # the first row of the same user
        places = filled[sorted_codes] + np.arange(len(order)) - first
        at[places] = items.get_indexer(pd.Index(frame["item_id"]))[order]
        if "timestamp" in frame:
            times = times_of(frame)
            if when is None:
                when = np.lib.format.open_memmap(working / "times.npy", "w+", times.dtype, at.shape)
            when[places] = times[order]
        filled += np.bincount(codes, minlength=len(filled))
    return at, when


def _fold(by_user: tuple[np.ndarray, np.ndarray | None], starts: np.ndarray, rows: int) -> np.ndarray:
    """Sort each user's rows in place, keep the latest of repeated pairs, and move up: lengths (n_users,)."""
    at, when = by_user
    lengths = np.zeros(len(starts) - 1, np.int64)
    done = 0  # rows that are kept so far stand before those that are looked at
    for first, last in _user_blocks(starts, rows):
        some = slice(int(starts[first]), int(starts[last]))
        owner = np.repeat(np.arange(first, last), np.diff(starts[first : last + 1]))
        order = np.lexsort((at[some], owner) if when is None else (when[some], at[some], owner))
        owner, items = owner[order], at[some][order]
        latest = np.append((owner[1:] != owner[:-1]) | (items[1:] != items[:-1]), True)
        lengths[first:last] = np.bincount(owner[latest] - first, minlength=last - first)
        kept = slice(done, done + int(latest.sum()))
        if when is not None:
            when[kept] = when[some][order][latest]
        at[kept] = items[latest]
        done = kept.stop
    return lengths


def _user_blocks(starts: np.ndarray, rows: int) -> Iterator[tuple[int, int]]:
    """Runs of users with about so many rows together; one user at least."""
    first, n_users = 0, len(starts) - 1
    while first < n_users:
        last = int(np.searchsorted(starts, starts[first] + rows, side="right")) - 1
        last = min(max(last, first + 1), n_users)
        yield first, last
        first = last


def _save(folder: Path, name: str, values: np.ndarray | None, kind: np.dtype, length: int) -> None:
    """Write an array piece by piece; None is ones."""
    with replacing(folder / f"{name}.npy") as new:
        made = np.lib.format.open_memmap(new, "w+", kind, (length,))
        for start in range(0, length, ROWS):
            stop = min(start + ROWS, length)
            made[start:stop] = 1 if values is None else values[start:stop]
        made.flush()

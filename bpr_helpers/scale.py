"""k-core, splits, their report, ids and evaluation on Dask: for interactions larger than memory.

Every function does what the one of its name does on a pandas frame, and gives the same rows: `k_core`,
`split_per_user`, `split_leave_last`, `split_global_time`, `split_report`, `evaluate`. They take and give Dask
DataFrames, which `read_interactions` makes of a folder of Parquet files and `write` writes into one. They run
on the cluster of the active `dask.distributed.Client`, or without one in threads.

How little travels decides how long it takes. A k-core needs counts and masks of ids, so no row moves. A split
by user and an evaluation need all rows of a user in one place: one shuffle by user, and then the pandas
function on each bucket, since the hash that orders ties does not depend on what stands around it. A split by
time needs one moment, which is found by counting.

Where the interactions fit into memory, take pandas. From ten million rows on, with two workers on one
machine, a k-core is quicker than in pandas, a split takes 1.5 to 2 times as long, and its report up to a
quarter longer (benchmarks/scale_out.py).

Needs dask (the extra `scale`). A worker that is lost costs the time of its tasks, not the result: what it
held is computed again from the files.
"""

from __future__ import annotations

import errno
import math
import re
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from bpr_helpers.data import later_repeats
from bpr_helpers.evaluation import METRICS, Candidates, Evaluation
from bpr_helpers.evaluation import evaluate as evaluate_in_memory
from bpr_helpers.files import replacing
from bpr_helpers.formats import explained
from bpr_helpers.matrix import Recommender, id_column, meet, nothing_in_row, times_of
from bpr_helpers.parts import ROWS, Part, open_parts
from bpr_helpers.pruning import KCore, check_thresholds, rounds_table
from bpr_helpers.splitting import (
    Sizes,
    Split,
    all_at_once,
    counts_of_users,
    exact_shares,
    sizes_leave_last,
    sizes_per_user,
    split_last,
)
from bpr_helpers.splitting import split_report as report_in_memory

try:
    import dask
    import dask.dataframe as dd
    from dask import delayed
except ImportError as error:
    raise ImportError("bpr_helpers.scale needs dask: pip install 'bpr-helpers[scale]'") from error

BINS = 2**16  # of the histograms that find a moment
ROW, PART = "__row", "__part"  # columns of our own: the place of a row among all, the label of its part
PARTS = ("train", "valid", "test")
_PART = re.compile(r"part-\d{5,}\.parquet")  # what `write` calls its files


class Coded(NamedTuple):
    """Ids as codes.

    codes : Dask DataFrame, columns user and item: int64, as `InteractionMatrix.from_frame` gives them
    user_ids, item_ids : arrays (n_users,), (n_items,), sorted; the code of an id is its place here
    """

    codes: Any
    user_ids: np.ndarray
    item_ids: np.ndarray


def read_interactions(source: str | Path, *, rows: int = ROWS, **columns: Any) -> Any:
    """Open a Parquet file or a folder of them; no more than the first part is read yet.

    Parameters
    ----------
    source : a Parquet file, or a folder of them
    rows : about how many rows a partition holds, at least a row group of a file
    columns : user_column, item_column, timestamp_column, min_rating, ... as in `load_interactions`

    Returns
    -------
    Dask DataFrame
        as `load_interactions` gives it, but repeated pairs are still there (`first_of_pairs` folds them), and
        with `min_rating` rows keep their numbers

    Raises
    ------
    ValueError
        A file or a column is not as described; of what is in the rows, when they are computed.
    """
    parts = open_parts(
        source,
        rows=rows,
        each=lambda work, things: _compute(delayed(work)(thing) for thing in things),
        **columns,
    )
    return dd.from_delayed([delayed(_read)(part) for part in parts], meta=parts[0].head(), verify_meta=False)


def first_of_pairs(interactions: Any) -> Any:
    """Keep the earliest of repeated (user, item) pairs, as `load_interactions` does."""
    shuffled = _by_user(_numbered(interactions))
    return shuffled.map_partitions(_without_repeats, meta=interactions._meta)


def write(folder: str | Path, **frames: Any) -> dict[str, Any]:
    """Compute frames together and write each into a folder of Parquet files of its name.

    A folder takes its name when all of it is written: whoever is interrupted leaves the old one, or none. All
    workers have to see the folder. What an earlier call wrote under a name is replaced.

    Parameters
    ----------
    folder : made where it is missing
    frames : name -> Dask DataFrame

    Returns
    -------
    dict, name -> Dask DataFrame that reads what was written

    Raises
    ------
    OSError
        A disk is full; what was there before is as it was.
    ValueError
        What stands under a name was not written by an earlier call.
    """
    folder = Path(folder)
    for name in frames:
        _refuse_foreign(folder / name)
    waiting = {name: folder / f".{name}.writing" for name in frames}
    try:
        for place in waiting.values():
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
        _compute(
            delayed(_write)(part, waiting[name] / f"part-{number:05}.parquet")
            for name, frame in frames.items()
            for number, part in enumerate(frame.to_delayed())
        )
        for name, place in waiting.items():
            shutil.rmtree(folder / name, ignore_errors=True)
            place.rename(folder / name)
    finally:
        for place in waiting.values():
            shutil.rmtree(place, ignore_errors=True)
    return {name: open_written(folder / name) for name in frames}


def open_written(folder: str | Path) -> Any:
    """Open a folder of Parquet files as `write` leaves them: a partition for each, their columns as they are.

    Parameters
    ----------
    folder : such as ``Path(folder, name)`` of an earlier `write`

    Returns
    -------
    Dask DataFrame
    """
    parts = sorted(Path(folder).iterdir())
    meta = pq.read_schema(parts[0]).empty_table().to_pandas()
    return dd.from_delayed([delayed(_read_stored)(part) for part in parts], meta=meta, verify_meta=False)


def with_codes(interactions: Any) -> Coded:
    """Give ids the codes that `InteractionMatrix.from_frame` gives them.

    Parameters
    ----------
    interactions : Dask DataFrame, one row per interaction, columns user_id and item_id

    Raises
    ------
    ValueError
        A column or an id is missing.
    """
    seen = _look(interactions)
    return Coded(_codes(interactions, seen), np.asarray(seen.users.index), np.asarray(seen.items.index))


def k_core(interactions: Any, *, user_k: int = 6, item_k: int = 6) -> KCore:
    """Keep the largest set of rows in which every user and every item still has enough interactions.

    Counts travel, and masks of the ids that have too few; no row does. While it counts, the codes of all rows
    are in the memory of the workers, 8 bytes a row, or on their disks.

    Parameters
    ----------
    interactions, user_k, item_k : as `pruning.k_core` takes them, of a Dask DataFrame

    Returns
    -------
    KCore
        interactions: Dask DataFrame in the order and with the index and the partitions of the input, whose
        rows are read again when it is computed; rounds: DataFrame

    Raises
    ------
    ValueError
        As `pruning.k_core`.
    """
    check_thresholds(user_k, item_k)
    seen = _look(interactions)
    users, items = seen.users.to_numpy(), seen.items.to_numpy()  # (n_users,), (n_items,): rows of each
    rows = _persist(delayed(_arrays)(part) for part in _codes(interactions, seen).to_delayed())
    sizes = [(int(users.sum()), len(users), len(items))]
    while True:
        low_users, low_items = (users > 0) & (users < user_k), (items > 0) & (items < item_k)
        if not (low_users.any() or low_items.any()):
            break
        masks = _shared((low_users, low_items))
        done = _persist(delayed(_without)(part, masks) for part in rows)
        rows = [part[0] for part in done]
        lost_users, lost_items = _sum(part[1] for part in done)
        users, items = users - lost_users, items - lost_items
        sizes.append((int(users.sum()), int((users > 0).sum()), int((items > 0).sum())))
    if sizes[0][0] and not sizes[-1][0]:
        warnings.warn(
            f"No interaction survives user_k={user_k} and item_k={item_k}: choose smaller thresholds.",
            stacklevel=2,
        )
    kept = _shared((seen.users.index[users > 0], seen.items.index[items > 0]))
    return KCore(interactions.map_partitions(_keep, kept, meta=interactions._meta), rounds_table(sizes))


def split_per_user(
    interactions: Any,
    *,
    test_fraction: float = 0.1,
    valid_fraction: float = 0.0,
    ties: str = "shuffle",
    seed: int = 0,
) -> Split:
    """Test on the latest fraction of every user's interactions: `splitting.split_per_user` on Dask.

    Returns
    -------
    Split
        its parts are Dask DataFrames, partitioned by user, their rows with the index of the input. They are
        computed when they are asked for: `write` all three at once, so that rows are shuffled once.

    Raises
    ------
    ValueError
        As `splitting.split_per_user`.
    """
    return _split_last(interactions, sizes_per_user(test_fraction, valid_fraction), ties, seed)


def split_leave_last(
    interactions: Any, *, n_test: int = 1, n_valid: int = 0, ties: str = "shuffle", seed: int = 0
) -> Split:
    """Test on the last few interactions of every user: `splitting.split_leave_last` on Dask.

    Parts, and what is raised, are as in `split_per_user`.
    """
    return _split_last(interactions, sizes_leave_last(n_test, n_valid), ties, seed)


def split_global_time(interactions: Any, *, test_fraction: float = 0.1, valid_fraction: float = 0.0) -> Split:
    """Test on everything that happened after one moment: `splitting.split_global_time` on Dask.

    The moment is found by counting, and no row moves: parts keep the partitions and the order of the input.

    Raises
    ------
    ValueError
        As `splitting.split_global_time`.
    """
    shares = exact_shares(test_fraction, valid_fraction)
    seen = _look(interactions, timed=True)
    moments = _persist(delayed(_moments)(part) for part in interactions.to_delayed())
    starts: list[int | None] = []
    n_left = sum(seen.lengths)
    for one in shares:
        before = starts[0] if starts else None
        starts.append(_start(moments, n_left, one, before) if one and n_left else None)
        if starts[-1] is not None:
            n_left = sum(_compute(delayed(_n_below)(part, starts[-1]) for part in moments))
    labelled = interactions.map_partitions(_label_by_time, starts, meta=_labelled(interactions._meta))
    parts = _parts(labelled)
    [in_train] = _compute([_counts_of(parts[0], "user_id")])
    n_users = len(seen.users)
    return Split(*parts, counts={"users": n_users, "users_not_in_train": n_users - len(in_train)})


def split_report(split: Split) -> pd.DataFrame:
    """Say what a split holds and what leaks through it: `splitting.split_report` on Dask.

    Parameters
    ----------
    split : Split whose parts are Dask DataFrames

    Returns
    -------
    DataFrame, as of `splitting.split_report`
    """
    parts: list[Any] = [split.train, split.valid, split.test]
    n = max(part.npartitions for part in parts)
    buckets = zip(*(_by_user(part, n).to_delayed() for part in parts), strict=True)
    items = [_counts_of(frame, "item_id") for frame in parts]
    reports, counts = _compute([[delayed(_report)(*bucket) for bucket in buckets], items])
    report = sum(reports[1:], reports[0])
    report["items"] = [len(one) for one in counts]
    report["unknown_item_rows"] = [int(one[~one.index.isin(counts[0].index)].sum()) for one in counts]
    report["later_in_train"] = float("nan")
    if all("timestamp" in part.columns for part in parts):
        for name, later in zip(PARTS[1:], _later_in_train(parts, n), strict=True):
            report.loc[name, "later_in_train"] = later
    return report


def evaluate(
    recommender: Recommender,
    test: Any,
    *,
    ks: int | Iterable[int] = (5, 10, 20),
    metrics: str | Iterable[str] = METRICS,
    candidates: Candidates = "all",
    seed: int = 0,
) -> Evaluation:
    """Rank every user's test items, bucket of users by bucket: `evaluation.evaluate` on Dask.

    Parameters
    ----------
    recommender : a fitted Recommender; every worker holds one
    test : Dask DataFrame, one row per test interaction, columns user_id and item_id
    ks, metrics, candidates, seed : as in `evaluation.evaluate`

    Returns
    -------
    Evaluation, with the rows in the order of `evaluation.evaluate`; scores of single precision may differ in
    their last bit from those of other blocks, and with them the order of items whose scores are that close

    Raises
    ------
    ValueError
        As `evaluation.evaluate`.
    """
    settings = {"ks": ks, "metrics": metrics, "candidates": candidates, "seed": seed}
    shared = _shared(recommender)
    buckets = _by_user(_numbered(test)).to_delayed()
    found = _compute(delayed(_evaluate)(bucket, shared, settings) for bucket in buckets)
    matrix, known = recommender.matrix, [one for one in found if isinstance(one, Evaluation)]
    if not known:
        strangers = pd.concat([one for one in found if len(one)] or [test._meta])
        if strangers.empty:
            raise ValueError("The test part has no rows: choose a split that leaves some.")
        meet(strangers.sort_values(ROW)["user_id"], matrix.user_ids, "test user")
    counts = {name: sum(one.counts[name] for one in known) for name in known[0].counts}
    for strangers in (one for one in found if not isinstance(one, Evaluation)):
        counts["unknown_users"] += strangers["user_id"].nunique()
        counts["interactions_of_unknown_users"] += len(strangers)
    per_user = pd.concat([one.per_user for one in known])
    per_user = per_user.iloc[np.argsort(matrix.user_codes(per_user.index), kind="stable")]
    ranks = pd.concat([one.ranks for one in known], ignore_index=True)
    order = np.argsort(matrix.user_codes(ranks["user_id"]), kind="stable")
    return Evaluation(per_user, ranks.iloc[order].reset_index(drop=True), counts)


def tasks_of(stream: Iterable[dict[str, Any]]) -> pd.DataFrame:
    """Say who did what when, from the data of dask's `get_task_stream`.

    Parameters
    ----------
    stream : its attribute `data`

    Returns
    -------
    DataFrame
        a row per task: worker (address), kind (a key of `KINDS`, or "other"), and start and stop in seconds
        since the first
    """
    rows = [
        (task["worker"], _kind_of(str(task["key"])), one["start"], one["stop"])
        for task in stream
        for one in task["startstops"]
        if one["action"] == "compute"
    ]
    table = pd.DataFrame(rows, columns=["worker", "kind", "start", "stop"]).sort_values("start")
    first = table["start"].min()
    return table.assign(start=table["start"] - first, stop=table["stop"] - first).reset_index(drop=True)


# Words in the names of tasks, in the order in which they are looked for.
KINDS = {
    "shuffle": ("shuffle", "p2p"),
    "split": ("_label", "_only"),
    "write": ("_write",),
    "read": ("_read",),
    "prune": ("_keep", "_without"),
    "count": ("_look", "_as_codes", "_arrays", "_count", "_add", "_number"),
}


def _kind_of(key: str) -> str:
    return next((kind for kind, words in KINDS.items() if any(word in key for word in words)), "other")


# --- What runs here -------------------------------------------------------------------------------------


class _Seen(NamedTuple):
    lengths: list[int]  # of the partitions
    users: pd.Series  # how many rows each user has, by ascending id
    items: pd.Series


def _look(interactions: Any, *, timed: bool = False) -> _Seen:
    """Go through all rows once: how many there are, and of which ids; refuse what is missing."""
    for column in ("user_id", "item_id"):
        id_column(interactions._meta, column)
    if timed:
        times_of(interactions._meta)
    looked = [delayed(_look_at)(part, timed) for part in interactions.to_delayed()]
    counts = [_tree((part[1][side] for part in looked), _added) for side in (0, 1)]
    facts, users, items = _compute([[part[0] for part in looked], *counts])
    starts = np.cumsum([0, *(n for n, _ in facts)])
    for start, (_, missing) in zip(starts, facts, strict=False):
        for column, row in missing.items():
            raise ValueError(nothing_in_row(column, start + row))
    return _Seen([n for n, _ in facts], users, items)


def _split_last(interactions: Any, sizes: Sizes, ties: str, seed: int) -> Split:
    split_last(interactions._meta, sizes, ties, seed)  # refuses ties that are none
    seen = _look(interactions, timed=True)
    n_rows = seen.users.to_numpy()
    shuffled = _by_user(_numbered(interactions, seen.lengths))
    labelled = shuffled.map_partitions(_label_last, sizes, ties, seed, meta=_labelled(interactions._meta))
    return Split(*_parts(labelled), counts=counts_of_users(n_rows, *sizes(n_rows)))


def _parts(labelled: Any) -> tuple[Any, Any, Any]:
    meta = labelled._meta.drop(columns=PART)
    train, valid, test = (labelled.map_partitions(_only, label, meta=meta) for label in range(len(PARTS)))
    return train, valid, test


def _labelled(meta: pd.DataFrame) -> pd.DataFrame:
    return meta.assign(**{PART: np.empty(0, np.int8)})


def _numbered(interactions: Any, lengths: list[int] | None = None) -> Any:
    """Add the place of every row among all, by which the order of the input is told after a shuffle."""
    parts = interactions.to_delayed()
    if lengths is None:
        lengths = _compute(delayed(len)(part) for part in parts)
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    made = [delayed(_number)(part, start) for part, start in zip(parts, starts, strict=True)]
    meta = interactions._meta.assign(**{ROW: np.empty(0, np.int64)})
    return dd.from_delayed(made, meta=meta, verify_meta=False)


def _by_user(interactions: Any, n: int | None = None) -> Any:
    """Bring all rows of a user together, in the same of n buckets for every frame."""
    n = n or interactions.npartitions
    return interactions if n == 1 else interactions.shuffle("user_id", npartitions=n)


def _start(moments: Any, n: int, one: Any, before: int | None) -> int:
    """First moment of the part that is cut from the end of the n earliest rows, as `splitting` cuts it."""
    lowest = min(_compute(delayed(_lowest)(part, None) for part in moments))
    later = min(_compute(delayed(_lowest)(part, lowest) for part in moments))
    if later == math.inf or (before is not None and later >= before):
        raise ValueError(all_at_once(n))
    return max(_nth(moments, n - math.ceil(one * n)), int(later))


def _nth(moments: Any, place: int) -> int:
    """Find the moment at a place (from 0) of all in order: by histograms, each within a bin of the last."""
    low, high = _extent(moments)
    while low < high:
        width = -(-(high - low + 1) // BINS)
        [counts] = _sum(delayed(_histogram)(part, low, high, width) for part in moments)
        ends = np.cumsum(counts)
        slot = int(np.searchsorted(ends, place, side="right"))
        place -= int(ends[slot - 1]) if slot else 0
        low, high = low + slot * width, min(high, low + (slot + 1) * width - 1)
    return low


def _extent(moments: Any) -> tuple[int, int]:
    ends = [one for one in _compute(delayed(_ends)(part) for part in moments) if one]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _later_in_train(parts: list[Any], n: int) -> list[float]:
    """Give the share of train rows that are later than a row, averaged over validation and over test.

    A bucket holds the rows of all parts from one moment to another, so that a row is compared with the train
    rows of its bucket alone; of the earlier buckets the number is enough.
    """
    moments = [_persist(delayed(_moments)(one) for one in part.to_delayed()) for part in parts]
    lengths = [sum(_compute(delayed(len)(one) for one in part)) for part in moments]
    if not lengths[0]:
        return [float("nan")] * 2
    edges = np.array([_nth(moments[0], lengths[0] * place // n) for place in range(1, n)], np.int64)
    [in_buckets] = _sum(delayed(_in_buckets)(one, edges) for one in moments[0])
    below = np.cumsum(in_buckets) - in_buckets  # (n,): train rows of the buckets before each
    made = [delayed(_in_bucket)(one, label, edges) for label, part in enumerate(moments) for one in part]
    meta = _in_bucket(np.empty(0, np.int64), 0, edges)
    buckets = dd.from_delayed(made, meta=meta, verify_meta=False)
    buckets = buckets.shuffle("bucket", npartitions=n)
    [earlier] = _sum(delayed(_not_later)(one, below) for one in buckets.to_delayed())
    return [
        1 - int(total) / length / lengths[0] if length else float("nan")
        for total, length in zip(earlier, lengths[1:], strict=True)
    ]


def _shared(value: Any) -> Any:
    """Name what many tasks need, so that each worker is sent it once; a lost worker's is sent again."""
    return delayed(value, pure=False, traverse=False)


def _sum(lazy: Iterable[Any]) -> tuple[np.ndarray, ...]:
    """Add up tuples of arrays, eight at a time where they are."""
    [total] = _compute([_tree(lazy, _add)])
    return total


def _counts_of(frame: Any, column: str) -> Any:
    """How many rows each id has, by ascending id; still to be computed."""
    return _tree((delayed(_count)(part, column) for part in frame.to_delayed()), _added)


def _codes(interactions: Any, seen: _Seen) -> Any:
    """The codes of all rows, still to be computed: columns user and item."""
    meta = pd.DataFrame({"user": np.empty(0, np.int64), "item": np.empty(0, np.int64)})
    users, items = _shared(seen.users.index), _shared(seen.items.index)
    return interactions.map_partitions(_as_codes, users, items, meta=meta)


def _refuse_foreign(folder: Path) -> None:
    """Refuse to replace what `write` has not written: a folder of anything but its parts, a file, a link."""
    ours = not folder.is_symlink() and (
        not folder.exists()
        or (folder.is_dir() and all(_PART.fullmatch(one.name) for one in folder.iterdir()))
    )
    if not ours:
        raise ValueError(
            f"{folder} holds what was not written by an earlier call: give another folder or name."
        )


def _tree(lazy: Iterable[Any], join: Callable[..., Any]) -> Any:
    level = list(lazy)
    while True:
        level = [delayed(join)(*level[start : start + 8]) for start in range(0, len(level), 8)]
        if len(level) == 1:
            return level[0]


def _compute(lazy: Iterable[Any]) -> list[Any]:
    """Compute all together; what goes wrong on the cluster is said in a sentence."""
    with _in_a_sentence(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph")  # masks and ids of millions are large
        return list(dask.compute(*lazy))


def _persist(lazy: Iterable[Any]) -> list[Any]:
    """Compute all, and leave it where it was computed."""
    with _in_a_sentence(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sending large graph")
        return list(dask.persist(*lazy))


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        chain = [error]
        while chain[-1].__cause__ or chain[-1].__context__:
            chain.append(chain[-1].__cause__ or chain[-1].__context__)  # type: ignore[arg-type]
        names = {type(one).__name__ for one in chain}
        for one in chain:
            if isinstance(one, OSError) and one.errno == errno.ENOSPC:
                raise OSError(
                    errno.ENOSPC,
                    f"A disk is full ({one.filename or 'where workers spill to'}): make room, or start "
                    "the workers with another --local-directory, and call again; nothing was changed",
                ) from error
        if "KilledWorker" in names:
            raise MemoryError(
                "Workers were lost again and again at one task, mostly for want of memory: give each more, "
                "or read smaller partitions (rows=...), and call again; nothing was changed."
            ) from error
        if names & {
            "CommClosedError",
            "CancelledError",
            "FutureCancelledError",
            "FuturesCancelledError",
            "ClosedClientError",
        }:
            raise ConnectionError(
                "Dask's scheduler went away: start it again, connect a client to it, and call again; nothing "
                "was changed."
            ) from error
        raise


# --- What runs on the workers ---------------------------------------------------------------------------


def _read(part: Part) -> pd.DataFrame:
    return part.read()


def _read_stored(part: Path) -> pd.DataFrame:
    with explained(part):
        return pd.read_parquet(part)


def _write(part: pd.DataFrame, path: Path) -> None:
    with replacing(path) as new:
        part.to_parquet(new, index=False)


def _without_repeats(bucket: pd.DataFrame) -> pd.DataFrame:
    plain = bucket.sort_values(ROW).drop(columns=ROW)
    places = plain.reset_index(drop=True)
    return plain[~places.index.isin(later_repeats(places))]


def _look_at(part: pd.DataFrame, timed: bool) -> tuple[tuple[int, dict[str, int]], list[Any]]:
    """Number of rows, first row without an id or a time by column, and how many rows each id has."""
    columns = ["user_id", "item_id", *(["timestamp"] if timed else [])]
    missing = {name: int(part[name].isna().to_numpy().argmax()) for name in columns if part[name].hasnans}
    if timed and not missing:
        times_of(part)  # refuses what is no time
    return (len(part), missing), [_count(part, name) for name in ("user_id", "item_id")]


def _count(part: pd.DataFrame, column: str) -> pd.Series:
    return part[column].value_counts(sort=False)


def _added(*counts: pd.Series) -> pd.Series:
    return pd.concat(counts).groupby(level=0).sum()


def _add(*tuples: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
    return tuple(np.sum(arrays, axis=0) for arrays in zip(*tuples, strict=True))


def _as_codes(part: pd.DataFrame, users: pd.Index, items: pd.Index) -> pd.DataFrame:
    codes = {
        "user": users.get_indexer(pd.Index(part["user_id"])),
        "item": items.get_indexer(pd.Index(part["item_id"])),
    }
    return pd.DataFrame(codes, index=part.index).astype(np.int64)


def _arrays(codes: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return codes["user"].to_numpy(np.int32), codes["item"].to_numpy(np.int32)


def _bincounts(
    rows: tuple[np.ndarray, np.ndarray], n_users: int, n_items: int
) -> tuple[np.ndarray, np.ndarray]:
    return np.bincount(rows[0], minlength=n_users), np.bincount(rows[1], minlength=n_items)


def _without(rows: tuple[np.ndarray, np.ndarray], low: tuple[np.ndarray, np.ndarray]) -> tuple[Any, Any]:
    """Take out the rows of ids that have too few: the rows left, and how many each id has lost."""
    gone = low[0][rows[0]] | low[1][rows[1]]
    lost = _bincounts((rows[0][gone], rows[1][gone]), len(low[0]), len(low[1]))
    return tuple(codes[~gone] for codes in rows), lost


def _keep(part: pd.DataFrame, kept: tuple[pd.Index, pd.Index]) -> pd.DataFrame:
    users, items = kept
    return part[
        (users.get_indexer(pd.Index(part["user_id"])) >= 0)
        & (items.get_indexer(pd.Index(part["item_id"])) >= 0)
    ]


def _number(part: pd.DataFrame, start: int) -> pd.DataFrame:
    return part.assign(**{ROW: np.arange(start, start + len(part))})


def _label_last(bucket: pd.DataFrame, sizes: Sizes, ties: str, seed: int) -> pd.DataFrame:
    ordered = bucket.sort_values(ROW).drop(columns=ROW)
    split = split_last(ordered.reset_index(drop=True), sizes, ties, seed)
    label = np.zeros(len(ordered), np.int8)
    label[split.valid.index], label[split.test.index] = 1, 2
    return ordered.assign(**{PART: label})


def _label_by_time(part: pd.DataFrame, starts: list[int | None]) -> pd.DataFrame:
    moments, label = _moments(part), np.zeros(len(part), np.int8)
    for number, start in ((1, starts[1]), (2, starts[0])):  # test is what comes last
        if start is not None:
            label[moments >= start] = number
    return part.assign(**{PART: label})


def _only(labelled: pd.DataFrame, label: int) -> pd.DataFrame:
    return labelled[labelled[PART] == label].drop(columns=PART)


def _moments(part: pd.DataFrame) -> np.ndarray:
    """Times as integers of the same order: of a float its bits, of a negative one turned around."""
    times = times_of(part)
    if times.dtype.kind != "f":
        return times
    bits = (times + 0.0).view(np.int64)  # -0.0 is 0.0
    return np.where(bits < 0, bits ^ np.int64(2**63 - 1), bits)


def _lowest(moments: np.ndarray, above: int | None) -> float:
    """The lowest moment, or the lowest above another; inf where there is none."""
    some = moments if above is None else moments[moments > above]
    return int(some.min()) if len(some) else math.inf


def _n_below(moments: np.ndarray, start: int) -> int:
    return int((moments < start).sum())


def _ends(moments: np.ndarray) -> tuple[int, int] | None:
    return (int(moments.min()), int(moments.max())) if len(moments) else None


def _histogram(moments: np.ndarray, low: int, high: int, width: int) -> tuple[np.ndarray]:
    some = moments[(moments >= low) & (moments <= high)]
    slots = (some.view(np.uint64) - np.uint64(low % 2**64)) // np.uint64(width)
    return (np.bincount(slots.astype(np.int64), minlength=BINS),)


def _in_buckets(moments: np.ndarray, edges: np.ndarray) -> tuple[np.ndarray]:
    return (np.bincount(np.searchsorted(edges, moments, side="right"), minlength=len(edges) + 1),)


def _in_bucket(moments: np.ndarray, label: int, edges: np.ndarray) -> pd.DataFrame:
    bucket = np.searchsorted(edges, moments, side="right")
    columns = {"moment": moments, PART: np.int8(label), "bucket": bucket.astype(np.int32)}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(moments)))


def _not_later(rows: pd.DataFrame, below: np.ndarray) -> tuple[np.ndarray]:
    """Over the validation rows, and the test rows: how many train rows each has that are not later."""
    total = np.zeros(2, np.int64)
    for bucket in rows["bucket"].unique():
        own = rows[rows["bucket"] == bucket]
        train = np.sort(own.loc[own[PART] == 0, "moment"].to_numpy())
        for label in (1, 2):
            moments = own.loc[own[PART] == label, "moment"].to_numpy()
            total[label - 1] += (
                np.searchsorted(train, moments, side="right").sum() + len(moments) * below[bucket]
            )
    return (total,)


def _report(train: pd.DataFrame, valid: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    return report_in_memory(Split(train, valid, test))


def _evaluate(bucket: pd.DataFrame, recommender: Recommender, settings: dict[str, Any]) -> Any:
    """Evaluate the users of a bucket; if the model knows none of them, give their distinct pairs."""
    pairs = bucket.sort_values(ROW)[["user_id", "item_id", ROW]]
    if (recommender.matrix.user_codes(pairs["user_id"]) < 0).all():
        return pairs.drop_duplicates(["user_id", "item_id"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # `counts` say how many lists are short
        return evaluate_in_memory(recommender, pairs, **settings)

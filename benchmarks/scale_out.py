"""k-core, split and report of 1 to 100 million rows from Parquet: Dask, 2 GB a worker, against pandas.

    python benchmarks/scale_out.py          # ten minutes and 4 GB of disk; writes results/scale_out.csv
    python benchmarks/scale_out.py 1 10     # some of the millions, unwritten

The data are synthetic: parts of two million rows, 20 to a user, on 100,000 items, so that a 6-core has work
to do. Both programs read a folder of Parquet files and write folders of Parquet files. Every row of the table
is one stage: seconds, the largest memory of a process, and whether both wrote the same rows, by a fingerprint
that does not depend on their order. Dask has two workers of one thread, one for each processor, limited to 2
GB each. pandas runs in a process of its own without a limit, and where it falls over for want of memory the
table says so. Evaluation is of 20,000 users' test items, by a model that is fitted before the clock starts;
at 100 million rows it is left out.
"""

from __future__ import annotations

import logging
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from common import RESULTS
from dask.distributed import Client, LocalCluster

import bpr_helpers
from bpr_helpers import Popularity, load_interactions, scale, synthetic_interactions
from bpr_helpers.evaluation import evaluate
from bpr_helpers.splitting import Split, split_report

MILLIONS = (1, 10, 100)
PART, PER_USER, ITEMS = 2_000_000, 20, 100_000
JUDGED = 20_000  # users whose test items are ranked
PARTS = ("train", "valid", "test")


def make(folder: Path, millions: int) -> None:
    """Write the parts, each of other users."""
    rows = min(PART, millions * 1_000_000 // 2)
    users = rows // PER_USER
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        n = millions * 1_000_000 // rows
        list(pool.map(make_part, [folder] * n, range(n), [rows] * n, [users] * n))


def make_part(folder: Path, number: int, rows: int, users: int) -> None:
    frame = synthetic_interactions(users, ITEMS, rows, seed=number)
    shuffled = frame.assign(user_id=frame["user_id"] + number * users).sample(frac=1, random_state=number)
    shuffled.to_parquet(folder / f"part-{number:03}.parquet", index=False, row_group_size=500_000)


def fingerprint_of(folder: Path) -> int:
    """The sum of a hash of every row: the same for any order of the rows, in any number of files."""
    total = 0
    for part in sorted(folder.iterdir()):
        for batch in pq.ParquetFile(part).iter_batches(1_000_000):
            frame = batch.to_pandas().astype("int64")
            hashes = pd.util.hash_pandas_object(frame, index=False).to_numpy()
            total += int(hashes.sum(dtype=np.uint64))
    return total % 2**64


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def read(folder: Path, name: str) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(part) for part in sorted((folder / name).iterdir())], ignore_index=True)


def write(folder: Path, **frames: pd.DataFrame) -> None:
    for name, frame in frames.items():
        (folder / name).mkdir(parents=True)
        frame.to_parquet(folder / name / "part-0.parquet", index=False)


def in_pandas(stage: str, data: Path, folder: Path) -> tuple[float, float, Any]:
    """Seconds, GB and what is compared, of one stage in this process."""
    start = time.perf_counter()
    found: Any = None
    if stage == "k-core":
        write(folder, core=bpr_helpers.k_core(load_interactions(data)).interactions)
    elif stage == "split":
        split = bpr_helpers.split_per_user(read(folder, "core"), valid_fraction=0.1)
        write(folder, **{name: getattr(split, name) for name in PARTS})
    elif stage == "report":
        found = split_report(Split(*(read(folder, name) for name in PARTS)))
    else:
        train, test = read(folder, "train"), some_users(read(folder, "test"))
        model = Popularity().fit(train)
        start = time.perf_counter()
        found = evaluate(model, test, ks=10).per_user
    return time.perf_counter() - start, peak(), found


def some_users(test: pd.DataFrame) -> pd.DataFrame:
    return test[test["user_id"].isin(np.sort(test["user_id"].unique())[:JUDGED])]


def on_dask(stage: str, data: Path, folder: Path, client: Client) -> tuple[float, float, Any]:
    """Seconds, GB of the largest worker so far, and what is compared."""
    start = time.perf_counter()
    found: Any = None
    if stage == "k-core":
        scale.write(folder, core=scale.k_core(scale.read_interactions(data)).interactions)
    elif stage == "split":
        split = scale.split_per_user(scale.read_interactions(folder / "core"), valid_fraction=0.1)
        scale.write(folder, **{name: getattr(split, name) for name in PARTS})
    elif stage == "report":
        found = scale.split_report(Split(*(scale.read_interactions(folder / name) for name in PARTS)))
    else:
        model = Popularity().fit(read(folder, "train"))
        some = some_users(read(folder, "test"))
        write(folder, some=some)
        start = time.perf_counter()
        found = scale.evaluate(model, scale.read_interactions(folder / "some"), ks=10).per_user
    return time.perf_counter() - start, max(client.run(peak).values()), found


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """What some work returns that has a process to itself; None where that was killed."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        try:
            return pool.submit(work, *arguments).result()
        except (BrokenProcessPool, MemoryError):
            return None


def at_size(millions: int) -> list[dict[str, Any]]:
    """A row per stage."""
    stages = ["k-core", "split", "report", *(["evaluation"] if millions <= 10 else [])]
    rows = []
    with tempfile.TemporaryDirectory() as home:
        data, ours, theirs = (Path(home, name) for name in ("data", "dask", "pandas"))
        data.mkdir()
        make(data, millions)
        options = {"dashboard_address": None, "silence_logs": logging.ERROR, "local_directory": home}
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, memory_limit="2GB", **options)
        with cluster, Client(cluster) as client:
            for stage in stages:
                seconds, gigabytes, found = on_dask(stage, data, ours, client)
                row = {"million": millions, "stage": stage, "dask s": seconds, "worker GB": gigabytes}
                other = alone(in_pandas, stage, data, theirs)
                row |= {"pandas s": np.nan, "pandas GB": np.nan, "ratio": np.nan, "equal": "pandas fell over"}
                if other:
                    same = equal(stage, found, other[2], ours, theirs)
                    row |= {
                        "pandas s": other[0],
                        "pandas GB": other[1],
                        "ratio": seconds / other[0],
                        "equal": same,
                    }
                print(
                    " ".join(
                        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
                        for name, value in row.items()
                    ),
                    flush=True,
                )
                rows.append(row)
    return rows


def equal(stage: str, found: Any, expected: Any, ours: Path, theirs: Path) -> bool:
    if stage in ("report", "evaluation"):
        return bool(found.equals(expected))
    names = ["core"] if stage == "k-core" else list(PARTS)
    return all(fingerprint_of(ours / name) == fingerprint_of(theirs / name) for name in names)


def main() -> None:
    """Print and write the table; every comparison that is possible must come out equal."""
    table = pd.DataFrame([row for m in map(int, sys.argv[1:] or MILLIONS) for row in at_size(m)])
    print(table.round(2).to_string(index=False))
    if not sys.argv[1:]:
        table.round(3).to_csv(RESULTS / "scale_out.csv", index=False)
    if (table["equal"] == False).any():  # noqa: E712  (other entries are words)
        raise SystemExit("Dask and pandas wrote different rows.")


if __name__ == "__main__":
    main()

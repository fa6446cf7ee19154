"""BPR on positives that stay on the disk: 100 million interactions within 6 GB.

    python benchmarks/streaming.py         # ten minutes; writes results/streaming.csv
    python benchmarks/streaming.py 5       # as many million interactions instead, unwritten

The data are synthetic (seed 0), 200 interactions to a user on 100,000 items. They are made in a process of
their own, which may take what it likes, and written as Parquet files of two million rows. The last
interaction of 2,000 users is for validation: as many as `BPR` lets judge where items are many. A second
process makes a matrix on the disk of them (`store_matrix`), a third one fits `BPR` on it, with the settings
of benchmarks/scale.py, without times. The reference is the same fit on a tenth of the users, in the same
way of going through it but from memory.

Peak memory is that of the process, with what it has mapped of the files. The target is the validation NDCG@10
of the most popular items; the seconds to it begin before the matrix is opened, and hold tracing and
validation.

The ratio says no more than that the disk does not slow training down: in three runs the reference trained
224,000 (beside another job), 360,000 and 571,000 positives a second.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import RESULTS

from bpr_helpers import BPR, InteractionMatrix, Popularity, synthetic_interactions
from bpr_helpers.bpr import n_judges
from bpr_helpers.ranking import mean_ndcg
from bpr_helpers.stored import open_matrix, store_matrix

MILLIONS = 100
PER_USER, ITEMS, PART = 200, 100_000, 2_000_000
EPOCHS, JUDGED = 2, n_judges(ITEMS)
SETTINGS = {"dim": 64, "l2_user": 0.02, "l2_pos": 0.005, "l2_neg": 0.005, "recency": 0.0, "averaging": 0.0}
LIMIT = 6.0  # GB


def make(folder: Path, rows: int) -> None:
    """Write the parts of the training data, and the validation part."""
    users = rows // PER_USER
    frame = synthetic_interactions(users, ITEMS, rows)
    (folder / "data").mkdir()
    last = np.flatnonzero(np.append(np.diff(frame["user_id"].to_numpy()) != 0, True))  # users lie in order
    held = last[np.sort(np.random.default_rng(0).choice(users, min(JUDGED, users), replace=False))]
    frame.iloc[held].to_parquet(folder / "valid.parquet")
    kept = np.ones(rows, bool)
    kept[held] = False
    for number, start in enumerate(range(0, rows, PART)):
        rows_of_part = slice(start, start + PART)
        part = frame.iloc[rows_of_part][kept[rows_of_part]]
        part.drop(columns="timestamp").to_parquet(
            folder / "data" / f"{number:03}.parquet", row_group_size=500_000
        )


def store(folder: Path) -> tuple[float, float]:
    """Seconds and GB of making the matrix."""
    start = time.perf_counter()
    store_matrix(folder / "data", folder / "matrix")
    return time.perf_counter() - start, peak()


def fit(folder: Path, in_memory: bool) -> dict[str, float]:
    """Fit, and say how fast, how good, and with how much memory."""
    start = time.perf_counter()
    matrix = open_matrix(folder / "matrix")
    if in_memory:
        csr = matrix.csr.copy()
        matrix = InteractionMatrix(matrix.user_ids, matrix.item_ids, csr)
    valid = pd.read_parquet(folder / "valid.parquet")
    ends: list[tuple[float, float]] = []
    bpr = BPR(**SETTINGS, epochs=EPOCHS)  # type: ignore[arg-type]
    bpr.fit(
        matrix,
        valid=valid,
        callback=lambda _, __, row: ends.append((time.perf_counter() - start, row["valid_ndcg@10"])),
    )
    used = peak()
    relevant = InteractionMatrix.from_frame(valid, like=matrix, unknown="drop")
    target = mean_ndcg(Popularity().fit(matrix).score, matrix, relevant)
    there = [seconds for seconds, ndcg in ends if ndcg > target]
    return {
        "positives": matrix.csr.nnz,
        "positives per second": matrix.csr.nnz / (ends[1][0] - ends[0][0]),
        "fit GB": used,
        "ndcg@10": ends[-1][1],
        "target": target,
        "seconds to target": there[0] if there else float("inf"),
    }


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def alone(work: Callable[..., Any], *arguments: Any) -> Any:
    """What some work returns that has a process to itself."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def at_size(millions: float, in_memory: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        alone(make, folder, round(millions * 1e6))
        seconds, gigabytes = alone(store, folder)
        row = {
            "positives are": "in memory" if in_memory else "on the disk",
            "store s": seconds,
            "store GB": gigabytes,
        }
        row |= alone(fit, folder, in_memory)
    print(pd.Series(row).to_string(), flush=True)
    return row


def main() -> None:
    """Print and write the table; more memory than the limit is an error."""
    millions = float(sys.argv[1]) if sys.argv[1:] else MILLIONS
    table = pd.DataFrame([at_size(millions / 10, True), at_size(millions, False)])
    table["ratio"] = table["positives per second"] / table["positives per second"].iloc[0]
    print(table.round(3).T.to_string())
    if not sys.argv[1:]:
        table.round(4).to_csv(RESULTS / "streaming.csv", index=False)
    if table["fit GB"].max() > LIMIT:
        raise SystemExit(f"The fit took {table['fit GB'].max():.1f} GB; {LIMIT} GB is the limit.")


if __name__ == "__main__":
    main()

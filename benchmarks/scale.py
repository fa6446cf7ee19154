"""How BPR grows from 0.1 to 25 million interactions, and against Cornac's BPR at every size.

    python benchmarks/scale.py      # half an hour; with 0.1, 0.5, 2.5 or 25: those millions, unwritten

The data are synthetic (seed 0); the largest is of MovieLens-25M's size: 162,000 users, 59,000 items. Smaller
ones keep the interactions per user. The last tenth of every user's interactions is for validation, of at most
10,000 users. Both programs use two threads, vectors of length 64, and the settings below, chosen with 1 and 4
million interactions: times are not used (here the best-fitting items come first, not last), L2 is weaker and
epochs are fewer, since every item has more positives. Cornac's were chosen in the same way.

The target is the best validation NDCG@10 of Cornac's run. Every program runs in a process of its own, so that
its peak memory is its own; what stands before an epoch (reading, tracing, set-up) counts for BPR, and not for
Cornac; validation counts for neither. Writes benchmarks/results/scale.csv and scale.png.

BPR was to be no slower than Cornac below half a million, tracing included. That is missed: the recorded table
says 1.54 times Cornac's time at .1 million and 1.17 at .5, about a second of it tracing and compiling. At 2.5
million it says .42, and at 25 million .20.
"""

import multiprocessing
import resource
import sys
import tempfile
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from common import RESULTS
from courses import Course, our_course, peer_course
from peers import CornacBPR
from scipy.sparse import csr_matrix

from bpr_helpers import split_per_user, synthetic_interactions
from bpr_helpers.matrix import InteractionMatrix

EPOCHS = {0.1: (12, 60), 0.5: (8, 40), 2.5: (5, 32), 25.0: (3, 24)}  # by million interactions: ours, Cornac's
MOST = (25.0, 162_000, 59_000)  # million interactions, users and items of MovieLens-25M
OURS = {"dim": 64, "l2_user": 0.02, "l2_pos": 0.005, "l2_neg": 0.005, "recency": 0.0, "averaging": 0.0}
CORNAC = {"dim": 64, "learning_rate": 0.03, "l2": 0.01}
MEMORY_LIMIT = 6.0  # GB


def make(millions: float, folder: Path) -> tuple[int, int, int]:
    """Write the two parts of the data; sizes of the training part."""
    users = round(MOST[1] * millions / MOST[0])
    items = round(MOST[2] * (millions / MOST[0]) ** 0.5)
    split = split_per_user(synthetic_interactions(users, items, round(millions * 1e6), seed=0))
    train = InteractionMatrix.from_frame(split.train)
    valid = InteractionMatrix.from_frame(split.test, like=train, unknown="drop")
    for name, matrix in (("train", train), ("valid", valid)):
        np.savez(folder / f"{name}.npz", indptr=matrix.csr.indptr, indices=matrix.csr.indices)
    np.save(folder / "shape.npy", train.csr.shape)
    return *train.csr.shape, train.csr.nnz


def read(folder: Path, part: str) -> InteractionMatrix:
    n_users, n_items = np.load(folder / "shape.npy")
    with np.load(folder / f"{part}.npz") as file:
        indptr, indices = file["indptr"], file["indices"]
    ones = np.ones(len(indices), np.float32)
    csr = csr_matrix((ones, indices, indptr), shape=(n_users, n_items))
    return InteractionMatrix(np.arange(n_users), np.arange(n_items), csr)


def run(program: str, epochs: int, folder: Path) -> tuple[Course, float]:
    """The course of one program's training, and the peak memory of its process in GB."""
    warnings.filterwarnings("ignore", "Model is already fitted")  # Cornac's, when a training goes on
    train, valid = read(folder, "train"), read(folder, "valid")
    if program == "BPR":
        course = our_course(OURS | {"epochs": epochs}, train, valid)
    else:
        course = peer_course(CornacBPR(epochs, **CORNAC), train, valid, every=2)  # type: ignore[arg-type]
    return course, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def alone(work: Any, *arguments: Any) -> Any:
    """What some work returns that has a process to itself."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def at_size(millions: float) -> list[dict[str, Any]]:
    """A row per program."""
    with tempfile.TemporaryDirectory() as folder:
        users, items, positives = alone(make, millions, Path(folder))
        ours, cornacs = EPOCHS[millions]
        results = {
            program: alone(run, program, epochs, Path(folder))
            for program, epochs in (("Cornac", cornacs), ("BPR", ours))
        }
    target = results["Cornac"][0]["ndcg"].max()
    rows = []
    for program, (course, memory) in results.items():
        per_epoch = np.median(np.diff(course["seconds"]) / np.diff(course["epoch"]))
        there = course[course["ndcg"] >= target]
        row = {"million": millions, "users": users, "items": items, "positives": positives}
        row |= {"program": program, "positives per second": positives / per_epoch}
        row |= {"seconds per epoch": per_epoch, "target": target, "best ndcg@10": course["ndcg"].max()}
        row["epochs to target"] = there["epoch"].iloc[0] if len(there) else np.inf
        row["seconds to target"] = there["seconds"].iloc[0] if len(there) else np.inf
        rows.append(row | {"peak GB": memory})
    for row in rows:
        row["ratio"] = row["seconds to target"] / rows[0]["seconds to target"]
    return rows


def draw(table: pd.DataFrame) -> None:
    """Time and memory by number of interactions, into results/scale.png."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained")
    titles = {
        "seconds per epoch": "An epoch grows in proportion",
        "seconds to target": "Time to the best NDCG@10 of Cornac",
        "peak GB": "Peak memory of the process",
    }
    for axis, (column, title) in zip(axes, titles.items(), strict=True):
        for (program, rows), (color, marker) in zip(
            table.groupby("program"), (("#0072B2", "o"), ("#D55E00", "s")), strict=True
        ):
            axis.plot(rows["million"], rows[column], marker=marker, color=color, label=program)
        axis.set(xscale="log", yscale="log", title=title, xlabel="million interactions", ylabel=column)
        axis.grid(alpha=0.3)
    axes[0].legend()
    figure.savefig(RESULTS / "scale.png", dpi=110)


def main() -> None:
    """Print and write the table, and the figure."""
    sizes = [float(given) for given in sys.argv[1:]] or list(EPOCHS)
    table = pd.DataFrame([row for millions in sizes for row in at_size(millions)])
    print(table.round(3).to_string(index=False))
    if not sys.argv[1:]:
        RESULTS.mkdir(exist_ok=True)
        table.round(4).to_csv(RESULTS / "scale.csv", index=False)
        draw(table)
    peak = table.loc[table["program"] == "BPR", "peak GB"].max()
    if peak > MEMORY_LIMIT:
        raise SystemExit(f"BPR took {peak:.1f} GB; {MEMORY_LIMIT} GB is the limit.")


if __name__ == "__main__":
    main()

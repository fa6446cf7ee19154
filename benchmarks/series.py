"""How long the stages 01 to 04 take on a practitioner's data, and how much memory: `bpr run` at four sizes.

    python benchmarks/series.py                # all sizes, half an hour
    python benchmarks/series.py wide long      # some of them, and the reference

Writes results/series.csv and series.png.

The data are synthetic (seed 0). All users with two interactions are kept, and all items, so that the
notebooks meet the sizes that are stated here: a k-core of six would leave fewer items. Every notebook runs by
itself, with its lessons, as `bpr run --only` executes it through papermill; its memory is the largest of the
processes that took part. The reference is the same series on data of MovieLens-100K's size, in the same run:
the ratio says how much longer a size takes on the same machine under the same load. Seconds of the processors
tell a busy machine from a slow notebook: on two, they are at most twice the seconds.

In the recorded run wide takes 2.7 minutes and long 5.2: both aims are met, at 2.0 and 3.9 times the
reference. many takes 21.0 minutes, 40 % over its aim, and 4.3 GB, within it. Nearly all of that is models
being chosen, fitted and judged in 03 and 04. Minutes are those of a machine: on a slower one, where the
reference took 4.2 instead of 1.3, an earlier state took 6.9 for wide and 14.2 for long. After the recorded
run intervals of very many users became quicker; many was not run again.

    small   100,000 rows      943 users   1,682 items   the reference
    wide    200,000 rows    5,000 users  15,000 items   aim: 4 minutes
    long  1,000,000 rows   30,000 users  40,000 items   aim: 6 minutes
    many  4,200,000 rows  300,000 users  20,000 items   aim: 15 minutes and 8 GB
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from common import RESULTS, met

from bpr_helpers import synthetic_interactions
from bpr_helpers.course.series import STAGES


class Size(NamedTuple):
    """What a series runs on, and what it may take: minutes, and GB of the largest process."""

    rows: int
    users: int
    items: int
    minutes: float = float("inf")
    memory: float = float("inf")


REFERENCE = "small"
SIZES = {
    REFERENCE: Size(100_000, 943, 1_682),
    "wide": Size(200_000, 5_000, 15_000, 4),
    "long": Size(1_000_000, 30_000, 40_000, 6),
    "many": Size(4_200_000, 300_000, 20_000, 15, 8),
}
KEPT = ["-p", "user_k", "2", "-p", "item_k", "1"]
DEAREST = 3  # cells that are named for each notebook


def run_notebook(notebook: str, folder: Path) -> dict[str, float]:
    """Run one notebook by `bpr run`: seconds, seconds of processors, and GB of the largest process."""
    command = [sys.executable, "-m", "bpr_helpers", "run", "--only", notebook, "-p", "source", "rows.parquet"]
    start = time.perf_counter()
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen([*command, *KEPT], cwd=folder, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit((folder / "log.txt").read_text())
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "cpu": usage.ru_utime + usage.ru_stime, "peak GB": usage.ru_maxrss / 2**20}


def dearest_cells(executed: Path) -> list[str]:
    """Say which cells took longest, by their seconds and first lines."""
    cells = json.loads(executed.read_text("utf-8"))["cells"]
    timed = [(cell["metadata"].get("papermill", {}).get("duration") or 0.0, cell) for cell in cells]
    longest = sorted(timed, key=lambda pair: -pair[0])[:DEAREST]
    return [f"{seconds:7.1f} s  {''.join(cell['source']).splitlines()[0][:80]}" for seconds, cell in longest]


def run_series(name: str, size: Size) -> list[dict[str, object]]:
    """Run the four notebooks on data of one size: a row for each."""
    rows = []
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        synthetic_interactions(size.users, size.items, size.rows).to_parquet(folder / "rows.parquet")
        for notebook in STAGES:
            row = run_notebook(notebook, folder)
            rows.append({"size": name, "notebook": notebook, **row})
            told = "{seconds:7.1f} s {cpu:7.1f} s of processors {peak GB:6.2f} GB".format(**row)
            print(f"{name:6} {notebook:24} {told}", flush=True)
            for line in dearest_cells(folder / "runs" / "default" / "notebooks" / f"{notebook}.ipynb"):
                print(f"         {line}", flush=True)
    return rows


def verdict(name: str, table: pd.DataFrame) -> str:
    """Say what a whole series took, and whether its aims are met or by how much they are missed."""
    size, own = SIZES[name], table[table["size"] == name]
    minutes, memory = own["seconds"].sum() / 60, own["peak GB"].max()
    base = table.loc[table["size"] == REFERENCE, "seconds"].sum() / 60
    told = f"{name}: {minutes:.1f} minutes ({own['cpu'].sum() / 60:.1f} of processors), "
    told += f"{minutes / base:.1f} times the reference, {memory:.1f} GB"
    for found, aim, unit in ((minutes, size.minutes, "minutes"), (memory, size.memory, "GB")):
        if aim < float("inf"):
            told += f"; aim of {aim:g} {unit} {met(found, aim)}"
    if minutes > size.minutes or memory > size.memory:
        told += (
            f"; most of it is {own.loc[own['seconds'].idxmax(), 'notebook']}, whose dearest cells are above"
        )
    return told


def draw(table: pd.DataFrame) -> None:
    """Draw seconds and memory of every notebook by rows, users and items, into results/series.png."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    figure, axes = plt.subplots(2, 3, figsize=(12, 6.5), sharex="col", sharey="row", layout="constrained")
    for row, value in zip(axes, ("seconds", "peak GB"), strict=True):
        for axis, by in zip(row, ("rows", "users", "items"), strict=True):
            for (notebook, own), marker in zip(table.groupby("notebook"), "osD^", strict=True):
                line = own.sort_values(by)
                axis.plot(line[by], line[value], marker=marker, label=notebook)
            axis.set(xscale="log", yscale="log")
            sizes = table[by].unique()
            axis.set_xticks(sizes, [f"{size:,}" for size in sizes], rotation=30, ha="right")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.minorticks_off()
            axis.grid(alpha=0.3)
            axis.spines[["top", "right"]].set_visible(False)
        row[0].set_ylabel(value)
    for axis, by in zip(axes[1], ("rows", "users", "items"), strict=True):
        axis.set_xlabel(by)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, frameon=False)
    figure.savefig(RESULTS / "series.png", dpi=110)


def main() -> None:
    """Print the table and what it says of the aims, and write it."""
    asked = sys.argv[1:] or list(SIZES)
    if unknown := [name for name in asked if name not in SIZES]:
        raise SystemExit(f"There is no size {unknown[0]}: choose among {', '.join(SIZES)}.")
    names = dict.fromkeys([REFERENCE, *asked])
    table = pd.DataFrame([row for name in names for row in run_series(name, SIZES[name])])
    sizes = pd.DataFrame.from_dict({n: SIZES[n]._asdict() for n in names}, orient="index")
    table = table.join(sizes[["rows", "users", "items"]], on="size")
    base = table[table["size"] == REFERENCE].set_index("notebook")["seconds"]
    table["ratio"] = table["seconds"] / table["notebook"].map(base)
    print("\n" + table.round(2).to_string(index=False) + "\n")
    print("\n".join(verdict(name, table) for name in names))
    RESULTS.mkdir(exist_ok=True)
    table.round(3).to_csv(RESULTS / "series.csv", index=False)
    draw(table)


if __name__ == "__main__":
    main()

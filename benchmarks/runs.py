"""What runs cost beside the notebooks' own work, sweeps per hour, and a cluster that loses a worker.

`python benchmarks/runs.py` takes about a quarter of an hour; `--notebooks FOLDER` measures other notebooks.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pandas as pd

from bpr_helpers.course.paths import repository_root
from bpr_helpers.course.sweep_plan import plan, read_sweep

SWEEP = {"grid": {"dim": [16, 24, 32]}, "fixed": {"epochs": 10}}
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def bpr(folder: Path, *arguments: str) -> float:
    """Call `bpr` in a folder, and give its seconds."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "bpr_helpers", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 2):
        raise SystemExit(done.stdout + done.stderr)
    return time.perf_counter() - start


def own_work(notebook: Path) -> float:
    """Seconds that the cells of an executed notebook took."""
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return sum(cell["metadata"]["papermill"]["duration"] or 0.0 for cell in cells)


def overhead(folder: Path, notebooks: str) -> pd.DataFrame:
    """Each notebook once or three times: what a run takes beside its cells."""
    rows = {}
    for name in sorted(file.stem for file in Path(notebooks).glob("0[1-4]*.ipynb")):
        walls, cells = [], []
        for _ in range(3 if name < "03" else 1):
            walls.append(bpr(folder, "run", "--only", name, "--force", "--notebooks", notebooks))
            cells.append(own_work(folder / "runs" / "default" / "notebooks" / f"{name}.ipynb"))
        wall, work = statistics.median(walls), statistics.median(cells)
        rows[name] = {"run, s": wall, "cells, s": work, "beside, s": wall - work, "ratio": wall / work}
    again = [word for name in rows for word in ("--only", name)]
    rows["nothing changed"] = {"run, s": bpr(folder, "run", *again, "--notebooks", notebooks)}
    rows["refused"] = {"run, s": bpr(folder, "run", "-p", "dims", "3")}
    return pd.DataFrame.from_dict(rows, orient="index").round(2)


def per_hour(folder: Path, notebooks: str, workers: int) -> dict[str, float]:
    """Trials per hour of a small sweep, pruning and splitting included."""
    (folder / "sweep.yaml").write_text(json.dumps(SWEEP))
    options = ["--workers", str(workers), "--run-dir", f"sweep-{workers}", "--notebooks", notebooks]
    seconds = bpr(folder, "sweep", "sweep.yaml", *options)
    trials = len(pd.read_csv(folder / f"sweep-{workers}" / "table.csv"))
    return {"trials": trials, "seconds": round(seconds, 1), "per hour": round(3600 * trials / seconds)}


def lose_a_worker(folder: Path, notebooks: str) -> dict[str, int]:
    """Three workers on one scheduler, one of them killed while it works."""
    file = folder / "scheduler.json"
    own = ["--scheduler-file", str(file), "--no-dashboard"]
    started = [dask("dask_scheduler", "--host", "127.0.0.1", "--port", "0", *own)]
    try:
        while not file.exists():
            time.sleep(0.1)
        started += [dask("dask_worker", "--nthreads", "1", "--no-nanny", *own) for _ in range(3)]
        threading.Thread(target=kill_when_busy, args=(started[-1].pid,), daemon=True).start()
        scheduler = json.loads(file.read_text())["address"]
        options = ["--scheduler", scheduler, "--run-dir", "sweep-3", "--notebooks", notebooks]
        bpr(folder, "sweep", "sweep.yaml", *options)
        lost = sum(process.poll() is not None for process in started)
    finally:
        for process in started:
            process.kill()
            process.wait()
    table = pd.read_csv(folder / "sweep-3" / "table.csv")
    done, attempts = int((table["status"] == "done").sum()), int(table["attempts"].sum())
    return {"workers lost": lost, "trials": len(table), "done": done, "attempts": attempts}


def dask(program: str, *options: str) -> subprocess.Popen[bytes]:
    """Start one of dask's programs."""
    return subprocess.Popen([sys.executable, "-m", f"distributed.cli.{program}", *options], **QUIET)


def kill_when_busy(pid: int) -> None:
    """Kill a worker two seconds after it has started a trial's kernel (Linux only)."""
    while not any("ipykernel" in command for command in commands_of_children(pid)):
        time.sleep(0.1)
    time.sleep(2)
    os.kill(pid, signal.SIGKILL)


def commands_of_children(pid: int) -> list[str]:
    """Command lines of the processes that a process has started."""
    children = " ".join(file.read_text() for file in Path(f"/proc/{pid}/task").glob("*/children")).split()
    return [Path(f"/proc/{child}/cmdline").read_text() for child in children]


def main() -> None:
    """Print the three tables."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--notebooks", default=str(repository_root() / "notebooks"))
    notebooks = str(Path(parser.parse_args().notebooks).resolve())
    found, _ = read_sweep(SWEEP)
    assert found is not None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"A run beside the notebooks' own work\n\n{overhead(folder, notebooks).to_string(na_rep='')}\n")
        print(f"A sweep of {len(plan(found, folder))} trials of notebook 03 on {os.cpu_count()} processors\n")
        speeds = {f"{n} at a time": per_hour(folder, notebooks, n) for n in (1, 2)}
        print(pd.DataFrame.from_dict(speeds, orient="index").to_string() + "\n")
        print(f"Three workers, one killed at work: {lose_a_worker(folder, notebooks)}")


if __name__ == "__main__":
    main()

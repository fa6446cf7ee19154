"""Many runs: the trials of a sweep, one by one or on a cluster, resumed where they stopped.

A sweep judges every trial by what notebook 03 writes about the validation part. It opens the test part only
where it is told to, once, for the winner. Every trial executes the notebook as `bpr run` does, in a process
of its own and in a run folder of its own.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bpr_helpers.course import runs
from bpr_helpers.course.parameters import fields, per_notebook
from bpr_helpers.course.paths import repository_root
from bpr_helpers.course.run_folder import RunFolder
from bpr_helpers.course.series import EVALUATION, MODEL
from bpr_helpers.course.sweep_plan import DATA, Sweep, Trial, digest, plan

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")

Job = dict[str, Any]  # all that a worker needs of a trial, in plain types
Result = tuple[Job, dict[str, Any]]  # a job and the status in which it ended


def run_sweep(
    sweep: Sweep,
    folder: Path,
    *,
    workers: int | None = None,
    scheduler: str = "",
    notebooks: Path | None = None,
) -> list[Trial]:
    """Run what is not done of a sweep.

    Parameters
    ----------
    sweep : Sweep
    folder : the sweep's folder; what is done in it is not done again
    workers : trials at a time on this machine, None for one per processor; 1 needs no dask
    scheduler : address of a dask scheduler to use instead, whose workers see the same folders
    notebooks : folder of the notebooks; None for the course's own

    Returns
    -------
    list of Trial, done or failed

    Raises
    ------
    runs.Refused
        Another sweep is at work in the folder.
    """
    source = (notebooks or repository_root() / "notebooks").resolve()
    trials = plan(sweep, folder)
    with runs.one_at_a_time(folder, wait=False):
        write_json(folder / "sweep.json", sweep.model_dump(mode="json", by_alias=True))
        waiting = [trial for trial in trials if not trial.is_done(source)]
        failed = sum(trial.status["status"] == "failed" for trial in waiting)
        print(f"{len(trials)} trials: {len(trials) - len(waiting)} done before, {failed} failed before")
        jobs = [job for trial in waiting if (job := _job_if_possible(trial, folder, source))]
        with _runner(min(workers or os.cpu_count() or 1, len(jobs)), scheduler) as results:
            for number, (job, status) in enumerate(results(jobs), 1):
                print(f"{number}/{len(jobs)} {_line(job, status, sweep.metric)}", flush=True)
    return trials


def report_test(trial: Trial, folder: Path, notebooks: Path | None = None) -> str:
    """Evaluate the winner on the test part: once, so that the test part stays outside of the choice.

    Returns
    -------
    str
        the metrics table; asked again for the same trial, the same table

    Raises
    ------
    runs.Refused
        The test part was read for another trial before.
    """
    record = folder / "test.json"
    name = json.loads(record.read_text("utf-8"))["trial"] if record.exists() else trial.folder.name
    if name != trial.folder.name:
        raise runs.Refused(
            f"{folder} has read its test part for trial {name}; reading it for another one would make it "
            "part of the choice: start a new sweep with another split or other data."
        )
    write_json(record, {"trial": name})
    runs.run(trial.values | {"run_dir": str(trial.folder)}, [EVALUATION], notebooks=notebooks)
    return str(RunFolder(trial.folder).read(EVALUATION)["metrics"].to_string())


def run_trial(job: Job, threads: int) -> dict[str, Any]:
    """Run one trial to its end, here or on a worker; a failure is its result, not an exception."""
    trial = Trial.of(job)
    status = trial.status | {"status": "running", "attempts": trial.status["attempts"] + 1, "error": ""}
    start = time.monotonic()
    try:
        _share(Path(job["prepared"]), trial.folder)
        write_json(trial.folder / "status.json", status)
        values = {name: value for name, value in trial.values.items() if name in fields([MODEL])}
        write_json(trial.folder / "parameters.yaml", values)
        error = _execute(job, threads)
    except OSError as problem:
        error = str(problem)
    seconds = round(time.monotonic() - start, 2)
    status |= {"status": "failed" if error else "done", "error": error, "seconds": seconds}
    write_json(trial.folder / "status.json", status)
    return status


def _execute(job: Job, threads: int) -> str:
    """Call `bpr run` in a process that ends with this one; give what it said of an error, "" without one."""
    folder = job["folder"]
    command = [
        sys.executable,
        "-m",
        "bpr_helpers",
        "run",
        "--only",
        MODEL,
        "--run-dir",
        folder,
        "--wait",
        "--no-lessons",
    ]
    command += [
        "-f",
        f"{folder}/parameters.yaml",
        "--notebooks",
        job["notebooks"],
        "--parent",
        str(os.getpid()),
    ]
    environment = os.environ | dict.fromkeys(THREADS, str(threads)) | {"TQDM_DISABLE": "1"}
    with subprocess.Popen(
        command,
        cwd=job["root"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            _, errors = process.communicate()
        except BaseException:
            process.terminate()
            raise
    told = [line.removeprefix("bpr: ") for line in errors.splitlines() if line.startswith("bpr: ")]
    return " ".join(told) or errors[-300:] or f"exit code {process.returncode}" if process.returncode else ""


def _job_if_possible(trial: Trial, folder: Path, notebooks: Path) -> Job | None:
    """Give a trial's job, or record that its data cannot be made."""
    try:
        return _job(trial, folder, notebooks)
    except runs.Failed as error:
        told = str(error).splitlines()[0]
        status = {"status": "failed", "error": told, "attempts": trial.status["attempts"] + 1}
        write_json(trial.folder / "status.json", trial.status | status)
        print(f"{trial}: failed: {told}")
        return None


def _job(trial: Trial, folder: Path, notebooks: Path) -> Job:
    """Prune and split where no earlier trial has, and give all that a worker needs."""
    prepared = folder / "prepared" / digest(trial.values, DATA)
    given = {name: value for name, value in trial.values.items() if name in fields(DATA)}
    each = per_notebook(given)
    if not all(
        runs.is_current(RunFolder(prepared), stage, each[stage], notebooks, lessons=False) for stage in DATA
    ):
        runs.run(given | {"run_dir": str(prepared)}, DATA, lessons=False, notebooks=notebooks)
    return {
        "configuration": trial.configuration,
        "values": trial.values,
        "folder": str(trial.folder),
        "prepared": str(prepared),
        "notebooks": str(notebooks),
        "root": os.environ.get("BPR_ROOT") or str(Path.cwd()),
    }


@contextmanager
def _runner(size: int, scheduler: str) -> Iterator[Callable[[list[Job]], Iterable[Result]]]:
    """Give the function that runs jobs and yields each with its status as it ends."""
    if size > 1 or scheduler:
        try:
            from dask.distributed import Client, LocalCluster
        except ImportError as error:
            if scheduler:
                raise runs.Refused("--scheduler needs dask: pip install 'bpr-helpers[sweep]'") from error
            print("dask is not installed (pip install 'bpr-helpers[sweep]'): the trials run one by one.")
            size = 1
    if scheduler:
        try:
            client = Client(scheduler, timeout=10)
        except (OSError, ValueError) as error:  # ValueError: no address at all
            raise runs.Refused(
                f"no dask scheduler answers at {scheduler}: start one with `dask scheduler`"
            ) from error
        with client:
            yield lambda jobs: _on_cluster(client, jobs)
    elif size > 1:
        quiet = {"dashboard_address": None, "silence_logs": logging.CRITICAL}  # of a worker that is ended
        cluster = LocalCluster(n_workers=size, threads_per_worker=1, **quiet)
        with cluster, Client(cluster) as client:
            yield lambda jobs: _on_cluster(client, jobs)
    else:
        yield lambda jobs: ((job, run_trial(job, os.cpu_count() or 1)) for job in jobs)


def _on_cluster(client: Any, jobs: list[Job]) -> Iterator[Result]:
    from dask.distributed import as_completed

    hosts = [worker["host"] for worker in client.scheduler_info(n_workers=-1)["workers"].values()]
    futures = {client.submit(_on_worker, job, hosts, pure=False): job for job in jobs}
    try:
        for future in as_completed(futures):
            job = futures[future]
            if future.status == "finished":
                yield job, future.result()
            else:  # its workers were lost again and again
                lost = Trial.of(job).status | {"status": "failed", "error": repr(future.exception())}
                write_json(Path(job["folder"]) / "status.json", lost)
                yield job, lost
    finally:
        client.cancel(list(futures))


def _on_worker(job: Job, hosts: list[str]) -> dict[str, Any]:
    """Run a trial with this worker's share of its machine's processors."""
    from dask.distributed import get_worker

    sharing = max(1, hosts.count(str(urlsplit(get_worker().address).hostname)))
    return run_trial(job, max(1, (os.cpu_count() or 1) // sharing))


def _share(prepared: Path, folder: Path) -> None:
    """Give a trial the pruned and split data; linked, not copied, where the disk can."""
    folder.mkdir(parents=True, exist_ok=True)
    for stage in DATA:
        if not (folder / stage).exists():
            new = folder / f".sharing-{os.getpid()}"
            shutil.rmtree(new, ignore_errors=True)
            shutil.copytree(prepared / stage, new, copy_function=_link)
            new.rename(folder / stage)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _line(job: Job, status: Mapping[str, Any], metric: str) -> str:
    trial = Trial.of(job)
    again = f", attempt {status['attempts']}" if status["attempts"] > 1 else ""
    if status["status"] == "failed":
        return f"{trial}: failed{again}: {status['error']}"
    mean = RunFolder(trial.folder).read(MODEL)["valid_per_user"][metric].mean()
    return f"{trial}: validation {metric} {mean:.4f} ({status['seconds']:.0f} s{again})"


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
    new.replace(path)

"""Many runs: the trials of a sweep, one by one or on a cluster, resumed where they stopped.

A sweep judges every trial by what notebook 03 writes about the validation part. It opens the test part only
where it is told to, once, for the winner. Every trial executes the notebook as `bpr run` does, in a run
folder of its own.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bpr_helpers.course import runs
from bpr_helpers.course.parameters import fields, per_notebook
from bpr_helpers.course.paths import repository_root
from bpr_helpers.course.run_folder import RunFolder, Stage, read_json
from bpr_helpers.course.series import EVALUATION, MODEL
from bpr_helpers.course.sweep_plan import DATA, Sweep, Trial, digest, plan
from bpr_helpers.course.sweep_search import Study
from bpr_helpers.files import replacing

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")

ANSWER = 10  # seconds in which a scheduler has to answer

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
    runs.RefusedError
        Another sweep is at work in the folder, the folder holds links, or a search has no Optuna.
    """
    source = (notebooks or repository_root() / "notebooks").resolve()
    study, tried = sweep.study(folder), set[Path]()
    with runs.one_at_a_time(folder, wait=False):
        for _ in study.rounds() if study else [[]]:
            write_json(folder / "sweep.json", sweep.model_dump(mode="json", by_alias=True))
            trials = plan(sweep, folder)
            for trial in trials:
                _refuse_links(trial, folder)
            new = [trial for trial in trials if trial.folder not in tried]
            tried |= {trial.folder for trial in new}
            _run_trials(new, folder, source, workers, scheduler, sweep.metric)
            if study:
                _tell(study, sweep, folder)
    return trials


def _run_trials(
    trials: list[Trial], folder: Path, notebooks: Path, workers: int | None, scheduler: str, metric: str
) -> None:
    """Run those of some trials that are not done, side by side, and print a line for each as it ends."""
    waiting = [trial for trial in trials if not trial.is_done(notebooks)]
    failed = sum(trial.status["status"] == "failed" for trial in waiting)
    print(f"{len(trials)} trials: {len(trials) - len(waiting)} done before, {failed} failed before")
    jobs = [job for trial in waiting if (job := _job_if_possible(trial, folder, notebooks))]
    with _runner(min(workers or os.cpu_count() or 1, len(jobs)), scheduler) as results:
        for number, (job, status) in enumerate(results(jobs), 1):
            print(f"{number}/{len(jobs)} {_line(job, status, metric)}", flush=True)


def _tell(study: Study, sweep: Sweep, folder: Path) -> None:
    """Tell a search how its configurations scored: the mean over users, and over seeds that are all done."""
    for number, one in enumerate(study.configurations()):
        group = [sweep.trial(one, seed, folder) for seed in sweep.seeds]
        if all(trial.status["status"] == "done" for trial in group):
            scores = [RunFolder(t.folder).read(MODEL)["valid_per_user"][sweep.metric].mean() for t in group]
            study.tell(number, sum(scores) / len(scores))


def _refuse_links(trial: Trial, folder: Path) -> None:
    """Refuse to write through a link in a sweep's folder, which somebody else may have made."""
    if trial.folder.is_symlink() or (trial.folder / "status.json").is_symlink():
        raise runs.RefusedError(
            f"{trial.folder} is a link or holds one, and a sweep writes into {folder} alone"
        )


def report_test(trial: Trial, folder: Path, notebooks: Path | None = None) -> str:
    """Evaluate the winner on the test part: once, so that the test part stays outside of the choice.

    Returns
    -------
    str
        the metrics table; asked again for the same trial, the same table

    Raises
    ------
    runs.RefusedError
        The test part was read for another trial before.
    """
    record = folder / "test.json"
    name = _recorded(record) or trial.folder.name
    if name != trial.folder.name:
        raise runs.RefusedError(
            f"{folder} has read its test part for trial {name}; reading it for another one would make it "
            "part of the choice: start a new sweep with another split or other data."
        )
    write_json(record, {"trial": name})
    runs.run(trial.values | {"run_dir": str(trial.folder)}, [EVALUATION], notebooks=notebooks)
    return str(RunFolder(trial.folder).read(EVALUATION)["metrics"].to_string())


def _recorded(record: Path) -> str:
    """Give the trial for which the test part was read, "" where it was not."""
    if not record.exists():
        return ""
    try:
        return str(read_json(record)["trial"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise runs.RefusedError(
            f"{record} cannot be read, so that nobody knows whether the test part has been: start a new sweep"
        ) from error


def run_trial(job: Job, threads: int) -> dict[str, Any]:
    """Run one trial to its end, here or on a worker; a failure is its result, not an exception."""
    trial = Trial.of(job)
    status = trial.status | {"status": "running", "attempts": trial.status["attempts"] + 1, "error": ""}
    start = time.monotonic()
    try:
        _link_stages(Path(job["prepared"]), trial.folder)
        write_json(trial.folder / "status.json", status)
        error = _execute(job, threads)
    except OSError as problem:
        error = str(problem)
    seconds = round(time.monotonic() - start, 2)
    status |= {"status": "failed" if error else "done", "error": error, "seconds": seconds}
    write_json(trial.folder / "status.json", status)
    return status


def _execute(job: Job, threads: int) -> str:
    """Run the model's notebook as `bpr run` does; give what it says of an error, "" without one.

    The kernel ends with this process: a worker that is killed leaves nothing behind that still writes.
    """
    environment = dict.fromkeys(THREADS, str(threads)) | {
        "BPR_ROOT": job["root"],  # a worker may have been started from another folder
        "TQDM_DISABLE": "1",
        "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    how: dict[str, Any] = {"wait": True, "lessons": False, "quiet": True, "environment": environment}
    try:
        values = job["values"] | {"run_dir": job["folder"]}
        runs.run(values, [MODEL], notebooks=Path(job["notebooks"]), **how)
    except (runs.RefusedError, runs.FailedError) as error:
        return str(error).splitlines()[0]
    return ""


def _job_if_possible(trial: Trial, folder: Path, notebooks: Path) -> Job | None:
    """Give a trial's job, or record that its data cannot be made."""
    try:
        return _job(trial, folder, notebooks)
    except runs.FailedError as error:
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
                raise runs.RefusedError("--scheduler needs dask: pip install 'bpr-helpers[sweep]'") from error
            print("dask is not installed (pip install 'bpr-helpers[sweep]'): the trials run one by one.")
            size = 1
    if scheduler:
        with _client(scheduler) as client:
            yield lambda jobs: _on_cluster(client, jobs)
    elif size > 1:
        quiet = {"dashboard_address": None, "silence_logs": logging.CRITICAL}  # of a worker that is ended
        cluster = LocalCluster(n_workers=size, threads_per_worker=1, **quiet)
        with cluster, Client(cluster) as client:
            yield lambda jobs: _on_cluster(client, jobs)
    else:
        yield lambda jobs: ((job, run_trial(job, os.cpu_count() or 1)) for job in jobs)


def _client(scheduler: str) -> Any:
    """Connect to a scheduler, and say how many workers are there."""
    from dask.distributed import Client

    try:
        _look_for_scheduler(scheduler)
        client = Client(scheduler, timeout=ANSWER)
    except (OSError, ValueError, TypeError) as error:
        start = "start one with `dask scheduler`, and give the address that it prints"
        raise runs.RefusedError(f"no dask scheduler answers at {scheduler} ({error}): {start}") from error
    count = len(client.scheduler_info(n_workers=-1)["workers"])
    print(f"{count} worker{'' if count == 1 else 's'} at {scheduler}", flush=True)
    if not count:
        print(f"The trials wait for the first one; start it with `dask worker {scheduler}`.", flush=True)
        try:
            client.wait_for_workers(1)
        except BaseException:
            client.close()
            raise
    return client


def _look_for_scheduler(address: str) -> None:
    """Look that a dask scheduler is what listens: another program may never answer dask's client.

    A scheduler speaks first: eight bytes that hold a small number, in little-endian order.

    Raises
    ------
    OSError, ValueError
        Nothing answers within `ANSWER` seconds, or another program does.
    """
    where = urlsplit(address if "://" in address else f"tcp://{address}")
    if where.scheme not in ("tcp", "tls") or not where.hostname or not where.port:
        raise ValueError("an address is tcp://host:port or tls://host:port")
    try:
        with _line_to(where.hostname, where.port, where.scheme == "tls") as line:
            first = line.recv(8)
    except TimeoutError as error:
        raise ValueError(f"what listens there said nothing in {ANSWER} seconds") from error
    if len(first) < 8 or int.from_bytes(first, "little") > 10**6:
        raise ValueError(f"another program answers, with {first!r}")


@contextmanager
def _line_to(host: str, port: int, encrypted: bool) -> Iterator[socket.socket]:
    """Open a connection, as dask's configuration says where it is encrypted."""
    with socket.create_connection((host, port), ANSWER) as line:
        if not encrypted:
            yield line
            return
        from distributed.security import Security

        context = Security().get_connection_args("client")["ssl_context"]
        if context is None:
            raise ValueError(
                "tls:// needs certificates: set DASK_DISTRIBUTED__COMM__TLS__CA_FILE, "
                "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY"
            )
        with context.wrap_socket(line, server_hostname=host) as wrapped:
            yield wrapped


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


def _link_stages(prepared: Path, folder: Path) -> None:
    """Give a trial the pruned and split data; linked, not copied, where the disk can."""
    folder.mkdir(parents=True, exist_ok=True)
    for stage in DATA:
        if not _is_shared(prepared / stage, folder / stage):
            new, old = folder / f".sharing-{os.getpid()}", folder / f".shared-{os.getpid()}"
            for left in (new, old):
                shutil.rmtree(left, ignore_errors=True)
            shutil.copytree(prepared / stage, new, copy_function=_link)
            if (folder / stage).exists():
                (folder / stage).rename(old)
            new.rename(folder / stage)
            shutil.rmtree(old, ignore_errors=True)


def _is_shared(prepared: Path, stage: Path) -> bool:
    """Tell whether a trial has a stage as it was prepared, whole."""
    try:
        there = Stage(stage)
        return there.fingerprint == Stage(prepared).fingerprint and all(there.intact(name) for name in there)
    except (OSError, ValueError):
        return False


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
    with replacing(path) as new:
        new.write_text(json.dumps(content, indent=2) + "\n", "utf-8")

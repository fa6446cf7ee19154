"""One run: the notebooks through papermill in order, skipping what nothing has changed.

A run knows notebooks, parameters and manifests, and nothing of models. The command `bpr run` calls `run`, and
so does a sweep, in a worker process and for one notebook:

    runs.run(values, [MODEL], wait=True, lessons=False, quiet=True, environment={"OMP_NUM_THREADS": "1"})

Kernels end with the process that called `run`, however it ends.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from bpr_helpers.course.parameters import defaults, per_notebook
from bpr_helpers.course.paths import repository_root, resolve
from bpr_helpers.course.run_folder import RunFolder
from bpr_helpers.course.series import EVALUATION, KCORE, MODEL, STAGES
from bpr_helpers.files import replacing


class RefusedError(Exception):
    """Nothing was executed, and the message says in a sentence why."""


class FailedError(Exception):
    """A notebook did not end well; the message names it, its cell and the error's last line."""


def run(
    values: Mapping[str, Any],
    stages: Sequence[str] = STAGES,
    *,
    force: bool = False,
    wait: bool = False,
    lessons: bool = True,
    notebooks: Path | None = None,
    environment: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> list[str]:
    """Execute notebooks in order, each with the parameters that it declares.

    Each has a kernel of its own, of the interpreter that runs this. A kernel ends when this returns or
    raises, and within about a second of the end of this process, even where that was killed. Several threads
    and processes may call this at once, each for a run folder of its own.

    Parameters
    ----------
    values : checked parameters (see `parameters.faults`), run_dir among them; the others keep their defaults
    stages : the notebooks to run, in order
    force : execute also what is unchanged
    wait : wait for another run in the same folder instead of refusing
    lessons : execute also the cells tagged "lesson", which teach and of which no other cell needs anything.
        Cells tagged "movielens", whose sentences are true of ml-100k alone, are left out with other data
    notebooks : folder of the notebooks; None for the course's own
    environment : variables for the kernels alone, such as numbers of threads, beside those of this process,
        which stay as they are
    quiet : print nothing and draw no progress bar

    Returns
    -------
    list of str
        the notebooks that were executed; the others were unchanged

    Raises
    ------
    RefusedError
        Another run is in the folder, or the folder cannot be written.
    FailedError
        A notebook failed, its kernel died, or the disk is full.
    """
    given, source = per_notebook(values), notebooks or repository_root() / "notebooks"
    folder = RunFolder(values["run_dir"])
    executed = []
    with one_at_a_time(folder.path, wait):
        for number, stage in enumerate(stages, 1):
            title = f"{number}/{len(stages)} {stage}"
            if not force and is_current(folder, stage, given[stage], source, lessons=lessons):
                result = "unchanged, not run again"
            else:
                notebook = _notebook(source / f"{stage}.ipynb", _unused(folder, given[stage], lessons))
                bar = "" if quiet or not sys.stderr.isatty() else title
                seconds = _execute(folder, stage, given[stage], notebook, environment or {}, bar)
                executed.append(stage)
                result = f"{seconds:.1f} s"
            if not quiet:
                print(f"{title}: {result}")
    return executed


def is_current(
    folder: RunFolder, stage: str, values: Mapping[str, Any], notebooks: Path, *, lessons: bool = True
) -> bool:
    """Tell whether executing a notebook again would change nothing.

    That is so if the executed notebook is whole, came from the notebook as it is now with the same values,
    and its stage's outputs are as they were written and made from what its inputs are now. A notebook without
    a stage, which nothing is made from, must have seen the stages as they are now.
    """
    executed, unused = executed_notebook(folder, stage), _unused(folder, values, lessons)
    try:
        if executed.is_symlink() or not executed.is_file():
            return False
        metadata = json.loads(executed.read_text("utf-8"))["metadata"]
        now = json.loads((notebooks / f"{stage}.ipynb").read_text("utf-8"))["cells"]  # nbformat loads slowly
        if metadata["bpr"]["cells"] != _cells(_kept(now, unused)) or not _equal(
            metadata["papermill"]["parameters"], values
        ):
            return False
        if stage not in STAGES:
            return bool(metadata["bpr"]["stages"] == _stages(folder))
        found = folder.read(stage)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False
    return _equal(found.manifest["parameters"], values) and all(found.intact(name) for name in found)


def executed_notebook(folder: RunFolder, stage: str) -> Path:
    """Give the place where a run keeps the executed notebook."""
    return folder.path / "notebooks" / f"{stage}.ipynb"


def summary(folder: RunFolder, stages: Sequence[str]) -> str:
    """Say what a run leaves: the metrics table, and where notebooks, model and metrics are."""
    lines = []
    if EVALUATION in stages:
        lines += [folder.read(EVALUATION)["metrics"].to_string(), ""]
    lines += [f"executed notebook  {_shown(executed_notebook(folder, stage))}" for stage in stages]
    for stage, output, words in (
        (MODEL, "model", "model"),
        (EVALUATION, "metrics", "metrics table"),
    ):
        if stage in stages:
            lines.append(f"{words:<17}  {_shown(folder.read(stage).path(output))}")
    return "\n".join(lines)


@contextmanager
def one_at_a_time(path: Path, wait: bool) -> Iterator[None]:
    """Hold the run folder for one run. The system frees the lock of a process that was killed."""
    lock = FileLock(path / ".run.lock")
    try:
        path.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=-1 if wait else 0)
    except Timeout as error:
        raise RefusedError(
            f"Another run is at work in {_shown(path)}: wait until it has ended, or choose another --run-dir."
        ) from error
    except OSError as error:
        raise RefusedError(
            f"{path} cannot be written ({error.strerror}): choose another --run-dir."
        ) from error
    try:
        yield
    finally:
        lock.release()


def _execute(
    folder: RunFolder,
    stage: str,
    values: Mapping[str, Any],
    notebook: Any,
    environment: Mapping[str, str],
    bar: str,
) -> float:
    """Execute a notebook under a temporary name; it gets its own name when it has ended, well or not."""
    target = executed_notebook(folder, stage)
    running = target.with_name(f".{stage}.running.ipynb")
    cells = _cells(notebook.cells)
    try:
        if target.parent.is_symlink():  # a folder that somebody handed over must not write into another one
            raise ValueError(f"{target.parent} is a link, and a run writes into no other folder: remove it")
        target.parent.mkdir(exist_ok=True)
        running.unlink(missing_ok=True)  # left by a run that was killed, or a link
        node = _papermill(notebook, running, values, _kernel(environment), bar)
        if stage in STAGES and not _equal(folder.read(stage).manifest["parameters"], values):
            raise ValueError(f"its stage in {folder.path} has other parameters: it did not write it")
        node.metadata["bpr"] = {"cells": cells}
        if stage not in STAGES:
            node.metadata["bpr"]["stages"] = _stages(folder)
        with replacing(target) as new:
            new.write_text(json.dumps(node, indent=1, ensure_ascii=False) + "\n", "utf-8")
        running.unlink()
    except Exception as error:
        if running.exists():
            running.replace(target)
        raise FailedError(
            f"{stage} failed{_what(error, target)}\nThe notebook up to there: {_shown(target)}"
        ) from error
    return float(node.metadata.papermill.duration)


def _kernel(environment: Mapping[str, str]) -> Any:
    """Prepare a kernel of the interpreter that runs this, whatever else is called python3 on JUPYTER_PATH.

    The kernel looks once a second whether its parent is still this process, and ends when it is not.
    """
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager

    own = KernelSpecManager(kernel_dirs=[])  # without folders to look into, python3 is this interpreter
    # Encrypted, so that the kernel does not warn that it is not.
    kernel: Any = AsyncKernelManager(
        kernel_name="python3", kernel_spec_manager=own, transport_encryption="auto"
    )
    kernel.kernel_spec.env = {name: value.replace("$", "$$") for name, value in environment.items()}
    return kernel


def _papermill(notebook: Any, target: Path, values: Mapping[str, Any], kernel: Any, bar: str) -> Any:
    """Run papermill in a thread, so that ctrl-C reaches this one, which then ends the kernel.

    The thread is a daemon: a process that is told to end does not wait for its notebook.
    """
    import papermill
    from jupyter_core.utils import run_sync

    logging.getLogger("papermill").setLevel(logging.CRITICAL)
    unformatted = str(target).replace("{", "{{").replace("}", "}}")  # papermill fills braces in
    progress: Any = {"desc": bar, "leave": False} if bar else False
    future: Future[Any] = Future()

    def work() -> None:
        try:
            future.set_result(
                papermill.execute_notebook(
                    notebook,
                    unformatted,
                    dict(values),
                    kernel_name="python3",
                    progress_bar=progress,
                    km=kernel,
                )
            )
        except BaseException as error:
            future.set_exception(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        return future.result()
    finally:
        if kernel.has_kernel:
            run_sync(kernel.shutdown_kernel)(now=True)
        thread.join(10)  # not for ever: interrupted before its kernel was there, it would run the notebook


def prepare_environment(root: Path) -> None:
    """Set what kernels inherit: where relative paths start, and a quiet, byte-compiling tensorflow."""
    os.environ["BPR_ROOT"] = str(root)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _what(error: Exception, notebook: Path) -> str:
    """Name the cell and the last line of the error."""
    if hasattr(error, "exec_count"):
        lines = f"{error.ename}: {error.evalue or _failing_line(error)}".splitlines()  # type: ignore[attr-defined]
        return f" in cell [{error.exec_count}]: {lines[-1]}"
    if "DeadKernel" in type(error).__name__:
        return f" in {_running_cell(notebook)}: its kernel died (out of memory, or killed)"
    return f": {str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__}"


def _failing_line(error: Any) -> str:
    """Give the code of an error without words, such as that of a failed assertion."""
    from papermill.exceptions import strip_color

    marked = re.findall(r"^-+> *\d+ *(.*)$", strip_color("\n".join(error.traceback)), re.MULTILINE)
    return str(marked[-1]) if marked else ""


def _running_cell(notebook: Path) -> str:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    started = [c for c in cells if c["cell_type"] == "code" and c["metadata"]["papermill"]["start_time"]]
    return f"cell [{len(started)}]"


def _unused(folder: RunFolder, values: Mapping[str, Any], lessons: bool) -> set[str]:
    """Give the tags of cells that a run leaves out: sentences about MovieLens where the data are others."""
    usual = defaults(KCORE)["source"]
    try:
        made_with = folder.read(KCORE).manifest["parameters"] if folder.has(KCORE) else {}
    except (OSError, ValueError):
        made_with = {}
    source = values.get("source", made_with.get("source", usual))
    return {*(() if lessons else ("lesson",)), *(() if source == usual else ("movielens",))}


def _notebook(path: Path, unused: set[str]) -> Any:
    """Read a notebook without the cells that have one of these tags."""
    import nbformat

    notebook = nbformat.read(path, as_version=4)
    notebook.cells = _kept(notebook.cells, unused)
    return notebook


def _kept(cells: list[Any], unused: set[str]) -> list[Any]:
    return [cell for cell in cells if not unused & {*cell["metadata"].get("tags", [])}]


def _cells(cells: list[Any]) -> str:
    """Fingerprint what the cells of a notebook say and do, outputs left out."""
    said = [(cell["cell_type"], "".join(cell["source"])) for cell in cells]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _stages(folder: RunFolder) -> dict[str, str]:
    """Fingerprint every stage of a run."""
    return {stage: folder.read(stage).fingerprint for stage in STAGES if folder.has(stage)}


def _equal(recorded: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    """Compare parameters; the folder's own name does not matter, so that a folder can be moved."""
    return {**recorded, "run_dir": ""} == {**values, "run_dir": ""}


def _shown(path: Path) -> str:
    """Write a path as short as it can be typed from where relative paths start."""
    root = resolve(".")
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)

"""What the commands of `bpr` do: they check everything that they were given before they execute anything."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from bpr_helpers.course import runs
from bpr_helpers.course.parameters import NOTEBOOKS, faults, fields, from_text, idle
from bpr_helpers.course.paths import read_yaml, resolve
from bpr_helpers.course.run_folder import RunFolder, read_json
from bpr_helpers.course.series import KCORE, RUN_ORDER, STAGES
from bpr_helpers.course.sweep_plan import read_sweep
from bpr_helpers.data import check_columns
from bpr_helpers.movielens import MOVIELENS
from bpr_helpers.settings import nearest

EXIT_FAILED, EXIT_REFUSED, EXIT_INTERRUPTED = 1, 2, 130


def run(
    pairs: tuple[tuple[str, str], ...],
    files: tuple[str, ...],
    run_dir: str | None,
    only: tuple[str, ...],
    first: str | None,
    every: bool,
    how: dict[str, Any],
    notebooks: str | None,
) -> None:
    """Do what `bpr run` was asked for; the arguments are its options, `how` those of `runs.run`."""
    values, found = _collect(pairs, files, run_dir)
    stages, unknown = _stages(only, first, every)
    found += [*unknown, *faults(values).values(), *_no_notebooks(notebooks)]
    if not found:
        found = [*idle(values).values(), *_left_out(values, stages), *_missing_files(values, stages)]
    if found:
        _refuse(found)
    _guarded(lambda: _run(values, stages, how, notebooks))


def sweep(
    file: str, run_dir: str, workers: int | None, scheduler: str, report_test: bool, notebooks: str | None
) -> None:
    """Do what `bpr sweep` was asked for."""
    content, found = read_yaml(file)
    asked, wrong = (None, []) if found else read_sweep(content, report_test)
    found += wrong + _no_notebooks(notebooks)
    if not run_dir:
        found.append("--run-dir '' names no folder")
    if asked is not None:
        missing = [fault for one in asked.settings() for fault in _missing_files(one, list(NOTEBOOKS))]
        found += dict.fromkeys(missing)
    if asked is None or found:
        _refuse(found)
    _guarded(lambda: _sweep(asked, run_dir, workers, scheduler, report_test, notebooks))


def table(folder: str) -> None:
    """Do what `bpr table` was asked for."""
    from bpr_helpers.course import sweep_table

    _guarded(lambda: click.echo(sweep_table.write(sweep_table.read(_place(folder)))))


def _run(values: dict[str, Any], stages: list[str], how: dict[str, Any], notebooks: str | None) -> None:

    where = _place(notebooks) if notebooks else None
    if not runs.run(values, stages, notebooks=where, **how):
        click.echo("Nothing has changed, so nothing was run; --force runs it again.")
    click.echo("\n" + runs.summary(RunFolder(values["run_dir"]), stages))


def _sweep(
    sweep: Any, run_dir: str, workers: int | None, scheduler: str, report_test: bool, notebooks: str | None
) -> None:
    from bpr_helpers.course import sweep_run, sweep_table

    folder, where = _place(run_dir), _place(notebooks) if notebooks else None
    trials = sweep_run.run_sweep(sweep, folder, workers=workers, scheduler=scheduler, notebooks=where)
    found = sweep_table.read(folder)
    click.echo("\n" + sweep_table.write(found))
    failed = sum(trial.status["status"] != "done" for trial in trials)
    if report_test and (winner := found.winner):
        click.echo(f"\nOn the test part, {winner}:\n{sweep_run.report_test(winner, folder, where)}")
    if failed:
        raise runs.FailedError(f"{failed} of {len(trials)} trials failed; the same command tries them again")


def _no_notebooks(folder: str | None) -> list[str]:
    if folder is None or (folder and all((_place(folder) / f"{name}.ipynb").is_file() for name in NOTEBOOKS)):
        return []
    return [f"--notebooks {folder or repr('')} does not hold {', '.join(NOTEBOOKS)}"]


def _place(path: str) -> Path:
    """Give the place that an argument means: relative paths start where the command was called."""
    return resolve(path, Path.cwd())


def _guarded(work: Callable[[], None]) -> None:
    """Do the work with the kernels' environment set, and turn every way it can end into an exit code."""

    for number in (signal.SIGINT, signal.SIGTERM):  # also where a shell in the background has SIGINT ignored
        signal.signal(number, signal.default_int_handler)  # so that a kernel is ended with its run
    runs.prepare_environment(Path.cwd())
    try:
        work()
    except runs.RefusedError as error:
        _refuse([str(error)])
    except runs.FailedError as error:
        click.echo(f"bpr: {error}", err=True)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        click.echo("bpr: interrupted; the same command goes on where this one stopped.", err=True)
        sys.exit(EXIT_INTERRUPTED)


def _refuse(found: list[str]) -> NoReturn:
    for fault in found:
        click.echo(f"bpr: {fault.rstrip('.')}.", err=True)
    sys.exit(EXIT_REFUSED)


def _collect(
    pairs: tuple[tuple[str, str], ...], files: tuple[str, ...], run_dir: str | None
) -> tuple[dict[str, Any], list[str]]:
    """Bring the parameters of files and command line together: the command line has the last word."""
    values: dict[str, Any] = {}
    found = []
    for file in files:
        read, wrong = read_yaml(file)
        values |= {str(name): from_text(str(name), value) for name, value in read.items()}
        found += wrong
    names = [name for name, _ in pairs]
    if run_dir is not None:
        names.append("run_dir")
    found += [f"{name} is set twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    values |= {name: from_text(name, value) for name, value in pairs}
    if run_dir is not None:
        values["run_dir"] = run_dir
    values.setdefault("run_dir", fields()["run_dir"].default)
    return values, found


def _stages(only: tuple[str, ...], first: str | None, every: bool) -> tuple[list[str], list[str]]:
    """Find the notebooks to run by the beginnings of their names."""
    if only and (first is not None or every):
        return [], [f"--only and {'--all' if every else '--from'} exclude each other"]
    words = only if first is None else (first,)
    found = {word: [name for name in NOTEBOOKS if word and name.startswith(word)] for word in words}
    unknown = [_no_such_notebook(word, names) for word, names in found.items() if len(names) != 1]
    usual = RUN_ORDER if every else STAGES
    if unknown or not found:
        return ([] if unknown else list(usual)), unknown
    if first is None:
        return [name for name in RUN_ORDER if [name] in found.values()], []
    begin = found[first][0]
    return [name for name in usual if name >= begin] or [begin], []


def _no_such_notebook(word: str, fitting: list[str]) -> str:
    if fitting:
        return f"{word} begins the names of {', '.join(fitting)}: write more of the name"
    near = nearest(word.lower(), NOTEBOOKS) or f": choose among {', '.join(NOTEBOOKS)}"
    return f"no notebook is called {word or repr(word)}{near}"


def _left_out(values: dict[str, Any], stages: list[str]) -> list[str]:
    """List the parameters of notebooks that are not to run, and that the run folder was not made with."""
    found = []
    for notebook in (name for name in NOTEBOOKS if name not in stages):
        made_with = _made_with(_place(values["run_dir"]) / notebook / "manifest.json")
        for name in values.keys() & (fields([notebook]).keys() - fields(stages).keys()):
            if made_with.get(name) != values[name]:
                there = f" and made with {name}={made_with[name]!r}" if name in made_with else ""
                found.append(f"{name} belongs to {notebook}, which is not to run{there}")
    return sorted(found)


def _made_with(manifest: Path) -> dict[str, Any]:
    try:
        return dict(read_json(manifest)["parameters"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def _missing_files(values: dict[str, Any], stages: list[str]) -> list[str]:
    """List data files and columns that are not there, so that no notebook has to find out."""

    named = {*MOVIELENS, "synthetic", ""}
    own = {name: values.get(name, "") for name in ("source", "items_source")}
    own = {name: path for name, path in own.items() if KCORE in stages and path not in named}
    found = [
        f"{name} {path!r} is no file in {Path.cwd()}{nearest(path.lower(), named)}"
        for name, path in own.items()
        if not _place(path).exists()
    ]
    if found or "source" not in own:
        return found
    columns = [f"{kind}_column" for kind in ("user", "item", "timestamp", "rating")]
    try:
        check_columns(_place(own["source"]), **{name: values[name] for name in columns if name in values})
    except ValueError as error:
        found.append(str(error))
    return found

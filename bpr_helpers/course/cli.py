"""The command `bpr`: its commands and options. Nothing that takes time is imported to show the help."""

from __future__ import annotations

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bpr-helpers", prog_name="bpr")
def main() -> None:
    """Run the notebooks of the course: once, in a sweep, and the table of a sweep."""


@main.command(name="run")
@click.option("-p", "pairs", nargs=2, multiple=True, metavar="NAME VALUE", help="Set a parameter.")
@click.option("-f", "files", multiple=True, metavar="YAML", help="Read parameters from a file.")
@click.option("--run-dir", metavar="FOLDER", help="Where the run is kept (runs/default).")
@click.option("--only", multiple=True, metavar="NOTEBOOK", help="Run this notebook alone, such as 03.")
@click.option("--from", "first", metavar="NOTEBOOK", help="Run this notebook and the later ones.")
@click.option("--all", "every", is_flag=True, help="Run every notebook, not only the stages 01 to 04.")
@click.option("--force", is_flag=True, help="Run also what is unchanged.")
@click.option("--wait", is_flag=True, help="Wait for another run in the same folder.")
@click.option("--no-lessons", is_flag=True, help='Leave out the cells tagged "lesson", as sweeps do.')
@click.option("--notebooks", metavar="FOLDER", help="Where the notebooks are (the course's own).")
def run_command(
    pairs: tuple[tuple[str, str], ...],
    files: tuple[str, ...],
    run_dir: str | None,
    only: tuple[str, ...],
    first: str | None,
    every: bool,
    force: bool,
    wait: bool,
    no_lessons: bool,
    notebooks: str | None,
) -> None:
    """Run the stages 01 to 04 in order, each notebook with the parameters that it declares.

    The same parameters again run nothing, others run from the first notebook that they touch. Exit codes:
    0 done, 1 a notebook failed, 2 refused before anything was executed, 130 interrupted.
    """
    from bpr_helpers.course import commands

    how = {"force": force, "wait": wait, "lessons": not no_lessons}
    commands.run(pairs, files, run_dir, only, first, every, how, notebooks)


@main.command(name="sweep")
@click.argument("file", metavar="SWEEP.YAML")
@click.option(
    "--run-dir", default="runs/sweep", show_default=True, metavar="FOLDER", help="Where it is kept."
)
@click.option("--workers", type=click.IntRange(1), help="Runs at a time (one per processor).")
@click.option("--scheduler", default="", metavar="ADDRESS", help="Use the dask scheduler at tcp://host:port.")
@click.option("--report-test", is_flag=True, help="Evaluate the winner on the test part, once.")
@click.option("--notebooks", metavar="FOLDER", help="Where the notebooks are (the course's own).")
def sweep_command(
    file: str, run_dir: str, workers: int | None, scheduler: str, report_test: bool, notebooks: str | None
) -> None:
    """Run many configurations, judge them on the validation part, and resume where an earlier call stopped.

    SWEEP.YAML holds `fixed` parameters, one of `grid`, `random` and `list`, and `seeds`, `metric` and `part`.
    Exit codes as for `bpr run`; 1 when a run failed.
    """
    from bpr_helpers.course import commands

    commands.sweep(file, run_dir, workers, scheduler, report_test, notebooks)


@main.command(name="table")
@click.argument("folder", metavar="SWEEP-FOLDER")
def table_command(folder: str) -> None:
    """Gather a sweep in one table (CSV and Parquet), a figure and an HTML page, written into its folder."""
    from bpr_helpers.course import commands

    commands.table(folder)

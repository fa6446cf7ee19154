"""What a sweep found: one table, a figure, the best with its paired comparison to the default, one page."""

from __future__ import annotations

import base64
import html
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bpr_helpers.course.parameters import fields, per_notebook
from bpr_helpers.course.run_folder import RunFolder, read_json
from bpr_helpers.course.runs import RefusedError
from bpr_helpers.course.series import MODEL
from bpr_helpers.course.sweep_plan import DATA, Sweep, Trial, digest, line, plan, read_sweep
from bpr_helpers.files import replacing
from bpr_helpers.significance import Comparison, average_tables, compare, mean_interval

SHOWN = 20  # configurations in the figure


@dataclass(frozen=True)
class Found:
    """The results of a sweep.

    Attributes
    ----------
    folder : the sweep's
    sweep : what was asked for
    table : DataFrame, a row per trial: status, seconds, every parameter, the mean of every metric on the
        validation part, and low and high, the 95 % interval of the sweep's metric
    per_user : configuration (as a line of text) -> its per-user table on validation, averaged over seeds
    best : the line of the configuration with the highest mean, "" while none is done
    trials : configuration -> its trials
    """

    folder: Path
    sweep: Sweep
    table: pd.DataFrame
    per_user: dict[str, pd.DataFrame]
    best: str
    trials: dict[str, list[Trial]]

    @property
    def winner(self) -> Trial | None:
        """The first trial of the best configuration, None while no configuration is done."""
        return self.trials[self.best][0] if self.best else None


def read(folder: Path) -> Found:
    """Collect what the trials of a sweep have written, each table once.

    Raises
    ------
    RefusedError
        The folder holds no sweep.
    """
    sweep = _recorded_sweep(folder)
    trials: dict[str, list[Trial]] = {}
    rows: list[dict[str, Any]] = []
    done: dict[str, list[pd.DataFrame]] = {}
    for trial in plan(sweep, folder):
        name = line(trial.configuration)
        trials.setdefault(name, []).append(trial)
        status, users = _result(trial, sweep.metric)
        rows.append(_row(trial, status, users, sweep.metric))
        if users is not None:
            done.setdefault(name, []).append(users)
    complete = {name: tables for name, tables in done.items() if len(tables) == len(trials[name])}
    per_user = {name: average_tables(tables) for name, tables in complete.items()}
    means = {name: users[sweep.metric].mean() for name, users in per_user.items()}
    best = max(means, key=means.__getitem__, default="")
    return Found(folder, sweep, pd.DataFrame(rows), per_user, best, trials)


def write(found: Found) -> str:
    """Write table.csv, table.parquet, table.png and table.html into the sweep's folder.

    Returns
    -------
    str
        what to read first: the table by configuration, the best and its comparison to the default, the files
    """
    figure = _figure(found) if found.per_user else b""
    content = {
        "csv": found.table.to_csv(index=False).encode(),
        "parquet": found.table.to_parquet(),
        "png": figure,
        "html": _page(found, figure).encode(),
    }
    written = [found.folder / f"table.{end}" for end in content if content[end]]
    for path in written:
        with replacing(path) as new:
            new.write_bytes(content[path.suffix[1:]])
    return "\n\n".join([by_configuration(found).to_string(), verdict(found), "\n".join(map(str, written))])


def by_configuration(found: Found) -> pd.DataFrame:
    """Average over seeds: mean, interval over users, deviation over seeds, seconds; the best first."""
    rows = {}
    for name, trials in found.trials.items():
        own = found.table[found.table["trial"].isin([trial.folder.name for trial in trials])]
        done = own[own["status"] == "done"]
        rows[name] = {"done": f"{len(done)}/{len(own)}", "seconds": done["seconds"].mean()}
        if name in found.per_user:
            interval = mean_interval(found.per_user[name][[found.sweep.metric]]).loc[found.sweep.metric]
            rows[name] |= {
                **interval,
                "sd over seeds": done[found.sweep.metric].std() if len(done) > 1 else float("nan"),
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.sort_values("mean", ascending=False).round(4) if "mean" in table else table


def verdict(found: Found) -> str:
    """Say which configuration is best on validation, and how sure its lead over the default is."""
    if not found.best:
        return "No configuration is done yet."
    if len({digest(found.trials[name][0].values, DATA) for name in found.per_user}) > 1:
        return (
            "These configurations differ in how the data are pruned or split: their scores answer different "
            "questions, and none is called the best. Sweep over the model with the data under fixed."
        )
    mean = found.per_user[found.best][found.sweep.metric].mean()
    count = len(found.per_user)
    best = f"Best on validation of {count} configurations: {found.best} ({found.sweep.metric} {mean:.4f})."
    if found.best == "default" or "default" not in found.per_user:
        return best
    lead = paired(found)
    return (
        f"{best} Against the default, paired over {lead.n_users} users: {lead.difference:+.4f}, 95 % "
        f"interval {lead.low:+.4f} to {lead.high:+.4f}, p = {lead.p_value:.4f}; the best of many is partly "
        "luck, which neither interval nor p-value knows of."
    )


def paired(found: Found) -> Comparison:
    """Compare the best configuration with the default, user by user, each averaged over its seeds."""
    return compare(found.per_user[found.best], found.per_user["default"], metric=found.sweep.metric)


def _recorded_sweep(folder: Path) -> Sweep:
    """Read what a sweep's folder says that it holds, and check it as if somebody had just written it."""
    try:
        content = dict(read_json(folder / "sweep.json"))
    except (OSError, ValueError, TypeError) as error:
        raise RefusedError(f"{folder} holds no sweep: name the folder that `bpr sweep` wrote.") from error
    sweep, wrong = read_sweep({n: v for n, v in content.items() if v is not None}, report_test=True)
    if sweep is None:
        raise RefusedError(f"{folder / 'sweep.json'} is no sweep: {'; '.join(wrong)}.")
    return sweep


def _result(trial: Trial, metric: str) -> tuple[dict[str, Any], pd.DataFrame | None]:
    """Give a trial's status and, if it is done, its per-user table; what was lost since is waiting again."""
    status = trial.status
    if status["status"] != "done":
        return status, None
    try:
        users = pd.DataFrame(RunFolder(trial.folder).read(MODEL)["valid_per_user"])
        if metric in users and all(kind.kind in "iufb" for kind in users.dtypes):
            return status, users
        told = f"there is no number {metric} in its table"
    except (OSError, ValueError, KeyError) as error:
        told = str(error)
    return status | {"status": "waiting", "error": f"done once, and lost: {told}"}, None


def _row(trial: Trial, status: dict[str, Any], per_user: pd.DataFrame | None, metric: str) -> dict[str, Any]:
    given = per_notebook(trial.values)
    values = {name: given[book][name] for book in (*DATA, MODEL) for name in fields([book])}
    row = {"trial": trial.folder.name, **status, **values}
    del row["run_dir"]
    if per_user is None:
        return row
    interval = mean_interval(per_user[[metric]]).loc[metric]
    means = {str(name): value for name, value in per_user.mean().items()}
    return row | means | {"low": interval["low"], "high": interval["high"]}


def _figure(found: Found) -> bytes:
    from matplotlib.figure import Figure

    from bpr_helpers.plots import forest

    metric = found.sweep.metric
    means = {name: users[metric].mean() for name, users in found.per_user.items()}
    best = sorted(means, key=means.__getitem__, reverse=True)[:SHOWN]
    shown = dict.fromkeys([*best, *({"default"} & means.keys())])
    figure, file = Figure(figsize=(8, 1.2 + 0.3 * len(shown)), layout="constrained"), io.BytesIO()
    # A dollar begins a formula, and names hold what the reader's files are called.
    summaries = {n.replace("$", r"\$"): mean_interval(found.per_user[n][[metric]]) for n in shown}
    title = "Validation, with 95 % intervals over users"
    forest(summaries, metric=metric, title=title, ax=figure.subplots())
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def _page(found: Found, figure: bytes) -> str:
    """Write the page; whatever comes from a file is escaped, also what pandas writes."""
    short, sentence = by_configuration(found), verdict(found)
    image = (
        f'<img src="data:image/png;base64,{base64.b64encode(figure).decode()}" alt="validation">'
        if figure
        else ""
    )
    failed = found.table[found.table["status"] == "failed"]
    names = {trial.folder.name: str(trial) for trials in found.trials.values() for trial in trials}
    errors = [
        f"<li>{html.escape(f'{names[str(row.trial)]}: {row.error}')}</li>" for row in failed.itertuples()
    ]
    heading = f"{len(found.trials)} configurations, judged by {found.sweep.metric} on validation"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sweep</title>'
        "<style>body{font-family:sans-serif;margin:2em}td,th{padding:.2em .6em;text-align:right}"
        "table{border-collapse:collapse}tr:nth-child(even){background:#f3f3f3}img{max-width:100%}</style>"
        f"<h1>Sweep over {html.escape(heading)}</h1>"
        f"<p>{html.escape(sentence)}</p>{image}<h2>Configurations</h2>{short.to_html(border=0, na_rep='')}"
        + (f"<h2>Failed</h2><ul>{''.join(errors)}</ul>" if errors else "")
        + f"<h2>Trials</h2>{found.table.to_html(border=0, index=False, na_rep='')}</html>\n"
    )

"""What a sweep found: one table, a figure, the best with its paired comparison to the default, one page."""

from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bpr_helpers.course.parameters import fields, per_notebook
from bpr_helpers.course.run_folder import RunFolder
from bpr_helpers.course.runs import Refused
from bpr_helpers.course.series import MODEL
from bpr_helpers.course.sweep_plan import DATA, Sweep, Trial, digest, line, plan
from bpr_helpers.significance import Comparison, average_tables, compare, mean_interval

SHOWN = 20  # configurations in the figure


@dataclass(frozen=True)
class Found:
    """The results of a sweep.

    Attributes
    ----------
    table : DataFrame, a row per trial: status, seconds, every parameter, the mean of every metric on the
        validation part, and low and high, the 95 % interval of the sweep's metric
    per_user : configuration (as a line of text) -> its per-user table on validation, averaged over seeds
    best : the line of the configuration with the highest mean, "" while none is done
    trials : configuration -> its trials
    """

    table: pd.DataFrame
    per_user: dict[str, pd.DataFrame]
    best: str
    trials: dict[str, list[Trial]]


def read(folder: Path) -> tuple[Sweep, Found]:
    """Collect what the trials of a sweep have written.

    Raises
    ------
    Refused
        The folder holds no sweep.
    """
    try:
        sweep = Sweep.model_validate(json.loads((folder / "sweep.json").read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise Refused(f"{folder} holds no sweep: name the folder that `bpr sweep` wrote.") from error
    trials: dict[str, list[Trial]] = {}
    for trial in plan(sweep, folder):
        trials.setdefault(line(trial.configuration), []).append(trial)
    done = {name: [_per_user(t) for t in group] for name, group in trials.items() if _all_done(group)}
    per_user = {name: average_tables(group) for name, group in done.items()}
    means = {name: users[sweep.metric].mean() for name, users in per_user.items()}
    table = pd.DataFrame([_row(trial, sweep.metric) for group in trials.values() for trial in group])
    return sweep, Found(table, per_user, max(means, key=means.__getitem__, default=""), trials)


def write(folder: Path) -> str:
    """Write table.csv, table.parquet, table.png and table.html into a sweep's folder.

    Returns
    -------
    str
        what to read first: the table by configuration, the best and its comparison to the default, the files
    """
    sweep, found = read(folder)
    found.table.to_csv(folder / "table.csv", index=False)
    found.table.to_parquet(folder / "table.parquet")
    short, sentence = by_configuration(sweep, found), verdict(sweep, found)
    figure = _figure(sweep, found, folder / "table.png") if found.per_user else b""
    page = _page(sweep, found, short, sentence, figure)
    (folder / "table.html").write_text(page, "utf-8")
    files = "\n".join(str(folder / f"table.{end}") for end in ("csv", "parquet", "png", "html"))
    return f"{short.to_string()}\n\n{sentence}\n\n{files}"


def best_trial(folder: Path) -> Trial | None:
    """Give the first trial of the best configuration, None while no configuration is done."""
    _, found = read(folder)
    return found.trials[found.best][0] if found.best else None


def by_configuration(sweep: Sweep, found: Found) -> pd.DataFrame:
    """Average over seeds: mean, interval over users, deviation over seeds, seconds; the best first."""
    rows = {}
    for name, trials in found.trials.items():
        own = found.table[found.table["trial"].isin([trial.folder.name for trial in trials])]
        done = own[own["status"] == "done"]
        rows[name] = {"done": f"{len(done)}/{len(own)}", "seconds": done["seconds"].mean()}
        if name in found.per_user:
            interval = mean_interval(found.per_user[name][[sweep.metric]]).loc[sweep.metric]
            rows[name] |= {
                **interval,
                "sd over seeds": done[sweep.metric].std() if len(done) > 1 else float("nan"),
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    return table.sort_values("mean", ascending=False).round(4) if "mean" in table else table


def verdict(sweep: Sweep, found: Found) -> str:
    """Say which configuration is best on validation, and how sure its lead over the default is."""
    if not found.best:
        return "No configuration is done yet."
    if len({digest(found.trials[name][0].values, DATA) for name in found.per_user}) > 1:
        return (
            "These configurations differ in how the data are pruned or split: their scores answer different "
            "questions, and none is called the best. Sweep over the model with the data under fixed."
        )
    mean = found.per_user[found.best][sweep.metric].mean()
    count = len(found.per_user)
    best = f"Best on validation of {count} configurations: {found.best} ({sweep.metric} {mean:.4f})."
    if found.best == "default" or "default" not in found.per_user:
        return best
    lead = paired(sweep, found)
    return (
        f"{best} Against the default, paired over {lead.n_users} users: {lead.difference:+.4f}, 95 % "
        f"interval {lead.low:+.4f} to {lead.high:+.4f}, p = {lead.p_value:.4f}; the best of many is partly "
        "luck, which neither interval nor p-value knows of."
    )


def paired(sweep: Sweep, found: Found) -> Comparison:
    """Compare the best configuration with the default, user by user, each averaged over its seeds."""
    return compare(found.per_user[found.best], found.per_user["default"], metric=sweep.metric)


def _all_done(trials: list[Trial]) -> bool:
    return all(trial.status["status"] == "done" for trial in trials)


def _per_user(trial: Trial) -> pd.DataFrame:
    return pd.DataFrame(RunFolder(trial.folder).read(MODEL)["valid_per_user"])


def _row(trial: Trial, metric: str) -> dict[str, Any]:
    given = per_notebook(trial.values)
    values = {name: given[book][name] for book in (*DATA, MODEL) for name in fields([book])}
    row = {"trial": trial.folder.name, **trial.status, **values}
    del row["run_dir"]
    if row["status"] != "done":
        return row
    per_user = _per_user(trial)
    interval = mean_interval(per_user[[metric]]).loc[metric]
    means = {str(name): value for name, value in per_user.mean().items()}
    return row | means | {"low": interval["low"], "high": interval["high"]}


def _figure(sweep: Sweep, found: Found, path: Path) -> bytes:
    from matplotlib.figure import Figure

    from bpr_helpers.plots import forest

    means = {name: users[sweep.metric].mean() for name, users in found.per_user.items()}
    best = sorted(means, key=means.__getitem__, reverse=True)[:SHOWN]
    shown = dict.fromkeys([*best, *({"default"} & means.keys())])
    figure = Figure(figsize=(8, 1.2 + 0.3 * len(shown)), layout="constrained")
    summaries = {name: mean_interval(found.per_user[name][[sweep.metric]]) for name in shown}
    forest(
        summaries,
        metric=sweep.metric,
        title="Validation, with 95 % intervals over users",
        ax=figure.subplots(),
    )
    figure.savefig(path, dpi=100)
    return path.read_bytes()


def _page(sweep: Sweep, found: Found, short: pd.DataFrame, sentence: str, figure: bytes) -> str:
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
    heading = f"{len(found.trials)} configurations, judged by {sweep.metric} on validation"
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>Sweep</title>'
        "<style>body{font-family:sans-serif;margin:2em}td,th{padding:.2em .6em;text-align:right}"
        "table{border-collapse:collapse}tr:nth-child(even){background:#f3f3f3}img{max-width:100%}</style>"
        f"<h1>Sweep over {html.escape(heading)}</h1>"
        f"<p>{html.escape(sentence)}</p>{image}<h2>Configurations</h2>{short.to_html(border=0, na_rep='')}"
        + (f"<h2>Failed</h2><ul>{''.join(errors)}</ul>" if errors else "")
        + f"<h2>Trials</h2>{found.table.to_html(border=0, index=False, na_rep='')}</html>\n"
    )

"""Figures of many trials, and of many tasks: what they found, what of it is luck, and who did what when."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from bpr_helpers.plots.looks import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    _axes,
    _legend,
    _lines,
    _some,
    _spoken,
)
from bpr_helpers.recommend import short_title

# Fills of bars that are told apart in gray, too.
_FILLS = (
    (BLUE, ""),
    (ORANGE, "//"),
    (GREEN, ".."),
    (VERMILION, "xx"),
    (SKY, "oo"),
    (PURPLE, "||"),
    ("#999999", "\\\\"),
)


def trial_dots(
    scores: pd.DataFrame,
    *,
    marked: str = "default",
    metric: str = "ndcg@10",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw every trial of a sweep as a dot, a row per configuration, the highest mean on top.

    Parameters
    ----------
    scores : DataFrame, a row per configuration and a column per seed; its index holds their names
    marked : the configuration that the others are compared with: its dots are filled, a dotted line its mean
    metric : what the scores are, for the label of x
    title : str; None writes how many of the others have a higher mean than the marked one
    ax : Axes to draw on; None makes a new one, higher where there are more configurations

    Returns
    -------
    Axes
        The score on x: a ring per trial, a bar for a configuration's mean.

    Raises
    ------
    ValueError
        There is no configuration, or `marked` is none of them.
    """
    if marked not in scores.index:
        raise ValueError(f"trial_dots: no configuration {marked!r} among {list(scores.index)}.")
    means = scores.mean(axis=1).sort_values(ascending=False, kind="stable")
    ax = _axes(ax, height=1.2 + 0.24 * len(scores))
    places = np.arange(len(means))
    ax.axvline(means[marked], color="grey", linestyle=":", linewidth=1.2)
    for place, name in zip(places, means.index, strict=True):
        face = BLUE if name == marked else "none"
        trials = scores.loc[name].dropna()
        ax.scatter(trials, [place] * len(trials), s=26, edgecolors=BLUE, facecolors=face, linewidths=1.2)
    ax.scatter(means, places, marker="|", s=120, c=BLACK, linewidths=1.8, zorder=3)
    ax.set_yticks(places, [short_title(name, 36) for name in means.index], parse_math=False)
    ax.set_ylim(len(means) - 0.4, -0.6)
    ax.grid(axis="y", alpha=0.3)
    ax.set_ylabel("configuration, the highest mean on top")
    ax.set_xlabel(f"{_spoken(metric)}: a ring per trial, a bar for their mean")
    ahead = int((means > means[marked]).sum())
    others = len(means) - 1
    ax.set_title(title or f"{ahead} of {others} have a higher mean than {short_title(marked)}")
    return ax


def trial_lines(
    trials: pd.DataFrame,
    *,
    x: str,
    line: str,
    metric: str = "ndcg@10",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what one parameter does for each value of another, with every trial as a dot.

    Parameters
    ----------
    trials : DataFrame, a row per trial, columns `x`, `line` and `metric`
    x, line : the parameter on x, in steps of powers of two, and the one that has a line per value
    metric : the column on y
    title : str; None writes what the mean of all lines does from the first x to the last
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        Lines through the means over trials; a darker line has a larger value.

    Raises
    ------
    ValueError
        There is no trial.
    """
    if trials.empty:
        raise ValueError("trial_lines: there is no trial to draw; look at why all of them failed.")
    means = trials.pivot_table(index=x, columns=line, values=metric)
    ax = _axes(ax)
    for value, color, (_, dashes, marker) in zip(
        means, shades(means.shape[1]), itertools.cycle(_lines), strict=False
    ):
        own = trials[trials[line] == value]
        ax.plot(means[value], color=color, linestyle=dashes, marker=marker, label=f"{value:g}", linewidth=2)
        ax.scatter(own[x], own[metric], s=26, edgecolors=color, facecolors="none", marker=marker)
    ax.set_xscale("log", base=2)
    ax.set_xticks(means.index, [f"{value:g}" for value in means.index])
    ax.minorticks_off()
    ax.set_xlabel(f"{x} (log scale)")
    ax.set_ylabel(f"{_spoken(metric)}: hollow, trials; filled, means")
    first, last = means.mean(axis=1).iloc[[0, -1]]
    ax.set_title(title or f"From {x} {means.index[0]} to {means.index[-1]}: {last - first:+.3f} on average")
    _legend(ax, title=line)
    return ax


def stopped_fits(
    curves: Mapping[str, pd.Series],
    *,
    patience: int,
    ylabel: str,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw fits that nothing stopped, and where patience would have stopped them.

    Parameters
    ----------
    curves : dict from the name of a fit to what was validated, by epoch
    patience : int >= 1, the epochs without a better value after which a fit ends
    ylabel : str, what was validated
    title : str; None writes after which epoch each fit would have ended
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The epoch on x. A line is solid while patience lasts, and dotted after that.

    Raises
    ------
    ValueError
        There is no fit.
    """
    curves = _some(curves, "stopped_fits")
    ax = _axes(ax)
    markers = itertools.cycle("osD^v")
    for (name, curve), color, marker in zip(curves.items(), shades(len(curves)), markers, strict=False):
        ax.plot(curve, ":", color=color, linewidth=2, label=f"_{name}")
        waited = curve[: stopped_after(curve, patience)]
        ax.plot(waited, marker=marker, color=color, linewidth=2, label=short_title(name))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel="epoch (dotted: patience would have ended the fit)", ylabel=ylabel)
    ends = [f"{short_title(name, 20)} after epoch {stopped_after(c, patience)}" for name, c in curves.items()]
    ax.set_title(title or f"Patience would end {' and '.join(ends)}")
    _legend(ax)
    return ax


def stopped_after(curve: pd.Series, patience: int) -> Any:
    """Give the epoch after which patience ends a fit: so many epochs brought nothing better.

    Parameters
    ----------
    curve : Series of what was validated, by epoch
    patience : int >= 1

    Returns
    -------
    the epoch; the last one where patience lasts to the end

    Examples
    --------
    >>> stopped_after(pd.Series([0.1, 0.3, 0.2, 0.2, 0.9], index=[1, 2, 3, 4, 5]), 2)
    4
    """
    best = curve.cummax()
    return [*curve.index[best.eq(best.shift(patience))], curve.index[-1]][0]


def luck_curves(
    luck: float,
    usual: ArrayLike,
    rare: ArrayLike,
    *,
    seeds: Sequence[int],
    winner: tuple[int, float],
    unit: str = "points",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw by how much the best of n equal configurations seems to lead, for several numbers of seeds.

    Parameters
    ----------
    luck : float, the standard deviation of one trial
    usual, rare : arrays (n,), the lead of the best of 1, 2, ... in an average sweep, and the one that few
        sweeps exceed, both in standard deviations of a configuration's mean
    seeds : numbers of seeds, whose mean has a standard deviation smaller by their root
    winner : how many configurations a sweep has tried, and the lead that it has found
    unit : str, what luck and the lead are measured in
    title : str; None writes what the lines are
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The number of configurations on a logarithmic x; a solid and a dashed line for each number of seeds.
    """
    n = np.arange(1, len(np.asarray(usual)) + 1)
    ax = _axes(ax)
    for count, color in zip(seeds, shades(len(seeds))[::-1], strict=True):
        scale, label = luck / np.sqrt(count), f"{count} seed{'s' * (count > 1)} each"
        ax.plot(n, scale * np.asarray(usual), color=color, linewidth=2)
        ax.plot(n, scale * np.asarray(rare), "--", color=color, linewidth=2)
        ax.annotate(
            label, (n[-1], scale * np.asarray(rare)[-1]), (5, 0), textcoords="offset points", va="center"
        )
    ax.plot(*winner, "*", color=BLACK, markeredgecolor="white", markersize=17)
    ax.annotate("our winner", winner, (10, -14), textcoords="offset points")
    marks = [mark for mark in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if mark <= n[-1]]
    ax.set(xscale="log", xlabel="configurations tried, all as good as the default (log scale)")
    ax.set_xticks(marks, [str(mark) for mark in marks])
    ax.minorticks_off()
    ax.set_ylabel(f"lead over the default ({unit})")
    ax.set_title(title or "Luck alone. Solid: the average sweep. Dashed: one in twenty leads by more")
    return ax


def agreement(
    scores: pd.DataFrame, *, metric: str = "ndcg@10", title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the scores of models on two parts of the data against each other.

    Parameters
    ----------
    scores : DataFrame, a row per model, a column per part
    metric : what the scores are, for the labels
    title : str; None writes the rank correlation
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The first part on x, the second on y. On the dotted line both scores are equal.

    Raises
    ------
    ValueError
        There is no model, or the columns are not two.
    """
    if scores.empty or scores.shape[1] != 2:
        raise ValueError(f"agreement: scores of shape {scores.shape}; give a row per model and two columns.")
    x, y = scores.columns
    ax = _axes(ax)
    markers = itertools.cycle("os^DPvX")
    for (name, row), color, marker in zip(scores.iterrows(), shades(len(scores)), markers, strict=False):
        ax.plot(*row, marker, color=color, linestyle="", markersize=9, label=short_title(name))
    start = scores.to_numpy().min()
    ax.axline((start, start), slope=1, color="grey", linestyle=":", linewidth=1.2)
    ax.set(xlabel=f"{x} {_spoken(metric)}", ylabel=f"{y} {_spoken(metric)}")
    order = scores[x].corr(scores[y], method="spearman")
    ax.set_title(title or f"Dotted: equal in both parts. Rank correlation {order:.2f}")
    _legend(ax)
    return ax


def shades(n: int) -> list[str]:
    """Give n colors for what has an order, from light to dark; all of them are dark enough for a line.

    >>> len(set(shades(3)))
    3
    """
    return [to_hex(plt.get_cmap("Blues")(place)) for place in np.linspace(0.4, 1.0, n)]


def task_stream(tasks: pd.DataFrame, *, title: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw which worker did which task when, a row per worker.

    Parameters
    ----------
    tasks : DataFrame, columns worker, kind, start and stop (seconds), as `scale.tasks_of` gives it
    title : str; None writes how many tasks there were, and for how much of the time the workers were busy
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        Seconds on x; kinds are told apart by color, hatching and the legend.
    """
    ax = _axes(ax, height=2.8)
    workers = sorted(tasks["worker"].unique())
    colors = dict(zip(sorted(tasks["kind"].unique()), itertools.cycle(_FILLS), strict=False))
    for kind, (color, hatch) in colors.items():
        own = tasks[tasks["kind"] == kind]
        rows = own["worker"].map(workers.index)
        look = {"color": color, "hatch": hatch, "edgecolor": "white", "linewidth": 0.3}
        ax.barh(rows, own["stop"] - own["start"], left=own["start"], height=0.7, label=kind, **look)
    busy = (tasks["stop"] - tasks["start"]).sum() / (tasks["stop"].max() * len(workers))
    told = f"{len(tasks):,} tasks on {len(workers)} workers, which were busy {busy:.0%} of the time"
    ax.set(title=told if title is None else title, xlabel="seconds", ylabel="worker")
    ax.set_yticks(range(len(workers)), [str(number + 1) for number in range(len(workers))])
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
    return ax

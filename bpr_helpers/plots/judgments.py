"""Figures of evaluations: how good, compared with what, and how sure."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from bpr_helpers import metrics
from bpr_helpers.plots.looks import (
    BLACK,
    BLUE,
    MODEL_COLORS,
    SKY,
    VERMILION,
    _axes,
    _legend,
    _lines,
    _percent,
    _some,
    _sparse,
    _spoken,
    _styles,
)
from bpr_helpers.recommend import short_title


def metric_by_k(
    summaries: Mapping[str, pd.DataFrame],
    *,
    metric: str = "ndcg",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a metric of several models against the cut-off k, with their intervals as bands.

    Parameters
    ----------
    summaries : dict from the name of a model to its `Evaluation.summary()`: a row per metric ("ndcg@10"),
        columns mean, low and high
    metric : name of the metric without its cut-off, such as "ndcg"
    title : str; None writes which model leads
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The cut-off on x, the mean and its 95 % band on y.

    Raises
    ------
    ValueError
        There is no model, or a model lacks the metric at every cut-off.
    """
    tables = {name: _by_k(summary, metric, name) for name, summary in _some(summaries, "metric_by_k").items()}
    ax = _axes(ax)
    for (name, table), style in zip(tables.items(), _styles(tables), strict=True):
        ax.plot(table.index, table["mean"], label=name, **style)
        edge = {"edgecolor": style["color"], "linestyle": style["linestyle"], "linewidth": 0.7}
        ax.fill_between(table.index, table["low"], table["high"], facecolor=style["color"], alpha=0.2, **edge)
    ax.set_xticks(sorted({k for table in tables.values() for k in table.index}))
    ax.set_xlabel("cut-off k (length of the list)")
    ax.set_ylabel(f"{_spoken(metric)}, mean over users")
    best = pd.DataFrame({name: table["mean"] for name, table in tables.items()}).idxmax(axis=1).unique()
    leaders = " or ".join(short_title(name) for name in best)
    ax.set_title(title or f"{_spoken(metric)} at every k with 95 % bands: {leaders} leads")
    _legend(ax)
    return ax


def intervals(
    tables: Mapping[str, pd.DataFrame],
    *,
    xlabel: str,
    ylabel: str = "",
    zero: bool = False,
    legend: bool = True,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw means with their intervals: a line for every row, on which each table has its own mark.

    Where tables or rows are named like models of the course, they have these models' colors.

    Parameters
    ----------
    tables : dict from the name of a series to its DataFrame, with the same rows: columns mean, low and high.
        A missing row or end is not drawn
    xlabel, ylabel : str, what the numbers and what the rows are
    zero : bool, mark 0, where neither of two is ahead; otherwise the axis begins there
    legend : bool, whether to name the series, where there are several
    title : str; None writes how many of the intervals hold 0, or which mean is the highest
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The rows from top to bottom, in the order of the first table.

    Raises
    ------
    ValueError
        There is no table.
    """
    columns = ["mean", "low", "high"]
    tables = {name: table[columns].astype(float) for name, table in _some(tables, "intervals").items()}
    rows = list(next(iter(tables.values())).index)
    ax = _axes(ax, height=3.4)
    dodges = np.linspace(-0.4, 0.4, len(tables) + 2)[1:-1]
    for (name, table), dodge, (_, _, marker) in zip(tables.items(), dodges, _lines, strict=False):
        hollow = len(tables) > 1 and dodge < 0 and name not in MODEL_COLORS  # rows, not series, are models
        fill: dict[str, Any] = {"markerfacecolor": "white"} if hollow else {}
        places = np.arange(len(rows)) + dodge
        for place, row, ends in zip(places, rows, table.reindex(rows).to_numpy(), strict=True):
            color = MODEL_COLORS.get(name, MODEL_COLORS.get(row, BLACK))
            ax.plot(ends[1:], [place, place], color=color, linewidth=2)
            ax.plot(ends[0], place, marker, color=color, **fill)
        ax.plot([], [], marker + "-", label=name, color=MODEL_COLORS.get(name, BLACK), **fill)
    if zero:
        ax.axvline(0, color="grey", linestyle=":", linewidth=1.2)
    else:
        ax.set_xlim(0, None)
    ax.set_yticks(range(len(rows)), [short_title(row, 32) for row in rows], parse_math=False)
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel=xlabel, ylabel=ylabel)
    ax.set_title(title or _intervals_title(tables, zero))
    if legend and len(tables) > 1:
        _legend(ax)
    return ax


def simulated(
    values: ArrayLike,
    marks: Mapping[str, float],
    *,
    xlabel: str,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how numbers are spread that chance made again and again, with marks such as what was observed.

    Parameters
    ----------
    values : the numbers, such as the means of many samples
    marks : dict from what is marked to where
    xlabel : str, what the numbers are
    title : str; None writes how many there are, and how many of them lie between the outermost marks
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The numbers on x, how often they came on y, a vertical line per mark.

    Raises
    ------
    ValueError
        There is no number or no mark.
    """
    numbers, marks = np.asarray(values, dtype=np.float64), _some(marks, "simulated")
    if not len(numbers):
        raise ValueError("simulated: there is no number to draw; simulate at least one.")
    ax = _axes(ax, height=3.4)
    ax.hist(numbers, bins=40, color=SKY, edgecolor="white")
    for (label, at), style in zip(marks.items(), itertools.cycle(["--", "-.", ":"])):
        ax.axvline(at, color=VERMILION, linestyle=style, linewidth=2, label=f"{label} {at:.3f}")
    ends = min(marks.values()), max(marks.values())
    between = _percent(((numbers >= ends[0]) & (numbers <= ends[1])).mean())
    ax.set(xlabel=xlabel, ylabel=f"how often, of {len(numbers):,}")
    ax.set_title(title or f"{between} of the {len(numbers):,} lie between the marks")
    _legend(ax)
    return ax


def user_differences(
    difference: ArrayLike, *, what: str = "NDCG@10", title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how much better one of two models is for every user; ties have a bar of their own.

    Parameters
    ----------
    difference : one number per user, from -1 to 1: the first model's value minus the second's
    what : str, what is subtracted from what
    title : str; None writes for how many users neither model is ahead
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The difference on x in steps of 0.05, users on y. The slim bar counts those with no difference.

    Raises
    ------
    ValueError
        There is no user.
    """
    values = np.asarray(difference, dtype=np.float64)
    if not len(values):
        raise ValueError("user_differences: there is no user to draw; compare two models that share some.")
    even = np.isclose(values, 0, atol=1e-12)
    ax = _axes(ax, height=3.4)
    ax.hist(
        values[~even],
        bins=np.linspace(-1, 1, 41).tolist(),
        color=SKY,
        edgecolor="white",
        label="one is ahead",
    )
    ax.bar(0, even.sum(), width=0.016, color=BLACK, label="no difference at all")
    ax.axvline(values.mean(), color=VERMILION, linestyle="--", label=f"mean {values.mean():+.3f}")
    ax.set(xlabel=f"{what}, per user", ylabel="users", xlim=(-1, 1))
    ax.set_title(title or f"For {even.sum():,} of {len(values):,} users it makes no difference")
    _legend(ax)
    return ax


def bumps(
    tables: Mapping[str, pd.DataFrame], *, what: str, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw on which place every model stands under several ways to judge it, and how sure the places are.

    Parameters
    ----------
    tables : dict from a way of judging to its `place_intervals`, all of the same models: columns mean, place,
        low and high, the last two being the ends of a model's places
    what : str, the metric that is written beside each point
    title : str; None writes how many models keep their place, where there are two ways or more
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        A column per way of judging, the first place on top. A vertical bar is the interval of a place.

    Raises
    ------
    ValueError
        There is no table.
    """
    tables = _some(tables, "bumps")
    first = next(iter(tables.values()))
    ax = plt.subplots(figsize=(7.5, 3.5), layout="constrained")[1] if ax is None else ax
    dodges = np.linspace(-0.12, 0.12, len(first)) if len(first) > 1 else np.zeros(1)
    names = list(first.sort_values("place", kind="stable").index)
    apart = {label: table["place"].rank(method="first") for label, table in tables.items()}  # of the texts
    for name, dodge, style in zip(names, dodges, _styles(names), strict=True):
        rows = pd.DataFrame({label: table.loc[name] for label, table in tables.items()}).T
        x = np.arange(len(rows)) + dodge
        ax.plot(x, rows["place"], label=name, **style | {"linestyle": "-"})  # the markers differ
        ax.vlines(x, rows["low"], rows["high"], color=style["color"], linewidth=5, alpha=0.35)
        heights = [apart[label][name] for label in tables]
        for at, height, mean in zip(range(len(rows)), heights, rows["mean"], strict=True):
            look: dict[str, Any] = {
                "ha": "right",
                "fontsize": 9,
                "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1},
            }
            ax.text(at - 0.16, height, f"{mean:.3f}", va="center", color=style["color"], zorder=4, **look)
        ax.text(len(rows) - 0.7, heights[-1], short_title(name, 24), color=style["color"], va="center")
    ax.set_xticks(range(len(tables)), [short_title(label, 24) for label in tables])
    ax.set(xlim=(-0.5, len(tables) - 0.1), ylim=(len(first) + 0.6, 0.4), ylabel="place")
    ax.set_xlabel(f"how models are judged (number: {what}, bar: 95 % of the places)")
    ax.set_yticks(range(1, len(first) + 1))
    kept = sum(len({table.loc[name, "place"] for table in tables.values()}) == 1 for name in first.index)
    told = f"{kept} of {len(first)} models keep their place however they are judged"
    ax.set_title(title or (told if len(tables) > 1 else "Judged in one way: places and how sure they are"))
    return ax


def forest(
    summaries: Mapping[str, pd.DataFrame],
    *,
    metric: str = "ndcg@10",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw one metric of several models with its intervals, the best model on top.

    Overlapping intervals do not mean that two models are equally good. The models were judged on the same
    users, so look at the differences user by user (`compare`).

    Parameters
    ----------
    summaries : dict from the name of a model to its `Evaluation.summary()`: a row per metric ("ndcg@10"),
        columns mean, low and high
    metric : name of the metric with its cut-off, such as "ndcg@10"
    title : str; None writes which models have the highest and the lowest mean
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The metric on x, a line per model. A dotted line marks the best mean.

    Raises
    ------
    ValueError
        There is no model, or a model lacks the metric.
    """
    rows = {}
    for name, summary in _some(summaries, "forest").items():
        if metric not in summary.index:
            raise ValueError(f"forest: {name} has no {metric!r} among {list(summary.index)}.")
        rows[name] = summary.loc[[metric], ["mean", "low", "high"]].iloc[0]
    table = pd.DataFrame(rows).T.sort_values("mean", ascending=False, kind="stable")
    ax = _axes(ax)
    places = np.arange(len(table))
    best, worst = short_title(table.index[0]), short_title(table.index[-1])
    ax.axvline(table["mean"].iloc[0], color="grey", linestyle=":", linewidth=1.2)
    colors = [MODEL_COLORS.get(name, BLUE) for name in table.index]
    ax.hlines(places, table["low"], table["high"], colors=colors, linewidth=2)
    ax.scatter(table["mean"], places, c=colors, s=45, zorder=3)
    for place, mean in zip(places, table["mean"], strict=True):
        ax.annotate(f"{mean:.3f}", (mean, place), xytext=(0, 7), textcoords="offset points", ha="center")
    ax.set_yticks(places, [short_title(name, 32) for name in table.index], parse_math=False)
    ax.set_ylim(len(table) - 0.5, -0.7)
    ax.set_ylabel("model, the best on top")
    ax.set_xlabel(f"{_spoken(metric)}, mean over users and 95 % interval")
    ax.set_title(title or f"{_spoken(metric)}: {best} has the highest mean, {worst} the lowest")
    return ax


def gains(
    table: pd.DataFrame,
    *,
    xlabel: str,
    ylabel: str,
    title: str,
    x: Sequence[float] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw means with their intervals side by side, a gray line at zero.

    Parameters
    ----------
    table : DataFrame, a row per point: mean, low, high
    xlabel, ylabel, title : what stands on the axes and above
    x : a number per row where the points lie, each then named beside it; None puts them in a row, named below
    ax : Axes to draw on; None makes a new one
    """
    ax = _axes(ax)
    at = np.arange(len(table)) if x is None else np.asarray(x, float)
    room = [table["mean"] - table["low"], table["high"] - table["mean"]]
    ax.axhline(0, color="grey", linewidth=1)
    ax.errorbar(at, table["mean"], room, color=BLUE, fmt="o", capsize=4, markersize=7, linewidth=1.8)
    if x is None:
        ax.set_xticks(at, [short_title(name, 24) for name in table.index], parse_math=False)
    else:
        for place, (name, mean) in zip(at, table["mean"].items(), strict=True):
            ax.annotate(short_title(name, 24), (place, mean), xytext=(8, 3), textcoords="offset points")
        ax.set_xlim(0, 1.3 * at.max())
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return ax


def differences(
    over_seeds: pd.DataFrame,
    over_users: pd.DataFrame | None = None,
    *,
    metric: str = "NDCG@10",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw what changes to a model do to its quality, as a forest plot of paired differences.

    Parameters
    ----------
    over_seeds : DataFrame, a row per change in the order to draw, indexed by what was changed: mean, low and
        high of the difference, over fits with other seeds
    over_users : DataFrame with the same index, columns low and high: the interval over users; None for none
    metric : name of what differs
    title : str; None writes how many intervals over seeds leave zero out
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The difference on x, a line per change; hollow where the interval over seeds holds zero.

    Raises
    ------
    ValueError
        There is no change to draw.
    """
    if over_seeds.empty:
        raise ValueError("differences: there is no change to draw; give a row for each.")
    ax = _axes(ax)
    sure = (over_seeds["low"] > 0) | (over_seeds["high"] < 0)
    places = np.arange(len(over_seeds))
    ax.axvline(0, color=BLACK, linewidth=1)
    if over_users is not None:
        wide = over_users.loc[over_seeds.index]
        ax.hlines(places, wide["low"], wide["high"], color="grey", linewidth=1.2, label="95 % over users")
    ax.hlines(places, over_seeds["low"], over_seeds["high"], color=BLUE, linewidth=5, label="95 % over seeds")
    fill = np.where(sure, BLUE, "white")
    ax.scatter(over_seeds["mean"], places, s=70, c=fill, edgecolors=BLUE, linewidths=2, zorder=3)
    for place, mean in zip(places, over_seeds["mean"], strict=True):
        at: dict[str, Any] = {"xytext": (0, 8), "textcoords": "offset points", "ha": "center"}
        at["bbox"] = {"fc": "white", "ec": "none", "pad": 0.5}
        ax.annotate(f"{mean:+.3f}", (mean, place), **at)
    ax.set_yticks(places, [short_title(name, 32) for name in over_seeds.index], parse_math=False)
    ax.set_ylim(len(over_seeds) - 0.5, -0.8)
    ax.set_ylabel("change")
    ax.set_xlabel(f"difference in {metric}")
    ax.set_title(title or f"{sure.sum()} of {len(sure)} changes are larger than the luck of a seed")
    _legend(ax)
    return ax


def lorenz(
    lists: Mapping[str, ArrayLike], n_items: int, *, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw how unequally models recommend the items: the Lorenz curve of recommendations per item.

    Parameters
    ----------
    lists : dict from the name of a model to its recommendations: item codes (n_users, k), -1 in empty places
    n_items : int, number of items in the catalog
    title : str; None writes how few items make half of the most unequal model's recommendations
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The share of the items on x, the least recommended first; their share of all recommendations on y.
        On the diagonal all items are recommended equally often. The legend gives each Gini coefficient:
        twice the area between the curve and the diagonal.

    Raises
    ------
    ValueError
        There is no model, or a model recommends nothing.
    """
    exposures = {
        name: _exposure(of_users, n_items, name) for name, of_users in _some(lists, "lorenz").items()
    }
    ginis = {name: metrics.gini(lists[name], n_items) for name in exposures}
    ax = _axes(ax)
    share = np.linspace(0, 100, n_items + 1)
    ax.plot([0, 100], [0, 100], color="grey", linestyle=":", linewidth=1.2, label="equal exposure (0.00)")
    for (name, exposure), style in zip(exposures.items(), _styles(exposures), strict=True):
        curve = 100 * np.append(0, exposure.cumsum()) / exposure.sum()
        ax.plot(share, curve, label=f"{name} ({ginis[name]:.2f})", markevery=_sparse(len(curve)), **style)
    ax.set(xlim=(0, 100), ylim=(0, 100))
    ax.set_xlabel("share of the items, the least recommended first (%)")
    ax.set_ylabel("share of all recommendations (%)")
    worst = max(ginis, key=lambda name: ginis[name])
    needed = np.searchsorted(exposures[worst][::-1].cumsum(), exposures[worst].sum() / 2) + 1
    of_whom = f"Half of {short_title(worst)}'s recommendations"
    ax.set_title(title or f"{of_whom} come from {needed} of {n_items:,} items")
    _legend(ax, title="model (Gini)")
    return ax


def bars(
    values: Mapping[str, float], *, xlabel: str, title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw a number for each of several models as a bar, the largest on top.

    Parameters
    ----------
    values : dict from the name of a model to its number; the course's models have their colors
    xlabel : str, what the number is, with its unit
    title : str; None writes which model has the largest
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The number on x, a bar per model.

    Raises
    ------
    ValueError
        There is no model.
    """
    table = pd.Series(_some(values, "bars")).sort_values(kind="stable")
    if ax is None:
        ax = plt.subplots(figsize=(7.5, 1.3 + 0.4 * len(table)), layout="constrained")[1]
    colors = [MODEL_COLORS.get(name, BLUE) for name in table.index]
    drawn = ax.barh(np.arange(len(table)), table, color=colors, height=0.65)
    ax.bar_label(drawn, fmt="%.2f", padding=4)
    ax.margins(x=0.1)
    if table.min() >= 0:
        ax.set_xlim(left=0)
    ax.set_yticks(np.arange(len(table)), [short_title(name, 32) for name in table.index], parse_math=False)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set(xlabel=xlabel, ylabel="model")
    ax.set_title(title or f"{short_title(table.index[-1])} has the most: {table.iloc[-1]:.2f}")
    return ax


def _by_k(summary: pd.DataFrame, metric: str, name: str) -> pd.DataFrame:
    """The rows of one metric, indexed by their cut-off."""
    cut_offs = {row: int(row.split("@")[1]) for row in summary.index if row.startswith(f"{metric}@")}
    if not cut_offs:
        raise ValueError(f"metric_by_k: {name} has no {metric!r} at any k among {list(summary.index)}.")
    return summary.loc[list(cut_offs)].rename(index=cut_offs).sort_index()


def _intervals_title(tables: Mapping[str, pd.DataFrame], zero: bool) -> str:
    """Say what a glance at the intervals should find."""
    if zero:
        every = pd.concat(tables.values())
        return f"Zero lies in {((every['low'] <= 0) & (every['high'] >= 0)).sum()} of {len(every)} intervals"
    highest = {name: table["mean"].max() for name, table in tables.items()}
    series = max(highest, key=lambda name: highest[name])
    row = short_title(tables[series]["mean"].idxmax())
    return f"{row} has the highest mean{f' ({series})' if len(tables) > 1 else ''}"


def _exposure(lists: ArrayLike, n_items: int, name: str) -> np.ndarray:
    """How often each item is recommended, ascending."""
    codes = np.asarray(lists).ravel()
    counts = np.bincount(codes[codes >= 0], minlength=n_items)
    if not counts.any():
        raise ValueError(
            f"lorenz: the lists of {name} hold no item; pass the item codes of its recommendations."
        )
    return np.sort(counts)

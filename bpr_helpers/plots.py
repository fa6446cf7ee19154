"""The course's figures: every function draws on one Axes and returns it.

The colors can be told apart by color-blind readers. Line styles and markers differ as well, so that a figure
can be read in gray.

References
----------
Okabe and Ito, "Color Universal Design: How to make figures and presentations that are friendly to colorblind
people", 2008.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from bpr_helpers import metrics
from bpr_helpers.matrix import same_kind
from bpr_helpers.recommend import short_title
from bpr_helpers.splitting import Split

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)


def long_tail(
    interactions: pd.DataFrame,
    *,
    by: Literal["item_id", "user_id"] = "item_id",
    threshold: int | None = None,
    head: float = 0.2,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how many interactions each item (or user) has, from the most popular to the least.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, column `by`
    by : "item_id" or "user_id", whose interactions are counted
    threshold : int, a count to mark with a dashed line, such as the k of a k-core; None draws no line
    head : float in (0, 1), share of the items that is shaded
    title : str; None writes what share of the interactions belongs to the shaded items
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The rank of an item on x, its number of interactions on a logarithmic y.

    Raises
    ------
    ValueError
        There is no interaction, or no column `by`.
    """
    counts = _counts(interactions, by)
    noun = by.removesuffix("_id")
    n_head = max(1, round(head * len(counts)))
    shares = _percent(n_head / len(counts)), _percent(counts[:n_head].sum() / counts.sum())
    ax = _axes(ax)
    ranks = np.arange(1, len(counts) + 1)
    ax.step(ranks, counts, where="mid", color=BLUE, linewidth=2)
    ax.fill_between(ranks[:n_head], counts[:n_head], 0.8, step="mid", color=SKY, alpha=0.45, linewidth=0)
    if threshold is not None:
        _mark_threshold(ax, counts, threshold, noun)
    ax.set(yscale="log", ylim=(0.8, None), xlim=(0, len(counts) + 1))
    ax.set_xlabel(f"{noun}s, from the most to the fewest interactions (rank)")
    ax.set_ylabel(f"interactions per {noun} (log scale)")
    ax.set_title(title or f"The top {shares[0]} of the {noun}s have {shares[1]} of the interactions")
    return ax


def split_timeline(
    split: Split,
    *,
    users: list | None = None,
    n_users: int = 12,
    scale: Literal["time", "order"] = "time",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw when some users' training, validation and test interactions took place.

    Parameters
    ----------
    split : Split, parts with columns user_id and timestamp
    users : list of user ids, one line each from top to bottom; None takes `n_users` users of the test part,
        evenly spaced by their first interaction
    n_users : int, how many users to draw if `users` is None
    scale : "time" draws the calendar on x, where the interactions of one evening fall on one spot; "order"
        spaces each user's interactions evenly
    title : str; None writes whether any training interaction is later than a test interaction
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        One line per user. Circles are training interactions, triangles validation, squares test.

    Raises
    ------
    ValueError
        There are no timestamps, or one of `users` is in no part of the split.
    """
    events = _events(split)
    known = events["user_id"].unique()
    chosen = _spread_users(events, n_users) if users is None else same_kind(pd.Series(users), known).tolist()
    if missing := [user for user in chosen if user not in known]:
        raise ValueError(
            f"split_timeline: user {missing[0]!r} is in no part of the split; choose users from split.train."
        )
    events = events[events["user_id"].isin(chosen)]
    if scale == "order":
        in_user = events.groupby("user_id")["timestamp"]
        events = events.assign(position=100 * (in_user.cumcount() + 0.5) / in_user.transform("size"))
    line_of = {user: line for line, user in enumerate(chosen)}
    ax = _axes(ax)
    for part, (color, marker, size, offset) in _part_styles.items():
        rows = events[events["part"] == part]
        if len(rows):
            x = rows["position" if scale == "order" else "timestamp"]
            y = rows["user_id"].map(line_of) + (offset if scale == "time" else 0.0)
            ax.scatter(x, y, c=color, marker=marker, s=size, linewidths=0, alpha=0.8, label=part)
    ax.set_yticks(range(len(chosen)), [short_title(user, 32) for user in chosen], parse_math=False)
    ax.invert_yaxis()
    ax.grid(axis="y", alpha=0.3)
    ax.set_ylabel("user_id")
    ax.set_xlabel("date of the interaction" if scale == "time" else "position in the user's history (%)")
    ax.set_title(title or _timeline_title(events, scale))
    _legend(ax)
    return ax


def learning_curves(
    histories: pd.DataFrame | Mapping[str, pd.DataFrame],
    *,
    columns: str | Sequence[str] = "loss",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw columns of a training history by epoch, with a ring around the best epoch of each.

    Parameters
    ----------
    histories : DataFrame with a column epoch (the `history` of a BPR), or a dict of them by name
    columns : the column to draw, or several that share a unit. The best value of a column is its highest, or
        its lowest if the name of the column contains "loss"
    title : str; None writes which epoch is best
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The epoch on x, a line per history and column.

    Raises
    ------
    ValueError
        A history has no epoch, or lacks one of the columns.
    """
    columns = [columns] if isinstance(columns, str) else list(columns)
    named = {"": histories} if isinstance(histories, pd.DataFrame) else dict(histories)
    curves = {
        _line_name(name, column, len(columns)): _curve(history, column)
        for name, history in named.items()
        for column in columns
    }
    ax = _axes(ax)
    for (label, curve), style in zip(curves.items(), _styles(curves), strict=True):
        ax.plot(curve.index, curve, label=label, markevery=_sparse(len(curve)), **style)
        best = curve.sort_values(ascending="loss" in str(curve.name), kind="stable").index.tolist()[0]
        ax.scatter([best], curve[[best]], s=130, c="none", edgecolors=style["color"], linewidths=2, zorder=3)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("epoch")
    ax.set_ylabel(" / ".join(columns))
    one = f"{label} is best in epoch {best} of {curve.index.max()}"
    ax.set_title(
        title or (one if len(curves) == 1 else f"{', '.join(columns)} by epoch; a ring marks the best")
    )
    if len(curves) > 1:
        _legend(ax)
    return ax


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
    spread = [table["mean"] - table["low"], table["high"] - table["mean"]]
    ax.axvline(table["mean"].iloc[0], color="grey", linestyle=":", linewidth=1.2)
    ax.errorbar(
        table["mean"], places, xerr=spread, fmt="o", color=BLUE, capsize=4, markersize=7, linewidth=1.8
    )
    for place, mean in zip(places, table["mean"], strict=True):
        ax.annotate(f"{mean:.3f}", (mean, place), xytext=(0, 7), textcoords="offset points", ha="center")
    ax.set_yticks(places, [short_title(name, 32) for name in table.index], parse_math=False)
    ax.set_ylim(len(table) - 0.5, -0.7)
    ax.set_ylabel("model, the best on top")
    ax.set_xlabel(f"{_spoken(metric)}, mean over users and 95 % interval")
    ax.set_title(title or f"{_spoken(metric)}: {best} has the highest mean, {worst} the lowest")
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


def embedding_map(
    vectors: ArrayLike,
    *,
    groups: Sequence[str] | None = None,
    labels: Mapping[int, str] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw vectors on the plane where they spread most: their first two principal components.

    Labels are placed by adjustText so that they cover as little as possible; the same vectors and labels make
    the same picture. A long label or name of a group is shortened in its middle.

    Parameters
    ----------
    vectors : array (n, d) with n >= 3 and d >= 2, such as a BPR's `item_vectors`
    groups : n names that color the points; the six largest groups have a color each, the others are gray
    labels : dict from a position in `vectors` to the text written beside that point
    title : str; None writes how much of the spread the plane holds
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The first component on x, the second on y. The point furthest out along a component is on its
        positive side.

    Raises
    ------
    ValueError
        There are too few vectors or coordinates, a vector is not finite, `groups` has another length, or a
        label's position is not in `vectors`.
    """
    plane, shares = _principal_plane(np.asarray(vectors, dtype=np.float64))
    if groups is not None and len(groups) != len(plane):
        raise ValueError(
            f"embedding_map: {len(groups)} groups for {len(plane)} vectors; give one name per vector."
        )
    if absent := [place for place in labels or {} if not 0 <= place < len(plane)]:
        raise ValueError(
            f"embedding_map: no vector at position {absent[0]}; the labels go from 0 to {len(plane) - 1}."
        )
    names = pd.Series([""] * len(plane) if groups is None else list(groups))
    largest = list(names.value_counts().index[: len(_points)])
    ax = _axes(ax)
    rest = ~names.isin(largest)
    ax.scatter(plane[rest, 0], plane[rest, 1], s=8, color="lightgrey", label="other" if rest.any() else None)
    for name, (color, marker) in zip(largest, _points, strict=False):
        x, y = plane[names == name].T
        ax.scatter(x, y, s=16, c=color, marker=marker, alpha=0.7, linewidths=0, label=name)
    for axis, ordinal, share in zip((ax.xaxis, ax.yaxis), ("first", "second"), shares, strict=True):
        axis.set_label_text(f"{ordinal} principal component ({_percent(share)} of the variance)")
    ax.set_title(
        title or f"The plane holds {_percent(shares.sum())} of the spread: what lies close tends to be alike"
    )
    if groups is not None:
        _legend(ax)
    if labels:
        _write_labels(ax, plane, labels)
    return ax


def _axes(ax: Axes | None) -> Axes:
    return plt.subplots(figsize=(7.5, 4.2), layout="constrained")[1] if ax is None else ax


def _counts(interactions: pd.DataFrame, by: str) -> np.ndarray:
    """Interactions per value of the column, largest first."""
    if by not in interactions.columns:
        raise ValueError(
            f"long_tail: no column {by!r} among {list(interactions.columns)}; pass by='item_id' or 'user_id'."
        )
    if interactions.empty:
        raise ValueError("long_tail: there is no interaction to count; check the thresholds that left none.")
    return interactions[by].value_counts().to_numpy()


def _mark_threshold(ax: Axes, counts: np.ndarray, threshold: int, noun: str) -> None:
    """A dashed line, labeled on the side where the falling curve leaves room."""
    kept = int((counts >= threshold).sum())
    late = kept > len(counts) / 2
    ax.axhline(threshold, color=VERMILION, linestyle="--")
    ax.annotate(
        f"k = {threshold}: {len(counts) - kept:,} of {len(counts):,} {noun}s have fewer",
        (kept, threshold),
        xytext=(-4, -4) if late else (4, 4),
        textcoords="offset points",
        ha="right" if late else "left",
        va="top" if late else "bottom",
    )


def _events(split: Split) -> pd.DataFrame:
    """All parts in one frame, in time order; equal times in the order train, valid, test."""
    parts = {"train": split.train, "valid": split.valid, "test": split.test}
    if "timestamp" not in split.train.columns:
        raise ValueError(
            "split_timeline: the split has no column 'timestamp'; load interactions with their times."
        )
    columns = ["user_id", "timestamp"]
    frames = [part[columns].assign(part=name) for name, part in parts.items() if len(part)]
    return pd.concat(frames, ignore_index=True).sort_values("timestamp", kind="stable")


def _spread_users(events: pd.DataFrame, n_users: int) -> list:
    """Users of the test part, evenly spaced by their first interaction, earliest first."""
    first = events.groupby("user_id")["timestamp"].min()
    first = first[first.index.isin(events.loc[events["part"] == "test", "user_id"])].sort_values(
        kind="stable"
    )
    spots = np.unique(np.linspace(0, len(first) - 1, min(n_users, len(first))).round().astype(int))
    return first.index[spots].tolist()


def _timeline_title(events: pd.DataFrame, scale: str) -> str:
    """Say what the parts' times show, checked on the interactions drawn."""
    train, test = (events.loc[events["part"] == part, "timestamp"] for part in ("train", "test"))
    if scale == "order" or train.empty or test.empty:
        return "The test part is the end of each user's history"
    if train.max() <= test.min():
        return "Every training interaction comes before every test interaction"
    return "Some users' training interactions are later than other users' test interactions"


def _styles(names: Iterable[str]) -> list[dict[str, Any]]:
    """A line style per name: the course's models keep theirs when one is left out, others take the rest."""
    names = list(names)
    taken = {_model_lines.index(name) for name in names if name in _model_lines}
    free = itertools.cycle([place for place in range(len(_lines)) if place not in taken])
    places = [_model_lines.index(name) if name in _model_lines else next(free) for name in names]
    return [
        {"color": color, "linestyle": dashes, "marker": marker, "markersize": 6, "linewidth": 2}
        for color, dashes, marker in (_lines[place] for place in places)
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _sparse(n: int) -> int:
    """Every how many points a line of n points carries a marker."""
    return max(1, n // 8)


def _legend(ax: Axes, title: str | None = None) -> None:
    legend = ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, title=title)
    for text in legend.get_texts():  # a long name would leave no room for the axes; one may hold dollars
        text.set(text=short_title(text.get_text(), 32), parse_math=False)


def _some(named: Mapping[str, Any], figure: str) -> dict[str, Any]:
    if not named:
        raise ValueError(f"{figure}: no model was given; pass one or more by name, such as {{'BPR': ...}}.")
    return dict(named)


def _line_name(name: str, column: str, n_columns: int) -> str:
    """The parts that tell a line from the others: "BPR", "loss" or "BPR, loss"."""
    return ", ".join(part for part in (name, column if n_columns > 1 or not name else "") if part)


def _curve(history: pd.DataFrame, column: str) -> pd.Series:
    """A column of a history by epoch."""
    if history.empty or not {"epoch", column} <= set(history.columns):
        raise ValueError(
            f"learning_curves: no epoch with {column!r} in a history of {list(history.columns)}."
        )
    return history.set_index("epoch")[column]


def _by_k(summary: pd.DataFrame, metric: str, name: str) -> pd.DataFrame:
    """The rows of one metric, indexed by their cut-off."""
    cut_offs = {row: int(row.split("@")[1]) for row in summary.index if row.startswith(f"{metric}@")}
    if not cut_offs:
        raise ValueError(f"metric_by_k: {name} has no {metric!r} at any k among {list(summary.index)}.")
    return summary.loc[list(cut_offs)].rename(index=cut_offs).sort_index()


def _spoken(metric: str) -> str:
    """The metric as it is written in a text: "NDCG@10", "Recall"."""
    name, at, k = metric.partition("@")
    return (name.upper() if name in ("ndcg", "auc", "map", "mrr") else name.capitalize()) + at + k


def _exposure(lists: ArrayLike, n_items: int, name: str) -> np.ndarray:
    """How often each item is recommended, ascending."""
    codes = np.asarray(lists).ravel()
    counts = np.bincount(codes[codes >= 0], minlength=n_items)
    if not counts.any():
        raise ValueError(
            f"lorenz: the lists of {name} hold no item; pass the item codes of its recommendations."
        )
    return np.sort(counts)


def _principal_plane(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (n, 2) on the first two principal components, and their shares of the variance (2,)."""
    if vectors.ndim != 2 or vectors.shape[0] < 3 or vectors.shape[1] < 2:
        raise ValueError(
            f"embedding_map: vectors of shape {vectors.shape}; give (n, d) with n >= 3 and d >= 2."
        )
    if not np.isfinite(vectors).all():
        raise ValueError("embedding_map: a vector holds inf or nan; train again with a lower learning rate.")
    left, sizes, _ = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    plane = left[:, :2] * sizes[:2]
    plane *= np.sign(plane[np.abs(plane).argmax(axis=0), [0, 1]])  # an SVD leaves the signs open
    return plane, (sizes**2 / max((sizes**2).sum(), np.finfo(float).tiny))[:2]


def _write_labels(ax: Axes, plane: np.ndarray, labels: Mapping[int, str]) -> None:
    """Ring the labeled points, and write each text where it covers neither a ring nor another text."""
    rings = plane[list(labels)]
    drawn = ax.scatter(rings[:, 0], rings[:, 1], s=30, c="none", edgecolors=BLACK, linewidths=1, zorder=4)
    ax.figure.canvas.draw()  # settles where the axes lie
    halo = [withStroke(linewidth=2.5, foreground="white")]
    texts = [
        # a title may hold dollars; one that is long must not shrink the axes
        ax.text(x, y, short_title(text, 36), fontsize=9, parse_math=False, path_effects=halo, in_layout=False)
        for (x, y), text in zip(rings, labels.values(), strict=True)
    ]
    lines = {"arrowstyle": "-", "color": "grey", "linewidth": 0.7}
    # A number of steps, not of seconds: the same picture twice. Tried on six crowded maps, these forces left
    # the fewest texts on each other.
    forces = {"force_text": (0.2, 0.4), "prevent_crossings": False}
    adjust_text(texts, objects=drawn, ax=ax, iter_lim=500, arrowprops=lines, **forces)


# Told apart by color, dashes and marker alike; yellow is left out, too pale for a line.
_lines = [
    (BLUE, "-", "o"),
    (VERMILION, "--", "s"),
    (GREEN, "-.", "^"),
    (BLACK, ":", "D"),
    (PURPLE, (0, (6, 1, 1, 1, 1, 1)), "v"),
    (ORANGE, (0, (8, 3)), "P"),
    (SKY, (0, (2, 1)), "X"),
]
# The models of the notebooks, each on the line of the same place above.
_model_lines = ["Random", "Popularity", "ItemKNN", "EASE", "IALS", "BPR"]
_points = [(BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (BLACK, "P"), (PURPLE, "v"), (ORANGE, "D")]
# color, marker, size and how far below the user's line: a short visit puts all parts on one spot
_part_styles = {
    "train": (SKY, "o", 28, -0.25),
    "valid": (ORANGE, "^", 36, 0.0),
    "test": (BLACK, "s", 22, 0.25),
}

"""Figures of models: how they learn, and what they have learned."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from adjustText import adjust_text
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from bpr_helpers.plots.looks import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILION,
    _axes,
    _legend,
    _percent,
    _sparse,
    _styles,
)
from bpr_helpers.recommend import short_title


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


def side_by_side(
    histories: pd.DataFrame | Mapping[str, pd.DataFrame], titles: Mapping[str, str], title: str
) -> list[Axes]:
    """Draw columns of a training history beside each other, with one legend.

    Parameters
    ----------
    histories : DataFrame with a column epoch, or a dict of them by name
    titles : dict from a column to the title of its panel
    title : str, of the whole figure

    Returns
    -------
    list of Axes
        A panel of `learning_curves` per column.
    """
    fig, axes = plt.subplots(1, len(titles), figsize=(5.7 * len(titles), 3.6), layout="constrained")
    panels = list(np.atleast_1d(axes))
    for ax, (column, of_panel) in zip(panels, titles.items(), strict=True):
        learning_curves(histories, columns=column, title=of_panel, ax=ax)
        if ax is not panels[-1] and ax.get_legend() is not None:
            ax.get_legend().remove()
    fig.suptitle(title)
    return panels


def loss_and_push() -> Axes:
    """Draw the loss of one comparison by the lead of the positive, and the push, its slope."""
    lead = np.linspace(-5, 5, 201)
    ax = plt.subplots(figsize=(7.5, 3.6), layout="constrained")[1]
    ax.plot(lead, np.logaddexp(0, -lead), color=BLUE, linewidth=2, label="loss")
    push = 1 / (1 + np.exp(lead))
    ax.plot(lead, push, "--", color=VERMILION, linewidth=2, label="push: how steeply the loss falls")
    ax.set(xlabel="lead: score of the positive minus score of the negative", ylabel="loss, push")
    ax.set_title("A pair in the wrong order is pushed hard, a settled one hardly at all")
    ax.legend(frameon=False)
    return ax


def two_tastes(
    frames: Mapping[int, tuple[np.ndarray, np.ndarray]], taste: np.ndarray, epochs: Sequence[int]
) -> list[Axes]:
    """Draw how the vectors of users and items of two tastes move in the plane.

    Parameters
    ----------
    frames : dict from an epoch to the vectors of users (n, 2) and of items (n, 2)
    taste : int (n,), 0 or 1, of user n and of item n
    epochs : the frames to draw, a panel each

    Returns
    -------
    list of Axes
        Circles are users, squares items; the color is the taste.
    """
    fig, axes = plt.subplots(
        1, len(epochs), figsize=(11, 3.2), sharex=True, sharey=True, layout="constrained"
    )
    colors = np.where(taste == 0, BLUE, ORANGE)
    for ax, epoch in zip(axes, epochs, strict=True):
        for vectors, marker, kind in zip(frames[epoch], "os", ("user", "item"), strict=True):
            ax.scatter(*vectors.T, c=colors, marker=marker, alpha=0.7, label=kind)
        ax.set(title=f"epoch {epoch}", xlabel="first coordinate")
    axes[0].set_ylabel("second coordinate")
    axes[0].legend(frameon=False)
    fig.suptitle("From noise, two tastes (blue and orange) separate: users end up where their items are")
    return list(axes)


def lines(
    table: pd.DataFrame,
    *,
    xlabel: str,
    ylabel: str,
    title: str,
    ax: Axes | None = None,
) -> Axes:
    """Draw every column of a table as a line over its index; columns of one name look alike in every figure.

    Parameters
    ----------
    table : DataFrame of numbers, indexed by numbers; the samplers of negatives keep their places, so that a
        figure without one of them shows the others as before
    xlabel, ylabel, title : what stands on the axes and above
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        A legend names the columns where there are several.
    """
    ax = _axes(ax)
    before = _samplers if set(_samplers) & set(table) else []
    names = [*before, *(name for name in table if name not in before)]
    looks = dict(zip(names, _styles(map(str, names)), strict=True))
    for name, column in table.items():
        ax.plot(table.index, column, label=str(name), markevery=_sparse(len(column)), **looks[name])
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    if table.shape[1] > 1:
        _legend(ax)
    return ax


def embedding_map(
    vectors: ArrayLike,
    *,
    groups: Sequence[str] | pd.Categorical | None = None,
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
    groups : n names that color the points; the six largest groups have a color each, the others are gray. An
        ordered Categorical, as `in_steps` makes it, is drawn from light to dark in its order
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
    styles = _group_styles(names, groups)
    ax = _axes(ax)
    rest = ~names.isin(list(styles))
    ax.scatter(plane[rest, 0], plane[rest, 1], s=8, color="lightgrey", label="other" if rest.any() else None)
    for name, (color, marker) in styles.items():
        x, y = plane[names == name].T
        ax.scatter(x, y, s=20, c=color, marker=marker, alpha=0.8, linewidths=0, label=name)
    for axis, ordinal, share in zip((ax.xaxis, ax.yaxis), ("first", "second"), shares, strict=True):
        axis.set_label_text(f"{ordinal} principal component ({_percent(share)} of the variance)")
    ax.set_title(
        title or f"The plane holds {_percent(shares.sum())} of the spread: what lies close tends to be alike"
    )
    if groups is not None:
        _legend(ax)
    if labels:
        ax.margins(0.1)  # room for them
        _write_labels(ax, plane, labels)
    return ax


def in_steps(values: ArrayLike, n: int = 5) -> pd.Categorical:
    """Cut numbers, such as years, into steps with about equally many in each.

    Parameters
    ----------
    values : whole numbers; a missing one is in no step
    n : int >= 1, how many steps at most; fewer where many values are equal

    Returns
    -------
    Categorical, ordered
        The steps by name, from the smallest numbers to the largest.

    Examples
    --------
    >>> list(in_steps([1950, 1994, 1995, 1996, 1996, 1996], n=3))
    ['1950-1994', '1950-1994', '1995-1996', '1995-1996', '1995-1996', '1995-1996']
    """
    numbers = pd.Series(np.asarray(values, dtype=float))
    steps = pd.qcut(numbers, n, labels=False, duplicates="drop")
    ends = numbers.groupby(steps).agg(["min", "max"]).astype(int)
    names: list[Any] = [f"{low}-{high}" if low < high else f"{low}" for low, high in ends.to_numpy()]
    codes = steps.map(dict(zip(ends.index, range(len(ends)), strict=True))).fillna(-1).astype(int)
    return pd.Categorical.from_codes(codes.to_numpy(), pd.Index(names), ordered=True)


def _group_styles(names: pd.Series, groups: Any) -> dict[str, tuple[Any, str]]:
    """Color and marker of each group that is told from the others."""
    if isinstance(groups, pd.Categorical) and groups.ordered:
        steps = [name for name in groups.categories if (names == name).any()]
        colors = plt.get_cmap("viridis")(np.linspace(0.9, 0.0, len(steps)))
        return {name: (color, "o") for name, color in zip(steps, map(to_hex, colors), strict=True)}
    largest = names.value_counts().index[: len(_points)]
    return dict(zip(largest, _points, strict=False))


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


# Samplers of negatives, each on the line of its place.
_samplers = ["uniform", "popularity", "shared", "hard", "weighted"]


_points = [(BLUE, "o"), (VERMILION, "s"), (GREEN, "^"), (BLACK, "P"), (PURPLE, "v"), (ORANGE, "D")]

"""Figures of data: who chose what, how often and when, and the way from there to an evaluation."""

from collections.abc import Mapping
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Rectangle
from matplotlib.ticker import LogFormatter

from bpr_helpers.matrix import same_kind
from bpr_helpers.plots.looks import BLACK, BLUE, GREEN, ORANGE, SKY, VERMILION, _axes, _legend, _percent
from bpr_helpers.recommend import short_title
from bpr_helpers.splitting import Split


def long_tail(
    interactions: pd.DataFrame,
    *,
    by: Literal["item_id", "user_id"] = "item_id",
    threshold: int | None = None,
    head: float = 0.2,
    scale: Literal["log", "linear"] = "log",
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
    scale : of the y axis; "log" shows the tail, "linear" how steep the head is, and areas as they are
    title : str; None writes what share of the interactions belongs to the shaded items
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The rank of an item on x, its number of interactions on y.

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
    floor = 0.8 if scale == "log" else 0.0
    ax.fill_between(ranks[:n_head], counts[:n_head], floor, step="mid", color=SKY, alpha=0.45, linewidth=0)
    if threshold is not None:
        _mark_threshold(ax, counts, threshold, noun)
    ax.set(yscale=scale, ylim=(floor, None), xlim=(0, len(counts) + 1))
    ax.yaxis.set_major_formatter("{x:,.0f}")
    if scale == "log":
        ax.yaxis.set_minor_formatter(LogFormatter())  # 2, 3, 4 where there is less than a power of ten
    ax.set_xlabel(f"{noun}s, from the most to the fewest interactions (rank)")
    ax.set_ylabel(f"interactions per {noun}" + (" (log scale)" if scale == "log" else ""))
    ax.set_title(title or f"The top {shares[0]} of the {noun}s have {shares[1]} of the interactions")
    return ax


def split_timeline(
    split: Split,
    *,
    users: list | None = None,
    n_users: int = 3,
    scale: Literal["time", "order"] = "time",
    moment: Any = None,
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
    moment : a time, where the test part of all begins; None marks where that of each user does
    title : str; None writes whether any training interaction is later than a test interaction
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        One line per user. Circles are training interactions, triangles validation, squares test; a bar
        stands where a user's test part begins, or one line through all at the moment.

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
    x_of = "position" if scale == "order" else "timestamp"
    for part, (name, color, marker, size, offset) in _part_styles.items():
        rows = events[events["part"] == part]
        if len(rows):
            y = rows["user_id"].map(line_of) + (offset if scale == "time" else 0.0)
            ax.scatter(rows[x_of], y, c=color, marker=marker, s=size, linewidths=0, alpha=0.7, label=name)
    _mark_beginnings(ax, events[events["part"] == "test"].groupby("user_id")[x_of].min(), line_of, moment)
    ax.set_yticks(range(len(chosen)), [short_title(user, 32) for user in chosen], parse_math=False)
    ax.set_ylim(len(chosen) - 0.5, -0.5)
    ax.grid(axis="y", alpha=0.3)
    ax.set_ylabel("user")
    ax.set_xlabel("date of the interaction" if scale == "time" else "position in the user's history (%)")
    ax.set_title(title or _timeline_title(events, scale))
    _legend(ax)
    return ax


def users_around(split: Split) -> list:
    """Choose users to draw around a split's moment: one who left before it, one who stayed, one who came.

    Parameters
    ----------
    split : Split, parts with columns user_id and timestamp; its test part begins at one moment for all, as
        that of `split_global_time` does

    Returns
    -------
    list of user ids
        of the users with nothing in the test part, with something in it and before it, and with everything in
        it, those who stayed longest, in this order; shorter where there are none of a kind
    """
    events = _events(split)
    tested = events["part"].eq("test").groupby(events["user_id"]).mean()
    times = events.groupby("user_id")["timestamp"].agg(["min", "max"])
    stay = times["max"] - times["min"]
    kinds = (tested == 0, (tested > 0) & (tested < 1), tested == 1)
    return [stay[kind].idxmax() for kind in kinds if kind.any()]


def pipeline(
    made_by: Mapping[str, str], *, loop: str = "", title: str | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the way from interactions to an evaluation: six steps, each as a small picture.

    Parameters
    ----------
    made_by : dict from a step (interactions, core, split, model, list, evaluation) to what is written in its
        corner, such as the number of the notebook that makes it
    loop : str, written under an arrow that leads from the evaluation back to the model; "" draws none
    title : str; None writes what goes in and what comes out
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        Without ticks. Its hidden label of x tells the steps in order, for a text that replaces the figure.

    Raises
    ------
    ValueError
        `made_by` lacks a step, or names one that there is not.
    """
    if set(made_by) != set(_steps):
        raise ValueError(f"pipeline: made_by names {list(made_by)}; give each of {list(_steps)}.")
    ax = plt.subplots(figsize=(11, 3.9), layout="constrained")[1] if ax is None else ax
    for place, (step, (draw, said)) in enumerate(_steps.items()):
        left = place * _pitch
        card = FancyBboxPatch(
            (left, 0), 1, 1, boxstyle="round,pad=0,rounding_size=0.07", fc="white", ec="#8A949E", lw=1.3
        )
        ax.add_patch(card)
        draw(ax, left)
        ax.text(left + 0.5, 1.13, step, ha="center", fontsize=14, fontweight="bold", color=BLUE)
        ax.text(left + 0.5, -0.1, said, ha="center", va="top", fontsize=10.5, color="#333333")
        badge: dict[str, Any] = {"boxstyle": "round,pad=0.3", "fc": BLUE, "ec": "white", "lw": 1.5}
        by = ax.text(left + 0.02, 0.99, made_by[step], bbox=badge, zorder=5, fontsize=10.5)
        by.set(ha="center", va="center", fontweight="bold", color="white")
        if place:
            _arrow(ax, (left - _pitch + 1.03, 0.5), (left - 0.03, 0.5))
    if loop:
        last, model = 5 * _pitch + 0.5, 3 * _pitch + 0.5
        ax.plot([last, last, model], [-0.46, -0.66, -0.66], color=VERMILION, lw=1.8, ls="--")
        _arrow(ax, (model, -0.665), (model, -0.44), color=VERMILION)
        ax.text((last + model) / 2, -0.72, loop, ha="center", va="top", fontsize=10.5, color=VERMILION)
    ax.set(xlim=(-0.12, 5 * _pitch + 1.05), ylim=(-1.0 if loop else -0.45, 1.3), aspect="equal")
    ax.set_xlabel("; then ".join(f"{step} ({by}): {_said(step)}" for step, by in made_by.items()))
    ax.set_axis_off()
    ax.set_title(
        title or "In goes who chose what; out comes a list for each person, and how good it is", pad=12
    )
    return ax


def corner(
    interactions: pd.DataFrame, items: pd.DataFrame | None = None, *, n_users: int = 12, n_items: int = 10
) -> pd.DataFrame:
    """Cut a corner out of the user-by-item matrix: well-known items, and people who differ in them.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, columns user_id and item_id
    items : DataFrame with columns item_id and title that name the items; None or an empty one keeps the ids
    n_users, n_items : int >= 1, how much of the matrix; less where the data have less

    Returns
    -------
    DataFrame
        bool, True for chosen. The columns are the items that most people have, leaving out those that
        everybody has. The rows are users by their ids, at even distances among those who have from three
        to seven tenths of these items; where such users are few, others who have some of them and lack
        some. Rows that are alike stand together, and so do columns.

    Raises
    ------
    ValueError
        There is no interaction.

    Examples
    --------
    >>> rows = [(1, "a"), (1, "b"), (2, "b"), (2, "c"), (3, "c")]
    >>> corner(pd.DataFrame(rows, columns=["user_id", "item_id"])).sum(axis=1).to_dict()
    {3: 1, 2: 2, 1: 2}
    """
    if interactions.empty:
        raise ValueError("corner: there is no interaction; check the thresholds that left none.")
    pairs = interactions[["user_id", "item_id"]].drop_duplicates()
    counts = pairs["item_id"].value_counts().sort_index().sort_values(ascending=False, kind="stable")
    telling = counts[counts < pairs["user_id"].nunique()]
    known = (counts if telling.empty else telling).index[:n_items]
    pairs = pairs[pairs["item_id"].isin(known)]
    table = pd.crosstab(pairs["user_id"], pairs["item_id"])[known] > 0  # (users, n_items)
    from_half = (table.mean(axis=1) - 0.5).abs()
    mixed = table[from_half < 0.21]
    if len(mixed) < n_users:
        nearest = from_half.sort_values(kind="stable").head(n_users)
        differing = nearest[nearest < 0.5]  # who has something and lacks something
        mixed = table.loc[(nearest if differing.empty else differing).index]
    spots = np.linspace(0, len(mixed) - 1, min(n_users, len(mixed))).round().astype(int)
    table = _alike_together(mixed.iloc[spots])
    return table.set_axis(pd.Index(_item_names(table.columns, items)), axis="columns")


def choices(
    table: pd.DataFrame,
    *,
    triple: tuple[Any, Any, Any] | None = None,
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw a corner of the user-by-item matrix: a filled cell for chosen, an empty one for nothing known.

    Parameters
    ----------
    table : DataFrame of bool, rows users and columns items, such as that of `corner`
    triple : a user, an item of theirs and another one, as the table names them: their cells are marked with
        i and j, and the rows of all others are paler
    title : str; None writes how many cells are filled, or what the triple says
    ax : Axes to draw on; None makes a new one

    Returns
    -------
    Axes
        The items on x, the users on y from top to bottom.

    Raises
    ------
    ValueError
        The table is empty, or the triple names what is not in it.
    """
    if table.empty:
        raise ValueError("choices: the table has no cell; give at least one user and one item.")
    if triple and not (triple[0] in table.index and {*triple[1:]} <= {*table.columns}):
        raise ValueError(
            f"choices: {triple} is not in the table; name one of its rows and two of its columns."
        )
    if ax is None:
        size = 2.2 + 0.4 * table.shape[1], 1.9 + 0.36 * len(table)
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    for (y, x), chosen in np.ndenumerate(table.to_numpy(bool)):
        own = triple is None or table.index[y] == triple[0]
        face, edge = (BLUE, BLUE) if chosen else ("white", "#B4BCC4")
        ax.add_patch(_cell(x, y, facecolor=face, edgecolor=edge, alpha=1 if own else 0.25, linewidth=1.2))
    if triple:
        y, columns = table.index.tolist().index(triple[0]), table.columns.tolist()
        for item, letter, ink in zip(triple[1:], "ij", ("white", VERMILION), strict=True):
            x = columns.index(item)
            ax.add_patch(
                _cell(x, y, pad=0.02, facecolor="none", edgecolor=VERMILION, linewidth=2.5, zorder=3)
            )
            style: dict[str, Any] = {"ha": "center", "va": "center_baseline", "fontfamily": "serif"}
            ax.text(x, y, letter, color=ink, fontsize=15, fontweight="bold", fontstyle="italic", **style)
    names = [short_title(name, 28) for name in table.columns]
    ax.set_xticks(
        range(table.shape[1]), names, rotation=40, ha="left", rotation_mode="anchor", parse_math=False
    )
    ax.set_yticks(range(len(table)), [short_title(user, 20) for user in table.index], parse_math=False)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set(xlim=(-0.6, table.shape[1] - 0.4), ylim=(len(table) - 0.4, -0.6), aspect="equal")
    ax.set_xlabel("items (filled: chosen)")
    ax.set_ylabel("users, by their ids")
    ax.set_title(title or _choices_title(table, triple), parse_math=False)
    return ax


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
    late = kept > len(counts) / 2 and threshold > 1  # below 1 there is no room
    ax.axhline(threshold, color=VERMILION, linestyle="--")
    ax.annotate(
        f"k = {threshold}: {len(counts) - kept:,} of {len(counts):,} {noun}s have fewer",
        (kept if threshold > 1 else 0, threshold),
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


def _mark_beginnings(ax: Axes, begins: pd.Series, line_of: Mapping[Any, int], moment: Any) -> None:
    """A bar where each user's test part begins, or a line where that of all does."""
    look: dict[str, Any] = {"color": VERMILION, "linewidth": 1.5, "zorder": 3}
    if moment is not None:
        ax.axvline(moment, **look)
        return
    for user, begin in begins.items():
        middle = line_of[user]
        ax.plot([begin, begin], [middle - 0.4, middle + 0.4], **look)


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


def _cell(x: int, y: int, *, pad: float = 0.0, **look: Any) -> FancyBboxPatch:
    """A square with round corners around a place of a matrix."""
    style = f"round,pad={pad},rounding_size={0.14 + pad}"
    return FancyBboxPatch((x - 0.4, y - 0.4), 0.8, 0.8, boxstyle=style, **look)


def _said(step: str) -> str:
    return _steps[step][1].replace("\n", " ")


def _arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], color: str = "#555E66") -> None:
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": color, "lw": 1.8, "shrinkA": 0})


def _draw_cells(ax: Axes, left: float, kept: tuple[list[int], list[int]]) -> None:
    """A small matrix of users and items; rows and columns that are not kept are pale."""
    rows, columns = np.asarray(kept[0], bool), np.asarray(kept[1], bool)
    for (y, x), chosen in np.ndenumerate(_cells):
        inside = rows[y] and columns[x]
        face, edge = (BLUE if inside else "#C9D3DC", "none") if chosen else ("none", "#D9DEE3")
        size, corner_at = 0.095, (left + 0.14 + 0.125 * x, 0.76 - 0.125 * y)
        ax.add_patch(Rectangle(corner_at, size, size, facecolor=face, edgecolor=edge, lw=0.8))
    if not (rows.all() and columns.all()):  # a frame around what stays
        ax.add_patch(
            Rectangle((left + 0.115, 0.235), 0.645, 0.645, fill=False, ec=VERMILION, lw=1.8, ls="--")
        )


def _draw_interactions(ax: Axes, left: float) -> None:
    _draw_cells(ax, left, ([1] * 6, [1] * 6))


def _draw_core(ax: Axes, left: float) -> None:
    _draw_cells(ax, left, ([1, 1, 1, 1, 1, 0], [1, 1, 1, 1, 1, 0]))


def _draw_split(ax: Axes, left: float) -> None:
    """Four histories in time, each with its end cut off."""
    for y, (begin, end) in enumerate([(0.12, 0.62), (0.3, 0.88), (0.16, 0.5), (0.42, 0.8)]):
        cuts = begin + (end - begin) * np.array([0, 0.64, 0.82, 1])
        for start, stop, part in zip(cuts, cuts[1:], ("train", "valid", "test"), strict=False):
            bar = Rectangle((left + start, 0.72 - 0.165 * y), stop - start - 0.012, 0.1)
            ax.add_patch(bar)
            bar.set(facecolor=_part_styles[part][1], linewidth=0)
    _arrow(ax, (left + 0.12, 0.12), (left + 0.9, 0.12))


def _draw_model(ax: Axes, left: float) -> None:
    """A user's vector, a positive item that it points to and a negative one that it does not."""
    vectors = {"$w_u$": ((0.76, 0.6), BLACK), "$h_i$": ((0.6, 0.8), BLUE), "$h_j$": ((0.84, 0.24), VERMILION)}
    for name, ((x, y), color) in vectors.items():
        _arrow(ax, (left + 0.16, 0.2), (left + x, y), color=color)
        ax.text(left + x + 0.015, y + 0.02, name, fontsize=12, color=color)


def _draw_list(ax: Axes, left: float) -> None:
    """Ranked items, the bars of their scores getting shorter."""
    for y, width in enumerate((0.58, 0.5, 0.45, 0.33, 0.27)):
        height = 0.78 - 0.155 * y
        ax.text(left + 0.2, height + 0.045, f"{y + 1}", ha="center", va="center", fontsize=9.5)
        ax.add_patch(Rectangle((left + 0.3, height), width, 0.09, facecolor=SKY, linewidth=0))


def _draw_evaluation(ax: Axes, left: float) -> None:
    """Three models' means with their intervals."""
    for y, mean, spread, color in (
        (0.75, 0.66, 0.13, BLUE),
        (0.53, 0.5, 0.13, ORANGE),
        (0.31, 0.26, 0.1, GREEN),
    ):
        ax.errorbar(left + mean, y, xerr=spread, fmt="o", color=color, ms=6, lw=2, capsize=3)
    ax.plot([left + 0.12, left + 0.9], [0.14, 0.14], color="#555E66", lw=1.4)


def _alike_together(table: pd.DataFrame) -> pd.DataFrame:
    """Order rows and columns along the strongest pattern in them (the first singular vectors)."""
    rows, _, columns = np.linalg.svd(table - table.to_numpy().mean(), full_matrices=False)
    turned = np.sign(columns[0, np.abs(columns[0]).round(6).argmax()])  # an SVD leaves the signs open
    by_row, by_column = (np.argsort((turned * v).round(6), kind="stable") for v in (rows[:, 0], columns[0]))
    return table.iloc[by_row, by_column]


def _item_names(ids: pd.Index, items: pd.DataFrame | None) -> list[str]:
    """Titles, with the id behind those that two items share; the id alone where there is no title."""
    names = pd.Series(ids.astype(str), index=ids)
    if items is None or items.empty:
        return names.tolist()
    known = items[items["item_id"].isin(ids)].drop_duplicates("item_id").set_index("item_id")["title"]
    titles = known.reindex(ids).fillna(names).astype(str)
    return titles.where(~titles.duplicated(keep=False), titles + " (" + names + ")").tolist()


def _choices_title(table: pd.DataFrame, triple: tuple[Any, Any, Any] | None) -> str:
    if triple:
        user, positive, negative = (short_title(part, 28) for part in triple)
        between = "\n" if len(user + positive + negative) > 30 else " "
        return f"One triple: user {user} chose {positive},{between}and not {negative}"
    filled = int(table.to_numpy().sum())
    return f"{len(table)} users and {table.shape[1]} items: {filled} of {table.size} cells are filled"


# name, color (darker the later), marker, size and how far below the user's line: a short visit puts all
# parts on one spot
_part_styles = {
    "train": ("training", SKY, "o", 28, -0.22),
    "valid": ("validation", BLUE, "^", 36, 0.0),
    "test": ("test", BLACK, "s", 22, 0.22),
}


# A small matrix for the pictures of `pipeline`: the last row and the last column have little.
_cells = np.array(
    [
        [1, 1, 0, 1, 0, 0],
        [1, 0, 1, 1, 1, 0],
        [0, 1, 1, 0, 1, 1],
        [1, 1, 0, 1, 1, 0],
        [0, 1, 1, 1, 0, 0],
        [0, 0, 0, 1, 0, 0],
    ]
)


_pitch = 1.3  # from one card of `pipeline` to the next


_steps = {
    "interactions": (_draw_interactions, "who chose what"),
    "core": (_draw_core, "who says enough\nto learn from"),
    "split": (_draw_split, "the past to learn,\nthe future to test"),
    "model": (_draw_model, "a score for\nevery pair"),
    "list": (_draw_list, "the best ten,\nfor each person"),
    "evaluation": (_draw_evaluation, "how good,\nand how sure"),
}

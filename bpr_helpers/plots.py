"""The course's figures: every function draws on one Axes and returns it.

Colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart; line styles and
markers differ as well, so that a figure stays readable in grey.
"""

from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

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
    by : "item_id" or "user_id", what is counted
    threshold : int, a smallest count to mark with a dashed line (a k of the k-core); None marks none
    head : float in (0, 1), share of the items that is shaded and whose interactions the title counts
    title : str, instead of the default, which says what share of the interactions the head has
    ax : Axes to draw on, a new one where None

    Returns
    -------
    Axes
        rank on x, number of interactions on a logarithmic y.

    Raises
    ------
    ValueError
        when there is no interaction, or no column `by`.
    """
    counts = _counts(interactions, by)
    noun = by.removesuffix("_id")
    n_head = max(1, round(head * len(counts)))
    share = counts[:n_head].sum() / counts.sum()
    ax = _axes(ax)
    ranks = np.arange(1, len(counts) + 1)
    ax.step(ranks, counts, where="mid", color=BLUE, linewidth=2)
    ax.fill_between(ranks[:n_head], counts[:n_head], 0.8, step="mid", color=SKY, alpha=0.45, linewidth=0)
    if threshold is not None:
        _mark_threshold(ax, counts, threshold, noun)
    ax.set(yscale="log", ylim=(0.8, None), xlim=(0, len(counts) + 1))
    ax.set_xlabel(f"{noun}s, from the most to the fewest interactions (rank)")
    ax.set_ylabel(f"interactions per {noun} (log scale)")
    ax.set_title(
        title or f"The top {n_head / len(counts):.0%} of the {noun}s have {share:.0%} of the interactions"
    )
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
    """Draw when the training, validation and test interactions of some users took place.

    Parameters
    ----------
    split : Split, parts with columns user_id and timestamp
    users : list of user ids, one line each from top to bottom; None takes `n_users` of those in the test
        part, evenly spaced by their first interaction
    n_users : int, number of users where `users` is None
    scale : "time" puts the calendar on x, "order" each user's interactions one after another as a share of
        the user's history: a user's interactions often fall in one hour and lie on one spot of a calendar
    title : str, instead of the default
    ax : Axes to draw on, a new one where None

    Returns
    -------
    Axes
        one line per user; circles are train, triangles validation, squares test.

    Raises
    ------
    ValueError
        when there are no timestamps, or one of `users` is in no part.
    """
    events = _events(split)
    chosen = _spread_users(events, n_users) if users is None else list(users)
    if missing := [user for user in chosen if user not in set(events["user_id"])]:
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
    ax.set_yticks(range(len(chosen)), [str(user) for user in chosen])
    ax.invert_yaxis()
    ax.grid(axis="y", alpha=0.3)
    ax.set_ylabel("user_id")
    ax.set_xlabel("date of the interaction" if scale == "time" else "position in the user's history (%)")
    ax.set_title(title or _timeline_title(events, scale))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    return ax


# colour, marker, size and how far below the user's line: a short visit puts all parts on one spot
_part_styles = {
    "train": (SKY, "o", 28, -0.25),
    "valid": (ORANGE, "^", 36, 0.0),
    "test": (BLACK, "s", 22, 0.25),
}


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
    """A dashed line, labelled on the side where the falling curve leaves room."""
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

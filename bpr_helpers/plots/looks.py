"""What the figures of the course share: colors, styles of lines, axes and legends.

The colors can be told apart by color-blind readers. Line styles and markers differ as well, so that a figure
can be read in gray.

References
----------
Okabe and Ito, "Color Universal Design: How to make figures and presentations that are friendly to colorblind
people", 2008.
"""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from bpr_helpers.recommend import short_title

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


# One color per model, the same in every figure of the course
MODEL_COLORS = {
    "BPR": BLUE,
    "IALS": VERMILION,
    "EASE": GREEN,
    "ItemKNN": ORANGE,
    "Popularity": PURPLE,
    "Random": "#999999",
}


def _axes(ax: Axes | None, height: float = 4.2) -> Axes:
    return plt.subplots(figsize=(7.5, height), layout="constrained")[1] if ax is None else ax


def _styles(names: Iterable[str]) -> list[dict[str, Any]]:
    """A line style per name: the course's models keep theirs when one is left out, others take the rest."""
    names = list(names)
    taken = {_model_lines.index(name) for name in names if name in _model_lines}
    rest = [place for place in range(len(_lines)) if place not in taken]
    if taken:  # beside models, their colors come last, even those of models that are left out
        rest.sort(key=lambda place: (_lines[place][0] in MODEL_COLORS.values(), _lines[place][0] == BLACK))
    free = itertools.cycle(rest)
    places = [_model_lines.index(name) if name in _model_lines else next(free) for name in names]
    return [
        {
            "color": MODEL_COLORS.get(name, color),
            "linestyle": dashes,
            "marker": marker,
            "markersize": 6,
            "linewidth": 2,
        }
        for name, (color, dashes, marker) in zip(names, (_lines[place] for place in places), strict=True)
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


def _spoken(metric: str) -> str:
    """The metric as it is written in a text: "NDCG@10", "Recall"."""
    name, at, k = metric.partition("@")
    return (name.upper() if name in ("ndcg", "auc", "map", "mrr") else name.capitalize()) + at + k


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

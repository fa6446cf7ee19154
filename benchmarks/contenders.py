"""Who competes in the tables of quality: every model with the space that is searched for it.

Two blocks. *Times unused*: nobody looks at the clock. *Times used*: every model of the course has `recency`,
searched with the rest. Other libraries' models have nothing like it and compete in the first block alone.
IALS and BPR have vectors of at most 64 coordinates, the others' as many as 96.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from common import six_core
from peers import CornacBPR, ImplicitALS, ImplicitBPR

from bpr_helpers import BPR, EASE, IALS, ItemKNN, Popularity, k_core, load_interactions

BLOCKS = ("times unused", "times used")
SHORTEST_HISTORY = 6  # of users and items, in every data set


class Contender(NamedTuple):
    """A model and where its configuration is looked for: lists of values, and low and high of a logarithm."""

    make: Callable[..., Any]
    space: dict[str, Any]
    recency: tuple[float, float] | None = (1, 60)  # low and high; None where the model has no such thing

    def space_in(self, block: str) -> dict[str, Any]:
        """What is searched in a block."""
        return self.space | ({"recency": self.recency} if block == BLOCKS[1] else {})


def _bpr(**configuration: Any) -> BPR:
    """BPR without times, unless the configuration asks for them; the rest are defaults."""
    return BPR(**{"recency": 0.0} | configuration)


CONTENDERS: dict[str, Contender] = {
    "popularity": Contender(Popularity, {}, recency=(0.05, 20)),
    "implicit BPR": Contender(
        ImplicitBPR,
        {
            "dim": [32, 64, 96],
            "epochs": [25, 50, 100, 200],
            "learning_rate": (0.01, 0.2),
            "l2": (0.001, 0.1),
        },
        recency=None,
    ),
    "Cornac BPR": Contender(
        CornacBPR,
        {
            "dim": [32, 64, 96],
            "epochs": [50, 100, 200],
            "learning_rate": (0.005, 0.1),
            "l2": (0.001, 0.1),
        },
        recency=None,
    ),
    "ItemKNN": Contender(ItemKNN, {"k": [30, 100, 200, 500, 1000], "shrink": (0.5, 200)}),
    "EASE": Contender(EASE, {"l2": (10, 3000)}),
    "implicit ALS": Contender(
        ImplicitALS,
        {"dim": [32, 64, 96], "l2": (0.3, 100), "alpha": (0.3, 40)},
        recency=None,
    ),
    "IALS": Contender(IALS, {"dim": [32, 64], "l2": (0.0005, 0.05), "alpha0": (2, 200)}),
    "BPR": Contender(
        _bpr,
        {
            "l2_user": (0.02, 0.3),
            "l2_pos": (0.005, 0.1),
            "l2_neg": (0.01, 0.1),
            "temperature": (0.35, 1.0),
            "learning_rate": (0.04, 0.12),
        },
    ),
}


def in_block(block: str) -> list[str]:
    """The names of those who compete in a block."""
    return [name for name, one in CONTENDERS.items() if block == BLOCKS[0] or one.recency]


def data_set(name: str, file: str | None = None) -> pd.DataFrame:
    """MovieLens-100K, or another set: its CSV file with the columns user_id, item_id and timestamp."""
    if not file:
        return six_core()
    return k_core(
        load_interactions(Path(file)), user_k=SHORTEST_HISTORY, item_k=SHORTEST_HISTORY
    ).interactions

"""What several benchmarks share: the standard split of MovieLens-100K, and medians of repeated runs."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from bpr_helpers import drop_unknown_titles, k_core, load_interactions, load_items, split_per_user
from bpr_helpers.splitting import Split

RESULTS = Path(__file__).parent / "results"
TIE_SEEDS = range(5)


def six_core() -> pd.DataFrame:
    """MovieLens-100K without movie 267, every user and every item with at least six interactions."""
    return k_core(drop_unknown_titles(load_interactions(), load_items())).interactions


def standard_split(tie_seed: int = 0, *, valid_fraction: float = 0.0) -> Split:
    """The last tenth of every user's interactions as test, equal times in the order of the tie seed."""
    return split_per_user(six_core(), valid_fraction=valid_fraction, seed=tie_seed)


def seconds(work: Callable[[], Any], repeats: int = 5) -> float:
    """The median time of some work, in seconds."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def met(found: float, aim: float) -> str:
    """Say whether an aim is met, or by how much it is missed.

    >>> met(0.7, 0.8), met(1.0, 0.8)
    ('met', 'missed by 25%')
    """
    return "met" if found <= aim else f"missed by {found / aim - 1:.0%}"

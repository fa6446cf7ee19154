"""k_core against the loop of the original notebook, in the same process: seconds, ratio, peak memory.

    python benchmarks/pruning.py

The interactions are synthetic, with the long tails of MovieLens. Times are medians of three; memory is the
peak that k_core adds, in multiples of the memory of its input (Linux only).
"""

import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bpr_helpers.data import synthetic_interactions
from bpr_helpers.pruning import KCore, k_core

SIZES = [(1_000, 1_700, 100_000), (6_000, 4_000, 1_000_000), (138_000, 27_000, 20_000_000)]
CASES = [(size, "integer", k) for size in SIZES for k in (6, 20)] + [
    (size, "string", 6) for size in SIZES[:2]
]


def original_loop(ratings: pd.DataFrame, thr: int) -> pd.DataFrame:
    len_prev, len_next = -1, -2
    while len_prev != len_next:
        len_prev = len(ratings)
        user_n_ratings = ratings["user_id"].value_counts()
        users_ = user_n_ratings[user_n_ratings > thr].index
        item_n_ratings = ratings["item_id"].value_counts()
        items_ = item_n_ratings[item_n_ratings > thr].index
        ratings = ratings[(ratings["user_id"].isin(users_)) & (ratings["item_id"].isin(items_))]
        len_next = len(ratings)
    return ratings


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def peak_memory(function: Callable[[], object]) -> int:
    """Bytes by which the resident memory of this process peaks above its level before the call."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = _status("VmRSS")
    function()
    return _status("VmHWM") - before


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1024


def measure(interactions: pd.DataFrame, ids: str, k: int) -> dict[str, object]:
    def ours() -> KCore:
        return k_core(interactions, user_k=k, item_k=k)

    def loop() -> pd.DataFrame:
        return original_loop(interactions, k - 1)

    core = ours()
    assert core.interactions.equals(loop())
    pairs = [(seconds(loop), seconds(ours)) for _ in range(3)]
    original, own = (statistics.median(times) for times in zip(*pairs, strict=True))
    return {
        "rows": f"{len(interactions):,}",
        "ids": ids,
        "k": k,
        "rounds": len(core.rounds) - 1,
        "original, s": round(original, 3),
        "k_core, s": round(own, 3),
        "times faster": round(original / own, 1),
        "extra memory, x input": round(peak_memory(ours) / interactions.memory_usage(deep=True).sum(), 1),
    }


def main() -> None:
    rows = []
    for size, ids, k in CASES:
        interactions = synthetic_interactions(*size, seed=0)
        if ids == "string":
            texts = {c: interactions[c].astype(str) for c in ("user_id", "item_id")}
            interactions = interactions.assign(**texts)
        rows.append(measure(interactions, ids, k))
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()

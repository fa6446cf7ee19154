"""k_core against the loop of the original notebook, in the same process: seconds, ratio, peak memory.

    python benchmarks/pruning.py

The interactions are synthetic, with the long tails of MovieLens. Times are medians of fifteen runs, of
three at 20 million rows; memory is the peak that k_core adds, in multiples of its input (Linux only; near 0
where the process reuses memory that it had before).
"""

import gc
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from bpr_helpers import synthetic_interactions
from bpr_helpers.pruning import KCore, k_core

SIZES = [(1_000, 1_700, 100_000), (6_000, 4_000, 1_000_000), (138_000, 27_000, 20_000_000)]
CASES = [("integer", 6), ("integer", 20), ("string", 6)]  # type of the ids, and both thresholds


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
    return max(0, _status("VmHWM") - before)


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
    pairs = [(seconds(loop), seconds(ours)) for _ in range(15 if len(interactions) < 5_000_000 else 3)]
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
    for size in SIZES:
        numbers = synthetic_interactions(*size, seed=0)
        texts = {column: numbers[column].astype(str) for column in ("user_id", "item_id")}
        by_type = {"integer": numbers, "string": numbers.assign(**texts)}
        rows += [measure(by_type[ids], ids, k) for ids, k in CASES]
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()

"""split_per_user against the loop of the original notebook, and the splits at 20 million rows.

    python benchmarks/splitting.py

Times are medians: of five for MovieLens-100K, in the same process, and of three for the synthetic rows.
"""

import statistics
import time
from collections.abc import Callable

import pandas as pd
from sklearn.model_selection import train_test_split

from bpr_helpers import drop_unknown_titles, load_interactions, load_items, synthetic_interactions
from bpr_helpers.pruning import k_core
from bpr_helpers.splitting import split_global_time, split_leave_last, split_per_user, split_report


def original_loop(ratings: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    ratings_tr = pd.DataFrame()
    ratings_te = pd.DataFrame()
    for _, group in ratings.groupby(["user_id"]):
        tr, te = train_test_split(group, test_size=0.1, shuffle=False)
        ratings_tr = pd.concat([ratings_tr, tr], axis=0)
        ratings_te = pd.concat([ratings_te, te], axis=0)
    return ratings_tr, ratings_te


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def compare(interactions: pd.DataFrame) -> None:
    train, test = original_loop(interactions)
    split = split_per_user(interactions.assign(timestamp=0), ties="row")  # the original's order: the file's
    assert split.test.index.equals(test.index.sort_values())
    assert split.train.index.equals(train.index.sort_values())
    pairs = [
        (seconds(lambda: original_loop(interactions)), seconds(lambda: split_per_user(interactions)))
        for _ in range(5)
    ]
    original, own = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(
        f"MovieLens-100K: original {original:.3f} s, split_per_user {own:.4f} s, {original / own:.0f} times"
    )


def scale(interactions: pd.DataFrame) -> None:
    split = split_per_user(interactions, valid_fraction=0.1)
    jobs = {
        "split_per_user": lambda: split_per_user(interactions, valid_fraction=0.1),
        "the same, all times equal": lambda: split_per_user(interactions.assign(timestamp=0)),
        "split_leave_last": lambda: split_leave_last(interactions, n_valid=1),
        "split_global_time": lambda: split_global_time(interactions, valid_fraction=0.1),
        "split_report": lambda: split_report(split),
    }
    print(f"{len(interactions):,} synthetic rows:")
    for name, job in jobs.items():
        print(f"  {name:26s}{statistics.median(seconds(job) for _ in range(3)):6.1f} s")


def main() -> None:
    compare(k_core(drop_unknown_titles(load_interactions(), load_items())).interactions)
    scale(synthetic_interactions(138_000, 27_000, 20_000_000, seed=0))


if __name__ == "__main__":
    main()

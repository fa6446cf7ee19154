"""How good: our models and other libraries' on test, which is read here and nowhere else.

    python benchmarks/quality.py

Every configuration was chosen on validation (search.py; baselines.py says so of its own) and is fitted once
more on train and validation together. Standard split over tie seeds 0 to 4, then the same configurations
under the two other splits. Writes benchmarks/results/quality.csv and differences.csv.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from common import RESULTS, TIE_SEEDS, six_core
from peers import CornacBPR, ImplicitALS, ImplicitBPR

from bpr_helpers import (
    BPR,
    EASE,
    IALS,
    ItemKNN,
    Popularity,
    compare,
    evaluate,
    split_global_time,
    split_leave_last,
    split_per_user,
)
from bpr_helpers.evaluation import Evaluation, average_runs
from bpr_helpers.splitting import Split

MODELS: dict[str, Callable[[], Any]] = {
    "popularity": Popularity,
    "implicit BPR": ImplicitBPR,
    "ItemKNN": ItemKNN,
    "Cornac BPR": CornacBPR,
    "EASE": EASE,
    "implicit ALS": ImplicitALS,
    "IALS": IALS,
    # Strengths of an earlier search, forty trials on validation with all positives alike.
    "BPR, times unused": lambda: BPR(
        recency=0.0, l2_user=0.053, l2_pos=0.012, l2_neg=0.0195, dim=96, epochs=24
    ),
    "BPR": BPR,
}
SPLITS: dict[str, Callable[[pd.DataFrame], list[Split]]] = {
    "per_user": lambda core: [split_per_user(core, seed=seed) for seed in TIE_SEEDS],
    "leave_last": lambda core: [split_leave_last(core, seed=seed) for seed in TIE_SEEDS],
    "global_time": lambda core: [split_global_time(core)],
}


def runs_of(make: Callable[[], Any], splits: Iterable[Split]) -> tuple[list[Evaluation], float]:
    """Evaluations on the test parts, and the median time of a fit."""
    evaluations, times = [], []
    for split in splits:
        started = time.perf_counter()
        model = make().fit(split.train)
        times.append(time.perf_counter() - started)
        evaluations.append(evaluate(model, split.test))
    return evaluations, float(np.median(times))


def row(split: str, name: str, evaluations: list[Evaluation], seconds: float) -> dict[str, Any]:
    """Mean and standard deviation over the runs, and the interval over users of the averaged runs."""
    found: dict[str, Any] = {"split": split, "model": name}
    for metric in ("ndcg@10", "recall@10"):
        values = [evaluation.per_user[metric].mean() for evaluation in evaluations]
        found |= {
            metric: np.mean(values),
            f"{metric} sd": np.std(values, ddof=1) if len(values) > 1 else np.nan,
        }
    interval = average_runs(evaluations).summary().loc["ndcg@10"]
    return found | {"low": interval["low"], "high": interval["high"], "fit seconds": seconds}


def main() -> None:
    """Print and write both tables."""
    core, rows, differences = six_core(), [], []
    for split, make_splits in SPLITS.items():
        splits, averaged = make_splits(core), {}
        for name, make in MODELS.items():
            evaluations, seconds = runs_of(make, splits)
            averaged[name] = average_runs(evaluations)
            rows.append(row(split, name, evaluations, seconds))
        for ours in [name for name in MODELS if name.startswith("BPR")]:
            for other in ("EASE", "IALS"):
                found = compare(averaged[ours], averaged[other])._asdict()
                differences.append({"split": split, "a": ours, "b": other, **found})
    RESULTS.mkdir(exist_ok=True)
    for name, table in (("quality", rows), ("differences", differences)):
        frame = pd.DataFrame(table).round(4)
        frame.to_csv(RESULTS / f"{name}.csv", index=False)
        print(frame.to_string(index=False), "\n")


if __name__ == "__main__":
    main()

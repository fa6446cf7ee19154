"""Search for the configuration of BPR on train and validation; the test part is dropped at once.

Writes benchmarks/results/search.csv, a row per trial, best first. `python benchmarks/search.py 40` tries 40.
"""

import sys
from typing import Any

import numpy as np
import pandas as pd
from common import RESULTS, standard_split

from bpr_helpers import BPR

SPLITS = (0, 1, 2)  # tie seeds
RANGES = {  # (low, high) are drawn on a logarithmic scale, lists with equal chances
    "dim": [64, 96],
    "l2_user": (0.08, 0.25),
    "l2_pos": (0.006, 0.03),
    "l2_neg": (0.01, 0.05),
    "temperature": (0.5, 1.3),
    "recency": (3.0, 8.0),
    "learning_rate": (0.05, 0.12),
    "init_scale": (0.02, 0.1),
    "averaging": [0.7, 0.8, 0.9],
    "item_bias": [True, False],
}


def train_and_valid() -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """The parts on which configurations are compared. Nothing here returns the test part."""
    splits = [standard_split(tie_seed, valid_fraction=0.1) for tie_seed in SPLITS]
    return [(split.train, split.valid) for split in splits]


def draw(rng: np.random.Generator) -> dict[str, Any]:
    """One configuration."""

    def value(space: tuple[float, float] | list[Any]) -> Any:
        if isinstance(space, list):
            return space[rng.integers(len(space))]
        return float(
            np.format_float_positional(np.exp(rng.uniform(*np.log(space))), precision=3, fractional=False)
        )

    return {name: value(space) for name, space in RANGES.items()}


def judge(configuration: dict[str, Any], parts: list[tuple[pd.DataFrame, pd.DataFrame]]) -> dict[str, float]:
    """Mean best validation NDCG@10 over the splits and the epoch where it was reached."""
    fits = [BPR(**configuration, epochs=32, patience=4).fit(train, valid=valid) for train, valid in parts]
    return {
        "valid_ndcg@10": float(np.mean([fit.history["valid_ndcg@10"].max() for fit in fits])),
        "epochs": float(np.mean([fit.best_epoch for fit in fits])),
    }


def main(n_trials: int) -> None:
    """Run the trials and keep their table up to date."""
    parts, rng, rows = train_and_valid(), np.random.default_rng(0), []
    for trial in range(n_trials):
        configuration = draw(rng)
        rows.append({"trial": trial, **configuration, **judge(configuration, parts)})
        table = pd.DataFrame(rows).sort_values("valid_ndcg@10", ascending=False)
        RESULTS.mkdir(exist_ok=True)
        table.round(4).to_csv(RESULTS / "search.csv", index=False)
    print(table.head(10).round(4).to_string(index=False))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 40)

"""Search for the configuration of BPR on train and validation; the test part is dropped at once.

Writes benchmarks/results/search.csv, a row per trial, best first. `python benchmarks/search.py 40` tries 40,
drawn by Optuna as in `bpr sweep`: at random, or with `tpe` as second argument near those that scored best.
Called again, it goes on where it stopped: benchmarks/results/search.jsonl remembers.
"""

import sys
from typing import Any

import numpy as np
import pandas as pd
from common import RESULTS, standard_split

from bpr_helpers import BPR
from bpr_helpers.course.sweep_search import Range, Search, Study

SPLITS = (0, 1, 2)  # tie seeds
SPACE: dict[str, Any] = {
    "dim": [64, 96],
    "l2_user": Range(low=0.08, high=0.25, log=True),
    "l2_pos": Range(low=0.006, high=0.03, log=True),
    "l2_neg": Range(low=0.01, high=0.05, log=True),
    "temperature": Range(low=0.5, high=1.3, log=True),
    "recency": Range(low=3.0, high=8.0, log=True),
    "learning_rate": Range(low=0.05, high=0.12, log=True),
    "init_scale": Range(low=0.02, high=0.1, log=True),
    "averaging": [0.7, 0.8, 0.9],
    "item_bias": [True, False],
}


def train_and_valid() -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """The parts on which configurations are compared. Nothing here returns the test part."""
    splits = [standard_split(tie_seed, valid_fraction=0.1) for tie_seed in SPLITS]
    return [(split.train, split.valid) for split in splits]


def judge(configuration: dict[str, Any], parts: list[tuple[pd.DataFrame, pd.DataFrame]]) -> dict[str, float]:
    """Mean best validation NDCG@10 over the splits and the epoch where it was reached."""
    fits = [BPR(**configuration, epochs=32, patience=4).fit(train, valid=valid) for train, valid in parts]
    return {
        "valid_ndcg@10": float(np.mean([fit.history["valid_ndcg@10"].max() for fit in fits])),
        "epochs": float(np.mean([fit.best_epoch for fit in fits])),
    }


def main(search: Search) -> None:
    """Run the trials that have no score yet, and keep their table up to date."""
    parts, file = train_and_valid(), RESULTS / "search.csv"
    study = Study(search, RESULTS / "search.jsonl", SPLITS)
    rows = pd.read_csv(file).to_dict("records") if any(study.scores()) else []
    for waiting in study.rounds():
        for number in waiting:
            configuration = study.configurations()[number]
            rows.append({"trial": number, **configuration, **judge(configuration, parts)})
            study.tell(number, rows[-1]["valid_ndcg@10"])
            table = pd.DataFrame(rows).sort_values("valid_ndcg@10", ascending=False)
            table.round(4).to_csv(file, index=False)
    table = pd.DataFrame(rows).sort_values("valid_ndcg@10", ascending=False)
    print(table.head(10).round(4).to_string(index=False))


if __name__ == "__main__":
    n_trials = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    sampler = sys.argv[2] if len(sys.argv) > 2 else "random"
    main(Search.model_validate({"trials": n_trials, "sampler": sampler, "space": SPACE}))

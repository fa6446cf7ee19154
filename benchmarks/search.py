"""Look for everybody's configuration on train and validation; the test part is dropped at once.

    python benchmarks/search.py                           every contender, on MovieLens-100K, tie seeds 0 to 2
    python benchmarks/search.py NAME FILE.csv             the same on another set, tie seed 0
    python benchmarks/search.py NAME FILE.csv BPR EASE    only these contenders

Every contender gets `TRIALS` configurations in each block (contenders.py), the first ten drawn at random, the
others by Optuna's TPE. Writes benchmarks/results/search.csv, a row per trial, the best of each contender
first.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import optuna
import pandas as pd
from common import RESULTS
from contenders import BLOCKS, CONTENDERS, data_set, in_block
from filelock import FileLock
from optuna.samplers import TPESampler

from bpr_helpers import InteractionMatrix, split_per_user
from bpr_helpers.ranking import mean_ndcg

optuna.logging.set_verbosity(optuna.logging.WARNING)
TRIALS = 30
FILE = RESULTS / "search.csv"
KEYS = ["data", "block", "model"]
Parts = list[tuple[InteractionMatrix, InteractionMatrix]]


def train_and_valid(name: str = "ml-100k", file: str | None = None) -> Parts:
    """The parts on which configurations are compared. Nothing here returns the test part."""
    core, parts = data_set(name, file), []
    for seed in range(1 if file else 3):
        split = split_per_user(core, valid_fraction=0.1, seed=seed)
        train = InteractionMatrix.from_frame(split.train)
        parts.append((train, InteractionMatrix.from_frame(split.valid, like=train, unknown="drop")))
    return parts


def judge(name: str, configuration: dict[str, Any], parts: Parts) -> dict[str, float]:
    """Mean validation NDCG@10, and for BPR the mean of the epochs that it stopped at."""
    scores, epochs = [], []
    for train, valid in parts:
        if name == "BPR":
            model = CONTENDERS[name].make(**{"epochs": 40, "patience": 4} | configuration)
            model.fit(train, valid=valid)
            epochs.append(model.best_epoch)
        else:
            model = CONTENDERS[name].make(**configuration).fit(train)
        users = np.flatnonzero(np.diff(valid.csr.indptr))
        scores.append(mean_ndcg(model.score, train, valid, 10, users))
    return {"valid_ndcg@10": float(np.mean(scores))} | ({"epochs": round(np.mean(epochs))} if epochs else {})


def search(block: str, name: str, parts: Parts) -> list[dict[str, Any]]:
    """All trials of a contender in a block."""
    space, rows = CONTENDERS[name].space_in(block), []
    study = optuna.create_study(direction="maximize", sampler=TPESampler(seed=0, n_startup_trials=10))
    for number in range(TRIALS if space else 1):
        trial = study.ask({parameter: distribution(among) for parameter, among in space.items()})
        configuration = {
            parameter: float(f"{value:.4g}") if isinstance(value, float) else value
            for parameter, value in trial.params.items()
        }
        found = judge(name, configuration, parts)
        study.tell(trial, found["valid_ndcg@10"])
        epochs = {"epochs": found.pop("epochs")} if "epochs" in found else {}
        rows.append({"trial": number, **found, "configuration": configuration | epochs})
    return rows


def distribution(among: Any) -> optuna.distributions.BaseDistribution:
    """What Optuna draws from: a list, or two ends between which the logarithm is drawn evenly."""
    if isinstance(among, list):
        return optuna.distributions.CategoricalDistribution(among)
    return optuna.distributions.FloatDistribution(*among, log=True)


def keep(keys: tuple[str, str, str], rows: list[dict[str, Any]]) -> None:
    """Put the trials of a contender in the place of those that the table held of it."""
    rows = [dict(zip(KEYS, keys, strict=True)) | row for row in rows]
    new = pd.DataFrame(rows).assign(configuration=[json.dumps(row["configuration"]) for row in rows])
    with FileLock(f"{FILE}.lock"):
        if FILE.exists():
            old = pd.read_csv(FILE)
            same = (old[KEYS] == new[KEYS].iloc[0]).all(axis=1)
            new = pd.concat([old[~same], new], ignore_index=True)
        new = new.sort_values([*KEYS, "valid_ndcg@10"], ascending=[True] * 3 + [False], kind="stable")
        new.round(5).to_csv(FILE, index=False)


def best(data: str, block: str, name: str) -> dict[str, Any]:
    """The configuration that did best on validation.

    Where times may be used they need not be: a model that did better without them does without. Popularity is
    the exception, which in the second block is recent popularity.
    """
    table = pd.read_csv(FILE)
    rows = table[(table["data"] == data) & (table["model"] == name)]
    if block == BLOCKS[0] or name == "popularity":
        rows = rows[rows["block"] == block]
    return json.loads(rows.loc[rows["valid_ndcg@10"].idxmax(), "configuration"])


def main(data: str = "ml-100k", file: str | None = None, *names: str) -> None:
    """Search in both blocks, and print the best of each."""
    parts = train_and_valid(data, file)
    for block in BLOCKS:
        for name in names or in_block(block):
            if name in in_block(block):
                began = time.perf_counter()
                rows = search(block, name, parts)
                keep((data, block, name), rows)
                top = max(rows, key=lambda row: row["valid_ndcg@10"])
                seconds = time.perf_counter() - began
                print(f"{data}, {block}, {name}: {top['valid_ndcg@10']:.4f} with {top['configuration']}")
                print(f"    {len(rows)} trials in {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])

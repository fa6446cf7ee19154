"""How good: every contender on test, which is read here and in elsewhere.py and nowhere else.

    python benchmarks/quality.py

Every configuration was chosen on validation with the same number of trials (search.py) and is fitted once
more on train and validation together. Two blocks: what models reach when nobody looks at the clock, and when
everybody may. Four protocols on MovieLens-100K: per user and leave last over tie seeds 0 to 4, global time,
and five draws of 200 users who are not in train and are folded in, which other libraries' models cannot do.
Differences are BPR minus the other, paired by user, with Holm's correction over a block. Writes
results/quality.csv and results/differences.csv.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd
from common import RESULTS, TIE_SEEDS, six_core
from contenders import BLOCKS, CONTENDERS, in_block
from peers import Peer
from search import best

from bpr_helpers import (
    evaluate,
    split_global_time,
    split_leave_last,
    split_per_user,
    split_users,
)
from bpr_helpers.evaluation import Evaluation, average_runs
from bpr_helpers.significance import compare, holm
from bpr_helpers.splitting import Split

TEST_USERS = 200
PROTOCOLS: dict[str, Callable[[pd.DataFrame], list[Split]]] = {
    "per_user": lambda core: [split_per_user(core, seed=seed) for seed in TIE_SEEDS],
    "leave_last": lambda core: [split_leave_last(core, seed=seed) for seed in TIE_SEEDS],
    "global_time": lambda core: [split_global_time(core)],
    "users": lambda core: [split_users(core, n_test_users=TEST_USERS, seed=seed) for seed in TIE_SEEDS],
}


def runs_of(make: Callable[[], Any], splits: Iterable[Split]) -> tuple[list[Evaluation], float]:
    """Evaluations on the test parts, and the median time of a fit."""
    evaluations, times = [], []
    for split in splits:
        started = time.perf_counter()
        model = make().fit(split.train)
        times.append(time.perf_counter() - started)
        if split.history is not None:
            model = model.fold_in(split.history)
        evaluations.append(evaluate(model, split.test))
    return evaluations, float(np.median(times))


def row(evaluations: list[Evaluation], averaged: Evaluation, seconds: float) -> dict[str, Any]:
    """Mean and standard deviation over the runs, and the interval over users of the averaged runs."""
    found: dict[str, Any] = {}
    for metric in ("ndcg@10", "recall@10"):
        values = [evaluation.per_user[metric].mean() for evaluation in evaluations]
        found |= {
            metric: np.mean(values),
            f"{metric} sd": np.std(values, ddof=1) if len(values) > 1 else np.nan,
        }
    interval = averaged.summary().loc["ndcg@10"]
    found |= {"low": interval["low"], "high": interval["high"]}
    return found | {"users": len(averaged.per_user), "fit seconds": seconds}


def block_of(
    data: str, block: str, splits: list[Split]
) -> tuple[list[dict[str, Any]], dict[str, Evaluation]]:
    """A row per contender, and the averaged runs of each."""
    rows, averaged = [], {}
    for name in in_block(block):
        make = CONTENDERS[name].make
        if splits[0].history is not None and isinstance(make, type) and issubclass(make, Peer):
            continue
        settings = best(data, block, name)
        evaluations, seconds = runs_of(lambda make=make, settings=settings: make(**settings), splits)
        averaged[name] = average_runs(evaluations)
        rows.append({"block": block, "model": name} | row(evaluations, averaged[name], seconds))
        print(f"{data}, {block}, {name}: {rows[-1]['ndcg@10']:.4f}", flush=True)
    return rows, averaged


def tables(data: str, splits: list[Split]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both blocks; and BPR against all others, and what the times are worth to each model."""
    rows, by_block = [], {}
    for block in BLOCKS:
        found, by_block[block] = block_of(data, block, splits)
        rows += found
    differences = [against_bpr(by_block[block]).assign(block=block) for block in BLOCKS]
    unused, used = (by_block[block] for block in BLOCKS)
    worth = {name: compare(used[name], unused[name], metric="ndcg@10") for name in used}
    differences.append(pd.DataFrame(worth.values(), index=list(worth)).assign(block="used minus unused"))
    found = pd.concat(differences).rename_axis("model").reset_index()
    return pd.DataFrame(rows), found[["block", "model", "difference", "low", "high", "p_value", "p_holm"]]


def against_bpr(averaged: dict[str, Evaluation]) -> pd.DataFrame:
    """BPR minus every other model, with the p-values corrected for their number."""
    pairs = {name: compare(averaged["BPR"], one, metric="ndcg@10") for name, one in averaged.items()}
    del pairs["BPR"]
    table = pd.DataFrame(pairs.values(), index=list(pairs))
    return table.assign(p_holm=holm(table["p_value"].to_numpy()))


def main() -> None:
    """Print and write both tables."""
    core, quality, differences = six_core(), [], []
    for protocol, make_splits in PROTOCOLS.items():
        found, versus = tables("ml-100k", make_splits(core))
        quality.append(found.assign(protocol=protocol))
        differences.append(versus.assign(protocol=protocol))
    for name, parts in (("quality", quality), ("differences", differences)):
        table = pd.concat(parts, ignore_index=True).round(4)
        table.insert(0, "protocol", table.pop("protocol"))
        table.to_csv(RESULTS / f"{name}.csv", index=False)
        print(table.to_string(index=False), "\n")


if __name__ == "__main__":
    main()

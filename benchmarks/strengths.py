"""Which strengths carry over from one data set to another, dense or sparse.

    python benchmarks/strengths.py [NAME FILE.csv ...]

Validation NDCG@10 over a grid of each model's decisive strength, the other settings at their defaults and
times unused: on MovieLens-100K, on the synthetic set at three densities, and on further files (elsewhere.py
says which were recorded). EASE's l2 is tried as it is; beside it stands what it is in units of an item's mean
number of users, to see which of the two varies less. IALS's alpha0 is in units of the interactions; beside it
stands the weight of a single pair. BPR's L2 counts per triple, so that it grows with a row's frequency by
itself; what is tried is a multiple of all three. Writes results/strengths.csv.
"""

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from common import RESULTS
from contenders import data_set

from bpr_helpers import BPR, EASE, IALS, InteractionMatrix, k_core, split_per_user, synthetic_interactions
from bpr_helpers.ranking import mean_ndcg
from bpr_helpers.settings import BPRSettings

FILE = RESULTS / "strengths.csv"
SYNTHETIC = (10_000, 40_000, 120_000)  # interactions of 1,000 users with 800 items
L2 = ("l2_user", "l2_pos", "l2_neg")


def bpr(times: float) -> BPR:
    """BPR with multiples of its L2, stopped early."""
    usual = BPRSettings().model_dump()  # type: ignore[call-arg]
    strengths = {name: times * usual[name] for name in L2}
    return BPR(**usual | strengths | {"recency": 0.0, "epochs": 40, "patience": 4})


GRIDS: dict[str, tuple[Callable[[float], Any], tuple[float, ...]]] = {
    "EASE": (lambda l2: EASE(l2=l2), (10, 30, 100, 300, 1000, 3000)),
    "IALS": (lambda alpha0: IALS(alpha0=alpha0), (1, 3, 10, 30, 100)),
    "BPR": (bpr, (0.1, 0.3, 1, 3)),
}


def sets(files: list[str]) -> Iterator[tuple[str, pd.DataFrame]]:
    """Names and interactions."""
    yield "ml-100k", data_set("ml-100k")
    for n in SYNTHETIC:
        yield f"synthetic {n:,}", k_core(synthetic_interactions(1000, 800, n)).interactions
    for name, file in zip(files[::2], files[1::2], strict=True):
        yield name, data_set(name, file)


def rows_of(data: str, interactions: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """The grid of every model on one data set."""
    split = split_per_user(interactions, valid_fraction=0.1)
    train = InteractionMatrix.from_frame(split.train)
    valid = InteractionMatrix.from_frame(split.valid, like=train, unknown="drop")
    density = train.csr.nnz / (train.n_users * train.n_items)
    for name, (make, values) in GRIDS.items():
        for value in values:
            model = make(value).fit(train, valid=valid)
            ndcg = mean_ndcg(model.score, train, valid, 10, np.flatnonzero(np.diff(valid.csr.indptr)))
            other = {"EASE": value * train.n_items / train.csr.nnz, "IALS": value * density}.get(name, np.nan)
            yield {
                "data": data,
                "density": density,
                "model": name,
                "strength": value,
                "in the other unit": other,
                "valid_ndcg@10": ndcg,
            }
        print(data, name, flush=True)


def main() -> None:
    """Print and write the grid, and the best of each."""
    found = pd.DataFrame([row for one in sets(sys.argv[1:]) for row in rows_of(*one)])
    top = found.groupby(["data", "model"])["valid_ndcg@10"].transform("max")
    found["of the best"] = found["valid_ndcg@10"] / top
    found.round(4).to_csv(FILE, index=False)
    print(found[found["of the best"] == 1].round(4).to_string(index=False), "\n")
    kept = found.pivot_table(index=["model", "strength"], values="of the best", aggfunc=["mean", "min"])
    print(kept.round(3).to_string())


if __name__ == "__main__":
    main()

"""Configurations of the baselines, chosen on validation, and two of them against independent programs.

    python benchmarks/baselines.py

The standard split of MovieLens-100K, tie seeds 0 to 4. The first table sees train and validation only: its
best rows are the defaults of the three models. The second reads the test part with the defaults: EASE must be
within .001 of a dense solution by another route, IALS within .004 of a loop over users from other initial
vectors, each in NDCG@10 as a plain sort computes it.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve

from bpr_helpers.baselines import EASE, IALS, ItemKNN
from bpr_helpers.data import drop_unknown_titles, load_interactions, load_items
from bpr_helpers.evaluation import Recommender, evaluate
from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.pruning import k_core
from bpr_helpers.splitting import Split, split_per_user

SEEDS = range(5)


def candidates() -> Iterator[tuple[str, Recommender]]:
    for k in (100, 200, 500, 1000):
        for shrink in (0.0, 5.0, 20.0):
            yield f"ItemKNN k={k} shrink={shrink:g}", ItemKNN(k=k, shrink=shrink)
    for l2 in (30.0, 60.0, 100.0, 150.0, 300.0):
        yield f"EASE l2={l2:g}", EASE(l2=l2)
    for dim in (32, 64):
        for l2 in (0.0033, 0.006, 0.01):
            for alpha0 in (0.594, 1.0):
                yield f"IALS dim={dim} l2={l2:g} alpha0={alpha0:g}", IALS(dim, l2=l2, alpha0=alpha0)


def mean_ndcg(recommender: Recommender, parts: Iterable[tuple[pd.DataFrame, pd.DataFrame]]) -> float:
    return float(
        np.mean([evaluate(recommender.fit(a), b, ks=(10,)).per_user["ndcg@10"].mean() for a, b in parts])
    )


def choose(splits: list[Split]) -> None:
    parts = [(split.train, split.valid) for split in splits]
    table = pd.Series({name: mean_ndcg(recommender, parts) for name, recommender in candidates()})
    for model in ("ItemKNN", "EASE", "IALS"):
        best = table[table.index.str.startswith(model)].sort_values(ascending=False).head(3)
        print(best.round(4).to_string())


def plain_ndcg(scores: np.ndarray, seen: InteractionMatrix, test: pd.DataFrame, k: int = 10) -> float:
    """NDCG by sorting every user's list; test items that the model does not know are misses."""
    values = []
    discounts = 1 / np.log2(np.arange(2, k + 2))
    for user_id, rows in test.groupby("user_id"):
        user = int(seen.user_codes([user_id])[0])
        row = scores[user].copy()
        row[seen.csr[user].indices] = -np.inf
        hits = np.isin(np.argsort(-row, kind="stable")[:k], seen.item_codes(rows["item_id"]))
        values.append(discounts[hits].sum() / discounts[: len(rows)].sum())
    return float(np.mean(values))


def dense_ease(matrix: InteractionMatrix, l2: float) -> np.ndarray:
    x = matrix.csr.toarray().astype(np.float64)
    precision = cho_solve(cho_factor(x.T @ x + l2 * np.eye(x.shape[1])), np.eye(x.shape[1]))
    return x @ (np.eye(x.shape[1]) - precision / np.diag(precision))


def looped_ials(matrix: InteractionMatrix, like: IALS, seed: int) -> np.ndarray:
    x = matrix.csr.toarray()
    vectors = [np.random.default_rng(seed).normal(0, 0.1 / like.dim**0.5, (n, like.dim)) for n in x.shape]
    for side in [0, 1] * like.iterations + [0]:
        fixed, rows = vectors[1 - side], x if side == 0 else x.T
        everything = like.alpha0 * fixed.T @ fixed
        for row in range(len(rows)):
            own = fixed[rows[row] > 0]
            l2 = like.l2 * (len(own) + like.alpha0 * len(fixed)) ** like.nu
            vectors[side][row] = np.linalg.solve(everything + own.T @ own + l2 * np.eye(like.dim), own.sum(0))
    return vectors[0] @ vectors[1].T


def against_independent_programs(splits: list[Split]) -> None:
    rows = []
    for seed, split in zip(SEEDS, splits, strict=True):
        past = pd.concat([split.train, split.valid])
        ease, ials = EASE().fit(past), IALS(seed=seed).fit(past)
        ours = [evaluate(model, split.test, ks=(10,)).per_user["ndcg@10"].mean() for model in (ease, ials)]
        others = dense_ease(ease.matrix, ease.l2), looped_ials(ials.matrix, ials, seed=seed + 100)
        rows.append([*ours, *(plain_ndcg(scores, ease.matrix, split.test) for scores in others)])
    table = pd.DataFrame(rows, columns=["EASE", "IALS", "EASE, other program", "IALS, other program"])
    print(table.agg(["mean", "std"]).round(4).to_string())
    assert (table["EASE"] - table["EASE, other program"]).abs().max() < 0.001
    assert abs(table["IALS"].mean() - table["IALS, other program"].mean()) < 0.004


def main() -> None:
    interactions = drop_unknown_titles(load_interactions(), load_items())
    interactions = k_core(interactions).interactions
    splits = [split_per_user(interactions, valid_fraction=0.1, seed=seed) for seed in SEEDS]
    print("NDCG@10 on validation, fitted on train, mean over tie seeds: the best three of each model")
    choose(splits)
    print("\nNDCG@10 on test, fitted on train and validation with the defaults")
    against_independent_programs(splits)


if __name__ == "__main__":
    main()

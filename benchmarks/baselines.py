"""EASE, IALS and BPR against independent programs that do the same.

    python benchmarks/baselines.py

The standard split of MovieLens-100K, tie seeds 0 to 4, test part, default settings. EASE must be within .001
of a dense solution by another route, IALS within .004 of a loop over users, and BPR within .004 of a NumPy
program with the gradients written out whose users are then found by SciPy's minimizer, both from other
initial vectors; NDCG@10 as a plain sort computes it.
"""

from typing import Any

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from scipy.special import expit, logsumexp, softmax
from scipy.stats import rankdata

from bpr_helpers.baselines import EASE, IALS
from bpr_helpers.bpr import BPR
from bpr_helpers.data import drop_unknown_titles, load_interactions, load_items
from bpr_helpers.evaluation import evaluate
from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.pruning import k_core
from bpr_helpers.splitting import Split, split_per_user

SEEDS = range(5)


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
        pair_weight = like.alpha0 * x.mean()
        everything = pair_weight * fixed.T @ fixed
        for row in range(len(rows)):
            own = fixed[rows[row] > 0]
            l2 = like.l2 * (len(own) + pair_weight * len(fixed)) ** like.nu
            vectors[side][row] = np.linalg.solve(everything + own.T @ own + l2 * np.eye(like.dim), own.sum(0))
    return vectors[0] @ vectors[1].T


def numpy_bpr(matrix: InteractionMatrix, like: BPR, seed: int) -> np.ndarray:
    use, rng, seen = like.settings, np.random.default_rng(seed), matrix.csr.toarray() > 0
    users, items = seen.nonzero()
    tables = [use["init_scale"] * rng.normal(size=(n, use["dim"])) for n in seen.shape]
    tables.append(np.zeros(seen.shape[1]))
    squares, averaged = [np.full_like(table, 0.001) for table in tables], tables
    n_negatives = use["n_negatives"] or 128
    for epoch in range(use["epochs"]):
        for batch in np.array_split(rng.permutation(len(users)), -(-len(users) // use["batch_size"])):
            u, i, j = users[batch], items[batch], rng.integers(seen.shape[1], size=n_negatives)
            user, positive, negative = tables[0][u], tables[1][i], tables[1][j]
            below = user @ negative.T + tables[2][j]
            above = (user * positive).sum(1) + tables[2][i]
            counts = softmax(np.where(seen[u][:, j], -1e9, below / use["temperature"]), axis=1)
            push = counts * expit(below - above[:, None])
            pushed = push.sum(1, keepdims=True)
            to_user = push @ negative - pushed * positive + use["l2_user"] * user
            to_positive = -pushed * user + use["l2_pos"] * positive
            to_negative = push.T @ user + use["l2_neg"] * counts.sum(0)[:, None] * negative
            gradients = [np.zeros_like(table) for table in tables]
            np.add.at(gradients[0], u, to_user)
            np.add.at(gradients[1], i, to_positive)
            np.add.at(gradients[1], j, to_negative)
            np.add.at(gradients[2], i, -pushed[:, 0])
            np.add.at(gradients[2], j, push.sum(0))
            for table, square, gradient in zip(tables, squares, gradients, strict=True):
                square += gradient**2
                table -= use["learning_rate"] * gradient / np.sqrt(square)
        keep = use["averaging"] if epoch else 0.0
        averaged = [keep * old + (1 - keep) * new for old, new in zip(averaged, tables, strict=True)]
    return minimized_users(matrix, like, *averaged[1:]) @ averaged[1].T + averaged[2]


def minimized_users(
    matrix: InteractionMatrix, like: BPR, vectors: np.ndarray, biases: np.ndarray
) -> np.ndarray:
    """Every user's vector by SciPy's minimizer, from their history weighted by recency."""
    l2, temperature, recency = (like.settings[name] for name in ("l2_user", "temperature", "recency"))
    found = np.zeros((matrix.n_users, vectors.shape[1]))
    for user, row in enumerate(found):
        first, last = matrix.csr.indptr[user : user + 2]
        own, times = matrix.csr.indices[first:last], matrix.times[first:last]
        weights = np.exp(-recency * (1 - rankdata(times) / len(times)))
        weights /= weights.mean()
        others = np.delete(np.arange(len(vectors)), own)

        def loss(w: np.ndarray, own: Any = own, others: Any = others, c: Any = weights) -> tuple[float, Any]:
            scores = vectors @ w + biases
            hard = scores[others] / temperature
            level = temperature * (logsumexp(hard) - np.log(len(others)))
            push = c * expit(level - scores[own])
            gradient = push.sum() * softmax(hard) @ vectors[others] - push @ vectors[own]
            size = l2 * c.sum()
            return c @ np.logaddexp(0, level - scores[own]) + size / 2 * w @ w, gradient + size * w

        row[:] = minimize(loss, row, jac=True, method="L-BFGS-B").x
    return found


def against_independent_programs(splits: list[Split]) -> None:
    rows = []
    for seed, split in zip(SEEDS, splits, strict=True):
        past = pd.concat([split.train, split.valid])
        ease, ials, bpr = EASE().fit(past), IALS(seed=seed).fit(past), BPR(seed=seed).fit(past)
        ours = [evaluate(m, split.test, ks=(10,)).per_user["ndcg@10"].mean() for m in (ease, ials, bpr)]
        others = (
            dense_ease(ease.matrix, ease.l2),
            looped_ials(ials.matrix, ials, seed=seed + 100),
            numpy_bpr(bpr.matrix, bpr, seed=seed + 100),
        )
        rows.append([*ours, *(plain_ndcg(scores, ease.matrix, split.test) for scores in others)])
    names = ["EASE", "IALS", "BPR"]
    table = pd.DataFrame(rows, columns=[*names, *(f"{name}, other program" for name in names)])
    print(table.agg(["mean", "std"]).round(4).to_string())
    assert (table["EASE"] - table["EASE, other program"]).abs().max() < 0.001
    for name in ("IALS", "BPR"):
        assert abs(table[name].mean() - table[f"{name}, other program"].mean()) < 0.004


def main() -> None:
    interactions = drop_unknown_titles(load_interactions(), load_items())
    interactions = k_core(interactions).interactions
    splits = [split_per_user(interactions, valid_fraction=0.1, seed=seed) for seed in SEEDS]
    print("NDCG@10 on test, fitted on train and validation with the defaults")
    against_independent_programs(splits)


if __name__ == "__main__":
    main()

"""What BPR's two phases cost and buy, what folding in costs, and which recency is best where.

    python benchmarks/phases.py

Validation parts of MovieLens-100K, tie seeds 0 to 2, and of the synthetic set. Phase two is held against its
neighbours: users of phase one as they are, solved from all interactions alike, solved from 256 to all
items as common negatives, and users trained in batches of weighted triples with items fixed, as phase one
trains. Writes results/phases.csv and results/recency.csv.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from common import RESULTS, seconds
from search import Parts, train_and_valid

from bpr_helpers import BPR, EASE, IALS, InteractionMatrix, ItemKNN, split_per_user, synthetic_interactions
from bpr_helpers.folding import solve_users
from bpr_helpers.history import history_weights, weighted_history
from bpr_helpers.ranking import full_ranks, mean_ndcg, per_user_metrics
from bpr_helpers.sampling import make_sampler
from bpr_helpers.settings import BPRSettings
from bpr_helpers.significance import compare
from bpr_helpers.training import L2, RowAdagrad, Tables, train

USUAL = BPRSettings()  # type: ignore[call-arg]
RECENCIES = (0.0, 1.0, 2.0, 4.0, 7.0, 10.0, 14.0, 18.0, 25.0, 40.0, 60.0)
FOLDED = (1, 1_000, 100_000)
EPOCHS = (4, 8, 12, 16, 20, 26, 32, 40)


class UsersAlone(RowAdagrad):
    """Adagrad that leaves items and biases as they are."""

    def step(self, tables: Any, slots: Any, rows: Any, gradients: Any) -> tuple[Any, Any]:
        moved, new = super().step(tables, slots, rows, gradients)
        kept = (*slots[1:3], *slots[4:])
        return (moved[0], *tables[1:]), (new[0], *kept[:2], new[3], *kept[2:])


def in_batches(bpr: BPR, recency: float) -> np.ndarray:
    """User vectors trained as phase one trains, on weighted triples, from short random ones."""
    matrix, use = bpr.matrix, bpr.settings
    start = 0.01 * np.random.default_rng(0).standard_normal(bpr.user_vectors.shape, dtype=np.float32)
    state = train(
        Tables(start, bpr.item_vectors, bpr.item_biases),
        matrix,
        make_sampler("weighted", matrix, n_negatives=use["n_negatives"], temperature=use["temperature"]),
        optimizer=UsersAlone(use["learning_rate"]),
        l2=L2(user=use["l2_user"]),
        item_bias=True,
        epochs=20,
        batch_size=use["batch_size"],
        averaging=use["averaging"],
        patience=0,
        validate=None,
        seed=0,
        positive_weights=history_weights(matrix, recency),
    )
    return state.best.users


def solved(bpr: BPR, recency: float, n_negatives: int = 10**9) -> np.ndarray:
    """User vectors of phase two."""
    how = {name.removesuffix("_user"): bpr.settings[name] for name in ("l2_user", "temperature")}
    history = weighted_history(bpr.matrix, recency)
    return solve_users(history, bpr.item_vectors, bpr.item_biases, n_negatives=n_negatives, **how)


def per_user(users: np.ndarray, bpr: BPR, valid: InteractionMatrix) -> pd.DataFrame:
    """Validation NDCG@10 of every user, for other user vectors."""
    pairs = valid.csr.tocoo()
    score = lambda codes: users[codes] @ bpr.item_vectors.T + bpr.item_biases  # noqa: E731
    ranks = full_ranks(score, bpr.matrix, pairs.row, pairs.col, seed=0)
    return per_user_metrics(pairs.row, ranks, (10,))


def phases(parts: Parts) -> pd.DataFrame:
    """Every way to get users, with the seconds that it takes and its difference to phase two."""
    ways: dict[str, Callable[[BPR], np.ndarray]] = {
        "phase two": lambda bpr: solved(bpr, USUAL.recency),
        "phase one alone": lambda bpr: bpr.user_vectors,
        "solved, all interactions alike": lambda bpr: solved(bpr, 0.0),
        "in batches, late ones more": lambda bpr: in_batches(bpr, USUAL.recency),
        "256 common negatives": lambda bpr: solved(bpr, USUAL.recency, 256),
        "512 common negatives": lambda bpr: solved(bpr, USUAL.recency, 512),
        "1,024 common negatives": lambda bpr: solved(bpr, USUAL.recency, 1024),
    }
    found: dict[str, list[pd.DataFrame]] = {name: [] for name in ways}
    spent: dict[str, list[float]] = {name: [] for name in ways}
    phase_one = []
    for matrix, valid in parts:
        began = time.perf_counter()
        bpr = BPR(recency=0.0).fit(matrix)
        phase_one.append(time.perf_counter() - began)
        for name, way in ways.items():
            began = time.perf_counter()
            users = way(bpr)
            spent[name].append(time.perf_counter() - began)
            found[name].append(per_user(users, bpr, valid))
    averaged = {name: pd.concat(tables).groupby(level=0).mean() for name, tables in found.items()}
    rows = []
    for name, table in averaged.items():
        versus = compare(table, averaged["phase two"], metric="ndcg@10")
        row = {"users": name, "valid_ndcg@10": table["ndcg@10"].mean(), "difference": versus.difference}
        row |= {"low": versus.low, "high": versus.high, "seconds": np.median(spent[name])}
        rows.append(row | {"in fits of phase one": row["seconds"] / np.median(phase_one)})
    return pd.DataFrame(rows)


def by_epoch(parts: Parts) -> pd.DataFrame:
    """Validation NDCG@10 after so many epochs of phase one, for its own users and for those of phase two."""
    kept: list[tuple[int, int, Tables]] = []  # part, epoch, tables
    for number, (matrix, _) in enumerate(parts):
        look = lambda epoch, tables, row, n=number: kept.append((n, epoch, tables))  # noqa: E731
        BPR(recency=0.0, epochs=EPOCHS[-1]).fit(matrix, callback=look)
    rows = []
    for number, epoch, tables in kept:
        if epoch in EPOCHS:
            matrix, valid = parts[number]
            how = {"l2": USUAL.l2_user, "temperature": USUAL.temperature}
            history = weighted_history(matrix, USUAL.recency)
            lately = solve_users(history, tables.items, tables.biases, **how)
            found = {"one": ndcg_of(tables.users, tables, matrix, valid)}
            rows.append({"epochs": epoch} | found | {"two": ndcg_of(lately, tables, matrix, valid)})
    return pd.DataFrame(rows).groupby("epochs").mean().add_prefix("users of phase ").reset_index()


def ndcg_of(users: np.ndarray, tables: Tables, matrix: InteractionMatrix, valid: InteractionMatrix) -> float:
    """Mean validation NDCG@10 of user vectors with these items."""
    tested = np.flatnonzero(np.diff(valid.csr.indptr))
    score = lambda codes: users[codes] @ tables.items.T + tables.biases  # noqa: E731
    return mean_ndcg(score, matrix, valid, 10, tested)


def fold_in_cost(matrix: InteractionMatrix) -> pd.DataFrame:
    """Microseconds per user that is folded in, and the ratio to IALS doing the same."""
    models = {"BPR": BPR().fit(matrix), "IALS": IALS(recency=USUAL.recency).fit(matrix)}
    owners = np.repeat(matrix.user_ids, np.diff(matrix.csr.indptr))
    rows = pd.DataFrame({"user_id": owners, "item_id": matrix.item_ids[matrix.csr.indices]})
    rows["timestamp"] = matrix.times
    found = []
    for n in FOLDED:
        copies = -(-n // matrix.n_users)
        some = pd.concat([rows.assign(user_id=rows["user_id"] + 10**6 * k) for k in range(copies)])
        some = some[some["user_id"].isin(some["user_id"].unique()[:n])]
        repeats = 5 if n < FOLDED[-1] else 1
        took = {name: seconds(partial(model.fold_in, some), repeats) for name, model in models.items()}
        per_user = {f"{name}, microseconds per user": 1e6 * s / n for name, s in took.items()}
        found.append({"users": n} | per_user | {"ratio": took["BPR"] / took["IALS"]})
    return pd.DataFrame(found)


def recency_of(data: str, parts: Parts) -> pd.DataFrame:
    """Validation NDCG@10 by recency, for every model with its default strengths."""
    made: dict[str, Callable[[], Any]] = {
        "ItemKNN": ItemKNN,
        "EASE": EASE,
        "IALS": IALS,
        "BPR": lambda: BPR(recency=0.0),
    }
    rows = []
    for name, make in made.items():
        values = {recency: [] for recency in RECENCIES}
        for matrix, valid in parts:
            fitted, tested = make().fit(matrix), np.flatnonzero(np.diff(valid.csr.indptr))
            for recency, scores in values.items():
                model = fitted.with_recency(recency) if recency else fitted
                scores.append(mean_ndcg(model.score, matrix, valid, 10, tested))
        means = {f"{recency:g}": np.mean(scores) for recency, scores in values.items()}
        rows.append({"data": data, "model": name, "best": max(means, key=means.get)} | means)
    return pd.DataFrame(rows)


def main() -> None:
    """Print and write the tables."""
    parts = train_and_valid()
    table = phases(parts).round(4)
    table.to_csv(RESULTS / "phases.csv", index=False)
    print(table.to_string(index=False), "\n")
    print(by_epoch(parts).round(4).to_string(index=False), "\n")
    print(fold_in_cost(parts[0][0]).round(2).to_string(index=False), "\n")
    made = split_per_user(synthetic_interactions(1000, 800, 40_000), valid_fraction=0.1)
    train = InteractionMatrix.from_frame(made.train)
    made_parts = [(train, InteractionMatrix.from_frame(made.valid, like=train, unknown="drop"))]
    recency = pd.concat([recency_of("ml-100k", parts), recency_of("synthetic", made_parts)]).round(4)
    recency.to_csv(RESULTS / "recency.csv", index=False)
    print(recency.to_string(index=False))


if __name__ == "__main__":
    main()

"""Lists out of a large catalogue: exact products against approximate nearest neighbors, on this machine.

    python benchmarks/serving.py [N_ITEMS ...]

The catalogues are drawn around the item vectors of a BPR that is fitted on MovieLens-100K, with the bias as
one more coordinate; the queries are its users. Recall is the share of the exact first ten that are found.
An index answers one user at a time; a product serves one, or a hundred at once. Times are medians over the
queries, and the last column is the time in proportion to the product for one user in the same run. Writes
results/serving.csv, which notebook 08 draws.
"""

import sys
import time
from collections.abc import Callable, Iterator

import faiss
import numpy as np
import pandas as pd
from common import RESULTS, standard_split
from usearch.index import Index

from bpr_helpers import BPR

K, QUERIES, TOGETHER = 10, 300, 100
Found = Callable[[np.ndarray], np.ndarray]  # queries (q, d) -> places (q, K)


def catalogue(bpr: BPR, n_items: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Item vectors with their bias, drawn around those of the model, and as many users with a 1."""
    known = np.column_stack([bpr.item_vectors, bpr.item_biases])  # (m, d + 1)
    noise = 0.5 * known.std(axis=0) * rng.standard_normal((n_items, known.shape[1]))
    items = (known[rng.integers(0, len(known), n_items)] + noise).astype(np.float32)
    users = bpr.user_vectors[rng.permutation(len(bpr.user_vectors))[:QUERIES]]
    return items, np.column_stack([users, np.ones(len(users))]).astype(np.float32)


def exact(items: np.ndarray) -> Found:
    """The product with all items, and a partial sort."""
    columns = np.ascontiguousarray(items.T)

    def find(users: np.ndarray) -> np.ndarray:
        scores = users @ columns
        first = np.argpartition(-scores, K, axis=1)[:, :K]
        order = np.argsort(-np.take_along_axis(scores, first, 1), axis=1)
        return np.take_along_axis(first, order, 1)

    return find


def indexes(items: np.ndarray) -> Iterator[tuple[str, float, Found]]:
    """Name, seconds to build, and search of every index, at several efforts."""
    start = time.perf_counter()
    by_graph = Index(ndim=items.shape[1], metric="ip", dtype="f32")
    by_graph.add(np.arange(len(items)), items)
    built = time.perf_counter() - start
    for effort in (32, 128, 512):
        by_graph.expansion_search = effort
        yield (
            f"usearch HNSW, effort {effort}",
            built,
            lambda users: by_graph.search(users, K).keys.reshape(-1, K),
        )
    start = time.perf_counter()
    lists = int(4 * np.sqrt(len(items)))
    coarse = faiss.IndexFlatIP(items.shape[1])
    by_cells = faiss.IndexIVFFlat(coarse, items.shape[1], lists, faiss.METRIC_INNER_PRODUCT)
    by_cells.train(items[: 40 * lists])
    by_cells.add(items)
    built = time.perf_counter() - start
    for effort in (4, 16, 64):
        by_cells.nprobe = effort
        yield f"faiss IVF, effort {effort}", built, lambda users: by_cells.search(users, K)[1]


def _rows(keys: np.ndarray) -> np.ndarray:
    """Places of one query or of several: (q, K)."""
    return np.asarray(keys).reshape(-1, K)


def milliseconds(find: Found, users: np.ndarray, together: int) -> float:
    """Median time per user, `together` at once."""
    times = []
    for start in range(0, len(users), together):
        began = time.perf_counter()
        find(users[start : start + together])
        times.append((time.perf_counter() - began) / together)
    return 1000 * float(np.median(times))


def main() -> None:
    """Print the table and write it."""
    sizes = [int(one) for one in sys.argv[1:]] or [100_000, 1_000_000]
    bpr = BPR().fit(standard_split().train)
    rows = []
    for n_items in sizes:
        items, users = catalogue(bpr, n_items, np.random.default_rng(0))
        product = exact(items)
        right = np.concatenate([product(users[start : start + 50]) for start in range(0, len(users), 50)])
        one = milliseconds(product, users, 1)
        rows.append((n_items, "exact, one user", 0.0, 1.0, one))
        rows.append(
            (n_items, f"exact, {TOGETHER} users at once", 0.0, 1.0, milliseconds(product, users, TOGETHER))
        )
        for name, built, find in indexes(items):
            found = find(users)
            recall = np.mean(
                [len({*a} & {*b}) / K for a, b in zip(found.tolist(), right.tolist(), strict=True)]
            )
            rows.append((n_items, name, built, recall, milliseconds(find, users, 1)))
    table = pd.DataFrame(rows, columns=["items", "way", "build_s", "recall@10", "ms_per_user"])
    table["to_exact"] = table["ms_per_user"] / table.groupby("items")["ms_per_user"].transform("first")
    print(table.round(3).to_string(index=False))
    table.round(4).to_csv(RESULTS / "serving.csv", index=False)


if __name__ == "__main__":
    main()

"""What each ingredient of the default BPR is worth on validation: NDCG@10 without it, or with another one.

    python benchmarks/ablation.py

Means over three tie seeds and the best epoch of each fit; a difference of .003 is within what another seed
changes. The last rows are ingredients that are not in the package, since they did not help. Writes
results/ablation.csv.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import keras
import numpy as np
import pandas as pd
from common import RESULTS
from search import judge, train_and_valid

from bpr_helpers import training
from bpr_helpers.history import history_weights
from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.settings import BPRSettings

USUAL = BPRSettings()  # type: ignore[call-arg]
MEAN_L2 = (USUAL.l2_user + USUAL.l2_pos + USUAL.l2_neg) / 3
DECAY = keras.optimizers.schedules.PolynomialDecay(USUAL.learning_rate, 32 * 78, USUAL.learning_rate / 10)
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "users of phase one": {"recency": 0.0},
    "recency halved": {"recency": USUAL.recency / 2},
    "recency doubled": {"recency": USUAL.recency * 2},
    "last epoch instead of the average": {"averaging": 0.0},
    "no L2": {"l2_user": 0.0, "l2_pos": 0.0, "l2_neg": 0.0},
    "one L2 for all": {"l2_user": MEAN_L2, "l2_pos": MEAN_L2, "l2_neg": MEAN_L2},
    "L2 on the bias": {"l2_bias": USUAL.l2_neg},
    "no item bias": {"item_bias": False},
    "uniform negatives": {"sampler": "uniform"},
    "popularity negatives": {"sampler": "popularity"},
    "best of 8 negatives": {"sampler": "hard"},
    "shared negatives, unweighted": {"sampler": "shared"},
    "256 shared negatives": {"n_negatives": 256},
    "temperature doubled": {"temperature": 2 * USUAL.temperature},
    "dimension 128": {"dim": 128},
    "initial vectors of 0.1": {"init_scale": 0.1},
    "batches of 256": {"batch_size": 256},
    "Adam": {"optimizer": "adam", "learning_rate": 0.003},
    "learning rate falls to a tenth": {"optimizer": keras.optimizers.Adagrad(DECAY, 0.001)},
}


@contextmanager
def active_users_count_less() -> Iterator[None]:
    """Weigh positives in phase one by the square root of 1 / activity."""
    plain = training.train

    def train(tables: training.Tables, matrix: InteractionMatrix, *args: Any, **kwargs: Any) -> Any:
        lengths = np.diff(matrix.csr.indptr)
        weights = np.repeat(lengths**-0.5, lengths)
        weights = (weights / weights.mean()).astype(np.float32)
        return plain(tables, matrix, *args, positive_weights=weights, **kwargs)

    with patch.object(training, "train", train):
        yield


@contextmanager
def recency_in_phase_one() -> Iterator[None]:
    """Let items learn from late positives more, too: a seventh of the recency in the loss."""
    plain = training.train

    def train(tables: training.Tables, matrix: InteractionMatrix, *args: Any, **kwargs: Any) -> Any:
        weights = history_weights(matrix, USUAL.recency / 7)
        return plain(tables, matrix, *args, positive_weights=weights, **kwargs)

    with patch.object(training, "train", train):
        yield


@contextmanager
def weights_by_place() -> Iterator[None]:
    """The j-th last positive of a user counts 1 / j, whatever the length of the profile."""

    def weights(matrix: InteractionMatrix, recency: float) -> np.ndarray:
        lengths = np.diff(matrix.csr.indptr)
        users = np.repeat(np.arange(matrix.n_users), lengths)
        order = np.lexsort((matrix.times, users))
        found = np.empty(len(order))
        found[order] = 1 / (np.repeat(matrix.csr.indptr[1:], lengths) - np.arange(len(order)))
        return (found / (np.bincount(users, found) / lengths)[users]).astype(np.float32)

    with patch("bpr_helpers.history.history_weights", weights):
        yield


@contextmanager
def biases_start_at_popularity() -> Iterator[None]:
    """Start every bias at the logarithm of the item's relative popularity."""
    plain = training.train

    def train(tables: training.Tables, matrix: InteractionMatrix, *args: Any, **kwargs: Any) -> Any:
        counts = np.bincount(matrix.csr.indices, minlength=matrix.n_items)
        biases = np.log(counts / counts.mean()).astype(np.float32)
        return plain((tables[0], tables[1], biases), matrix, *args, **kwargs)

    with patch.object(training, "train", train):
        yield


def main() -> None:
    """Print and write the table."""
    parts, rows = train_and_valid(), []
    outside = {
        "active users count less": active_users_count_less(),
        "recency / 7 for items, too": recency_in_phase_one(),
        "the j-th last counts 1 / j": weights_by_place(),
        "biases start at popularity": biases_start_at_popularity(),
    }
    for name in [*VARIANTS, *outside]:
        with outside.get(name, nullcontext()):
            changes = {"recency": USUAL.recency} | VARIANTS.get(name, {})
            rows.append({"variant": name, **judge("BPR", changes, parts)})
    table = pd.DataFrame(rows)
    table.insert(2, "difference", table["valid_ndcg@10"] - table["valid_ndcg@10"].iloc[0])
    table = table.round({"valid_ndcg@10": 4, "difference": 4, "epochs": 1})
    table.to_csv(RESULTS / "ablation.csv", index=False)
    print(table.to_string(index=False))


if __name__ == "__main__":
    main()

"""Recommenders with given scores, and small random interactions to judge them by."""

import numpy as np
import pandas as pd

from bpr_helpers.matrix import InteractionMatrix

N_USERS, N_ITEMS = 30, 50


class Fixed:
    """A recommender with given scores, on integer ids that are their own codes."""

    def __init__(self, scores, seen: InteractionMatrix) -> None:
        self.scores, self.matrix = np.asarray(scores, np.float32), seen

    def fit(self, interactions, *, valid=None):
        return self

    def score(self, user_codes):
        return self.scores[user_codes]


def pairs(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["user_id", "item_id"])


def matrix_of(rows, n_users=N_USERS, n_items=N_ITEMS) -> InteractionMatrix:
    everything = pairs([(u % n_users, i % n_items) for u, i in enumerate(range(n_users * n_items))])
    ids = InteractionMatrix(
        np.arange(n_users), np.arange(n_items), InteractionMatrix.from_frame(everything).csr
    )
    return InteractionMatrix.from_frame(pairs(rows), like=ids)


def random_data() -> tuple[pd.DataFrame, pd.DataFrame, InteractionMatrix]:
    """Training frame, test frame, and the matrix of the training frame."""
    rng = np.random.default_rng(1)
    frame = pairs(rng.integers(0, (N_USERS, N_ITEMS), (700, 2))).drop_duplicates(ignore_index=True)
    held_out = rng.random(len(frame)) < 0.3
    return frame[~held_out], frame[held_out], matrix_of(frame[~held_out].to_numpy())

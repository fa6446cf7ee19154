"""Random, Popularity, ItemKNN, EASE and IALS: what a BPR model must beat, each in a few lines."""

from __future__ import annotations

from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bpr_helpers.matrix import InteractionMatrix, as_matrix

Codes = NDArray[np.int64]
Scores = NDArray[np.float32]
Interactions = pd.DataFrame | InteractionMatrix


class Random:
    """Chance: scores drawn anew for every user, the same whenever that user is asked for.

    Parameters
    ----------
    seed : int, of the scores
    """

    matrix: InteractionMatrix

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, interactions: Interactions, *, valid: Interactions | None = None) -> Self:
        """Keep the ids and the seen items; there is nothing to learn."""
        self.matrix = as_matrix(interactions)
        return self

    def score(self, user_codes: Codes) -> Scores:
        """Scores of all items: float32, (len(user_codes), n_items), uniform on [0, 1)."""
        scores = np.empty((len(user_codes), self.matrix.n_items), np.float32)
        for row, user in zip(scores, user_codes, strict=True):
            np.random.default_rng([self.seed, int(user)]).random(out=row, dtype=np.float32)
        return scores


class Popularity:
    """The same list for everybody: items by their number of interactions, minus what each user has seen."""

    matrix: InteractionMatrix

    def fit(self, interactions: Interactions, *, valid: Interactions | None = None) -> Self:
        """Count the users of every item."""
        self.matrix = as_matrix(interactions)
        self.counts = np.bincount(self.matrix.csr.indices, minlength=self.matrix.n_items).astype(np.float32)
        return self

    def score(self, user_codes: Codes) -> Scores:
        """Scores of all items: float32, (len(user_codes), n_items), the number of users of each item."""
        return np.tile(self.counts, (len(user_codes), 1))

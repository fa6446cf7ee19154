"""Other libraries' models behind the course's Recommender protocol. Needs the extra `bench`."""

import os
from collections import OrderedDict
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from bpr_helpers.matrix import InteractionMatrix, as_matrix

THREADS = os.cpu_count() or 1


class Peer:
    """Fits vectors and biases with another library, scores like BPR. Its defaults: tuned on validation."""

    matrix: InteractionMatrix

    def fit(
        self, interactions: pd.DataFrame | InteractionMatrix, *, valid: pd.DataFrame | None = None
    ) -> Self:
        self.matrix = as_matrix(interactions)
        self.user_vectors, self.item_vectors, self.item_biases = self.train(self.matrix)
        return self

    def train(self, matrix: InteractionMatrix) -> tuple[NDArray, NDArray, NDArray]:
        raise NotImplementedError

    def score(self, user_codes: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.user_vectors[user_codes] @ self.item_vectors.T + self.item_biases


class CornacBPR(Peer):
    def __init__(
        self, epochs: int = 250, dim: int = 64, learning_rate: float = 0.03, l2: float = 0.01
    ) -> None:
        self.epochs, self.dim, self.learning_rate, self.l2 = epochs, dim, learning_rate, l2

    def train(self, matrix: InteractionMatrix) -> tuple[NDArray, NDArray, NDArray]:
        from cornac.data import Dataset
        from cornac.models import BPR

        coo = matrix.csr.tocoo()
        ids = (OrderedDict((code, code) for code in range(n)) for n in coo.shape)
        data = Dataset(*coo.shape, *ids, (coo.row, coo.col, coo.data.astype(float)))
        model = BPR(
            k=self.dim,
            max_iter=self.epochs,
            learning_rate=self.learning_rate,
            lambda_reg=self.l2,
            num_threads=THREADS,
            seed=0,
        )
        model.fit(data)
        return model.u_factors, model.i_factors, model.i_biases


class ImplicitBPR(Peer):
    def __init__(
        self, epochs: int = 25, dim: int = 64, learning_rate: float = 0.05, l2: float = 0.01
    ) -> None:
        self.epochs, self.dim, self.learning_rate, self.l2 = epochs, dim, learning_rate, l2

    def train(self, matrix: InteractionMatrix) -> tuple[NDArray, NDArray, NDArray]:
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        model = BayesianPersonalizedRanking(
            factors=self.dim,
            iterations=self.epochs,
            learning_rate=self.learning_rate,
            regularization=self.l2,
            num_threads=THREADS,
            random_state=0,
        )
        with threadpool_limits(1, "blas"):
            model.fit(matrix.csr, show_progress=False)
        return model.user_factors, model.item_factors, np.zeros(matrix.n_items, np.float32)


class ImplicitALS(Peer):
    def train(self, matrix: InteractionMatrix) -> tuple[NDArray, NDArray, NDArray]:
        from implicit.cpu.als import AlternatingLeastSquares

        with threadpool_limits(1, "blas"):
            model = AlternatingLeastSquares(96, regularization=13.6, alpha=2.0, iterations=10, random_state=0)
            model.fit(matrix.csr, show_progress=False)
        return model.user_factors, model.item_factors, np.zeros(matrix.n_items, np.float32)

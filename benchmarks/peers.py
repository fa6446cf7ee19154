"""Other libraries' models behind the course's Recommender protocol. Needs the extra `bench`."""

import os
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Any, Self

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


Moment = tuple[int, float, tuple[NDArray, NDArray, NDArray]]  # epochs, seconds and tables until now


def _course(
    go_on: Callable[[], Any], tables: Callable[[], tuple[NDArray, NDArray, NDArray]], epochs: int, every: int
) -> Iterator[Moment]:
    spent = 0.0
    for epoch in range(every, epochs + 1, every):
        began = time.perf_counter()
        go_on()
        spent += time.perf_counter() - began
        yield epoch, spent, tables()


class CornacBPR(Peer):
    def __init__(
        self, epochs: int = 250, dim: int = 64, learning_rate: float = 0.03, l2: float = 0.01
    ) -> None:
        self.epochs, self.dim, self.learning_rate, self.l2 = epochs, dim, learning_rate, l2

    def train(self, matrix: InteractionMatrix) -> tuple[NDArray, NDArray, NDArray]:
        model, data = self.start(matrix)
        model.fit(data)
        return model.u_factors, model.i_factors, model.i_biases

    def start(self, matrix: InteractionMatrix, seed: int | None = 0) -> tuple[Any, Any]:
        """Cornac's model and data; with a seed it uses one thread, without all of them."""
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
            seed=seed,
        )
        return model, data

    def course(self, matrix: InteractionMatrix, every: int = 1) -> Iterator[Moment]:
        """The training in pieces of `every` epochs, on all threads; only the training is timed."""
        model, data = self.start(matrix, seed=None)
        model.max_iter = every
        tables = lambda: (model.u_factors, model.i_factors, model.i_biases)  # noqa: E731
        yield from _course(lambda: model.fit(data), tables, self.epochs, every)


class ImplicitBPR(Peer):
    def __init__(
        self, epochs: int = 25, dim: int = 64, learning_rate: float = 0.05, l2: float = 0.01
    ) -> None:
        self.epochs, self.dim, self.learning_rate, self.l2 = epochs, dim, learning_rate, l2

    def train(self, matrix: InteractionMatrix) -> tuple[NDArray, NDArray, NDArray]:
        model = self.start(self.epochs)
        with threadpool_limits(1, "blas"):
            model.fit(matrix.csr, show_progress=False)
        return model.user_factors, model.item_factors, np.zeros(matrix.n_items, np.float32)

    def start(self, epochs: int) -> Any:
        from implicit.cpu.bpr import BayesianPersonalizedRanking

        return BayesianPersonalizedRanking(
            factors=self.dim,
            iterations=epochs,
            learning_rate=self.learning_rate,
            regularization=self.l2,
            num_threads=THREADS,
            random_state=np.random.default_rng(0),  # an object: a piece goes on where the last one ended
        )

    def course(self, matrix: InteractionMatrix, every: int = 1) -> Iterator[Moment]:
        """The training in pieces of `every` epochs; only the training is timed."""
        model, biases = self.start(every), np.zeros(matrix.n_items, np.float32)
        tables = lambda: (model.user_factors, model.item_factors, biases)  # noqa: E731
        with threadpool_limits(1, "blas"):
            yield from _course(lambda: model.fit(matrix.csr, show_progress=False), tables, self.epochs, every)


class ImplicitALS(Peer):
    def __init__(self, dim: int = 96, l2: float = 13.6, alpha: float = 2.0) -> None:
        self.dim, self.l2, self.alpha = dim, l2, alpha

    def train(self, matrix: InteractionMatrix) -> tuple[NDArray, NDArray, NDArray]:
        from implicit.cpu.als import AlternatingLeastSquares

        with threadpool_limits(1, "blas"):
            model = AlternatingLeastSquares(
                self.dim, regularization=self.l2, alpha=self.alpha, iterations=10, random_state=0
            )
            model.fit(matrix.csr, show_progress=False)
        return model.user_factors, model.item_factors, np.zeros(matrix.n_items, np.float32)

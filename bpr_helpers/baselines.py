"""Random, Popularity, ItemKNN, EASE and IALS: what a BPR model must beat, each in a few lines."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from bpr_helpers.history import FromHistories, checked_recency, recent_counts, weighted_history
from bpr_helpers.matrix import (
    BLOCK,
    Codes,
    InteractionMatrix,
    Interactions,
    as_matrix,
    like_lengths,
    padded_rows,
)
from bpr_helpers.parallel import one_blas_thread

Scores = NDArray[np.float32]
SHORT = 1000  # rows of at most this length are small matrices: see `one_blas_thread`


class Random(FromHistories):
    """Chance: scores drawn anew for every user, the same whenever that user is asked for.

    Parameters
    ----------
    seed : int, of the scores
    """

    def __init__(self, *, seed: int = 0) -> None:
        self.seed = seed

    def fit(self, interactions: Interactions, *, valid: Interactions | None = None) -> Self:
        """Keep the ids and the seen items; there is nothing to learn."""
        self._hold_items(as_matrix(interactions))
        return self

    def _score(self, user_codes: Codes) -> Scores:
        """Draw scores uniformly from [0, 1)."""
        scores = np.empty((len(user_codes), self.matrix.n_items), np.float32)
        for row, user in zip(scores, user_codes, strict=True):
            np.random.default_rng([self.seed, int(user)]).random(out=row, dtype=np.float32)
        return scores


class Popularity(FromHistories):
    """The same list for everybody: items by their number of users, minus what each user has seen.

    Parameters
    ----------
    recency : float, 0 to 100, how much more an item's late users count; 0 for all alike (`recent_counts`)
    """

    counted: InteractionMatrix  # what it was fitted on

    def __init__(self, *, recency: float = 0.0) -> None:
        self.recency = checked_recency(recency)

    def fit(self, interactions: Interactions, *, valid: Interactions | None = None) -> Self:
        """Count the users of every item."""
        self.counted = as_matrix(interactions)
        self._hold_items(self.counted)
        self._read_histories()
        return self

    def _read_histories(self) -> None:
        """Count those of training, whoever is served."""
        self.item_counts = recent_counts(self.counted, self.recency)

    def _score(self, user_codes: Codes) -> Scores:
        """Score by the number of users of each item."""
        return np.tile(self.item_counts, (len(user_codes), 1))


class ItemKNN(FromHistories):
    """Items like those that the user has: the sum of cosine similarities to the nearest of them.

    Parameters
    ----------
    k : int >= 1, the neighbours kept per item; fewer blur less, more cover more
    shrink : float >= 0, added to the denominator, so that similarities resting on few users stay small
    recency : float, 0 to 100, how much more a user's late items count; 0 for all alike (`history_weights`)

    References
    ----------
    Deshpande and Karypis (2004), Item-based top-N recommendation algorithms; the shrinkage as in
    Bell and Koren (2007).
    """

    def __init__(self, *, k: int = 500, shrink: float = 5.0, recency: float = 0.0) -> None:
        _require(k >= 1, f"k is {k}: keep at least one neighbour per item.")
        _require(shrink >= 0, f"shrink is {shrink}: give 0 or more.")
        self.k, self.shrink, self.recency = k, shrink, checked_recency(recency)

    def fit(self, interactions: Interactions, *, valid: Interactions | None = None) -> Self:
        """Find the k nearest neighbours of every item, a block of items at a time."""
        self._hold_items(as_matrix(interactions))
        block = max(1, BLOCK // self.matrix.n_items)
        starts = range(0, self.matrix.n_items, block)
        self.neighbours = vstack([self._nearest(start, start + block) for start in starts]).T.tocsr()
        self._read_histories()
        return self

    def _read_histories(self) -> None:
        self.histories = weighted_history(self.matrix, self.recency)

    def _nearest(self, start: int, stop: int) -> csr_matrix:
        """Rows start to stop of the similarities, all but the k largest of each row set to zero."""
        x = self.matrix.csr
        norms = np.sqrt(np.bincount(x.indices, minlength=x.shape[1]))
        together = (x[:, start:stop].T @ x).toarray()  # (b, n_items), users who have both
        with np.errstate(invalid="ignore"):
            similarity = together / (np.outer(norms[start:stop], norms) + self.shrink)
        similarity[together == 0] = 0
        np.fill_diagonal(similarity[:, start:], 0)
        n_dropped = max(0, x.shape[1] - self.k)
        if n_dropped:
            dropped = np.argpartition(similarity, n_dropped - 1, axis=1)[:, :n_dropped]
            np.put_along_axis(similarity, dropped, 0, axis=1)
        return csr_matrix(similarity.astype(np.float32))

    def _score(self, user_codes: Codes) -> Scores:
        """Sum the similarities."""
        return (self.histories[user_codes] @ self.neighbours).toarray()


class EASE(FromHistories):
    """A linear model of every item from all others, in closed form; no item may explain itself.

    Needs 8 n_items^2 bytes twice over: 27 MB for 1,300 items, 12 GB for 27,000.

    Parameters
    ----------
    l2 : float > 0, strength of the L2 on the weights
    recency : float, 0 to 100, how much more a user's late items count; 0 for all alike (`history_weights`)

    References
    ----------
    Steck (2019), Embarrassingly shallow autoencoders for sparse data, equation 8.
    """

    def __init__(self, *, l2: float = 100.0, recency: float = 0.0) -> None:
        _require(l2 > 0, f"l2 is {l2}: give a number above 0, else the weights are not determined.")
        self.l2, self.recency = l2, checked_recency(recency)

    def fit(self, interactions: Interactions, *, valid: Interactions | None = None) -> Self:
        """Invert the regularized matrix of co-occurrences; column j of `weights` predicts item j."""
        self._hold_items(as_matrix(interactions))
        x = self.matrix.csr
        gram = (x.T @ x).toarray().astype(np.float64)  # (n_items, n_items)
        np.fill_diagonal(gram, gram.diagonal() + self.l2)
        inverse = np.linalg.inv(gram)
        weights = inverse / -inverse.diagonal()
        np.fill_diagonal(weights, 0)
        self.weights = weights.astype(np.float32)
        self._read_histories()
        return self

    def _read_histories(self) -> None:
        self.histories = weighted_history(self.matrix, self.recency)

    def _score(self, user_codes: Codes) -> Scores:
        """Score near 1 what a user would have."""
        return self.histories[user_codes] @ self.weights


class IALS(FromHistories):
    """Matrix factorization by alternating least squares: 1 for interactions, weakly 0 for everything.

    Minimizes the sum over interactions of (1 - score)^2, plus w times the sum over all pairs of score^2, plus
    the L2: of user u with strength l2 (|I_u| + w n_items)^nu, of items alike. All pairs together weigh
    alpha0 times as much as all interactions, so w is alpha0 times the density of the matrix, and one alpha0
    serves dense and sparse data.

    Parameters
    ----------
    dim : int >= 1, length of the vectors
    l2 : float > 0, strength of the L2
    alpha0 : float > 0, weight of all pairs together, in units of that of all interactions
    nu : float, how the L2 grows with the number of interactions
    iterations : int >= 1, rounds of solving for the users, then for the items
    init_scale : float > 0, standard deviation of the initial vectors' length
    recency : float, 0 to 100, how much more a user's late items count in the last solve for the users (see
        `history_weights`); items learn from all alike, and so do users where it is 0
    seed : int, of the initial vectors

    References
    ----------
    Hu, Koren and Volinsky (2008); L2 and tuning as in Rendle et al. (2022), Revisiting the
    performance of iALS on item recommendation benchmarks, equation 7.
    """

    def __init__(
        self,
        dim: int = 64,
        *,
        l2: float = 0.006,
        alpha0: float = 14.0,
        nu: float = 1.0,
        iterations: int = 10,
        init_scale: float = 0.1,
        recency: float = 0.0,
        seed: int = 0,
    ) -> None:
        _require(dim >= 1 and iterations >= 1, "dim and iterations must be 1 or more.")
        _require(l2 > 0 and alpha0 > 0, "l2 and alpha0 must be above 0.")
        self.dim, self.l2, self.alpha0, self.nu = dim, l2, alpha0, nu
        self.iterations, self.init_scale, self.seed = iterations, init_scale, seed
        self.recency = checked_recency(recency)

    def fit(self, interactions: Interactions, *, valid: Interactions | None = None) -> Self:
        """Solve in turn for all users and for all items; the users have the last word."""
        self._hold_items(as_matrix(interactions))
        x, by_item = self.matrix.csr, self.matrix.csr.T.tocsr()
        self.pair_weight = float(self.alpha0 * x.nnz / (x.shape[0] * x.shape[1]))
        rng = np.random.default_rng(self.seed)
        scale = self.init_scale / np.sqrt(self.dim)
        self.item_vectors = rng.normal(0, scale, (self.matrix.n_items, self.dim)).astype(np.float32)
        for _ in range(self.iterations):
            self.user_vectors = self._solve(x, self.item_vectors)
            self.item_vectors = self._solve(by_item, self.user_vectors)
        self._read_histories()
        return self

    def _read_histories(self) -> None:
        self.user_vectors = self._solve(weighted_history(self.matrix, self.recency), self.item_vectors)

    def _solve(self, x: csr_matrix, fixed: Scores) -> Scores:
        """Best vectors of the rows of x, given the vectors of its columns; the entries of x are weights."""
        lengths = np.diff(x.indptr)
        padded = np.vstack([fixed, np.zeros((1, self.dim), np.float32)])  # code n stands for "no item"
        everything = self.pair_weight * (fixed.T @ fixed)  # (dim, dim)
        strengths = self.l2 * (lengths + self.pair_weight * len(fixed)) ** self.nu
        solved = np.empty((len(lengths), self.dim), np.float32)
        for rows in like_lengths(lengths, BLOCK // self.dim):
            columns, weights = padded_rows(x[rows])  # (b, longest) both
            vectors = padded[columns]  # (b, longest, dim)
            counted = weights[:, :, None] * vectors
            with one_blas_thread() if columns.shape[1] <= SHORT else nullcontext():
                left = vectors.transpose(0, 2, 1) @ counted + everything
            left += strengths[rows, None, None].astype(np.float32) * np.eye(self.dim, dtype=np.float32)
            with one_blas_thread():
                solved[rows] = np.linalg.solve(left, counted.sum(1)[:, :, None])[:, :, 0]
        return solved

    def _score(self, user_codes: Codes) -> Scores:
        """Score near 1 what a user would have."""
        return self.user_vectors[user_codes] @ self.item_vectors.T


class OnlyPopular:
    """Another model's scores for the most popular items alone: all other items come after them.

    Made to deceive. It does well where hits among popular items are enough, and shows the same few items to
    everybody.

    Parameters
    ----------
    model : a fitted Recommender
    n : int, how many items come first

    Attributes
    ----------
    matrix : the model's
    first : int64 (n,), codes of the items that come first, the most popular at the head

    Examples
    --------
    >>> import pandas as pd
    >>> seen = pd.DataFrame({"user_id": [1, 1, 2, 3], "item_id": ["a", "b", "b", "c"]})
    >>> only = OnlyPopular(ItemKNN().fit(seen), 1)
    >>> only.matrix.item_ids[only.first].tolist()
    ['b']
    """

    def __init__(self, model: FromHistories, n: int) -> None:
        self.model, self.matrix = model, model.matrix
        counts = np.bincount(self.matrix.csr.indices, minlength=self.matrix.n_items)
        self.first = np.argsort(-counts, kind="stable")[:n]

    def score(self, user_codes: Codes) -> Scores:
        """Scores of all items: float32, (len(user_codes), n_items), all others below the first."""
        scores = self.model.score(user_codes).copy()
        rest = np.delete(np.arange(self.matrix.n_items), self.first)
        scores[:, rest] -= np.float32(2 * np.abs(scores).max() + 1)
        return scores


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)

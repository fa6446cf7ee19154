"""Random, Popularity, ItemKNN, EASE and IALS: what a BPR model must beat, each in a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack

from bpr_helpers.files import memory
from bpr_helpers.history import FromHistories, checked_recency, recent_counts, weighted_history
from bpr_helpers.matrix import (
    BLOCK,
    Codes,
    Floats,
    InteractionMatrix,
    Interactions,
    as_matrix,
    like_lengths,
    padded_rows,
)
from bpr_helpers.parallel import in_parallel, one_blas_thread

Scores = NDArray[np.float32]
MANY = 4000  # rows of a matrix, or of a table to invert; below, the shorter way is not worth another one


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
        by_item = self.matrix.csr.T.tocsr()
        norms = np.sqrt(np.diff(by_item.indptr))  # (n_items,)
        block = max(1, BLOCK // self.matrix.n_items)
        starts = range(0, self.matrix.n_items, block)
        nearest = [self._nearest(by_item, norms, start, start + block) for start in starts]
        self.neighbours = vstack(nearest).T.tocsr()
        self._read_histories()
        return self

    def _read_histories(self) -> None:
        self.histories = weighted_history(self.matrix, self.recency)

    def _nearest(self, by_item: csr_matrix, norms: Floats, start: int, stop: int) -> csr_matrix:
        """Rows start to stop of the similarities, all but the k largest of each row left out."""
        together = by_item[start:stop] @ self.matrix.csr  # (b, n_items), users who have both
        lengths = np.diff(together.indptr)
        rows = np.repeat(np.arange(start, start + len(lengths)), lengths)  # (nnz,)
        similarity = together.data / (norms[rows] * norms[together.indices] + self.shrink)
        similarity[rows == together.indices] = 0
        for row in np.flatnonzero(lengths > self.k):
            entries = slice(together.indptr[row], together.indptr[row + 1])
            every = np.zeros(by_item.shape[0])
            every[together.indices[entries]] = similarity[entries]
            every[np.argpartition(every, len(every) - self.k - 1)[: len(every) - self.k]] = 0
            similarity[entries] = every[together.indices[entries]]
        together.data = similarity.astype(np.float32)
        together.eliminate_zeros()
        return together

    def _score(self, user_codes: Codes) -> Scores:
        """Sum the similarities."""
        return (self.histories[user_codes] @ self.neighbours).toarray()


class EASE(FromHistories):
    """A linear model of every item from all others, in closed form; no item may explain itself.

    Needs 12 n_items^2 bytes: 20 MB for 1,300 items, 2.7 GB for 15,000, 43 GB for 60,000. Where there are more
    than twice as many items as users, 4 n_items^2 + 24 n_users^2 are enough.

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
        """Solve for all columns at once; column j of `weights` (n_items, n_items) predicts item j.

        Raises
        ------
        ValueError
            The weights would not fit into this machine's memory.
        """
        self._hold_items(as_matrix(interactions))
        n_users, n_items = self.matrix.csr.shape
        needed = 4 * n_items**2 + (24 * n_users**2 if 2 * n_users < n_items else 8 * n_items**2)
        _require(
            needed < memory(),
            f"EASE takes {needed / 1e9:,.0f} GB for {n_items:,} items, and this machine has "
            f"{memory() / 1e9:,.0f} GB: keep fewer items, or take ItemKNN.",
        )
        self.weights = self._by_users() if 2 * n_users < n_items else self._by_items()
        np.fill_diagonal(self.weights, 0)
        self._read_histories()
        return self

    def _by_items(self) -> Scores:
        """Invert the regularized co-occurrences P = (X'X + l2)^-1: the weights are -P_ij / P_jj."""
        x = self.matrix.csr
        inverse = inverted(_products(x.T.tocsr(), self.l2))  # (n_items, n_items)
        weights = np.empty(inverse.shape, np.float32)
        return np.divide(inverse, -inverse.diagonal(), out=weights, casting="same_kind")

    def _by_users(self) -> Scores:
        """The same from users' common items, where that is the smaller table.

        By the identity of Woodbury l2 P = 1 - S with S = X' (X X' + l2)^-1 X, so the weights are
        S_ij / (1 - S_jj).
        """
        x, by_item = self.matrix.csr, self.matrix.csr.T.tocsr()
        inverse = inverted(_products(x, self.l2))  # (n_users, n_users)
        weights = np.empty((x.shape[1], x.shape[1]), np.float32)
        block = max(1, BLOCK // x.shape[1])
        for start in range(0, x.shape[1], block):
            some = slice(start, min(start + block, x.shape[1]))
            shares = by_item @ (by_item[some] @ inverse).T  # (n_items, b), columns of S
            own = shares[np.arange(some.start, some.stop), np.arange(shares.shape[1])]  # (b,)
            weights[:, some] = shares / (1 - own)
        return weights

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
        strengths = (self.l2 * (lengths + self.pair_weight * len(fixed)) ** self.nu).astype(np.float32)
        many = len(lengths) >= MANY
        if many:  # along the axes of `everything` it is diagonal
            spread, axes = np.linalg.eigh(everything)
            turned = padded @ axes  # (n + 1, dim)
        solved = np.empty((len(lengths), self.dim), np.float32)

        def solve(rows: Codes) -> None:
            columns, weights = padded_rows(x[rows])  # (b, longest) both
            if many and 2 * columns.shape[1] <= self.dim:
                diagonal = spread + strengths[rows, None]  # (b, dim)
                solved[rows] = _short_rows(turned[columns], weights, diagonal) @ axes.T
            else:
                solved[rows] = _any_rows(padded[columns], weights, everything, strengths[rows])

        in_parallel(solve, dict(enumerate(self._blocks(lengths))))
        return solved

    def _blocks(self, lengths: Codes) -> Iterator[Codes]:
        """Rows of similar length, of which neither the vectors nor the matrices to solve take much memory."""
        most = max(1, 4 * BLOCK // self.dim**2)
        for rows in like_lengths(lengths, BLOCK // self.dim):
            yield from (rows[start : start + most] for start in range(0, len(rows), most))

    def _score(self, user_codes: Codes) -> Scores:
        """Score near 1 what a user would have."""
        return self.user_vectors[user_codes] @ self.item_vectors.T


def _any_rows(vectors: Scores, weights: Scores, everything: Scores, strengths: Scores) -> Scores:
    """Solve (E + s + V' C V) x = V' c for V (b, p, dim), c (b, p), E (dim, dim), s (b,): (b, dim)."""
    counted = weights[:, :, None] * vectors  # (b, p, dim)
    left = vectors.transpose(0, 2, 1) @ counted + everything  # (b, dim, dim)
    left += strengths[:, None, None] * np.eye(vectors.shape[2], dtype=np.float32)
    return np.asarray(np.linalg.solve(left, counted.sum(1)[:, :, None])[:, :, 0])


def _short_rows(vectors: Scores, weights: Scores, diagonal: Scores) -> Scores:
    """Solve the same for small p, where E + s is diagonal, D (b, dim): by Woodbury's identity in p equations.

    With W = C^(1/2) V the solution is D^-1 W' z, where (1 + W D^-1 W') z = c^(1/2).
    """
    roots = np.sqrt(weights)  # (b, p)
    scaled = roots[:, :, None] * vectors  # (b, p, dim)
    over = scaled / diagonal[:, None]  # (b, p, dim)
    left = scaled @ over.transpose(0, 2, 1) + np.eye(vectors.shape[1], dtype=np.float32)  # (b, p, p)
    z = np.linalg.solve(left, roots[:, :, None])  # (b, p, 1)
    return np.asarray((over * z).sum(1))


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


def _products(x: csr_matrix, l2: float) -> Floats:
    """Write x x' + l2 into one dense table, a block of rows at a time: float64 (n_rows, n_rows)."""
    n = x.shape[0]
    table, transposed, block = np.empty((n, n)), x.T.tocsr(), max(1, BLOCK // n)
    for start in range(0, n, block):
        table[start : start + block] = (x[start : start + block] @ transposed).toarray()
    table[np.diag_indices(n)] += l2
    return table


def inverted(table: Floats) -> Floats:
    """Invert a positive definite matrix in its own memory, by Cholesky's decomposition: half the work.

    Parameters
    ----------
    table : float64 (n, n), symmetric, positive definite, in the order of C; it is overwritten

    Returns
    -------
    float64 (n, n), the inverse, in the memory of the table

    Examples
    --------
    >>> inverted(np.array([[2.0, 0.0], [0.0, 4.0]])).round(9).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    from scipy.linalg import lapack  # loads in a tenth of a second

    n = len(table)
    with one_blas_thread() if n <= MANY else nullcontext():
        factor, failed = lapack.dpotrf(table.T, lower=1, overwrite_a=1)  # LAPACK counts by columns
        _require(not failed, "The matrix to invert is not positive definite: give a larger l2.")
        inverse = lapack.dpotri(factor, lower=1, overwrite_c=1)[0].T  # (n, n), the upper half of it
    block = max(1, BLOCK // n)
    for start in range(0, n, block):
        corner = inverse[start : start + block, start : start + block]
        corner[:] = np.triu(corner) + np.triu(corner, 1).T
        inverse[start + block :, start : start + block] = inverse[start : start + block, start + block :].T
    return inverse


def _require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)

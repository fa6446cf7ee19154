"""A BPR user from their history alone: items stay as they are, and the user's vector is solved for.

With items fixed, the BPR loss of one user is a convex problem of their own. Every positive i is compared with
one number, the smooth maximum of the scores x_j = w . h_j + b_j of many items that the user does not have,

    m(w) = T log mean_j exp(x_j / T).

Its gradient is that of the negatives' scores, weighted by softmax(x_j / T): hard negatives count more, as
they do in training with weighted negatives. Of the vectors w, the user's is the one that minimizes

    sum_i c_i softplus(m(w) - x_i) + l2 / 2 * sum_i c_i |w|^2,

where c_i is how much the positive counts. A few Newton steps find it. Nobody else's history enters.

Sizes, as the comments on shapes name them: b users of a block, p positives of the longest history among them,
k negatives common to all users, d the length of a vector.

References
----------
Rendle et al. (2009), BPR: Bayesian Personalized Ranking from Implicit Feedback, for the loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import expit

from bpr_helpers.matrix import BLOCK, Codes, like_lengths, padded_rows
from bpr_helpers.parallel import in_parallel

Vectors = NDArray[np.float32]

N_NEGATIVES = 2048  # everybody's; all items where there are no more
MOST_STEPS = 30  # a bound that no user should reach: about four are needed
NEAR = 1e-2  # a user whose entries all moved by less is near: the next step would be about its square


def solve_users(
    history: csr_matrix,
    item_vectors: Vectors,
    item_biases: Vectors,
    *,
    l2: float,
    temperature: float,
    n_negatives: int = N_NEGATIVES,
    seed: int = 0,
) -> Vectors:
    """Find the best vector of every user for a weighted history, items and biases given.

    Parameters
    ----------
    history : csr_matrix (n_users, n_items), how much each positive counts
    item_vectors : float32 (n_items, d)
    item_biases : float32 (n_items,)
    l2 : float > 0, strength of the L2 per positive
    temperature : float > 0, T: the lower, the more the hardest negatives count
    n_negatives : int, the items with which positives are compared, the same for all users
    seed : int, of these items, where there are more

    Returns
    -------
    float32 (n_users, d); zeros for a user without history
    """
    n_items, d = item_vectors.shape
    negatives = common_negatives(n_items, n_negatives, seed)
    shared = _Shared(item_vectors[negatives], item_biases[negatives], temperature)
    padded_vectors = np.vstack([item_vectors, np.zeros((1, d), np.float32)])  # code n_items: no item
    padded_biases = np.append(item_biases, np.float32(0))
    users = np.zeros((history.shape[0], d), np.float32)

    def solve(rows: Codes) -> None:
        codes, weights = padded_rows(history[rows])  # (b, p) both
        seen = history[rows][:, negatives].toarray() > 0  # (b, k)
        seen[seen.all(1)] = False  # who has them all is compared with them all
        strengths = l2 * weights.sum(1)  # (b,)
        block = _Block(shared, padded_vectors[codes], padded_biases[codes], weights, seen, strengths)
        users[rows] = block.solve()

    most = BLOCK // max(len(negatives), d * d)
    in_parallel(solve, dict(enumerate(_blocks(np.diff(history.indptr), most=most, d=d))))
    return users


def common_negatives(n_items: int, n: int, seed: int) -> Codes:
    """Draw n distinct items, or take all where there are no more: int64 (k,), sorted codes."""
    if n_items <= n:
        return np.arange(n_items)
    return np.sort(np.random.default_rng(seed).choice(n_items, n, replace=False))


def _blocks(lengths: Codes, *, most: int, d: int) -> Iterator[Codes]:
    """Users with a history of similar length, at most `most` at once."""
    known = np.flatnonzero(lengths)
    for group in like_lengths(lengths[known], BLOCK // d):
        for start in range(0, len(group), max(1, most)):
            yield known[group[start : start + max(1, most)]]


class _Shared:
    """The negatives that all users have in common."""

    def __init__(self, vectors: Vectors, biases: Vectors, temperature: float) -> None:
        self.vectors, self.biases, self.temperature = vectors, biases, np.float32(temperature)
        # One product with these gives a block of users their weighted sums of h h^T, which are symmetric.
        self.upper = np.triu_indices(vectors.shape[1])
        self.products = vectors[:, self.upper[0]] * vectors[:, self.upper[1]]  # (k, d (d + 1) / 2)

    def second_moments(self, shares: Vectors) -> Vectors:
        """Mean of h h^T under the shares (b, k) of each user: (b, d, d)."""
        d, (row, column) = self.vectors.shape[1], self.upper
        moments = np.empty((len(shares), d, d), np.float32)
        moments[:, row, column] = moments[:, column, row] = shares @ self.products
        return moments


class _State(NamedTuple):
    """Where users stand: their losses (b,), how far positives are above m (b, p), and shares in m (b, k)."""

    loss: Vectors
    leads: Vectors
    shares: Vectors


@dataclass(frozen=True)
class _Block:
    """Some users, with what their vectors are to be solved from."""

    shared: _Shared
    positives: Vectors  # (b, p, d)
    biases: Vectors  # (b, p)
    weights: Vectors  # (b, p): 0 where a history is shorter
    seen: NDArray[np.bool_]  # (b, k): True where a common negative is a positive of the user
    l2: Vectors  # (b,)

    def solve(self) -> Vectors:
        """Newton's method from zero, halving the steps that do not lower the loss: (b, d).

        Steps are in single precision, whose noise depends on the sizes of the block. Three more with the last
        curvature, which hardly changes so near, and the gradient in double precision take it away.
        """
        n, d = len(self.l2), self.positives.shape[2]
        users, curvature = np.zeros((n, d), np.float32), np.empty((n, d, d), np.float32)
        moving, block, now = np.arange(n), self, self._state(users)
        for _ in range(MOST_STEPS):
            curvature[moving] = bent = block._curvature(now)
            step = -_solved(bent, block._gradient(users[moving], now))
            new = block._state(users[moving] + step)
            while (worse := new.loss > now.loss * np.float32(1 + 1e-5)).any():
                step[worse] /= 2
                new = block._state(users[moving] + step)
            users[moving] += step
            far = np.abs(step).max(1) >= NEAR
            if not far.any():
                break
            moving, block, now = moving[far], block._only(far), _State(*(part[far] for part in new))
        exact = users.astype(float)
        for _ in range(3):
            step = -_solved(curvature, self._gradient(exact, self._state(exact)))
            exact += step * (np.abs(step).max(1) < NEAR)[:, None]
        return exact.astype(np.float32)

    def _only(self, some: NDArray[np.bool_]) -> _Block:
        of_positives = self.positives[some], self.biases[some], self.weights[some]
        return _Block(self.shared, *of_positives, self.seen[some], self.l2[some])

    def _state(self, users: Vectors) -> _State:
        scores = users @ self.shared.vectors.T + self.shared.biases  # (b, k)
        scores /= self.shared.temperature
        np.copyto(scores, -np.inf, where=self.seen)
        highest = scores.max(1, keepdims=True)  # (b, 1)
        shares = np.exp(scores - highest)  # (b, k)
        total = shares.sum(1, keepdims=True)  # (b, 1)
        shares /= total
        n_compared = self.seen.shape[1] - self.seen.sum(1, keepdims=True)  # (b, 1)
        maximum = self.shared.temperature * (highest + np.log(total) - np.log(n_compared))  # (b, 1)
        above = (self.positives @ users[:, :, None])[:, :, 0] + self.biases  # (b, p)
        leads = (above - maximum).astype(users.dtype)
        loss = (self.weights * np.logaddexp(0, -leads)).sum(1) + self.l2 / 2 * (users**2).sum(1)
        return _State(loss, leads, shares)

    def _gradient(self, users: Vectors, state: _State) -> Vectors:
        push = self.weights * expit(-state.leads)  # (b, p)
        mean = state.shares @ self.shared.vectors  # (b, d): the gradient of m
        pulled = (push[:, None] @ self.positives)[:, 0]  # (b, d)
        return push.sum(1)[:, None] * mean - pulled + self.l2[:, None] * users  # (b, d)

    def _curvature(self, state: _State) -> Vectors:
        push = self.weights * expit(-state.leads)  # (b, p)
        bend = push * expit(state.leads)  # (b, p): how fast the push changes
        mean = state.shares @ self.shared.vectors  # (b, d)
        away = mean[:, None] - self.positives  # (b, p, d)
        curvature = self.shared.second_moments(state.shares) - mean[:, :, None] * mean[:, None]  # (b, d, d)
        curvature *= (push.sum(1) / self.shared.temperature)[:, None, None]
        curvature += (bend[:, :, None] * away).transpose(0, 2, 1) @ away
        curvature += self.l2[:, None, None] * np.eye(mean.shape[1], dtype=np.float32)
        return curvature


def _solved(curvature: Vectors, gradient: Vectors) -> Vectors:
    return np.asarray(np.linalg.solve(curvature, gradient[:, :, None])[:, :, 0])

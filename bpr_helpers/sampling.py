"""Negative samplers: which items a positive is compared with, and how much each of them counts.

A sampler does two things. On the host, `draw` picks candidate items with NumPy. In the compiled training
step, `negative_weights` says how much each candidate counts, given the current scores; they sum to one over
the candidates of a positive. With one candidate this is the sampler of Rendle et al. (2009).

A sampler is either *own*: every positive has candidates of its own, drawn so that none is a positive of its
user; or *shared*: all positives of a batch have the same candidates, so that scoring them is one matrix
product, and a candidate that happens to be a positive of a user is masked for that user.

Sizes, as the comments on shapes name them: b users of a batch, each with its positive; k candidates of each,
or of the whole batch where they are shared; nnz positives in all.

References
----------
Rendle et al. (2009), BPR: Bayesian Personalized Ranking from Implicit Feedback.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np

from bpr_helpers.matrix import InteractionMatrix

if TYPE_CHECKING:
    import tensorflow as tf

SamplerName = Literal["uniform", "popularity", "hard", "shared", "weighted"]


class NegativeWeights(Protocol):
    """How much each candidate counts; equal objects are equal functions, so that programs can be reused."""

    def __call__(self, scores: tf.Tensor, allowed: tf.Tensor) -> tf.Tensor:
        """Weights (b, k) from scores (b, k) and allowed (b, k) of 0 and 1; a row sums to one, or is all 0."""

    def __hash__(self) -> int: ...


class Sampler(Protocol):
    """What the training loop asks of a sampler.

    Attributes
    ----------
    shared : bool
        True: `draw` gives one row of candidates per batch; False: one row per positive.
    negative_weights : NegativeWeights
        Called in the compiled step with the current scores.
    """

    shared: bool
    negative_weights: NegativeWeights

    def __init__(self, matrix: InteractionMatrix, n_negatives: int, **own: float) -> None: ...

    def draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Candidates for user codes of shape (n_batches, batch_size).

        Returns
        -------
        ndarray of int32
            Item codes, (n_batches, k) where shared, else (n_batches, batch_size, k).
        """


def mean_weights(scores: tf.Tensor, allowed: tf.Tensor) -> tf.Tensor:
    """Equal weights for the allowed candidates of a row; all 0 where none is allowed."""
    import tensorflow as tf

    return allowed / tf.maximum(tf.reduce_sum(allowed, axis=1, keepdims=True), 1.0)  # (b, k) / (b, 1)


def hardest_weights(scores: tf.Tensor, allowed: tf.Tensor) -> tf.Tensor:
    """All weight on the candidate with the highest score; all candidates must be allowed."""
    import tensorflow as tf

    return tf.one_hot(tf.argmax(scores, axis=1), scores.shape[1])  # (b, k)


@dataclass(frozen=True)
class SoftmaxWeights:
    """A softmax of the allowed candidates' scores divided by a temperature."""

    temperature: float

    def __call__(self, scores: tf.Tensor, allowed: tf.Tensor) -> tf.Tensor:
        import tensorflow as tf

        masked = tf.where(allowed > 0, scores / self.temperature, -1e9)  # (b, k)
        return allowed * tf.nn.softmax(masked, axis=1)


def require_unseen(matrix: InteractionMatrix) -> None:
    """Raise a ValueError where a user has seen every item, so that no negative exists."""
    full = np.flatnonzero(np.diff(matrix.csr.indptr) == matrix.n_items)
    if full.size:
        raise ValueError(
            f"User {matrix.user_ids[full[:1]].tolist()[0]!r} has interacted with all {matrix.n_items} items, "
            f"so there is no negative to draw ({full.size} such users): drop them before training."
        )


class UnseenItems:
    """The r-th item that a user has not seen, for whole arrays of users, without rejection or a dense mask.

    With a user's positives sorted as p_0 < p_1 < ..., the number of unseen items below p_j is p_j - j. So the
    r-th unseen item (from 0) is r + #{j : p_j - j <= r}. The keys p_j - j + user * n_items of all users form
    one sorted array, and one binary search in it answers for a whole batch.

    Parameters
    ----------
    matrix : InteractionMatrix

    Raises
    ------
    ValueError
        When a user has seen every item, so that no negative exists.
    """

    def __init__(self, matrix: InteractionMatrix) -> None:
        require_unseen(matrix)
        csr = matrix.csr
        seen = np.diff(csr.indptr)  # (n_users,)
        self.n_items = matrix.n_items
        self.starts = csr.indptr.astype(np.int64)  # (n_users + 1,)
        self.counts = matrix.n_items - seen.astype(np.int64)  # (n_users,): how many are unseen
        rows = np.repeat(np.arange(matrix.n_users, dtype=np.int64), seen)  # (nnz,)
        position = np.arange(csr.nnz, dtype=np.int64) - self.starts[rows]  # (nnz,): the j of p_j
        self.keys = csr.indices - position + rows * matrix.n_items  # (nnz,), ascending

    def item(self, users: np.ndarray, ranks: np.ndarray) -> np.ndarray:
        """Codes of the `ranks`-th unseen items of `users`, arrays of one shape; ranks < `counts[users]`."""
        below = np.searchsorted(self.keys, users * np.int64(self.n_items) + ranks, side="right")
        return (ranks + below - self.starts[users]).astype(np.int32)


class Uniform:
    """Unseen items with equal probability, exactly.

    Parameters
    ----------
    matrix : InteractionMatrix
    n_negatives : int
        Candidates per positive; each counts 1 / n_negatives.

    References
    ----------
    Rendle et al. (2009), BPR: Bayesian Personalized Ranking from Implicit Feedback.
    """

    shared = False
    negative_weights: NegativeWeights = staticmethod(mean_weights)

    def __init__(self, matrix: InteractionMatrix, n_negatives: int = 1) -> None:
        self.unseen = UnseenItems(matrix)
        self.n_negatives = n_negatives

    def draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        users = np.broadcast_to(users[..., None], (*users.shape, self.n_negatives))  # (n_batches, b, k)
        ranks = (rng.random(users.shape) * self.unseen.counts[users]).astype(np.int64)
        return self.unseen.item(users, ranks)


class ByPopularity:
    """Unseen items with probability proportional to their number of interactions to the power alpha.

    Items are drawn for everybody alike and drawn again where the user has seen them, which leaves exactly the
    distribution over the unseen ones. After `TRIES` rounds the few that are left are drawn from their user's
    own distribution.

    Parameters
    ----------
    matrix : InteractionMatrix
    n_negatives : int
        Candidates per positive; each counts 1 / n_negatives.
    alpha : float
        0 is uniform, 1 proportional to popularity.

    References
    ----------
    Mikolov et al. (2013), Distributed Representations of Words and Phrases and their Compositionality, with
    an exponent of 0.75 for words.
    """

    shared = False
    negative_weights: NegativeWeights = staticmethod(mean_weights)
    TRIES = 20

    def __init__(self, matrix: InteractionMatrix, n_negatives: int = 1, alpha: float = 0.5) -> None:
        require_unseen(matrix)
        self.matrix = matrix
        self.n_negatives = n_negatives
        self.mass = np.bincount(matrix.csr.indices, minlength=matrix.n_items).astype(float) ** alpha
        self.cumulative = np.cumsum(self.mass)  # (n_items,)
        self.cumulative /= self.cumulative[-1]  # ends at exactly 1, above every random number
        users = np.repeat(np.arange(matrix.n_users, dtype=np.int64), np.diff(matrix.csr.indptr))  # (nnz,)
        self.pairs = users * matrix.n_items + matrix.csr.indices  # (nnz,), ascending

    def draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        owners = np.repeat(users.ravel().astype(np.int64), self.n_negatives)  # (n_batches * b * k,)
        items = np.empty(owners.size, np.int32)
        open_ = np.arange(owners.size)  # places that are still to be drawn
        for _ in range(self.TRIES):
            items[open_] = np.searchsorted(self.cumulative, rng.random(open_.size), side="right")
            open_ = open_[self._seen(owners[open_], items[open_])]
        for row in open_:
            items[row] = self._draw_for(owners[row], rng)
        return items.reshape(*users.shape, self.n_negatives)

    def _seen(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        keys = users * self.matrix.n_items + items
        places = np.minimum(np.searchsorted(self.pairs, keys), self.pairs.size - 1)
        return self.pairs[places] == keys

    def _draw_for(self, user: int, rng: np.random.Generator) -> int:
        mass = self.mass.copy()
        mass[self.matrix.csr[user].indices] = 0.0
        if not mass.any():  # only items without interactions are left
            mass = np.ones_like(mass)
            mass[self.matrix.csr[user].indices] = 0.0
        return int(rng.choice(mass.size, p=mass / mass.sum()))


class Hard(Uniform):
    """The one of `n_negatives` uniform unseen items that the model now scores highest.

    References
    ----------
    Zhang et al. (2013), Optimizing Top-N Collaborative Filtering via Dynamic Negative Item Sampling.
    """

    negative_weights = staticmethod(hardest_weights)


class Shared:
    """`n_negatives` uniform items for the whole batch, those that the user has seen left out.

    Parameters
    ----------
    matrix : InteractionMatrix
    n_negatives : int
        Candidates per batch; those allowed for a user count equally.
    """

    shared = True
    negative_weights: NegativeWeights = staticmethod(mean_weights)

    def __init__(self, matrix: InteractionMatrix, n_negatives: int = 128) -> None:
        require_unseen(matrix)
        self.n_items = matrix.n_items
        self.n_negatives = n_negatives

    def draw(self, users: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return rng.integers(self.n_items, size=(len(users), self.n_negatives), dtype=np.int32)


class Weighted(Shared):
    """Shared items, weighted by a softmax of their current scores: the harder a negative, the more it counts.

    The weights are constants to the gradient. A low temperature approaches the hardest candidate alone, a
    high one the plain mean.

    Parameters
    ----------
    matrix : InteractionMatrix
    n_negatives : int
        Candidates per batch.
    temperature : float
        In units of the score.

    References
    ----------
    Sun et al. (2019), RotatE: Knowledge Graph Embedding by Relational Rotation in Complex Space, where these
    weights are called self-adversarial.
    """

    def __init__(self, matrix: InteractionMatrix, n_negatives: int = 128, temperature: float = 0.7) -> None:
        super().__init__(matrix, n_negatives)
        self.negative_weights = SoftmaxWeights(temperature)


class SeenBits:
    """Has this user seen this item? One bit per pair, folded where there are many pairs.

    The bit of a pair stands at (user * n_items + item) modulo the size of the table. While the table holds
    every pair, the answer is exact. Above `BITS_PER_INTERACTION` bits per interaction the table is folded: a
    seen pair is still always found, and an unseen one is taken for seen with a chance of about one in
    `BITS_PER_INTERACTION`, which costs a shared negative and never lets a positive pass.
    """

    BITS_PER_INTERACTION = 32
    AT_ONCE = 2**22  # positives that are entered together

    def __init__(self, matrix: InteractionMatrix) -> None:
        self.n_items = matrix.n_items
        needed = min(matrix.n_users * matrix.n_items, max(2**16, self.BITS_PER_INTERACTION * matrix.csr.nnz))
        self.n_bits = 1 << max(3, int(needed - 1).bit_length())
        self.table = np.zeros(self.n_bits >> 3, np.uint8)
        ends = matrix.csr.indptr
        bounds = np.unique(np.searchsorted(ends, [*range(0, matrix.csr.nnz, self.AT_ONCE), matrix.csr.nnz]))
        for first, last in itertools.pairwise(bounds.tolist()):  # some users, so that memory is bounded
            users = np.repeat(np.arange(first, last, dtype=np.int64), np.diff(ends[first : last + 1]))
            places = (users * self.n_items + matrix.csr.indices[ends[first] : ends[last]]) & (self.n_bits - 1)
            np.bitwise_or.at(self.table, places >> 3, np.uint8(1) << (places & 7).astype(np.uint8))

    @staticmethod
    def unseen(table: tf.Tensor, users: tf.Tensor, items: tf.Tensor, n_items: int) -> tf.Tensor:
        """1.0 where a pair is unseen, 0.0 where it is seen: users (b,), items (k,) -> (b, k), as tensors."""
        import tensorflow as tf

        pairs = tf.cast(users, tf.int64)[:, None] * n_items + tf.cast(items, tf.int64)[None, :]  # (b, k)
        places = tf.bitwise.bitwise_and(pairs, 8 * table.shape[0] - 1)
        words = tf.cast(tf.gather(table, tf.cast(places // 8, tf.int32)), tf.int32)
        bits = tf.bitwise.right_shift(words, tf.cast(places % 8, tf.int32))
        return tf.cast(1 - tf.bitwise.bitwise_and(bits, 1), tf.float32)


SAMPLERS: dict[SamplerName, type[Sampler]] = {
    "uniform": Uniform,
    "popularity": ByPopularity,
    "hard": Hard,
    "shared": Shared,
    "weighted": Weighted,
}
USUAL_NEGATIVES: dict[SamplerName, int] = {
    "uniform": 1,
    "popularity": 1,
    "hard": 8,
    "shared": 128,
    "weighted": 128,
}


def make_sampler(
    name: SamplerName,
    matrix: InteractionMatrix,
    *,
    n_negatives: int = 0,
    temperature: float = 0.7,
) -> Sampler:
    """The sampler of that name.

    Parameters
    ----------
    name : {"uniform", "popularity", "hard", "shared", "weighted"}
    matrix : InteractionMatrix
        The positives to train on.
    n_negatives : int
        Candidates per positive, or per batch where shared; 0 takes the usual number of `USUAL_NEGATIVES`.
    temperature : float
        Of "weighted".

    Raises
    ------
    ValueError
        For an unknown name, or when a user has seen every item.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"user_id": ["ann", "ann", "bob"], "item_id": [1, 2, 3]})
    >>> sampler = make_sampler("uniform", InteractionMatrix.from_frame(frame))
    >>> sampler.draw(np.array([[0, 0, 0]]), np.random.default_rng(0)).ravel().tolist()  # ann has 0 and 1
    [2, 2, 2]
    """
    if name not in SAMPLERS:
        raise ValueError(f"There is no sampler {name!r}: choose one of {', '.join(SAMPLERS)}.")
    own = {"temperature": temperature} if name == "weighted" else {}
    return SAMPLERS[name](matrix, n_negatives or USUAL_NEGATIVES[name], **own)


def drawn_shares(
    sampler: Sampler,
    matrix: InteractionMatrix,
    users: np.ndarray,
    score: Callable[[np.ndarray, np.ndarray], np.ndarray],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw negatives as training does, and say how much each counts: to look at a sampler from outside.

    Parameters
    ----------
    sampler : Sampler
    matrix : InteractionMatrix, the positives that it was made for
    users : int (n_batches, b), the users of the positives
    score : function from codes of users (n, 1) and of items (n, k) to the scores (n, k) of a model
    rng : Generator, of the draws

    Returns
    -------
    items : int (n_batches * b, k), the candidates of each positive
    shares : float32 (n_batches * b, k), how much each counts; a row sums to one, or is all 0 where its user
        has all of them
    """
    import tensorflow as tf

    items = sampler.draw(users, rng)
    if sampler.shared:  # (n_batches, k): the same for all positives of a batch
        items = np.repeat(items[:, None], users.shape[1], axis=1)
    owners, items = users.reshape(-1, 1), items.reshape(users.size, -1)  # (n, 1), (n, k)
    pairs = np.broadcast_to(owners, items.shape).ravel(), items.ravel()
    allowed = (~matrix.contains(*pairs)).reshape(items.shape).astype(np.float32)
    scores = np.asarray(score(owners, items), np.float32)
    return items, np.asarray(sampler.negative_weights(tf.constant(scores), tf.constant(allowed)))

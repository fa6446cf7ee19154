"""The model of Bayesian Personalized Ranking: vectors, biases, and the loss of a triple.

A triple is a user, a positive i and a negative j.

The score of user u for item i is the dot product of their vectors plus the item's bias,

    x_ui = w_u . h_i + b_i,

and training makes x_ui - x_uj large for a positive i and a negative j.

Sizes, as the comments on shapes name them: b users of a batch, each with its positive; k negatives of each,
or of the whole batch where they are shared; d the length of a vector.

References
----------
Rendle et al. (2009), BPR: Bayesian Personalized Ranking from Implicit Feedback.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


@contextmanager
def _stderr_closed() -> Iterator[None]:
    """Hold back what a library writes straight to the file descriptor: no Python stream would see it."""
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


with _stderr_closed():  # TensorFlow logs what it was built with while it is imported, at every log level
    import keras
    import tensorflow as tf


class Tables(NamedTuple):
    """What training changes: one table of user vectors, one of item vectors, one of item biases.

    users : float32 (n_users, d)
    items : float32 (n_items, d)
    biases : float32 (n_items,)

    As arrays here and between epochs, as tensors in the compiled program.
    """

    users: Any
    items: Any
    biases: Any


@dataclass(frozen=True)
class L2:
    """Strengths of regularization: each is lambda in lambda / 2 times a squared norm, per sampled triple."""

    user: float = 0.0
    pos: float = 0.0
    neg: float = 0.0
    bias: float = 0.0


@keras.saving.register_keras_serializable("bpr_helpers")
class BPRModel(keras.Model):
    """User vectors, item vectors and item biases; called with pairs of codes it returns their scores.

    Parameters
    ----------
    n_users, n_items : int
        Numbers of codes.
    dim : int
        Length of a vector.
    item_bias : bool
        False keeps all biases at zero.
    init_scale : float
        Standard deviation of the initial vectors; biases start at zero.
    seed : int
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        dim: int,
        *,
        item_bias: bool = True,
        init_scale: float = 0.1,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.settings = {
            "n_users": n_users,
            "n_items": n_items,
            "dim": dim,
            "item_bias": item_bias,
            "init_scale": init_scale,
            "seed": seed,
        }
        rng = np.random.default_rng(seed)
        for name, rows in (("user_vectors", n_users), ("item_vectors", n_items)):
            start = init_scale * rng.standard_normal((rows, dim), dtype=np.float32)
            setattr(self, name, self.add_weight(shape=start.shape, name=name, initializer="zeros"))
            getattr(self, name).assign(start)
        self.item_biases = self.add_weight(
            shape=(n_items,), name="item_biases", initializer="zeros", trainable=item_bias
        )
        self.built = True

    @property
    def tables(self) -> Tables:
        """The weights as arrays."""
        return Tables(self.user_vectors.numpy(), self.item_vectors.numpy(), self.item_biases.numpy())

    def call(self, pairs: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
        """Scores of pairs: user codes (b,) and item codes (b,) -> (b,)."""
        users, items = pairs
        products = tf.gather(self.user_vectors, users) * tf.gather(self.item_vectors, items)  # (b, d)
        return tf.reduce_sum(products, axis=-1) + tf.gather(self.item_biases, items)  # (b,)

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs to build the same model again."""
        return {**super().get_config(), **self.settings}


def negative_scores(user: tf.Tensor, negative: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Scores of the candidates: user (b, d) with shared (k, d) or own (b, k, d) vectors -> (b, k)."""
    if negative.shape.rank == 2:
        return tf.matmul(user, negative, transpose_b=True) + bias  # (b, d) @ (d, k) + (k,)
    return tf.einsum("bd,bkd->bk", user, negative) + bias  # (b, d) with (b, k, d), + (b, k)


def bpr_loss(positive_scores: tf.Tensor, negative_scores: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Sum over triples of -weight * log sigmoid(x_ui - x_uj): (b,), (b, k), (b, k) -> scalar.

    Written as softplus(x_uj - x_ui), which does not overflow.

    References
    ----------
    Rendle et al. (2009), BPR: Bayesian Personalized Ranking from Implicit Feedback, section 4.

    Examples
    --------
    >>> one = tf.constant([[1.0]])
    >>> round(float(bpr_loss(tf.constant([2.0]), tf.constant([[2.0]]), one)), 4)  # no lead at all: ln 2
    0.6931
    """
    return tf.reduce_sum(weights * tf.nn.softplus(negative_scores - positive_scores[:, None]))


def l2_penalty(
    user: tf.Tensor,
    positive: tf.Tensor,
    negative: tf.Tensor,
    positive_bias: tf.Tensor,
    negative_bias: tf.Tensor,
    weights: tf.Tensor,
    l2: L2,
) -> tf.Tensor:
    """Half the strength times the squared norm of all that a triple touches, with the triple's weight.

    Shapes: user and positive (b, d); negative (k, d) shared or (b, k, d) own; positive_bias (b,);
    negative_bias (k,) or (b, k); weights (b, k). A sum over the batch, like `bpr_loss`.
    """
    of_positive = tf.reduce_sum(weights, axis=1)  # (b,): 1, or 0 for a row that only fills up the last batch
    of_negative = tf.reduce_sum(weights, axis=0) if negative.shape.rank == 2 else weights  # (k,) or (b, k)

    def term(strength: float, weight: tf.Tensor, vector: tf.Tensor) -> tf.Tensor:
        return 0.5 * strength * tf.reduce_sum(weight[..., None] * tf.square(vector))

    return (
        term(l2.user, of_positive, user)
        + term(l2.pos, of_positive, positive)
        + term(l2.neg, of_negative, negative)
        + term(l2.bias, of_positive, positive_bias[..., None])
        + term(l2.bias, of_negative, negative_bias[..., None])
    )

"""Training: epochs through one compiled program, early stopping, weight averaging, checkpoint and resume.

Why a loop of its own under XLA: on MovieLens-100K an epoch of `keras.Model.fit` with the same loss takes
about twice as long, and the wait before its first is about three times as long (benchmarks/training.py).
Why Adagrad row by row: a batch touches a few thousand rows, so updating only those keeps a step's cost nearly
independent of the numbers of users and items.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from bpr_helpers.model import L2, bpr_loss, l2_penalty, negative_scores  # first: imports TensorFlow quietly

# isort: split
import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.sampling import Sampler, SeenBits, Weights

STEPS_PER_CALL = 1024  # batches handed to the compiled program at once: bounds the memory for drawn negatives
DIVERGED = 10 * np.log(2)  # ten times the loss of a model that knows nothing

Tables = tuple[Any, ...]  # user vectors (n_users, d), item vectors (n_items, d), item biases (n_items,)


class Optimizer(Protocol):
    """Turns gradients of the touched rows into new tables."""

    def start(self, tables: Tables) -> Tables:
        """Its own arrays before the first step."""

    def __hash__(self) -> int: ...

    def step(self, tables: Tables, slots: Tables, rows: Tables, gradients: Tables) -> tuple[Tables, Tables]:
        """One step on tensors: per table the rows (m,), repeats allowed, and their gradients (m, ...)."""


@dataclass(frozen=True)
class RowAdagrad:
    """Adagrad (Duchi et al. 2011) that reads and writes only the rows that a batch touches.

    The gradients of a row that a batch touches several times are summed before they are squared, so a step
    equals one of the dense optimizer. Tables of fewer rows than `DENSE` times those touched are updated
    whole, which gives the same numbers and is quicker there.
    """

    learning_rate: float
    initial_accumulator: float = 0.001
    epsilon: float = 1e-7
    DENSE = 4

    def start(self, tables: Tables) -> Tables:
        """Squares collected so far, then per table one integer a row, for `_sum_repeats`."""
        accumulators = tuple(np.full_like(table, self.initial_accumulator) for table in tables)
        return accumulators + tuple(np.zeros(len(table), np.int32) for table in tables)

    def step(self, tables: Tables, slots: Tables, rows: Tables, gradients: Tables) -> tuple[Tables, Tables]:
        n = len(tables)
        moved = [self._move(*one) for one in zip(tables, slots[:n], slots[n:], rows, gradients, strict=True)]
        new_tables, accumulators, places = zip(*moved, strict=True)
        return new_tables, accumulators + places

    def _move(
        self,
        table: tf.Tensor,
        accumulator: tf.Tensor,
        places: tf.Tensor,
        rows: tf.Tensor,
        gradient: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        at = rows[:, None]
        if table.shape[0] < self.DENSE * rows.shape[0]:
            summed = tf.scatter_nd(at, gradient, table.shape)
            accumulator = accumulator + tf.square(summed)
            return table - self._change(summed, accumulator), accumulator, places
        total, places = _sum_repeats(places, rows, gradient)
        squares = tf.gather(accumulator, rows) + tf.square(total)
        new = tf.gather(table, rows) - self._change(total, squares)
        return (
            tf.tensor_scatter_nd_update(table, at, new),
            tf.tensor_scatter_nd_update(accumulator, at, squares),
            places,
        )

    def _change(self, gradient: tf.Tensor, squares: tf.Tensor) -> tf.Tensor:
        return self.learning_rate * gradient * tf.math.rsqrt(squares + self.epsilon)


def _sum_repeats(places: tf.Tensor, rows: tf.Tensor, gradient: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Per entry of rows (m,) the sum of the gradients (m, ...) of all entries that name the same row.

    Every entry writes its place into its row's cell of places (n_rows,); the one that stays is where the
    row's gradients are summed. Cells are read only after they were written, so they never need clearing.
    """
    places = tf.tensor_scatter_nd_update(places, rows[:, None], tf.range(rows.shape[0]))
    place = tf.gather(places, rows)
    summed = tf.scatter_nd(place[:, None], gradient, gradient.shape)
    return tf.gather(summed, place), places


class KerasOptimizer:
    """Any Keras optimizer, with dense gradients: every step reads and writes all rows."""

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        self.optimizer = optimizer

    def start(self, tables: Tables) -> Tables:
        self.variables = [keras.Variable(table) for table in tables]
        self.optimizer.build(self.variables)
        return tuple(variable.numpy() for variable in self.optimizer.variables)

    def step(self, tables: Tables, slots: Tables, rows: Tables, gradients: Tables) -> tuple[Tables, Tables]:
        dense = [
            tf.tensor_scatter_nd_add(tf.zeros_like(table), row[:, None], gradient)
            for table, row, gradient in zip(tables, rows, gradients, strict=True)
        ]
        for variable, value in zip(self.variables + self.optimizer.variables, tables + slots, strict=True):
            variable.assign(value)
        self.optimizer.apply(dense, self.variables)
        values = tuple(tf.identity(variable.value) for variable in self.variables + self.optimizer.variables)
        return values[: len(tables)], values[len(tables) :]


def triple_gradients(
    tables: Tables,
    users: tf.Tensor,
    positives: tf.Tensor,
    negatives: tf.Tensor,
    allowed: tf.Tensor,
    counts: tf.Tensor,
    weigh: Weights,
    l2: L2,
) -> tuple[tf.Tensor, tf.Tensor, Tables, Tables]:
    """Loss, correctly ordered pairs, and the gradients of the rows that a batch touches.

    users and positives (b,), negatives (k,) or (b, k), allowed (b, k) of 0 and 1, counts (b,) how much each
    positive counts, weigh the sampler's weights -> loss (scalar sum, without L2), correct (scalar sum of
    shares), rows (m,) and gradients (m, ...) per table.
    """
    user_table, item_table, biases = tables
    items = tf.concat([positives, tf.reshape(negatives, [-1])], axis=0)  # one reading of each table
    touched = tf.gather(user_table, users), tf.gather(item_table, items), tf.gather(biases, items)
    with tf.GradientTape() as tape:
        tape.watch(touched)
        user, vectors, item_biases = touched
        positive, negative = _parted(vectors, positives, negatives)
        positive_bias, negative_bias = _parted(item_biases, positives, negatives)
        above = tf.reduce_sum(user * positive, axis=1) + positive_bias  # (b,)
        below = negative_scores(user, negative, negative_bias)  # (b, k)
        weights = counts[:, None] * tf.stop_gradient(weigh(below, allowed))  # (b, k)
        loss = bpr_loss(above, below, weights)
        total = loss + l2_penalty(user, positive, negative, positive_bias, negative_bias, weights, l2)
    gradients = tape.gradient(total, touched)
    n_allowed = tf.maximum(tf.reduce_sum(allowed, axis=1), 1.0)
    ordered = tf.reduce_sum(allowed * tf.cast(above[:, None] > below, allowed.dtype), axis=1)
    return loss, tf.reduce_sum(counts * ordered / n_allowed), (users, items, items), tuple(gradients)


def _parted(of_items: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What belongs to the positives (b, ...), and to the negatives in their shape."""
    of_positives, of_negatives = tf.split(of_items, [positives.shape[0], -1])
    return of_positives, tf.reshape(of_negatives, negatives.shape + of_items.shape[1:])


@lru_cache(maxsize=16)
def compile_epoch(
    shared: bool, weigh: Weights, optimizer: Optimizer, item_bias: bool
) -> tf.types.experimental.PolymorphicFunction:
    """The compiled program that takes tables and optimizer slots through up to `STEPS_PER_CALL` batches.

    It is kept: another fit with the same weights, optimizer and shapes does not wait for the compiler again.
    """

    @tf.function(jit_compile=True, autograph=False)
    def run(
        tables: Tables,
        slots: Tables,
        table_of_bits: tf.Tensor,
        l2: tf.Tensor,  # (4,): the strengths of `L2`
        users: tf.Tensor,  # (s, b)
        positives: tf.Tensor,  # (s, b)
        negatives: tf.Tensor,  # (s, k) or (s, b, k)
        counts: tf.Tensor,  # (s, b): how much each positive counts, 0 for what fills up the last batch
        n_steps: tf.Tensor,  # how many of the s batches to take
    ) -> tuple[Tables, Tables, tf.Tensor, tf.Tensor]:
        def step(i: tf.Tensor, tables: Tables, slots: Tables, loss: tf.Tensor, correct: tf.Tensor) -> tuple:
            if shared:
                allowed = SeenBits.unseen(table_of_bits, users[i], negatives[i], n_items=tables[1].shape[0])
            else:
                allowed = tf.ones(negatives.shape[1:])
            batch_loss, ordered, rows, gradients = triple_gradients(
                tables, users[i], positives[i], negatives[i], allowed, counts[i], weigh, L2(*tf.unstack(l2))
            )
            gradients = (gradients[0], gradients[1], gradients[2] * float(item_bias))
            tables, slots = optimizer.step(tables, slots, rows, gradients)
            return i + 1, tables, slots, loss + batch_loss, correct + ordered

        start = (tf.constant(0), tables, slots, tf.constant(0.0), tf.constant(0.0))
        return tf.while_loop(lambda i, *_: i < n_steps, step, start)[1:]

    return run


def recency_weights(matrix: InteractionMatrix, recency: float) -> np.ndarray:
    """How much each positive counts: more the later it is among those of its user.

    A positive with a share s of its user's positives after it (equal times half) counts in proportion to
    exp(-recency * s), scaled so that the mean over the user's positives is 1.

    Parameters
    ----------
    matrix : InteractionMatrix; where it holds no times, all positives count alike
    recency : float, 0 or more

    Returns
    -------
    float32 (nnz,), in the order of `matrix.csr.indices`
    """
    n = matrix.csr.nnz
    if not recency or matrix.times is None:
        return np.ones(n, np.float32)
    lengths = np.diff(matrix.csr.indptr)
    users = np.repeat(np.arange(matrix.n_users, dtype=np.int32), lengths)
    order = np.lexsort((matrix.times, users))  # by user, then time
    times = matrix.times[order]
    first = np.flatnonzero(np.r_[True, (users[1:] != users[:-1]) | (times[1:] != times[:-1])])
    middle = np.repeat(
        (first + np.r_[first[1:], n] - 1) / 2, np.diff(np.r_[first, n])
    )  # equal times share a place
    later = (np.repeat(matrix.csr.indptr[1:], lengths) - 1 - middle) / lengths[users]
    weights = np.empty(n)
    weights[order] = np.exp(-recency * later)
    return (weights / (np.bincount(users, weights) / lengths)[users]).astype(np.float32)


def epoch_batches(
    matrix: InteractionMatrix,
    weights: np.ndarray,
    sampler: Sampler,
    batch_size: int,
    rng: np.random.Generator,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]]:
    """All positives once, in random order, with their negatives, in pieces of one shape.

    Yields
    ------
    users, positives : ndarray of int32, (s, batch_size)
    negatives : ndarray of int32, (s, k) or (s, batch_size, k)
    counts : ndarray of float32, (s, batch_size), the positives' weights; 0 for what fills up the last batch
    n_steps : int, how many of the s batches hold positives
    """
    n = matrix.csr.nnz
    n_calls = -(-n // (batch_size * STEPS_PER_CALL))
    steps = -(-n // (batch_size * n_calls))
    rows = np.repeat(np.arange(matrix.n_users, dtype=np.int32), np.diff(matrix.csr.indptr))
    order = rng.permutation(n)
    for start in range(0, n, steps * batch_size):
        piece = order[start : start + steps * batch_size]
        shaped = np.resize(piece, (steps, batch_size))
        users, counts = rows[shaped], weights[shaped]
        counts.reshape(-1)[len(piece) :] = 0
        yield (
            users,
            matrix.csr.indices[shaped],
            sampler.draw(users, rng),
            counts,
            -(-len(piece) // batch_size),
        )


@dataclass
class Progress:
    """All that training carries from one epoch to the next, and all that a checkpoint holds."""

    tables: Tables
    slots: Tables
    averaged: Tables
    best: Tables
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    ARRAYS = ("tables", "slots", "averaged", "best")

    def save(self, path: Path, fingerprint: str) -> None:
        """Write to a temporary name, then rename: whoever is killed leaves the old checkpoint or the new."""
        arrays = {f"{name}_{i}": a for name in self.ARRAYS for i, a in enumerate(getattr(self, name))}
        head = {"fingerprint": fingerprint, "best_epoch": self.best_epoch, "history": self.history}
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        with temporary.open("wb") as file:
            np.savez(file, head=np.array(json.dumps(head)), **arrays)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path, fingerprint: str) -> Progress:
        """Read a checkpoint; ValueError where it is not one, or one of another training."""
        try:
            with np.load(path, allow_pickle=False) as file:
                head = json.loads(str(file["head"]))
                arrays = {name: file[name] for name in file.files}
        except Exception as error:
            raise ValueError(
                f"{path} is not a readable checkpoint ({error}): delete it to start again."
            ) from error
        if head["fingerprint"] != fingerprint:
            raise ValueError(
                f"The checkpoint {path} belongs to another model, other data or other parameters: "
                "give another path, or delete it to start again."
            )
        groups = {}
        for name in cls.ARRAYS:
            size = sum(key.startswith(f"{name}_") for key in arrays)
            groups[name] = tuple(arrays[f"{name}_{i}"] for i in range(size))
        return cls(**groups, best_epoch=head["best_epoch"], history=head["history"])


def fingerprint(settings: dict[str, Any], *matrices: InteractionMatrix | None) -> str:
    """A hash of the parameters and of the interactions that a training depends on."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for matrix in matrices:
        if matrix is not None:
            for array in (matrix.user_ids.astype(str), matrix.item_ids.astype(str)):
                digest.update("\n".join(array).encode())
            digest.update(matrix.csr.indptr.tobytes() + matrix.csr.indices.tobytes())
    return digest.hexdigest()


def train(
    tables: Tables,
    matrix: InteractionMatrix,
    sampler: Sampler,
    *,
    weights: np.ndarray,
    optimizer: Optimizer,
    l2: L2,
    item_bias: bool,
    epochs: int,
    batch_size: int,
    averaging: float,
    patience: int,
    validate: Callable[[Tables], dict[str, float]] | None,
    seed: int,
    checkpoint: Path | None,
    settings_hash: str,
    verbose: bool,
) -> Progress:
    """Train the tables and return them with their history.

    Parameters
    ----------
    tables : user vectors (n_users, d), item vectors (n_items, d), item biases (n_items,), float32
    matrix : InteractionMatrix, the positives
    weights : float32 (nnz,), how much each of them counts, in the order of `matrix.csr.indices`
    validate : function from tables to metrics, the first of which is to be large; None trains for `epochs`
    averaging : decay of the running average over epochs, which is validated and returned; 0 for none
    patience : stop after that many epochs without a better first metric; 0 never stops early
    checkpoint : file to write after every epoch, and to go on from where it exists
    settings_hash : what a checkpoint must have been made with

    Raises
    ------
    ValueError
        The loss is not finite or has diverged, or the checkpoint belongs to another training.
    """
    if checkpoint is not None and checkpoint.exists():
        state = Progress.load(checkpoint, settings_hash)
        optimizer.start(tables)  # an optimizer may hold objects besides its arrays
    else:
        state = Progress(tables, optimizer.start(tables), tables, tables)
    program = compile_epoch(sampler.shared, sampler.weights, optimizer, item_bias)
    constants = tf.constant(SeenBits(matrix).table), tf.constant(astuple(l2), tf.float32)
    bar = tqdm(total=epochs, initial=len(state.history), desc="epochs", disable=not verbose)
    for epoch in range(len(state.history) + 1, epochs + 1):
        if _out_of_patience(state, patience):
            break
        rng = np.random.default_rng([seed, epoch])  # one per epoch: a resumed run draws the same numbers
        batches = epoch_batches(matrix, weights, sampler, batch_size, rng)
        loss, accuracy = _one_epoch(state, program, constants, batches)
        if not loss < DIVERGED:
            raise ValueError(
                f"Training diverged in epoch {epoch} (mean loss {loss:.3g}): lower learning_rate, "
                "or look at init_scale and the L2 strengths."
            )
        state.averaged = _average(state.averaged, state.tables, averaging if epoch > 1 else 0.0)
        row = {"epoch": epoch, "loss": loss, "accuracy": accuracy}
        _keep_best(state, row, validate(state.averaged) if validate else {})
        if checkpoint is not None:
            state.save(checkpoint, settings_hash)
        bar.update()
        bar.set_postfix({name: f"{value:.4f}" for name, value in row.items() if name != "epoch"})
    bar.close()
    return state


def _one_epoch(
    state: Progress,
    program: tf.types.experimental.PolymorphicFunction,
    constants: tuple[tf.Tensor, tf.Tensor],
    batches: Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]],
) -> tuple[float, float]:
    """Take the state through one epoch; mean loss and pairwise accuracy on its triples."""
    tables, slots = state.tables, state.slots
    losses, correct, total = 0.0, 0.0, 0.0
    for users, positives, negatives, counts, n_steps in batches:
        now = (users, positives, negatives, counts, n_steps)
        arguments = tf.nest.map_structure(tf.convert_to_tensor, (tables, slots, *constants, *now))
        # Called by way of its trace for these shapes: else TensorFlow warns of what is traced for many.
        tables, slots, loss, ordered = program.get_concrete_function(*arguments)(*arguments)
        losses, correct = losses + float(loss), correct + float(ordered)
        total += float(counts.sum(dtype=np.float64))
    state.tables = tuple(np.asarray(table) for table in tables)
    state.slots = tuple(np.asarray(slot) for slot in slots)
    return losses / total, correct / total


def _average(averaged: Tables, tables: Tables, decay: float) -> Tables:
    if not decay:
        return tables
    keep, take = np.float32(decay), np.float32(1 - decay)
    return tuple(keep * old + take * new for old, new in zip(averaged, tables, strict=True))


def _keep_best(state: Progress, row: dict[str, float], metrics: dict[str, float]) -> None:
    """Add the epoch to the history; hold its tables if they are the best, or nothing is validated."""
    row.update(metrics)
    first = next(iter(metrics), None)
    if first is None or row[first] > max((old[first] for old in state.history), default=-np.inf):
        state.best, state.best_epoch = state.averaged, int(row["epoch"])
    state.history.append(row)


def _out_of_patience(state: Progress, patience: int) -> bool:
    return bool(patience) and len(state.history) - state.best_epoch >= patience

"""Training: epochs through one compiled program, early stopping, weight averaging, checkpoint and resume.

Why a loop of its own under XLA: on MovieLens-100K an epoch of `keras.Model.fit` with the same loss takes
about twice as long, and the wait before its first is about three times as long (benchmarks/training.py).
Why Adagrad row by row: a batch touches a few thousand rows, so updating only those keeps a step's cost nearly
independent of the numbers of users and items.

Sizes, as the comments on shapes name them:

    nnz     positives, all of them
    b       positives in a batch, each with its user
    k       negatives of a positive, or of the whole batch where they are shared
    s       batches that the compiled program is handed at once
    m       rows of a table that a batch touches, repeats counted: b users; b + k or b + b * k items
    d       length of a vector
    (...)   what a row holds: (d,) in the tables of vectors, () in that of biases

How much a positive counts is its *positive weight*; how much a negative counts beside the others of its
positive is its *negative weight*. The weight of a triple is their product.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import astuple, dataclass, field
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, Protocol
from weakref import WeakSet

from bpr_helpers.model import L2, Tables, bpr_loss, l2_penalty, negative_scores  # first: quiet TensorFlow

# isort: split
import keras
import numpy as np
import tensorflow as tf
from tqdm.auto import tqdm

from bpr_helpers.files import replacing
from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.sampling import NegativeWeights, Sampler, SeenBits

STEPS_PER_CALL = 1024  # batches handed to the compiled program at once: bounds the memory for drawn negatives
MANY = 2**25  # positives: of more, an epoch's order is one of runs, which takes no memory for each of them
RUN = 1024  # positives side by side that are read together: a page of a file
DIVERGED = 10 * np.log(2)  # ten times the loss of a model that knows nothing

Arrays = tuple[Any, ...]  # one array or tensor per table, or whatever an optimizer keeps
Callback = Callable[[int, Tables, dict[str, float]], None]


class Optimizer(Protocol):
    """Turns gradients of the touched rows into new tables; equal objects are equal programs."""

    def start(self, tables: Arrays) -> Arrays:
        """Its own arrays, the slots, before the first step."""

    def step(self, tables: Arrays, slots: Arrays, rows: Arrays, gradients: Arrays) -> tuple[Arrays, Arrays]:
        """One step on tensors: per table the rows (m,), repeats allowed, and their gradients (m, ...)."""

    def __hash__(self) -> int: ...


@dataclass(frozen=True)
class RowAdagrad:
    """Adagrad that reads and writes only the rows that a batch touches.

    The gradients of a row that a batch touches several times are summed before they are squared, so a step
    equals one of the dense optimizer. Tables of fewer rows than `DENSE` times those touched are updated
    whole, which gives the same numbers and is quicker there.

    References
    ----------
    Duchi et al. (2011), Adaptive Subgradient Methods for Online Learning and Stochastic Optimization.
    """

    learning_rate: float
    initial_accumulator: float = 0.001
    epsilon: float = 1e-7
    DENSE = 4

    def start(self, tables: Arrays) -> Arrays:
        """Squares collected so far, then per table one integer a row, for `_sum_repeats`."""
        accumulators = tuple(np.full_like(table, self.initial_accumulator) for table in tables)
        return accumulators + tuple(np.zeros(len(table), np.int32) for table in tables)

    def step(self, tables: Arrays, slots: Arrays, rows: Arrays, gradients: Arrays) -> tuple[Arrays, Arrays]:
        """One step: every table is moved by itself."""
        n = len(tables)
        moved = [self._move(*one) for one in zip(tables, slots[:n], slots[n:], rows, gradients, strict=True)]
        new_tables, accumulators, places = zip(*moved, strict=True)
        return new_tables, accumulators + places

    def _move(
        self,
        table: tf.Tensor,  # (n_rows, ...)
        accumulator: tf.Tensor,  # (n_rows, ...)
        places: tf.Tensor,  # (n_rows,)
        rows: tf.Tensor,  # (m,)
        gradient: tf.Tensor,  # (m, ...)
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        at = rows[:, None]  # (m, 1): the form in which TensorFlow takes row numbers
        if table.shape[0] < self.DENSE * rows.shape[0]:
            summed = tf.scatter_nd(at, gradient, table.shape)  # (n_rows, ...)
            accumulator = accumulator + tf.square(summed)
            return table - self._change(summed, accumulator), accumulator, places
        summed, places = _sum_repeats(places, rows, gradient)  # (m, ...)
        squares = tf.gather(accumulator, rows) + tf.square(summed)  # (m, ...)
        moved = tf.gather(table, rows) - self._change(summed, squares)  # (m, ...), equal for equal rows
        return (
            tf.tensor_scatter_nd_update(table, at, moved),
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
    places = tf.tensor_scatter_nd_update(places, rows[:, None], tf.range(rows.shape[0]))  # (n_rows,)
    place = tf.gather(places, rows)  # (m,)
    summed = tf.scatter_nd(place[:, None], gradient, gradient.shape)  # (m, ...): filled at one place a row
    return tf.gather(summed, place), places


class KerasOptimizer:
    """Any Keras optimizer, with dense gradients: every step reads and writes all rows."""

    def __init__(self, optimizer: keras.optimizers.Optimizer) -> None:
        self.optimizer = optimizer

    def start(self, tables: Arrays) -> Arrays:
        """The optimizer's variables as arrays."""
        self.variables = [keras.Variable(table) for table in tables]
        self.optimizer.build(self.variables)
        return tuple(variable.numpy() for variable in self.optimizer.variables)

    def step(self, tables: Arrays, slots: Arrays, rows: Arrays, gradients: Arrays) -> tuple[Arrays, Arrays]:
        """One step, by way of variables, since that is all that a Keras optimizer takes."""
        dense = [
            tf.tensor_scatter_nd_add(tf.zeros_like(table), row[:, None], gradient)  # (n_rows, ...)
            for table, row, gradient in zip(tables, rows, gradients, strict=True)
        ]
        variables = [*self.variables, *self.optimizer.variables]
        for variable, value in zip(variables, (*tables, *slots), strict=True):
            variable.assign(value)
        self.optimizer.apply(dense, self.variables)
        values = tuple(tf.identity(variable.value) for variable in variables)
        return values[: len(tables)], values[len(tables) :]


def triple_gradients(
    tables: Tables,
    users: tf.Tensor,
    positives: tf.Tensor,
    negatives: tf.Tensor,
    allowed: tf.Tensor,
    positive_weights: tf.Tensor,
    negative_weights: NegativeWeights,
    l2: L2,
) -> tuple[tf.Tensor, tf.Tensor, Tables, Tables]:
    """Loss, correctly ordered pairs, and the gradients of the rows that a batch touches.

    Parameters
    ----------
    tables : Tables of tensors (a plain tuple will do)
    users, positives : int (b,), codes
    negatives : int (k,) shared or (b, k) own, codes
    allowed : (b, k) of 0 and 1; 0 where a negative is a positive of its user
    positive_weights : (b,), how much each positive counts
    negative_weights : the sampler's function from scores (b, k) and allowed (b, k) to weights (b, k)
    l2 : L2

    Returns
    -------
    loss : scalar, the sum over triples, without L2
    ordered : scalar, the weighted sum over positives of the share of negatives that score lower
    rows, gradients : Tables of (m,) and of (m, ...); of items the positives come first
    """
    user_table, item_table, biases = tables
    items = tf.concat([positives, tf.reshape(negatives, [-1])], axis=0)  # (m,): each table is read once
    touched = tf.gather(user_table, users), tf.gather(item_table, items), tf.gather(biases, items)
    with tf.GradientTape() as tape:
        tape.watch(touched)
        user, vectors, item_biases = touched  # (b, d), (m, d), (m,)
        positive, negative = _parted(vectors, positives, negatives)  # (b, d); (k, d) or (b, k, d)
        positive_bias, negative_bias = _parted(item_biases, positives, negatives)  # (b,); (k,) or (b, k)
        above = tf.reduce_sum(user * positive, axis=1) + positive_bias  # (b,)
        below = negative_scores(user, negative, negative_bias)  # (b, k)
        weights = positive_weights[:, None] * tf.stop_gradient(negative_weights(below, allowed))  # (b, k)
        loss = bpr_loss(above, below, weights)  # ()
        total = loss + l2_penalty(user, positive, negative, positive_bias, negative_bias, weights, l2)  # ()
    gradients = tape.gradient(total, touched)  # (b, d), (m, d), (m,)
    n_allowed = tf.maximum(tf.reduce_sum(allowed, axis=1), 1.0)  # (b,)
    ordered = tf.reduce_sum(allowed * tf.cast(above[:, None] > below, allowed.dtype), axis=1)  # (b,)
    ordered = tf.reduce_sum(positive_weights * ordered / n_allowed)  # ()
    return loss, ordered, Tables(users, items, items), Tables(*gradients)


def _parted(of_items: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """What belongs to the positives (b, ...), and to the negatives in their shape."""
    of_positives, of_negatives = tf.split(of_items, [positives.shape[0], -1])
    return of_positives, tf.reshape(of_negatives, negatives.shape + of_items.shape[1:])


# Fits in threads meet at the same program: the first of them has it compiled, and nothing else is meanwhile.
_compiling, _compiled = Lock(), WeakSet[Any]()


@lru_cache(maxsize=16)
def compile_epoch(
    shared: bool, negative_weights: NegativeWeights, optimizer: Optimizer, item_bias: bool
) -> tf.types.experimental.PolymorphicFunction:
    """The compiled program that takes tables and optimizer slots through up to `STEPS_PER_CALL` batches.

    It is kept: another fit with the same weights, optimizer and shapes does not wait for the compiler again
    (`compile_epoch.cache_clear()` forgets all programs).
    """

    @tf.function(jit_compile=True, autograph=False)
    def run(
        tables: Tables,
        slots: Arrays,
        table_of_bits: tf.Tensor,  # of `SeenBits`
        l2: tf.Tensor,  # (4,): the strengths of `L2`
        users: tf.Tensor,  # (s, b)
        positives: tf.Tensor,  # (s, b)
        negatives: tf.Tensor,  # (s, k) or (s, b, k)
        positive_weights: tf.Tensor,  # (s, b): 0 for what fills up the last batch
        n_steps: tf.Tensor,  # how many of the s batches to take
    ) -> tuple[Tables, Arrays, tf.Tensor, tf.Tensor]:
        def step(i: tf.Tensor, tables: Tables, slots: Arrays, loss: tf.Tensor, ordered: tf.Tensor) -> tuple:
            if shared:
                allowed = SeenBits.unseen(table_of_bits, users[i], negatives[i], n_items=tables[1].shape[0])
            else:
                allowed = tf.ones(negatives.shape[1:])  # (b, k): own negatives were drawn unseen
            batch = users[i], positives[i], negatives[i], allowed, positive_weights[i]
            strengths = L2(*tf.unstack(l2))
            batch_loss, batch_ordered, rows, gradients = triple_gradients(
                tables, *batch, negative_weights, strengths
            )
            gradients = gradients._replace(biases=gradients.biases * float(item_bias))
            moved, slots = optimizer.step(tables, slots, rows, gradients)
            return i + 1, Tables(*moved), slots, loss + batch_loss, ordered + batch_ordered

        start = (tf.constant(0), tables, slots, tf.constant(0.0), tf.constant(0.0))
        return tf.while_loop(lambda i, *_: i < n_steps, step, start)[1:]

    return run


class Batches(NamedTuple):
    """What the compiled program is handed at once.

    users, positives : int32 (s, b), codes
    negatives : int32 (s, k) shared or (s, b, k) own, codes
    positive_weights : float32 (s, b); 0 for what fills up the last batch
    n_steps : int, how many of the s batches hold positives
    """

    users: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray
    positive_weights: np.ndarray
    n_steps: int


def epoch_batches(
    matrix: InteractionMatrix,
    positive_weights: np.ndarray | None,
    sampler: Sampler,
    batch_size: int,
    rng: np.random.Generator,
) -> Iterator[Batches]:
    """All positives once, in random order, with their negatives, in pieces of one shape.

    Of more than `MANY` positives, runs of `RUN` that lie side by side are put in random order, and those of a
    piece are mixed: so the matrix may lie in files larger than memory (`bpr_helpers.stored`), and every page
    of them is read once. A batch then holds more positives of one user than it would by chance.

    Parameters
    ----------
    matrix : InteractionMatrix, the positives
    positive_weights : float32 (nnz,), in the order of `matrix.csr.indices`; None for 1 each
    sampler : Sampler
    batch_size : int, b
    rng : Generator, of the order and of the negatives

    Yields
    ------
    Batches
    """
    n = matrix.csr.nnz
    n_calls = -(-n // (batch_size * STEPS_PER_CALL))
    steps = -(-n // (batch_size * n_calls))  # s, the same for every piece: a new shape would be compiled anew
    for users, places in _pieces(matrix, steps * batch_size, rng):  # (s * b,) both, the last ones shorter
        shaped = np.resize(np.arange(len(places)), (steps, batch_size))  # (s, b), filled up by repeating
        users, items = users[shaped], matrix.csr.indices[places][shaped]
        weights = np.ones(shaped.shape, np.float32)
        if positive_weights is not None:
            weights = positive_weights[places][shaped]
        weights.reshape(-1)[len(places) :] = 0
        n_steps = -(-len(places) // batch_size)
        yield Batches(users, items, sampler.draw(users, rng), weights, n_steps)


def _pieces(
    matrix: InteractionMatrix, size: int, rng: np.random.Generator
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Users of some positives, and the places of these in the matrix; all positives once, in random order."""
    n, ends = matrix.csr.nnz, matrix.csr.indptr
    if n <= MANY:
        rows = np.repeat(np.arange(matrix.n_users, dtype=np.int32), np.diff(ends))  # (nnz,)
        order = rng.permutation(n)  # (nnz,)
        for start in range(0, n, size):
            places = order[start : start + size]
            yield rows[places], places
        return
    runs = rng.permutation(-(-n // RUN))  # (nnz / RUN,)
    waiting = np.empty(0, np.int64)
    for group in np.array_split(runs, min(len(runs), -(-len(runs) * RUN // size))):
        places = (group[:, None] * RUN + np.arange(RUN)).ravel()  # (about s * b,)
        waiting = np.append(waiting, rng.permutation(places[places < n]))
        while len(waiting) >= size or (len(waiting) and group[-1] == runs[-1]):
            places, waiting = waiting[:size], waiting[size:]
            users = np.searchsorted(ends, places, side="right") - 1
            yield users.astype(np.int32), places


class Checkpoint(NamedTuple):
    """Where training leaves its progress, and the fingerprint of what it depends on."""

    path: Path
    fingerprint: str


@dataclass
class Progress:
    """All that training carries from one epoch to the next, and all that a checkpoint holds."""

    tables: Tables
    slots: Arrays
    averaged: Tables
    best: Tables
    best_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    def save(self, checkpoint: Checkpoint) -> None:
        """Write the checkpoint: whoever is killed leaves the old one or the new."""
        head = {"best_epoch": self.best_epoch, "history": self.history, "fingerprint": checkpoint.fingerprint}
        with replacing(checkpoint.path) as new, new.open("wb") as file:
            np.savez(file, **self._arrays(), head=np.array(json.dumps(head)))  # type: ignore[arg-type]

    def resume(self, checkpoint: Checkpoint | None) -> None:
        """Take over what the checkpoint holds, if there is one yet.

        Raises
        ------
        ValueError
            The file is no checkpoint, is one of another training, or holds other arrays than this one's.
        """
        if checkpoint is None or not checkpoint.path.exists():
            return
        own = self._arrays()
        try:
            with open_arrays(checkpoint.path, {n: (a.shape, a.dtype) for n, a in own.items()}) as file:
                head = json.loads(str(file["head"]))
                same = head["fingerprint"] == checkpoint.fingerprint
                if same:
                    self._take({name: file[name] for name in own}, head)
        except Exception as error:
            raise ValueError(
                f"{checkpoint.path} is not a readable checkpoint ({error}): delete it to start again."
            ) from error
        if not same:
            raise ValueError(
                f"The checkpoint {checkpoint.path} belongs to another model, other data or other parameters: "
                "give another path, or delete it to start again."
            )

    def _arrays(self) -> dict[str, np.ndarray]:
        groups = {name: getattr(self, name) for name in ("tables", "slots", "averaged", "best")}
        return {f"{name}_{i}": array for name, group in groups.items() for i, array in enumerate(group)}

    def _take(self, arrays: dict[str, np.ndarray], head: dict[str, Any]) -> None:
        epochs = [row["epoch"] for row in head["history"]]
        if epochs != list(range(1, len(epochs) + 1)):
            raise ValueError("its history is not one row per epoch")
        self.tables, self.averaged, self.best = (
            Tables(*(arrays[f"{name}_{i}"] for i in range(3))) for name in ("tables", "averaged", "best")
        )
        self.slots = tuple(arrays[f"slots_{i}"] for i in range(len(self.slots)))
        self.best_epoch, self.history = int(head["best_epoch"]), head["history"]


@contextmanager
def open_arrays(path: Path, expected: dict[str, tuple[tuple[int, ...], np.dtype]]) -> Iterator[Any]:
    """Open an .npz file whose arrays are those expected; what they claim is checked before they are read.

    Raises
    ------
    ValueError
        An array is missing, pickled, or of another shape or type, or the file unpacks to more than it holds.
    """
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > path.stat().st_size:
            raise ValueError("it was compressed, which no checkpoint is")
        for name, (shape, dtype) in expected.items():
            with archive.open(f"{name}.npy") as member:
                np.lib.format.read_magic(member)
                found_shape, _, found_dtype = np.lib.format.read_array_header_1_0(member)
            if (found_shape, found_dtype) != (shape, dtype):
                raise ValueError(
                    f"its {name} has shape {found_shape} and type {found_dtype}, not {shape} and {dtype}"
                )
    with np.load(path, allow_pickle=False) as file:
        yield file


def hash_of_training(settings: dict[str, Any], *matrices: InteractionMatrix | None) -> str:
    """A hash of all that a training depends on: parameters, interactions, and the times that weigh them."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for matrix in matrices:
        if matrix is not None:
            for array in (matrix.user_ids.astype(str), matrix.item_ids.astype(str)):
                digest.update("\n".join(array).encode())
            for numbers in (matrix.csr.indptr, matrix.csr.indices, matrix.times):
                digest.update(b"" if numbers is None else np.ascontiguousarray(numbers).data)
    return digest.hexdigest()


def train(
    tables: Tables,
    matrix: InteractionMatrix,
    sampler: Sampler,
    *,
    optimizer: Optimizer,
    l2: L2,
    item_bias: bool,
    epochs: int,
    batch_size: int,
    averaging: float,
    patience: int,
    validate: Callable[[Tables], dict[str, float]] | None,
    seed: int,
    positive_weights: np.ndarray | None = None,
    checkpoint: Checkpoint | None = None,
    callback: Callback | None = None,
    verbose: bool = False,
) -> Progress:
    """Train the tables and return them with their history.

    Parameters
    ----------
    tables : Tables, where training starts
    matrix : InteractionMatrix, the positives
    sampler : Sampler of their negatives
    optimizer, l2, item_bias, batch_size, seed : as in `BPR`
    epochs : passes over the positives, at most
    averaging : decay of the running average over epochs, which is validated and returned; 0 for none
    patience : stop after that many epochs without a better first metric; 0 never stops early
    validate : function from tables to metrics, the first of which is to be large; None trains for `epochs`
    positive_weights : float32 (nnz,), how much each positive counts, in the order of `matrix.csr.indices`;
        None for all alike
    checkpoint : file to write after every epoch, and to go on from where it exists
    callback : called after every epoch with its number, the tables that would be kept, and its row of history
    verbose : whether a progress bar is shown

    Raises
    ------
    ValueError
        The loss is not finite or has diverged, or the checkpoint belongs to another training.
    """
    state = Progress(tables, optimizer.start(tables), tables, tables)
    state.resume(checkpoint)
    program = compile_epoch(sampler.shared, sampler.negative_weights, optimizer, item_bias)
    constants = tf.constant(SeenBits(matrix).table), tf.constant(astuple(l2), tf.float32)
    done = len(state.history)
    with tqdm(total=epochs, initial=done, desc="epochs", leave=False, disable=not verbose) as bar:
        for epoch in range(done + 1, epochs + 1):
            if _out_of_patience(state, patience):
                bar.total = bar.n  # or else a notebook keeps the bar, in red, as that of a failure
                break
            rng = np.random.default_rng([seed, epoch])  # one per epoch: a resumed run draws the same numbers
            batches = epoch_batches(matrix, positive_weights, sampler, batch_size, rng)
            loss, accuracy = _one_epoch(state, program, constants, batches)
            _refuse_diverged(epoch, loss)
            state.averaged = _average(state.averaged, state.tables, averaging if epoch > 1 else 0.0)
            row = {"epoch": epoch, "loss": loss, "accuracy": accuracy}
            _keep_best(state, row, validate(state.averaged) if validate else {})
            if checkpoint is not None:
                state.save(checkpoint)
            if callback is not None:
                callback(epoch, state.averaged, row)
            bar.update()
            bar.set_postfix({name: f"{value:.4f}" for name, value in row.items() if name != "epoch"})
    return state


def _refuse_diverged(epoch: int, loss: float) -> None:
    if not loss < DIVERGED:  # nan, too
        raise ValueError(
            f"Training diverged in epoch {epoch} (mean loss {loss:.3g}): lower learning_rate, "
            "or look at init_scale and the L2 strengths."
        )


def _one_epoch(
    state: Progress,
    program: tf.types.experimental.PolymorphicFunction,
    constants: tuple[tf.Tensor, tf.Tensor],
    batches: Iterator[Batches],
) -> tuple[float, float]:
    """Take the state through one epoch; mean loss and pairwise accuracy on its triples."""
    tables, slots = state.tables, state.slots
    losses, correct, total = 0.0, 0.0, 0.0
    for piece in batches:
        arguments = tf.nest.map_structure(tf.convert_to_tensor, (tables, slots, *constants, *piece))
        # Called by way of its trace for these shapes: else TensorFlow warns of what is traced for many.
        trace = program.get_concrete_function(*arguments)
        with nullcontext() if trace in _compiled else _compiling:
            tables, slots, loss, ordered = trace(*arguments)
            _compiled.add(trace)
        losses, correct = losses + float(loss), correct + float(ordered)
        total += float(piece.positive_weights.sum(dtype=np.float64))
    state.tables = Tables(*map(np.asarray, tables))
    state.slots = tuple(map(np.asarray, slots))
    return losses / total, correct / total


def _average(averaged: Tables, tables: Tables, decay: float) -> Tables:
    if not decay:
        return tables
    keep, take = np.float32(decay), np.float32(1 - decay)
    return Tables(*(keep * old + take * new for old, new in zip(averaged, tables, strict=True)))


def _keep_best(state: Progress, row: dict[str, float], metrics: dict[str, float]) -> None:
    """Add the epoch to the history; hold its tables if they are the best, or nothing is validated."""
    row.update(metrics)
    first = next(iter(metrics), None)
    if first is None or row[first] > max((old[first] for old in state.history), default=-np.inf):
        state.best, state.best_epoch = state.averaged, int(row["epoch"])
    state.history.append(row)


def _out_of_patience(state: Progress, patience: int) -> bool:
    return bool(patience) and len(state.history) - state.best_epoch >= patience

import subprocess
import sys
import threading
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpr_helpers import training
from bpr_helpers.bpr import BPR
from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.parallel import in_parallel
from bpr_helpers.sampling import make_sampler
from bpr_helpers.synthetic import synthetic_interactions
from bpr_helpers.training import KerasOptimizer, RowAdagrad, epoch_batches

SMALL = {"dim": 8, "batch_size": 64}


@pytest.fixture(scope="module")
def interactions() -> pd.DataFrame:
    return synthetic_interactions(60, 40, 900, seed=3)


def bits_of(bpr: BPR) -> bytes:
    return b"".join(table.tobytes() for table in (bpr.user_vectors, bpr.item_vectors, bpr.item_biases))


@given(st.integers(2, 200), st.integers(1, 50), st.integers(1, 4))
@settings(max_examples=40, deadline=None)
def test_an_epoch_holds_every_positive_once(n: int, batch_size: int, steps_per_call: int) -> None:
    matrix = InteractionMatrix.from_frame(pd.DataFrame({"user_id": np.arange(n) % 17, "item_id": range(n)}))
    weights = np.linspace(1, 2, n, dtype=np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bpr_helpers.training.STEPS_PER_CALL", steps_per_call)
        rng = np.random.default_rng(0)
        pieces = list(epoch_batches(matrix, weights, make_sampler("shared", matrix), batch_size, rng))
    assert len({piece[0].shape for piece in pieces}) == 1  # so that one compiled program takes them all
    users, positives, counts = (np.concatenate([piece[i].ravel() for piece in pieces]) for i in (0, 1, 3))
    found = sorted(zip(users[counts > 0], positives[counts > 0], counts[counts > 0], strict=True))
    assert found == sorted(zip(*matrix.csr.nonzero(), weights, strict=True))
    assert sum(piece[4] for piece in pieces) == -(-n // batch_size)


def test_row_adagrad_equals_dense_adagrad_of_keras() -> None:
    rng = np.random.default_rng(0)
    start = tuple(rng.normal(size=shape).astype(np.float32) for shape in ((30, 4), (50, 4), (50,)))
    ours = RowAdagrad(0.1, initial_accumulator=0.01)
    theirs = KerasOptimizer(keras.optimizers.Adagrad(0.1, initial_accumulator_value=0.01))
    states = [(optimizer, start, optimizer.start(start)) for optimizer in (ours, theirs)]
    for _ in range(5):
        rows = tuple(rng.integers(size, size=8) for size in (30, 50, 50))  # with repeats
        gradients = tuple(rng.normal(size=(8, *table.shape[1:])).astype(np.float32) for table in start)
        states = [(o, *o.step(tables, slots, rows, gradients)) for o, tables, slots in states]
    for mine, other, first in zip(states[0][1], states[1][1], start, strict=True):
        assert np.asarray(mine) == pytest.approx(np.asarray(other), abs=1e-6)
        assert np.abs(np.asarray(mine) - first).max() > 0.1


def test_large_tables_are_updated_row_by_row_to_the_same_result() -> None:
    rng = np.random.default_rng(1)
    rows, gradient = np.array([3, 3, 7]), rng.normal(size=(3, 4)).astype(np.float32)
    small = rng.normal(size=(8, 4)).astype(np.float32)
    large = np.vstack([small, np.ones((10_000, 4), np.float32)])
    optimizer = RowAdagrad(0.1)
    for table in (small, large):
        (new,), slots = optimizer.step((table,), optimizer.start((table,)), (rows,), (gradient,))
        (again,), _ = optimizer.step((new,), slots, (rows,), (gradient,))
        if table is small:
            expected = np.asarray(again)
    assert np.asarray(again)[:8] == pytest.approx(expected, abs=1e-6)
    assert (np.asarray(again)[8:] == 1).all()


@pytest.mark.parametrize("optimizer", ["adam", keras.optimizers.SGD(0.002, momentum=0.9)])
def test_keras_optimizers_train(interactions: pd.DataFrame, optimizer: object) -> None:
    bpr = BPR(**SMALL, optimizer=optimizer, learning_rate=0.01, epochs=4).fit(interactions)  # type: ignore[arg-type]
    assert bpr.history["loss"].iloc[-1] < bpr.history["loss"].iloc[0]
    again = BPR(**SMALL, optimizer=optimizer, learning_rate=0.01, epochs=4).fit(interactions)  # type: ignore[arg-type]
    assert bits_of(bpr) == bits_of(again)  # an optimizer given as an object starts afresh in every fit


def test_averaging_is_the_running_average_over_epochs(interactions: pd.DataFrame) -> None:
    plain = SMALL | {"recency": 0.0}
    last = [BPR(**plain, averaging=0, epochs=epochs).fit(interactions).user_vectors for epochs in (1, 2, 3)]
    averaged = BPR(**plain, averaging=0.5, epochs=3).fit(interactions).user_vectors
    assert averaged == pytest.approx(last[0] / 4 + last[1] / 4 + last[2] / 2, abs=1e-6)


def test_patience_stops_and_keeps_the_best_epoch(interactions: pd.DataFrame) -> None:
    train, valid = interactions.iloc[::2], interactions.iloc[1::2]
    bpr = BPR(**SMALL, epochs=200, patience=3, recency=0.0).fit(train, valid=valid)
    assert bpr.best_epoch == bpr.history["valid_ndcg@10"].idxmax() + 1
    assert len(bpr.history) == bpr.best_epoch + 3 < 200
    until_best = BPR(**SMALL, epochs=bpr.best_epoch, recency=0.0).fit(train)
    assert bits_of(bpr) == bits_of(until_best)  # validation changes no draw
    lately = BPR(**SMALL, epochs=200, patience=3, recency=5.0).fit(train, valid=valid)
    assert lately.history.equals(bpr.history) and lately.best_epoch == len(lately.history)
    assert bits_of(lately) == bits_of(BPR(**SMALL, epochs=lately.best_epoch, recency=5.0).fit(train))


def test_a_diverging_training_names_the_epoch_and_the_parameter(interactions: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match=r"diverged in epoch \d+ \(mean loss .*\): lower learning_rate"):
        BPR(**SMALL, optimizer="sgd", learning_rate=1e6, epochs=3).fit(interactions)


def test_many_shapes_in_one_process_are_no_reason_to_warn() -> None:
    """In a fresh process: TensorFlow warns twice in each, and other tests might have used that up."""
    program = (
        "from bpr_helpers import BPR, synthetic_interactions\n"
        "for n in range(2, 8):\n"
        "    fresh = BPR(dim=8, batch_size=64, sampler='shared', n_negatives=n, epochs=1)\n"
        "    fresh.fit(synthetic_interactions(60, 40, 900))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr == ""


FIT = """
import os, signal, sys
import numpy as np
import bpr_helpers.bpr
from bpr_helpers.bpr import BPR
from bpr_helpers.synthetic import synthetic_interactions
from bpr_helpers.training import Progress

path, die_in, moment = sys.argv[1], int(sys.argv[2]), sys.argv[3]
save = Progress.save
def dying_save(self, *args):
    if len(self.history) == die_in and moment == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    if len(self.history) == die_in and moment == "while":  # written, but not yet under its final name
        os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
    save(self, *args)
    if len(self.history) == die_in and moment == "after":
        os.kill(os.getpid(), signal.SIGKILL)
Progress.save = dying_save
if moment == "in phase two":
    bpr_helpers.bpr.solve_users = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
interactions = synthetic_interactions(60, 40, 900, seed=3)
bpr = BPR(dim=8, batch_size=64, epochs=4).fit(interactions, checkpoint=path)
bits = bpr.user_vectors.tobytes() + bpr.item_vectors.tobytes() + bpr.item_biases.tobytes()
print(bits.hex(), len(bpr.history))
"""


def fit_in_a_process(path: Path, die_in: int = 0, moment: str = "never") -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", FIT, str(path), str(die_in), moment]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("moment", ["before", "while", "after", "in phase two"])
def test_killed_and_started_again_gives_the_bits_of_an_undisturbed_fit(
    interactions: pd.DataFrame, tmp_path: Path, moment: str
) -> None:
    path = tmp_path / "checkpoint.npz"
    killed = fit_in_a_process(path, 2, moment)
    assert killed.returncode == -9
    resumed = fit_in_a_process(path)
    undisturbed = BPR(**SMALL, epochs=4).fit(interactions)  # in this process: the same bits in two processes
    assert resumed.stdout.split() == [bits_of(undisturbed).hex(), "4"], resumed.stderr


def test_a_checkpoint_of_another_training_is_refused(interactions: pd.DataFrame, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    BPR(**SMALL, epochs=1).fit(interactions, checkpoint=path)
    with pytest.raises(ValueError, match="belongs to another model, other data or other parameters"):
        BPR(**SMALL, epochs=1, l2_user=1.0).fit(interactions, checkpoint=path)
    with pytest.raises(ValueError, match="belongs to another model, other data or other parameters"):
        BPR(**SMALL, epochs=1).fit(interactions.iloc[1:], checkpoint=path)
    longer = BPR(**SMALL, epochs=3).fit(interactions, checkpoint=path)  # more epochs go on from it
    assert bits_of(longer) == bits_of(BPR(**SMALL, epochs=3).fit(interactions))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"not a readable checkpoint .* delete it"):
        BPR(**SMALL, epochs=1).fit(interactions, checkpoint=path)


def test_a_checkpoint_does_not_serve_other_times(interactions: pd.DataFrame, tmp_path: Path) -> None:
    BPR(**SMALL, recency=5.0, epochs=2).fit(interactions, checkpoint=tmp_path / "c.npz")
    later = interactions.assign(timestamp=interactions["timestamp"].to_numpy()[::-1])
    with pytest.raises(ValueError, match="belongs to another model, other data or other parameters"):
        BPR(**SMALL, recency=5.0, epochs=2).fit(later, checkpoint=tmp_path / "c.npz")


@pytest.mark.parametrize("how", ["pickled", "larger", "other type", "missing", "compressed"])
def test_a_hostile_checkpoint_is_refused_unread(interactions: pd.DataFrame, tmp_path: Path, how: str) -> None:
    path = tmp_path / "c.npz"
    BPR(**SMALL, epochs=1).fit(interactions, checkpoint=path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    if how == "pickled":
        arrays["tables_0"] = np.array([Touch(tmp_path / "run")], dtype=object)
    elif how == "larger":
        arrays["tables_0"] = np.tile(arrays["tables_0"], (2, 1))
    elif how == "other type":
        arrays["tables_0"] = arrays["tables_0"].astype(np.float64)
    elif how == "missing":
        del arrays["best_2"]
    if how == "compressed":  # a head of half a gigabyte in half a megabyte
        arrays["head"] = np.array(str(arrays["head"]).ljust(2**27))
        np.savez_compressed(path, **arrays)
    else:
        np.savez(path, **arrays)
    with pytest.raises(ValueError, match=r"is not a readable checkpoint .*: delete it to start again"):
        BPR(**SMALL, epochs=2).fit(interactions, checkpoint=path)
    assert not (tmp_path / "run").exists()


class Touch:
    """What a stranger pickles: unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("optimizer", ["adagrad", "adam", "rmsprop"])
def test_every_optimizer_goes_on_from_a_checkpoint(
    interactions: pd.DataFrame, tmp_path: Path, optimizer: str
) -> None:
    made = {**SMALL, "optimizer": optimizer, "learning_rate": 0.01}
    BPR(**made, epochs=2).fit(interactions, checkpoint=tmp_path / "c.npz")
    resumed = BPR(**made, epochs=4).fit(interactions, checkpoint=tmp_path / "c.npz")
    assert bits_of(resumed) == bits_of(BPR(**made, epochs=4).fit(interactions))


def test_the_callback_sees_every_epoch_and_what_would_be_kept(interactions: pd.DataFrame) -> None:
    seen: list[tuple] = []
    bpr = BPR(**SMALL, epochs=3, recency=0.0).fit(interactions, callback=lambda *told: seen.append(told))
    assert [(epoch, row["epoch"]) for epoch, _, row in seen] == [(1, 1), (2, 2), (3, 3)]
    last = seen[-1][1]
    assert np.array_equal(last.users, bpr.user_vectors) and np.array_equal(last.biases, bpr.item_biases)
    assert seen[0][2]["loss"] == bpr.history["loss"][0]


def test_fits_in_threads_compile_one_by_one_and_run_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    entered: list[float] = []

    class Watched:
        def __enter__(self) -> None:
            lock.acquire()
            entered.append(temperature)

        def __exit__(self, *_: object) -> None:
            lock.release()

    lock = threading.Lock()
    monkeypatch.setattr(training, "_compiling", Watched())
    frame = synthetic_interactions(30, 20, 200)
    for temperature in (0.61, 0.62, 0.61):
        before = len(entered)
        fit = BPR(4, epochs=2, temperature=temperature).fit
        in_parallel(lambda _, fit=fit: fit(frame), range(3))
    assert set(entered) == {0.61, 0.62}
    assert len(entered) == before  # the last ones had nothing to compile

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from bpr_helpers.model import L2, BPRModel, bpr_loss, l2_penalty, negative_scores
from bpr_helpers.sampling import mean_weights
from bpr_helpers.training import triple_gradients

STRENGTHS = L2(user=0.3, pos=0.2, neg=0.1, bias=0.05)
USERS, POSITIVES = np.array([0, 1, 1, 2]), np.array([0, 2, 0, 3])
NEGATIVES = {"shared": np.array([1, 4]), "own": np.array([[1, 4], [4, 1], [1, 3], [4, 0]])}
COUNTS = np.array([1.0, 0.5, 2.0, 0.0])  # the last triple only fills up the batch


@pytest.fixture
def tables() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    return tuple(rng.normal(size=shape) for shape in ((3, 4), (5, 4), (5,)))


def objective(tables: tuple[np.ndarray, ...], negatives: np.ndarray) -> float:
    """The loss as the formula has it, one triple at a time."""
    user, item, bias = tables
    total = 0.0
    for row, (u, i) in enumerate(zip(USERS, POSITIVES, strict=True)):
        for j in negatives if negatives.ndim == 1 else negatives[row]:
            weight = COUNTS[row] / negatives.shape[-1]
            difference = user[u] @ item[i] + bias[i] - user[u] @ item[j] - bias[j]
            penalty = (
                STRENGTHS.user * user[u] @ user[u]
                + STRENGTHS.pos * item[i] @ item[i]
                + STRENGTHS.neg * item[j] @ item[j]
                + STRENGTHS.bias * (bias[i] ** 2 + bias[j] ** 2)
            )
            total += weight * (-np.log(1 / (1 + np.exp(-difference))) + penalty / 2)
    return total


@pytest.mark.parametrize("kind", NEGATIVES)
def test_gradients_agree_with_finite_differences_of_the_formula(
    tables: tuple[np.ndarray, ...], kind: str
) -> None:
    negatives = NEGATIVES[kind]
    loss, _, rows, gradients = triple_gradients(
        tuple(map(tf.constant, tables)),
        tf.constant(USERS),
        tf.constant(POSITIVES),
        tf.constant(negatives),
        tf.ones((4, 2), tf.float64),
        tf.constant(COUNTS),
        mean_weights,
        STRENGTHS,
    )
    step = 1e-6
    for which, table in enumerate(tables):
        summed = np.zeros_like(table)
        np.add.at(summed, rows[which].numpy(), gradients[which].numpy())
        for place in np.ndindex(table.shape):
            up, down = [t.copy() for t in tables], [t.copy() for t in tables]
            up[which][place] += step
            down[which][place] -= step
            slope = (objective(tuple(up), negatives) - objective(tuple(down), negatives)) / (2 * step)
            assert summed[place] == pytest.approx(slope, abs=1e-7)
    without_l2 = objective(tables, negatives) - penalty_of(tables, negatives)
    assert float(loss) == pytest.approx(without_l2, abs=1e-9)


def penalty_of(tables: tuple[np.ndarray, ...], negatives: np.ndarray) -> float:
    user, item, bias = tables
    weights = np.repeat(COUNTS[:, None] / 2, 2, axis=1)
    parts = (user[USERS], item[POSITIVES], item[negatives], bias[POSITIVES], bias[negatives], weights)
    return float(l2_penalty(*map(tf.constant, parts), STRENGTHS))


def test_the_loss_of_a_triple_by_hand() -> None:
    one = tf.constant([[1.0]])
    assert float(bpr_loss(tf.constant([2.0]), tf.constant([[2.0]]), one)) == pytest.approx(np.log(2))
    assert float(bpr_loss(tf.constant([1.0]), tf.constant([[0.0]]), one)) == pytest.approx(
        np.log1p(np.exp(-1))
    )
    far = float(bpr_loss(tf.constant([-500.0]), tf.constant([[500.0]]), 0.5 * one))
    assert far == pytest.approx(500.0)  # no overflow


def test_a_fixed_last_user_coordinate_is_an_item_bias(tables: tuple[np.ndarray, ...]) -> None:
    """U = [u, 1] and I = [i, b]: the same scores and the same gradients as a bias of its own."""
    user, item, bias = (tf.Variable(table) for table in tables)
    long_user = tf.Variable(np.hstack([tables[0], np.ones((3, 1))]))
    long_item = tf.Variable(np.hstack([tables[1], tables[2][:, None]]))
    with tf.GradientTape(persistent=True) as tape:
        plain = negative_scores(user, item, bias)
        fixed = negative_scores(long_user, long_item, tf.zeros(5, tf.float64))
        losses = [tf.reduce_sum(tf.nn.softplus(scores[:, 1:] - scores[:, :1])) for scores in (plain, fixed)]
    assert plain.numpy() == pytest.approx(fixed.numpy(), abs=1e-12)
    d_item, d_bias = tape.gradient(losses[0], [item, bias])
    d_user, d_long_user = tape.gradient(losses[0], user), tape.gradient(losses[1], long_user)
    d_long_item = tape.gradient(losses[1], long_item)
    assert d_long_user[:, :-1].numpy() == pytest.approx(d_user.numpy(), abs=1e-12)  # the last one stays fixed
    assert d_long_item.numpy() == pytest.approx(np.hstack([d_item, d_bias.numpy()[:, None]]), abs=1e-12)


def test_own_and_shared_negatives_score_alike(tables: tuple[np.ndarray, ...]) -> None:
    user, item, bias = tables
    shared = negative_scores(user, tf.constant(item), bias)
    own = negative_scores(user, tf.constant(np.stack([item] * 3)), np.stack([bias] * 3))
    assert shared.numpy() == pytest.approx(own.numpy(), abs=1e-12)
    assert shared.numpy() == pytest.approx(user @ item.T + bias, abs=1e-12)


def test_the_keras_file_gives_the_same_scores_in_a_new_process(tmp_path: Path) -> None:
    model = BPRModel(4, 6, 3, item_bias=True, seed=7)
    model.item_biases.assign(np.arange(6) / 10)
    model.save(tmp_path / "model.keras")
    pairs = "np.array([0, 3, 2]), np.array([5, 1, 1])"
    code = (
        "import sys, numpy as np, keras, bpr_helpers.model\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        f"print(model(({pairs})).numpy().tobytes().hex())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model.keras")],
        capture_output=True,
        text=True,
        check=True,
    )
    expected = model((np.array([0, 3, 2]), np.array([5, 1, 1]))).numpy()
    assert run.stdout.split()[-1] == expected.tobytes().hex()


def test_the_seed_makes_the_vectors_and_biases_start_at_zero() -> None:
    one, same, other = (BPRModel(30, 40, 8, init_scale=0.2, seed=seed).tables for seed in (1, 1, 2))
    assert (one[0] == same[0]).all() and (one[1] == same[1]).all()
    assert (one[0] != other[0]).all()
    assert not one[2].any()
    assert np.std(np.concatenate([one[0], one[1]])) == pytest.approx(0.2, rel=0.15)

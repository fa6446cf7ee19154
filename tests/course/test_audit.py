"""Every check of the audit is fine on an honest comparison and finds the mistake that it is named after."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fixed_scores import Fixed

from bpr_helpers import EASE, split_global_time, split_per_user, synthetic_interactions
from bpr_helpers.course.audit import CHECKS, audit
from bpr_helpers.matrix import InteractionMatrix


@pytest.fixture(scope="module")
def rows():
    made = synthetic_interactions(80, 40, 1500, seed=1)
    return made.assign(timestamp=pd.to_datetime(np.arange(len(made)), unit="s")).sample(
        frac=1, random_state=0
    )


@pytest.fixture(scope="module")
def honest(rows):
    return split_per_user(rows, valid_fraction=0.1)


def refit(split):
    return EASE().fit(pd.concat([split.train, split.valid]))


def verdicts(split, model):
    return audit(split, model)["verdict"].to_dict()


def test_an_honest_comparison_is_fine_but_for_what_others_did_later(honest):
    found = verdicts(honest, refit(honest))
    assert found == dict.fromkeys(CHECKS, "fine") | {"the future of others in training": "look"}


def test_a_split_at_one_moment_has_no_future_in_training(rows):
    split = split_global_time(rows, valid_fraction=0.1)
    assert verdicts(split, refit(split))["the future of others in training"] == "fine"


def test_every_finding_is_a_sentence_with_a_number(honest):
    table = audit(honest, refit(honest))
    assert table.index.to_list() == list(CHECKS)
    assert table["finding"].str.fullmatch(r"[A-Z0-9].*\.").all()
    assert table["finding"].str.contains(r"\d").sum() >= len(table) - 1


def without_times(split):
    parts = {name: getattr(split, name).drop(columns="timestamp") for name in ("train", "valid", "test")}
    return replace(split, **parts)


def late_first(split):
    """The latest row of training and the first of the test part change places."""
    late, early = split.train["timestamp"].idxmax(), split.test["timestamp"].idxmin()
    user = split.train.loc[late, "user_id"]
    early = split.test.index[split.test["user_id"] == user][0]
    train, test = split.train.copy(), split.test.copy()
    train.loc[late, "timestamp"], test.loc[early, "timestamp"] = (
        split.test.loc[early, "timestamp"],
        split.train.loc[late, "timestamp"] - pd.Timedelta(1, "D"),
    )
    return replace(split, train=train, test=test)


def with_test(change):
    return lambda split: replace(split, test=change(split.test))


MISTAKES = {
    "test pairs in earlier parts": lambda split: replace(
        split, train=pd.concat([split.train, split.test[:1]])
    ),
    "test rows that stand twice": with_test(lambda test: pd.concat([test, test[:1]])),
    "test rows before training": late_first,
    "test users whom the model does not know": with_test(
        lambda test: pd.concat([test, test[:1].assign(user_id=10**6)])
    ),
    "test items that the model does not know": with_test(
        lambda test: test.assign(item_id=test["item_id"] + 20)
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_of_the_split_is_found(honest, name):
    model = refit(honest)
    assert verdicts(MISTAKES[name](honest), model)[name] == "look"


def test_a_cut_tie_is_found(rows):
    split = split_per_user(rows.assign(timestamp=pd.Timestamp(0)), valid_fraction=0.1)
    assert verdicts(split, refit(split))["ties at the boundary"] == "look"


def test_a_model_that_was_fitted_on_the_test_part_is_found(honest, rows):
    table = audit(honest, EASE().fit(rows))
    assert table.loc["the test part in the model", "verdict"] == "look"
    n = len(honest.test)
    assert f"on {n:,} of {n:,} test rows" in table.loc["the test part in the model", "finding"]


def test_a_model_that_was_not_fitted_again_is_found(honest):
    assert verdicts(honest, EASE().fit(honest.train))["the validation part in the model"] == "look"


def test_one_list_for_everybody_is_found(honest):
    matrix = refit(honest).matrix
    first = np.arange(matrix.n_items) + 100.0 * (np.asarray(matrix.csr.sum(0)).ravel() == 0)
    few = InteractionMatrix(matrix.user_ids, matrix.item_ids, matrix.csr[:, :].multiply(0).tocsr())
    few.csr.eliminate_zeros()
    same = Fixed(np.tile(first, (matrix.n_users, 1)), few)
    assert verdicts(honest, same)["lists that are all alike"] == "look"


def test_constant_scores_are_found(honest):
    matrix = refit(honest).matrix
    flat = Fixed(np.ones((matrix.n_users, matrix.n_items)), matrix)
    assert verdicts(honest, flat)["constant scores"] == "look"


def test_ids_that_run_far_beyond_their_number_are_found(rows):
    far = rows.assign(item_id=rows["item_id"] * 1000)
    split = split_per_user(far, valid_fraction=0.1)
    table = audit(split, refit(split))
    assert table.loc["ids taken for a table's size", "verdict"] == "look"
    named = rows.assign(item_id="i" + rows["item_id"].astype(str))
    split = split_per_user(named, valid_fraction=0.1)
    assert verdicts(split, refit(split))["ids taken for a table's size"] == "fine"


def test_what_needs_times_or_a_validation_part_cannot_be_said_without(honest):
    split = without_times(replace(honest, valid=honest.valid[:0]))
    found = verdicts(split, EASE().fit(split.train))
    unsaid = [name for name, verdict in found.items() if verdict == "cannot say"]
    assert unsaid == [
        "the validation part in the model",
        "test rows before training",
        "ties at the boundary",
        "the future of others in training",
    ]


def test_nothing_to_look_at_is_said_in_a_sentence(honest):
    with pytest.raises(ValueError, match=r"EASE is not fitted: fit it on split\.train"):
        audit(honest, EASE())
    with pytest.raises(ValueError, match="The test part is empty"):
        audit(replace(honest, test=honest.test[:0]), refit(honest))

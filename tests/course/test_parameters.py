"""Parameters: types, ranges, contradictions, and the sentences in which faults are told."""

import inspect
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpr_helpers.bpr import BPR
from bpr_helpers.course.parameters import (
    ACTS_WITH,
    NOTEBOOKS,
    check,
    defaults,
    faults,
    fields,
    from_text,
    idle,
    per_notebook,
)

MODEL = "03_bpr_model"


@pytest.mark.parametrize("notebook", NOTEBOOKS)
def test_defaults_pass_their_own_check(notebook):
    assert check(notebook, defaults(notebook)) == defaults(notebook)
    assert faults(defaults(notebook)) == {}


def test_a_name_in_two_notebooks_means_the_same_in_both():
    for name in fields():
        declared = [m.model_fields[name] for m in NOTEBOOKS.values() if name in m.model_fields]
        assert all(
            (f.annotation, f.default) == (declared[0].annotation, declared[0].default) for f in declared
        )


def test_every_parameter_has_help_and_a_builtin_type():
    for name, field in fields().items():
        assert field.description, name
        assert type(field.default) in (bool, int, float, str), name


def test_numpys_numbers_are_numbers():
    given = {"dim": np.int64(4), "l2_user": np.float32(0.5), "item_bias": np.bool_(False)}
    values = check(MODEL, given)
    assert {name: values[name] for name in given} == {"dim": 4, "l2_user": 0.5, "item_bias": False}
    assert type(values["dim"]) is int and type(values["l2_user"]) is float
    assert per_notebook(given)[MODEL]["dim"] == 4
    assert faults({"dim": np.int64(0)}) == {"dim": "dim must be a whole number at least 1, not 0"}
    assert faults({"patience": np.int64(5), "valid_fraction": np.float64(0)})["patience"].startswith(
        "patience=5 needs a validation part, but valid_fraction is 0"
    )


@given(st.sampled_from(sorted(fields())), st.sampled_from([str.upper, str.title, str.capitalize]))
def test_a_name_in_capitals_gets_the_one_that_was_meant(name, written):
    if written(name) not in fields():
        assert f"(did you mean {name}?)" in faults({written(name): 1})[written(name)]


def test_check_ignores_what_the_notebook_does_not_declare():
    values = check("04_evaluation", {"k": 5, "dim": "nonsense", "__name__": "__main__"})
    assert values["k"] == 5 and "dim" not in values


def test_check_tells_every_fault_in_one_sentence():
    with pytest.raises(ValueError, match="03_bpr_model cannot run") as caught:
        check("03_bpr_model", {"dim": 0, "seed": 1.5, "sampler": "hardest", "item_bias": 1})
    sentence = str(caught.value)
    assert "\n" not in sentence and sentence.endswith(".")
    for part in (
        "dim must be a whole number at least 1, not 0",
        "seed must be a whole number at least 0 and below 4294967296, not 1.5",
        "sampler must be one of uniform, popularity, hard, shared, weighted, not 'hardest' (",
        "(did you mean hard?)",
        "item_bias must be true or false, not 1",
    ):
        assert part in sentence


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("dim", True), ("dim", 3.0), ("dim", "3"), ("dim", None), ("item_bias", "true")],
        *[("l2_user", "0.1"), ("l2_user", True), ("l2_user", math.nan), ("l2_user", math.inf)],
        *[("source", 3), ("source", "")],
    ],
)
def test_types_are_strict(name, value):
    assert len(faults({name: value})) == 1


def test_a_whole_number_is_a_number():
    assert faults({"l2_user": 0, "min_rating": 3}) == {}


def test_unknown_names_get_the_nearest_name():
    assert faults({"dims": 3}) == {"dims": "no notebook has a parameter dims (did you mean dim?)"}
    assert faults({"zzzzzz": 3}) == {"zzzzzz": "no notebook has a parameter zzzzzz"}


@given(
    st.dictionaries(st.sampled_from(sorted(fields())), st.none() | st.booleans() | st.integers() | st.text())
)
def test_values_pass_exactly_if_every_notebook_takes_them(values):
    found = faults(values)
    if found:
        assert all(isinstance(fault, str) and fault for fault in found.values())
    else:
        handed = per_notebook(values)
        assert all(handed[book][n] == v for book in handed for n, v in values.items() if n in handed[book])


def test_patience_needs_a_validation_part():
    assert len(faults({"valid_fraction": 0.0})) == 1  # the default patience is above 0
    assert faults({"valid_fraction": 0.0, "patience": 0}) == {}
    assert len(faults({"split": "leave_last", "n_valid": 0})) == 1
    assert faults({"split": "leave_last", "valid_fraction": 0.0}) == {}


def test_a_notebook_alone_is_not_blamed_for_another_notebooks_default():
    assert check("02_chronological_split", {"valid_fraction": 0.0})["valid_fraction"] == 0.0


def test_two_columns_cannot_be_one():
    assert faults({"user_column": "id", "item_column": "id"}) == {
        "item_column": "column 'id' is named for two purposes"
    }
    assert faults({"timestamp_column": "", "rating_column": ""}) == {}


def test_values_without_effect_are_named():
    assert idle({"n_test": 2})["n_test"].startswith("n_test has no effect with split='per_user'")
    assert idle({"n_test": 2, "split": "leave_last"}) == {}
    assert all(field in fields() and other in fields() for field, (other, _) in ACTS_WITH.items())


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        *[("dim", "32", 32), ("dim", "3.5", "3.5"), ("dim", 32, 32), ("no_such_name", "3", "3")],
        *[("l2_user", "1e-3", 0.001), ("l2_user", "1", 1.0), ("source", "12", "12")],
        *[("item_bias", "True", True), ("item_bias", "false", False), ("item_bias", "1", "1")],
    ],
)
def test_texts_become_values_of_the_declared_type(name, text, value):
    assert from_text(name, text) == value and type(from_text(name, text)) is type(value)


def test_the_model_and_its_notebook_have_the_same_defaults():
    signature = {n: p.default for n, p in inspect.signature(BPR).parameters.items()}
    notebook = defaults("03_bpr_model")
    # A notebook stops early and may choose; a plain fit cannot.
    for name in set(notebook) - {"run_dir", "epochs", "patience", "choose"}:
        assert signature[name] == notebook[name], name

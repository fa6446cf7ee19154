"""Sweep files: spaces, seeds, faults, and trials named after what they set."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpr_helpers.course.parameters import defaults
from bpr_helpers.course.sweep_plan import DATA, MODEL, Sweep, Trial, plan, read_sweep
from bpr_helpers.settings import clause


def sweep(**content):
    found, wrong = read_sweep(content)
    assert wrong == []
    return found


def test_a_grid_is_every_combination_and_the_default():
    found = sweep(grid={"dim": [2, 4], "l2_user": [0.1, "1e-2"]}).configurations()
    assert found == [{}] + [{"dim": dim, "l2_user": l2} for dim in (2, 4) for l2 in (0.1, 0.01)]


def test_a_list_is_itself_and_repeated_configurations_count_once():
    assert sweep(list=[{"dim": 2}, {}, {"dim": 2}]).configurations() == [{}, {"dim": 2}]


def draws(trials=2, **space):
    return {"random": {"trials": trials, "space": space}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "give exactly one of grid, random and list"),
        ({"grid": {"dim": [2]}, "list": [{}]}, "give exactly one of grid, random and list"),
        ({"grid": {"dim": []}}, "grid.dim must not be empty"),
        ({"grid": {"dim": 8}}, "grid.dim must be a list"),
        ({"grit": {"dim": [2]}}, "a sweep has no entry grit (did you mean grid?)"),
        ({"grid": {"dims": [2]}}, "no notebook has a parameter dims (did you mean dim?)"),
        ({"grid": {"dim": [2, "x"]}}, "dim must be a whole number at least 1, not 'x'"),
        ({"grid": {"dim": [2]}, "fixed": {"dim": 3}}, "dim is both fixed and swept"),
        ({"grid": {"k": [5, 10]}}, "k matters to 04_evaluation alone"),
        ({"grid": {"run_sweep": [True]}}, "run_sweep matters to 06_tuning alone"),
        ({"grid": {"seed": [5, 10]}}, "seed belongs under seeds"),
        ({"grid": {"run_dir": ["a"]}}, "run_dir is a folder that the sweep chooses itself"),
        ({"grid": {"dim": [2]}, "seeds": []}, "seeds must not be empty"),
        ({"grid": {"dim": [2]}, "seeds": [1, 1]}, "a seed is given twice"),
        ({"grid": {"dim": [2]}, "metric": "ndgc@10"}, "no metric ndgc@10 (did you mean ndcg@10?)"),
        ({"grid": {"dim": [2]}, "part": "test"}, "add --report-test"),
        ({"grid": {"valid_fraction": [0.0]}}, "patience=5 needs a validation part"),
        ({"random": {"trials": 2, "space": {"l2_user": {"low": 1, "high": 0}}}}, "low must be below high"),
        ({"random": {"trials": 0, "space": {"dim": [2]}}}, "random.trials must be at least 1"),
        ({"random": {"trials": 2, "dim": [2]}}, "random has no entry dim: put it under random.space"),
        (
            {"random": {"trials": 2, "space": {"dim": {"lo": 1, "high": 2}}}},
            "no entry lo (did you mean low?)",
        ),
        ({"Grid": {"dim": [2]}}, "a sweep has no entry Grid (did you mean grid?)"),
        ({"FIXED": {"k": 3}, "grid": {"dim": [2]}}, "a sweep has no entry FIXED (did you mean fixed?)"),
        ({"grid": {"Dim": [2]}}, "no notebook has a parameter Dim (did you mean dim?)"),
        ({"random": {"trials": 2, "Space": {"dim": [2]}}}, "random has no entry Space (did you mean space?)"),
        ({"fixed": {1: 2}, "grid": {"dim": [2]}}, "fixed.1 is no name"),
        ({1: 2, "grid": {"dim": [2]}}, "1 "),
        ({"grid": {"dim": [2]}, "seeds": [-1]}, "seeds.0 must be at least 0"),
        ({"grid": {"dim": [2]}, "seeds": [2**32]}, "seeds.0 must be below 4294967296"),
        (draws(l2_user={"low": 0.1, "high": math.inf}), "random.space.l2_user.high must be a finite number"),
        (draws(l2_user={"low": "-inf", "high": 1}), "random.space.l2_user.low must be a finite number"),
        (draws(l2_user={"low": math.nan, "high": 1}), "random.space.l2_user.low must be a finite number"),
        (draws(l2_user={"low": 0.1}), "random.space.l2_user.high is missing"),
        (draws(l2_user=0.1), "random.space.l2_user must be a list"),
        (draws(dim={"low": 1.5, "high": 8}), "dim must be a whole number at least 1, not 1.5"),
        (
            draws(averaging={"low": 0.5, "high": 1}),
            "averaging must be a number at least 0 and below 1, not 1.0",
        ),
        (draws(user_k=[2, 3]), "user_k changes the data, so that scores do not compare"),
        (
            draws(sampler=["hard", "uniform"], temperature=[0.1]) | {"fixed": {"recency": 0.0}},
            "temperature has no effect with",
        ),
        (draws(dim=[2], trials=10**9), "random.trials must be at most 10000"),
        (draws(dim=[2]) | {"seeds": list(range(60_000))}, "these are 120,000 trials"),
        (
            {"random": draws(dim=[2])["random"] | {"sampler": "tp"}},
            "random.sampler must be one of 'random' or",
        ),
        ({"grid": {"dim": [*range(400)], "l2_user": [*range(400)]}}, "these are 160,000 trials"),
        ({"list": [{"n_test": 3}]}, "n_test has no effect with split='per_user'"),
        ({"grid": {"dim": [2]}, "fixed": {"valid_fraction": 0.0, "patience": 0}}, "valid_fraction is 0"),
    ],
)
def test_faults_are_told_before_anything_runs(content, words):
    found, wrong = read_sweep(content)
    assert found is None and any(words in fault for fault in wrong), wrong
    assert all("\n" not in fault for fault in wrong)


def test_part_test_is_taken_together_with_report_test():
    found, wrong = read_sweep({"grid": {"dim": [2]}, "part": "test"}, report_test=True)
    assert found and wrong == []


def test_trials_are_named_after_what_they_set_and_not_after_their_order():
    one = plan(sweep(grid={"dim": [2, 4]}, seeds=[0, 1]), Path("x"))
    other = plan(sweep(list=[{"dim": 4}, {"dim": 2}], seeds=[1, 0]), Path("x"))
    assert len(one) == 6 and {t.folder for t in one} == {t.folder for t in other}
    changed = plan(sweep(grid={"dim": [2, 4]}, seeds=[0, 1], fixed={"user_k": 3}), Path("x"))
    assert not {t.folder for t in one} & {t.folder for t in changed}


def test_a_configuration_equal_to_the_default_is_the_default():
    trials = plan(sweep(grid={"dim": [defaults(MODEL)["dim"]]}), Path("x"))
    assert [str(trial) for trial in trials] == ["default, seed=0"]


def test_a_parameter_may_be_idle_in_some_configurations_of_a_grid():
    both, plain = {"sampler": ["hard", "weighted"], "temperature": [0.5, 1.0]}, {"recency": 0.0}
    assert len(sweep(grid=both).configurations()) == 5
    only = both | {"sampler": ["hard", "uniform"]}
    _, wrong = read_sweep({"grid": only, "fixed": plain})
    assert len(wrong) == 1 and wrong[0].startswith("temperature has no effect")
    assert read_sweep({"grid": only})[1] == []  # with recency, phase two has a temperature


def test_what_equals_its_default_may_be_idle():
    usual = {name: value for book in DATA for name, value in defaults(book).items() if name != "run_dir"}
    assert sweep(fixed=usual, grid={"dim": [3]}).configurations() == [{}, {"dim": 3}]


def test_what_is_wrong_in_a_list_is_told_once():
    _, wrong = read_sweep({"grid": {"dim": [2]}, "seeds": ["a"]})
    assert wrong == ["seeds.0 must be a whole number"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "{}",
        "[" * 10**5,
        '{"status": 3}',
        '{"status": "done", "attempts": -1}',
        '{"attempts": "x"}',
    ],
)
def test_a_trial_without_a_readable_status_is_waiting(tmp_path, content):
    trial = Trial({}, {"seed": 0}, tmp_path)
    assert trial.status["status"] == "waiting"
    (tmp_path / "status.json").write_text(content)
    assert trial.status["status"] == "waiting" and not trial.is_done(tmp_path)
    assert trial.status.keys() == {"status", "attempts", "seconds", "error"}


def test_a_status_that_lacks_entries_has_their_defaults(tmp_path):
    (tmp_path / "status.json").write_text('{"status": "done", "more": 1}')
    status = Trial({}, {"seed": 0}, tmp_path).status
    assert math.isnan(status.pop("seconds")) and status == {"status": "done", "attempts": 0, "error": ""}


def test_texts_that_are_numbers_are_numbers_wherever_they_stand():
    found = sweep(fixed={"learning_rate": "1e-2"}, list=[{"l2_user": "1e-3"}])
    assert found.settings() == [{"learning_rate": 0.01}, {"learning_rate": 0.01, "l2_user": 0.001}]


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
KEYS = st.sampled_from(
    ["fixed", "grid", "random", "list", "seeds", "space", "dim", "Values", "Range", "low", 1]
)


@settings(deadline=None)
@given(
    st.recursive(
        PLAIN, lambda one: st.lists(one, max_size=3) | st.dictionaries(KEYS, one, max_size=3)
    ).filter(lambda content: isinstance(content, dict))
)
def test_whatever_a_file_holds_is_a_sweep_or_told_in_sentences(content):
    found, wrong = read_sweep(content)
    assert (found is None) == bool(wrong) and all(wrong) and not any("\n" in fault for fault in wrong)


def test_what_has_no_words_keeps_those_of_pydantic():
    fault = {"type": "frozen_field", "loc": ("dim",), "msg": "Field is frozen", "input": 1}
    assert clause(fault) == "is refused: Field is frozen"


def test_a_sweep_comes_back_from_its_own_record():
    found = sweep(random={"trials": 3, "space": {"dim": {"low": 2, "high": 9}}}, seeds=[3])
    again = Sweep.model_validate(found.model_dump(mode="json", by_alias=True))
    assert again == found and again.configurations() == found.configurations()

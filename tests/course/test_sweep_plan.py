"""Sweep files: spaces, seeds, faults, and trials named after what they set."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpr_helpers.course.parameters import defaults, faults
from bpr_helpers.course.sweep_plan import DATA, MODEL, Sweep, Trial, plan, read_sweep


def sweep(**content):
    found, wrong = read_sweep(content)
    assert wrong == []
    return found


def test_a_grid_is_every_combination_and_the_default():
    found = sweep(grid={"dim": [2, 4], "l2_user": [0.1, "1e-2"]}).configurations()
    assert found == [{}] + [{"dim": dim, "l2_user": l2} for dim in (2, 4) for l2 in (0.1, 0.01)]


def test_a_list_is_itself_and_repeated_configurations_count_once():
    assert sweep(list=[{"dim": 2}, {}, {"dim": 2}]).configurations() == [{}, {"dim": 2}]


@settings(deadline=None)
@given(st.integers(0, 1000), st.integers(1, 30))
def test_random_values_stay_in_their_ranges_and_are_fixed_by_the_seed(seed, trials):
    space = {
        "l2_user": {"low": "1e-3", "high": 0.1, "log": True},
        "dim": {"low": 8, "high": 64},
        "item_bias": [True, False],
    }
    content = {"random": {"trials": trials, "seed": seed, "space": space}}
    found = sweep(**content).configurations()
    assert found == sweep(**content).configurations() and found[0] == {} and len(found) <= trials + 1
    for one in found[1:]:
        assert 0.001 <= one["l2_user"] <= 0.1 and 8 <= one["dim"] <= 64 and not faults(one)
        assert one["l2_user"] == float(f"{one['l2_user']:.4g}")


def test_a_logarithmic_range_is_even_in_the_logarithm():
    space = {"l2_user": {"low": 0.001, "high": 1.0, "log": True}}
    values = [c["l2_user"] for c in sweep(random={"trials": 1000, "space": space}).configurations()[1:]]
    assert abs(sum(value < math.sqrt(0.001) for value in values) / 1000 - 0.5) < 0.06  # four deviations


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
    both = {"sampler": ["hard", "weighted"], "temperature": [0.5, 1.0]}
    assert len(sweep(grid=both).configurations()) == 5
    _, wrong = read_sweep({"grid": both | {"sampler": ["hard", "uniform"]}})
    assert len(wrong) == 1 and wrong[0].startswith("temperature has no effect")


def test_what_equals_its_default_may_be_idle():
    usual = {name: value for book in DATA for name, value in defaults(book).items() if name != "run_dir"}
    assert sweep(fixed=usual, grid={"dim": [3]}).configurations() == [{}, {"dim": 3}]


def test_what_is_wrong_in_a_list_is_told_once():
    _, wrong = read_sweep({"grid": {"dim": [2]}, "seeds": ["a"]})
    assert wrong == ["seeds.0 must be a whole number"]


def test_a_trial_without_a_readable_status_is_waiting(tmp_path):
    trial = Trial({}, {"seed": 0}, tmp_path)
    assert trial.status["status"] == "waiting"
    (tmp_path / "status.json").write_text("{")
    assert trial.status["status"] == "waiting" and not trial.is_done(tmp_path)


def test_a_sweep_comes_back_from_its_own_record():
    found = sweep(random={"trials": 3, "space": {"dim": {"low": 2, "high": 9}}}, seeds=[3])
    again = Sweep.model_validate(found.model_dump(mode="json", by_alias=True))
    assert again == found and again.configurations() == found.configurations()

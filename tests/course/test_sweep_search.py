"""Random search: what is drawn, what is remembered, and journals that somebody else wrote."""

import json
import math
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpr_helpers.course.parameters import faults
from bpr_helpers.course.runs import RefusedError
from bpr_helpers.course.sweep_plan import plan, read_sweep
from bpr_helpers.course.sweep_search import ROUND, STARTUP, Search, Study

pytest.importorskip("optuna")

SPACE = {
    "l2_user": {"low": "1e-3", "high": 0.1, "log": True},
    "dim": {"low": 8, "high": 64},
    "item_bias": [True, False],
}


def drawn(search: Search, journal: Path) -> list[dict]:
    study = Study(search, journal)
    next(study.rounds())
    return study.configurations()


def judge(study: Study, rounds: int = 10**6) -> list[int]:
    """Score by the distance of l2_user from .05, and give the sizes of the rounds."""
    sizes = []
    for waiting, _ in zip(study.rounds(), range(rounds), strict=False):
        sizes.append(len(waiting))
        for number in waiting:
            study.tell(number, -abs(study.configurations()[number]["l2_user"] - 0.05))
    return sizes


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 1000), st.integers(1, 20))
def test_random_values_stay_in_their_ranges_and_are_fixed_by_the_seed(seed, trials):
    search = Search(trials=trials, seed=seed, space=SPACE)
    with tempfile.TemporaryDirectory() as folder:
        found = drawn(search, Path(folder, "a"))
        assert found == drawn(search, Path(folder, "b")) and len(found) == trials
    for one in found:
        assert list(one) == list(SPACE)
        assert 0.001 <= one["l2_user"] <= 0.1 and 8 <= one["dim"] <= 64 and not faults(one)
        assert one["l2_user"] == float(f"{one['l2_user']:.4g}")


def test_rounding_to_four_digits_does_not_leave_the_range(tmp_path):
    search = Search(trials=50, space={"l2_user": {"low": 0.123456, "high": 0.123457}})
    assert {one["l2_user"] for one in drawn(search, tmp_path / "a")} <= {0.123456, 0.123457}


def test_a_logarithmic_range_is_even_in_the_logarithm(tmp_path):
    space = {"l2_user": {"low": 0.001, "high": 1.0, "log": True}}
    values = [one["l2_user"] for one in drawn(Search(trials=1000, space=space), tmp_path / "a")]
    assert len(values) == 1000
    assert abs(sum(value < math.sqrt(0.001) for value in values) / 1000 - 0.5) < 0.06  # four deviations


def test_another_seed_draws_others_and_more_trials_begin_with_the_same(tmp_path):
    few, more = (drawn(Search(trials=n, space=SPACE), tmp_path / str(n)) for n in (5, 9))
    assert more[:5] == few
    assert drawn(Search(trials=5, seed=1, space=SPACE), tmp_path / "seed") != few
    assert drawn(Search(trials=9, space=SPACE), tmp_path / "5") == more  # the same search, made longer


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path, sampler):
    search = Search(trials=19, sampler=sampler, space=SPACE)
    whole = Study(search, tmp_path / "whole")
    assert judge(whole) == ([19] if sampler == "random" else [STARTUP, ROUND, ROUND, 1])
    for _ in range(8):
        stopped = Study(search, tmp_path / "stopped")
        for number in next(stopped.rounds())[:3]:  # stopped after three
            stopped.tell(number, -abs(stopped.configurations()[number]["l2_user"] - 0.05))
    again = Study(search, tmp_path / "stopped")
    judge(again)
    assert again.configurations() == whole.configurations()


def test_tpe_draws_near_what_scored_best(tmp_path):
    study = Study(Search(trials=50, sampler="tpe", space=SPACE), tmp_path / "a")
    judge(study)
    away = [abs(one["l2_user"] - 0.05) for one in study.configurations()]
    assert sum(away[-20:]) / 20 < sum(away[:STARTUP]) / STARTUP / 2


def test_what_was_judged_otherwise_is_another_search(tmp_path):
    search = Search(trials=12, sampler="tpe", space=SPACE)
    judge(Study(search, tmp_path / "a", {"metric": "auc"}))
    assert Study(search, tmp_path / "a", {"metric": "ndcg@10"}).configurations() == []


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize(
    "content",
    [
        b"what?\n\n",
        b"{}\n",
        b"[1]\n",
        b"[" * 10**5 + b"\n",
        b"\xff\n\n",
        b'{"op_code": 4}\n',
        b'{"op_code": 99, "worker_id": "x"}\n',
        pickle.dumps(Bomb()) + b"\n\n",
    ],
)
def test_a_journal_that_is_none_is_told_and_runs_nothing(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "search.jsonl").write_bytes(content)
    with pytest.raises(RefusedError, match=r"search\.jsonl cannot be read") as caught:
        Study(Search(trials=2, space=SPACE), tmp_path / "search.jsonl").configurations()
    assert "\n" not in str(caught.value) and not (tmp_path / "exploded").exists()


def test_a_journal_cut_by_a_full_disk_is_told(tmp_path):
    search = Search(trials=3, space=SPACE)
    journal = tmp_path / "a"
    drawn(search, journal)
    journal.write_bytes(journal.read_bytes()[:-30])
    with pytest.raises(RefusedError, match="cannot be read"):
        drawn(search, journal)
        drawn(Search(trials=4, space=SPACE), journal)


@pytest.mark.parametrize(
    ("old", "new"), [('"param_value_internal":', '"param_value_internal":1e9,"x":'), ('"dim"', '"k"')]
)
def test_a_journal_with_values_of_another_space_is_told(tmp_path, old, new):
    search = Search(trials=2, space=SPACE)
    drawn(search, tmp_path / "a")
    (tmp_path / "a").write_text((tmp_path / "a").read_text().replace(old, new))
    with pytest.raises(RefusedError, match=r"cannot be read|does not draw"):
        Study(search, tmp_path / "a").configurations()


def test_a_journal_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "other").write_text("precious")
    (tmp_path / "a").symlink_to(tmp_path / "other")
    with pytest.raises(RefusedError, match="no plain file"):
        drawn(Search(trials=2, space=SPACE), tmp_path / "a")
    assert (tmp_path / "other").read_text() == "precious"


def test_without_optuna_one_sentence_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RefusedError, match="pip install 'bpr-helpers\\[sweep\\]'"):
        drawn(Search(trials=2, space=SPACE), tmp_path / "a")


def test_a_grid_does_not_import_optuna():
    code = """
import sys
from pathlib import Path
from bpr_helpers.course import sweep_run, sweep_table
from bpr_helpers.course.sweep_plan import plan, read_sweep
sweep, _ = read_sweep({"grid": {"dim": [2, 4]}})
print(len(plan(sweep, Path("x"))), "optuna" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "False"]


def test_trials_of_a_random_sweep_are_the_default_and_what_was_drawn(tmp_path):
    sweep, wrong = read_sweep({"random": {"trials": 3, "space": SPACE}, "seeds": [0, 1]})
    assert wrong == [] and [str(trial) for trial in plan(sweep, tmp_path)] == [
        "default, seed=0",
        "default, seed=1",
    ]
    next(sweep.study(tmp_path).rounds())
    again = type(sweep).model_validate(json.loads(sweep.model_dump_json(by_alias=True)))
    assert len(plan(again, tmp_path)) == 8 and plan(again, tmp_path) == plan(sweep, tmp_path)

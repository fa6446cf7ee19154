"""Checks of the exercises: "right", or "not yet" with two hints, whatever they are given.

The modules, in order: verdict, start, kcore, split, model, evaluation, pitfalls, tuning, better. The first
says what a check is; each of the others holds the checks of one notebook, numbered like its exercises.
"""

from bpr_helpers.course.checks.better import better_1, better_2, better_3, better_4
from bpr_helpers.course.checks.evaluation import (
    evaluation_1,
    evaluation_2,
    evaluation_3,
    evaluation_4,
    evaluation_5,
    evaluation_6,
)
from bpr_helpers.course.checks.kcore import kcore_1, kcore_2, kcore_3, kcore_4, kcore_5
from bpr_helpers.course.checks.model import model_1, model_2, model_3, model_4, model_5, model_6
from bpr_helpers.course.checks.pitfalls import pitfalls_1, pitfalls_2, pitfalls_3, pitfalls_4
from bpr_helpers.course.checks.split import split_1, split_2, split_3, split_4, split_5, split_6
from bpr_helpers.course.checks.start import start_1, start_2, start_3, start_4, start_5
from bpr_helpers.course.checks.tuning import tuning_1, tuning_2, tuning_3, tuning_4
from bpr_helpers.course.checks.verdict import EXERCISES, Verdict

__all__ = [
    "EXERCISES",
    "Verdict",
    "better_1",
    "better_2",
    "better_3",
    "better_4",
    "evaluation_1",
    "evaluation_2",
    "evaluation_3",
    "evaluation_4",
    "evaluation_5",
    "evaluation_6",
    "kcore_1",
    "kcore_2",
    "kcore_3",
    "kcore_4",
    "kcore_5",
    "model_1",
    "model_2",
    "model_3",
    "model_4",
    "model_5",
    "model_6",
    "pitfalls_1",
    "pitfalls_2",
    "pitfalls_3",
    "pitfalls_4",
    "split_1",
    "split_2",
    "split_3",
    "split_4",
    "split_5",
    "split_6",
    "start_1",
    "start_2",
    "start_3",
    "start_4",
    "start_5",
    "tuning_1",
    "tuning_2",
    "tuning_3",
    "tuning_4",
]

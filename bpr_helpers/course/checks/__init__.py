"""Checks of the exercises: "right", or "not yet" with two hints, whatever they are given.

The modules, in order: verdict, start, kcore, split. The first says what a check is; each of the others holds
the checks of one notebook, numbered like its exercises.
"""

from bpr_helpers.course.checks.kcore import kcore_1, kcore_2, kcore_3, kcore_4, kcore_5
from bpr_helpers.course.checks.split import split_1, split_2, split_3, split_4, split_5, split_6
from bpr_helpers.course.checks.start import start_1, start_2, start_3, start_4, start_5
from bpr_helpers.course.checks.verdict import EXERCISES, Verdict

__all__ = [
    "EXERCISES",
    "Verdict",
    "kcore_1",
    "kcore_2",
    "kcore_3",
    "kcore_4",
    "kcore_5",
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
]

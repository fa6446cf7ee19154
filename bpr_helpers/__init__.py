"""The tested helpers of a notebook course on Bayesian Personalized Ranking.

The science, in the order in which data flows: files, movielens, synthetic, formats, data, parts, parallel,
matrix, stored, pruning, splitting, metrics, ranking, exporting, significance, evaluation, history, folding,
settings, sampling, model, training, bpr, cold, baselines, choosing, recommend, plots, scale. A module imports
only modules that stand before it. What runs the notebooks is in `course`, of which the science imports
nothing.

TensorFlow is imported when a BPR is first fitted or loaded, Matplotlib with `bpr_helpers.plots`.
"""

import os
import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it once, when it is first imported

if TYPE_CHECKING:
    from bpr_helpers.baselines import EASE, IALS, ItemKNN, Popularity, Random
    from bpr_helpers.bpr import BPR
    from bpr_helpers.choosing import choose
    from bpr_helpers.cold import ColdItems, with_items
    from bpr_helpers.data import drop_unknown_titles, load_interactions, load_items
    from bpr_helpers.evaluation import evaluate
    from bpr_helpers.matrix import InteractionMatrix
    from bpr_helpers.parallel import in_parallel
    from bpr_helpers.pruning import k_core
    from bpr_helpers.recommend import because_you_liked, recommend, rerank, similar_items
    from bpr_helpers.significance import compare
    from bpr_helpers.splitting import (
        split_global_time,
        split_leave_last,
        split_per_user,
        split_random,
        split_report,
        split_users,
    )
    from bpr_helpers.synthetic import synthetic_interactions

__all__ = [
    "BPR",
    "EASE",
    "IALS",
    "ColdItems",
    "InteractionMatrix",
    "ItemKNN",
    "Popularity",
    "Random",
    "because_you_liked",
    "choose",
    "compare",
    "drop_unknown_titles",
    "evaluate",
    "in_parallel",
    "k_core",
    "load_interactions",
    "load_items",
    "recommend",
    "rerank",
    "similar_items",
    "split_global_time",
    "split_leave_last",
    "split_per_user",
    "split_random",
    "split_report",
    "split_users",
    "synthetic_interactions",
    "with_items",
]

# What is offered here is imported when it is first asked for, so that `bpr --help` is quick.
_MODULES = {
    "baselines": ("EASE", "IALS", "ItemKNN", "Popularity", "Random"),
    "bpr": ("BPR",),
    "choosing": ("choose",),
    "cold": ("ColdItems", "with_items"),
    "data": ("drop_unknown_titles", "load_interactions", "load_items"),
    "evaluation": ("evaluate",),
    "matrix": ("InteractionMatrix",),
    "parallel": ("in_parallel",),
    "pruning": ("k_core",),
    "recommend": ("because_you_liked", "recommend", "rerank", "similar_items"),
    "significance": ("compare",),
    "splitting": (
        "split_global_time",
        "split_leave_last",
        "split_per_user",
        "split_random",
        "split_report",
        "split_users",
    ),
    "synthetic": ("synthetic_interactions",),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


class _Package(ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name not in _WHERE:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f"{self.__name__}.{_WHERE[name]}"), name)
        vars(self)[name] = value
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        """Keep an imported module from taking the place of the function of its name, `recommend`."""
        if not (name in _WHERE and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package

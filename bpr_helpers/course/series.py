"""What the series is: its notebooks in order, what each reads of the others, and how a stage is built.

This is the only place that spells the notebooks' names. A stage is what a notebook writes for those after it;
a notebook without an entry in `BUILD` reads stages and writes none that another one reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from bpr_helpers.bpr import BPR
from bpr_helpers.course.paths import resolve
from bpr_helpers.data import drop_unknown_titles, load_interactions, load_items
from bpr_helpers.evaluation import evaluate
from bpr_helpers.movielens import MOVIELENS
from bpr_helpers.pruning import k_core
from bpr_helpers.splitting import Split, split_global_time, split_leave_last, split_per_user

KCORE, SPLIT, MODEL = "01_kcore_pruning", "02_chronological_split", "03_bpr_model"
EVALUATION, TUNING = "04_evaluation", "06_tuning"

# What each stage is made from.
READS: dict[str, tuple[str, ...]] = {
    KCORE: (),
    SPLIT: (KCORE,),
    MODEL: (KCORE, SPLIT),
    EVALUATION: (KCORE, SPLIT, MODEL),
}
STAGES = tuple(READS)

Stages = Mapping[str, Mapping[str, Any]]  # name of a stage -> its outputs by name


def load_source(values: Mapping[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Load what the first notebook's parameters name: interactions, and titles (empty without)."""
    columns = (
        "user_column",
        "item_column",
        "timestamp_column",
        "rating_column",
        "timestamp_unit",
        "min_rating",
    )
    interactions = load_interactions(_place(values["source"]), **{name: values[name] for name in columns})
    titles = values["items_source"] or (values["source"] if values["source"] in MOVIELENS else "")
    if titles:
        items = load_items(_place(titles))
    else:
        items = pd.DataFrame(columns=["item_id", "title", "year", "genres"])
    if values["drop_unknown_titles"]:
        interactions = drop_unknown_titles(interactions, items)
    return interactions, items


def _place(source: str) -> str | Path:
    """Give a known set's name as it is, and a file's path from the root of the run."""
    return source if source in MOVIELENS or source == "synthetic" else resolve(source)


def split_interactions(interactions: pd.DataFrame, values: Mapping[str, Any]) -> Split:
    """Split by the protocol that the second notebook's parameters name."""
    fractions = {name: values[name] for name in ("test_fraction", "valid_fraction")}
    counts = {name: values[name] for name in ("n_test", "n_valid")}
    ties = {"ties": values["ties"], "seed": values["split_seed"]}
    if values["split"] == "per_user":
        return split_per_user(interactions, **fractions, **ties)
    if values["split"] == "leave_last":
        return split_leave_last(interactions, **counts, **ties)
    return split_global_time(interactions, **fractions)


def fit_bpr(train: pd.DataFrame, valid: pd.DataFrame, values: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the number of epochs on the validation part, then fit once more on both parts.

    Parameters
    ----------
    train, valid : DataFrames of interactions; an empty valid fits once, for exactly `epochs` epochs
    values : the third notebook's parameters

    Returns
    -------
    dict
        model: BPR fitted on train and valid; history: DataFrame of the first fit, on train alone;
        valid_per_user: DataFrame, the first fit's metrics on valid per user (empty without a valid part)

    Raises
    ------
    ValueError
        There is patience and no validation part.
    """
    settings = {name: value for name, value in values.items() if name != "run_dir"}
    if valid.empty:
        model = BPR(**settings).fit(train)
        return {"model": model, "history": model.history, "valid_per_user": pd.DataFrame()}
    judged = BPR(**settings).fit(train, valid=valid)
    settings |= {"epochs": judged.best_epoch, "patience": 0}
    return {
        "model": BPR(**settings).fit(pd.concat([train, valid], ignore_index=True)),
        "history": judged.history,
        "valid_per_user": evaluate(judged, valid).per_user,
    }


def _core(stages: Stages, values: Mapping[str, Any]) -> dict[str, Any]:
    interactions, items = load_source(values)
    core = k_core(interactions, user_k=values["user_k"], item_k=values["item_k"])
    return {"interactions": core.interactions, "items": items, "rounds": core.rounds}


def _split(stages: Stages, values: Mapping[str, Any]) -> dict[str, Any]:
    split = split_interactions(stages[KCORE]["interactions"], values)
    return {"train": split.train, "valid": split.valid, "test": split.test}


def _model(stages: Stages, values: Mapping[str, Any]) -> dict[str, Any]:
    return fit_bpr(stages[SPLIT]["train"], stages[SPLIT]["valid"], values)


# How a stage that is missing is built: from the stages that it reads and its parameters.
BUILD: dict[str, Callable[[Stages, Mapping[str, Any]], dict[str, Any]]] = {
    KCORE: _core,
    SPLIT: _split,
    MODEL: _model,
}

"""Every parameter of every notebook, once: name, type, range, default and help."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field
from pydantic.fields import FieldInfo

from bpr_helpers import settings
from bpr_helpers.course.series import (
    BETTER,
    BEYOND,
    EVALUATION,
    KCORE,
    MODEL,
    PITFALLS,
    SERVICE,
    SPLIT,
    START,
    TUNING,
)
from bpr_helpers.settings import BPRSettings, Checked, builtin_type, nearest


class Parameters(Checked):
    """What all notebooks declare."""

    run_dir: str = Field("runs/default", min_length=1, description="folder of this run's outputs")


class KCoreParameters(Parameters):
    """Which data, and how much of it is kept."""

    source: str = Field("ml-100k", min_length=1, description="MovieLens name, synthetic, or your own file")
    user_column: str = Field("user_id", min_length=1, description="column of users in your own file")
    item_column: str = Field("item_id", min_length=1, description="column of items in your own file")
    timestamp_column: str = Field("timestamp", description="column of times in your own file")
    rating_column: str = Field("rating", description="column of ratings in your own file")
    timestamp_unit: Literal["s", "ms", "us", "ns"] = Field("s", description="unit of integer timestamps")
    min_rating: float = Field(0.0, description="smallest rating that counts as an interaction")
    engine: Literal["auto", "pandas", "dask"] = Field(
        "auto", description="what prunes Parquet files; auto takes dask where memory is short"
    )
    items_source: str = Field("", description='file of titles; "" for those that come with source')
    title_column: str = Field("title", min_length=1, description="column of titles in that file")
    drop_unknown_titles: bool = Field(True, description='drop the film titled "unknown" (ml-100k only)')
    user_k: int = Field(6, ge=1, description="smallest number of interactions kept per user")
    item_k: int = Field(6, ge=1, description="smallest number of interactions kept per item")


class SplitParameters(Parameters):
    """Which interactions are kept for validation and test."""

    split: Literal["per_user", "leave_last", "global_time", "random"] = Field(
        "per_user", description="protocol; random needs no times"
    )
    test_fraction: float = Field(0.1, gt=0, lt=1, description="test share (all but leave_last)")
    valid_fraction: float = Field(0.1, ge=0, lt=1, description="validation share of what test leaves")
    n_test: int = Field(1, ge=1, description="test interactions per user (leave_last)")
    n_valid: int = Field(1, ge=0, description="validation interactions per user (leave_last)")
    ties: Literal["shuffle", "item", "row"] = Field("shuffle", description="order within equal timestamps")
    split_seed: int = Field(0, ge=0, lt=2**32, description="seed of that order, or of the random split")
    engine: Literal["auto", "pandas", "dask"] = Field(
        "auto", description="what splits; auto takes dask where memory is short"
    )


class BPRParameters(BPRSettings, Parameters):
    """The model and its training."""

    choose: bool = Field(True, description="choose what is not set, from short lists, on the validation part")


class EvaluationParameters(Parameters):
    """How the ranking is judged."""

    choose: bool = Field(True, description="choose what is not set, from short lists, on the validation part")
    k: int = Field(10, ge=1, description="cut-off of the ranking")
    candidates: Literal["all", "uniform", "popularity"] = Field("all", description="items that are ranked")
    n_candidates: int = Field(100, ge=1, description="candidates per test item (uniform, popularity)")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of everything random")


class PitfallParameters(Parameters):
    """How thoroughly the prices of mistakes are measured."""

    price_seeds: int = Field(
        5, ge=2, description="seeds of the split and of the fits that a price is the mean of"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="the first of them")


class TuningParameters(Parameters):
    """Where the table of a sweep comes from."""

    run_sweep: bool = Field(False, description="run the sweep instead of reading its tracked table")


class IngredientParameters(Parameters):
    """How thoroughly the model's ingredients are compared."""

    n_seeds: int = Field(3, ge=2, description="fits of each variant, each with a seed of its own")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of everything random")


class ServiceParameters(Parameters):
    """How large the made-up catalogue is."""

    catalogue: int = Field(100_000, ge=100, description="items of the made-up catalogue in section 4")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of everything random")


class ScaleParameters(Parameters):
    """How much data is worked on in parts."""

    rows: int = Field(200_000, ge=1_000, description="made-up interactions that are worked on")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of everything random")


NOTEBOOKS: dict[str, type[Parameters]] = {
    START: Parameters,
    KCORE: KCoreParameters,
    SPLIT: SplitParameters,
    MODEL: BPRParameters,
    EVALUATION: EvaluationParameters,
    PITFALLS: PitfallParameters,
    TUNING: TuningParameters,
    BETTER: IngredientParameters,
    SERVICE: ServiceParameters,
    BEYOND: ScaleParameters,
}

# A parameter that only acts together with some values of another one.
ACTS_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "drop_unknown_titles": ("source", ("ml-100k",)),
    "test_fraction": ("split", ("per_user", "global_time", "random")),
    "valid_fraction": ("split", ("per_user", "global_time", "random")),
    "n_test": ("split", ("leave_last",)),
    "n_valid": ("split", ("leave_last",)),
    "ties": ("split", ("per_user", "leave_last")),
    "temperature": ("sampler", ("weighted",)),
    "n_candidates": ("candidates", ("uniform", "popularity")),
}


def fields(notebooks: Iterable[str] = NOTEBOOKS) -> dict[str, FieldInfo]:
    """Give every parameter that some of the notebooks declare, by name."""
    return {name: field for book in notebooks for name, field in NOTEBOOKS[book].model_fields.items()}


def defaults(notebook: str) -> dict[str, Any]:
    """Give the values with which a notebook runs when nobody sets any."""
    return NOTEBOOKS[notebook].model_validate({}).model_dump()


def check(notebook: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Check the parameters of one notebook, as its first cell after them does.

    Parameters
    ----------
    notebook : name of the notebook
    values : anything that holds the declared names, `globals()` in a notebook; other names are ignored

    Returns
    -------
    dict
        the declared names with their values

    Raises
    ------
    ValueError
        one sentence that lists every value of a wrong type or out of range and every contradiction.
    """
    declared = NOTEBOOKS[notebook].model_fields
    chosen = _plain({name: values[name] for name in declared if name in values})
    if found := faults(chosen, [notebook]):
        raise ValueError(f"{notebook} cannot run with these parameters: {'; '.join(found.values())}.")
    return NOTEBOOKS[notebook].model_validate(chosen).model_dump()


def per_notebook(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Hand every notebook the values that it declares, the rest being its defaults."""
    values = _plain(values)
    return {
        notebook: model(**{n: v for n, v in values.items() if n in model.model_fields}).model_dump()
        for notebook, model in NOTEBOOKS.items()
    }


def faults(values: Mapping[str, Any], notebooks: Iterable[str] = NOTEBOOKS) -> dict[str, str]:
    """Say what is wrong with values for the series: names, types, ranges, contradictions.

    Parameters
    ----------
    values : the parameters that were set, of any of the notebooks
    notebooks : the notebooks that are to run together

    Returns
    -------
    dict
        name -> clause, empty if nothing is wrong; of values that contradict each other, the first has it
    """
    known, values = fields(notebooks), _plain(values)
    found = {
        name: f"no notebook has a parameter {name}{nearest(str(name).lower(), known)}"
        for name in values
        if name not in known
    }
    found |= {
        name: f"{name} holds the character NUL, which no name of a file or column can"
        for name, value in values.items()
        if isinstance(value, str) and "\0" in value
    }
    for notebook in notebooks:
        found |= settings.faults(NOTEBOOKS[notebook], values)
    return found or _contradictions({name: field.default for name, field in known.items()} | dict(values))


def idle(values: Mapping[str, Any]) -> dict[str, str]:
    """Name the values that were set but cannot act, such as n_test with another split than leave_last.

    Returns
    -------
    dict
        name -> clause
    """
    now = {name: field.default for name, field in fields().items()} | _plain(values)
    acts_always = {"temperature"} if now["recency"] > 0 else set()  # phase two has it with any sampler
    return {
        name: f"{name} has no effect with {other}={now[other]!r}: leave it out or set {other} to "
        + " or ".join(map(repr, acting))
        for name, (other, acting) in ACTS_WITH.items()
        if name in values and now[other] not in acting and name not in acts_always
    }


def from_text(name: str, value: Any) -> Any:
    """Turn the text of a command line into the number or truth value that the parameter's type asks for.

    Text that is no such value, and anything but text, comes back as it is, for `faults` to name.
    """
    field = fields().get(name)
    if field is None or not isinstance(value, str) or builtin_type(field) is str:
        return value
    try:
        if builtin_type(field) is bool:
            return {"true": True, "false": False}[value.lower()]
        return int(value) if builtin_type(field) is int else float(value)
    except (KeyError, ValueError):
        return value


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give NumPy's numbers, as computations leave them, as the numbers that they are."""
    return {name: value.item() if isinstance(value, np.generic) else value for name, value in values.items()}


def _contradictions(now: Mapping[str, Any]) -> dict[str, str]:
    """Name the values that are right alone and wrong together."""
    found = {}
    valid = "n_valid" if now.get("split") == "leave_last" else "valid_fraction"
    if now.get("patience", 0) > 0 and now.get(valid) == 0:
        found["patience"] = (
            f"patience={now['patience']} needs a validation part, but {valid} is 0: set one of the two"
        )
    used: dict[str, str] = {}
    for name in (f"{kind}_column" for kind in ("user", "item", "timestamp", "rating")):
        if now.get(name) and now[name] in used.values():
            found[name] = f"column {now[name]!r} is named for two purposes"
        used[name] = now.get(name, "")
    return found

"""Every parameter of every notebook, once: name, type, range, default and help."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo


class Parameters(BaseModel):
    """What all notebooks declare."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)

    run_dir: str = Field("runs/default", min_length=1, description="folder of this run's outputs")


class KCoreParameters(Parameters):
    """01_kcore_pruning: which data, and how much of it is kept."""

    source: str = Field("ml-100k", min_length=1, description="MovieLens name, synthetic, or your own file")
    user_column: str = Field("user_id", min_length=1, description="column of users in your own file")
    item_column: str = Field("item_id", min_length=1, description="column of items in your own file")
    timestamp_column: str = Field("timestamp", description="column of times in your own file")
    rating_column: str = Field("rating", description="column of ratings in your own file")
    timestamp_unit: Literal["s", "ms", "us", "ns"] = Field("s", description="unit of integer timestamps")
    min_rating: float = Field(0.0, description="smallest rating that counts as an interaction")
    items_source: str = Field("", description='file of titles; "" for those that come with source')
    drop_unknown_titles: bool = Field(True, description='drop items titled "unknown" (movie 267)')
    user_k: int = Field(6, ge=1, description="smallest number of interactions kept per user")
    item_k: int = Field(6, ge=1, description="smallest number of interactions kept per item")


class SplitParameters(Parameters):
    """02_chronological_split: which interactions are kept for validation and test."""

    split: Literal["per_user", "leave_last", "global_time"] = Field("per_user", description="protocol")
    test_fraction: float = Field(0.1, gt=0, lt=1, description="test share (per_user, global_time)")
    valid_fraction: float = Field(0.1, ge=0, lt=1, description="validation share of what test leaves")
    n_test: int = Field(1, ge=1, description="test interactions per user (leave_last)")
    n_valid: int = Field(1, ge=0, description="validation interactions per user (leave_last)")
    ties: Literal["shuffle", "item", "row"] = Field("shuffle", description="order within equal timestamps")
    split_seed: int = Field(0, ge=0, lt=2**32, description="seed of that order")


class BPRParameters(Parameters):
    """03_bpr_model: the model and its training."""

    dim: int = Field(64, ge=1, description="latent dimension")
    l2_user: float = Field(0.109, ge=0, description="L2 strength of the user vector")
    l2_pos: float = Field(0.0186, ge=0, description="L2 strength of the positive item's vector")
    l2_neg: float = Field(0.0457, ge=0, description="L2 strength of the negative items' vectors")
    l2_bias: float = Field(0.0, ge=0, description="L2 strength of the item biases")
    item_bias: bool = Field(True, description="give every item a bias")
    sampler: Literal["uniform", "popularity", "hard", "shared", "weighted"] = Field(
        "weighted", description="how negatives are drawn"
    )
    n_negatives: int = Field(
        0, ge=0, description="negatives per positive, or per batch where shared; 0 for the usual number"
    )
    temperature: float = Field(0.564, gt=0, description="softness of the negatives' weights (weighted)")
    alpha: float = Field(0.5, ge=0, description="exponent of popularity (popularity)")
    recency: float = Field(7.01, ge=0, description="how much more a late positive counts; 0 for all alike")
    epochs: int = Field(40, ge=1, description="largest number of epochs")
    batch_size: int = Field(1024, ge=1, description="positives per step")
    optimizer: Literal["adagrad", "adam", "adamw", "rmsprop", "sgd"] = Field(
        "adagrad", description="Keras optimizer"
    )
    learning_rate: float = Field(0.0527, gt=0, description="its step size")
    init_scale: float = Field(0.0369, gt=0, description="standard deviation of the initial vectors")
    patience: int = Field(5, ge=0, description="epochs without a better validation NDCG; 0 for all epochs")
    averaging: float = Field(
        0.8, ge=0, lt=1, description="decay of the running average of weights; 0 for none"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of everything random")


class EvaluationParameters(Parameters):
    """04_evaluation: how the ranking is judged."""

    k: int = Field(10, ge=1, description="cut-off of the ranking")
    candidates: Literal["all", "uniform", "popularity"] = Field("all", description="items that are ranked")
    n_candidates: int = Field(100, ge=1, description="candidates per test item (uniform, popularity)")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of everything random")


class TuningParameters(Parameters):
    """06_tuning: where the table of a sweep comes from."""

    run_sweep: bool = Field(False, description="run the sweep instead of reading its tracked table")


NOTEBOOKS: dict[str, type[Parameters]] = {
    "01_kcore_pruning": KCoreParameters,
    "02_chronological_split": SplitParameters,
    "03_bpr_model": BPRParameters,
    "04_evaluation": EvaluationParameters,
    "06_tuning": TuningParameters,
}

# A parameter that only acts together with some values of another one.
ACTS_WITH: dict[str, tuple[str, tuple[str, ...]]] = {
    "test_fraction": ("split", ("per_user", "global_time")),
    "valid_fraction": ("split", ("per_user", "global_time")),
    "n_test": ("split", ("leave_last",)),
    "n_valid": ("split", ("leave_last",)),
    "ties": ("split", ("per_user", "leave_last")),
    "alpha": ("sampler", ("popularity",)),
    "temperature": ("sampler", ("weighted",)),
    "n_candidates": ("candidates", ("uniform", "popularity")),
}


def resolve(path: str | Path) -> Path:
    """Give the place of a run folder or data file: relative ones count from one root.

    Parameters
    ----------
    path : a path as a parameter holds it

    Returns
    -------
    Path
        absolute; a relative one starts at $BPR_ROOT where it is set (`bpr run` sets it to the folder it
        was called from), else at the repository's root.
    """
    return (Path(os.environ.get("BPR_ROOT") or repository_root()) / Path(path).expanduser()).resolve()


def repository_root() -> Path:
    """Give the folder that holds notebooks/, or the current folder where there is none beside the package."""
    root = Path(__file__).resolve().parents[1]
    return root if (root / "notebooks").is_dir() else Path.cwd()


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
    notebook : name of the notebook, such as "03_bpr_model"
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
    chosen = {name: values[name] for name in declared if name in values}
    if found := faults(chosen, [notebook]):
        raise ValueError(f"{notebook} cannot run with these parameters: {'; '.join(found)}.")
    return NOTEBOOKS[notebook].model_validate(chosen).model_dump()


def per_notebook(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Hand every notebook the values that it declares, the rest being its defaults."""
    return {
        notebook: model(**{n: v for n, v in values.items() if n in model.model_fields}).model_dump()
        for notebook, model in NOTEBOOKS.items()
    }


def faults(values: Mapping[str, Any], notebooks: Iterable[str] = NOTEBOOKS) -> list[str]:
    """List what is wrong with values for the series: names, types, ranges, contradictions.

    Parameters
    ----------
    values : the parameters that were set, of any of the notebooks
    notebooks : the notebooks that are to run together

    Returns
    -------
    list of str
        one clause per fault, empty if there is none
    """
    known = fields(notebooks)
    wrong = {name for notebook in notebooks for name in _wrong_names(NOTEBOOKS[notebook], values)}
    found = [_unknown(name, known) for name in values if name not in known]
    found += [_wrong(name, known[name], values[name]) for name in values if name in wrong]
    return found or _contradictions({name: field.default for name, field in known.items()} | dict(values))


def idle(values: Mapping[str, Any]) -> list[str]:
    """List the values that were set but cannot act, such as n_test with another split than leave_last."""
    now = {name: field.default for name, field in fields().items()} | dict(values)
    found = []
    for name, (other, acting) in ACTS_WITH.items():
        if name in values and now[other] not in acting:
            found.append(
                f"{name} has no effect with {other}={now[other]!r}: leave it out or set {other} to "
                f"{_listed(acting)}"
            )
    return found


def from_text(name: str, value: Any) -> Any:
    """Turn the text of a command line into the number or truth value that the parameter's type asks for.

    Text that is no such value, and anything but text, comes back as it is, for `faults` to name.
    """
    field = fields().get(name)
    if field is None or not isinstance(value, str) or _type(field) is str:
        return value
    try:
        if _type(field) is bool:
            return {"true": True, "false": False}[value.lower()]
        return int(value) if _type(field) is int else float(value)
    except (KeyError, ValueError):
        return value


def nearest(name: str, names: Iterable[str]) -> str:
    """Suggest the name that was probably meant, as the end of a sentence ("" if none is near)."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def _type(field: FieldInfo) -> type:
    """Give the builtin type that a notebook's cell writes for the field."""
    options = get_args(field.annotation)
    return type(options[0]) if options else field.annotation  # type: ignore[return-value]


def _wrong_names(model: type[Parameters], values: Mapping[str, Any]) -> set[str]:
    try:
        model(**{name: value for name, value in values.items() if name in model.model_fields})
    except ValidationError as error:
        return {str(fault["loc"][0]) for fault in error.errors()}
    return set()


def _unknown(name: str, known: Iterable[str]) -> str:
    return f"no notebook has a parameter {name}{nearest(name, known)}"


def _wrong(name: str, field: FieldInfo, value: Any) -> str:
    hint = nearest(value, get_args(field.annotation)) if isinstance(value, str) else ""
    return f"{name} must be {_expected(field)}, not {value!r}{hint}"


def _expected(field: FieldInfo) -> str:
    if options := get_args(field.annotation):
        return "one of " + ", ".join(options)
    kind = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}[_type(field)]
    words = {
        "ge": "at least",
        "gt": "above",
        "le": "at most",
        "lt": "below",
        "min_length": "of length at least",
    }
    limits = [f"{words[key]} {limit}" for rule in field.metadata for key, limit in asdict(rule).items()]
    return " ".join([kind, " and ".join(limits)]).strip()


def _listed(words: tuple[str, ...]) -> str:
    return " or ".join(repr(word) for word in words)


def _contradictions(now: Mapping[str, Any]) -> list[str]:
    """List the values that are right alone and wrong together."""
    found = []
    valid = "n_valid" if now.get("split") == "leave_last" else "valid_fraction"
    if now.get("patience", 0) > 0 and now.get(valid) == 0:
        found.append(
            f"patience={now['patience']} needs a validation part, but {valid} is 0: set one of the two"
        )
    columns = [now.get(f"{kind}_column") for kind in ("user", "item", "timestamp", "rating")]
    repeated = {column for column in columns if column and columns.count(column) > 1}
    return found + [f"column {column!r} is named for two purposes" for column in sorted(repeated)]

"""BPR's settings: name, range, default and help of each, and what is wrong with values, in sentences."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo


class Checked(BaseModel):
    """Named values with types and ranges that hold: nothing is converted, and no other name is taken."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class BPRSettings(Checked):
    """What a BPR is made with."""

    dim: int = Field(64, ge=1, description="latent dimension")
    l2_user: float = Field(0.03399, ge=0, description="L2 strength of the user vector")
    l2_pos: float = Field(0.0709, ge=0, description="L2 strength of the positive item's vector")
    l2_neg: float = Field(0.01862, ge=0, description="L2 strength of the negative items' vectors")
    l2_bias: float = Field(0.0, ge=0, description="L2 strength of the item biases")
    item_bias: bool = Field(True, description="give every item a bias")
    sampler: Literal["uniform", "popularity", "hard", "shared", "weighted"] = Field(
        "weighted", description="how negatives are drawn"
    )
    n_negatives: int = Field(
        0, ge=0, description="negatives per positive, or per batch where shared; 0 for the usual number"
    )
    temperature: float = Field(
        0.4177, gt=0, description="softness of the negatives' weights (weighted, phase two)"
    )
    recency: float = Field(
        20.95, ge=0, le=100, description="how much more late choices say about a user; 0 for all alike"
    )
    epochs: int = Field(40, ge=1, description="largest number of epochs")
    batch_size: int = Field(1024, ge=1, description="positives per step")
    optimizer: Literal["adagrad", "adam", "adamw", "rmsprop", "sgd"] = Field(
        "adagrad", description="Keras optimizer"
    )
    learning_rate: float = Field(0.04428, gt=0, description="its step size")
    init_scale: float = Field(0.05, gt=0, description="standard deviation of the initial vectors")
    patience: int = Field(5, ge=0, description="epochs without a better validation NDCG; 0 for all epochs")
    averaging: float = Field(
        0.8, ge=0, lt=1, description="decay of the running average of weights; 0 for none"
    )
    seed: int = Field(0, ge=0, lt=2**32, description="seed of everything random")


def differing(values: Mapping[str, Any], usual: Mapping[str, Any]) -> str:
    """Name a configuration by the settings in which it differs from the usual one.

    Parameters
    ----------
    values : name -> value, such as a row of a sweep's table; names that `usual` lacks are ignored
    usual : name -> value

    Returns
    -------
    str
        the settings in the order of `usual`, "default" where all are the usual ones

    Examples
    --------
    >>> differing({"l2_user": 0.1, "dim": 8, "seconds": 3.5}, {"dim": 64, "l2_user": 0.1})
    'dim 8'
    >>> differing({"dim": 64}, {"dim": 64})
    'default'
    """
    changed = [f"{name} {values[name]}" for name in usual if name in values and values[name] != usual[name]]
    return ", ".join(changed) or "default"


def nearest(name: str, names: Iterable[str]) -> str:
    """Suggest the name that was probably meant, as the end of a sentence ("" if none is near).

    Examples
    --------
    >>> nearest("DIMS", ["dim", "epochs"])
    ' (did you mean dim?)'
    """
    lower = {one.lower(): one for one in names}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    return f" (did you mean {lower[close[0]]}?)" if close else ""


def builtin_type(field: FieldInfo) -> type:
    """Give the builtin type that a notebook's cell writes for the field."""
    options = get_args(field.annotation)
    return type(options[0]) if options else field.annotation  # type: ignore[return-value]


def faults(model: type[BaseModel], values: Mapping[str, Any]) -> dict[str, str]:
    """Say what is wrong with each value that a model declares: type and range.

    Parameters
    ----------
    model : the pydantic model that declares them
    values : name -> value; names that the model does not declare are ignored

    Returns
    -------
    dict
        name -> clause, in the order of `values`; empty if nothing is wrong
    """
    declared = model.model_fields
    try:
        model(**{name: value for name, value in values.items() if name in declared})
    except ValidationError as error:
        told = {n: clause(fault, declared[n]) for fault in error.errors() for n in map(str, fault["loc"][:1])}
        return {name: f"{name} {told[name]}" for name in values if name in told}
    return {}


# What pydantic's types of faults are called in a clause, with the limits that they name.
WORDS = {
    "bool_type": "must be true or false",
    "dict_type": "must hold names with values",
    "extra_forbidden": "is not known",
    "finite_number": "must be a finite number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list, in brackets or with dashes",
    "literal_error": "must be one of {expected}",
    "missing": "is missing",
    "model_type": "must hold names with values",
    "string_too_short": "must not be empty",
    "string_type": "must be a text",
    "too_short": "must not be empty",
    "tuple_type": "must be a list, in brackets or with dashes",
}


def clause(fault: Mapping[str, Any], field: FieldInfo | None = None) -> str:
    """Tell in words what pydantic found wrong; what has no words here keeps pydantic's.

    Parameters
    ----------
    fault : one of the dicts of `ValidationError.errors()`
    field : what was declared, if it is of a builtin type: its type and whole range are told then

    Returns
    -------
    str
        a clause to follow the name of what is wrong: "must be at least 1"
    """
    limits, value = fault.get("ctx", {}), fault["input"]
    if "error" in limits:  # of a validator of our own
        return str(limits["error"])
    words = WORDS.get(fault["type"])
    if words is None:
        return f"is refused: {fault['msg']}"
    if field is None:
        return words.format(**limits)
    hint = nearest(value, get_args(field.annotation)) if isinstance(value, str) else ""
    return f"must be {_expected(field)}, not {value!r}{hint}"


def _expected(field: FieldInfo) -> str:
    if options := get_args(field.annotation):
        return "one of " + ", ".join(options)
    kinds = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    words = {
        "ge": "at least",
        "gt": "above",
        "le": "at most",
        "lt": "below",
        "min_length": "of length at least",
    }
    limits = [f"{words[key]} {limit}" for rule in field.metadata for key, limit in asdict(rule).items()]
    return " ".join([kinds[builtin_type(field)], " and ".join(limits)]).strip()

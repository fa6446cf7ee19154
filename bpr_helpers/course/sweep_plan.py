"""What a sweep is: its file, its configurations, and the trials that it consists of."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log
from pathlib import Path
from random import Random as Generator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from bpr_helpers.course import runs
from bpr_helpers.course.parameters import NOTEBOOKS, defaults, faults, fields, from_text, idle, per_notebook
from bpr_helpers.course.run_folder import RunFolder, read_json
from bpr_helpers.course.series import KCORE, MODEL, SPLIT
from bpr_helpers.ranking import AT_K
from bpr_helpers.settings import nearest

DATA = (KCORE, SPLIT)
METRICS = [f"{name}@{k}" for name in AT_K for k in (5, 10, 20)] + ["auc"]
# What pydantic's types of faults are called in a sentence.
WORDS = {
    "dict_type": "must hold names with values",
    "extra_forbidden": "has no entry",
    "float_parsing": "must be a number",
    "greater_than_equal": "must be at least 1",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "list_type": "must be a list, in brackets or with dashes",
    "missing": "is missing",
    "model_type": "must hold names with values",
    "too_short": "must not be empty",
    "tuple_type": "must be a list, in brackets or with dashes",
}


Values = Annotated[list[Any], Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Range(_Strict):
    """Where a random value is drawn: between low and high, evenly, or evenly in the logarithm."""

    low: float = Field(strict=False)  # YAML takes 1e-3 for a text
    high: float = Field(strict=False)
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 with log")
        return self

    def draw(self, rng: Generator, whole: bool) -> float:
        """Draw one value of four digits; a whole one for a parameter that is a whole number."""
        low, high = (log(self.low), log(self.high)) if self.log else (self.low, self.high)
        value = exp(rng.uniform(low, high)) if self.log else rng.uniform(low, high)
        return round(value) if whole else float(f"{value:.4g}")


Space = Annotated[
    Annotated[Values, Tag("Values")] | Annotated[Range, Tag("Range")],
    Discriminator(lambda among: "Range" if isinstance(among, (dict, Range)) else "Values"),
]


class Random(_Strict):
    """Trials with every parameter drawn on its own, from a list or a range."""

    trials: int = Field(ge=1)
    seed: int = 0
    space: dict[str, Space] = Field(min_length=1)


class Sweep(_Strict):
    """What a sweep file holds: exactly one of grid, random and list, and how to judge."""

    fixed: dict[str, Any] = {}
    grid: dict[str, Values] | None = None
    random: Random | None = None
    listed: list[dict[str, Any]] | None = Field(None, alias="list")
    seeds: tuple[int, ...] = Field((0,), min_length=1, strict=False)
    metric: str = "ndcg@10"
    part: Literal["valid", "test"] = "valid"

    @model_validator(mode="after")
    def _one_space(self) -> Sweep:
        if sum(space is not None for space in (self.grid, self.random, self.listed)) != 1:
            raise ValueError("give exactly one of grid, random and list")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed is given twice")
        if self.metric not in METRICS:
            raise ValueError(f"there is no metric {self.metric}{nearest(self.metric, METRICS)}")
        return self

    def configurations(self) -> list[dict[str, Any]]:
        """List the configurations, the default (no parameter set but the fixed ones) first, each once."""
        found = [{}, *(self.listed or ())]
        if self.grid:
            found += [
                dict(zip(self.grid, point, strict=True)) for point in itertools.product(*self.grid.values())
            ]
        if self.random:
            rng = Generator(self.random.seed)
            found += [self._draw(rng, self.random.space) for _ in range(self.random.trials)]
        typed = [{name: from_text(name, value) for name, value in one.items()} for one in found]
        return list({json.dumps(one, sort_keys=True, default=str): one for one in typed}.values())

    def settings(self) -> list[dict[str, Any]]:
        """List all that the configurations set, the fixed parameters among it."""
        return [self.fixed | one for one in self.configurations()]

    def _draw(self, rng: Generator, space: Mapping[str, Any]) -> dict[str, Any]:
        whole = {name for name, field in fields().items() if field.annotation is int}
        return {
            name: among.draw(rng, name in whole) if isinstance(among, Range) else rng.choice(among)
            for name, among in space.items()
        }


class Status(BaseModel):
    """What status.json holds; what it lacks has its default, and more than this is ignored."""

    model_config = ConfigDict(strict=True)

    status: Literal["waiting", "running", "done", "failed"] = "waiting"
    attempts: Annotated[int, Field(ge=0)] = 0
    seconds: float = float("nan")
    error: str = ""


@dataclass(frozen=True)
class Trial:
    """One run of a sweep: its configuration, all that it sets, and its folder inside the sweep's."""

    configuration: dict[str, Any]
    values: dict[str, Any]
    folder: Path

    def __str__(self) -> str:
        return f"{line(self.configuration)}, seed={self.values['seed']}"

    @classmethod
    def of(cls, job: Mapping[str, Any]) -> Trial:
        """Make a trial of what a worker was sent."""
        return cls(job["configuration"], job["values"], Path(job["folder"]))

    @property
    def status(self) -> dict[str, Any]:
        """What is known of it: status (waiting, running, done, failed), attempts, seconds, error."""
        try:
            return Status.model_validate(read_json(self.folder / "status.json")).model_dump()
        except (OSError, ValueError):
            return Status().model_dump()

    def is_done(self, notebooks: Path) -> bool:
        """Tell whether it is done, and all that it read and wrote is still there."""
        given, run = per_notebook(self.values)[MODEL], RunFolder(self.folder)
        return (
            self.status["status"] == "done"
            and runs.is_current(run, MODEL, given, notebooks, lessons=False)
            and all(run.read(stage).intact(name) for stage in DATA for name in run.read(stage))
        )


def line(configuration: Mapping[str, Any]) -> str:
    """Write a configuration as one line."""
    return ", ".join(f"{name}={value}" for name, value in configuration.items()) or "default"


def read_sweep(content: Mapping[str, Any], report_test: bool = False) -> tuple[Sweep | None, list[str]]:
    """Check a sweep file's content and all of its configurations.

    Returns
    -------
    sweep and faults : the faults are sentences, all of them at once; with any, there is no sweep
    """
    try:
        sweep = Sweep.model_validate(dict(content))
    except ValidationError as error:
        told = [dict(fault) for fault in error.errors()]
        # What is too short for lack of an entry that is wrong itself has been told of already.
        told = [fault for fault in told if not (fault["type"] == "too_short" and fault["input"])]
        return None, list(dict.fromkeys(map(_sentence, told)))
    swept = {name for one in sweep.configurations() for name in one}
    found = [
        f"{name} is a folder that the sweep chooses itself" for name in {"run_dir"} & (swept | {*sweep.fixed})
    ]
    found += ["seed belongs under seeds, not among the other parameters"] * ("seed" in swept | {*sweep.fixed})
    late = {
        name: book for book in NOTEBOOKS for name in fields([book]).keys() - fields([*DATA, MODEL]).keys()
    }
    found += [
        f"{name} matters to {late[name]} alone, not to the choice: put it under fixed"
        for name in sorted(swept & late.keys())
    ]
    found += [f"{name} is both fixed and swept" for name in sorted(swept & sweep.fixed.keys())]
    found += [fault for values in sweep.settings() for fault in faults(values).values()]
    if not found:
        found = _idle(sweep.settings()) + [
            fault for values in sweep.settings() for fault in _unjudged(values)
        ]
    if sweep.part == "test" and not report_test:
        found.append("part is test, which is read once and for the winner only: add --report-test")
    return (None if found else sweep), list(dict.fromkeys(found))


def plan(sweep: Sweep, folder: Path) -> list[Trial]:
    """List the trials: every configuration with every seed, in folders named after what they set."""
    trials: dict[Path, Trial] = {}
    for one, seed in itertools.product(sweep.configurations(), sweep.seeds):
        values = {**sweep.fixed, **one, "seed": seed}
        place = folder / "trials" / digest(values, (*DATA, MODEL))
        trials.setdefault(place, Trial(one, values, place))  # what equals the default is the default
    return list(trials.values())


def digest(values: Mapping[str, Any], notebooks: Sequence[str]) -> str:
    """Name what is set for some notebooks, the same for equal values in any order."""
    given = per_notebook({name: value for name, value in values.items() if name != "run_dir"})
    chosen = json.dumps([given[notebook] for notebook in notebooks], sort_keys=True)
    return hashlib.sha256(chosen.encode()).hexdigest()[:12]


def _idle(chosen: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the parameters that cannot act in any of the configurations that change them."""
    usual = {name: field.default for name, field in fields().items()}
    chosen = [{n: value for n, value in values.items() if value != usual[n]} for values in chosen]
    found = []
    for name in dict.fromkeys(name for values in chosen for name in values):
        told = [idle(values).get(name, "") for values in chosen if name in values]
        found += told[:1] if all(told) else []
    return found


def _unjudged(values: Mapping[str, Any]) -> list[str]:
    """Say so where there is no validation part to judge on."""
    now = defaults(SPLIT) | dict(values)
    size = "n_valid" if now["split"] == "leave_last" else "valid_fraction"
    return [f"a sweep judges on the validation part, but {size} is 0: set it above 0"] * (not now[size])


def _sentence(fault: Mapping[str, Any]) -> str:
    """Tell what pydantic found wrong with a sweep file."""
    parts = [str(part) for part in fault["loc"] if not str(part)[:1].isupper()]
    place, words = ".".join(parts), WORDS.get(fault["type"], "")
    if not words:
        told = str(fault["msg"]).removeprefix("Value error, ")
        return f"{place}: {told}" if place else told
    if fault["type"] != "extra_forbidden":
        return f"{place} {words}"
    *inside, name = parts
    models: dict[int, type[BaseModel]] = {0: Sweep, 1: Random}
    model = models.get(len(inside), Range)
    known = [field.alias or own for own, field in model.model_fields.items()]
    advice = ": put it under random.space" if model is Random and name in fields() else nearest(name, known)
    return f"{'.'.join(inside) or 'a sweep'} {words} {name}{advice}"

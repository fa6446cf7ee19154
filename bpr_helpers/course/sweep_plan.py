"""What a sweep is: its file, its configurations, and the trials that it consists of."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bpr_helpers.course import runs
from bpr_helpers.course.parameters import (
    ACTS_WITH,
    NOTEBOOKS,
    defaults,
    faults,
    fields,
    from_text,
    idle,
    per_notebook,
)
from bpr_helpers.course.run_folder import RunFolder, read_json
from bpr_helpers.course.series import KCORE, MODEL, SPLIT
from bpr_helpers.course.sweep_search import JOURNAL, MOST, Range, Search, Strict, Study, Values
from bpr_helpers.ranking import AT_K
from bpr_helpers.settings import clause, nearest

DATA = (KCORE, SPLIT)
METRICS = [f"{name}@{k}" for name in AT_K for k in (5, 10, 20)] + ["auc"]


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    """Turn texts such as 1e-2 into the numbers that their parameters are."""
    return {name: from_text(name, value) for name, value in values.items()}


def _typed_lists(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    return {name: [from_text(name, value) for value in among] for name, among in values.items()}


Configuration = Annotated[dict[str, Any], AfterValidator(_typed)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class Sweep(Strict):
    """What a sweep file holds: exactly one of grid, random and list, and how to judge."""

    fixed: Configuration = Field(default_factory=dict)
    grid: Annotated[dict[str, Values], AfterValidator(_typed_lists)] | None = None
    random: Search | None = None
    listed: list[Configuration] | None = Field(None, alias="list")
    seeds: tuple[Seed, ...] = Field((0,), min_length=1, strict=False)
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
        size = prod(map(len, self.grid.values())) if self.grid else len(self.listed or ())
        size = len(self.seeds) * (self.random.trials if self.random else size)
        if size > MOST:
            raise ValueError(f"these are {size:,} trials, and a sweep has at most {MOST:,}")
        return self

    def configurations(self, drawn: Iterable[dict[str, Any]] = ()) -> list[dict[str, Any]]:
        """List the configurations, the default (no parameter set but the fixed ones) first, each once.

        Parameters
        ----------
        drawn : what `study` has drawn so far, for a random search
        """
        found = [{}, *(self.listed or ()), *drawn]
        if self.grid:
            points = itertools.product(*self.grid.values())
            found += [dict(zip(self.grid, point, strict=True)) for point in points]
        return list({json.dumps(one, sort_keys=True, default=str): one for one in found}.values())

    def settings(self) -> list[dict[str, Any]]:
        """List all that the configurations set, the fixed parameters among it.

        For a random search these are examples: every value of a list and both ends of a range are among
        them, beside every value of the parameter with which they act.
        """
        return [self.fixed | one for one in self.configurations(self._examples())]

    def study(self, folder: Path) -> Study | None:
        """Open the random search in the sweep's folder; None for a grid or a list."""
        judged_by = self.model_dump(mode="json", include={"fixed", "seeds", "metric", "part"})
        return Study(self.random, folder / JOURNAL, judged_by) if self.random else None

    def trial(self, configuration: dict[str, Any], seed: int, folder: Path) -> Trial:
        """Give the trial of a configuration and a seed, in the sweep's folder."""
        values = {"choose": False, **self.fixed, **configuration, "seed": seed}
        return Trial(configuration, values, folder / "trials" / digest(values, (*DATA, MODEL)))

    def _examples(self) -> list[dict[str, Any]]:
        values = {name: self.random.values(name) for name in self.random.space} if self.random else {}
        first = {name: among[0] for name, among in values.items()}
        found = []
        for name, among in values.items():
            other = ACTS_WITH[name][0] if name in ACTS_WITH else name
            for value, beside in itertools.product(among, values.get(other, [None])):
                found.append(first | ({other: beside} if other in values else {}) | {name: value})
        return found


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


def read_sweep(content: Mapping[Any, Any], report_test: bool = False) -> tuple[Sweep | None, list[str]]:
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
    settings = sweep.settings()
    found = _misplaced(sweep) + [fault for values in settings for fault in faults(values).values()]
    if not found:
        found = _idle(settings) + [fault for values in settings for fault in _unjudged(values)]
    if sweep.part == "test" and not report_test:
        found.append("part is test, which is read once and for the winner only: add --report-test")
    return (None if found else sweep), list(dict.fromkeys(found))


def _misplaced(sweep: Sweep) -> list[str]:
    """Name the parameters that stand where a sweep has no use for them."""
    swept = {name for one in sweep.configurations(sweep._examples()) for name in one}
    found = []
    if "run_dir" in swept | {*sweep.fixed}:
        found.append("run_dir is a folder that the sweep chooses itself")
    if "seed" in swept | {*sweep.fixed}:
        found.append("seed belongs under seeds, not among the other parameters")
    early = fields(DATA).keys() - {"run_dir"}
    for name in sorted(swept & early) if sweep.random else ():
        found.append(
            f"{name} changes the data, so that scores do not compare: put it under fixed, or use list"
        )
    late = {
        name: book for book in NOTEBOOKS for name in fields([book]).keys() - fields([*DATA, MODEL]).keys()
    }
    for name in sorted(swept & late.keys()):
        found.append(f"{name} matters to {late[name]} alone, not to the choice: put it under fixed")
    return found + [f"{name} is both fixed and swept" for name in sorted(swept & sweep.fixed.keys())]


def plan(sweep: Sweep, folder: Path) -> list[Trial]:
    """List the trials: every configuration with every seed, in folders named after what they set.

    Of a random search these are the trials that were drawn so far.
    """
    study = sweep.study(folder)
    drawn = study.configurations() if study else []
    trials: dict[Path, Trial] = {}
    for one, seed in itertools.product(sweep.configurations(drawn), sweep.seeds):
        trial = sweep.trial(one, seed, folder)
        trials.setdefault(trial.folder, trial)  # what equals the default is the default
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
    if now[size]:
        return []
    return [f"a sweep judges on the validation part, but {size} is 0: set it above 0"]


def _sentence(fault: Mapping[str, Any]) -> str:
    """Tell what pydantic found wrong with a sweep file, and where."""
    # Behind random.space.<name> pydantic names the kind that it looked for, which is nowhere in the file.
    parts = [
        str(part) for n, part in enumerate(fault["loc"]) if (n, part) not in ((3, "Values"), (3, "Range"))
    ]
    if parts[-1:] == ["[key]"]:
        return f"{'.'.join(parts[:-1])} is no name: write it in quotes"
    if fault["type"] != "extra_forbidden":
        return f"{'.'.join(parts)} {clause(fault)}".strip()
    *inside, name = parts
    models: dict[int, type[BaseModel]] = {0: Sweep, 1: Search}
    model = models.get(len(inside), Range)
    known = [field.alias or own for own, field in model.model_fields.items()]
    if model is Search and name in fields():
        return f"random has no entry {name}: put it under random.space"
    return f"{'.'.join(inside) or 'a sweep'} has no entry {name}{nearest(name, known)}"

"""Searching a space: Optuna draws configurations, and a journal in the sweep's folder remembers them.

Optuna is imported when a space is searched, and not before. Its journal is a file of JSON lines: opening one
that somebody else wrote unpickles nothing, and what it names is checked against the space.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from filelock import FileLock
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

from bpr_helpers.course.parameters import faults, fields, from_text
from bpr_helpers.course.runs import RefusedError
from bpr_helpers.settings import builtin_type

JOURNAL = "search.jsonl"
MOST = 100_000  # trials of a sweep; more are a mistake, or somebody's way to fill a memory
STARTUP = 10  # configurations that TPE draws at random before it learns
ROUND = 4  # configurations that TPE draws at a time, whatever the number of workers
# How reading a journal can end that Optuna did not write, or not to its end.
JOURNAL_FAULTS = (AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class Strict(BaseModel):
    """Part of a sweep file: nothing is converted, and no other name is taken."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Range(Strict):
    """Where a value is drawn: between low and high, evenly, or evenly in the logarithm."""

    low: float = Field(strict=False)  # a text such as 1e-3 is a number, too
    high: float = Field(strict=False)
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise ValueError("low must be below high, and above 0 with log")
        return self

    def ends(self, name: str) -> list[Any]:
        """Give low and high as the parameter takes them: whole where it is a whole number."""
        whole = name in fields() and builtin_type(fields()[name]) is int
        return [int(end) if whole and end.is_integer() else end for end in (self.low, self.high)]

    def rounded(self, value: float) -> float:
        """Give a drawn value with four digits, inside the range."""
        return value if isinstance(value, int) else min(max(float(f"{value:.4g}"), self.low), self.high)


Values = Annotated[list[Any], Field(min_length=1)]
Among = Annotated[
    Annotated[Values, Tag("Values")] | Annotated[Range, Tag("Range")],
    Discriminator(lambda among: "Range" if isinstance(among, (dict, Range)) else "Values"),
]


class Search(Strict):
    """A space to draw configurations from, how many, and how.

    Attributes
    ----------
    trials : number of configurations
    sampler : "random" draws each on its own; "tpe" draws near those that scored best
    seed : the same seed draws the same; with "tpe" as long as the scores are the same
    space : parameter -> list of values, or range

    References
    ----------
    Bergstra, J., Bardenet, R., Bengio, Y. & Kegl, B. (2011). Algorithms for hyper-parameter optimization.
    NIPS 24. (The sampler "tpe".)
    """

    trials: int = Field(ge=1, le=10_000)
    sampler: Literal["random", "tpe"] = "random"
    seed: int = Field(0, ge=0, lt=2**32)
    space: dict[str, Among] = Field(min_length=1)

    def values(self, name: str) -> list[Any]:
        """Give the values that a parameter is drawn from, of a range its ends."""
        among = self.space[name]
        listed = among.ends(name) if isinstance(among, Range) else [from_text(name, one) for one in among]
        return list({repr(one): one for one in listed}.values())


class Study:
    """The configurations of a search that were drawn so far, and the scores of those that are done.

    What the n-th configuration is depends on the seed, on n and, with "tpe", on the scores that were told
    when it was drawn; so a search that was stopped goes on as if it had not been.

    Parameters
    ----------
    search : Search
    journal : the file that remembers; one file can hold several searches
    judged_by : whatever else the scores depend on: with another one, this is another search

    Raises
    ------
    RefusedError
        Optuna is not installed, or the journal is none.

    Examples
    --------
    >>> import tempfile
    >>> search = Search(trials=2, space={"dim": {"low": 8, "high": 64}, "item_bias": [True, False]})
    >>> study = Study(search, Path(tempfile.mkdtemp()) / "search.jsonl")
    >>> for waiting in study.rounds():
    ...     for number in waiting:
    ...         study.tell(number, score=0.1)
    >>> len(study.configurations()), list(study.configurations()[0])
    (2, ['dim', 'item_bias'])
    """

    def __init__(self, search: Search, journal: Path, judged_by: Any = None) -> None:
        self.search, self.journal = search, journal
        key = json.dumps([search.model_dump(exclude={"trials"}), judged_by], sort_keys=True, default=str)
        self._name = hashlib.sha256(key.encode()).hexdigest()[:12]
        self._study: Any = None
        if journal.is_symlink() or (journal.exists() and not journal.is_file()):
            raise RefusedError(f"{journal} is no plain file, so it is not read")
        if journal.exists():
            self._open()

    def configurations(self) -> list[dict[str, Any]]:
        """Give what was drawn so far, in order.

        Raises
        ------
        RefusedError
            The journal holds values that this search does not draw.
        """
        if self._study is None:
            return []
        found = [self._configuration(trial.params) for trial in self._trials()]
        for one in found:
            if wrong := self._strange(one):
                raise RefusedError(
                    f"{self.journal} holds what this search does not draw ({wrong}): remove it"
                )
        return found

    def scores(self) -> list[float | None]:
        """Give what was told of each configuration so far, None where nothing was."""
        return [trial.value for trial in self._trials()] if self._study else []

    def rounds(self) -> Iterator[list[int]]:
        """Draw what can be judged side by side, and give the numbers of all that have no score yet.

        A random search is one round. With "tpe" the next round is drawn from the scores that were told in
        between; what failed and so has no score is given again, and teaches nothing.
        """
        self._open()
        with self._readable():
            self._draw_to_end_of_round(max(1, len(self._trials())))
        more = True
        while more:
            with self._readable():
                waiting = [number for number, score in enumerate(self.scores()) if score is None]
            yield waiting
            with self._readable():
                more = self._draw_to_end_of_round(len(self._trials()) + 1)

    def tell(self, number: int, score: float) -> None:
        """Record the score of a configuration, the higher the better; a second time changes nothing."""
        with self._readable():
            if np.isfinite(score) and self.scores()[number] is None:
                self._study.tell(number, score)

    def _trials(self) -> list[Any]:
        return list(self._study.get_trials(deepcopy=False)[: self.search.trials])

    def _draw_to_end_of_round(self, number: int) -> bool:
        """Draw until the round of the number-th configuration is complete; tell whether any was drawn."""
        end = self.search.trials
        if self.search.sampler == "tpe":
            later = max(0, number - STARTUP)
            end = min(end, STARTUP + ROUND * -(-later // ROUND))
        drawn = range(len(self._trials()), end)
        for new in drawn:
            self._study.sampler = self._sampler(new)
            self._study.ask(self._distributions())
        return len(drawn) > 0

    def _sampler(self, number: int) -> Any:
        """Make the sampler of one draw, with a seed of its own: nothing but the journal has to be kept."""
        from optuna.samplers import RandomSampler, TPESampler

        seed = int(np.random.SeedSequence([self.search.seed, number]).generate_state(1)[0])
        if self.search.sampler == "random":
            return RandomSampler(seed=seed)
        return TPESampler(seed=seed, n_startup_trials=STARTUP)

    def _distributions(self) -> dict[str, Any]:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        found: dict[str, Any] = {}
        for name, among in self.search.space.items():
            values = self.search.values(name)
            if not isinstance(among, Range):
                found[name] = CategoricalDistribution(values)
            elif isinstance(values[0], int):
                found[name] = IntDistribution(values[0], values[1], log=among.log)
            else:
                found[name] = FloatDistribution(values[0], values[1], log=among.log)
        return found

    def _configuration(self, drawn: dict[str, Any]) -> dict[str, Any]:
        space = self.search.space
        ordered = {name: drawn[name] for name in space if name in drawn}
        return {n: r.rounded(v) if isinstance(r := space[n], Range) else v for n, v in ordered.items()}

    def _strange(self, one: dict[str, Any]) -> str:
        """Say what of a configuration is not of the space, "" where all of it is."""
        if missing := self.search.space.keys() - one.keys():
            return f"no {sorted(missing)[0]}"
        for name, value in one.items():
            among, values = self.search.space[name], self.search.values(name)
            inside = values[0] <= value <= values[-1] if isinstance(among, Range) else value in values
            if not inside or faults({name: value}):
                return f"{name}={value!r}"
        return ""

    def _open(self) -> None:
        """Open the journal, or begin it; only this sweep writes to it, which holds its folder."""
        try:
            import optuna
        except ImportError as error:
            raise RefusedError("a random search needs optuna: pip install 'bpr-helpers[sweep]'") from error
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        lock: Any = FileLock(f"{self.journal}.lock")  # unlike Optuna's own, not left behind when killed
        with self._readable():
            storage = JournalStorage(JournalFileBackend(str(self.journal), lock_obj=lock))
            how: dict[str, Any] = {"direction": "maximize", "load_if_exists": True}
            self._study = optuna.create_study(storage=storage, study_name=self._name, **how)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn all the ways in which a journal can be none into one sentence."""
        try:
            yield
        except JOURNAL_FAULTS as error:
            told = f"{type(error).__name__}: {error}".rstrip(": ")
            raise RefusedError(
                f"{self.journal} cannot be read as Optuna's journal ({told}): remove it, and the same "
                "command draws again; no trial that is done is done again"
            ) from error

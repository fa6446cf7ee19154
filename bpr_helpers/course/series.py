"""What the series is: its notebooks in order, what each reads of the others, and how a stage is built.

This is the only place that spells the notebooks' names. A stage is what a notebook writes for those after it;
a notebook that is not in `STAGES` reads some and writes none.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bpr_helpers import splitting
from bpr_helpers.bpr import BPR
from bpr_helpers.choosing import choose
from bpr_helpers.course.paths import resolve
from bpr_helpers.data import drop_unknown_titles, folded_in_words, load_interactions, load_items
from bpr_helpers.evaluation import evaluate
from bpr_helpers.matrix import meet, same_kind
from bpr_helpers.movielens import MOVIELENS
from bpr_helpers.parallel import Progress, silently
from bpr_helpers.parts import ROWS, too_large
from bpr_helpers.pruning import k_core
from bpr_helpers.settings import BPRSettings
from bpr_helpers.splitting import Split, split_random, split_report, within_seconds

START, KCORE, SPLIT = "00_start_here", "01_kcore_pruning", "02_chronological_split"
MODEL, EVALUATION, PITFALLS = "03_bpr_model", "04_evaluation", "05_pitfalls"
TUNING, BETTER = "06_tuning", "07_better_bpr"
SERVICE, BEYOND = "08_from_model_to_service", "09_beyond_one_machine"

# The stages that each notebook reads; of a notebook that writes one, those that its stage is made from.
READS: dict[str, tuple[str, ...]] = {
    START: (KCORE,),
    KCORE: (),
    SPLIT: (KCORE,),
    MODEL: (KCORE, SPLIT),
    EVALUATION: (KCORE, SPLIT, MODEL),
    PITFALLS: (KCORE, SPLIT),
    TUNING: (KCORE, SPLIT),
    BETTER: (KCORE, SPLIT),
    SERVICE: (KCORE, SPLIT),
    BEYOND: (),
}
STAGES = (KCORE, SPLIT, MODEL, EVALUATION)
RUN_ORDER = (*STAGES, *(name for name in READS if name not in STAGES))

Stages = Mapping[str, Any]  # name of a stage -> its outputs by name


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
    place, named = _place(values["source"]), {name: values[name] for name in columns}
    if in_parts(place, values["engine"]):
        interactions = _pruned_in_parts(Path(place), named, values)
    else:
        interactions = load_interactions(place, **named)
    if values["drop_unknown_titles"] and values["source"] == "ml-100k":  # the only set with such a film
        interactions = drop_unknown_titles(interactions, load_items("ml-100k"))
    return interactions, _met(_titles(values), interactions["item_id"])


def in_parts(place: str | Path, engine: str) -> bool:
    """Tell whether a source is pruned in parts, on Dask.

    Parameters
    ----------
    place : a known set's name, or a path
    engine : "dask" or "pandas" say so; "auto" takes Dask for a folder of Parquet files, or one file, that
        would fill more than half of the memory in pandas (`parts.too_large`)

    Raises
    ------
    ValueError
        engine is "dask", and the source is not in Parquet.
    """
    is_parquet = isinstance(place, Path) and (
        place.is_dir() or (place.is_file() and place.suffix.lower() in (".parquet", ".pq"))
    )
    if engine == "dask" and not is_parquet:
        raise ValueError(
            "engine is 'dask', which reads Parquet: give a folder of Parquet files as source, not "
            f"{str(place)!r}, or leave engine out."
        )
    return engine == "dask" or (engine == "auto" and is_parquet and too_large(place))


def _pruned_in_parts(place: Path, named: Mapping[str, Any], values: Mapping[str, Any]) -> pd.DataFrame:
    """Load the k-core of a folder that may be larger than memory: what is left has to fit."""
    from bpr_helpers import scale

    with _workers():
        opened = scale.read_interactions(place, **named)
        folded = scale.first_of_pairs(opened).persist()
        if n_folded := len(opened) - len(folded):
            warnings.warn(folded_in_words(str(place), n_folded), stacklevel=2)
        core = scale.k_core(folded, user_k=values["user_k"], item_k=values["item_k"])
        left: Any = core.interactions
        interactions = left.compute().sort_index().reset_index(drop=True)  # in the order of the files
    rows = core.rounds["rows"].tolist()
    interactions.attrs["read"] = (
        f"{rows[0]:,} interactions: Dask pruned them first, part by part and in {len(rows) - 1} rounds. What "
        f"follows is about the {rows[-1]:,} that are left"
    )
    return interactions


@contextmanager
def _workers() -> Iterator[None]:
    """Let Dask work on the scheduler that DASK_SCHEDULER_ADDRESS names, or on this machine's processors."""
    from dask import config
    from dask.distributed import Client

    address = config.get("scheduler-address", None)
    try:
        client = Client() if address else Client(threads_per_worker=1, dashboard_address=":0")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"No dask scheduler answers at {address}, which DASK_SCHEDULER_ADDRESS names: start one, or "
            f"unset that variable ({error})."
        ) from error
    with client:
        yield


def in_words(interactions: pd.DataFrame, items: pd.DataFrame) -> str:
    """Say what `load_source` loaded: how much, of one's own data from when to when, and titles that lack."""
    told = interactions.attrs.get("read", f"{len(interactions):,} interactions")
    item_ids = interactions["item_id"].unique()
    n_titled = int(np.isin(item_ids, items["item_id"]).sum()) if len(items) else len(item_ids)
    if n_titled < len(item_ids):
        told += f"; {n_titled:,} of {len(item_ids):,} items have a title"
    return told


def _met(items: pd.DataFrame, item_ids: pd.Series) -> pd.DataFrame:
    """Write the titles' ids as the interactions' are written.

    Raises
    ------
    ValueError
        There are titles, and not one of them is of an item.
    """
    if items.empty:
        return items
    known = pd.Index(item_ids.unique())
    meet(items["item_id"], known, "title's item")
    return items.assign(item_id=same_kind(items["item_id"], known))


def _titles(values: Mapping[str, Any]) -> pd.DataFrame:
    """Load the titles of the reader's own file, or those that come with a known set; none for other data."""
    if not values["items_source"]:
        if values["source"] in MOVIELENS:
            return load_items(values["source"])
        return pd.DataFrame(columns=["item_id", "title", "year", "genres"])
    names = {name: values[name] for name in ("item_column", "title_column")}
    return load_items(_place(values["items_source"]), **names)


def _place(source: str) -> str | Path:
    """Give a known set's name as it is, and a file's path from the root of the run."""
    return source if source in MOVIELENS or source == "synthetic" else resolve(source)


def has_times(interactions: pd.DataFrame) -> bool:
    """Tell whether the interactions can be put in order of time: two different times, at the least.

    >>> has_times(pd.DataFrame({"user_id": [1, 1], "item_id": [7, 8], "timestamp": [5, 5]}))
    False
    """
    if "timestamp" not in interactions or interactions.empty:
        return False
    return bool(interactions["timestamp"].min() < interactions["timestamp"].max())


def split_interactions(interactions: pd.DataFrame, values: Mapping[str, Any]) -> Split:
    """Split by the protocol that the second notebook's parameters name.

    Data without two different times cannot be split by time: where the parameters ask for the usual
    protocol, `per_user`, they are split at random instead, and a printed sentence says so. With ties="row"
    the order of the rows is taken for that of time, because it was asked for.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, columns user_id and item_id, and timestamp if there
        are times
    values : the second notebook's parameters

    Raises
    ------
    ValueError
        The protocol that was asked for needs times and there are none, or nobody is left to be tested.
    """
    return _tested(_split_by(_protocol(interactions, values), interactions, values), values)


def split_with_report(
    interactions: pd.DataFrame, values: Mapping[str, Any], stored: Path
) -> tuple[Split, pd.DataFrame]:
    """Split as `split_interactions` does, and report on it.

    It is done on Dask, part by part, where `in_parts` says so of the file; a random split never is. The rows
    are the same. They are in memory before and after, but not what pandas needs to work on them.

    Parameters
    ----------
    interactions, values : as in `split_interactions`
    stored : the file in which the first notebook wrote them, in the run folder

    Returns
    -------
    Split, DataFrame as of `split_report`
    """
    protocol = _protocol(interactions, values)
    if protocol != "random" and in_parts(stored, values["engine"]):
        split, report = _split_in_parts(protocol, interactions, values, stored.parents[1])
        return _tested(split, values), report
    split = _tested(_split_by(protocol, interactions, values), values)
    return split, split_report(split)


def _split_in_parts(
    protocol: str, interactions: pd.DataFrame, values: Mapping[str, Any], home: Path
) -> tuple[Split, pd.DataFrame]:
    """Split by way of files, since rows that stand in files are sent to nobody; all workers see `home`."""
    from bpr_helpers import scale

    with tempfile.TemporaryDirectory(prefix=".writing-", dir=home) as folder, _workers():
        whole = Path(folder, "whole")
        whole.mkdir()
        for number, start in enumerate(range(0, len(interactions), ROWS)):
            interactions[start : start + ROWS].to_parquet(whole / f"part-{number:05}.parquet")
        split = _split_by(protocol, scale.open_written(whole), values, scale)
        parts = {
            name: getattr(split, name).rename_axis(index=scale.ROW).reset_index() for name in scale.PARTS
        }
        written = scale.write(folder, **parts)
        report = scale.split_report(Split(**written))
        frames = {name: pd.read_parquet(Path(folder, name)) for name in written}
    ordered = {n: f.set_index(scale.ROW).sort_index().rename_axis(index=None) for n, f in frames.items()}
    return Split(**ordered, counts=split.counts), report


def _tested(split: Split, values: Mapping[str, Any]) -> Split:
    if not split.test["user_id"].isin(split.train["user_id"]).any():
        raise ValueError(f"This split leaves nobody to be tested: {_remedy(values)}.")
    return split


def _protocol(interactions: pd.DataFrame, values: Mapping[str, Any]) -> str:
    """Give the protocol that these data allow, saying so where it is another one than the usual."""
    name: str = values["split"]
    by_rows = name in ("per_user", "leave_last") and values["ties"] == "row"
    if name == "random" or by_rows or has_times(interactions):
        return name
    found = "only one time" if "timestamp" in interactions else "no times"
    if name != "per_user":
        raise ValueError(
            f"The interactions hold {found}, and split={name!r} needs two or more: name the column of times "
            'in notebook 1 (timestamp_column), or set split="random".'
        )
    print(f'The interactions hold {found}: every user\'s are split at random (split="random").')
    return "random"


def _split_by(name: str, interactions: Any, values: Mapping[str, Any], where: Any = splitting) -> Split:
    """Split by a protocol, with the functions of `splitting` or those of `scale`."""
    fractions = {part: values[part] for part in ("test_fraction", "valid_fraction")}
    ties = {"ties": values["ties"], "seed": values["split_seed"]}
    if name == "random":
        return split_random(interactions, **fractions, seed=values["split_seed"])
    if name == "global_time":
        return where.split_global_time(interactions, **fractions)
    if "timestamp" not in interactions:  # here only where the rows' order was asked for
        split = _split_by(name, interactions.assign(timestamp=0), values, where)
        train, valid, test = (p.drop(columns="timestamp") for p in (split.train, split.valid, split.test))
        return Split(train, valid, test, split.counts)
    if name == "leave_last":
        counts = {part: values[part] for part in ("n_test", "n_valid")}
        return where.split_leave_last(interactions, **counts, **ties)
    return where.split_per_user(interactions, **fractions, **ties)


def _remedy(values: Mapping[str, Any]) -> str:
    """Say what to change where a split has nobody to test."""
    if values["split"] == "leave_last":
        return (
            f"no user has more than n_test={values['n_test']} interactions; choose a smaller n_test, "
            f"or keep users with more in notebook 1 (user_k={values['n_test'] + 1})"
        )
    if values["split"] == "global_time":
        return (
            "everybody in its test part came too late to be in its training part; "
            'choose another test_fraction, or split="per_user"'
        )
    return "every user has only one interaction; keep users with more in notebook 1 (user_k=2)"


def few_to_compare(interactions: pd.DataFrame, *, scored: int = 0) -> pd.DataFrame:
    """Keep what a lesson can compare protocols on, and print how much that is where it is not everything.

    Parameters
    ----------
    interactions, scored : as in `splitting.within_seconds`
    """
    some = within_seconds(interactions, scored=scored)
    if some is not interactions:
        parts = []
        for column, what in {"user_id": "users", "item_id": "items"}.items():
            if what == "users" or not scored:
                parts.append(f"{some[column].nunique():,} of {interactions[column].nunique():,} {what}")
        print(f"To stay quick on so much data, this looks at {' and '.join(parts)}.")
    return some


def few_of_both(train: pd.DataFrame, valid: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep of both parts the users and items of `few_to_compare`, for experiments that are to stay quick.

    Parameters
    ----------
    train, valid : DataFrames of interactions; for an empty valid, the end of train stands in
    """
    if valid.empty:
        a_tenth = {"split": "per_user", "test_fraction": 0.1, "valid_fraction": 0.0}
        stand_in = split_interactions(train, a_tenth | {"ties": "shuffle", "split_seed": 0})
        train, valid = stand_in.train, stand_in.test
    some = few_to_compare(train)
    if some is train:
        return train, valid[valid["user_id"].isin(train["user_id"])]
    return some, valid[valid["user_id"].isin(some["user_id"]) & valid["item_id"].isin(some["item_id"])]


def fit_bpr(
    train: pd.DataFrame, valid: pd.DataFrame, values: Mapping[str, Any], progress: Progress = silently
) -> dict[str, Any]:
    """Choose the number of epochs, and more, on the validation part, then fit once more on both parts.

    With `choose`, L2 strengths and recency are chosen from a short list where they have their defaults; what
    was set is kept. Where the interactions have no order of time, `recency` is off, and a printed sentence
    says so.

    Parameters
    ----------
    train, valid : DataFrames of interactions; an empty valid fits once, as the values say
    values : the third notebook's parameters
    progress : what shows the fit at work, such as `lesson.progress`

    Returns
    -------
    dict
        model: BPR fitted on train and valid; history: DataFrame of the fit on train alone that was chosen;
        valid_per_user: DataFrame, that fit's metrics on valid per user; choice: DataFrame, what was tried
        (both empty without a valid part)

    Raises
    ------
    ValueError
        There is patience and no validation part.
    """
    settings = {name: value for name, value in values.items() if name in BPRSettings.model_fields}
    if settings["recency"] and not has_times(pd.concat([train, valid])):
        print("The interactions have no order of time: BPR counts all of them alike (recency=0).")
        settings["recency"] = 0.0
    if valid.empty:
        nothing = pd.DataFrame()
        for _, model in progress([("the training part", BPR(**settings))], "fitting"):
            model.fit(train)
        return {"model": model, "history": model.history, "valid_per_user": nothing, "choice": nothing}
    tried = short_list(settings) if values["choose"] else [settings]
    choice = choose([BPR(**one) for one in tried], train, valid, progress=progress)
    for _, model in progress([("what did best, on both parts", choice.best)], "fitting"):
        model.fit(pd.concat([train, valid], ignore_index=True))
    return {
        "model": model,
        "history": choice.judged.history,
        "valid_per_user": evaluate(choice.judged, valid).per_user,
        "choice": choice.table,
    }


def short_list(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """List what `fit_bpr` tries, the settings first: at most four fits, three of them read in two ways.

    >>> found = short_list(BPRSettings().model_dump())
    >>> len(found), len(short_list(BPRSettings(l2_user=0.5, recency=3.0).model_dump()))
    (7, 1)
    >>> found[0] == BPRSettings().model_dump()
    True
    """
    usual = {name: field.default for name, field in BPRSettings.model_fields.items()}
    strengths = ("l2_user", "l2_pos", "l2_neg")
    untouched = all(settings[name] == usual[name] for name in strengths)
    recency = settings["recency"]
    recencies = (recency, recency / 4) if recency == usual["recency"] else (recency,)
    weaker, stronger = (
        {name: float(f"{times * settings[name]:.3g}") for name in strengths} for times in (1 / 3, 3)
    )
    found = [
        {**settings, **changed, "recency": lately}
        for changed in (({}, weaker, stronger) if untouched else ({},))
        for lately in recencies
    ]
    return found + ([{**settings, "recency": 0.0}] if len(recencies) > 1 else [])


TITLES = {"ml-100k": "MovieLens-100K", "ml-1m": "MovieLens-1M", "synthetic": "made-up data"}


def describe(stage: str, values: Mapping[str, Any], outputs: Mapping[str, Any]) -> str:
    """Say in words how a stage was made.

    Parameters
    ----------
    stage : name of the notebook that wrote it
    values : its parameters
    outputs : what it wrote; data without times were split at random, whatever the parameters say

    Examples
    --------
    >>> describe(KCORE, {"source": "ml-100k", "user_k": 6, "item_k": 6, "min_rating": 0.0}, {})
    'MovieLens-100K, 6-core'
    """
    if stage == KCORE:
        data = TITLES.get(values["source"], Path(values["source"]).name)
        rated = f", ratings from {values['min_rating']:g}" if values["min_rating"] > 0 else ""
        return f"{data}{rated}, {_core_in_words(values['user_k'], values['item_k'])}"
    if stage == SPLIT:
        by_time = values["ties"] == "row" or has_times(outputs["train"])
        return _split_in_words(values if by_time else {**values, "split": "random"})
    if stage == MODEL:
        lately = f"recency {values['recency']:g}" if values["recency"] else "no recency"
        sampler = f"{values['sampler']} negatives"
        chosen = "; strengths and recency chosen on validation" if values["choose"] else ""
        return f"BPR with {values['dim']} dimensions, {sampler}, {lately}{chosen}"
    return f"{values['candidates']} items ranked, lists of {values['k']}"


def _core_in_words(user_k: int, item_k: int) -> str:
    if user_k == item_k:
        return f"{user_k}-core"
    return f"at least {user_k} interactions per user and {item_k} per item"


def _split_in_words(values: Mapping[str, Any]) -> str:
    if values["split"] == "leave_last":
        return f"last {values['n_test']} per user for test, {values['n_valid']} before for validation"
    which = {
        "per_user": "last {} per user",
        "global_time": "last {} of all",
        "random": "{} at random per user",
    }
    return (
        f"{which[values['split']].format(_share(values['test_fraction']))} for test, "
        f"{_share(values['valid_fraction'])} of the rest for validation"
    )


def _share(fraction: float) -> str:
    return {0.0: "nothing", 0.1: "tenth", 0.2: "fifth"}.get(fraction, f"{fraction:.1%}")


def _core(stages: Stages, values: Mapping[str, Any]) -> dict[str, Any]:
    interactions, items = load_source(values)
    core = k_core(interactions, user_k=values["user_k"], item_k=values["item_k"])
    return {"interactions": core.interactions, "items": items, "rounds": core.rounds}


def _split(stages: Stages, values: Mapping[str, Any]) -> dict[str, Any]:
    pruned = stages[KCORE]
    split, _ = split_with_report(pruned["interactions"], values, pruned.path("interactions"))
    return {"train": split.train, "valid": split.valid, "test": split.test}


def _model(stages: Stages, values: Mapping[str, Any]) -> dict[str, Any]:
    return fit_bpr(stages[SPLIT]["train"], stages[SPLIT]["valid"], values)


# How a stage that is missing is built: from the stages that it reads and its parameters.
BUILD: dict[str, Callable[[Stages, Mapping[str, Any]], dict[str, Any]]] = {
    KCORE: _core,
    SPLIT: _split,
    MODEL: _model,
}

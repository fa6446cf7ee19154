"""Giving every model its chance: strengths and recency from a short list, on a validation part.

Strengths that were tuned on one data set can be far off on another. A comparison is fair only where every
model was chosen on the data at hand, from a list of about the same length.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import pandas as pd

from bpr_helpers.baselines import EASE, IALS, ItemKNN, Popularity, Random
from bpr_helpers.bpr import BPR, n_judges
from bpr_helpers.evaluation import METRICS, Candidates, Evaluation, evaluate
from bpr_helpers.history import FromHistories, tells_late_from_early
from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.parallel import MOST, Progress, in_parallel, silently

MANY_ITEMS = 5000  # of more, one EASE is fitted after the other, since each needs 12 n_items^2 bytes


class Choice(NamedTuple):
    """What `choose` found.

    best : recommender, not fitted, with the settings that did best: fit it on train and validation together
    judged : the same as it was judged, fitted on train
    table : DataFrame, a row per candidate, best first: the settings in which candidates differ, and the mean
        of the metric
    """

    best: Any
    judged: Any
    table: pd.DataFrame


def choose(
    candidates: Iterable[FromHistories],
    train: pd.DataFrame,
    valid: pd.DataFrame,
    *,
    metric: str = "ndcg@10",
    seed: int = 0,
    progress: Progress = silently,
) -> Choice:
    """Fit candidates on train, judge them on valid, and say which one to take.

    Candidates that differ in `recency` alone share a fit and read their users' histories anew, so there are
    as many fits as other settings (of BPR, one more for each that has recency 0 beside others). Where nobody
    has interactions of different times, recency has nothing to go on and is 0 for all. A BPR keeps the number
    of epochs that it found on valid. Of equals the first is taken. Where valid has more users than
    `bpr.n_judges`, at most 10,000, so many of them judge, as they do after every epoch of BPR.

    Parameters
    ----------
    candidates : recommenders of one class, not fitted: BPR, EASE, IALS, ItemKNN or Popularity
    train, valid : DataFrames with user_id, item_id and, for recency, timestamp
    metric : str, a metric of `evaluate`, such as "recall@20"
    seed : int, of the order of equal scores
    progress : function of pairs and a word, which gives the pairs one by one and shows the first of each; the
        fits by name are gone through with it

    Returns
    -------
    Choice

    Raises
    ------
    ValueError
        There is no candidate, they are of several classes, there is no such metric, or a part cannot be
        learned from or judged.

    Examples
    --------
    >>> from bpr_helpers import EASE, split_per_user, synthetic_interactions
    >>> split = split_per_user(synthetic_interactions(50, 40, 900), valid_fraction=0.2)
    >>> choice = choose([EASE(l2=l2) for l2 in (1.0, 100.0)], split.train, split.valid)
    >>> choice.table.columns.to_list(), len(choice.table)
    (['l2', 'ndcg@10'], 2)
    """
    candidates, matrix = list(candidates), InteractionMatrix.from_frame(train)
    make = _class_of(candidates)
    groups = _by_fit(candidates, has_recency=tells_late_from_early(matrix))
    judges = _some_users(valid, n_judges(matrix.n_items), seed)
    told = train if judges is valid else train[train["user_id"].isin(judges["user_id"])]

    def try_out(group: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any], Any]:
        """Fit once; give the candidates' rows of the table, the best of them and the fitted model."""
        unfitted = make(**group[0])
        if told is train or (make.items_know_recency and not group[0]["recency"]):  # keeps users of its own
            asked = fitted = unfitted.fit(matrix, valid=valid)
        else:  # of the judges alone the histories are read
            fitted = unfitted.fit_items(matrix, valid=valid)
            asked = fitted.fold_in(told)
        models = [asked, *(asked.with_recency(settings["recency"]) for settings in group[1:])]
        rows = [
            settings | _epochs_of(fitted) | {metric: _mean(model, judges, metric, seed)}
            for settings, model in zip(group, models, strict=True)
        ]
        return rows, max(rows, key=lambda row: row[metric]), fitted

    most = _at_once(make, matrix.n_items)
    tried = in_parallel(try_out, _by_name(groups), "fitting", progress, most).values()
    rows = [row for of_fit, _, _ in tried for row in of_fit]
    _, best, judged = max(tried, key=lambda found: found[1][metric])
    unread = told is not train and make.items_know_recency and best["recency"] > 0
    if unread or judged.recency != best["recency"]:
        judged = judged.with_recency(best["recency"])
    table = pd.DataFrame(rows).sort_values(metric, ascending=False, kind="stable", ignore_index=True)
    differs = [name for name in table if name == metric or len(set(map(repr, table[name]))) > 1]
    return Choice(make(**{n: v for n, v in best.items() if n != metric}), judged, table[differs])


def _some_users(valid: pd.DataFrame, n_users: int, seed: int) -> pd.DataFrame:
    users = pd.Series(valid["user_id"].unique())
    if len(users) <= n_users:
        return valid
    return valid[valid["user_id"].isin(users.sample(n_users, random_state=seed))]


def _at_once(kind: type, n_items: int) -> int:
    """Say how many models of a kind may be fitted at once; the tables of all but EASE take little memory."""
    return 1 if kind is EASE and n_items > MANY_ITEMS else MOST


def _class_of(candidates: list[FromHistories]) -> Any:
    kinds = {type(one).__name__: type(one) for one in candidates}
    if len(kinds) != 1:
        found = ", ".join(sorted(kinds)) or "none"
        raise ValueError(f"The candidates are of these classes: {found}. Choose among those of one.")
    return next(iter(kinds.values()))


def _by_fit(candidates: list[FromHistories], *, has_recency: bool) -> list[list[dict[str, Any]]]:
    """Settings of the candidates, no two alike; those that differ in recency alone stand together."""
    groups: dict[str, dict[str, dict[str, Any]]] = {}
    for one in candidates:
        settings = settings_of(one)
        if not has_recency and "recency" in settings:
            settings["recency"] = 0.0
        rest = {name: value for name, value in settings.items() if name != "recency"}
        rest["phase two"] = one.items_know_recency and settings["recency"] > 0
        groups.setdefault(repr(rest), {}).setdefault(repr(settings), settings)
    return [list(group.values()) for group in groups.values()]


def _by_name(groups: list[list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Name each fit by the settings in which the fits differ."""
    first = [group[0] for group in groups]
    differs = [name for name in first[0] if len({repr(one[name]) for one in first}) > 1]
    names = [", ".join(f"{name} {one[name]}" for name in differs) or "the only candidate" for one in first]
    return dict(zip(names, groups, strict=True))


def settings_of(recommender: FromHistories) -> dict[str, Any]:
    """What the recommender was made with: argument of its class -> value.

    >>> from bpr_helpers import EASE
    >>> settings_of(EASE(l2=5.0))
    {'l2': 5.0, 'recency': 0.0}
    """
    own = getattr(recommender, "settings", None) or vars(recommender)
    return {name: own[name] for name in inspect.signature(type(recommender)).parameters if name in own}


def _epochs_of(fitted: Any) -> dict[str, Any]:
    return {"epochs": fitted.best_epoch, "patience": 0} if hasattr(fitted, "best_epoch") else {}


def _mean(model: FromHistories, valid: pd.DataFrame, metric: str, seed: int) -> float:
    """Compute only what is asked for: the metrics of whole lists take longest."""
    name, _, cut_off = metric.rpartition("@") if "@" in metric else (metric, "", "10")
    k = int(cut_off) if cut_off.isdecimal() else 10
    columns = ["auc" if one == "auc" else f"{one}@{k}" for one in METRICS]
    if metric not in columns:
        raise ValueError(f"There is no metric {metric!r}: choose one of {', '.join(columns)}.")
    return float(evaluate(model, valid, ks=k, metrics=name, seed=seed).per_user[metric].mean())


EASE_ITEMS = (
    15_000  # EASE holds tables of items by items, 12 n_items^2 bytes: 2.7 GB for so many; not for more
)


def short_lists(*, n_items: int, seed: int = 0) -> dict[str, list[FromHistories]]:
    """List what each of the simple models may try: at most four fits, each read with four recencies.

    Parameters
    ----------
    n_items : int; with more than `EASE_ITEMS` there is no EASE, and a printed sentence says so
    seed : int, of IALS

    Returns
    -------
    dict, name of the model -> candidates for `choose`

    Examples
    --------
    >>> {name: len(candidates) for name, candidates in short_lists(n_items=100).items()}
    {'Popularity': 4, 'ItemKNN': 8, 'EASE': 12, 'IALS': 16}
    """
    recencies = (0.0, 4.0, 10.0, 20.0)
    weights = ((14.0, 0.006), (40.0, 0.003), (14.0, 0.02), (40.0, 0.02))  # alpha0 and l2 of IALS
    lists: dict[str, list[FromHistories]] = {
        "Popularity": [Popularity(recency=r) for r in (0.0, 0.5, 2.0, 8.0)],
        "ItemKNN": [ItemKNN(shrink=s, recency=r) for s in (5.0, 50.0) for r in recencies],
        "EASE": [EASE(l2=l2, recency=r) for l2 in (50.0, 200.0, 800.0) for r in recencies],
        "IALS": [IALS(alpha0=a, l2=l2, recency=r, seed=seed) for a, l2 in weights for r in recencies],
    }
    if n_items > EASE_ITEMS:
        needed = 12 * n_items**2 / 1e9
        print(f"EASE is left out: for {n_items:,} items (more than {EASE_ITEMS:,}) it takes {needed:.0f} GB.")
        del lists["EASE"]
    return lists


def _fitted(model: Any, known: Any, past: pd.DataFrame) -> Any:
    """Fit the model, unless one is known that is the same or differs in how it reads histories alone."""
    if known is not None:
        wanted, found = settings_of(model), settings_of(known)
        if wanted == found:
            return known
        if wanted | {"recency": 0.0} == found | {"recency": 0.0} and not model.items_know_recency:
            return known.with_recency(wanted["recency"])
    return model.fit(past)


class Contest:
    """The course's models under one rule: chosen on one validation part, with the same information.

    There are two blocks. In one every model may use the times of interactions, in the other none does.
    Nothing is chosen, fitted or judged before it is asked for, and nothing twice.

    Parameters
    ----------
    parts : mapping with train, valid and test, DataFrames; models are chosen on train against valid, fitted
        on both, judged on test. With an empty valid nothing is chosen
    bpr : BPR, fitted on train and valid, with settings that were chosen on the same parts
    choose : bool, False leaves the other models their defaults
    ks, candidates, seed : as in `evaluate`
    progress : goes through the names of models and shows which one is at work

    Examples
    --------
    >>> from bpr_helpers import split_per_user, synthetic_interactions
    >>> split = split_per_user(synthetic_interactions(50, 40, 900), valid_fraction=0.2)
    >>> bpr = BPR(4, epochs=2, patience=0).fit(pd.concat([split.train, split.valid]))
    >>> parts = {"train": split.train, "valid": split.valid, "test": split.test}
    >>> list(Contest(parts, bpr).results())
    ['Random', 'Popularity', 'ItemKNN', 'EASE', 'IALS', 'BPR']
    """

    def __init__(
        self,
        parts: Mapping[str, pd.DataFrame],
        bpr: BPR,
        *,
        choose: bool = True,
        ks: Iterable[int] = (10,),
        candidates: Candidates = "all",
        seed: int = 0,
        progress: Progress = silently,
    ) -> None:
        self.train, self.valid, self.test = (parts[name] for name in ("train", "valid", "test"))
        self.past = pd.concat([self.train, self.valid], ignore_index=True)
        self.bpr, self.seed, self.progress = bpr, seed, progress
        self.judging: dict[str, Any] = {"ks": tuple(ks), "candidates": candidates, "seed": seed}
        self.chooses = choose and len(self.valid) > 0
        self.timed = tells_late_from_early(bpr.matrix)
        self.short_lists = short_lists(n_items=bpr.matrix.n_items, seed=seed)
        self._tried: dict[str, pd.DataFrame] = {}
        self._models: dict[bool, dict[str, Any]] = {}
        self._results: dict[bool, dict[str, Evaluation]] = {}

    @property
    def tried(self) -> dict[str, pd.DataFrame]:
        """What `choose` tried of each simple model, best first; empty tables where nothing is chosen."""
        if not self._tried:
            found = dict.fromkeys(self.short_lists, pd.DataFrame())
            for name in self.progress(list(found) if self.chooses else [], "choosing"):
                found[name] = choose(self.short_lists[name], self.train, self.valid, seed=self.seed).table
            self._tried = found
        return self._tried

    def best(self, name: str, *, times: bool = True) -> FromHistories:
        """Give a simple model, not fitted, with what did best: of all that was tried, or without times."""
        rows = self.tried[name].to_dict("records")
        allowed = [row for row in rows if times or not row.get("recency")]
        settings = {str(n): value for n, value in allowed[0].items() if n != "ndcg@10"} if allowed else {}
        return type(self.short_lists[name][0])(**settings)

    def fit(self, past: pd.DataFrame, *, times: bool = True) -> dict[str, Any]:
        """Fit every model anew, on other interactions, with what was chosen for it.

        Parameters
        ----------
        past : DataFrame of interactions
        times : bool, False for the block in which no model uses them; BPR keeps its strengths in both
        """
        unfitted = self._unfitted(times=times)
        known = {"BPR": self.bpr} | self._models.get(True, {}) if past is self.past else {}

        def fit(name: str) -> Any:
            return _fitted(unfitted[name], known.get(name), past)

        return in_parallel(fit, list(unfitted), "fitting", self.progress)

    def _unfitted(self, *, times: bool = True) -> dict[str, FromHistories]:
        lately = {} if times else {"recency": 0.0}
        models: dict[str, FromHistories] = {"Random": Random(seed=self.seed)}
        models |= {name: self.best(name, times=times) for name in self.short_lists}
        return models | {"BPR": BPR(**self.bpr.settings | lately)}

    def judge(self, models: Mapping[str, Any], test: pd.DataFrame, **changes: Any) -> dict[str, Evaluation]:
        """Evaluate every model on the same test part; `changes` are arguments of `evaluate`."""
        how = self.judging | changes
        return in_parallel(lambda m: evaluate(m, test, **how), models, "judging", self.progress)

    def models(self, *, times: bool = True) -> dict[str, Any]:
        """Give the fitted models of one block: those that may use times, or those that do not."""
        times = times or not self.timed
        if times not in self._models:
            self._models[times] = self.fit(self.past, times=times)
        return self._models[times]

    def results(self, *, times: bool = True) -> dict[str, Evaluation]:
        """Give the evaluations of one block on the test part; without times, both blocks are one."""
        times = times or not self.timed
        if times not in self._results:
            self._results[times] = self.judge(self.models(times=times), self.test)
        return self._results[times]

    def reruns(self, splits: Mapping[str, Any]) -> dict[str, dict[str, Evaluation]]:
        """Fit and judge all models on other splits, with the settings that were chosen on this one.

        Parameters
        ----------
        splits : name -> split, with train, valid and test

        Returns
        -------
        dict, name of the split -> name of the model -> evaluation
        """
        return self._rerun(lambda split, models: self._afresh(models, split), splits)

    def _rerun(self, work: Callable[[Any, dict[str, FromHistories]], Any], things: Mapping[str, Any]) -> Any:
        """Work on each thing with models of its own, all of them chosen before threads ask for them."""
        each = {name: (thing, self._unfitted()) for name, thing in things.items()}
        doing, most = "fitting and judging all", _at_once(EASE, self.bpr.matrix.n_items)
        return in_parallel(lambda pair: work(*pair), each, doing, self.progress, most)

    def _afresh(self, models: dict[str, FromHistories], split: Any) -> dict[str, Evaluation]:
        past = pd.concat([split.train, split.valid], ignore_index=True)
        fitted = {name: model.fit(past) for name, model in models.items()}
        return {name: evaluate(model, split.test, **self.judging) for name, model in fitted.items()}

    def under(
        self, cuts: Mapping[str, Callable[[pd.DataFrame], Any]], interactions: pd.DataFrame
    ) -> dict[str, dict[str, Evaluation]]:
        """Run again under other splits; one that leaves nobody to compare is left out, with a sentence.

        Parameters
        ----------
        cuts : name -> function that splits interactions
        interactions : DataFrame, all of them
        """

        def attempt(cut: Callable[[pd.DataFrame], Any], models: dict[str, FromHistories]) -> Any:
            try:
                return self._afresh(models, cut(interactions))
            except ValueError as reason:
                return reason

        found = {}
        for label, results in self._rerun(attempt, cuts).items():
            if isinstance(results, ValueError):
                print(f"{label} is left out: {results}")
            elif results["BPR"].counts["users"] > 1:
                found[label] = results
            else:
                print(f"{label} is left out: it tests one user, and a comparison needs two.")
        return found

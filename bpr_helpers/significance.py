"""Significance: how sure a mean over users is, and whether two models differ by more than chance.

Everything here takes per-user tables: a row per user, a column per metric. An `Evaluation` stands for the one
that it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd

from bpr_helpers.matrix import BLOCK, Codes, Floats, same_kind


class HasPerUser(Protocol):
    """What holds a per-user table, such as an `Evaluation`."""

    @property
    def per_user(self) -> pd.DataFrame:
        """A row per user, a column per metric."""


PerUser = pd.DataFrame | HasPerUser

MANY_USERS = 20_000  # of more than these it is drawn how often each value comes, where few differ


def mean_interval(per_user: pd.DataFrame, *, n_resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Mean of every column with its 95 % percentile bootstrap interval over the rows; nan is in no mean.

    Of very many users, equal values of a column are drawn together, which has the same chances.

    Parameters
    ----------
    per_user : DataFrame, a row per user, a column per metric
    n_resamples : int, bootstrap resamples
    seed : int, of the resampling

    Returns
    -------
    DataFrame, a row per column of per_user: mean, low, high

    References
    ----------
    Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 13.

    Examples
    --------
    >>> per_user = pd.DataFrame({"recall@10": [0.0, 1.0, 1.0, 0.0]})
    >>> mean_interval(per_user).loc["recall@10", "mean"].item()
    0.5
    """
    values = per_user.to_numpy(np.float64)
    table = pd.DataFrame({"mean": per_user.mean(), "low": np.nan, "high": np.nan}, index=per_user.columns)
    _, pattern = np.unique(np.isnan(values), axis=1, return_inverse=True)
    for columns in (np.flatnonzero(pattern == one) for one in np.unique(pattern)):  # with the same users
        rows = values[:, columns]
        rows = rows[~np.isnan(rows[:, 0])]
        if len(rows) < 2:  # one user says nothing about other users
            continue
        alike = np.array([_few_of_many(column) for column in rows.T])
        for place in np.flatnonzero(alike):
            ends = _ends_of_many(rows[:, place], n_resamples, np.random.default_rng(seed))
            table.iloc[columns[place], 1:] = ends
        if not alike.all():
            table.iloc[columns[~alike], 1:] = _bootstrap_means(rows[:, ~alike], n_resamples, seed)
    return table


def _few_of_many(values: Floats) -> bool:
    return len(values) > MANY_USERS and 16 * len(np.unique(values)) < len(values)


def _bootstrap_means(values: Floats, n_resamples: int, seed: int) -> Floats:
    """Ends of the 95 % interval of every column's mean: (n, m) -> (m, 2).

    Users are drawn by number and counted, so that one draw serves all columns, as a product of matrices.
    """
    from scipy.stats import bootstrap

    n = len(values)

    def means(drawn: Codes, axis: int) -> Floats:
        resamples = np.atleast_2d(drawn)
        counts = np.empty(resamples.shape)
        for row, users in zip(counts, resamples, strict=True):
            row[:] = np.bincount(users, minlength=n)
        return (values.T @ counts.T / n).reshape(-1, *drawn.shape[:-1])

    interval = bootstrap(
        (np.arange(n),),
        means,
        n_resamples=n_resamples,
        batch=max(1, BLOCK // n),
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return np.stack([interval.low, interval.high], axis=1)


class Comparison(NamedTuple):
    """Paired difference a - b over the users of both, with its 95 % interval and sign-flip p-value."""

    metric: str
    n_users: int
    mean_a: float
    mean_b: float
    difference: float
    low: float
    high: float
    p_value: float


def compare(
    evaluation_a: PerUser,
    evaluation_b: PerUser,
    *,
    metric: str = "ndcg@10",
    n_resamples: int = 9999,
    seed: int = 0,
) -> Comparison:
    """Compare two models user by user: is the mean difference more than chance?

    The interval is the 95 % percentile bootstrap over users. The p-value asks how often a mean difference at
    least as large, in either direction, comes out when the sign of every user's difference is a coin flip. Of
    very many users, equal differences are drawn and flipped together, which has the same chances.

    Parameters
    ----------
    evaluation_a, evaluation_b : Evaluation, or per-user table, of the same test; users that only one of
        them has are left out
    metric : str, a column of per_user
    n_resamples : int, bootstrap resamples, and coin flips of all users
    seed : int, of both

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        There is no such metric, or fewer than two users have it in both.

    References
    ----------
    Efron and Tibshirani (1993), chapters 13 and 15; Smucker, Allan and Carterette (2007), A
    comparison of statistical significance tests for information retrieval evaluation.

    Examples
    --------
    >>> a = pd.DataFrame({"ndcg@10": [0.3, 0.5, 0.1, 0.4]}, index=pd.RangeIndex(4, name="user_id"))
    >>> found = compare(a + 0.1, a)
    >>> found.n_users, round(found.difference, 3)
    (4, 0.1)
    """
    from scipy.stats import monte_carlo_test

    pairs = _paired(evaluation_a, evaluation_b, metric)
    difference = (pairs["a"] - pairs["b"]).to_numpy()
    n, rng = len(difference), np.random.default_rng(seed)
    mean = difference.mean()
    if _few_of_many(difference):
        low, high = _ends_of_many(difference, n_resamples, rng)
        sizes, observed, flips = _flips_of_many(difference, rng)
    else:
        row = mean_interval(pd.DataFrame({metric: difference}), n_resamples=n_resamples, seed=seed).iloc[0]
        mean, low, high = row
        # A flip multiplies by +1 or -1, so what was observed is the flip of all ones.
        sizes, observed = difference, np.ones(n)
        flips = lambda size: rng.integers(0, 2, size, dtype=np.int8) * 2.0 - 1  # noqa: E731
    test = monte_carlo_test(
        observed,
        flips,
        lambda signs, axis: signs @ sizes / n,  # a batch is one product
        vectorized=True,
        n_resamples=n_resamples,
        batch=max(1, BLOCK // len(sizes)),
    )
    numbers = pairs["a"].mean(), pairs["b"].mean(), mean, low, high, test.pvalue
    return Comparison(metric, n, *map(float, numbers))


def _ends_of_many(values: Floats, n_resamples: int, rng: np.random.Generator) -> Floats:
    """Ends of the 95 % bootstrap interval of a mean: which values come how often is multinomial."""
    n = len(values)
    distinct, counts = np.unique(values, return_counts=True)
    batch = max(1, BLOCK // len(distinct))
    sizes = [min(batch, n_resamples - start) for start in range(0, n_resamples, batch)]
    means = [rng.multinomial(n, counts / n, size) @ distinct / n for size in sizes]
    return np.quantile(np.concatenate(means), [0.025, 0.975])


def _flips_of_many(
    difference: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats, Callable[[Any], Any]]:
    """Distinct sizes of the differences, the sums of their signs, and how to draw such sums.

    Of c differences of one size, heads are binomial; a difference of zero has no sign.
    """
    signed = difference[difference != 0]
    sizes, place, counts = np.unique(np.abs(signed), return_inverse=True, return_counts=True)
    if not len(sizes):
        sizes, counts = np.zeros(1), np.ones(1, np.int64)
    sums = np.bincount(place, np.sign(signed), len(sizes)).astype(np.float64)
    return sizes, sums, lambda size: 2.0 * rng.binomial(counts, 0.5, size) - counts


def compare_all(
    evaluations: Mapping[str, PerUser],
    *,
    against: str | None = None,
    metric: str = "ndcg@10",
    n_resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare many models in pairs, with Holm's correction for making many comparisons.

    Parameters
    ----------
    evaluations : name -> Evaluation, or per-user table
    against : name of the model that all others are compared with; None compares every pair
    metric, n_resamples, seed : as in `compare`

    Returns
    -------
    DataFrame indexed by (a, b): n_users, mean_a, mean_b, difference, low, high, p_value, p_holm
    """
    if against is not None and against not in evaluations:
        raise ValueError(f"There is no model {against!r} among {', '.join(evaluations)}.")
    names = list(evaluations)
    pairs = [(a, against) for a in names if a != against] if against else list(combinations(names, 2))
    rows = [
        compare(evaluations[a], evaluations[b], metric=metric, n_resamples=n_resamples, seed=seed)
        for a, b in pairs
    ]
    table = pd.DataFrame(rows, index=pd.MultiIndex.from_tuples(pairs, names=["a", "b"]))
    return table.drop(columns="metric").assign(p_holm=holm(table["p_value"].to_numpy()))


def holm(p_values: Floats) -> Floats:
    """Adjust p-values for their number, so that the chance of any false alarm stays below the level.

    The i-th smallest of m is multiplied by m - i + 1; none may fall below a smaller one's, none exceeds 1.

    Parameters
    ----------
    p_values : array (m,)

    Returns
    -------
    array (m,), adjusted p-values in the order given

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure.

    Examples
    --------
    >>> holm(np.array([0.01, 0.04, 0.03])).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p_values)
    adjusted = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    result = np.empty(len(p_values))
    result[order] = np.minimum(adjusted, 1)
    return result


def in_words(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Write the table of `compare_all` for people: a row per difference, three digits, words for columns.

    Parameters
    ----------
    comparisons : DataFrame indexed by (a, b), with difference, low, high, p_value and p_holm

    Returns
    -------
    DataFrame indexed by "a minus b"
    """
    named = {
        "difference": "mean difference",
        "low": "95 % from",
        "high": "to",
        "p_value": "p",
        "p_holm": "p, Holm",
    }
    table = comparisons[list(named)].round({"difference": 3, "low": 3, "high": 3, "p_value": 4, "p_holm": 4})
    return table.rename(columns=named).set_axis([f"{a} minus {b}" for a, b in comparisons.index])


def standing(comparisons: pd.DataFrame) -> str:
    """Say in one line who is ahead of, behind and not to be told from the one that all are compared with.

    Somebody is ahead or behind whose p-value, after Holm's correction, is below 0.05.

    Parameters
    ----------
    comparisons : DataFrame indexed by (a, b), b being the same in all rows, with difference and p_holm

    Examples
    --------
    >>> pairs = pd.MultiIndex.from_tuples([("A", "mine"), ("B", "mine")])
    >>> standing(pd.DataFrame({"difference": [-0.2, 0.1], "p_holm": [0.001, 0.2]}, index=pairs))
    'behind mine: A; not to be told from it: B; ahead of it: nobody'
    """
    (against,) = comparisons.index.get_level_values(1).unique()
    table = comparisons.droplevel(1)
    sure = table["p_holm"] < 0.05
    behind, ahead = sure & (table["difference"] < 0), sure & (table["difference"] > 0)
    groups = {f"behind {against}": behind, "not to be told from it": ~behind & ~ahead, "ahead of it": ahead}
    return "; ".join(f"{words}: {', '.join(table.index[who]) or 'nobody'}" for words, who in groups.items())


def place_intervals(
    evaluations: Mapping[str, PerUser], *, metric: str = "ndcg@10", n_resamples: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """Say on which place every model stands, the highest mean on 1, and how far that depends on the users.

    The users are drawn anew with replacement, the same for all models, and every draw is a table of its own.
    The ends are those of the middle 95 % of a model's places in these.

    Parameters
    ----------
    evaluations : name -> Evaluation, or per-user table; users that not all of them have are left out
    metric : str, a column of per_user
    n_resamples, seed : of the draws

    Returns
    -------
    DataFrame, a row per model: mean, place, low, high; of equal means each has the middle place

    Examples
    --------
    >>> users = pd.RangeIndex(3, name="user_id")
    >>> a = pd.DataFrame({"ndcg@10": [0.1, 0.2, 0.3]}, index=users)
    >>> place_intervals({"a": a, "b": a + 0.2})[["place", "low", "high"]].to_numpy().tolist()
    [[2.0, 2.0, 2.0], [1.0, 1.0, 1.0]]
    """
    columns = {name: _table(one)[metric] for name, one in evaluations.items()}
    values = pd.concat(columns, axis=1, join="inner").dropna()  # (n users, m models)
    n, rng = len(values), np.random.default_rng(seed)
    means = np.empty((n_resamples, values.shape[1]))
    for row in means:
        row[:] = np.bincount(rng.integers(0, n, n), minlength=n) @ values.to_numpy() / n
    places = pd.DataFrame(means.round(12), columns=values.columns).rank(axis=1, ascending=False)
    low, high = places.quantile([0.025, 0.975], interpolation="nearest").to_numpy()
    mean = values.mean()
    return pd.DataFrame({"mean": mean, "place": mean.rank(ascending=False), "low": low, "high": high})


def seed_luck(scores: pd.DataFrame) -> float:
    """Standard deviation that luck gives one trial, from configurations that ran with the same seeds.

    What a seed gives to every configuration prefers none of them and is taken out first. Of what remains,
    every configuration has a standard deviation over its seeds. Their median is the typical one, which a
    single accident does not move; for so few seeds it is too small, and is divided by the median that
    standard deviations of as many normal numbers of standard deviation 1 have.

    Parameters
    ----------
    scores : DataFrame, a row per configuration and a column per seed

    Returns
    -------
    float, in units of the scores

    Raises
    ------
    ValueError
        There are fewer than two seeds, or no configuration that has them all.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> scores = pd.DataFrame(rng.normal(0.1, 0.002, (500, 3)))
    >>> round(seed_luck(scores), 4)
    0.002
    """
    from scipy.stats import chi2

    complete = scores.dropna()
    n_seeds = complete.shape[1]
    if n_seeds < 2 or complete.empty:
        raise ValueError(
            f"{len(complete)} configurations with {n_seeds} seeds: luck shows from two seeds on."
        )
    spread = (complete - complete.median()).std(axis=1)
    return float(spread.median() / np.sqrt(chi2.median(n_seeds - 1) / (n_seeds - 1)))


def average_tables(tables: Sequence[PerUser]) -> pd.DataFrame:
    """Average several runs of a model (seeds, tie seeds) per user, so that users are what is resampled.

    Runs of one model are not independent samples of users: pooling their rows would make intervals narrower
    than they are.

    Parameters
    ----------
    tables : per-user tables of one model, with the same metrics

    Returns
    -------
    DataFrame, a row per user: the mean over the runs that have the user
    """
    if not tables:
        raise ValueError("There is no run to average: give at least one.")
    runs = [_table(one) for one in tables]
    if any(set(run) != set(runs[0]) for run in runs):
        raise ValueError("The runs to average have different metrics: evaluate them with the same ks.")
    return pd.concat(runs).groupby(level="user_id").mean()


def _table(one: PerUser) -> pd.DataFrame:
    return one if isinstance(one, pd.DataFrame) else one.per_user


def _paired(evaluation_a: PerUser, evaluation_b: PerUser, metric: str) -> pd.DataFrame:
    """One row per user with the metric in both tables, columns a and b."""
    both = {"a": _table(evaluation_a), "b": _table(evaluation_b)}
    for table in both.values():
        if metric not in table:
            raise ValueError(f"There is no metric {metric!r}: choose one of {', '.join(map(str, table))}.")
    users = same_kind(both["b"].index.to_series(), both["a"].index)  # 1, 1.0 and "1" are one user
    columns = {"a": both["a"][metric], "b": both["b"][metric].set_axis(pd.Index(users))}
    pairs = pd.concat(columns, axis=1, join="inner").dropna()
    if len(pairs) < 2:
        raise ValueError(f"{len(pairs)} users have {metric} in both evaluations: a comparison needs two.")
    return pairs

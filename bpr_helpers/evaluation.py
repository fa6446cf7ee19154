"""Evaluation protocols: who is ranked against what, per-user results, intervals and paired comparisons."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal, NamedTuple, Protocol, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bpr_helpers import metrics
from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.ranking import BLOCK, Codes, Floats, full_ranks, per_user_metrics, sampled_ranks, top_k

Interactions = pd.DataFrame | InteractionMatrix
Candidates = Literal["all"] | tuple[Literal["uniform", "popularity"], int]


class Recommender(Protocol):
    """What BPR and every baseline offer; `matrix` is what the model was fitted on: ids and seen items."""

    matrix: InteractionMatrix

    def fit(self, interactions: Interactions, *, valid: Interactions | None = None) -> Self:
        """Learn from the interactions; `valid` is for models that choose when to stop."""

    def score(self, user_codes: Codes) -> NDArray[np.float32]:
        """Scores of all items for some users: float32, (len(user_codes), n_items), higher is better."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What `evaluate` found.

    Attributes
    ----------
    per_user : DataFrame indexed by user_id, a column per metric: "ndcg@10", "recall@10", ..., "auc"
    ranks : DataFrame, a row per test interaction of a known user: user_id, item_id, rank (inf: never ranked)
    counts : dict, how many users and test interactions were evaluated and how many were left out, and why
    """

    per_user: pd.DataFrame
    ranks: pd.DataFrame
    counts: dict[str, int]

    def summary(self, *, n_resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
        """Mean of every metric with its 95 % bootstrap interval over users.

        Parameters
        ----------
        n_resamples : int, bootstrap resamples of the users
        seed : int, of the resampling

        Returns
        -------
        DataFrame indexed by metric, columns mean, low, high
        """
        return mean_interval(self.per_user, n_resamples=n_resamples, seed=seed)


def evaluate(
    recommender: Recommender,
    test: pd.DataFrame,
    *,
    seen: Interactions | None = None,
    ks: Iterable[int] = (5, 10, 20),
    candidates: Candidates = "all",
    seed: int = 0,
    progress: bool = False,
) -> Evaluation:
    """Rank every user's test items and measure how far up they stand.

    Users unknown to the model are left out and counted. Items that are unknown or seen can never be hit:
    they stay relevant, count in recall and in the ideal DCG, are left out of AUC, and are counted.

    Parameters
    ----------
    recommender : a fitted Recommender
    test : DataFrame, one row per test interaction, columns user_id and item_id
    seen : the interactions that no list contains; None takes those that the model was fitted on
    ks : the cut-offs
    candidates : "all" ranks against every unseen item. ("uniform", n) and ("popularity", n) rank each test
        item alone against n items drawn without replacement from those that its user has in neither seen
        nor test, with equal chances or in proportion to their number of seen interactions
    seed : int, of the permutation that orders equal scores and of the candidates
    progress : bool, show a progress bar over users

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        No test user is known, a column is missing, a cut-off or the candidates make no sense, or a score is
        not finite.

    Sources: Krichene and Rendle (2020), On sampled metrics for item recommendation, for what sampling does.
    """
    ks = _checked_cut_offs(ks)
    kind, n_candidates = _checked_candidates(candidates)
    matrix = recommender.matrix
    hidden = _seen_matrix(seen, matrix)
    pairs, counts = _relevant_pairs(test, matrix, hidden)
    users, items = pairs["user"].to_numpy(), pairs["item"].to_numpy()
    if kind == "all":
        ranks = full_ranks(recommender.score, hidden, users, items, seed=seed, progress=progress)
        per_user = per_user_metrics(users, ranks, ks)
    else:
        weights = None if kind == "uniform" else np.asarray(hidden.csr.sum(0)).ravel()
        ranks = sampled_ranks(
            recommender.score, hidden, users, items, n_candidates, weights, seed=seed, progress=progress
        )
        per_item = per_user_metrics(np.arange(len(users)), ranks, ks)  # every test item has its own list
        per_user = per_item.groupby(users).mean()
    per_user.index = pd.Index(matrix.user_ids[per_user.index], name="user_id")
    ranked = pairs[["user_id", "item_id"]].assign(rank=ranks.rank)
    return Evaluation(per_user, ranked, counts)


def mean_interval(per_user: pd.DataFrame, *, n_resamples: int = 2000, seed: int = 0) -> pd.DataFrame:
    """Mean of every column with its 95 % percentile bootstrap interval over the rows; nan is in no mean.

    Parameters
    ----------
    per_user : DataFrame, a row per user, a column per metric
    n_resamples : int, bootstrap resamples
    seed : int, of the resampling

    Returns
    -------
    DataFrame, a row per column of per_user: mean, low, high

    Source: Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 13.
    """
    values = per_user.to_numpy(np.float64)
    table = pd.DataFrame({"mean": per_user.mean(), "low": np.nan, "high": np.nan}, index=per_user.columns)
    _, pattern = np.unique(np.isnan(values), axis=1, return_inverse=True)
    for columns in (np.flatnonzero(pattern == one) for one in np.unique(pattern)):  # with the same users
        rows = values[:, columns]
        rows = rows[~np.isnan(rows[:, 0])]
        if len(rows) > 1:  # one user says nothing about other users
            table.iloc[columns, 1:] = _bootstrap_means(rows, n_resamples, seed)
    return table


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
    evaluation_a: Evaluation,
    evaluation_b: Evaluation,
    *,
    metric: str = "ndcg@10",
    n_resamples: int = 9999,
    seed: int = 0,
) -> Comparison:
    """Compare two models user by user: is the mean difference more than chance?

    The interval is the 95 % percentile bootstrap over users. The p-value asks how often a mean difference at
    least as large, in either direction, comes out when the sign of every user's difference is a coin flip.

    Parameters
    ----------
    evaluation_a, evaluation_b : Evaluation of the same test; users that only one of them has are left out
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

    Sources: Efron and Tibshirani (1993), chapters 13 and 15; Smucker, Allan and Carterette (2007), A
    comparison of statistical significance tests for information retrieval evaluation.
    """
    from scipy.stats import monte_carlo_test

    pairs = _paired(evaluation_a, evaluation_b, metric)
    difference = (pairs["a"] - pairs["b"]).to_numpy()
    n, rng = len(difference), np.random.default_rng(seed)
    row = mean_interval(pd.DataFrame({metric: difference}), n_resamples=n_resamples, seed=seed).iloc[0]
    # A flip multiplies by +1 or -1, so what was observed is the flip of all ones, and a batch one product.
    test = monte_carlo_test(
        np.ones(n),
        lambda size: rng.integers(0, 2, size, dtype=np.int8) * 2.0 - 1,
        lambda signs, axis: signs @ difference / n,
        vectorized=True,
        n_resamples=n_resamples,
        batch=max(1, BLOCK // n),
    )
    numbers = pairs["a"].mean(), pairs["b"].mean(), row["mean"], row["low"], row["high"], test.pvalue
    return Comparison(metric, n, *map(float, numbers))


def compare_all(
    evaluations: Mapping[str, Evaluation],
    *,
    against: str | None = None,
    metric: str = "ndcg@10",
    n_resamples: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare many models in pairs, with Holm's correction for making many comparisons.

    Parameters
    ----------
    evaluations : name -> Evaluation
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

    Source: Holm (1979), A simple sequentially rejective multiple test procedure.
    """
    order = np.argsort(p_values)
    adjusted = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    result = np.empty(len(p_values))
    result[order] = np.minimum(adjusted, 1)
    return result


def average_runs(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Average several runs of a model (seeds, tie seeds) per user, so that users are what is resampled.

    Runs of one model are not independent samples of users: pooling their rows would make intervals narrower
    than they are.

    Parameters
    ----------
    evaluations : Evaluations of one model, with the same metrics

    Returns
    -------
    Evaluation
        per_user: a user's mean over the runs that have them; ranks: those of all runs; counts: their sums.
    """
    if not evaluations:
        raise ValueError("There is no run to average: give at least one evaluation.")
    if any(set(e.per_user) != set(evaluations[0].per_user) for e in evaluations):
        raise ValueError("The runs to average have different metrics: evaluate them with the same ks.")
    per_user = pd.concat([e.per_user for e in evaluations]).groupby(level="user_id").mean()
    counts = {name: sum(e.counts[name] for e in evaluations) for name in evaluations[0].counts}
    return Evaluation(per_user, pd.concat([e.ranks for e in evaluations], ignore_index=True), counts)


def by_user(evaluation: Evaluation, groups: pd.Series, *, seed: int = 0) -> pd.DataFrame:
    """Summarize per group of users, such as those of `activity_groups`: who is served badly?

    Parameters
    ----------
    evaluation : Evaluation
    groups : Series, user_id -> group; users without a group are left out
    seed : int, of the bootstrap

    Returns
    -------
    DataFrame indexed by (group, metric): mean, low, high, n_users
    """
    return _by_group(evaluation.per_user, groups.reindex(evaluation.per_user.index), seed)


def by_item(
    evaluation: Evaluation, groups: pd.Series, *, ks: Iterable[int] = (10,), seed: int = 0
) -> pd.DataFrame:
    """Recall per group of items, such as those of `popularity_groups`: which items are found?

    A user's recall in a group is over their test items in it; users without one are not in its mean.

    Parameters
    ----------
    evaluation : Evaluation
    groups : Series, item_id -> group; items without a group are left out
    ks : the cut-offs
    seed : int, of the bootstrap

    Returns
    -------
    DataFrame indexed by (group, metric): mean, low, high, n_users
    """
    ranks = evaluation.ranks
    group = ranks["item_id"].map(groups)
    found = pd.DataFrame({f"recall@{k}": ranks["rank"] <= k for k in _checked_cut_offs(ks)})
    per_user = found.groupby([ranks["user_id"], group], observed=True).mean()
    user_groups = per_user.index.get_level_values(1)
    return _by_group(per_user, pd.Series(user_groups, index=per_user.index), seed)


def activity_groups(matrix: InteractionMatrix, n: int = 4) -> pd.Series:
    """Cut the users into n groups of about equal size by their number of interactions.

    Returns
    -------
    Series, user_id -> group ("6 to 21"), an ordered categorical
    """
    return _count_groups(np.diff(matrix.csr.indptr), pd.Index(matrix.user_ids, name="user_id"), n)


def popularity_groups(matrix: InteractionMatrix, n: int = 4) -> pd.Series:
    """Cut the items into n groups of about equal size by their number of interactions.

    Returns
    -------
    Series, item_id -> group ("1 to 7"), an ordered categorical
    """
    counts = np.bincount(matrix.csr.indices, minlength=matrix.n_items)
    return _count_groups(counts, pd.Index(matrix.item_ids, name="item_id"), n)


def beyond_accuracy(
    recommender: Recommender, *, k: int = 10, vectors: Any = None, seed: int = 0
) -> pd.Series:
    """Describe the lists of all users of a model beyond whether they hit.

    Parameters
    ----------
    recommender : a fitted Recommender
    k : int, length of the lists
    vectors : array or sparse matrix (n_items, d), what an item is like, for the distance inside a list;
        None takes the users who have it
    seed : int, of the permutation that orders equal scores

    Returns
    -------
    Series
        coverage, gini, novelty (bits), popularity (interactions), distance: the last three are means.
    """
    matrix = recommender.matrix
    lists = top_k(recommender.score, matrix, np.arange(matrix.n_users), k, seed=seed)
    popularity = np.bincount(matrix.csr.indices, minlength=matrix.n_items)
    vectors = matrix.csr.T if vectors is None else vectors
    return pd.Series(
        {
            "coverage": metrics.catalogue_coverage(lists, matrix.n_items),
            "gini": metrics.gini(lists, matrix.n_items),
            "novelty": np.nanmean(metrics.novelty(lists, popularity, matrix.n_users)),
            "popularity": np.nanmean(metrics.mean_popularity(lists, popularity)),
            "distance": np.nanmean(metrics.intra_list_distance(lists, vectors)),
        }
    )


def _checked_cut_offs(ks: Iterable[int]) -> tuple[int, ...]:
    ks = tuple(ks)
    if not ks or any(k < 1 for k in ks):
        raise ValueError(f"The cut-offs ks are {ks}: give one or more whole numbers from 1.")
    return ks


def _checked_candidates(candidates: Candidates) -> tuple[str, int]:
    if candidates == "all":
        return "all", 0
    kind, n = candidates if len(candidates) == 2 else (candidates, 0)
    if kind not in ("uniform", "popularity") or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(
            f'candidates is {candidates!r}: give "all", ("uniform", 100) or ("popularity", 100), '
            "with any number from 1."
        )
    return kind, int(n)


def _seen_matrix(seen: Interactions | None, matrix: InteractionMatrix) -> InteractionMatrix:
    if seen is None:
        return matrix
    if isinstance(seen, InteractionMatrix):
        if seen.csr.shape != matrix.csr.shape:
            raise ValueError("seen has other users or items than the model: build it with like=model.matrix.")
        return seen
    return InteractionMatrix.from_frame(seen, like=matrix, unknown="drop")


def _relevant_pairs(
    test: pd.DataFrame, matrix: InteractionMatrix, seen: InteractionMatrix
) -> tuple[pd.DataFrame, dict[str, int]]:
    """Distinct test pairs of known users with their codes, by user; and what was left out."""
    missing = [column for column in ("user_id", "item_id") if column not in test.columns]
    if missing:
        raise ValueError(f"The test interactions have no column {missing[0]}: rename the one that is meant.")
    pairs = test[["user_id", "item_id"]].drop_duplicates(ignore_index=True)
    pairs = pairs.assign(user=matrix.user_codes(pairs["user_id"]), item=matrix.item_codes(pairs["item_id"]))
    known = pairs[pairs["user"] >= 0].sort_values(["user", "item"], kind="stable", ignore_index=True)
    if known.empty:
        raise ValueError("No test user is known to the model: fit it on interactions of these users.")
    repeated = seen.contains(known["user"].to_numpy(), known["item"].to_numpy())
    counts = {
        "users": known["user"].nunique(),
        "interactions": len(known),
        "unknown_users": pairs.loc[pairs["user"] < 0, "user_id"].nunique(),
        "interactions_of_unknown_users": len(pairs) - len(known),
        "interactions_with_unknown_items": int((known["item"] < 0).sum()),
        "interactions_seen_before": int(repeated.sum()),
    }
    return known, counts


def _paired(evaluation_a: Evaluation, evaluation_b: Evaluation, metric: str) -> pd.DataFrame:
    """One row per user with the metric in both evaluations, columns a and b."""
    for evaluation in (evaluation_a, evaluation_b):
        if metric not in evaluation.per_user:
            known = ", ".join(map(str, evaluation.per_user))
            raise ValueError(f"There is no metric {metric!r}: choose one of {known}.")
    both = {"a": evaluation_a.per_user[metric], "b": evaluation_b.per_user[metric]}
    pairs = pd.concat(both, axis=1, join="inner").dropna()
    if len(pairs) < 2:
        raise ValueError(f"{len(pairs)} users have {metric} in both evaluations: a comparison needs two.")
    return pairs


def _by_group(per_user: pd.DataFrame, groups: pd.Series, seed: int) -> pd.DataFrame:
    parts = {
        group: mean_interval(rows, seed=seed).assign(n_users=rows.notna().sum())
        for group, rows in per_user.groupby(groups.array, observed=True)
    }
    return pd.concat(parts, names=["group", "metric"])


def _count_groups(counts: Codes, ids: pd.Index, n: int) -> pd.Series:
    """Quantile groups of counts, labelled by the smallest and largest count in them."""
    edges = np.unique(np.quantile(counts, np.linspace(0, 1, n + 1)[1:-1]))  # equal counts stay together
    group = np.searchsorted(edges, counts)
    ends = pd.Series(counts).groupby(group).agg(["min", "max"])
    labels = [f"{low}" if low == high else f"{low} to {high}" for low, high in ends.to_numpy()]
    label_of = dict(zip(ends.index, labels, strict=True))
    group_names = pd.Categorical([label_of[g] for g in group], categories=labels, ordered=True)
    return pd.Series(group_names, index=ids, name="group")

"""Evaluation protocols: who is ranked against what, and what is said per user, per group and per list."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from bpr_helpers.matrix import Codes, InteractionMatrix, Interactions, Recommender, id_column, meet, same_kind
from bpr_helpers.metrics import catalogue_coverage, gini, intra_list_distance, mean_popularity, novelty
from bpr_helpers.ranking import AT_K, Ranks, full_ranks, per_user_metrics, sampled_ranks, top_k
from bpr_helpers.significance import average_tables, mean_interval

METRICS = (*AT_K, "auc")
Candidates = Literal["all"] | tuple[Literal["uniform", "popularity"], int]


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
    ks: int | Iterable[int] = (5, 10, 20),
    metrics: str | Iterable[str] = METRICS,
    candidates: Candidates = "all",
    seed: int = 0,
    progress: bool = False,
) -> Evaluation:
    """Rank every user's test items and measure how far up they stand.

    Users unknown to the model are left out and counted. Items that are unknown or seen can never be hit:
    they stay relevant, count in recall and in the ideal DCG, are left out of AUC, and are counted.

    Parameters
    ----------
    recommender : a fitted Recommender; one thread at a time asks it for scores, or several at once if its
        `scores_at_once` is true
    test : DataFrame, one row per test interaction, columns user_id and item_id
    seen : the interactions that no list contains; None takes those that the model was fitted on
    ks : the cut-offs, or one
    metrics : which of them, or one; without "auc" no list is sorted further than the largest cut-off, and an
        item that stands behind it has rank inf
    candidates : "all" ranks against every unseen item. ("uniform", n) and ("popularity", n) rank each test
        item alone against n items drawn without replacement from those that its user has in neither seen
        nor test, with equal chances or in proportion to their number of seen interactions
    seed : int, of the permutation that orders equal scores and of the candidates
    progress : bool, show a progress bar over users

    Returns
    -------
    Evaluation. Scores are asked for in blocks of users, which bounds the memory: see `ranking.full_ranks`.

    Raises
    ------
    ValueError
        No test user is known, a column is missing, a cut-off, a metric or the candidates make no sense, or a
        score is not finite.

    References
    ----------
    Krichene and Rendle (2020), On sampled metrics for item recommendation, for what sampling does.

    Examples
    --------
    >>> from bpr_helpers import Popularity, split_leave_last, synthetic_interactions
    >>> split = split_leave_last(synthetic_interactions(50, 40, 600))
    >>> found = evaluate(Popularity().fit(split.train), split.test, ks=10)
    >>> found.summary().index.to_list()
    ['ndcg@10', 'recall@10', 'precision@10', 'hit@10', 'map@10', 'mrr@10', 'auc']
    """
    ks = _checked_cut_offs(ks)
    names = _checked_metrics(metrics)
    kind, n_candidates = _checked_candidates(candidates)
    matrix = getattr(recommender, "matrix", None)
    if matrix is None:
        raise ValueError(f"{type(recommender).__name__} is not fitted: call fit before evaluate.")
    hidden = _seen_matrix(seen, matrix)
    pairs, counts = _relevant_pairs(test, matrix, hidden)
    users, items = pairs["user"].to_numpy(), pairs["item"].to_numpy()
    at_once = getattr(recommender, "scores_at_once", False)
    how: dict[str, Any] = {"seed": seed, "at_once": at_once, "progress": progress}
    if kind == "all":
        first = None if "auc" in names else max(ks)
        ranks = full_ranks(recommender.score, hidden, users, items, first=first, **how)
        per_user = per_user_metrics(users, ranks, ks, names)
    else:
        weights = None if kind == "uniform" else np.asarray(hidden.csr.sum(0)).ravel()
        ranks = sampled_ranks(recommender.score, hidden, users, items, n_candidates, weights, **how)
        per_item = per_user_metrics(
            np.arange(len(users)), ranks, ks, names
        )  # every test item has its own list
        per_user = per_item.groupby(users).mean()
    counts |= _short_lists(ranks, n_candidates, max(ks), counts)
    per_user.index = pd.Index(matrix.user_ids[per_user.index], name="user_id")
    ranked = pairs[["user_id", "item_id"]].assign(rank=ranks.rank)
    return Evaluation(per_user, ranked, counts)


def average_runs(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Average several runs of a model (seeds, tie seeds) per user, as `significance.average_tables` does.

    Parameters
    ----------
    evaluations : Evaluations of one model, with the same metrics

    Returns
    -------
    Evaluation
        per_user: a user's mean over the runs that have them; ranks: those of all runs; counts: their sums.
    """
    per_user = average_tables(evaluations)
    counts = {name: sum(e.counts[name] for e in evaluations) for name in evaluations[0].counts}
    return Evaluation(per_user, pd.concat([e.ranks for e in evaluations], ignore_index=True), counts)


def means(evaluations: Mapping[str, Evaluation], metric: str = "ndcg@10", *, seed: int = 0) -> pd.DataFrame:
    """Put one metric of several models into one table, with its 95 % intervals over users.

    Parameters
    ----------
    evaluations : name -> Evaluation
    metric : str, a column of per_user
    seed : int, of the bootstrap

    Returns
    -------
    DataFrame, a row per model: mean, low, high
    """
    rows = {
        name: mean_interval(one.per_user[[metric]], seed=seed).loc[metric]
        for name, one in evaluations.items()
    }
    return pd.DataFrame(rows).T


def overview(evaluations: Mapping[str, Evaluation], *, k: int = 10, seed: int = 0) -> pd.DataFrame:
    """Put the means of several models into one table, with the interval of their NDCG.

    Parameters
    ----------
    evaluations : name -> Evaluation
    k : int, the cut-off that is shown
    seed : int, of the bootstrap

    Returns
    -------
    DataFrame, a row per model: the means of all metrics at k and of auc, "ndcg@10 low", "ndcg@10 high"
    """
    table = pd.DataFrame({name: one.per_user.mean() for name, one in evaluations.items()}).T
    table = table[[name for name in table if str(name).endswith(f"@{k}") or name == "auc"]]
    ends = means(evaluations, f"ndcg@{k}", seed=seed)[["low", "high"]]
    return table.join(ends.add_prefix(f"ndcg@{k} ")).rename_axis("model")


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
    users = evaluation.per_user.index
    places = meet(users.to_series(), groups.index, "evaluated user")
    return _by_group(evaluation.per_user, groups.iloc[places].where(places >= 0).set_axis(users), seed)


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
    recommender: Recommender,
    *,
    k: int = 10,
    vectors: Any = None,
    users: Codes | None = None,
    seed: int = 0,
) -> pd.Series:
    """Describe the lists of users of a model beyond whether they hit.

    Parameters
    ----------
    recommender : a fitted Recommender
    k : int, length of the lists
    vectors : array or sparse matrix (n_items, d), what an item is like, for the distance inside a list;
        None takes the users who have it
    users : int array, codes of the users whose lists are looked at; None takes all
    seed : int, of the permutation that orders equal scores

    Returns
    -------
    Series
        coverage, gini, novelty (bits), popularity (interactions), distance: the last three are means.
    """
    matrix = recommender.matrix
    users = np.arange(matrix.n_users) if users is None else users
    lists = top_k(recommender.score, matrix, users, k, seed=seed)
    popularity = np.bincount(matrix.csr.indices, minlength=matrix.n_items)
    vectors = matrix.csr.T if vectors is None else vectors
    return pd.Series(
        {
            "coverage": catalogue_coverage(lists, matrix.n_items),
            "gini": gini(lists, matrix.n_items),
            "novelty": np.nanmean(novelty(lists, popularity, matrix.n_users)),
            "popularity": np.nanmean(mean_popularity(lists, popularity)),
            "distance": np.nanmean(intra_list_distance(lists, vectors)),
        }
    )


def _checked_cut_offs(ks: int | Iterable[int]) -> tuple[int, ...]:
    ks = (int(ks),) if isinstance(ks, (int, np.integer)) else tuple(ks)
    if not ks or any(k < 1 for k in ks):
        raise ValueError(f"The cut-offs ks are {ks}: give one or more whole numbers from 1.")
    return ks


def _checked_metrics(names: str | Iterable[str]) -> tuple[str, ...]:
    names = (names,) if isinstance(names, str) else tuple(names)
    if unknown := [name for name in names if name not in METRICS]:
        raise ValueError(f"There is no metric {unknown[0]!r}: choose among {', '.join(METRICS)}.")
    if not names:
        raise ValueError(f"No metric is named: choose among {', '.join(METRICS)}.")
    return names


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
    if test.empty:
        raise ValueError("The test part has no rows: choose a split that leaves some.")
    known_ids = {"user_id": matrix.user_ids, "item_id": matrix.item_ids}
    columns = {name: same_kind(id_column(test, name), ids) for name, ids in known_ids.items()}
    pairs = pd.DataFrame(columns).drop_duplicates(ignore_index=True)
    pairs = pairs.assign(user=matrix.user_codes(pairs["user_id"]), item=matrix.item_codes(pairs["item_id"]))
    known = pairs[pairs["user"] >= 0]
    place = known["user"].to_numpy() * (matrix.n_items + 1) + known["item"].to_numpy()  # -1: before its 0
    known = known.iloc[np.argsort(place, kind="stable")].reset_index(drop=True)
    if known.empty:
        meet(pairs["user_id"], matrix.user_ids, "test user")
    if known["item"].max() < 0 and pairs["item_id"].dtype != pd.Index(matrix.item_ids).dtype:
        meet(pairs["item_id"], matrix.item_ids, "test item")  # other ids, not items that came later
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


def _short_lists(ranks: Ranks, n_candidates: int, k: int, counts: dict[str, int]) -> dict[str, int]:
    """Count the lists in which a cut-off says less than it seems to; warn where there are any."""
    n_never = counts["interactions_with_unknown_items"] + counts["interactions_seen_before"]
    n_ranked = counts["interactions"] - n_never
    ranked = np.isfinite(ranks.rank)  # without AUC, those in the first places; of short lists that is all
    n_short = int((ranks.n_candidates[ranked] < k).sum())
    found = {"lists_shorter_than_k": n_short}
    if n_short:
        warnings.warn(
            f"{n_short:,} of {n_ranked:,} test items are ranked in lists of fewer "
            f"than {k} items, where everything is among the first {k}: choose smaller ks.",
            stacklevel=3,
        )
    if n_candidates:
        missing = n_candidates + 1 - ranks.n_candidates[ranked]
        found["candidates_missing"] = int(missing.sum())
        if missing.any():
            warnings.warn(
                f"{(missing > 0).sum():,} of {n_ranked:,} test items have fewer than {n_candidates} "
                "candidates, all that there are: ask for fewer.",
                stacklevel=3,
            )
    return found


def _by_group(per_user: pd.DataFrame, groups: pd.Series, seed: int) -> pd.DataFrame:
    if not groups.notna().any():
        raise ValueError("Nothing that was tested is in one of the groups: make them of the same ids.")
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

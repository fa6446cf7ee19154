"""Protocols against naive loops and scikit-learn, comparisons against SciPy, and hand-computed cases."""

import numpy as np
import pandas as pd
import pytest
from fixed_scores import N_ITEMS, N_USERS, Fixed, matrix_of, pairs
from hypothesis import given, settings
from hypothesis import strategies as st

from bpr_helpers import Popularity, ranking
from bpr_helpers.evaluation import (
    Evaluation,
    activity_groups,
    average_runs,
    beyond_accuracy,
    by_item,
    by_user,
    evaluate,
    means,
    overview,
    popularity_groups,
)
from bpr_helpers.matrix import InteractionMatrix


def test_auc_of_an_evaluation_agrees_with_scikit_learn(data):
    roc_auc_score = pytest.importorskip("sklearn.metrics").roc_auc_score
    _, test, seen = data
    scores = np.random.default_rng(0).integers(0, 9, (N_USERS, N_ITEMS))
    found = evaluate(Fixed(scores, seen), test).per_user["auc"]
    for user, auc in found.items():
        unseen = np.setdiff1d(np.arange(N_ITEMS), seen.csr[user].indices)
        relevant = np.isin(unseen, test.loc[test["user_id"] == user, "item_id"])
        assert auc == pytest.approx(roc_auc_score(relevant, scores[user, unseen]), abs=1e-12)


def test_an_evaluation_by_hand():
    seen = matrix_of([(0, 0), (1, 1), (2, 2)], 3, 6)
    scores = [[9, 5, 4, 3, 2, 1], [6, 5, 4, 3, 2, 1], [0, 0, 0, 0, 0, 0]]
    test = pairs([(0, 2), (0, 5), (1, 0)])  # user 2 has no test item; user 0's list is 1 2 3 4 5
    found = evaluate(Fixed(scores, seen), test, ks=(2,))
    assert found.per_user.index.tolist() == [0, 1] and found.per_user.index.name == "user_id"
    assert found.ranks["rank"].tolist() == [2, 5, 1]
    assert found.per_user["recall@2"].tolist() == [0.5, 1]
    assert found.per_user["precision@2"].tolist() == [0.5, 0.5]
    assert found.per_user["ndcg@2"].tolist() == pytest.approx([1 / np.log2(3) / (1 + 1 / np.log2(3)), 1])
    assert found.per_user["map@2"].tolist() == [0.25, 1]
    assert found.per_user["mrr@2"].tolist() == [0.5, 1]
    assert found.per_user["auc"].tolist() == pytest.approx([2 / 6, 1])
    assert found.summary().loc["hit@2", "mean"] == 1


@settings(max_examples=40, deadline=None)
@given(
    levels=st.integers(1, 40), k=st.integers(1, 30), seed=st.integers(0, 99), long=st.sampled_from([0, 4096])
)
def test_metrics_that_are_asked_for_alone_are_the_same(data, levels, k, seed, long):
    """With ties, seen and unknown items, in short lists and long ones; behind the cut-off is no rank."""
    _, test, seen = data
    scores = np.random.default_rng(seed).integers(0, levels, (N_USERS, N_ITEMS))
    test = pd.concat([test, pairs([(0, 999), (0, int(seen.csr[0].indices[0]))])])
    every = evaluate(Fixed(scores, seen), test, ks=k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranking, "LONG", long)
        some = evaluate(Fixed(scores, seen), test, ks=k, metrics=("mrr", "ndcg"))
    pd.testing.assert_frame_equal(some.per_user, every.per_user[[f"mrr@{k}", f"ndcg@{k}"]])
    expected = every.ranks["rank"].where(every.ranks["rank"] <= k, np.inf)
    assert (some.ranks["rank"] == expected).all()
    assert some.counts == every.counts


def test_metrics_that_are_none_are_told(data):
    _, test, seen = data
    model = Fixed(np.zeros((N_USERS, N_ITEMS)), seen)
    assert evaluate(model, test, ks=3, metrics="hit").per_user.columns.tolist() == ["hit@3"]
    with pytest.raises(ValueError, match="There is no metric 'ndgc': choose among ndcg, recall"):
        evaluate(model, test, metrics=("auc", "ndgc"))
    with pytest.raises(ValueError, match="No metric is named"):
        evaluate(model, test, metrics=())


def test_the_order_of_test_rows_and_repeated_rows_do_not_matter(data):
    _, test, seen = data
    model = Fixed(np.random.default_rng(0).random((N_USERS, N_ITEMS)), seen)
    shuffled = pd.concat([test, test.head(5)]).sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(evaluate(model, test).per_user, evaluate(model, shuffled).per_user)


def test_unknown_and_seen_items_stay_relevant_and_are_counted():
    seen = matrix_of([(0, 0), (1, 1)], 2, 5)
    test = pairs([(0, 1), (0, 99), (0, 0), (77, 1), (77, 2), (1, 98)])
    found = evaluate(Fixed([[5, 4, 3, 2, 1]] * 2, seen), test, ks=(3,))
    assert found.counts == {
        "users": 2,
        "interactions": 4,
        "unknown_users": 1,
        "interactions_of_unknown_users": 2,
        "interactions_with_unknown_items": 2,
        "interactions_seen_before": 1,
        "lists_shorter_than_k": 0,
    }
    assert found.per_user["recall@3"].tolist() == pytest.approx([1 / 3, 0])
    assert found.per_user.loc[0, "ndcg@3"] == pytest.approx(1 / (1 + 1 / np.log2(3) + 1 / 2))
    assert found.per_user.loc[0, "auc"] == 1 and np.isnan(found.per_user.loc[1, "auc"])
    assert found.summary().loc["auc", "mean"] == 1  # a user without a value is in no mean


def test_seen_may_be_more_than_the_model_was_fitted_on(data):
    train, test, seen = data
    model = Fixed(np.random.default_rng(0).random((N_USERS, N_ITEMS)), seen)
    first, second = test.iloc[::2], test.iloc[1::2]
    more = pd.concat([train, first])
    narrower = evaluate(model, second, seen=more)
    by_matrix = evaluate(model, second, seen=InteractionMatrix.from_frame(more, like=seen))
    pd.testing.assert_frame_equal(narrower.per_user, by_matrix.per_user)
    usual = evaluate(model, second)
    assert (narrower.ranks["rank"] <= usual.ranks["rank"]).all()
    assert (narrower.ranks["rank"] < usual.ranks["rank"]).any()


def test_two_models_are_ranked_against_the_same_candidates(data):
    _, test, seen = data
    scores = np.random.default_rng(0).random((N_USERS, N_ITEMS))
    a, b = (evaluate(Fixed(s, seen), test, candidates=("uniform", 10)).ranks for s in (scores, 2 * scores))
    pd.testing.assert_frame_equal(a, b)
    other = evaluate(Fixed(scores, seen), test, candidates=("uniform", 10), seed=1).ranks
    assert not a["rank"].equals(other["rank"])


def test_sampled_metrics_average_over_the_test_items_of_a_user(data):
    _, test, seen = data
    model = Fixed(np.random.default_rng(0).random((N_USERS, N_ITEMS)), seen)
    found = evaluate(model, test, candidates=("uniform", 10), ks=(3,))
    expected = (found.ranks["rank"] <= 3).groupby(found.ranks["user_id"]).mean()
    np.testing.assert_allclose(found.per_user["recall@3"], expected)
    np.testing.assert_allclose(found.per_user["hit@3"], expected)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"ks": (0,)}, "cut-offs"),
        ({"ks": ()}, "cut-offs"),
        ({"candidates": "some"}, "candidates"),
        ({"candidates": ("uniform", 0)}, "candidates"),
        ({"candidates": ("seen", 5)}, "candidates"),
        ({"test": pairs([(999, 1)])}, "No test user is known"),
        ({"test": pairs([(1, 1)]).rename(columns={"item_id": "movie"})}, "no column item_id"),
        ({"seen": matrix_of([(0, 0)], 2, 3)}, "seen has other users or items"),
    ],
)
def test_senseless_requests_are_refused_in_a_sentence(data, change, told):
    _, test, seen = data
    arguments = {"test": test, **change}
    with pytest.raises(ValueError, match=told):
        evaluate(Fixed(np.ones((N_USERS, N_ITEMS)), seen), **arguments)


# Intervals, comparisons, groups


def evaluation_of(values, metric="ndcg@10") -> Evaluation:
    per_user = pd.DataFrame({metric: values}, index=pd.RangeIndex(len(values), name="user_id"))
    ranks = pd.DataFrame({"user_id": per_user.index, "item_id": 0, "rank": np.inf})
    return Evaluation(per_user, ranks, {"users": len(values)})


def test_runs_are_averaged_per_user_before_anything_is_resampled():
    rng = np.random.default_rng(0)
    user = rng.normal(0, 1, 300)
    runs = [evaluation_of(user + rng.normal(0, 0.1, 300)) for _ in range(5)]
    averaged = average_runs(runs)
    assert len(averaged.per_user) == 300 and averaged.counts["users"] == 1500
    expected = np.mean([run.per_user["ndcg@10"] for run in runs], axis=0)
    np.testing.assert_allclose(averaged.per_user["ndcg@10"], expected)
    low, high = averaged.summary().loc["ndcg@10", ["low", "high"]]
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(300), rel=0.15)  # not 1 / sqrt(5) of it
    with pytest.raises(ValueError, match="no run"):
        average_runs([])
    with pytest.raises(ValueError, match="different metrics"):
        average_runs([runs[0], evaluation_of(user, "recall@10")])


def test_a_user_of_some_runs_counts_with_these():
    averaged = average_runs([evaluation_of([1.0, 3.0]), evaluation_of([2.0])])
    assert averaged.per_user["ndcg@10"].tolist() == [1.5, 3.0]


def test_by_user_summarizes_each_group():
    found = by_user(
        evaluation_of([0.0, 0.2, 0.9, 0.7]), pd.Series({0: "few", 1: "few", 2: "many", 3: "many"})
    )
    assert found.loc[("few", "ndcg@10"), "mean"] == pytest.approx(0.1)
    assert found.loc[("many", "ndcg@10"), "mean"] == pytest.approx(0.8)
    assert found["n_users"].tolist() == [2, 2]


def test_by_item_is_recall_among_the_test_items_of_the_group():
    ranks = pd.DataFrame(
        {"user_id": [1, 1, 1, 2, 2], "item_id": list("abcab"), "rank": [1, 5, 20, 11, np.inf]}
    )
    groups = pd.Series({"a": "head", "b": "tail", "c": "tail"})
    found = by_item(Evaluation(pd.DataFrame(), ranks, {}), groups)
    assert found.loc[("head", "recall@10"), "mean"] == pytest.approx((1 + 0) / 2)
    assert found.loc[("tail", "recall@10"), "mean"] == pytest.approx((1 / 2 + 0) / 2)


def test_groups_by_count_are_ordered_and_named_by_their_ends():
    rows = [(u, i) for u in range(8) for i in range(u + 1)]  # user u has u + 1 items, item i has 8 - i users
    matrix = InteractionMatrix.from_frame(pairs(rows))
    activity = activity_groups(matrix, 4)
    assert activity.cat.categories.tolist() == ["1 to 2", "3 to 4", "5 to 6", "7 to 8"]
    assert activity[0] == "1 to 2" and activity[7] == "7 to 8"
    assert popularity_groups(matrix, 4)[0] == "7 to 8"
    alike = InteractionMatrix.from_frame(pairs([(0, 1), (1, 2)]))
    assert activity_groups(alike).tolist() == ["1", "1"]


def test_beyond_accuracy_of_one_list_for_everybody():
    seen = matrix_of([(u, 0) for u in range(3)] + [(0, 5)], 3, 6)
    found = beyond_accuracy(Fixed([[0, 9, 8, 0, 0, 0]] * 3, seen), k=2, vectors=np.eye(6))
    assert found["coverage"] == pytest.approx(2 / 6) and found["distance"] == 1
    assert found["popularity"] == 0 and found["novelty"] == pytest.approx(np.log2(3))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 10**6))
def test_any_small_case_is_bounded_and_counts_every_test_item(n_users, n_items, seed):
    rng = np.random.default_rng(seed)
    everything = pairs([(u, i) for u in range(n_users) for i in range(n_items)])
    test = everything.sample(rng.integers(1, len(everything) + 1), random_state=seed)
    seen = InteractionMatrix.from_frame(
        everything.drop(test.index), like=InteractionMatrix.from_frame(everything)
    )
    found = evaluate(Fixed(rng.integers(0, 3, (n_users, n_items)), seen), test, ks=(1, 3))
    assert found.counts["users"] == test["user_id"].nunique() and len(found.ranks) == len(test)
    assert found.per_user.drop(columns="auc").notna().all(axis=None)
    assert ((found.per_user.fillna(0) >= 0) & (found.per_user.fillna(0) <= 1 + 1e-12)).all(axis=None)


def test_lists_shorter_than_the_cut_off_are_counted_and_told():
    seen = matrix_of([(0, i) for i in range(N_ITEMS - 5)])  # five candidates are left
    with pytest.warns(UserWarning, match="1 of 1 test items are ranked in lists of fewer than 10 items"):
        found = evaluate(Fixed(np.zeros((N_USERS, N_ITEMS)), seen), pairs([(0, N_ITEMS - 1)]), ks=10)
    assert found.counts["lists_shorter_than_k"] == 1 and found.per_user.loc[0, "recall@10"] == 1


def test_candidates_that_do_not_exist_are_counted_and_told():
    seen = matrix_of([(0, i) for i in range(N_ITEMS - 5)])
    with pytest.warns(UserWarning, match="fewer than 9 candidates, all that there are"):
        found = evaluate(
            Fixed(np.zeros((N_USERS, N_ITEMS)), seen),
            pairs([(0, N_ITEMS - 1)]),
            ks=2,
            candidates=("uniform", 9),
        )
    assert found.counts["candidates_missing"] == 5


def test_one_cut_off_needs_no_list(data):
    _, test, seen = data
    scores = np.random.default_rng(0).random((N_USERS, N_ITEMS))
    one, listed = (evaluate(Fixed(scores, seen), test, ks=ks) for ks in (5, (5,)))
    pd.testing.assert_frame_equal(one.per_user, listed.per_user)


def test_a_test_part_of_another_type_is_the_same_test_part(data):
    _, test, seen = data
    model = Fixed(np.random.default_rng(0).random((N_USERS, N_ITEMS)), seen)
    expected = evaluate(model, test)
    for kind in ("float", "str", "category"):
        found = evaluate(model, test.astype(kind))
        pd.testing.assert_frame_equal(found.per_user, expected.per_user)
    with pytest.raises(ValueError, match="No test item is known: 0 of"):
        evaluate(model, test.assign(item_id="song " + test["item_id"].astype(str)))


def test_what_cannot_be_evaluated_is_told(data):
    _, test, seen = data
    with pytest.raises(ValueError, match="Popularity is not fitted: call fit before evaluate"):
        evaluate(Popularity(), test)
    with pytest.raises(ValueError, match="The test part has no rows"):
        evaluate(Fixed(np.zeros((N_USERS, N_ITEMS)), seen), test.head(0))


def test_groups_of_other_items_get_a_sentence():
    ranks = pd.DataFrame({"user_id": [1], "item_id": [9], "rank": [np.inf]})
    with pytest.raises(ValueError, match="Nothing that was tested is in one of the groups"):
        by_item(Evaluation(pd.DataFrame(), ranks, {}), pd.Series(["rare"], index=[7]))


def test_tables_of_several_models(data):
    _, test, seen = data
    rng = np.random.default_rng(0)
    found = {n: evaluate(Fixed(rng.random((N_USERS, N_ITEMS)), seen), test, ks=(2, 5)) for n in ("a", "b")}
    table = overview(found, k=5, seed=3)
    assert table.index.tolist() == ["a", "b"] and table.index.name == "model"
    assert [name for name in table if "@2" in name] == [] and {"recall@5", "auc", "ndcg@5 low"} <= set(table)
    one = means(found, "ndcg@5", seed=3)
    assert one.to_numpy() == pytest.approx(table[["ndcg@5", "ndcg@5 low", "ndcg@5 high"]].to_numpy())
    assert one.loc["b"].tolist() == pytest.approx(found["b"].summary(seed=3).loc["ndcg@5"].tolist())

"""Intervals and comparisons against SciPy, and hand-computed cases."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bpr_helpers import significance
from bpr_helpers.significance import (
    compare,
    compare_all,
    holm,
    in_words,
    mean_interval,
    place_intervals,
    seed_luck,
    standing,
)


def table_of(values, metric="ndcg@10") -> pd.DataFrame:
    users = pd.RangeIndex(len(values), name="user_id")
    return pd.DataFrame({metric: np.asarray(values, float)}, index=users)


def test_the_interval_agrees_with_the_normal_one_and_covers_the_mean():
    values = np.random.default_rng(0).exponential(1, 2000)
    row = mean_interval(pd.DataFrame({"x": values})).loc["x"]
    error = 1.96 * values.std() / np.sqrt(2000)
    assert row["mean"] == pytest.approx(values.mean())
    assert [row["low"], row["high"]] == pytest.approx(
        [values.mean() - error, values.mean() + error], abs=0.005
    )
    assert mean_interval(pd.DataFrame({"x": values})).equals(mean_interval(pd.DataFrame({"x": values})))
    assert mean_interval(pd.DataFrame({"x": [*values, np.nan]})).equals(
        mean_interval(pd.DataFrame({"x": values}))
    )
    assert mean_interval(pd.DataFrame({"x": [1.0]})).loc["x"].isna().tolist() == [False, True, True]


def test_columns_that_share_their_draws_have_the_intervals_that_scipy_gives_each():
    values = np.random.default_rng(0).random((50, 3))
    values[[0, 7], 1] = np.nan
    table = mean_interval(pd.DataFrame(values, columns=list("abc")), n_resamples=300, seed=5)
    for name, column in zip("abc", values.T, strict=True):
        known, rng = column[~np.isnan(column)], np.random.default_rng(5)
        alone = stats.bootstrap((known,), np.mean, n_resamples=300, method="percentile", rng=rng)
        expected = [known.mean(), *alone.confidence_interval]
        assert table.loc[name].to_numpy() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.02, -0.05])
def test_of_very_many_users_equal_differences_are_drawn_together(monkeypatch, shift):
    """The interval and the p-value are those of drawing users, up to the chance of the draws."""
    rng = np.random.default_rng(3)
    a, b = (rng.choice([0, 0, 0, 0.3, 0.5, 1], 3000) for _ in "ab")
    a = np.where(rng.random(3000) < abs(shift), 1.0 if shift > 0 else 0.0, a)
    one_by_one = compare(table_of(a), table_of(b))
    monkeypatch.setattr(significance, "MANY_USERS", 100)
    together = compare(table_of(a), table_of(b))
    assert together.difference == pytest.approx(one_by_one.difference, abs=1e-15)
    error = np.std(a - b) / np.sqrt(3000)
    assert [together.low, together.high] == pytest.approx([one_by_one.low, one_by_one.high], abs=error / 10)
    share = one_by_one.p_value / 2
    assert abs(together.p_value - one_by_one.p_value) < 10 * np.sqrt(share / 9999) + 1e-3
    same = compare(table_of(a), table_of(a))
    assert same.p_value == 1 and same.low == same.high == 0


def test_of_very_many_users_equal_values_are_drawn_together(monkeypatch):
    rng = np.random.default_rng(4)
    per_user = pd.DataFrame({"a": rng.choice([0, 0, 0.3, 1], 3000), "b": rng.random(3000)})
    per_user["c"] = per_user["a"].where(rng.random(3000) < 0.9)  # some users are in no mean
    one_by_one = mean_interval(per_user)
    monkeypatch.setattr(significance, "MANY_USERS", 100)
    together = mean_interval(per_user)
    assert not together.loc[["a", "c"], "low":].equals(one_by_one.loc[["a", "c"], "low":])
    pd.testing.assert_frame_equal(together.loc[["b"]], one_by_one.loc[["b"]])  # its values are all different
    error = per_user.std() / np.sqrt(per_user.count())
    assert ((together - one_by_one).abs().max(axis=1) < error / 10).all()


def test_a_p_value_of_flips_that_are_counted_together_is_the_binomial_one(monkeypatch):
    monkeypatch.setattr(significance, "MANY_USERS", 100)
    a = table_of([1.0] * 120 + [0.0] * 80 + [0.5] * 300)  # 120 are for it, 80 against it, 300 neither
    b = table_of([0.0] * 120 + [1.0] * 80 + [0.5] * 300)
    exact = stats.binomtest(120, 200).pvalue
    assert compare(a, b).p_value == pytest.approx(exact, abs=4 * np.sqrt(exact / 9999))


def test_intervals_hold_in_nineteen_of_twenty_samples():
    rng = np.random.default_rng(0)
    samples = pd.DataFrame(rng.exponential(1, (200, 400)))  # 400 samples of 200 users
    table = mean_interval(samples, n_resamples=500)
    covered = ((table["low"] <= 1) & (table["high"] >= 1)).mean()
    assert 0.90 <= covered <= 0.98


def test_a_comparison_is_paired():
    """The same shift: unpaired noise hides it, paired it is certain."""
    rng = np.random.default_rng(0)
    base = rng.random(200)
    shifted = table_of(base + 0.01 + rng.normal(0, 0.01, 200))
    found = compare(shifted, table_of(base))
    assert found.n_users == 200 and found.mean_a - found.mean_b == pytest.approx(found.difference)
    assert 0 < found.low < found.difference < found.high < 0.02
    assert found.p_value == pytest.approx(2 / 10_000)  # the smallest that 9,999 draws can show, in two tails
    back = compare(table_of(base), shifted)
    assert back.difference == -found.difference


@pytest.mark.parametrize("shift", [0.0, 0.15, 0.4])
def test_the_p_value_agrees_with_scipys_exact_test(shift):
    difference = np.random.default_rng(1).normal(shift, 0.4, 13)  # 8,192 sign flips: SciPy takes them all
    exact = stats.permutation_test(
        (difference,), lambda x, axis: x.mean(axis=axis), permutation_type="samples", vectorized=True
    )
    found = compare(table_of(difference), table_of(np.zeros(13)))
    assert found.p_value == pytest.approx(exact.pvalue, abs=4 * np.sqrt(0.25 / 9_999))


def test_equal_models_are_not_told_apart():
    values = np.random.default_rng(0).random(50)
    found = compare(table_of(values), table_of(values))
    assert found.difference == found.low == found.high == 0 and found.p_value == 1


def test_a_comparison_takes_the_users_of_both():
    a, b = table_of([0.5, 0.1, np.nan, 0.4]), table_of([0.2, 0.3, 0.3])
    assert compare(a, b).n_users == 2
    with pytest.raises(ValueError, match="no metric 'ndcg@7': choose one of ndcg@10"):
        compare(a, b, metric="ndcg@7")
    with pytest.raises(ValueError, match="1 users have ndcg@10 in both"):
        compare(a, table_of([0.2]))


def test_holm_by_hand():
    # 0.01 * 4, 0.02 * 3, then 0.03 * 2 = 0.06 (not below the one before), 0.04 * 1 raised to 0.06
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, 0.02])), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm(np.array([0.9, 0.8])), [1, 1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=10))
def test_holm_lies_between_no_correction_and_bonferroni(p_values):
    p_values = np.array(p_values)
    adjusted = holm(p_values)
    assert (adjusted >= p_values).all() and (adjusted <= np.minimum(1, p_values * len(p_values))).all()
    assert (np.argsort(adjusted, kind="stable") == np.argsort(p_values, kind="stable")).all() or (
        np.diff(adjusted[np.argsort(p_values)]) >= 0
    ).all()


def test_many_models_in_one_table():
    rng = np.random.default_rng(0)
    base = rng.random(100)
    models = {name: table_of(base + shift) for name, shift in [("a", 0), ("b", 0.1), ("c", 0.2)]}
    every = compare_all(models, n_resamples=999)
    assert every.index.tolist() == [("a", "b"), ("a", "c"), ("b", "c")]
    assert every["difference"].tolist() == pytest.approx([-0.1, -0.2, -0.1])
    np.testing.assert_allclose(every["p_holm"], holm(every["p_value"].to_numpy()))
    assert compare_all(models, against="b", n_resamples=99).index.tolist() == [("a", "b"), ("c", "b")]
    with pytest.raises(ValueError, match="no model 'z' among a, b, c"):
        compare_all(models, against="z")


def test_users_of_another_type_are_the_same_users():
    a, b = table_of([0.5, 0.1, 0.2]), table_of([0.2, 0.3, 0.3])
    as_text = b.set_axis(pd.Index(["0", "1", "2"], name="user_id"))
    assert compare(a, as_text) == compare(a, b)


def test_places_are_sure_where_every_user_agrees_and_open_where_users_do_not():
    rng = np.random.default_rng(0)
    base = rng.random(60)
    tables = {"low": base, "high": base + 2, "one": base + 1, "other": base + 1 + rng.normal(0, 0.5, 60)}
    found = place_intervals({name: table_of(values) for name, values in tables.items()}, n_resamples=400)
    assert found.loc["low"].tolist()[1:] == [4, 4, 4] and found.loc["high"].tolist()[1:] == [1, 1, 1]
    assert found.loc[["one", "other"], ["low", "high"]].to_numpy().tolist() == [[2, 3], [2, 3]]
    assert found["mean"].tolist() == pytest.approx([values.mean() for values in tables.values()])
    assert sorted(found["place"]) == [1, 2, 3, 4]


def test_equal_models_share_the_middle_place():
    table = table_of(np.random.default_rng(0).random(20))
    assert place_intervals({"a": table, "b": table})["place"].tolist() == [1.5, 1.5]


def test_a_table_of_comparisons_in_words():
    base = np.random.default_rng(0).random(100)
    models = {"a": table_of(base - 0.1), "b": table_of(base), "c": table_of(base), "d": table_of(base + 0.1)}
    found = compare_all(models, against="b", n_resamples=999)
    told = in_words(found)
    assert told.index.tolist() == ["a minus b", "c minus b", "d minus b"]
    assert told["mean difference"].tolist() == [-0.1, 0.0, 0.1]
    assert standing(found) == "behind b: a; not to be told from it: c; ahead of it: d"


def test_the_luck_of_seeds_is_found_whatever_they_are_and_one_accident_does_not_move_it():
    rng = np.random.default_rng(0)
    quality, of_a_seed = rng.normal(0, 1, (3000, 1)), rng.normal(0, 1, 4)
    for n_seeds in (2, 3, 4):
        scores = pd.DataFrame(quality + of_a_seed[:n_seeds] + rng.normal(0, 0.05, (3000, n_seeds)))
        assert seed_luck(scores) == pytest.approx(0.05, rel=0.05)  # the plain median of two is a third less
        scores.iloc[0, 0] += 100
        assert seed_luck(scores) == pytest.approx(0.05, rel=0.05)
        scores.iloc[1:1000, 0] = np.nan  # trials that failed
        assert seed_luck(scores) == pytest.approx(0.05, rel=0.06)


def test_luck_does_not_show_in_one_seed():
    with pytest.raises(ValueError, match="3 configurations with 1 seeds: luck shows from two"):
        seed_luck(pd.DataFrame([[0.1], [0.2], [0.3]]))
    with pytest.raises(ValueError, match="0 configurations with 2 seeds"):
        seed_luck(pd.DataFrame([[0.1, np.nan]]))

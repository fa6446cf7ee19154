"""Choosing on a validation part: what is tried, how often is fitted, and what is taken."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bpr_helpers import BPR, EASE, IALS, ItemKNN, Popularity, choose, choosing, evaluate, split_per_user
from bpr_helpers.choosing import Contest, settings_of, short_lists
from bpr_helpers.splitting import Split
from bpr_helpers.synthetic import synthetic_interactions


@pytest.fixture(scope="module")
def split() -> Split:
    return split_per_user(synthetic_interactions(80, 60, 1500, seed=2), valid_fraction=0.2)


def test_the_best_on_validation_is_taken_and_told(split: Split) -> None:
    candidates = [EASE(l2=l2, recency=recency) for l2 in (1.0, 30.0) for recency in (0.0, 5.0)]
    choice = choose(candidates, split.train, split.valid, metric="recall@5")
    by_hand = {
        (one.l2, one.recency): evaluate(one.fit(split.train), split.valid, ks=5).per_user["recall@5"].mean()
        for one in candidates
    }
    assert (choice.best.l2, choice.best.recency) == max(by_hand, key=lambda pair: by_hand[pair])
    assert not hasattr(choice.best, "matrix")  # to be fitted on both parts
    assert choice.table.columns.tolist() == ["l2", "recency", "recall@5"]
    found = choice.table.set_index(["l2", "recency"])["recall@5"]
    assert found.to_dict() == pytest.approx(by_hand) and found.is_monotonic_decreasing


def test_candidates_that_differ_in_recency_share_a_fit(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    fits, plain = Counter(), IALS.fit
    monkeypatch.setattr(IALS, "fit", lambda self, *a, **k: fits.update([self.l2]) or plain(self, *a, **k))
    many = [IALS(4, l2=l2, recency=recency) for recency in (0.0, 3.0, 9.0) for l2 in (0.01, 0.1)]
    assert len(choose(many, split.train, split.valid).table) == 6
    assert fits == {0.01: 1, 0.1: 1}


def test_the_fits_are_named_by_what_differs_between_them(split: Split) -> None:
    seen = []

    def progress(things: list, doing: str) -> list:
        seen.extend((doing, name) for name, _ in things)
        return things

    many = [EASE(l2=l2, recency=recency) for l2 in (1.0, 30.0) for recency in (0.0, 5.0)]
    choose(many, split.train, split.valid, progress=progress)
    choose(many[:1], split.train, split.valid, progress=progress)
    assert seen == [("fitting", name) for name in ("l2 1.0", "l2 30.0", "the only candidate")]


@pytest.mark.parametrize("make", [EASE, ItemKNN, Popularity, IALS])
def test_reading_histories_anew_is_a_fit_with_that_recency(make: type, split: Split) -> None:
    users = range(20)
    anew = make().fit(split.train).with_recency(6.0).score(users)
    assert anew == pytest.approx(make(recency=6.0).fit(split.train).score(users), abs=1e-6)
    assert make(recency=6.0).fit(split.train).with_recency(0.0).score(users) == pytest.approx(
        make().fit(split.train).score(users), abs=1e-5
    )


def test_popularity_counts_those_of_training_whoever_is_served(split: Split) -> None:
    fitted, some = Popularity().fit(split.train), split.valid.head(30)
    anew = fitted.fold_in(some, strangers="popular").with_recency(6.0).score([0])
    assert anew[0].tolist() == fitted.with_recency(6.0).score([0])[0].tolist()


def test_bpr_keeps_its_best_epoch(split: Split) -> None:
    candidates = [BPR(8, epochs=30, patience=2, l2_user=l2, recency=r) for l2 in (0.1, 1.0) for r in (0, 4)]
    choice = choose(candidates, split.train, split.valid)
    assert choice.best.settings["patience"] == 0
    assert 1 <= choice.best.settings["epochs"] <= 30
    assert {"l2_user", "recency", "ndcg@10"} <= set(choice.table)
    again = choice.best.fit(split.train)
    assert evaluate(again, split.valid, ks=10).per_user["ndcg@10"].mean() == pytest.approx(
        choice.table["ndcg@10"].max()
    )


@pytest.mark.parametrize("times", ["none", "equal"])
def test_without_times_recency_has_nothing_to_go_on(split: Split, times: str) -> None:
    parts = split.train, split.valid
    parts = [p.drop(columns="timestamp") if times == "none" else p.assign(timestamp=7) for p in parts]
    choice = choose([EASE(l2=l2, recency=9.0) for l2 in (1.0, 30.0)], *parts)
    assert choice.best.recency == 0.0 and choice.table.columns.tolist() == ["l2", "ndcg@10"]


@pytest.mark.parametrize("make", [lambda **k: EASE(l2=10.0, **k), lambda **k: BPR(8, epochs=20, **k)])
def test_random_times_are_seen_through(make) -> None:
    """The synthetic histories have no drift once their times are shuffled: recency can only lose."""
    rows = synthetic_interactions(300, 60, 6000, seed=4)
    shuffled = rows.assign(timestamp=np.random.default_rng(0).permutation(len(rows)))
    split = split_per_user(shuffled, valid_fraction=0.2)
    assert choose([make(recency=r) for r in (30.0, 0.0)], split.train, split.valid).best.recency == 0.0


def test_of_very_many_validation_users_some_judge(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    usual = choosing.evaluate
    monkeypatch.setattr(
        choosing,
        "evaluate",
        lambda model, part, **how: asked.append((part, how)) or usual(model, part, **how),
    )
    monkeypatch.setattr(choosing, "n_judges", lambda n_items: 12)
    candidates = [EASE(l2=l2, recency=4.0) for l2 in (1.0, 50.0)]
    choice = choose(candidates, split.train, split.valid, metric="recall@5")
    for part, how in asked:
        assert part["user_id"].nunique() == 12 and how["metrics"] == "recall" and how["ks"] == 5
        assert part.equals(split.valid[split.valid["user_id"].isin(part["user_id"])])
    assert len(asked) == 2 and asked[0][0].equals(asked[1][0])
    found = [usual(one.fit(split.train), asked[0][0], ks=5).per_user["recall@5"].mean() for one in candidates]
    assert choice.table["recall@5"].tolist() == pytest.approx(sorted(found, reverse=True))
    assert choice.judged.matrix.n_users == split.train["user_id"].nunique()  # whoever judged


def test_a_few_judges_say_of_bpr_what_they_say_of_whole_fits(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those who do not judge no history is read, but a fit without phase two keeps its own users."""
    candidates = [BPR(8, epochs=12, recency=recency) for recency in (4.0, 9.0, 0.0)]
    monkeypatch.setattr(choosing, "n_judges", lambda n_items: 12)
    judges = choosing._some_users(split.valid, 12, 0)
    whole = {one.recency: one.fit(split.train) for one in candidates}
    by_hand = {r: evaluate(one, judges, ks=10).per_user["ndcg@10"].mean() for r, one in whole.items()}
    choice = choose(candidates, split.train, split.valid)
    assert choice.table.set_index("recency")["ndcg@10"].to_dict() == pytest.approx(by_hand)
    only = choose(candidates[:1], split.train, split.valid)
    for found in (choice, only):
        expected = whole[found.best.recency].user_vectors
        np.testing.assert_allclose(found.judged.user_vectors, expected, atol=1e-6)


def test_nothing_to_choose_from_is_told(split: Split) -> None:
    with pytest.raises(ValueError, match="classes: none"):
        choose([], split.train, split.valid)
    with pytest.raises(ValueError, match="classes: EASE, ItemKNN"):
        choose([EASE(), ItemKNN()], split.train, split.valid)
    with pytest.raises(ValueError, match="no metric 'ndgc@10': choose one of ndcg@10"):
        choose([EASE()], split.train, split.valid, metric="ndgc@10")


def test_settings_are_what_a_recommender_was_made_with(split: Split) -> None:
    assert settings_of(ItemKNN(k=7, shrink=1.0)) == {"k": 7, "shrink": 1.0, "recency": 0.0}
    assert settings_of(ItemKNN(k=7).fit(split.train)) == settings_of(ItemKNN(k=7))
    assert settings_of(BPR(3, l2_user=0.5)) == settings_of(BPR()) | {"dim": 3, "l2_user": 0.5}


MODELS = ["Random", "Popularity", "ItemKNN", "EASE", "IALS", "BPR"]


def contest_of(split: Split, **changes) -> Contest:
    past = pd.concat([split.train, split.valid])
    bpr = BPR(4, epochs=3, patience=0, recency=6.0).fit(past)
    return Contest({"train": split.train, "valid": split.valid, "test": split.test}, bpr, **changes)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short lists that are quick to try."""
    lists = {
        "Popularity": [Popularity(recency=r) for r in (0.0, 8.0)],
        "ItemKNN": [ItemKNN(shrink=s, recency=r) for s in (5.0, 50.0) for r in (0.0, 4.0)],
        "EASE": [EASE(l2=l2, recency=r) for l2 in (5.0, 50.0) for r in (0.0, 4.0)],
        "IALS": [IALS(4, l2=l2, recency=r) for l2 in (0.01, 0.1) for r in (0.0, 4.0)],
    }
    monkeypatch.setattr(choosing, "short_lists", lambda **how: lists)


def test_nobody_has_more_than_four_fits() -> None:
    lists = short_lists(n_items=10, seed=3)
    fits = {n: {str({**settings_of(m), "recency": 0}) for m in models} for n, models in lists.items()}
    assert all(len(of) <= 4 for of in fits.values()) and lists["IALS"][0].seed == 3
    assert list(lists) == ["Popularity", "ItemKNN", "EASE", "IALS"]
    assert "EASE" not in short_lists(n_items=choosing.EASE_ITEMS + 1)


def test_a_contest_chooses_on_validation_and_in_each_block(split: Split, few: None) -> None:
    contest = contest_of(split)
    own = choose(contest.short_lists["EASE"], split.train, split.valid)
    assert contest.tried["EASE"].equals(own.table)
    assert settings_of(contest.best("EASE")) == settings_of(own.best)
    without = own.table[own.table["recency"] == 0].iloc[0]
    assert settings_of(contest.best("EASE", times=False)) == {"l2": without["l2"], "recency": 0.0}
    blocks = {times: contest.models(times=times) for times in (True, False)}
    assert [list(models) for models in blocks.values()] == [MODELS, MODELS]
    assert blocks[True]["BPR"] is contest.bpr and blocks[False]["BPR"].settings["recency"] == 0
    assert not any(getattr(model, "recency", 0) for model in blocks[False].values())
    assert blocks[True]["IALS"].matrix.csr.nnz == len(split.train) + len(split.valid)
    for name in ("ItemKNN", "EASE", "IALS"):  # whether fitted or read anew
        alone = contest.best(name, times=False).fit(contest.past)
        assert blocks[False][name].score(range(9)) == pytest.approx(alone.score(range(9)), abs=1e-5)


def test_a_contest_judges_as_evaluate_does_and_only_once(split: Split, few: None) -> None:
    contest, seen = contest_of(split, ks=(5,), seed=2), []
    contest.progress = lambda names, what: seen.append(what) or names
    results = contest.results()
    own = evaluate(contest.models()["EASE"], split.test, ks=5, seed=2).per_user
    pd.testing.assert_frame_equal(results["EASE"].per_user, own)
    assert seen == ["choosing", "fitting", "judging"] and contest.results() is results
    again = contest.judge({"EASE": contest.models()["EASE"]}, split.test, ks=[3])
    assert "ndcg@3" in again["EASE"].per_user


def test_a_contest_without_times_has_one_block(split: Split, few: None) -> None:
    parts = {n: getattr(split, n).drop(columns="timestamp") for n in ("train", "valid", "test")}
    contest = contest_of(Split(**parts, counts=None))
    assert contest.results(times=False) is contest.results()
    assert all("recency" not in table for table in contest.tried.values())


@pytest.mark.parametrize("reason", ["told not to", "no validation part"])
def test_a_contest_in_which_nothing_is_chosen(split: Split, few: None, reason: str) -> None:
    if reason == "told not to":
        contest = contest_of(split, choose=False)
    else:
        past = pd.concat([split.train, split.valid])
        contest = contest_of(Split(past, split.valid.iloc[:0], split.test, split.counts))
    assert all(table.empty for table in contest.tried.values())
    assert settings_of(contest.best("EASE")) == settings_of(EASE())


def test_a_contest_runs_again_on_other_splits(split: Split, few: None, capsys) -> None:
    def nobody(rows):
        raise ValueError("nobody is left")

    rows = pd.concat([split.train, split.valid, split.test])
    contest = contest_of(split)
    other = split_per_user(rows, test_fraction=0.3)
    strangers = replace(other, test=other.test.assign(user_id=-1))  # which only judging can find out
    cuts = {"other": lambda rows: other, "none": nobody, "strangers": lambda rows: strangers}
    found = contest.under(cuts, rows)
    assert list(found) == ["other"]
    none, unknown = capsys.readouterr().out.splitlines()
    assert none == "none is left out: nobody is left" and unknown.startswith("strangers is left out: ")
    assert list(found["other"]) == MODELS and found["other"]["EASE"].counts["interactions"] == len(other.test)
    fresh = contest.best("EASE").fit(other.train)
    pd.testing.assert_frame_equal(
        found["other"]["EASE"].per_user, evaluate(fresh, other.test, ks=10).per_user
    )

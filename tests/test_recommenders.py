"""What every recommender promises, BPR and the baselines alike: one class of tests that all of them pass."""

from abc import ABC, abstractmethod

import numpy as np
import pandas as pd
import pytest

from bpr_helpers import (
    BPR,
    EASE,
    IALS,
    InteractionMatrix,
    ItemKNN,
    Popularity,
    Random,
    because_you_liked,
    recommend,
)
from bpr_helpers.evaluation import Recommender, beyond_accuracy, evaluate
from bpr_helpers.ranking import top_k

SIZE = 20


def interactions(pairs) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["user_id", "item_id"])


def checkerboard() -> tuple[pd.DataFrame, pd.DataFrame]:
    """User i has the items of the same colour, all but item i: the one that every user should get next."""
    board = interactions([(i, j) for i in range(SIZE) for j in range(SIZE) if i % 2 == j % 2])
    held_out = board["user_id"] == board["item_id"]
    return board[~held_out], board[held_out]


def long_tailed() -> pd.DataFrame:
    """60 users, 40 items, string ids, popular items and rare ones."""
    rng = np.random.default_rng(0)
    users, items = rng.integers(0, 60, 900), (40 * rng.random(900) ** 2).astype(int)
    frame = pd.DataFrame({"user_id": users, "item_id": items}).drop_duplicates(ignore_index=True)
    return frame.astype(str).radd({"user_id": "u", "item_id": "i"})


class Contract(ABC):
    """The tests; a subclass says how its recommender is made and what AUC it reaches on the checkerboard."""

    checkerboard_auc = (1.0, 1.0)

    @abstractmethod
    def make(self) -> Recommender: ...

    def test_checkerboard(self):
        train, test = checkerboard()
        auc = evaluate(self.make().fit(train), test, ks=(1,)).per_user["auc"].mean()
        low, high = self.checkerboard_auc
        assert low <= auc <= high

    def test_scores_are_finite_float32_of_the_asked_users(self):
        model = self.make().fit(long_tailed())
        every = model.score(np.arange(model.matrix.n_users))
        assert every.dtype == np.float32 and every.shape == model.matrix.csr.shape
        assert np.isfinite(every).all()
        asked = np.array([7, 0, 7])
        np.testing.assert_allclose(model.score(asked), every[asked], rtol=1e-5, atol=1e-5)

    def test_never_recommends_what_was_seen(self):
        model = self.make().fit(long_tailed())
        users = np.arange(model.matrix.n_users)
        lists = top_k(model.score, model.matrix, users, model.matrix.n_items)
        for user, items in zip(users, lists, strict=True):
            seen, listed = model.matrix.csr[user].indices, items[items >= 0]
            assert sorted([*seen, *listed]) == list(range(model.matrix.n_items))

    def test_it_says_what_it_is_and_whom_it_serves(self):
        model = self.make()
        assert repr(model).endswith("), not fitted") and repr(model).startswith(type(model).__name__)
        model.fit(long_tailed())
        n_users, n_items = model.matrix.n_users, model.matrix.n_items
        assert repr(model).endswith(f"), fitted: {n_users} users, {n_items} items")
        assert model._repr_html_().endswith(f")</code> fitted: {n_users} users, {n_items} items</p>")

    def test_repeatable(self):
        users = np.arange(10)
        first, second = (self.make().fit(long_tailed()).score(users) for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_a_frame_and_its_matrix_are_the_same_to_it(self):
        frame, users = long_tailed(), np.arange(10)
        by_frame = self.make().fit(frame)
        by_matrix = self.make().fit(InteractionMatrix.from_frame(frame))
        np.testing.assert_array_equal(by_frame.score(users), by_matrix.score(users))
        assert by_frame.matrix.item_ids.tolist() == sorted(set(frame["item_id"]))

    def test_one_user(self):
        model = self.make().fit(
            InteractionMatrix.from_frame(
                interactions([("u", "a"), ("u", "b")]),
                like=InteractionMatrix.from_frame(interactions([("u", item) for item in "abcd"])),
            )
        )
        assert sorted(top_k(model.score, model.matrix, np.array([0]), 4)[0]) == [-1, -1, 2, 3]

    def test_one_item(self):
        model = self.make().fit(interactions([("u", "a"), ("v", "a")]))
        assert np.isfinite(model.score(np.arange(2))).all()
        assert top_k(model.score, model.matrix, np.arange(2), 3).tolist() == [[-1] * 3] * 2

    def test_unknown_ids_are_counted(self):
        model = self.make().fit(long_tailed())
        seen = set(long_tailed().query("user_id == 'u1'")["item_id"])
        known = next(item for item in model.matrix.item_ids if item not in seen)
        found = evaluate(model, interactions([("u1", known), ("u1", "new"), ("stranger", known)]), ks=(40,))
        assert found.counts["unknown_users"] == 1 and found.counts["interactions_with_unknown_items"] == 1
        assert found.per_user.index.tolist() == ["u1"]
        assert found.per_user.loc["u1", "recall@40"] == 0.5


class FoldIn(Contract):
    """The tests of a model that serves users who came after training."""

    @abstractmethod
    def make(self, recency: float = 0.0) -> Recommender: ...

    @pytest.mark.parametrize("recency", [0.0, 3.0])
    def test_folding_in_the_training_users_gives_the_fitted_scores(self, recency):
        rows = long_tailed().assign(timestamp=range(len(long_tailed())))
        model = self.make(recency).fit(rows)
        folded = model.fold_in(rows.sample(frac=1, random_state=0))
        users = np.arange(model.matrix.n_users)
        np.testing.assert_allclose(folded.score(users), model.score(users), rtol=1e-5, atol=1e-6)

    def test_a_newcomer_is_served_alone_as_among_others(self):
        rows = long_tailed()
        model = self.make().fit(rows[rows["user_id"] != "u1"])
        alone = model.fold_in(rows[rows["user_id"] == "u1"].replace("u1", "newcomer"))
        among = model.fold_in(rows)
        place = among.matrix.user_codes(["u1"])
        np.testing.assert_allclose(alone.score(np.array([0])), among.score(place), rtol=1e-4, atol=1e-6)
        assert not set(recommend(alone, "newcomer")["item_id"]) & set(
            rows[rows["user_id"] == "u1"]["item_id"]
        )
        assert evaluate(alone, interactions([("newcomer", "i0"), ("newcomer", "new")])).counts["users"] == 1
        assert 0 < beyond_accuracy(among, k=5)["coverage"] <= 1
        own = set(rows[rows["user_id"] == "u1"]["item_id"])
        offer = recommend(alone, "newcomer", n=1)["item_id"].iloc[0]
        assert set(because_you_liked(alone, "newcomer", offer)["item_id"]) <= own

    def test_what_is_unknown_is_counted_or_told(self):
        model = self.make().fit(long_tailed())
        folded = model.fold_in(interactions([("n", "i1"), ("n", "never seen")]))
        assert folded.matrix.n_dropped == 1 and folded.matrix.user_ids.tolist() == ["n"]
        with pytest.raises(ValueError, match="User 'n' has no item that the model knows"):
            model.fold_in(interactions([("n", "never seen")]))
        with pytest.raises(ValueError, match='choose "refuse" or "popular"'):
            model.fold_in(interactions([("n", "i1")]), strangers="drop")
        with pytest.raises(ValueError, match=r"not fitted: call fit\(interactions\) before fold_in"):
            self.make().fold_in(interactions([("n", "i1")]))

    def test_who_is_unknown_is_recommended_what_is_popular_where_that_is_asked_for(self):
        rows = long_tailed()
        model = self.make().fit(rows)
        folded = model.fold_in(interactions([("n", "never seen"), ("m", "i1")]), strangers="popular")
        counts = rows["item_id"].value_counts()
        assert counts[recommend(folded, "n", n=3)["item_id"]].tolist() == counts.head(3).tolist()
        alone = model.fold_in(interactions([("m", "i1")]))
        np.testing.assert_allclose(folded.score(np.array([0])), alone.score(np.array([0])), atol=1e-5)


class TestRandom(Contract):
    checkerboard_auc = (0.3, 0.7)

    def make(self):
        return Random(seed=1)


class TestPopularity(Contract):
    checkerboard_auc = (0.5, 0.5)  # all items are equally popular

    def make(self):
        return Popularity()


class TestItemKNN(FoldIn):
    def make(self, recency=0.0):
        return ItemKNN(k=15, recency=recency)


class TestEASE(FoldIn):
    def make(self, recency=0.0):
        return EASE(l2=1.0, recency=recency)


class TestIALS(FoldIn):
    def make(self, recency=0.0):
        return IALS(4, l2=0.01, recency=recency)


class TestBPR(FoldIn):
    def make(self, recency=0.0):
        return BPR(8, epochs=20, batch_size=32, recency=recency)

    @pytest.mark.parametrize("recency", [3.0])  # without recency, training users are those of phase one
    def test_folding_in_the_training_users_gives_the_fitted_scores(self, recency):
        super().test_folding_in_the_training_users_gives_the_fitted_scores(recency)

    def test_it_says_the_settings_that_are_not_the_defaults(self):
        assert repr(BPR()) == "BPR(dim=64), not fitted"
        assert repr(BPR(8, recency=0, sampler="hard")) == (
            "BPR(dim=8, sampler='hard', recency=0), not fitted"
        )

    def test_without_recency_those_who_are_folded_in_are_served_about_like_training_users(self):
        model = self.make().fit(long_tailed())
        users = np.arange(model.matrix.n_users)
        pairs = zip(model.score(users), model.fold_in(long_tailed()).score(users), strict=True)
        assert np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs]) > 0.9

    def test_one_item(self):
        with pytest.raises(ValueError, match="no negative"):
            super().test_one_item()

"""Lists for people: order, seen items, ties, titles, and sentences for what is unknown."""

from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from bpr_helpers.baselines import EASE, IALS, ItemKNN, Popularity
from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.ranking import full_ranks, tie_priority
from bpr_helpers.recommend import because_you_liked, recommend, similar_items

TITLES = pd.DataFrame(
    {
        "item_id": ["a", "b", "c", "d", "e"],
        "title": ["Alien", "Brazil", "Casablanca", "Dune", "Eraserhead"],
        "year": pd.array([1979, 1985, 1942, None, 1977], dtype="Int64"),
        "genres": ["Horror|Sci-Fi", "Sci-Fi", "Drama|Romance", "Sci-Fi", "Horror"],
    }
)


class Table:
    """A recommender whose scores (and item vectors) are given."""

    def __init__(self, scores: Any, vectors: Any = None) -> None:
        self.scores = np.asarray(scores, np.float32)
        if vectors is not None:
            self.item_vectors = np.asarray(vectors, np.float32)

    def fit(self, interactions: pd.DataFrame, *, valid: pd.DataFrame | None = None) -> Self:
        self.matrix = InteractionMatrix.from_frame(interactions)
        return self

    def score(self, user_codes: np.ndarray) -> np.ndarray:
        return self.scores[user_codes]


def pairs(text: str) -> pd.DataFrame:
    """'1ab 2c': user 1 has items a and b, user 2 has c."""
    rows = [(int(word[0]), item) for word in text.split() for item in word[1:]]
    return pd.DataFrame(rows, columns=["user_id", "item_id"])


@pytest.fixture
def model() -> Table:
    return Table(
        [[0.9, 0.1, 0.5, 0.3, 0.7], [1, 2, 3, 4, 5]],
        vectors=[[1, 0], [1, 1], [0, 2], [-1, 0], [0, 0]],
    ).fit(pairs("1ab 2cde"))


@pytest.fixture
def many() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame({"user_id": rng.integers(0, 40, 600), "item_id": rng.integers(100, 130, 600)})


class TestRecommend:
    def test_lists_unseen_items_by_score(self, model: Table) -> None:
        table = recommend(model, 1, n=2)
        assert table["item_id"].tolist() == ["e", "c"]
        assert table["score"].tolist() == pytest.approx([0.7, 0.5])
        assert table.index.tolist() == [1, 2] and table.index.name == "rank"

    def test_is_shorter_when_fewer_are_unseen(self, model: Table) -> None:
        assert recommend(model, 2, n=10)["item_id"].tolist() == ["b", "a"]

    def test_is_empty_for_who_has_seen_all(self) -> None:
        model = Table(np.zeros((2, 2))).fit(pairs("1ab 2a"))
        assert recommend(model, 1, items=TITLES).empty

    def test_joins_titles_years_and_genres_in_the_order_of_the_list(self, model: Table) -> None:
        table = recommend(model, 1, items=TITLES.iloc[::-1])
        assert table.columns.tolist() == ["item_id", "title", "year", "genres", "score"]
        assert table["title"].tolist() == ["Eraserhead", "Casablanca", "Dune"]
        assert table["year"].isna().tolist() == [False, False, True]

    def test_keeps_items_without_a_title(self, model: Table) -> None:
        table = recommend(model, 1, items=TITLES[TITLES["item_id"] != "e"])
        assert table["item_id"].tolist() == ["e", "c", "d"] and table["title"].isna().tolist() == [
            True,
            False,
            False,
        ]

    def test_an_empty_table_of_titles_joins_nothing(self) -> None:
        model = Table(np.zeros((1, 3))).fit(pd.DataFrame({"user_id": [1, 1, 1], "item_id": [7, 8, 9]}))
        assert recommend(model, 1, items=TITLES.iloc[:0]).columns.tolist() == ["item_id", "score"]

    @settings(max_examples=40, deadline=None)
    @given(st.integers(0, 2**31), st.integers(1, 12))
    def test_is_the_order_that_evaluation_ranks_by(self, seed: int, n: int) -> None:
        rng = np.random.default_rng(seed)
        seen = pd.DataFrame({"user_id": rng.integers(0, 4, 25), "item_id": rng.integers(0, 9, 25)})
        matrix = InteractionMatrix.from_frame(seen)
        scores = rng.integers(0, 3, (matrix.n_users, matrix.n_items))  # many ties
        model = Table(scores).fit(seen)
        for user, user_id in enumerate(matrix.user_ids):
            listed = recommend(model, user_id, n=n)["item_id"]
            unseen = np.setdiff1d(matrix.item_ids, seen.loc[seen["user_id"] == user_id, "item_id"])
            codes = matrix.item_codes(unseen)
            ranks = full_ranks(model.score, matrix, np.full(len(codes), user), codes).rank
            assert listed.tolist() == unseen[np.argsort(ranks)][:n].tolist()

    @pytest.mark.parametrize("user_id", [3, "1", None])
    def test_an_unknown_user_is_one_sentence(self, model: Table, user_id: Any) -> None:
        with pytest.raises(
            ValueError, match=r"^Table was not fitted on user_id .*: choose one of its matrix\.user_ids\.$"
        ):
            recommend(model, user_id)

    def test_an_empty_list_is_refused(self, model: Table) -> None:
        with pytest.raises(ValueError, match="n is 0: ask for"):
            recommend(model, 1, n=0)


class TestSimilarItems:
    def test_is_the_cosine_of_the_item_vectors(self, model: Table) -> None:
        table = similar_items(model, "a", n=2, items=TITLES)
        assert table["title"].iloc[0] == "Brazil"
        assert table["similarity"].tolist() == pytest.approx([0.5**0.5, 0.0])
        assert similar_items(model, "a")["item_id"].tolist()[-1] == "d"  # points the other way
        assert (similar_items(model, "e")["similarity"] == 0).all()  # no length, no direction, no nan

    def test_equal_values_are_in_the_order_of_the_seeded_permutation(self, model: Table) -> None:
        by_priority = model.matrix.item_ids[np.argsort(tie_priority(5))]
        assert similar_items(model, "e")["item_id"].tolist() == [item for item in by_priority if item != "e"]

    def test_an_empty_list_is_refused(self, model: Table) -> None:
        with pytest.raises(ValueError, match="n is -1: ask for"):
            similar_items(model, "a", n=-1)

    def test_agrees_with_scikit_learn(self, many: pd.DataFrame) -> None:
        model = IALS(dim=8).fit(many)
        expected = cosine_similarity(model.item_vectors)
        for code, item_id in enumerate(model.matrix.item_ids):
            table = similar_items(model, item_id, n=99)
            assert len(table) == model.matrix.n_items - 1 and item_id not in table["item_id"].to_numpy()
            own = expected[code, model.matrix.item_codes(table["item_id"])]
            np.testing.assert_allclose(table["similarity"], own, atol=1e-6)
            assert table["similarity"].is_monotonic_decreasing

    def test_an_unknown_item_is_one_sentence(self, model: Table) -> None:
        with pytest.raises(
            ValueError, match=r"^Table was not fitted on item_id 'z': choose one of its matrix\.item_ids\.$"
        ):
            similar_items(model, "z")

    def test_a_model_that_compares_no_items_says_so(self, many: pd.DataFrame) -> None:
        with pytest.raises(
            ValueError, match=r"^Popularity has neither item vectors nor item-to-item weights"
        ):
            similar_items(Popularity().fit(many), 100)


class TestBecauseYouLiked:
    def test_by_hand(self, model: Table) -> None:
        table = because_you_liked(model, 1, "c", items=TITLES)  # cosines: a 0, b 0.7
        assert table["title"].tolist() == ["Brazil"]
        assert table["pull"].tolist() == pytest.approx([0.5**0.5])

    def test_an_item_does_not_explain_itself(self, model: Table) -> None:
        assert because_you_liked(model, 1, "b")["item_id"].tolist() == ["a"]

    def test_weights_point_from_the_users_item_to_the_explained_one(self) -> None:
        model = EASE().fit(pairs("1ab 2bc"))
        model.weights = np.array([[0, 1, 2], [3, 0, 4], [5, 6, 0]], np.float32)
        table = because_you_liked(model, 1, "c")
        assert dict(zip(table["item_id"], table["pull"], strict=True)) == {"b": 4, "a": 2}

    @pytest.mark.parametrize("model", [EASE(l2=5.0), ItemKNN(k=12)], ids=["EASE", "ItemKNN"])
    def test_pulls_add_up_to_the_score(self, model: EASE | ItemKNN, many: pd.DataFrame) -> None:
        model.fit(many)
        user_id = model.matrix.user_ids[3]
        top = recommend(model, user_id, n=1).iloc[0]
        own = model.matrix.item_ids[model.matrix.csr[3].indices]
        pulls = because_you_liked(model, user_id, top["item_id"], n=99)
        assert set(pulls["item_id"]) <= set(own) and (pulls["pull"] > 0).all()
        if isinstance(model, EASE):  # what pushes down is not listed
            downs = model.weights[model.matrix.csr[3].indices, model.matrix.item_codes([top["item_id"]])[0]]
            assert pulls["pull"].sum() + downs[downs < 0].sum() == pytest.approx(top["score"], rel=1e-4)
        else:
            assert pulls["pull"].sum() == pytest.approx(top["score"], rel=1e-4)

    def test_lists_the_strongest_first_and_at_most_n(self, many: pd.DataFrame) -> None:
        model = EASE(l2=5.0).fit(many)
        every = because_you_liked(model, 0, 105, n=99)
        assert every["pull"].is_monotonic_decreasing and len(every) > 2
        pd.testing.assert_frame_equal(because_you_liked(model, 0, 105, n=2), every.head(2))

    def test_unknown_ids_are_one_sentence(self, model: Table) -> None:
        with pytest.raises(ValueError, match="user_id 9"):
            because_you_liked(model, 9, "a")
        with pytest.raises(ValueError, match="item_id 'z'"):
            because_you_liked(model, 1, "z")

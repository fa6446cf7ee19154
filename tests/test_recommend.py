"""Lists for people: order, seen items, ties, titles, and sentences for what is unknown."""

import warnings
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from bpr_helpers import synthetic_interactions
from bpr_helpers.baselines import EASE, IALS, ItemKNN, Popularity
from bpr_helpers.bpr import BPR
from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.ranking import full_ranks, tie_priority
from bpr_helpers.recommend import because_you_liked, recommend, short_title, similar_items

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

    @pytest.mark.parametrize("user_id", [3, "x", "01", 1.5, np.int64(9), None])
    def test_an_unknown_user_is_one_sentence(self, model: Table, user_id: Any) -> None:
        with pytest.raises(
            ValueError, match=r"^Table was not fitted on user_id .*: choose one of its matrix\.user_ids\.$"
        ):
            recommend(model, user_id)

    def test_a_message_shows_ids_as_a_person_writes_them(self, model: Table) -> None:
        with pytest.raises(ValueError, match=r"user_id 9: choose"):
            recommend(model, np.int64(9))
        with pytest.raises(ValueError, match=r"item_id 'z': choose"):
            similar_items(model, np.str_("z"))

    @pytest.mark.parametrize("user_id", [[1, 2], {"id": 1}, np.array([1, 2])])
    def test_several_users_are_one_sentence(self, model: Table, user_id: Any) -> None:
        with pytest.raises(ValueError, match=r"^user_id is .*: ask for one at a time\.$"):
            recommend(model, user_id)

    @pytest.mark.parametrize("n", [0, 2.5, "10", True])
    def test_a_length_that_is_none_is_refused(self, model: Table, n: Any) -> None:
        with pytest.raises(ValueError, match=f"n is {n}: ask for"):
            recommend(model, 1, n=n)

    def test_a_list_longer_than_the_catalogue_is_the_catalogue(self, model: Table) -> None:
        for n in (6, 10**12):  # a list of a million million places would not fit into memory
            assert len(recommend(model, 1, n=n)) == 3
            assert len(similar_items(model, "a", n=n)) == 4
            assert len(because_you_liked(model, 1, "c", n=n)) == 1


def ids_as(kind: str, numbers: list[int]) -> list:
    write = {"int": int, "float": float, "text": str, "decimal text": lambda one: f"{one}.0"}
    return [write[kind](number) for number in numbers]


# Text among text stays as it is written: "1.0" is not "1" there.
PAIRS = [
    (kind, other)
    for kind in ("int", "float", "text")
    for other in ("int", "float", "text", "decimal text")
    if (kind, other) != ("text", "decimal text")
]


class TestIdsOfAnotherType:
    """The interactions count 1, 2, 3; titles and people write 1.0 or "1"."""

    @staticmethod
    def fitted(kind: str) -> Table:
        rows = {"user_id": ids_as(kind, [10, 10, 20, 20]), "item_id": ids_as(kind, [1, 2, 3, 4])}
        return Table([[4, 3, 2, 1]] * 2, vectors=np.ones((4, 2))).fit(pd.DataFrame(rows))

    @pytest.mark.parametrize(("kind", "other"), PAIRS)
    @pytest.mark.parametrize("extra", [[], ["A5"], [None]], ids=["alone", "with text", "with a gap"])
    def test_titles_meet_by_value(self, kind: str, other: str, extra: list) -> None:
        names = ["one", "two", "three", "four", *("more" for _ in extra)]
        titles = pd.DataFrame({"item_id": [*ids_as(other, [1, 2, 3, 4]), *extra], "title": names})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = self.fitted(kind)
            assert recommend(model, ids_as(kind, [10])[0], items=titles)["title"].tolist() == [
                "three",
                "four",
            ]
            assert set(similar_items(model, ids_as(kind, [1])[0], items=titles)["title"]) == set(names[1:4])

    @pytest.mark.parametrize(("kind", "other"), PAIRS)
    def test_a_person_writes_an_id_as_they_like(self, kind: str, other: str) -> None:
        model = self.fitted(kind)
        [user, item] = ids_as(other, [10, 3])
        assert recommend(model, user)["item_id"].tolist() == ids_as(kind, [3, 4])
        assert set(similar_items(model, item)["item_id"]) == set(ids_as(kind, [1, 2, 4]))
        assert set(because_you_liked(model, user, item)["item_id"]) == set(ids_as(kind, [1, 2]))
        assert recommend(model, np.asarray(ids_as(other, [10]))[0])["item_id"].tolist() == ids_as(
            kind, [3, 4]
        )

    def test_titles_of_other_items_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"^0 of the model's 4 items .* integers, .* text, such as"):
            recommend(self.fitted("int"), 10, items=TITLES)

    def test_titles_that_meet_in_part_are_counted_where_types_differ(self) -> None:
        titles = pd.DataFrame({"item_id": ["1", "2", "3", "A5"], "title": list("abcd")})
        with pytest.warns(UserWarning, match=r"^3 of the model's 4 items .* integers, such as 1, .* text"):
            table = recommend(self.fitted("int"), 10, items=titles)
        assert table["title"].tolist()[0] == "c" and table["title"].isna().tolist() == [False, True]

    def test_an_item_described_twice_is_refused(self) -> None:
        titles = pd.DataFrame({"item_id": [3, 3, 4], "title": ["three", "drei", "four"]})
        with pytest.raises(ValueError, match="item_id 3 more than once"):
            recommend(self.fitted("int"), 10, items=titles)

    def test_titles_without_ids_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"no column item_id among \['movieId'\]"):
            recommend(self.fitted("int"), 10, items=pd.DataFrame({"movieId": [1]}))

    def test_a_column_of_the_titles_does_not_stand_in_for_the_score(self) -> None:
        titles = pd.DataFrame({"item_id": [3, 4], "score": ["good", "bad"]})
        assert recommend(self.fitted("int"), 10, items=titles)["score"].tolist() == [2, 1]


@pytest.mark.parametrize("kind", [BPR, EASE, IALS, ItemKNN, Popularity])
def test_a_model_that_has_not_been_fitted_is_one_sentence(kind: Any) -> None:
    model = kind()
    for ask in (
        lambda: recommend(model, 1),
        lambda: similar_items(model, 1),
        lambda: because_you_liked(model, 1, 2),
    ):
        with pytest.raises(ValueError, match=rf"^This {kind.__name__} has not been fitted: call fit\("):
            ask()


class TestShortTitle:
    @given(st.text(max_size=120), st.integers(1, 60))
    def test_is_never_longer_and_keeps_what_fits(self, title: str, width: int) -> None:
        short = short_title(title, width)
        assert len(short) <= width
        assert short == title if len(title) <= width else "…" in short

    def test_keeps_both_ends(self) -> None:
        assert short_title("a" * 60 + "z" * 60, 11) == "aaaaa…zzzzz"

    def test_leaves_room_for_a_tick_in_a_table(self) -> None:
        table = pd.DataFrame({"title": [short_title("Wireless Mouse " * 8) + " ✓"]})
        assert "✓" in table.to_string(max_colwidth=50) and "✓" in table.to_html()


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


@pytest.mark.parametrize("make", [EASE, ItemKNN])
def test_pulls_add_up_to_the_score_also_where_late_items_count_more(make):
    rows = synthetic_interactions(60, 40, 900, seed=3)
    model = make(recency=4.0).fit(rows)
    before = model.score(np.arange(60))
    top = recommend(model, 7, n=1).iloc[0]
    pulls = because_you_liked(model, 7, int(top["item_id"]), n=40)
    between = np.asarray(model.weights if make is EASE else model.neighbours.toarray())
    code = model.matrix.item_codes([top["item_id"]])[0]
    downs = np.minimum(model.histories[7].toarray().ravel() * between[:, code], 0).sum()  # not listed
    assert pulls["pull"].sum() + downs == pytest.approx(top["score"], rel=1e-4)
    np.testing.assert_array_equal(model.score(np.arange(60)), before)  # asking why changes no model

"""Lists for people: order, seen items, ties, titles, and sentences for what is unknown."""

import warnings
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics.pairwise import cosine_similarity

from bpr_helpers import synthetic_interactions
from bpr_helpers.baselines import EASE, IALS, ItemKNN, Popularity
from bpr_helpers.bpr import BPR
from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.metrics import intra_list_distance
from bpr_helpers.ranking import full_ranks, tie_priority
from bpr_helpers.recommend import because_you_liked, look_at, recommend, rerank, short_title, similar_items

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


class TestWhatMayBeListed:
    """In stock, left out, seen, one of a series: the others keep their order."""

    @settings(max_examples=60, deadline=None)
    @given(st.integers(0, 2**31), st.integers(1, 12), st.booleans(), st.data())
    def test_the_order_is_that_of_the_full_list(
        self, seed: int, n: int, show_seen: bool, data: st.DataObject
    ) -> None:
        rng = np.random.default_rng(seed)
        seen = pd.DataFrame({"user_id": rng.integers(0, 3, 20), "item_id": rng.integers(0, 9, 20)})
        matrix = InteractionMatrix.from_frame(seen)
        model = Table(rng.integers(0, 3, (matrix.n_users, matrix.n_items))).fit(seen)  # many ties
        known = matrix.item_ids.tolist()
        chosen = st.none() | st.lists(st.sampled_from([*known, 77]), min_size=1).map(lambda x: [known[0], *x])
        only, without = data.draw(chosen), data.draw(chosen)
        names = st.lists(st.sampled_from(["g", "h", None]), min_size=len(known), max_size=len(known))
        groups = dict(zip(known, data.draw(names), strict=True)) if data.draw(st.booleans()) else {}
        own = set(seen.loc[seen["user_id"] == 0, "item_id"]) if not show_seen else set()
        full = model.matrix.item_ids[np.lexsort((tie_priority(matrix.n_items), -model.scores[0]))].tolist()
        expected, had = [], set()
        for item in full:
            allowed = (only is None or item in only) and item not in (without or []) and item not in own
            if allowed and groups.get(item) not in had:
                expected.append(item)
                had |= {groups[item]} if groups.get(item) else set()
        series = pd.Series(groups, dtype=object) if groups else None
        listed = recommend(model, 0, n=n, only=only, without=without, show_seen=show_seen, one_per=series)
        assert listed["item_id"].tolist() == expected[:n]
        assert listed["score"].tolist() == model.scores[0, matrix.item_codes(expected[:n])].tolist()

    def test_what_is_in_stock(self, model: Table) -> None:
        stock = ["d", "c", "a", "new"]
        for only in (stock, set(stock), np.array(stock), pd.Series(stock), pd.Index(stock), iter(stock)):
            assert recommend(model, 1, only=only)["item_id"].tolist() == ["c", "d"]
        assert recommend(model, 1, only=[], items=TITLES).empty

    def test_what_is_left_out(self, model: Table) -> None:
        assert recommend(model, 1, n=2, without=["e", "new"])["item_id"].tolist() == ["c", "d"]
        assert recommend(model, 1, n=2, without=[])["item_id"].tolist() == ["e", "c"]

    def test_seen_items_stand_at_their_place(self, model: Table) -> None:
        assert recommend(model, 1, show_seen=True)["item_id"].tolist() == ["a", "e", "c", "d", "b"]

    def test_one_of_a_series(self, model: Table) -> None:
        series = pd.Series({"e": "night", "c": "night", "d": None, "b": "day", "new": "day"})
        assert recommend(model, 1, one_per=series)["item_id"].tolist() == ["e", "d"]
        assert recommend(model, 1, n=2, one_per=series)["item_id"].tolist() == ["e", "d"]

    def test_ids_may_be_written_in_another_type(self) -> None:
        model = Table([[4, 3, 2, 1]]).fit(pd.DataFrame({"user_id": 1, "item_id": [1, 2, 3, 4]}))
        listed = recommend(model, 1, only=["1", 2.0, 4], without=["4"], show_seen=True)
        assert listed["item_id"].tolist() == [1, 2]
        groups = pd.Series(["g", "g"], index=["1", "2"])
        assert recommend(model, 1, one_per=groups, show_seen=True)["item_id"].tolist() == [1, 3, 4]

    def test_where_nothing_is_known_it_is_told(self, model: Table) -> None:
        with pytest.raises(
            ValueError, match=r"^No item of only is known: 0 of 2 match; .* integers, such as"
        ):
            recommend(model, 1, only=[1, 2])
        with pytest.raises(ValueError, match=r"^No item of one_per is known: 0 of 1 match"):
            recommend(model, 1, one_per=pd.Series({"z": "g"}))
        with pytest.warns(UserWarning, match=r"^without leaves out nothing: .* 2 ids, integers, such as 1"):
            assert recommend(model, 1, without=[1, 2])["item_id"].tolist() == ["e", "c", "d"]

    def test_what_is_no_list_of_ids_is_one_sentence(self, model: Table) -> None:
        for wrong in ("a", 7, TITLES, {"a": True}):
            with pytest.raises(ValueError, match=r"^only is a \w+: give a list of item ids, or None\.$"):
                recommend(model, 1, only=wrong)
        with pytest.raises(ValueError, match=r"^one_per is a dict: give a Series of groups"):
            recommend(model, 1, one_per={"a": "g"})
        with pytest.raises(ValueError, match=r"^one_per gives item_id 'a' more than one group: keep one\.$"):
            recommend(model, 1, one_per=pd.Series(["g", "h"], index=["a", "a"]))


class TestRerank:
    """By hand: values 1, .8, .4, 0; b is like a, d is unlike a, c is in between (cosine .71)."""

    @pytest.fixture
    def shop(self) -> Table:
        vectors = [[1, 0], [2, 0], [1, 1], [0, 1], [1, 0]]
        model = Table([[11, 10.6, 9.8, 9, 99]] + [[0] * 5] * 7, vectors)
        return model.fit(pairs("1z 2abz 3a 4a 5a 6a 7a 8az 2c 3d"))

    def test_likeness_costs(self, shop: Table) -> None:
        # Half and half, after a: b .4 - .5, c .2 - .35, d 0 - 0; then b again -.1, c -.15.
        assert rerank(shop, 1, diversity=0.5)["item_id"].tolist() == list("adbc")
        # One fifth, after a: b .64 - .2, c .32 - .14, d 0.
        assert rerank(shop, 1, diversity=0.2)["item_id"].tolist() == list("abcd")
        table = rerank(shop, 1, n=2, diversity=0.5, items=TITLES)
        assert table["title"].tolist() == ["Alien", "Dune"] and table["score"].tolist() == [11, 9]
        assert table.index.tolist() == [1, 2] and table.index.name == "rank"

    def test_popularity_costs(self, shop: Table) -> None:
        # a has 7 users, the most, the others 1: they lose log 2 / log 8, a third of what a loses.
        assert shop.matrix.csr.sum(0).tolist() == [[7, 1, 1, 1, 3]]
        assert rerank(shop, 1, diversity=0, popularity=0.29)["item_id"].tolist() == list("abcd")  # .71 > .703
        assert rerank(shop, 1, diversity=0, popularity=0.31)["item_id"].tolist() == list("bacd")  # .69 < .697
        assert rerank(shop, 1, diversity=0, popularity=0.95)["item_id"].tolist() == list("bcad")  # .05 < .083
        shop.item_counts = np.array([1, 7, 1, 1, 3], np.float32)  # type: ignore[attr-defined]
        assert rerank(shop, 1, diversity=0, popularity=0.5)["item_id"].tolist() == list("abcd")

    def test_only_the_first_are_looked_at(self, shop: Table) -> None:
        assert rerank(shop, 1, n=3, diversity=1, among=3)["item_id"].tolist() == list("acb")
        assert set(rerank(shop, 1, n=4, among=1)["item_id"]) == set("abcd")  # at least n

    def test_what_items_are_like_may_come_from_elsewhere(self, shop: Table) -> None:
        genres = pd.DataFrame({"g": [1, 0, 1], "h": [0, 1, 0]}, index=["a", "b", "c"])  # d is like nothing
        by_genre = rerank(shop, 1, diversity=0.5, vectors=genres)["item_id"].tolist()
        assert by_genre == list("abdc")  # b .4, c .2 - .5, d 0; then d 0, c -.3
        rows = genres.reindex([*"abcdz"], fill_value=0).to_numpy()
        for vectors in (rows, sparse.csr_matrix(rows)):
            assert rerank(shop, 1, diversity=0.5, vectors=vectors)["item_id"].tolist() == by_genre

    def test_a_model_without_vectors_goes_by_the_users_of_items(self) -> None:
        model = Table([[9, 8, 7, 0]] * 4).fit(pairs("1z 2ab 3ab 4cz"))
        assert rerank(model, 1, diversity=0.5)["item_id"].tolist() == list("acb")

    @settings(max_examples=40)
    @given(st.integers(0, 2**31), st.integers(1, 12), st.booleans())
    def test_at_no_cost_it_is_the_list_of_recommend(self, seed: int, n: int, show_seen: bool) -> None:
        rng = np.random.default_rng(seed)
        seen = pd.DataFrame({"user_id": rng.integers(0, 3, 20), "item_id": rng.integers(0, 9, 20)})
        matrix = InteractionMatrix.from_frame(seen)
        scores = rng.integers(-2, 2, (matrix.n_users, matrix.n_items))  # many ties
        model = Table(scores, rng.normal(size=(matrix.n_items, 2))).fit(seen)
        ids = matrix.item_ids
        chosen = {"only": ids[1:].tolist(), "without": ids[2:4], "show_seen": show_seen}
        chosen["one_per"] = pd.Series("g", index=ids[4:6])
        for more in ({}, chosen):
            pd.testing.assert_frame_equal(
                rerank(model, 0, n=n, diversity=0, **more), recommend(model, 0, n=n, **more)
            )
        if len(recommend(model, 0)):  # the first has nothing to be like
            assert rerank(model, 0, n=1)["item_id"].tolist() == recommend(model, 0, n=1)["item_id"].tolist()

    def test_who_has_seen_all_gets_nothing(self) -> None:
        assert rerank(Table(np.zeros((2, 2))).fit(pairs("1ab 2a")), 1, items=TITLES).empty

    def test_lists_of_a_fitted_model_are_the_less_alike_the_more_it_costs(self) -> None:
        model = IALS(dim=8).fit(synthetic_interactions(60, 80, 1200, seed=1))

        def distance(diversity: float) -> float:
            tables = [rerank(model, user, n=5, diversity=diversity) for user in model.matrix.user_ids]
            lists = [model.matrix.item_codes(table["item_id"]) for table in tables]
            return intra_list_distance(lists, model.item_vectors).mean()

        assert distance(0.6) > distance(0.3) + 0.03 > distance(0) + 0.06

    @pytest.mark.parametrize(
        ("wrong", "sentence"),
        [
            ({"diversity": 1.5}, r"^diversity is 1\.5: give 0 to 1\.$"),
            ({"popularity": -1}, r"^popularity is -1: give 0 or more\.$"),
            ({"among": 0}, r"^among is 0: ask for a list of at least 1 item\.$"),
            ({"n": 0}, r"^n is 0: ask for"),
            ({"vectors": np.ones((3, 2))}, r"^vectors has 3 rows for 5 items: give one row per item"),
            ({"vectors": pd.DataFrame({"g": [1]}, index=[7])}, r"^No item of vectors is known: 0 of 5 match"),
            ({"only": [7]}, r"^No item of only is known"),
        ],
    )
    def test_what_is_wrong_is_one_sentence(self, shop: Table, wrong: dict, sentence: str) -> None:
        with pytest.raises(ValueError, match=sentence):
            rerank(shop, 1, **wrong)


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


def test_a_user_by_eye(model: Table) -> None:
    before, after = pairs("1ab 2cde"), pairs("1ce 2a")
    found = look_at(model, 1, before, after, titles=TITLES, n=3)
    assert found["seen last"].tolist() == ["Alien", "Brazil", ""]
    assert found["recommended"].tolist() == ["Eraserhead ✓", "Casablanca ✓", "Dune"]
    assert found["held out"].tolist() == ["Casablanca", "Eraserhead", ""] and found.index.tolist() == [
        1,
        2,
        3,
    ]


def test_a_user_by_eye_in_order_of_time(model: Table) -> None:
    before = pairs("1ab 2cde").assign(timestamp=[9, 1, 3, 1, 2])
    after = pairs("1ce").assign(timestamp=[5, 4])
    found = look_at(model, 1, before, after, titles=TITLES.iloc[:0], n=2)
    assert found.to_numpy().tolist() == [["b", "e ✓", "e"], ["a", "c ✓", "c"]]
    assert found.columns.tolist() == ["seen last", "recommended", "seen next"]

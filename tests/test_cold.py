"""New items: content in zeros and ones, the regression against scikit-learn's, a BPR with items added."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from bpr_helpers import BPR, EASE, ColdItems, evaluate, recommend, with_items
from bpr_helpers.cold import content_vectors
from bpr_helpers.matrix import InteractionMatrix

FILMS = pd.DataFrame(
    {
        "item_id": ["d", "a", "b", "c"],
        "genres": ["Drama | War", "Crime|Drama", "", None],
        "year": pd.array([1999, 1990, None, 1989], dtype="Int64"),
    }
)


class TestContentVectors:
    def test_by_hand(self) -> None:
        table = content_vectors(FILMS)
        assert table.columns.tolist() == [
            "genre Crime",
            "genre Drama",
            "genre War",
            "years from 1980",
            "years from 1990",
        ]
        assert table.index.tolist() == ["d", "a", "b", "c"] and table.index.name == "item_id"
        assert table.to_numpy().tolist() == [[0, 1, 1, 0, 1], [1, 1, 0, 0, 1], [0] * 5, [0, 0, 0, 1, 0]]
        assert set(table.dtypes) == {np.dtype(np.float32)}

    def test_single_years_and_missing_columns(self) -> None:
        years = content_vectors(FILMS.drop(columns="genres"), span=1)
        assert years.columns.tolist() == ["year 1989", "year 1990", "year 1999"]
        assert content_vectors(FILMS.drop(columns="year")).shape == (4, 3)

    def test_columns_like_those_of_another_table(self) -> None:
        like = pd.Index(["genre War", "genre Western", "years from 1980"])
        assert content_vectors(FILMS, like=like).to_numpy().tolist() == [
            [1, 0, 0],
            [0, 0, 0],
            [0, 0, 0],
            [0, 0, 1],
        ]

    @pytest.mark.parametrize(
        ("items", "sentence"),
        [
            (FILMS.drop(columns="item_id"), "have no column item_id"),
            (FILMS[["item_id"]].assign(title="x"), r"neither genres nor year among .*\['item_id', 'title'\]"),
            (FILMS.assign(item_id="d"), "item_id 'd' more than once"),
            (FILMS.assign(year="soon"), "year holds something that is no number: write years as 1994"),
        ],
    )
    def test_what_is_wrong_is_one_sentence(self, items: pd.DataFrame, sentence: str) -> None:
        with pytest.raises(ValueError, match=sentence):
            content_vectors(items)

    @pytest.mark.parametrize("span", [0, 2.5, True])
    def test_a_span_that_is_none_is_refused(self, span: object) -> None:
        with pytest.raises(ValueError, match=f"span is {span}: give a whole number of years"):
            content_vectors(FILMS, span=span)  # type: ignore[arg-type]


def by_genre(n_users: int = 60, n_items: int = 40) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Even users have many items of genre 0 and few of genre 1, odd users the other way round."""
    rng, rows = np.random.default_rng(0), []
    for user in range(n_users):
        own = np.arange(user % 2, n_items, 2)
        other = np.arange(1 - user % 2, n_items, 2)
        rows += [(user, item) for item in [*rng.choice(own, 10, False), *rng.choice(other, 1, False)]]
    items = pd.DataFrame({"item_id": range(n_items), "genres": [f"G{item % 2}" for item in range(n_items)]})
    return pd.DataFrame(rows, columns=["user_id", "item_id"]), items


NEW = [0, 1, 20, 21]


@pytest.fixture(scope="module")
def fitted() -> BPR:
    """A BPR that has never met four of the items."""
    rows, _ = by_genre()
    return BPR(8, batch_size=32, epochs=20, recency=0.0).fit(rows[~rows["item_id"].isin(NEW)])


@pytest.fixture(scope="module")
def items() -> pd.DataFrame:
    return by_genre()[1]


def with_vectors(x: np.ndarray, y: np.ndarray) -> BPR:
    """A BPR whose item vectors and biases are given, on items 0, 1, ...: nothing is fitted."""
    model = BPR(y.shape[1] - 1)
    rows = pd.DataFrame({"user_id": 0, "item_id": range(len(x))})
    model._hold_items(InteractionMatrix.from_frame(rows))
    model.item_vectors, model.item_biases = y[:, :-1].astype(np.float32), y[:, -1].astype(np.float32)
    model.user_vectors = np.ones((1, y.shape[1] - 1), np.float32)
    return model


class TestColdItems:
    @settings(max_examples=30)
    @given(st.integers(0, 2**31), st.integers(2, 25), st.sampled_from([0.01, 1.0, 50.0]))
    def test_agrees_with_scikit_learn(self, seed: int, n: int, l2: float) -> None:
        rng = np.random.default_rng(seed)
        x, y = rng.integers(0, 2, (n, 3)), rng.normal(size=(n, 4))
        text = ["|".join(f"g{j}" for j in np.flatnonzero(row)) for row in x]
        films = pd.DataFrame({"item_id": range(n), "genres": text})
        content = content_vectors(films)
        if content.empty:
            return
        model = with_vectors(x, y)
        vectors, biases = ColdItems.fit(model, films.sample(frac=1, random_state=0), l2=l2).vectors(films)
        table = np.column_stack([model.item_vectors, model.item_biases])
        referee = Ridge(alpha=l2).fit(content.to_numpy(np.float64), table).predict(content.to_numpy())
        np.testing.assert_allclose(np.column_stack([vectors, biases]), referee, rtol=1e-4, atol=1e-5)

    def test_by_hand(self) -> None:
        """Two items of a genre at 3, two others at 1; centered, x is +-1/2, so its weight is 2 / (1 + l2)."""
        model = with_vectors(np.zeros((4, 1)), np.array([[3.0, 0], [3, 0], [1, 0], [1, 0]]))
        films = pd.DataFrame({"item_id": range(4), "genres": ["g", "g", "", ""]})
        cold = ColdItems.fit(model, films, l2=1.0)
        vectors, biases = cold.vectors(pd.DataFrame({"item_id": [8, 9], "genres": ["g|other", "other"]}))
        assert vectors == pytest.approx(np.array([[2.5], [1.5]])) and biases.tolist() == [0, 0]

    def test_guesses_teach_nothing(self, fitted: BPR, items: pd.DataFrame) -> None:
        known = items[~items["item_id"].isin(NEW)]
        others = ColdItems.fit(fitted, items, l2=50)
        again = ColdItems.fit(with_items(fitted, items, cold=others), items)
        assert again.weights == pytest.approx(ColdItems.fit(fitted, known).weights)

    def test_what_cannot_be_learned_from_is_one_sentence(self, fitted: BPR, items: pd.DataFrame) -> None:
        with pytest.raises(ValueError, match=r"^This BPR is not fitted: .* before ColdItems\.fit\.$"):
            ColdItems.fit(BPR(), items)
        with pytest.raises(ValueError, match="needs a BPR, and this is a EASE"):
            ColdItems.fit(EASE(), items)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="l2 is 0: give a number above 0"):
            ColdItems.fit(fitted, items, l2=0)
        with pytest.raises(ValueError, match=r"^No item is known: 0 of 40 match; they are text"):
            ColdItems.fit(fitted, items.assign(item_id="i" + items["item_id"].astype(str)))
        with pytest.raises(ValueError, match=r"^None of the items has a user"):
            ColdItems.fit(with_items(fitted, items), items[items["item_id"].isin(NEW)])


class TestWithItems:
    def test_new_items_come_to_those_who_like_their_genre(self, fitted: BPR, items: pd.DataFrame) -> None:
        wider = with_items(fitted, items)
        assert wider.matrix.item_ids.tolist() == list(range(40))
        first = [set(recommend(wider, user, n=2, only=NEW)["item_id"]) for user in range(60)]
        assert first == [{0, 20}, {1, 21}] * 30
        test = by_genre()[0].query("item_id in @NEW")
        assert evaluate(wider, test, ks=5).per_user["auc"].mean() > 0.6

    def test_what_was_known_stays(self, fitted: BPR, items: pd.DataFrame) -> None:
        before, everybody = fitted.score(np.arange(60)), np.arange(60)
        wider = with_items(fitted, items)
        old = wider.matrix.item_codes(fitted.matrix.item_ids)
        assert wider.user_vectors.tobytes() == fitted.user_vectors.tobytes()
        assert wider.item_vectors[old].tobytes() == fitted.item_vectors.tobytes()
        assert wider.item_biases[old].tobytes() == fitted.item_biases.tobytes()
        # On some processors a product rounds by the width of its table.
        np.testing.assert_allclose(wider.score(everybody)[:, old], before, rtol=0, atol=1e-6)
        assert fitted.matrix.n_items == 36 and fitted.item_vectors.shape == (36, 8)
        assert wider.matrix.csr[:, old].toarray().tolist() == fitted.matrix.csr.toarray().tolist()
        assert wider.matrix.csr.has_sorted_indices
        assert np.diff(wider.item_counts[old]).tolist() == np.diff(fitted.item_counts).tolist()
        assert not wider.item_counts[NEW].any()
        nothing = with_items(fitted, items[~items["item_id"].isin(NEW)])
        assert nothing.score(everybody).tobytes() == before.tobytes()

    def test_it_is_saved_folded_and_exported_like_any_other(
        self, fitted: BPR, items: pd.DataFrame, tmp_path: Path
    ) -> None:
        wider = with_items(fitted, items)
        wider.save(tmp_path / "m")
        assert BPR.load(tmp_path / "m").score([0, 1]).tobytes() == wider.score([0, 1]).tobytes()
        wider.export(tmp_path / "tables")
        assert len(pd.read_parquet(tmp_path / "tables" / "items.parquet")) == 40
        newcomer = pd.DataFrame({"user_id": ["n"] * 3, "item_id": [3, 5, 0]})  # 0 is one of the new
        folded = wider.fold_in(newcomer)
        assert folded.matrix.n_dropped == 0 and 0 not in recommend(folded, "n", n=40)["item_id"].tolist()

    def test_the_guesses_may_come_from_elsewhere(self, fitted: BPR, items: pd.DataFrame) -> None:
        cold = ColdItems.fit(fitted, items)
        alone = with_items(fitted, items[items["item_id"].isin(NEW)], cold=cold)
        np.testing.assert_array_equal(alone.item_vectors, with_items(fitted, items).item_vectors)

    def test_ids_of_another_type(self, fitted: BPR, items: pd.DataFrame) -> None:
        as_text = with_items(fitted, items.assign(item_id=items["item_id"].astype(str)))
        assert as_text.matrix.item_ids.tolist() == list(range(40))
        odd = pd.concat([items, pd.DataFrame({"item_id": ["A5"], "genres": ["G0"]})])
        with pytest.raises(ValueError, match=r"^A new item_id is .*: write all alike\.$"):
            with_items(fitted, odd)

    def test_a_regression_of_another_model_is_refused(self, fitted: BPR, items: pd.DataFrame) -> None:
        cold = ColdItems.fit(with_vectors(np.zeros((4, 1)), np.ones((4, 3))), items)
        with pytest.raises(ValueError, match="vectors of length 2, and the model's have length 8"):
            with_items(fitted, items, cold=cold)
        with pytest.raises(ValueError, match=r"not fitted: .* before with_items"):
            with_items(BPR(), items)

"""The figures show the numbers they are given, on the Axes they are given, told apart without color."""

import warnings
from collections.abc import Iterator
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from sklearn.decomposition import PCA

from bpr_helpers import metrics, plots
from bpr_helpers.splitting import Split

INTERACTIONS = pd.DataFrame({"user_id": [1, 1, 1, 2, 2, 3, 3, 3, 3, 3], "item_id": list("aababaabcd")})
HISTORY = pd.DataFrame({"epoch": [1, 2, 3], "loss": [0.7, 0.4, 0.5], "valid_ndcg@10": [0.1, 0.3, 0.2]})
LISTS = {"popular": [[0, 1], [0, 1], [0, -1]], "even": [[0, 1], [2, 3], [0, 1]]}
VECTORS = np.random.default_rng(0).normal(size=(30, 4)) * [5, 3, 1, 1]


def day(number: int) -> pd.Timestamp:
    return pd.Timestamp("2020-01-01") + pd.Timedelta(days=number)


def part(*rows: tuple[Any, int]) -> pd.DataFrame:
    users, days = zip(*rows, strict=True) if rows else ((), ())
    times = pd.Series([day(number) for number in days], dtype="datetime64[ms]")
    return pd.DataFrame({"user_id": list(users), "item_id": range(len(rows)), "timestamp": times})


SPLIT = Split(part(("ann", 0), ("ann", 1), ("bob", 5)), part(("ann", 2)), part(("ann", 3), ("bob", 6)))


def summary(*means: float, name: str = "ndcg") -> pd.DataFrame:
    index = [f"{name}@{k}" for k in (5, 10)] + ["auc"]
    table = pd.DataFrame({"mean": means}, index=index)
    return table.assign(low=table["mean"] - 0.01, high=table["mean"] + 0.02)


SUMMARIES = {"weak": summary(0.1, 0.2, 0.7), "strong": summary(0.3, 0.4, 0.9)}

FIGURES = {
    "long_tail": lambda **kw: plots.long_tail(INTERACTIONS, threshold=2, **kw),
    "split_timeline": lambda **kw: plots.split_timeline(SPLIT, **kw),
    "split_timeline, order": lambda **kw: plots.split_timeline(SPLIT, scale="order", **kw),
    "learning_curves": lambda **kw: plots.learning_curves(HISTORY, **kw),
    "learning_curves, two": lambda **kw: plots.learning_curves({"a": HISTORY, "b": HISTORY}, **kw),
    "metric_by_k": lambda **kw: plots.metric_by_k(SUMMARIES, **kw),
    "forest": lambda **kw: plots.forest(SUMMARIES, **kw),
    "lorenz": lambda **kw: plots.lorenz(LISTS, 6, **kw),
    "embedding_map": lambda **kw: plots.embedding_map(
        VECTORS, groups=list("abc") * 10, labels={3: "x"}, **kw
    ),
}


@pytest.fixture(autouse=True)
def close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def lines(ax: Axes) -> dict[str, Any]:
    return {
        str(line.get_label()): line for line in ax.get_lines() if not str(line.get_label()).startswith("_")
    }


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
class TestEveryFigure:
    def test_draws_on_the_axes_it_is_given(self, draw: Any) -> None:
        _, (left, right) = plt.subplots(1, 2)
        assert draw(ax=right) is right
        assert right.has_data() and not left.has_data()
        assert len(plt.get_fignums()) == 1

    def test_makes_its_own_axes_with_labels_and_a_title(self, draw: Any) -> None:
        ax = draw()
        ax.figure.canvas.draw()  # nothing fails when it is painted
        assert ax.get_xlabel() and ax.get_ylabel() and ax.get_title()
        assert draw(title="Look here").get_title() == "Look here"

    def test_series_differ_in_more_than_color(self, draw: Any) -> None:
        looks = [(line.get_linestyle(), line.get_marker()) for line in lines(draw()).values()]
        assert len(set(looks)) == len(looks)


def test_the_colors_are_those_of_okabe_and_ito() -> None:
    palette = ["#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"]
    used = {style["color"] for style in plots._styles("abcdefg")} | {color for color, _ in plots._points}
    assert used <= set(palette)
    assert len({(style["linestyle"], style["marker"]) for style in plots._styles("abcdefg")}) == 7


def test_a_models_look_does_not_depend_on_who_stands_beside_it() -> None:
    every = ["Random", "Popularity", "ItemKNN", "EASE", "IALS", "BPR", "mine"]
    looks = dict(zip(every, plots._styles(every), strict=True))
    assert len({look["color"] for look in looks.values()}) == 7
    for left_out in every[:-1]:
        names = [name for name in reversed(every) if name not in (left_out, "mine")]
        assert plots._styles(names) == [looks[name] for name in names]


def test_long_names_leave_room_for_the_axes() -> None:
    names = [f"{'Wireless Mouse ' * 8}{number} for $5" for number in range(2)]
    for ax in (
        plots.forest({name: summary(0.1, 0.2, 0.3) for name in names}),
        plots.metric_by_k({name: summary(0.1, 0.2, 0.3) for name in names}, title="short"),
        plots.split_timeline(Split(part((names[0], 0)), part(), part((names[0], 1)))),
        plots.embedding_map(VECTORS, groups=[*names] * 15, labels=dict(enumerate([*names] * 5))),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Matplotlib's, when the axes would vanish
            ax.figure.canvas.draw()
        assert ax.get_position().width > 0.45 and ax.get_position().height > 0.45


class TestLongTail:
    def test_counts_fall_from_the_most_popular(self) -> None:
        [line] = [line for line in plots.long_tail(INTERACTIONS).get_lines() if len(line.get_xdata()) == 4]
        assert line.get_ydata().tolist() == [5, 3, 1, 1]

    def test_title_and_threshold_tell_the_shares(self) -> None:
        ax = plots.long_tail(INTERACTIONS, head=0.5, threshold=3)
        assert ax.get_title() == "The top 50 % of the items have 80 % of the interactions"
        assert [text.get_text() for text in ax.texts] == ["k = 3: 2 of 4 items have fewer"]
        assert (
            plots.long_tail(INTERACTIONS, by="user_id", head=0.3)
            .get_title()
            .startswith("The top 33 % of the users")
        )

    def test_says_what_is_missing(self) -> None:
        with pytest.raises(ValueError, match="no column 'item_id' among"):
            plots.long_tail(INTERACTIONS[["user_id"]])
        with pytest.raises(ValueError, match="no interaction to count"):
            plots.long_tail(INTERACTIONS.iloc[:0])


class TestSplitTimeline:
    def test_every_interaction_is_a_point_of_its_part(self) -> None:
        ax = plots.split_timeline(SPLIT, users=["bob", "ann"])
        points = {c.get_label(): np.asarray(c.get_offsets()) for c in ax.collections}
        assert {name: len(xy) for name, xy in points.items()} == {"train": 3, "valid": 1, "test": 2}
        assert [label.get_text() for label in ax.get_yticklabels()] == ["bob", "ann"]
        assert sorted(points["test"][:, 1].round().tolist()) == [0, 1]
        dates = matplotlib.dates.num2date(points["test"][:, 0])
        assert [date.day for date in dates] == [4, 7]

    @pytest.mark.parametrize("users", [[7], ["7"], [7.0]])
    def test_users_are_found_by_value(self, users: list) -> None:
        ax = plots.split_timeline(Split(part((7, 0), (8, 0)), part(), part((7, 1))), users=users)
        assert [label.get_text() for label in ax.get_yticklabels()] == ["7"]
        assert {c.get_label(): len(c.get_offsets()) for c in ax.collections} == {"train": 1, "test": 1}

    def test_order_spreads_a_history_over_100_percent(self) -> None:
        ax = plots.split_timeline(SPLIT, users=["ann"], scale="order")
        x = {c.get_label(): np.asarray(c.get_offsets())[:, 0].tolist() for c in ax.collections}
        assert x == {"train": [12.5, 37.5], "valid": [62.5], "test": [87.5]}

    def test_the_title_tells_whether_training_is_later_than_testing(self) -> None:
        assert "later than other users' test" in plots.split_timeline(SPLIT).get_title()
        late = Split(part((1, 0), (2, 1)), part(), part((1, 3), (2, 2)))
        assert plots.split_timeline(late).get_title().startswith("Every training interaction comes before")

    def test_takes_users_evenly_from_those_in_the_test_part(self) -> None:
        train, test = part(*((user, user) for user in range(12))), part(*((user, 20) for user in range(11)))
        ax = plots.split_timeline(Split(train, part(), test), n_users=3)
        assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "5", "10"]

    def test_says_what_is_missing(self) -> None:
        users = pd.Series([7, 8]).to_numpy()
        with pytest.raises(ValueError, match="user 8 is in no part"):
            plots.split_timeline(Split(part((7, 0)), part(), part((7, 1))), users=users)
        with pytest.raises(ValueError, match="user 'eve' is in no part"):
            plots.split_timeline(SPLIT, users=["ann", "eve"])
        without = Split(*(p.drop(columns="timestamp") for p in (SPLIT.train, SPLIT.valid, SPLIT.test)))
        with pytest.raises(ValueError, match="no column 'timestamp'"):
            plots.split_timeline(without)


class TestLearningCurves:
    def test_a_ring_marks_the_lowest_loss_and_the_highest_metric(self) -> None:
        for column, value in (("loss", 0.4), ("valid_ndcg@10", 0.3)):
            ax = plots.learning_curves(HISTORY, columns=column)
            [ring] = ax.collections
            assert np.asarray(ring.get_offsets()).tolist() == [[2, value]]
            assert ax.get_title() == f"{column} is best in epoch 2 of 3"

    def test_a_line_per_history_and_column(self) -> None:
        ax = plots.learning_curves({"a": HISTORY, "b": HISTORY}, columns=["loss", "valid_ndcg@10"])
        assert list(lines(ax)) == ["a, loss", "a, valid_ndcg@10", "b, loss", "b, valid_ndcg@10"]
        assert lines(ax)["b, loss"].get_ydata().tolist() == HISTORY["loss"].tolist()

    def test_says_what_is_missing(self) -> None:
        for history in (HISTORY.drop(columns="loss"), HISTORY.iloc[:0]):
            with pytest.raises(ValueError, match="no epoch with 'loss'"):
                plots.learning_curves(history)


class TestMetricByK:
    def test_lines_and_bands_are_those_of_the_summaries(self) -> None:
        ax = plots.metric_by_k(SUMMARIES)
        assert lines(ax)["strong"].get_xydata().tolist() == [[5, 0.3], [10, 0.4]]
        band = ax.collections[1].get_paths()[0].vertices[:, 1]
        assert (band.min(), band.max()) == pytest.approx((0.29, 0.42))
        assert ax.get_title().endswith("strong leads")

    def test_names_every_model_that_leads_somewhere(self) -> None:
        ax = plots.metric_by_k({"a": summary(0.3, 0.3, 0), "b": summary(0.2, 0.4, 0)})
        assert ax.get_title().endswith("a or b leads")

    def test_says_what_is_missing(self) -> None:
        with pytest.raises(ValueError, match="weak has no 'recall' at any k"):
            plots.metric_by_k(SUMMARIES, metric="recall")
        with pytest.raises(ValueError, match="no model was given"):
            plots.metric_by_k({})


class TestForest:
    def test_the_best_is_on_top_with_its_interval(self) -> None:
        ax = plots.forest(SUMMARIES)
        assert [label.get_text() for label in ax.get_yticklabels()] == ["strong", "weak"]
        assert ax.get_ylim()[0] > ax.get_ylim()[1]  # place 0 is the upper one
        segments = ax.collections[0].get_segments()
        np.testing.assert_allclose([s[:, 0] for s in segments], [[0.39, 0.42], [0.19, 0.22]])
        assert [text.get_text() for text in ax.texts] == ["0.400", "0.200"]
        assert "strong has the highest mean, weak the lowest" in ax.get_title()

    def test_says_what_is_missing(self) -> None:
        with pytest.raises(ValueError, match="weak has no 'map@3' among"):
            plots.forest(SUMMARIES, metric="map@3")


class TestLorenz:
    def test_curves_are_cumulative_shares(self) -> None:
        ax = plots.lorenz(LISTS, 6)
        [even] = [line for label, line in lines(ax).items() if label.startswith("even")]
        np.testing.assert_allclose(even.get_ydata(), 100 * np.array([0, 0, 0, 1, 2, 4, 6]) / 6)
        assert ax.get_title() == "Half of popular's recommendations come from 1 of 6 items"

    def test_the_legend_gives_the_gini_coefficient(self) -> None:
        assert f"even ({metrics.gini(LISTS['even'], 6):.2f})" in lines(plots.lorenz(LISTS, 6))

    def test_says_what_is_missing(self) -> None:
        with pytest.raises(ValueError, match="the lists of m hold no item"):
            plots.lorenz({"m": [[-1, -1]]}, 3)


class TestEmbeddingMap:
    def test_is_the_plane_of_the_first_principal_components(self) -> None:
        ax = plots.embedding_map(VECTORS)
        pca = PCA(2).fit(VECTORS)
        drawn = np.concatenate([np.asarray(c.get_offsets()) for c in ax.collections])
        drawn = drawn[: len(VECTORS)]
        np.testing.assert_allclose(np.abs(drawn), np.abs(pca.transform(VECTORS)), atol=1e-9)
        assert (drawn.max(axis=0) >= -drawn.min(axis=0)).all()
        assert f"({100 * pca.explained_variance_ratio_[0]:.0f} %" in ax.get_xlabel()

    def test_small_groups_are_other(self) -> None:
        groups = [*"aabbccddeeff", *"g" * 17, "h"]
        ax = plots.embedding_map(VECTORS, groups=groups)
        sizes = {c.get_label(): len(c.get_offsets()) for c in ax.collections}
        assert sizes["g"] == 17 and sizes["other"] == 3 and "h" not in sizes

    @pytest.mark.parametrize("words", [1, 25], ids=["short", "of a hundred characters"])
    def test_labels_stand_inside_and_apart(self, words: int) -> None:
        close = {code: f"{'text ' * words}{code}" for code in range(5)}
        ax = plots.embedding_map(np.vstack([VECTORS[:5] / 50, VECTORS]), labels=close)
        ax.figure.canvas.draw()
        boxes = [text.get_window_extent() for text in ax.texts]
        assert [text.get_text()[-1] for text in ax.texts] == list("01234")
        assert not any(box.count_overlaps(boxes[:i]) for i, box in enumerate(boxes))
        axes = ax.bbox.expanded(1.02, 1.02)
        assert all(axes.containsx(box.x0) and axes.containsx(box.x1) for box in boxes)

    def test_short_labels_are_written_whole(self) -> None:
        ax = plots.embedding_map(VECTORS, labels={0: "Alien", 7: "Indiana Jones and the Last Crusade"})
        assert [text.get_text() for text in ax.texts] == ["Alien", "Indiana Jones and the Last Crusade"]

    def test_the_same_labels_make_the_same_picture_twice(self) -> None:
        pictures = []
        for _ in range(2):
            ax = plots.embedding_map(VECTORS / 50, labels={code: f"text {code}" for code in range(12)})
            ax.figure.canvas.draw()
            pictures.append(np.asarray(ax.figure.canvas.buffer_rgba()))
        assert (pictures[0] == pictures[1]).all()

    def test_titles_with_dollars_are_written_as_they_are(self) -> None:
        ax = plots.embedding_map(VECTORS, labels={0: "Gift card $50, 20% off (was $60)", 1: "A$AP_ & Ke$ha"})
        ax.figure.canvas.draw()
        assert not any(text.get_parse_math() for text in ax.texts)

    def test_says_what_is_missing(self) -> None:
        with pytest.raises(ValueError, match=r"shape \(2, 4\)"):
            plots.embedding_map(VECTORS[:2])
        with pytest.raises(ValueError, match="2 groups for 30 vectors"):
            plots.embedding_map(VECTORS, groups=["a", "b"])
        with pytest.raises(ValueError, match="no vector at position 30; the labels go from 0 to 29"):
            plots.embedding_map(VECTORS, labels={30: "x"})
        with pytest.raises(ValueError, match="a vector holds inf or nan"):
            plots.embedding_map(np.where(VECTORS > 9, np.inf, VECTORS))

    def test_equal_vectors_are_one_spot(self) -> None:
        ax = plots.embedding_map(np.ones((5, 2)), labels={0: "x", 1: "y"})
        ax.figure.canvas.draw()
        assert "0 %" in ax.get_title()

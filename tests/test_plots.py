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
from bpr_helpers.plots import interactions, looks, training
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


SCORES = pd.DataFrame([[0.1, 0.3], [0.4, 0.6], [0.0, 0.1]], ["default", "dim 64", "dim 8"], [0, 1])
TRIALS = pd.DataFrame(
    [(dim, l2, dim / 100 + l2 + seed) for dim in (8, 32) for l2 in (0.1, 0.4) for seed in (0, 0.02)],
    columns=["dim", "l2_user", "ndcg@10"],
)
CURVES = {
    "seed 0": pd.Series([0.2, 0.3, 0.1, 0.2, 0.4], index=[1, 2, 3, 4, 5]),
    "seed 1": pd.Series([0.1, 0.2, 0.3, 0.4, 0.5], index=[1, 2, 3, 4, 5]),
}
PARTS = pd.DataFrame({"validation": [0.1, 0.2, 0.3], "test": [0.2, 0.1, 0.4]}, ["a", "b", "c"])
SUMMARIES = {"weak": summary(0.1, 0.2, 0.7), "strong": summary(0.3, 0.4, 0.9)}

CHANGES = pd.DataFrame(
    {"mean": [0.02, -0.01], "low": [0.01, -0.03], "high": [0.03, 0.01]}, index=["twice as long", "no bias"]
)

DRAWN = pd.DataFrame({"uniform": [1.0, 2.0], "hard": [0.0, 3.0], "mine": [2.0, 2.0]}, index=[1, 2])
CHOICES = pd.DataFrame(
    [[True, False, False], [True, True, False]], ["ann", "bob"], ["Alien", "Brazil", "Cube"]
)
MADE_BY = dict.fromkeys(("interactions", "core", "split", "model", "list", "evaluation"), "01")

FIGURES = {
    "intervals": lambda **kw: plots.intervals({"a": ROWS, "b": ROWS}, xlabel="NDCG", ylabel="age", **kw),
    "simulated": lambda **kw: plots.simulated(range(99), {"low": 2.0, "high": 97.0}, xlabel="mean", **kw),
    "user_differences": lambda **kw: plots.user_differences([0, 0.1, -0.3, 0], **kw),
    "bumps": lambda **kw: plots.bumps({"one way": PLACES, "other": UPSIDE_DOWN}, what="NDCG", **kw),
    "long_tail": lambda **kw: plots.long_tail(INTERACTIONS, threshold=2, **kw),
    "split_timeline": lambda **kw: plots.split_timeline(SPLIT, **kw),
    "split_timeline, order": lambda **kw: plots.split_timeline(SPLIT, scale="order", **kw),
    "learning_curves": lambda **kw: plots.learning_curves(HISTORY, **kw),
    "learning_curves, two": lambda **kw: plots.learning_curves({"a": HISTORY, "b": HISTORY}, **kw),
    "metric_by_k": lambda **kw: plots.metric_by_k(SUMMARIES, **kw),
    "forest": lambda **kw: plots.forest(SUMMARIES, **kw),
    "lines": lambda **kw: plots.lines(DRAWN, xlabel="tenth", ylabel="share", **{"title": "Drawn", **kw}),
    "gains": lambda **kw: plots.gains(CHANGES, xlabel="change", ylabel="gain", **{"title": "Gains", **kw}),
    "differences": lambda **kw: plots.differences(CHANGES, CHANGES - 0.01, **kw),
    "lorenz": lambda **kw: plots.lorenz(LISTS, 6, **kw),
    "trial_dots": lambda **kw: plots.trial_dots(SCORES, **kw),
    "trial_lines": lambda **kw: plots.trial_lines(TRIALS, x="dim", line="l2_user", **kw),
    "stopped_fits": lambda **kw: plots.stopped_fits(CURVES, patience=2, ylabel="NDCG@10", **kw),
    "luck_curves": lambda **kw: plots.luck_curves(
        2.0, [0.5, 1.0], [2.0, 3.0], seeds=(1, 4), winner=(2, 3.0), **kw
    ),
    "agreement": lambda **kw: plots.agreement(PARTS, **kw),
    "embedding_map": lambda **kw: plots.embedding_map(
        VECTORS, groups=list("abc") * 10, labels={3: "x"}, **kw
    ),
    "bars": lambda **kw: plots.bars({"BPR": 0.2, "mine": 0.3}, xlabel="hits", **kw),
    "choices": lambda **kw: plots.choices(CHOICES, **kw),
    "choices, triple": lambda **kw: plots.choices(CHOICES, triple=("ann", "Alien", "Cube"), **kw),
}


ROWS = pd.DataFrame({"mean": [0.1, 0.3], "low": [-0.1, 0.2], "high": [0.2, 0.4]}, index=["old", "new"])
PLACES = pd.DataFrame(
    {"mean": [0.1, 0.3], "place": [2, 1], "low": [1, 1], "high": [2, 2]}, index=["old", "new"]
)
UPSIDE_DOWN = PLACES.assign(place=[1, 2])


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
    used = {style["color"] for style in looks._styles("abcdefg")} | {color for color, _ in training._points}
    assert used <= set(palette)
    assert len({(style["linestyle"], style["marker"]) for style in looks._styles("abcdefg")}) == 7


def test_a_models_look_does_not_depend_on_who_stands_beside_it() -> None:
    every = ["Random", "Popularity", "ItemKNN", "EASE", "IALS", "BPR", "mine"]
    known = dict(zip(every, looks._styles(every), strict=True))
    assert len({look["color"] for look in known.values()}) == 7
    for left_out in every[:-1]:
        names = [name for name in reversed(every) if name not in (left_out, "mine")]
        assert looks._styles(names) == [known[name] for name in names]


def test_beside_models_another_name_has_no_models_color() -> None:
    for models in (["Random", "Popularity", "BPR"], ["EASE"], list(plots.MODEL_COLORS)):
        assert looks._styles([*models, "mine"])[-1]["color"] == plots.SKY


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

    def test_a_linear_axis_begins_at_zero_and_shows_the_same_counts(self) -> None:
        linear, log = (plots.long_tail(INTERACTIONS, scale=scale) for scale in ("linear", "log"))
        assert (linear.get_yscale(), log.get_yscale()) == ("linear", "log")
        assert linear.get_ylim()[0] == 0 and "log" not in linear.get_ylabel() and "log" in log.get_ylabel()
        assert linear.get_title() == log.get_title()

    def test_a_threshold_of_one_is_labeled_above_its_line_and_few_counts_in_plain_numbers(self) -> None:
        ax = plots.long_tail(INTERACTIONS, threshold=1)
        ax.figure.canvas.draw()
        [label] = ax.texts
        assert label.get_va() == "bottom" and label.get_text().startswith("k = 1: 0 of 4")
        written = [text.get_text() for text in ax.yaxis.get_ticklabels(which="both")]
        assert {"1", "2", "3", "4"} <= set(written) and not any("10^" in text for text in written)

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
        assert {name: len(xy) for name, xy in points.items()} == {"training": 3, "validation": 1, "test": 2}
        assert [label.get_text() for label in ax.get_yticklabels()] == ["bob", "ann"]
        assert sorted(points["test"][:, 1].round().tolist()) == [0, 1]
        dates = matplotlib.dates.num2date(points["test"][:, 0])
        assert [date.day for date in dates] == [4, 7]

    @pytest.mark.parametrize("users", [[7], ["7"], [7.0]])
    def test_users_are_found_by_value(self, users: list) -> None:
        ax = plots.split_timeline(Split(part((7, 0), (8, 0)), part(), part((7, 1))), users=users)
        assert [label.get_text() for label in ax.get_yticklabels()] == ["7"]
        assert {c.get_label(): len(c.get_offsets()) for c in ax.collections} == {"training": 1, "test": 1}

    def test_order_spreads_a_history_over_100_percent(self) -> None:
        ax = plots.split_timeline(SPLIT, users=["ann"], scale="order")
        x = {c.get_label(): np.asarray(c.get_offsets())[:, 0].tolist() for c in ax.collections}
        assert x == {"training": [12.5, 37.5], "validation": [62.5], "test": [87.5]}

    @pytest.mark.parametrize(("scale", "begin"), [("time", day(3)), ("order", 87.5)])
    def test_a_bar_stands_where_the_test_part_begins(self, scale: Any, begin: Any) -> None:
        ax = plots.split_timeline(SPLIT, users=["bob", "ann"], scale=scale)
        bars = {round(sum(line.get_ydata()) / 2): line.get_xdata()[0] for line in ax.get_lines()}
        assert len(bars) == 2 and bars[1] == begin  # ann's line is the second

    def test_one_moment_for_all_is_one_line(self) -> None:
        [line] = plots.split_timeline(SPLIT, moment=day(4)).get_lines()
        assert list(line.get_xdata()) == [day(4), day(4)] and list(line.get_ydata()) == [0, 1]

    def test_parts_get_darker_with_time(self) -> None:
        colors = [matplotlib.colors.to_rgb(style[1]) for style in interactions._part_styles.values()]
        lightness = [float(np.dot(color, [0.3, 0.6, 0.1])) for color in colors]
        assert lightness == sorted(lightness, reverse=True)

    def test_users_around_a_moment_left_stayed_or_came(self) -> None:
        train = part(("left", 0), ("left", 1), ("gone", 0), ("gone", 3), ("both", 2))
        around = Split(train, part(("both", 4)), part(("both", 6), ("new", 6), ("new", 7), ("brief", 7)))
        assert plots.users_around(around) == ["gone", "both", "new"]
        assert plots.users_around(Split(part((1, 0)), part(), part((2, 1)))) == [1, 2]

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


class TestIntervals:
    def test_every_row_has_a_mark_and_an_interval_of_each_table(self) -> None:
        ax = plots.intervals({"a": ROWS, "b": ROWS + 0.5}, xlabel="NDCG")
        drawn = [line.get_xdata() for line in ax.get_lines()]
        assert [x.tolist() for x in drawn if len(x) == 2][:2] == [[-0.1, 0.2], [0.2, 0.4]]
        assert [x.item() for x in drawn if len(x) == 1] == pytest.approx([0.1, 0.3, 0.6, 0.8])
        assert [label.get_text() for label in ax.get_yticklabels()] == ["old", "new"]
        assert ax.get_ylim()[0] > ax.get_ylim()[1] and ax.get_title() == "new has the highest mean (b)"

    def test_zero_is_marked_and_counted_against(self) -> None:
        ax = plots.intervals({"a": ROWS}, xlabel="difference", zero=True)
        assert ax.get_title() == "Zero lies in 1 of 2 intervals" and ax.get_xlim()[0] < 0
        assert ax.get_legend() is None

    def test_models_have_their_colors_as_series_and_as_rows(self) -> None:
        as_series = plots.intervals({"BPR": ROWS, "EASE": ROWS}, xlabel="NDCG")
        colors = {label: line.get_color() for label, line in lines(as_series).items()}
        assert colors == {name: plots.MODEL_COLORS[name] for name in ("BPR", "EASE")}
        as_rows = plots.intervals({"a": ROWS.set_axis(["BPR", "EASE"])}, xlabel="NDCG")
        points = [line.get_color() for line in as_rows.get_lines() if len(line.get_xdata()) == 1]
        assert points == list(colors.values())

    def test_the_legend_names_the_series_unless_told_not_to(self) -> None:
        both = {"a": ROWS, "b": ROWS}
        assert plots.intervals(both, xlabel="NDCG").get_legend() is not None
        assert plots.intervals(both, xlabel="NDCG", legend=False).get_legend() is None

    def test_a_missing_row_is_left_out(self) -> None:
        ax = plots.intervals({"a": ROWS, "b": ROWS.head(1)}, xlabel="NDCG")
        assert (
            sum(np.isfinite(line.get_xdata()).all() for line in ax.get_lines() if len(line.get_xdata()) == 1)
            == 3
        )
        with pytest.raises(ValueError, match="intervals: no model was given"):
            plots.intervals({}, xlabel="NDCG")


class TestSimulated:
    def test_the_title_counts_what_lies_between_the_marks(self) -> None:
        ax = plots.simulated(range(100), {"low": 5.0, "mean": 50.0, "high": 94.0}, xlabel="mean")
        assert ax.get_title() == "90 % of the 100 lie between the marks"
        assert list(lines(ax)) == ["low 5.000", "mean 50.000", "high 94.000"]
        assert sum(bar.get_height() for bar in ax.patches) == 100
        with pytest.raises(ValueError, match="no number to draw"):
            plots.simulated([], {"low": 1.0}, xlabel="mean")


class TestUserDifferences:
    def test_ties_have_their_own_bar(self) -> None:
        ax = plots.user_differences([0.0, 0.0, 0.0, 0.02, -0.02, 1.0])
        heights = {bar.get_width(): bar.get_height() for bar in ax.patches if bar.get_height()}
        assert heights[0.016] == 3 and sum(bar.get_height() for bar in ax.patches) == 6
        assert ax.get_title() == "For 3 of 6 users it makes no difference"
        assert list(lines(ax)) == ["mean +0.167"]
        with pytest.raises(ValueError, match="no user to draw"):
            plots.user_differences([])


class TestBumps:
    def test_places_and_their_intervals(self) -> None:
        ax = plots.bumps({"one way": PLACES, "other": UPSIDE_DOWN}, what="NDCG")
        assert {name: line.get_ydata().tolist() for name, line in lines(ax).items()} == {
            "new": [1, 2],
            "old": [2, 1],
        }
        assert plots.bumps({"a": PLACES}, what="x").get_title().startswith("Judged in one way")
        assert [np.ptp(segment[:, 1]) for bar in ax.collections for segment in bar.get_segments()] == [1] * 4
        assert ax.get_title() == "0 of 2 models keep their place however they are judged"
        assert plots.bumps({"a": PLACES, "b": PLACES}, what="x").get_title().startswith("2 of 2 models")
        assert {"0.100", "0.300", "old", "new"} == {text.get_text() for text in ax.texts}

    def test_texts_of_equal_models_stand_apart(self) -> None:
        ax = plots.bumps({"a": PLACES.assign(place=1.5)}, what="x")
        assert sorted(text.get_position()[1] for text in ax.texts) == [1, 1, 2, 2]


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


class TestLines:
    def test_a_sampler_looks_the_same_whoever_stands_beside_it(self) -> None:
        labels = {"xlabel": "x", "ylabel": "y", "title": "t"}
        both, alone = plots.lines(DRAWN, **labels), plots.lines(DRAWN[["hard"]], **labels)
        (hard,) = alone.get_lines()
        assert hard.get_color() == lines(both)["hard"].get_color() != lines(both)["uniform"].get_color()
        np.testing.assert_allclose(lines(both)["hard"].get_ydata(), [0, 3])
        assert both.get_legend() and not alone.get_legend()


class TestGains:
    def test_points_stand_where_they_are_put_with_their_names(self) -> None:
        labels = {"xlabel": "x", "ylabel": "y", "title": "t"}
        for x, places in ((None, [0, 1]), ([2.0, 5.0], [2, 5])):
            ax = plots.gains(CHANGES, x=x, **labels)
            segments = ax.collections[0].get_segments()
            np.testing.assert_allclose([s[0, 0] for s in segments], places)
            np.testing.assert_allclose([s[:, 1] for s in segments], CHANGES[["low", "high"]])
            named = ax.texts if x else ax.get_xticklabels()
            assert [text.get_text() for text in named] == ["twice as long", "no bias"]


class TestDifferences:
    def test_changes_stand_in_their_order_with_both_intervals(self) -> None:
        ax = plots.differences(CHANGES, CHANGES.iloc[::-1] * 2)
        assert [label.get_text() for label in ax.get_yticklabels()] == ["twice as long", "no bias"]
        assert ax.get_ylim()[0] > ax.get_ylim()[1]  # place 0 is the upper one
        over_users, over_seeds = (bars.get_segments() for bars in ax.collections[:2])
        np.testing.assert_allclose([s[:, 0] for s in over_seeds], [[0.01, 0.03], [-0.03, 0.01]])
        np.testing.assert_allclose([s[:, 0] for s in over_users], [[0.02, 0.06], [-0.06, 0.02]])
        assert [text.get_text() for text in ax.texts] == ["+0.020", "-0.010"]

    def test_what_may_be_luck_is_hollow(self) -> None:
        ax = plots.differences(CHANGES)
        assert "1 of 2 changes" in ax.get_title()
        assert (ax.collections[-1].get_facecolor() == 1).all(axis=1).tolist() == [False, True]

    def test_says_that_nothing_was_given(self) -> None:
        with pytest.raises(ValueError, match="no change to draw"):
            plots.differences(CHANGES.head(0))


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


class TestSideBySide:
    def test_a_panel_per_column_and_one_legend(self) -> None:
        panels = plots.side_by_side({"a": HISTORY, "b": HISTORY}, {"loss": "L", "valid_ndcg@10": "N"}, "both")
        assert [ax.get_title() for ax in panels] == ["L", "N"]
        assert [ax.get_legend() is None for ax in panels] == [True, False]
        assert panels[0].figure.get_suptitle() == "both"


class TestLossAndPush:
    def test_the_push_is_how_steeply_the_loss_falls(self) -> None:
        loss, push = (line.get_data() for line in plots.loss_and_push().get_lines())
        np.testing.assert_allclose(-np.gradient(loss[1], loss[0])[1:-1], push[1][1:-1], atol=1e-3)


class TestTwoTastes:
    def test_a_panel_per_epoch_with_users_and_items_in_their_colors(self) -> None:
        frames = {epoch: (VECTORS[:4, :2] + epoch, VECTORS[4:8, :2]) for epoch in range(3)}
        panels = plots.two_tastes(frames, np.array([0, 0, 1, 1]), (0, 2))
        users, items = panels[1].collections
        np.testing.assert_allclose(users.get_offsets(), VECTORS[:4, :2] + 2)
        np.testing.assert_allclose(items.get_offsets(), VECTORS[4:8, :2])
        assert len(np.unique(users.get_facecolor(), axis=0)) == 2


class TestInSteps:
    def test_steps_are_in_order_and_hold_about_equally_many(self) -> None:
        steps = plots.in_steps([1999, 1950, 1960, 1970, np.nan, 1980, 1990], n=3)
        assert list(steps.categories) == ["1950-1960", "1970-1980", "1990-1999"]
        assert steps.ordered and steps.codes.tolist() == [2, 0, 0, 1, -1, 1, 2]

    def test_equal_values_make_fewer_steps(self) -> None:
        assert list(plots.in_steps([7, 7, 7], n=5).categories) in ([], ["7"])


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

    def test_ordered_groups_go_from_light_to_dark_in_their_order(self) -> None:
        years = pd.Categorical([*"cab" * 9, None, None, None], categories=list("abc"), ordered=True)
        ax = plots.embedding_map(VECTORS, groups=years)
        drawn = {c.get_label(): c.get_facecolor()[0, :3] for c in ax.collections}
        assert list(drawn) == ["other", "a", "b", "c"]
        lightness = [drawn[step] @ (0.3, 0.59, 0.11) for step in "abc"]
        assert lightness == sorted(lightness, reverse=True)

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


class TestPipeline:
    def test_names_each_step_with_its_maker_from_left_to_right(self) -> None:
        ax = plots.pipeline(MADE_BY | {"evaluation": "04"}, loop="again")
        ax.figure.canvas.draw()
        places = {text.get_text(): text.get_position()[0] for text in ax.texts}
        steps = sorted(MADE_BY, key=lambda name: places[name])
        assert steps == ["interactions", "core", "split", "model", "list", "evaluation"]
        assert places["list"] < places["04"] < places["evaluation"]
        assert places["model"] < places["again"] < places["evaluation"]
        assert ax.get_title()

    def test_its_hidden_label_tells_the_steps_in_order(self) -> None:
        told = plots.pipeline({name: f"0{n}" for n, name in enumerate(MADE_BY)}).get_xlabel()
        assert told.startswith("interactions (00): who chose what; then core (01)")
        assert told.endswith("evaluation (05): how good, and how sure")

    def test_draws_on_the_axes_it_is_given_without_ticks(self) -> None:
        _, ax = plt.subplots()
        assert plots.pipeline(MADE_BY, title="Look here", ax=ax) is ax
        assert not ax.axison and ax.get_title() == "Look here"

    def test_says_which_steps_there_are(self) -> None:
        with pytest.raises(ValueError, match=r"give each of .*'split'"):
            plots.pipeline({"core": "01"})


class TestCorner:
    def test_takes_the_best_known_items_that_not_everybody_has(self) -> None:
        rows = [(1, "a"), (1, "b"), (2, "a"), (2, "c"), (3, "a"), (3, "b"), (3, "d"), (3, "e")]
        table = plots.corner(pd.DataFrame(rows, columns=["user_id", "item_id"]), n_items=3)
        assert set(table.columns) == {"b", "c", "d"}  # everybody has a; of equals the first ids are taken
        assert table.loc[3].to_dict() == {"b": True, "c": False, "d": True}

    def test_takes_users_who_have_some_items_and_lack_others(self) -> None:
        rows = [(user, item) for user in range(20) for item in range(user % 11)]
        table = plots.corner(pd.DataFrame(rows, columns=["user_id", "item_id"]), n_users=5)
        assert table.shape == (5, 9)  # nine, since all those who have anything have item 0
        assert table.sum(axis=1).between(3, 6).all()
        few = plots.corner(
            pd.DataFrame(rows, columns=["user_id", "item_id"]).query("user_id in [1, 3, 9, 10]")
        )
        assert few.sum(axis=1).between(1, few.shape[1] - 1).all()

    def test_names_items_and_keeps_names_apart(self) -> None:
        items = pd.DataFrame({"item_id": ["a", "b", "c"], "title": ["Emma", "Emma", "Cube"]})
        one_each = pd.DataFrame({"user_id": [1, 2, 3, 4], "item_id": list("abcd")})
        assert set(plots.corner(one_each, items).columns) == {"Emma (a)", "Emma (b)", "Cube", "d"}
        assert set(plots.corner(one_each, items.head(0)).columns) == {*"abcd"}

    def test_puts_what_is_alike_together_whatever_the_order_of_rows(self) -> None:
        tastes = [(user, item) for user in range(8) for item in range(6) if user % 2 == item % 2]
        rows = pd.DataFrame(tastes, columns=["user_id", "item_id"])
        table = plots.corner(rows)
        assert {tuple(table.index[:4] % 2), tuple(table.index[4:] % 2)} == {(0,) * 4, (1,) * 4}
        halves = [set(table.columns[:3].astype(int) % 2), set(table.columns[3:].astype(int) % 2)]
        assert halves in ([{0}, {1}], [{1}, {0}])
        assert plots.corner(rows.sample(frac=1, random_state=0)).equals(table)

    @pytest.mark.parametrize("rows", [[(1, "a")], [(1, "a"), (2, "a")], [(1, "a"), (1, "b")]])
    def test_does_with_very_little(self, rows: list) -> None:
        table = plots.corner(pd.DataFrame(rows, columns=["user_id", "item_id"]))
        assert table.to_numpy().sum() == len(rows)
        plots.choices(table).figure.canvas.draw()

    def test_says_that_there_is_nothing(self) -> None:
        with pytest.raises(ValueError, match="no interaction"):
            plots.corner(INTERACTIONS.head(0))


class TestChoices:
    def test_fills_the_cells_that_were_chosen(self) -> None:
        filled = [patch.get_facecolor() for patch in plots.choices(CHOICES).patches]
        blue = matplotlib.colors.to_rgba(plots.BLUE)
        assert [color == blue for color in filled] == CHOICES.to_numpy().ravel().tolist()

    def test_title_counts_the_cells_or_tells_the_triple(self) -> None:
        assert plots.choices(CHOICES).get_title() == "2 users and 3 items: 3 of 6 cells are filled"
        ax = plots.choices(CHOICES, triple=("bob", "Brazil", "Cube"))
        assert ax.get_title() == "One triple: user bob chose Brazil, and not Cube"
        assert {text.get_text(): text.get_position() for text in ax.texts} == {"i": (1, 1), "j": (2, 1)}

    def test_says_what_is_not_there(self) -> None:
        with pytest.raises(ValueError, match="not in the table"):
            plots.choices(CHOICES, triple=("ann", "Alien", "Dune"))
        with pytest.raises(ValueError, match="no cell"):
            plots.choices(CHOICES.head(0))


class TestBars:
    def test_the_largest_is_on_top_in_its_models_color(self) -> None:
        ax = plots.bars({"BPR": 0.3, "Random": 0.1, "mine": 0.2}, xlabel="hits")
        assert [label.get_text() for label in ax.get_yticklabels()] == ["Random", "mine", "BPR"]
        assert [bar.get_width() for bar in ax.patches] == [0.1, 0.2, 0.3]
        assert matplotlib.colors.to_hex(ax.patches[2].get_facecolor()).upper() == plots.MODEL_COLORS["BPR"]
        assert ax.get_title() == "BPR has the most: 0.30"

    def test_says_that_there_is_nobody(self) -> None:
        with pytest.raises(ValueError, match="no model"):
            plots.bars({}, xlabel="hits")


class TestTrialDots:
    def test_a_dot_per_trial_in_rows_by_their_mean(self) -> None:
        ax = plots.trial_dots(SCORES)
        assert [label.get_text() for label in ax.get_yticklabels()] == ["dim 64", "default", "dim 8"]
        *rows, means = [np.asarray(found.get_offsets()) for found in ax.collections]
        np.testing.assert_allclose(rows[0], [[0.4, 0], [0.6, 0]])
        np.testing.assert_allclose(means, [[0.5, 0], [0.2, 1], [0.05, 2]])
        assert ax.get_title() == "1 of 2 have a higher mean than default"

    def test_the_marked_row_is_filled_and_its_mean_a_line(self) -> None:
        ax = plots.trial_dots(SCORES, marked="dim 8")
        filled = [len(found.get_facecolors()) > 0 for found in ax.collections[:-1]]
        assert filled == [False, False, True]
        assert ax.get_lines()[0].get_xdata() == pytest.approx([0.05, 0.05])

    def test_says_what_is_missing(self) -> None:
        with pytest.raises(ValueError, match="no configuration 'dim 7' among"):
            plots.trial_dots(SCORES, marked="dim 7")


class TestTrialLines:
    def test_lines_go_through_the_means_and_every_trial_is_there(self) -> None:
        ax = plots.trial_lines(TRIALS, x="dim", line="l2_user")
        np.testing.assert_allclose(lines(ax)["0.1"].get_xydata(), [[8, 0.19], [32, 0.43]])
        assert [len(found.get_offsets()) for found in ax.collections] == [4, 4]
        assert ax.get_title() == "From dim 8 to 32: +0.240 on average"

    def test_a_larger_value_is_darker(self) -> None:
        found = [matplotlib.colors.to_rgb(color) for color in plots.shades(4)]
        assert sorted(found, key=sum, reverse=True) == found and len(set(found)) == 4

    def test_says_what_is_missing(self) -> None:
        with pytest.raises(ValueError, match="there is no trial"):
            plots.trial_lines(TRIALS.iloc[:0], x="dim", line="l2_user")


class TestStoppedFits:
    def test_a_line_is_solid_until_patience_ends(self) -> None:
        solid = lines(plots.stopped_fits(CURVES, patience=2, ylabel="NDCG@10"))
        assert solid["seed 0"].get_xdata().tolist() == [1, 2, 3, 4]
        assert solid["seed 1"].get_xdata().tolist() == [1, 2, 3, 4, 5]

    def test_the_title_tells_the_epochs(self) -> None:
        title = plots.stopped_fits(CURVES, patience=1, ylabel="NDCG@10").get_title()
        assert title == "Patience would end seed 0 after epoch 3 and seed 1 after epoch 5"

    def test_says_what_is_missing(self) -> None:
        with pytest.raises(ValueError, match="stopped_fits: no model was given"):
            plots.stopped_fits({}, patience=1, ylabel="NDCG@10")


class TestLuckCurves:
    def test_more_seeds_make_the_lead_smaller_by_their_root(self) -> None:
        ax = plots.luck_curves(2.0, [0.5, 1.0], [2.0, 3.0], seeds=(1, 4), winner=(2, 3.0))
        drawn = [line.get_ydata().tolist() for line in ax.get_lines()]
        assert drawn == [[1.0, 2.0], [4.0, 6.0], [0.5, 1.0], [2.0, 3.0], [3.0]]
        assert [text.get_text() for text in ax.texts] == ["1 seed each", "4 seeds each", "our winner"]


class TestAgreement:
    def test_a_point_per_model_and_the_correlation_of_ranks(self) -> None:
        ax = plots.agreement(PARTS)
        assert {name: line.get_xydata()[0].tolist() for name, line in lines(ax).items()} == {
            "a": [0.1, 0.2],
            "b": [0.2, 0.1],
            "c": [0.3, 0.4],
        }
        assert ax.get_title().endswith("Rank correlation 0.50")

    def test_says_what_is_missing(self) -> None:
        with pytest.raises(ValueError, match=r"shape \(3, 1\)"):
            plots.agreement(PARTS[["test"]])


def test_a_task_stream_has_a_row_per_worker_and_a_bar_per_task():
    tasks = pd.DataFrame({"worker": list("bab"), "kind": ["read", "read", "split"], "start": [0.0, 1, 2]})
    ax = plots.task_stream(tasks.assign(stop=tasks["start"] + 1))
    bars = [(bar.get_x(), round(bar.get_y() + bar.get_height() / 2)) for bar in ax.patches]
    assert sorted(bars) == [(0.0, 1), (1.0, 0), (2.0, 1)]
    assert ax.get_title() == "3 tasks on 2 workers, which were busy 50% of the time"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["read", "split"]

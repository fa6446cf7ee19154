"""The explorer shows what the package's functions give, for users and newcomers, with a kernel or without."""

import numpy as np
import pandas as pd
import pytest

from bpr_helpers import BPR, EASE, Popularity, because_you_liked, recommend, rerank, similar_items
from bpr_helpers.course import explorer
from bpr_helpers.course.explorer import Shelf, explore
from bpr_helpers.synthetic import small_synthetic


@pytest.fixture(scope="module")
def world():
    rows, _ = small_synthetic()
    rows = rows[rows["user_id"] < 120]
    items = pd.DataFrame({"item_id": np.sort(rows["item_id"].unique())})
    items["title"] = [f"Film {i} & <friends>" for i in items["item_id"]]
    models = {"BPR": BPR(dim=8, epochs=2, recency=3.0).fit(rows), "EASE": EASE().fit(rows)}
    return models | {"Popularity": Popularity().fit(rows)}, rows, items.iloc[1:]  # the first has no title


@pytest.fixture
def shelf(world):
    return Shelf(*world)


@pytest.fixture
def window(world):
    return explore(*world)


USUAL = {"n": 5, "recency": 3.0, "popularity": 0.0}


def test_a_list_is_that_of_recommend_for_the_same_history(shelf, world):
    models, rows, _ = world
    found = shelf.shown("BPR", shelf.history("7"), **USUAL)
    served = models["BPR"].fold_in(rows[rows["user_id"] == 7])
    assert found["item_id"].tolist() == recommend(served, 7, n=5)["item_id"].tolist()
    first = because_you_liked(served, 7, found["item_id"].iloc[0], n=1)["item_id"].iloc[0]
    assert found["because"].iloc[0] == shelf.titles[first]


def test_recency_and_popularity_reach_the_list(shelf, world):
    models, rows, _ = world
    history = shelf.history("7")
    served = models["BPR"].with_recency(0).fold_in(rows[rows["user_id"] == 7])
    found = shelf.shown("BPR", history, n=5, recency=0.0, popularity=0.7)
    expected = rerank(served, 7, n=5, diversity=0.0, popularity=0.7)["item_id"]
    assert found["item_id"].tolist() == expected.tolist()
    assert models["BPR"].recency == 3.0, "the models stay as they are"


def test_a_model_that_compares_no_items_gives_no_reason_and_no_neighbours(shelf):
    assert set(shelf.shown("Popularity", shelf.history("7"), **USUAL)["because"]) == {""}
    assert shelf.near("Popularity", shelf.matrix.item_ids[0]).empty


def test_a_history_has_the_latest_first(shelf):
    assert shelf.history("7")["timestamp"].is_monotonic_decreasing


def test_users_are_found_by_the_beginning_of_their_id_and_items_by_a_part_of_their_title(shelf):
    assert shelf.users("11") == sorted(u for u in map(str, shelf.matrix.user_ids) if u.startswith("11"))
    assert shelf.users("none") == []
    assert {title for title, _ in shelf.search("fIlM")} and shelf.search("no such film") == []


def test_an_item_without_a_title_shows_its_id(shelf):
    first = shelf.matrix.item_ids[0]
    assert shelf.titles[first] == str(first)


def test_neighbours_are_those_of_similar_items(shelf, world):
    item = shelf.matrix.item_ids[3]
    assert (
        shelf.near("EASE", item)["item_id"].tolist()
        == similar_items(world[0]["EASE"], item, n=8)["item_id"].tolist()
    )


def test_the_map_holds_the_item_and_the_plane_where_vectors_spread_most(shelf, world):
    rare = shelf.matrix.item_ids[world[0]["BPR"].item_counts.argmin()]
    codes, places = shelf.map(rare)
    assert shelf.matrix.item_codes([rare])[0] in codes and places.shape == (len(codes), 2)
    assert Shelf({"EASE": world[0]["EASE"]}, *world[1:]).map() is None


def test_a_change_of_a_control_changes_what_is_shown(window):
    before = window.lists.value
    window.user.value = "11"
    assert window.lists.value != before and "User 11 chose" in window.lists.value
    window.n.value = 3
    assert all(len(titles) <= 3 for titles in window.now.values())
    near = window.around.value
    window.item.value = window.item.options[4]
    assert window.around.value != near


def test_a_star_marks_what_only_one_of_two_models_shows(window):
    window.other.value = "Popularity"
    lists = [{*titles} for name, titles in window.now.items() if name.endswith("lists")]
    assert window.lists.value.count("★</b>") == len(lists[0] ^ lists[1]) > 0


def test_a_newcomer_is_built_from_picks_and_left_again(window, world):
    window.item.value = window.item.options[1]
    item = window.what
    window.pick.click()
    assert "The newcomer chose" in window.lists.value
    rows = pd.DataFrame({"user_id": ["x"], "item_id": [item], "timestamp": [pd.Timestamp(0)]})
    expected = recommend(world[0]["BPR"].fold_in(rows), "x")["item_id"].map(window.shelf.titles).tolist()
    assert window.now["BPR lists"] == expected
    window.clear.click()
    assert "newcomer" not in window.lists.value


def test_a_search_without_a_hit_keeps_the_choice_and_says_so(window):
    shown, near = window.lists.value, window.around.value
    window.user.value = "<nobody>"
    assert window.note.value == "No user's id begins with &lt;nobody&gt;."
    window.user.value = ""
    assert window.note.value == "" and len(window.user.options) > 1
    window.item.value = "no such film"
    assert window.note.value == "No title contains no such film."
    assert (window.lists.value, window.around.value) == (shown, near)


def test_a_name_that_is_no_model_shows_the_first(window):
    window.model.value = "EA"
    assert [*window.now][1:] == ["BPR lists"]
    window.model.value = "EASE"
    assert [*window.now][1:] == ["EASE lists"]


def test_equal_titles_are_told_apart_by_their_ids(world):
    models, rows, items = world
    found = Shelf(models, rows, items.assign(title="Same")).search("Same")
    assert len({title for title, _ in found}) == len(found) > 1 and found[0][0].startswith("Same #")


def test_titles_are_escaped_and_long_ones_are_shortened(world):
    models, rows, items = world
    long = items.assign(title="<script>" + "very " * 30 + items["item_id"].astype(str))
    window = explore(models, rows, long)
    assert "<script>" not in window.lists.value + window.around.value
    assert max(map(len, window.still()[0].to_numpy().ravel())) <= 46


def test_every_control_has_a_label(window):
    controls = [one for box in window.children[0].children for one in box.children]
    assert len(controls) == 9 and all(control.description for control in controls)


@pytest.fixture
def displayed(monkeypatch):
    shown = []
    monkeypatch.setattr(explorer, "display", lambda thing, **how: shown.append(thing))
    return shown


def test_without_a_kernel_a_table_and_a_picture_stand_there(window, displayed, monkeypatch):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    window._ipython_display_()
    assert [type(thing).__name__ for thing in displayed] == ["DataFrame", "Figure"]
    assert displayed[0].shape[0] == 10 and "chose" in displayed[0].columns[0]


def test_beside_the_widget_a_page_without_kernel_finds_the_same(window, displayed, monkeypatch):
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    window._ipython_display_()
    (bundle,) = displayed
    assert bundle[explorer.VIEW]["model_id"] == window.model_id
    assert "<table" in bundle["text/html"] and "alt=" in bundle["text/html"]


def test_what_cannot_be_explored_is_said_in_a_sentence(world):
    models, rows, items = world
    with pytest.raises(ValueError, match="There is no model to explore"):
        explore({}, rows, items)
    with pytest.raises(ValueError, match="EASE is not fitted"):
        explore({"EASE": EASE()}, rows, items)
    few = EASE().fit(rows[rows["item_id"] < 30])
    with pytest.raises(ValueError, match="few knows other items than the first model"):
        explore({"BPR": models["BPR"], "few": few}, rows, items)

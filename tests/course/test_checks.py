"""Checks of exercises accept right answers in any form, catch plausible wrong ones, and break on nothing."""

import itertools
import math
import re
import sys
from fractions import Fraction
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from later_answers import LATER_SECRETS, later_right, later_wrong

from bpr_helpers import (
    ItemKNN,
    Popularity,
    k_core,
    load_interactions,
    load_items,
    plots,
    recommend,
    split_per_user,
    split_report,
)
from bpr_helpers.course import checks

ALL = {name: check for named in checks.EXERCISES.values() for name, check in named.items()}
DATA = {  # what a check is given beside the answer
    "start_1": ["corner"],
    "start_2": ["corner"],
    "start_3": ["model", "popular", "users"],
    "kcore_1": ["liked"],
    "split_4": ["core"],
    "evaluation_5": ["whole", "latest"],
}
SECRETS = {"start_1": "6", "kcore_1": "53", "split_3": "47|48|0.4", "split_4": "910"} | LATER_SECRETS


@pytest.fixture(scope="module")
def world(core):
    split, without_valid = split_per_user(core, valid_fraction=0.1), split_per_user(core)
    return SimpleNamespace(
        core=core,
        liked=load_interactions().query("rating >= 4"),
        corner=plots.corner(core, load_items(), n_users=14, n_items=12),
        model=ItemKNN().fit(split.train),
        popular=Popularity().fit(split.train),
        users=(361, 527),
        whole=ItemKNN().fit(without_valid.train),
        latest=without_valid.test,
    )


def judge(name, answer, world):
    answers = answer if name == "start_3" else (answer,)
    return ALL[name](*answers, *(getattr(world, one) for one in DATA.get(name, ())))


def one_pass(rows, user_k, item_k):
    per_user = rows.groupby("user_id")["item_id"].transform("size")
    per_item = rows.groupby("item_id")["user_id"].transform("size")
    return rows[(per_user >= user_k) & (per_item >= item_k)]


def repeated(step):
    def function(rows, user_k, item_k):
        while len(shorter := step(rows, user_k, item_k)) < len(rows):
            rows = shorter
        return rows

    return function


def pruned(form):
    return lambda rows, user_k, item_k: form(k_core(rows, user_k=user_k, item_k=item_k).interactions)


def worst_user_only(rows, user_k, item_k):
    n_rows = rows["user_id"].map(rows["user_id"].value_counts())
    return rows[n_rows > n_rows.min()] if n_rows.min() < user_k else rows


def latest(rows, fraction):
    size = min(math.ceil(Fraction(fraction) * len(rows)), len(rows) - 1)
    return rows.sort_values("timestamp")[len(rows) - size :]


def cut(size, order=lambda rows: rows.sort_values("timestamp")):
    """A split of one person with sizes of another kind, or another order."""
    return lambda rows, fraction: order(rows).tail(size(len(rows), fraction))


def right_size(n, fraction):
    return min(math.ceil(Fraction(fraction) * n), n - 1)


def chain(n):
    """Rows of users and items in a line."""
    return [((step + 1) // 2, f"i{step // 2}") for step in range(n)]


FRIENDS = [
    (who, film) for who, films in zip("ABCD", ["xyz", "yzw", "zwx", "wxy"], strict=True) for film in films
]
ARRAY = np.array(chain(12))


def lists(world, model, n=10):
    return [recommend(getattr(world, model), user, n=n)["item_id"].tolist() for user in world.users]


def right(world):
    """Right answers, written in several ways."""
    u = world.corner.sum(axis=1).sub(6).abs().idxmin()
    triple = (int(u), world.corner.loc[u].idxmax(), world.corner.loc[u].idxmin())
    common, popular = ({*a} & {*b} for a, b in (lists(world, "model"), lists(world, "popular")))
    hourly = world.core.assign(timestamp=world.core["timestamp"].dt.floor("h"))
    tied = split_report(split_per_user(hourly)).loc["test", "tied_users"]
    worth = 1 / np.log2(np.arange(2, 12))
    ndcg = worth[[1, 4]].sum() / worth[:3].sum()
    sizes = [0, 1, 1, 2, 3]
    table = pd.DataFrame(FRIENDS, columns=["user_id", "item_id"])
    return {
        "start_1": [
            6,
            6.0,
            np.int8(6),
            np.float32(6),
            np.array(6),
            np.array([6]),
            pd.Series([6]),
            Fraction(6),
        ],
        "start_2": [triple, list(triple), np.array(triple), pd.Series(triple), (np.int16(u), *triple[1:])],
        "start_3": [
            (common, popular),
            (sorted(common), tuple(popular)),
            (np.array([*common], np.int32), pd.Series([*popular], index=[*popular][::-1])),
            (pd.Index([*common]), np.array([*popular], float)),
            (pd.DataFrame({"item_id": [*common]}), {id_: "title" for id_ in popular}),
        ],
        "start_4": ["ade", "A, D, E", ["e", "d", "a"], {"a", "d", "e"}, np.array(["a", "d", "e"])],
        "start_5": [FRIENDS, table, table[::-1], np.array(FRIENDS), [*map(list, FRIENDS)], iter(FRIENDS)],
        "kcore_1": [53, 50.0, np.int64(45), np.float32(62)],
        "kcore_2": [[("Dee", "Brazil")], [["Dee", "Alien"]], np.array([["Dee", "Alien"]])],
        "kcore_3": [chain(12), ARRAY, ARRAY[::-1], map(list, chain(12))],
        "kcore_4": [repeated(one_pass), pruned(lambda rows: rows[::-1].reset_index(drop=True))],
        "kcore_5": ["adf", {"a": True, "b": False, "d": True, "f": 1}, ("f", "d", "a")],
        "split_1": [sizes, tuple(sizes), np.array(sizes, np.uint8), pd.Series(sizes, dtype="float32")],
        "split_2": [
            latest,
            lambda *given: latest(*given)["item_id"],
            lambda *given: [*latest(*given)["item_id"]],
        ],
        "split_3": [
            ndcg,
            np.float32(ndcg),
            round(ndcg, 3),
            np.array([ndcg]),
            Fraction(round(ndcg * 1000), 1000),
        ],
        "split_4": [int(tied), np.int32(tied), float(tied), pd.Series([tied])],
        "split_5": ["falls", " Falls "],
        "split_6": ["acd", "a c d", ["d", "c", "a"]],
    } | later_right()


def wrong(world):
    """Answers that a student may well give."""
    u = world.corner.sum(axis=1).sub(6).abs().idxmin()
    poor = world.corner.sum(axis=1).sub(6).abs().idxmax()
    i, j = world.corner.loc[u].idxmax(), world.corner.loc[u].idxmin()
    (one, two), (first, second) = lists(world, "model"), lists(world, "popular")
    popular = {*first} & {*second}
    hourly = world.core.assign(timestamp=world.core["timestamp"].dt.floor("h"))
    report = split_report(split_per_user(hourly, valid_fraction=0.1))
    by_second = split_report(split_per_user(world.core)).loc["test", "tied_users"]
    worth, ranks = 1 / np.log2(np.arange(2, 12)), np.arange(1, 11)
    longer = lists(world, "model", n=20)
    square = [(u, i) for u in range(4) for i in "abc"]
    return (
        {
            "start_1": [0, 1, 5, 7, 11, 12],
            "start_2": [
                (u, j, i),
                (u, i, i),
                (u, i, "no such film"),
                (10**6, i, j),
                (poor, world.corner.loc[poor].idxmax(), world.corner.loc[poor].idxmin()),
            ],
            "start_3": [
                ({*one} | {*two}, popular),
                (one, popular),
                (popular, popular),
                ([], popular),
                ({*longer[0]} & {*longer[1]}, popular),
                ({*one} & {*two}, first),
                ("Star Wars", popular),
            ],
            "start_4": ["", "abcde", "abde", "ae", "bc", "adez"],
            "start_5": [
                FRIENDS[:11],
                [*FRIENDS, FRIENDS[0]],
                [*FRIENDS, ("E", "x")],
                [("A", i) for i in range(12)],
                [(u, f"{u}{i}") for u in "ABCD" for i in range(3)],
            ],
            "kcore_1": [83, 20, 0, 166, -53],
            "kcore_2": [
                [],
                [("Dee", "Casablanca")],
                [("Dee", "Dune")],
                [("Dee", "alien")],
                [("Ann", "Casablanca")],
                [("Eve", "Alien")],
                [("Dee", "Alien"), ("Ann", "Casablanca")],
            ],
            "kcore_3": [
                chain(10),
                chain(13),
                square,
                [(0, i) for i in range(12)],
                [*chain(11), chain(11)[0]],
                [*chain(11), (0, "i4")],
            ],
            "kcore_4": [
                one_pass,
                repeated(lambda rows, user_k, item_k: one_pass(rows, user_k + 1, item_k + 1)),
                repeated(lambda rows, user_k, item_k: one_pass(rows, item_k, user_k)),
                repeated(lambda rows, user_k, item_k: one_pass(rows, user_k, 1)),
                repeated(worst_user_only),
                lambda rows, user_k, item_k: rows,
                lambda rows, user_k, item_k: None,
                lambda rows, user_k, item_k: rows["user"],
            ],
            "kcore_5": ["a", "abdf", "adef", "acdf", "bce"],
            "split_1": [
                [0, 0, 1, 1, 2],
                [1, 1, 1, 2, 3],
                [0, 0, 1, 1, 3],
                [0.1, 0.2, 1, 1.1, 2.5],
                [0, 1, 1, 2],
            ],
            "split_2": [
                cut(right_size, order=lambda rows: rows),  # the order of the file
                cut(right_size, order=lambda rows: rows.sort_values("timestamp", ascending=False)),
                cut(right_size, order=lambda rows: rows.sort_values("item_id")),
                cut(lambda n, fraction: min(math.ceil(float(fraction) * n), n - 1)),
                cut(lambda n, fraction: round(float(fraction) * n)),
                cut(lambda n, fraction: int(float(fraction) * n)),
                cut(lambda n, fraction: math.ceil(Fraction(fraction) * n)),
                lambda rows, fraction: rows.sort_values("timestamp")[-right_size(len(rows), fraction) :],
            ],
            "split_3": [
                worth[[1, 4]].sum(),  # not normalized
                worth[[1, 4]].sum() / worth[:2].sum(),  # by the best list of those that were found
                worth[[1, 4]].sum() / worth.sum(),  # by ten test items
                (1 / ranks)[[1, 4]].sum() / (1 / ranks)[:3].sum(),  # another discount
                (1 / np.log2(ranks + 2))[[1, 4]].sum() / (1 / np.log2(ranks + 2))[:3].sum(),
                worth[[1, 4]].sum() / 3,
                2 / 3,  # recall
                2 / 10,  # precision
                -0.1,
            ],
            "split_4": [by_second, report.loc["valid", "tied_users"], 943, 0, 0.9],
            "split_5": ["rises", "stays", "up"],
            "split_6": ["abcd", "cd", "acde", "be"],
        }
        | later_wrong()
    )


GARBAGE = {
    "ellipsis": ...,
    "none": None,
    "nan": float("nan"),
    "infinity": float("inf"),
    "a huge number": 10**400,
    "a complex number": 1j,
    "true": True,
    "no text": "",
    "a text": "what?",
    "bytes": b"ab",
    "an object": object(),
    "no list": [],
    "no dict": {},
    "a ragged list": [[1], [2, 3], "x"],
    "a list that holds itself": (lambda own: own.append(own) or own)([]),
    "no array": np.array([]),
    "an array": np.zeros((2, 2, 2)),
    "times": np.array(["2000-01-01"], "datetime64[s]"),
    "no table": pd.DataFrame(),
    "a table": pd.DataFrame({"user_id": [None], "item_id": [pd.NA]}),
    "missing": pd.NA,
    "no Series": pd.Series(dtype=object),
    "endless": itertools.count(),
    "a class": dict,
    "a function": len,
    "a function that fails": lambda *given: 1 / 0,
    "a function that exits": lambda *given: sys.exit(1),
    "a function without end": (lambda f: lambda *given: f(f, *given))(lambda f, *given: f(f, *given)),
    "an error": ValueError("no"),
    "equal to all": mock.ANY,
    "a mock": mock.MagicMock(),
    "broken": type("Broken", (), {"__eq__": lambda a, b: 1 / 0, "__iter__": lambda a: 1 / 0})(),
}


@pytest.mark.parametrize("name", ALL)
def test_right_answers_are_accepted_in_every_form(name, world):
    for answer in right(world)[name]:
        assert repr(judge(name, answer, world)) == "right", answer


@pytest.mark.parametrize("name", ALL)
def test_plausible_wrong_answers_are_caught_with_two_hints(name, world):
    answers = wrong(world)[name]
    assert len(answers) >= 3
    for answer in answers:
        verdict = judge(name, answer, world)
        assert not verdict and len({*verdict.hints}) == 2, answer
        if name in SECRETS:
            assert not re.search(rf"(?<!\d)({SECRETS[name]})", " ".join(verdict.hints))


@pytest.mark.parametrize("name", ["start_1", "kcore_4", "split_2", "split_3", "evaluation_2"])
def test_wrong_answers_get_different_hints(name, world):
    assert len({judge(name, answer, world).hints for answer in wrong(world)[name]}) >= 2


@pytest.mark.parametrize(
    ("name", "n", "said"),
    [
        ("model_3", 0, "a chosen item is among the negatives."),
        ("model_4", 2, "with L2, an item's vector is off."),
        ("evaluation_2", 0, "the recall is off."),
        ("evaluation_2", 5, "the NDCG is off."),
        ("evaluation_3", 0, "the interval is much too wide."),
        ("evaluation_4", 3, "a p-value is never above 1."),
    ],
)
def test_the_hint_names_what_is_wrong(name, n, said, world):
    assert judge(name, wrong(world)[name][n], world).hints[0] == said


@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("name", ALL)
def test_no_check_raises_or_accepts_garbage(name, kind, world):
    answer = (GARBAGE[kind], GARBAGE[kind]) if name == "start_3" else GARBAGE[kind]
    assert repr(judge(name, answer, world)).startswith("not yet: ")


@pytest.mark.parametrize("name", ALL)
def test_no_check_raises_when_it_is_called_in_another_way(name, world):
    answers = right(world)[name][0]
    answers = answers if name == "start_3" else (answers,)
    for wrong_call in ((), (*answers, 1, 2, 3, 4), (*answers, *[object()] * len(DATA.get(name, "x")))):
        assert repr(ALL[name](*wrong_call)).startswith("not yet: ")
    assert repr(ALL[name](nonsense=1)).startswith("not yet: ")


def test_where_there_is_no_answer_the_form_is_the_second_hint(world):
    verdict = checks.start_1(..., world.corner)
    assert verdict.hints == (
        "there is no answer yet.",
        "The answer is a whole number of filled cells, such as `prediction = 1`.",
    )


def test_a_failing_function_is_told_the_kind_of_its_error_alone(world):
    hints = checks.kcore_4(lambda rows, user_k, item_k: rows["user"]).hints
    assert hints[0] == "the function stops with a KeyError."


def test_a_function_cannot_change_the_rows_that_the_check_compares_with():
    def emptying(rows, user_k, item_k):
        kept = k_core(rows, user_k=user_k, item_k=item_k).interactions.copy()
        rows.drop(rows.index, inplace=True)  # noqa: PD002
        return kept

    assert all(checks.kcore_4(emptying) for _ in range(2))


def test_a_verdict_shows_one_hint_and_folds_the_other():
    verdict = checks.Verdict("count <b>again</b>.", "Ann & Bob.")
    assert repr(verdict) == "not yet: count <b>again</b>." and not verdict
    page = verdict._repr_html_()
    assert "&lt;b&gt;again" in page
    assert page.index("count") < page.index("<details>") < page.index("Ann &amp; Bob.")
    assert "<details" not in checks.Verdict()._repr_html_() and checks.Verdict()


def test_an_interrupt_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        checks.kcore_4(mock.Mock(side_effect=KeyboardInterrupt))

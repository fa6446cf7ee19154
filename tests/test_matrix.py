from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import LabelEncoder

from bpr_helpers.matrix import InteractionMatrix, as_matrix, meet, row_codes, same_kind, times_of

IDS = st.one_of(
    st.lists(st.tuples(st.integers(-5, 5), st.integers(-(2**62), 2**62)), max_size=30),
    st.lists(st.tuples(st.text("abä", max_size=2), st.text("xyz", min_size=1, max_size=2)), max_size=30),
)
unhurried = settings(deadline=None)
# How the same ids are stored in one file and in another.
STORED = ["int64", "int32", "uint16", "float64", "Int64", "str", "string", "object", "category"]


def frame(pairs: list) -> pd.DataFrame:
    return pd.DataFrame(pairs, columns=["user_id", "item_id"])


TOY = frame([("bo", 30), ("al", 10), ("bo", 10), ("bo", 30), ("cy", -7)])


def test_toy_by_hand() -> None:
    matrix = InteractionMatrix.from_frame(TOY)
    assert (matrix.n_users, matrix.n_items, matrix.n_dropped) == (3, 3, 0)
    assert matrix.user_ids.tolist() == ["al", "bo", "cy"]
    assert matrix.item_ids.tolist() == [-7, 10, 30]
    assert matrix.csr.toarray().tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 0]]  # the repeated pair counts once
    assert matrix.csr.dtype == np.float32
    assert matrix.user_codes(["cy", "zoe", "al"]).tolist() == [2, -1, 0]
    assert matrix.item_codes(np.array([30, 31])).tolist() == [2, -1]
    assert matrix.user_codes([]).dtype == matrix.item_codes([10]).dtype == np.int64


@unhurried
@given(IDS)
def test_codes_agree_with_a_referee_and_lead_back(pairs: list) -> None:
    interactions = frame(pairs)
    matrix = InteractionMatrix.from_frame(interactions)
    referee = LabelEncoder()
    if pairs:
        codes = referee.fit_transform(interactions["user_id"].to_numpy(dtype=object))
        assert matrix.user_codes(interactions["user_id"]).tolist() == codes.tolist()
    users, items = matrix.csr.nonzero()
    back = set(zip(matrix.user_ids[users].tolist(), matrix.item_ids[items].tolist(), strict=True))
    assert back == set(pairs)
    assert matrix.csr.nnz == len(back)
    for row in range(matrix.n_users):
        indices = matrix.csr.indices[matrix.csr.indptr[row] : matrix.csr.indptr[row + 1]]
        assert (np.diff(indices) > 0).all()


@unhurried
@given(IDS, st.randoms())
def test_independent_of_row_order(pairs: list, random) -> None:
    shuffled = random.sample(pairs, len(pairs))
    one, two = (InteractionMatrix.from_frame(frame(p)) for p in (pairs, shuffled))
    assert one.user_ids.tolist() == two.user_ids.tolist()
    assert (one.csr != two.csr).nnz == 0


def test_huge_ids_need_no_huge_table() -> None:
    matrix = InteractionMatrix.from_frame(frame([(2**62, -(2**62)), (0, 2**61)]))
    assert matrix.csr.shape == (2, 2)


@pytest.mark.parametrize("dtype", ["Int64", "category", "object"])
def test_other_column_types_give_the_same_matrix(dtype: str) -> None:
    plain = frame([(3, "b"), (1, "a"), (3, "a")])
    typed = plain.astype({"user_id": dtype, "item_id": "category"})
    typed["item_id"] = typed["item_id"].cat.reorder_categories(["b", "a"])
    one, two = InteractionMatrix.from_frame(plain), InteractionMatrix.from_frame(typed)
    assert one.user_ids.tolist() == two.user_ids.tolist() == [1, 3]
    assert one.item_ids.tolist() == two.item_ids.tolist() == ["a", "b"]
    assert (one.csr != two.csr).nnz == 0


def test_like_uses_the_other_codes() -> None:
    matrix = InteractionMatrix.from_frame(TOY)
    other = InteractionMatrix.from_frame(frame([("cy", 30)]), like=matrix)
    assert other.csr.toarray().tolist() == [[0, 0, 0], [0, 0, 0], [0, 0, 1]]
    assert other.user_ids is matrix.user_ids


def test_unknown_ids_are_dropped_only_on_request_and_counted() -> None:
    matrix = InteractionMatrix.from_frame(TOY)
    strangers = frame([("cy", 30), ("dan", 30), ("al", 99), ("dan", 99)])
    with pytest.raises(ValueError, match=r"3 of 4 rows .* row 1 \(user_id 'dan'\).*unknown=\"drop\""):
        InteractionMatrix.from_frame(strangers, like=matrix)
    with pytest.raises(ValueError, match=r"row 0 \(item_id 99\)"):
        InteractionMatrix.from_frame(strangers[2:3], like=matrix)
    kept = InteractionMatrix.from_frame(strangers, like=matrix, unknown="drop")
    assert (kept.csr.nnz, kept.n_dropped) == (1, 3)


def test_empty_frame() -> None:
    matrix = InteractionMatrix.from_frame(frame([]))
    assert matrix.csr.shape == (0, 0)
    assert matrix.user_codes([1]).tolist() == [-1]


def test_as_matrix() -> None:
    matrix = as_matrix(TOY)
    assert as_matrix(matrix) is matrix
    assert matrix.n_users == 3


def test_bad_input_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match="no column item_id"):
        InteractionMatrix.from_frame(TOY.rename(columns={"item_id": "movie"}))
    with pytest.raises(ValueError, match="Column user_id has no id in row 1"):
        InteractionMatrix.from_frame(frame([("a", 1), (None, 2)]))
    with pytest.raises(ValueError, match="unknown is 'ignore'"):
        InteractionMatrix.from_frame(TOY, unknown="ignore")


@given(st.sets(st.tuples(st.integers(0, 3), st.integers(0, 4)), min_size=1))
def test_contains_tells_which_pairs_are_there(pairs):
    every = pd.DataFrame([(u, i) for u in range(4) for i in range(5)], columns=["user_id", "item_id"])
    there = pd.DataFrame(list(pairs), columns=["user_id", "item_id"])
    matrix = InteractionMatrix.from_frame(there, like=InteractionMatrix.from_frame(every))
    users, items = np.meshgrid(range(-1, 4), range(-1, 5))
    found = matrix.contains(users.ravel(), items.ravel())
    assert found.tolist() == [pair in pairs for pair in zip(users.ravel(), items.ravel(), strict=True)]


@unhurried
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(5, 9), min_size=1, max_size=8))
def test_row_codes_are_equal_where_ids_are(ids: list) -> None:
    codes = row_codes(pd.Series(ids))
    assert codes.min() >= 0
    assert codes.max() <= 2 * len(ids)
    assert [[a == b for a in ids] for b in ids] == (codes[:, None] == codes).tolist()


def stored(ids: list[int], how: str) -> pd.Series:
    """Whole numbers as a column of some type; a category holds text."""
    whole = pd.Series(ids, dtype="int64")
    return whole.astype(str).astype("category") if how == "category" else whole.astype(how)


@unhurried
@given(
    st.lists(st.integers(0, 999), min_size=1, max_size=9, unique=True),
    st.sampled_from(STORED),
    st.sampled_from(STORED),
)
def test_ids_that_mean_the_same_are_equal(ids: list, one: str, other: str) -> None:
    like = InteractionMatrix.from_frame(pd.DataFrame({"user_id": stored(ids, other), "item_id": 0})).user_ids
    written = same_kind(stored(ids, one), like)
    assert pd.Index(like).get_indexer(pd.Index(written)).min() >= 0
    assert {type(value) for value in written.tolist()} == {type(value) for value in like.tolist()} or (
        "float64" in (one, other)
    )


@pytest.mark.parametrize(
    ("ids", "like", "written"),
    [
        (["1", "A5"], [1, 2], [1, "A5"]),
        (["01", "1"], [1], ["01", 1]),
        ([1.0, 2.5], [1], [1, 2.5]),
        (["1.0", "7.0"], [1], [1, 7]),
        ([1, 2], ["1", "A5"], ["1", "2"]),
        (["1", "A5"], [1, "A5"], [1, "A5"]),
        ([2**53 + 1], ["a"], [str(2**53 + 1)]),
        (["9223372036854775807", "-1"], [1], [2**63 - 1, -1]),
        (["9223372036854775808", "-1"], [1], [2**63, -1]),
        ([True], [1], [True]),
        (["a"], ["b"], ["a"]),
    ],
)
def test_what_has_another_meaning_stays(ids: list, like: list, written: list) -> None:
    found = same_kind(pd.Series(ids, index=range(5, 5 + len(ids)), name="x"), np.array(like, dtype=object))
    assert found.tolist() == written and [type(v) for v in found.tolist()] == [type(v) for v in written]
    assert found.name == "x" and found.index[0] == 5


WRITTEN: dict[str, Callable[[pd.Series], pd.Series]] = {
    "int64": lambda ids: ids,
    "int32": lambda ids: ids.astype(np.int32),
    "uint16": lambda ids: ids.astype(np.uint16),
    "nullable": lambda ids: ids.astype("Int64"),
    "float": lambda ids: ids.astype(float),
    "text": lambda ids: ids.astype("str"),
    "objects": lambda ids: ids.astype(object),
    "categories": lambda ids: ids.astype("str").astype("category"),
}


@unhurried
@given(
    st.lists(st.integers(0, 60_000), min_size=1, max_size=20, unique=True),
    st.sampled_from(sorted(WRITTEN)),
    st.sampled_from(sorted(WRITTEN)),
)
def test_ids_that_mean_the_same_meet_whatever_their_type(ids: list, one: str, other: str) -> None:
    known = frame([(i, i) for i in ids]).assign(user_id=lambda rows: WRITTEN[one](rows["user_id"]))
    asked = frame([(i, i) for i in ids]).assign(user_id=lambda rows: WRITTEN[other](rows["user_id"]))
    matrix = InteractionMatrix.from_frame(known)
    assert (InteractionMatrix.from_frame(asked, like=matrix).csr != matrix.csr).nnz == 0
    assert sorted(matrix.user_codes(asked["user_id"])) == list(range(len(ids)))


def test_an_id_of_another_kind_stays_what_it_is() -> None:
    found = same_kind(pd.Series(["1", "A5", "01"]), np.array([1, 2]))
    assert found.tolist() == [1, "A5", "01"]
    assert same_kind(pd.Series([1.0, 2.5]), np.array(["1", "2"])).tolist()[0] == "1"


def test_ids_of_which_none_meets_are_refused_with_both_types() -> None:
    with pytest.raises(ValueError, match=r"No test user is known: 0 of 2 match; they are text, such as 'a'"):
        meet(pd.Series(["a", "b"]), np.array([1, 2]), "test user")


@unhurried
@given(
    st.lists(st.integers(1, 2 * 10**9), min_size=2, max_size=12),
    st.sampled_from(["whole", "halves", "datetime", "zone", "objects", "ISO text"]),
)
def test_times_of_every_type_keep_their_order(seconds: list, kind: str) -> None:
    moments = pd.to_datetime(pd.Series(seconds), unit="s")
    column = {
        "whole": pd.Series(seconds),
        "halves": pd.Series(seconds) / 2,
        "datetime": moments,
        "zone": moments.dt.tz_localize("UTC").dt.tz_convert("Asia/Seoul"),
        "objects": moments.astype(object),
        "ISO text": moments.dt.strftime("%Y-%m-%dT%H:%M:%S"),
    }[kind]
    rows = pd.DataFrame({"user_id": 1, "item_id": range(len(seconds)), "timestamp": column})
    expected = np.unique(seconds, return_inverse=True)[1].tolist()
    assert np.unique(times_of(rows), return_inverse=True)[1].tolist() == expected
    assert np.unique(InteractionMatrix.from_frame(rows).times, return_inverse=True)[1].tolist() == expected


def test_fractions_of_a_second_are_not_ties() -> None:
    rows = pd.DataFrame({"user_id": 1, "item_id": range(4), "timestamp": [0.1, 0.2, 0.3, 0.4]})
    assert InteractionMatrix.from_frame(rows).times.tolist() == [0.1, 0.2, 0.3, 0.4]


@pytest.mark.parametrize("bad", [[True, False], ["soon", "later"], [None, 3]])
def test_what_is_no_time_gets_a_sentence(bad: list) -> None:
    with pytest.raises(ValueError, match=r"Column timestamp (holds .*, not times|has no time in row 0)"):
        times_of(pd.DataFrame({"timestamp": bad}))

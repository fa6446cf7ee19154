"""data: own files of every kind are read, or refused in a sentence that says what is wrong and where."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpr_helpers import data
from bpr_helpers.data import drop_unknown_titles, load_interactions, load_items

OWN = pd.DataFrame(
    {
        "uid": ["ann", "bob", "ann", "cem"],
        "film": [7, 7, 8, 9],
        "stars": [5.0, 2.0, 4.5, 3.0],
        "when": [1_600_000_000, 1_600_000_100, 1_600_000_200, 1_600_000_300],
    }
)
COLUMNS = {"user_column": "uid", "item_column": "film", "rating_column": "stars", "timestamp_column": "when"}


def write(folder: Path, name: str, frame: pd.DataFrame) -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("name", ["own.csv", "own.csv.gz", "own.parquet"])
def test_own_file_with_any_column_names(name: str, tmp_path: Path) -> None:
    interactions = load_interactions(write(tmp_path, name, OWN), **COLUMNS)
    expected = pd.DataFrame(
        {
            "user_id": OWN["uid"],
            "item_id": OWN["film"],
            "rating": OWN["stars"],
            "timestamp": pd.to_datetime(OWN["when"], unit="s").astype("datetime64[ms]"),
        }
    )
    pd.testing.assert_frame_equal(interactions, expected)


def stamps(values: object, tmp_path: Path, name: str, unit: str = "s") -> list[pd.Timestamp]:
    """Load a small file with these timestamps, and return what became of them."""
    n = len(pd.Series(values))
    frame = pd.DataFrame({"user_id": np.arange(n), "item_id": np.arange(n), "timestamp": values})
    loaded = load_interactions(write(tmp_path, name, frame), timestamp_unit=unit)["timestamp"]
    assert loaded.dtype == "datetime64[ms]"
    return loaded.to_list()


MOMENTS = pd.to_datetime(["2021-03-04T05:06:07.890", "1999-12-31T23:59:59.000"])


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_timestamps_in_every_form(name: str, tmp_path: Path) -> None:
    whole = MOMENTS.floor("s").to_list()
    nanoseconds = MOMENTS.as_unit("ns").astype("int64").to_numpy()
    assert stamps(nanoseconds // 10**9, tmp_path, name) == whole
    assert stamps(nanoseconds / 10**9, tmp_path, name)[1] == MOMENTS[1]
    assert stamps((nanoseconds // 10**9).astype("int32"), tmp_path, name) == whole
    for unit, ticks in {"ms": 10**6, "us": 10**3, "ns": 1}.items():
        assert stamps(nanoseconds // ticks, tmp_path, name, unit) == MOMENTS.to_list()
    assert stamps(MOMENTS, tmp_path, name) == MOMENTS.to_list()
    assert stamps(MOMENTS.tz_localize("UTC").tz_convert("Asia/Seoul"), tmp_path, name) == MOMENTS.to_list()
    assert stamps(["2021-03-04", "1999-12-31 10:00"], tmp_path, name) == [
        pd.Timestamp("2021-03-04"),
        pd.Timestamp("1999-12-31 10:00"),
    ]
    assert (
        stamps(["2021-03-04T09:00:00+09:00", "2021-03-04T00:00:00Z"], tmp_path, name)
        == [pd.Timestamp("2021-03-04")] * 2
    )


@pytest.mark.filterwarnings("ignore:.*is timestamp_unit right")
@given(st.lists(st.integers(0, 4_102_444_799), min_size=1, max_size=20), st.sampled_from(list(data.UNITS)))
@settings(max_examples=25, deadline=None)
def test_the_right_unit_is_never_refused_and_a_coarser_one_is_named(seconds: list[int], unit: str) -> None:
    column = pd.Series(seconds, name="timestamp") * data.UNITS[unit]
    loaded = data._timestamps(Path("x.csv"), column, unit)
    assert loaded.astype("int64").to_list() == [1000 * s for s in seconds]
    if unit != "s" and max(seconds) > 5_000_000:  # else it is a plausible number of seconds, too
        with pytest.raises(ValueError, match="try timestamp_unit="):
            data._timestamps(Path("x.csv"), column, "s")


@pytest.mark.parametrize(
    ("values", "unit", "match"),
    [
        ([1_600_000_000, 1_600_000_000_000], "s", "row 2 .*outside 1970 to 2100; try timestamp_unit='ms'"),
        ([1_600_000_000_000] * 2, "s", "row 1 .*try timestamp_unit='ms'"),
        ([1_600_000_000_000_000] * 2, "ms", "row 1 .*try timestamp_unit='us'"),
        ([1_600_000_000_000_000_000] * 2, "us", "row 1 .*try timestamp_unit='ns'"),
        ([5, -1], "s", "row 2 .*-1 in 's' is outside 1970 to 2100; no unit puts every row inside"),
        ([2**63, 5], "ns", "row 1 .*no unit"),
        ([1e30, 5], "s", "row 1 .*no unit"),
        ([float("inf"), 5], "s", "row 1 .*not finite"),
        ([5, None], "s", "row 2 .*the timestamp is missing"),
        (["2021-01-01", "soon", "later"], "s", "row 2 .*ISO 8601"),
        (["31/12/2021", "30/12/2021"], "s", "row 1 .*ISO 8601"),
        (["1600000000", "1600000000", "2021-01-01"], "s", "row 3 .*numbers and dates are mixed"),
        (["2021-01-01T00:00:00", "2021-01-01T00:00:00+02:00"], "s", "row 2 .*time zone are mixed"),
        ([True, False], "s", "row 1 .*ISO 8601"),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_bad_timestamps_are_refused(name: str, values: list, unit: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=match) as error:
        stamps(values, tmp_path, name, unit)
    assert str(tmp_path / name) in str(error.value) and "column 'timestamp'" in str(error.value)
    assert "\n" not in str(error.value)


def load_text(folder: Path, text: str, name: str = "own.csv", **options: object) -> pd.DataFrame:
    (folder / name).write_bytes(text.encode())
    return load_interactions(folder / name, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "is empty: it has neither a header nor rows"),
        ("user_id,item_id\n", "is empty: it has a header and no rows"),
        (
            "user,item_id\n1,2\n",
            r"no column 'user_id' \(user_column\); its columns are 'user', 'item_id'; try user_column='user'",
        ),
        ("user_id,item_id\n1,2\n,3\n,4\n", "column 'user_id', row 2 below the header: the id is missing"),
        ("user_id,item_id\n1,2\n1,NaN\n", "column 'item_id', row 2 below the header: the id is missing"),
        ("user_id,item_id\n1,2\n1\n", "column 'item_id', row 2 below the header: the id is missing"),
        ('user_id,item_id\n1,2\n1,"  "\n', "column 'item_id', row 2 below the header: the id is missing"),
        ("user_id,item_id\n1,2\n1,2,3\n", "row 2 below the header: it has 3 fields, not 2"),
        (
            "user_id,item_id\n1,2,9\n1,2,3\n",
            "row 1 below the header: it has more fields than the header",
        ),
        ("user_id,item_id,rating\n1,2,3\n1,3,good\n", "column 'rating', row 2 .*the rating is not a number"),
        ('user_id,item_id\n1,2\n1,"3\n', "not well-formed CSV"),
        ("PAR1 and so on", "not the CSV file that its name says: it holds Parquet data"),
        ("PK\x03\x04 and so on", "not the CSV file that its name says: it holds zip data"),
    ],
)
def test_bad_files_are_refused_in_one_sentence(text: str, match: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=match) as error:
        load_text(tmp_path, text)
    assert str(tmp_path / "own.csv") in str(error.value) and "\n" not in str(error.value)


def test_a_file_that_is_not_what_its_name_says(tmp_path: Path) -> None:
    plain = "user_id,item_id\n1,2\n"
    for name in ("own.csv.gz", "own.parquet"):
        with pytest.raises(ValueError, match=rf"{name} is not the \w+ file that its name says"):
            load_text(tmp_path, plain, name)
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(plain.encode() * 500)[:-12])
    (tmp_path / "bad.csv.gz").write_bytes(b"\x1f\x8b\x08\0\0\0\0\0\0\3 nonsense")
    (tmp_path / "cut.parquet").write_bytes(write(tmp_path, "whole.parquet", OWN).read_bytes()[:-9])
    for name in ("cut.csv.gz", "bad.csv.gz", "cut.parquet"):
        with pytest.raises(ValueError, match=rf"{name} is damaged"):
            load_interactions(tmp_path / name)
    with pytest.raises(ValueError, match=r"must end in \.csv, \.csv\.gz or \.parquet"):
        load_text(tmp_path, plain, "own.xlsx")
    with pytest.raises(ValueError, match=r"no such file; .* ml-100k, ml-1m"):
        load_interactions("ml-10m")


def test_ids_are_integers_only_where_nothing_is_lost(tmp_path: Path) -> None:
    loaded = load_text(tmp_path, "user_id,item_id\n007,12\n7,-3\n")
    assert loaded["user_id"].to_list() == ["007", "7"] and loaded["user_id"].dtype == "str"
    assert loaded["item_id"].to_list() == [12, -3] and loaded["item_id"].dtype == "int64"
    mixed = load_text(tmp_path, "user_id,item_id\n1,a\n2,3\n")
    assert mixed["item_id"].to_list() == ["a", "3"]
    large = pd.DataFrame({"user_id": np.array([2**63 + 1, 5], dtype="uint64"), "item_id": [1.0, 2.0]})
    loaded = load_interactions(write(tmp_path, "large.parquet", large))
    assert loaded["user_id"].to_list() == [str(2**63 + 1), "5"] and loaded["item_id"].to_list() == [1, 2]
    broken = write(tmp_path, "broken.parquet", large.assign(item_id=[1.0, 2.5]))
    with pytest.raises(ValueError, match=r"column 'item_id', row 2 .*must be an integer or a string"):
        load_interactions(broken)
    with pytest.raises(ValueError, match=r"column 'item_id', row 1 .*must be an integer or a string"):
        load_interactions(write(tmp_path, "broken.parquet", large.assign(item_id=[2.0**63, 2.0])))


def test_optional_columns(tmp_path: Path) -> None:
    text = "user_id,item_id,time\n1,2,1600000000\n"
    assert load_text(tmp_path, text, timestamp_column="").columns.to_list() == ["user_id", "item_id"]
    assert load_text(tmp_path, text, timestamp_column="time").columns.to_list()[-1] == "timestamp"
    assert "timestamp" not in load_text(tmp_path, "user_id,item_id,timestamp\n1,2,x\n", timestamp_column="")
    with pytest.raises(ValueError, match="no column 'when'"):
        load_text(tmp_path, text, timestamp_column="when")
    with pytest.raises(ValueError, match="no column 'stars'"):
        load_text(tmp_path, text, rating_column="stars")
    with pytest.raises(ValueError, match="min_rating is 4, but there is no rating column"):
        load_text(tmp_path, text, min_rating=4, timestamp_column="time")
    with pytest.raises(ValueError, match=r"two of the columns .* are the same"):
        load_text(tmp_path, text, item_column="user_id")
    with pytest.raises(ValueError, match=r"timestamp_unit is 'D'"):
        load_text(tmp_path, text, timestamp_unit="D")


def test_columns_may_be_swapped_quoted_spaced_and_marked(tmp_path: Path) -> None:
    text = '\ufeff"item_id", user_id\n1, 2\n\n3, 4\n'
    loaded = load_text(tmp_path, text, user_column="item_id", item_column="user_id")
    assert loaded.to_numpy().tolist() == [[1, 2], [3, 4]]


@pytest.mark.filterwarnings("ignore:.*is timestamp_unit right")
def test_repeated_pairs_keep_the_earliest_and_say_how_many_were_folded(tmp_path: Path) -> None:
    text = "user_id,item_id,rating,timestamp\na,1,5,300\nb,1,4,200\na,1,1,100\na,2,3,50\na,1,2,400\n"
    with pytest.warns(UserWarning, match=r"own.csv: 2 repeated \(user, item\) rows were folded"):
        folded = load_text(tmp_path, text)
    assert folded.attrs["folded"] == 2
    assert folded["rating"].to_list() == [4, 1, 3] and folded.index.equals(pd.RangeIndex(3))
    with pytest.warns(UserWarning, match="1 repeated"):  # only interactions that count are compared
        assert load_text(tmp_path, text, min_rating=2)["rating"].to_list() == [5, 4, 3]
    with pytest.warns(UserWarning, match="2 repeated"):  # without times: the first row
        assert load_text(tmp_path, text, timestamp_column="")["rating"].to_list() == [5, 4, 3]


def test_own_titles(tmp_path: Path) -> None:
    path = tmp_path / "titles.csv"
    path.write_text("film,title,year\n7,None,1999\n8,,\n")
    items = load_items(path, item_column="film")
    expected = pd.DataFrame(
        {
            "item_id": [7, 8],
            "title": ["None", "8"],
            "year": pd.array([1999, None], dtype="Int64"),
            "genres": ["", ""],
        }
    )
    pd.testing.assert_frame_equal(items, expected)
    path.write_text("item_id,title,genres\n7,A,x|y\n7,B,z\n")
    with pytest.raises(ValueError, match=r"column 'item_id', row 2 .*has a row already"):
        load_items(path)
    with pytest.raises(ValueError, match="no column 'title'"):
        load_items(write(tmp_path, "none.csv", OWN), item_column="film")
    parquet = pd.DataFrame({"item_id": ["a"], "title": ["T"], "year": [2001], "genres": ["x|y"]})
    assert load_items(write(tmp_path, "t.parquet", parquet)).to_numpy().tolist() == [["a", "T", 2001, "x|y"]]


def test_relative_paths_start_at_the_callers_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "own.csv", OWN)
    monkeypatch.setenv("BPR_ROOT", "/elsewhere")
    monkeypatch.chdir(tmp_path)
    assert len(load_interactions("own.csv", **COLUMNS)) == 4


# --- The other sources ---------------------------------------------------------------------------------


def test_movie_267_goes_only_by_name() -> None:
    ml_100k = load_interactions("ml-100k")
    kept = drop_unknown_titles(ml_100k, load_items("ml-100k"))
    assert (ml_100k["item_id"] == 267).sum() == 9
    assert len(kept) == 99_991 and 267 not in set(kept["item_id"])
    assert kept.index.equals(pd.RangeIndex(len(kept)))
    assert kept["user_id"].head(3).to_list() == ml_100k["user_id"].head(3).to_list()


def test_min_rating_binarizes() -> None:
    ml_100k = load_interactions("ml-100k")
    assert len(load_interactions("ml-100k", min_rating=4)) == (ml_100k["rating"] >= 4).sum()
    with pytest.raises(ValueError, match="no rating reaches min_rating 6; the highest is 5"):
        load_interactions("ml-100k", min_rating=6)


def test_synthetic_as_a_source() -> None:
    interactions, items = load_interactions("synthetic"), load_items("synthetic")
    assert len(interactions) == 50_000 and interactions["user_id"].nunique() == 1000
    assert set(interactions["item_id"]) <= set(items["item_id"])
    assert items.columns.to_list() == ["item_id", "title", "year", "genres"]
    assert items["title"].is_unique and len(items) == 500
    assert not re.search("unknown", " ".join(items["title"]))
    pd.testing.assert_frame_equal(load_interactions("synthetic"), interactions)


# --- Ids, times and names that mean the same -----------------------------------------------------------


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=10))
def test_ids_are_integers_wherever_all_fit(ids: list[int]) -> None:
    column = pd.Series([str(value) for value in ids], name="user_id")
    for texts in (column, column + ".0", "  " + column + " "):
        loaded = data._ids(Path("x.csv"), texts.rename("user_id"))
        assert loaded.dtype == "int64" and loaded.to_list() == ids
    beyond = data._ids(Path("x.csv"), pd.Series([*column, str(2**63)], name="user_id"))
    assert beyond.to_list() == [*column, str(2**63)]


def test_titles_meet_interactions_whatever_wrote_their_ids(tmp_path: Path) -> None:
    interactions = load_text(tmp_path, "user_id,item_id\na ,1\na,2 \n b,3\n")
    assert interactions["user_id"].to_list() == ["a", "a", "b"]
    (tmp_path / "titles.csv").write_text("item_id,title\n1.0,A\n2.0 ,B\n3.0,C\n")
    items = load_items(tmp_path / "titles.csv")
    assert interactions.merge(items, on="item_id")["title"].to_list() == ["A", "B", "C"]
    (tmp_path / "titles.csv").write_text('item_id,title\n"x ",A\n x,B\n')
    with pytest.raises(ValueError, match=r"column 'item_id', row 2 .*has a row already"):
        load_items(tmp_path / "titles.csv")


@given(st.integers(0, 4_102_444_799), st.integers(0, 999_999))
def test_times_are_exact_to_the_millisecond(second: int, microsecond: int) -> None:
    expected = 1000 * second + microsecond // 1000
    column = pd.Series([f"{second}.{microsecond:06d}", "4102444799.5"], name="t")
    for form in (column, column.astype("float64")):
        assert data._milliseconds(pd.to_numeric(form), "s").to_list()[0] == expected
    in_ms = pd.Series([1000 * second + microsecond / 1000])
    assert data._milliseconds(in_ms, "ms").to_list() == [expected]


@pytest.mark.filterwarnings("ignore:.*is timestamp_unit right")
def test_times_of_single_precision_are_what_they_say(tmp_path: Path) -> None:
    seconds = np.array([1_600_000_000.0, 1_234_567_890.0], dtype="float32")
    expected = pd.to_datetime([int(second) for second in seconds], unit="s").to_list()
    assert stamps(seconds, tmp_path, "t.parquet") == expected


@pytest.mark.parametrize(
    ("values", "hint"),
    [
        (["20240131", "20231201"], r"from 1970-08-\d\d .* to 1970-08-\d\d .*write them as 2024-01-31"),
        (["2019", "2020"], r"from 1970-01-01 00:33:39 to 1970-01-01 00:33:40; is timestamp_unit right"),
        ([str(1_600_000_000 + k % 50) for k in range(101)], r"its 101 times go from 2020-09-13 12:26:40 to"),
    ],
)
def test_times_of_a_wrong_unit_are_said(values: list[str], hint: str, tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp\n" + "".join(f"1,{k},{value}\n" for k, value in enumerate(values))
    with pytest.warns(UserWarning, match=hint):
        load_text(tmp_path, text)


def test_what_was_read_is_said_in_words(tmp_path: Path) -> None:
    text = "user_id,item_id,timestamp\n1,2,1600000000\n1,3,1500000000\n"
    path = tmp_path / "own.csv"
    read = load_text(tmp_path, text).attrs["read"]
    assert read == f"{path}: 2 interactions from 2017-07-14 to 2020-09-13"
    assert (
        load_text(tmp_path, text, timestamp_column="").attrs["read"]
        == f"{path}: 2 interactions without times"
    )


@pytest.mark.parametrize(
    ("header", "match"),
    [
        (
            "userId,movieId,rating,timestamp",
            r"no column 'user_id' \(user_column\) and no column 'item_id' \(item_column\); its columns are "
            r"'userId', 'movieId', 'rating', 'timestamp'; try user_column='userId', item_column='movieId'\.",
        ),
        (
            "reviewerID,asin,overall,unixReviewTime",
            r"\(user_column\) .*\(item_column\) .*\(timestamp_column\); .*try user_column='reviewerID', "
            r"item_column='asin', timestamp_column='unixReviewTime'",
        ),
        ("user_id:token\titem_id:token\tx\ttimestamp:float", r"user_column='user_id:token', item_column="),
        ("user_id,item_id,x,Timestamp", r"try timestamp_column='Timestamp', or timestamp_column=''"),
        ("user_id,item_id,x,event_time", r"try timestamp_column='event_time'"),
        ("user_id,item_id,x,z", r"'z' reads like times; try timestamp_column='z', or timestamp_column=''"),
        ("x,z,y,w", r"no column 'user_id' \(user_column\) .*its columns are 'x', 'z', 'y', 'w'\.$"),
    ],
)
def test_all_missing_columns_are_named_with_what_is_near(header: str, match: str, tmp_path: Path) -> None:
    separator = "\t" if "\t" in header else ","
    with pytest.raises(ValueError, match=match):
        load_text(tmp_path, f"{header}\n" + separator.join(["1", "2", "3", "1600000000"]) + "\n")


def test_a_typed_name_must_be_there_and_the_nearest_is_named(tmp_path: Path) -> None:
    text = "uid,film,timestamp\n1,2,1600000000\n"
    with pytest.raises(ValueError, match=r"no column 'flim' \(item_column\); .*try item_column='film'"):
        load_text(tmp_path, text, user_column="uid", item_column="flim")
    with pytest.raises(ValueError, match=r"no column 'timestmp' .*try timestamp_column='timestamp'"):
        load_text(tmp_path, text, user_column="uid", item_column="film", timestamp_column="timestmp")


@pytest.mark.parametrize("times", [["2021-03-04", "2021-03-05"], MOMENTS, [1.6e12, 1.5e12]])
def test_a_column_that_reads_like_times_is_asked_for(times: object, tmp_path: Path) -> None:
    frame = pd.DataFrame({"user_id": [1, 2], "item_id": [3, 4], "z": times, "price": [10, 12]})
    for name in ("own.csv", "own.parquet"):
        with pytest.raises(ValueError, match=r"'z' reads like times; try timestamp_column='z'"):
            load_interactions(write(tmp_path, name, frame))
        assert "timestamp" not in load_interactions(tmp_path / name, timestamp_column="")
        assert "timestamp" not in load_interactions(write(tmp_path, name, frame.drop(columns="z")))


def test_columns_of_titles_have_names_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "titles.csv"
    path.write_text("sku,name,year\n7,A,1999\n8,B,inf\n9,C,1e300\n")
    items = load_items(path, item_column="sku", title_column="name")
    assert items["title"].to_list() == ["A", "B", "C"]
    assert items["year"].isna().to_list() == [False, True, True]
    with pytest.raises(
        ValueError, match=r"'title' \(title_column\); .*try item_column='sku', title_column='name'"
    ):
        load_items(path)
    path.write_text("item_id,title\n7,A\n")
    assert load_items(path, item_column="sku")["item_id"].to_list() == [7]

"""formats: every usual file reads as its owner means it, and a hostile one costs no more than a sentence."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpr_helpers import formats
from bpr_helpers.data import load_interactions, load_items
from bpr_helpers.formats import open_table

ROWS = [[196, 242, 3, 881250949], [186, 302, 3, 891717742], [22, 377, 1, 878887116]]
LOADED = pd.DataFrame(
    {
        "user_id": [196, 186, 22],
        "item_id": [242, 302, 377],
        "rating": [3.0, 3.0, 1.0],
        "timestamp": pd.to_datetime([881250949, 891717742, 878887116], unit="s").astype("datetime64[ms]"),
    }
)


def put(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


# --- Separators and headers ----------------------------------------------------------------------------


@pytest.mark.parametrize("separator", [",", "\t", ";", "::", "|", " ", "  "])
@pytest.mark.parametrize("name", ["own.csv", "own.txt", "own.tsv.gz"])
def test_any_separator_with_a_header(separator: str, name: str, tmp_path: Path) -> None:
    lines = [["user_id", "item_id", "rating", "timestamp"], *ROWS]
    text = "".join(separator.join(map(str, line)) + "\n" for line in lines)
    pd.testing.assert_frame_equal(
        load_interactions(put(tmp_path, name, text)), LOADED, check_index_type=False
    )


@pytest.mark.parametrize(
    ("name", "separator"), [("u.data", "\t"), ("ratings.dat", "::"), ("u1.base", "\t"), ("u.data", " ")]
)
def test_grouplens_files_without_a_header(name: str, separator: str, tmp_path: Path) -> None:
    text = "".join(separator.join(map(str, row)) + "\n" for row in ROWS)
    pd.testing.assert_frame_equal(load_interactions(put(tmp_path, name, text)), LOADED)
    halves = text.replace(f"{separator}1{separator}", f"{separator}0.5{separator}")
    assert load_interactions(put(tmp_path, name, halves))["rating"].to_list() == [3, 3, 0.5]


def test_grouplens_titles_as_they_are(tmp_path: Path) -> None:
    expected = [[1, "Misérables, Les", 1995, "Drama|War"], [2, "Film: a Story", 1963, ""]]
    flags = "|".join(str(int(place in (8, 17))) for place in range(19)), "|".join("0" * 19)
    item = f"1|Misérables, Les (1995)|x||u|{flags[0]}\n2|Film: a Story (1963)|||u|{flags[1]}\n"
    dat = "1::Misérables, Les (1995)::Drama|War\n2::Film: a Story (1963)::(no genres listed)\n"
    for encoding in ("latin-1", "utf-8"):
        for name, text in {"u.item": item, "movies.dat": dat}.items():
            (tmp_path / name).write_bytes(text.encode(encoding))
            assert load_items(tmp_path / name).to_numpy().tolist() == expected
            assert len(load_items(tmp_path / name, item_column="movieId")) == 2
    text = 'movieId,title,genres\n1,"Misérables, Les (1995)",Drama|War\n2,Film: a Story (1963),\n'
    movies = put(tmp_path, "movies.csv", text)
    for column in ("movieId", "item_id"):
        assert load_items(movies, item_column=column).to_numpy().tolist() == expected
    own = put(tmp_path, "movies.csv", "movieId,title,genres\na1,Film (1995),Drama\n")
    assert load_items(own).to_numpy().tolist() == [["a1", "Film (1995)", pd.NA, "Drama"]]


def test_other_files_without_a_header_get_the_sentence_that_adds_names(tmp_path: Path) -> None:
    for separator in (",", "\t", ";", "::", " "):
        path = put(tmp_path, "own.csv", "".join(separator.join("567") + "\n" for _ in range(3)))
        with pytest.raises(ValueError, match=r"own.csv has no header: .*header=None, names=") as error:
            load_interactions(path)
        call = str(error.value).split("in Python pandas.")[1].split(".to_csv")[0]
        named = eval(f"pd.{call}".replace("'own.csv'", "path"), {"pd": pd, "path": path})
        assert named.columns.to_list() == ["user_id", "item_id", "rating"]
        assert named.to_numpy().tolist() == [[5, 6, 7]] * 3
    with pytest.raises(ValueError, match="has no header"):
        load_interactions(put(tmp_path, "names.csv", "ann,7,1600000000\nbob,8,1600000001\n"))


def test_a_line_per_user(tmp_path: Path) -> None:
    path = put(tmp_path, "train.txt", "0 1 2 3\n1 2\n2\n3 5 1 \n")
    loaded = load_interactions(path)
    assert loaded.to_numpy().tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [3, 5], [3, 1]]
    assert loaded.dtypes.astype(str).to_list() == ["int64", "int64"]
    with pytest.raises(ValueError, match="has no header"):  # two columns, or two items each?
        load_interactions(put(tmp_path, "pairs.txt", "0 1\n1 2\n2 5\n"))


@given(st.lists(st.lists(st.sampled_from(["a", "b;c", "d|e", "f\tg", "1::2", "h i", "5"]), min_size=2,
                         max_size=2), min_size=1, max_size=5))  # fmt: skip
def test_what_stands_in_fields_does_not_change_the_separator(rows: list[list[str]]) -> None:
    buffer = io.StringIO()
    csv.writer(buffer).writerows([["user_id", "item_id"], *rows])
    lines = buffer.getvalue().splitlines()
    assert formats._separator(lines, ["user_id", "item_id"]) == ","


# --- What is wrong in a text file -----------------------------------------------------------------------


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, "own.csv", "user_id,item_id,user_id,note,note\n1,2,3,4,5\n")
    with pytest.raises(ValueError, match=r"own.csv has the column 'user_id' 2 times"):
        load_interactions(path)
    once = put(tmp_path, "once.csv", "user_id,item_id,note,note\n1,2,4,5\n")
    assert load_interactions(once).to_numpy().tolist() == [[1, 2]]
    table = pa.table([[1], [2], [3]], names=["user_id", "item_id", "item_id"])
    pq.write_table(table, tmp_path / "own.parquet")
    with pytest.raises(ValueError, match=r"own.parquet has the column 'item_id' 2 times"):
        load_interactions(tmp_path / "own.parquet")


def test_a_quotation_mark_left_open(tmp_path: Path) -> None:
    for text, where in {
        'user_id,item_id\n"1,2\n3,4\n': "row 1 below the header",
        'user_id,item_id\n1,2\n3,"4\n': "row 2 below the header",
        '"user_id,item_id\n1,2\n': "the header",
    }.items():
        with pytest.raises(ValueError, match=f"not well-formed CSV: a quotation mark opened in {where}"):
            load_interactions(put(tmp_path, "own.csv", text))
    with pytest.raises(ValueError, match=r"row 1 .*goes over several lines; a quotation mark"):
        load_interactions(put(tmp_path, "own.csv", 'user_id,item_id\n"a,1\nb,2\nc",3\nd,4\n'))


def test_bare_commas_at_the_end_are_dropped_and_counted(tmp_path: Path) -> None:
    text = "user_id,item_id,rating\n1,2,3\n4,5,\n,,\n,,\n"
    with pytest.warns(UserWarning, match="2 rows at the end hold no value"):
        assert load_interactions(put(tmp_path, "own.csv", text))["user_id"].to_list() == [1, 4]
    with pytest.raises(ValueError, match=r"row 2 .*the id is missing"):
        load_interactions(put(tmp_path, "own.csv", "user_id,item_id\n1,2\n,\n3,4\n"))


def test_encodings_are_called_by_their_names(tmp_path: Path) -> None:
    for line in ("José", "x" * 100_000 + ",1\nJosé"):
        (tmp_path / "own.csv").write_bytes(f"user_id,item_id\n{line},2\n".encode("latin-1"))
        with pytest.raises(ValueError, match=r"probably Latin-1 .*'.*José.*'; .* with pathlib ") as error:
            load_interactions(tmp_path / "own.csv")
        with contextlib.chdir(tmp_path):
            eval(str(error.value).split(" with pathlib ")[1].removesuffix("."))
        assert load_interactions(tmp_path / "utf8.csv")["user_id"].iloc[-1] == "José"
    (tmp_path / "own.csv").write_bytes("user_id,item_id\n1,2\n".encode("utf-16"))
    with pytest.raises(ValueError, match="is UTF-16 text; save it as UTF-8"):
        load_interactions(tmp_path / "own.csv")
    with pytest.raises(ValueError, match="is damaged"):
        load_interactions(put(tmp_path, "own.csv", "user_id,item_id\n\0\0,2\n"))


def test_blanks_around_names_do_not_matter(tmp_path: Path) -> None:
    path = put(tmp_path, "own.csv", "user_id , item_id \n1,2\n")
    assert load_interactions(path).to_numpy().tolist() == [[1, 2]]


# --- Parquet --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("index", [["timestamp"], ["user_id", "item_id"], ["rating"]])
def test_levels_of_a_parquet_index_are_columns(index: list[str], tmp_path: Path) -> None:
    LOADED.set_index(index).to_parquet(tmp_path / "own.parquet")
    pd.testing.assert_frame_equal(load_interactions(tmp_path / "own.parquet"), LOADED)


def test_a_range_as_index_is_a_column_where_it_has_a_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"item_id": [5, 6, 7]}, index=pd.RangeIndex(10, 16, 2, name="user_id"))
    frame.to_parquet(tmp_path / "own.parquet")
    assert load_interactions(tmp_path / "own.parquet").to_numpy().tolist() == [[10, 5], [12, 6], [14, 7]]
    LOADED.set_index(pd.Index([7, 8, 9])).to_parquet(tmp_path / "unnamed.parquet")
    pd.testing.assert_frame_equal(load_interactions(tmp_path / "unnamed.parquet"), LOADED)


def test_a_folder_of_parts(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    (folder / "more").mkdir(parents=True)
    LOADED[:1].to_parquet(folder / "part-0.parquet")
    LOADED[1:].to_parquet(folder / "more" / "part-1.parquet")
    LOADED[:0].to_parquet(folder / "part-2.parquet")
    for other in ("_SUCCESS", ".part-0.parquet.crc", "_metadata.parquet"):
        (folder / other).write_bytes(b"x")
    loaded = load_interactions(folder).sort_values("user_id", ascending=False, ignore_index=True)
    pd.testing.assert_frame_equal(loaded, LOADED)
    more = LOADED[["user_id", "item_id"]]
    more.assign(note="x").to_parquet(folder / "part-3.parquet")
    with pytest.raises(
        ValueError, match=r"part-3.parquet: no column '(rating|timestamp)', which another part"
    ):
        load_interactions(folder)
    with pytest.warns(UserWarning, match="3 repeated"):
        loaded = load_interactions(folder, rating_column="", timestamp_column="")
    assert len(loaded) == 3, "columns that only some parts have do no harm where nobody asks for them"
    LOADED[["user_id"]].to_parquet(folder / "part-3.parquet")
    with pytest.raises(ValueError, match=r"part-3.parquet: no column 'item_id', which another part"):
        load_interactions(folder)


def test_a_folder_without_parts_says_what_else_is_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is a folder without Parquet files"):
        load_interactions(tmp_path)
    with pytest.raises(ValueError, match=r"is an archive; unpack it, or .*such as 'ml-latest-small'"):
        load_interactions(put(tmp_path, "ml-latest-small.zip", "x"))
    put(tmp_path, "ratings.csv", "x")
    with pytest.raises(ValueError, match=r"name one of its files, such as .*ratings\.csv"):
        load_interactions(tmp_path)


# --- Hostile files --------------------------------------------------------------------------------------


def test_a_link_that_leads_out_of_a_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    LOADED.to_parquet(tmp_path / "secret.parquet")
    (folder / "part.parquet").symlink_to(tmp_path / "secret.parquet")
    with pytest.raises(ValueError, match=r"part.parquet is a link that leads out of the folder"):
        load_interactions(folder)
    (folder / "part.parquet").unlink()
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(ValueError, match="is a folder without Parquet files"):
        load_interactions(folder)
    (tmp_path / "elsewhere").symlink_to(folder, target_is_directory=True)
    LOADED.to_parquet(folder / "real.parquet")
    assert len(load_interactions(tmp_path / "elsewhere")) == 3, "the reader may name a link"


def test_files_that_claim_terabytes_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sparse = put(tmp_path, "own.csv", "user_id,item_id\n1,2\n")
    with sparse.open("r+b") as file:
        file.truncate(10**13)
    with pytest.raises(ValueError, match=r"own.csv asks for 10,000 GB, and this machine has"):
        load_interactions(sparse)
    frame = pd.DataFrame({"item_id": [5]}, index=pd.RangeIndex(0, 1, name="user_id"))
    arrow = pa.Table.from_pandas(frame)
    claim = (arrow.schema.metadata or {})[b"pandas"].replace(b'"stop": 1', b'"stop": 1000000000000000')
    pq.write_table(arrow.replace_schema_metadata({b"pandas": claim}), tmp_path / "index.parquet")
    with pytest.raises(ValueError, match="its index 'user_id' is not as long as its columns"):
        load_interactions(tmp_path / "index.parquet")
    monkeypatch.setattr("os.sysconf", lambda name: 100)  # a machine with 10,000 bytes
    bomb = put(tmp_path, "bomb.csv.gz", "user_id,item_id\n" + "1,2\n" * 5000)
    assert bomb.stat().st_size < 1000
    many = pa.table({"user_id": np.zeros(10_000, np.int64), "item_id": np.zeros(10_000, np.int64)})
    pq.write_table(many, tmp_path / "many.parquet")
    for path in (bomb, tmp_path / "many.parquet"):
        with pytest.raises(ValueError, match="asks for 0 GB, and this machine has 0 GB: not read"):
            load_interactions(path)


@pytest.mark.parametrize(
    "described", [b"[]", b'{"index_columns": [{"name": "user_id"}]}', b'{"index_columns": 3}']
)
def test_what_pandas_would_not_write_about_an_index_is_ignored(described: bytes, tmp_path: Path) -> None:
    table = pa.table({"user_id": [1], "item_id": [2]}).replace_schema_metadata({b"pandas": described})
    pq.write_table(table, tmp_path / "own.parquet")
    assert load_interactions(tmp_path / "own.parquet").to_numpy().tolist() == [[1, 2]]
    pq.write_table(table.replace_schema_metadata({b"pandas": b"{"}), tmp_path / "own.parquet")
    with pytest.raises(ValueError, match=r"own.parquet is damaged"):
        load_interactions(tmp_path / "own.parquet")


def test_a_table_knows_its_columns_before_it_reads_rows(tmp_path: Path) -> None:
    table = open_table(put(tmp_path, "own.csv", "a;b\n1;2\n"), [])
    assert table.names == ["a", "b"] and table.read(["b"], {}).to_numpy().tolist() == [[2]]

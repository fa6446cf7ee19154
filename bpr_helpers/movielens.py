"""MovieLens: where each set comes from, how its files read, how it is found, fetched, verified and cached.

A copy in the cache or in the current folder comes first, zip or folder; then GroupLens is asked.
MovieLens-100K has a further source, a copy in a wheel on PyPI.

What is trusted: nothing that an archive says of itself. What is downloaded must have the published checksum,
and where the content is recorded, that decides, for a local copy too. Nothing is unpacked: two members are
read by their names, up to a gigabyte each; a path, or a link, that leads out of the folder is not followed.
"""

from __future__ import annotations

import csv
import hashlib
import io
import logging
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import unicodedata
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING

import numpy as np
import pandas as pd
import pooch
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock
from tqdm.auto import tqdm

from bpr_helpers.files import replacing

if TYPE_CHECKING:
    import requests

HOST_SECONDS = 8.0  # how long a host may take to answer at all; an unreachable one costs this once
SLOWEST_BYTES_PER_SECOND = 1024  # an answer that drips more slowly than this is given up
MOST_BYTES = 2**30  # of one file of a set; the largest, ratings.csv of ml-32m, has 877 million

GENRES_100K = (  # in the order of u.item's last 19 columns
    "unknown|Action|Adventure|Animation|Children's|Comedy|Crime|Documentary|Drama|Fantasy|Film-Noir|"
    "Horror|Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
)


# --- MovieLens: where it comes from and how its files read ---------------------------------------------


@dataclass(frozen=True)
class Archive:
    """One zip that holds a MovieLens set: its origin, its published checksum, how its tables read."""

    origin: str  # an https address, or the requirement of a wheel on PyPI
    file: str  # its name in the cache
    checksum: str  # "algorithm:hex digest"
    ratings: str  # the member with the ratings, and ...
    movies: str  # ... the one with the titles
    read_ratings: Callable[[IO[bytes]], pd.DataFrame]
    read_movies: Callable[[IO[bytes]], pd.DataFrame]


@dataclass(frozen=True)
class MovieLens:
    """A MovieLens set: its archives, the preferred one first, and what they must contain."""

    archives: tuple[Archive, ...]
    content: str = (
        ""  # SHA-256 of the canonical interactions where it is recorded (see `content_sha256`), ...
    )
    titles: str = ""  # ... and of the titles
    varies: bool = False  # GroupLens changes it from time to time: a copy with other bytes is no wonder

    def recorded(self, table: str) -> str:
        """Return the SHA-256 that a table must have, "" where none is recorded."""
        return self.content if table == "interactions" else self.titles


def _read_u_data(file: IO[bytes]) -> pd.DataFrame:
    return _interactions(pd.read_csv(file, sep="\t", header=None, quoting=csv.QUOTE_NONE))


def _read_ratings_dat(file: IO[bytes]) -> pd.DataFrame:
    # "::" as one separator needs pandas' slow parser; as ":" it leaves an empty field between two values.
    return _interactions(pd.read_csv(file, sep=":", header=None, usecols=[0, 2, 4, 6]))


def _read_ratings_csv(file: IO[bytes]) -> pd.DataFrame:
    return _interactions(pd.read_csv(file, usecols=["userId", "movieId", "rating", "timestamp"]))


def _read_recbole_inter(file: IO[bytes]) -> pd.DataFrame:
    return _interactions(pd.read_csv(file, sep="\t", quoting=csv.QUOTE_NONE))


def _interactions(table: pd.DataFrame) -> pd.DataFrame:
    """Name and type the four columns user, item, rating, timestamp in seconds."""
    user, item, rating, seconds = (table.iloc[:, column].to_numpy() for column in range(4))
    return pd.DataFrame(
        {
            "user_id": user.astype(np.int64),
            "item_id": item.astype(np.int64),
            "rating": rating.astype(np.float64),
            "timestamp": (seconds.astype(np.int64) * 1000).astype("datetime64[ms]"),
        }
    )


def read_u_item(file: IO[bytes]) -> pd.DataFrame:
    """Read titles as MovieLens-100K has them: 24 fields between bars, the last 19 flags of genres."""
    rows = _fields(_text(file), "|")
    genres = [
        "|".join(g for g, flag in zip(GENRES_100K.split("|"), row[5:], strict=True) if flag == "1")
        for row in rows
    ]
    return _items([row[0] for row in rows], [row[1] for row in rows], genres)


def read_movies_dat(file: IO[bytes]) -> pd.DataFrame:
    """Read titles as MovieLens-1M and -10M have them: id, title, genres between double colons."""
    rows = _fields(_text(file), "::")
    return _items([row[0] for row in rows], ["::".join(row[1:-1]) for row in rows], [row[-1] for row in rows])


def read_movies_csv(file: IO[bytes]) -> pd.DataFrame:
    """Read titles as the later sets have them: movieId, title and genres below a header."""
    rows = list(csv.DictReader(io.StringIO(file.read().decode("utf-8-sig"), newline=""), restval=""))
    return _items([r["movieId"] for r in rows], [r["title"] for r in rows], [r["genres"] for r in rows])


def _read_recbole_item(file: IO[bytes]) -> pd.DataFrame:
    rows = _fields(file.read().decode("utf-8"), "\t")[1:]
    # recbole takes the last parenthesis for the year (movie 1412 ends in "(1995) (V)"), misspells "unknown".
    titles = ["unknown" if row[1] == "unkonwn" else f"{row[1]} ({row[2]})" for row in rows]
    return _items([row[0] for row in rows], titles, [row[3].replace(" ", "|") for row in rows])


def _text(file: IO[bytes]) -> str:
    """Decode what GroupLens wrote in Latin-1 in the early sets, and others (and it, later) in UTF-8."""
    content = file.read()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _fields(text: str, separator: str) -> list[list[str]]:
    # Not str.splitlines, which would also cut at the odd control characters of old encodings.
    return [line.rstrip("\r").split(separator) for line in text.split("\n") if line.strip()]


def _items(ids: list[str], titles: list[str], genres: list[str]) -> pd.DataFrame:
    """Bring titles to one form: "Toy Story (1995)" is the title "Toy Story" of the year 1995."""
    # "(V)" marks a film made for video.
    parts = [re.fullmatch(r"(.*?)\s*\((\d{4})\)(?:\s*\(V\))?", title.strip(), re.DOTALL) for title in titles]
    names = [p[1] if p else title.strip() for p, title in zip(parts, titles, strict=True)]
    items = pd.DataFrame(
        {
            "item_id": np.array(ids, dtype=np.int64),
            "title": pd.array([unicodedata.normalize("NFC", name) for name in names], dtype="str"),
            "year": pd.array([int(p[2]) if p else None for p in parts], dtype="Int64"),
            "genres": pd.array(["" if g == "(no genres listed)" else g for g in genres], dtype="str"),
        }
    )
    return items.sort_values("item_id", ignore_index=True)


def _grouplens(name: str, checksum: str, ratings: str, movies: str) -> Archive:
    readers = {
        "u.data": (_read_u_data, read_u_item),
        "ratings.dat": (_read_ratings_dat, read_movies_dat),
        "ratings.csv": (_read_ratings_csv, read_movies_csv),
    }
    address = f"https://files.grouplens.org/datasets/movielens/{name}.zip"
    members = f"{name}/{ratings}", f"{name}/{movies}"
    return Archive(address, f"{name}.zip", checksum, *members, *readers[ratings])


_RECBOLE = Archive(  # a wheel on PyPI with a copy of MovieLens-100K, for where GroupLens cannot be reached
    "recbole==1.2.1",
    "recbole-1.2.1-py3-none-any.whl",
    "sha256:9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    "recbole/dataset_example/ml-100k/ml-100k.inter",
    "recbole/dataset_example/ml-100k/ml-100k.item",
    _read_recbole_inter,
    _read_recbole_item,
)
_ML_100K = _grouplens("ml-100k", "sha1:cd4dcac4241c8a4ad7badc7ca635da8a69dddb83", "u.data", "u.item")
_ML_1M = _grouplens("ml-1m", "md5:c4d9eecfca2ab87c1945afe126590906", "ratings.dat", "movies.dat")
_ML_LATEST_SMALL = _grouplens(
    "ml-latest-small",
    "sha256:696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
    "ratings.csv",
    "movies.csv",
)
_ML_20M = _grouplens("ml-20m", "md5:cd245b17a1ae2cc31bb14903e1204af3", "ratings.csv", "movies.csv")
_ML_25M = _grouplens("ml-25m", "md5:6b51fb2759a8657d3bfcbfc42b592ada", "ratings.csv", "movies.csv")
_ML_32M = _grouplens("ml-32m", "md5:d472be332d4daa821edc399621853b57", "ratings.csv", "movies.csv")
MOVIELENS = {
    "ml-100k": MovieLens(
        (_ML_100K, _RECBOLE),
        content="e35e2a98b75133d74b9778a338b7e75486ed4e8693a7a8042b5568899074e967",
        titles="1d80965954f04aa72bb06eb4db5f5ebd451f32b5d83dadcf176da679a0ff112f",
    ),
    "ml-1m": MovieLens((_ML_1M,)),
    "ml-20m": MovieLens((_ML_20M,)),
    "ml-25m": MovieLens((_ML_25M,)),
    "ml-32m": MovieLens((_ML_32M,)),
    "ml-latest-small": MovieLens((_ML_LATEST_SMALL,), varies=True),
}


# --- The cache, and copies that are there already ------------------------------------------------------


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder that keeps downloads: `cache_dir`, else $BPR_CACHE, else the user's cache."""
    return Path(cache_dir or os.environ.get("BPR_CACHE") or pooch.os_cache("bpr_helpers")).expanduser()


def content_sha256(interactions: pd.DataFrame) -> str:
    """Return the SHA-256 of MovieLens interactions, the same for any order of their rows.

    Parameters
    ----------
    interactions : DataFrame with user_id, item_id (integers below 2**31), rating and timestamp

    Returns
    -------
    str
        Hex digest of the rows sorted by user and item, column after column, as little-endian 64-bit values.
    """
    user, item = (interactions[name].to_numpy().astype("<i8") for name in ("user_id", "item_id"))
    order = np.argsort((user << 32) | item, kind="stable")
    rating = interactions["rating"].to_numpy().astype("<f8")
    timestamp = interactions["timestamp"].to_numpy().astype("datetime64[ms]").astype("<i8")
    digest = hashlib.sha256()
    for column in (user, item, rating, timestamp):
        digest.update(np.ascontiguousarray(column[order]).data)
    return digest.hexdigest()


def _items_sha256(items: pd.DataFrame) -> str:
    return hashlib.sha256(items.to_csv(index=False).encode()).hexdigest()


def load_movielens(name: str, table: str, cache_dir: str | os.PathLike[str] | None) -> pd.DataFrame:
    """Read one table of a MovieLens set from the cache, from a copy at hand, or from where it is published.

    Parameters
    ----------
    name : a key of `MOVIELENS`
    table : "interactions" or "items"
    cache_dir : as in `cache_folder`

    Returns
    -------
    DataFrame
        user_id, item_id (int64), rating (float64), timestamp (datetime64[ms]) in the order of the file; or
        item_id, title, year, genres as `data.load_items` describes them

    Raises
    ------
    ConnectionError
        The set is neither at hand nor can be fetched.
    PermissionError
        It is not at hand, and the cache folder cannot be written.
    """
    folder = cache_folder(cache_dir)
    found = _at_hand(folder, name, table, [])
    if found is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / f"{name}.lock"):  # of two processes one fetches, the other finds it done
            refused: list[str] = []
            found = _at_hand(folder, name, table, refused)
            return _fetch_table(folder, name, table, refused) if found is None else found
    except ConnectionError:
        raise
    except OSError as error:
        raise PermissionError(
            f"the cache folder {folder} cannot be written ({error.strerror or error}); name another by "
            "BPR_CACHE or cache_dir."
        ) from error


def _at_hand(folder: Path, name: str, table: str, refused: list[str]) -> pd.DataFrame | None:
    """Return a table from the cache or from a local copy; note in `refused` which copies do not count."""
    cached = _read_cached(folder, name, table)
    if cached is not None:
        return cached
    for path, archive in _copies(folder, name):
        try:
            frame = _read_copy(path, archive, table)
            published = _is_published(path, archive, name, table, frame)
        except (OSError, ValueError) as reason:
            refused.append(f"{path}: {reason}")
            continue
        if published:
            with suppress(OSError):  # a cache that cannot be written serves all the same
                _write_cached(folder, name, table, frame)
        return frame
    return None


def _copies(folder: Path, name: str) -> list[tuple[Path, Archive]]:
    """List the zips and folders of a set that are in the cache, and then in the current folder."""
    archives = MOVIELENS[name].archives
    places = [(folder / archive.file, archive) for archive in archives] + [(folder / name, archives[0])]
    places += [(Path(f"{name}.zip"), archives[0]), (Path(name), archives[0])]
    return [(path, archive) for path, archive in places if path.exists()]


def _fingerprint(table: str, frame: pd.DataFrame) -> str:
    return content_sha256(frame) if table == "interactions" else _items_sha256(frame)


def _is_published(path: Path, archive: Archive, name: str, table: str, frame: pd.DataFrame) -> bool:
    """Tell whether a table is the published one for certain; raise if for certain it is not."""
    recorded = MOVIELENS[name].recorded(table)
    if recorded and _fingerprint(table, frame) != recorded:
        what = "ratings" if table == "interactions" else "titles (perhaps their accents)"
        raise ValueError(f"its {what} are not those of the published data set")
    if recorded or (path.is_file() and _has_checksum(path, archive)):
        return True
    if not MOVIELENS[name].varies:
        warnings.warn(
            f"{path} is not the published file byte for byte; its {len(frame):,} {table} are taken as is.",
            UserWarning,
            stacklevel=5,
        )
    return False


def _read_cached(folder: Path, name: str, table: str) -> pd.DataFrame | None:
    """Return a cached table whose content is what was written, else None."""
    try:
        stored = pq.read_table(folder / f"{name}.{table}.parquet", memory_map=False)
        written = (stored.schema.metadata or {}).get(b"sha256", b"").decode()
        frame = stored.to_pandas()
        return frame if _fingerprint(table, frame) == (MOVIELENS[name].recorded(table) or written) else None
    except (OSError, LookupError, ValueError, pa.ArrowException):  # no such file, or a damaged one
        return None


def _write_cached(folder: Path, name: str, table: str, frame: pd.DataFrame) -> None:
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = (arrow.schema.metadata or {}) | {b"sha256": _fingerprint(table, frame).encode()}
    with replacing(folder / f"{name}.{table}.parquet") as new:
        pq.write_table(arrow.replace_schema_metadata(metadata), new)


def _has_checksum(path: Path, archive: Archive) -> bool:
    algorithm, digest = archive.checksum.split(":")
    return pooch.file_hash(str(path), alg=algorithm) == digest


def _read_copy(path: Path, archive: Archive, table: str) -> pd.DataFrame:
    """Read a table out of a zip, of which nothing is unpacked, or out of a folder."""
    member, read = {
        "interactions": (archive.ratings, archive.read_ratings),
        "items": (archive.movies, archive.read_movies),
    }[table]
    try:
        with (_in_folder if path.is_dir() else _in_zip)(path, member) as file:
            frame = read(file)
    # What zipfile, csv, pandas and NumPy raise at hostile or damaged content; RuntimeError: it is encrypted.
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError, csv.Error, RuntimeError, OverflowError):
        raise ValueError(f"not an archive with a readable {member}") from None
    if frame.empty:
        raise ValueError(f"its {member} is empty")
    return frame


@contextmanager
def _in_zip(path: Path, wanted: str) -> Iterator[IO[bytes]]:
    """Open a member of a zip: by its path, or, since many have zipped the set again, by its name alone."""
    with zipfile.ZipFile(path) as zipped:
        places = {info: PurePosixPath(info.filename.replace("\\", "/")) for info in zipped.infolist()}
        inside = {i: p for i, p in places.items() if not p.is_absolute() and ".." not in p.parts}
        same = [info for info, place in inside.items() if place.name == PurePosixPath(wanted).name]
        if not same:
            raise KeyError(wanted)
        info = min(same, key=lambda info: (info.filename != wanted, len(inside[info].parts)))
        _refuse_larger(info.filename, info.file_size)
        with zipped.open(info) as file:  # which gives no more bytes than the zip has said
            yield file


@contextmanager
def _in_folder(path: Path, wanted: str) -> Iterator[IO[bytes]]:
    member = path / PurePosixPath(wanted).name
    if not member.is_file():
        raise KeyError(wanted)
    if not member.resolve().is_relative_to(path.resolve()):
        raise ValueError(f"{member.name} is a link that leads out of the folder")
    _refuse_larger(member.name, member.stat().st_size)
    with member.open("rb") as file:
        yield file


def _refuse_larger(member: str, size: int) -> None:
    if size > MOST_BYTES:
        raise ValueError(f"its {member} has {size:,} bytes, and no such file has more than {MOST_BYTES:,}")


# --- Fetching: verified, once --------------------------------------------------------------------------


def _fetch_table(folder: Path, name: str, table: str, refused: list[str]) -> pd.DataFrame:
    """Fetch the set from the first host that has it; `refused` says why no local copy counts."""
    for archive in MOVIELENS[name].archives:
        try:
            path = _fetch(archive, folder)
            frame = _read_copy(path, archive, table)
            _is_published(path, archive, name, table, frame)
        except (ConnectionError, ValueError) as reason:
            refused.append(f"{archive.origin}: {reason}")
            continue
        _write_cached(folder, name, table, frame)
        return frame
    raise ConnectionError(
        f"{name} could not be had ({'; '.join(refused)}): put {name}.zip as published on "
        f"https://grouplens.org/datasets/movielens/ into {folder}, or use source='synthetic'."
    )


def _say(words: str) -> None:
    """Tell whoever waits what is going on, unless progress is switched off (TQDM_DISABLE)."""
    if os.environ.get("TQDM_DISABLE", "").lower() in ("", "0", "false"):
        print(words, file=sys.stderr, flush=True)


def _fetch(archive: Archive, folder: Path) -> Path:
    """Download an archive into the cache folder; a wrong or broken one never gets its final name."""
    if not archive.origin.startswith("http"):
        return _pip_download(archive, folder)
    pooch.get_logger().setLevel(logging.WARNING)  # its news go to stderr
    try:
        path = pooch.retrieve(
            archive.origin, archive.checksum, fname=archive.file, path=folder, downloader=_download
        )
    except ValueError as error:  # pooch's account of a wrong checksum takes five lines
        raise ValueError("what came is not the published file") from error
    return Path(path)


def _download(address: str, output: str, _pooch: object) -> None:
    """Stream an address into a file, with a progress bar; give up on a host that drips its answer."""
    import urllib3

    started = time.monotonic()
    _say(f"Asking {address} (given up after {HOST_SECONDS:g} seconds without an answer).")
    with _answer(address) as response, open(output, "wb") as file, _progress(response) as bar:
        try:
            while chunk := response.raw.read1(1 << 16, decode_content=True):
                bar.update(file.write(chunk))
                seconds = time.monotonic() - started
                if seconds > HOST_SECONDS and file.tell() < SLOWEST_BYTES_PER_SECOND * seconds:
                    raise ConnectionError("the host sends too slowly")
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionError("the download broke off") from error


def _progress(response: requests.Response) -> tqdm:
    """Say what comes and how large it is; the bar says how far it is."""
    size = int(response.headers.get("content-length", 0))
    file = response.url.rsplit("/", 1)[-1]
    _say(f"Downloading {file} ({f'{size / 1e6:,.1f} MB' if size else 'of unknown size'}), once: it is kept.")
    return tqdm(total=size or None, unit="B", unit_scale=True, desc=file, leave=False, delay=1)


def _answer(address: str) -> requests.Response:
    """Ask for an address; return once the host answers, or raise after `HOST_SECONDS`.

    requests' own limits hold for each of a host's network addresses and not for looking up its name, so
    that an unreachable host could cost minutes; hence the thread.
    """
    import requests

    got: list[requests.Response | Exception] = []

    def ask() -> None:
        try:
            got.append(requests.get(address, stream=True, timeout=HOST_SECONDS))
        except requests.RequestException as error:
            got.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(HOST_SECONDS)
    if not got or isinstance(got[0], Exception):
        raise ConnectionError("the host cannot be reached")
    if got[0].status_code != 200:
        raise ConnectionError(f"the host answered {got[0].status_code} {got[0].reason}")
    return got[0]


def _pip_download(archive: Archive, folder: Path) -> Path:
    """Let pip, which knows the reader's index and proxy, bring a wheel into the cache folder."""
    _say(f"Asking pip for {archive.origin}, a package that holds a copy of the data.")
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        log = Path(temporary, "pip.log")
        command = [sys.executable, "-m", "pip", "download", archive.origin, "--no-deps"]
        command += ["--only-binary=:all:", "--no-input", "--disable-pip-version-check", f"--dest={temporary}"]
        with log.open("w") as out:
            pip = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        if _pip_fails(pip, log):
            raise ConnectionError("pip cannot download it")
        if not _has_checksum(Path(temporary, archive.file), archive):
            raise ValueError("not the published file (its checksum differs)")
        return Path(temporary, archive.file).replace(folder / archive.file)


def _pip_fails(pip: subprocess.Popen[bytes], log: Path) -> bool:
    """Wait for pip: `HOST_SECONDS` from its first word until its download starts, five minutes in all."""
    begun = asked = time.monotonic()
    announced = False
    while pip.poll() is None:
        now, said = time.monotonic(), log.read_text()
        asked = asked if said else now
        if not announced and (line := re.search("Downloading .*", said)):
            announced = True
            _say(line[0])  # pip's own words: the file and its size
        unreachable = "Downloading" not in said and now > asked + HOST_SECONDS
        if unreachable or now > begun + 300:
            pip.kill()
            pip.wait()
        time.sleep(0.05)
    return pip.returncode != 0

"""Interactions in: MovieLens (fetched, verified, cached), your own CSV or Parquet, or a synthetic set."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pandas as pd
import pooch
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock
from tqdm.auto import tqdm

from bpr_helpers.parameters import resolve

if TYPE_CHECKING:
    import requests

HOST_SECONDS = 8.0  # how long a host may take to answer at all; an unreachable one costs this once
SLOWEST_BYTES_PER_SECOND = 1024  # an answer that drips more slowly than this is given up

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
    content: str = ""  # SHA-256 of the canonical interactions where it is recorded (see `content_sha256`)


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


def _read_u_item(file: IO[bytes]) -> pd.DataFrame:
    rows = [line.split("|") for line in file.read().decode("latin-1").splitlines() if line]
    genres = [
        "|".join(g for g, flag in zip(GENRES_100K.split("|"), row[5:], strict=True) if flag == "1")
        for row in rows
    ]
    return _items([row[0] for row in rows], [row[1] for row in rows], genres)


def _read_movies_dat(file: IO[bytes]) -> pd.DataFrame:
    rows = _fields(file.read().decode("latin-1"), "::")
    return _items([row[0] for row in rows], ["::".join(row[1:-1]) for row in rows], [row[-1] for row in rows])


def _read_movies_csv(file: IO[bytes]) -> pd.DataFrame:
    rows = list(csv.DictReader(io.TextIOWrapper(file, encoding="utf-8", newline="")))
    return _items([r["movieId"] for r in rows], [r["title"] for r in rows], [r["genres"] for r in rows])


def _read_recbole_item(file: IO[bytes]) -> pd.DataFrame:
    rows = _fields(file.read().decode("utf-8"), "\t")[1:]
    # recbole takes the last parenthesis for the year (movie 1412 ends in "(1995) (V)"), misspells "unknown".
    titles = ["unknown" if row[1] == "unkonwn" else f"{row[1]} ({row[2]})" for row in rows]
    return _items([row[0] for row in rows], titles, [row[3].replace(" ", "|") for row in rows])


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
        "u.data": (_read_u_data, _read_u_item),
        "ratings.dat": (_read_ratings_dat, _read_movies_dat),
        "ratings.csv": (_read_ratings_csv, _read_movies_csv),
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
_ML_20M = _grouplens("ml-20m", "md5:cd245b17a1ae2cc31bb14903e1204af3", "ratings.csv", "movies.csv")
_ML_25M = _grouplens("ml-25m", "md5:6b51fb2759a8657d3bfcbfc42b592ada", "ratings.csv", "movies.csv")
_ML_32M = _grouplens("ml-32m", "md5:d472be332d4daa821edc399621853b57", "ratings.csv", "movies.csv")
MOVIELENS = {
    "ml-100k": MovieLens(
        (_ML_100K, _RECBOLE),
        content="e35e2a98b75133d74b9778a338b7e75486ed4e8693a7a8042b5568899074e967",
    ),
    "ml-1m": MovieLens((_ML_1M,)),
    "ml-20m": MovieLens((_ML_20M,)),
    "ml-25m": MovieLens((_ML_25M,)),
    "ml-32m": MovieLens((_ML_32M,)),
}


# --- Fetching: verified, cached, once ------------------------------------------------------------------


def cache_folder(cache_dir: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder that keeps downloads: `cache_dir`, else $BPR_CACHE, else the user's cache."""
    folder = Path(cache_dir or os.environ.get("BPR_CACHE") or pooch.os_cache("bpr_helpers")).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


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


def _movielens(name: str, table: str, cache_dir: str | os.PathLike[str] | None) -> pd.DataFrame:
    """Read one table of a MovieLens set from the cache, which is filled first where need be."""
    folder = cache_folder(cache_dir)
    cached = _read_cached(folder, name, table)
    if cached is not None:
        return cached
    try:
        with FileLock(folder / f"{name}.lock"):  # of two processes one fetches, the other finds it done
            cached = _read_cached(folder, name, table)
            return _fill_cache(folder, name)[table] if cached is None else cached
    except PermissionError as error:
        raise PermissionError(
            f"the cache folder {folder} cannot be written; name another by BPR_CACHE or cache_dir."
        ) from error


def _fill_cache(folder: Path, name: str) -> dict[str, pd.DataFrame]:
    tables = _build(name, folder)
    for table, frame in tables.items():
        _write_cached(folder, name, table, frame)
    return tables


def _fingerprint(table: str, frame: pd.DataFrame) -> str:
    return content_sha256(frame) if table == "interactions" else _items_sha256(frame)


def _read_cached(folder: Path, name: str, table: str) -> pd.DataFrame | None:
    """Return a cached table whose content is what was written, else None."""
    try:
        stored = pq.read_table(folder / f"{name}.{table}.parquet", memory_map=False)
        written = (stored.schema.metadata or {}).get(b"sha256", b"").decode()
        frame = stored.to_pandas()
        recorded = MOVIELENS[name].content if table == "interactions" else ""
        return frame if _fingerprint(table, frame) == (recorded or written) else None
    except (OSError, LookupError, ValueError, pa.ArrowException):  # no such file, or a damaged one
        return None


def _write_cached(folder: Path, name: str, table: str, frame: pd.DataFrame) -> None:
    """Write a table under a temporary name and rename it, so that no half file ever looks whole."""
    arrow = pa.Table.from_pandas(frame, preserve_index=False)
    metadata = (arrow.schema.metadata or {}) | {b"sha256": _fingerprint(table, frame).encode()}
    temporary = folder / f".{name}.{table}.{os.getpid()}.tmp"
    try:
        pq.write_table(arrow.replace_schema_metadata(metadata), temporary)
        temporary.replace(folder / f"{name}.{table}.parquet")
    finally:
        temporary.unlink(missing_ok=True)


def _build(name: str, folder: Path) -> dict[str, pd.DataFrame]:
    """Make both tables from the first archive that can be had: from the cache first, then from the hosts."""
    archives, tried = MOVIELENS[name].archives, []
    there = [archive for archive in archives if (folder / archive.file).exists()]
    for obtain, archive in [(_in_cache, a) for a in there] + [(_fetch, a) for a in archives]:
        try:
            return _read_archive(obtain(archive, folder), archive, MOVIELENS[name].content)
        except (OSError, ValueError) as reason:
            tried.append(f"{archive.file if obtain is _in_cache else archive.origin}: {reason}")
    raise ConnectionError(
        f"{name} could not be had ({'; '.join(tried)}): put {name}.zip from "
        f"https://grouplens.org/datasets/movielens/ into {folder}, or use source='synthetic'."
    )


def _in_cache(archive: Archive, folder: Path) -> Path:
    """Return the archive that an earlier download, or the reader, has put into the cache folder."""
    path = folder / archive.file
    _verify(path, archive)
    return path


def _verify(path: Path, archive: Archive) -> None:
    algorithm, digest = archive.checksum.split(":")
    if pooch.file_hash(str(path), alg=algorithm) != digest:
        raise ValueError(f"not the published file ({algorithm} differs)")


def _read_archive(path: Path, archive: Archive, content: str) -> dict[str, pd.DataFrame]:
    """Read both tables out of the zip; nothing is unpacked, so nothing can be written outside the folder."""
    try:
        with zipfile.ZipFile(path) as zipped:
            with zipped.open(archive.ratings) as file:
                interactions = archive.read_ratings(file)
            with zipped.open(archive.movies) as file:
                items = archive.read_movies(file)
    except (zipfile.BadZipFile, zlib.error, EOFError, LookupError) as error:
        raise ValueError(f"not an archive with {archive.ratings} and {archive.movies}") from error
    if content and content_sha256(interactions) != content:
        raise ValueError("its ratings are not those of the published data set")
    return {"interactions": interactions, "items": items}


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
    size = int(response.headers.get("content-length", 0))
    return tqdm(total=size or None, unit="B", unit_scale=True, desc=response.url, leave=False, delay=2)


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
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        log = Path(temporary, "pip.log")
        command = [sys.executable, "-m", "pip", "download", archive.origin, "--no-deps"]
        command += ["--only-binary=:all:", "--no-input", "--disable-pip-version-check", f"--dest={temporary}"]
        with log.open("w") as out:
            pip = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        if _pip_fails(pip, log):
            raise ConnectionError("pip cannot download it")
        _verify(Path(temporary, archive.file), archive)
        return Path(temporary, archive.file).replace(folder / archive.file)


def _pip_fails(pip: subprocess.Popen[bytes], log: Path) -> bool:
    """Wait for pip: `HOST_SECONDS` from its first word until its download starts, five minutes in all."""
    begun = asked = time.monotonic()
    while pip.poll() is None:
        now, said = time.monotonic(), log.read_text()
        asked = asked if said else now
        unreachable = "Downloading" not in said and now > asked + HOST_SECONDS
        if unreachable or now > begun + 300:
            pip.kill()
            pip.wait()
        time.sleep(0.05)
    return pip.returncode != 0


# --- Your own files ------------------------------------------------------------------------------------

_MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>"]  # what a CSV says for "no value"
_ENDINGS = {".csv": "CSV", ".csv.gz": "gzip", ".parquet": "Parquet"}
_FIRST_BYTES = {b"PAR1": "Parquet", b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip"}


def _read_file(path: Path, wanted: list[str], optional: list[str], text: list[str]) -> pd.DataFrame:
    """Read columns of a CSV (gzipped or not) or Parquet file; a CSV's `text` columns stay text."""
    kind = _kind(path)
    try:
        if kind == "Parquet":
            table = _read_parquet(path, wanted, optional)
        else:
            table = _read_csv(path, wanted, optional, text)
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path} is empty: it has neither a header nor rows.") from None
    except (UnicodeDecodeError, EOFError, OSError, zlib.error, pa.ArrowException) as error:
        raise ValueError(
            f"{path} is damaged, or not the {kind} file that its name says ({error})."
        ) from error
    if table.empty:
        raise ValueError(f"{path} is empty: it has a header and no rows.")
    return table.reset_index(drop=True)


def _read_parquet(path: Path, wanted: list[str], optional: list[str]) -> pd.DataFrame:
    return pd.read_parquet(path, columns=_choose(path, pq.read_schema(path).names, wanted, optional))


def _read_csv(path: Path, wanted: list[str], optional: list[str], text: list[str]) -> pd.DataFrame:
    options: dict[str, Any] = {"encoding": "utf-8-sig", "skipinitialspace": True, "index_col": False}
    columns = _choose(path, pd.read_csv(path, nrows=0, **options).columns.to_list(), wanted, optional)
    missing = {name: [""] if name == "title" else _MISSING for name in columns}  # a film may be called None
    options |= {"na_values": missing, "keep_default_na": False, "low_memory": False}
    try:
        with warnings.catch_warnings():
            # Only so, and without usecols, does pandas not cut rows with too many fields short.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(path, dtype=dict.fromkeys(text, "str"), **options)[columns]
    except pd.errors.ParserWarning:
        raise ValueError(f"{path}, row 1 below the header: it has more fields than the header.") from None
    except pd.errors.ParserError as error:
        saw = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if not saw:
            raise ValueError(f"{path} is not well-formed CSV ({str(error).strip()}).") from None
        row = int(saw[2]) - 1
        raise ValueError(
            f"{path}, row {row} below the header: it has {saw[3]} fields, not {saw[1]}."
        ) from None


def _kind(path: Path) -> str:
    """Return what a file's name says that it is, having looked whether its first bytes agree."""
    if not path.is_file():
        raise ValueError(
            f"{path}: no such file; give a CSV or Parquet file, 'synthetic', or one of {_NAMES}."
        )
    named = [kind for ending, kind in _ENDINGS.items() if path.name.lower().endswith(ending)]
    if not named:
        raise ValueError(f"{path}: its name must end in .csv, .csv.gz or .parquet.")
    with path.open("rb") as file:
        start = file.read(4)
    found = next((kind for first, kind in _FIRST_BYTES.items() if start.startswith(first)), "CSV")
    if start and found != named[0]:
        raise ValueError(f"{path} is not the {named[0]} file that its name says: it holds {found} data.")
    return named[0]


def _choose(path: Path, names: list[str], wanted: list[str], optional: list[str]) -> list[str]:
    """Return the columns to read, or say which of the wanted ones is not there."""
    absent = [name for name in wanted if name not in names]
    separator = re.search(r"[;\t|]|::", names[0]) if len(names) == 1 else None
    if absent and separator:
        raise ValueError(
            f"{path}: its fields seem to be separated by {separator[0]!r}; separate them by commas."
        )
    if absent:
        raise ValueError(f"{path}: no column {absent[0]!r}; its columns are {', '.join(map(repr, names))}.")
    return [name for name in names if name in wanted + optional]


def _refuse(path: Path, column: str, bad: pd.Series | np.ndarray, what: str) -> None:
    """Raise a ValueError that names file, column and first bad row, if any row is bad."""
    bad = np.asarray(bad, dtype=bool)
    if bad.any():
        raise ValueError(f"{path}, column {column!r}, row {int(bad.argmax()) + 1} below the header: {what}.")


def _ids(path: Path, column: pd.Series) -> pd.Series:
    """Return ids as int64 where all of them are plain integers ("7", not "007"), else as strings."""
    name = str(column.name)
    _refuse(path, name, column.isna(), "the id is missing")
    if pd.api.types.is_float_dtype(column):
        _refuse(path, name, column % 1 != 0, "an id must be an integer or a string")
    if pd.api.types.is_numeric_dtype(column) and column.max() <= np.iinfo(np.int64).max:
        return column.astype(np.int64)
    codes, ids = pd.factorize(column.astype("str"))
    names = pd.Series(ids, dtype="str")
    _refuse(path, name, (names.str.strip() == "").to_numpy()[codes], "the id is missing")
    if names.str.fullmatch(r"0|-?[1-9][0-9]{0,17}").all():
        return pd.Series(names.astype(np.int64).to_numpy()[codes])
    return names.take(codes).reset_index(drop=True)


UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # ticks per second
_LAST_SECOND = 4_102_444_800  # the year 2100


def _timestamps(path: Path, column: pd.Series, unit: str) -> pd.Series:
    """Return times as datetime64[ms] in UTC from numbers in `unit`, ISO 8601 strings, or datetimes."""
    name = str(column.name)
    _refuse(path, name, column.isna(), "the timestamp is missing")
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        column = column.dt.tz_convert("UTC").dt.tz_localize(None)
    if pd.api.types.is_datetime64_dtype(column):
        return column.astype("datetime64[ms]")
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        return _from_numbers(path, column, unit)
    text = column.astype("str").str.strip()
    numeric = text.str.fullmatch(r"[+-]?[0-9]+(\.[0-9]*)?")
    _refuse(path, name, numeric != numeric.iloc[0], "numbers and dates are mixed")
    if numeric.iloc[0]:
        return _from_numbers(path, pd.to_numeric(text).rename(name), unit)
    return _from_text(path, text)


def _from_numbers(path: Path, column: pd.Series, unit: str) -> pd.Series:
    name = str(column.name)
    _refuse(path, name, ~np.isfinite(column.astype(np.float64)), "the timestamp is not finite")
    outside = (column < 0) | (column >= _LAST_SECOND * UNITS[unit])
    if outside.any():
        fits = [u for u, ticks in UNITS.items() if column.min() >= 0 and column.max() < _LAST_SECOND * ticks]
        advice = f"try timestamp_unit={fits[0]!r}" if fits else "no unit puts every row inside"
        value = column[outside].iloc[0]
        _refuse(path, name, outside, f"{value} in {unit!r} is outside 1970 to 2100; {advice}")
    if pd.api.types.is_integer_dtype(column):
        column = column.astype(np.int64)
    milliseconds = column * 1000 if unit == "s" else column // (UNITS[unit] // 1000)
    return np.floor(milliseconds).astype(np.int64).astype("datetime64[ms]")


def _from_text(path: Path, text: pd.Series) -> pd.Series:
    name = str(text.name)
    times = pd.to_datetime(text, format="ISO8601", errors="coerce", utc=True)
    _refuse(path, name, times.isna(), "not a date and time in ISO 8601, such as 2021-03-04T05:06:07")
    zoned = text.str.contains(r"(?:[Zz]|:.*[+-][0-9:]+)$")
    _refuse(path, name, zoned != zoned.iloc[0], "times with and without a time zone are mixed")
    return times.dt.tz_localize(None).astype("datetime64[ms]")


def _ratings(path: Path, column: pd.Series) -> pd.Series:
    ratings = pd.to_numeric(column, errors="coerce").astype(np.float64)
    _refuse(path, str(column.name), ratings.isna() & column.notna(), "the rating is not a number")
    return ratings


def _fold(source: str, interactions: pd.DataFrame) -> pd.DataFrame:
    """Keep the earliest of repeated (user, item) pairs; say how many rows that folded."""
    pair = ["user_id", "item_id"]
    repeated = interactions[interactions.duplicated(pair, keep=False)]
    if "timestamp" in interactions:
        repeated = repeated.sort_values("timestamp", kind="stable")
    later = repeated.index[repeated.duplicated(pair)]
    if len(later):
        message = (
            f"{source}: {len(later):,} repeated (user, item) rows were folded into the earliest of each pair."
        )
        warnings.warn(message, UserWarning, stacklevel=3)
        interactions = interactions.drop(index=later).reset_index(drop=True)
    interactions.attrs["folded"] = len(later)
    return interactions


def _locate(source: str | os.PathLike[str]) -> Path:
    """Return the path of the reader's own file: as a notebook's parameter counts it, else from here."""
    path = resolve(Path(source))
    return path if path.exists() else Path(source)


# --- The public loaders --------------------------------------------------------------------------------

_NAMES = ", ".join(MOVIELENS)


def load_interactions(
    source: str | os.PathLike[str] = "ml-100k",
    *,
    user_column: str = "user_id",
    item_column: str = "item_id",
    timestamp_column: str = "timestamp",
    rating_column: str = "rating",
    timestamp_unit: str = "s",
    min_rating: float = 0.0,
    cache_dir: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Load interactions of a MovieLens set, of your own file, or made up.

    Parameters
    ----------
    source : "ml-100k", "ml-1m", "ml-20m", "ml-25m", "ml-32m" (fetched once, then from the cache);
        "synthetic" (1,000 users, 500 items, 50,000 interactions, no network); or the path of a CSV
        (.csv, .csv.gz; comma-separated UTF-8 with a header) or Parquet file. A relative path starts at
        $BPR_ROOT or the repository's root, as in the notebooks, else at the current folder.
    user_column, item_column, timestamp_column, rating_column : names of your file's columns. The last two
        may be missing under their default names; "" says that there are none.
    timestamp_unit : "s", "ms", "us" or "ns", the unit of your file's timestamps where they are numbers.
        ISO 8601 strings and datetimes need none; times without a zone count as UTC.
    min_rating : keep interactions with at least this rating (1 to 5 in MovieLens); 0 keeps all.
    cache_dir : folder of the downloads; by default $BPR_CACHE, else the user's cache folder.

    Returns
    -------
    DataFrame
        A row per interaction in the order of the file: user_id, item_id (int64 where all ids are plain
        integers, else str)[, rating: float64][, timestamp: datetime64[ms]]. Of repeated (user, item)
        pairs in your own file the earliest stays; a warning says how many rows went, as does
        `.attrs["folded"]`.

    Raises
    ------
    ValueError
        if a file or a column is not as described, naming file, column and first bad row.
    ConnectionError
        if a MovieLens set is neither in the cache nor can be fetched.
    """
    if timestamp_unit not in UNITS:
        raise ValueError(f"timestamp_unit is {timestamp_unit!r}; it must be one of {', '.join(UNITS)}.")
    if source in MOVIELENS:
        interactions = _movielens(str(source), "interactions", cache_dir)
    elif source == "synthetic":
        interactions = _small_synthetic()[0]
    else:
        names = {"user_id": user_column, "item_id": item_column, "timestamp": timestamp_column}
        interactions = _own_interactions(_locate(source), names | {"rating": rating_column}, timestamp_unit)
    interactions = _at_least(str(source), interactions, min_rating)
    # MovieLens and the synthetic set have no repetition, and looking for it takes long at 25 million rows.
    known = source in MOVIELENS or source == "synthetic"
    return interactions if known else _fold(str(source), interactions)


def _own_interactions(path: Path, names: dict[str, str], unit: str) -> pd.DataFrame:
    """Read the reader's own file; `names` maps our column names to those of the file."""
    given = {ours: theirs for ours, theirs in names.items() if theirs}
    if len(set(given.values())) < len(given):
        raise ValueError(f"{path}: two of the columns {', '.join(map(repr, given.values()))} are the same.")
    # A timestamp or a rating may be missing, but not under a name that somebody has typed.
    optional = [
        theirs for ours, theirs in given.items() if theirs == ours and ours in ("timestamp", "rating")
    ]
    wanted = [theirs for theirs in given.values() if theirs not in optional]
    table = _read_file(path, wanted, optional, text=[names["user_id"], names["item_id"]])
    columns = {ours: _ids(path, table[names[ours]]) for ours in ("user_id", "item_id")}
    if names["rating"] in table:
        columns["rating"] = _ratings(path, table[names["rating"]])
    if names["timestamp"] in table:
        columns["timestamp"] = _timestamps(path, table[names["timestamp"]], unit)
    return pd.DataFrame(columns)


def _at_least(source: str, interactions: pd.DataFrame, min_rating: float) -> pd.DataFrame:
    if min_rating == 0:
        return interactions
    if "rating" not in interactions:
        raise ValueError(
            f"{source}: min_rating is {min_rating:g}, but there is no rating column; set it to 0."
        )
    kept = interactions[interactions["rating"] >= min_rating].reset_index(drop=True)
    if kept.empty:
        highest = interactions["rating"].max()
        raise ValueError(
            f"{source}: no rating reaches min_rating {min_rating:g}; the highest is {highest:g}."
        )
    return kept


def load_items(
    source: str | os.PathLike[str] = "ml-100k",
    *,
    item_column: str = "item_id",
    cache_dir: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Load the titles of a MovieLens set, of your own file, or made up.

    Parameters
    ----------
    source : as in `load_interactions`; your own file has columns item_id and title, and may have year and
        genres
    item_column : name of your file's column of ids
    cache_dir : folder of the downloads; by default $BPR_CACHE, else the user's cache folder.

    Returns
    -------
    DataFrame
        A row per item: item_id (as in `load_interactions`), title (str, without its year: "Toy Story";
        from your own file as it stands), year (Int64, <NA> where unknown) and genres (str, joined by "|",
        "" where there are none).

    Raises
    ------
    ValueError
        if a file or a column is not as described, naming file, column and first bad row.
    ConnectionError
        if a MovieLens set is neither in the cache nor can be fetched.
    """
    if source in MOVIELENS:
        return _movielens(str(source), "items", cache_dir)
    if source == "synthetic":
        return _small_synthetic()[1]
    path = _locate(source)
    table = _read_file(path, [item_column, "title"], ["year", "genres"], [item_column, "title", "genres"])
    ids = _ids(path, table[item_column])
    _refuse(path, item_column, ids.duplicated(), "this id has a row already")
    absent = pd.Series([None] * len(table))
    years = pd.to_numeric(table.get("year", absent), errors="coerce")
    return pd.DataFrame(
        {
            "item_id": ids,
            "title": table["title"].astype("str").fillna(ids.astype("str")),
            "year": years.round().astype("Int64"),
            "genres": table.get("genres", absent).astype("str").fillna(""),
        }
    )


def drop_unknown_titles(interactions: pd.DataFrame, items: pd.DataFrame) -> pd.DataFrame:
    """Drop the interactions with items whose title is "unknown": movie 267 of MovieLens-100K.

    Parameters
    ----------
    interactions : DataFrame, one row per interaction, column item_id
    items : DataFrame, one row per item, columns item_id and title

    Returns
    -------
    DataFrame
        The other interactions, in their old order. Items without a row in `items` stay.
    """
    unknown = items.loc[items["title"] == "unknown", "item_id"]
    return interactions[~interactions["item_id"].isin(unknown)].reset_index(drop=True)


# --- Made up, with a known truth -----------------------------------------------------------------------

N_TASTES = 12
DRAWING_ROUNDS = 6  # then few users are short, and a look at all items is cheaper
ROWS_PER_BLOCK = 1_000_000  # bounds the memory of the draws


@dataclass(frozen=True)
class SyntheticTruth:
    """What made the interactions: user u draws item i in proportion to user_vectors[u] @ item_vectors[i]."""

    user_vectors: np.ndarray  # (n_users, 12) float64: how much of each taste a user has; rows sum to 1
    item_vectors: np.ndarray  # (n_items, 12) float64: how a taste spreads over the items; columns sum to 1


@overload
def synthetic_interactions(
    n_users: int, n_items: int, n_interactions: int, *, seed: int = 0, return_truth: Literal[False] = False
) -> pd.DataFrame: ...
@overload
def synthetic_interactions(
    n_users: int, n_items: int, n_interactions: int, *, seed: int = 0, return_truth: Literal[True]
) -> tuple[pd.DataFrame, SyntheticTruth]: ...
def synthetic_interactions(
    n_users: int, n_items: int, n_interactions: int, *, seed: int = 0, return_truth: bool = False
) -> pd.DataFrame | tuple[pd.DataFrame, SyntheticTruth]:
    """Make interactions whose truth is known: long-tailed in users and items, of rank 12 in taste.

    Every user mixes twelve tastes, every taste has its favourites among the items, popular in different
    degrees. A user draws items one after the other, without repetition, each in proportion to the user's
    vector times the item's: the better an item fits, the earlier it tends to come.

    Parameters
    ----------
    n_users, n_items : int >= 1, sizes; ids run from 0, and are rows of the truth's vectors
    n_interactions : int, at most n_users * n_items; every user has at least one where there are enough
    seed : int, the same seed gives the same rows
    return_truth : also return the vectors

    Returns
    -------
    DataFrame, or DataFrame and SyntheticTruth
        user_id, item_id (int64; distinct pairs) and timestamp (datetime64[ms], rising within a user, in
        bursts, from 2015 on), ordered by user and time.

    Raises
    ------
    ValueError
        if a size is below 1, or there are fewer pairs than interactions.
    """
    if min(n_users, n_items) < 1 or not 1 <= n_interactions <= n_users * n_items:
        raise ValueError(
            f"n_interactions is {n_interactions:,}; {n_users:,} users and {n_items:,} items allow 1 to "
            f"{max(n_users, 0) * max(n_items, 0):,}."
        )
    rng = np.random.default_rng(seed)
    truth = _truth(n_users, n_items, rng)
    counts = _activity(n_users, n_items, n_interactions, rng)
    items = np.empty(n_interactions, np.int64)
    timestamps = np.empty(n_interactions, np.int64)
    ends = np.concatenate([[0], np.cumsum(counts)])
    item_cdfs = _stack_cdfs(truth.item_vectors.T)
    edges = np.unique(np.searchsorted(ends, [*range(0, n_interactions, ROWS_PER_BLOCK), n_interactions]))
    for start, stop in itertools.pairwise(edges):
        block, rows = slice(start, stop), slice(ends[start], ends[stop])
        items[rows] = _draw(truth.user_vectors[block], truth.item_vectors, item_cdfs, counts[block], rng)
        timestamps[rows] = _times(counts[block], rng)
    columns = {
        "user_id": np.repeat(np.arange(n_users), counts),
        "item_id": items,
        "timestamp": timestamps.view("datetime64[ms]"),
    }
    interactions = pd.DataFrame(columns, copy=False)
    return (interactions, truth) if return_truth else interactions


def _truth(n_users: int, n_items: int, rng: np.random.Generator) -> SyntheticTruth:
    tastes = rng.dirichlet(np.full(N_TASTES, 0.25), n_users)
    popularity = rng.permutation(1 / (np.arange(n_items) + 10.0))  # Zipf's law with a blunt head
    spread = popularity[:, None] * np.exp(2.5 * rng.standard_normal((n_items, N_TASTES)))
    return SyntheticTruth(tastes, spread / spread.sum(axis=0))


def _activity(n_users: int, n_items: int, n_interactions: int, rng: np.random.Generator) -> np.ndarray:
    """Return how many interactions each user has: log-normal, 1 to half the items where that is possible."""
    least = int(n_interactions >= n_users)
    most = n_items // 2 if n_interactions <= n_users * (n_items // 2) else n_items
    counts = least + _shares(n_interactions - least * n_users, rng.lognormal(0, 1, n_users))
    over = np.maximum(counts - most, 0)
    counts -= over
    return counts + _shares(int(over.sum()), most - counts)  # in proportion to room: never too much


def _shares(total: int, weights: np.ndarray) -> np.ndarray:
    """Split a whole number in proportion to weights, into whole numbers."""
    if total == 0:
        return np.zeros(len(weights), np.int64)
    edges = np.rint(np.cumsum(weights) * (total / weights.sum())).astype(np.int64)
    return np.diff(edges, prepend=0)


def _draw(
    users: np.ndarray, items: np.ndarray, item_cdfs: np.ndarray, counts: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw counts[u] distinct items for each user, one user after the other.

    Drawing with repetition and keeping each item's first draw is the same as drawing without. Users that
    are still short after some rounds get the rest by `_draw_rest`, which looks at every item.
    """
    user_cdfs = _stack_cdfs(users)
    user = drawn = np.zeros(0, np.int64)
    for _ in range(DRAWING_ROUNDS):
        missing = counts - np.bincount(user, minlength=len(counts))
        if (missing <= 0).all():
            break
        more = np.repeat(np.arange(len(counts)), np.where(missing > 0, 2 * missing + 8, 0))
        taste = _pick(user_cdfs, more, users.shape[1], rng)
        user = np.concatenate([user, more])
        drawn = np.concatenate([drawn, _pick(item_cdfs, taste, len(items), rng)])
        first = np.sort(np.unique(user * len(items) + drawn, return_index=True)[1])
        first = first[np.argsort(user[first], kind="stable")]
        user, drawn = user[first], drawn[first]
    found = np.bincount(user, minlength=len(counts))
    parts = np.split(drawn, np.cumsum(found)[:-1])
    for short in np.flatnonzero(found < counts):
        parts[short] = _draw_rest(parts[short], items @ users[short], counts[short], rng)
    return np.concatenate([part[:count] for part, count in zip(parts, counts, strict=True)])


def _stack_cdfs(distributions: np.ndarray) -> np.ndarray:
    """Lay cumulative distributions end to end, the r-th from r to r + 1, so that one search serves all."""
    return (np.cumsum(distributions, axis=1) + np.arange(len(distributions))[:, None]).ravel()


def _pick(cdfs: np.ndarray, which: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one of `size` values from each of the stacked distributions `which`."""
    place = np.searchsorted(cdfs, which + rng.random(len(which))) - which * size
    return np.clip(place, 0, size - 1)  # a distribution's last sum may miss 1 by rounding


def _draw_rest(seen: np.ndarray, rates: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Go on drawing without repetition: the order of exponential waiting times at the items' rates."""
    waiting = rng.exponential(size=len(rates)) / rates
    waiting[seen] = np.inf
    n = count - len(seen)
    soonest = np.argpartition(waiting, n - 1)[:n]
    return np.concatenate([seen, soonest[np.argsort(waiting[soonest])]])


def _times(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return rising times in milliseconds for each user: a first day in five years, then bursts."""
    user = np.repeat(np.arange(len(counts)), counts)
    gaps = rng.exponential(60.0, len(user))  # about a minute within a burst, ...
    gaps[rng.random(len(user)) < 0.05] *= 5_000  # ... days between two
    elapsed = np.cumsum(gaps)
    begin = np.datetime64("2015-01-01", "s").astype(np.int64) + rng.integers(0, 5 * 365 * 86_400, len(counts))
    starts = np.cumsum(counts) - counts
    base = np.append(elapsed, 0)[starts]
    # Whole seconds as in MovieLens, one at least between two.
    within = np.arange(len(user)) - starts[user]
    return (begin[user] + (elapsed - base[user]).astype(np.int64) + within) * 1000


_FIRST_WORDS = (
    "Amber Blue Burning Crimson Distant Early Forgotten Golden Hidden Iron Jade Last Midnight Northern Open "
    "Paper Quiet Restless Secret Silver Twilight Untold Velvet Winter Yellow"
)
_SECOND_WORDS = (
    "Autumn Bridge Circus Dream Empire Forest Garden Harbour Island Journey Kingdom Letter Mountain Night "
    "Orchard Promise River Station Train Valley"
)
_TASTE_NAMES = (
    "Action Adventure Animation Comedy Crime Documentary Drama Fantasy Horror Musical Romance Western"
)


def _small_synthetic() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Make the interactions and the titles of source="synthetic"."""
    interactions, truth = synthetic_interactions(1000, 500, 50_000, return_truth=True)
    favourite = truth.item_vectors.argmax(axis=1)
    items = pd.DataFrame(
        {
            "item_id": np.arange(500),
            "title": pd.array(
                [f"{a} {b}" for a in _FIRST_WORDS.split() for b in _SECOND_WORDS.split()], dtype="str"
            ),
            "year": pd.array(np.random.default_rng(0).integers(1930, 2015, 500), dtype="Int64"),
            "genres": pd.array(np.array(_TASTE_NAMES.split())[favourite], dtype="str"),
        }
    )
    return interactions, items

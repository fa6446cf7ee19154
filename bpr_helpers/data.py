"""Interactions and titles in: a MovieLens set, your own CSV or Parquet file, or a made-up set."""

from __future__ import annotations

import os
import re
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bpr_helpers.movielens import MOVIELENS, load_movielens
from bpr_helpers.synthetic import small_synthetic

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # ticks per second
_LAST_SECOND = 4_102_444_800  # the year 2100
_NAMES = ", ".join(MOVIELENS)
_MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>"]  # what a CSV says for "no value"
_ENDINGS = {".csv": "CSV", ".csv.gz": "gzip", ".parquet": "Parquet"}
_FIRST_BYTES = {b"PAR1": "Parquet", b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip"}


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
        (.csv, .csv.gz; comma-separated UTF-8 with a header) or Parquet file.
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
        interactions = load_movielens(str(source), "interactions", cache_dir)
    elif source == "synthetic":
        interactions = small_synthetic()[0]
    else:
        names = {"user_id": user_column, "item_id": item_column, "timestamp": timestamp_column}
        interactions = _own_interactions(Path(source), names | {"rating": rating_column}, timestamp_unit)
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
    ValueError, ConnectionError
        as `load_interactions` does.
    """
    if source in MOVIELENS:
        return load_movielens(str(source), "items", cache_dir)
    if source == "synthetic":
        return small_synthetic()[1]
    path = Path(source)
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

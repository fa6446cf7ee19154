"""Interactions and titles in: a MovieLens set, your own CSV or Parquet file, or a made-up set."""

from __future__ import annotations

import difflib
import os
import re
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bpr_helpers.formats import MISSING, Table, open_table
from bpr_helpers.movielens import MOVIELENS, load_movielens
from bpr_helpers.synthetic import small_synthetic

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # ticks per second
_LAST_SECOND = 4_102_444_800  # the year 2100
_LOOKED_AT = 1000  # rows that tell whether a column reads like a time


@dataclass(frozen=True)
class _Column:
    """A column that is asked for: our name, the file's name, and words that often stand in such a name."""

    ours: str
    name: str
    parameter: str
    words: str

    @property
    def typed(self) -> bool:
        return self.name != self.ours


_WORDS = {
    "user_id": "user users uid userid customer customerid member reviewer reviewerid visitor account",
    "item_id": "item items iid itemid movie movieid film product productid asin sku book isbn song artist",
    "timestamp": "timestamp timestamps time times date dates datetime ts when epoch unixtime",
    "rating": "rating ratings stars score overall",
    "title": "title titles name names",
}


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
    source : "ml-100k", "ml-latest-small", "ml-1m", "ml-20m", "ml-25m", "ml-32m" (a zip or folder of that
        name in the cache or the current folder, else fetched once); "synthetic" (1,000 users, 500 items,
        50,000 interactions, no network); or the path of a CSV file (.csv, .csv.gz; UTF-8 with a header;
        fields between commas, tabs, semicolons, "::" or blanks), of a Parquet file or of a folder of them.
        Without a header, GroupLens's u.data and ratings.dat are read, and lines "user item item ...".
    user_column, item_column, timestamp_column, rating_column : names of your file's columns. The last two
        may be missing under their default names; "" says that there are none. A column that looks like the
        times is never passed over: it must be named, or "" said.
    timestamp_unit : "s", "ms", "us" or "ns", the unit of your file's timestamps where they are numbers.
        ISO 8601 strings and datetimes need none; times without a zone count as UTC.
    min_rating : keep interactions with at least this rating (1 to 5 in MovieLens); 0 keeps all.
    cache_dir : folder of the downloads; by default $BPR_CACHE, else the user's cache folder.

    Returns
    -------
    DataFrame
        A row per interaction in the order of the file: user_id, item_id (int64 where all ids are plain
        integers that fit, else str)[, rating: float64][, timestamp: datetime64[ms]]. Of repeated (user,
        item) pairs in your own file the earliest stays; a warning says how many rows went, as does
        `.attrs["folded"]`. `.attrs["read"]` says in words what was read: rows, first and last date.

    Raises
    ------
    ValueError
        if a file or a column is not as described, naming file, column and first bad row.
    ConnectionError
        if a MovieLens set is neither in the cache nor can be fetched.

    Examples
    --------
    >>> interactions = load_interactions("synthetic")
    >>> interactions.shape, interactions.columns.to_list()
    ((50000, 3), ['user_id', 'item_id', 'timestamp'])
    """
    if timestamp_unit not in UNITS:
        raise ValueError(f"timestamp_unit is {timestamp_unit!r}; it must be one of {', '.join(UNITS)}.")
    if source in MOVIELENS:
        interactions = load_movielens(str(source), "interactions", cache_dir)
    elif source == "synthetic":
        interactions = small_synthetic()[0]
    else:
        names = [user_column, item_column, timestamp_column, rating_column]
        interactions = _own_interactions(Path(source), names, timestamp_unit)
    interactions = _at_least(str(source), interactions, min_rating, rating_column)
    # MovieLens and the synthetic set have no repetition, and looking for it takes long at 25 million rows.
    if source in MOVIELENS or source == "synthetic":
        return interactions
    interactions = _fold(str(source), interactions)
    interactions.attrs["read"] = _in_words(interactions)
    return interactions


def _own_interactions(path: Path, names: list[str], unit: str) -> pd.DataFrame:
    """Read the reader's own file; `names` are its columns of users, items, times and ratings."""
    source, present, untimed = open_interactions(path, names)
    return in_our_types(path, _read_present(source, present, untimed), present, unit)


def open_interactions(path: Path, names: list[str]) -> tuple[Table, dict[str, str], bool]:
    """Open a file; give what is ours by which name of its, and whether times were hoped for in vain."""
    source, columns = _open_interactions(path, names)
    present = {our: column.name for our, column in columns.items() if column.name in source.names}
    return source, present, "timestamp" in columns and "timestamp" not in present


def in_our_types(
    path: Path, table: pd.DataFrame, present: dict[str, str], unit: str, texts: Collection[str] = ()
) -> pd.DataFrame:
    """Give the columns of a file our names and types; ids in `texts` stay text, whatever they look like."""
    frame = {our: _ids(path, table[present[our]], our in texts) for our in ("user_id", "item_id")}
    if "rating" in present:
        frame["rating"] = _ratings(path, table[present["rating"]])
    if "timestamp" in present:
        frame["timestamp"] = _timestamps(path, table[present["timestamp"]], unit)
    return pd.DataFrame(frame)


def check_columns(
    source: str | os.PathLike[str],
    *,
    user_column: str = "user_id",
    item_column: str = "item_id",
    timestamp_column: str = "timestamp",
    rating_column: str = "rating",
) -> None:
    """Look whether a file has the columns that are asked for, before any of its rows is read.

    Parameters
    ----------
    source : path of your own file or folder, as in `load_interactions`
    user_column, item_column, timestamp_column, rating_column : as in `load_interactions`

    Raises
    ------
    ValueError
        The file cannot be opened, or columns are missing: all of them in one sentence.
    """
    _open_interactions(Path(source), [user_column, item_column, timestamp_column, rating_column])


def _open_interactions(path: Path, names: list[str]) -> tuple[Table, dict[str, _Column]]:
    """Open the reader's own file and say what is missing in it."""
    columns = _asked_columns(path, names)
    source = open_table(path, [column.name for column in columns.values()])
    # A timestamp or a rating may be missing, but not under a name that somebody has typed.
    needed = [c for c in columns.values() if c.typed or c.ours in ("user_id", "item_id")]
    _require(source, needed, columns.values())
    return source, columns


def _asked_columns(path: Path, names: list[str]) -> dict[str, _Column]:
    roles = {"user_id": "user", "item_id": "item", "timestamp": "timestamp", "rating": "rating"}
    columns = {
        ours: _Column(ours, name, f"{role}_column", _WORDS[ours])
        for (ours, role), name in zip(roles.items(), names, strict=True)
        if name or ours in ("user_id", "item_id")
    }
    given = [column.name for column in columns.values()]
    if len(set(given)) < len(given):
        raise ValueError(f"{path}: two of the columns {', '.join(map(repr, given))} are the same.")
    return columns


def _read_present(source: Table, present: dict[str, str], untimed: bool) -> pd.DataFrame:
    """Read the columns that are there; where the times are not, look for them in the others, too."""
    others = [name for name in source.names if source.names.count(name) == 1 and untimed]
    text = {present[ours]: MISSING for ours in ("user_id", "item_id")}
    table = source.read([*dict.fromkeys([*present.values(), *others])], text)
    refuse_hidden_times(source.path, table.drop(columns=[*present.values()]))
    return table


def _require(source: Table, needed: Collection[_Column], asked: Collection[_Column]) -> None:
    """Say in one sentence which columns are missing, by which parameters they are named, and what is near."""
    taken = {column.name for column in asked}
    free = [name for name in source.names if name not in taken]
    absent = [column for column in asked if column.name not in source.names]
    near: dict[str, str] = {}
    for column in absent:
        near[column.parameter] = _near(column, [name for name in free if name not in near.values()])
    # The times are optional under their default name, unless a column looks like them.
    told = [c for c in absent if c in needed or (c.ours == "timestamp" and near[c.parameter])]
    if not told:
        return
    what = " and ".join(f"no column {column.name!r} ({column.parameter})" for column in told)
    shown = ", ".join(repr(name[:60]) for name in source.names[:20]) + (
        ", ..." if len(source.names) > 20 else ""
    )
    tries = [f"{c.parameter}={near[c.parameter]!r}" for c in told if near[c.parameter]]
    advice = f"; try {', '.join(tries)}" if tries else ""
    if any(column.ours == "timestamp" for column in told):
        advice += ", or timestamp_column='' to load no times" if tries else ""
    raise ValueError(f"{source.path}: {what}; its columns are {shown}{advice}.")


def _near(column: _Column, names: list[str]) -> str:
    """Return the name that is likeliest meant by a missing column, "" where none is."""
    letters = {re.sub(r"[\W_]", "", name).lower(): name for name in reversed(names)}
    for meant in (column.name, column.ours):
        close = difflib.get_close_matches(re.sub(r"[\W_]", "", meant).lower(), letters, 1, 0.8)
        if close:
            return letters[close[0]]
    words = column.words.split()
    for name in names:
        parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)  # of user_id, userId and USER ID alike
        if re.sub(r"[\W_]", "", name).lower() in words or {part.lower() for part in parts} & {*words}:
            return name
    return ""


def refuse_hidden_times(path: Path, others: pd.DataFrame) -> None:
    """Refuse to load without times what has a column that reads like times under another name."""
    others = others.head(_LOOKED_AT)
    times = [str(name) for name in others if _reads_like_times(others[name])]
    if times:
        raise ValueError(
            f"{path}: no column 'timestamp' (timestamp_column), but {times[0]!r} reads like times; "
            f"try timestamp_column={times[0]!r}, or timestamp_column='' to load no times."
        )


def _reads_like_times(column: pd.Series) -> bool:
    """Tell datetimes, ISO 8601 text, and integers that are moments since 1998 in a common unit."""
    values = column.dropna()
    if values.empty or pd.api.types.is_bool_dtype(values):
        return False
    if pd.api.types.is_numeric_dtype(values):
        last = 2.1e9  # in 2036
        return any(values.between(9e8 * ticks, last * ticks).all() for ticks in UNITS.values())
    if pd.api.types.is_datetime64_any_dtype(values):
        return True
    return bool(values.astype("str").str.match(r"\d{4}-\d\d-\d\d([T ]\d\d:|$)").all())


def _in_words(interactions: pd.DataFrame) -> str:
    words = f"{len(interactions):,} interactions"
    if "timestamp" not in interactions:
        return f"{words} without times"
    first, last = interactions["timestamp"].min(), interactions["timestamp"].max()
    return f"{words} from {first:%Y-%m-%d} to {last:%Y-%m-%d}"


def require_rating(source: str, is_there: bool, min_rating: float, column: str) -> None:
    """Refuse a smallest rating where there are no ratings."""
    if min_rating and not is_there:
        raise ValueError(
            f"{source}: min_rating is {min_rating:g}, but there is no rating column {column!r} "
            "(rating_column); name it, or set min_rating to 0."
        )


def _at_least(source: str, interactions: pd.DataFrame, min_rating: float, column: str) -> pd.DataFrame:
    if min_rating == 0:
        return interactions
    require_rating(source, "rating" in interactions, min_rating, column)
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
    title_column: str = "title",
    cache_dir: str | os.PathLike[str] | None = None,
) -> pd.DataFrame:
    """Load the titles of a MovieLens set, of your own file, or made up.

    Parameters
    ----------
    source : as in `load_interactions`; your own file has columns of ids and titles, and may have year and
        genres. GroupLens's u.item, movies.dat and movies.csv are read as they are.
    item_column, title_column : names of your file's columns. Where it has no `item_column` but a column
        item_id, that one is taken, so that interactions may call theirs otherwise.
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

    Examples
    --------
    >>> load_items("synthetic").head(1).to_dict("records")
    [{'item_id': 0, 'title': 'Amber Autumn', 'year': 2002, 'genres': 'Horror'}]
    """
    if source in MOVIELENS:
        return load_movielens(str(source), "items", cache_dir)
    if source == "synthetic":
        return small_synthetic()[1]
    path = Path(source)
    table = open_table(path, [item_column, title_column])
    item_column = _id_of_titles(table, item_column)
    columns = [
        _Column("item_id", item_column, "item_column", _WORDS["item_id"]),
        _Column("title", title_column, "title_column", _WORDS["title"]),
    ]
    _require(table, columns, columns)
    return _own_items(path, table, item_column, title_column)


def _id_of_titles(table: Table, item_column: str) -> str:
    """Return the column of ids: as typed, else item_id, else what GroupLens calls it in its movies.csv."""
    known = ["item_id", "movieId"] if table.names[:2] == ["movieId", "title"] else ["item_id"]
    return next((name for name in [item_column, *known] if name in table.names), item_column)


def _own_items(path: Path, source: Table, item_column: str, title_column: str) -> pd.DataFrame:
    more = [name for name in ("year", "genres") if name in source.names]
    text = {item_column: MISSING, title_column: [""], "genres": MISSING}  # a film may be called None
    table = source.read([*dict.fromkeys([item_column, title_column, *more])], text)
    ids = _ids(path, table[item_column])
    _refuse(path, item_column, ids.duplicated(), "this id has a row already")
    absent = pd.Series([None] * len(table))
    years = pd.to_numeric(table.get("year", absent), errors="coerce").astype("float64")
    years = years.where(years.abs() < 10_000)  # also what is no year: inf
    return pd.DataFrame(
        {
            "item_id": ids,
            "title": table[title_column].astype("str").fillna(ids.astype("str")),
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


def _refuse(path: Path, column: str, bad: pd.Series | np.ndarray, what: str) -> None:
    """Raise a ValueError that names file, column and first bad row, if any row is bad."""
    bad = np.asarray(bad, dtype=bool)
    if bad.any():
        raise ValueError(f"{path}, column {column!r}, row {int(bad.argmax()) + 1} below the header: {what}.")


def _ids(path: Path, column: pd.Series, as_text: bool = False) -> pd.Series:
    """Return ids as int64 where all are integers that fit ("7" and 7.0, not "007"), else as strings."""
    name = str(column.name)
    _refuse(path, name, column.isna(), "the id is missing")
    if pd.api.types.is_float_dtype(column):
        bad = (column % 1 != 0) | (column.abs() >= 2**63)
        _refuse(path, name, bad, "an id must be an integer or a string")
    if pd.api.types.is_numeric_dtype(column) and column.min() >= -(2**63) and column.max() < 2**63:
        return column.astype(np.int64)
    try:
        codes, ids = pd.factorize(column)
    except TypeError:  # lists, say, in a Parquet file
        raise ValueError(f"{path}, column {name!r}: an id must be an integer or a string.") from None
    names = pd.Series(ids).astype("str").str.strip()  # once for each id, not for each row
    _refuse(path, name, (names == "").to_numpy()[codes], "the id is missing")
    broken = names.str.contains("\n", regex=False).to_numpy()[codes]
    _refuse(path, name, broken, "the id goes over several lines; a quotation mark may have been left open")
    if not as_text and names.str.fullmatch(r"(0|-?[1-9][0-9]{0,18})(\.0+)?").all():
        whole = [int(name.split(".")[0]) for name in names]
        if min(whole) >= -(2**63) and max(whole) < 2**63:
            return pd.Series(np.array(whole, dtype=np.int64)[codes])
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
    times = _milliseconds(column, unit).astype("datetime64[ms]")
    _warn_of_wrong_unit(path, column, times, unit)
    return times


def _milliseconds(column: pd.Series, unit: str) -> pd.Series:
    """Return whole milliseconds, rounded down from what the decimal digits say.

    A float of seconds holds microseconds exactly enough until 2100, but its product with 1000 may fall just
    below a whole number: hence whole microseconds first.
    """
    if pd.api.types.is_integer_dtype(column):
        column = column.astype(np.int64)
        return column * 1000 if unit == "s" else column // (UNITS[unit] // 1000)
    microseconds = (column.astype(np.float64) * (1e6 / UNITS[unit])).round()
    return microseconds.astype(np.int64) // 1000


def _warn_of_wrong_unit(path: Path, column: pd.Series, times: pd.Series, unit: str) -> None:
    """Say what was read where no data of our time look so: all in 1970, or many rows in one minute."""
    first, last = times.min(), times.max()
    in_1970, at_once = last.year == 1970, len(times) > 100 and last - first < pd.Timedelta("1min")
    if in_1970 or at_once:
        days = column.between(19000101, 21001231).all() and (column % 100).between(1, 31).all()
        hint = "as dates like 20240131 do: write them as 2024-01-31." if days else "is timestamp_unit right?"
        warnings.warn(
            f"{path}, column {str(column.name)!r}: read in {unit!r}, its {len(times):,} times go from "
            f"{first} to {last}; {hint}",
            UserWarning,
            stacklevel=5,
        )


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
    later = later_repeats(interactions)
    if len(later):
        warnings.warn(folded_in_words(source, len(later)), UserWarning, stacklevel=3)
        interactions = interactions.drop(index=later).reset_index(drop=True)
    interactions.attrs["folded"] = len(later)
    return interactions


def folded_in_words(source: str, n_rows: int) -> str:
    """Say how many rows were folded."""
    return f"{source}: {n_rows:,} repeated (user, item) rows were folded into the earliest of each pair."


def later_repeats(interactions: pd.DataFrame) -> pd.Index:
    """Label the rows that repeat an earlier (user, item) pair; of equal times the first row is earlier."""
    pair = ["user_id", "item_id"]
    repeated = interactions[interactions.duplicated(pair, keep=False)]
    if "timestamp" in interactions:
        repeated = repeated.sort_values("timestamp", kind="stable")
    return repeated.index[repeated.duplicated(pair)]

"""Tables in files: text with any separator, Parquet files and folders of them, GroupLens's own formats.

A file says here which columns it has before its rows are read. Nothing that a file claims is believed before
it is checked: not its name's ending, not its size (more than this machine's memory is refused unread), not
that a link in a folder stays in it.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bpr_helpers.files import refuse_larger
from bpr_helpers.movielens import MOVIELENS, read_movies_csv, read_movies_dat, read_u_item

MISSING = ["", "NA", "N/A", "NaN", "nan", "NULL", "null", "None", "<NA>"]  # what a CSV says for "no value"
TEXT_ENDINGS = (".csv", ".tsv", ".txt", ".tab", ".dat", ".data", ".item", ".inter", ".base", ".test")
SEPARATORS = (",", "\t", ";", "::", "|")
INTERACTIONS = ["user_id", "item_id", "rating", "timestamp"]
ITEMS = ["item_id", "title", "year", "genres"]
_START = 2**16  # bytes looked at to tell how a text file reads
_FIRST_BYTES = {
    b"PAR1": "Parquet",
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}
_INTEGER, _NUMBER = re.compile(r"-?\d{1,19}"), re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Table:
    """A file, or a folder of parts, whose columns are known and whose rows are not read yet."""

    path: Path
    names: list[str]
    rows: Callable[[list[str], Mapping[str, list[str]]], pd.DataFrame]

    def read(self, columns: list[str], text: Mapping[str, list[str]]) -> pd.DataFrame:
        """Read some of the columns.

        Parameters
        ----------
        columns : names that the table has
        text : columns of a text file that stay text, each with what in it means "no value"

        Raises
        ------
        ValueError
            A column is there twice, the file is damaged, or it has no rows.
        """
        twice = [name for name in columns if self.names.count(name) > 1]
        if twice:
            raise ValueError(f"{self.path} has the column {twice[0]!r} {self.names.count(twice[0])} times.")
        with explained(self.path):
            table = self.rows(columns, text)
        if table.empty:
            raise ValueError(f"{self.path} is empty: it has a header and no rows.")
        return table.reset_index(drop=True)


def open_table(path: Path, wanted: Collection[str]) -> Table:
    """Find out how a file reads and which columns it has.

    Parameters
    ----------
    path : a text file (gzipped or not), a Parquet file, or a folder of Parquet files
    wanted : names of columns that it should have; they help to tell a header and a separator

    Raises
    ------
    ValueError
        The file is not there, not what its name says, damaged, or has no header and is of no known format.
    """
    path = path.expanduser()
    if path.is_dir():
        parts = parquet_parts(path)
        with explained(path):
            return _parquet(path, parts, wanted)
    kind = _kind(path)
    with explained(path):
        return _parquet(path, [path], wanted) if kind == "Parquet" else _text(path, wanted)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the readers of files raise into a sentence."""
    try:
        yield
    except pd.errors.EmptyDataError:
        raise ValueError(f"{path} is empty: it has neither a header nor rows.") from None
    except UnicodeDecodeError as error:
        around = error.object[max(0, error.start - 20) : error.end + 20]
        raise ValueError(
            f"{path} is not UTF-8 but probably Latin-1 (Windows-1252), as at "
            f"{' '.join(around.decode('latin-1').split())!r}; save it as UTF-8, with pathlib "
            f"Path('utf8.csv').write_text(Path({path.name!r}).read_text('latin-1'), 'utf-8')."
        ) from None
    except (EOFError, OSError, zlib.error, pa.ArrowException, json.JSONDecodeError) as error:
        named = "Parquet" if path.is_dir() else _named_kind(path)
        what = str(error).strip().split("\n")[0]
        raise ValueError(
            f"{path} is damaged, or not the {named} file that its name says ({what})."
        ) from error


def _kind(path: Path) -> str:
    """Return what a file's name says that it is, having looked whether its first bytes agree."""
    if not path.is_file():
        known = ", ".join(MOVIELENS)
        raise ValueError(f"{path}: no such file; give a CSV or Parquet file, 'synthetic', or one of {known}.")
    name = path.name.lower()
    named = _named_kind(path)
    if name.endswith(".zip"):
        raise ValueError(
            f"{path} is an archive; unpack it, or where it is a MovieLens set, give the set's name, such as "
            f"{path.stem!r}."
        )
    if named != "Parquet" and not name.removesuffix(".gz").endswith(TEXT_ENDINGS):
        raise ValueError(
            f"{path}: its name must end in .csv, .csv.gz or .parquet (or, for text, in "
            f"{', '.join(TEXT_ENDINGS[1:])})."
        )
    with path.open("rb") as file:
        start = file.read(4)
    found = next((kind for first, kind in _FIRST_BYTES.items() if start.startswith(first)), "CSV")
    if found == "UTF-16":
        raise ValueError(f"{path} is UTF-16 text; save it as UTF-8 (Excel: CSV UTF-8).")
    if start and found != named:
        raise ValueError(f"{path} is not the {named} file that its name says: it holds {found} data.")
    return named


def _named_kind(path: Path) -> str:
    """Return what the ending of a name says; text with any separator is called CSV."""
    name = path.name.lower()
    return "gzip" if name.endswith(".gz") else "Parquet" if name.endswith((".parquet", ".pq")) else "CSV"


# --- Parquet -------------------------------------------------------------------------------------------


def parquet_parts(folder: Path) -> list[Path]:
    """List the Parquet files of a folder, in the order of their names; none may be a link out of it."""
    found = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    parts = sorted(
        path
        for path in found
        if path.name.lower().endswith((".parquet", ".pq")) and not path.name.startswith((".", "_"))
    )
    if not parts:
        texts = sorted(str(path.relative_to(folder)) for path in found if path.suffix in TEXT_ENDINGS)
        instead = f"; name one of its files, such as {folder / texts[0]}" if texts else ""
        raise ValueError(f"{folder} is a folder without Parquet files{instead}.")
    for part in parts:
        if not part.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{part} is a link that leads out of the folder; put the file itself there.")
        _kind(part)
    return parts


def _parquet(path: Path, parts: list[Path], wanted: Collection[str]) -> Table:
    """Take the columns that all parts have, and the wanted ones of the first, which the others must have."""
    others = [set(_parquet_names(part)) for part in parts[1:]]
    names = [
        name for name in _parquet_names(parts[0]) if name in wanted or all(name in other for other in others)
    ]

    def rows(columns: list[str], text: Mapping[str, list[str]]) -> pd.DataFrame:
        refuse_larger(path, 8 * len(columns) * sum(pq.read_metadata(part).num_rows for part in parts))
        tables = [read_parquet(part, columns) for part in parts]
        tables = [table for table in tables if len(table)] or tables[:1]
        return pd.concat(tables, ignore_index=True)

    return Table(path, names, rows)


def _parquet_names(path: Path) -> list[str]:
    schema = pq.read_schema(path)
    names = [name for name in schema.names if not re.fullmatch(r"__index_level_\d+__", name)]
    return names + [name for name in _ranges(schema) if name not in names]


def read_parquet(path: Path, columns: list[str], groups: list[int] | None = None) -> pd.DataFrame:
    """Read columns, of some row groups or of all; levels of an index are columns too, as to their owner."""
    absent = [name for name in columns if name not in _parquet_names(path)]
    if absent:
        raise ValueError(f"{path}: no column {absent[0]!r}, which another part of the folder has.")
    stored = [name for name in columns if name in pq.read_schema(path).names]
    file = pq.ParquetFile(path)
    arrow = file.read(columns=stored) if groups is None else file.read_row_groups(groups, columns=stored)
    table = arrow.to_pandas(ignore_metadata=True)
    for name, steps in _ranges(arrow.schema).items():
        if name in columns and name not in stored:
            if len(steps) != arrow.num_rows:
                raise ValueError(f"{path}: its index {name!r} is not as long as its columns.")
            table[name] = np.arange(steps.start, steps.stop, steps.step)
    return table[columns]


def _ranges(schema: pa.Schema) -> dict[str, range]:
    """Return the levels of the index that pandas has not stored as columns: named, evenly spaced integers."""
    try:
        described = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        levels = [level for level in described.get("index_columns", []) if isinstance(level, dict)]
        return {
            str(level["name"]): range(level["start"], level["stop"], level["step"])
            for level in levels
            if level.get("name") is not None
        }
    except (ValueError, LookupError, TypeError, AttributeError):  # not as pandas writes it
        return {}


# --- Text ----------------------------------------------------------------------------------------------


class _Bounded(io.RawIOBase):
    """A file that gives no more bytes than the machine has memory: gzip may unfold a little to terabytes."""

    def __init__(self, path: Path) -> None:
        self.path, self.given = path, 0
        opener: Callable[..., Any] = gzip.open if path.suffix.lower() == ".gz" else open
        self.file = opener(path, "rb")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.file.read(len(buffer))
        buffer[: len(data)] = data
        self.given += len(data)
        refuse_larger(self.path, self.given)
        return len(data)

    def close(self) -> None:
        self.file.close()
        super().close()


def _bytes(path: Path) -> io.BufferedReader:
    refuse_larger(path, path.stat().st_size)
    return io.BufferedReader(_Bounded(path), 2**18)


def _text(path: Path, wanted: Collection[str]) -> Table:
    """Tell a text file's separator and columns from its first lines."""
    lines = _first_lines(path)
    separator = _separator(lines, wanted)
    rows = [_split(line, separator) for line in lines]
    known = _known_titles(path, rows, separator)
    if known:
        return known
    names = rows[0]
    if lines[0].count('"') % 2 and separator != "::" and not _is_data(names, wanted):
        raise ValueError(_never_closed(path, "the header"))
    if not _is_data(names, wanted):
        return Table(path, names, lambda *what: _read_rows(path, separator, names, True, *what))
    if _is_grouplens(rows, separator):
        return Table(
            path, INTERACTIONS, lambda *what: _read_rows(path, separator, INTERACTIONS, False, *what)
        )
    if _is_line_per_user(rows):
        return Table(path, INTERACTIONS[:2], lambda columns, _: _read_lines(path, separator)[columns])
    raise ValueError(_how_to_name(path, lines[0], separator, len(names)))


def _first_lines(path: Path) -> list[str]:
    with _bytes(path) as file:
        start = file.read(_START)
    if b"\0" in start:
        raise OSError("it holds NUL bytes")
    try:
        text = start.decode("utf-8-sig")
    except UnicodeDecodeError:  # cut within a character, or Latin-1, of which the reading of rows will tell
        text = start.decode("latin-1").removeprefix("ï»¿")
    lines = text.splitlines() if len(start) < _START else text.splitlines()[:-1] or [text]
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise pd.errors.EmptyDataError
    return lines


def _split(line: str, separator: str) -> list[str]:
    if separator == " ":
        return line.split()
    if separator == "::":
        return [field.strip() for field in line.split("::")]
    quoted = csv.reader([line], delimiter=separator, skipinitialspace=True)
    return [field.strip() for field in next(quoted)]


def _separator(lines: list[str], wanted: Collection[str]) -> str:
    """Return the separator that finds most of the wanted names, else fields alike in all of the lines."""
    best, most = "", (-1, False, 0)
    for place, separator in enumerate(SEPARATORS):
        rows = [_split(line, separator) for line in lines[:20]]
        if len(rows[0]) > 1:
            found = len(set(rows[0]) & set(wanted)), all(len(r) == len(rows[0]) for r in rows), -place
            best, most = (separator, found) if found > most else (best, most)
    return best or (" " if len(lines[0].split()) > 1 else ",")


def _is_data(first: list[str], wanted: Collection[str]) -> bool:
    """Tell whether a first line holds values: none of the wanted names, and some field is a number."""
    return not set(first) & set(wanted) and any(_NUMBER.fullmatch(field) for field in first)


def _is_grouplens(rows: list[list[str]], separator: str) -> bool:
    """Tell u.data (with blanks, too, as pasted) and ratings.dat: user, item, a rating up to 5, seconds."""
    return separator in ("\t", "::", " ") and all(
        len(row) == 4
        and all(_INTEGER.fullmatch(row[place]) for place in (0, 1, 3))
        and re.fullmatch(r"[0-5](\.[05])?", row[2])
        and int(row[3]) > 10**8
        for row in rows
    )


def _is_line_per_user(rows: list[list[str]]) -> bool:
    """Tell lines "user item item ...": integers, no user twice, not all lines of one length."""
    return (
        all(_INTEGER.fullmatch(field) for row in rows for field in row)
        and len({row[0] for row in rows}) == len(rows)
        and len({len(row) for row in rows}) > 1
    )


def _known_titles(path: Path, rows: list[list[str]], separator: str) -> Table | None:
    """Recognize GroupLens's titles, whose years and genres its own readers tell apart."""
    read: Callable[[IO[bytes]], pd.DataFrame]
    if separator == "|" and all(len(row) == 24 and set(row[5:]) <= {"0", "1"} for row in rows):
        read = read_u_item
    elif separator == "::" and all(len(row) >= 3 and _INTEGER.fullmatch(row[0]) for row in rows):
        if _is_grouplens(rows, separator) or any(_NUMBER.fullmatch(row[-1]) for row in rows):
            return None
        read = read_movies_dat
    elif rows[0] == ["movieId", "title", "genres"] and all(_INTEGER.fullmatch(row[0]) for row in rows[1:]):
        read = read_movies_csv
    else:
        return None

    def titles(columns: list[str], text: Mapping[str, list[str]]) -> pd.DataFrame:
        with _bytes(path) as file:
            try:
                return read(file).rename(columns={"item_id": names[0]})[columns]
            except (IndexError, UnicodeDecodeError, ValueError, OverflowError, csv.Error) as error:
                raise ValueError(f"{path}: not all of its lines are as GroupLens's ({error}).") from None

    names = ["movieId" if read is read_movies_csv else "item_id", *ITEMS[1:]]
    return Table(path, names, titles)


def _how_to_name(path: Path, line: str, separator: str, n: int) -> str:
    shown = line if len(line) <= 40 else f"{line[:40]}..."
    names = INTERACTIONS[:n] if n <= 4 else INTERACTIONS + [f"column_{place}" for place in range(5, n + 1)]
    sep = {",": "", " ": r", sep=r'\s+'", "::": ", sep='::', engine='python'"}.get(
        separator, f", sep={separator!r}"
    )
    return (
        f"{path} has no header: its first line is {shown!r}; add names, in Python "
        f"pandas.read_csv({path.name!r}{sep}, header=None, names={names}).to_csv('named.csv', index=False), "
        "with the names of what the columns are."
    )


def _read_lines(path: Path, separator: str) -> pd.DataFrame:
    """Read lines "user item item ..." into a row per interaction."""
    with _bytes(path) as file:
        lines = file.read().decode("utf-8-sig").splitlines()
    rows = [[field for field in _split(line, separator) if field] for line in lines]
    for place, row in enumerate(rows):
        if not all(_INTEGER.fullmatch(field) for field in row):
            raise ValueError(f"{path}, line {place + 1}: not an integer for each of user, item, item, ...")
    users = np.repeat([row[0] if row else "" for row in rows], [max(len(row) - 1, 0) for row in rows])
    items = [item for row in rows for item in row[1:]]
    return pd.DataFrame({"user_id": pd.Series(users, dtype="str"), "item_id": pd.Series(items, dtype="str")})


def _read_rows(
    path: Path,
    separator: str,
    names: list[str],
    header: bool,
    columns: list[str],
    text: Mapping[str, list[str]],
) -> pd.DataFrame:
    """Read the rows of a text file; only some columns are wanted, but all are looked at."""
    unique = [name if names.count(name) == 1 else f"{name}\0{place}" for place, name in enumerate(names)]
    options: dict[str, Any] = {
        "names": unique,
        "header": 0 if header else None,
        "sep": {" ": r"\s+", "::": "\x1f"}.get(separator, separator),
        "quoting": csv.QUOTE_NONE if separator == "::" else csv.QUOTE_MINIMAL,
        "na_values": {name: text.get(name, MISSING) for name in unique},
        "dtype": dict.fromkeys(text, "str"),
    }
    options |= {"skipinitialspace": True, "index_col": False, "keep_default_na": False, "low_memory": False}
    try:
        with warnings.catch_warnings(), _bytes(path) as file:
            # Only so, and without usecols, does pandas not cut rows with too many fields short.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            table = pd.read_csv(_one_character(file) if separator == "::" else file, **options)
    except pd.errors.ParserWarning:
        raise ValueError(f"{path}, row 1 below the header: it has more fields than the header.") from None
    except pd.errors.ParserError as error:
        raise ValueError(_what_is_wrong(path, str(error), header)) from None
    return _without_empty_end(path, table)[columns]


def _one_character(file: IO[bytes]) -> io.StringIO:
    """Put one character in the place of "::", which pandas reads with its fast parser only so."""
    return io.StringIO(file.read().decode("utf-8-sig").replace("::", "\x1f"))


def _what_is_wrong(path: Path, error: str, header: bool) -> str:
    saw = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", error)
    if saw:
        row = int(saw[2]) - header
        return f"{path}, row {row} below the header: it has {saw[3]} fields, not {saw[1]}."
    opened = re.search(r"EOF inside string starting at row (\d+)", error)
    if opened:
        row = int(opened[1]) + 1 - header
        where = f"row {row} below the header" if row else "the header"
        return _never_closed(path, where)
    return f"{path} is not well-formed CSV ({error.strip()})."


def _never_closed(path: Path, where: str) -> str:
    return f"{path} is not well-formed CSV: a quotation mark opened in {where} is never closed."


def _without_empty_end(path: Path, table: pd.DataFrame) -> pd.DataFrame:
    """Drop the rows of bare separators that spreadsheets leave at the end, and say how many they were."""
    if len(table) and table.iloc[-1].notna().any():
        return table
    filled = np.flatnonzero(table.notna().to_numpy().any(axis=1))
    end = int(filled[-1]) + 1 if len(filled) else 0
    if end < len(table):
        warnings.warn(
            f"{path}: {len(table) - end:,} rows at the end hold no value; they were left out.",
            UserWarning,
            stacklevel=6,
        )
    return table.iloc[:end]

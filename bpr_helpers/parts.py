"""A folder of Parquet files, read part by part: for interactions larger than memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow.parquet as pq
from pandas.api.types import is_integer_dtype, is_numeric_dtype

from bpr_helpers.data import in_our_types, open_interactions, refuse_hidden_times, require_rating
from bpr_helpers.files import memory
from bpr_helpers.formats import explained, parquet_parts, read_parquet

ROWS = 2**21  # rows of a part: three columns of them take 50 MB, so that 2 GB hold several and copies
PER_ROW = 150  # bytes that pandas takes for a row, at most: see benchmarks/scale_out.py


class Part(NamedTuple):
    """Some row groups of a file.

    path, groups, start, n_rows : the file, its groups, the number of their first row among all, and of rows
    present : our names of columns -> the file's
    unit, texts, min_rating : the unit of times, the ids that stay text, the smallest rating kept
    """

    path: Path
    groups: list[int]
    start: int
    n_rows: int
    present: dict[str, str]
    unit: str
    texts: tuple[str, ...]
    min_rating: float

    def read(self) -> pd.DataFrame:
        """Read the rows as `load_interactions` gives them, with their numbers among all as index."""
        with explained(self.path):
            table = read_parquet(self.path, list(self.present.values()), self.groups)
        frame = in_our_types(self.path, table, self.present, self.unit, self.texts)
        frame.index = pd.RangeIndex(self.start, self.start + len(frame))
        return frame if self.min_rating == 0 else frame[frame["rating"] >= self.min_rating]

    def head(self) -> pd.DataFrame:
        """Give no row, but the columns and their types."""
        return self.read().iloc[:0]


def too_large(source: str | Path) -> bool:
    """Tell whether a Parquet file, or a folder of them, is too large for pandas on this machine.

    It is where its rows, at `PER_ROW` bytes each, would take more than half of the memory.
    """
    path = Path(source).expanduser()
    parts = parquet_parts(path) if path.is_dir() else [path]
    with explained(path):
        return PER_ROW * sum(pq.read_metadata(part).num_rows for part in parts) > memory() / 2


def open_parts(
    source: str | Path,
    *,
    user_column: str = "user_id",
    item_column: str = "item_id",
    timestamp_column: str = "timestamp",
    rating_column: str = "rating",
    timestamp_unit: str = "s",
    min_rating: float = 0.0,
    rows: int = ROWS,
    each: Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]] = map,
) -> list[Part]:
    """Open a Parquet file or a folder of them; no more than the first part is read yet.

    Ids that are stored as text are looked at, all of them, since one that is no number makes text of all.

    Parameters
    ----------
    source, user_column, item_column, timestamp_column, rating_column, timestamp_unit, min_rating : as in
        `load_interactions`
    rows : about how many rows a part holds, at least a row group of a file
    each : what applies a function to many things, such as `map`

    Raises
    ------
    ValueError
        A file or a column is not as described; of what is in the rows, when they are read.
    """
    path = Path(source).expanduser()
    names = [user_column, item_column, timestamp_column, rating_column]
    opened, present, untimed = open_interactions(path, names)
    require_rating(str(path), "rating" in present, min_rating, rating_column)
    files = parquet_parts(path) if path.is_dir() else [path]
    with explained(path):
        _refuse_other_types(files, list(present.values()))
        pieces = [piece for file in files for piece in _row_groups(file, rows)]
    if not pieces:
        raise ValueError(f"{path} is empty: it has a header and no rows.")
    if untimed:
        others = read_parquet(pieces[0][0], opened.names, pieces[0][1])
        refuse_hidden_times(path, others.drop(columns=[*present.values()]))
    parts, start = [], 0
    for file, groups, n_rows in pieces:
        parts.append(Part(file, groups, start, n_rows, present, timestamp_unit, (), min_rating))
        start += n_rows
    return _with_texts(parts, each)


def _with_texts(parts: list[Part], each: Callable[..., Iterable[Any]]) -> list[Part]:
    """Find the columns of ids that are text, and not integers written as text."""
    schema = pq.read_schema(parts[0].path).empty_table().to_pandas()
    present = {our: parts[0].present[our] for our in ("user_id", "item_id")}
    text = [o for o, name in present.items() if name in schema and not is_numeric_dtype(schema[name])]
    if text:
        ids = [part._replace(present=present, min_rating=0.0) for part in parts]
        found = {our for stay in each(partial(_stay_text, text), ids) for our in stay}
        parts = [part._replace(texts=tuple(sorted(found))) for part in parts]
    return parts


def _stay_text(text: list[str], part: Part) -> list[str]:
    frame = part.read()
    return [our for our in text if not is_integer_dtype(frame[our])]


def _refuse_other_types(parts: list[Path], columns: list[str]) -> None:
    """Refuse a folder whose parts hold a column in different types: only all rows would tell its meaning."""
    first: dict[str, Any] = {}
    for part in parts:
        schema = pq.read_schema(part)
        for column in set(columns) & set(schema.names):
            here = schema.field(column).type
            other, known = first.setdefault(column, (part, here))
            if here != known:
                raise ValueError(
                    f"{part} holds the column {column!r} as {here}, and {other.name} as {known}: write all "
                    "parts alike."
                )


def _row_groups(part: Path, rows: int) -> Iterator[tuple[Path, list[int], int]]:
    """Cut a file into runs of row groups of about so many rows: path, groups, number of rows."""
    file = pq.read_metadata(part)
    groups: list[int] = []
    n = 0
    for group in range(file.num_row_groups):
        size = file.row_group(group).num_rows
        if groups and n + size > rows:
            yield part, groups, n
            groups, n = [], 0
        groups, n = [*groups, group], n + size
    if n:
        yield part, groups, n

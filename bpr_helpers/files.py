"""Files that are whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name beside a file to write to; it becomes the file when the block ends well.

    Whoever is killed in the middle leaves the old file, or none, under its name. The content is on the disk
    before the name is, so that a machine that loses power leaves no half file either.

    Parameters
    ----------
    path : the file to write; its folder is made where it is missing

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "deep" / "number.txt"
    >>> with replacing(path) as new:
    ...     _ = new.write_text("42")
    >>> path.read_text(), len(list(path.parent.iterdir()))
    ('42', 1)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    new.unlink(missing_ok=True)  # whatever waits under that name, a link perhaps, is not written through
    try:
        yield new
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)

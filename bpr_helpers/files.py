"""Files that are whole or not there, and no larger than what reads them."""

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


def refuse_larger(what: object, size: float) -> None:
    """Raise a ValueError where something claims more bytes than this machine has memory.

    Parameters
    ----------
    what : a path, or what else the sentence names
    size : bytes that it would take
    """
    if size > memory():
        raise ValueError(
            f"{what} asks for {size / 1e9:,.0f} GB, and this machine has {memory() / 1e9:,.0f} GB: not read."
        )


def memory() -> float:
    """Give the bytes of this machine's memory; where it does not tell, 64 GB."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Windows
        return 2.0**36

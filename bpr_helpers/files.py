"""Files that are whole or not there, and no larger than what reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
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
    with replacing_all([path]) as [new]:
        yield new


@contextmanager
def replacing_all(paths: Sequence[Path]) -> Iterator[list[Path]]:
    """Give temporary names beside several files; when the block ends well, they become the files.

    Where the block ends with an error, or the disk is full, all of the old files stay. The content of every
    file is on the disk before the first of them takes its name.

    Parameters
    ----------
    paths : the files to write, in the order in which they take their names; folders are made where they are
        missing
    """
    new = [path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}") for path in paths]
    for path, temporary in zip(paths, new, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)  # whatever waits there, a link perhaps, is not written through
    try:
        yield new
        for temporary in new:
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
        for path, temporary in zip(paths, new, strict=True):
            temporary.replace(path)
    finally:
        for temporary in new:
            temporary.unlink(missing_ok=True)


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

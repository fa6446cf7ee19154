"""Several fits at once, in threads: most of a fit is compiled code, which does not wait for Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from threading import Lock
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Progress = Callable[[Iterable[Any], str], Iterable[Any]]
Thing = TypeVar("Thing")
Result = TypeVar("Result")

MOST = 4  # threads, since each fit has tables of its own in memory


def silently(things: Iterable[Any], doing: str) -> Iterable[Any]:
    """Go through things and show nothing: a `Progress` where nobody looks."""
    return things


def in_parallel(
    work: Callable[[Thing], Result],
    things: Mapping[Any, Thing] | Sequence[Thing],
    doing: str = "fitting",
    progress: Progress = silently,
    most: int = MOST,
) -> dict[Any, Result]:
    """Do the same work on several things at once, on as many processors as this process may use.

    These are all, or as many as `OMP_NUM_THREADS` says, by which trials of a sweep share a machine.

    What is computed does not depend on how many there are: every fit has random numbers of its own, and
    BLAS works with one thread meanwhile.

    Parameters
    ----------
    work : function of one thing
    things : name -> thing, or things that are their own names
    doing : what is done with them, for the bar
    progress : what shows which is waited for, such as `lesson.progress`; it is given pairs that begin with
        the name
    most : how many at once, at most

    Returns
    -------
    dict, name -> result, in the order of the things

    Raises
    ------
    Exception
        What the work on the first thing that fails raises; what had not begun is left undone.

    Examples
    --------
    >>> in_parallel(lambda n: n * n, {"two": 2, "three": 3})
    {'two': 4, 'three': 9}
    >>> in_parallel(abs, range(-1, 2))
    {-1: 1, 0: 0, 1: 1}
    """
    named = things if isinstance(things, Mapping) else {thing: thing for thing in things}
    share = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]  # of a list, the outermost threads
    processors = int(share) if share.isdecimal() else os.cpu_count() or 1
    pool = ThreadPoolExecutor(max(1, min(most, processors)))
    with one_blas_thread():
        try:
            futures = [(name, pool.submit(work, thing)) for name, thing in named.items()]
            return {name: future.result() for name, future in progress(futures, doing)}
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_lock, _limits = Lock(), ExitStack()
_inside = 0


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let one thread work on many small matrices: more gain nothing, and wait for each other's processor.

    Threads may be inside at the same time; the last to leave puts the limit back.
    """
    global _inside
    with _lock:
        if not _inside:
            _limits.enter_context(_blas().limit(limits=1, user_api="blas"))
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _limits.close()


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()  # looks through all loaded libraries, which takes milliseconds

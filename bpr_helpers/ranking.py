"""Ranking: where each relevant item stands in its user's list, and what that makes of the user's metrics.

A list never contains a seen item, and equal scores are ordered by one fixed seeded permutation of the
items: a model with constant scores ranks like chance, in whatever order the items are stored. Scores are
asked for in blocks of users, so that memory stays bounded.

`in_order` is that order in its plainest form. What ranks many users at once takes shorter ways to the same
places, and is tested against it.

Sizes, as the comments on shapes name them:

    b        users in a block
    n        relevant items: test interactions of known users
    n_items  items of the catalogue: the width of a row of scores
    k        cut-off
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import islice
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bpr_helpers import metrics
from bpr_helpers.matrix import BLOCK, Codes, Floats, InteractionMatrix, like_lengths
from bpr_helpers.parallel import one_blas_thread

Score = Callable[[Codes], NDArray[np.float32]]

# Rows of fewer items than LONG are sorted. Longer ones are gone through for each value that is looked for,
# where there are at most FEW in a row, or for what can be in the first places where only these matter.
LONG, FEW = 4096, 8
PIECE = 2**19  # scores that are gone through again and again, while a processor's cache holds them

NOT_FINITE = "The recommender's scores are not all finite: look for a diverged training."

AT_K = {
    "ndcg": metrics.ndcg,
    "recall": metrics.recall,
    "precision": metrics.precision,
    "hit": metrics.hit,
    "map": metrics.average_precision,
    "mrr": metrics.reciprocal_rank,
}


class Ranks(NamedTuple):
    """Where each relevant item stands in its user's list; four arrays of one length.

    rank is from 1, ties in the order of the seeded permutation, inf for an item that is never ranked;
    higher and equal count the other candidates with a higher and with the same score (nan if never ranked);
    n_candidates is the length of the list.
    """

    rank: Floats
    higher: Floats
    equal: Floats
    n_candidates: Floats


def full_ranks(
    score: Score,
    seen: InteractionMatrix,
    users: Codes,
    items: Codes,
    *,
    first: int | None = None,
    seed: int = 0,
    at_once: bool = False,
    progress: bool = False,
) -> Ranks:
    """Rank relevant items among all items that their users have not seen.

    Parameters
    ----------
    score : callable, user codes (b,) -> scores (b, n_items), float32; called by one thread at a time
    seen : InteractionMatrix, the items that no list contains
    users : int array (n,), codes of the users, ascending
    items : int array (n,), codes of their relevant items; -1 for an item unknown to the model
    first : int, how many places of each list matter: an item further down has rank inf, and higher and equal
        are nan, which spares sorting long lists; None ranks every item
    seed : int, of the permutation that orders equal scores
    at_once : bool, let several threads call score at once, which has to bear it
    progress : bool, show a progress bar over users

    Returns
    -------
    Ranks, n entries in the order given. However many users there are, scores are held of as many blocks as
    there are processors, 16 MB each, and while a block is ranked a copy of it: 64 MB with two processors. (A
    block has 2^22 scores, `matrix.BLOCK`, or one user.)

    Raises
    ------
    ValueError
        A score is not finite; with `first` and long lists, one that would stand in its places.
    """
    priority = tie_priority(seen.n_items, seed)

    def rank(block: _Block, scores: NDArray[np.float32]) -> Ranks:
        if first is not None and seen.n_items >= LONG:
            return _rank_top(scores, seen, block, priority, first)
        ranks = _rank_block(scores, seen, block, priority)
        return ranks if first is None else _up_to(ranks, first)

    return _rank_in_blocks(rank, score, users, items, seen.n_items, at_once, progress)


def mean_ndcg(
    score: Score,
    seen: InteractionMatrix,
    valid: InteractionMatrix,
    k: int = 10,
    users: Codes | None = None,
    *,
    seed: int = 0,
    at_once: bool = False,
) -> float:
    """Mean NDCG at k over the users who have a validation item; what training calls after every epoch.

    Parameters
    ----------
    score : callable, user codes (b,) -> scores (b, n_items), float32
    seen, valid : InteractionMatrix of the same codes: items left out of the lists, and the relevant items
    k : int, the cut-off
    users : int array, restrict to these user codes; None takes all
    seed, at_once : as in `full_ranks`

    Returns
    -------
    float between 0 and 1
    """
    wanted = np.arange(valid.n_users) if users is None else np.unique(users)
    relevant = valid.csr[wanted]
    owners, items = np.repeat(wanted, np.diff(relevant.indptr)), relevant.indices.astype(np.int64)
    ranks = full_ranks(score, seen, owners, items, first=k, seed=seed, at_once=at_once)
    return float(per_user_metrics(owners, ranks, ks=(k,), names=("ndcg",))[f"ndcg@{k}"].mean())


def sampled_ranks(
    score: Score,
    seen: InteractionMatrix,
    users: Codes,
    items: Codes,
    n: int,
    weights: Floats | None = None,
    *,
    seed: int = 0,
    at_once: bool = False,
    progress: bool = False,
) -> Ranks:
    """Rank each relevant item alone among n sampled candidates that its user has in neither seen nor test.

    Parameters
    ----------
    score, seen, users, items, at_once, progress : as in `full_ranks`
    n : int, candidates per relevant item; fewer where fewer can be drawn
    weights : array (n_items,), at least 0, chances of each draw; None draws uniformly
    seed : int, of the candidates and of the permutation that orders equal scores

    Returns
    -------
    Ranks, one entry per relevant item: rank 1 is the top of n + 1

    References
    ----------
    Efraimidis and Spirakis (2006), Weighted random sampling with a reservoir: the n smallest of exponential
    numbers divided by the weights are weighted draws without replacement, used where few items are left.
    """
    priority = tie_priority(seen.n_items, seed)
    draws = _Draws(seen.n_items, n, None if weights is None else np.asarray(weights, np.float64), seed)

    def rank(block: _Block, scores: NDArray[np.float32]) -> Ranks:
        return _rank_sampled(scores, seen, block, draws, priority)

    return _rank_in_blocks(rank, score, users, items, seen.n_items, at_once, progress)


def top_k(
    score: Score, seen: InteractionMatrix, users: Codes, k: int = 10, *, seed: int = 0
) -> NDArray[np.int64]:
    """Return each user's first k unseen items, best first; the order is that of `full_ranks`.

    Parameters
    ----------
    score, seen, seed : as in `full_ranks`
    users : int array (n,), user codes in any order
    k : int, length of the lists

    Returns
    -------
    int array (n, k), item codes; -1 where a user has fewer than k unseen items
    """
    priority = tie_priority(seen.n_items, seed)
    size = max(1, BLOCK // seen.n_items)
    parts = [users[start : start + size] for start in range(0, len(users), size)]
    lists = [_top_k_block(np.asarray(score(part)), seen, part, k, priority) for part in parts]
    return np.concatenate(lists) if lists else np.empty((0, k), np.int64)


def in_order(values: NDArray[Any], codes: Codes, priority: Codes) -> Codes:
    """Put items in the order of every list: the highest value first, ties by their place in the permutation.

    Parameters
    ----------
    values : array (n_items,), scores or what else is to be high
    codes : int array (m,), the items to order
    priority : int array (n_items,), as `tie_priority` gives it

    Returns
    -------
    int array (m,), the codes in order

    Examples
    --------
    >>> in_order(np.array([0.5, 0.9, 0.5]), np.array([0, 1, 2]), priority=np.array([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    return codes[np.lexsort((priority[codes], -values[codes]))]


def marginal_relevance(values: Floats, likeness: Floats, n: int, *, diversity: float) -> Codes:
    """Choose one after the other what is worth much and unlike everything that was chosen before.

    The next is the one with the highest (1 - diversity) * value - diversity * its greatest likeness to one
    that was chosen; of equal ones the first. The very first has nothing to be like.

    Parameters
    ----------
    values : array (m,), what each is worth by itself
    likeness : array (m, m), how much they are alike, in the same unit
    n : int, how many to choose; all where there are no more
    diversity : float, 0 to 1; 0 goes by value alone, 1 by likeness alone

    Returns
    -------
    int array (min(n, m),), places in the order in which they were chosen

    References
    ----------
    Carbonell and Goldstein (1998), The use of MMR, diversity-based reranking.

    Examples
    --------
    >>> alike = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])  # the first two are much alike
    >>> marginal_relevance(np.array([1, 0.9, 0.5]), alike, 3, diversity=0.5).tolist()
    [0, 2, 1]
    """
    chosen: list[int] = []
    nearest = np.zeros(len(values))  # (m,): the greatest likeness to one that was chosen
    for _ in range(min(n, len(values))):
        worth = (1 - diversity) * values - diversity * nearest
        worth[chosen] = -np.inf
        best = int(worth.argmax())
        nearest = np.maximum(nearest, likeness[best]) if chosen else likeness[best]
        chosen.append(best)
    return np.array(chosen, np.int64)


def tie_priority(n_items: int, seed: int = 0) -> Codes:
    """Place of each item in the seeded permutation: of two equal scores the lower place goes first."""
    return np.random.default_rng(seed).permutation(n_items)


def per_user_metrics(
    users: NDArray[Any], ranks: Ranks, ks: Iterable[int], names: Iterable[str] = (*AT_K, "auc")
) -> pd.DataFrame:
    """Turn the ranks of relevant items into metrics of their users.

    Parameters
    ----------
    users : array (n,), the user of each rank, in runs (equal users side by side)
    ranks : Ranks of n relevant items
    ks : the cut-offs
    names : keys of `AT_K`, and "auc"

    Returns
    -------
    DataFrame, a row per user in the order given, a column per metric ("ndcg@10"), "auc" without a cut-off
    """
    starts = _run_starts(users)
    sizes = np.diff(starts, append=len(users))
    groups = like_lengths(sizes, BLOCK // 8)  # a group is padded to one width
    frames = [_padded_metrics(ranks, starts[g], sizes[g], tuple(ks), tuple(names)) for g in groups]
    table = pd.concat(frames).set_axis(np.concatenate(groups), axis=0).sort_index()
    return table.set_axis(users[starts], axis=0)


class _Block(NamedTuple):
    users: Codes  # (b,) distinct user codes
    rows: Codes  # (n,) position of the relevant item's user in `users`
    items: Codes  # (n,) codes of the relevant items, -1 for unknown


def _blocks(users: Codes, items: Codes, size: int) -> Iterator[_Block]:
    starts = _run_starts(users)
    bounds = np.append(starts, len(users))
    for first in range(0, len(starts), size):
        last = min(first + size, len(starts))
        rows = np.repeat(np.arange(last - first), np.diff(bounds[first : last + 1]))
        yield _Block(users[starts[first:last]], rows, items[bounds[first] : bounds[last]])


def _run_starts(users: NDArray[Any]) -> Codes:
    return np.flatnonzero(np.concatenate([[True], users[1:] != users[:-1]])) if len(users) else np.arange(0)


def _rank_in_blocks(
    rank: Callable[[_Block, NDArray[np.float32]], Ranks],
    score: Score,
    users: Codes,
    items: Codes,
    n_items: int,
    at_once: bool,
    progress: bool,
) -> Ranks:
    """Score and rank as many blocks at once as there are processors: NumPy does not keep Python's lock."""
    workers = os.cpu_count() or 1
    alone = nullcontext() if at_once else Lock()

    def work(block: _Block) -> tuple[int, Ranks]:
        with alone:
            scores = np.asarray(score(block.users))
        if scores.shape != (len(block.users), n_items):
            raise ValueError(
                f"score returned an array of shape {scores.shape} for {len(block.users)} users and {n_items} "
                "items: return one row per user and one column per item."
            )
        return len(block.users), rank(block, scores)

    done: list[Ranks] = []
    pending: deque = deque()
    n_users = len(_run_starts(users))
    with ThreadPoolExecutor(workers) as pool, one_blas_thread(), _bar(n_users, progress) as bar:
        blocks = _blocks(users, items, max(1, BLOCK // n_items))
        pending.extend(pool.submit(work, block) for block in islice(blocks, 2 * workers))
        while pending:
            n_done, ranks = pending.popleft().result()
            pending.extend(pool.submit(work, block) for block in islice(blocks, 1))
            done.append(ranks)
            bar.update(n_done)
    columns = zip(*done, strict=True) if done else [[np.empty(0)]] * 4
    return Ranks(*map(np.concatenate, columns))


def _bar(n_users: int, progress: bool) -> Any:
    from tqdm.auto import tqdm

    if not progress:
        return tqdm(disable=True)
    return tqdm(total=n_users, desc="ranking", unit=" users", leave=False)  # TQDM_DISABLE still counts


def _rank_block(
    scores: NDArray[np.float32], seen: InteractionMatrix, block: _Block, priority: Codes
) -> Ranks:
    """Ranks by counting how many others score more, and as much."""
    n_candidates = seen.n_items - np.diff(seen.csr.indptr)[block.users]  # (b,)
    ranked = block.items >= 0  # (n,)
    rows, items = block.rows[ranked], block.items[ranked]  # (n_known,), as all below
    count = _by_sorting if seen.n_items < LONG else _row_by_row
    unseen, higher, equal = count(scores, seen, block.users, rows, items)
    ranked[ranked] = unseen
    rows, items, higher, equal = (column[unseen] for column in (rows, items, higher, equal))
    ahead = _ties_ahead(scores, seen, block.users, rows, items, equal, priority)  # of the equal ones
    return _spread(ranked, higher + ahead + 1, higher, equal, n_candidates[block.rows])


def _up_to(ranks: Ranks, first: int) -> Ranks:
    """Forget what stands behind the first places, and the counts."""
    unknown = np.full(len(ranks.rank), np.nan)
    return Ranks(np.where(ranks.rank <= first, ranks.rank, np.inf), unknown, unknown, ranks.n_candidates)


def _by_sorting(
    scores: NDArray[np.float32], seen: InteractionMatrix, users: Codes, rows: Codes, items: Codes
) -> tuple[Any, Any, Any]:
    """Whether items[j] is unseen by the user of rows[j], how many score more, and how many others as much.

    All entries are looked at, and those that are not hidden have to be finite.
    """
    hidden, n_candidates = _hide_seen(scores, seen, users), seen.n_items - np.diff(seen.csr.indptr)[users]
    unseen, values = hidden[rows, items] > -np.inf, scores[rows, items]
    hidden.sort(axis=1)
    some = np.flatnonzero(n_candidates > 0)  # nan and inf come last, -inf comes first of the unseen
    ends = hidden[some, -1], hidden[some, seen.n_items - n_candidates[some]]
    if not np.isfinite(ends).all():
        raise ValueError(NOT_FINITE)
    below = _count_in_rows(hidden, rows, values, np.less)
    equal = _count_equal(hidden, rows, values, below)
    return unseen, seen.n_items - below - equal - 1, equal


def _row_by_row(
    scores: NDArray[np.float32], seen: InteractionMatrix, users: Codes, rows: Codes, items: Codes
) -> tuple[Any, Any, Any]:
    """The same of long rows: what a row takes would not pay for short ones."""
    n_candidates, values = seen.n_items - np.diff(seen.csr.indptr)[users], scores[rows, items]
    unseen = np.empty(len(rows), np.bool_)
    higher, equal = np.empty((2, len(rows)), np.int64)
    ends = np.searchsorted(rows, np.arange(len(scores) + 1))  # (b + 1,)
    flags = np.empty((FEW, seen.n_items), np.bool_)
    for some, hidden in _hidden_in_pieces(scores, seen, users):
        own = slice(ends[some.start], ends[some.stop])
        unseen[own] = hidden[rows[own] - some.start, items[own]] > -np.inf
        for row, place in zip(hidden, range(some.start, some.stop), strict=True):
            own = slice(ends[place], ends[place + 1])
            higher[own], equal[own] = _in_row(row, n_candidates[place], values[own], flags)
    return unseen, higher, equal


def _in_row(
    row: NDArray[np.float32], n_candidates: int, values: Any, flags: NDArray[np.bool_]
) -> tuple[Any, Any]:
    """How many entries of a row are above each value, and how many others equal it."""
    if len(values) <= len(flags):
        if np.count_nonzero(np.isfinite(row, out=flags[0])) != n_candidates:
            raise ValueError(NOT_FINITE)
        found = flags[: len(values)]
        higher = [np.count_nonzero(one) for one in np.greater(row, values[:, None], out=found)]
        equal = [np.count_nonzero(one) - 1 for one in np.equal(row, values[:, None], out=found)]
        return higher, equal
    row.sort()
    if n_candidates and not (-np.inf < row[len(row) - n_candidates] and row[-1] < np.inf):
        raise ValueError(NOT_FINITE)
    below, up_to = (np.searchsorted(row, values, side) for side in ("left", "right"))
    return len(row) - up_to, up_to - below - 1


def _rank_top(
    scores: NDArray[np.float32], seen: InteractionMatrix, block: _Block, priority: Codes, k: int
) -> Ranks:
    """Ranks within the first k places: what stands further down gets inf, and nothing is sorted."""
    n_items = seen.n_items
    bound = np.empty(len(scores), np.float32)  # (b,)
    parts = []
    for some, hidden in _hidden_in_pieces(scores, seen, block.users):
        bound[some] = _bound_of_top(hidden, k)
        parts.append(np.flatnonzero(hidden >= bound[some, None]) + some.start * n_items)
    high = np.concatenate(parts)  # (m,): place in the block, row after row
    owner = high // n_items  # (m,)
    tied = np.bincount(owner, minlength=len(scores)) > n_items // 8  # (b,): equal scores, or few unseen
    values = scores[block.rows, block.items]  # (n,); of an unknown item nonsense, which is not ranked
    near = np.flatnonzero((block.items >= 0) & (values >= bound[block.rows]))  # the few that can count
    rank = np.full(len(values), np.inf)
    for j in near[tied[block.rows[near]]]:
        one = block.rows[[j]]
        row = _hide_seen(scores[one], seen, block.users[one])[0]  # (n_items,)
        equal = np.flatnonzero(row == values[j])
        if block.items[j] in equal:  # not seen
            ahead = np.count_nonzero(priority[equal] < priority[block.items[j]])
            rank[j] = 1 + np.count_nonzero(row > values[j]) + ahead
    high, near = high[~tied[owner]], near[~tied[block.rows[near]]]
    place = block.rows[near] * n_items + block.items[near]
    own = np.searchsorted(high, place)
    unseen = np.append(high, -1)[own] == place
    rank[near[unseen]] = _places(scores, high, priority)[own[unseen]]
    rank[rank > k] = np.inf
    unknown = np.full(len(rank), np.nan)
    n_candidates = seen.n_items - np.diff(seen.csr.indptr)[block.users]  # (b,)
    return Ranks(rank, unknown, unknown, n_candidates[block.rows].astype(np.float64))


def _places(values: NDArray[np.float32], some: Codes, priority: Codes) -> Codes:
    """On which place, from 1, of those that are named in its row each entry stands; names ascend: (m,)."""
    row, code = np.divmod(some, values.shape[1])
    order = np.lexsort((priority[code], -values[row, code], row))  # within each row, the best first
    place = np.empty(len(some), np.int64)
    place[order] = np.arange(len(some)) - np.searchsorted(row, row) + 1
    return place


def _bound_of_top(hidden: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """A value per row that at least k entries reach: the k-th largest of the maxima of many small groups."""
    n = hidden.shape[1]
    if n < k:
        return np.full(len(hidden), -np.inf, np.float32)
    size = max(1, n // (32 * k))  # items in a group: some 32 k groups are few to sort and tight enough
    n_groups = n // size
    grouped = hidden[:, : size * n_groups].reshape(len(hidden), size, n_groups).max(axis=1)  # (b, n_groups)
    maxima = np.hstack([grouped, hidden[:, size * n_groups :]])  # the rest is in groups of one
    maxima.partition(maxima.shape[1] - k, axis=1)
    if not (maxima[:, -k:] < np.inf).all():  # nan, too
        raise ValueError(NOT_FINITE)
    return maxima[:, -k]


def _spread(ranked: NDArray[np.bool_], rank: Any, higher: Any, equal: Any, n_candidates: Any) -> Ranks:
    """Ranks of all relevant items, where those that were never ranked get inf and nan."""

    def spread(values: Any, fill: float) -> Floats:
        column = np.full(len(ranked), fill)
        column[ranked] = values
        return column

    n_candidates = np.asarray(n_candidates, np.float64)
    return Ranks(spread(rank, np.inf), spread(higher, np.nan), spread(equal, np.nan), n_candidates)


def _hide_seen(scores: NDArray[np.float32], seen: InteractionMatrix, users: Codes) -> NDArray[np.float32]:
    hidden = np.array(scores)
    hidden[_seen_by(seen, users)] = -np.inf
    return hidden


def _hidden_in_pieces(
    scores: NDArray[np.float32], seen: InteractionMatrix, users: Codes
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Give copies of some rows at a time with seen items at -inf: as few as stay in a cache."""
    size = max(1, PIECE // seen.n_items)
    hidden = np.empty((size, seen.n_items), np.float32)
    for start in range(0, len(users), size):
        some = slice(start, min(start + size, len(users)))
        piece = hidden[: some.stop - start]
        piece[:] = scores[some]
        piece[_seen_by(seen, users[some])] = -np.inf
        yield some, piece


def _seen_by(seen: InteractionMatrix, users: Codes) -> tuple[Codes, Codes]:
    """Name the seen items of some users: their rows, from 0, and codes."""
    starts, ends = seen.csr.indptr[users], seen.csr.indptr[users + 1]
    lengths = (ends - starts).astype(np.int64)
    place = np.arange(lengths.sum()) + np.repeat(starts - (np.cumsum(lengths) - lengths), lengths)
    return np.repeat(np.arange(len(users)), lengths), seen.csr.indices[place]


def _count_in_rows(
    ascending: NDArray[np.float32], rows: Codes, values: NDArray[np.float32], below: Callable
) -> Codes:
    """How many entries of sorted row rows[j] are below values[j]: one binary search for all j together."""
    n = ascending.shape[1]
    low, high = np.zeros(len(rows), np.int64), np.full(len(rows), n)
    for _ in range(n.bit_length()):
        middle = np.minimum((low + high) // 2, n - 1)
        is_below = below(ascending[rows, middle], values)
        low, high = np.where(is_below, middle + 1, low), np.where(is_below, high, middle)
    return low


def _count_equal(
    ascending: NDArray[np.float32], rows: Codes, values: NDArray[np.float32], below: Codes
) -> Codes:
    """How many other entries equal values[j], which stands at place below[j] of its row."""
    equal = np.zeros(len(rows), np.int64)
    next_to_it = np.minimum(below + 1, ascending.shape[1] - 1)
    tied = np.flatnonzero((next_to_it > below) & (ascending[rows, next_to_it] == values))
    equal[tied] = _count_in_rows(ascending, rows[tied], values[tied], np.less_equal) - below[tied] - 1
    return equal


def _ties_ahead(
    scores: NDArray[np.float32],
    seen: InteractionMatrix,
    users: Codes,
    rows: Codes,
    items: Codes,
    equal: Codes,
    priority: Codes,
) -> Codes:
    """How many unseen items of equal score go before each relevant item; only tied items cost time."""
    ahead = np.zeros(len(rows), np.int64)
    for j in np.flatnonzero(equal):
        tied = (scores[rows[j]] == scores[rows[j], items[j]]) & (priority < priority[items[j]])
        ahead[j] = np.count_nonzero(tied) - np.count_nonzero(tied[_seen_items(seen, users[rows[j]])])
    return ahead


def _seen_items(seen: InteractionMatrix, user: int) -> NDArray[np.int32]:
    return seen.csr.indices[seen.csr.indptr[user] : seen.csr.indptr[user + 1]]


def _top_k_block(
    scores: NDArray[np.float32], seen: InteractionMatrix, users: Codes, k: int, priority: Codes
) -> Codes:
    hidden = _hide_seen(scores, seen, users)
    width = min(k, seen.n_items)
    thresholds = np.partition(hidden, seen.n_items - width, axis=1)[:, seen.n_items - width]
    lists = np.full((len(users), k), -1)
    for row, threshold, best in zip(hidden, thresholds, lists, strict=True):
        candidates = np.flatnonzero((row >= threshold) & (row > -np.inf))
        first = in_order(row, candidates, priority)[:k]
        best[: len(first)] = first
    return lists


def _padded_metrics(
    ranks: Ranks, starts: Codes, sizes: Codes, ks: tuple[int, ...], names: tuple[str, ...]
) -> pd.DataFrame:
    place = np.arange(sizes.max(initial=0))
    where = place < sizes[:, None]  # (users, widest), True where there is an item
    source = (starts[:, None] + place)[where]

    def pad(values: Floats) -> Floats:
        padded = np.full(where.shape, np.nan)
        padded[where] = values[source]
        return padded

    rank = pad(ranks.rank)
    columns = {f"{name}@{k}": AT_K[name](rank, k) for k in ks for name in names if name in AT_K}
    if "auc" in names:
        n_candidates = ranks.n_candidates[starts]
        columns["auc"] = metrics.auc(pad(ranks.higher), pad(ranks.equal), n_candidates)
    return pd.DataFrame(columns)


def _rank_sampled(
    scores: NDArray[np.float32], seen: InteractionMatrix, block: _Block, draws: _Draws, priority: Codes
) -> Ranks:
    unseen = _hide_seen(scores, seen, block.users)  # (b, n_items)
    if (np.isfinite(unseen).sum(1) != seen.n_items - np.diff(seen.csr.indptr)[block.users]).any():
        raise ValueError(NOT_FINITE)
    ranked = (block.items >= 0) & (unseen[block.rows, block.items] > -np.inf)
    rows, items = block.rows[ranked], block.items[ranked]  # (n_ranked,), as all below
    forbidden = np.isneginf(unseen)  # (b, n_items): seen, or a test item of the user
    forbidden[rows, items] = True
    found = np.zeros((4, len(rows)), np.int64)  # rank, higher, equal, n_candidates
    size = max(1, BLOCK // (4 * draws.n))  # items whose candidates are drawn at a time
    for some in (slice(start, start + size) for start in range(0, len(rows), size)):
        row, item = rows[some], items[some]
        drawn = draws.candidates(forbidden, row, block.users[row], item)  # (size, n)
        allowed = drawn < seen.n_items
        drawn[~allowed] = 0
        value, other = scores[row, item][:, None], scores[row[:, None], drawn]
        higher = ((other > value) & allowed).sum(1)
        tied = (other == value) & allowed
        ahead = (tied & (priority[drawn] < priority[item][:, None])).sum(1)
        found[:, some] = higher + ahead + 1, higher, tied.sum(1), 1 + allowed.sum(1)
    lengths = np.ones(len(ranked))
    lengths[ranked] = found[3]
    return _spread(ranked, found[0], found[1], found[2], lengths)


MOST_TURNS = 16  # of drawing again what was forbidden or repeated; then all items are looked at


class _Draws:
    """Candidates of relevant items, drawn one after the other without replacement.

    Every relevant item has a stream of numbers of its own, made of the seed, its user and itself: what it is
    compared with depends neither on blocks nor on what else is tested. A draw that is forbidden, or repeats
    an earlier one, is drawn again, which gives what remains the chances of a draw without it.
    """

    def __init__(self, n_items: int, n: int, weights: Floats | None, seed: int) -> None:
        self.n_items, self.n, self.weights = n_items, min(n, n_items), weights
        self.seed = _mixed(np.array([seed % 2**64], np.uint64))
        if weights is not None:
            self.cumulative = np.cumsum(weights) / weights.sum()  # (n_items,)

    def candidates(self, forbidden: NDArray[np.bool_], rows: Codes, users: Codes, items: Codes) -> Codes:
        """Draw n items for each of r relevant ones: (r, n), n_items where there are too few.

        Row rows[j] of `forbidden` (b, n_items) says what may not be drawn for users[j] and items[j].
        """
        streams = _mixed(self.seed + (users * np.int64(self.n_items) + items).astype(np.uint64))  # (r,)
        drawn = np.full((len(rows), self.n), self.n_items)
        possible = ~forbidden if self.weights is None else ~forbidden & (self.weights > 0)
        many = (possible.sum(1) >= 2 * self.n)[rows]  # with fewer, most draws would be repeated
        row, place = (axis.ravel() for axis in np.indices(drawn.shape))  # what is open
        row, place = row[many[row]], place[many[row]]
        for turn in range(MOST_TURNS):
            item = self._drawn(_numbers(streams[row], turn * self.n + place))
            drawn[row, place] = np.where(forbidden[rows[row], item], self.n_items, item)
            touched = np.unique(row)
            ordered = np.sort(drawn[touched], axis=1)
            ordered[:, 1:][ordered[:, 1:] == ordered[:, :-1]] = self.n_items
            drawn[touched] = ordered
            row, place = np.nonzero(ordered == self.n_items)
            row = touched[row]
            if not len(row):
                break
        for last in np.union1d(row, np.flatnonzero(~many)):
            self._fill(drawn[last], forbidden[rows[last]], streams[last])
        return drawn

    def _drawn(self, numbers: Floats) -> Codes:
        """Items, forbidden or not, from numbers between 0 and 1."""
        if self.weights is None:
            return (numbers * self.n_items).astype(np.int64)
        return np.minimum(np.searchsorted(self.cumulative, numbers), self.n_items - 1)

    def _fill(self, drawn: Codes, forbidden: NDArray[np.bool_], stream: np.uint64) -> None:
        """Draw what is open from all items that are left: the least of exponential numbers over weights."""
        left = ~forbidden
        left[drawn[drawn < self.n_items]] = False
        if self.weights is not None:
            left &= self.weights > 0
        codes = np.flatnonzero(left)
        keys = -np.log(_numbers(stream, MOST_TURNS * self.n + codes))
        if self.weights is not None:
            keys /= self.weights[codes]
        places = np.flatnonzero(drawn == self.n_items)[: len(codes)]
        drawn[places] = codes[np.argsort(keys)[: len(places)]]


def _numbers(streams: Any, places: Codes) -> Floats:
    """Numbers between 0 and 1, both left out, at places of streams: SplitMix64 of Steele et al. (2014)."""
    with np.errstate(over="ignore"):
        bits = _mixed(streams + places.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    return np.asarray((bits >> np.uint64(12)) + 0.5) / 2.0**52


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))

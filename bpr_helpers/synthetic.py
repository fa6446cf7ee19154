"""Made-up interactions whose truth is known: long-tailed, of twelve tastes, at any scale."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import pandas as pd

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

    Examples
    --------
    >>> interactions, truth = synthetic_interactions(100, 50, 1000, return_truth=True)
    >>> len(interactions), interactions["user_id"].nunique(), truth.item_vectors.shape
    (1000, 100, (50, 12))
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


def small_synthetic() -> tuple[pd.DataFrame, pd.DataFrame]:
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

"""Ranking metrics in plain NumPy: one formula, one short function, one source each.

Accuracy metrics read the *ranks* of one user's relevant items along the last axis, in any order:
1 is the top of the list, ``inf`` is a relevant item that the list can never hold, and ``nan`` is
padding, so that users with different numbers of relevant items fit one array. A user without a
relevant item has no value: the result is ``nan``, which belongs in no mean.

List metrics read *lists*, integer codes of the recommended items with shape (n_users, k), best first;
-1 stands where a list is shorter than k.
"""

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

Floats = NDArray[np.float64]

ITEMS_AT_ONCE = 512  # whose cosines with all others are in memory


def recall(ranks: ArrayLike, k: int) -> Floats:
    """Share of the relevant items that are among the first k: hits / number of relevant items.

    Parameters
    ----------
    ranks : array (..., m), ranks of the m relevant items, from 1
    k : int >= 1, the cut-off

    Returns
    -------
    array (...), between 0 and 1

    References
    ----------
    Manning, Raghavan and Schütze (2008), Introduction to Information Retrieval, section 8.4.

    Examples
    --------
    >>> recall([[1, 12, np.inf]], 10).round(3).tolist()
    [0.333]
    """
    ranks = np.asarray(ranks, np.float64)
    return _divide((ranks <= k).sum(-1), _n_relevant(ranks))


def precision(ranks: ArrayLike, k: int) -> Floats:
    """Share of the first k places that hold a relevant item: hits / k, also where the list is shorter.

    Parameters and Returns as in `recall`.

    References
    ----------
    Manning, Raghavan and Schütze (2008), section 8.4.

    Examples
    --------
    >>> precision([[1, 12, np.inf]], 10).tolist()
    [0.1]
    """
    ranks = np.asarray(ranks, np.float64)
    return _where_relevant((ranks <= k).sum(-1) / k, ranks)


def hit(ranks: ArrayLike, k: int) -> Floats:
    """1 where at least one relevant item is among the first k, else 0; its mean is the hit rate.

    Parameters and Returns as in `recall`.

    References
    ----------
    Deshpande and Karypis (2004), Item-based top-N recommendation algorithms, section 6.1.
    """
    ranks = np.asarray(ranks, np.float64)
    return _where_relevant((ranks <= k).any(-1), ranks)


def ndcg(ranks: ArrayLike, k: int) -> Floats:
    """Normalized discounted cumulative gain: sum of 1 / log2(rank + 1) over hits / that of the ideal list.

    The ideal list is cut at k too: it holds min(k, number of relevant items) hits at its top.
    Parameters and Returns as in `recall`.

    References
    ----------
    Järvelin and Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques, with the
    discount 1 / log2(rank + 1) and binary gains.

    Examples
    --------
    >>> ndcg([[1, 3]], 3).round(3).tolist()  # two relevant items, at ranks 1 and 3
    [0.92]
    """
    ranks = np.asarray(ranks, np.float64)
    gains = np.where(ranks <= k, 1 / np.log2(ranks + 1), 0)
    ideal = np.concatenate([[0], np.cumsum(1 / np.log2(np.arange(2, k + 2)))])
    return _divide(gains.sum(-1), ideal[np.minimum(_n_relevant(ranks), k)])


def average_precision(ranks: ArrayLike, k: int) -> Floats:
    """Mean over the relevant items of the precision at each hit among the first k; a miss counts 0.

    The divisor is the number of relevant items, as in trec_eval and ranx; dividing by min(k, that
    number) gives other, larger values under the same name. Parameters and Returns as in `recall`.

    References
    ----------
    Manning, Raghavan and Schütze (2008), section 8.4.
    """
    ranks = np.sort(np.asarray(ranks, np.float64), axis=-1)  # nan goes last, inf before it
    nth_hit = np.arange(1, ranks.shape[-1] + 1)
    return _divide(np.where(ranks <= k, nth_hit / ranks, 0).sum(-1), _n_relevant(ranks))


def reciprocal_rank(ranks: ArrayLike, k: int) -> Floats:
    """1 / rank of the first relevant item where that is among the first k, else 0.

    Parameters and Returns as in `recall`.

    References
    ----------
    Voorhees (1999), The TREC-8 question answering track report.
    """
    ranks = np.asarray(ranks, np.float64)
    return _where_relevant(np.where(ranks <= k, 1 / ranks, 0).max(-1, initial=0), ranks)


def auc(higher: ArrayLike, equal: ArrayLike, n_candidates: ArrayLike) -> Floats:
    """Share of pairs (relevant, other candidate) in the right order of score, a tie counting half.

    The Mann-Whitney statistic: of the candidates above a relevant item, those that are relevant
    themselves are taken out, m (m - 1) / 2 of them over all m relevant items.

    Parameters
    ----------
    higher : array (..., m), number of candidates with a higher score than the relevant item; nan is padding
    equal : array (..., m), number of other candidates with the same score
    n_candidates : array (...), number of all ranked candidates, relevant ones included

    Returns
    -------
    array (...), between 0 and 1; nan where there is no pair

    References
    ----------
    Rendle et al. (2009), BPR, section 3.1; ties as in Mann and Whitney (1947).
    """
    above = np.asarray(higher, np.float64) + np.asarray(equal, np.float64) / 2
    m = _n_relevant(above)
    n_pairs = m * (np.asarray(n_candidates) - m)
    return 1 - _divide(np.nansum(above, axis=-1) - m * (m - 1) / 2, n_pairs)


def catalogue_coverage(lists: ArrayLike, n_items: int) -> float:
    """Share of the catalogue that is recommended to anybody: distinct recommended items / n_items.

    Parameters
    ----------
    lists : int array (n_users, k), codes of the recommended items, -1 for none
    n_items : int, size of the catalogue

    Returns
    -------
    float between 0 and 1

    References
    ----------
    Ge, Delgado-Battenfeld and Jannach (2010), Beyond accuracy, section 3.
    """
    return float((_exposure(lists, n_items) > 0).mean())


def gini(lists: ArrayLike, n_items: int) -> float:
    """Gini coefficient of exposure: 0 where all items are recommended equally often, 1 where one takes all.

    With exposures sorted ascending x_1 <= ... <= x_n: sum of (2 i - n - 1) x_i / ((n - 1) sum of x).

    Parameters as in `catalogue_coverage`.

    Returns
    -------
    float between 0 and 1; nan for one item or no recommendation

    References
    ----------
    Fleder and Hosanagar (2009), Blockbuster culture's next rise or fall; Shani and Gunawardana
    (2011), Evaluating recommendation systems, section 8.3.3, for the divisor n - 1.
    """
    exposure = np.sort(_exposure(lists, n_items))
    weight = 2 * np.arange(1, n_items + 1) - n_items - 1
    return float(_divide(weight @ exposure, (n_items - 1) * exposure.sum()))


def novelty(lists: ArrayLike, popularity: ArrayLike, n_users: int) -> Floats:
    """Mean self-information of a user's list: -log2 of the share of users who know the item.

    An item that nobody has counts as one that a single user has, so that it stays finite.

    Parameters
    ----------
    lists : int array (n_users, k), codes of the recommended items, -1 for none
    popularity : array (n_items,), number of users who have each item in train
    n_users : int, number of users in train

    Returns
    -------
    array (n_users,), bits, at least 0; nan for an empty list

    References
    ----------
    Zhou et al. (2010), Solving the apparent diversity-accuracy dilemma; Vargas and Castells (2011).
    """
    return _list_mean(lists, -np.log2(np.maximum(np.asarray(popularity, np.float64), 1) / n_users))


def mean_popularity(lists: ArrayLike, popularity: ArrayLike) -> Floats:
    """Mean number of train interactions of the items in a user's list.

    Parameters
    ----------
    lists : int array (n_users, k), codes of the recommended items, -1 for none
    popularity : array (n_items,), number of train interactions of each item

    Returns
    -------
    array (n_users,), interactions; nan for an empty list

    References
    ----------
    Yin et al. (2012), Challenging the long tail recommendation, section 5.2.
    """
    return _list_mean(lists, np.asarray(popularity, np.float64))


def intra_list_distance(lists: ArrayLike, vectors: Any) -> Floats:
    """Mean of 1 - cosine over all pairs of items in a user's list.

    The cosines of all items that some list holds are computed once and looked up, a block of items at a time.
    An item with a zero vector is at distance 1 from every other.

    Parameters
    ----------
    lists : int array (n_users, k), codes of the recommended items, -1 for none
    vectors : array or sparse matrix (n_items, d), what an item is like: genres, users, a model's vectors

    Returns
    -------
    array (n_users,), between 0 and 2; nan for a list of fewer than two items

    References
    ----------
    Ziegler et al. (2005), Improving recommendation lists through topic diversification, section 3;
    Zhang and Hurley (2008) for the distance.
    """
    lists = np.asarray(lists)
    listed, width = lists >= 0, lists.shape[1]
    shown, places = np.unique(lists, return_inverse=True)
    places = places.reshape(lists.shape)
    vectors = sparse.csr_matrix(vectors, dtype=np.float64)[np.where(shown < 0, 0, shown)]
    squared = np.asarray(vectors.multiply(vectors).sum(1)).ravel()
    unit = sparse.diags_array(1 / np.sqrt(np.where(squared > 0, squared, 1))) @ vectors
    unit = sparse.csr_matrix(unit)
    transposed = unit.T.tocsr()
    pairs = [(a, b, np.flatnonzero(listed[:, a] & listed[:, b])) for a, b in combinations(range(width), 2)]
    user = np.concatenate([both for *_, both in pairs] or [np.empty(0, np.int64)])  # (n,), as all below
    first = np.concatenate([places[both, a] for a, _, both in pairs] or [user])
    second = np.concatenate([places[both, b] for _, b, both in pairs] or [user])
    cosine, order = np.empty(len(user)), np.argsort(first, kind="stable")
    starts = np.arange(0, len(shown) + ITEMS_AT_ONCE, ITEMS_AT_ONCE)
    for start, some in zip(starts, np.split(order, np.searchsorted(first[order], starts[1:])), strict=False):
        if len(some):  # what SciPy looks up at no places at all is not an array
            block = sparse.csr_matrix(unit[start : start + ITEMS_AT_ONCE] @ transposed)
            cosine[some] = np.asarray(block[first[some] - start, second[some]]).ravel()
    total, n_pairs = np.bincount(user, 1 - cosine, len(lists)), np.bincount(user, minlength=len(lists))
    return _divide(total, n_pairs)


def _n_relevant(ranks: Floats) -> NDArray[np.int64]:
    return np.asarray((~np.isnan(ranks)).sum(-1))


def _where_relevant(values: Any, ranks: Floats) -> Floats:
    return np.where(_n_relevant(ranks) > 0, values, np.nan)


def _divide(numerator: Any, denominator: Any) -> Floats:
    """Quotient with nan, not a warning, where the denominator is 0."""
    denominator = np.asarray(denominator, np.float64)
    return np.asarray(numerator, np.float64) / np.where(denominator == 0, np.nan, denominator)


def _exposure(lists: ArrayLike, n_items: int) -> NDArray[np.int64]:
    lists = np.asarray(lists)
    return np.bincount(lists[lists >= 0], minlength=n_items)


def _list_mean(lists: ArrayLike, values: Floats) -> Floats:
    lists = np.asarray(lists)
    listed = lists >= 0
    return _divide(np.where(listed, values[lists], 0).sum(-1), listed.sum(-1))

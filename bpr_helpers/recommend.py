"""Lists for people: recommendations, similar items, and why an item was recommended.

Equal values are ordered by the seeded permutation that evaluation uses.
"""

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from bpr_helpers.baselines import EASE, ItemKNN
from bpr_helpers.matrix import InteractionMatrix, Recommender, meet, same_kind
from bpr_helpers.ranking import in_order, marginal_relevance, tie_priority

Ids = Iterable[Any]  # a list, a set, an array, a Series or an Index of ids


def recommend(
    recommender: Recommender,
    user_id: Any,
    *,
    n: int = 10,
    items: pd.DataFrame | None = None,
    only: Ids | None = None,
    without: Ids | None = None,
    show_seen: bool = False,
    one_per: pd.Series | None = None,
) -> pd.DataFrame:
    """List the n items with the highest scores among those that the user has not seen.

    Whatever is left out, the other items keep their order.

    Parameters
    ----------
    recommender : a fitted Recommender
    user_id : a user from the data that it was fitted on; 42, 42.0 and "42" mean the same user
    n : int >= 1, length of the list; it is shorter when fewer items may be listed
    items : DataFrame with a row per item and a column item_id, such as the titles of `load_items`; its other
        columns are shown beside each item. None shows the ids alone
    only : item ids, the only ones that may be listed, such as what is in stock; ids that the model does not
        know are ignored. None allows every item, an empty list none
    without : item ids that are left out; ids that the model does not know are ignored
    show_seen : bool, whether items that the user has seen are listed as well
    one_per : Series, item_id -> group, such as a series of films: of each group only the first item stays;
        items without a group all stay

    Returns
    -------
    DataFrame
        A row per item, best first, indexed by rank from 1: item_id, the other columns of `items`, score.

    Raises
    ------
    ValueError
        The model has not been fitted, it does not know the user, n is below 1, or `items` has no column
        item_id, describes an item twice, or describes none of the model's items. `only` or `one_per` has ids
        and the model knows none of them, `one_per` names an item twice, or one of the three is something else
        than ids.

    Warns
    -----
    UserWarning
        The ids in `items` are of another type than the model's, and some of the model's items have no row; or
        `without` has ids and the model knows none of them, so that nothing is left out.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "b", "c", "b"]})
    >>> titles = pd.DataFrame({"item_id": ["a", "b", "c"], "title": ["Alien", "Brazil", "Casablanca"]})
    >>> recommend(EASE(l2=1.0).fit(ratings), 1, items=titles)["title"].tolist()
    ['Casablanca']
    """
    codes, scores = _listed(recommender, user_id, _checked_length(n), only, without, show_seen, one_per)
    return _table(recommender, codes, items, score=scores)


def rerank(
    recommender: Recommender,
    user_id: Any,
    *,
    n: int = 10,
    diversity: float = 0.3,
    popularity: float = 0.0,
    among: int = 100,
    vectors: Any = None,
    items: pd.DataFrame | None = None,
    only: Ids | None = None,
    without: Ids | None = None,
    show_seen: bool = False,
    one_per: pd.Series | None = None,
) -> pd.DataFrame:
    """List n items that score high and are not all alike, nor all popular: a list for people to look at.

    Of the items that `recommend` lists first, one after the other is taken: the one with the highest

        (1 - diversity) * value - diversity * likeness,

    where the value is the score, 0 for the lowest and 1 for the highest among them, minus `popularity` times
    log(1 + users of the item) / log(1 + users of the most popular item), and the likeness is the greatest
    cosine between the item's vector and that of one that was taken before.

    Parameters
    ----------
    recommender, user_id, items, only, without, show_seen, one_per : as in `recommend`
    n : int >= 1, length of the list; it is shorter when fewer items may be listed
    diversity : float, 0 to 1, how much likeness costs; 0 and no popularity give the list of `recommend`
    popularity : float >= 0, how much an item's popularity costs; at 1, the most popular item loses as much as
        lies between the highest score and the lowest
    among : int >= 1, how many of the first items are looked at, at least n
    vectors : what items are like: an array or sparse matrix (n_items, d) in the order of `matrix.item_ids`,
        or a DataFrame indexed by item_id, such as that of `content_vectors`, in which items may be missing.
        None takes the model's item vectors, or the users who have an item where the model has no vectors

    Returns
    -------
    DataFrame
        A row per item in the order in which they were taken, indexed by rank from 1: item_id, the other
        columns of `items`, score.

    Raises
    ------
    ValueError
        As in `recommend`; or diversity, popularity or among is out of its range, or `vectors` has another
        number of rows than there are items, or none of their ids.

    Warns
    -----
    UserWarning
        As in `recommend`.

    References
    ----------
    Carbonell and Goldstein (1998), The use of MMR, diversity-based reranking.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 2, 2, 3, 3], "item_id": ["a", "b", "c", "b", "d"]})
    >>> genres = pd.DataFrame({"g": [1, 1, 0], "h": [0, 0, 1]}, index=["b", "c", "d"])
    >>> rerank(EASE().fit(ratings), 1, n=2, diversity=0.9, vectors=genres)["item_id"].tolist()
    ['b', 'd']
    """
    _check_costs(diversity, popularity)
    n, among = _checked_length(n), _checked_length(among, "among")
    codes, scores = _listed(recommender, user_id, max(n, among), only, without, show_seen, one_per)
    values = scores.astype(np.float64) - scores.min(initial=np.inf)  # (m,)
    values /= max(values.max(initial=0), np.finfo(np.float32).tiny)
    values -= popularity * _popularity(recommender)[codes]
    unit = _unit_rows(recommender, vectors, codes)
    likeness = np.asarray((unit @ unit.T).todense())  # (m, m)
    places = marginal_relevance(values, likeness, n, diversity=diversity)
    return _table(recommender, codes[places], items, score=scores[places])


def similar_items(
    recommender: Recommender, item_id: Any, *, n: int = 10, items: pd.DataFrame | None = None
) -> pd.DataFrame:
    """List the n items that are most like one item.

    For a model with item vectors (BPR, IALS, any model with an attribute `item_vectors`), similarity is the
    cosine between two vectors. For EASE and ItemKNN it is the weight that a user's having the other item adds
    to the score of this one.

    Parameters
    ----------
    recommender : a fitted Recommender with item vectors or item-to-item weights
    item_id : an item from the data that it was fitted on; 42, 42.0 and "42" mean the same item
    n : int >= 1, length of the list; it is shorter when there are fewer other items
    items : DataFrame with a row per item and a column item_id, such as the titles of `load_items`; its other
        columns are shown beside each item. None shows the ids alone

    Returns
    -------
    DataFrame
        A row per item, most similar first, indexed by rank from 1: item_id, the other columns of `items`,
        similarity.

    Raises
    ------
    ValueError
        The model has not been fitted, it does not know the item, it has nothing to compare items by, n is
        below 1, or `items` is wrong as in `recommend`.

    Warns
    -----
    UserWarning
        As in `recommend`.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "b", "c", "b"]})
    >>> similar_items(ItemKNN().fit(ratings), "a", n=1)["item_id"].tolist()
    ['b']
    """
    item = _item_code(recommender, item_id)
    likeness = _likeness(recommender, item)
    codes = _highest(likeness, np.delete(np.arange(len(likeness)), item), n)
    return _table(recommender, codes, items, similarity=likeness[codes])


def because_you_liked(
    recommender: Recommender, user_id: Any, item_id: Any, *, n: int = 5, items: pd.DataFrame | None = None
) -> pd.DataFrame:
    """List those of the user's items that speak most for one item.

    For EASE and ItemKNN the pull is exact: the score of an item is the sum of the pulls of all items that the
    user has. For a model with item vectors (BPR, IALS) the pull is the cosine between the two items' vectors.
    It tells which items the model finds alike, and is not a part of the score.

    Parameters
    ----------
    recommender : a fitted Recommender with item vectors or item-to-item weights
    user_id, item_id : a user and an item from the data that it was fitted on; 42, 42.0 and "42" mean the same
    n : int >= 1, length of the list; it is shorter when fewer of the user's items have a pull above 0
    items : DataFrame with a row per item and a column item_id, such as the titles of `load_items`; its other
        columns are shown beside each item. None shows the ids alone

    Returns
    -------
    DataFrame
        A row per item of the user, strongest first, indexed by rank from 1: item_id, the other columns of
        `items`, pull (> 0).

    Raises
    ------
    ValueError
        The model has not been fitted, it does not know the user or the item, it has nothing to compare items
        by, n is below 1, or `items` is wrong as in `recommend`.

    Warns
    -----
    UserWarning
        As in `recommend`.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "b", "c", "b"]})
    >>> because_you_liked(ItemKNN().fit(ratings), 1, "c")["item_id"].tolist()
    ['b']
    """
    user, item = _user_code(recommender, user_id), _item_code(recommender, item_id)
    pull = np.array(_likeness(recommender, item))  # (n_items,), a copy
    counted = recommender.histories if isinstance(recommender, EASE | ItemKNN) else recommender.matrix.csr
    own = counted[[user]].indices
    pull[own] *= counted[[user]].data  # as much as each of them counts in the score
    codes = _highest(pull, own[(own != item) & (pull[own] > 0)], n)
    return _table(recommender, codes, items, pull=pull[codes])


def look_at(
    recommender: Recommender,
    user_id: Any,
    before: pd.DataFrame,
    after: pd.DataFrame,
    *,
    titles: pd.DataFrame | None = None,
    n: int = 5,
) -> pd.DataFrame:
    """Put beside each other what a user did last, what the model recommends, and what they did next.

    Parameters
    ----------
    recommender : fitted on `before`
    user_id : one of its users
    before, after : DataFrames of interactions, the training and the test part; where they have a timestamp,
        the items are in order of time
    titles : DataFrame with item_id and title, or without rows; items without a title show their id
    n : int, length of the lists

    Returns
    -------
    DataFrame, at most n rows
        seen last, recommended (a check mark behind what is in `after`), seen next ("held out" without times)

    Examples
    --------
    >>> before = pd.DataFrame({"user_id": [1, 1, 2, 2], "item_id": ["a", "b", "b", "c"]})
    >>> after = pd.DataFrame({"user_id": [1], "item_id": ["c"]})
    >>> look_at(EASE(l2=1.0).fit(before), 1, before, after).loc[1].tolist()
    ['a', 'c ✓', 'c']
    """
    timed = "timestamp" in before
    parts = [rows[rows["user_id"] == user_id] for rows in (before, after)]
    parts = [rows.sort_values("timestamp", kind="stable") if timed else rows for rows in parts]
    seen, coming = (rows["item_id"].tolist() for rows in parts)
    shown = recommend(recommender, user_id, n=n)["item_id"].tolist()
    known = {} if titles is None or titles.empty else titles.set_index("item_id")["title"].to_dict()
    named = [[short_title(known.get(item, item)) for item in ids] for ids in (seen[-n:], shown, coming[:n])]
    named[1] = [
        f"{title} ✓" if item in coming else title for title, item in zip(named[1], shown, strict=True)
    ]
    heads = ("seen last", "recommended", "seen next" if timed else "held out")
    table = pd.DataFrame({head: pd.Series(ids, dtype=object) for head, ids in zip(heads, named, strict=True)})
    return table.fillna("").set_axis(pd.RangeIndex(1, len(table) + 1))


def short_title(title: Any, width: int = 40) -> str:
    """Shorten a long title in its middle, for a table or a figure; both ends tell titles apart.

    Parameters
    ----------
    title : str, or an id that stands for a title
    width : int >= 1, the largest number of characters

    Returns
    -------
    str
        The title, or its beginning and its end around an ellipsis.

    Examples
    --------
    >>> short_title("Alien")
    'Alien'
    >>> short_title("Wireless Mouse with USB Receiver, Pack of 2 (black)", width=25)
    'Wireless Mou…of 2 (black)'
    """
    text = str(title)
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return f"{text[: width - 1 - end].rstrip()}…{text[len(text) - end :].lstrip()}"


def _fitted_matrix(recommender: Recommender) -> InteractionMatrix:
    """What the model was fitted on."""
    matrix = getattr(recommender, "matrix", None)
    if matrix is None:
        raise ValueError(
            f"This {type(recommender).__name__} has not been fitted: call fit(interactions) first."
        )
    return matrix


def _user_code(recommender: Recommender, user_id: Any) -> int:
    matrix = _fitted_matrix(recommender)
    code = matrix.user_codes(_as_written(user_id, matrix.user_ids, "user_id"))[0]
    return _known_code(int(code), recommender, "user_id", user_id)


def _item_code(recommender: Recommender, item_id: Any) -> int:
    matrix = _fitted_matrix(recommender)
    code = matrix.item_codes(_as_written(item_id, matrix.item_ids, "item_id"))[0]
    return _known_code(int(code), recommender, "item_id", item_id)


def _as_written(wanted: Any, ids: np.ndarray, column: str) -> pd.Series:
    """An id that a person typed, as the model's ids are written: 42 and "42" mean the same."""
    if not pd.api.types.is_scalar(wanted):
        raise ValueError(f"{column} is {wanted!r}: ask for one at a time.")
    return same_kind(pd.Series([wanted]), ids)


def _known_code(code: int, recommender: Recommender, column: str, wanted: Any) -> int:
    if code < 0:
        shown = wanted.item() if isinstance(wanted, np.generic) else wanted  # 1, not np.int64(1)
        raise ValueError(
            f"{type(recommender).__name__} was not fitted on {column} {shown!r}: "
            f"choose one of its matrix.{column}s."
        )
    return code


def _listed(
    recommender: Recommender,
    user_id: Any,
    n: int,
    only: Ids | None,
    without: Ids | None,
    show_seen: bool,
    one_per: pd.Series | None,
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Codes and scores of the first n items that may be listed: (m,) both, m <= n."""
    user = _user_code(recommender, user_id)
    [scores] = recommender.score(np.array([user]))
    allowed = _allowed(recommender.matrix, user, only, without, show_seen) & (scores > -np.inf)
    codes = np.flatnonzero(allowed)
    if one_per is None:
        codes = _highest(scores, codes, n)
    else:
        every = _highest(scores, codes, max(len(codes), 1))
        codes = _first_of_groups(every, recommender.matrix, one_per)[:n]
    return codes, scores[codes]


def _allowed(
    matrix: InteractionMatrix, user: int, only: Ids | None, without: Ids | None, show_seen: bool
) -> NDArray[np.bool_]:
    """Which items may be listed for a user: (n_items,)."""
    allowed = np.ones(matrix.n_items, bool)
    if only is not None:
        allowed[:] = False
        allowed[_known(meet(_ids(only, "only"), matrix.item_ids, "item of only"))] = True
    if without is not None:
        left_out = _ids(without, "without")
        codes = _known(matrix.item_codes(left_out))
        allowed[codes] = False
        if len(left_out) and not len(codes):
            warnings.warn(
                f"without leaves out nothing: of its {len(left_out):,} ids, {_kind(left_out)}, the model "
                f"knows none; its item_id are {_kind(pd.Series(matrix.item_ids))}.",
                stacklevel=4,
            )
    if not show_seen:
        allowed[matrix.csr[[user]].indices] = False
    return allowed


def _ids(given: Ids, name: str) -> pd.Series:
    """The ids that an argument holds."""
    if isinstance(given, str | bytes | pd.DataFrame | dict) or not isinstance(given, Iterable):
        raise ValueError(f"{name} is a {type(given).__name__}: give a list of item ids, or None.")
    ids = given if isinstance(given, pd.Series) else pd.Series(pd.Index(list(given)))
    return ids.dropna()


def _known(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    return codes[codes >= 0]


def _first_of_groups(
    codes: NDArray[np.int64], matrix: InteractionMatrix, one_per: pd.Series
) -> NDArray[np.int64]:
    """Leave out every item whose group a former one has."""
    if not isinstance(one_per, pd.Series):
        raise ValueError(
            f"one_per is a {type(one_per).__name__}: give a Series of groups whose index is item_id."
        )
    ids = same_kind(pd.Series(one_per.index), matrix.item_ids)
    if ids.duplicated().any():
        twice = ids[ids.duplicated()].tolist()[0]
        raise ValueError(f"one_per gives item_id {twice!r} more than one group: keep one.")
    places = meet(ids, matrix.item_ids, "item of one_per")
    group = pd.Series(one_per.array[places >= 0], index=_known(places)).reindex(codes)
    return codes[(group.isna() | ~group.duplicated()).to_numpy()]


def _check_costs(diversity: float, popularity: float) -> None:
    if not 0 <= diversity <= 1:
        raise ValueError(f"diversity is {diversity}: give 0 to 1.")
    if not 0 <= popularity < np.inf:
        raise ValueError(f"popularity is {popularity}: give 0 or more.")


def _popularity(recommender: Recommender) -> NDArray[np.float64]:
    """How popular items are in training, from 0 for nobody to 1 for the most users: (n_items,)."""
    matrix = recommender.matrix
    counted = np.bincount(matrix.csr.indices, minlength=matrix.n_items)
    counts = np.log1p(getattr(recommender, "item_counts", counted), dtype=np.float64)
    return counts / (counts.max() or 1)


def _unit_rows(recommender: Recommender, vectors: Any, codes: NDArray[np.int64]) -> sparse.csr_matrix:
    """What some items are like, in rows of length 1, or 0 where nothing is known of an item: (m, d)."""
    matrix = recommender.matrix
    if vectors is None:
        vectors = getattr(recommender, "item_vectors", None)
        vectors = matrix.csr.T if vectors is None else vectors
    places = codes
    if isinstance(vectors, pd.DataFrame):
        places = meet(pd.Series(matrix.item_ids), vectors.index, "item of vectors")[codes]
    elif vectors.shape[0] != matrix.n_items:
        raise ValueError(
            f"vectors has {vectors.shape[0]:,} rows for {matrix.n_items:,} items: give one row per item, in "
            "the order of matrix.item_ids, or a DataFrame indexed by item_id."
        )
    rows = sparse.csr_matrix(vectors, dtype=np.float64)[np.maximum(places, 0)]  # (m, d)
    lengths = np.sqrt(np.asarray(rows.multiply(rows).sum(1)).ravel())
    scale = np.divide(1.0, lengths, out=np.zeros_like(lengths), where=(lengths > 0) & (places >= 0))
    return sparse.csr_matrix(sparse.diags_array(scale) @ rows)


def _likeness(recommender: Recommender, item: int) -> NDArray[np.float32]:
    """How much every item speaks for one item: (n_items,)."""
    if isinstance(recommender, EASE):
        return recommender.weights[:, item]
    if isinstance(recommender, ItemKNN):
        return recommender.neighbours[:, [item]].toarray().ravel()
    vectors = getattr(recommender, "item_vectors", None)
    if vectors is None:
        raise ValueError(
            f"{type(recommender).__name__} has neither item vectors nor item-to-item weights: "
            "compare items with a BPR, IALS, EASE or ItemKNN."
        )
    norms = np.linalg.norm(vectors, axis=1)
    products = norms * norms[item]
    return np.divide(vectors @ vectors[item], products, out=np.zeros_like(products), where=products > 0)


def _highest(values: NDArray[np.float32], codes: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """The n codes of highest value, ties in the order of the seeded permutation."""
    n = _checked_length(n)
    if n < len(codes):  # only what reaches the n-th place is put in order
        codes = codes[values[codes] >= np.partition(values[codes], len(codes) - n)[len(codes) - n]]
    return in_order(values, codes, tie_priority(len(values)))[:n]


def _table(
    recommender: Recommender, codes: NDArray[np.int64], items: pd.DataFrame | None, **values: NDArray
) -> pd.DataFrame:
    """The list that a person reads: ids, what `items` says of them, values."""
    matrix = recommender.matrix
    table = pd.DataFrame({"item_id": matrix.item_ids[codes]}, index=codes)
    if items is not None and not items.empty:
        table = table.join(_described(matrix, items).drop(columns=list(values), errors="ignore"))
    return table.assign(**values).set_axis(pd.RangeIndex(1, len(codes) + 1, name="rank"))


def _described(matrix: InteractionMatrix, items: pd.DataFrame) -> pd.DataFrame:
    """What `items` says of the model's items, indexed by their codes."""
    if "item_id" not in items.columns:
        raise ValueError(
            f"items has no column item_id among {list(items.columns)}: rename the column that holds the ids."
        )
    codes = matrix.item_codes(same_kind(items["item_id"], matrix.item_ids))
    known = codes >= 0
    described = items[known].drop(columns="item_id").set_axis(codes[known])
    if described.index.has_duplicates:
        twice = matrix.item_ids[[described.index[described.index.duplicated()][0]]].tolist()[0]
        raise ValueError(f"items describes item_id {twice!r} more than once: keep one row per item.")
    _check_matches(len(described), matrix.item_ids, items["item_id"])
    return described


def _check_matches(n_found: int, ids: np.ndarray, described: pd.Series) -> None:
    """Refuse titles of other items; say it where ids of two types leave some items without a title."""
    own, other = _kind(pd.Series(ids)), _kind(described)
    met = (
        f"{n_found:,} of the model's {len(ids):,} items have a row in items: the model's item_id are {own}, "
        f"those of items are {other}."
    )
    if not n_found:
        raise ValueError(f"{met} Pass the items of the data that the model was fitted on.")
    if n_found < len(ids) and own.split(",")[0] != other.split(",")[0]:
        warnings.warn(met, stacklevel=5)


def _kind(ids: pd.Series) -> str:
    """What the ids are, in words, and the first of them: "integers, such as 1"."""
    names = {"integer": "integers", "string": "text", "floating": "decimals"}
    inferred = pd.api.types.infer_dtype(ids, skipna=True)
    return f"{names.get(inferred, f'of type {inferred}')}, such as {ids.iloc[:1].tolist()[0]!r}"


def _checked_length(n: int, name: str = "n") -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"{name} is {n}: ask for a list of at least 1 item.")
    return int(n)

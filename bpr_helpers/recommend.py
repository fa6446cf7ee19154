"""Lists for people: recommendations, similar items, and why an item was recommended.

Equal values are ordered by the seeded permutation that evaluation uses.
"""

import warnings
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bpr_helpers.baselines import EASE, ItemKNN
from bpr_helpers.matrix import InteractionMatrix, Recommender, same_kind
from bpr_helpers.ranking import in_order, tie_priority, top_k


def recommend(
    recommender: Recommender, user_id: Any, *, n: int = 10, items: pd.DataFrame | None = None
) -> pd.DataFrame:
    """List the n items with the highest scores among those that the user has not seen.

    Parameters
    ----------
    recommender : a fitted Recommender
    user_id : a user from the data that it was fitted on; 42, 42.0 and "42" mean the same user
    n : int >= 1, length of the list; it is shorter when the user has fewer unseen items
    items : DataFrame with a row per item and a column item_id, such as the titles of `load_items`; its other
        columns are shown beside each item. None shows the ids alone

    Returns
    -------
    DataFrame
        A row per item, best first, indexed by rank from 1: item_id, the other columns of `items`, score.

    Raises
    ------
    ValueError
        The model has not been fitted, it does not know the user, n is below 1, or `items` has no column
        item_id, describes an item twice, or describes none of the model's items.

    Warns
    -----
    UserWarning
        The ids in `items` are of another type than the model's, and some of the model's items have no row.

    Examples
    --------
    >>> ratings = pd.DataFrame({"user_id": [1, 1, 2, 2, 3], "item_id": ["a", "b", "b", "c", "b"]})
    >>> titles = pd.DataFrame({"item_id": ["a", "b", "c"], "title": ["Alien", "Brazil", "Casablanca"]})
    >>> recommend(EASE(l2=1.0).fit(ratings), 1, items=titles)["title"].tolist()
    ['Casablanca']
    """
    user = np.array([_user_code(recommender, user_id)])
    matrix = recommender.matrix
    [codes] = top_k(recommender.score, matrix, user, min(_checked_length(n), matrix.n_items))
    codes = codes[codes >= 0]
    return _table(recommender, codes, items, score=recommender.score(user)[0, codes])


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
    return in_order(values, codes, tie_priority(len(values)))[: _checked_length(n)]


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


def _checked_length(n: int) -> int:
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
        raise ValueError(f"n is {n}: ask for a list of at least 1 item.")
    return int(n)

"""Lists for people: recommendations, similar items, and why an item was recommended.

Equal values are ordered by the seeded permutation that evaluation uses.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bpr_helpers.baselines import EASE, ItemKNN
from bpr_helpers.matrix import Recommender
from bpr_helpers.ranking import tie_priority, top_k


def recommend(
    recommender: Recommender, user_id: Any, *, n: int = 10, items: pd.DataFrame | None = None
) -> pd.DataFrame:
    """List the n items with the highest scores among those that the user has not seen.

    Parameters
    ----------
    recommender : a fitted Recommender
    user_id : a user that it was fitted on
    n : int >= 1, length of the list; shorter where the user has fewer unseen items
    items : DataFrame of titles with a column item_id (see `load_items`), joined to the list; None joins none

    Returns
    -------
    DataFrame
        A row per item, best first, indexed by rank from 1: item_id, the other columns of `items`, score.

    Raises
    ------
    ValueError
        The user is unknown to the model, or n is below 1.
    """
    matrix = recommender.matrix
    user = np.array([_code(matrix.user_codes([user_id]), "user_id", user_id, recommender)])
    [codes] = top_k(recommender.score, matrix, user, _checked_length(n))
    codes = codes[codes >= 0]
    return _table(recommender, codes, items, score=recommender.score(user)[0, codes])


def similar_items(
    recommender: Recommender, item_id: Any, *, n: int = 10, items: pd.DataFrame | None = None
) -> pd.DataFrame:
    """List the n items that are most like one item.

    Likeness is the cosine of the item vectors (BPR, IALS, any model with `item_vectors`), or the weight with
    which having the other item adds to this one's score (EASE, ItemKNN).

    Parameters
    ----------
    recommender : a fitted Recommender with item vectors or item-to-item weights
    item_id : an item that it was fitted on
    n : int >= 1, length of the list; shorter where there are fewer other items
    items : DataFrame of titles with a column item_id (see `load_items`), joined to the list; None joins none

    Returns
    -------
    DataFrame
        A row per item, most alike first, indexed by rank from 1: item_id, the other columns of `items`,
        similarity.

    Raises
    ------
    ValueError
        The item is unknown to the model, the model compares no items, or n is below 1.
    """
    item = _code(recommender.matrix.item_codes([item_id]), "item_id", item_id, recommender)
    likeness = _likeness(recommender, item)
    others = np.delete(np.arange(len(likeness)), item)
    codes = _highest(likeness, others, n)
    return _table(recommender, codes, items, similarity=likeness[codes])


def because_you_liked(
    recommender: Recommender, user_id: Any, item_id: Any, *, n: int = 5, items: pd.DataFrame | None = None
) -> pd.DataFrame:
    """List which of the user's items pull one item up.

    For EASE and ItemKNN the pull is exact: an item's score is the sum of the pulls of all items that the
    user has. For models with item vectors (BPR, IALS) it is the cosine between the two items' vectors: what
    the model holds to be alike, not a share of the score.

    Parameters
    ----------
    recommender : a fitted Recommender with item vectors or item-to-item weights
    user_id, item_id : a user and an item that it was fitted on
    n : int >= 1, length of the list; shorter where fewer of the user's items have a pull above 0
    items : DataFrame of titles with a column item_id (see `load_items`), joined to the list; None joins none

    Returns
    -------
    DataFrame
        A row per item of the user, strongest first, indexed by rank from 1: item_id, the other columns of
        `items`, pull (> 0).

    Raises
    ------
    ValueError
        The user or the item is unknown to the model, the model compares no items, or n is below 1.
    """
    matrix = recommender.matrix
    user = _code(matrix.user_codes([user_id]), "user_id", user_id, recommender)
    item = _code(matrix.item_codes([item_id]), "item_id", item_id, recommender)
    pull = _likeness(recommender, item)
    own = matrix.csr[[user]].indices
    codes = _highest(pull, own[(own != item) & (pull[own] > 0)], n)
    return _table(recommender, codes, items, pull=pull[codes])


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
    order = np.lexsort((tie_priority(len(values))[codes], -values[codes]))
    return codes[order[: _checked_length(n)]]


def _table(
    recommender: Recommender, codes: NDArray[np.int64], items: pd.DataFrame | None, **values: NDArray
) -> pd.DataFrame:
    table = pd.DataFrame({"item_id": recommender.matrix.item_ids[codes]})
    if items is not None and not items.empty:
        table = table.merge(items, how="left", on="item_id")
    return table.assign(**values).set_axis(pd.RangeIndex(1, len(codes) + 1, name="rank"))


def _code(codes: NDArray[np.int64], column: str, wanted: Any, recommender: Recommender) -> int:
    if codes[0] < 0:
        ids = f"matrix.{column}s"
        raise ValueError(
            f"{type(recommender).__name__} was not fitted on {column} {wanted!r}: choose one of its {ids}."
        )
    return int(codes[0])


def _checked_length(n: int) -> int:
    if n < 1:
        raise ValueError(f"n is {n}: ask for a list of at least 1 item.")
    return n

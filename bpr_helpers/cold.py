"""Items that nobody has chosen yet: vectors and biases guessed from what the items are like.

A BPR learns an item's vector from the users who chose it, so it knows nothing of an item that is new. Genres
and years say something of it at once. A ridge regression learns, from the items that have users, which vector
and which bias go with which genres and years, and guesses those of the others.

Sizes, as the comments on shapes name them: n items that teach, f columns of content, d the length of a
vector, m new items.

References
----------
Gantner et al. (2010), Learning attribute-to-feature mappings for cold-start recommendations.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bpr_helpers.bpr import BPR
from bpr_helpers.matrix import Floats, id_column, meet

Vectors = NDArray[np.float32]


def content_vectors(items: pd.DataFrame, *, span: int = 10, like: pd.Index | None = None) -> pd.DataFrame:
    """Write what items are like in zeros and ones: a column per genre and per decade.

    Parameters
    ----------
    items : DataFrame, a row per item, such as that of `load_items`: item_id, genres (text joined by "|") and
        year; one of the last two may be missing, and so may single values
    span : int >= 1, how many years share a column: 10 for decades
    like : the columns of another such table; other genres and years are left out, and those that no item here
        has are 0. None takes what is there

    Returns
    -------
    DataFrame (n_items, f) of float32, indexed by item_id in the order of `items`

    Raises
    ------
    ValueError
        There is no column item_id, or neither genres nor year; an id is missing or stands twice; a year is no
        number; or span is no whole number from 1.

    Examples
    --------
    >>> items = pd.DataFrame({"item_id": [7, 9], "genres": ["Crime|Drama", "Drama"], "year": [1994, None]})
    >>> content_vectors(items).loc[7].to_dict()
    {'genre Crime': 1.0, 'genre Drama': 1.0, 'years from 1990': 1.0}
    """
    ids = id_column(items, "item_id")
    if ids.duplicated().any():
        twice = ids[ids.duplicated()].tolist()[0]
        raise ValueError(f"items describes item_id {twice!r} more than once: keep one row per item.")
    if isinstance(span, bool) or not isinstance(span, int | np.integer) or span < 1:
        raise ValueError(f"span is {span!r}: give a whole number of years from 1, such as 10 for decades.")
    parts = [_genres(items["genres"])] if "genres" in items else []
    parts += [_years(items["year"], int(span))] if "year" in items else []
    if not parts:
        raise ValueError(
            f"items has neither genres nor year among its columns {list(items.columns)}: rename the column "
            'that says what an item is like to genres, with "|" between several.'
        )
    table = pd.concat(parts, axis=1).astype(np.float32).set_axis(pd.Index(ids, name="item_id"), axis=0)
    return table if like is None else table.reindex(columns=like, fill_value=np.float32(0))


def _genres(column: pd.Series) -> pd.DataFrame:
    text = column.astype("str").fillna("").str.strip().str.replace(r"\s*\|\s*", "|", regex=True)
    return text.str.get_dummies("|").drop(columns="", errors="ignore").add_prefix("genre ")


def _years(column: pd.Series, span: int) -> pd.DataFrame:
    try:
        years = pd.to_numeric(column).astype("Float64")
        first = (years // span * span).astype("Int64")
    except (ValueError, TypeError):
        raise ValueError("Column year holds something that is no number: write years as 1994.") from None
    return pd.get_dummies(first).add_prefix("year " if span == 1 else "years from ")


@dataclass(frozen=True, eq=False)
class ColdItems:
    """What a BPR's item vectors and biases have to do with what its items are like.

    Attributes
    ----------
    columns : Index (f,), those of `content_vectors`
    span : int, its years per column
    weights : float64 (f, d + 1), what each column adds to a vector and, at the end, to a bias
    base : float64 (d + 1,), vector and bias of an item of which nothing is known

    Examples
    --------
    >>> from bpr_helpers.synthetic import small_synthetic
    >>> interactions, items = small_synthetic()
    >>> bpr = BPR(dim=8, epochs=1).fit(interactions)
    >>> vectors, biases = ColdItems.fit(bpr, items).vectors(items.head(2))
    >>> vectors.shape, biases.shape
    ((2, 8), (2,))
    """

    columns: pd.Index
    span: int
    weights: Floats
    base: Floats

    @classmethod
    def fit(cls, model: BPR, items: pd.DataFrame, *, l2: float = 1.0, span: int = 10) -> Self:
        """Learn from the items that the model knows and that have users.

        Parameters
        ----------
        model : a fitted BPR
        items : DataFrame, as in `content_vectors`; rows of other items are ignored
        l2 : float > 0, strength of the L2 on the weights: it matters for genres that not many more items have
        span : int, as in `content_vectors`

        Raises
        ------
        ValueError
            The model is no BPR or not fitted, l2 is not above 0, `items` is wrong as in `content_vectors`, or
            the model knows none of them.
        """
        _require_bpr(model, "ColdItems.fit")
        if not 0 < l2 < np.inf:
            raise ValueError(f"l2 is {l2}: give a number above 0.")
        content = content_vectors(items, span=span)
        codes = meet(pd.Series(content.index), model.matrix.item_ids, "item")
        teach = codes >= 0
        teach[teach] = model.item_counts[codes[teach]] > 0  # a guess teaches nothing
        if not teach.any():
            raise ValueError("None of the items has a user: fit on the items that the model was trained on.")
        x = content.to_numpy(np.float64)[teach]  # (n, f)
        known = codes[teach]
        y = np.column_stack([model.item_vectors[known], model.item_biases[known]]).astype(np.float64)
        middle = x.mean(0)  # (f,)
        centered = x - middle  # (n, f)
        gram = centered.T @ centered + l2 * np.eye(x.shape[1])  # (f, f)
        weights = np.linalg.solve(gram, centered.T @ (y - y.mean(0)))  # (f, d + 1)
        return cls(content.columns, int(span), weights, y.mean(0) - middle @ weights)

    def vectors(self, items: pd.DataFrame) -> tuple[Vectors, Vectors]:
        """Guess vectors and biases.

        Parameters
        ----------
        items : DataFrame, as in `content_vectors`; genres and years that taught nothing are ignored

        Returns
        -------
        vectors, biases : float32 (m, d) and (m,), in the order of `items`

        Raises
        ------
        ValueError
            `items` is wrong as in `content_vectors`.
        """
        content = content_vectors(items, span=self.span, like=self.columns).to_numpy(np.float64)  # (m, f)
        guessed = (content @ self.weights + self.base).astype(np.float32)  # (m, d + 1)
        return guessed[:, :-1], guessed[:, -1]


def with_items(model: BPR, items: pd.DataFrame, *, cold: ColdItems | None = None) -> BPR:
    """Give the same BPR with the items that it does not know yet, their vectors and biases guessed.

    Users, known items and what was seen stay as they are. The new model is evaluated, asked, saved and
    exported like any other. Its new items have no users (`item_counts`), so they stand last on the list of a
    user without history.

    Parameters
    ----------
    model : a fitted BPR
    items : DataFrame, as in `content_vectors`; the known items in it are left as they are
    cold : what guesses; None learns it from the known items in `items`, as `ColdItems.fit` does

    Returns
    -------
    BPR
        `model` stays as it is.

    Raises
    ------
    ValueError
        The model is no BPR or not fitted, `items` is wrong as in `content_vectors`, the model knows none of
        them and `cold` is None, `cold` guesses vectors of another length, or a new id is of another type than
        the known ones.

    Examples
    --------
    >>> from bpr_helpers.synthetic import small_synthetic
    >>> interactions, items = small_synthetic()
    >>> bpr = BPR(dim=8, epochs=1).fit(interactions[interactions["item_id"] < 490])
    >>> with_items(bpr, items)
    BPR(dim=8, epochs=1), fitted: 1,000 users, 500 items
    """
    _require_bpr(model, "with_items")
    cold = ColdItems.fit(model, items) if cold is None else cold
    if len(cold.base) != model.item_vectors.shape[1] + 1:
        raise ValueError(
            f"cold guesses vectors of length {len(cold.base) - 1}, and the model's have length "
            f"{model.item_vectors.shape[1]}: fit it on this model."
        )
    ids = id_column(items, "item_id")
    new = items[model.matrix.item_codes(ids) < 0]
    wider = copy.copy(model)
    wider.matrix = model.matrix.with_items(new["item_id"])
    codes = wider.matrix.item_codes(new["item_id"])
    vectors, biases = cold.vectors(new)
    old = wider.matrix.item_codes(model.matrix.item_ids)

    def joined(of_old: Vectors, of_new: Vectors) -> Vectors:
        table = np.zeros((wider.matrix.n_items, *of_old.shape[1:]), np.float32)
        table[old], table[codes] = of_old, of_new
        return table

    wider.item_vectors = joined(model.item_vectors, vectors)
    wider.item_biases = joined(model.item_biases, biases)
    wider.item_counts = joined(model.item_counts, np.zeros(len(new), np.float32))
    return wider


def _require_bpr(model: BPR, what: str) -> None:
    if not isinstance(model, BPR):
        raise ValueError(f"{what} needs a BPR, and this is a {type(model).__name__}: fit a BPR first.")
    model._require_fitted(what)

"""Who a user is lately: their history, in which late interactions count more, and models made of histories.

What items are like is learned from everything that everybody did. Who a user is now is said by what they did
lately. So every recommender learns its items from all interactions alike and reads its users from weighted
histories; that is also how it serves users who came after training (`FromHistories.fold_in`).
"""

from __future__ import annotations

import copy
import html
import inspect
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from bpr_helpers.matrix import Codes, InteractionMatrix, Interactions, item_counts


def history_weights(matrix: InteractionMatrix, recency: float) -> NDArray[np.float32]:
    """How much each positive counts: more the later it is among those of its user.

    A positive with a share s of its user's positives after it (equal times half) counts in proportion to
    exp(-recency * s), scaled so that the mean over the user's positives is 1.

    Parameters
    ----------
    matrix : InteractionMatrix; where it holds no times, all positives count alike
    recency : float, 0 to 100; more could leave nothing of a history but its last place

    Returns
    -------
    float32 (nnz,), in the order of `matrix.csr.indices`

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"user_id": 1, "item_id": [7, 8, 9], "timestamp": [30, 10, 20]})
    >>> history_weights(InteractionMatrix.from_frame(frame), 3.0).round(2)
    array([2.  , 0.27, 0.73], dtype=float32)
    """
    lengths = np.diff(matrix.csr.indptr)  # (n_users,)
    if not recency or matrix.times is None:
        return np.ones(matrix.csr.nnz, np.float32)
    users = np.repeat(np.arange(matrix.n_users, dtype=np.int32), lengths)  # (nnz,)
    weights = np.exp(-recency * _share_later(users, matrix.times))  # (nnz,)
    means = np.bincount(users, weights, len(lengths)) / np.maximum(lengths, 1)  # (n_users,)
    return (weights / means[users]).astype(np.float32)


def checked_recency(recency: float) -> float:
    """Return a recency that is in its range, 0 to 100; raise a ValueError for any other."""
    if not 0 <= recency <= 100:
        raise ValueError(f"recency is {recency}: give 0 to 100.")
    return recency


def tells_late_from_early(matrix: InteractionMatrix) -> bool:
    """Whether anybody has interactions of different times: without, recency has nothing to go on."""
    if matrix.times is None:
        return False
    users = np.repeat(np.arange(matrix.n_users), np.diff(matrix.csr.indptr))  # (nnz,)
    return bool(((users[1:] == users[:-1]) & (matrix.times[1:] != matrix.times[:-1])).any())


def recent_counts(matrix: InteractionMatrix, recency: float) -> NDArray[np.float32]:
    """Count the users of every item, the late ones more.

    An interaction with a share s of all interactions, of anybody, after it (equal times half) counts in
    proportion to exp(-recency * s), scaled so that the mean is 1.

    Parameters
    ----------
    matrix, recency : as in `history_weights`

    Returns
    -------
    float32 (n_items,)
    """
    weights = None
    if recency and matrix.times is not None:
        weights = np.exp(-recency * _share_later(np.zeros(matrix.csr.nnz, np.int32), matrix.times))
        weights /= weights.mean()
    return np.bincount(matrix.csr.indices, weights, matrix.n_items).astype(np.float32)


def _share_later(groups: NDArray[np.int32], times: np.ndarray) -> NDArray[np.float64]:
    """Of each row's group, the share of rows that are later, equal times half: (n,), (n,) -> (n,)."""
    order = np.lexsort((times, groups))  # (n,): by group, then time
    groups, times = groups[order], times[order]
    # Runs of equal times of one group share a place, the middle of the run.
    starts = np.flatnonzero(np.r_[True, (groups[1:] != groups[:-1]) | (times[1:] != times[:-1])])  # (n_runs,)
    ends = np.r_[starts[1:], len(groups)]  # (n_runs,)
    place = np.repeat((starts + ends - 1) / 2, ends - starts)  # (n,)
    sizes = np.bincount(groups)  # (n_groups,)
    share = np.empty(len(order))
    share[order] = (np.cumsum(sizes)[groups] - 1 - place) / sizes[groups]
    return share


def weighted_history(matrix: InteractionMatrix, recency: float) -> csr_matrix:
    """Put these weights in the place of the ones of a matrix.

    Parameters
    ----------
    matrix, recency : as in `history_weights`

    Returns
    -------
    csr_matrix (n_users, n_items) of float32; every user's entries sum to the number of their interactions
    """
    if not recency:
        return matrix.csr
    weights = history_weights(matrix, recency)
    return csr_matrix((weights, matrix.csr.indices, matrix.csr.indptr), shape=matrix.csr.shape)


class FromHistories:
    """A fitted model can serve other users: its items stay, its users are those of a frame.

    A user without history, whom only `fold_in(..., strangers="popular")` admits, is scored by the items'
    numbers of users in training.

    Attributes
    ----------
    matrix : InteractionMatrix, whose users are served: those of training, or those folded in
    item_counts : float32 (n_items,), how many users each item had in training
    recency : float, how much more late interactions say about a user
    items_know_recency : bool, whether a fit without recency may learn other items than one with
    scores_at_once : bool, whether several threads may ask for scores at once, as those of `evaluate` then do
    """

    items_know_recency = False
    scores_at_once = True
    matrix: InteractionMatrix
    item_counts: NDArray[np.float32]
    recency: float

    def __repr__(self) -> str:
        """Class, first setting and those that are not the defaults, and whom it serves."""
        usual = inspect.signature(type(self)).parameters
        now = {name: value for name, value in self._settings().items() if name in usual}
        shown = [f"{n}={v!r}" for i, (n, v) in enumerate(now.items()) if i == 0 or v != usual[n].default]
        fitted = "not fitted"
        if hasattr(self, "matrix"):
            fitted = f"fitted: {self.matrix.n_users:,} users, {self.matrix.n_items:,} items"
        return f"{type(self).__name__}({', '.join(shown)}), {fitted}"

    def _repr_html_(self) -> str:
        made, _, fitted = repr(self).rpartition("), ")
        return f"<p><code>{html.escape(made)})</code> {fitted}</p>"

    def _settings(self) -> dict[str, Any]:
        return vars(self)

    def fit(self, interactions: Interactions, *, valid: Interactions | None = None) -> Self:
        """Learn from the interactions."""
        raise NotImplementedError

    def fit_items(self, interactions: Interactions, *, valid: Interactions | None = None) -> Self:
        """Learn the items; the users of the interactions may still have to be read, by `with_recency`."""
        return self.fit(interactions, valid=valid)

    def fold_in(
        self, interactions: pd.DataFrame, *, strangers: Literal["refuse", "popular"] = "refuse"
    ) -> Self:
        """Give a recommender of the same kind for the users of a frame, with the same items.

        What a user gets depends on their own history alone, not on who else is in the frame.

        Parameters
        ----------
        interactions : DataFrame, the users' histories: user_id (known or new, of any type), item_id and, for
            recency, timestamp; rows of items that the model does not know are left out and counted in
            `matrix.n_dropped`
        strangers : what to do about users without an item that the model knows: "refuse" them, or recommend
            them what is "popular"

        Returns
        -------
        the model for these users; what it was fitted on stays as it is

        Raises
        ------
        ValueError
            Nothing was fitted, a column or an id is missing, or a user has no item that the model knows.
        """
        if strangers not in ("refuse", "popular"):
            raise ValueError(f'strangers is {strangers!r}: choose "refuse" or "popular".')
        self._require_fitted("fold_in")
        folded = copy.copy(self)
        folded.matrix = self.matrix.with_users_of(interactions, strangers=strangers == "popular")
        folded._read_histories()
        return folded

    def with_recency(self, recency: float) -> Self:
        """Give the same fitted model with other weights of its users' histories; nothing is learned again.

        Parameters
        ----------
        recency : float, 0 to 100, as in `history_weights`

        Raises
        ------
        ValueError
            Nothing was fitted, or recency is out of its range.
        """
        self._require_fitted("with_recency")
        other = copy.copy(self)
        other.recency = checked_recency(recency)
        other._read_histories()
        return other

    def score(self, user_codes: Codes) -> NDArray[np.float32]:
        """Scores of all items: float32, (len(user_codes), n_items); the class says in what unit."""
        self._require_fitted("score")
        scores, codes, ends = self._score(user_codes), np.asarray(user_codes), self.matrix.csr.indptr
        scores[ends[codes + 1] == ends[codes]] = self.item_counts
        return scores

    def _require_fitted(self, what: str) -> None:
        if not hasattr(self, "matrix"):
            raise ValueError(
                f"This {type(self).__name__} is not fitted: call fit(interactions) before {what}."
            )

    def _hold_items(self, matrix: InteractionMatrix) -> None:
        """Take what was learned from as what is served."""
        self.matrix = matrix
        self.item_counts = item_counts(matrix).astype(np.float32)

    def _read_histories(self) -> None:
        """Make of `matrix` what the model keeps of its users."""

    def _score(self, user_codes: Codes) -> NDArray[np.float32]:
        """Scores of users with a history."""
        raise NotImplementedError

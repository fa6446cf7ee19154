"""How much each of a user's interactions says about who they are now: the later, the more."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from bpr_helpers.matrix import InteractionMatrix


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
    n = matrix.csr.nnz
    if not recency or matrix.times is None:
        return np.ones(n, np.float32)
    lengths = np.diff(matrix.csr.indptr)  # (n_users,)
    users = np.repeat(np.arange(matrix.n_users, dtype=np.int32), lengths)  # (nnz,)
    order = np.lexsort((matrix.times, users))  # (nnz,): by user, then time
    times = matrix.times[order]  # (nnz,)
    # Runs of equal times of one user share a place, the middle of the run.
    starts = np.flatnonzero(np.r_[True, (users[1:] != users[:-1]) | (times[1:] != times[:-1])])  # (n_runs,)
    ends = np.r_[starts[1:], n]  # (n_runs,)
    place = np.repeat((starts + ends - 1) / 2, ends - starts)  # (nnz,)
    later = (np.repeat(matrix.csr.indptr[1:], lengths) - 1 - place) / lengths[users]  # (nnz,): the share s
    weights = np.empty(n)
    weights[order] = np.exp(-recency * later)  # (nnz,): back in the order of csr.indices
    return (weights / (np.bincount(users, weights) / lengths)[users]).astype(np.float32)


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

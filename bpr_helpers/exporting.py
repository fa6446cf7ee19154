"""A BPR as tables that any language reads: Parquet files, and a README that says how to score with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bpr_helpers.files import replacing_all
from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.ranking import tie_priority

Vectors = NDArray[np.float32]

TABLES = ("users", "items", "seen")

README = """# A BPR in tables: {n_users:,} users, {n_items:,} items, vectors of length {d}

users.parquet: user_id, vector, n_seen. items.parquet: item_id, vector, bias, n_users, tie_order.
seen.parquet: user_id, item_id. Score: dot product of the two vectors + bias, or n_users where n_seen is 0.
A list leaves out what the user has seen; the highest score goes first, of equal ones the lower tie_order.
NumPy: `np.stack(items["vector"]) @ user["vector"] + items["bias"]`. SQL, as DuckDB writes it:

    SELECT item_id, CASE WHEN n_seen > 0 THEN list_dot_product(u.vector, i.vector) + bias ELSE n_users END
    AS score FROM 'users.parquet' u, 'items.parquet' i WHERE user_id = $user AND item_id NOT IN (
    SELECT item_id FROM 'seen.parquet' WHERE user_id = $user) ORDER BY score DESC, tie_order LIMIT 10
"""


def write_tables(
    folder: Path,
    matrix: InteractionMatrix,
    users: Vectors,
    items: Vectors,
    biases: Vectors,
    item_counts: Vectors,
) -> None:
    """Write users.parquet, items.parquet, seen.parquet and README.md, all of them or none.

    Parameters
    ----------
    folder : made where it is missing; files of these names in it are replaced
    matrix : InteractionMatrix, the ids and what has been seen
    users : float32 (n_users, d), vectors
    items : float32 (n_items, d), vectors
    biases : float32 (n_items,)
    item_counts : float32 (n_items,), the users that an item had in training: the scores of a user without
        history

    Raises
    ------
    ValueError
        Ids are of several types, which no column of Parquet holds.
    """
    rows = np.repeat(np.arange(matrix.n_users), np.diff(matrix.csr.indptr))  # (nnz,)
    user_ids, item_ids = _column(matrix.user_ids, "user_id"), _column(matrix.item_ids, "item_id")
    tables = {
        "users": {
            "user_id": user_ids,
            "vector": _lists(users),
            "n_seen": np.diff(matrix.csr.indptr),
        },
        "items": {
            "item_id": item_ids,
            "vector": _lists(items),
            "bias": biases,
            "n_users": item_counts,
            "tie_order": tie_priority(matrix.n_items),
        },
        "seen": {"user_id": user_ids.take(rows), "item_id": item_ids.take(matrix.csr.indices)},
    }
    paths = [folder / f"{name}.parquet" for name in TABLES]
    with replacing_all([*paths, folder / "README.md"]) as new:
        for name, place in zip(TABLES, new, strict=False):
            pq.write_table(pa.table(tables[name]), place)
        readme = README.format(n_users=matrix.n_users, n_items=matrix.n_items, d=items.shape[1])
        new[-1].write_text(readme, "utf-8")


def _column(ids: np.ndarray, name: str) -> pa.Array:
    """Ids as a column of one type."""
    try:
        return pa.array(ids)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise ValueError(
            f"The column {name} holds ids of several types, which no Parquet column does: fit on ids that "
            "are all text or all integers."
        ) from None


def _lists(vectors: Vectors) -> pa.Array:
    """A column whose entry is a row of vectors: (n, d)."""
    return pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])

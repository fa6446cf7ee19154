"""The course of a training: what validation NDCG@10 it has reached after how many seconds."""

import time
from typing import Any

import pandas as pd
from peers import CornacBPR, ImplicitBPR

from bpr_helpers import BPR
from bpr_helpers.bpr import Validation
from bpr_helpers.folding import solve_users
from bpr_helpers.history import weighted_history
from bpr_helpers.matrix import InteractionMatrix

Course = pd.DataFrame  # one row per moment: epoch, seconds of training until then, ndcg
COLUMNS = ["epoch", "seconds", "ndcg"]


def our_course(settings: dict[str, Any], train: InteractionMatrix, valid: InteractionMatrix) -> Course:
    """What a fit reaches after every epoch, and when: all of fit takes time, tracing too, but validation.

    With recency, a moment is that of a fit which goes on to phase two after this epoch of phase one.
    """
    from bpr_helpers.training import compile_epoch

    compile_epoch.cache_clear()  # as if it were the first fit of its process
    validate = Validation(train, valid, 0)
    moments: list[tuple[int, float, float]] = []
    validating = 0.0

    def look(epoch: int, tables: Any, row: dict[str, float]) -> None:
        nonlocal validating
        arrived = time.perf_counter()
        if bpr.recency:
            use, history = bpr.settings, weighted_history(train, bpr.recency)
            how = {"l2": use["l2_user"], "temperature": use["temperature"]}
            tables = tables._replace(users=solve_users(history, tables.items, tables.biases, **how))
        moments.append((epoch, time.perf_counter() - began - validating, validate(tables)["valid_ndcg@10"]))
        validating += time.perf_counter() - arrived

    bpr = BPR(**settings | {"patience": 0})
    began = time.perf_counter()
    bpr.fit(train, callback=look)
    return pd.DataFrame(moments, columns=COLUMNS)


def peer_course(
    peer: CornacBPR | ImplicitBPR, train: InteractionMatrix, valid: InteractionMatrix, every: int
) -> Course:
    """What another library's training reaches, and when; neither its set-up nor validation takes time."""
    validate = Validation(train, valid, 0)
    rows = [
        (epoch, seconds, validate(tables)["valid_ndcg@10"])
        for epoch, seconds, tables in peer.course(train, every)
    ]
    return pd.DataFrame(rows, columns=COLUMNS)

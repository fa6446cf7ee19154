"""What several tests of the course share: a run folder, and the parameters of a small run."""

import numpy as np
import pandas as pd
import pytest

from bpr_helpers.course.parameters import defaults
from bpr_helpers.course.run_folder import RunFolder
from bpr_helpers.course.series import STAGES

FIRST, SECOND, THIRD, *_ = STAGES


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("BPR_ROOT", str(tmp_path))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return RunFolder("runs/test")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Parameters of a small series on synthetic data in a file of one's own."""
    rng = np.random.default_rng(0)
    users, items = np.repeat(np.arange(40), 12), np.concatenate([rng.permutation(30)[:12] for _ in range(40)])
    rows = pd.DataFrame(
        {"user_id": users, "item_id": items, "timestamp": rng.integers(10**9, 2 * 10**9, 480)}
    )
    path = tmp_path_factory.mktemp("data") / "mine.csv"
    rows.to_csv(path, index=False)
    first = defaults(FIRST) | {"source": str(path), "user_k": 2, "item_k": 2, "rating_column": ""}
    return {FIRST: first, SECOND: defaults(SECOND), THIRD: defaults(THIRD) | {"epochs": 3, "dim": 4}}

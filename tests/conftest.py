"""What several test files share: MovieLens-100K as the course splits it, and small random interactions."""

import pandas as pd
import pytest
from fixed_scores import random_data
from hypothesis import HealthCheck, settings

from bpr_helpers import drop_unknown_titles, k_core, load_interactions, load_items
from bpr_helpers.matrix import InteractionMatrix
from bpr_helpers.splitting import Split, split_per_user

# A busy machine makes a test slow, not wrong.
settings.register_profile("course", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("course")


@pytest.fixture(scope="session")
def core() -> pd.DataFrame:
    """The 6-core of MovieLens-100K without movie 267."""
    return k_core(drop_unknown_titles(load_interactions(), load_items())).interactions


@pytest.fixture(scope="session")
def standard(core: pd.DataFrame) -> Split:
    """The standard split, tie seed 0."""
    return split_per_user(core)


@pytest.fixture(scope="session")
def data() -> tuple[pd.DataFrame, pd.DataFrame, InteractionMatrix]:
    """Training frame, test frame, and the matrix of the training frame, all small and random."""
    return random_data()

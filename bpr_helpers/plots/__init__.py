"""The course's figures: every function draws on one Axes and returns it, or on several and returns them.

The modules, in order: looks, interactions, training, judgments, sweeps.
"""

from bpr_helpers.plots.interactions import choices, corner, long_tail, pipeline, split_timeline, users_around
from bpr_helpers.plots.judgments import (
    bars,
    bumps,
    differences,
    forest,
    gains,
    intervals,
    lorenz,
    metric_by_k,
    simulated,
    user_differences,
)
from bpr_helpers.plots.looks import BLACK, BLUE, GREEN, MODEL_COLORS, ORANGE, PURPLE, SKY, VERMILION, YELLOW
from bpr_helpers.plots.sweeps import (
    agreement,
    luck_curves,
    shades,
    stopped_after,
    stopped_fits,
    task_stream,
    trial_dots,
    trial_lines,
)
from bpr_helpers.plots.training import (
    embedding_map,
    in_steps,
    learning_curves,
    lines,
    loss_and_push,
    side_by_side,
    two_tastes,
)

__all__ = [
    "BLACK",
    "BLUE",
    "GREEN",
    "MODEL_COLORS",
    "ORANGE",
    "PURPLE",
    "SKY",
    "VERMILION",
    "YELLOW",
    "agreement",
    "bars",
    "bumps",
    "choices",
    "corner",
    "differences",
    "embedding_map",
    "forest",
    "gains",
    "in_steps",
    "intervals",
    "learning_curves",
    "lines",
    "long_tail",
    "lorenz",
    "loss_and_push",
    "luck_curves",
    "metric_by_k",
    "pipeline",
    "shades",
    "side_by_side",
    "simulated",
    "split_timeline",
    "stopped_after",
    "stopped_fits",
    "task_stream",
    "trial_dots",
    "trial_lines",
    "two_tastes",
    "user_differences",
    "users_around",
]

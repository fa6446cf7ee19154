"""The series: its order, and how each stage is built."""

import numpy as np
import pytest

from bpr_helpers.course.parameters import NOTEBOOKS
from bpr_helpers.course.series import READS, fit_bpr, load_source, split_interactions

FIRST, SECOND, THIRD, *_ = NOTEBOOKS


def test_fit_bpr_chooses_epochs_on_valid_and_refits_on_both_parts(small, run):
    interactions, items = load_source(small[FIRST])
    split = split_interactions(interactions, small[SECOND])
    found = fit_bpr(split.train, split.valid, small[THIRD])
    assert len(items) == 0 and list(items.columns) == ["item_id", "title", "year", "genres"]
    assert found["model"].matrix.csr.nnz == len(split.train) + len(split.valid)
    assert found["valid_per_user"]["ndcg@10"].between(0, 1).all()
    best = found["history"].set_index("epoch")["valid_ndcg@10"].idxmax()
    assert found["model"].settings["epochs"] == best and len(found["model"].history) == best

    stage = run.write(THIRD, found, small[THIRD])
    np.testing.assert_array_equal(stage["model"].user_vectors, found["model"].user_vectors)
    (stage.path("model") / "model.keras").write_bytes(b"not a model")
    with pytest.raises(ValueError, match=f"rerun notebook {THIRD}"):
        run.read(THIRD)["model"]


def test_without_a_validation_part_all_epochs_are_trained(small):
    interactions, _ = load_source(small[FIRST])
    split = split_interactions(interactions, small[SECOND] | {"valid_fraction": 0.0})
    found = fit_bpr(split.train, split.valid, small[THIRD] | {"patience": 0})
    assert len(found["history"]) == 3 and found["valid_per_user"].empty
    with pytest.raises(ValueError, match="patience"):
        fit_bpr(split.train, split.valid, small[THIRD])


@pytest.mark.parametrize("split", ["per_user", "leave_last", "global_time"])
def test_every_protocol_is_reached_by_its_name(small, split):
    interactions, _ = load_source(small[FIRST])
    parts = split_interactions(interactions, small[SECOND] | {"split": split, "n_test": 2})
    assert len(parts.test) == {"per_user": 80, "leave_last": 80, "global_time": 48}[split]


def test_a_stage_reads_only_earlier_notebooks():
    names = list(READS)
    assert names == [name for name in NOTEBOOKS if name in READS]  # the others write no stage
    assert all(set(ups) <= set(names[: names.index(stage)]) for stage, ups in READS.items())

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bpr_helpers import BPR
from bpr_helpers.settings import BPRSettings, differing, faults, nearest

WHOLE = st.builds(lambda kind, n: kind(n), st.sampled_from([np.int8, np.int32, np.int64]), st.integers(1, 99))
PART = st.builds(lambda kind, x: kind(x), st.sampled_from([np.float32, np.float64]), st.floats(0.125, 0.5))


@given(WHOLE, PART)
def test_numpy_scalars_are_kept_as_what_they_stand_for(whole: np.integer, part: np.floating) -> None:
    bpr = BPR(whole, l2_user=part, averaging=part, item_bias=np.bool_(True), sampler=np.str_("hard"))  # type: ignore[arg-type]
    found = [bpr.settings[name] for name in ("dim", "l2_user", "averaging", "item_bias", "sampler")]
    assert found == [int(whole), float(part), float(part), True, "hard"]
    assert [type(value) for value in found] == [int, float, float, bool, str]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("dim", np.int64(0), "dim must be a whole number at least 1, not 0"),
        ("dim", np.float64(4.0), "dim must be a whole number at least 1, not 4.0"),
        ("averaging", np.float32(1.5), "averaging must be a number at least 0 and below 1, not 1.5"),
        ("seed", np.int64(-1), "seed must be a whole number at least 0 and below 4294967296, not -1"),
        ("learning_rate", float("nan"), "learning_rate must be a number above 0, not nan"),
        ("item_bias", np.int64(1), "item_bias must be true or false, not 1"),
    ],
)
def test_a_wrong_value_is_shown_as_it_is_written(name: str, value: object, told: str) -> None:
    with pytest.raises(ValueError, match="cannot be made") as caught:
        BPR(**{name: value})
    assert told in str(caught.value) and "np." not in str(caught.value)


def test_all_faults_are_told_in_the_order_given() -> None:
    found = faults(BPRSettings, {"seed": -1, "dim": 8, "sampler": "unifrom", "unheard_of": 1})
    assert list(found) == ["seed", "sampler"]
    assert found["sampler"].endswith("not 'unifrom' (did you mean uniform?)")
    assert nearest("epoch", ["epochs", "dim"]) == " (did you mean epochs?)"
    assert nearest("zzz", ["epochs", "dim"]) == ""


def test_a_configuration_is_named_by_what_differs() -> None:
    usual = BPRSettings().model_dump()
    row = {"trial": "1a", "n_negatives": np.int64(8), "sampler": "hard", "dim": np.int64(64), "seed": 3}
    assert differing(row, {n: v for n, v in usual.items() if n != "seed"}) == "sampler hard, n_negatives 8"
    assert differing(row, usual) == "sampler hard, n_negatives 8, seed 3"
    assert differing(usual, usual) == "default"

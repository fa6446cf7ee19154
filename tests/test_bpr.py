import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from bpr_helpers import BPR, InteractionMatrix, Popularity, evaluate, synthetic_interactions
from bpr_helpers.sampling import make_sampler
from bpr_helpers.splitting import Split

SMALL = {"dim": 8, "batch_size": 64}


@pytest.fixture(scope="module")
def interactions() -> pd.DataFrame:
    return synthetic_interactions(60, 40, 900, seed=3)


def test_the_defaults_reach_what_the_course_promises_on_the_standard_split(standard: Split) -> None:
    bpr = BPR().fit(standard.train)
    ndcg = evaluate(bpr, standard.test).summary().loc["ndcg@10", "mean"]
    popularity = evaluate(Popularity().fit(standard.train), standard.test).summary().loc["ndcg@10", "mean"]
    assert ndcg > 0.157
    assert ndcg > 1.5 * popularity


def test_negatives_that_avoid_the_test_part_leak_it(standard: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    """The original's mistake: the items that are never drawn against a user tell what the test holds."""
    strengths = {"l2_user": 0.01, "l2_pos": 0.005, "l2_neg": 0.005}
    plain = BPR(sampler="uniform", recency=0.0, learning_rate=0.1, epochs=20, **strengths)
    honest = evaluate(plain.fit(standard.train), standard.test).per_user["ndcg@10"].mean()
    known = plain.matrix
    both = pd.concat([standard.train, standard.test])
    everything = InteractionMatrix.from_frame(both, like=known, unknown="drop")
    monkeypatch.setattr(
        "bpr_helpers.bpr.make_sampler", lambda name, matrix, **_: make_sampler(name, everything)
    )
    leaked = evaluate(plain.fit(standard.train), standard.test).per_user["ndcg@10"].mean()
    assert leaked > honest + 0.03


def test_save_and_load_keep_ids_seen_items_and_parameters(interactions: pd.DataFrame, tmp_path: Path) -> None:
    named = interactions.assign(user_id="u" + interactions["user_id"].astype(str))
    bpr = BPR(**SMALL, epochs=2, optimizer=keras.optimizers.SGD(0.02)).fit(named)
    bpr.save(tmp_path / "model")
    code = (
        "import sys, json, numpy as np\n"
        "from bpr_helpers import BPR, recommend\n"
        "bpr = BPR.load(sys.argv[1])\n"
        "scores = bpr.score(np.arange(5)).tobytes().hex()\n"
        "items = recommend(bpr, bpr.matrix.user_ids[3])['item_id'].tolist()\n"
        "print(json.dumps([scores, items, bpr.settings['dim']]))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "model")], capture_output=True, text=True
    )
    scores, items, dim = json.loads(run.stdout.splitlines()[-1])
    assert scores == bpr.score(np.arange(5)).tobytes().hex()
    assert not set(items) & set(named.loc[named["user_id"] == bpr.matrix.user_ids[3], "item_id"])
    assert dim == 8
    again = BPR.load(tmp_path / "model")
    assert isinstance(again.settings["optimizer"], keras.optimizers.SGD)
    pd.testing.assert_frame_equal(again.history, bpr.history)
    assert not any(path.suffix in (".pkl", ".pickle") for path in (tmp_path / "model").rglob("*"))


@pytest.mark.parametrize("name", ["bpr.json", "seen.npz", "model.keras", "users.parquet"])
def test_a_broken_model_is_told_in_a_sentence(interactions: pd.DataFrame, tmp_path: Path, name: str) -> None:
    BPR(**SMALL, epochs=1).fit(interactions).save(tmp_path / "model")
    (tmp_path / "model" / name).write_bytes(b"not what it was")
    with pytest.raises(ValueError, match=r"does not hold a whole BPR model .*: fit and save it again"):
        BPR.load(tmp_path / "model")


def test_bad_arguments_are_told_all_at_once() -> None:
    with pytest.raises(ValueError, match="dim must be a whole number at least 1, not 0") as caught:
        BPR(0, sampler="unifrom", l2_user=-1.0)  # type: ignore[arg-type]
    assert "did you mean uniform?" in str(caught.value)
    assert "l2_user must be a number at least 0" in str(caught.value)


def test_patience_without_a_validation_part_is_refused(interactions: pd.DataFrame) -> None:
    with pytest.raises(ValueError, match="patience needs a validation part"):
        BPR(**SMALL, patience=2).fit(interactions)


def test_a_validation_part_of_strangers_is_refused(interactions: pd.DataFrame) -> None:
    strangers = pd.DataFrame({"user_id": [-1], "item_id": [-1]})
    with pytest.raises(ValueError, match="No interaction in valid"):
        BPR(**SMALL, epochs=1).fit(interactions, valid=strangers)


def test_without_a_bias_the_scores_are_dot_products(interactions: pd.DataFrame) -> None:
    bpr = BPR(**SMALL, item_bias=False, epochs=2).fit(interactions)
    assert not bpr.item_biases.any()
    assert bpr.score(np.arange(3)) == pytest.approx(bpr.user_vectors[:3] @ bpr.item_vectors.T)


def test_frame_and_matrix_fit_alike(interactions: pd.DataFrame) -> None:
    of_frame = BPR(**SMALL, epochs=2).fit(interactions)
    of_matrix = BPR(**SMALL, epochs=2).fit(InteractionMatrix.from_frame(interactions))
    shuffled = BPR(**SMALL, epochs=2).fit(interactions.sample(frac=1, random_state=0))
    assert (
        of_frame.user_vectors.tobytes() == of_matrix.user_vectors.tobytes() == shuffled.user_vectors.tobytes()
    )


def test_the_defaults_are_the_best_trial_of_the_search() -> None:
    table = Path(__file__).parents[1] / "benchmarks" / "results" / "search.csv"
    best = pd.read_csv(table).iloc[0]
    assert not [column for column in best.index if "test" in column]  # chosen on validation alone
    usual = BPR().settings
    assert {name: usual[name] for name in best.index if name in usual and name != "epochs"} == pytest.approx(
        {name: best[name] for name in best.index if name in usual and name != "epochs"}
    )
    assert usual["epochs"] == round(best["epochs"])

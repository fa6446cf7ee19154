import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import h5py
import keras
import numpy as np
import pandas as pd
import pytest

from bpr_helpers import BPR, InteractionMatrix, Popularity, evaluate, recommend, synthetic_interactions
from bpr_helpers.bpr import seconds_per_epoch
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
    assert ndcg > 0.198
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
    with pytest.raises(ValueError, match="No user is known: 0 of 1 match"):
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
    table = pd.read_csv(Path(__file__).parents[1] / "benchmarks" / "results" / "search.csv")
    assert not [column for column in table if "test" in column]  # chosen on validation alone
    mine = (table["data"] == "ml-100k") & (table["block"] == "times used") & (table["model"] == "BPR")
    best = table[mine].sort_values("valid_ndcg@10", ascending=False).iloc[0]
    found = json.loads(best["configuration"])
    assert {name: BPR().settings[name] for name in found} == pytest.approx(found)


def test_a_loaded_model_keeps_the_times_and_can_be_fitted_again(
    interactions: pd.DataFrame, tmp_path: Path
) -> None:
    bpr = BPR(**SMALL, recency=5.0, epochs=2).fit(interactions)
    bpr.save(tmp_path)
    loaded = BPR.load(tmp_path)
    assert np.array_equal(loaded.matrix.times, bpr.matrix.times)
    again = BPR(**SMALL, recency=5.0, epochs=2).fit(loaded.matrix)
    assert again.user_vectors.tobytes() == bpr.user_vectors.tobytes()
    assert keras.saving.load_model(tmp_path / "model.keras").tables.users.tobytes() == (
        bpr.user_vectors.tobytes()
    )


def test_phase_two_changes_users_alone(interactions: pd.DataFrame) -> None:
    plain, lately = (BPR(**SMALL, epochs=3, recency=r).fit(interactions) for r in (0.0, 6.0))
    assert plain.item_vectors.tobytes() == lately.item_vectors.tobytes()
    assert plain.item_biases.tobytes() == lately.item_biases.tobytes()
    assert plain.history.equals(lately.history) and plain.best_epoch == lately.best_epoch
    assert np.abs(plain.user_vectors - lately.user_vectors).max() > 0.01
    assert plain.with_recency(6.0).user_vectors.tobytes() == lately.user_vectors.tobytes()
    assert plain.settings["recency"] == 0.0  # with_recency gives another model


def test_late_interactions_decide_who_a_user_is() -> None:
    """Two tastes; the last twenty users have gone over from one to the other, in the middle of their time."""
    rng, rows = np.random.default_rng(0), []
    for user in range(60):
        tastes = (user % 2, user % 2) if user < 40 else (user % 2, 1 - user % 2)
        chosen = np.concatenate([20 * taste + rng.choice(20, 6, replace=False) for taste in tastes])
        rows += [(user, item, when) for when, item in enumerate(chosen)]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])
    new_taste = 1 - np.arange(40, 60)[:, None] % 2
    right = {}
    for recency in (0.0, 20.0):
        bpr = BPR(**SMALL, epochs=20, recency=recency).fit(frame)
        tops = np.array([recommend(bpr, user, n=5)["item_id"] for user in range(40, 60)])
        right[recency] = (tops // 20 == new_taste).mean()
    assert right[20.0] > 0.9 > 0.8 > right[0.0]


def test_a_model_of_newcomers_is_saved_and_loaded(interactions: pd.DataFrame, tmp_path: Path) -> None:
    bpr = BPR(**SMALL, epochs=2).fit(interactions)
    newcomers = pd.DataFrame({"user_id": ["a", "b", "b"], "item_id": [0, -7, 3], "timestamp": [1, 2, 3]})
    newcomers.loc[0, "item_id"] = -8  # a has nothing that is known
    folded = bpr.fold_in(newcomers, strangers="popular")
    folded.save(tmp_path)
    loaded = BPR.load(tmp_path)
    assert loaded.matrix.user_ids.tolist() == ["a", "b"]
    assert loaded.score([0, 1]).tobytes() == folded.score([0, 1]).tobytes()
    assert recommend(loaded, "a")["item_id"].tolist() == recommend(folded, "a")["item_id"].tolist()
    assert loaded.fold_in(newcomers.iloc[2:]).score([0]) == pytest.approx(folded.score([1]), abs=1e-5)
    assert bpr.matrix.n_users == 60  # the model that they were folded into is as it was


def test_numpy_numbers_are_numbers(interactions: pd.DataFrame, tmp_path: Path) -> None:
    bpr = BPR(np.int64(4), learning_rate=np.float32(0.1), item_bias=np.bool_(False), epochs=1)
    bpr.fit(interactions).save(tmp_path)
    assert BPR.load(tmp_path).settings["learning_rate"] == float(np.float32(0.1))
    with pytest.raises(ValueError, match="dim must be a whole number at least 1, not 0"):
        BPR(np.int64(0))


def test_before_fit_and_without_data_one_sentence_says_so(tmp_path: Path) -> None:
    for call in (lambda bpr: bpr.score([0]), lambda bpr: bpr.save(tmp_path / "m")):
        with pytest.raises(ValueError, match=r"not fitted: call fit\(interactions\) before"):
            call(BPR())
    with pytest.raises(ValueError, match="no interaction"):
        BPR().fit(pd.DataFrame({"user_id": [], "item_id": []}))


def linked(weights: Path, elsewhere: Path) -> None:
    with h5py.File(weights, "a") as file:
        del file["vars/0"]
        file["vars/0"] = h5py.ExternalLink(str(elsewhere), "vars/0")


def enlarged(weights: Path, elsewhere: Path) -> None:
    with h5py.File(weights, "a") as file:
        del file["vars/0"]
        file.create_dataset("vars/0", (10**9, 8), "f4", chunks=(1024, 8))  # 32 GB that take no place


@pytest.mark.parametrize("change", [linked, enlarged])
def test_hostile_weights_are_refused_unread(
    interactions: pd.DataFrame, tmp_path: Path, change: Callable[[Path, Path], None]
) -> None:
    BPR(**SMALL, epochs=1).fit(interactions).save(tmp_path / "m")
    place, weights = tmp_path / "m" / "model.keras", tmp_path / "model.weights.h5"
    with zipfile.ZipFile(place) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    weights.write_bytes(parts["model.weights.h5"])
    (tmp_path / "other.h5").write_bytes(parts["model.weights.h5"])
    change(weights, tmp_path / "other.h5")
    with zipfile.ZipFile(place, "w") as archive:
        for name, content in (parts | {"model.weights.h5": weights.read_bytes()}).items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=r"does not hold a whole BPR model .*weights vars/0"):
        BPR.load(tmp_path / "m")


def test_the_classes_that_a_model_file_names_are_not_made(interactions: pd.DataFrame, tmp_path: Path) -> None:
    """A layer of the stranger's, in the archive's configuration, and an optimizer of the stranger's."""
    BPR(**SMALL, epochs=1).fit(interactions).save(tmp_path)
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = b'{"module": "os", "class_name": "system", "config": {"command": "exit 1"}}'
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    BPR.load(tmp_path)  # only the weights are read
    saved = json.loads((tmp_path / "bpr.json").read_text("utf-8"))
    for module, name in (("subprocess", "Popen"), ("keras.layers", "Lambda"), ("keras.optimizers", "Stolen")):
        saved["settings"]["optimizer"] = {"module": module, "class_name": name, "config": {"args": ["true"]}}
        (tmp_path / "bpr.json").write_text(json.dumps(saved), "utf-8")
        with pytest.raises(ValueError, match="its optimizer is none of Keras's own"):
            BPR.load(tmp_path)


@pytest.mark.parametrize(
    "setting", [{"dim": 4}, {"no_such": 1}, {"dim": 10**9}], ids=["other size", "unknown", "terabytes"]
)
def test_settings_that_do_not_fit_the_weights_are_refused(
    interactions: pd.DataFrame, tmp_path: Path, setting: dict
) -> None:
    BPR(**SMALL, epochs=1).fit(interactions).save(tmp_path)
    saved = json.loads((tmp_path / "bpr.json").read_text("utf-8"))
    saved["settings"] |= setting
    (tmp_path / "bpr.json").write_text(json.dumps(saved), "utf-8")
    with pytest.raises(ValueError, match="does not hold a whole BPR model"):
        BPR.load(tmp_path)


@pytest.mark.parametrize(
    "optimizer",
    [
        {"module": "keras.optimizers", "class_name": "get", "config": "sgd"},
        {
            "module": "keras.optimizers.schedules",
            "class_name": "PiecewiseConstantDecay",
            "config": {"boundaries": [1], "values": [1.0, 2.0]},
        },
        {"module": "", "class_name": "__class__", "config": {}},
        {
            "module": "keras.optimizers",
            "class_name": "MultiOptimizer",
            "config": {
                "default_optimizer": None,
                "optimizer_map": [{"module": "stranger", "class_name": "Any", "config": {}}],
            },
        },
        {
            "module": "keras.optimizers",
            "class_name": "SGD",
            "config": {"learning_rate": {"module": "stranger", "class_name": "Any", "config": {}}},
        },
    ],
    ids=["function", "schedule", "attribute", "class in a list", "class in a setting"],
)
def test_no_optimizer_of_a_stranger_is_imported_however_deep(
    interactions: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: dict
) -> None:
    (tmp_path / "stranger.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Any: pass\n", "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    BPR(**SMALL, epochs=1).fit(interactions).save(tmp_path / "m")
    saved = json.loads((tmp_path / "m" / "bpr.json").read_text("utf-8"))
    saved["settings"]["optimizer"] = optimizer
    (tmp_path / "m" / "bpr.json").write_text(json.dumps(saved), "utf-8")
    with pytest.raises(ValueError, match="its optimizer is none of Keras's own"):
        BPR.load(tmp_path / "m")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["Adam", "AdamW", "Adamax", "Nadam", "RMSprop", "Adadelta", "SGD", "Lion"])
def test_kerass_own_optimizers_come_back_with_their_schedule(
    interactions: pd.DataFrame, tmp_path: Path, name: str
) -> None:
    falling = keras.optimizers.schedules.PolynomialDecay(0.01, 100)
    bpr = BPR(**SMALL, epochs=1, optimizer=getattr(keras.optimizers, name)(falling)).fit(interactions)
    bpr.save(tmp_path)
    loaded = BPR.load(tmp_path).settings["optimizer"]
    assert loaded.get_config() == bpr.settings["optimizer"].get_config()


def test_an_optimizer_that_could_not_be_loaded_is_refused_before_anything_is_written(
    interactions: pd.DataFrame, tmp_path: Path
) -> None:
    class Mine(keras.optimizers.SGD):
        pass

    bpr = BPR(**SMALL, epochs=1, optimizer=Mine(0.01)).fit(interactions)
    with pytest.raises(ValueError, match="The optimizer Mine is none of Keras's own"):
        bpr.save(tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_a_model_saved_over_another_keeps_nothing_of_it(interactions: pd.DataFrame, tmp_path: Path) -> None:
    BPR(**SMALL, epochs=1).fit(interactions).save(tmp_path)
    timeless = BPR(**SMALL, epochs=1).fit(interactions.drop(columns="timestamp"))
    timeless.save(tmp_path)
    assert BPR.load(tmp_path).matrix.times is None


def test_a_save_that_was_cut_short_leaves_no_mixture(
    interactions: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bpr = BPR(**SMALL, epochs=1).fit(interactions)
    bpr.save(tmp_path)

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("bpr_helpers.bpr.save_npz", full)
    with pytest.raises(OSError, match="No space"):
        bpr.save(tmp_path)
    with pytest.raises(ValueError, match="does not hold a whole BPR model"):
        BPR.load(tmp_path)


def test_a_validation_matrix_with_codes_of_its_own_is_refused(interactions: pd.DataFrame) -> None:
    train, valid = interactions.iloc[::2], interactions.iloc[1::2]
    alone = InteractionMatrix.from_frame(valid.iloc[:50])
    with pytest.raises(ValueError, match="codes of valid are not those of the training part"):
        BPR(**SMALL, epochs=1).fit(train, valid=alone)
    alike = InteractionMatrix.from_frame(valid, like=InteractionMatrix.from_frame(train), unknown="drop")
    of_matrix, of_frame = (BPR(**SMALL, epochs=1).fit(train, valid=part) for part in (alike, valid))
    pd.testing.assert_frame_equal(of_matrix.history, of_frame.history)


def test_a_fit_that_fails_leaves_the_model_as_it_was(interactions: pd.DataFrame) -> None:
    bpr = BPR(**SMALL, epochs=1).fit(interactions)
    before, scores = bpr.matrix, bpr.score(np.arange(3))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bpr.fit(interactions.iloc[:200], callback=stop)
    assert bpr.matrix is before and np.array_equal(bpr.score(np.arange(3)), scores)
    assert bpr.keras_model.tables.users.tobytes() == bpr.user_vectors.tobytes()


def test_the_seconds_of_an_epoch_are_those_of_the_fastest_but_the_first(monkeypatch):
    ends = iter([100.0, 103.0, 105.0])
    monkeypatch.setattr("bpr_helpers.bpr.time", SimpleNamespace(perf_counter=lambda: next(ends)))
    bpr = BPR(dim=2, epochs=3)
    assert seconds_per_epoch(bpr, synthetic_interactions(20, 15, 120)) == 2.0
    assert len(bpr.history) == 3
    with pytest.raises(ValueError, match="give the model two or more"):
        seconds_per_epoch(BPR(epochs=1), synthetic_interactions(20, 15, 120))


class TestContinuing:
    """fit(..., start=model): later data, the vectors of before."""

    PLAIN: ClassVar = SMALL | {"recency": 0.0, "averaging": 0.0}

    @staticmethod
    def later(interactions: pd.DataFrame) -> pd.DataFrame:
        """Without user 0 and item 0, with a new user and a new item."""
        kept = interactions[(interactions["user_id"] > 0) & (interactions["item_id"] > 0)]
        new = pd.DataFrame({"user_id": [99, 1], "item_id": [3, 77], "timestamp": kept["timestamp"].iloc[:2]})
        return pd.concat([kept, new], ignore_index=True)

    def test_few_epochs_do_better_than_from_the_beginning(self) -> None:
        rows = synthetic_interactions(200, 120, 6000, seed=5).sort_values("timestamp", ignore_index=True)
        earlier, later, test = rows.iloc[:4500], rows.iloc[:5400], rows.iloc[5400:]
        before = BPR(**self.PLAIN, epochs=20).fit(earlier)
        small = BPR(**self.PLAIN, epochs=1)
        ndcg = [
            evaluate(small.fit(later, start=start), test, ks=10, metrics="ndcg").per_user["ndcg@10"].mean()
            for start in (None, before)
        ]
        assert ndcg[1] > ndcg[0] + 0.03

    def test_known_ids_keep_their_rows_and_new_ones_begin_as_ever(self, interactions: pd.DataFrame) -> None:
        before = BPR(**self.PLAIN, epochs=2).fit(interactions)
        kept = [getattr(before, name).tobytes() for name in ("user_vectors", "item_vectors", "item_biases")]
        still = self.PLAIN | {"learning_rate": 1e-12, "epochs": 1, "seed": 4}  # moves nothing
        after = BPR(**still).fit(self.later(interactions), start=before)
        fresh = BPR(**still).fit(self.later(interactions))
        assert after.matrix.user_ids.tolist() == [*range(1, 60), 99]
        assert after.matrix.item_ids.tolist() == [*range(1, 40), 77]
        for name in ("user_vectors", "item_vectors", "item_biases"):
            now, old, new = (getattr(model, name) for model in (after, before, fresh))
            assert now[:-1] == pytest.approx(old[1:], abs=1e-6)
            assert now[-1] == pytest.approx(new[-1], abs=1e-6)
        assert np.abs(after.item_biases[:-1]).max() > 0.01  # so that the test above says something
        assert [getattr(before, n).tobytes() for n in ("user_vectors", "item_vectors", "item_biases")] == kept

    def test_it_is_repeatable_and_may_go_on_from_itself(self, interactions: pd.DataFrame) -> None:
        later = self.later(interactions)
        before = BPR(**SMALL, epochs=2).fit(interactions)
        first, second = (BPR(**SMALL, epochs=2).fit(later, start=before) for _ in range(2))
        assert first.score([0, 5]).tobytes() == second.score([0, 5]).tobytes()
        assert before.fit(later, start=before).score([0, 5]).tobytes() == first.score([0, 5]).tobytes()

    def test_without_a_bias_none_is_taken_over(self, interactions: pd.DataFrame) -> None:
        before = BPR(**self.PLAIN, epochs=2).fit(interactions)
        after = BPR(**self.PLAIN, epochs=1, item_bias=False).fit(interactions, start=before)
        assert before.item_biases.any() and not after.item_biases.any()

    def test_ids_that_mean_the_same_are_the_same(self, interactions: pd.DataFrame) -> None:
        before = BPR(**self.PLAIN, epochs=2).fit(interactions)
        still = BPR(**self.PLAIN | {"learning_rate": 1e-12, "epochs": 1})
        as_text = interactions.assign(item_id=interactions["item_id"].astype(str))
        after = still.fit(as_text, start=before)
        order = before.matrix.item_codes(after.matrix.item_ids)
        assert after.item_vectors == pytest.approx(before.item_vectors[order], abs=1e-6)

    @pytest.mark.parametrize("column", ["user_id", "item_id"])
    def test_ids_of_another_type_are_refused(self, interactions: pd.DataFrame, column: str) -> None:
        before = BPR(**SMALL, epochs=1).fit(interactions)
        other = interactions.assign(**{column: "x" + interactions[column].astype(str)})
        what = column.removesuffix("_id")
        sentence = (
            rf"^No {what} is known: 0 of \d+ match; they are text, such as 'x\d+'; .* integers, such as 0"
        )
        bpr = BPR(**SMALL, epochs=1)
        with pytest.raises(ValueError, match=sentence):
            bpr.fit(other, start=before)
        assert not hasattr(bpr, "matrix")

    def test_other_users_of_the_same_items_are_no_mistake(self, interactions: pd.DataFrame) -> None:
        before = BPR(**SMALL, epochs=1).fit(interactions)
        others = interactions.assign(user_id=interactions["user_id"] + 1000)
        assert BPR(**SMALL, epochs=1).fit(others, start=before).matrix.user_ids[0] == 1000
        with pytest.raises(ValueError, match=r"^No item is known: 0 of 40 match"):
            BPR(**SMALL, epochs=1).fit(others.assign(item_id=others["item_id"] + 1000), start=before)

    def test_what_cannot_be_continued_is_one_sentence(self, interactions: pd.DataFrame) -> None:
        bpr = BPR(**SMALL, epochs=1)
        with pytest.raises(ValueError, match=r"^This BPR is not fitted: .* before passing it as start\.$"):
            bpr.fit(interactions, start=BPR())
        with pytest.raises(ValueError, match=r"^start is a Popularity: give a fitted BPR\.$"):
            bpr.fit(interactions, start=Popularity().fit(interactions))  # type: ignore[arg-type]
        with pytest.raises(
            ValueError, match=r"^start has vectors of length 4, and this BPR of 8: make it with"
        ):
            bpr.fit(interactions, start=BPR(4, epochs=1).fit(interactions))

    def test_a_fit_that_was_killed_goes_on_from_its_checkpoint(
        self, interactions: pd.DataFrame, tmp_path: Path
    ) -> None:
        before, later = BPR(**SMALL, epochs=2).fit(interactions), self.later(interactions)
        bpr, path = BPR(**SMALL, epochs=3), tmp_path / "c.npz"

        def stop(epoch: int, *_: object) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            bpr.fit(later, start=before, checkpoint=path, callback=stop)
        for other in (None, BPR(**SMALL, epochs=1).fit(interactions)):
            with pytest.raises(ValueError, match="belongs to another model, other data or other parameters"):
                bpr.fit(later, start=other, checkpoint=path)
        epochs: list[int] = []
        bpr.fit(later, start=before, checkpoint=path, callback=lambda epoch, *_: epochs.append(epoch))
        assert epochs == [3]
        at_once = BPR(**SMALL, epochs=3).fit(later, start=before)
        assert bpr.score([0, 5]).tobytes() == at_once.score([0, 5]).tobytes()

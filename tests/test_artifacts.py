"""Run folders: what was written is read, what is stale or damaged is told, writes are atomic."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpr_helpers import artifacts
from bpr_helpers.artifacts import (
    UPSTREAM,
    RunFolder,
    Stage,
    fingerprint,
    fit_bpr,
    load_source,
    split_interactions,
)
from bpr_helpers.parameters import NOTEBOOKS, defaults

FIRST, SECOND, THIRD, *_ = NOTEBOOKS


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("BPR_ROOT", str(tmp_path))
    monkeypatch.setenv("TQDM_DISABLE", "1")
    return RunFolder("runs/test")


def frame(*values):
    return pd.DataFrame({"user_id": ["a", "b", "c"][: len(values)], "item_id": list(values)})


def write_two(run):
    run.write(FIRST, {"interactions": frame(1, 2)}, defaults(FIRST))
    return run.write(SECOND, {"train": frame(1)}, defaults(SECOND))


def test_a_stage_comes_back_as_it_was_written(run):
    rows = frame(3, 1).assign(timestamp=pd.to_datetime(["2001-01-01", None])).set_index("user_id")
    run.write(FIRST, {"interactions": rows, "rounds": frame()}, defaults(FIRST) | {"user_k": 9})
    stage = RunFolder("runs/test").read(FIRST)
    pd.testing.assert_frame_equal(stage["interactions"], rows)
    assert list(stage) == ["interactions", "rounds"] and len(stage["rounds"]) == 0
    assert stage.manifest["parameters"]["user_k"] == 9 and "run_dir" not in stage.manifest["parameters"]


def test_the_manifest_is_complete(run):
    manifest = write_two(run).manifest
    assert manifest["inputs"] == {FIRST: run.read(FIRST).fingerprint}
    assert manifest["seed"] == 0 and manifest["seconds"] >= 0 and manifest["written_at"].endswith("+00:00")
    assert manifest["packages"]["tensorflow"] and set(manifest["outputs"]) == {"train"}
    assert "git_commit" in manifest


def test_a_stage_made_from_other_inputs_names_the_notebook_to_rerun(run):
    write_two(run)
    run.write(FIRST, {"interactions": frame(2, 1)}, defaults(FIRST))
    with pytest.raises(ValueError, match=f"made from another {FIRST} .* rerun notebook {SECOND}"):
        run.read(SECOND)
    run.write(FIRST, {"interactions": frame(1, 2)}, defaults(FIRST))  # content counts, not time
    run.read(SECOND)


def test_what_was_read_is_what_is_recorded(run):
    """The split changes on the disk between a notebook's reading and its writing."""
    run.write(FIRST, {"interactions": frame(1)}, defaults(FIRST))
    reader = RunFolder("runs/test")
    reader.read(FIRST)
    run.write(FIRST, {"interactions": frame(2)}, defaults(FIRST))
    with pytest.raises(ValueError, match="rerun notebook"):
        reader.write(SECOND, {"train": frame(1)}, defaults(SECOND))


def test_an_own_file_that_changed_makes_its_stage_stale(run, tmp_path):
    (tmp_path / "mine.csv").write_text("a\n1\n")
    run.write(FIRST, {"interactions": frame(1)}, defaults(FIRST) | {"source": "mine.csv"})
    run.read(FIRST)
    (tmp_path / "mine.csv").write_text("a\n2\n")
    with pytest.raises(ValueError, match=r"source mine.csv"):
        run.read(FIRST)


@pytest.mark.parametrize("damage", ["edited", "truncated", "removed"])
def test_a_damaged_output_is_told(run, damage):
    path = write_two(run).path("train")
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1] + (b"x" if damage == "edited" else b""))
    with pytest.raises(ValueError, match=f"rerun notebook {SECOND}"):
        run.read(SECOND)["train"]


@pytest.mark.parametrize("content", ["", "{", "{}", '{"outputs": {}}', '{"outputs": 3}', "[]", "null"])
def test_a_damaged_manifest_is_told(run, content):
    write_two(run)
    (run.path / SECOND / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match=f"rerun notebook {SECOND}"):
        run.read(SECOND)


def test_a_missing_stage_is_told(run):
    with pytest.raises(ValueError, match=f"run notebook {FIRST} first"):
        run.read(FIRST)


def test_a_failed_write_leaves_the_old_stage(run, monkeypatch):
    write_two(run)
    before = fingerprint(run.path / SECOND)

    class Bad:
        def save(self, folder: Path) -> None:
            folder.mkdir()
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=f"{SECOND} could not be written into .*No space left"):
        run.write(SECOND, {"train": frame(5), "model": Bad()}, defaults(SECOND))
    assert fingerprint(run.path / SECOND) == before
    assert not list(run.path.glob(".writing-*"))


KILLED = """
import os, signal, sys
import pandas as pd
from bpr_helpers.artifacts import RunFolder
from bpr_helpers.parameters import defaults

def write(moment):
    calls = 0
    def dying(event, arguments):
        nonlocal calls
        if event in ("open", "os.mkdir", "os.rename", "os.rmdir", "os.remove") and "runs" in str(arguments):
            calls += 1
            if calls == moment:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(dying)
    outputs = dict.fromkeys("ab", pd.DataFrame({"user_id": [1, 2]}))
    RunFolder(f"runs/{moment}").write("01_kcore_pruning", outputs, defaults("01_kcore_pruning"))

for moment in range(1, 31):
    if os.fork() == 0:
        write(moment)
        os._exit(0)
    print(os.wait()[1])
"""


def test_a_process_killed_at_any_moment_leaves_a_whole_stage_or_none(run):
    """A writer is killed at its n-th call that touches the run folder, for n from 1 to 30."""
    folders = {moment: RunFolder(f"runs/{moment}") for moment in range(1, 31)}
    for folder in folders.values():
        folder.write(FIRST, {"old": frame(1)}, defaults(FIRST))
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, check=True)
    ends = [int(status) for status in done.stdout.split()]
    assert ends[0] == 9 and ends[-1] == 0  # the first was killed, the last was not any more
    for end, folder in zip(ends, folders.values(), strict=True):
        if folder.has(FIRST):
            stage = folder.read(FIRST)
            assert set(stage) in ({"old"}, {"a", "b"}) and all(stage.intact(name) for name in stage)
        assert end == 9 or set(folder.read(FIRST)) == {"a", "b"}
        folder.write(FIRST, {"next": frame(2)}, defaults(FIRST))
        assert not list(folder.path.glob(".writing-*"))


def test_two_writers_take_turns(run):
    program = (
        "import sys, pandas as pd; from bpr_helpers.artifacts import RunFolder\n"
        "from bpr_helpers.parameters import defaults\n"
        "rows, values = pd.DataFrame({'n': [int(sys.argv[1])] * 1000}), defaults('01_kcore_pruning')\n"
        "for _ in range(8):\n"
        "    RunFolder('runs/test').write('01_kcore_pruning', {'x': rows}, values)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(n)], env=os.environ) for n in (1, 2)]
    assert [writer.wait() for writer in writers] == [0, 0]
    stage = run.read(FIRST)
    assert len(set(stage["x"]["n"])) == 1 and not list(run.path.glob(".writing-*"))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text("abc/", min_size=1, max_size=4), st.binary(max_size=3), max_size=4), st.data())
def test_folders_have_equal_fingerprints_exactly_if_they_have_equal_files(tmp_path, files, data):
    def write(folder: Path, content: dict[str, bytes]) -> str:
        folder.mkdir(exist_ok=True)
        for file in folder.iterdir():
            file.unlink()
        for name, value in content.items():
            (folder / name.replace("/", "-")).write_bytes(value)
        return fingerprint(folder)

    files = {name.replace("/", "-"): value for name, value in files.items()}
    other = data.draw(st.just(files) | st.dictionaries(st.sampled_from("ab"), st.binary(max_size=2)))
    assert (write(tmp_path / "one", files) == write(tmp_path / "two", other)) == (files == other)


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


def test_missing_stages_are_built_and_said_in_the_same_line(run, small, monkeypatch, capsys):
    monkeypatch.setattr(artifacts, "defaults", small.__getitem__)
    built = run.obtain(SECOND)
    first_time = capsys.readouterr().out
    assert str(run.obtain(SECOND)) == str(built)
    assert capsys.readouterr().out == first_time == str(built) + "\n"
    assert first_time.startswith(f"{SECOND}: split='per_user', test_fraction=0.1")
    assert len(built["train"]) + len(built["valid"]) + len(built["test"]) == 480

    monkeypatch.delenv("TQDM_DISABLE")
    RunFolder("runs/other").obtain(FIRST)
    assert "has no 01_kcore_pruning yet: building it with the defaults" in capsys.readouterr().out


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


def test_upstream_names_only_earlier_notebooks():
    names = list(UPSTREAM)
    assert names == [name for name in NOTEBOOKS if name in UPSTREAM]  # the others write no stage
    assert all(set(ups) <= set(names[: names.index(stage)]) for stage, ups in UPSTREAM.items())


def test_stage_is_json_through_and_through(run):
    write_two(run)
    assert Stage(run.path / SECOND).manifest == json.loads((run.path / SECOND / "manifest.json").read_text())

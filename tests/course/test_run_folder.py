"""Run folders: what was written is read, what is stale or damaged is told, writes are atomic."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bpr_helpers import BPR, synthetic_interactions
from bpr_helpers.course import run_folder
from bpr_helpers.course.parameters import defaults
from bpr_helpers.course.run_folder import RunFolder, Stage, fingerprint
from bpr_helpers.course.series import STAGES

FIRST, SECOND, THIRD, *_ = STAGES


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


def test_what_was_read_and_made_anew_since_is_not_built_upon(run):
    write_two(run)
    reader = RunFolder(run.path)
    reader.read(FIRST)
    run.write(FIRST, {"interactions": frame(2, 1)}, defaults(FIRST))
    with pytest.raises(
        ValueError, match=f"^{FIRST} was made anew while {SECOND} was open.* restart {SECOND}"
    ):
        reader.write(SECOND, {"train": frame(7, 8)}, defaults(SECOND))
    assert len(Stage(run.path / SECOND)["train"]) == 1  # untouched
    reader.read(FIRST)
    reader.write(SECOND, {"train": frame(7)}, defaults(SECOND))


def test_an_own_file_that_changed_makes_its_stage_stale(run, tmp_path):
    (tmp_path / "mine.csv").write_text("a\n1\n")
    run.write(FIRST, {"interactions": frame(1)}, defaults(FIRST) | {"source": "mine.csv"})
    run.read(FIRST)
    (tmp_path / "mine.csv").write_text("a\n2\n")
    with pytest.raises(ValueError, match=r"source mine.csv"):
        run.read(FIRST)


@pytest.mark.parametrize("part", ["a.parquet", "a.pq", "year=2020/a.parquet", "year=2020/month=1/a.parquet"])
def test_a_folder_of_own_files_that_changed_makes_its_stage_stale(run, tmp_path, part):
    (tmp_path / "parts" / part).parent.mkdir(parents=True)
    frame(1).to_parquet(tmp_path / "parts" / part)
    run.write(FIRST, {"interactions": frame(1)}, defaults(FIRST) | {"source": "parts"})
    run.read(FIRST)
    frame(2).to_parquet(tmp_path / "parts" / part)
    with pytest.raises(ValueError, match=r"source parts"):
        run.read(FIRST)


def test_what_is_called_like_a_known_set_is_no_own_file(run, tmp_path):
    run.write(FIRST, {"interactions": frame(1)}, defaults(FIRST))
    (tmp_path / "ml-100k").write_text("something else")
    run.read(FIRST)
    assert run.write(FIRST, {"interactions": frame(1)}, defaults(FIRST)).manifest["inputs"] == {}


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

    class Bad(BPR):
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
from bpr_helpers.course.run_folder import RunFolder
from bpr_helpers.course.parameters import defaults

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
        "import sys, pandas as pd; from bpr_helpers.course.run_folder import RunFolder\n"
        "from bpr_helpers.course.parameters import defaults\n"
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


def test_missing_stages_are_built_and_said_in_the_same_line(run, small, monkeypatch, capsys):
    monkeypatch.setattr(run_folder, "defaults", small.__getitem__)
    built = run.obtain(SECOND)
    first_time = capsys.readouterr().out
    assert str(run.obtain(SECOND)) == str(built)
    assert capsys.readouterr().out == first_time == str(built) + "\n"
    assert first_time.startswith(f"{SECOND}: last tenth per user")
    assert len(built["train"]) + len(built["valid"]) + len(built["test"]) == 480

    monkeypatch.delenv("TQDM_DISABLE")
    RunFolder("runs/other").obtain(FIRST)
    assert "has no 01_kcore_pruning yet: building it with the defaults" in capsys.readouterr().out


def test_stage_is_json_through_and_through(run):
    write_two(run)
    assert Stage(run.path / SECOND).manifest == json.loads((run.path / SECOND / "manifest.json").read_text())


# What follows are folders as somebody could hand them over who means harm.


class Harmful:
    """Unpickling it makes a folder, as it could do anything else."""

    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self):
        return os.mkdir, (str(self.proof),)


def forge(run, change) -> Stage:
    """Change the manifest of a stage, and open the stage."""
    path = run.path / FIRST / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    return run.read(FIRST)


@pytest.fixture
def written(run):
    run.write(FIRST, {"interactions": frame(1)}, defaults(FIRST))
    return run


@pytest.mark.parametrize(
    "kind",
    ["sklearn.utils.parallel.joblib", "bpr_helpers.bpr.BPR.__init__", "os.system", "", 3, None, ["BPR"]],
)
def test_a_manifest_that_names_another_kind_is_refused_before_anything_is_read(written, tmp_path, kind):
    proof = tmp_path / "proof"
    harmful = written.path / FIRST / "interactions"
    harmful.write_bytes(pickle.dumps(Harmful(proof)))

    def change(manifest):
        manifest["outputs"]["interactions"] = {"type": kind, "sha256": fingerprint(harmful)}

    with pytest.raises(ValueError, match="none of DataFrame, BPR: nothing of its stage is read"):
        forge(written, change)["interactions"]
    assert not proof.exists()


def test_a_manifest_of_an_earlier_version_is_read(written, monkeypatch):
    folder = written.path / FIRST / "model"
    folder.mkdir()
    (folder / "bpr.json").write_text("{}")

    def change(manifest):
        manifest["outputs"]["model"] = {"type": "bpr_helpers.bpr.BPR", "sha256": fingerprint(folder)}

    with pytest.raises(ValueError, match="does not hold a whole BPR model"):  # so BPR was asked to read it
        forge(written, change)["model"]


@pytest.mark.parametrize(
    "name",
    ["../x", "../../secret", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "C:x", "x\0", "<b>", "x" * 9999],
)
def test_an_output_whose_name_leaves_the_folder_is_refused(written, name):
    secret = written.path / "secret.parquet"
    frame(7).to_parquet(secret)

    def change(manifest):
        manifest["outputs"][name] = {"type": "DataFrame", "sha256": fingerprint(secret)}

    with pytest.raises(ValueError, match="no plain name: nothing of its stage is read") as caught:
        forge(written, change)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("what", ["output", "manifest", "stage", "inside an output"])
def test_links_are_not_followed(written, tmp_path, what):
    stage = written.path / FIRST
    if what == "inside an output":
        (stage / "model").mkdir()
        (stage / "model" / "bpr.json").symlink_to("/etc/passwd")
        place = stage / "model"
        read = lambda: forge(  # noqa: E731
            written, lambda m: m["outputs"].update(model={"type": "BPR", "sha256": fingerprint(place)})
        )["model"]
    else:
        name = {"output": "interactions.parquet", "manifest": "manifest.json", "stage": ""}[what]
        (stage / name).rename(tmp_path / "elsewhere")
        (stage / name).symlink_to(tmp_path / "elsewhere")
        read = lambda: written.read(FIRST)["interactions"]  # noqa: E731
    with pytest.raises(ValueError, match="is neither a file nor a folder, but a link or a device"):
        read()


def test_a_stage_that_links_elsewhere_is_replaced_and_its_target_left_as_it_is(written, tmp_path):
    (written.path / FIRST).rename(tmp_path / "elsewhere")
    (written.path / FIRST).symlink_to(tmp_path / "elsewhere")
    before = fingerprint(tmp_path / "elsewhere")
    written.write(FIRST, {"interactions": frame(2)}, defaults(FIRST))
    assert not (written.path / FIRST).is_symlink() and fingerprint(tmp_path / "elsewhere") == before


@pytest.mark.parametrize("source", ["/dev/zero", "/dev/stdin", "/etc", 3, None, ["x"]])
def test_a_source_that_is_no_data_is_not_read(written, source):
    def change(manifest):
        manifest["parameters"]["source"] = source
        manifest["inputs"][f"source {source}"] = "0"

    assert len(forge(written, change)["interactions"]) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
@pytest.mark.parametrize("name", ["interactions.parquet", "manifest.json"])
def test_a_pipe_is_not_waited_for(written, name):
    path = written.path / FIRST / name
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match="a link or a device"):
        written.read(FIRST)["interactions"]


def test_a_manifest_of_many_megabytes_is_not_read(written):
    with pytest.raises(ValueError, match="which no run writes"):
        forge(written, lambda manifest: manifest.update(more="x" * 2 * 10**6))


@pytest.mark.parametrize("content", ["[" * 10**5, "1" * 10**5, '{"outputs": {"a": {"type": "DataFrame"}}}'])
def test_a_manifest_that_breaks_its_reader_is_told(written, content):
    (written.path / FIRST / "manifest.json").write_text(content)
    with pytest.raises(ValueError, match=f"rerun notebook {FIRST}"):
        written.read(FIRST)


def test_a_table_that_claims_more_than_the_memory_is_not_read(run, monkeypatch):
    """A hundred thousand equal rows take a few hundred bytes on the disk; a trillion hardly more."""
    run.write(FIRST, {"interactions": pd.DataFrame({"user_id": [1] * 10**5})}, defaults(FIRST))
    monkeypatch.setattr(run_folder, "memory", lambda: 10**5 * 8 - 1)
    with pytest.raises(ValueError, match="claims 100000 rows, more than this machine"):
        run.read(FIRST)["interactions"]
    monkeypatch.setattr(run_folder, "memory", lambda: 10**5 * 8)
    assert len(run.read(FIRST)["interactions"]) == 10**5


def test_what_is_no_table_is_told_in_a_sentence(written):
    path = written.path / FIRST / "interactions.parquet"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(ValueError, match="is no readable table"):
        forge(written, lambda m: m["outputs"]["interactions"].update(sha256=fingerprint(path)))[
            "interactions"
        ]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    rows = synthetic_interactions(30, 20, 200, seed=0)
    folder = tmp_path_factory.mktemp("model") / "model"
    BPR(dim=4, epochs=1, patience=0).fit(rows).save(folder)
    return folder


def set_array(folder: Path, name: str, content: bytes) -> None:
    """Put an array as it would stand in a file into the model's matrix of seen items."""
    with zipfile.ZipFile(folder / "seen.npz") as file:
        parts = {part: file.read(part) for part in file.namelist()}
    with zipfile.ZipFile(folder / "seen.npz", "w") as file:
        for part, old in parts.items():
            file.writestr(part, content if part == f"{name}.npy" else old)


def claim(folder: Path, _: Path) -> None:
    """A header that asks for four terabytes, and nothing after it."""
    header = io.BytesIO()
    shape = {"descr": "<f4", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(header, shape)
    set_array(folder, "data", header.getvalue())


def unpickle(folder: Path, proof: Path) -> None:
    content = io.BytesIO()
    np.save(content, np.array([Harmful(proof)], dtype=object), allow_pickle=True)
    set_array(folder, "data", content.getvalue())


def name_a_class(folder: Path, proof: Path) -> None:
    """The configuration of the Keras model names a function of the system."""
    with zipfile.ZipFile(folder / "model.keras") as file:
        parts = {part: file.read(part) for part in file.namelist()}
    config = {"module": "os", "class_name": "mkdir", "config": {"path": str(proof)}, "registered_name": None}
    parts["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(folder / "model.keras", "w") as file:
        for part, content in parts.items():
            file.writestr(part, content)


def name_an_optimizer(folder: Path, proof: Path) -> None:
    saved = json.loads((folder / "bpr.json").read_text())
    saved["settings"]["optimizer"] = {"module": "os", "class_name": "mkdir", "config": {"path": str(proof)}}
    (folder / "bpr.json").write_text(json.dumps(saved))


def set_more(folder: Path, _: Path) -> None:
    saved = json.loads((folder / "bpr.json").read_text())
    saved["settings"]["more"] = 1
    (folder / "bpr.json").write_text(json.dumps(saved))


def hold_a_list(folder: Path, _: Path) -> None:
    (folder / "bpr.json").write_text("[]")


@pytest.mark.parametrize(
    "harm",
    [claim, unpickle, name_an_optimizer, set_more, hold_a_list],
    ids=lambda f: f.__name__,
)
def test_a_model_that_means_harm_is_refused(written, model, tmp_path, harm):
    proof, folder = tmp_path / "proof", written.path / FIRST / "model"
    shutil.copytree(model, folder)
    output = {"type": "BPR", "sha256": fingerprint(folder)}
    assert isinstance(forge(written, lambda m: m["outputs"].update(model=output))["model"], BPR)
    harm(folder, proof)
    output = {"type": "BPR", "sha256": fingerprint(folder)}
    with pytest.raises(ValueError, match=r"BPR"):
        forge(written, lambda m: m["outputs"].update(model=output))["model"]
    assert not proof.exists()


def test_what_a_keras_archive_says_of_classes_is_not_followed(written, model, tmp_path):
    proof, folder = tmp_path / "proof", written.path / FIRST / "model"
    shutil.copytree(model, folder)
    name_a_class(folder, proof)
    output = {"type": "BPR", "sha256": fingerprint(folder)}
    assert isinstance(forge(written, lambda m: m["outputs"].update(model=output))["model"], BPR)
    assert not proof.exists()


def test_a_lock_that_links_elsewhere_leaves_that_file_as_it_is(run, tmp_path):
    (tmp_path / "mine").write_text("mine")
    run.path.mkdir(parents=True)
    (run.path / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="could not be written"):
        run.write(FIRST, {"interactions": frame(1)}, defaults(FIRST))
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_stage_keeps_only_what_it_can_read_again(run):
    with pytest.raises(TypeError, match="x is a list: a stage keeps only DataFrame and BPR"):
        run.write(FIRST, {"x": [1]}, defaults(FIRST))
    assert not run.has(FIRST)

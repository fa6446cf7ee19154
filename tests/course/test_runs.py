"""Runs: what is skipped, what is repeated, and that every fault leaves a run that the next one completes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from tiny_notebooks import write_notebook, write_series

from bpr_helpers.course import runs
from bpr_helpers.course.parameters import NOTEBOOKS as DECLARED
from bpr_helpers.course.run_folder import RunFolder
from bpr_helpers.course.series import STAGES, TUNING

NOTEBOOKS = (*STAGES, TUNING)  # of those that write no stage, one stands for all
FIRST, SECOND, THIRD, FOURTH, *LATER = NOTEBOOKS

# `bpr run` on the notebooks of a folder, as a process that can be killed.
PROGRAM = """
import sys
from pathlib import Path
from bpr_helpers.course import commands, runs
from bpr_helpers.course.series import STAGES, TUNING
names = [*STAGES, TUNING]
commands._guarded(lambda: print(runs.run({"run_dir": sys.argv[1]}, names, notebooks=Path(sys.argv[2]))))
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A caller's folder with a series of notebooks and a complete run of it, "done"."""
    folder = tmp_path_factory.mktemp("root")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BPR_ROOT", str(folder))
        runs.run({"run_dir": "done"}, NOTEBOOKS, notebooks=write_series(folder / "series"))
    return folder


@pytest.fixture
def series(root, monkeypatch):
    monkeypatch.setenv("BPR_ROOT", str(root))
    return root / "series"


@pytest.fixture
def copy(root, tmp_path, series):
    """A run folder that may be disturbed: a copy of the complete run."""
    subprocess.run(["cp", "-r", str(root / "done"), str(tmp_path / "run")], check=True)
    return RunFolder(tmp_path / "run")


def start(run_dir: Path, notebooks: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(run_dir), str(notebooks)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def outputs(folder: RunFolder) -> dict[str, pd.DataFrame]:
    return {f"{stage} {name}": folder.read(stage)[name] for stage in STAGES for name in folder.read(stage)}


def assert_equals_undisturbed(folder: RunFolder, root: Path) -> None:
    found, expected = outputs(folder), outputs(RunFolder(root / "done"))
    assert found.keys() == expected.keys()
    for name, frame in expected.items():
        pd.testing.assert_frame_equal(found[name], frame)


def test_every_notebook_gets_what_it_declares(root, series):
    folder = RunFolder("done")
    for stage in NOTEBOOKS:
        notebook = json.loads(runs.executed_notebook(folder, stage).read_text())
        assert set(notebook["metadata"]["papermill"]["parameters"]) == set(DECLARED[stage].model_fields)
    assert sorted(os.listdir(root / "done" / "notebooks")) == [f"{stage}.ipynb" for stage in NOTEBOOKS]


def test_the_same_again_runs_nothing(copy, series, capsys):
    assert runs.run({"run_dir": str(copy.path)}, NOTEBOOKS, notebooks=series) == []
    assert capsys.readouterr().out.count("unchanged") == len(NOTEBOOKS)


def test_others_run_from_the_first_notebook_they_touch(copy, series):
    assert runs.run({"run_dir": str(copy.path), "k": 5}, NOTEBOOKS, notebooks=series) == [FOURTH, *LATER]
    assert list(copy.read(FOURTH)["metrics"].columns) == ["ndcg@5"]
    # the split's seed changes only the validation part, so model and metrics are made again, the core is not
    assert runs.run({"run_dir": str(copy.path), "split_seed": 3}, NOTEBOOKS, notebooks=series)[:2] == [
        SECOND,
        THIRD,
    ]


def test_a_notebook_without_a_stage_runs_again_when_a_stage_has_changed(copy, series):
    only = {"run_dir": str(copy.path)}
    assert runs.run(only, LATER, notebooks=series) == []
    assert runs.run(only | {"k": 5}, [FOURTH], notebooks=series) == [FOURTH]
    assert runs.run(only, LATER, notebooks=series) == LATER


@pytest.mark.parametrize("name", ["{a} b", "{", "données 데이터", "~x"])
def test_a_run_folder_may_have_any_name(tmp_path, series, name):
    values = {"run_dir": str(tmp_path / name)}
    assert runs.run(values, [FIRST], notebooks=series) == [FIRST]
    assert runs.run(values, [FIRST], notebooks=series) == []
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_only_some_notebooks_and_force(copy, series):
    only = {"run_dir": str(copy.path)}
    assert runs.run(only | {"dim": 3}, [THIRD], notebooks=series) == [THIRD]
    assert runs.run(only | {"dim": 3}, [THIRD], notebooks=series) == []
    assert runs.run(only | {"dim": 3}, [THIRD], notebooks=series, force=True) == [THIRD]
    with pytest.raises(ValueError, match=f"rerun notebook {FOURTH}"):
        copy.read(FOURTH)  # it was made from another model


def test_lessons_are_left_out_where_it_is_said(tmp_path, series):
    notebooks = write_series(tmp_path / "series", {FIRST: "print('a lesson')"})
    content = json.loads((notebooks / f"{FIRST}.ipynb").read_text())
    content["cells"][2]["metadata"]["tags"] = ["lesson"]
    (notebooks / f"{FIRST}.ipynb").write_text(json.dumps(content))
    folder, values = RunFolder(tmp_path / "run"), {"run_dir": str(tmp_path / "run")}
    assert runs.run(values, [FIRST], lessons=False, notebooks=notebooks) == [FIRST]
    assert "a lesson" not in runs.executed_notebook(folder, FIRST).read_text()
    assert runs.run(values, [FIRST], lessons=False, notebooks=notebooks) == []
    assert runs.run(values, [FIRST], notebooks=notebooks) == [FIRST]
    assert "a lesson" in runs.executed_notebook(folder, FIRST).read_text()


def test_what_is_said_of_movielens_is_left_out_with_other_data(tmp_path, series):
    notebooks = write_series(tmp_path / "series", {FIRST: "print('a film')", SECOND: "print('a star')"})
    for stage in (FIRST, SECOND):
        content = json.loads((notebooks / f"{stage}.ipynb").read_text())
        content["cells"][2]["metadata"]["tags"] = ["movielens"]
        (notebooks / f"{stage}.ipynb").write_text(json.dumps(content))
    folder, stages = RunFolder(tmp_path / "run"), [FIRST, SECOND]
    values = {"run_dir": str(tmp_path / "run")}
    for source, told in (("ml-100k", True), ("synthetic", False)):
        assert runs.run(values | {"source": source}, stages, notebooks=notebooks) == stages
        assert ("a film" in runs.executed_notebook(folder, FIRST).read_text()) == told
        assert ("a star" in runs.executed_notebook(folder, SECOND).read_text()) == told
        assert runs.run(values | {"source": source}, stages, notebooks=notebooks) == []


def test_an_edited_notebook_runs_again(copy, tmp_path):
    other = write_series(tmp_path / "series", {FOURTH: "print('new')"})
    assert runs.run({"run_dir": str(copy.path)}, NOTEBOOKS, notebooks=other) == [FOURTH]


@pytest.mark.parametrize("damage", ["removed", "edited", "model", "manifest", "executed notebook"])
def test_a_damaged_artefact_is_made_again(copy, series, root, damage):
    path = {
        "removed": copy.path / FOURTH / "metrics.parquet",
        "edited": copy.path / FOURTH / "per_user.parquet",
        "model": copy.path / THIRD / "model.parquet",
        "manifest": copy.path / FOURTH / "manifest.json",
        "executed notebook": runs.executed_notebook(copy, FOURTH),
    }[damage]
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-5] + b"xxxxx")
    executed = runs.run({"run_dir": str(copy.path)}, NOTEBOOKS, notebooks=series)
    assert executed == [THIRD if damage == "model" else FOURTH]  # what is equal leaves what follows as it is
    assert_equals_undisturbed(copy, root)


def test_killed_in_every_stage_and_completed(root, series, tmp_path):
    """SIGKILL while each notebook works; the last start completes and equals a run that nothing disturbed."""
    folder = RunFolder(tmp_path / "run")
    notebooks = write_series(
        tmp_path / "series",
        {stage: f"if os.path.exists({str(tmp_path / stage)!r}): time.sleep(60)" for stage in NOTEBOOKS},
    )
    for stage in NOTEBOOKS:
        (tmp_path / stage).touch()
        process = start(folder.path, notebooks)
        running = runs.executed_notebook(folder, stage).with_name(f".{stage}.running.ipynb")
        wait_for(lambda: running.exists() and '"running"' in running.read_text())  # noqa: B023
        process.kill()
        process.communicate()
        assert not folder.has(stage) and not runs.executed_notebook(folder, stage).exists()
        (tmp_path / stage).unlink()
    process = start(folder.path, notebooks)
    text, _ = process.communicate()
    assert process.returncode == 0, text
    assert f"['{LATER[-1]}']" in text
    assert_equals_undisturbed(folder, root)
    assert sorted(os.listdir(folder.path / "notebooks")) == [f"{stage}.ipynb" for stage in NOTEBOOKS]


def test_interrupted_ends_the_kernel_and_says_so(series, tmp_path):
    pid = tmp_path / "pid"
    wait = f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    process = start(tmp_path / "run", write_series(tmp_path / "series", {FIRST: wait}))
    wait_for(lambda: pid.exists() and pid.read_text())
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=30)
    assert process.returncode == 130 and "interrupted" in text and "Traceback" not in text
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def is_gone(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    try:
        return state.read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
def test_a_kernel_ends_with_the_process_that_started_it_even_when_that_is_killed(tmp_path):
    """Called in a thread, as the workers of a sweep call it."""
    pid = tmp_path / "pid"
    wait = f"open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    program = (
        "import sys, threading\nfrom pathlib import Path\nfrom bpr_helpers.course import runs\n"
        "how = {'notebooks': Path(sys.argv[2]), 'quiet': True}\n"
        f"given = {{'run_dir': sys.argv[1]}}, [{FIRST!r}]\n"
        "threading.Thread(target=runs.run, args=given, kwargs=how).start()"
    )
    notebooks = write_series(tmp_path / "series", {FIRST: wait})
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "run"), str(notebooks)])
    wait_for(lambda: pid.exists() and pid.read_text())
    process.kill()
    process.wait()
    wait_for(lambda: is_gone(int(pid.read_text())))


def test_a_kernel_is_given_variables_that_its_starter_does_not_get(tmp_path, capfd):
    asserted = "assert os.environ['OMP_NUM_THREADS'] == '3' and os.environ['PRICE'] == '$HOME $'"
    notebooks = write_series(tmp_path / "series", {FIRST: asserted})
    before = dict(os.environ)
    given = {"OMP_NUM_THREADS": "3", "PRICE": "$HOME $"}
    values = {"run_dir": str(tmp_path / "run")}
    assert runs.run(values, [FIRST], notebooks=notebooks, environment=given, quiet=True) == [FIRST]
    assert dict(os.environ) == before
    assert capfd.readouterr() == ("", "")


def test_the_kernel_is_the_interpreter_that_runs_whatever_else_is_called_python3(tmp_path, monkeypatch):
    other = tmp_path / "jupyter" / "kernels" / "python3"
    other.mkdir(parents=True)
    spec = {"argv": ["/bin/false", "{connection_file}"], "display_name": "another", "language": "python"}
    (other / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    notebooks = write_series(
        tmp_path / "series", {FIRST: f"import sys; assert sys.executable == {sys.executable!r}"}
    )
    assert runs.run({"run_dir": str(tmp_path / "run")}, [FIRST], notebooks=notebooks) == [FIRST]


def test_a_failing_notebook_is_named_and_kept(tmp_path, series):
    notebooks = write_series(
        tmp_path / "series", {FIRST: "print('so far')\nraise ValueError('first\\nlast line')"}
    )
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(runs.FailedError, match=rf"^{FIRST} failed in cell \[4\]: last line") as caught:
        runs.run({"run_dir": str(folder.path)}, NOTEBOOKS, notebooks=notebooks)
    kept = runs.executed_notebook(folder, FIRST)
    assert str(kept) in str(caught.value) and "so far" in kept.read_text()
    assert not folder.has(FIRST)
    assert runs.run({"run_dir": str(folder.path)}, [FIRST], notebooks=series) == [FIRST]


def test_an_error_without_words_shows_its_code(tmp_path, series):
    notebooks = write_series(tmp_path / "series", {FIRST: "x = 1\nassert x == 2"})
    with pytest.raises(runs.FailedError, match=r"in cell \[4\]: AssertionError: assert x == 2"):
        runs.run({"run_dir": str(tmp_path / "run")}, NOTEBOOKS, notebooks=notebooks)


def test_a_kernel_that_dies_is_told(tmp_path, series):
    notebooks = write_series(tmp_path / "series", {FIRST: "os.kill(os.getpid(), signal.SIGKILL)"})
    with pytest.raises(runs.FailedError, match=r"failed in cell \[4\]: its kernel died"):
        runs.run({"run_dir": str(tmp_path / "run")}, NOTEBOOKS, notebooks=notebooks)
    assert runs.run({"run_dir": str(tmp_path / "run")}, [FIRST], notebooks=series) == [FIRST]


def test_a_notebook_that_does_not_write_its_stage_fails(tmp_path, series):
    notebooks = write_series(tmp_path / "series", {FIRST: "values['user_k'] = 99"})
    with pytest.raises(runs.FailedError, match="did not write it"):
        runs.run({"run_dir": str(tmp_path / "run")}, NOTEBOOKS, notebooks=notebooks)


def test_a_second_run_in_the_same_folder_is_refused_or_waits(tmp_path, series):
    gate = tmp_path / "gate"
    gate.touch()
    disturb = {FIRST: f"while os.path.exists({str(gate)!r}): time.sleep(0.05)"}
    notebooks = write_series(tmp_path / "series", disturb)
    write_notebook(notebooks / f"{SECOND}.ipynb", SECOND, "raise ValueError('far enough')")
    process = start(tmp_path / "run", notebooks)
    running = tmp_path / "run" / "notebooks" / f".{FIRST}.running.ipynb"
    wait_for(running.exists)
    with pytest.raises(runs.RefusedError, match="Another run is at work"):
        runs.run({"run_dir": str(tmp_path / "run")}, NOTEBOOKS, notebooks=notebooks)
    gate.unlink()
    assert runs.run({"run_dir": str(tmp_path / "run")}, [FIRST], notebooks=notebooks, wait=True) == []
    text, _ = process.communicate(timeout=30)
    assert process.returncode == 1 and "far enough" in text


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


def test_a_full_disk_is_told_and_the_next_run_completes(root, series, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=600k", "tmpfs", str(disk))
    try:
        fill = f"open({str(disk / 'ballast')!r}, 'wb', 0).write(bytes(10**6))"
        with pytest.raises(runs.FailedError, match="No space left on device"):
            notebooks = write_series(tmp_path / "series", {SECOND: fill})
            runs.run({"run_dir": str(disk / "run")}, NOTEBOOKS, notebooks=notebooks)
        (disk / "ballast").unlink()
        assert RunFolder(disk / "run").has(FIRST) and not RunFolder(disk / "run").has(SECOND)
        assert runs.run({"run_dir": str(disk / "run")}, NOTEBOOKS, notebooks=series) == [
            SECOND,
            THIRD,
            FOURTH,
            *LATER,
        ]
        assert_equals_undisturbed(RunFolder(disk / "run"), root)
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_read_only_folder_is_refused_in_a_sentence(series, tmp_path):
    folder = tmp_path / "locked"
    folder.mkdir()
    mount("--bind", str(folder), str(folder))
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        with pytest.raises(runs.RefusedError, match=r"cannot be written.*choose another --run-dir"):
            runs.run({"run_dir": str(folder / "run")}, NOTEBOOKS, notebooks=series)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_the_summary_has_metrics_and_paths(series):
    text = runs.summary(RunFolder("done"), list(NOTEBOOKS))
    assert "ndcg@10" in text and "done/03_bpr_model/model.parquet" in text
    assert all(f"done/notebooks/{stage}.ipynb" in text for stage in NOTEBOOKS)


# What follows are run folders as somebody could hand them over who means harm.


def test_a_run_overwrites_nothing_that_a_folder_links_to(tmp_path, series):
    mine = tmp_path / "mine"
    mine.write_text("mine")
    folder = RunFolder(tmp_path / "run")
    kept = runs.executed_notebook(folder, FIRST)
    kept.parent.mkdir(parents=True)
    kept.symlink_to(mine)
    kept.with_name(f".{FIRST}.running.ipynb").symlink_to(mine)
    assert runs.run({"run_dir": str(folder.path)}, [FIRST], notebooks=series) == [FIRST]
    assert mine.read_text() == "mine" and not kept.is_symlink()


def test_a_run_writes_into_no_folder_that_its_own_links_to(tmp_path, series):
    mine = tmp_path / "mine"
    mine.mkdir()
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    (folder.path / "notebooks").symlink_to(mine)
    with pytest.raises(runs.FailedError, match="notebooks is a link"):
        runs.run({"run_dir": str(folder.path)}, [FIRST], notebooks=series)
    assert not list(mine.iterdir())


@pytest.mark.parametrize(
    "content", ["null", "[]", "[" * 10**5, '{"metadata": 3}', '{"metadata": {"bpr": []}}']
)
def test_an_executed_notebook_that_breaks_its_reader_is_made_again(copy, series, content):
    runs.executed_notebook(copy, FOURTH).write_text(content)
    assert runs.run({"run_dir": str(copy.path)}, NOTEBOOKS, notebooks=series) == [FOURTH]


def test_a_run_folder_that_names_another_kind_is_made_again(copy, series):
    path = copy.path / FOURTH / "manifest.json"
    path.write_text(path.read_text().replace('"DataFrame"', '"os.system"'))
    assert runs.run({"run_dir": str(copy.path)}, NOTEBOOKS, notebooks=series) == [FOURTH]

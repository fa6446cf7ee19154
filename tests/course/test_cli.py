"""The command `bpr`: what it refuses, in what words, and its exit codes."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from tiny_notebooks import write_series

from bpr_helpers.course import cli, commands, runs, sweep_run, sweep_table
from bpr_helpers.course.parameters import NOTEBOOKS
from bpr_helpers.course.paths import resolve
from bpr_helpers.course.series import RUN_ORDER, STAGES


@pytest.fixture
def bpr(tmp_path, monkeypatch):
    """Call `bpr` from a fresh folder; what would run is recorded instead of run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BPR_ROOT", "")  # so that what the command sets is undone
    calls: list[tuple[dict, list[str]]] = []
    monkeypatch.setattr(commands, "_run", lambda values, stages, *_: calls.append((values, stages)))

    def call(*arguments: str) -> Result:
        result = CliRunner().invoke(cli.main, ["run", *arguments])
        result.calls = calls
        return result

    return call


def refusals(result: Result) -> list[str]:
    assert result.exit_code == 2 and not result.calls
    return [line.removeprefix("bpr: ") for line in result.stderr.splitlines()]


def test_values_come_from_the_command_line(bpr):
    result = bpr(
        "-p", "dim", "32", "-p", "l2_user", "1e-3", "-p", "item_bias", "false", "--run-dir", "runs/x"
    )
    assert result.exit_code == 0, result.output
    values, stages = result.calls[0]
    assert values == {"dim": 32, "l2_user": 0.001, "item_bias": False, "run_dir": "runs/x"}
    assert stages == list(STAGES)


def test_a_file_of_parameters_and_the_command_line_has_the_last_word(bpr):
    Path("p.yaml").write_text("dim: 32\nlearning_rate: 1e-3\nsource: synthetic\n")
    values, _ = bpr("-f", "p.yaml", "-p", "dim", "8").calls[0]
    assert values == {"dim": 8, "learning_rate": 0.001, "source": "synthetic", "run_dir": "runs/default"}


def test_every_fault_is_told_at_once(bpr):
    found = refusals(
        bpr("-p", "dims", "3", "-p", "dim", "x", "-p", "temperature", "-1", "--only", "77", "-f", "none.yaml")
    )
    assert found == [
        "none.yaml cannot be read (No such file or directory).",
        "no notebook is called 77: choose among " + ", ".join(NOTEBOOKS) + ".",
        "no notebook has a parameter dims (did you mean dim?).",
        "dim must be a whole number at least 1, not 'x'.",
        "temperature must be a number above 0, not -1.0.",
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "valid_fraction", "0"], "patience=5 needs a validation part"),
        (["-p", "n_test", "2"], "n_test has no effect with split='per_user'"),
        (["-p", "dim", "3", "-p", "dim", "4"], "dim is set twice"),
        (["-p", "run_dir", "a", "--run-dir", "b"], "run_dir is set twice"),
        (["--only", "03", "-p", "user_k", "3"], "user_k belongs to 01_kcore_pruning, which is not to run"),
        (["--from", "02", "--only", "03"], "--only and --from exclude each other"),
        (["--all", "--only", "03"], "--only and --all exclude each other"),
        (["-p", "source", "mine.csv"], "source 'mine.csv' is no file in"),
        (["-p", "source", "ml-100"], "(did you mean ml-100k?)"),
        (["-p", "items_source", "titles.csv"], "items_source 'titles.csv' is no file in"),
        (["--notebooks", "nowhere"], "--notebooks nowhere does not hold 00_start_here"),
        (["-f", "list.yaml"], "list.yaml must hold names with values"),
        (["-f", "broken.yaml"], "broken.yaml is not YAML"),
        (["-f", "twice.yaml"], "dim stands twice, in line 1 and in line 3"),
        (["-f", "capital.yaml"], "no notebook has a parameter DIM (did you mean dim?)"),
        (["-p", "source", "ML-100K"], "(did you mean ml-100k?)"),
        (["--from", ""], "no notebook is called '': choose among 00_start_here"),
        (["--only", ""], "no notebook is called '': choose among 00_start_here"),
        (["--from", "", "--only", "03"], "exclude each other"),
        (["--from", "0"], "0 begins the names of 00_start_here, 01_kcore_pruning, 02"),
        (["--run-dir", ""], "run_dir must be a text of length at least 1, not ''"),
        (["--notebooks", ""], "--notebooks '' does not hold"),
        (["-p", "source", "a\0b"], "source holds the character NUL"),
    ],
)
def test_contradictions_and_missing_files_are_refused(bpr, arguments, words):
    Path("list.yaml").write_text("- 1\n")
    Path("broken.yaml").write_text("dim: [1\n")
    Path("twice.yaml").write_text("dim: 1\nseed: 0\ndim: 2\n")
    Path("capital.yaml").write_text("DIM: 1\n")
    found = refusals(bpr(*arguments))
    assert len(found) == 1 and words in found[0]


@pytest.mark.parametrize("name", ["~/x.csv", "{a} b/x.csv", "données 데이터.csv", "~x.csv"])
def test_files_are_found_under_any_name(bpr, tmp_path, monkeypatch, name):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    there = resolve(name, tmp_path)
    there.parent.mkdir(parents=True, exist_ok=True)
    there.write_text("user_id,item_id\n1,2\n")
    given = ["-p", "source", name, "-p", "items_source", name]
    assert bpr(*given).calls[-1][0]["source"] == name
    there.write_text("dim: 3\n")
    assert bpr("-f", name).calls[-1][0]["dim"] == 3


def test_a_folder_of_files_is_a_source(bpr):
    Path("parts").mkdir()
    pd.DataFrame({"user_id": [1], "item_id": [2]}).to_parquet("parts/0.parquet")
    assert bpr("-p", "source", "parts").exit_code == 0


@pytest.mark.parametrize("command", [["sweep", "s.yaml", "--run-dir"], ["table"]])
def test_every_command_opens_the_same_folder(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BPR_ROOT", "")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    Path("s.yaml").write_text("grid: {dim: [3]}\n")
    opened = []
    monkeypatch.setattr(sweep_run, "run_sweep", lambda sweep, folder, **_: opened.append(folder) or [])
    monkeypatch.setattr(sweep_table, "read", lambda folder: opened.append(folder))
    monkeypatch.setattr(sweep_table, "write", lambda found: "")
    for name in ("~/{a} b", "x", str(tmp_path / "y")):
        assert CliRunner().invoke(cli.main, [*command, name]).exit_code == 0
    assert list(dict.fromkeys(opened)) == [tmp_path / "home" / "{a} b", tmp_path / "x", tmp_path / "y"]


def test_a_sweep_into_no_folder_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text("grid: {dim: [3]}\n")
    result = CliRunner().invoke(cli.main, ["sweep", "s.yaml", "--run-dir", ""])
    assert result.exit_code == 2 and result.stderr == "bpr: --run-dir '' names no folder.\n"


def test_numbers_in_a_file_may_have_an_exponent(bpr):
    Path("p.yaml").write_text("l2_user: 1e-2\nlearning_rate: 5E-2\n")
    values, _ = bpr("-f", "p.yaml").calls[0]
    assert (values["l2_user"], values["learning_rate"]) == (0.01, 0.05)


def test_the_version_is_told():
    result = CliRunner().invoke(cli.main, ["--version"])
    assert result.exit_code == 0 and result.output == f"bpr, version {version('bpr-helpers')}\n"


@pytest.mark.parametrize("content", ["[" * 10**5, "null", '{"parameters": 3}'])
def test_a_manifest_that_breaks_its_reader_is_as_none(bpr, content):
    manifest = Path("runs/default/01_kcore_pruning/manifest.json")
    manifest.parent.mkdir(parents=True)
    manifest.write_text(content)
    assert refusals(bpr("-p", "user_k", "3", "--from", "03")) == [
        "user_k belongs to 01_kcore_pruning, which is not to run."
    ]


def test_some_notebooks(bpr):
    first, second, third, fourth, *later = RUN_ORDER
    assert bpr("--all").calls[-1][1] == list(RUN_ORDER)
    assert bpr("--from", "03").calls[-1][1] == [third, fourth]
    assert bpr("--from", "03", "--all").calls[-1][1] == [third, fourth, *later[1:]]
    assert bpr("--from", "05").calls[-1][1] == [later[1]]
    assert bpr("--only", "04", "--only", "02_chron").calls[-1][1] == [second, fourth]
    assert bpr("--only", "01").calls[-1][1] == [first]


def test_parameters_of_notebooks_left_out_pass_where_the_folder_was_made_with_them(bpr):
    Path("p.yaml").write_text("user_k: 3\ndim: 8\n")
    manifest = Path("runs/default/01_kcore_pruning/manifest.json")
    manifest.parent.mkdir(parents=True)
    manifest.write_text('{"parameters": {"user_k": 6}}')
    assert refusals(bpr("-f", "p.yaml", "--from", "03")) == [
        "user_k belongs to 01_kcore_pruning, which is not to run and made with user_k=6."
    ]
    manifest.write_text('{"parameters": {"user_k": 3}}')
    assert bpr("-f", "p.yaml", "--from", "03").exit_code == 0


def test_refusing_loads_neither_tensorflow_nor_papermill(tmp_path):
    program = (
        "import sys\nfrom bpr_helpers.course.cli import main\n"
        "try:\n    main(['run', '-p', 'dims', '3', '-p', 'dim', '0'])\n"
        "finally:\n    print(sorted({'tensorflow', 'keras', 'papermill', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2 and done.stdout == "[]\n" and done.stderr.count("\n") == 2
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [(runs.FailedError("x"), 1), (runs.RefusedError("x"), 2), (KeyboardInterrupt(), 130), (None, 0)],
)
def test_exit_codes(bpr, monkeypatch, error, code):
    def work(*_):
        if error:
            raise error

    monkeypatch.setattr(commands, "_run", work)
    result = bpr()
    assert result.exit_code == code and "Traceback" not in result.output


def test_the_command_runs_where_no_environment_is_activated(tmp_path):
    """Called by its path from another folder: kernels are of the same environment, paths of the caller."""
    series = write_series(tmp_path / "series", {"01_kcore_pruning": "import sys; print(sys.prefix)"})
    command = [sys.executable, "-m", "bpr_helpers", "run", "--only", "01", "-p", "user_k", "4"]
    command += ["--notebooks", str(series)]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "BPR_ROOT": "/nowhere"}
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    executed = tmp_path / "runs" / "default" / "notebooks" / "01_kcore_pruning.ipynb"
    assert sys.prefix in executed.read_text() and str(executed.relative_to(tmp_path)) in done.stdout


@pytest.mark.parametrize("command", [["sweep", "none.yaml"], ["table", "none"]])
def test_sweeps_that_are_not_there_are_refused(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BPR_ROOT", "")
    result = CliRunner().invoke(cli.main, command)
    assert result.exit_code == 2 and "none" in result.stderr and not list(tmp_path.iterdir())


def test_a_sweep_whose_file_is_wrong_is_refused_with_every_fault(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text("grid: {dims: [3], dim: [0]}\npart: test\n")
    result = CliRunner().invoke(cli.main, ["sweep", "s.yaml"])
    assert result.exit_code == 2
    assert [line.split()[1] for line in result.stderr.splitlines()] == ["no", "dim", "part"]


def test_a_sweep_of_data_that_are_not_there_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("s.yaml").write_text("grid: {dim: [3, 4]}\nfixed: {source: none.csv}\n")
    result = CliRunner().invoke(cli.main, ["sweep", "s.yaml"])
    assert result.exit_code == 2 and result.stderr.count("'none.csv' is no file") == 1
    assert os.listdir() == ["s.yaml"]


def test_missing_columns_are_told_with_their_neighbors_before_anything_runs(bpr, tmp_path):
    (tmp_path / "mine.csv").write_text("userId,movieId,Timestamp\n1,2,978300760\n")
    [told] = refusals(bpr("-p", "source", "mine.csv", "-p", "user_column", "userId"))
    assert "no column 'item_id' (item_column) and no column 'timestamp' (timestamp_column)" in told
    assert "item_column='movieId', timestamp_column='Timestamp'" in told


def test_python_m_is_the_same_command():
    done = subprocess.run(
        [sys.executable, "-m", "bpr_helpers", "run", "--help"], capture_output=True, text=True, check=True
    )
    assert "--run-dir" in done.stdout and "--force" in done.stdout

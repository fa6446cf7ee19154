"""Every notebook keeps the rules of the course: order, outputs, sizes, tags, and one parameters cell."""

import ast
import builtins
import json
import re
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from papermill import inspect_notebook

from bpr_helpers.course.parameters import NOTEBOOKS
from bpr_helpers.course.run_folder import RunFolder
from bpr_helpers.course.series import TUNING

FILES = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
MACHINE = re.compile(r"/tmp/|/home/|/root/|/Users/|[A-Z]:\\\\Users")


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def file(request):
    return request.param


@pytest.fixture
def notebook(file):
    return json.loads(file.read_text("utf-8"))


@pytest.fixture
def code(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source(cell):
    return "".join(cell["source"])


def tags(cell):
    return cell["metadata"].get("tags", [])


def outputs(code):
    return [output for cell in code for output in cell["outputs"]]


def test_every_notebook_is_declared_and_every_declared_notebook_is_there():
    assert [file.stem for file in FILES] == list(NOTEBOOKS)


def test_code_cells_were_executed_once_from_top_to_bottom(code):
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))


def test_outputs_hold_no_errors_no_stderr_and_no_progress_bars(code):
    assert not [output for output in outputs(code) if output["output_type"] == "error"]
    assert not [output for output in outputs(code) if output.get("name") == "stderr"]
    kinds = {kind for output in outputs(code) for kind in output.get("data", {})}
    assert "application/vnd.jupyter.widget-view+json" not in kinds


def test_outputs_name_no_folder_of_the_machine_they_were_made_on(code):
    for output in outputs(code):
        text = "".join(output.get("text", [])) + str(output.get("data", {}).get("text/plain", ""))
        assert not MACHINE.search(text), text


def test_the_file_is_small_and_holds_no_state_of_widgets(file, notebook):
    assert file.stat().st_size < 1_000_000
    assert "widgets" not in notebook["metadata"]


def lines(cell):
    return len(source(cell).splitlines())


def test_code_cells_are_short(code):
    lessons = [lines(cell) for cell in code if not {"parameters", "check"} & {*tags(cell)}]
    assert statistics.median(lessons) <= 5 and max(lessons) <= 15


def test_no_cell_hides_its_result_by_a_semicolon_which_nbval_does_not_heed(code):
    assert not [source(cell) for cell in code if source(cell).rstrip().endswith(";")]


def test_assertions_stand_in_cells_of_their_own_which_readers_need_not_see(code):
    for cell in code:
        asserts = bool(re.search(r"^\s*assert\b", source(cell), re.MULTILINE))
        assert asserts == ("check" in tags(cell)), source(cell)
        if asserts:
            assert {"lesson", "remove-cell"} <= {*tags(cell)} and cell["metadata"]["jupyter"]["source_hidden"]
            assert not cell["outputs"]


def test_few_outputs_are_ignored_and_each_is_checked(code):
    ignored = [number for number, cell in enumerate(code) if "nbval-ignore-output" in tags(cell)]
    assert len(ignored) <= len(code) / 5
    for number in ignored:
        assert "check" in tags(code[number + 1]), source(code[number])
    assert not [cell for cell in code if {"nbval-skip", "nbval-raises-exception"} & {*tags(cell)}]


def test_every_figure_has_an_alternative_text(code):
    figures = [output for output in outputs(code) if "image/png" in output.get("data", {})]
    assert all(len(figure["metadata"]["image/png"]["alt"]) > 20 for figure in figures)


def declared(cell):
    """Names with annotation and value, as in `dim: int = 64  # latent dimension`."""
    lines = ast.parse(source(cell)).body
    assert all(isinstance(line, ast.AnnAssign) and line.value for line in lines), source(cell)
    return {line.target.id: (ast.unparse(line.annotation), ast.literal_eval(line.value)) for line in lines}


def test_one_parameters_cell_agrees_with_the_package(file, code):
    tagged = [cell for cell in code if "parameters" in tags(cell)]
    assert len(tagged) == 1
    fields = NOTEBOOKS[file.stem].model_fields
    expected = {name: (type(field.default).__name__, field.default) for name, field in fields.items()}
    assert declared(tagged[0]) == expected
    assert all("  # " in line for line in source(tagged[0]).splitlines())


def test_papermill_sees_every_parameter(file):
    found = inspect_notebook(str(file))
    fields = NOTEBOOKS[file.stem].model_fields
    assert {name: one["inferred_type_name"] for name, one in found.items()} == {
        name: type(field.default).__name__ for name, field in fields.items()
    }
    assert all(one["help"] for one in found.values())


def test_the_first_cell_after_the_parameters_checks_them(file, code):
    place = next(number for number, cell in enumerate(code) if "parameters" in tags(cell))
    assert f'lesson.begin("{file.stem}", globals())' in source(code[place + 1])


def test_kernel_is_the_one_of_any_environment(notebook):
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def bound(tree):
    """Names that a cell gives a meaning: assigned, imported, defined, or a parameter inside it."""
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    names |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    names |= {
        (alias.asname or alias.name).split(".")[0]
        for node in nodes
        for alias in getattr(node, "names", [])
        if isinstance(alias, ast.alias)
    }
    return names


@pytest.mark.parametrize("left_out", ["lesson", "movielens", "check"])
def test_no_cell_needs_one_that_may_be_left_out(code, left_out):
    needed, known = set(), {*dir(builtins), "display"}
    for cell in code:
        tree = ast.parse(source(cell))
        if left_out not in tags(cell):
            known |= bound(tree)
            needed |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - known
    assert not needed


def run_series(folder, parameters, *options):
    """Run notebooks of the course in a folder; give what `bpr run` printed, and the outputs by notebook."""
    pairs = [word for pair in parameters.items() for word in ("-p", *pair)]
    command = [sys.executable, "-m", "bpr_helpers", "run", *options, *pairs]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    executed = (folder / "runs/default/notebooks").glob("*.ipynb")
    return done.stdout, {file.stem: outputs_of(file) for file in executed}


def purchases(users=4):
    """Everybody buys five of eight things, in two groups of taste."""
    rows = [(f"u{u}", f"i{(i + 4 * (u % 2)) % 8}") for u in range(users) for i in range(5)]
    return pd.DataFrame(rows, columns=["user_id", "item_id"])


STAGES = [word for stage in ("01", "02", "03", "04") for word in ("--only", stage)]
TINY = {"source": "buys.csv", "user_k": "2", "item_k": "1", "epochs": "2", "dim": "4", "batch_size": "8"}


def test_data_without_times_go_through_the_stages(tmp_path):
    purchases().to_csv(tmp_path / "buys.csv", index=False)
    printed, executed = run_series(tmp_path, TINY, *STAGES)
    assert "ndcg@10" in printed
    assert (
        "no times" in executed["02_chronological_split"] and "made-up" in executed["02_chronological_split"]
    )
    assert "recency=0" in executed["03_bpr_model"] and "recency=0" in executed["04_evaluation"]
    run = RunFolder(tmp_path / "runs/default")
    assert run.read("03_bpr_model")["model"].settings["recency"] == 0.0
    assert "timestamp" not in run.read("02_chronological_split")["test"]


def test_data_with_two_times_are_split_by_time(tmp_path):
    plays = purchases().assign(timestamp=lambda rows: 10**9 + 10**5 * (rows.index % 5 > 2))
    plays.to_csv(tmp_path / "buys.csv", index=False)
    data = {name: TINY[name] for name in ("source", "user_k", "item_k")}
    _, executed = run_series(tmp_path, data, *STAGES[:4])
    assert (
        "made-up" in executed["02_chronological_split"] and "random" not in executed["02_chronological_split"]
    )


def test_few_data_of_another_domain_go_through_the_notebooks(tmp_path):
    """Five listeners, string ids, odd column names, milliseconds, and titles of songs.

    All but 06, whose twenty configurations are compiled one by one, whatever the data.
    """
    rng = np.random.default_rng(0)
    rows = [(f"ü-{u}", f"song/{i}") for u in range(5) for i in rng.choice(12, 6 + u, replace=False)]
    plays = pd.DataFrame(rows, columns=["who", "what"])
    plays.assign(when=1_600_000_000_123 + rng.integers(0, 10**10, len(plays))).to_csv(
        tmp_path / "plays.csv", index=False
    )
    songs = pd.DataFrame(
        {"item_id": [f"song/{i}" for i in range(12)], "title": [f"Étude {i}" for i in range(12)]}
    )
    songs.to_csv(tmp_path / "songs.csv", index=False)
    parameters = {"source": "plays.csv", "items_source": "songs.csv", "timestamp_unit": "ms", "item_k": "1"}
    parameters |= {"user_column": "who", "item_column": "what", "timestamp_column": "when", "user_k": "2"}
    names = [name for name in NOTEBOOKS if name != TUNING]
    only = [word for name in names for word in ("--only", name)]
    printed, executed = run_series(tmp_path, parameters, *only)
    assert "ndcg@10" in printed
    assert set(executed) == set(names)
    assert not [stem for stem, text in executed.items() if re.search("Toy Story|Star Wars|MovieLens", text)]
    assert "Étude" in executed["04_evaluation"]


def outputs_of(file):
    cells = [cell for cell in json.loads(file.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    return json.dumps(outputs(cells), ensure_ascii=False)

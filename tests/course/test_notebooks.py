"""Every notebook keeps the rules of the course: order, outputs, sizes, tags, and one parameters cell."""

import ast
import builtins
import json
import re
import statistics
from pathlib import Path

import pytest
from papermill import inspect_notebook

from bpr_helpers.course.parameters import NOTEBOOKS

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

"""The exercises come from their solutions, run unanswered, and are checked, explained and timed."""

import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from bpr_helpers.course import checks

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs/exercises.py"
SOLUTIONS = sorted((ROOT / "notebooks/solutions").glob("*.ipynb"))
EXERCISES = ROOT / "notebooks/exercises"
MACHINE = re.compile(r"/tmp/|/home/|/root/|/Users/|[A-Z]:\\\\Users")
KIND = re.compile(r"^\*(Predict|Do|Explain), \d+ minutes[,.]", re.MULTILINE)


@pytest.fixture(params=SOLUTIONS, ids=lambda path: path.stem)
def path(request):
    return request.param


@pytest.fixture
def solutions(path):
    return nbformat.read(path, 4)


@pytest.fixture
def exercises(path):
    return nbformat.read(EXERCISES / path.name, 4)


def code(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def said_by_checks(notebook):
    """The name of every check that a cell calls at its end, with what it displays."""
    cells = [cell for cell in code(notebook) if cell.source.startswith("checks.")]
    said = {}
    for cell in cells:
        [output] = cell.outputs
        said[re.match(r"checks\.(\w+)", cell.source)[1]] = output.data["text/plain"]
    return said


def test_the_committed_exercises_are_those_that_the_script_makes(tmp_path):
    subprocess.run([sys.executable, SCRIPT, tmp_path], check=True)
    made = {file.name: file.read_text("utf-8") for file in tmp_path.iterdir()}
    assert made == {file.name: file.read_text("utf-8") for file in EXERCISES.glob("*.ipynb")}
    assert len(made) == len(SOLUTIONS) > 0


def test_what_is_marked_leaves_and_the_names_that_others_read_stay(tmp_path, monkeypatch):
    cells = [
        nbformat.v4.new_code_cell(
            "x = 1\n# BEGIN SOLUTION\nhelp_ = 2\ny, z = help_, 3\n# END SOLUTION\nw = 4"
        ),
        nbformat.v4.new_code_cell(
            "def f(x):\n    # BEGIN SOLUTION\n    y = x\n    return y\n    # END SOLUTION"
        ),
        nbformat.v4.new_code_cell("if y:\n    f(y + z)"),
        nbformat.v4.new_code_cell("# BEGIN SOLUTION\nprint(y)\n# END SOLUTION"),
        nbformat.v4.new_markdown_cell("Why?\n\n<!-- BEGIN SOLUTION -->\nSo.\n<!-- END SOLUTION -->"),
        nbformat.v4.new_markdown_cell("The solutions.", metadata={"tags": ["solution-only"]}),
    ]
    monkeypatch.syspath_prepend(SCRIPT.parent)
    from exercises import exercises

    made = exercises(json.loads(nbformat.writes(nbformat.v4.new_notebook(cells=cells))))
    assert ["".join(cell["source"]) for cell in made["cells"]] == [
        "x = 1\ny = ...\nz = ...\nw = 4",
        "def f(x):\n    ...",
        "if y:\n    f(y + z)",
        "...",
        "Why?\n\n*Write your answer here.*",
    ]


def test_an_assignment_for_nbgrader_has_a_point_for_each_check_and_each_explanation(
    solutions, exercises, tmp_path, path
):
    subprocess.run([sys.executable, SCRIPT, "--nbgrader", tmp_path], check=True)
    made = nbformat.read(tmp_path / path.stem / path.name, 4)
    graded = {cell.id: cell.metadata.nbgrader for cell in made.cells if "nbgrader" in cell.metadata}
    assert [one.grade_id for one in graded.values()] == [*graded]
    points = sum(one.get("points", 0) for one in graded.values())
    assert points == prose(exercises).count("*Explain,") + len(checks.EXERCISES[path.stem[:2]])
    locked = [cell.source for cell in made.cells if cell.metadata.get("nbgrader", {}).get("locked")]
    assert locked == [
        f"assert {cell.source}" for cell in code(exercises) if cell.source.startswith("checks.")
    ]
    answers = [cell for cell in made.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    assert all("BEGIN SOLUTION" in cell.source for cell in answers)
    left = {name for cell in code(exercises) for name in re.findall(r"^(\w+) = \.\.\.$", cell.source, re.M)}
    assert left == {name for cell in answers for name in re.findall(r"^(\w+) = \.\.\.$", cell.source, re.M)}
    assert "solution-only" not in str([cell.metadata for cell in made.cells])


def test_unanswered_exercises_run_and_every_check_says_not_yet(exercises, path):
    NotebookClient(exercises, timeout=120, resources={"metadata": {"path": EXERCISES}}).execute()
    said = said_by_checks(exercises)
    assert [*said] == [*checks.EXERCISES[path.stem[:2]]]
    assert all(text.startswith("not yet: ") for text in said.values())
    assert not [out for cell in code(exercises) for out in cell.outputs if out.get("name") == "stderr"]


def test_every_check_says_right_of_the_solutions(solutions, path):
    """In the committed outputs, which nbval holds to a run."""
    said = said_by_checks(solutions)
    assert [*said] == [*checks.EXERCISES[path.stem[:2]]]
    assert {*said.values()} == {"right"}


def test_every_registered_check_belongs_to_solutions():
    assert {*checks.EXERCISES} == {path.stem[:2] for path in SOLUTIONS}
    for named in checks.EXERCISES.values():
        assert [*named] == [f"{re.match('[a-z]+', name)[0]}_{n}" for n, name in enumerate(named, 1)]


def test_exercises_are_three_to_six_of_three_kinds_with_their_minutes(exercises, path):
    text = prose(exercises)
    kinds, titles = KIND.findall(text), re.findall(r"^## (\d)\. (\w+):", text, re.MULTILINE)
    assert titles == [(str(n), kind) for n, kind in enumerate(kinds, 1)]
    assert 3 <= len(kinds) == len(checks.EXERCISES[path.stem[:2]]) <= 6
    assert {*kinds} == {"Predict", "Do", "Explain"}


def test_explanations_have_a_folded_model_answer_which_the_exercises_lack(solutions, exercises):
    folded = "<details><summary>Model answer</summary>\n\n"
    assert prose(solutions).count(folded) == prose(solutions).count("*Explain,") > 0
    assert prose(exercises).count("*Write your answer here.*") == prose(exercises).count("*Explain,")


def test_nothing_of_a_solution_is_left(exercises):
    text = json.dumps(exercises)
    assert not re.search("SOLUTION|Model answer|These are the solutions", text)
    assert all(not cell.outputs and cell.execution_count is None for cell in code(exercises))


def test_the_outputs_of_solutions_are_clean(solutions, path):
    assert [cell.execution_count for cell in code(solutions)] == [*range(1, len(code(solutions)) + 1)]
    for output in (output for cell in code(solutions) for output in cell.outputs):
        assert output.output_type != "error" and output.get("name") != "stderr"
        assert not MACHINE.search(output.get("text", "") + str(output.get("data", {}).get("text/plain", "")))
        if figure := output.get("metadata", {}).get("image/png"):
            assert len(figure["alt"]) > 20
    assert path.stat().st_size < 1_000_000 and "widgets" not in solutions.metadata


def test_lesson_exercises_and_solutions_are_linked(solutions, exercises, path):
    name = path.name
    lesson = nbformat.read(ROOT / "notebooks" / name, 4)
    assert f"](exercises/{name})" in lesson.cells[0].source
    assert f"](exercises/{name})" in prose(lesson).split("## Exercises\n")[1]
    assert f"](../{name})" in exercises.cells[0].source and f"](../exercises/{name})" in prose(solutions)
    for target in re.findall(r"\]\(([^)#:]+)\)", prose(solutions)):
        assert (path.parent / target).exists(), target

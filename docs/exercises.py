"""Write the exercises from their solutions: `make exercises`.

    python docs/exercises.py [FOLDER]
    python docs/exercises.py --nbgrader FOLDER

A notebook of notebooks/solutions/ becomes one of notebooks/exercises/ (or of FOLDER) without what stands
between `# BEGIN SOLUTION` and `# END SOLUTION`, which nbgrader and otter read, too. In code, each name set
there that other cells read becomes `name = ...`, and all else becomes `...`, so that the exercises run from
top to bottom. In prose the marks are comments, `<!-- BEGIN SOLUTION -->`, and what they enclose becomes a
place to write. Cells with the tag `solution-only` leave, and so does every output.

With `--nbgrader`, FOLDER gets a source assignment of each notebook for `nbgrader generate_assignment`, with a
point for each check and one for each explanation.
"""

import ast
import copy
import json
import re
import sys
from pathlib import Path
from typing import Any

SOLUTIONS = Path(__file__).parents[1] / "notebooks/solutions"
MARK = r"^( *)(?:# |<!-- )BEGIN SOLUTION[^\n]*\n(.*?)^ *(?:# |<!-- )END SOLUTION[^\n]*"
SOLUTION = re.compile(MARK, re.MULTILINE | re.DOTALL)
PLACE = "*Write your answer here.*"


def names(code: str, context: type[ast.expr_context]) -> list[str]:
    """List the names that code reads (`ast.Load`) or sets (`ast.Store`), each once and in order."""
    nodes = ast.walk(ast.parse(code))
    found = (node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, context))
    return list(dict.fromkeys(found))


def without_solutions(code: str, read: set[str]) -> str:
    """Empty the marked lines of a cell of code; names in `read` are set to `...`."""

    def emptied(match: re.Match[str]) -> str:
        indent, solution = match.groups()
        kept = [] if indent else [f"{name} = ..." for name in names(solution, ast.Store) if name in read]
        return indent + ("\n".join(kept) or "...")

    return SOLUTION.sub(emptied, code)


def exercises(solutions: dict[str, Any]) -> dict[str, Any]:
    """Make the notebook of exercises of a notebook of solutions."""
    notebook = copy.deepcopy(solutions)
    cells = [c for c in notebook["cells"] if "solution-only" not in c["metadata"].get("tags", [])]
    sources = {cell["id"]: "".join(cell["source"]) for cell in cells}
    code = [sources[cell["id"]] for cell in cells if cell["cell_type"] == "code"]
    read = {name for one in code for name in names(without_solutions(one, set()), ast.Load)}
    for cell in cells:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
            source = without_solutions(sources[cell["id"]], read)
        else:
            source = SOLUTION.sub(PLACE, sources[cell["id"]])
        cell["source"] = source.splitlines(keepends=True)
    return notebook | {"cells": cells}


def assignment(solutions: dict[str, Any]) -> dict[str, Any]:
    """Make a source assignment for nbgrader, which has the solutions and says what is graded."""
    notebook, emptied = copy.deepcopy(solutions), {c["id"]: c for c in exercises(solutions)["cells"]}
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] in emptied]
    for cell in notebook["cells"]:
        source, is_code = "".join(cell["source"]), cell["cell_type"] == "code"
        is_check, is_answer = source.startswith("checks."), bool(SOLUTION.search(source))
        if is_code:
            cell |= {"outputs": [], "execution_count": None}
        if is_check:
            source = f"assert {source}"  # a check itself never fails
        elif is_answer and is_code:  # what nbgrader leaves out is set to `...` before
            kept = "".join(emptied[cell["id"]]["source"]).splitlines()
            source = "\n".join([line for line in kept if line.endswith(" = ...")] + [source])
        if is_check or is_answer:
            graded: dict[str, Any] = {"grade_id": cell["id"], "schema_version": 3, "task": False}
            graded |= {"solution": is_answer, "locked": is_check, "grade": is_check or not is_code}
            cell["metadata"]["nbgrader"] = graded | ({"points": 1} if graded["grade"] else {})
        cell["source"] = source.splitlines(keepends=True)
    return notebook


def written(notebook: dict[str, Any]) -> str:
    """Write a notebook as Jupyter does."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> None:
    """Write all."""
    for_nbgrader = "--nbgrader" in sys.argv
    given = [Path(one) for one in sys.argv[1:] if one != "--nbgrader"]
    folder = given[0] if given else SOLUTIONS.parent / "exercises"
    for path in sorted(SOLUTIONS.glob("*.ipynb")):
        place = folder / path.stem if for_nbgrader else folder  # nbgrader: a folder per assignment
        place.mkdir(parents=True, exist_ok=True)
        made = (assignment if for_nbgrader else exercises)(json.loads(path.read_text("utf-8")))
        (place / path.name).write_text(written(made), "utf-8")


if __name__ == "__main__":
    main()

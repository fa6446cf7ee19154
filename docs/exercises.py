"""Write the exercises from their solutions: `make exercises`.

    python docs/exercises.py [FOLDER]

A notebook of notebooks/solutions/ becomes one of notebooks/exercises/ (or of FOLDER) without what stands
between `# BEGIN SOLUTION` and `# END SOLUTION`, which nbgrader and otter read, too. In code, each name set
there that other cells read becomes `name = ...`, and all else becomes `...`, so that the exercises run from
top to bottom. In prose the marks are comments, `<!-- BEGIN SOLUTION -->`, and what they enclose becomes a
place to write. Cells with the tag `solution-only` leave, and so does every output.
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


def written(notebook: dict[str, Any]) -> str:
    """Write a notebook as Jupyter does."""
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main() -> None:
    """Write all."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else SOLUTIONS.parent / "exercises"
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(SOLUTIONS.glob("*.ipynb")):
        made = exercises(json.loads(path.read_text("utf-8")))
        (folder / path.name).write_text(written(made), "utf-8")


if __name__ == "__main__":
    main()

"""The package as a whole: what its modules import, and what importing it costs."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bpr_helpers

FOLDER = Path(bpr_helpers.__file__).parent
ORDER = re.findall(r"\w+", re.search(r"data flows: (.*?)\.", bpr_helpers.__doc__ or "", re.DOTALL)[1])
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("__"))


def imported(name: str) -> set[str]:
    """The package's modules that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse((FOLDER / f"{name}.py").read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bpr_helpers"):
            below = (node.module or "").removeprefix("bpr_helpers").strip(".")
            found |= {below} if below else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("bpr_helpers.")}
    return found & set(MODULES)


def test_the_docstring_lists_every_module() -> None:
    assert sorted(ORDER) == MODULES


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_only_modules_before_it(name: str) -> None:
    assert imported(name) <= set(ORDER[: ORDER.index(name)])


def test_metrics_import_nothing_of_the_package() -> None:
    assert not imported("metrics")


@pytest.mark.parametrize("name", ["runs", "sweep_plan", "sweep_run", "sweep_table", "cli"])
def test_runs_know_nothing_of_models(name: str) -> None:
    assert not imported(name) & {"model", "training", "bpr", "baselines", "sampling"}


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = "{'tensorflow', 'keras', 'matplotlib', 'papermill', 'dask'}"
    code = f"import sys, bpr_helpers; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"

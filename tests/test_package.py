"""The package as a whole: what its modules import, and what importing it costs."""

import ast
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import bpr_helpers
from bpr_helpers import course, plots
from bpr_helpers.course import checks

SCIENCE = Path(bpr_helpers.__file__).parent
COURSE = SCIENCE / "course"
MODELS = {"model", "training", "bpr", "baselines"}


def listed(package: ModuleType, start: str) -> list[str]:
    """The modules that a package's docstring lists."""
    return re.findall(r"\w+", re.search(rf"{start}: (.*?)\.", package.__doc__ or "", re.DOTALL)[1])


ORDER = [*listed(bpr_helpers, "data flows"), *(f"course.{name}" for name in listed(course, "in order"))]
for folder, package in (("plots", plots), ("course.checks", checks)):  # before the folder's own name
    at = ORDER.index(folder)
    ORDER[at:at] = [f"{folder}.{name}" for name in listed(package, "in order")]
FILES = {path.stem: path for path in SCIENCE.glob("*.py") if not path.stem.startswith("__")}
FILES |= {f"course.{path.stem}": path for path in COURSE.glob("*.py") if not path.stem.startswith("__")}
for folder, package in (("plots", plots), ("course.checks", checks)):
    place = Path(package.__file__)
    FILES |= {folder: place} | {f"{folder}.{path.stem}": path for path in place.parent.glob("[!_]*.py")}


def imported(name: str) -> set[str]:
    """The package's modules that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bpr_helpers"):
            below = (node.module or "").removeprefix("bpr_helpers").strip(".")
            found |= {below, *(f"{below}.{alias.name}".strip(".") for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("bpr_helpers.") for alias in node.names}
    return found & FILES.keys()


def test_the_docstrings_list_every_module() -> None:
    assert sorted(ORDER) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_a_module_imports_only_modules_before_it(name: str) -> None:
    assert imported(name) <= set(ORDER[: ORDER.index(name)])


@pytest.mark.parametrize("name", [name for name in FILES if "." not in name])
def test_the_science_imports_nothing_of_the_course(name: str) -> None:
    assert "bpr_helpers.course" not in FILES[name].read_text("utf-8")


@pytest.mark.parametrize("name", sorted(MODELS))
def test_no_model_imports_evaluation_and_only_bpr_ranking(name: str) -> None:
    assert not imported(name) & ({"evaluation"} if name == "bpr" else {"evaluation", "ranking"})


def test_metrics_import_nothing_of_the_package() -> None:
    assert not imported("metrics")


@pytest.mark.parametrize(
    "name", ["runs", "sweep_search", "sweep_plan", "sweep_run", "sweep_table", "commands", "cli"]
)
def test_runs_know_nothing_of_models(name: str) -> None:
    assert not imported(f"course.{name}") & {*MODELS, "sampling"}


@pytest.mark.parametrize("name", FILES)
def test_no_function_is_longer_than_forty_lines(name: str) -> None:
    """Lines of code: the docstring and the signature are not counted."""
    tree = ast.parse(FILES[name].read_text("utf-8"))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    for function in functions:
        body = function.body[1:] if ast.get_docstring(function) else function.body
        length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
        assert length <= 40, f"{function.name} has {length} lines"


@pytest.mark.parametrize(
    ("what", "heavy"),
    [
        ("from bpr_helpers import *", {"tensorflow", "keras", "matplotlib", "papermill", "dask", "optuna"}),
        ("import bpr_helpers, bpr_helpers.course.cli", {"numpy", "pandas", "scipy", "pydantic", "yaml"}),
    ],
)
def test_importing_imports_nothing_heavy(what: str, heavy: set[str]) -> None:
    code = f"import sys\n{what}\nprint({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_what_the_package_offers_is_what_its_modules_hold() -> None:
    """In any order of imports, also the function that has the name of its module."""
    for first in ("", "import bpr_helpers.recommend\nfrom bpr_helpers.recommend import look_at\n"):
        code = first + "import bpr_helpers as b\nprint(*(getattr(b, name).__module__ for name in b.__all__))"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        modules = run.stdout.split()
        assert len(modules) == len(bpr_helpers.__all__) and all(m.startswith("bpr_helpers.") for m in modules)
    assert set(bpr_helpers.__all__) <= set(dir(bpr_helpers))
    with pytest.raises(AttributeError, match="no attribute 'evalute'"):
        bpr_helpers.evalute  # noqa: B018

"""The README's numbers are those that the benchmarks recorded, and its Python runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def test_the_table_of_leaders_is_the_recorded_one() -> None:
    script = [sys.executable, str(ROOT / "benchmarks" / "elsewhere.py")]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert printed.strip() in README


def test_the_block_of_python_recommends_to_a_newcomer(core: pd.DataFrame) -> None:
    [block] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    names: dict = {}
    exec(block.replace("BPR(dim=64)", "BPR(dim=4, epochs=1)"), names)
    assert not set(names["history"]["item_id"]) & set(eval(block.splitlines()[-1], names)["item_id"])


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_table_of_notebooks_gives_the_times_that_the_notebooks_give(notebook: Path) -> None:
    [row] = [line for line in README.splitlines() if f"(notebooks/{notebook.name})" in line]
    minutes, seconds = re.search(r"\| (\d+) min \| (\d+) s \|$", row).groups()
    title = "".join(json.loads(notebook.read_text("utf-8"))["cells"][0]["source"])
    assert f"{seconds} seconds to run" in title and f"{minutes} minutes to read" in title

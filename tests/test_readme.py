"""The README's numbers are those that the benchmarks recorded, and its Python runs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bpr_helpers import synthetic_interactions

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_table_of_leaders_is_the_recorded_one() -> None:
    script = [sys.executable, str(ROOT / "benchmarks" / "elsewhere.py")]
    printed = subprocess.run(script, capture_output=True, text=True, check=True).stdout
    assert printed.strip() in README


def test_the_block_of_python_recommends_to_a_newcomer(core: pd.DataFrame) -> None:
    block = BLOCKS[0]
    names: dict = {}
    exec(block.replace("BPR(dim=64)", "BPR(dim=4, epochs=1)"), names)
    assert not set(names["history"]["item_id"]) & set(eval(block.splitlines()[-1], names)["item_id"])


def test_the_block_on_data_larger_than_memory_fits_a_model(tmp_path: Path) -> None:
    (tmp_path / "plays").mkdir()
    for number in range(2):
        part = synthetic_interactions(40, 30, 800, seed=number).assign(
            user_id=lambda rows: rows["user_id"] + 1
        )
        part.assign(user_id=part["user_id"] + 40 * number).to_parquet(
            tmp_path / "plays" / f"{number}.parquet"
        )
    script = tmp_path / "larger.py"
    script.write_text(BLOCKS[1].replace("BPR(", "BPR(dim=4, epochs=1, ") + "    print(bpr)\n", "utf-8")
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("BPR(dim=4") and "80 users" in done.stdout


@pytest.mark.parametrize("notebook", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_the_table_of_notebooks_gives_the_times_that_the_notebooks_give(notebook: Path) -> None:
    [row] = [line for line in README.splitlines() if f"(notebooks/{notebook.name})" in line]
    minutes, seconds = re.search(r"\| (\d+) min \| (\d+) s \|$", row).groups()
    title = "".join(json.loads(notebook.read_text("utf-8"))["cells"][0]["source"])
    assert f"{seconds} seconds to run" in title and f"{minutes} minutes to read" in title

"""Print what each notebook asks of its reader, as a table.

    python docs/notebooks.py [JUNIT.XML]

A file that `pytest --nbval --junitxml=...` wrote adds the seconds that the cells took. Reading is estimated:
200 words of prose a minute, 3 seconds a line of a lesson's code, 20 seconds a figure; to 5 minutes.
"""

import json
import statistics
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pandas as pd

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"


def describe(path: Path) -> dict[str, float]:
    """Count one notebook's cells, lines and figures."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    prose = [cell for cell in cells if cell["cell_type"] == "markdown"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    lessons = [cell for cell in code if not {"parameters", "check"} & {*cell["metadata"].get("tags", [])}]
    lines = [len("".join(cell["source"]).splitlines()) for cell in lessons]
    words = sum(len("".join(cell["source"]).split()) for cell in prose)
    figures = sum("image/png" in out.get("data", {}) for cell in code for out in cell["outputs"])
    minutes = words / 200 + sum(lines) * 3 / 60 + figures * 20 / 60
    return {
        "cells": len(cells),
        "prose": round(len(prose) / (len(prose) + len(lessons)), 2),
        "median code cell": statistics.median(lines),
        "longest": max(lines),
        "figures": figures,
        "reading (min)": 5 * max(1, round(minutes / 5)),
    }


def seconds(junit: Path) -> dict[str, float]:
    """Add up the time of every notebook's cells, and that of all solutions."""
    found: dict[str, float] = {}
    for case in ET.parse(junit).iter("testcase"):
        folder, _, stem = case.get("classname", "").removesuffix(".ipynb").rpartition(".")
        stem = "solutions" if folder.endswith("solutions") else stem
        found[stem] = found.get(stem, 0) + float(case.get("time", 0))
    return found


def main() -> None:
    """Print the table."""
    table = pd.DataFrame({path.stem: describe(path) for path in sorted(NOTEBOOKS.glob("*.ipynb"))}).T
    if len(sys.argv) > 1:
        times = pd.Series(seconds(Path(sys.argv[1]))).round()
        table["running (s)"] = times
    print(table.to_string(float_format="{:g}".format))
    if len(sys.argv) > 1:
        print(f"The solutions of the exercises run in {times.get('solutions', 0):g} s altogether.")


if __name__ == "__main__":
    main()

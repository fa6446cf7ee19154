"""A series of notebooks that costs nothing: the real names, parameters and stages, and trivial work."""

from pathlib import Path

import nbformat

from bpr_helpers.course.parameters import NOTEBOOKS, fields

WORK = {
    "01_kcore_pruning": """
        rows = pd.DataFrame({"user_id": range(user_k), "item_id": range(user_k)})
        outputs = {"interactions": rows, "items": rows, "rounds": rows}""",
    "02_chronological_split": """
        rows = run.read("01_kcore_pruning")["interactions"]
        outputs = {"train": rows, "valid": rows.head(split_seed), "test": rows.head(1)}""",
    "03_bpr_model": """
        model = run.read("02_chronological_split")["train"].assign(dim=dim)
        scores = pd.Series(range(5), index=pd.RangeIndex(5, name="user_id")) + dim + seed
        outputs = {"model": model, "history": model, "valid_per_user": scores.to_frame("ndcg@10") / 100}""",
    "04_evaluation": """
        model = run.read("03_bpr_model")["model"]
        outputs = {"metrics": pd.DataFrame({f"ndcg@{k}": [len(model) + float(model["dim"].sum())]})}
        outputs["per_user"] = outputs["metrics"]""",
}


def write_series(folder: Path, disturb: dict[str, str] | None = None) -> Path:
    """Write the notebooks; `disturb` maps a notebook's name to code that runs before its work."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NOTEBOOKS:
        write_notebook(folder / f"{name}.ipynb", name, (disturb or {}).get(name, ""))
    return folder


def write_notebook(path: Path, name: str, disturb: str = "") -> None:
    """Write one notebook: parameters, check, disturbance, work."""
    declared = [f"{parameter} = {field.default!r}" for parameter, field in fields([name]).items()]
    work = [line.strip() for line in WORK.get(name, "").strip().splitlines()]
    if name in WORK:  # the others write no stage
        work.append(f"run.write({name!r}, outputs, values)")
    cells = [
        nbformat.v4.new_code_cell("\n".join(declared), metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell(
            "import os, signal, time\nimport pandas as pd\n"
            "from bpr_helpers.course.parameters import check\n"
            "from bpr_helpers.course.run_folder import RunFolder\n"
            f"values = check({name!r}, globals())\nrun = RunFolder(run_dir)"
        ),
        nbformat.v4.new_code_cell(disturb),
        nbformat.v4.new_code_cell("\n".join(work)),
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # so that two copies are equal
    nbformat.write(notebook, path)

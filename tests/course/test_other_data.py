"""Other people's data go through the notebooks: without times, with two, and very few of another domain."""

import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd

from bpr_helpers import synthetic_interactions
from bpr_helpers.course.parameters import NOTEBOOKS
from bpr_helpers.course.run_folder import RunFolder
from bpr_helpers.course.series import TUNING


def run_series(folder, parameters, *options):
    """Run notebooks of the course in a folder; give what `bpr run` printed, and the outputs by notebook."""
    pairs = [word for pair in parameters.items() for word in ("-p", *pair)]
    command = [sys.executable, "-m", "bpr_helpers", "run", *options, *pairs]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    executed = (folder / "runs/default/notebooks").glob("*.ipynb")
    return done.stdout, {file.stem: outputs_of(file) for file in executed}


def purchases(users=4):
    """Everybody buys five of eight things, in two groups of taste."""
    rows = [(f"u{u}", f"i{(i + 4 * (u % 2)) % 8}") for u in range(users) for i in range(5)]
    return pd.DataFrame(rows, columns=["user_id", "item_id"])


STAGES = [word for stage in ("01", "02", "03", "04") for word in ("--only", stage)]
TINY = {"source": "buys.csv", "user_k": "2", "item_k": "1", "epochs": "2", "dim": "4", "batch_size": "8"}


def test_data_without_times_go_through_the_stages(tmp_path):
    purchases().to_csv(tmp_path / "buys.csv", index=False)
    printed, executed = run_series(tmp_path, TINY, *STAGES)
    assert "ndcg@10" in printed
    assert (
        "no times" in executed["02_chronological_split"] and "made-up" in executed["02_chronological_split"]
    )
    assert "recency=0" in executed["03_bpr_model"] and "recency=0" in executed["04_evaluation"]
    run = RunFolder(tmp_path / "runs/default")
    assert run.read("03_bpr_model")["model"].settings["recency"] == 0.0
    assert "timestamp" not in run.read("02_chronological_split")["test"]


def test_data_with_two_times_are_split_by_time(tmp_path):
    plays = purchases().assign(timestamp=lambda rows: 10**9 + 10**5 * (rows.index % 5 > 2))
    plays.to_csv(tmp_path / "buys.csv", index=False)
    data = {name: TINY[name] for name in ("source", "user_k", "item_k")}
    _, executed = run_series(tmp_path, data, *STAGES[:4])
    assert (
        "made-up" in executed["02_chronological_split"] and "random" not in executed["02_chronological_split"]
    )


def test_a_folder_is_pruned_and_split_on_dask_to_the_same_rows_as_in_pandas(tmp_path):
    plays = synthetic_interactions(60, 40, 600)
    plays = pd.concat([plays, plays.iloc[:20]]).sample(frac=1, random_state=0)  # repeated pairs
    (tmp_path / "plays").mkdir()
    for number in range(3):
        plays.iloc[number::3].to_parquet(tmp_path / "plays" / f"{number}.parquet", index=False)
    cores, told, parts = {}, {}, {}
    for engine in ("pandas", "dask"):
        data = {"source": "plays", "user_k": "6", "item_k": "6", "engine": engine}
        _, executed = run_series(tmp_path, data, *STAGES[:4])
        run = RunFolder(tmp_path / "runs/default")
        cores[engine] = run.read("01_kcore_pruning")["interactions"]
        told[engine] = executed["01_kcore_pruning"]
        parts[engine] = dict(run.read("02_chronological_split"))
        assert not list(run.path.glob(".writing-*"))
    assert 0 < len(cores["dask"]) < 600
    pd.testing.assert_frame_equal(cores["dask"], cores["pandas"].reset_index(drop=True))
    assert "Dask pruned them first" in told["dask"] and "Dask pruned" not in told["pandas"]
    assert all("20 repeated (user, item) rows" in text for text in told.values())
    for name, part in parts["pandas"].items():
        plain = part.reset_index(drop=True)  # the cores number their rows differently
        pd.testing.assert_frame_equal(parts["dask"][name].reset_index(drop=True), plain)


def test_few_data_of_another_domain_go_through_the_notebooks(tmp_path):
    """Five listeners, string ids, odd column names, milliseconds, and titles of songs.

    All but 06, whose twenty configurations are compiled one by one, whatever the data.
    """
    rng = np.random.default_rng(0)
    rows = [(f"ü-{u}", f"song/{i}") for u in range(5) for i in rng.choice(12, 6 + u, replace=False)]
    plays = pd.DataFrame(rows, columns=["who", "what"])
    plays.assign(when=1_600_000_000_123 + rng.integers(0, 10**10, len(plays))).to_csv(
        tmp_path / "plays.csv", index=False
    )
    songs = pd.DataFrame(
        {"item_id": [f"song/{i}" for i in range(12)], "title": [f"Étude {i}" for i in range(12)]}
    )
    songs.to_csv(tmp_path / "songs.csv", index=False)
    parameters = {"source": "plays.csv", "items_source": "songs.csv", "timestamp_unit": "ms", "item_k": "1"}
    parameters |= {"user_column": "who", "item_column": "what", "timestamp_column": "when", "user_k": "2"}
    names = [name for name in NOTEBOOKS if name != TUNING]
    only = [word for name in names for word in ("--only", name)]
    printed, executed = run_series(tmp_path, parameters, *only)
    assert "ndcg@10" in printed
    assert set(executed) == set(names)
    assert not [stem for stem, text in executed.items() if re.search("Toy Story|Star Wars|MovieLens", text)]
    assert "Étude" in executed["04_evaluation"]


def outputs_of(file):
    cells = [cell for cell in json.loads(file.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]
    return json.dumps([output for cell in cells for output in cell["outputs"]], ensure_ascii=False)

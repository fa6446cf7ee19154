"""The table of a sweep: rows, averages over seeds, the best and its comparison, the files."""

import numpy as np
import pandas as pd
import pytest

from bpr_helpers.course import sweep_table
from bpr_helpers.course.parameters import per_notebook
from bpr_helpers.course.run_folder import RunFolder
from bpr_helpers.course.runs import RefusedError
from bpr_helpers.course.sweep_plan import MODEL, plan, read_sweep
from bpr_helpers.course.sweep_run import write_json

BASE = pd.Series(np.random.default_rng(0).random(50), index=pd.RangeIndex(50, name="user_id"))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A sweep of three configurations and two seeds; dim=8 is better by .1, and one trial of dim=4 failed."""
    monkeypatch.setenv("BPR_ROOT", str(tmp_path))
    found, _ = read_sweep({"grid": {"dim": [8, 4]}, "seeds": [0, 1]})
    write_json(tmp_path / "sweep.json", found.model_dump(mode="json", by_alias=True))
    for trial in plan(found, tmp_path):
        dim, seed = trial.configuration.get("dim"), per_notebook(trial.values)[MODEL]["seed"]
        failed = dim == 4 and seed == 1
        status = {
            "status": "failed" if failed else "done",
            "attempts": 1,
            "seconds": 2.0,
            "error": "x<y" * failed,
        }
        write_json(trial.folder / "status.json", status)
        if not failed:
            per_user = (BASE + 0.1 * (dim == 8) + 0.02 * seed).to_frame("ndcg@10").assign(auc=0.5)
            RunFolder(trial.folder).write(
                MODEL, {"valid_per_user": per_user}, per_notebook(trial.values)[MODEL]
            )
    return tmp_path


def test_a_row_per_trial_with_parameters_metrics_interval_and_status(folder):
    text = sweep_table.write(sweep_table.read(folder))
    table = pd.read_parquet(folder / "table.parquet")
    written = pd.read_csv(folder / "table.csv", keep_default_na=False, na_values={"low": "", "high": ""})
    assert list(written) == list(table) and list(written["error"]) == [""] * 5 + ["x<y"]
    assert len(table) == 6 and list(table["status"]) == ["done"] * 5 + ["failed"]
    assert list(table["dim"])[2:] == [8, 8, 4, 4] and list(table["seed"]) == [0, 1] * 3
    assert {"user_k", "split", "learning_rate", "seconds", "error", "auc"} <= set(table)
    done = table[table["status"] == "done"]
    assert (done["low"] < done["ndcg@10"]).all() and (done["ndcg@10"] < done["high"]).all()
    assert done["ndcg@10"].iloc[0] == pytest.approx(BASE.mean())
    page = (folder / "table.html").read_text()
    assert (
        "data:image/png;base64," in page
        and "dim=4, seed=1: x&lt;y" in page
        and str(folder / "table.html") in text
    )


def test_seeds_are_averaged_and_the_best_is_compared_user_by_user(folder):
    found = sweep_table.read(folder)
    assert found.best == "dim=8" and set(found.per_user) == {"default", "dim=8"}  # dim=4 is not complete
    lead = sweep_table.paired(found)
    assert lead.difference == pytest.approx(0.1) and lead.low == pytest.approx(0.1) and lead.n_users == 50
    short = sweep_table.by_configuration(found)
    assert list(short.index) == ["dim=8", "default", "dim=4"]
    assert short.loc["dim=8", "mean"] == pytest.approx(BASE.mean() + 0.11, abs=1e-4)
    assert short.loc["dim=8", "sd over seeds"] == pytest.approx(0.02 / np.sqrt(2), abs=1e-4)
    assert list(short["done"]) == ["2/2", "2/2", "1/2"]
    assert "Best on validation of 2 configurations: dim=8" in sweep_table.verdict(found)
    assert str(sweep_table.read(folder).winner) == "dim=8, seed=0"


def test_a_sweep_that_has_just_begun_has_a_table_too(tmp_path):
    found, _ = read_sweep({"grid": {"dim": [8]}})
    write_json(tmp_path / "sweep.json", found.model_dump(mode="json", by_alias=True))
    assert "No configuration is done yet." in sweep_table.write(sweep_table.read(tmp_path))
    assert list(pd.read_csv(tmp_path / "table.csv")["status"]) == ["waiting"] * 2
    assert sweep_table.read(tmp_path).winner is None


def test_a_folder_without_a_sweep_is_refused(tmp_path):
    with pytest.raises(RefusedError, match="holds no sweep"):
        sweep_table.write(sweep_table.read(tmp_path))


def test_configurations_of_different_data_have_no_best(folder):
    assert "Best on validation" in sweep_table.verdict(sweep_table.read(folder))
    found, _ = read_sweep({"list": [{"user_k": 7}], "seeds": [0]})
    write_json(folder / "sweep.json", found.model_dump(mode="json", by_alias=True))
    (other,) = (trial for trial in plan(found, folder) if trial.configuration)
    write_json(other.folder / "status.json", {"status": "done", "attempts": 1, "seconds": 2.0, "error": ""})
    values = per_notebook(other.values)[MODEL]
    RunFolder(other.folder).write(MODEL, {"valid_per_user": BASE.to_frame("ndcg@10")}, values)
    assert "none is called the best" in sweep_table.verdict(sweep_table.read(folder))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "3",
        "[" * 10**5,
        '{"grid": {"dims": [1]}}',
        '{"list": [{"dim": "<b>"}]}',
        '{"grid": {"dim": 3}}',
    ],
)
def test_a_folder_with_another_record_is_refused_in_a_sentence(tmp_path, content):
    (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(RefusedError, match="no sweep") as caught:
        sweep_table.write(sweep_table.read(tmp_path))
    assert "\n" not in str(caught.value)


def test_names_and_errors_with_markup_or_formulas_are_text(folder):
    evil = "<script>alert(1)</script>$\\nothing$"
    found, _ = read_sweep({"list": [{"source": evil}]})
    write_json(folder / "sweep.json", found.model_dump(mode="json", by_alias=True))
    default, other = plan(found, folder)
    values = per_notebook(other.values)[MODEL]
    write_json(other.folder / "status.json", {"status": "done", "attempts": 1, "seconds": 2.0, "error": evil})
    RunFolder(other.folder).write(MODEL, {"valid_per_user": BASE.to_frame("ndcg@10")}, values)
    write_json(default.folder / "status.json", {"status": "failed", "error": evil})
    sweep_table.write(sweep_table.read(folder))
    page = (folder / "table.html").read_text()
    assert "<script" not in page and page.count("&lt;script&gt;") >= 4
    assert (folder / "table.png").stat().st_size > 5000


def test_what_was_done_and_is_lost_or_cut_is_waiting_again(folder):
    found = sweep_table.read(folder)
    path = RunFolder(found.trials["dim=8"][1].folder).read(MODEL).path("valid_per_user")
    path.write_bytes(path.read_bytes()[:100])
    again = sweep_table.read(folder)
    (row,) = again.table[again.table["trial"] == found.trials["dim=8"][1].folder.name].to_dict("records")
    assert row["status"] == "waiting" and "was changed after it was written" in row["error"]
    assert again.best == "default" and set(again.per_user) == {"default"}


def test_a_table_without_the_metric_is_told(folder):
    trial = sweep_table.read(folder).trials["dim=8"][0]
    texts = pd.DataFrame({"ndcg@10": ["a"]})
    for per_user in (BASE.to_frame("auc"), texts):
        RunFolder(trial.folder).write(MODEL, {"valid_per_user": per_user}, per_notebook(trial.values)[MODEL])
        table = sweep_table.read(folder).table.set_index("trial")
        assert "no number ndcg@10" in table.loc[trial.folder.name, "error"]


def test_files_that_are_links_are_replaced_and_not_written_through(folder, tmp_path_factory):
    precious = tmp_path_factory.mktemp("other") / "precious"
    precious.write_text("precious")
    for end in ("csv", "parquet", "png", "html"):
        (folder / f"table.{end}").symlink_to(precious)
    sweep_table.write(sweep_table.read(folder))
    assert precious.read_text() == "precious" and not (folder / "table.csv").is_symlink()

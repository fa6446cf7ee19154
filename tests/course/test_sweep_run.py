"""Sweeps: resumed, failures recorded, nothing of the test part read, nothing lost with a worker."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tiny_notebooks import write_series

from bpr_helpers.course import runs, sweep_run, sweep_search
from bpr_helpers.course.parameters import defaults
from bpr_helpers.course.run_folder import RunFolder
from bpr_helpers.course.sweep_plan import MODEL, plan, read_sweep
from bpr_helpers.course.sweep_run import report_test, run_sweep

USUAL = defaults(MODEL)["dim"]


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BPR_ROOT", str(tmp_path))


def sweep(**content):
    found, wrong = read_sweep(content)
    assert wrong == []
    return found


def status(trials):
    return [(t.configuration.get("dim"), t.status["status"], t.status["attempts"]) for t in trials]


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_one_by_one_with_a_failure_and_resumed(tmp_path, capsys):
    threads = f"open({str(tmp_path / 'threads')!r}, 'w').write(os.environ['OMP_NUM_THREADS'])\n"
    notebooks = write_series(tmp_path / "series", {MODEL: threads + "assert dim != 13, 'unlucky'"})
    trials = run_sweep(sweep(grid={"dim": [13]}), tmp_path / "sweep", workers=1, notebooks=notebooks)
    assert status(trials) == [(None, "done", 1), (13, "failed", 1)]
    assert "03_bpr_model failed in cell [4]: AssertionError: unlucky" in trials[1].status["error"]
    assert "2 trials: 0 done before" in capsys.readouterr().out
    assert (tmp_path / "threads").read_text() == str(os.cpu_count())

    # Again: what failed is tried again, what is new is made, and the rest stays.
    trials = run_sweep(sweep(grid={"dim": [13, 4]}), tmp_path / "sweep", workers=1, notebooks=notebooks)
    assert status(trials) == [(None, "done", 1), (13, "failed", 2), (4, "done", 1)]
    assert "3 trials: 1 done before, 1 failed before" in capsys.readouterr().out
    assert RunFolder(trials[2].folder).read(MODEL)["model"]["dim"].unique().tolist() == [4]
    assert len(list((tmp_path / "sweep" / "prepared").iterdir())) == 1  # pruned and split once

    RunFolder(trials[2].folder).read(MODEL).path("model").unlink()
    assert [trial.is_done(notebooks) for trial in trials] == [True, False, False]


def test_data_that_cannot_be_made_are_recorded_and_the_others_go_on(tmp_path, capsys):
    disturb = {"01_kcore_pruning": "assert user_k != 99, 'nothing is left'"}
    notebooks = write_series(tmp_path / "series", disturb)
    trials = run_sweep(
        sweep(list=[{"user_k": 99}, {"dim": 4}]), tmp_path / "sweep", workers=1, notebooks=notebooks
    )
    assert [trial.status["status"] for trial in trials] == ["done", "failed", "done"]
    assert trials[1].status["error"].endswith("nothing is left") and trials[1].status["attempts"] == 1
    assert "user_k=99, seed=0: failed: 01_kcore_pruning" in capsys.readouterr().out


def test_the_test_part_is_read_once_for_the_winner_and_by_no_trial(tmp_path):
    notebooks, folder = write_series(tmp_path / "series"), tmp_path / "sweep"
    winner, other = plan(sweep(list=[{"dim": 2}]), folder)
    job = sweep_run._job(winner, folder, notebooks)
    for part in folder.rglob("test.parquet"):
        part.write_bytes(b"nobody can read this")
    assert sweep_run.run_trial(job, 1)["status"] == "done"
    assert not RunFolder(winner.folder).has("04_evaluation")

    table = report_test(winner, folder, notebooks)
    assert "ndcg@10" in table and report_test(winner, folder, notebooks) == table
    with pytest.raises(runs.RefusedError, match="has read its test part for trial"):
        report_test(other, folder, notebooks)


def test_each_data_setting_is_prepared_once(tmp_path):
    notebooks = write_series(tmp_path / "series")
    trials = plan(sweep(grid={"user_k": [2], "dim": [3, 4]}), tmp_path / "sweep")
    jobs = [sweep_run._job(trial, tmp_path / "sweep", notebooks) for trial in trials]
    places = [Path(job["prepared"]) for job in jobs]
    assert places[0] != places[1] == places[2] and len(list((tmp_path / "sweep" / "prepared").iterdir())) == 2
    assert [len(RunFolder(p).read("01_kcore_pruning")["interactions"]) for p in places] == [6, 2, 2]


def test_without_dask_trials_run_one_by_one_and_it_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "dask.distributed", None)
    with sweep_run._runner(2, "") as results:
        assert list(results([])) == []
    assert "dask is not installed" in capsys.readouterr().out
    with pytest.raises(runs.RefusedError, match="--scheduler needs dask"), sweep_run._runner(2, "tcp://x:1"):
        pass


def test_a_local_cluster_shares_the_processors(tmp_path, monkeypatch):
    """Each of two workers gives its trial half of the processors (the trial itself is left out here)."""
    pytest.importorskip("distributed")
    job = {"configuration": {}, "values": {"seed": 0}, "folder": str(tmp_path)}
    with sweep_run._runner(2, "") as results:
        ((_, found),) = results([job])  # it fails, as the job has nothing prepared, and the sweep goes on
    assert found["status"] == "failed" and "KeyError" in found["error"]
    assert (tmp_path / "status.json").exists()


def test_a_second_sweep_in_the_same_folder_is_refused(tmp_path):
    with (
        runs.one_at_a_time(tmp_path / "sweep", wait=False),
        pytest.raises(runs.RefusedError, match="Another run"),
    ):
        run_sweep(sweep(list=[{}]), tmp_path / "sweep", notebooks=tmp_path)


# A trial notes its start and its end, and its first attempt waits to be killed.
COUNTED = """
open({log!r}, 'a').write(f'start {{dim}}\\n')
open({log!r} + f'-{{dim}}', 'w').write(str(os.getppid()))
if dim == 3 and open({log!r}).read().count('start 3') == 1: time.sleep(300)
time.sleep(0.2)
open({log!r}, 'a').write(f'end {{dim}}\\n')
"""


def bpr_sweep(tmp_path, dims, notebooks, *options):
    (tmp_path / "s.yaml").write_text(f"grid: {{dim: {dims}}}\n")
    command = [
        sys.executable,
        "-m",
        "bpr_helpers",
        "sweep",
        "s.yaml",
        "--notebooks",
        str(notebooks),
        *options,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_a_worker_of_a_separate_scheduler_is_killed_and_nothing_is_lost(tmp_path):
    pytest.importorskip("distributed")
    log = tmp_path / "log"
    log.touch()
    notebooks = write_series(tmp_path / "series", {MODEL: COUNTED.format(log=str(log))})
    dask = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--no-dashboard"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    file = tmp_path / "scheduler.json"
    scheduler = subprocess.Popen([*dask, "--port", "0", "--scheduler-file", str(file)], **quiet)
    worker = [
        sys.executable,
        "-m",
        "distributed.cli.dask_worker",
        "--nthreads",
        "1",
        "--no-nanny",
        "--no-dashboard",
    ]
    workers = []
    try:
        wait_for(file.exists)
        address = json.loads(file.read_text())["address"]
        workers += [subprocess.Popen([*worker, address], **quiet) for _ in range(2)]
        process = bpr_sweep(tmp_path, [3, 4], notebooks, "--scheduler", address)
        wait_for(lambda: "start 3" in log.read_text())
        wait_for(lambda: (tmp_path / "log-3").exists() and (tmp_path / "log-3").read_text())
        busy = int((tmp_path / "log-3").read_text())  # the parent of the trial's kernel
        assert busy in [worker.pid for worker in workers]
        os.kill(busy, signal.SIGKILL)
        text, _ = process.communicate(timeout=200)
    finally:
        for started in [scheduler, *workers]:
            started.kill()
            started.wait()
    assert process.returncode == 0, text
    ends = sorted(line for line in log.read_text().splitlines() if line.startswith("end"))
    assert ends == sorted(["end 3", "end 4", f"end {USUAL}"])  # every trial was finished, and once
    assert "2 workers at tcp://127.0.0.1:" in text
    assert "attempt 2" in text and text.count("attempt 2") == 1
    assert "Best on validation of 3 configurations" in text and (tmp_path / "runs/sweep/table.html").exists()


def test_interrupted_and_resumed(tmp_path):
    log = tmp_path / "log"
    log.touch()
    notebooks = write_series(tmp_path / "series", {MODEL: COUNTED.format(log=str(log))})
    process = bpr_sweep(tmp_path, [3], notebooks, "--workers", "1")
    wait_for(lambda: "start 3" in log.read_text())
    process.send_signal(signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in text, text
    again = bpr_sweep(tmp_path, [3], notebooks, "--workers", "1")
    text, _ = again.communicate(timeout=200)
    assert again.returncode == 0 and "2 trials: 1 done before, 0 failed before" in text
    assert log.read_text().split("\n")[:-1] == [
        *[f"start {USUAL}", f"end {USUAL}"],
        *["start 3", "start 3", "end 3"],
    ]


def test_a_scheduler_that_has_no_address_is_refused():
    with (
        pytest.raises(runs.RefusedError, match="no dask scheduler answers at nonsense"),
        sweep_run._runner(1, "nonsense"),
    ):
        pass


def test_a_process_that_holds_a_trial_leaves_no_kernel_behind(tmp_path):
    """The kernel of a sweep that is killed ends by itself, so that nothing writes into its folder."""
    log = tmp_path / "log"
    log.touch()
    alive = COUNTED.replace(
        "time.sleep(300)", "open({log!r} + '-kernel', 'w').write(str(os.getpid())); time.sleep(300)"
    )
    notebooks = write_series(tmp_path / "series", {MODEL: alive.format(log=str(log))})
    process = bpr_sweep(tmp_path, [3], notebooks, "--workers", "1")
    wait_for(lambda: (tmp_path / "log-kernel").exists() and (tmp_path / "log-kernel").read_text())
    kernel = int((tmp_path / "log-kernel").read_text())
    process.kill()
    process.communicate()
    wait_for(lambda: not Path(f"/proc/{kernel}/cmdline").exists() or not is_running(kernel))


def is_running(pid):
    """A process that nobody has waited for is still listed."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@contextmanager
def listening(say=b""):
    """A program that takes connections and may say something, and that is no scheduler."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def serve():
            with suppress(OSError):
                while True:
                    held.append(server.accept()[0])
                    held[-1].sendall(say)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        for line in held:
            line.close()


@pytest.mark.parametrize(
    ("say", "words"),
    [(b"", "said nothing"), (b"SSH-2.0-OpenSSH_9\r\n", "another program answers, with b'SSH-2.0-'")],
)
def test_another_program_at_the_address_is_told(monkeypatch, say, words):
    pytest.importorskip("distributed")
    monkeypatch.setattr(sweep_run, "ANSWER", 1)
    with (
        listening(say) as port,
        pytest.raises(runs.RefusedError, match=words),
        sweep_run._runner(1, f"tcp://127.0.0.1:{port}"),
    ):
        pass


def test_tls_without_certificates_says_what_it_needs():
    pytest.importorskip("distributed")
    with (
        listening() as port,
        pytest.raises(runs.RefusedError, match="CA_FILE"),
        sweep_run._runner(1, f"tls://127.0.0.1:{port}"),
    ):
        pass


def test_a_scheduler_without_workers_is_told_and_waited_for(capsys):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=0, dashboard_address=None, processes=True) as cluster:
        threading.Timer(1, cluster.scale, [1]).start()
        with sweep_run._runner(1, cluster.scheduler_address):
            pass
    said = capsys.readouterr().out
    assert "0 workers at tcp://" in said and "start it with `dask worker tcp://" in said


def test_a_trial_whose_files_were_lost_or_cut_is_run_again(tmp_path):
    """Linked files are one file: cut in one trial, they are cut for all of them."""
    notebooks, folder = write_series(tmp_path / "series"), tmp_path / "sweep"
    for stage, output in [
        (MODEL, "model"),
        ("02_chronological_split", "train"),
        ("02_chronological_split", "test"),
    ]:
        trials = run_sweep(sweep(list=[{}]), folder, workers=1, notebooks=notebooks)
        assert [trial.status["status"] for trial in trials] == ["done"]
        path = RunFolder(trials[0].folder).read(stage).path(output)
        path.write_bytes(path.read_bytes()[:-20])
        assert not trials[0].is_done(notebooks), output
    trials = run_sweep(sweep(list=[{}]), folder, workers=1, notebooks=notebooks)
    assert trials[0].is_done(notebooks) and trials[0].status["attempts"] == 4


def test_tpe_learns_from_round_to_round_and_is_resumed(tmp_path, monkeypatch, capsys):
    pytest.importorskip("optuna")
    monkeypatch.setattr(sweep_search, "STARTUP", 2)
    monkeypatch.setattr(sweep_search, "ROUND", 1)
    notebooks, folder = write_series(tmp_path / "series"), tmp_path / "sweep"
    content = {"trials": 2, "sampler": "tpe", "space": {"dim": {"low": 2, "high": 60}}}
    run_sweep(sweep(random=content), folder, workers=1, notebooks=notebooks)
    longer = sweep(random=content | {"trials": 3})
    trials = run_sweep(longer, folder, workers=1, notebooks=notebooks)
    assert [trial.status["attempts"] for trial in trials] == [1, 1, 1, 1]
    dims = [one["dim"] for one in longer.study(folder).configurations()]
    assert longer.study(folder).scores() == pytest.approx(
        [(dim + 2) / 100 for dim in dims]
    )  # what the tiny notebook gives
    capsys.readouterr()
    assert run_sweep(longer, folder, workers=1, notebooks=notebooks) == trials
    assert "4 trials: 4 done before" in capsys.readouterr().out


def test_a_trial_folder_that_is_a_link_is_not_written_into(tmp_path):
    notebooks, folder = write_series(tmp_path / "series"), tmp_path / "sweep"
    (trial,) = plan(sweep(list=[{}]), folder)
    (tmp_path / "elsewhere").mkdir()
    trial.folder.parent.mkdir(parents=True)
    trial.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(runs.RefusedError, match="is a link"):
        run_sweep(sweep(list=[{}]), folder, workers=1, notebooks=notebooks)
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("content", ["", "[]", "{}", "3", "[" * 10**5])
def test_a_record_of_the_test_part_that_cannot_be_read_is_told(tmp_path, content):
    (trial,) = plan(sweep(list=[{}]), tmp_path)
    (tmp_path / "test.json").write_text(content)
    with pytest.raises(runs.RefusedError, match="nobody knows whether"):
        report_test(trial, tmp_path)

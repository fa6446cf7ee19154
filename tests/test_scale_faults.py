"""What goes wrong on a cluster: workers killed, disks full, a scheduler that goes away."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from dask.distributed import Client, LocalCluster

import bpr_helpers
from bpr_helpers import Popularity, scale, synthetic_interactions
from bpr_helpers.evaluation import evaluate
from bpr_helpers.parts import Part
from bpr_helpers.splitting import Split, split_report

FRAME = synthetic_interactions(400, 60, 6000)
PARTS = ("train", "valid", "test")
SPLIT = bpr_helpers.split_per_user(FRAME, valid_fraction=0.1)
TEST = bpr_helpers.split_per_user(FRAME).test
MODEL = Popularity().fit(SPLIT.train)
QUIET = {"dashboard_address": None, "silence_logs": logging.CRITICAL}


@pytest.fixture(scope="module")
def clients() -> Iterator[list[Client]]:
    """The one in use; its cluster ends with it."""
    clients: list[Client] = []
    yield clients
    for client in clients:
        client.close()


@pytest.fixture
def client(clients: list[Client]) -> Client:
    """Two workers: those of the last test, if the one that was killed there has come back.

    On a busy machine its nanny may give up, and whoever waited for it would wait forever.
    """
    for used in list(clients):
        with suppress(TimeoutError):
            used.wait_for_workers(2, timeout=10)
            return used
        used.close()
        clients.remove(used)
    clients.append(Client(n_workers=2, threads_per_worker=1, **QUIET))
    return clients[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixteen parts."""
    for number in range(16):
        part = FRAME.iloc[number * 375 : (number + 1) * 375]
        (tmp_path / "data").mkdir(exist_ok=True)
        part.to_parquet(tmp_path / "data" / f"{number:02}.parquet", index=False)
    return tmp_path


def plain(frame) -> pd.DataFrame:
    computed = frame if isinstance(frame, pd.DataFrame) else frame.compute()
    return computed.sort_values(["user_id", "item_id"], ignore_index=True)


def slowly(part: Part) -> pd.DataFrame:
    """Read a part, but take one's time, so that a worker can be killed in the middle."""
    time.sleep(0.15)
    return part.read()


WORK = {
    "k_core": lambda rows, _: scale.k_core(rows, user_k=12, item_k=12).interactions,
    "write": lambda rows, folder: scale.write(folder / "out", rows=rows)["rows"],
    "split_per_user": lambda rows, _: scale.split_per_user(rows).test,
    "split_leave_last": lambda rows, _: scale.split_leave_last(rows).test,
    "split_global_time": lambda rows, _: scale.split_global_time(rows).test,
    "first_of_pairs": lambda rows, _: scale.first_of_pairs(rows),
    "with_codes": lambda rows, _: scale.with_codes(rows).codes.rename(
        columns={"user": "user_id", "item": "item_id"}
    ),
}


def expected(name: str) -> pd.DataFrame:
    if name == "k_core":
        return bpr_helpers.k_core(FRAME, user_k=12, item_k=12).interactions
    if name.startswith("split"):
        return getattr(bpr_helpers, name)(FRAME).test
    return FRAME if name != "with_codes" else FRAME[["user_id", "item_id"]]  # its ids are codes already


@pytest.mark.parametrize("name", WORK)
def test_a_worker_killed_in_the_middle_costs_time_alone(name, client, folder, monkeypatch):
    monkeypatch.setattr(scale, "_read", slowly)
    rows = scale.read_interactions(folder / "data")
    killed = killing(client, after=0.6)
    found = plain(WORK[name](rows, folder))
    assert not killed.is_alive()  # in the middle, not after
    pd.testing.assert_frame_equal(found, plain(expected(name)))


def killing(client: Client, after: float) -> threading.Thread:
    """Kill a worker's process after some seconds; its nanny starts another one."""
    pid = next(iter(client.run(os.getpid).values()))

    def kill() -> None:
        time.sleep(after)
        os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread


@pytest.mark.parametrize("work", ["split_report", "evaluate"])
def test_a_report_and_an_evaluation_survive_a_killed_worker(work, client, folder, monkeypatch):
    for name in PARTS:
        part = getattr(SPLIT, name)
        (folder / name).mkdir()
        for number in range(4):
            part.iloc[number::4].to_parquet(folder / name / f"{number}.parquet", index=False)
    monkeypatch.setattr(scale, "_read", slowly)
    parts = [scale.read_interactions(folder / name) for name in PARTS]
    killed = killing(client, after=0.4)
    if work == "split_report":
        pd.testing.assert_frame_equal(scale.split_report(Split(*parts)), split_report(SPLIT))
    else:
        found = scale.evaluate(MODEL, parts[2], ks=5).per_user
        pd.testing.assert_frame_equal(found, evaluate(MODEL, SPLIT.test, ks=5).per_user)
    assert not killed.is_alive()


def test_a_damaged_part_is_named_by_the_cluster(client, folder):
    rows = scale.read_interactions(folder / "data")
    damaged = folder / "data" / "07.parquet"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-300])
    for work in (scale.k_core, scale.split_per_user, scale.split_global_time):
        with pytest.raises(ValueError, match=r"07\.parquet is damaged"):
            work(rows)
    damaged.write_bytes(whole)
    pd.testing.assert_frame_equal(plain(scale.split_per_user(rows).test), plain(TEST))


def full(*_: object) -> None:
    raise OSError(28, "No space left on device", "part-00000.parquet")


def test_a_full_disk_is_said_in_a_sentence_and_what_was_there_stays(client, folder, monkeypatch):
    rows = scale.read_interactions(folder / "data")
    scale.write(folder / "out", rows=rows)
    before = sorted(path.name for path in (folder / "out" / "rows").iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(scale, "_write", full)
        with pytest.raises(OSError, match=r"A disk is full \(part-00000\.parquet\)"):
            scale.write(folder / "out", rows=rows)
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["rows"]
    assert sorted(path.name for path in (folder / "out" / "rows").iterdir()) == before
    pd.testing.assert_frame_equal(plain(scale.write(folder / "out", rows=rows)["rows"]), plain(FRAME))


def fill_the_disk_of_shuffles() -> None:
    """From now on, this worker cannot spill what it shuffles."""
    from distributed.shuffle import _disk

    _disk.DiskShardsBuffer._process = full_disk  # type: ignore[method-assign]


async def full_disk(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_spill_disk_is_said_in_a_sentence_and_the_next_call_works(folder):
    rows = scale.read_interactions(folder / "data")
    for full_at_first in (True, False):
        cluster = LocalCluster(n_workers=1, threads_per_worker=1, **QUIET)
        with cluster, Client(cluster) as own:
            split = scale.split_per_user(rows)
            if full_at_first:
                own.run(fill_the_disk_of_shuffles)
                with pytest.raises(OSError, match="A disk is full"):
                    scale.write(folder / "out", test=split.test)
                assert not any((folder / "out").iterdir())
            else:
                stored = scale.write(folder / "out", test=split.test)
                pd.testing.assert_frame_equal(plain(stored["test"]), plain(TEST))


SCHEDULER = """
import logging, time
from dask.distributed import LocalCluster
if __name__ == "__main__":
    quiet = {"dashboard_address": None, "silence_logs": logging.CRITICAL}
    cluster = LocalCluster(n_workers=1, threads_per_worker=1, **quiet)
    print(cluster.scheduler_address, flush=True)
    time.sleep(600)
"""


def start_scheduler(home: Path) -> tuple[subprocess.Popen, str]:
    """A cluster in a process of its own, and its address."""
    script = home / "scheduler.py"
    script.write_text(SCHEDULER)
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout is not None
    return process, process.stdout.readline().decode().strip()


def test_a_scheduler_that_goes_away_is_said_in_a_sentence_and_the_next_call_works(folder):
    rows = scale.read_interactions(folder / "data")
    process, address = start_scheduler(folder)
    with Client(address, timeout=10):
        timer = threading.Timer(0.8, process.kill)
        timer.start()
        with pytest.raises(ConnectionError, match="scheduler went away"):
            for _ in range(20):
                scale.write(folder / "out", core=scale.k_core(rows).interactions)
    assert not [*(folder / "out").glob(".*")]
    process.wait()
    process, address = start_scheduler(folder)
    with Client(address, timeout=10):
        found = scale.write(folder / "out", core=scale.k_core(rows).interactions)["core"].compute()
    process.kill()
    process.wait()
    pd.testing.assert_frame_equal(plain(found), plain(bpr_helpers.k_core(FRAME).interactions))

"""Work in threads: results in order, one BLAS thread meanwhile, failures told, and the same numbers."""

import threading
import time

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from bpr_helpers import BPR, InteractionMatrix, parallel, synthetic_interactions
from bpr_helpers.parallel import in_parallel, one_blas_thread


def blas_threads() -> set[int]:
    return {one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def two_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(parallel.os, "cpu_count", lambda: 2)


def test_results_stand_in_the_order_of_the_things_whoever_is_first() -> None:
    seen = []

    def noted(things, doing):
        for thing in things:
            seen.append((doing, thing[0]))
            yield thing

    found = in_parallel(lambda s: time.sleep(s) or s, {"slow": 0.05, "quick": 0.0}, "waiting", noted)
    assert list(found.items()) == [("slow", 0.05), ("quick", 0.0)]
    assert seen == [("waiting", "slow"), ("waiting", "quick")]


@pytest.mark.parametrize(
    ("most", "share", "at_once"), [(1, "", 1), (2, "", 2), (9, "", 2), (9, "1", 1), (9, "2,1", 2)]
)
def test_as_many_at_once_as_there_are_processors_and_no_more_than_allowed(
    most: int, share: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", share)
    inside, highest, lock = 0, 0, threading.Lock()

    def work(_: None) -> None:
        nonlocal inside, highest
        with lock:
            inside += 1
            highest = max(highest, inside)
        time.sleep(0.02)
        with lock:
            inside -= 1

    in_parallel(work, dict.fromkeys("abcd"), most=most)
    assert highest == at_once


def test_a_failure_is_told_and_what_had_not_begun_is_left_undone() -> None:
    done = []

    def work(n: int) -> None:
        time.sleep(0.02)
        if not n:
            raise ValueError("nothing to fit")
        done.append(n)

    with pytest.raises(ValueError, match="nothing to fit"):
        in_parallel(work, range(20))
    time.sleep(0.4)  # twice as long as the others would take
    assert len(done) < 10


def test_the_limit_on_blas_threads_ends_with_the_last_who_is_inside() -> None:
    before, first_inside, second_done = blas_threads(), threading.Event(), threading.Event()

    def stays() -> None:
        with one_blas_thread():
            first_inside.set()
            second_done.wait()

    thread = threading.Thread(target=stays)
    thread.start()
    first_inside.wait()
    with one_blas_thread():
        assert blas_threads() == {1}
    assert blas_threads() == {1}
    second_done.set()
    thread.join()
    assert blas_threads() == before


def test_fits_side_by_side_give_the_bits_of_fits_in_turn() -> None:
    matrix = InteractionMatrix.from_frame(synthetic_interactions(60, 50, 900))

    def fit(seed: int) -> BPR:
        return BPR(8, epochs=2, patience=0, seed=seed).fit(matrix)

    alone = [fit(seed) for seed in range(3)]
    together = in_parallel(fit, {str(seed): seed for seed in range(3)})
    for one, other in zip(alone, together.values(), strict=True):
        np.testing.assert_array_equal(one.item_vectors, other.item_vectors)
        np.testing.assert_array_equal(one.user_vectors, other.user_vectors)

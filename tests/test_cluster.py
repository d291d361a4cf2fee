"""geofcn.cluster: a real scheduler, and workers that are processes of their own."""

import logging
import os
import signal
import time

import dask
import psutil
import pytest
from distributed import LocalCluster
from distributed.comm import CommClosedError

from geofcn import cluster as cluster_module
from geofcn.core.windows import Window
from geofcn.errors import WorkersError
from geofcn.executors import ThreadExecutor, open_executor


@pytest.fixture(scope="module")
def cluster():
    """A scheduler with two worker processes, which gives a task up when two workers died of it.

    No worker holds another task meanwhile, which would be blamed too.
    """
    settings = {
        "distributed.scheduler.allowed-failures": 1,
        "distributed.scheduler.worker-saturation": 1.0,
        # Half a minute by default, for a message to a worker that has just been killed.
        "distributed.comm.timeouts.connect": "3s",
    }
    with dask.config.set(settings):
        cluster = LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0", silence_logs=logging.CRITICAL
        )
    with cluster:
        yield cluster


@pytest.fixture
def executor(cluster):
    with open_executor(scheduler=cluster.scheduler_address) as executor:
        yield executor


@pytest.mark.parametrize("ahead", [1, 3, 100])
def test_a_cluster_gives_every_result_once_and_in_order(executor, ahead):
    assert list(executor.stream(pow, 2, range(20), ahead)) == [2**n for n in range(20)]
    assert list(executor.stream(pow, 2, [], ahead)) == []


def test_the_work_of_a_cluster_is_done_by_its_workers(executor, cluster):
    pids = {worker.pid for worker in cluster.workers.values()}
    results = executor.stream(lambda *_: (time.sleep(0.05), os.getpid())[1], None, range(20), 8)
    assert set(results) == pids


def test_what_is_shared_is_prepared_once_in_every_process(executor):
    def prepare(shared: list) -> tuple[list, str]:
        return [*shared, os.getpid()], ""

    for runs in (executor, ThreadExecutor(2)):
        results = runs.stream(
            lambda shared, _: (*shared, os.getpid()), [], range(20), 8, prepare=prepare
        )
        assert all(warmed == own for warmed, own in results)


def test_results_are_encoded_where_they_travel_and_nowhere_else(executor):
    codec = {"encode": lambda result: ("on its way", result), "decode": lambda sent: sent[1] + 1}
    assert list(executor.stream(pow, 2, range(5), **codec)) == [2**n + 1 for n in range(5)]
    assert list(ThreadExecutor(2).stream(pow, 2, range(5), **codec)) == [2**n for n in range(5)]


def test_work_ahead_on_a_cluster_is_bounded(executor):
    pulled = 0

    def items():
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    for consumed, _ in enumerate(executor.stream(max, 0, items(), 4)):
        assert pulled - consumed <= 4
        if consumed == 20:
            break


def test_an_error_on_a_worker_reaches_the_consumer(executor):
    def fail_at_three(_: None, number: int) -> int:
        if number == 3:
            raise OSError("the third")
        return number

    with pytest.raises(OSError, match="the third"):
        list(executor.stream(fail_at_three, None, range(9), 4))
    assert list(executor.stream(pow, 2, range(3), 4)) == [1, 2, 4], "the cluster lives on"


def test_a_worker_killed_in_the_middle_changes_no_result(executor, cluster):
    victim = next(iter(cluster.workers.values())).pid
    results = []
    for number in executor.stream(lambda _, n: (time.sleep(0.02), n)[1], None, range(60), 12):
        if number == 5:
            os.kill(victim, signal.SIGKILL)
        results.append(number)
    assert results == list(range(60))


def test_a_worker_that_dies_at_the_very_end_is_no_error(executor, monkeypatch):
    def closed(name: str) -> None:
        raise CommClosedError("Stream is closed")  # as it is told of a worker that has just died

    monkeypatch.setattr(executor.client, "unregister_worker_plugin", closed)
    assert list(executor.stream(pow, 2, range(5))) == [1, 2, 4, 8, 16]


def test_a_task_that_kills_its_workers_is_named(executor):
    def deadly(_: None, window: Window) -> int:
        if window.row == 64:
            os.kill(os.getpid(), signal.SIGKILL)
        return window.row

    windows = [Window(row, 0, 16, 32) for row in range(0, 128, 16)]
    rows = []
    with pytest.raises(WorkersError, match=r"rows 64-79, columns 0-31.*kept.*same command"):
        for row in executor.stream(deadly, None, windows, 4):
            rows.append(row)
    assert rows == [0, 16, 32, 48]


def test_a_scheduler_that_goes_away_is_one_sentence():
    with (
        LocalCluster(n_workers=1, dashboard_address=":0", silence_logs=logging.CRITICAL) as cluster,
        open_executor(scheduler=cluster.scheduler_address) as executor,
    ):
        results = executor.stream(pow, 2, range(1000), 4)
        next(results)
        cluster.close()
        with pytest.raises(WorkersError, match=r"scheduler is gone.*kept.*same command"):
            list(results)


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "tcp://127.0.0.1:port"])
def test_an_unreachable_scheduler_is_one_sentence(monkeypatch, address):
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 0.5)
    with (
        pytest.raises(WorkersError, match=rf"^{address}: .* address\.$"),
        open_executor(scheduler=address),
    ):
        pass


def test_processes_of_this_machine_end_with_the_executor():
    with open_executor(workers=2) as executor:
        pids = set(executor.stream(lambda *_: os.getpid(), None, range(40), 8))
    assert os.getpid() not in pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_own_workers_leave_ctrl_c_to_this_process():
    with open_executor(workers=1) as executor:
        before = executor.client.run(os.getpid)
        for pid in before.values():
            os.kill(pid, signal.SIGINT)
        time.sleep(0.5)
        for pid in before.values():
            assert psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        assert list(executor.stream(pow, 2, range(20), 4)) == [2**n for n in range(20)]
        assert executor.client.run(os.getpid) == before

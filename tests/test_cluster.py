"""geofcn.cluster: a real scheduler, and workers that are processes of their own."""

import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import dask
import distributed
import numpy as np
import psutil
import pytest
import rasterio
from distributed import LocalCluster
from distributed.comm import CommClosedError

import geofcn
from geofcn import __version__
from geofcn import cluster as cluster_module
from geofcn.cluster import connect
from geofcn.core.windows import Window
from geofcn.errors import SceneError, WorkersError
from geofcn.executors import ThreadExecutor, open_executor
from geofcn.models.model_file import save_model


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


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "nonsense", "tcp://127.0.0.1:port"])
def test_an_unreachable_scheduler_is_one_sentence(monkeypatch, address):
    monkeypatch.setattr(cluster_module, "CONNECT_SECONDS", 0.5)
    with (
        pytest.raises(WorkersError, match=rf"^{address}: .* address\.$"),
        open_executor(scheduler=address),
    ):
        pass


def test_a_remark_on_workers_is_made_once(executor, caplog):
    def prepare(shared: int) -> tuple[int, str]:
        return shared, "it is slow."

    assert list(executor.stream(pow, 2, range(9), 4, prepare=prepare)) == [2**n for n in range(9)]
    (remark,) = [text for text in caplog.messages if "slow" in text]
    assert re.fullmatch(rf"worker tcp://[\d.]+:\d+ on {socket.gethostname()}: it is slow\.", remark)


def test_workers_of_another_version_are_refused(executor, monkeypatch):
    monkeypatch.setattr(cluster_module, "__version__", "9.9")
    with pytest.raises(WorkersError, match=rf"^worker tcp://.* on .*: its geofcn is {__version__}"):
        next(executor.stream(pow, 2, range(3)))


def test_an_error_of_geofcn_names_the_worker_and_keeps_its_kind(executor):
    def unreadable(*_: object) -> None:
        raise SceneError("s.tif: it cannot be read.")

    with pytest.raises(SceneError, match=rf"^worker tcp://.* on {socket.gethostname()}: s\.tif: "):
        next(executor.stream(unreadable, None, range(3)))


def test_a_cluster_without_workers_is_one_sentence(monkeypatch):
    monkeypatch.setattr(cluster_module, "NO_WORKERS_SECONDS", 0.5)
    with (
        LocalCluster(n_workers=0, dashboard_address=":0", silence_logs=logging.CRITICAL) as cluster,
        open_executor(scheduler=cluster.scheduler_address) as executor,
        pytest.raises(WorkersError, match=r"^7: the dask scheduler has no workers.*kept"),
    ):
        next(executor.stream(pow, 2, [7]))


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


# --- a scheduler and workers as a user starts them, with certificates ---

ROOT = Path(__file__).resolve().parents[1]


class RealCluster:
    """A scheduler, and workers of one thread that join and leave; all in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen] = []
        certificates = folder / "tls"
        subprocess.run(
            ["bash", ROOT / "examples" / "tls_certificates.sh", certificates], check=True
        )
        self.configuration = {"DASK_CONFIG": str(certificates)}
        with socket.create_server(("127.0.0.1", 0)) as server:
            place = server.getsockname()
        self.address = f"tls://127.0.0.1:{place[1]}"
        self.start("-m", "dask", "scheduler", "--protocol", "tls", "--port", str(place[1]))
        while socket.socket().connect_ex(place):
            assert self.processes[0].poll() is None
            time.sleep(0.1)

    def start_worker(self, cwd: Path | None = None, **environment: str) -> subprocess.Popen:
        options = ["--no-nanny", "--nthreads", "1", "--no-dashboard", "--host", "127.0.0.1"]
        return self.start("-m", "dask", "worker", self.address, *options, cwd=cwd, **environment)

    def start(self, *arguments: str, cwd: Path | None = None, **environment: str):
        """A Python process; what it prints goes to a file."""
        with (self.folder / f"{len(self.processes)}.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", *arguments],
                cwd=cwd or self.folder,
                env={**os.environ, **self.configuration, **environment},
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A scheduler and a worker whose convolutions round as those of an older processor do."""
    cluster = RealCluster(tmp_path_factory.mktemp("real"))
    cluster.start_worker(ONEDNN_MAX_CPU_ISA="SSE41")
    named = dask.config.collect([cluster.configuration["DASK_CONFIG"]], env={})
    with dask.config.set(dask.config.merge(dask.config.config, named)):
        yield cluster
    cluster.close()


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.wait()


@pytest.fixture
def infer_there(real, make_model, write_raster, tmp_path, monkeypatch):
    """infer_there(mask, **options): of a scene whose path is another file in every folder."""
    scene = write_raster("scene.tif", np.arange(3 * 128 * 128, dtype=np.uint8).reshape(3, 128, 128))
    save_model(make_model("fcnn2"), tmp_path / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    shutil.copy(scene, real.folder)  # of another time of change

    def run(mask: str, **options: object) -> np.ndarray:
        geofcn.infer(
            "/proc/self/cwd/scene.tif", tmp_path / mask, model=tmp_path / "model.safetensors",
            probability=tmp_path / f"p-{mask}", probability_dtype="float32", compute_window=32,
            **options,
        )  # fmt: skip
        with rasterio.open(tmp_path / f"p-{mask}") as file:
            return file.read()

    return run


def test_a_worker_with_another_processor_goes_on_with_a_word(real, infer_there, caplog):
    here = infer_there("here.tif")
    there = infer_there("there.tif", scheduler=real.address)
    (remark,) = [text for text in caplog.messages if "it computes by" in text]
    assert remark.startswith("worker tls://127.0.0.1:")
    assert "this machine by" in remark
    assert (here != there).any(), "the setting has an effect"
    np.testing.assert_allclose(here, there, atol=1e-5)


def test_a_worker_that_reads_another_scene_is_refused(real, infer_there, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    content = bytearray((tmp_path / "scene.tif").read_bytes())
    content[-1] ^= 1  # the last pixel
    (elsewhere / "scene.tif").write_bytes(content)
    worker = real.start_worker(elsewhere)
    named = rf"^worker tls://127.* on {socket.gethostname()}: /proc/self/cwd/scene\.tif: "
    with pytest.raises(WorkersError, match=named + "its pixels there are others"):
        while True:  # until it has joined
            infer_there("mask.tif", scheduler=real.address, overwrite=True)
    (elsewhere / "scene.tif").unlink()
    with pytest.raises(WorkersError, match=named + "there is no such file; .*mount"):
        infer_there("other.tif", scheduler=real.address)
    assert not (tmp_path / "other.tif").exists()
    kill(worker)


@pytest.mark.parametrize("file", [None, "missing.pem"])
def test_certificates_that_are_missing_are_one_sentence(real, file):
    names = ("ca-file", "client.cert", "client.key")
    with (
        dask.config.set({f"distributed.comm.tls.{name}": file for name in names}),
        pytest.raises(WorkersError, match=rf"^{real.address}: .*distributed\.comm\.tls\.ca-file"),
        open_executor(scheduler=real.address),
    ):
        pass


def test_a_worker_that_joins_later_with_another_geofcn_is_refused(real, tmp_path):
    package = tmp_path / "geofcn"
    package.mkdir()
    (package / "__init__.py").write_text("__version__ = '0.1.0'\n")
    with open_executor(scheduler=real.address) as executor:
        results = executor.stream(lambda *_: time.sleep(0.05), None, range(1000), 4)
        next(results)
        worker = real.start_worker(PYTHONPATH=str(tmp_path))
        with pytest.raises(WorkersError, match=r"^worker tls://127.*: its geofcn is missing or an"):
            list(results)
        kill(worker)


CLIENT = """
import sys, time
from geofcn.executors import open_executor
with open_executor(scheduler=sys.argv[1]) as executor:
    for _ in executor.stream(lambda *_: time.sleep(0.05), "shared", range(10_000)):
        print("a result", flush=True)
"""


def test_nothing_of_a_client_that_is_killed_stays_on_the_cluster(real):
    def left(dask_scheduler: distributed.Scheduler) -> list[str]:
        held = [*dask_scheduler.tasks, *dask_scheduler.worker_plugins, *dask_scheduler.plugins]
        return [name for name in held if "geofcn" in name or "errand" in name]

    def kits(dask_worker: distributed.Worker) -> list[str]:
        return [name for name in [*dask_worker.plugins, *dask_worker.data] if "geofcn" in name]

    client = real.start("-c", CLIENT, real.address)
    log = real.folder / f"{len(real.processes) - 1}.log"
    while "a result" not in log.read_text():
        assert client.poll() is None
        time.sleep(0.1)
    with connect(real.address) as watcher:
        assert len(watcher.run_on_scheduler(left)) >= 3  # tasks, the kit, and what removes it
        assert any(watcher.run(kits).values())
        kill(client)
        end = time.monotonic() + 30
        while watcher.run_on_scheduler(left) or any(watcher.run(kits).values()):
            assert time.monotonic() < end
            time.sleep(0.1)


def test_a_scheduler_that_is_stopped_is_one_sentence_after_a_while(real, monkeypatch):
    monkeypatch.setattr(cluster_module, "ASK_SECONDS", 0.1)
    with (
        dask.config.set({"distributed.scheduler.worker-ttl": "1s"}),
        open_executor(scheduler=real.address) as executor,
    ):
        results = executor.stream(lambda *_: time.sleep(0.05), None, range(1000), 4)
        next(results)
        real.processes[0].send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(WorkersError, match=r"does not answer.*kept.*same command"):
                list(results)
        finally:
            real.processes[0].send_signal(signal.SIGCONT)


def test_a_scheduler_that_is_killed_is_one_sentence(real):
    with open_executor(scheduler=real.address) as executor:
        results = executor.stream(pow, 2, range(1000), 4)
        next(results)
        kill(real.processes[0])
        with pytest.raises(WorkersError, match=r"scheduler is gone.*kept.*same command"):
            list(results)

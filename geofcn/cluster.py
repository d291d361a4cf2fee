"""The workers of a dask.distributed cluster: reached, compared with this process, given tasks.

What tasks share is data of the cluster that this client holds: dask sends it to a worker that joins
later, makes it anew where its worker died, and lets go of it when the client closes or is killed.
"""

from __future__ import annotations

import logging
import signal
import socket
import ssl
from collections import deque
from collections.abc import Callable, Generator, Iterable
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeVar

import dask

from geofcn import __version__
from geofcn.errors import GeofcnError, WorkersError
from geofcn.runtime import MALLOC_ENVIRONMENT

if TYPE_CHECKING:
    import distributed

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")

# How long to wait for a scheduler's answer.
CONNECT_SECONDS = 10
# How long a cluster may be without workers: they may be starting, or about to be replaced.
NO_WORKERS_SECONDS = 60
# dask's settings for own workers. They watch themselves less closely than dask's do: a worker has
# one processor for all. What their activations free they keep from the start; dask would have it
# given back at once.
QUIET = {
    "distributed.worker.profile.enabled": False,
    "distributed.worker.memory.monitor-interval": "1s",
    "distributed.admin.system-monitor.interval": "5s",
    "distributed.admin.tick.interval": "500ms",
    "distributed.nanny.pre-spawn-environ": {
        "OMP_NUM_THREADS": 1, "MKL_NUM_THREADS": 1, "OPENBLAS_NUM_THREADS": 1, **MALLOC_ENVIRONMENT,
    },
}  # fmt: skip
# Where dask's configuration names a client's certificates.
TLS = "distributed.comm.tls.{ca-file, client.cert, client.key}"

log = logging.getLogger(__name__)


def as_it_is(shared: Shared) -> tuple[Shared, str]:
    """For what needs no preparation, nor a remark."""
    return shared, ""


def unchanged(result: Any) -> Any:
    """For results that travel as they are."""
    return result


class ClusterExecutor:
    """The workers of a dask.distributed cluster, see `geofcn.executors.Executor`.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster's scheduler.
    processes : int
        How many of the workers are processes of this machine, started for this executor alone.
    """

    elsewhere = True

    def __init__(self, client: distributed.Client, processes: int = 0) -> None:
        self.client = client
        self.processes = processes

    def stream(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Iterable[Item],
        ahead: int = 16,
        *,
        prepare: Callable[[Shared], tuple[Shared, str]] = as_it_is,
        encode: Callable[[Result], Any] = unchanged,
        decode: Callable[[Any], Result] = unchanged,
    ) -> Generator[Result]:
        """Yield ``function(shared, item)`` for every item, see `geofcn.executors.Executor.stream`.

        Raises
        ------
        WorkersError
            Before the first result where a worker has another geofcn, or none; later where one
            joins that has, where workers die of a task, and where the scheduler or all workers are
            gone.
        """
        self._refuse_other_versions()
        run = partial(_on_worker, function, encode)
        remarked = False
        kit = self.client.submit(Kit, shared, prepare, __version__, pure=False)
        pending: deque[tuple[Item, distributed.Future[Any]]] = deque()

        def next_result() -> Result:
            nonlocal remarked
            remark, result = self._result(*pending.popleft())
            if remark and not remarked:
                log.warning("%s", remark)
                remarked = True
            return decode(result)

        try:
            for item in items:
                pending.append((item, self.client.submit(run, kit, item, pure=False)))
                if len(pending) >= ahead:
                    yield next_result()
            while pending:
                yield next_result()
        finally:
            # A scheduler that is gone holds nothing to be released.
            if self.client.status == "running":
                self.client.cancel([kit, *(future for _, future in pending)])

    def _result(self, item: object, future: distributed.Future[Any]) -> tuple[str, Any]:
        """What a task returned; where workers or their scheduler are gone, its item is named."""
        from distributed import CancelledError, KilledWorker

        try:
            self._wait(item, future)
            return future.result()
        except KilledWorker as error:
            raise WorkersError(
                f"{item}: every worker that took it on died, perhaps for want of memory; the work "
                "that is done is kept: run the same command with fewer workers."
            ) from error
        except CancelledError as error:
            raise WorkersError(
                f"{item}: the dask scheduler is gone; the work that is done is kept: start another "
                "and run the same command."
            ) from error
        except GeofcnError:
            raise
        except Exception:
            # One that joined later, of another version, cannot unpack what it is sent.
            self._refuse_other_versions()
            raise

    def _wait(self, item: object, future: distributed.Future[Any]) -> None:
        """Wait until a task is done; raise WorkersError where there is nobody to do it."""
        from distributed import wait

        while True:
            try:
                wait([future], timeout=NO_WORKERS_SECONDS)
            except TimeoutError:
                if self.client.nthreads():
                    continue
                raise WorkersError(
                    f"{item}: the dask scheduler has no workers; the work that is done is kept: "
                    "start some with `dask worker` and run the same command."
                ) from None
            return

    def _refuse_other_versions(self) -> None:
        """Raise WorkersError where a worker has another geofcn than this process, or none."""
        for address, answer in self.client.run(_introduction, on_error="return").items():
            if isinstance(answer, OSError):
                continue  # it has just died
            if isinstance(answer, Exception):  # it cannot even look for this module
                answer = f"worker {address}", f"missing or an older one ({answer})"
            worker, version = answer
            _refuse_other_version(worker, version, __version__)


def _introduction(dask_worker: distributed.Worker) -> tuple[str, str]:
    """A worker's name for the user, and the version of its geofcn; run on the worker."""
    return f"worker {dask_worker.address} on {socket.gethostname()}", __version__


def _refuse_other_version(worker: str, version: str, expected: str) -> None:
    if version != expected:
        raise WorkersError(
            f"{worker}: its geofcn is {version}, and {expected} is needed; install that on every "
            "worker, and start it again."
        )


class Kit:
    """What all tasks of a stream share, as a worker holds it; its first task makes it ready.

    Parameters
    ----------
    shared : object
        What tasks share.
    prepare : callable
        Makes it ready, see `geofcn.executors.Executor.stream`.
    version : str
        Of the geofcn that sends it.
    """

    def __init__(
        self, shared: Shared, prepare: Callable[[Shared], tuple[Shared, str]], version: str
    ) -> None:
        self.shared, self.prepare, self.version = shared, prepare, version
        self._lock = Lock()
        self._ready: tuple[Shared, str] | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # As it came: another worker makes it ready for itself.
        return Kit, (self.shared, self.prepare, self.version)

    def ready(self) -> tuple[Any, str]:
        """What is shared, ready for this worker's tasks, and what the user should know of it."""
        from distributed import get_worker

        with self._lock:
            if self._ready is None:
                _refuse_other_version(*_introduction(get_worker()), self.version)
                self._ready = self.prepare(self.shared)
            return self._ready


def _on_worker(
    function: Callable[[Any, Item], Result], encode: Callable[[Result], Any], kit: Kit, item: Item
) -> tuple[str, Any]:
    """One task, run on a worker: a remark on that, if any, and the result."""
    from distributed import get_worker

    worker, _ = _introduction(get_worker())
    try:
        shared, remark = kit.ready()
        return remark and f"{worker}: {remark}", encode(function(shared, item))
    except GeofcnError as error:
        raise type(error)(f"{worker}: {error}") from error


def connect(scheduler: str) -> distributed.Client:
    """A client of the scheduler at an address, by dask's own configuration.

    Raises
    ------
    WorkersError
        Where it does not answer, or the certificates for `tls://` are missing or wrong.
    """
    from distributed import Client

    try:
        return Client(scheduler, timeout=CONNECT_SECONDS)
    except (TypeError, ssl.SSLError) as error:
        if not scheduler.startswith("tls://"):
            raise
        raise WorkersError() from error
    # MemoryError: what another kind of server answers is taken for the length of a message.
    except (OSError, TimeoutError, ValueError, MemoryError) as error:
        raise WorkersError(
            f"{scheduler}: no dask scheduler answers there ({error}); start one with "
            "`dask scheduler` and give its address."
        ) from error


def start_workers(count: int) -> distributed.Client:
    """A client of `count` new processes on this machine, of one thread each.

    Raises
    ------
    WorkersError
        Where they cannot be started.
    """
    from distributed import Client, LocalCluster

    try:
        with dask.config.set(QUIET):
            cluster = LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                dashboard_address=":0",
                silence_logs=logging.CRITICAL,
            )
        client = Client(cluster)
    except (OSError, TimeoutError, RuntimeError) as error:
        raise WorkersError(
            f"workers: the processes cannot be started ({error}); a script that asks for workers "
            'must do so under `if __name__ == "__main__":`, for they import it.'
        ) from error
    client.register_plugin(_interrupt_guard())
    return client


def _interrupt_guard() -> distributed.WorkerPlugin:
    """A worker plugin: Ctrl-C reaches every process of a terminal, but this one answers it."""
    from distributed import WorkerPlugin

    class InterruptGuard(WorkerPlugin):
        def setup(self, worker: object) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return InterruptGuard()

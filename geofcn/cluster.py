"""The workers of a dask.distributed cluster: reached, compared with this process, given tasks.

What tasks share goes to every worker once, and to one that joins later. It stays there as long as
the client that sent it lives: the scheduler takes it away when the client closes or is killed.
"""

from __future__ import annotations

import logging
import signal
import socket
import time
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

import cloudpickle
import dask
from dask.utils import parse_timedelta

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
# How often a scheduler is asked whether it is there.
ASK_SECONDS = 5
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

log = logging.getLogger(__name__)
# Held by the task that unpacks a kit, while others of its process wait for that.
_unpacking = Lock()


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
        name = f"geofcn-{uuid.uuid4()}"
        try:
            self._refuse_other_versions()
            self.client.register_plugin(_remover(name, self.client.id), name=name)
            self.client.register_plugin(_kit(function, encode, shared, prepare), name=name)
        except Exception as error:
            self._refuse_gone("workers", error)
            raise
        return self._stream(_errand(name), decode, name, items, ahead)

    def _stream(
        self,
        errand: Callable[[bytes], tuple[str, Any]],
        decode: Callable[[Any], Result],
        name: str,
        items: Iterable[Item],
        ahead: int,
    ) -> Generator[Result]:
        pending: deque[tuple[Item, distributed.Future[Any]]] = deque()
        remarked = False

        def next_result() -> Result:
            nonlocal remarked
            remark, result = self._result(*pending.popleft())
            if remark and not remarked:
                log.warning("%s", remark)
                remarked = True
            return decode(result)

        try:
            for item in items:
                pending.append((item, self._submit(errand, item)))
                if len(pending) >= ahead:
                    yield next_result()
            while pending:
                yield next_result()
        finally:
            # A scheduler that is gone holds nothing to be released, nor does a worker that has just
            # died, and that the scheduler still takes for one of its own.
            if self.client.status == "running":
                for _, future in pending:
                    future.cancel()
                with suppress(OSError):
                    self.client.unregister_worker_plugin(name)
                with suppress(OSError):
                    self.client.unregister_scheduler_plugin(name)

    def _submit(self, errand: Callable[[bytes], Any], item: object) -> distributed.Future[Any]:
        try:
            return self.client.submit(errand, cloudpickle.dumps(item), pure=False)
        except Exception as error:
            self._refuse_gone(item, error)
            raise

    def _result(self, item: object, future: distributed.Future[Any]) -> tuple[str, Any]:
        """What a task returned; where workers or their scheduler are gone, its item is named."""
        from distributed import KilledWorker

        try:
            self._wait(item, future)
            return future.result()
        except KilledWorker as error:
            raise WorkersError(
                f"{item}: every worker that took it on died, perhaps for want of memory; the work "
                "that is done is kept: run the same command with fewer workers."
            ) from error
        except GeofcnError:
            raise
        except Exception as error:
            self._refuse_gone(item, error)
            # One that joined later has another geofcn, and finds nothing of what it is sent.
            self._refuse_other_versions()
            raise

    def _refuse_gone(self, what: object, error: Exception) -> None:
        """Raise WorkersError where an error says that there is no scheduler any more.

        It is told in several ways: the connection may end in the middle of any request.
        """
        from distributed import CancelledError

        if isinstance(error, CancelledError) or self.client.status != "running":
            raise WorkersError(
                f"{what}: the dask scheduler is gone or does not answer; the work that is done is "
                "kept: start another and run the same command."
            ) from error

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
            if version != __version__:
                raise WorkersError(f"{worker}: {_other_version(version, __version__)}")


def _introduction(dask_worker: distributed.Worker) -> tuple[str, str]:
    """A worker's name for the user, and the version of its geofcn; run on the worker."""
    return f"worker {dask_worker.address} on {socket.gethostname()}", __version__


def _other_version(version: str, expected: str) -> str:
    return (
        f"its geofcn is {version}, and {expected} is needed; install that on every worker, and "
        "start it again."
    )


def _kit(*contents: object) -> distributed.WorkerPlugin:
    """A worker plugin that holds what all tasks of a stream share; the first one unpacks it.

    Nothing of it but what is packed is of this package: a worker of another geofcn can hold it.
    """
    from distributed import WorkerPlugin

    class Kit(WorkerPlugin):
        pass

    kit: Any = Kit()
    kit.version = __version__
    kit.packed = cloudpickle.dumps(contents)
    kit.unpacked = None
    return kit


def _remover(name: str, owner: str) -> distributed.SchedulerPlugin:
    """A scheduler plugin that takes a kit away from the workers when the client `owner` is gone."""
    from distributed import SchedulerPlugin

    class Remover(SchedulerPlugin):
        def remove_client(self, scheduler: distributed.Scheduler, client: str) -> None:
            if client == owner and name in scheduler.worker_plugins:
                scheduler.loop.add_callback(scheduler.unregister_worker_plugin, None, name)
                scheduler.loop.add_callback(scheduler.remove_plugin, name)

    return Remover()


def _errand(name: str) -> Callable[[bytes], tuple[str, Any]]:
    """What a task is: `work`, which is looked for when it has arrived.

    A worker that cannot even unpack its task would break off its connection, and not say why.
    """

    def errand(item: bytes) -> tuple[str, Any]:
        from geofcn.cluster import work

        return work(name, item)

    return errand


def work(name: str, item: bytes) -> tuple[str, Any]:
    """One task, run on a worker that holds the kit `name`: what to say of it, and the result."""
    from distributed import get_worker

    worker = get_worker()
    introduced, version = _introduction(worker)
    kit: Any = worker.plugins[name]
    try:
        with _unpacking:
            if kit.unpacked is None:
                if version != kit.version:
                    raise WorkersError(_other_version(version, kit.version))
                function, encode, shared, prepare = cloudpickle.loads(kit.packed)
                kit.unpacked = function, encode, *prepare(shared)
        function, encode, shared, remark = kit.unpacked
        result = encode(function(shared, cloudpickle.loads(item)))
        return remark and f"{introduced}: {remark}", result
    except GeofcnError as error:
        told = type(error)(f"{introduced}: {error}")
    # Outside of the block, without its cause: exceptions of GDAL's cannot travel.
    raise told


def connect(scheduler: str) -> distributed.Client:
    """A client of the scheduler at an address; certificates are those of dask's configuration.

    Raises
    ------
    WorkersError
        Where it does not answer, or does not take the certificates.
    """
    from distributed import Client

    _hush()
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS)
    # MemoryError: what another kind of server answers is taken for the length of a message.
    # TypeError, RuntimeError: certificates are missing, or demanded by dask's configuration.
    except (OSError, TimeoutError, ValueError, MemoryError, TypeError, RuntimeError) as error:
        way_out = "start one with `dask scheduler` and give its address."
        if scheduler.startswith("tls:"):
            way_out = (
                "start one with `dask scheduler --protocol tls`, and let dask's configuration name "
                "its certificates here, too: distributed.comm.tls.ca-file, client.cert, client.key."
            )
        raise WorkersError(
            f"{scheduler}: no dask scheduler answers there ({error}); {way_out}"
        ) from error
    Thread(target=_watch, args=(client,), daemon=True).start()
    return client


def _watch(client: distributed.Client) -> None:
    """Close a client whose scheduler has not answered for long: all that wait for it are told.

    One that is stopped, or whose machine is, leaves its connections open for ever. It gets the time
    that it gives a worker itself: distributed.scheduler.worker-ttl of dask's configuration.
    """
    patience = parse_timedelta(dask.config.get("distributed.scheduler.worker-ttl"))
    while patience and client.status == "running":
        try:
            # As client.nthreads() does, which knows no timeout.
            scheduler: Any = client.scheduler
            client.sync(scheduler.ncores, callback_timeout=patience)
        except TimeoutError:
            with suppress(TimeoutError):
                client.close()
        except Exception:  # the connection has ended, which the client finds out itself
            return
        time.sleep(ASK_SECONDS)


def start_workers(count: int) -> distributed.Client:
    """A client of `count` new processes on this machine, of one thread each.

    Raises
    ------
    WorkersError
        Where they cannot be started.
    """
    from distributed import Client, LocalCluster

    _hush()
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


def _hush() -> None:
    """Leave it to geofcn to tell what goes wrong; once distributed is imported, which sets this."""
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _interrupt_guard() -> distributed.WorkerPlugin:
    """A worker plugin: Ctrl-C reaches every process of a terminal, but this one answers it."""
    from distributed import WorkerPlugin

    class InterruptGuard(WorkerPlugin):
        def setup(self, worker: object) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return InterruptGuard()

"""Run tasks on dask's threads or on a dask.distributed cluster, results in order.

An executor runs ``function(shared, item)`` for many items, a bounded number of them ahead of their
consumer. `ThreadExecutor` is dask's threaded scheduler in this process; `ClusterExecutor` any
dask.distributed cluster, of processes on this machine or of others.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from multiprocessing.pool import ThreadPool
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import dask
from dask.base import compute
from dask.delayed import delayed

from geofcn.errors import UsageError, WorkersError
from geofcn.runtime import MALLOC_ENVIRONMENT, cores

if TYPE_CHECKING:
    import distributed

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")

# How long to wait for a scheduler's answer.
CONNECT_SECONDS = 10
# Groups of items that dask's threads have at once: one whose results are consumed, and the next.
GROUPS = 2
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


def _no_warm_up(shared: object) -> None:
    """For what needs no warming up."""


def _unchanged(result: Any) -> Any:
    """For results that travel as they are."""
    return result


class Executor(Protocol):
    """Something that runs tasks: threads of this process, or a cluster's workers."""

    @property
    def processes(self) -> int:
        """Processes of this machine that it has started for itself."""

    def stream(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Iterable[Item],
        ahead: int = 16,
        *,
        warm_up: Callable[[Shared], object] = _no_warm_up,
        encode: Callable[[Result], Any] = _unchanged,
        decode: Callable[[Any], Result] = _unchanged,
    ) -> Generator[Result]:
        """Yield ``function(shared, item)`` for every item, in order.

        Parameters
        ----------
        function : callable
            The task; for a cluster it and its arguments must pickle.
        shared : object
            What all tasks share; it goes to every process once.
        items : iterable
            One for each task; they are drawn in the caller's thread.
        ahead : int
            About so many items, twice as many at the most, are under way or wait to be consumed.
        warm_up : callable
            Every process calls ``warm_up(shared)`` before its first task; those that run already
            have done so on return.
        encode, decode : callable
            How a result travels from one process to another, for instance compressed; results that
            stay in their process are never encoded.

        Raises
        ------
        WorkersError
            Where workers die of a task, or their scheduler is gone. An exception of `function` is
            raised where its result would have come.
        """


class ThreadExecutor:
    """dask's threaded scheduler in this process.

    Parameters
    ----------
    count : int, optional
        Threads; default: one a processor.

    Examples
    --------
    >>> list(ThreadExecutor(2).stream(pow, 2, range(5)))
    [1, 2, 4, 8, 16]
    """

    processes = 0

    def __init__(self, count: int | None = None) -> None:
        self.count = count or cores()

    def stream(
        self,
        function: Callable[[Shared, Item], Result],
        shared: Shared,
        items: Iterable[Item],
        ahead: int = 16,
        *,
        warm_up: Callable[[Shared], object] = _no_warm_up,
        encode: Callable[[Result], Any] = _unchanged,
        decode: Callable[[Any], Result] = _unchanged,
    ) -> Generator[Result]:
        """Yield ``function(shared, item)`` for every item, see `Executor.stream`."""
        warm_up(shared)
        return self.run(partial(function, shared), items, ahead)

    def run(
        self, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
    ) -> Generator[Result]:
        """Yield ``function(item)`` for every item, in order.

        Notes
        -----
        Items go to dask in groups of `ahead`, of which two are in flight: while the results of one
        are consumed the next is computed, so that no thread waits at a group's end.
        """
        stopped = Event()

        def unless_stopped(item: Item) -> Result | None:
            return None if stopped.is_set() else function(item)

        task = delayed(unless_stopped, pure=False, traverse=False)
        items = iter(items)
        # `pool` computes. dask.compute waits for a whole group; so that the caller need not, each
        # group in flight has a thread of its own to wait in.
        with ThreadPool(self.count) as pool, ThreadPoolExecutor(GROUPS) as waiting:

            def compute_group(group: list[Item]) -> tuple[Result, ...]:
                return compute(*map(task, group), scheduler="threads", pool=pool)

            in_flight: deque[Future[tuple[Result, ...]]] = deque()
            try:
                while group := list(islice(items, ahead)):
                    in_flight.append(waiting.submit(compute_group, group))
                    if len(in_flight) == GROUPS:
                        yield from in_flight.popleft().result()
                while in_flight:
                    yield from in_flight.popleft().result()
            finally:
                # Left early, by an error or Ctrl-C: what waits in dask's queue is not computed.
                stopped.set()


class ClusterExecutor:
    """The workers of a dask.distributed cluster.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster's scheduler.
    processes : int
        How many of the workers are processes of this machine, started for this executor alone.
    """

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
        warm_up: Callable[[Shared], object] = _no_warm_up,
        encode: Callable[[Result], Any] = _unchanged,
        decode: Callable[[Any], Result] = _unchanged,
    ) -> Generator[Result]:
        """Yield ``function(shared, item)`` for every item, see `Executor.stream`.

        `shared` goes at once to every worker, and to one that joins later.
        """
        name = f"geofcn-{uuid.uuid4()}"
        self.client.register_plugin(_holder(shared, warm_up), name=name)
        run = partial(_on_worker, function, encode, name)
        return self._stream(run, decode, name, items, ahead)

    def _stream(
        self,
        run: Callable[[Item], Any],
        decode: Callable[[Any], Result],
        name: str,
        items: Iterable[Item],
        ahead: int,
    ) -> Generator[Result]:
        pending: deque[tuple[Item, distributed.Future[Any]]] = deque()
        try:
            for item in items:
                future = self.client.submit(run, item, pure=False)
                pending.append((item, future))
                if len(pending) >= ahead:
                    yield decode(_result(*pending.popleft()))
            while pending:
                yield decode(_result(*pending.popleft()))
        finally:
            # A scheduler that is gone holds nothing to be released, nor does a worker that has just
            # died, and that the scheduler still takes for one of its own.
            if self.client.status == "running":
                for _, future in pending:
                    future.cancel()
                with suppress(OSError):
                    self.client.unregister_worker_plugin(name)


def _holder(shared: Shared, warm_up: Callable[[Shared], object]) -> distributed.WorkerPlugin:
    """A worker plugin that holds what all tasks share, warmed up.

    A worker that takes the place of a dead one gets it as well.
    """
    from distributed import WorkerPlugin

    class Holder(WorkerPlugin):
        def __init__(self) -> None:
            self.shared = shared

        def setup(self, worker: object) -> None:
            warm_up(self.shared)

    return Holder()


def _interrupt_guard() -> distributed.WorkerPlugin:
    """A worker plugin: Ctrl-C reaches every process of a terminal, but this one answers it."""
    from distributed import WorkerPlugin

    class InterruptGuard(WorkerPlugin):
        def setup(self, worker: object) -> None:
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    return InterruptGuard()


def _on_worker(
    function: Callable[[Any, Item], Result], encode: Callable[[Result], Any], name: str, item: Item
) -> Any:
    """One task, run on a worker; `name` is that of the plugin which holds what tasks share."""
    from distributed import get_worker

    holder: Any = get_worker().plugins[name]
    return encode(function(holder.shared, item))


def _result(item: object, future: distributed.Future[Any]) -> Any:
    """What a future holds; where its workers or their scheduler are gone, the item is named."""
    from distributed import CancelledError, KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise WorkersError(
            f"{item}: every worker that took it on died, perhaps for want of memory; the work that "
            "is done is kept: run the same command with fewer workers."
        ) from error
    except CancelledError as error:
        raise WorkersError(
            f"{item}: the dask scheduler is gone; the work that is done is kept: start another and "
            "run the same command."
        ) from error


def leave_if_imported_by_a_worker() -> None:
    """End a process that was started for tasks and runs the script that asked for it once more.

    Such a process imports that script. Where the script asks for workers without a main guard,
    this one must not touch what the first one writes; that one says what is wrong.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise SystemExit(1)


@contextmanager
def open_executor(workers: int | None = None, scheduler: str | None = None) -> Iterator[Executor]:
    """Executor for the options of a verb: threads, processes of this machine, or a cluster.

    Parameters
    ----------
    workers : int, optional
        Processes to start on this machine, of one thread each; they end with the block.
    scheduler : str, optional
        Address of a dask.distributed scheduler. Without both: threads of this process.

    Raises
    ------
    UsageError
        For both at once.
    WorkersError
        Where the scheduler does not answer, or the processes cannot be started.

    Examples
    --------
    >>> with open_executor() as executor:
    ...     list(executor.stream(pow, 2, range(3)))
    [1, 2, 4]
    """
    if workers and scheduler:
        raise UsageError("workers: give --workers or --scheduler, not both.")
    if not workers and not scheduler:
        yield ThreadExecutor()
        return
    # What goes wrong is told in one sentence.
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    client = _connect(scheduler) if scheduler else _start_workers(workers or 1)
    log.warning("dask dashboard: %s", client.dashboard_link)
    with client:
        try:
            yield ClusterExecutor(client, workers or 0)
        finally:
            if client.cluster is not None:
                client.cluster.close()


def _connect(scheduler: str) -> distributed.Client:
    from distributed import Client

    try:
        return Client(scheduler, timeout=CONNECT_SECONDS)
    # MemoryError: what another kind of server answers is taken for the length of a message.
    except (OSError, TimeoutError, ValueError, MemoryError) as error:
        raise WorkersError(
            f"{scheduler}: no dask scheduler answers there ({error}); start one with "
            "`dask scheduler` and give its address."
        ) from error


def _start_workers(count: int) -> distributed.Client:
    """A client of `count` new processes on this machine."""
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


def stream(
    function: Callable[[Item], Result], items: Iterable[Item], ahead: int = 16
) -> Generator[Result]:
    """Yield ``function(item)`` for every item, in order, computed by threads of this process.

    Parameters
    ----------
    function : callable
        The task.
    items : iterable
        One for each task; they are drawn in the caller's thread.
    ahead : int
        About so many items, twice as many at the most, are under way or wait to be consumed.

    Examples
    --------
    >>> list(stream(abs, [-1, 2, -3]))
    [1, 2, 3]
    """
    return ThreadExecutor().run(function, items, ahead)

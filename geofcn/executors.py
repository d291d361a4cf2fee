"""Run tasks on dask's threads or on a dask.distributed cluster, results in order.

An executor runs ``function(shared, item)`` for many items, a bounded number of them ahead of their
consumer. `ThreadExecutor` is dask's threaded scheduler in this process; `ClusterExecutor`, of
`geofcn.cluster`, any dask.distributed cluster, of processes on this machine or of others.
"""

from __future__ import annotations

import logging
import multiprocessing
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import islice
from multiprocessing.pool import ThreadPool
from threading import Event
from typing import Any, Protocol, TypeVar

from dask.base import compute
from dask.delayed import delayed
from dask.threaded import get as in_threads

from geofcn.cluster import ClusterExecutor, as_it_is, connect, start_workers, unchanged
from geofcn.errors import UsageError
from geofcn.runtime import cores

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Result = TypeVar("Result")

# Groups of items that dask's threads have at once: one whose results are consumed, and the next.
GROUPS = 2

log = logging.getLogger(__name__)


class Executor(Protocol):
    """Something that runs tasks: threads of this process, or a cluster's workers."""

    @property
    def processes(self) -> int:
        """Processes of this machine that it has started for itself."""

    @property
    def elsewhere(self) -> bool:
        """Whether tasks run in other processes than this one, maybe on other machines."""

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
        prepare : callable
            Every process calls ``prepare(shared)`` before its first task; tasks get what it
            returns in place of `shared`. With that comes a remark: a sentence on a worker that the
            user is told, the first of a stream alone; mostly "".
        encode, decode : callable
            How a result travels from one process to another, for instance compressed; results that
            stay in their process are never encoded.

        Raises
        ------
        WorkersError
            Where workers have another geofcn, or die of a task; where all of them or their
            scheduler are gone. An exception of `function` or `prepare` is raised where a result
            would have come; one of geofcn's own names the worker.
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
    elsewhere = False

    def __init__(self, count: int | None = None) -> None:
        self.count = count or cores()

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
        """Yield ``function(shared, item)`` for every item, see `Executor.stream`."""
        shared, remark = prepare(shared)
        if remark:
            log.warning("%s", remark)
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
                # By its name the scheduler would be looked for in dask.distributed, too, whose
                # import takes a second.
                return compute(*map(task, group), scheduler=in_threads, pool=pool)

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
    client = connect(scheduler) if scheduler else start_workers(workers or 1)
    log.warning("dask dashboard: %s", client.dashboard_link)
    with client:
        try:
            yield ClusterExecutor(client, workers or 0)
        finally:
            if client.cluster is not None:
                client.cluster.close()


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

"""Tasks run by dask, their results delivered in order, a bounded number of them in flight."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from multiprocessing.pool import ThreadPool
from typing import TypeVar

import dask

Item = TypeVar("Item")
Result = TypeVar("Result")


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def stream(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    group: int = 16,
    threads: int | None = None,
) -> Iterator[Result]:
    """Yield function(item) for every item, in order; dask's threads work ahead of the consumer.

    Items go to dask in groups, of which two are in flight: while the results of one are consumed,
    the next is computed, so that no thread waits at the end of a group. Memory holds the results of
    two groups at the most. An exception of `function` is raised where the results of its group
    would have come.
    """
    task = dask.delayed(function, pure=False, traverse=False)
    items = iter(items)
    with ThreadPool(threads or cores()) as pool, ThreadPoolExecutor(2) as drivers:

        def run(batch: list[Item]) -> list[Result]:
            return dask.compute(*map(task, batch), scheduler="threads", pool=pool)

        pending: deque = deque()
        try:
            while batch := list(islice(items, group)):
                pending.append(drivers.submit(run, batch))
                if len(pending) == 2:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()

"""Processor cores and memory of this process."""

from __future__ import annotations

import ctypes
import os
import sys

try:
    import resource
except ModuleNotFoundError:  # Windows has none
    resource = None

# What glibc does with memory that is freed: it keeps it, in one heap for all threads. By the names
# that the environment has for it, and by the numbers of mallopt(3).
MALLOC_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": 2**30,
    "MALLOC_TRIM_THRESHOLD_": 2**30,
    "MALLOC_TOP_PAD_": 2**28,
    "MALLOC_ARENA_MAX": 1,
}
MALLOPT = {
    -3: MALLOC_ENVIRONMENT["MALLOC_MMAP_THRESHOLD_"],
    -1: MALLOC_ENVIRONMENT["MALLOC_TRIM_THRESHOLD_"],
    -2: MALLOC_ENVIRONMENT["MALLOC_TOP_PAD_"],
    -8: MALLOC_ENVIRONMENT["MALLOC_ARENA_MAX"],
}


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Let the process keep what activations free, for the next pass.

    glibc returns large blocks to the system at once, and all that threads other than the main one
    free; the page faults of getting them back cost as much as the arithmetic. Threads that start
    after this get no heap of their own, and one that is there already is padded too well to be
    given back. A no-op where the C library is another.
    """
    if (libc := _glibc()) is not None:
        for parameter, value in MALLOPT.items():
            libc.mallopt(parameter, value)


def give_back_freed_memory() -> None:
    """Return to the system what the process has freed and kept, before another kind of work."""
    if (libc := _glibc()) is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    """The GNU C library; None where there is another."""
    try:
        return ctypes.CDLL("libc.so.6") if sys.platform.startswith("linux") else None
    except OSError:
        return None


def peak_memory() -> int:
    """The most memory this process has held so far, in bytes."""
    if resource is None:
        import psutil

        return psutil.Process().memory_info().peak_wset
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

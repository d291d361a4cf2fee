"""Processor cores and memory of this process: how many it may use, what glibc keeps, the peak."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

# What glibc does with memory that is freed: it keeps it, in one heap for all threads. By the names
# that the environment of a process has for it, see mallopt(3).
MALLOC_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": 2**30,
    "MALLOC_TRIM_THRESHOLD_": 2**30,
    "MALLOC_TOP_PAD_": 2**28,
    "MALLOC_ARENA_MAX": 1,
}
# The same parameters as a process that runs names them: M_MMAP_THRESHOLD ... of malloc.h.
MALLOPT_NUMBERS = {
    "MALLOC_MMAP_THRESHOLD_": -3,
    "MALLOC_TRIM_THRESHOLD_": -1,
    "MALLOC_TOP_PAD_": -2,
    "MALLOC_ARENA_MAX": -8,
}


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory() -> None:
    """Let the process keep what activations free, for the next pass.

    Notes
    -----
    glibc returns large blocks to the system at once, and all that threads other than the main one
    free; every pass would pay for getting them back, page by page. Threads that start after this
    get no heap of their own, and a heap that exists already is padded too well to be given back. A
    no-op where the C library is another.
    """
    if (libc := _glibc()) is not None:
        for name, value in MALLOC_ENVIRONMENT.items():
            libc.mallopt(MALLOPT_NUMBERS[name], value)


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
    """The most memory this process has held so far, in bytes.

    Notes
    -----
    Of Linux, /proc says it. getrusage would count what the process that started this one had held,
    which a program that was run from a large one, as from QGIS, would take for its own.
    """
    if (status := Path("/proc/self/status")).exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):  # not on every system that looks like Linux
                return int(line.split()[1]) * 1024
    try:
        import resource
    except ModuleNotFoundError:  # Windows has none
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit

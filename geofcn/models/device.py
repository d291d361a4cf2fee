"""The machine a net is computed on: its devices, and the memory of this process."""

from __future__ import annotations

import ctypes
import sys

import torch

from geofcn.errors import UsageError
from geofcn.recipes import MALLOPT


def pick_device(name: str) -> torch.device:
    """The torch device `name`; auto is the first of cuda, mps and cpu that is there.

    Raises UsageError when this machine has no such device.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, available in there.items() if available)
    if not there.get(name):
        raise UsageError(f"device {name}: this machine has none; use --device cpu.")
    return torch.device(name)


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

"""The machine a net is computed on: its devices, and the memory of this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from geofcn.errors import UsageError


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


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """Let every worker thread run its own pass: faster than all of them sharing one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

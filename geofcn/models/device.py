"""Where a net is computed: choice of the torch device, and threads of a pass."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

from geofcn.errors import UsageError


def pick_device(name: str) -> torch.device:
    """The torch device of a name, or the best one this machine has.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda", "mps"}
        auto: the first of cuda, mps and cpu that this machine has.

    Raises
    ------
    UsageError
        When this machine has no such device.

    Examples
    --------
    >>> pick_device("cpu")
    device(type='cpu')
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        name = next(device for device, is_available in available.items() if is_available)
    if not available.get(name):
        raise UsageError(f"device {name}: this machine has none; use --device cpu.")
    return torch.device(name)


def compute_in_full_precision() -> None:
    """Let CUDA convolve in float32, not in TF32, whose 10 bits leave probabilities .002 apart.

    An answer would depend on the device, and on its window by more than rounding.
    """
    torch.backends.cudnn.allow_tf32 = False


@contextmanager
def one_torch_thread() -> Generator[None]:
    """Let torch compute each pass in one thread, that of its caller, while the context is open.

    Worker threads that run a pass each are faster than all of them sharing one. torch's number of
    threads is restored afterwards.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

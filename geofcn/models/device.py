"""Where a net is computed: choice of the torch device, its type, and threads of a pass."""

from __future__ import annotations

import zlib
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

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


@cache
def processor(device: str) -> str:
    """Type of the processor that a device is: where it is the same, passes round the same.

    Parameters
    ----------
    device : str
        Type of a torch device: "cpu", "cuda" or "mps".

    Returns
    -------
    str
        Of a CPU the instructions that torch uses and a checksum of what a few layers give. The
        libraries below torch choose theirs by themselves, and by settings of their own.

    Examples
    --------
    >>> processor("mps")
    'mps'
    """
    if device == "cuda" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    if device != "cpu":
        return device
    with one_torch_thread(), torch.inference_mode():
        return f"{torch.backends.cpu.get_cpu_capability()} ({_rounding():08x})"


def _rounding() -> int:
    """Checksum of a pass through layers of the kinds that nets have; its last digits decide it."""
    features = F.relu(F.conv2d(_scattered(1, 3, 64, 64), _scattered(24, 3, 3, 3), padding=1))
    features = F.conv2d(features, _scattered(24, 1, 3, 3), padding=1, groups=24)
    features = F.conv2d(features, _scattered(16, 24, 1, 1))
    features = F.interpolate(features, scale_factor=2, mode="bilinear")
    answer = torch.sigmoid(F.conv2d(features, _scattered(1, 16, 5, 5) / 50, padding=2))
    return zlib.crc32(answer.numpy().tobytes())


def _scattered(*shape: int) -> Tensor:
    """Values from -0.5 to 0.5, the same on every processor: multiples of the golden ratio."""
    multiples = np.arange(1, np.prod(shape) + 1) * (5**0.5 - 1) / 2
    return torch.from_numpy((multiples % 1 - 0.5).astype(np.float32).reshape(shape))

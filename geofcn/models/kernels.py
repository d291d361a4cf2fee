"""Convolution with relu, 2 x 2 maxima and block means, as fast as a CPU computes them."""

from __future__ import annotations

import itertools
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geofcn.core.windows import ceil_div

# Numbers that a processor's own cache holds beside others.
CACHED = 2**18


def conv_relu(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """relu(conv(x)), to the same bits in one pass over memory where oneDNN can."""
    if not _fuses(x):
        return F.relu(conv(x), inplace=True)
    return _fused(x, conv.weight, conv.bias, conv.padding, conv.stride, conv.dilation, conv.groups)


def conv_relu_max_pool2(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Maxima of 2 x 2 pixels of relu(conv(x)), of a convolution that keeps the image's size.

    relu(conv(x)) is the largest thing in a pass. Where it is made in one pass over memory, its
    upper half is made and gone before the lower one is.
    """
    batch, _, rows, cols = x.shape
    if not _fuses(x) or rows % 2 or cols % 2:
        # Max pooling and relu commute; pooling first leaves relu a quarter of the work.
        return F.relu(max_pool2(conv(x)), inplace=True)
    out, reach = _empty(x, batch, conv.out_channels, rows // 2, cols // 2), conv.padding[0]
    middle = 2 * ceil_div(rows, 4)
    for top, bottom in itertools.pairwise((0, middle, rows) if middle < rows else (0, rows)):
        first, last = max(top - reach, 0), min(bottom + reach, rows)
        part = slice(top - first, bottom - first)
        # Without a name, one half is gone before the other is made.
        write_max_pool2(
            conv_relu(conv, x[:, :, first:last])[:, :, part], out[:, :, top // 2 : bottom // 2]
        )
    return out


def _fuses(x: Tensor) -> bool:
    there = x.is_cpu and x.dtype == torch.float32 and not torch.is_grad_enabled()
    return there and _fused_is_there()


def _fused(x: Tensor, weight: Tensor, bias: Tensor | None, *how: object) -> Tensor:
    """relu of a convolution by the operator that torch.compile makes use of."""
    return torch.ops.mkldnn._convolution_pointwise(x, weight, bias, *how, "relu", [], "")


@cache
def _fused_is_there() -> bool:
    """Torch does not document that operator, so it is tried."""
    x, doubling = torch.tensor([[[[-1.0, 0.0, 1.0, 2.0]]]]), torch.full((1, 1, 1, 1), 2.0)
    try:
        with torch.inference_mode():
            found = _fused(x, doubling, None, (0, 0), (1, 1), (1, 1), 1)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.equal(found, 2 * F.relu(x))


def max_pool2(x: Tensor) -> Tensor:
    """Maxima of 2 x 2 pixels of (batch, channels, rows, columns).

    max_pool2d also writes down where each maximum stood, which takes a processor more time than
    finding it and is of use in training only.
    """
    batch, channels, rows, cols = x.shape
    if torch.is_grad_enabled() or not x.is_cpu or rows % 2 or cols % 2:
        return F.max_pool2d(x, 2)
    out = _empty(x, batch, channels, rows // 2, cols // 2)
    write_max_pool2(x, out)
    return out


def write_max_pool2(x: Tensor, out: Tensor) -> None:
    """Write the maxima of 2 x 2 pixels of x to `out`.

    Maxima of two rows are made for a few rows at a time: they are still in the processor's cache
    when those of two columns are made of them.
    """
    batch, channels, _, cols = x.shape
    step = max(1, CACHED // (batch * channels * cols))
    pairs = _empty(x, batch, channels, step, cols)
    for part, target in zip(x.split(2 * step, dim=2), out.split(step, dim=2), strict=True):
        larger = pairs[:, :, : target.shape[2]]
        torch.maximum(part[:, :, ::2], part[:, :, 1::2], out=larger)
        torch.maximum(larger[..., ::2], larger[..., 1::2], out=target)


def _empty(like: Tensor, *shape: int) -> Tensor:
    """Room for (batch, channels, rows, columns), channels innermost in memory."""
    return torch.empty(shape, dtype=like.dtype, memory_format=torch.channels_last)


def block_mean(x: Tensor, size: int) -> Tensor:
    """Means of `size` x `size` pixels of (batch, bands, rows, columns).

    Strided sums of a contiguous image take a quarter of avg_pool2d's time.
    """
    if size == 1:
        return x
    rows = sum(x[:, :, row::size] for row in range(size))
    return sum(rows[..., col::size] for col in range(size)) / size**2

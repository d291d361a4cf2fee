"""Convolution with relu or relu6, 2 x 2 maxima and block means, as fast as a CPU computes them.

Each gives what torch's plain layers give, and falls back on them on other devices, in training, and
where torch lacks an operator.
"""

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
    """relu(conv(x)), in one pass over memory where oneDNN can.

    Parameters
    ----------
    conv : Conv2d
        Of any size, stride, dilation and groups, padded with zeros.
    x : (batch, channels, rows, columns) tensor

    Returns
    -------
    (batch, channels, rows, columns) tensor
    """
    if not _fuses(conv, x):
        return F.relu(conv(x), inplace=True)
    return _fused(conv, x, "relu")


def conv_relu6(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """min(relu(conv(x)), 6), as `conv_relu` computes its own."""
    if not _fuses(conv, x):
        return F.relu6(conv(x), inplace=True)
    return _fused(conv, x, "hardtanh", 0.0, 6.0)


def conv_linear(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """conv(x): by oneDNN also where torch, in one thread, takes another way for small kernels."""
    return _fused(conv, x, "none") if _fuses(conv, x) else conv(x)


def conv_relu_max_pool2(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """Maxima of 2 x 2 pixels of relu(conv(x)).

    Parameters
    ----------
    conv : Conv2d
        One that keeps the image's size: of odd size, stride 1, padded with zeros.
    x : (batch, channels, rows, columns) tensor

    Returns
    -------
    (batch, channels, rows // 2, columns // 2) tensor

    Notes
    -----
    relu(conv(x)) is the largest thing in a pass. Where it is made in one pass over memory, its
    upper half is made and gone before the lower one is.
    """
    batch, _, rows, cols = x.shape
    if not _fuses(conv, x) or rows % 2 or cols % 2:
        # Max pooling and relu commute; pooling first leaves relu a quarter of the work.
        return F.relu(max_pool2(conv(x)), inplace=True)
    out = new_image(x, batch, conv.out_channels, rows // 2, cols // 2)
    reach = conv.dilation[0] * (conv.kernel_size[0] // 2)
    middle = 2 * ceil_div(rows, 4)
    for top, bottom in itertools.pairwise((0, middle, rows) if middle < rows else (0, rows)):
        first, last = max(top - reach, 0), min(bottom + reach, rows)
        part = slice(top - first, bottom - first)
        # Without a name, one half is gone before the other is made.
        write_max_pool2(
            conv_relu(conv, x[:, :, first:last])[:, :, part], out[:, :, top // 2 : bottom // 2]
        )
    return out


def _fuses(conv: nn.Conv2d, x: Tensor) -> bool:
    """Whether _fused can compute a convolution of x: it has no gradients."""
    # Padding may be a word, "same" or "valid"; the operator wants numbers.
    numeric = not isinstance(conv.padding, str)
    computes = x.is_cpu and x.dtype == torch.float32 and not torch.is_grad_enabled()
    return numeric and computes and _fused_exists()


def _fused(conv: nn.Conv2d, x: Tensor, activation: str, *bounds: float) -> Tensor:
    """Convolution and activation by one call of oneDNN, with the latter as its post-operation.

    torch has no public function for this: its convolution writes all of its output to memory, and
    the activation reads and writes it once more. The operator is the one that torch.compile
    (torch/_inductor/fx_passes/mkldnn_fusion.py) puts in the place of the two on a CPU:

        mkldnn::_convolution_pointwise(Tensor X, Tensor W, Tensor? B, int[] padding, int[] stride,
            int[] dilation, int groups, str attr, Scalar?[] scalars, str? algorithm) -> Tensor

    attr names the post-operation: "none" or "relu", which have no scalars, or "hardtanh", whose
    scalars are its bounds; none has algorithms to choose from. torch may change the operator
    without notice, and builds without oneDNN lack it: nobody calls this before _fused_exists has
    tried it.
    """
    geometry = conv.padding, conv.stride, conv.dilation, conv.groups
    return torch.ops.mkldnn._convolution_pointwise(
        x, conv.weight, conv.bias, *geometry, activation, list(bounds), ""
    )


@cache
def _fused_exists() -> bool:
    """Whether this torch has the operator that _fused calls, and it does what is expected of it."""
    x = torch.tensor([[[[-1.0, 0.0, 1.0, 4.0]]]])
    # skip_init, which draws no weights, imports sympy, and takes a second for it.
    with torch.random.fork_rng(devices=()):
        doubling = nn.Conv2d(1, 1, 1, bias=False)
    try:
        with torch.inference_mode():
            doubling.weight.fill_(2)
            doubled, bounded = _fused(doubling, x, "relu"), _fused(doubling, x, "hardtanh", 0, 6)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.equal(doubled, F.relu(2 * x)) and torch.equal(bounded, F.relu6(2 * x))


def max_pool2(x: Tensor) -> Tensor:
    """Maxima of 2 x 2 pixels of (batch, channels, rows, columns); an odd last one is left out.

    torch's max_pool2d also writes down where each maximum stood, which takes a processor time and
    is of use in training only.

    Examples
    --------
    >>> max_pool2(torch.tensor([[[[1.0, 5.0, 2.0, 2.0], [3.0, 4.0, 0.0, 7.0]]]]))
    tensor([[[[5., 7.]]]])
    """
    batch, channels, rows, cols = x.shape
    if torch.is_grad_enabled() or not x.is_cpu or rows % 2 or cols % 2:
        return F.max_pool2d(x, 2)
    out = new_image(x, batch, channels, rows // 2, cols // 2)
    write_max_pool2(x, out)
    return out


def write_max_pool2(x: Tensor, out: Tensor) -> None:
    """Write the maxima of 2 x 2 pixels of an image with even sides to a tensor.

    Parameters
    ----------
    x : (batch, channels, rows, columns) tensor
    out : (batch, channels, rows // 2, columns // 2) tensor
        Is overwritten.

    Notes
    -----
    Maxima of two rows are made for a few rows at a time: they are still in the processor's cache
    when those of two columns are made of them.
    """
    batch, channels, _, cols = x.shape
    step = max(1, CACHED // (batch * channels * cols))
    pairs = new_image(x, batch, channels, step, cols)
    for part, target in zip(x.split(2 * step, dim=2), out.split(step, dim=2), strict=True):
        larger = pairs[:, :, : target.shape[2]]
        torch.maximum(part[:, :, ::2], part[:, :, 1::2], out=larger)
        torch.maximum(larger[..., ::2], larger[..., 1::2], out=target)


def new_image(like: Tensor, *shape: int) -> Tensor:
    """(batch, channels, rows, columns) of any values, channels innermost in memory."""
    return torch.empty(
        shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last
    )


def enlarge_bilinear(x: Tensor, factor: int) -> Tensor:
    """(batch, channels, rows, columns) to `factor` times as many rows and columns, bilinear.

    Of few channels torch's is five times as fast when these are planes.
    """
    return F.interpolate(x.contiguous(), scale_factor=factor, mode="bilinear", align_corners=False)


def block_mean(x: Tensor, size: int) -> Tensor:
    """Means of `size` x `size` pixels of (batch, bands, rows, columns).

    By strided sums, which a processor computes faster than avg_pool2d on a contiguous image. Rows
    and columns must be multiples of `size`.

    Examples
    --------
    >>> block_mean(torch.arange(8.0).reshape(1, 1, 2, 4), 2)
    tensor([[[[2.5000, 4.5000]]]])
    """
    if size == 1:
        return x
    rows = sum((x[:, :, row::size] for row in range(1, size)), start=x[:, :, ::size])
    columns = sum((rows[..., col::size] for col in range(1, size)), start=rows[..., ::size])
    return columns / size**2

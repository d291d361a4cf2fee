"""Trained nets rewritten with fewer layers for inference: batch norm folded, linear tail merged."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Protocol, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from geofcn.core.resampling import Ratio
from geofcn.models.nets import (
    answer_from_means,
    class_difference,
    native_ratio,
    upsample_logits,
    without_scaling,
)

# Side of an image that every net takes: total strides are powers of 2 up to it.
SAMPLE = 64
# That of the means on which a merged net is compared with the plain one.
TRIED = 96

# Cells a side that one kernel of a merged tail computes at once.
GROUP = 2


def fold_batch_norm(net: nn.Module) -> nn.Module:
    """A copy of a trained net whose batch normalisations are part of the convolutions before them.

    Exact to rounding: normalisation by fixed statistics is linear. Folded are those that follow a
    convolution in an nn.Sequential; an identity stands in their place.
    """
    net = copy.deepcopy(net).eval()
    for module in net.modules():
        if isinstance(module, nn.Sequential):
            for number in range(len(module) - 1):
                before, norm = module[number], module[number + 1]
                if isinstance(before, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    module[number] = fuse_conv_bn_eval(before, norm)
                    module[number + 1] = nn.Identity()
    return net


class LinearTailNet(Protocol):
    """A net that tells its linear tail from what comes before; net(x) is tail(features(x))."""

    def features(self, x: Tensor) -> Tensor:
        """All layers up to the last one that is not linear."""
        ...

    def tail(self, x: Tensor) -> Tensor:
        """The layers after that."""
        ...


def has_linear_tail(net: nn.Module) -> bool:
    """Whether a net, or the one that it scales, is a LinearTailNet, so that Merged can take it."""
    return _is_divided(without_scaling(net))


def _is_divided(net: nn.Module) -> TypeGuard[LinearTailNet]:
    return hasattr(net, "features") and hasattr(net, "tail")


class SubPixel(nn.Module):
    """Sub-pixel convolution: stride x stride phases of one channel, shuffled to a larger image.

    Shi et al., Real-time single image and video super-resolution using an efficient sub-pixel
    convolutional neural network, CVPR 2016.

    Parameters
    ----------
    weight : (stride^2, channels, k, k) tensor
        Kernels of the phases, by rows of the pixels that a cell becomes.
    bias : (stride^2,) tensor
        One number a phase.
    first : int
        Offset, in cells, of the first cell an output cell reads; the last is first + k - 1.
    stride : int
        Pixels a side that a cell becomes.

    Notes
    -----
    It is computed for GROUP x GROUP output cells at once, by one convolution of that stride: more
    multiplications, but enough output channels to fill a processor's registers.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, first: int, stride: int):
        super().__init__()
        grouped = group_cells(weight, stride).contiguous(memory_format=torch.channels_last)
        self.register_buffer("weight", grouped)
        phases = bias.reshape(1, stride, 1, stride).expand(GROUP, -1, GROUP, -1)
        self.register_buffer("bias", phases.flatten())
        self.stride = stride
        # Padding as wide on both sides, and enough for both; the first group then reads too early.
        padding = max(-first, first + weight.shape[2] + 1)
        self.padding = padding + (padding + first) % GROUP
        self.start = (self.padding + first) // GROUP

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, columns) to (batch, 1, stride * rows, stride * columns)."""
        rows, cols = (side * self.stride for side in x.shape[2:])
        x = F.conv2d(x, self.weight, self.bias, stride=GROUP, padding=self.padding)
        x = F.pixel_shuffle(x[:, :, self.start :, self.start :], GROUP * self.stride)
        return x[:, :, :rows, :cols]


def group_cells(weight: Tensor, stride: int) -> Tensor:
    """Kernels of neighbouring cells as one kernel over what all of them read.

    Parameters
    ----------
    weight : (stride^2, channels, k, k) tensor
        Kernels of one cell.
    stride : int
        Pixels a side that a cell becomes.

    Returns
    -------
    ((GROUP stride)^2, channels, k + GROUP - 1, k + GROUP - 1) tensor
        Kernels of GROUP x GROUP cells, in the order of pixel_shuffle: by rows of their pixels.
    """
    channels, rows, cols = weight.shape[1:]
    size = rows + GROUP - 1, cols + GROUP - 1
    grouped = weight.new_zeros(GROUP, stride, GROUP, stride, channels, *size)
    phases = weight.reshape(stride, stride, channels, rows, cols)
    for down, right in itertools.product(range(GROUP), repeat=2):
        grouped[down, :, right, :, :, down : down + rows, right : right + cols] = phases
    return grouped.reshape(-1, channels, *size)


class Merged(nn.Module):
    """A trained net whose linear tail is one convolution; gives house minus background logits.

    Nothing non-linear stands in the tail, so it is one linear map, which its impulse responses
    describe: a convolution to the sub-pixel phases of the one difference of logits that a softmax
    of two classes needs. Exact but for `border` pixels along the image's edges, where the tail's
    own zero padding between its layers differs: those need the plain net.

    Parameters
    ----------
    net : Module
        A net of which has_linear_tail is true.
    bands : int
        Bands of its image.
    ratio : Ratio, optional
        Pixels of the image to one that the net sees; default: by the net's scale.

    Attributes
    ----------
    border : int
        Pixels of the image along its edges whose answer is another than the net's.

    Raises
    ------
    TypeError
        For a net without a linear tail.
    """

    net: LinearTailNet

    def __init__(self, net: nn.Module, bands: int, ratio: Ratio | None = None):
        super().__init__()
        twin = copy.deepcopy(net).cpu().double()
        inner = without_scaling(twin)
        if not _is_divided(inner):
            raise TypeError(f"{type(net).__name__} has no linear tail to merge")
        self.ratio = ratio or native_ratio(net)
        sample = torch.zeros(1, bands, SAMPLE, SAMPLE, dtype=torch.float64)
        with torch.inference_mode():
            self.net = inner
            self.tail = collapse(inner.tail, inner.features(sample).shape[1])
            self.border = _differing_border(twin, self, bands)
        # torch's stubs of `to` leave out memory_format, which its documentation has.
        self.float().to(  # type: ignore[call-overload]
            next(net.parameters()).device, memory_format=torch.channels_last
        )

    def forward(self, means: Tensor) -> Tensor:
        """(batch, bands, rows, columns) means, to (batch, 1, rows p / q, columns p / q)."""
        return upsample_logits(self.tail(self.net.features(means)), self.ratio)


def collapse(tail: Callable[[Tensor], Tensor], channels: int) -> SubPixel:
    """One convolution for a linear map from features to the difference of two logits.

    Its weights are read off from the responses to one impulse in each channel.

    Parameters
    ----------
    tail : callable
        Maps (batch, channels, n, n) float64 to (batch, 2, s n, s n); linear but for its biases.
    channels : int
        Of the features.
    """
    cells = 24
    middle = cells // 2
    impulses = torch.zeros(channels + 1, channels, cells, cells, dtype=torch.float64)
    impulses[range(channels), range(channels), middle, middle] = 1
    out = class_difference(tail(impulses))
    stride = out.shape[2] // cells
    # (channels + 1, phases, cells, cells); the last one is the response to nothing: the bias.
    phases = F.pixel_unshuffle(out, stride)
    response, rest = phases[:-1] - phases[-1:], phases[-1]
    rows, cols = response.abs().amax(dim=(0, 1)).nonzero().T
    # An output cell at o reads the impulse's cell at offset middle - o.
    first = middle - int(max(rows.max(), cols.max()))
    last = middle - int(min(rows.min(), cols.min()))
    part = slice(middle - last, middle - first + 1)
    weight = response[:, :, part, part].flip(2, 3).transpose(0, 1)
    return SubPixel(weight.clone(), rest[:, middle, middle].clone(), first, stride)


def _differing_border(net: nn.Module, merged: Merged, bands: int) -> int:
    """Pixels along the edges in which `merged` differs from `net`, by experiment, in double."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(1, bands, TRIED, TRIED, dtype=torch.float64, generator=generator)
    expected = class_difference(answer_from_means(net, merged.ratio)(means))
    error = (merged(means) - expected).abs()[0, 0] > 1e-9 * expected.abs().max()
    where, side = error.nonzero(), len(error)
    return int(torch.minimum(where, side - 1 - where).amin(dim=1).max()) + 1 if len(where) else 0

"""U-Net on the first blocks of EfficientNet-Lite0, whose weights learned from ImageNet.

Of the pretrained encoders this is one that can be tiled exactly: it has no squeeze-and-excitation,
hence no pooling over the whole image, and no layer depends on its window.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geofcn.core.windows import round_up
from geofcn.models.kernels import conv_relu6
from geofcn.models.layers import CLASSES, BatchNormAnySize, DoubleConv, he_normal

# Of EfficientNet's batch normalisation.
EPSILON = 1e-3
# Numbers between the layers of a strip, see by_strips.
STRIP = 2**21
# Channels after the first convolution.
STEM = 32
# Channels on the way up.
WIDTHS = (64, 40, 24)
# Of each block on the way down: channels out, expansion, side of the kernel, stride (Liu and Tan,
# "Higher accuracy on vision models with EfficientNet-Lite", 2020; as EfficientNet-B0's, Tan and Le,
# ICML 2019).
BLOCKS = (
    (16, 1, 3, 1),
    (24, 6, 3, 2), (24, 6, 3, 1),
    (40, 6, 5, 2), (40, 6, 5, 1),
    (80, 6, 3, 2), (80, 6, 3, 1), (80, 6, 3, 1),
    (112, 6, 5, 1), (112, 6, 5, 1), (112, 6, 5, 1),
)  # fmt: skip


def by_strips(
    compute: Callable[[slice], Tensor], x: Tensor, channels: int, margin: int, enlargement: Fraction
) -> Tensor:
    """What layers make of an image, for a strip of its rows at a time where nothing is learnt.

    What is between the layers is many times as large as what goes in and comes out: of a strip it
    stays in the processor's cache.

    Parameters
    ----------
    compute : callable
        From a slice of the image's rows to what the layers make of them.
    x : (batch, ..., rows, columns) tensor
        The image.
    channels : int
        Between the layers, for each of its pixels.
    margin : int
        Rows that the layers look further, and whose strides it is a multiple of. A strip is
        computed with them, and what comes of the zeros beyond is left out; at the image's edges
        the zeros are right.
    enlargement : Fraction
        Rows that go out to one that comes in.
    """
    if torch.is_grad_enabled():
        return compute(slice(0, x.shape[2]))
    batch, _, rows, cols = x.shape
    least = 4 * max(margin, enlargement.denominator)
    step = max(least, STRIP // (batch * channels * cols) // least * least)
    parts = []
    for top in range(0, rows, step):
        bottom = min(top + step, rows)
        first, last = max(top - margin, 0), min(bottom + margin, rows)
        inside = slice(*(math.ceil((row - first) * enlargement) for row in (top, bottom)))
        parts.append(compute(slice(first, last))[:, :, inside])
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)


class ConvNorm(nn.Sequential):
    """A convolution without bias, padded to keep its size, and batch normalisation.

    Parameters
    ----------
    channels, out : int
        Channels of what comes in and of what goes out.
    size, stride, groups : int
        Of the convolution.
    """

    def __init__(self, channels: int, out: int, size: int = 1, stride: int = 1, groups: int = 1):
        super().__init__(
            nn.Conv2d(channels, out, size, stride, size // 2, groups=groups, bias=False),
            BatchNormAnySize(out, eps=EPSILON),
        )

    def activated(self, x: Tensor) -> Tensor:
        """relu6 of what the layers make of (batch, channels, rows, columns)."""
        conv, norm = self
        if isinstance(norm, nn.Identity) and isinstance(conv, nn.Conv2d):
            return conv_relu6(conv, x)
        return F.relu6(norm(conv(x)), inplace=True)


class MBConv(nn.Module):
    """Inverted residual block: more channels by a 1x1, a depthwise, fewer channels by a 1x1.

    Sandler et al., MobileNetV2, CVPR 2018; with relu6, and without squeeze-and-excitation.

    Parameters
    ----------
    channels, out : int
        Channels of what comes in and of what goes out.
    expansion : int
        How many times as many there are in between.
    size, stride : int
        Of the depthwise convolution.
    """

    def __init__(self, channels: int, out: int, expansion: int, size: int, stride: int):
        super().__init__()
        inner = channels * expansion
        self.expand = ConvNorm(channels, inner) if expansion > 1 else None
        self.depthwise = ConvNorm(inner, inner, size, stride, groups=inner)
        self.project = ConvNorm(inner, out)
        self.is_residual = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, columns) to (batch, out, rows / stride, columns / stride)."""
        conv = self.depthwise[0]
        assert isinstance(conv, nn.Conv2d)
        stride, margin = conv.stride[0], round_up(conv.kernel_size[0] // 2, conv.stride[0])
        out = by_strips(
            lambda rows: self._inner(x[:, :, rows]),
            x,
            conv.in_channels,
            margin,
            Fraction(1, stride),
        )
        return x + out if self.is_residual else out

    def _inner(self, x: Tensor) -> Tensor:
        inner = x if self.expand is None else self.expand.activated(x)
        return self.project(self.depthwise.activated(inner))


class Up(nn.Module):
    """One level up a U-Net: twice the size, joined with what was passed on, two convolutions.

    Parameters
    ----------
    below, passed, out : int
        Channels of what comes from below, of what was passed on, and of what goes out.
    """

    def __init__(self, below: int, passed: int, out: int):
        super().__init__()
        self.enlarge = nn.ConvTranspose2d(below, out, 2, stride=2)
        self.join = DoubleConv(out + passed, out)

    def forward(self, below: Tensor, passed: Tensor) -> Tensor:
        """(batch, below, rows, columns) and (batch, passed, 2 rows, 2 columns) to the latter's."""
        channels = 4 * (passed.shape[1] + self.enlarge.out_channels)  # of 2 x 2 pixels
        return by_strips(
            lambda rows: self._join(
                below[:, :, rows], passed[:, :, 2 * rows.start : 2 * rows.stop]
            ),
            below,
            channels,
            1,  # two convolutions look two rows further, which are one of `below`
            Fraction(2),
        )

    def _join(self, below: Tensor, passed: Tensor) -> Tensor:
        return self.join(torch.cat([passed, self.enlarge(below)], dim=1))


class Lite(nn.Module):
    """A U-Net whose way down is the first blocks of EfficientNet-Lite0.

    Its logits have half the image's resolution and are enlarged bilinearly. The way down starts
    from ImageNet's weights by `geofcn.models.pretrained`.

    Parameters
    ----------
    bands : int
        Bands of the image.
    upsample : str
        Not used; nets of the registry are made with the same arguments.
    divisor : int
        Of all channels: there are so many times fewer.
    contacts : bool
        Whether it tells where houses meet.
    """

    def __init__(
        self,
        bands: int = 3,
        upsample: str = "nearest",
        divisor: int = 1,
        contacts: bool = False,
    ):
        super().__init__()
        channels = [STEM // divisor, *(out // divisor for out, *_ in BLOCKS)]
        widths = [width // divisor for width in WIDTHS]
        self.stem = ConvNorm(bands, channels[0], 3, stride=2)
        self.blocks = nn.ModuleList(
            MBConv(before, out, *block)
            for (before, out), (_, *block) in zip(itertools.pairwise(channels), BLOCKS, strict=True)
        )
        # The last block of each resolution is passed on.
        strides = [stride for *_, stride in BLOCKS]
        self.passed = tuple(n - 1 for n, stride in enumerate(strides) if stride == 2)
        passed = [channels[number + 1] for number in reversed(self.passed)]
        steps = itertools.pairwise([channels[-1], *widths])
        self.up = nn.ModuleList(
            Up(below, side, out) for (below, out), side in zip(steps, passed, strict=True)
        )
        self.last = nn.Conv2d(widths[-1], CLASSES + contacts, 1)
        he_normal(self)

    @classmethod
    def sketch(cls, bands: int) -> Lite:
        """The same layers with an eighth of the channels."""
        return cls(bands, divisor=8)

    def encoder_parameters(self) -> Iterator[nn.Parameter]:
        """The weights of the way down."""
        return itertools.chain(self.stem.parameters(), self.blocks.parameters())

    def forward(self, x: Tensor) -> Tensor:
        """(batch, bands, rows, columns) to (batch, 2, rows, columns) logits."""
        x = self.stem.activated(x.contiguous(memory_format=torch.channels_last))
        passed = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.passed:
                passed.append(x)
        for up in self.up:
            x = up(x, passed.pop())
        return F.interpolate(self.last(x), scale_factor=2, mode="bilinear", align_corners=False)

"""U-Net on the first blocks of EfficientNet-Lite0, whose weights learned from ImageNet.

Of the pretrained encoders this is one that can be tiled exactly: it has no squeeze-and-excitation,
hence no pooling over the whole image, and no layer depends on its window.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geofcn.models.kernels import conv_relu6
from geofcn.models.layers import CLASSES, BatchNormAnySize, DoubleConv, he_normal

# Of EfficientNet's batch normalisation.
EPSILON = 1e-3
# Channels after the first convolution.
STEM = 32
# Of each block: channels out, expansion, side of the kernel, stride (Liu and Tan, "Higher accuracy
# on vision models with EfficientNet-Lite", 2020; as EfficientNet-B0's, Tan and Le, ICML 2019).
BLOCKS = (
    (16, 1, 3, 1),
    (24, 6, 3, 2), (24, 6, 3, 1),
    (40, 6, 5, 2), (40, 6, 5, 1),
    (80, 6, 3, 2), (80, 6, 3, 1), (80, 6, 3, 1),
    (112, 6, 5, 1), (112, 6, 5, 1), (112, 6, 5, 1),
    (192, 6, 5, 2), (192, 6, 5, 1), (192, 6, 5, 1), (192, 6, 5, 1),
)  # fmt: skip


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
        inner = x if self.expand is None else self.expand.activated(x)
        out = self.project(self.depthwise.activated(inner))
        return x + out if self.is_residual else out


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
    blocks : int
        Of the encoder.
    widths : sequence of int
        Channels on the way up.
    """

    def __init__(
        self,
        bands: int = 3,
        upsample: str = "nearest",
        blocks: int = 11,
        widths: tuple[int, ...] = (64, 40, 24),
    ):
        super().__init__()
        self.stem = ConvNorm(bands, STEM, 3, stride=2)
        channels = [STEM, *(out for out, *_ in BLOCKS)]
        self.blocks = nn.ModuleList(
            MBConv(before, *block) for before, block in zip(channels, BLOCKS[:blocks], strict=False)
        )
        # The last block of each resolution is passed on.
        strides = [stride for *_, stride in BLOCKS[:blocks]]
        self.passed = tuple(n - 1 for n, stride in enumerate(strides) if stride == 2)
        passed = [channels[number + 1] for number in reversed(self.passed)]
        steps = itertools.pairwise([channels[blocks], *widths])
        self.up = nn.ModuleList(
            Up(below, side, out) for (below, out), side in zip(steps, passed, strict=False)
        )
        self.last = nn.Conv2d(widths[-1], CLASSES, 1)
        he_normal(self)

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

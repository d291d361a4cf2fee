"""U-Net on the first blocks of EfficientNet-Lite0, whose weights learned from ImageNet.

Of the pretrained encoders this is one that can be tiled exactly: it has no squeeze-and-excitation,
hence no pooling over the whole image, and no layer depends on its window.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from geofcn.core.windows import Window, cut, round_up
from geofcn.models.kernels import conv_linear, conv_relu6, enlarge_bilinear, new_image
from geofcn.models.layers import CLASSES, BatchNormAnySize, DoubleConv, he_normal

# Of EfficientNet's batch normalisation.
EPSILON = 1e-3
# Numbers between the layers of a strip, see by_strips.
STRIP = 2**22
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


@dataclass(frozen=True)
class Reach:
    """How far layers look, and by how much they enlarge an image.

    Attributes
    ----------
    margin : int
        Rows and columns that they look further; a multiple of their stride.
    enlargement : Fraction
        Rows that go out to one that comes in.
    """

    margin: int
    enlargement: Fraction

    def source(self, wanted: Window, extent: Window) -> Window:
        """What they look at for a window of what they make of an image, `extent`.

        Examples
        --------
        >>> print(Reach(2, Fraction(1, 2)).source(Window(0, 4, 8, 8), Window(0, 0, 16, 16)))
        rows 0-15, columns 6-15
        """
        return wanted.zoom(1 / self.enlargement).grow(self.margin).intersect(extent)


def sources(reaches: Sequence[Reach], extent: Window, wanted: Window) -> list[Window]:
    """What each of some layers looks at of what goes into it, and `wanted` of what the last makes.

    Parameters
    ----------
    reaches : sequence of Reach
        Of the layers, in their order.
    extent : Window
        The whole image that goes into the first.
    wanted : Window
        A part of what the last one makes of it.
    """
    extents = itertools.accumulate(
        reaches, lambda image, reach: image.zoom(reach.enlargement), initial=extent
    )
    windows = [wanted]
    for reach, image in reversed(list(zip(reaches, extents, strict=False))):
        windows.insert(0, reach.source(windows[0], image))
    return windows


# Of the first convolution, of stride 2, and the first block; of enlargement to twice the size.
FIRST, DOUBLING = Reach(4, Fraction(1, 2)), Reach(1, Fraction(2))


def by_strips(
    compute: Callable[[Window], Tensor], x: Tensor, reach: Reach, channels: int, wanted: Window
) -> Tensor:
    """A part of what layers make of an image; by strips of its rows where nothing is learnt.

    What is between the layers is many times as large as what goes in and comes out, and is there
    for one strip only.

    Parameters
    ----------
    compute : callable
        From a window of the image to what the layers make of it. What comes of the zeros beyond
        the window is left out; at the image's edges they are right.
    x : (batch, ..., rows, columns) tensor
        The image.
    reach : Reach
        Of the layers.
    channels : int
        Between the layers, for each pixel of the image.
    wanted : Window
        The part, in what they make of the whole image.
    """
    extent = Window(0, 0, *x.shape[2:])
    step = wanted.height
    if not torch.is_grad_enabled():
        numbers = len(x) * channels * reach.source(wanted, extent).width
        least = 4 * max(reach.margin, reach.enlargement.denominator)
        step = math.ceil(max(least, STRIP // numbers) * reach.enlargement)
    whole: Tensor | None = None
    for strip in cut(wanted, step, wanted.width):
        source = reach.source(strip, extent)
        made = source.zoom(reach.enlargement)
        part = crop(compute(source), strip.relative_to(made))
        if strip == wanted:
            return part
        if whole is None:
            whole = new_image(part, *part.shape[:2], *wanted.shape)
        crop(whole, strip.relative_to(wanted)).copy_(part)
    assert whole is not None
    return whole


def crop(x: Tensor, window: Window) -> Tensor:
    """A window of (batch, channels, rows, columns), as a view."""
    return x if window.shape == x.shape[2:] else x[:, :, *window.slices]


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

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, columns) to (batch, out, rows / stride, columns / stride)."""
        conv, norm = self
        if isinstance(norm, nn.Identity) and isinstance(conv, nn.Conv2d):
            return conv_linear(conv, x)
        return norm(conv(x))

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
        self.inner = inner
        self.is_residual = stride == 1 and channels == out
        self.reach = Reach(round_up(size // 2, stride), Fraction(1, stride))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, rows, columns) to (batch, out, rows / stride, columns / stride)."""
        inner = x if self.expand is None else self.expand.activated(x)
        out = self.project(self.depthwise.activated(inner))
        return x + out if self.is_residual else out

    def within(self, x: Tensor, wanted: Window) -> Tensor:
        """A window of what `forward` gives."""
        return by_strips(lambda part: self(crop(x, part)), x, self.reach, self.inner, wanted)


class Up(nn.Module):
    """One level up a U-Net: twice the size, joined with what was passed on, two convolutions.

    Parameters
    ----------
    below, passed, out : int
        Channels of what comes from below, of what was passed on, and of what goes out.
    """

    def __init__(self, below: int, passed: int, out: int):
        super().__init__()
        # Two convolutions look two rows further, which are one of what comes from below.
        self.reach = Reach(1, Fraction(2))
        self.enlarge = nn.ConvTranspose2d(below, out, 2, stride=2)
        self.join = DoubleConv(out + passed, out)

    def forward(self, below: Tensor, passed: Tensor) -> Tensor:
        """(batch, below, rows, columns) and (batch, passed, 2 rows, 2 columns) to the latter's."""
        return self.join(torch.cat([passed, self.enlarge(below)], dim=1))

    def within(self, below: Tensor, passed: Tensor, wanted: Window) -> Tensor:
        """A window of what `forward` gives."""
        channels = 4 * (passed.shape[1] + self.enlarge.out_channels)  # of 2 x 2 pixels
        return by_strips(
            lambda part: self(crop(below, part), crop(passed, part.zoom(2))),
            below,
            self.reach,
            channels,
            wanted,
        )


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
        return self.within(x, Window(0, 0, *x.shape[2:]))

    def within(self, x: Tensor, wanted: Window) -> Tensor:
        """Logits of a window of (batch, bands, rows, columns): forward(x) there.

        Of each layer is computed what the layers after it look at.
        """
        blocks, ups = cast(list[MBConv], [*self.blocks]), cast(list[Up], [*self.up])
        down, up = [block.reach for block in blocks[1:]], [level.reach for level in ups]
        reaches = [FIRST, *down, *up, DOUBLING]
        looked_at = sources(reaches, Window(0, 0, *x.shape[2:]), wanted)
        # What the next layer looks at, in all that a layer would make of what it looks at itself.
        parts = [
            after.relative_to(before.zoom(reach.enlargement))
            for reach, (before, after) in zip(reaches, itertools.pairwise(looked_at), strict=True)
        ]
        x = self._first(crop(x, looked_at[0]), blocks[0], parts[0])
        passed = [(x, looked_at[1])]
        for number, block in enumerate(blocks[1:], 1):
            x = block.within(x, parts[number])
            if number in self.passed:
                passed.append((x, looked_at[number + 1]))
        for number, level in enumerate(ups, len(blocks)):
            side, window = passed.pop()
            side = crop(side, looked_at[number].zoom(2).relative_to(window))
            x = level.within(x, side, parts[number])
        return crop(enlarge_bilinear(self.last(x), 2), parts[-1])

    def _first(self, x: Tensor, block: MBConv, wanted: Window) -> Tensor:
        """A window of what the first convolution and the first block make of the image."""
        stem = self.stem
        return by_strips(
            lambda part: block(
                stem.activated(crop(x, part).contiguous(memory_format=torch.channels_last))
            ),
            x,
            FIRST,
            block.inner // 4,
            wanted,
        )

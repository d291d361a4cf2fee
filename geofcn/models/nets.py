"""The nets, by name: two small FCNs, two U-Nets, and the wrapper that puts them on block means.

Every net maps (batch, bands, rows, columns) float32 to (batch, 2, rows, columns) logits of
background and house, and of one with contacts to (batch, 3, ...), the last of which tells whether
houses meet there; rows and columns are multiples of its total stride.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Protocol, TypeGuard

import torch
from torch import Tensor, nn

from geofcn.core.resampling import Ratio, bilinear_sources
from geofcn.core.windows import Window
from geofcn.errors import ModelError
from geofcn.models.kernels import (
    block_mean,
    conv_relu,
    conv_relu_max_pool2,
    enlarge_bilinear,
    max_pool2,
)
from geofcn.models.layers import CLASSES, DoubleConv, he_normal
from geofcn.models.lite import Lite
from geofcn.recipes import SCALES


class FCNN(nn.Module):
    """The exercise's first net, upsampling by a fixed rule.

    conv3x3 bands-16, relu, conv3x3 16-32, relu, maxpool 2, conv3x3 32-16, relu, upsample x2,
    conv5x5 16-2; every convolution padded with zeros to keep its size.

    Parameters
    ----------
    bands : int
        Bands of the image.
    upsample : {"nearest", "bilinear"}
        How the middle of the net is brought to twice its size.
    contacts : bool
        Whether it tells where houses meet.
    """

    def __init__(self, bands: int = 3, upsample: str = "nearest", contacts: bool = False):
        super().__init__()
        self.conv1 = nn.Conv2d(bands, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.conv3 = nn.Conv2d(32, 16, 3, padding=1)
        self.upsample = self._make_upsample(upsample)
        self.conv4 = nn.Conv2d(16, CLASSES + contacts, 5, padding=2)
        he_normal(self)

    def _make_upsample(self, mode: str) -> nn.Module:
        return nn.Upsample(scale_factor=2, mode=mode)

    def features(self, x: Tensor) -> Tensor:
        """(batch, bands, rows, columns) through all layers up to the last activation.

        Returns (batch, 16, rows / 2, columns / 2).
        """
        # oneDNN's convolutions are faster with the bands innermost.
        x = x.contiguous(memory_format=torch.channels_last)
        x = conv_relu(self.conv1, x)
        x = conv_relu_max_pool2(self.conv2, x)
        return conv_relu(self.conv3, x)

    def tail(self, x: Tensor) -> Tensor:
        """What `features` gives through the layers after the last activation: a linear map."""
        return self.conv4(self.upsample(x))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, bands, rows, columns) to (batch, 2, rows, columns) logits."""
        return self.tail(self.features(x))


class FCNN2(FCNN):
    """FCNN with its upsampling learned: a transposed convolution, no activation after it.

    Weights are drawn layer by layer, the upsampling's between those of conv3 and conv4.

    Parameters
    ----------
    bands : int
        Bands of the image.
    upsample : str
        Not used; nets of the registry are made with the same arguments.
    contacts : bool
        Whether it tells where houses meet.
    """

    def _make_upsample(self, mode: str) -> nn.Module:
        return nn.ConvTranspose2d(16, 16, 3, stride=2, padding=1, output_padding=1)


class UNet(nn.Module):
    """A small U-Net: four levels of 16 to 128 channels, reaching at most 48 pixels around each.

    Ronneberger et al., U-Net, MICCAI 2015, with padded convolutions. Batch normalisation uses the
    statistics of the training once that is over, so that an answer depends on its window alone.

    Parameters
    ----------
    bands : int
        Bands of the image.
    upsample : str
        Not used; nets of the registry are made with the same arguments.
    width : int
        Channels of the first level; each further one has twice as many.
    levels : int
        Resolutions, each half of the one before.
    contacts : bool
        Whether it tells where houses meet.
    """

    def __init__(
        self,
        bands: int = 3,
        upsample: str = "nearest",
        width: int = 16,
        levels: int = 4,
        contacts: bool = False,
    ):
        super().__init__()
        channels = [width * 2**level for level in range(levels)]
        steps = list(itertools.pairwise(channels))
        self.first = DoubleConv(bands, width)
        self.down = nn.ModuleList(DoubleConv(above, below) for above, below in steps)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(below, above, 2, stride=2) for above, below in steps
        )
        self.join = nn.ModuleList(DoubleConv(2 * above, above) for above, _ in steps)
        self.last = nn.Conv2d(width, CLASSES + contacts, 1)
        he_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, bands, rows, columns) to (batch, 2, rows, columns) logits."""
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        passed = []
        for down in self.down:
            passed.append(x)
            x = down(max_pool2(x))
        for up, join in zip(reversed(self.up), reversed(self.join), strict=True):
            x = join(torch.cat([passed.pop(), up(x)], dim=1))
        return self.last(x)


class Scaled(nn.Module):
    """A net on block means: k x k means in front, bilinear upsampling of the logits behind.

    Attributes
    ----------
    net : Module
        (batch, bands, rows, columns) to (batch, 2, rows, columns), of means.
    scale : int
        Side of a block, in pixels of the image.
    """

    def __init__(self, net: nn.Module, scale: int):
        super().__init__()
        self.net = net
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """(batch, bands, rows, columns) to (batch, 2, rows, columns) logits."""
        return upsample_logits(self.net(block_mean(x, self.scale)), Ratio(self.scale))


def upsample_logits(logits: Tensor, ratio: Ratio) -> Tensor:
    """(batch, n, rows, columns) to p / q times as many rows and columns, bilinear.

    Rows and columns are multiples of q. Of a power of 2 torch computes the weights without
    rounding; else they would depend on where in the image a pixel lies.
    """
    if ratio == Ratio(1):
        return logits
    if ratio.number in SCALES:
        return enlarge_bilinear(logits, ratio.p)
    logits = logits.contiguous()
    # Columns, which are slower to pick, while there are few rows.
    for axis in (3, 2):
        lower, upper, share = (
            torch.from_numpy(array).to(logits.device)
            for array in bilinear_sources(ratio, logits.shape[axis])
        )
        shares = share.to(logits.dtype).reshape(-1, *[1] * (3 - axis))
        logits = torch.lerp(
            logits.index_select(axis, lower), logits.index_select(axis, upper), shares
        )
    return logits


def without_scaling(net: nn.Module) -> nn.Module:
    """The net that sees block means, without what makes them and enlarges the logits."""
    return net.net if isinstance(net, Scaled) else net


def native_ratio(net: nn.Module) -> Ratio:
    """How many pixels of its image a pixel is wide that the net sees."""
    return Ratio(net.scale if isinstance(net, Scaled) else 1)


def answer_from_means(net: nn.Module, ratio: Ratio) -> Callable[[Tensor], Tensor]:
    """The net as a function of the means it sees, each of p / q pixels a side.

    (batch, bands, rows, columns) to (batch, 2, rows p / q, columns p / q) logits.
    """
    inner = without_scaling(net)
    return lambda means: upsample_logits(inner(means), ratio)


class PartialNet(Protocol):
    """A net that computes a part of its logits without what the part does not depend on."""

    def within(self, x: Tensor, wanted: Window) -> Tensor:
        """net(x)[:, :, *wanted.slices]."""
        ...


def logits_within(net: nn.Module, means: Tensor, wanted: Window) -> Tensor:
    """Logits of a window of the means that a net sees; what else is computed is up to the net."""
    if _is_partial(net):
        return net.within(means, wanted)
    return net(means)[:, :, *wanted.slices]


def _is_partial(net: nn.Module) -> TypeGuard[PartialNet]:
    return hasattr(net, "within")


def class_difference(logits: Tensor) -> Tensor:
    """(batch, 2 or 3, rows, columns) logits to (batch, 1, ...), house minus background.

    Its sigmoid is the softmax's probability of a house.

    Examples
    --------
    >>> class_difference(torch.tensor([[[[1.0]], [[3.5]]]]))
    tensor([[[[2.5000]]]])
    """
    return logits[:, 1:CLASSES] - logits[:, :1]


def decisions(logits: Tensor) -> Tensor:
    """Logits of what is decided for a pixel: that it is a house and, if the net tells, a contact.

    Parameters
    ----------
    logits : (batch, 2 or 3, rows, columns) tensor

    Returns
    -------
    (batch, 1 or 2, rows, columns) tensor
        Their sigmoids are the probabilities.
    """
    difference = class_difference(logits)
    if logits.shape[1] == CLASSES:
        return difference
    return torch.cat([difference, logits[:, CLASSES:]], dim=1)


# By the names in recipes.NETS, from which the command line offers them without importing torch.
REGISTRY: dict[str, Callable[..., nn.Module]] = {
    "lite": Lite,
    "unet": UNet,
    "fcnn": FCNN,
    "fcnn2": FCNN2,
}


def make_net(
    name: str, bands: int, scale: int = 1, upsample: str = "nearest", contacts: bool = False
) -> nn.Module:
    """A net of the registry, with weights drawn from torch's random state.

    Parameters
    ----------
    name : {"lite", "unet", "fcnn", "fcnn2"}
        Its name in REGISTRY.
    bands : int
        Bands of the image.
    scale : int
        The net works on means of `scale` x `scale` pixels, see Scaled; 1: on the pixels.
    upsample : {"nearest", "bilinear"}
        Used by nets that upsample by a fixed rule.
    contacts : bool
        Whether the net tells where houses meet.

    Returns
    -------
    Module
        (batch, bands, rows, columns) float32 to (batch, 2, rows, columns) logits; with contacts, 3.

    Raises
    ------
    ModelError
        For an unknown name.
    """
    if name not in REGISTRY:
        raise ModelError(f"net {name}: there is none; choose one of {', '.join(REGISTRY)}.")
    # Nets need not tell of contacts: those that do are asked for them by a word of their own.
    options = {"contacts": True} if contacts else {}
    net = REGISTRY[name](bands=bands, upsample=upsample, **options)
    return net if scale == 1 else Scaled(net, scale)


def make_sketch(name: str, bands: int, upsample: str = "nearest") -> nn.Module:
    """A net that looks as far as one of the registry at scale 1, and commutes with its shifts.

    It has the same layers, but fewer channels where many take long to probe.

    Parameters
    ----------
    name, bands, upsample
        As for `make_net`.
    """
    if name == "lite":
        return Lite.sketch(bands)
    return make_net(name, bands, upsample=upsample)

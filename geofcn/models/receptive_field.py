"""Receptive field and total stride of a net, found out by experiment: what exact tiling must know.

How far a net looks, and which shifts it commutes with, is probed from the net itself: any module
that maps (batch, bands, rows, columns) to (batch, 2, rows, columns).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from geofcn.core.resampling import Ratio
from geofcn.core.windows import round_up
from geofcn.errors import ModelError

# The largest stride that is tried; a net must look less far than this many pixels.
MAX_STRIDE = 64
MAX_REACH = 1024


@dataclass(frozen=True)
class Geometry:
    """Total stride and halo of a net, in pixels of the scene.

    Attributes
    ----------
    stride : int
        Windows must start on multiples of it and have multiples of it as sides; a power of 2
        where it was probed.
    halo : int
        Pixels to read around an aligned window; a multiple of `stride`.
    reach : int
        Pixels that the net looks further than a window; at most the halo, which it is where 0.

    Examples
    --------
    >>> Geometry(stride=2, halo=8).resampled(Ratio(7, 4))
    Geometry(stride=7, halo=21)
    """

    stride: int
    halo: int
    reach: int = field(default=0, repr=False, compare=False)

    def resampled(self, ratio: Ratio) -> Geometry:
        """That of a net which is shown a scene by a ratio, in pixels of that scene.

        Bilinear enlargement of the logits looks one net pixel further than the net.
        """
        stride = math.lcm(self.stride, ratio.q)
        halo = round_up((self.reach or self.halo) + 1, stride)
        return Geometry(ratio.to_scene(stride), ratio.to_scene(halo))


def probe(net: nn.Module, bands: int) -> Geometry:
    """Find a net's total stride and halo by experiment, for any net that has them.

    Parameters
    ----------
    net : Module
        Maps (batch, bands, rows, columns) to (batch, 2, rows, columns); a copy is tried.
    bands : int
        Bands of its image.

    Raises
    ------
    ModelError
        When a net looks further than 1,000 pixels or commutes with no shift: a layer that depends
        on its whole window (global pooling, instance statistics) cannot be tiled exactly.

    Notes
    -----
    The stride is the least power of 2 by which sides can grow and by which shifting the input
    shifts the output. The halo follows from which outputs turn NaN when one half of the input is
    NaN: NaN passes every layer that reads it. Weights are drawn anew, in double, so that the answer
    depends on the architecture alone. Both axes are tried; the larger answer holds.

    Examples
    --------
    >>> probe(nn.Conv2d(3, 2, 5, padding=2), bands=3)
    Geometry(stride=1, halo=2)
    """
    net = copy.deepcopy(net).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_(generator=generator)
    across = _least_side(net, bands)
    rows, cols = (_probe_axis(partial(_run_along, net, bands, axis, across)) for axis in (0, 1))
    stride, reach = max(rows.stride, cols.stride), max(rows.reach, cols.reach)
    return Geometry(stride, round_up(reach, stride), reach)


def _least_side(net: nn.Module, bands: int) -> int:
    """The least power of 2 from 8 up that the net takes for a side: its lines are quickly run."""
    for side in (8, 16, 32):
        with torch.inference_mode(), suppress(RuntimeError):
            image = torch.ones(1, bands, MAX_STRIDE, side, dtype=torch.float64)
            if net(image).shape[2:] == net(image.mT).mT.shape[2:] == image.shape[2:]:
                return side
    return MAX_STRIDE


def _run_along(net: nn.Module, bands: int, axis: int, across: int, line: Tensor) -> Tensor:
    """Logits of an image that varies as `line` along one axis: (length,) -> (2, length, across).

    The length comes out otherwise where the net does not keep it.
    """
    texture = torch.linspace(0.5, 1.5, bands * across, dtype=torch.float64)
    image = line[:, None] * texture.reshape(bands, 1, across)
    with torch.inference_mode():
        if axis == 0:
            return net(image[None])[0]
        return net(image.mT.contiguous()[None])[0].mT


def _probe_axis(run: Callable[[Tensor], Tensor]) -> Geometry:
    reach = max(_reach(run, leading) for leading in (True, False))
    for stride in (2**n for n in range(MAX_STRIDE.bit_length())):
        halo = round_up(reach, stride)
        if reach < MAX_REACH and _commutes(run, stride, halo):
            return Geometry(stride, halo, reach)
    raise ModelError(
        "this net cannot be tiled exactly: it looks further than 1,000 pixels, a layer depends on "
        f"the whole window, or its stride is no power of 2 up to {MAX_STRIDE}; use layers of "
        "bounded reach."
    )


def _reach(run: Callable[[Tensor], Tensor], leading: bool) -> int:
    """How far beyond the middle of a line lie outputs that read its leading (or trailing) half.

    A whole half is NaN, for a dilated layer may jump over a few pixels. MAX_REACH: it may be more.
    """
    line = torch.ones(2 * MAX_REACH, dtype=torch.float64)
    line[slice(None, MAX_REACH) if leading else slice(MAX_REACH, None)] = torch.nan
    touched = run(line).isnan().any(dim=2).any(dim=0)
    beyond = touched[MAX_REACH:] if leading else touched[:MAX_REACH].flip(0)
    return int(beyond.nonzero().max()) + 1 if beyond.any() else 0


def _commutes(run: Callable[[Tensor], Tensor], stride: int, halo: int) -> bool:
    """Whether the output follows when the input is longer by, and shifted by, `stride` pixels."""
    margin = halo + stride
    length = round_up(4 * margin, MAX_STRIDE)
    generator = torch.Generator().manual_seed(1)
    line = torch.randn(length + stride, dtype=torch.float64, generator=generator)
    try:
        whole, shifted = run(line), run(line[stride:])
    except RuntimeError:  # the parts of a net with skip connections do not fit each other
        return False
    if whole.shape[1] != length + stride or shifted.shape[1] != length:
        return False
    expected = whole[:, margin + stride : length - margin]
    return torch.allclose(shifted[:, margin : length - margin - stride], expected, rtol=1e-9)

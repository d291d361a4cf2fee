"""geofcn.models.receptive_field: strides and halos that are right and tight."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from geofcn.core.windows import Window, blocks, round_up, tile_at
from geofcn.errors import ModelError
from geofcn.models.lite import Lite
from geofcn.models.model import net_geometry
from geofcn.models.nets import Scaled, make_net
from geofcn.models.receptive_field import Geometry, probe


def conv(inputs: int, outputs: int, size: int = 3, **options) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, padding="same", **options)


class UNet(nn.Module):
    """Two levels, skip connections, batch norm: total stride 4."""

    def __init__(self, bands: int):
        super().__init__()
        self.top, self.middle, self.bottom = conv(bands, 3), conv(3, 4), conv(4, 4)
        self.norm = nn.BatchNorm2d(4)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.join, self.head = conv(8, 3), conv(6, 2, 1)

    def forward(self, x):
        high = F.relu(self.top(x))
        low = F.relu(self.norm(self.middle(F.max_pool2d(high, 2))))
        lowest = F.relu(self.bottom(F.max_pool2d(low, 2)))
        low = F.relu(self.join(torch.cat([low, self.up(lowest)], 1)))
        return self.head(torch.cat([high, F.interpolate(low, scale_factor=2)], 1))


def dilated(bands: int, *rates: int) -> nn.Sequential:
    layers = [conv(4 if i else bands, 4, dilation=rate) for i, rate in enumerate(rates)]
    return nn.Sequential(*layers, conv(4, 2, 1))


def wide_not_high(bands: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(bands, 2, (1, 9), padding=(0, 4)))


def looks_one_way(bands: int) -> nn.Sequential:
    """Each output reads itself and five pixels to its left, none to its right."""
    return nn.Sequential(nn.ZeroPad2d((5, 0, 0, 0)), nn.Conv2d(bands, 2, (1, 6)))


NETS = {
    "fcnn": (lambda: make_net("fcnn", 2), Geometry(2, 6)),
    "fcnn bilinear": (lambda: make_net("fcnn", 2, upsample="bilinear"), Geometry(2, 8)),
    "fcnn2": (lambda: make_net("fcnn2", 2), Geometry(2, 8)),
    "fcnn at 2": (lambda: make_net("fcnn", 2, 2), Geometry(4, 16)),
    "fcnn2 at 2": (lambda: make_net("fcnn2", 2, 2), Geometry(4, 16)),
    "fcnn2 at 4": (lambda: make_net("fcnn2", 2, 4), Geometry(8, 32)),
    "1x1": (lambda: conv(2, 2, 1), Geometry(1, 0)),
    "dilated": (lambda: dilated(2, 1, 2, 4), Geometry(1, 7)),
    "dilated with gaps": (lambda: dilated(2, 40), Geometry(1, 40)),
    "u-net": (lambda: UNet(2), Geometry(4, 12)),
    "u-net at 2": (lambda: Scaled(UNet(2), 2), Geometry(8, 24)),
    "unet": (lambda: make_net("unet", 2), Geometry(8, 48)),
    "lite": (lambda: Lite.sketch(2), Geometry(16, 208)),
    "wide": (lambda: wide_not_high(2), Geometry(1, 4)),
    "one way": (lambda: looks_one_way(2), Geometry(1, 5)),
}


def randomised(net: nn.Module) -> nn.Module:
    """In double, with weights that hide nothing (a fresh batch norm would be the identity)."""
    generator = torch.Generator().manual_seed(3)
    net = net.double().eval()
    with torch.no_grad():
        for tensor in [*net.parameters(), *(b for b in net.buffers() if b.is_floating_point())]:
            tensor.copy_(torch.rand(tensor.shape, generator=generator) - 0.3)
        for name, tensor in net.named_buffers():
            if name.endswith("running_var"):
                tensor.add_(1)
    return net


def by_tiles(net: nn.Module, image: torch.Tensor, size: int, halo: int) -> torch.Tensor:
    height, width = image.shape[2:]
    out = torch.full((2, height, width), torch.nan, dtype=torch.float64)
    for write in blocks(Window(0, 0, height, width), size):
        tile = tile_at(write, halo, height, width)
        part = net(image[:, :, *tile.read.slices])[0]
        out[:, *write.slices] = part[:, *tile.crop.slices]
    return out


@pytest.mark.parametrize("name", NETS)
def test_a_nets_probed_geometry_is_right_and_tight(name):
    make, expected = NETS[name]
    net = randomised(make())
    geometry = probe(net, 2)
    assert geometry == expected
    stride, halo = geometry.stride, geometry.halo
    generator = torch.Generator().manual_seed(4)
    # A net that looks far is given few tiles, for each is read with its halo.
    size = max(stride, 16) if halo < 100 else halo
    height, width = 2 * size + 2 * halo + stride, 3 * size + halo + 2 * stride
    height, width = round_up(height, stride), round_up(width, stride)
    image = torch.rand((1, 2, height, width), dtype=torch.float64, generator=generator)
    with torch.inference_mode():
        whole = net(image)[0]
        assert torch.allclose(by_tiles(net, image, size, halo), whole, rtol=1e-10, atol=1e-12)
        if halo and name != "lite":  # whose relu6 hides the farthest pixels from all but NaN
            smaller = by_tiles(net, image, size, halo - stride)
            assert not torch.allclose(smaller, whole, rtol=1e-6), (
                "the halo is no larger than needed"
            )


@pytest.mark.parametrize("name", ["fcnn", "fcnn2", "unet", "lite"])
def test_a_sketch_looks_as_far_as_its_net_and_a_scaled_net_as_far_as_is_composed(name):
    for scale in (1,) if name == "lite" else (1, 2, 4):
        assert net_geometry(name, 3, scale, "nearest") == probe(make_net(name, 3, scale), 3)


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_the_stride_of_a_scaled_net_is_twice_its_scale(scale):
    assert probe(make_net("fcnn2", 3, scale), 3) == Geometry(2 * scale, 8 * scale)


@pytest.mark.parametrize("rates", [(100,), (256, 240), (300, 300), (999,)])
def test_a_reach_with_gaps_longer_than_a_tile_is_seen(rates):
    # Once probed as halo 0: the far taps fell outside of every line that was tried.
    assert probe(dilated(1, *rates), 1) == Geometry(1, sum(rates))


class AddsItsMean(nn.Module):
    def forward(self, x):
        return x + x.mean(dim=(2, 3), keepdim=True)


class Gated(nn.Module):
    """Squeeze and excitation: weighed by a global maximum."""

    def forward(self, x):
        return x * torch.sigmoid(F.adaptive_max_pool2d(x, 1))


class KnowsItsPlace(nn.Module):
    def forward(self, x):
        return x + torch.arange(x.shape[2], dtype=x.dtype)[:, None]


class PoolsByThree(nn.Module):
    def forward(self, x):
        return F.interpolate(F.max_pool2d(x, 3, ceil_mode=True), size=x.shape[2:])


@pytest.mark.parametrize(
    "layer",
    [
        AddsItsMean(),
        Gated(),
        KnowsItsPlace(),
        PoolsByThree(),
        nn.InstanceNorm2d(2),
        nn.GroupNorm(1, 2),
        nn.Conv2d(2, 2, 3),  # without padding: the sides shrink
        conv(2, 2, dilation=1100),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_net_that_cannot_be_tiled_exactly_is_refused(layer):
    with pytest.raises(ModelError, match="cannot be tiled exactly"):
        probe(nn.Sequential(conv(1, 2), layer), 1)


def test_a_global_layer_along_one_axis_is_refused_too():
    class RowMean(nn.Module):
        def forward(self, x):
            return x + x.mean(dim=3, keepdim=True)

    with pytest.raises(ModelError):
        probe(nn.Sequential(conv(1, 2), RowMean()), 1)


def test_a_net_of_one_pixel_looks_nowhere_else():
    assert probe(nn.Conv2d(1, 2, 1), 1) == Geometry(stride=1, halo=0)


def test_weights_do_not_matter():
    net = make_net("fcnn", 1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
    assert probe(net, 1) == Geometry(2, 6)


def test_probing_changes_neither_the_net_nor_the_random_state():
    net = make_net("fcnn2", 3).train()
    before, state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    probe(net, 3)
    assert net.training and net.conv1.weight.dtype == torch.float32
    assert all(torch.equal(before[k], v) for k, v in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)

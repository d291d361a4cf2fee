"""geofcn.models.lite: a U-Net on EfficientNet-Lite0's first blocks."""

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

from geofcn.core.windows import Window
from geofcn.models import lite
from geofcn.models.lite import BLOCKS, ConvNorm, Lite, MBConv, Reach, Up, by_strips, sources
from geofcn.models.merged import fold_batch_norm


def shaken(net: torch.nn.Module) -> torch.nn.Module:
    """`net` with batch statistics as a training leaves them."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                tensor.data = torch.rand_like(tensor) + 0.2
    return net.eval()


def test_the_net_keeps_the_size_and_is_small():
    net = shaken(Lite(4))
    with torch.inference_mode():
        assert net(torch.randn(2, 4, 48, 32)).shape == (2, 2, 48, 32)
    assert sum(p.numel() for p in net.parameters()) < 1_000_000


def test_its_way_down_has_a_sixteenth_of_the_resolution():
    net = Lite().eval()
    with torch.inference_mode():
        x = net.stem.activated(torch.randn(1, 3, 64, 32))
        for block in net.blocks:
            x = block(x)
    assert x.shape == (1, 112, 4, 2)
    assert net.passed == (0, 2, 4)


def test_its_blocks_are_as_wide_as_efficientnets():
    assert [block.project[0].out_channels for block in Lite(1).blocks] == [
        out for out, *_ in BLOCKS
    ]


def test_a_tile_as_small_as_its_stride_can_be_learnt_from():
    assert Lite().train()(torch.randn(1, 3, 16, 16)).isfinite().all()


@pytest.mark.parametrize(("channels", "stride"), [(8, 1), (8, 2), (6, 1)])
def test_an_inverted_residual_is_expand_depthwise_project(channels, stride):
    block = shaken(MBConv(channels, 8, 3, 5, stride))
    x = torch.randn(2, channels, 8, 10)
    y = F.relu6(block.expand[1](block.expand[0](x)))
    y = F.relu6(block.depthwise[1](block.depthwise[0](y)))
    y = block.project[1](block.project[0](y))
    torch.testing.assert_close(block(x), x + y if (channels, stride) == (8, 1) else y)


def test_a_block_without_expansion_begins_with_its_depthwise():
    block = MBConv(8, 4, 1, 3, 1)
    assert block.expand is None
    assert block.depthwise[0].groups == 8


@pytest.mark.parametrize("strip", [1, 2**10, 2**13])
def test_strips_give_the_same_however_many_rows_they_have(strip, monkeypatch):
    torch.manual_seed(4)
    net, x = shaken(Lite()), torch.randn(2, 3, 112, 32)
    with torch.inference_mode():
        whole = net(x)
    with torch.enable_grad():
        torch.testing.assert_close(net(x), whole, rtol=1e-4, atol=1e-4)
    monkeypatch.setattr(lite, "STRIP", strip)
    with torch.inference_mode():
        torch.testing.assert_close(net(x), whole, rtol=1e-4, atol=1e-4)


def test_a_strip_is_computed_with_its_margin_and_cut_to_its_rows(monkeypatch):
    monkeypatch.setattr(lite, "STRIP", 1)
    x, asked = torch.arange(200.0).reshape(1, 1, 20, 10), []

    def take(part):
        asked.append(part)
        return lite.crop(x, part)[:, :, ::2, ::2]

    wanted = Window(1, 2, 7, 2)
    with torch.inference_mode():
        out = by_strips(take, x, Reach(2, Fraction(1, 2)), 1, wanted)
    assert asked == [Window(0, 2, 12, 8), Window(8, 2, 10, 8)]
    assert out[0, 0].tolist() == [[20 * row + 4, 20 * row + 6] for row in range(1, 8)]
    assert by_strips(take, x, Reach(2, Fraction(1, 2)), 1, wanted).equal(out)
    assert asked[2:] == [Window(0, 2, 18, 8)], "all at once where something is learnt"


def test_layers_look_at_what_the_ones_after_them_do_and_at_their_own_margin():
    halving, doubling = Reach(2, Fraction(1, 2)), Reach(1, Fraction(2))
    wanted = Window(8, 0, 4, 4)
    windows = sources([halving, doubling], Window(0, 0, 32, 16), wanted)
    assert windows == [Window(4, 0, 12, 8), Window(3, 0, 4, 3), wanted]


@pytest.mark.parametrize(
    "wanted",
    [Window(0, 0, 256, 96), Window(211, 0, 45, 20), Window(33, 47, 101, 32), Window(95, 64, 1, 1)],
)
def test_a_part_of_the_logits_is_that_of_all(wanted):
    torch.manual_seed(5)
    net, x = shaken(Lite(3, divisor=4)).double(), torch.randn(1, 3, 256, 96, dtype=torch.float64)
    with torch.inference_mode():
        whole, part = net(x), net.within(x, wanted)
    assert whole.std() > 0.01
    torch.testing.assert_close(part, whole[:, :, *wanted.slices])


def test_strips_stay_on_the_device_of_the_image(monkeypatch):
    monkeypatch.setattr(lite, "STRIP", 1)
    with torch.inference_mode():
        logits = Lite(3, divisor=8).eval().to("meta")(torch.empty(1, 3, 128, 64, device="meta"))
    assert logits.device.type == "meta" and logits.shape == (1, 2, 128, 64)


def test_of_a_part_little_more_is_computed_on_the_way_up(monkeypatch):
    net, sizes = Lite(3, divisor=8).eval(), []
    for up in net.up:
        up.register_forward_hook(lambda *args: sizes.append(tuple(args[2].shape[2:])))
    with torch.inference_mode():
        net.within(torch.randn(1, 3, 512, 512), Window(224, 224, 64, 64))
    # Rows 111-144 of the logits at half the size, of 54-73 below, of 26-37, of 12-19.
    assert sizes == [(16, 16), (24, 24), (40, 40)]


def test_activations_end_at_six():
    layer = shaken(ConvNorm(1, 1))
    x = torch.tensor([-1e3, 1e3]).reshape(1, 1, 1, 2)
    with torch.inference_mode():
        values = layer.activated(x) if layer[0].weight > 0 else layer.activated(-x)
    assert values.flatten().tolist() == [0, 6]


def test_a_step_up_is_the_enlarged_beside_what_was_passed_on():
    up = shaken(Up(3, 2, 4))
    below, passed = torch.randn(1, 3, 2, 3), torch.randn(1, 2, 4, 6)
    expected = up.join(torch.cat([passed, up.enlarge(below)], dim=1))
    torch.testing.assert_close(up(below, passed), expected)
    assert expected.shape == (1, 4, 4, 6)


def test_folded_normalisation_gives_the_same():
    torch.manual_seed(3)
    net = shaken(Lite())
    folded = fold_batch_norm(net)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    x = torch.randn(1, 3, 64, 48)
    with torch.inference_mode():
        expected, found = net(x), folded(x)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())

"""geofcn.models.nets: the nets' layers, their weights, and the registry."""

import pytest
import torch
import torch.nn.functional as F

from geofcn.core.resampling import Ratio
from geofcn.errors import ModelError
from geofcn.models.nets import (
    FCNN,
    FCNN2,
    REGISTRY,
    Scaled,
    UNet,
    answer_from_means,
    class_difference,
    decisions,
    make_net,
    upsample_logits,
    without_scaling,
)
from geofcn.recipes import NETS, UPSAMPLES

# --- the exercise's nets, layer by layer ---


@pytest.mark.parametrize("bands", [1, 3, 4])
def test_fcnn_has_the_exercises_layers(bands):
    shapes = {name: tuple(p.shape) for name, p in FCNN(bands).named_parameters()}
    assert shapes == {
        "conv1.weight": (16, bands, 3, 3),
        "conv1.bias": (16,),
        "conv2.weight": (32, 16, 3, 3),
        "conv2.bias": (32,),
        "conv3.weight": (16, 32, 3, 3),
        "conv3.bias": (16,),
        "conv4.weight": (2, 16, 5, 5),
        "conv4.bias": (2,),
    }


def test_fcnn2_has_a_learned_upsampling_besides():
    shapes = {name: tuple(p.shape) for name, p in FCNN2(3).named_parameters()}
    assert shapes.pop("upsample.weight") == (16, 16, 3, 3)
    assert shapes.pop("upsample.bias") == (16,)
    assert shapes == {name: tuple(p.shape) for name, p in FCNN(3).named_parameters()}


@pytest.mark.parametrize(("name", "count"), [("fcnn", 10_514), ("fcnn2", 12_834)])
def test_parameters_are_as_many_as_the_exercises(name, count):
    # 3x3: 448 + 4,640 + 4,624; 5x5: 802; transposed: 2,320.
    assert sum(p.numel() for p in make_net(name, 3).parameters()) == count


@pytest.mark.parametrize(
    ("name", "mode"), [("fcnn", "nearest"), ("fcnn", "bilinear"), ("fcnn2", "")]
)
def test_the_forward_pass_is_the_exercises(name, mode):
    net = make_net(name, 3, upsample=mode or "nearest")
    x = torch.randn(2, 3, 12, 18)
    p = net.state_dict()
    with torch.no_grad():
        y = F.relu(F.conv2d(x, p["conv1.weight"], p["conv1.bias"], padding=1))
        y = F.relu(F.conv2d(y, p["conv2.weight"], p["conv2.bias"], padding=1))
        y = F.max_pool2d(y, 2)
        y = F.relu(F.conv2d(y, p["conv3.weight"], p["conv3.bias"], padding=1))
        if mode:
            options = {"align_corners": False} if mode == "bilinear" else {}
            y = F.interpolate(y, scale_factor=2, mode=mode, **options)
        else:
            y = F.conv_transpose2d(
                y, p["upsample.weight"], p["upsample.bias"], stride=2, padding=1, output_padding=1
            )
        y = F.conv2d(y, p["conv4.weight"], p["conv4.bias"], padding=2)
        out = net(x.clone())
    assert out.shape == (2, 2, 12, 18)
    torch.testing.assert_close(out, y)


@pytest.mark.parametrize("name", ["fcnn", "fcnn2"])
def test_weights_are_he_normal_and_biases_torchs_own(name):
    torch.manual_seed(0)
    nets = [make_net(name, 3) for _ in range(8)]
    # fan in: inputs x kernel; a transposed convolution has as many in as out here.
    fans = {"conv1": 27, "conv2": 144, "conv3": 288, "conv4": 400}
    if name == "fcnn2":
        fans["upsample"] = 144
    for layer, fan in fans.items():
        weights = torch.cat([getattr(net, layer).weight.detach().flatten() for net in nets])
        deviation = (2 / fan) ** 0.5
        assert weights.std().item() == pytest.approx(deviation, rel=0.06)
        assert abs(weights.mean().item()) < 0.06 * deviation
        assert weights.abs().max() > 2.5 * deviation, "normal, not uniform"
        biases = torch.cat([getattr(net, layer).bias.detach() for net in nets])
        assert 0 < biases.abs().max() <= fan**-0.5


def test_the_same_seed_gives_the_same_weights():
    states = []
    for _ in range(2):
        torch.manual_seed(1984)
        states.append(make_net("fcnn2", 3).state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_fcnn2_draws_its_weights_in_the_order_of_its_layers():
    """Biases (and weights that are drawn again) layer by layer, then He's weights likewise."""
    torch.manual_seed(7)
    net = FCNN2(3)
    after = torch.get_rng_state()
    torch.manual_seed(7)
    layers = {
        "conv1": torch.nn.Conv2d(3, 16, 3),
        "conv2": torch.nn.Conv2d(16, 32, 3),
        "conv3": torch.nn.Conv2d(32, 16, 3),
        "upsample": torch.nn.ConvTranspose2d(16, 16, 3),
        "conv4": torch.nn.Conv2d(16, 2, 5),
    }
    for layer in layers.values():
        torch.nn.init.kaiming_normal_(layer.weight)
    assert torch.equal(torch.get_rng_state(), after)
    expected = {
        f"{name}.{part}": tensor
        for name, layer in layers.items()
        for part, tensor in layer.state_dict().items()
    }
    weights = net.state_dict()
    assert list(weights) == list(expected)
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


def test_scale_is_block_means_in_front_and_bilinear_behind():
    net = make_net("fcnn", 1, 2)
    assert isinstance(net, Scaled)
    x = torch.arange(64, dtype=torch.float32).reshape(1, 1, 8, 8)
    means = x.reshape(1, 1, 4, 2, 4, 2).mean(dim=(3, 5))
    with torch.no_grad():
        logits = net.net(means)
        expected = F.interpolate(logits, size=(8, 8), mode="bilinear", align_corners=False)
        torch.testing.assert_close(net(x), expected)


@pytest.mark.parametrize("scale", [1, 4])
def test_the_answer_from_means_is_that_of_the_image(scale):
    net = make_net("fcnn2", 2, scale)
    image = torch.randn(1, 2, 8 * scale, 4 * scale)
    means = image.reshape(1, 2, 8, scale, 4, scale).mean(dim=(3, 5))
    with torch.no_grad():
        torch.testing.assert_close(answer_from_means(net, Ratio(scale))(means), net(image))
        expected = upsample_logits(without_scaling(net)(means), Ratio(scale))
        torch.testing.assert_close(net(image), expected)


def test_the_net_without_its_scaling_is_the_same_object():
    inner = FCNN()
    assert without_scaling(Scaled(inner, 2)) is inner
    assert without_scaling(inner) is inner


def test_upsampled_logits_by_hand():
    logits = torch.tensor([[[[0.0, 4.0]]]])
    assert upsample_logits(logits, Ratio(1)) is logits
    assert upsample_logits(logits, Ratio(2))[0, 0].tolist() == [[0, 1, 3, 4]] * 2
    assert upsample_logits(logits, Ratio(1, 2)).tolist() == [[[[2]]]]


@pytest.mark.parametrize("ratio", [Ratio(3), Ratio(16), Ratio(3, 2), Ratio(15, 8), Ratio(5, 8)])
def test_upsampled_logits_are_those_of_torch(ratio):
    logits = torch.randn(1, 2, 3 * ratio.q, 5 * ratio.q, dtype=torch.float64)
    size = 3 * ratio.p, 5 * ratio.p
    expected = F.interpolate(logits, size=size, mode="bilinear", align_corners=False)
    torch.testing.assert_close(upsample_logits(logits, ratio), expected, atol=1e-6, rtol=0)
    channels_last = logits.float().to(memory_format=torch.channels_last)
    torch.testing.assert_close(
        upsample_logits(channels_last, ratio), expected.float(), atol=1e-5, rtol=0
    )


def test_the_sigmoid_of_the_difference_is_the_softmax():
    logits = torch.randn(2, 2, 5, 7)
    probability = torch.sigmoid(class_difference(logits))
    torch.testing.assert_close(probability, torch.softmax(logits, dim=1)[:, 1:])


# --- the registry ---


def test_the_registry_holds_the_nets_that_recipes_and_the_command_line_offer():
    assert tuple(REGISTRY) == NETS


@pytest.mark.parametrize("upsample", UPSAMPLES)
@pytest.mark.parametrize("name", NETS)
def test_every_net_keeps_the_size_and_has_two_classes(name, upsample):
    net = make_net(name, 4, upsample=upsample)
    with torch.inference_mode():
        assert net(torch.zeros(2, 4, 16, 32)).shape == (2, 2, 16, 32)


@pytest.mark.parametrize("name", NETS)
def test_a_net_that_tells_where_houses_meet_has_one_output_more(name):
    torch.manual_seed(0)
    net = make_net(name, 3, 2, contacts=True).eval()
    with torch.inference_mode():
        logits = net(torch.randn(1, 3, 64, 64))
    assert logits.shape == (1, 3, 64, 64)
    decided = decisions(logits)
    assert torch.equal(decided[:, 0], logits[:, 1] - logits[:, 0])
    assert torch.equal(decided[:, 1], logits[:, 2])
    assert torch.equal(decisions(logits[:, :2]), class_difference(logits))


def test_an_unknown_net_is_refused_and_the_known_ones_named():
    with pytest.raises(ModelError, match="fcnn, fcnn2"):
        make_net("resnet", 3)


# --- the U-Net ---


def shaken(net: torch.nn.Module) -> torch.nn.Module:
    """`net` with batch statistics as a training leaves them."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                tensor.data = torch.rand_like(tensor) + 0.2
    return net.eval()


def test_a_unet_keeps_the_size_and_is_small():
    torch.manual_seed(0)
    net = shaken(make_net("unet", 4))
    with torch.inference_mode():
        assert net(torch.randn(2, 4, 40, 24)).shape == (2, 2, 40, 24)
    assert sum(p.numel() for p in net.parameters()) < 500_000


def test_a_unet_learns_from_a_tile_as_small_as_its_stride():
    net = make_net("unet", 3).train()
    assert net(torch.randn(1, 3, 8, 8)).isfinite().all()


def test_a_unet_of_other_width_and_levels_is_as_deep_and_wide():
    net = UNet(1, width=4, levels=2)
    assert [block[0].out_channels for block in (net.first, *net.down)] == [4, 8]
    assert net(torch.randn(2, 1, 4, 6)).shape == (2, 2, 4, 6)

"""geofcn.models.merged: a net with fewer layers is the plain one."""

import pytest
import torch
import torch.nn.functional as F

from geofcn.core.resampling import Ratio
from geofcn.models.kernels import block_mean
from geofcn.models.merged import (
    GROUP,
    Merged,
    SubPixel,
    collapse,
    fold_batch_norm,
    group_cells,
    has_linear_tail,
)
from geofcn.models.nets import Scaled, answer_from_means, class_difference, make_net


@pytest.mark.parametrize("shape", [(24, 32), (26, 34), (28, 22)])
@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize(
    ("name", "mode"), [("fcnn", "nearest"), ("fcnn", "bilinear"), ("fcnn2", "nearest")]
)
def test_a_merged_net_is_the_plain_one_but_for_its_border(name, mode, scale, shape):
    torch.manual_seed(5)
    net = make_net(name, 2, scale, mode).eval()
    merged = Merged(net, 2)
    x = torch.randn(1, 2, *(side * scale for side in shape))
    with torch.inference_mode():
        expected, difference = class_difference(net(x)), merged(block_mean(x, scale))
    assert difference.shape == expected.shape
    inside = (
        ...,
        slice(merged.border, -merged.border or None),
        slice(merged.border, -merged.border or None),
    )
    assert expected[inside].numel() > 0
    torch.testing.assert_close(difference[inside], expected[inside], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("ratio", [Ratio(3), Ratio(7, 4), Ratio(3, 8)])
def test_a_merged_net_enlarges_its_answer_by_the_ratio_asked_for(ratio):
    net = make_net("fcnn2", 2, 4).eval()
    merged = Merged(net, 2, ratio)
    means = torch.randn(1, 2, 48, 64)
    with torch.inference_mode():
        expected = class_difference(answer_from_means(net, ratio)(means))
        difference = merged(means)
    assert difference.shape == (1, 1, ratio.to_scene(48), ratio.to_scene(64))
    inside = (..., *[slice(merged.border, -merged.border)] * 2)
    torch.testing.assert_close(difference[inside], expected[inside], rtol=1e-4, atol=1e-4)


def test_merging_leaves_the_net_as_it_was():
    net = make_net("fcnn", 2).eval()
    weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    merged = Merged(net, 2)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in net.state_dict().items())
    assert {tensor.dtype for tensor in merged.state_dict().values()} == {torch.float32}


def test_nets_with_a_linear_tail_are_known_by_it():
    assert has_linear_tail(make_net("fcnn", 3)) and has_linear_tail(make_net("fcnn2", 3, 4))
    assert not has_linear_tail(make_net("unet", 3, 2))
    assert not has_linear_tail(Scaled(torch.nn.Conv2d(3, 2, 1), 2))
    with pytest.raises(TypeError, match="UNet has no linear tail"):
        Merged(make_net("unet", 3), 3)


# --- one convolution for a linear map ---


class Tail(torch.nn.Module):
    """Upsampling by `stride`, and a convolution that reads off to one side by `shift` pixels."""

    def __init__(self, channels: int, stride: int, shift: int):
        super().__init__()
        self.stride, self.shift = stride, shift
        self.conv = torch.nn.Conv2d(channels, 2, 3, padding=1, dtype=torch.float64)

    def forward(self, x):
        x = F.interpolate(x, scale_factor=self.stride) if self.stride > 1 else x
        return self.conv(x.roll((self.shift, self.shift), dims=(2, 3)))


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("shift", [-3, 0, 2])
def test_a_linear_map_is_one_convolution_away_from_the_edges(stride, shift):
    torch.manual_seed(6)
    tail = Tail(3, stride, shift)
    features = torch.randn(2, 3, 16, 20, dtype=torch.float64)
    with torch.inference_mode():
        merged = collapse(tail, 3)
        expected = class_difference(tail(features))
        difference = merged(features)
    assert difference.shape == expected.shape == (2, 1, 16 * stride, 20 * stride)
    inside = (..., slice(4 * stride, -4 * stride), slice(4 * stride, -4 * stride))
    torch.testing.assert_close(difference[inside], expected[inside], rtol=1e-10, atol=1e-12)


def test_a_linear_map_of_one_feature_by_hand():
    """Of one feature: house is 3 times it and 1, background 2 times it."""

    def tail(x):
        return torch.cat([2 * x, 3 * x + 1], dim=1)

    merged = collapse(tail, 1)
    x = torch.tensor([[[[5.0, 7.0], [0.0, -1.0]]]], dtype=torch.float64)
    assert merged(x)[0, 0].tolist() == [[6, 8], [1, 0]]


@pytest.mark.parametrize("first", [-3, -1, 0, 1])
@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_a_sub_pixel_convolution_reads_from_its_first_cell_on(first, size, stride):
    torch.manual_seed(8)
    weight, bias = torch.randn(stride**2, 2, size, size), torch.randn(stride**2)
    x = torch.randn(1, 2, 7, 6)
    before, after = max(-first, 0), max(first + size - 1, 0)
    padded = F.pad(x, (before, after, before, after))
    skipped = max(first, 0)
    expected = F.pixel_shuffle(F.conv2d(padded[..., skipped:, skipped:], weight, bias), stride)
    cropped = expected[..., : 7 * stride, : 6 * stride]
    torch.testing.assert_close(
        SubPixel(weight, bias, first, stride)(x), cropped, rtol=1e-5, atol=1e-5
    )


def test_grouped_kernels_are_those_of_one_cell_shifted():
    weight = torch.arange(1.0, 5.0).reshape(1, 1, 2, 2)  # stride 1, one channel
    grouped = group_cells(weight, 1)
    assert GROUP == 2 and grouped.shape == (4, 1, 3, 3)
    assert grouped[0, 0].tolist() == [[1, 2, 0], [3, 4, 0], [0, 0, 0]]
    assert grouped[1, 0].tolist() == [[0, 1, 2], [0, 3, 4], [0, 0, 0]]
    assert grouped[2, 0].tolist() == [[0, 0, 0], [1, 2, 0], [3, 4, 0]]
    assert grouped[3, 0].tolist() == [[0, 0, 0], [0, 1, 2], [0, 3, 4]]


# --- batch normalisation ---


def shaken(net: torch.nn.Module) -> torch.nn.Module:
    """`net` with batch statistics as a training leaves them."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                tensor.data = torch.rand_like(tensor) + 0.2
    return net.eval()


@pytest.mark.parametrize("scale", [1, 4])
def test_folded_batch_norms_give_the_same(scale):
    torch.manual_seed(1)
    net = shaken(make_net("unet", 3, scale))
    folded = fold_batch_norm(net)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in folded.modules())
    x = torch.randn(1, 3, 32 * scale, 64 * scale)
    with torch.inference_mode():
        expected = net(x)
        torch.testing.assert_close(folded(x), expected, rtol=1e-4, atol=1e-4)
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in net.modules())


def test_a_batch_norm_that_follows_no_convolution_stays():
    net = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.BatchNorm2d(2))
    assert isinstance(fold_batch_norm(net)[1], torch.nn.BatchNorm2d)

"""geofcn.models.kernels: the same answers as torch's plain layers."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from geofcn.models import kernels
from geofcn.models.kernels import (
    block_mean,
    conv_linear,
    conv_relu,
    conv_relu_max_pool2,
    enlarge_bilinear,
    max_pool2,
    write_max_pool2,
)
from geofcn.models.merged import fold_batch_norm
from geofcn.models.nets import make_net


@pytest.mark.parametrize("name", ["fcnn", "fcnn2", "unet", "lite"])
def test_fused_activations_give_the_same(name, monkeypatch):
    net = fold_batch_norm(make_net(name, 3))
    x = torch.randn(1, 3, 32, 48)
    expected = net(x)
    fuses = kernels._fused_exists()  # tried before the calls are counted
    calls, fused = [], kernels._fused
    monkeypatch.setattr(kernels, "_fused", lambda *args: (calls.append(args), fused(*args))[1])
    with torch.inference_mode():
        torch.testing.assert_close(net(x), expected, rtol=1e-5, atol=1e-5)
    # Of lite: its stem, 10 + 11 + 11 of its blocks, and 6 on the way up.
    assert len(calls) == {"unet": 14, "lite": 39}.get(name, 4) * fuses


def test_a_torch_that_does_not_fuse_gives_the_same(monkeypatch):
    net, x = make_net("fcnn2", 3), torch.randn(1, 3, 32, 40)
    expected = net(x)
    with torch.inference_mode():
        usual = net(x)

    def missing(*_):
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no such attribute")

    monkeypatch.setattr(kernels, "_fused", missing)
    kernels._fused_exists.cache_clear()
    try:
        with torch.inference_mode():
            plain = net(x)
    finally:
        kernels._fused_exists.cache_clear()
    torch.testing.assert_close(plain, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(usual, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cached", [1, 100, kernels.CACHED])
@pytest.mark.parametrize("shape", [(6, 8), (7, 5), (22, 4)])
def test_max_pool2_is_max_pooling_however_many_rows_are_taken_at_a_time(shape, cached, monkeypatch):
    monkeypatch.setattr(kernels, "CACHED", cached)
    x = torch.randn(2, 3, *shape)
    x[0, 1, 2, 3] = torch.nan
    expected = F.max_pool2d(x, 2)
    with torch.inference_mode():
        torch.testing.assert_close(max_pool2(x), expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(max_pool2(x), expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("shape", [(2, 4), (4, 2), (6, 8), (22, 4), (7, 5)])
def test_a_convolution_pooled_in_two_parts_is_that_of_the_whole(shape, size):
    torch.manual_seed(3)
    conv = torch.nn.Conv2d(4, 6, size, padding=size // 2)
    x = torch.randn(2, 4, *shape)
    expected = F.max_pool2d(F.relu(conv(x)), 2)
    with torch.inference_mode():
        pooled = conv_relu_max_pool2(conv, x)
    torch.testing.assert_close(pooled, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(conv_relu_max_pool2(conv, x), expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "options",
    [
        {"padding": 1},
        {"padding": 2, "dilation": 2},
        {"padding": 1, "stride": 2, "bias": False},
        {"padding": 1, "groups": 2},
        {"padding": "same"},
    ],
    ids=str,
)
def test_conv_relu_is_relu_of_the_convolution(options):
    torch.manual_seed(1)
    conv = torch.nn.Conv2d(4, 6, 3, **options)
    x = torch.randn(2, 4, 9, 12)
    expected = F.relu(conv(x))
    assert 0 < (expected == 0).float().mean() < 1
    with torch.inference_mode():
        torch.testing.assert_close(conv_relu(conv, x), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(conv_relu(conv, x), expected, rtol=0, atol=0)


@pytest.mark.parametrize("options", [{"padding": 2, "dilation": 2}, {"padding": "same"}], ids=str)
def test_a_pooled_convolution_may_be_dilated_or_padded_by_a_word(options):
    torch.manual_seed(2)
    conv = torch.nn.Conv2d(3, 5, 3, **options)
    x = torch.randn(1, 3, 12, 8)
    expected = F.max_pool2d(F.relu(conv(x)), 2)
    with torch.inference_mode():
        pooled = conv_relu_max_pool2(conv, x)
    torch.testing.assert_close(pooled, expected, rtol=1e-5, atol=1e-6)


def test_gradients_flow_where_they_are_asked_for():
    conv, x = torch.nn.Conv2d(2, 3, 3, padding=1), torch.randn(1, 2, 4, 4, requires_grad=True)
    conv_relu_max_pool2(conv, x).sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    assert conv.weight.grad is not None and conv.weight.grad.abs().sum() > 0


def test_conv_linear_is_the_convolution():
    conv, x = torch.nn.Conv2d(6, 4, 1), torch.randn(2, 6, 5, 7)
    expected = conv(x)
    with torch.inference_mode():
        torch.testing.assert_close(conv_linear(conv, x), expected)
    conv_linear(conv, x).sum().backward()
    assert conv.weight.grad.isfinite().all()


def test_bilinear_enlargement_is_torchs_whatever_the_memory_format():
    x = torch.randn(1, 2, 5, 7).contiguous(memory_format=torch.channels_last)
    expected = F.interpolate(x, scale_factor=4, mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarge_bilinear(x, 4), expected)
    assert enlarge_bilinear(x, 4).is_contiguous()


def test_maxima_of_four_pixels_by_hand():
    x = torch.tensor([[1.0, 2, 8, 0], [3, 4, 0, -1], [-5, -6, 0, 0], [-7, -8, 0, 9]])
    out = torch.zeros(1, 1, 2, 2)
    write_max_pool2(x[None, None], out)
    assert out[0, 0].tolist() == [[4, 8], [-5, 9]]
    with torch.inference_mode():
        assert max_pool2(x[None, None])[0, 0].tolist() == [[4, 8], [-5, 9]]


@settings(max_examples=30)
@given(
    size=st.sampled_from([1, 2, 4, 8]),
    rows=st.integers(1, 4),
    cols=st.integers(1, 4),
    last=st.booleans(),
)
def test_block_means_are_those_of_numpy(size, rows, cols, last):
    x = torch.randn(2, 3, rows * size, cols * size)
    x = x.contiguous(memory_format=torch.channels_last) if last else x
    expected = x.numpy().reshape(2, 3, rows, size, cols, size).mean(axis=(3, 5), dtype=np.float64)
    np.testing.assert_allclose(block_mean(x, size), expected, rtol=1e-5, atol=1e-6)

"""geofcn.models.kernels: the same answers as torch's plain layers."""

import pytest
import torch
import torch.nn.functional as F

from geofcn.models import kernels
from geofcn.models.kernels import conv_relu_max_pool2, max_pool2
from geofcn.models.merged import fold_batch_norm
from geofcn.models.nets import make_net


@pytest.mark.parametrize("name", ["fcnn", "fcnn2", "unet"])
def test_fused_activations_give_the_same(name, monkeypatch):
    net = fold_batch_norm(make_net(name, 3))
    x = torch.randn(1, 3, 32, 40)
    expected = net(x)
    fuses = kernels._fused_is_there()  # tried before the calls are counted
    calls, fused = [], kernels._fused
    monkeypatch.setattr(kernels, "_fused", lambda *given: (calls.append(given), fused(*given))[1])
    with torch.inference_mode():
        torch.testing.assert_close(net(x), expected, rtol=1e-5, atol=1e-5)
    assert len(calls) == (14 if name == "unet" else 4) * fuses


def test_a_torch_that_does_not_fuse_gives_the_same(monkeypatch):
    net, x = make_net("fcnn2", 3), torch.randn(1, 3, 32, 40)
    expected = net(x)
    with torch.inference_mode():
        seen = net(x)

    def missing(*_):
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no such attribute")

    monkeypatch.setattr(kernels, "_fused", missing)
    kernels._fused_is_there.cache_clear()
    try:
        with torch.inference_mode():
            plain = net(x)
    finally:
        kernels._fused_is_there.cache_clear()
    torch.testing.assert_close(plain, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(seen, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("cached", [1, 100, kernels.CACHED])
@pytest.mark.parametrize("shape", [(6, 8), (7, 5), (22, 4)])
def test_halving_is_max_pooling_however_many_rows_are_taken_at_a_time(shape, cached, monkeypatch):
    monkeypatch.setattr(kernels, "CACHED", cached)
    x = torch.randn(2, 3, *shape)
    x[0, 1, 2, 3] = torch.nan
    expected = F.max_pool2d(x, 2)
    with torch.inference_mode():
        torch.testing.assert_close(max_pool2(x), expected, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(max_pool2(x), expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("size", [1, 3, 5])
@pytest.mark.parametrize("shape", [(2, 4), (4, 2), (6, 8), (22, 4), (7, 5)])
def test_a_convolution_halved_in_two_parts_is_that_of_the_whole(shape, size):
    torch.manual_seed(3)
    conv = torch.nn.Conv2d(4, 6, size, padding=size // 2)
    x = torch.randn(2, 4, *shape)
    expected = F.max_pool2d(F.relu(conv(x)), 2)
    with torch.inference_mode():
        found = conv_relu_max_pool2(conv, x)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(conv_relu_max_pool2(conv, x), expected, rtol=0, atol=0)

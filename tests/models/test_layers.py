"""geofcn.models.layers: what several nets are made of."""

import pytest
import torch

from geofcn.models.layers import BatchNormAnySize, DoubleConv


def shaken(net: torch.nn.Module) -> torch.nn.Module:
    """`net` with batch statistics as a training leaves them."""
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                tensor.data = torch.rand_like(tensor) + 0.2
    return net.eval()


def test_a_double_convolution_is_conv_norm_relu_twice():
    torch.manual_seed(2)
    block = shaken(DoubleConv(2, 3))
    x = torch.randn(2, 2, 6, 5)
    expected = x
    for layer in block:
        expected = layer(expected.clone())
    torch.testing.assert_close(block(x), expected)
    assert (expected == 0).any() and (expected > 0).any()


def test_batch_norm_of_a_single_value_uses_the_statistics_so_far():
    norm = BatchNormAnySize(2).train()
    norm.running_mean.copy_(torch.tensor([1.0, 2.0]))
    norm.running_var.copy_(torch.tensor([4.0, 9.0]))
    out = norm(torch.tensor([3.0, 8.0]).reshape(1, 2, 1, 1))
    torch.testing.assert_close(out.flatten(), torch.tensor([1.0, 2.0]))
    with pytest.raises(ValueError, match="more than 1 value"):
        torch.nn.BatchNorm2d(2)(torch.zeros(1, 2, 1, 1))


def test_batch_norm_of_several_values_is_torchs():
    torch.manual_seed(0)
    ours, theirs = BatchNormAnySize(3).train(), torch.nn.BatchNorm2d(3).train()
    x = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_var, theirs.running_var)

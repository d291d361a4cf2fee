"""Whether a net learns where houses meet: by the labels, the recipe and the parent."""

from dataclasses import replace

import numpy as np
import pytest
import shapely

from geofcn.core.contacts import Contacts
from geofcn.errors import LabelsError, UsageError
from geofcn.io.labels import open_labelled_scene
from geofcn.recipes import DEFAULT, EXERCISE, TEACH
from geofcn.training.contacts import model_contacts, with_contact_labels, with_contacts

X, Y = 500_000, 5_000_000


@pytest.fixture
def houses(write_raster, write_vectors):
    """houses(gap) -> LabelledScene of 64 x 64 pixels of 0.2 m, with two houses `gap` m apart."""

    def make(gap: float):
        scene = write_raster("scene.tif", np.full((3, 64, 64), 9, np.uint8))
        left = shapely.box(X + 1, Y - 9, X + 5, Y - 1)
        right = shapely.box(X + 5 + gap, Y - 9, X + 10 + gap, Y - 1)
        return open_labelled_scene(scene, write_vectors("l.gpkg", [left, right]))

    return make


@pytest.mark.parametrize(("gap", "expected"), [(0, "yes"), (0.45, "yes"), (0.6, "no")])
def test_auto_is_yes_where_houses_touch(houses, gap, expected):
    assert with_contacts(DEFAULT, [houses(gap)]).contacts == expected


def test_tiles_and_batches_are_smaller_where_they_were_not_asked_for(houses):
    source = houses(0)
    recipe = with_contacts(DEFAULT, [source])
    assert (recipe.tile, recipe.stride, recipe.batch) == (192, 96, 8)
    asked = replace(DEFAULT, tile=64, stride=32)
    recipe = with_contacts(asked, [source], given=["tile"])
    assert (recipe.tile, recipe.stride, recipe.batch) == (64, 32, 8)
    without = with_contacts(DEFAULT, [houses(9)])
    assert without == replace(DEFAULT, contacts="no")


def test_auto_is_no_where_labels_do_not_tell_and_yes_is_refused(village):
    source = open_labelled_scene(*village())
    assert with_contacts(DEFAULT, [source]).contacts == "no"
    with pytest.raises(LabelsError, match=r"village-labels\.tif: .* give the houses as polygons"):
        with_contacts(replace(DEFAULT, contacts="yes"), [source])


@pytest.mark.parametrize(
    ("place", "expected"), [("karezza", "no"), ("glurns", "no"), ("bozen", "no"), ("dense", "yes")]
)
def test_auto_tells_villages_from_a_dense_town(real_data, place, expected):
    folder = real_data / place
    source = open_labelled_scene(folder / "scene.tif", folder / "labels.gpkg")
    assert with_contacts(DEFAULT, [source]).contacts == expected


def test_the_exercise_never_learns_of_contacts(houses):
    assert with_contacts(EXERCISE, [houses(0)]) == EXERCISE


def test_a_parent_that_tells_goes_on_and_one_that_does_not_cannot_begin(
    houses, village, make_model
):
    telling, silent = make_model(contacts=Contacts(2, 0.3)), make_model()
    source = open_labelled_scene(*village())
    assert with_contacts(TEACH, [source], telling).contacts == "yes"
    assert with_contacts(TEACH, [houses(0)], silent).contacts == "no"
    assert with_contacts(DEFAULT, [houses(0)], silent).contacts == "yes"
    assert with_contacts(replace(TEACH, contacts="no"), [source], telling).contacts == "no"
    with pytest.raises(UsageError, match="--recipe default"):
        with_contacts(replace(TEACH, contacts="yes"), [houses(0)], silent)


@pytest.mark.parametrize(("scale", "reach", "pixels"), [(1, 2, 2), (2, 2, 4), (4, 2, 8)])
def test_the_reach_is_on_the_ground_but_two_net_pixels_at_least(houses, scale, reach, pixels):
    """0.4 m are two pixels of 0.2 m."""
    recipe, source = replace(DEFAULT, contacts="yes", scale=scale), houses(0)
    assert model_contacts(recipe, [source]).reach == reach
    (labelled,) = with_contact_labels([source], recipe)
    assert labelled.labels.reach == pixels
    fine = replace(recipe, resolution=0.05)
    assert model_contacts(fine, [source]).reach == 8 // scale


def test_without_contacts_labels_stay(houses):
    source = houses(0)
    assert with_contact_labels([source], replace(DEFAULT, contacts="no")) == [source]
    assert model_contacts(replace(DEFAULT, contacts="no"), [source]) is None

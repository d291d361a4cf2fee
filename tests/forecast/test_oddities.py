"""geofcn.forecast.oddities: each odd thing is one line, which ends with what to do."""

from dataclasses import replace

import numpy as np
import pytest
from rasterio.transform import Affine, from_origin

from geofcn.forecast.labels import LabelsInfo
from geofcn.forecast.oddities import (
    oddities_of_labels,
    oddities_of_model,
    oddities_of_place,
    oddities_of_scene,
)
from geofcn.io.opening import open_scene
from geofcn.training.label_shift import LabelShift

GREY = np.full((1, 30, 40), 9, np.uint8)
LABELS = LabelsInfo("l.gpkg", "polygons", None, 9, 0, 9, 120.0, 0.1, 1.0, 0.9)
FEET = "EPSG:2263"  # of New York


@pytest.mark.parametrize(
    ("profile", "begins", "says"),
    [
        ({}, None, None),
        ({"crs": None}, "the scene has no CRS", "--allow-no-crs"),
        (
            {"crs": "EPSG:4326", "transform": from_origin(11, 46, 2e-6, 2e-6)},
            "pixels are in degrees",
            "gdalwarp -t_srs",
        ),
        (
            {"crs": FEET, "transform": from_origin(980_000, 200_000, 1, 1)},
            "the CRS counts in US survey foot",
            "nothing is to be done",
        ),
        ({"crs": 'LOCAL_CS["site plan",UNIT["metre",1]]'}, "the CRS is a local one", "-a_srs"),
        (
            {"transform": from_origin(500_000, 5e6, 0.2, 0.2) * Affine.rotation(10)},
            "the scene is rotated",
            "gdalwarp",
        ),
        (
            {"transform": Affine(0.2, 0, 500_000, 0, 0.2, 5e6)},
            "the scene is upside down",
            "gdalwarp",
        ),
        ({"transform": from_origin(500_000, 5e6, 0.2, 0.3)}, "pixels are not square", "-tr"),
    ],
)
def test_what_is_odd_about_a_place(write_raster, profile, begins, says):
    scene = open_scene(write_raster("scene.tif", GREY, **profile))
    lines = list(oddities_of_scene(scene, 0.0))
    if begins is None:
        assert lines == []
        return
    (line,) = lines
    assert line.startswith(begins) and says in line and line.endswith(".")


def test_a_collar_a_blank_scene_and_slow_blocks_are_odd(write_raster):
    collar = np.zeros((1, 30, 40), np.uint8)
    collar[:, :, :30] = 9
    scene = open_scene(write_raster("scene.tif", collar))
    (line,) = oddities_of_scene(scene, 0.0)
    assert "0 in every band" in line and line.endswith("give --nodata 0.")
    declared = open_scene(scene.path, nodata=0)
    assert list(oddities_of_scene(declared, 0.25)) == []
    (line,) = oddities_of_scene(declared, 0.97)
    assert line.startswith("97 % of the scene are blank")
    (line,) = oddities_of_scene(replace(declared, block_shape=(5000, 5000)), 0.25)
    assert f"gdal_translate -co TILED=YES -co COMPRESS=DEFLATE {scene.path}" in line


@pytest.mark.parametrize(
    ("trained", "begins"),
    [(0.2, None), (0.35, None), (0.05, "the scene has 0.2 m per pixel, 4 times"), (None, None)],
)
def test_a_far_resolution_is_odd(write_raster, trained, begins):
    scene = open_scene(write_raster("scene.tif", GREY))
    lines = list(oddities_of_model(scene, trained))
    assert [line.startswith(begins) for line in lines] == ([True] if begins else [])


def test_a_resolution_that_is_not_known_is_odd_for_a_model(write_raster):
    scene = open_scene(write_raster("scene.tif", GREY, crs=None))
    (line,) = oddities_of_model(scene, 0.2)
    assert line.startswith("the model was trained at 0.2 m per pixel")


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({}, None),
        ({"shapes_without_area": 3}, "3 shapes of the labels are points or lines"),
        ({"house_share": None, "known_share": 0.0}, "no pixel of a sample is labelled"),
        ({"house_share": 0.0, "extent_share": 0.0}, "hold no house"),
        ({"house_share": 1.0}, "call every pixel of a sample a house"),
        ({"house_share": 0.8}, "80 % of the labelled pixels are houses"),
        ({"extent_share": 0.05}, "all houses lie in 5.0 % of the scene"),
        ({"extent_share": 0.05, "known_share": 0.05}, None),  # the rest is unknown, not background
        ({"median_house_m2": 1.5}, "half of the houses have less than 1.5 m2"),
    ],
)
def test_what_is_odd_about_labels(facts, says):
    lines = list(oddities_of_labels(replace(LABELS, **facts)))
    assert [says in line and line.endswith(".") for line in lines] == ([True] if says else [])


def test_labels_beside_the_houses_are_odd():
    assert list(oddities_of_place(None)) == list(oddities_of_place(LabelShift(0, 0.1, 0.01))) == []
    (line,) = oddities_of_place(LabelShift(1.2, -0.9, 0.02))
    assert "by 1.5 m (to 0.02 m)" in line and line.endswith("--shift-labels 1.2,-0.9.")

"""Rasters that number their houses, through the command line: they say what polygons do."""

import json

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

import geofcn
from geofcn.io.labels import open_labelled_scene


@pytest.fixture(scope="module")
def town(geofcn_command, tmp_path_factory):
    """A town with its labels as polygons, and as a raster that numbers them."""
    folder = tmp_path_factory.mktemp("town")
    geofcn_command("sample", folder, "--dense", "--size", 256)
    source = open_labelled_scene(folder / "scene.tif", folder / "labels.gpkg")
    numbers = source.labels.instances(source.scene.window)
    with rasterio.open(folder / "labels.tif") as plain:
        profile = plain.profile | {"dtype": "uint16", "nodata": None}
    with rasterio.open(folder / "numbers.tif", "w", **profile) as file:
        file.write(numbers.astype(np.uint16), 1)
    return folder


def trained(geofcn_command, town, run, *labels):
    geofcn_command(
        "train", town / "scene.tif", *labels, "-o", run, "--net", "fcnn2", "--tile", 64,
        "--epochs", 1, "--validate-fraction", 0,
    )  # fmt: skip
    return geofcn.load_model(run / "last.safetensors")


def test_a_net_learns_from_numbers_what_it_learns_from_polygons(geofcn_command, town, tmp_path):
    polygons = trained(geofcn_command, town, tmp_path / "polygons", town / "labels.gpkg")
    option = town / "numbers.tif", "--instances"
    numbers = trained(geofcn_command, town, tmp_path / "numbers", *option)
    assert numbers.metadata.contacts == polygons.metadata.contacts is not None
    pairs = zip(numbers.net.parameters(), polygons.net.parameters(), strict=True)
    assert all((first == second).all() for first, second in pairs)


def test_other_labels_say_it_in_the_form_of_a_path(geofcn_command, town, tmp_path):
    both = town / "labels.tif", "--and", town / "scene.tif", f"{town / 'numbers.tif'}|instances"
    model = trained(geofcn_command, town, tmp_path / "run", *both)
    assert model.metadata.contacts is not None, "the second labels tell"


def test_numbers_are_scored_as_the_houses_they_are(geofcn_command, town):
    scores = [
        json.loads(geofcn_command("evaluate", *pair, "--json").output)
        for pair in (
            (f"{town / 'numbers.tif'}|instances", town / "labels.gpkg"),
            (town / "labels.gpkg", town / "numbers.tif", "--instances"),
        )
    ]
    for found in scores:
        assert found["pixels"]["iou"] == 1
        # A house off the edge has its point off the raster, or is there in several parts.
        assert found["objects"]["f1"] > 0.95 and found["objects"]["mean_iou"] > 0.9
    assert scores[0]["objects"]["tp"] == scores[1]["objects"]["tp"]


def test_numbers_become_polygons_with_their_walls_in_common(geofcn_command, town, tmp_path):
    path = tmp_path / "houses.gpkg"
    geofcn_command("polygonize", town / "numbers.tif", path, "--instances", "--min-area", 0)
    houses = geopandas.read_file(path, layer="houses").geometry.values
    truth = geopandas.read_file(town / "labels.gpkg").geometry.values
    assert shapely.is_valid(houses).all() and abs(len(houses) - len(truth)) < 0.1 * len(truth)
    first, second = shapely.STRtree(houses).query(houses, "intersects")
    pair = first < second
    common = shapely.intersection(houses[first[pair]], houses[second[pair]])
    assert shapely.area(common).max() == 0
    assert (shapely.length(common) > 5).sum() > len(houses) / 3


def test_info_counts_them(geofcn_command, town, monkeypatch):
    # The forecast of the training, which takes seconds.
    monkeypatch.setattr("geofcn.forecast.training.estimate_training", lambda source: None)
    facts = json.loads(
        geofcn_command(
            "info", town / "scene.tif", town / "numbers.tif", "--instances", "--json"
        ).output
    )
    assert facts["labels_kind"] == "instances"
    polygons = len(geopandas.read_file(town / "labels.gpkg"))
    assert 0.5 * polygons < facts["labels_houses_about"] < 2 * polygons


def test_what_numbers_no_houses_is_told_what_would(geofcn_command, town, tmp_path):
    plain = geofcn_command(
        "train", town / "scene.tif", town / "labels.tif", "-o", tmp_path, "--contacts", "yes",
        code=1,
    )  # fmt: skip
    assert "a number for each and --instances" in plain.output
    untold = geofcn_command("train", town / "scene.tif", town / "numbers.tif", code=1)
    assert "or by --instances that each of them is a house of its own" in untold.output
    vectors = geofcn_command(
        "evaluate", town / "labels.tif", town / "labels.gpkg", "--instances", code=1
    )
    assert "labels.gpkg: instances belong to rasters" in vectors.output

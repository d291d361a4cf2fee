"""Houses that touch, through the command line: from a town's polygons to polygons of houses."""

import geopandas
import numpy as np
import pytest
import rasterio
import shapely

import geofcn


@pytest.fixture(scope="module")
def town(geofcn_command, tmp_path_factory):
    """A town, a net that learnt where its houses meet, and mask and polygons by it."""
    folder = tmp_path_factory.mktemp("town")
    geofcn_command("sample", folder, "--dense", "--size", 384)
    geofcn_command(
        "train", folder / "scene.tif", folder / "labels.gpkg", "-o", folder / "run", "--net",
        "fcnn2", "--tile", 64, "--epochs", 10, "--validate-fraction", 0, "--lr", 0.02,
    )  # fmt: skip
    infer(geofcn_command, folder, "mask.tif", "--polygons", folder / "houses.gpkg")
    return folder


def infer(geofcn_command, folder, name, *options):
    geofcn_command(
        "infer", folder / "scene.tif", folder / name, "--model",
        folder / "run" / "best-f1.safetensors", "--threshold", 0.5, *options,
    )  # fmt: skip


def houses(path):
    return geopandas.read_file(path, layer="houses")


def test_auto_learns_where_the_houses_of_a_town_meet(town):
    about = geofcn.load_model(town / "run" / "best-f1.safetensors").metadata
    assert about.contacts.reach == 2
    assert about.recipe["contacts"] == "yes"
    # Half as wide net pixels as without, where 0.35 m are wanted instead of 0.7 m.
    assert about.scale == 2


def test_the_mask_shows_where_houses_meet(town):
    with rasterio.open(town / "mask.tif") as mask:
        classes = mask.read(1)
        assert mask.tags()["GEOFCN_CONTACTS"] == "2"
        assert mask.colormap(1)[2][:3] != mask.colormap(1)[1][:3]
    assert set(np.unique(classes)) <= {0, 1, 2, 255}
    assert 0.01 < (classes == 2).sum() / (classes > 0).sum() < 0.9


def test_polygons_are_houses_that_share_their_walls(town):
    found = houses(town / "houses.gpkg").geometry.values
    first, second = shapely.STRtree(found).query(found, "intersects")
    pairs = first < second
    common = shapely.intersection(found[first[pairs]], found[second[pairs]])
    assert (shapely.length(common) > 0).any()
    assert shapely.area(common).max() == 0
    assert shapely.is_valid(found).all()
    with rasterio.open(town / "mask.tif") as mask:
        fused = list(rasterio.features.shapes(np.uint8(mask.read(1) % 255 > 0), connectivity=4))
    assert len(found) > sum(value for _, value in fused) / 4


def test_polygonize_and_any_tile_give_the_same(geofcn_command, town, tmp_path):
    expected = houses(town / "houses.gpkg")
    geofcn_command("polygonize", town / "mask.tif", tmp_path / "h.gpkg")
    again = houses(tmp_path / "h.gpkg")
    assert (again.geometry.to_wkb() == expected.geometry.to_wkb()).all()
    assert (again.status == expected.status).all()
    infer(geofcn_command, town, "tiled.tif", "--tile", 100, "--polygons", tmp_path / "t.gpkg")
    assert (town / "tiled.tif").read_bytes() == (town / "mask.tif").read_bytes()
    assert houses(tmp_path / "t.gpkg").equals(expected)


def test_verification_looks_at_contacts_too(geofcn_command, town, tmp_path):
    result = geofcn.infer(
        town / "scene.tif", tmp_path / "m.tif", model=town / "run" / "best-f1.safetensors",
        threshold=0.5, verify=4,
    )  # fmt: skip
    assert result.verification.differing == 0


def test_a_mask_with_contacts_is_scored_as_houses(geofcn_command, town):
    result = geofcn_command("evaluate", town / "mask.tif", town / "labels.tif", "--json")
    assert '"pixels"' in result.output


def test_a_raster_of_one_value_teaches_no_contacts(geofcn_command, town, tmp_path):
    refused = geofcn_command(
        "train", town / "scene.tif", town / "labels.tif", "-o", tmp_path / "run",
        "--contacts", "yes", code=1,
    )  # fmt: skip
    assert "give the houses as polygons" in refused.output
    assert not (tmp_path / "run").exists()

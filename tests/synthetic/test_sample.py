"""geofcn.synthetic.sample: the files of a synthetic scene."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from rasterio.features import rasterize

import geofcn
from geofcn.core.windows import Window
from geofcn.errors import OutputError, UsageError
from geofcn.io.raster_writer import BLOCK
from geofcn.synthetic.sample import SampleResult
from geofcn.synthetic.scene import SyntheticScene

SMALL = SyntheticScene(600, 5)


@pytest.fixture(scope="module")
def painted():
    """Image, valid and labels of the whole scene."""
    whole = Window(0, 0, 600, 600)
    return *SMALL.paint(whole), SMALL.labels(whole)


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    """A scene of 600 pixels in files; their folder, and the pixels reported as done."""
    done = []
    step = SimpleNamespace(advance=lambda amount, **figures: done.append(amount))
    folder = tmp_path_factory.mktemp("sample") / "new" / "folder"
    geofcn.sample(folder, size=600, seed=5, progress=lambda what, total, unit: nullcontext(step))
    return folder, sum(done)


def test_scene_file_holds_the_picture(sample, painted):
    image, valid, _ = painted
    with rasterio.open(sample[0] / "scene.tif") as scene:
        np.testing.assert_array_equal(scene.read(), image)
        np.testing.assert_array_equal(scene.dataset_mask() > 0, valid)
        assert scene.nodata == 0
        assert scene.block_shapes == [(BLOCK, BLOCK)] * 3
        assert scene.compression.name == "deflate"
        assert (scene.crs, scene.transform) == (SMALL.crs, SMALL.transform)


def test_labels_file_lies_on_the_scenes_grid(sample, painted):
    with rasterio.open(sample[0] / "labels.tif") as labels:
        np.testing.assert_array_equal(labels.read(1), painted[2])
        assert (labels.crs, labels.transform) == (SMALL.crs, SMALL.transform)
        assert labels.compression.name == "deflate"


def test_vector_labels_burn_to_the_raster_labels(sample, painted):
    houses = pyogrio.read_dataframe(sample[0] / "labels.gpkg", layer="houses")
    assert houses.crs.to_epsg() == 32632
    assert list(houses["id"]) == list(range(1, 1 + len(list(SMALL.footprints()))))
    burned = rasterize(houses.geometry, (600, 600), transform=SMALL.transform)
    np.testing.assert_array_equal(burned, painted[2])


def test_every_pixel_is_reported_and_nothing_is_left_beside_the_files(sample):
    folder, done = sample
    assert done == 600 * 600
    assert {file.name for file in folder.iterdir()} == {"scene.tif", "labels.tif", "labels.gpkg"}


def test_a_town_has_every_house_in_the_vectors_and_one_value_in_the_raster(tmp_path):
    paths = geofcn.sample(tmp_path, size=400, seed=2, dense=True)
    houses = pyogrio.read_dataframe(paths.polygons, layer="houses")
    shapes = houses.geometry.to_numpy()
    # As they are in the file: in map coordinates.
    assert shapely.coverage_is_valid(shapes)
    first, second = shapely.STRtree(shapes).query(shapes, predicate="overlaps")
    assert shapely.area(shapely.intersection(shapes[first], shapes[second])).sum() == 0
    with rasterio.open(paths.labels) as labels:
        burned = rasterize(shapes, (400, 400), transform=labels.transform)
        np.testing.assert_array_equal(labels.read(1), burned)
    blocks = shapely.get_num_geometries(shapely.union_all(shapes))
    assert len(houses) > 15
    assert blocks < len(houses) / 2


def test_a_sample_is_not_overwritten_unasked(sample):
    folder = sample[0]
    before = (folder / "labels.tif").read_bytes()
    with pytest.raises(OutputError, match="--overwrite"):
        geofcn.sample(folder, size=200, seed=1)
    assert (folder / "labels.tif").read_bytes() == before


def test_overwriting_when_asked_replaces_all_three(tmp_path):
    geofcn.sample(tmp_path, size=200, seed=1)
    paths = geofcn.sample(tmp_path, size=128, seed=2, overwrite=True)
    with rasterio.open(paths.scene) as scene, rasterio.open(paths.labels) as labels:
        assert scene.shape == labels.shape == (128, 128)
    houses = pyogrio.read_dataframe(paths.polygons)
    assert len(houses) == len(list(SyntheticScene(128, 2).footprints()))


@pytest.mark.parametrize("position", range(3))
def test_a_sample_that_was_killed_is_made_by_the_same_command(
    tmp_path, killed_while_publishing, position
):
    new = tmp_path / "new"
    killed_while_publishing(position, lambda: geofcn.sample(new, size=128))
    paths = geofcn.sample(new, size=128)
    assert {file.name for file in new.iterdir()} == {"scene.tif", "labels.tif", "labels.gpkg"}
    whole = geofcn.sample(tmp_path / "whole", size=128)
    assert paths.scene.read_bytes() == whole.scene.read_bytes()


def test_of_two_samples_no_files_stand_together(tmp_path, killed_while_publishing):
    old = geofcn.sample(tmp_path, size=128, seed=1)
    (tmp_path / "scene.tif.ovr").write_bytes(b"of the old one")
    again = {"size": 128, "seed": 2, "overwrite": True}
    killed_while_publishing(1, lambda: geofcn.sample(tmp_path, **again))
    assert not old.scene.exists() and not old.labels.exists()
    geofcn.sample(tmp_path, **again)
    assert not (tmp_path / "scene.tif.ovr").exists()


def test_a_sample_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(*args, **options):
        raise OutputError("labels.gpkg: writing failed.")

    monkeypatch.setattr("geofcn.synthetic.sample.write_polygons", full)
    with pytest.raises(OutputError, match="writing failed"):
        geofcn.sample(tmp_path / "new" / "folder", size=128)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="folder cannot be made"):
        geofcn.sample(tmp_path / "file" / "folder")


def test_a_scene_too_small_for_a_house_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(UsageError, match=r"size 127: .* at least 128"):
        geofcn.sample(tmp_path / "new", size=127)
    assert not (tmp_path / "new").exists()


def test_the_result_prints_the_three_paths(tmp_path):
    result = geofcn.sample(tmp_path, size=128)
    assert result == SampleResult(
        tmp_path / "scene.tif", tmp_path / "labels.tif", tmp_path / "labels.gpkg"
    )
    assert str(result).splitlines() == [
        str(tmp_path / name) for name in ("scene.tif", "labels.tif", "labels.gpkg")
    ]

"""geofcn sample"""

import json

import geopandas
import numpy as np
import rasterio
from rasterio.features import rasterize


def test_writes_a_georeferenced_scene_with_labels_that_agree(geofcn_command, tmp_path):
    result = geofcn_command("sample", tmp_path / "s", "--size", 400, "--seed", 3)
    paths = [tmp_path / "s" / name for name in ("scene.tif", "labels.tif", "labels.gpkg")]
    assert result.stdout.splitlines() == [str(path) for path in paths]
    with rasterio.open(paths[0]) as scene, rasterio.open(paths[1]) as labels:
        assert (scene.count, scene.width, scene.height) == (3, 400, 400)
        assert scene.crs == labels.crs == "EPSG:32632"
        assert scene.transform == labels.transform
        assert scene.res == (0.2, 0.2)
        blank = scene.dataset_mask() == 0
        assert 0 < blank.mean() < 0.2
        burned = labels.read(1)
        assert set(np.unique(burned)) == {0, 1}
        houses = geopandas.read_file(paths[2], layer="houses")
        assert houses.crs == scene.crs
        again = rasterize(houses.geometry, (400, 400), transform=scene.transform)
    assert not (burned[blank] == 1).any()
    assert np.array_equal(burned, again)


def test_is_deterministic_and_depends_on_the_seed(geofcn_command, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        geofcn_command("sample", tmp_path / name, "--size", 256, "--seed", seed)
    first, same, other = ((tmp_path / name / "scene.tif").read_bytes() for name in ("a", "b", "c"))
    assert first == same
    assert first != other


def test_does_not_overwrite_unless_told(geofcn_command, tmp_path):
    geofcn_command("sample", tmp_path, "--size", 256)
    before = (tmp_path / "scene.tif").read_bytes()
    result = geofcn_command("sample", tmp_path, "--size", 256, "--seed", 9, code=1)
    assert "--overwrite" in result.stderr
    assert (tmp_path / "scene.tif").read_bytes() == before
    geofcn_command("sample", tmp_path, "--size", 256, "--seed", 9, "--overwrite")
    assert (tmp_path / "scene.tif").read_bytes() != before


def test_dense_writes_a_town_whose_houses_touch_the_same_for_a_seed(geofcn_command, tmp_path):
    for name in ("a", "b"):
        geofcn_command("sample", tmp_path / name, "--size", 256, "--seed", 4, "--dense")
    for name in ("scene.tif", "labels.tif"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    one, two = (geopandas.read_file(tmp_path / name / "labels.gpkg") for name in ("a", "b"))
    assert one.geometry.to_wkb().equals(two.geometry.to_wkb())
    touching = one.sindex.query(one.geometry, predicate="touches")[0]
    assert np.unique(touching).size > len(one) / 2
    vectors = tmp_path / "a" / "labels.gpkg"
    scores = geofcn_command("evaluate", vectors, vectors, "--json")
    assert json.loads(scores.stdout)["objects"]["f1"] == 1

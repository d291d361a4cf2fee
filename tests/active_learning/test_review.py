"""geofcn.active_learning.review: boxes of a probability raster, refused or written."""

import os

import numpy as np
import pytest
import shapely

import geofcn
from geofcn.active_learning.review import review
from geofcn.core.pixels import BLANK
from geofcn.core.windows import Window
from geofcn.errors import LabelsError, OutputError, SceneError, UsageError
from geofcn.io.labels import open_labelled_scene

STEPS = np.zeros((20, 30), np.uint8)
STEPS[:10, 10:20] = 100
STEPS[10:, 20:] = 127
STEPS[12:14, :2] = 254


@pytest.fixture
def probability(write_raster):
    """Six boxes of 10 px, or 2 m: the second and the last are uncertain, the fourth has a house."""
    return write_raster("p.tif", STEPS, nodata=255)


def test_boxes_are_ranked_placed_and_measured(probability, tmp_path):
    result = review(probability, tmp_path / "b.gpkg", size=2)
    found = result.read()
    assert result.count == 2 and str(result).endswith("b.gpkg: 2 boxes")
    assert found["id"].tolist() == [6, 2] and found["rank"].tolist() == [1, 2]
    assert found["reason"].tolist() == ["uncertain", "uncertain"]
    square = shapely.box(500_004, 4_999_996, 500_006, 4_999_998)
    assert found.geometry[0].equals(square)
    # On the ground a UTM metre is up to 0.04 % off.
    assert found["area_m2"].tolist() == pytest.approx([4, 4], rel=2e-3)
    assert found["wrong_m2"].tolist() == pytest.approx([2, 4 * 100 / 254], rel=2e-3)
    assert found["houses_m2"].tolist() == pytest.approx([2, 4 * 100 / 254], rel=2e-3)
    assert review(probability, tmp_path / "one.gpkg", size=2, count=1).read()["id"].tolist() == [6]


@pytest.mark.parametrize("vectors", [True, False])
def test_what_an_old_map_contradicts_comes_first(
    probability, write_raster, write_vectors, tmp_path, vectors
):
    """A house of the model that the map lacks, and one of the map that the model does not see."""
    if vectors:
        old = write_vectors("old.gpkg", [shapely.box(500_000, 4_999_998, 500_001.6, 5_000_000)])
    else:
        classes = np.zeros_like(STEPS)
        classes[:10, :8] = 1
        old = write_raster("old.tif", classes)
    found = review(probability, tmp_path / "b.gpkg", size=2, map_=old).read()
    assert found["id"].tolist() == [1, 6, 2, 4]
    assert found["reason"].tolist() == ["map", "uncertain", "uncertain", "map"]
    assert found["wrong_m2"].tolist()[::3] == pytest.approx([3.2, 0.16], rel=2e-3)


@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".fgb", ".parquet", ".shp"])
def test_every_format_brings_the_boxes_back_by_rank(probability, tmp_path, ending):
    found = review(probability, tmp_path / f"b{ending}", size=2).read()
    assert found["id"].tolist() == [6, 2]


def test_a_raster_without_a_doubt_has_no_box(write_raster, tmp_path):
    certain = write_raster("c.tif", np.zeros((20, 20), np.uint8))
    assert review(certain, tmp_path / "b.gpkg", size=2).count == 0


def test_boxes_are_an_area_to_train_on(village, write_raster, tmp_path):
    """The accepted ones, by their rank: nothing else is looked at."""
    scene, labels = village(96)
    steps = np.zeros((96, 96), np.uint8)
    steps[:48, 48:] = 120
    steps[48:, :48] = 100
    boxes = review(write_raster("p.tif", steps), tmp_path / "b.gpkg", size=9.6).boxes
    labelled = [
        open_labelled_scene(scene, labels, area=f"{boxes}{chosen}").labels.read(
            Window(0, 0, 96, 96)
        )
        for chosen in ("", "|subset=rank <= 1")
    ]
    first, second = np.s_[:48, 48:], np.s_[48:, :48]
    for classes, areas in zip(labelled, ([first, second], [first]), strict=True):
        assert sum((classes[area] != BLANK).sum() for area in areas) == 48 * 48 * len(areas)
        assert (classes != BLANK).sum() == 48 * 48 * len(areas)


def test_what_is_no_probability_or_beside_it_is_refused(
    probability, write_raster, write_vectors, tmp_path
):
    out = tmp_path / "b.gpkg"
    floats = write_raster("f.tif", np.zeros((20, 30), np.float32))
    wider = write_raster("w.tif", np.zeros((3, 20, 31), np.uint8))
    away = write_vectors("away.gpkg", [shapely.box(0, 0, 1, 1)])
    for error, message, given in (
        (SceneError, r"f\.tif: its pixels are float32", {"probability": floats}),
        (SceneError, r"w\.tif: it is not on the grid of .*p\.tif", {"report": (wider, "p.html")}),
        (LabelsError, r"away\.gpkg", {"map_": away}),
        (UsageError, r"size 0: give a number above 0", {"size": 0}),
        (UsageError, r"size 0\.1: a pixel is 0\.2 wide", {"size": 0.1}),
        (UsageError, r"count 0: give a whole number from 1", {"count": 0}),
        (OutputError, r"must end in one of \.html", {"report": (probability, probability)}),
    ):
        with pytest.raises(error, match=message):
            review(**{"probability": probability, "boxes": out, **given})
    assert not out.exists()


def test_without_a_crs_boxes_are_refused_or_plain(write_raster, tmp_path):
    bare = write_raster("bare.tif", STEPS, crs=None)
    with pytest.raises(OutputError, match="--allow-no-crs"):
        review(bare, tmp_path / "b.gpkg", size=2)
    found = review(bare, tmp_path / "b.gpkg", size=2, allow_no_crs=True).read()
    assert found["id"].tolist() == [6, 2] and found.crs is None


def test_all_files_or_none(probability, write_raster, tmp_path, once_under_way):
    """A page that exists, and a raster that changes while it is read, leave nothing new."""
    scene, page, out = write_raster("s.tif", STEPS), tmp_path / "p.html", tmp_path / "b.gpkg"
    page.write_text("mine")
    with pytest.raises(OutputError, match=r"p\.html: it exists already"):
        review(probability, out, report=(scene, page))
    page.unlink()
    touch = once_under_way(lambda: os.utime(probability, (1, 1)))
    with pytest.raises(SceneError, match=r"p\.tif: it has changed"):
        review(probability, out, report=(scene, page), progress=touch)
    assert {path.name for path in tmp_path.iterdir()} == {"p.tif", "s.tif"}


def test_the_public_name_is_the_function():
    assert geofcn.review is review

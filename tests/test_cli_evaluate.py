"""geofcn evaluate"""

import json

import numpy as np
import pytest


@pytest.fixture
def pair(write_raster):
    """A prediction and a truth of 4 x 4 pixels: 3 hits, 1 false alarm, 2 misses, 1 blank."""
    predicted = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 255]], np.uint8)
    truth = np.array([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1]], np.uint8)
    return write_raster("predicted.tif", predicted, nodata=255), write_raster("truth.tif", truth)


def test_scores_by_hand(geofcn_command, pair):
    scores = json.loads(geofcn_command("evaluate", *pair, "--json").stdout)["pixels"]
    assert scores["precision"] == pytest.approx(3 / 4)
    assert scores["recall"] == pytest.approx(3 / 5)
    assert scores["f1"] == pytest.approx(2 / 3)
    assert scores["accuracy"] == pytest.approx(12 / 15)
    assert scores["iou"] == pytest.approx(3 / 6)


def test_table(geofcn_command, pair):
    lines = geofcn_command("evaluate", *pair).stdout.splitlines()
    assert lines[0] == "pixels"
    assert "precision" in lines[1]
    assert "75.00 %" in lines[1]
    assert "F1" in lines[3]


def test_an_undefined_score_is_null(geofcn_command, write_raster):
    nothing = write_raster("nothing.tif", np.zeros((4, 4), np.uint8))
    scores = json.loads(geofcn_command("evaluate", nothing, nothing, "--json").stdout)["pixels"]
    assert scores["precision"] is None
    assert scores["accuracy"] == 1


def test_labels_on_a_larger_grid_and_vectors_are_cut(geofcn_command, trained, tmp_path):
    import rasterio
    from rasterio.windows import Window

    with rasterio.open(trained / "labels.tif") as labels:
        window = Window(100, 60, 200, 150)
        profile = labels.profile | {
            "width": 200, "height": 150, "transform": labels.window_transform(window),
            "tiled": False,
        }  # fmt: skip
        for key in ("blockxsize", "blockysize"):
            profile.pop(key, None)
        with rasterio.open(tmp_path / "part.tif", "w", **profile) as part:
            part.write(labels.read(window=window))
    for labels in ("labels.tif", "labels.gpkg"):
        result = geofcn_command("evaluate", tmp_path / "part.tif", trained / labels, "--json")
        assert json.loads(result.stdout)["pixels"]["f1"] == pytest.approx(1, abs=1e-9)


def test_no_overlap_is_refused(geofcn_command, pair, write_raster):
    far = write_raster(
        "far.tif", np.ones((4, 4), np.uint8), transform=(0.2, 0, 900_000, 0, -0.2, 5_000_000)
    )
    result = geofcn_command("evaluate", pair[0], far, code=1)
    assert "overlap" in result.stderr

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


def test_objects_in_json(geofcn_command, pair):
    """One house of 4 pixels against one of 5, 3 of them common: IoU 3/6."""
    objects = json.loads(geofcn_command("evaluate", *pair, "--json").stdout)["objects"]
    assert objects["mean_iou"] == pytest.approx(3 / 6)
    assert (objects["tp"], objects["fp"], objects["fn"]) == (1, 0, 0)
    assert objects["by_size"]["small"] == {"tp": 1, "fp": 0, "fn": 0}
    strict = geofcn_command("evaluate", *pair, "--json", "--iou", 0.6).stdout
    objects = json.loads(strict)["objects"]
    assert (objects["tp"], objects["fp"], objects["fn"]) == (0, 1, 1)
    assert objects["mean_iou"] is None
    assert objects["polis_m"] is None


def test_objects_in_the_table(geofcn_command, pair):
    lines = geofcn_command("evaluate", *pair).stdout.splitlines()
    start = lines.index("objects")
    assert [line.split()[0] for line in lines[start + 1 : start + 4]] == [
        "precision", "recall", "F1",
    ]  # fmt: skip
    assert lines[start + 5].split()[::2] == ["PoLiS", "m"]
    assert lines[-5].split() == ["TP", "FP", "FN"]
    assert lines[-4].split() == ["all", "1", "0", "0"]
    assert lines[-3].split() == ["small", "<", "50", "m2", "1", "0", "0"]


def test_polygons_on_both_sides_have_no_pixels(geofcn_command, trained, tmp_path):
    labels = trained / "labels.gpkg"
    matches = tmp_path / "matches.gpkg"
    result = geofcn_command("evaluate", labels, labels, "--json", "--matches", matches)
    scores = json.loads(result.stdout)
    assert scores["pixels"] is None
    assert scores["objects"]["f1"] == 1
    assert scores["objects"]["polis_m"] == 0
    assert "pixels" not in geofcn_command("evaluate", labels, labels).stdout
    refused = geofcn_command("evaluate", labels, labels, "--matches", matches, code=1)
    assert "--overwrite" in refused.stderr
    geofcn_command("evaluate", labels, labels, "--matches", matches, "--overwrite", "--min-area", 9)


# --- what counts of either side ---


@pytest.fixture
def town(tmp_path):
    """Two layers; of the houses one of two is built. Pixels are those of `pair`."""
    import geopandas
    import shapely

    path = tmp_path / "town.gpkg"
    boxes = [shapely.box(500_000, 4_999_999.6, 500_000.4, 5_000_000),
             shapely.box(500_000.6, 4_999_999.4, 500_000.8, 4_999_999.6)]  # fmt: skip
    frame = geopandas.GeoDataFrame({"state": ["built", "planned"]}, geometry=boxes, crs=25832)
    frame.to_file(path, layer="houses")
    frame.to_file(path, layer="parcels", mode="a")
    return path


def test_layer_and_condition_of_the_labels(geofcn_command, pair, town):
    refused = geofcn_command("evaluate", pair[0], town, code=1)
    assert "has the layers houses, parcels" in refused.stderr
    by_options = "--layer", "houses", "--where", "state = 'built'"
    by_name = f"{town}|layername=houses|subset=state = 'built'"
    scores = [
        json.loads(geofcn_command("evaluate", *given, "--json").stdout)["objects"]
        for given in ((pair[0], town, *by_options), (pair[0], by_name), (by_name, pair[0]))
    ]
    assert [side["f1"] for side in scores] == [1, 1, 1]
    everything = geofcn_command("evaluate", pair[0], town, "--layer", "houses", "--json")
    assert json.loads(everything.stdout)["objects"]["fn"] == 1


def test_values_of_houses_of_either_side(geofcn_command, pair, write_raster):
    classes = write_raster("classes.tif", np.array([[2, 2, 3], [2, 3, 1], [0, 0, 0]], np.uint8))
    for given in ((classes, classes), (f"{classes}|house=2", classes)):
        refused = geofcn_command("evaluate", *given, code=1)
        assert "several values besides 0 (1, 2, 3)" in refused.stderr
    result = geofcn_command(
        "evaluate", f"{classes}|house=2", classes, "--house-value", 2, "--house-value", 3, "--json"
    )
    pixels = json.loads(result.stdout)["pixels"]
    assert (pixels["precision"], pixels["recall"]) == (1, 3 / 5)


def test_a_probability_is_no_mask(geofcn_command, pair, write_raster):
    """Once it was one house of the whole scene, with a recall of 100 %."""
    floats = write_raster("p.tif", np.linspace(0.1, 0.9, 16, dtype=np.float32).reshape(4, 4))
    refused = geofcn_command("evaluate", floats, pair[1], code=1)
    assert "probabilities" in refused.stderr


@pytest.mark.parametrize("side", [0, 1])
def test_houses_on_nodata_are_refused_on_either_side(geofcn_command, pair, write_raster, side):
    """Once the precision of any prediction was 100 %, for only houses counted."""
    only = np.array([[1, 1, 9, 9], [1, 1, 9, 9], [9] * 4, [9] * 4], np.uint8)
    given = list(pair)
    given[side] = write_raster("only.tif", only, nodata=9)
    refused = geofcn_command("evaluate", *given, code=1)
    assert "only.tif: it knows houses and no background" in refused.stderr


def test_houses_that_are_there_twice_count_once(geofcn_command, write_vectors):
    import shapely

    box = shapely.box(500_000, 5_000_000, 500_009, 5_000_009)
    twice, once = write_vectors("twice.gpkg", [box, box]), write_vectors("once.gpkg", [box])
    result = geofcn_command("evaluate", twice, once, "--json")
    objects = json.loads(result.stdout)["objects"]
    assert (objects["tp"], objects["fp"]) == (1, 0)
    assert f"{twice}: 1 of its houses repeat others and count for nothing." in result.stderr


def test_within_an_area_and_with_matches_to_filter_by(geofcn_command, write_raster, tmp_path):
    """A wall in the prediction's house alone; another house lies beside the area."""
    import geopandas
    import shapely

    predicted = np.array([[1, 0, 1, 0, 1], [1, 0, 1, 0, 1]], np.uint8)
    truth = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 0, 0]], np.uint8)
    left = shapely.box(500_000, 4_999_999.6, 500_000.8, 5_000_000)
    geopandas.GeoDataFrame(geometry=[left], crs=25832).to_file(tmp_path / "left.gpkg")
    sides = write_raster("predicted.tif", predicted), write_raster("truth.tif", truth)
    matches = tmp_path / "matches.gpkg"
    given = "--area", tmp_path / "left.gpkg", "--matches", matches
    scores = json.loads(geofcn_command("evaluate", *sides, *given, "--json").stdout)
    assert (scores["pixels"]["precision"], scores["pixels"]["recall"]) == (1, 4 / 6)
    objects = scores["objects"]
    assert (objects["fp"], objects["fn"], objects["merged"], objects["split"]) == (2, 1, 0, 1)
    assert (objects["pq"], objects["sq"], objects["rq"]) == (0, None, 0)
    frame = geopandas.read_file(matches, where="grouping = 'split'")
    assert frame[["side", "outcome", "holds", "within"]].values.tolist() == [["truth", "fn", 2, 0]]
    frame = geopandas.read_file(matches, where="outcome = 'fp' AND within > 0")
    assert len(frame) == 2

"""Scores by pixel and by house, of rasters and polygons on either side."""

import logging
import math
import os

import geopandas
import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from shapely import affinity
from shapely.geometry import MultiPolygon, Polygon, box

from geofcn.errors import LabelsError, OutputError, SceneError, UsageError
from geofcn.evaluation.evaluate import evaluate
from geofcn.evaluation.result import Counts
from geofcn.io.masks import MODEL_TAG
from geofcn.io.vector_writer import write_polygons

UTM = "EPSG:25832"
# One pixel is a metre.
METRES = from_origin(500_000, 5_000_000, 1, 1)


def house(col: float, row: float, width: float, height: float) -> Polygon:
    """A rectangle by pixels of METRES."""
    x, y = METRES @ (col, row)
    return box(x, y - height, x + width, y)


# A match with an IoU of 0.8, a miss, an exact match; and a false alarm.
TRUTH = [house(5, 5, 10, 4), house(30, 5, 6, 6), house(5, 30, 20, 12)]
PREDICTED = [house(5, 5, 8, 4), house(5, 30, 20, 12), house(45, 45, 3, 3)]
# Of the first pair only two of the truth's four corners are off, by 2 m; the other pair is exact.
POLIS = ((2 * 2 / 4 + 0) / 2 + 0) / 2
EXPECTED = {"tp": 2, "fp": 1, "fn": 1, "precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3}


def burned(houses) -> np.ndarray:
    mask = np.zeros((60, 60), np.uint8)
    for polygon in houses:
        moved = affinity.translate(polygon, -5e5, -5e6)
        left, bottom, right, top = (round(value) for value in moved.bounds)
        mask[-top:-bottom, left:right] = 1
    return mask


@pytest.fixture
def files(write_raster, write_vectors):
    """Both sides as rasters and as polygons, the labels' in degrees too."""
    degrees = geopandas.GeoSeries(TRUTH, crs=UTM).to_crs("EPSG:4326")
    return {
        "predicted.tif": write_raster("predicted.tif", burned(PREDICTED), transform=METRES),
        "predicted.gpkg": write_vectors("predicted.gpkg", PREDICTED),
        "truth.tif": write_raster("truth.tif", burned(TRUTH), transform=METRES),
        "truth.gpkg": write_vectors("truth.gpkg", TRUTH),
        "truth.geojson": write_vectors("truth.geojson", degrees, "EPSG:4326"),
    }


@pytest.mark.parametrize("labels", ["truth.tif", "truth.gpkg", "truth.geojson"])
@pytest.mark.parametrize("prediction", ["predicted.tif", "predicted.gpkg"])
def test_every_pairing_gives_the_same_scores(files, prediction, labels):
    scores = evaluate(files[prediction], files[labels])
    objects = scores.objects
    assert {name: getattr(objects, name) for name in EXPECTED} == pytest.approx(EXPECTED)
    assert objects.mean_iou == pytest.approx((0.8 + 1) / 2, abs=1e-5)
    assert objects.polis_m == pytest.approx(POLIS, rel=1e-3)
    assert objects.by_size == {
        "small": Counts(1, 1, 1),
        "medium": Counts(0, 0, 0),
        "large": Counts(1, 0, 0),
    }
    if prediction.endswith(".tif") or labels.endswith(".tif"):
        tp, fp, fn = 32 + 240, 9, 8 + 36
        assert scores.pixels.iou == pytest.approx(tp / (tp + fp + fn))
    else:
        assert scores.pixels is None


@pytest.mark.parametrize("other", ["truth.tif", "truth.gpkg"])
@pytest.mark.parametrize("none", ["none.gpkg", "none.shp", "truth.gpkg|subset=fid > 9"])
def test_a_file_without_polygons_is_a_place_without_houses_on_either_side(
    files, tmp_path, caplog, other, none
):
    caplog.set_level(logging.WARNING, logger="geofcn")
    if none.startswith("none"):
        write_polygons(tmp_path / none, iter(()), UTM, columns={"id": "int64"})
    empty = tmp_path / none
    for prediction, labels, counts in (
        (files[other], empty, (0, len(TRUTH), 0)),
        (empty, files[other], (0, 0, len(TRUTH))),
    ):
        caplog.clear()
        scores = evaluate(prediction, labels)
        objects = scores.objects
        assert (objects.tp, objects.fp, objects.fn) == counts
        if other.endswith(".tif"):
            assert scores.pixels.iou == 0 and scores.pixels.accuracy < 1
        (notice,) = [text for text in caplog.messages if "it holds no polygon" in text]
        assert notice.endswith("a place without houses.")
        assert ("fid > 9" in notice) == ("fid > 9" in none)


def test_the_least_overlap_can_be_changed(files):
    objects = evaluate(files["predicted.gpkg"], files["truth.tif"], iou=0.9).objects
    assert (objects.tp, objects.fp, objects.fn) == (1, 2, 2)
    # 8 of 10 columns, exactly.
    assert evaluate(files["predicted.tif"], files["truth.gpkg"], iou=0.8).objects.tp == 2


def test_small_ones_are_left_out_on_both_sides(files):
    objects = evaluate(files["predicted.tif"], files["truth.gpkg"], min_area=38).objects
    # 36 m2 were missed, 9 m2 a false alarm, and a house of 40 m2 was predicted with 32 m2.
    assert (objects.tp, objects.fp, objects.fn) == (1, 0, 1)


def test_houses_do_not_depend_on_the_row_bands(files, monkeypatch):
    whole = evaluate(files["predicted.tif"], files["truth.geojson"])
    monkeypatch.setitem(evaluate.__globals__, "BAND_ROWS", 7)
    assert evaluate(files["predicted.tif"], files["truth.geojson"]) == whole


def test_what_lies_off_a_raster_or_on_blank_does_not_count(write_raster, write_vectors):
    mask = burned([TRUTH[0], TRUTH[2]])
    mask[:, 28:40] = 255
    raster = write_raster("mask.tif", mask, nodata=255, transform=METRES)
    # TRUTH[1] lies in the blank columns; one lies beside the raster, one overlaps its edge.
    off, edge = house(100, 5, 9, 9), house(57, 57, 10, 10)
    polygons = write_vectors("houses.gpkg", [*TRUTH, off, edge])
    for pair in ((raster, polygons), (polygons, raster)):
        objects = evaluate(*pair).objects
        assert (objects.tp, objects.fp, objects.fn) == (2, 0, 0)
        assert objects.mean_iou == pytest.approx(1)


def test_houses_of_a_raster_count_only_where_the_other_is_not_blank(write_raster):
    prediction = write_raster("predicted.tif", burned(PREDICTED), transform=METRES)
    truth = burned(TRUTH)
    truth[40:, 40:] = 255
    labels = write_raster("truth.tif", truth, nodata=255, transform=METRES)
    objects = evaluate(prediction, labels).objects
    assert (objects.tp, objects.fp, objects.fn) == (2, 0, 1)


def test_parts_of_a_multipolygon_are_houses_of_their_own(files, write_vectors):
    labels = write_vectors("multi.gpkg", [MultiPolygon(TRUTH)])
    objects = evaluate(files["predicted.gpkg"], labels).objects
    assert (objects.tp, objects.fp, objects.fn) == (2, 1, 1)


def test_invalid_polygons_are_mended(files, write_vectors):
    x, y = METRES @ (20, 20)
    bow_tie = Polygon([(x, y), (x + 4, y - 4), (x + 4, y), (x, y - 4)])
    objects = evaluate(write_vectors("bow.gpkg", [bow_tie]), files["truth.gpkg"]).objects
    assert (objects.tp, objects.fp, objects.fn) == (0, 2, 3)


def test_the_best_score_chooses_first(write_vectors, tmp_path):
    labels = write_vectors("truth.gpkg", [house(0, 0, 10, 10)])
    rivals = [house(0, 0, 10, 10), house(0, 0, 10, 8)]
    frame = geopandas.GeoDataFrame({"score": [0.6, 0.9]}, geometry=rivals, crs=UTM)
    frame.to_file(tmp_path / "scored.gpkg")
    assert evaluate(tmp_path / "scored.gpkg", labels).objects.mean_iou == pytest.approx(0.8)
    plain = write_vectors("plain.gpkg", rivals)
    assert evaluate(plain, labels).objects.mean_iou == pytest.approx(1)


@pytest.mark.parametrize("crs", ["EPSG:3857", "EPSG:4326"])
def test_areas_and_distances_are_metres_on_the_ground_in_any_crs(write_vectors, crs):
    sides = {}
    for name, houses in (("predicted.gpkg", PREDICTED), ("truth.gpkg", TRUTH)):
        sides[name] = write_vectors(name, geopandas.GeoSeries(houses, crs=UTM).to_crs(crs), crs)
    objects = evaluate(*sides.values()).objects
    assert objects.polis_m == pytest.approx(POLIS, rel=1e-3)
    assert objects.mean_iou == pytest.approx(0.9, abs=1e-5)
    assert objects.by_size["small"] == Counts(tp=1, fp=1, fn=1)


# --- an area ---


@pytest.mark.parametrize("labels", ["truth.tif", "truth.geojson"])
@pytest.mark.parametrize("prediction", ["predicted.tif", "predicted.gpkg"])
def test_a_house_counts_as_a_whole_where_its_point_lies_in_the_area(
    files, write_vectors, prediction, labels
):
    """The first house reaches out of the area by a column, the last by more than half."""
    edge = geopandas.GeoSeries([house(0, 0, 14, 60)], crs=UTM).to_crs("EPSG:4326")
    area = write_vectors("area.geojson", edge, "EPSG:4326")
    scores = evaluate(files[prediction], files[labels], area=area)
    assert (scores.objects.tp, scores.objects.fp, scores.objects.fn) == (1, 0, 0)
    assert scores.objects.mean_iou == pytest.approx(0.8, abs=1e-5)
    if scores.pixels is not None:
        assert scores.pixels.iou == pytest.approx((32 + 108) / (36 + 108))


def test_an_area_of_several_polygons_is_all_of_them(files, write_vectors):
    parts = [MultiPolygon([house(0, 0, 20, 20), house(28, 0, 20, 20)]), house(40, 40, 9, 9)]
    area = write_vectors("area.gpkg", parts)
    for pair in (("predicted.gpkg", "truth.gpkg"), ("predicted.tif", "truth.tif")):
        objects = evaluate(*(files[name] for name in pair), area=area).objects
        assert (objects.tp, objects.fp, objects.fn) == (1, 1, 1)


def test_an_area_elsewhere_or_without_place_is_refused(files, write_vectors, tmp_path):
    far = write_vectors("far.gpkg", [house(10_000, 0, 9, 9)])
    bare = write_vectors("bare.gpkg", [house(0, 0, 60, 60)], None)
    for prediction in (files["predicted.tif"], files["predicted.gpkg"]):
        for area, message in (
            (far, r"far\.gpkg: no(ne| house) .* check its place and its CRS"),
            (bare, r"bare\.gpkg: it states no CRS"),
            (files["truth.tif"], r"truth\.tif: an area is given as polygons"),
        ):
            with pytest.raises(LabelsError, match=message):
                evaluate(prediction, files["truth.gpkg"], area=area)
    with pytest.raises(OutputError, match="input itself"):
        evaluate(files["predicted.tif"], files["truth.gpkg"], area=far, matches=far, overwrite=True)


# --- houses that touch ---


def test_touching_houses_of_a_raster_are_one_before_they_are_scored(write_raster, write_vectors):
    """Three houses in a row: as polygons they are merged by the prediction, as pixels found."""
    row = [house(5 + 10 * i, 5, 10, 8) for i in range(3)]
    prediction = write_raster("predicted.tif", burned(row), transform=METRES)
    apart = evaluate(prediction, write_vectors("row.gpkg", row)).objects
    assert (apart.tp, apart.fp, apart.fn, apart.merged, apart.split) == (0, 1, 3, 1, 0)
    pixels = evaluate(prediction, prediction).objects
    assert (pixels.tp, pixels.merged, pixels.pq) == (1, 0, 1)
    turned = evaluate(write_vectors("row.gpkg", row), prediction).objects
    assert (turned.merged, turned.split) == (0, 1)


@pytest.mark.parametrize("rows", [256, 3])
def test_instances_that_touch_are_houses_on_either_side(
    write_raster, write_vectors, monkeypatch, rows
):
    """Three houses in a row; the third has the number of the first, which it does not touch."""
    monkeypatch.setitem(evaluate.__globals__, "BAND_ROWS", rows)
    numbers = np.zeros((20, 30), np.uint16)
    numbers[2:10, 2:8], numbers[2:10, 8:14], numbers[2:10, 14:20] = 7, 900, 7
    raster = write_raster("numbers.tif", numbers, transform=METRES)
    polygons = write_vectors("p.gpkg", [house(c, 2, 6, 8) for c in (2, 8, 14)])
    for prediction, labels in (
        (f"{raster}|instances", f"{raster}|instances"),
        (f"{raster}|instances", polygons),
        (polygons, f"{raster}|instances"),
    ):
        scores = evaluate(prediction, labels)
        assert (scores.objects.tp, scores.objects.fp, scores.objects.fn) == (3, 0, 0)
        assert scores.objects.mean_iou == scores.pixels.iou == 1
    assert evaluate(polygons, raster, instances=True) == evaluate(polygons, f"{raster}|instances")
    one = write_raster("one.tif", np.uint8(numbers > 0), transform=METRES)
    assert evaluate(one, f"{raster}|instances").objects.merged == 1


def test_of_instances_only_what_is_not_blank_counts(write_raster):
    numbers = np.uint8([[1, 1, 2, 2, 2, 2], [1, 1, 2, 2, 2, 2], [0, 0, 0, 0, 0, 0]])
    half = numbers.copy()
    half[:, 4:] = 255
    both = (
        write_raster("a.tif", numbers, transform=METRES),
        write_raster("b.tif", half, transform=METRES, nodata=255),
    )
    scores = evaluate(f"{both[0]}|instances", f"{both[1]}|instances")
    assert (scores.objects.tp, scores.objects.mean_iou) == (2, 1)


# --- nothing to score ----------------------------------------------------------------------------


def test_without_any_house_on_either_side_scores_are_undefined(write_raster):
    nothing = write_raster("nothing.tif", np.zeros((4, 4), np.uint8))
    objects = evaluate(nothing, nothing).objects
    assert (objects.tp, objects.fp, objects.fn) == (0, 0, 0)
    for name in ("precision", "recall", "f1", "mean_iou", "polis_m"):
        assert math.isnan(getattr(objects, name)), name


@pytest.mark.parametrize("labels", ["truth.tif", "truth.gpkg"])
def test_a_file_without_polygons_is_a_prediction_of_nothing(files, tmp_path, labels):
    empty = geopandas.GeoDataFrame(geometry=[], crs=UTM)
    empty.to_file(tmp_path / "empty.gpkg", geometry_type="Polygon")
    scores = evaluate(tmp_path / "empty.gpkg", files[labels])
    assert (scores.objects.tp, scores.objects.fn) == (0, 3)
    assert scores.objects.recall == 0
    assert math.isnan(scores.objects.precision)
    if labels == "truth.tif":
        assert scores.pixels.recall == 0


# --- the file of matches -------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".gpkg", ".geojson"])
def test_matches_are_written_with_their_outcome(files, tmp_path, ending):
    path = tmp_path / f"matches{ending}"
    evaluate(files["predicted.tif"], files["truth.geojson"], matches=path)
    frame = geopandas.read_file(path)
    assert frame["grouping"].isna().all() and frame["holds"].sum() == frame["within"].sum() == 4
    assert list(frame["side"]) == ["prediction"] * 3 + ["truth"] * 3
    assert sorted(frame.query("side == 'prediction'")["outcome"]) == ["fp", "tp", "tp"]
    assert list(frame.query("side == 'truth'")["outcome"]) == ["tp", "fn", "tp"]
    assert frame["iou"].isna().tolist() == (frame["outcome"] != "tp").tolist()
    assert frame["iou"].max() == pytest.approx(1, abs=1e-5)
    assert frame["area_m2"].iloc[-3:].tolist() == pytest.approx([40, 36, 240], rel=2e-3)
    back = frame.geometry.to_crs(UTM).iloc[-3:]
    for written, original in zip(back, TRUTH, strict=True):
        assert written.symmetric_difference(original).area < 1e-2


def test_matches_are_refused_before_anything_is_read(files, tmp_path):
    taken = tmp_path / "taken.gpkg"
    taken.write_text("taken")
    with pytest.raises(OutputError, match="--overwrite"):
        evaluate("missing.tif", files["truth.tif"], matches=taken)
    with pytest.raises(OutputError, match="input itself"):
        evaluate(
            files["predicted.tif"], files["truth.gpkg"], matches=files["truth.gpkg"], overwrite=True
        )
    assert taken.read_text() == "taken"
    evaluate(files["predicted.tif"], files["truth.tif"], matches=taken, overwrite=True)
    assert len(geopandas.read_file(taken)) == 6


# --- refusals ------------------------------------------------------------------------------------


def test_sides_that_do_not_meet_are_refused(files, write_vectors):
    far = write_vectors("far.gpkg", [affinity.translate(polygon, 1e4) for polygon in TRUTH])
    for pair in (
        (files["predicted.tif"], far), (far, files["truth.tif"]),
        (files["predicted.gpkg"], far), (far, files["truth.gpkg"]),
    ):  # fmt: skip
        with pytest.raises(LabelsError, match=r"check (its place and its|both) CRS"):
            evaluate(*pair)


def test_polygons_of_an_unknown_place_are_refused(files, write_vectors):
    bare = write_vectors("bare.gpkg", PREDICTED, None)
    for pair in ((bare, files["truth.gpkg"]), (files["predicted.gpkg"], bare)):
        with pytest.raises(LabelsError, match=r"bare.gpkg: it states no CRS"):
            evaluate(*pair)
    objects = evaluate(bare, write_vectors("plane.gpkg", TRUTH, None)).objects
    assert objects.polis_m == pytest.approx(POLIS)


@pytest.mark.parametrize("content", ["nonsense", None])
def test_what_is_no_vector_file_is_refused(files, tmp_path, content):
    path = tmp_path / "houses.shp"
    if content:
        path.write_text(content)
    with pytest.raises(LabelsError, match=r"cannot be read as polygons|no such file"):
        evaluate(path, files["truth.gpkg"])


@pytest.mark.parametrize("wrong", [{"iou": 0}, {"iou": 1.5}, {"min_area": -1}])
def test_options_out_of_range_are_refused(files, wrong):
    with pytest.raises(UsageError, match="give a number"):
        evaluate(files["predicted.tif"], files["truth.tif"], **wrong)


def test_a_raster_that_changes_while_it_is_read_is_an_error(write_raster, tmp_path, once_under_way):
    houses = np.ones((4, 4), np.uint8)
    prediction, labels = write_raster("p.tif", houses), write_raster("l.tif", houses)
    for changing in (prediction, labels):
        progress = once_under_way(lambda path=changing: os.utime(path))
        with pytest.raises(SceneError, match=f"{changing.stem}.tif: it has changed while it was"):
            evaluate(prediction, labels, matches=tmp_path / "m.gpkg", progress=progress)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["l.tif", "p.tif"]


def test_a_mask_of_geofcn_may_be_house_all_over(write_raster):
    """Of other masks of houses and nodata alone nobody knows what is background."""
    mask = write_raster("mask.tif", np.ones((4, 5), np.uint8), nodata=255)
    truth = write_raster("truth.tif", np.array([[1, 1, 0, 0, 1]] * 4, np.uint8))
    with pytest.raises(LabelsError, match=r"mask\.tif: it knows houses and no background"):
        evaluate(mask, truth)
    with rasterio.open(mask, "r+") as raster:
        raster.update_tags(**{MODEL_TAG: "0123"})
    assert evaluate(mask, truth).pixels.precision == 0.6

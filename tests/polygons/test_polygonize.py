"""geofcn.polygons.polygonize: a mask's file becomes a vector file, or is refused."""

import os

import numpy as np
import pytest
import rasterio
import shapely
from rasterio.transform import Affine

from geofcn.errors import GeofcnError, LabelsError, OutputError, SceneError, UsageError
from geofcn.polygons.outline import Outline
from geofcn.polygons.polygonize import polygonize

RAW = Outline("raw", min_area=0)


def test_one_value_of_a_mask_of_classes(write_raster, tmp_path):
    mask = write_raster("classes.tif", np.array([[1, 2, 2], [0, 0, 2]], np.uint8))
    assert polygonize(mask, tmp_path / "one.gpkg", house_value=[2], outline=RAW).count == 1
    both = polygonize(mask, tmp_path / "both.gpkg", house_value=[1, 2], outline=RAW)
    assert both.count == 1 and both.read()["n_px"].tolist() == [4]
    assert polygonize(mask, tmp_path / "none.gpkg", house_value=[7], outline=RAW).count == 0


def test_what_other_verbs_refuse_as_labels_is_refused_here(write_raster, tmp_path):
    """Once a mask of several classes, and a float probability, were one large house."""
    classes = write_raster("classes.tif", np.array([[1, 2, 2], [0, 0, 2]], np.uint8))
    floats = write_raster("floats.tif", np.array([[0, 0.25, 0.75]], np.float32))
    for mask, message in ((classes, "several values"), (floats, "probabilities")):
        with pytest.raises(LabelsError, match=message):
            polygonize(mask, tmp_path / "h.gpkg")
    assert not (tmp_path / "h.gpkg").exists()


def test_probabilities_on_a_grid_that_differs_in_the_last_digit_are_taken(write_raster, tmp_path):
    """Once refused: transforms of tools that round differently are the same grid."""
    mask = write_raster("mask.tif", np.ones((4, 4), np.uint8))
    moved = Affine(0.2, 0, 500_000 + 1e-9, 0, -0.2, 5_000_000)
    steps = write_raster("p.tif", np.full((4, 4), 127, np.uint8), transform=moved)
    found = polygonize(mask, tmp_path / "h.gpkg", probability=steps, outline=RAW).read()
    assert found["score"].tolist() == [0.5]


def test_probabilities_of_another_grid_or_type_are_refused(write_raster, tmp_path):
    mask = write_raster("mask.tif", np.ones((4, 4), np.uint8))
    wider = write_raster("wider.tif", np.ones((4, 5), np.uint8))
    floats = write_raster("floats.tif", np.ones((4, 4), np.float32))
    for probability, what in ((wider, "not on the mask's grid"), (floats, "float32")):
        with pytest.raises(SceneError, match=what):
            polygonize(mask, tmp_path / "h.gpkg", probability=probability)
    assert not (tmp_path / "h.gpkg").exists()


@pytest.mark.parametrize(("bands", "scale", "message"), [(3, 1, "3 bands"), (1, 1 / 254, "scaled")])
def test_what_is_plainly_no_mask_is_refused(write_raster, tmp_path, bands, scale, message):
    path = write_raster("m.tif", np.arange(bands * 64, dtype=np.uint8).reshape(bands, 8, 8))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (scale,) * bands
    with pytest.raises(GeofcnError, match=rf"m\.tif.*{message}"):
        polygonize(path, tmp_path / "h.gpkg")
    assert not (tmp_path / "h.gpkg").exists()


def test_probabilities_of_several_bands_are_refused(write_raster, tmp_path):
    mask = write_raster("m.tif", np.ones((8, 8), np.uint8))
    photo = write_raster("p.tif", np.ones((3, 8, 8), np.uint8))
    with pytest.raises(SceneError, match=r"p\.tif: it has 3 bands"):
        polygonize(mask, tmp_path / "h.gpkg", probability=photo)


def test_no_polygon_is_pointed_out(write_raster, tmp_path, caplog):
    mask = write_raster("m.tif", np.ones((8, 8), np.uint8))
    assert polygonize(mask, tmp_path / "h.gpkg", house_value=[7]).count == 0
    assert "the value 7" in caplog.text


def test_a_mask_of_specks_has_houses_all_the_same(write_raster, tmp_path, caplog):
    mask = write_raster("m.tif", np.ones((8, 8), np.uint8))
    assert polygonize(mask, tmp_path / "h.gpkg").count == 0
    assert caplog.messages == [
        "1 polygon(s) smaller than 4 m2 were left out; --min-area 0 keeps them."
    ]


def test_pixels_that_are_blank_in_the_mask_are_no_houses(write_raster, tmp_path):
    pixels = np.array([[1, 255, 1], [0, 255, 1]], np.uint8)
    mask = write_raster("mask.tif", pixels, nodata=255)
    frame = polygonize(mask, tmp_path / "houses.gpkg", outline=RAW).read()
    assert sorted(frame["n_px"]) == [1, 2]


def test_the_score_is_the_mean_probability_of_what_is_not_blank(write_raster, tmp_path, caplog):
    mask = write_raster("mask.tif", np.array([[1, 1, 1, 0]], np.uint8))
    steps = write_raster("probability.tif", np.array([[254, 127, 255, 0]], np.uint8))
    target = tmp_path / "houses.gpkg"
    (score,) = polygonize(mask, target, probability=steps, outline=RAW).read()["score"]
    assert "probability.tif: it declares no scale" in caplog.text
    assert score == pytest.approx(0.75)


@pytest.mark.parametrize(("slope", "score"), [("2.0", 0.9), ("0", 0.75), ("steep", 0.75)])
def test_the_tags_of_the_probabilities_say_how_scores_are_made(
    write_raster, tmp_path, slope, score
):
    """Odds of 3 to 1 are squared; tags that say nothing sound leave the mean probability."""
    mask = write_raster("mask.tif", np.array([[1, 1, 0]], np.uint8))
    steps = write_raster("probability.tif", np.array([[254, 127, 0]], np.uint8))
    with rasterio.open(steps, "r+") as dataset:
        dataset.update_tags(GEOFCN_SCORE_SLOPE=slope, GEOFCN_SCORE_OFFSET="0.0")
    target = tmp_path / "houses.gpkg"
    (found,) = polygonize(mask, target, probability=steps, outline=RAW).read()["score"]
    assert found == pytest.approx(score)


@pytest.mark.parametrize(
    ("scale", "options", "corners"),
    [
        ("4", {}, 4),
        ("2", {}, 4),
        ("1", {}, 8),
        (None, {}, 8),
        ("4", {"simplify": 1.5}, 8),
        (None, {"simplify": 5}, 4),
        ("4", {"outline": "simplify"}, 8),
    ],
)
def test_a_notch_shorter_than_a_wall_goes_by_the_net_pixel(
    write_raster, tmp_path, scale, options, corners
):
    """Walls are two tolerances long: 10, 5 or 3 pixels; the notch is 4 wide, and as deep."""
    pixels = np.zeros((60, 100), np.uint8)
    pixels[8:48, 8:88] = 1
    pixels[8:12, 40:44] = 0
    mask = write_raster("mask.tif", pixels)
    if scale is not None:
        with rasterio.open(mask, "r+") as dataset:
            dataset.update_tags(GEOFCN_SCALE=scale)
    options = {"outline": "square"} | options
    (house,) = polygonize(mask, tmp_path / "houses.gpkg", **options).read().geometry
    assert shapely.get_num_coordinates(house) - 1 == corners


def test_polygons_lie_where_their_pixels_do(write_raster, tmp_path):
    pixels = np.zeros((300, 20), np.uint8)
    pixels[250:270, 5:15] = 1  # across two row bands
    mask = write_raster("mask.tif", pixels)
    frame = polygonize(mask, tmp_path / "houses.gpkg", outline=RAW).read()
    with rasterio.open(mask) as dataset:
        west, north = dataset.transform * (5, 250)
        east, south = dataset.transform * (15, 270)
        assert frame.crs == dataset.crs
    assert frame.geometry[0].equals(shapely.box(west, south, east, north))


def test_a_mask_without_crs_needs_leave(write_raster, tmp_path):
    mask = write_raster("mask.tif", np.ones((4, 4), np.uint8), crs=None)
    with pytest.raises(OutputError, match="no CRS"):
        polygonize(mask, tmp_path / "houses.gpkg")
    frame = polygonize(mask, tmp_path / "houses.gpkg", outline=RAW, allow_no_crs=True).read()
    assert frame.crs is None
    assert frame["area_m2"].tolist() == pytest.approx([16 * 0.04])


def test_a_file_that_exists_is_replaced_only_on_demand(write_raster, tmp_path):
    mask = write_raster("mask.tif", np.ones((4, 4), np.uint8))
    target = tmp_path / "houses.fgb"
    target.write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        polygonize(mask, target)
    assert target.read_text() == "mine"
    assert polygonize(mask, target, overwrite=True, outline=RAW).count == 1


def test_an_outline_and_a_number_besides_contradict_each_other(write_raster, tmp_path):
    mask = write_raster("mask.tif", np.ones((4, 4), np.uint8))
    with pytest.raises(UsageError, match="min_area"):
        polygonize(mask, tmp_path / "houses.gpkg", outline=RAW, min_area=3)


def test_a_mask_that_changes_while_it_is_read_is_an_error(write_raster, tmp_path, once_under_way):
    mask = write_raster("m.tif", np.ones((300, 4), np.uint8))
    progress = once_under_way(lambda: os.utime(mask))
    with pytest.raises(SceneError, match=r"m\.tif: it has changed while it was read"):
        polygonize(mask, tmp_path / "h.gpkg", progress=progress)
    assert [path.name for path in tmp_path.iterdir()] == ["m.tif"]


def test_probabilities_that_change_behind_the_last_row_are_an_error(
    write_raster, tmp_path, once_under_way
):
    mask = write_raster("m.tif", np.ones((4, 4), np.uint8))
    scores = write_raster("p.tif", np.full((4, 4), 99, np.uint8))
    progress = once_under_way(lambda: os.utime(scores))
    with pytest.raises(SceneError, match=r"p\.tif: it has changed while it was read"):
        polygonize(mask, tmp_path / "h.shp", probability=scores, progress=progress)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.tif", "p.tif"]


@pytest.mark.parametrize("contacts", [False, True])
def test_a_mask_whose_rows_of_blocks_do_not_fit_the_cache_gives_the_same(
    write_raster, tmp_path, monkeypatch, contacts
):
    pixels = np.random.default_rng(0).integers(0, 3 if contacts else 2, (64, 90)).astype(np.uint8)
    mask = write_raster("mask.tif", pixels, tiled=True, blockxsize=32, blockysize=32)
    if contacts:
        with rasterio.open(mask, "r+") as dataset:
            dataset.update_tags(GEOFCN_CONTACTS="2")
    steps = write_raster("p.tif", pixels * 100, tiled=True, blockxsize=32, blockysize=32)
    monkeypatch.setattr("geofcn.polygons.polygonize.band_height", lambda width: 16)

    def found():
        polygonize(mask, tmp_path / "h.gpkg", probability=steps, outline=RAW, overwrite=True)
        return (tmp_path / "h.gpkg").read_bytes()

    plain = found()
    monkeypatch.setattr("geofcn.io.band_reader.CACHED_BYTES", 0)
    monkeypatch.setattr("geofcn.io.band_reader.COLUMNS", 32)
    assert found() == plain

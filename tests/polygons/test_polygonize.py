"""From a mask to footprints."""

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.features import geometry_mask, shapes
from rasterio.transform import Affine
from shapely.geometry import shape

from geofcn.core.pixels import BLANK
from geofcn.errors import SceneError, UsageError
from geofcn.polygons.footprints import footprints
from geofcn.polygons.outline import Outline
from geofcn.polygons.polygonize import polygonize

UTM = CRS.from_epsg(25832)
NORTH_UP = Affine.translation(500_000, 5_000_000) * Affine.scale(0.2, -0.2)
TRANSFORMS = {
    "north-up": NORTH_UP,
    "south-up": Affine.translation(500_000, 5_000_000) * Affine.scale(0.2, 0.2),
    "mirrored": Affine.translation(500_000, 5_000_000) * Affine.scale(-0.2, -0.2),
    "rotated": NORTH_UP * Affine.rotation(30) * Affine.scale(1, 2),
}
RAW = Outline("raw")
# A ring of 5 x 5 pixels around a hole of 3 x 3 with a dot in it, and a bar of 6 pixels.
RING = np.zeros((7, 14), bool)
RING[1:6, 1:6] = True
RING[2:5, 2:5] = False
RING[3, 3] = True
RING[5, 7:13] = True


def made(mask, steps=None, transform=NORTH_UP, outline=RAW, rows=256, crs=UTM):
    """Footprints of a mask cut into bands of `rows` rows: polygons, and columns by name."""
    cuts = range(0, len(mask), rows)
    bands = [(mask[i : i + rows], None if steps is None else steps[i : i + rows]) for i in cuts]
    batches = list(footprints(iter(bands), mask.shape[1], transform, crs, outline))
    if not batches:
        return np.zeros(0, object), {}
    columns = {
        name: np.concatenate([batch.columns[name] for batch in batches])
        for name in batches[0].columns
    }
    return np.concatenate([batch.geometry for batch in batches]), columns


def masks(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A random mask, and probabilities in steps of which some are blank."""
    random = np.random.default_rng(seed)
    size = tuple(random.integers(1, 20, 2))
    steps = random.integers(0, BLANK, size).astype(np.uint8)
    steps[random.random(size) < 0.2] = BLANK
    return random.random(size) < random.random(), steps


seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", TRANSFORMS)
@given(seed=seeds)
def test_footprints_are_rasterios_shapes(name, seed):
    mask, _ = masks(seed)
    polygons, _ = made(mask, transform=TRANSFORMS[name], rows=5)
    found = shapes(mask.astype(np.uint8), mask, connectivity=4, transform=TRANSFORMS[name])
    expected = [shape(geometry) for geometry, _ in found]
    assert len(polygons) == len(expected)
    assert shapely.is_valid(polygons).all()
    # Both in pixels, where no digit is lost.
    back = ~TRANSFORMS[name]

    def keys(geometries):
        pixels = shapely.transform(
            geometries, lambda points: np.rint(np.column_stack(back * points.T))
        )
        return sorted(shapely.to_wkt(shapely.normalize(pixels)))

    assert keys(polygons) == keys(np.array(expected, dtype=object))


@given(seed=seeds)
def test_score_and_pixels_are_those_under_the_polygon(seed):
    mask, steps = masks(seed)
    polygons, columns = made(mask, steps, rows=3)
    for i, polygon in enumerate(polygons):
        inside = geometry_mask([polygon], mask.shape, NORTH_UP, invert=True)
        counted = inside & (steps != BLANK)
        mean = steps[counted].mean() / 254 if counted.any() else np.nan
        assert columns["n_px"][i] == inside.sum()
        assert columns["score"][i] == pytest.approx(mean, abs=1e-6, nan_ok=True)


@pytest.mark.parametrize("method", ["raw", "simplify"])
@given(seed=seeds, rows=st.integers(1, 20), least=st.sampled_from([0, 0.1]))
def test_footprints_do_not_depend_on_the_row_bands(method, seed, rows, least):
    mask, steps = masks(seed)
    outline = Outline(method, min_area=least)
    whole, expected = made(mask, steps, outline=outline)
    polygons, columns = made(mask, steps, outline=outline, rows=rows)
    assert shapely.to_wkb(polygons).tolist() == shapely.to_wkb(whole).tolist()
    assert columns.keys() == expected.keys()
    for name, values in columns.items():
        np.testing.assert_array_equal(values, expected[name], name)


def test_ids_count_what_is_kept_in_the_order_of_last_rows():
    _, columns = made(RING)
    assert columns["id"].tolist() == [1, 2, 3]
    assert columns["n_px"].tolist() == [1, 16, 6]
    # Six pixels are 0.24 square metres of the plane, a little more on the ground.
    _, columns = made(RING, outline=Outline("raw", min_area=0.23))
    assert columns["id"].tolist() == [1, 2]
    assert columns["n_px"].tolist() == [16, 6]


def test_areas_and_perimeters_are_on_the_ground():
    _, columns = made(RING)
    assert columns["area_m2"] == pytest.approx([0.04, 16 * 0.04, 6 * 0.04], rel=2e-3)
    assert columns["perimeter_m"] == pytest.approx([0.8, 32 * 0.2, 14 * 0.2], rel=2e-3)


def test_small_holes_are_filled_and_the_pixels_stay_those_of_the_mask():
    mask = np.ones((9, 12), bool)
    mask[1:3, 1:3] = False  # 4 pixels, 0.16 m2
    mask[4:7, 4:9] = False  # 15 pixels, 0.6 m2
    mask[7, 1] = False
    (holed,), _ = made(mask)
    assert len(holed.interiors) == 3
    (filled,), columns = made(mask, outline=Outline("raw", fill_holes=0.2))
    assert [ring.envelope.area for ring in filled.interiors] == pytest.approx([0.6])
    assert columns["n_px"].tolist() == [12 * 9 - 20]
    assert columns["area_m2"] == pytest.approx([(12 * 9 - 15) * 0.04], rel=2e-3)
    (full,), _ = made(mask, outline=Outline("raw", fill_holes=1))
    assert len(full.interiors) == 0
    assert full.area == pytest.approx(12 * 9 * 0.04)


def test_filling_leaves_polygons_without_small_holes_alone():
    before, _ = made(RING)
    after, _ = made(RING, outline=Outline("raw", fill_holes=0.3))
    assert shapely.to_wkb(before).tolist() == shapely.to_wkb(after).tolist()


def test_status_says_what_was_done():
    _, columns = made(RING)
    assert columns["status"].tolist() == ["raw"] * 3
    stair = np.tril(np.ones((20, 20), bool))
    (polygon,), columns = made(stair, outline=Outline("simplify"))
    assert columns["status"].tolist() == ["simplified"]
    assert shapely.get_num_coordinates(polygon) < 8


def test_a_mask_without_houses_has_no_footprints():
    assert len(made(np.zeros((5, 4), bool))[0]) == 0


def test_without_crs_the_transform_scales():
    _, columns = made(RING, crs=None)
    assert columns["area_m2"] == pytest.approx([0.04, 16 * 0.04, 6 * 0.04])


@pytest.mark.parametrize(
    "wrong", [{"method": "round"}, {"min_area": -1}, {"fill_holes": float("nan")}]
)
def test_an_outline_that_cannot_be_is_refused(wrong):
    with pytest.raises(UsageError, match=r"choose one of|from 0 up"):
        Outline(**wrong)


def test_one_value_of_a_mask_of_classes(write_raster, tmp_path):
    mask = write_raster("classes.tif", np.array([[1, 2, 2], [0, 0, 2]], np.uint8))
    assert polygonize(mask, tmp_path / "one.gpkg", value=2, outline=RAW).count == 1
    assert polygonize(mask, tmp_path / "all.gpkg", outline=RAW).count == 1
    assert polygonize(mask, tmp_path / "none.gpkg", value=7, outline=RAW).count == 0


def test_probabilities_of_another_grid_or_type_are_refused(write_raster, tmp_path):
    mask = write_raster("mask.tif", np.ones((4, 4), np.uint8))
    other = write_raster("other.tif", np.ones((4, 5), np.uint8))
    floats = write_raster("floats.tif", np.ones((4, 4), np.float32))
    for probability, what in ((other, "not on the mask's grid"), (floats, "float32")):
        with pytest.raises(SceneError, match=what):
            polygonize(mask, tmp_path / "h.gpkg", probability=probability)
    assert not (tmp_path / "h.gpkg").exists()


@pytest.mark.parametrize(("bands", "scale", "message"), [(3, 1, "3 bands"), (1, 1 / 254, "scaled")])
def test_what_is_plainly_no_mask_is_refused(write_raster, tmp_path, bands, scale, message):
    path = write_raster("m.tif", np.ones((bands, 8, 8), np.uint8))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (scale,) * bands
    with pytest.raises(SceneError, match=rf"m\.tif.*{message}"):
        polygonize(path, tmp_path / "h.gpkg")
    assert not (tmp_path / "h.gpkg").exists()


def test_probabilities_of_several_bands_are_refused(write_raster, tmp_path):
    mask = write_raster("m.tif", np.ones((8, 8), np.uint8))
    photo = write_raster("p.tif", np.ones((3, 8, 8), np.uint8))
    with pytest.raises(SceneError, match=r"p\.tif: it has 3 bands"):
        polygonize(mask, tmp_path / "h.gpkg", probability=photo)


def test_no_polygon_is_pointed_out(write_raster, tmp_path, caplog):
    mask = write_raster("m.tif", np.ones((8, 8), np.uint8))
    assert polygonize(mask, tmp_path / "h.gpkg", value=7).count == 0
    assert "the value 7" in caplog.text

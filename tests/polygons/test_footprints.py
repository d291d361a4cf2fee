"""geofcn.polygons.footprints: a mask in row bands becomes measured polygons on the map."""

from dataclasses import replace

import numpy as np
import pyogrio
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.features import geometry_mask, shapes
from rasterio.transform import Affine
from shapely.geometry import shape

from geofcn.core import ragged
from geofcn.core.calibration import ScoreCalibration
from geofcn.core.pixels import BLANK
from geofcn.errors import OutputError
from geofcn.io.opening import open_scene
from geofcn.polygons import footprints as footprints_module
from geofcn.polygons import validity
from geofcn.polygons.footprints import (
    RowBand,
    footprints,
    refuse_no_crs,
    sweep_bands,
    write_footprints,
)
from geofcn.polygons.outline import Outline

UTM = CRS.from_epsg(25832)
NORTH_UP = Affine.translation(500_000, 5_000_000) * Affine.scale(0.2, -0.2)
TRANSFORMS = {
    "north-up": NORTH_UP,
    "south-up": Affine.translation(500_000, 5_000_000) * Affine.scale(0.2, 0.2),
    "mirrored": Affine.translation(500_000, 5_000_000) * Affine.scale(-0.2, -0.2),
    "rotated": NORTH_UP * Affine.rotation(30) * Affine.scale(1, 2),
}
RAW = Outline("raw", min_area=0)
# A ring of 5 x 5 pixels around a hole of 3 x 3 with a dot in it, and a bar of 6 pixels.
RING = np.zeros((7, 14), bool)
RING[1:6, 1:6] = True
RING[2:5, 2:5] = False
RING[3, 3] = True
RING[5, 7:13] = True


def trace(mask, steps=None, transform=NORTH_UP, outline=RAW, rows=256, crs=UTM):
    """Footprints of a mask cut into bands of `rows` rows: polygons, and columns by name."""
    cuts = range(0, len(mask), rows)
    bands = [
        RowBand(mask[i : i + rows], None if steps is None else steps[i : i + rows]) for i in cuts
    ]
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
    polygons, _ = trace(mask, transform=TRANSFORMS[name], rows=5)
    expected = [
        shape(geometry)
        for geometry, _ in shapes(
            mask.astype(np.uint8), mask, connectivity=4, transform=TRANSFORMS[name]
        )
    ]
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
    polygons, columns = trace(mask, steps, rows=3)
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
    whole, expected = trace(mask, steps, outline=outline)
    polygons, columns = trace(mask, steps, outline=outline, rows=rows)
    assert shapely.to_wkb(polygons).tolist() == shapely.to_wkb(whole).tolist()
    assert columns.keys() == expected.keys()
    for name, values in columns.items():
        np.testing.assert_array_equal(values, expected[name], name)


@pytest.mark.parametrize("crs", [UTM, None])
@given(seed=seeds)
@settings(max_examples=20)
def test_footprints_do_not_depend_on_how_many_rings_are_worked_on_at_once(crs, seed):
    mask = np.kron(masks(seed)[0], np.ones((2, 3), bool))
    outline = Outline(min_area=0, fill_holes=0.3)
    whole, columns = trace(mask, outline=outline, crs=crs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ragged, "RINGS_AT_ONCE", 2)
        patch.setattr(ragged, "POINTS_AT_ONCE", 20)
        patch.setattr(validity, "HOLES_AT_ONCE", 1)
        some, same = trace(mask, outline=outline, crs=crs)
    assert shapely.to_wkb(some).tolist() == shapely.to_wkb(whole).tolist()
    for name in columns:
        np.testing.assert_array_equal(same[name], columns[name])


def test_ids_count_what_is_written_in_the_order_of_last_rows():
    _, columns = trace(RING)
    assert columns["id"].tolist() == [1, 2, 3]
    assert columns["n_px"].tolist() == [1, 16, 6]
    # Six pixels are 0.24 square metres of the plane, a little more on the ground.
    _, columns = trace(RING, outline=Outline("raw", min_area=0.23))
    assert columns["id"].tolist() == [1, 2]
    assert columns["n_px"].tolist() == [16, 6]


def test_specks_are_left_out_and_counted(caplog):
    # Two squares of 10 x 10 pixels, which are 4.00 square metres, one with a pixel more; and a dot.
    mask = np.zeros((12, 36), bool)
    mask[1:11, 1:11] = mask[1:11, 13:23] = mask[5, 25] = True
    mask[11, 13] = True
    assert trace(mask, outline=Outline("raw", min_area=0))[1]["n_px"].tolist() == [1, 100, 101]
    assert not caplog.messages
    assert trace(mask, outline=Outline("raw", min_area=4.02))[1]["n_px"].tolist() == [101]
    assert caplog.messages == [
        "2 polygon(s) smaller than 4.02 m2 were left out; --min-area 0 keeps them."
    ]


def test_specks_are_left_out_by_default_where_a_unit_is_known(caplog):
    mask = np.zeros((32, 32), bool)
    mask[1, 1] = mask[10:30, 10:30] = True
    assert trace(mask, outline=Outline("raw"))[1]["n_px"].tolist() == [400]
    assert "1 polygon(s) smaller than 4 m2" in caplog.text
    assert trace(mask, outline=Outline("raw"), crs=None)[1]["n_px"].tolist() == [1, 400]


def test_areas_and_perimeters_are_on_the_ground():
    _, columns = trace(RING)
    assert columns["area_m2"] == pytest.approx([0.04, 16 * 0.04, 6 * 0.04], rel=2e-3)
    assert columns["perimeter_m"] == pytest.approx([0.8, 32 * 0.2, 14 * 0.2], rel=2e-3)


def test_small_holes_are_filled_and_the_pixels_stay_those_of_the_mask():
    mask = np.ones((9, 12), bool)
    mask[1:3, 1:3] = False  # 4 pixels, 0.16 m2
    mask[4:7, 4:9] = False  # 15 pixels, 0.6 m2
    mask[7, 1] = False
    (holed,), _ = trace(mask)
    assert len(holed.interiors) == 3
    (filled,), columns = trace(mask, outline=replace(RAW, fill_holes=0.2))
    assert [ring.envelope.area for ring in filled.interiors] == pytest.approx([0.6])
    assert columns["n_px"].tolist() == [12 * 9 - 20]
    assert columns["area_m2"] == pytest.approx([(12 * 9 - 15) * 0.04], rel=2e-3)
    (full,), _ = trace(mask, outline=replace(RAW, fill_holes=1))
    assert len(full.interiors) == 0
    assert full.area == pytest.approx(12 * 9 * 0.04)


def test_filling_leaves_polygons_without_small_holes_alone():
    before, _ = trace(RING)
    after, _ = trace(RING, outline=replace(RAW, fill_holes=0.3))
    assert shapely.to_wkb(before).tolist() == shapely.to_wkb(after).tolist()


def test_status_says_what_was_done():
    _, columns = trace(RING)
    assert columns["status"].tolist() == ["raw"] * 3
    stair = np.tril(np.ones((20, 20), bool))
    (polygon,), columns = trace(stair, outline=Outline("simplify", min_area=0))
    assert columns["status"].tolist() == ["simplified"]
    assert shapely.get_num_coordinates(polygon) < 8


def test_a_mask_without_houses_has_no_footprints():
    assert len(trace(np.zeros((5, 4), bool))[0]) == 0


def test_without_crs_the_transform_scales():
    _, columns = trace(RING, crs=None)
    assert columns["area_m2"] == pytest.approx([0.04, 16 * 0.04, 6 * 0.04])


def test_a_probability_of_nothing_but_blank_pixels_gives_no_score():
    steps = np.full(RING.shape, BLANK, np.uint8)
    _, columns = trace(RING, steps)
    assert np.isnan(columns["score"]).all()
    assert columns["n_px"].tolist() == [1, 16, 6]


def test_a_calibration_makes_scores_of_mean_probabilities():
    steps = np.where(RING, 127, 0).astype(np.uint8)
    steps[5, 7:13] = 254
    calibration = ScoreCalibration(0.5, -1.0)
    bands = [RowBand(RING, steps)]
    (batch,) = footprints(bands, RING.shape[1], NORTH_UP, UTM, RAW, calibration)
    assert batch.columns["score"] == pytest.approx(calibration.score(np.array([0.5, 0.5, 1.0])))
    (batch,) = footprints([RowBand(RING)], RING.shape[1], NORTH_UP, UTM, RAW, calibration)
    assert np.isnan(batch.columns["score"]).all()


def test_many_polygons_come_in_several_batches_with_ids_that_go_on():
    dots = np.zeros((64, 64), bool)
    dots[::2, ::2] = True
    bands = [RowBand(dots[row : row + 16]) for row in range(0, 64, 16)]
    batches = list(footprints(bands, 64, NORTH_UP, UTM, RAW))
    assert len(batches) > 1
    ids = np.concatenate([batch.columns["id"] for batch in batches])
    assert ids.tolist() == list(range(1, 32 * 32 + 1))


def test_polygons_come_as_soon_as_their_last_row_has_passed():
    swept = sweep_bands(map(RowBand, (RING[:3], RING[3:5], RING[5:])), RING.shape[1])
    assert [len(polygons) for polygons in swept] == [0, 1, 2, 0]


def test_footprints_are_written_and_counted(write_raster, tmp_path):
    scene = open_scene(write_raster("scene.tif", RING.astype(np.uint8)))
    path = tmp_path / "houses.gpkg"
    assert write_footprints(path, [RowBand(RING)], scene, RAW) == 3
    frame = pyogrio.read_dataframe(path, layer="houses")
    assert frame["n_px"].tolist() == [1, 16, 6]
    assert frame.crs == scene.crs
    # What stands under the name is replaced.
    assert write_footprints(path, [RowBand(RING)], scene, Outline("raw", min_area=0.1)) == 2
    assert len(pyogrio.read_dataframe(path, layer="houses")) == 2


def test_a_scene_without_crs_is_refused_unless_plain_coordinates_are_wanted(write_raster):
    nowhere = open_scene(write_raster("nowhere.tif", np.ones((4, 4), np.uint8), crs=None))
    with pytest.raises(OutputError, match=r"nowhere\.tif: it has no CRS.*--allow-no-crs"):
        refuse_no_crs(nowhere, allow=False)
    refuse_no_crs(nowhere, allow=True)
    refuse_no_crs(open_scene(write_raster("placed.tif", np.ones((4, 4), np.uint8))), allow=False)


# --------------------------------------------------------------------------- houses that touch


def town(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Houses in rows with ragged walls, contacts where they meet, probabilities."""
    random = np.random.default_rng(seed)
    row, column = np.indices((70, 90))
    edge = random.integers(-1, 2, (2, 90))
    street = (row + edge[0, column]) % 30 < 22
    party_wall = (column + edge[1, row]) % 14
    houses = street & (random.random(street.shape) > 0.01)
    steps = random.integers(0, 255, street.shape).astype(np.uint8)
    return houses, houses & ((party_wall < 3) | (random.random(street.shape) < 0.02)), steps


def trace_town(seed, outline, rows=256, transform=NORTH_UP):
    houses, contacts, steps = town(seed)
    cuts = [slice(top, top + rows) for top in range(0, len(houses), rows)]
    bands = [RowBand(houses[cut], steps[cut], contacts[cut]) for cut in cuts]
    batches = list(footprints(bands, houses.shape[1], transform, UTM, outline))
    names = batches[0].columns
    columns = {name: np.concatenate([batch.columns[name] for batch in batches]) for name in names}
    return np.concatenate([batch.geometry for batch in batches]), columns


@pytest.mark.parametrize("method", ["raw", "simplify", "square"])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_houses_that_touch_have_their_walls_in_common_on_the_map(method, name):
    outline = Outline(method, min_area=0, fill_holes=1)
    polygons, columns = trace_town(1, outline, transform=TRANSFORMS[name])
    assert len(polygons) > 15 and shapely.is_valid(polygons).all()
    assert shapely.coverage_is_valid(polygons)
    houses, _, _ = town(1)
    assert columns["n_px"].sum() == houses.sum()


@settings(max_examples=8)
@given(seed=seeds, rows=st.integers(1, 60), method=st.sampled_from(["raw", "simplify", "square"]))
def test_houses_that_touch_do_not_depend_on_the_row_bands(seed, rows, method):
    outline = Outline(method)
    whole, expected = trace_town(seed, outline)
    polygons, columns = trace_town(seed, outline, rows)
    assert shapely.to_wkb(polygons).tolist() == shapely.to_wkb(whole).tolist()
    for name, values in columns.items():
        np.testing.assert_array_equal(values, expected[name], name)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_houses_with_numbers_are_rasterios_shapes_of_them(seed, rows):
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 5, random.integers(2, 6, 2))
    numbers = np.kron(coarse, np.ones((4, 4), int)).astype(np.int32)
    noise = random.random(numbers.shape) < 0.1
    numbers[noise] = random.integers(0, 5, noise.sum())
    parts = [numbers[top : top + rows] for top in range(0, len(numbers), rows)]
    bands = [RowBand(part > 0, None, None, part) for part in parts]
    batches = list(footprints(bands, numbers.shape[1], Affine.identity(), None, RAW))
    found = np.concatenate([np.zeros(0, object), *(batch.geometry for batch in batches)])
    expected = [shape(of_one) for of_one, _ in shapes(numbers, numbers > 0, connectivity=4)]

    def plain(polygons):
        return sorted(shapely.to_wkb(shapely.normalize(shapely.simplify(polygons, 0))).tolist())

    assert plain(found) == plain(expected)


def with_and_without_contacts(mask, steps, outline):
    """The footprints of a mask that has no contacts, where that is known and where it is not."""
    bands = RowBand(mask, steps, np.zeros_like(mask)), RowBand(mask, steps)
    return [next(footprints([band], mask.shape[1], NORTH_UP, UTM, outline)) for band in bands]


def test_without_any_contact_footprints_are_those_of_the_mask():
    known, plain = with_and_without_contacts(*masks(7), RAW)
    assert shapely.to_wkb(plain.geometry).tolist() == shapely.to_wkb(known.geometry).tolist()
    for name, values in plain.columns.items():
        np.testing.assert_array_equal(values, known.columns[name], name)


@pytest.mark.parametrize("method", ["simplify", "square"])
def test_houses_a_pixel_apart_do_not_overlap_where_contacts_are_known(method):
    known, plain = with_and_without_contacts(*masks(7), Outline(method, min_area=0))

    def overlap(polygons):
        return shapely.area(polygons).sum() - shapely.union_all(polygons).area

    assert overlap(plain.geometry) > 0.005
    assert overlap(known.geometry) == pytest.approx(0, abs=1e-9)


def test_of_a_wide_mask_footprints_are_not_made_of_all_at_once(monkeypatch):
    # In one row 1,000 houses of a pixel finish at once; in batches of 100 corners, 20 houses.
    mask = np.tile([True, False], 1000)[None]
    whole, columns = trace(mask)
    monkeypatch.setattr(footprints_module, "POINTS_AT_ONCE", 100)
    batches = list(footprints([RowBand(mask)], mask.shape[1], NORTH_UP, UTM, RAW))
    assert [len(batch.geometry) for batch in batches] == [20] * 50
    assert (np.concatenate([batch.geometry for batch in batches]) == whole).all()
    ids = np.concatenate([batch.columns["id"] for batch in batches])
    assert ids.tolist() == columns["id"].tolist() == list(range(1, 1001))

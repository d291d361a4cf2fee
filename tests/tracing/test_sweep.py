"""Polygons from a mask in row bands: those of rasterio, whatever the bands."""

import sys
import tracemalloc
from dataclasses import fields

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geofcn.tracing import sweep as module
from geofcn.tracing.sweep import Polygons, Sweep

BAND_HEIGHTS = (1, 2, 3, 7, 64)


def drawn(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def swept(mask, rows=64, values=None, valid=None) -> Polygons:
    sweep = Sweep(mask.shape[1])
    parts = []
    for top in range(0, len(mask), rows):
        band = slice(top, top + rows)
        layers = [None if layer is None else layer[band] for layer in (values, valid)]
        parts.append(sweep.push(mask[band], *layers))
    return Polygons.concatenate([*parts, sweep.finish()])


def outlines(polygons: Polygons) -> list[list[list[tuple[int, int]]]]:
    """Polygons as lists of rings, those as lists of (column, row)."""
    rings = [
        [tuple(corner) for corner in polygons.coords[first:last].tolist()]
        for first, last in zip(polygons.rings[:-1], polygons.rings[1:], strict=True)
    ]
    bounds = zip(polygons.polygons[:-1], polygons.polygons[1:], strict=True)
    return [rings[first:last] for first, last in bounds]


def to_shapely(polygons: Polygons) -> np.ndarray:
    offsets = polygons.rings, polygons.polygons
    coords = polygons.coords.astype(float)
    return shapely.from_ragged_array(shapely.GeometryType.POLYGON, coords, offsets)


def normal_wkb(polygons) -> list[bytes]:
    return sorted(shapely.to_wkb(shapely.normalize(polygons)).tolist())


def shapes_wkb(mask) -> list[bytes]:
    shapes = rasterio.features.shapes(mask.astype(np.uint8), mask.astype(bool), connectivity=4)
    return normal_wkb(np.array([shapely.geometry.shape(shape) for shape, _ in shapes], object))


def assert_same(actual: Polygons, expected: Polygons) -> None:
    for field in fields(Polygons):
        a, b = getattr(actual, field.name), getattr(expected, field.name)
        assert a.dtype == b.dtype, field.name
        np.testing.assert_array_equal(a, b, field.name)


def assert_right(mask: np.ndarray, heights=BAND_HEIGHTS) -> None:
    """The polygons are those of rasterio, and the same arrays for bands of all heights."""
    first, *others = (swept(mask, rows) for rows in heights)
    assert normal_wkb(to_shapely(first)) == shapes_wkb(mask)
    for polygons in others:
        assert_same(polygons, first)


@st.composite
def masks(draw) -> np.ndarray:
    shape = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    density = draw(st.floats(0.1, 0.9))
    seed = draw(st.integers(0, 2**32 - 1))
    return np.random.default_rng(seed).random(shape) < density


# ----------------------------------------------------------------------------------- small masks


def test_one_pixel_runs_counter_clockwise_from_its_upper_left_corner():
    polygons = swept(drawn("...", ".#.", "..."))
    assert outlines(polygons) == [[[(1, 1), (1, 2), (2, 2), (2, 1), (1, 1)]]]
    assert polygons.pixels.tolist() == [1]


def test_a_hole_runs_clockwise_after_its_exterior():
    polygons = swept(drawn("###", "#.#", "###"))
    exterior = [(0, 0), (0, 3), (3, 3), (3, 0), (0, 0)]
    assert outlines(polygons) == [[exterior, [(1, 1), (2, 1), (2, 2), (1, 2), (1, 1)]]]
    assert polygons.pixels.tolist() == [8]


@pytest.mark.parametrize("rows", [("#.", ".#"), (".#", "#.")])
def test_pixels_that_touch_at_a_corner_are_two_polygons(rows):
    assert swept(drawn(*rows)).pixels.tolist() == [1, 1]


@pytest.mark.parametrize(
    "rows",
    [("###", "#.#", "##."), ("###", "#.#", ".##"), ("##.", "#.#", "###"), (".##", "#.#", "###")],
)
@pytest.mark.parametrize("height", [1, 2, 3])
def test_an_exterior_that_touches_itself_at_a_corner_is_split_off_as_a_hole(rows, height):
    (polygon,) = outlines(swept(drawn(*rows), height))
    assert polygon[1:] == [[(1, 1), (2, 1), (2, 2), (1, 2), (1, 1)]]
    assert_right(drawn(*rows), (1, 2, 3))


@pytest.mark.parametrize("height", [1, 2, 4])
def test_a_hole_that_touches_itself_at_a_corner_is_two_holes(height):
    (polygon,) = outlines(swept(drawn("####", "#.##", "##.#", "####"), height))
    assert polygon[1:] == [
        [(1, 1), (2, 1), (2, 2), (1, 2), (1, 1)],
        [(2, 2), (3, 2), (3, 3), (2, 3), (2, 2)],
    ]


def test_polygons_come_by_last_row_then_first_column_then_start():
    mask = drawn(
        "#.#.#",
        "#..##",
        "#.###",
        "#....",
    )
    starts = [polygon[0][0] for polygon in outlines(swept(mask))]
    assert starts == [(2, 0), (4, 0), (0, 0)]


def test_a_house_inside_anothers_courtyard_is_a_polygon_of_its_own():
    mask = drawn("#####", "#...#", "#.#.#", "#...#", "#####")
    assert swept(mask).pixels.tolist() == [1, 16]


def test_without_rows_or_foreground_there_are_no_polygons():
    assert len(Sweep(3).finish()) == 0
    polygons = swept(np.zeros((5, 3), bool), 2)
    assert len(polygons) == 0
    assert polygons.rings.tolist() == polygons.polygons.tolist() == [0]
    assert polygons.coords.shape == (0, 2)


# ------------------------------------------------------------------------------ the named masks


def spiral(size: int) -> np.ndarray:
    """One path of pixels inwards, one pixel from itself."""
    mask = np.zeros((size, size), bool)
    row, column, down, right = 0, 0, 0, 1
    mask[row, column] = True
    for length in [size - 1, *np.repeat(np.arange(size - 1, 1, -2), 2)]:
        for _ in range(length):
            row, column = row + down, column + right
            mask[row, column] = True
        down, right = right, -down
    return mask


def named_masks() -> dict[str, np.ndarray]:
    row, column = np.indices((40, 43))
    nested = np.minimum.reduce([row, column, 39 - row, 42 - column]) % 2 == 0
    return {
        "all": np.ones((40, 43), bool),
        "none": np.zeros((40, 43), bool),
        "checkerboard": (row + column) % 2 == 0,
        "comb": (column % 2 == 0) | (row == 39),
        "comb upside down": (column % 2 == 0) | (row == 0),
        "stripes": column % 3 == 0,
        "nested rings": nested,
        "one giant": np.random.default_rng(1).random((40, 43)) < 0.9,
        "as many holes as can be": (row % 2 == 0) | (column % 2 == 0),
        "holes that touch": (row + column) % 2 + (row % 4 == 0) + (column % 5 == 0) > 0,
        "snake": (row % 2 == 0) | (column == np.where(row % 4 == 1, 42, 0)),
        "spiral": spiral(41),
        "stairs": (row + column) % 4 < 2,
        "one row": np.random.default_rng(2).random((1, 60)) < 0.5,
        "one column": np.random.default_rng(3).random((60, 1)) < 0.5,
    }


@pytest.mark.parametrize("name", named_masks())
def test_named_masks(name):
    assert_right(named_masks()[name])


def test_snake_and_spiral_are_one_polygon():
    for name in ("snake", "spiral"):
        assert len(swept(named_masks()[name], 3)) == 1


def test_columns_beyond_65535_are_sorted_right():
    mask = np.zeros((6, 140_000), bool)
    for left in (0, 65_500, 131_000):
        mask[:, left : left + 500] = np.random.default_rng(left).random((6, 500)) < 0.5
    mask[3, :139_000] = True
    assert_right(mask, (6, 1, 4))


# ------------------------------------------------------------------------------------ properties


@settings(deadline=None, max_examples=150)
@given(mask=masks())
def test_equal_to_rasterio_for_every_band_height(mask):
    assert_right(mask)


@settings(deadline=None, max_examples=100)
@given(mask=masks(), cuts=st.lists(st.integers(0, 24)), strip=st.integers(1, 200))
def test_bands_strips_and_the_store_do_not_show(mask, cuts, strip):
    expected = swept(mask)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STRIP_PIXELS", strip)
        assert_same(swept(mask), expected)
        patch.setattr(module, "HELD_PER_RIPE", 0)  # nothing leaves the store before the end
        assert_same(swept(mask), expected)
        patch.setattr(module, "HELD_PER_RIPE", 10**9)  # every finished polygon leaves at once
        assert_same(swept(mask), expected)
    sweep = Sweep(mask.shape[1])
    parts = [sweep.push(band) for band in np.split(mask, sorted(cuts))]
    assert_same(Polygons.concatenate([*parts, sweep.finish()]), expected)


@settings(deadline=None, max_examples=100)
@given(mask=masks(), rows=st.integers(1, 24))
def test_polygons_are_valid_and_canonical(mask, rows):
    polygons = swept(mask, rows)
    assert shapely.is_valid(to_shapely(polygons)).all()
    assert polygons.pixels.sum() == mask.sum()
    order = []
    for polygon, pixels in zip(outlines(polygons), polygons.pixels, strict=True):
        areas, starts = [], []
        for ring in polygon:
            assert ring[0] == ring[-1]
            corners = np.array(ring)
            steps = np.diff(corners, axis=0)
            straight = (steps == 0).sum(axis=1)
            assert (straight == 1).all()  # each step is along one axis ...
            axis = (steps != 0).argmax(axis=1)
            assert (axis != np.roll(axis, 1)).all()  # ... and the next along the other
            areas.append(int((corners[:-1, 1] * steps[:, 0]).sum()))
            starts.append(ring[0][::-1])
            assert starts[-1] == min((row, column) for column, row in ring)
        assert areas[0] > 0
        assert all(area < 0 for area in areas[1:])
        assert sum(areas) == pixels
        assert starts[1:] == sorted(starts[1:])
        exterior = np.array(polygon[0])
        order.append((exterior[:, 1].max(), exterior[:, 0].min(), starts[0]))
    assert order == sorted(order)


# ---------------------------------------------------------------------------------------- values


def brute_force(polygons: Polygons, values, valid) -> tuple[np.ndarray, np.ndarray]:
    """Sums and counts of the valid values over the pixels each polygon covers."""
    sums, counts = [], []
    for polygon in to_shapely(polygons):
        inside = rasterio.features.rasterize([polygon], values.shape).astype(bool) & valid
        sums.append(values[inside].sum(dtype=np.float64))
        counts.append(inside.sum())
    return np.array(sums), np.array(counts)


@settings(deadline=None, max_examples=60)
@given(
    mask=masks(),
    rows=st.integers(1, 24),
    dtype=st.sampled_from(["uint8", "int16", "float32", "float64"]),
    share=st.sampled_from([None, 0.0, 0.5, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_sums_and_counts_are_those_of_brute_force(mask, rows, dtype, share, seed):
    random = np.random.default_rng(seed)
    values = random.random(mask.shape)
    if not dtype.startswith("float"):
        values = np.round(values * 255) - (100 if dtype == "int16" else 0)
    values = values.astype(dtype)
    valid = None if share is None else random.random(mask.shape) < share
    polygons = swept(mask, rows, values, valid)
    sums, counts = brute_force(
        polygons, values, np.full(mask.shape, True) if valid is None else valid
    )
    np.testing.assert_array_equal(polygons.counts, counts)
    if dtype.startswith("float"):
        assert polygons.sums.dtype == np.float64
        np.testing.assert_allclose(polygons.sums, sums, rtol=0, atol=1e-6)
    else:
        assert polygons.sums.dtype == np.int64
        np.testing.assert_array_equal(polygons.sums, sums)
    for height in (1, 5, 24):
        assert_same(swept(mask, height, values, valid), polygons)


def test_values_that_are_not_valid_may_be_anything():
    values = np.array([[0.5, np.nan, np.inf]], np.float32)
    polygons = swept(np.ones((1, 3), bool), 1, values, np.isfinite(values))
    assert (polygons.sums.tolist(), polygons.counts.tolist()) == ([0.5], [1])


@pytest.mark.parametrize("value", [np.uint8(255), np.int16(32_767), np.int64(2**46 + 1)])
def test_large_sums_are_exact(value):
    values = np.full((300, 301), value)
    polygons = swept(np.ones(values.shape, bool), 300, values)
    assert polygons.sums.tolist() == [300 * 301 * int(value)]


def test_without_values_sums_and_counts_are_0():
    polygons = swept(np.ones((2, 2), np.uint8))
    assert polygons.sums.tolist() == polygons.counts.tolist() == [0]


# ------------------------------------------------------------------------------------ contracts


@pytest.mark.parametrize(
    "arguments",
    [
        (np.ones((2, 4), bool),),
        (np.ones(3, bool),),
        (np.ones((2, 3), int),),
        (np.full((2, 3), 255, np.uint8),),
        (np.ones((2, 3), bool), np.ones((2, 4), np.uint8)),
        (np.ones((2, 3), bool), np.ones((2, 3), complex)),
        (np.ones((2, 3), bool), np.full((2, 3), 1.5)),
        (np.ones((2, 3), bool), np.full((2, 3), np.nan)),
        (np.ones((2, 3), bool), np.ones((2, 3)), np.ones((2, 2), bool)),
        (np.ones((2, 3), bool), np.ones((2, 3)), np.ones((2, 3), np.uint8)),
        (np.ones((2, 3), bool), None, np.ones((2, 3), bool)),
    ],
)
def test_arrays_of_another_kind_are_refused(arguments):
    with pytest.raises(ValueError):
        Sweep(3).push(*arguments)


def test_values_come_with_every_band_or_with_none():
    band = np.ones((2, 3), bool)
    for first, second in [(None, band), (band, None), (band, band.astype(float))]:
        sweep = Sweep(3)
        sweep.push(band, first)
        with pytest.raises(ValueError, match="every band"):
            sweep.push(band, second)


def test_a_mask_without_columns_is_refused():
    with pytest.raises(ValueError, match="column"):
        Sweep(0)


def test_a_finished_polygon_does_not_wait_for_the_end():
    sweep = Sweep(5)
    assert len(sweep.push(drawn("#...#", "#....", "#...."))) == 1
    assert len(sweep.push(drawn("#...."))) == 0
    assert len(sweep.push(drawn("....."))) == 1
    assert len(sweep.finish()) == 0


@pytest.mark.parametrize("density", [0.0, 0.3])
def test_memory_does_not_grow_with_the_rows_swept(density):
    def peak(bands: int) -> int:
        band = np.random.default_rng(0).random((10, 4_000)) < density
        band[:, ::20] = True  # components that stay open from the first row to the last
        band[:, 1::20] = band[:, 19::20] = False
        sweep = Sweep(4_000)
        tracemalloc.start()
        for _ in range(bands):
            sweep.push(band)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak

    # The interpreter's own caches differ by some 20 kB; 190 bands that each left something behind
    # for 200 open components, or a few empty arrays, would make more than 100.
    assert peak(200) < peak(10) + 60_000


@pytest.mark.parametrize("name", ["checkerboard", "holes"])
def test_no_loop_over_rings(name):
    def calls(size: int) -> int:
        row, column = np.indices((size, size))
        odd = row % 2 + column % 2
        mask = odd == 1 if name == "checkerboard" else odd > 0
        count = 0

        def profile(frame, event, argument):
            nonlocal count
            count += 1

        sys.setprofile(profile)
        try:
            swept(mask, size // 4)
        finally:
            sys.setprofile(None)
        return count

    assert calls(200) < 1.5 * calls(20)

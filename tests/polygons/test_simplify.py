"""geofcn.polygons.simplify: Douglas-Peucker against GEOS, and a bound against the truth."""

import numpy as np
import pytest
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geofcn.polygons import simplify as simplify_module
from geofcn.polygons.simplify import simplify

TOLERANCES = [0.5, 1.5, 4.0]


def footprints(mask):
    """The raw outlines of a boolean mask, in pixel corners (column, row)."""
    mask = np.asarray(mask).astype(np.uint8)
    outlines = rasterio.features.shapes(mask, mask == 1)
    return np.array([shapely.geometry.shape(outline) for outline, _ in outlines], dtype=object)


def blobs(seed, density, grain):
    """Outlines of random blocks of `grain` pixels, holes and needles among them."""
    coarse = np.random.default_rng(seed).random((24, 24)) < density
    return footprints(np.kron(coarse, np.ones((grain, grain), dtype=bool)))


random_blobs = {
    "seed": st.integers(0, 10**6),
    "density": st.floats(0.1, 0.8),
    "grain": st.integers(1, 6),
    "tolerance": st.sampled_from(TOLERANCES),
}


@given(**random_blobs)
@settings(deadline=None, max_examples=80)
def test_polygons_stay_valid_near_and_keep_their_holes(seed, density, grain, tolerance):
    raw = blobs(seed, density, grain)
    polygons = simplify(raw, tolerance).polygons
    assert shapely.is_valid(polygons).all()
    holes = shapely.get_num_interior_rings(raw)
    np.testing.assert_array_equal(shapely.get_num_interior_rings(polygons), holes)
    # Twice: where a ring's first vertex goes, its neighbours' chord was not theirs before.
    assert (shapely.hausdorff_distance(polygons, raw) <= 2 * tolerance + 1e-9).all()


@given(**random_blobs)
@settings(deadline=None, max_examples=80)
def test_what_is_removed_is_never_underestimated(seed, density, grain, tolerance):
    raw = blobs(seed, density, grain)
    simple = simplify(raw, tolerance)
    truth = shapely.area(shapely.symmetric_difference(simple.polygons, raw))
    assert (simple.removed >= truth - 1e-9).all()


@pytest.mark.parametrize("tolerance", TOLERANCES)
@pytest.mark.parametrize("density", [0.2, 0.35, 0.5])
def test_it_is_what_geos_makes_of_polygons_it_leaves_whole(density, tolerance):
    raw = blobs(7, density, 4)
    whole = shapely.simplify(raw, tolerance, preserve_topology=False)
    same = shapely.get_num_interior_rings(whole) == shapely.get_num_interior_rings(raw)
    same &= ~shapely.is_empty(whole) & (shapely.get_type_id(whole) == 3)
    assert same.sum() > 3
    polygons = simplify(raw[same], tolerance).polygons
    assert shapely.equals_exact(shapely.normalize(polygons), shapely.normalize(whole[same])).all()


def test_what_is_removed_of_a_ragged_wall_is_nearly_exact():
    teeth = np.zeros((12, 40), bool)
    teeth[4:10, 4:36] = True
    teeth[3, 4:36:2] = True
    raw = footprints(teeth)
    simple = simplify(raw, 1.5)
    (truth,) = shapely.area(shapely.symmetric_difference(simple.polygons, raw))
    assert 10 < truth <= simple.removed[0] < 1.01 * truth


def test_a_vertex_where_a_ring_happens_to_begin_goes_too():
    ring = [(0, 20), (0, 0), (20, 0), (20, 40), (0, 40), (0, 21), (1, 21), (1, 20), (0, 20)]
    (polygon,) = simplify(np.array([shapely.Polygon(ring)]), 1.5).polygons
    assert polygon.equals(shapely.box(0, 0, 20, 40))
    assert len(polygon.exterior.coords) == 5


def test_a_ring_that_would_vanish_stays_whole():
    hole = shapely.box(10, 10, 11, 11)
    raw = np.array([shapely.box(0, 0, 1, 1), shapely.box(0, 0, 40, 40).difference(hole)])
    simple = simplify(raw, 1.5)
    assert list(simple.whole) == [True, False]
    assert shapely.equals(simple.polygons, raw).all()
    assert list(simple.removed) == [0, 0]


def test_rings_that_would_cross_are_simplified_so_that_they_do_not(monkeypatch):
    """A hole under a bow of its wall, which a straight wall would cut."""
    raw = np.array([
        shapely.Polygon(
            [(0, 0), (20, -2), (40, 0), (40, 30), (0, 30)],
            [[(18, -1.5), (22, -1.5), (22, 9), (18, 9)]],
        )
    ])  # fmt: skip
    simple = simplify(raw, 2.5)
    assert shapely.is_valid(simple.polygons).all()
    assert len(simple.polygons[0].interiors) == 1
    assert simple.removed[0] == np.inf
    monkeypatch.setattr(simplify_module, "MAX_HOLES", 0)
    simple = simplify(raw, 2.5)
    assert simple.whole.all()
    assert shapely.equals_exact(simple.polygons, raw).all()


def test_no_polygons():
    simple = simplify(np.array([], dtype=object), 1.5)
    assert len(simple.polygons) == len(simple.removed) == len(simple.whole) == 0


def test_a_tolerance_of_nothing_drops_what_lies_on_a_line_only():
    raw = np.array([shapely.Polygon([(0, 0), (5, 0), (10, 0), (10, 10), (5, 11), (0, 10)])])
    simple = simplify(raw, 0)
    assert shapely.get_num_coordinates(simple.polygons).tolist() == [6]
    assert shapely.equals(simple.polygons, raw).all()
    assert simple.removed.tolist() == [0]


@given(seed=st.integers(0, 10**6), grain=st.integers(1, 4))
@settings(deadline=None, max_examples=20)
def test_a_polygon_does_not_depend_on_its_company(seed, grain):
    raw = blobs(seed, 0.45, grain)
    together = simplify(raw, 1.5)
    for i in range(0, len(raw), 5):
        apart = simplify(raw[i : i + 5], 1.5)
        expected = together.polygons[i : i + 5]
        assert shapely.to_wkb(apart.polygons).tolist() == shapely.to_wkb(expected).tolist()
        np.testing.assert_array_equal(apart.removed, together.removed[i : i + 5])
        np.testing.assert_array_equal(apart.whole, together.whole[i : i + 5])

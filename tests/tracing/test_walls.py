"""geofcn.tracing.walls: polygons of houses that touch are those of their pixels."""

from dataclasses import fields

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from touching_houses import components, expected_walls, labelled, masks

from geofcn.tracing import instances
from geofcn.tracing.instances import WalledBand, walled_bands
from geofcn.tracing.sweep import Polygons, Sweep
from geofcn.tracing.walls import WalledPolygons, WalledSweep


def swept(houses, beside, above, rows=64, values=None, valid=None) -> WalledPolygons:
    """The polygons of a mask with walls that is pushed in bands of `rows` rows."""
    sweep, parts = WalledSweep(houses.shape[1]), []
    for top in range(0, len(houses), rows):
        band = slice(top, top + rows)
        value, counted = (None if layer is None else layer[band] for layer in (values, valid))
        parts.append(
            sweep.push(WalledBand(houses[band], value, beside[band], above[band]), counted)
        )
    parts.append(sweep.finish())
    return WalledPolygons(
        Polygons.concatenate([part.polygons for part in parts]),
        np.concatenate([part.wall for part in parts]),
    )


def of_labels(label, **options) -> WalledPolygons:
    return swept(label > 0, *expected_walls(label), **options)


def to_shapely(walled: WalledPolygons) -> np.ndarray:
    polygons = walled.polygons
    rings = polygons.rings, polygons.polygons
    return shapely.from_ragged_array(shapely.GeometryType.POLYGON, polygons.coords * 1.0, rings)


def assert_same(actual: WalledPolygons, expected: WalledPolygons) -> None:
    for field in fields(Polygons):
        a, b = (getattr(walled.polygons, field.name) for walled in (actual, expected))
        np.testing.assert_array_equal(a, b, field.name)
    np.testing.assert_array_equal(actual.wall, expected.wall)


def unions(label) -> list[bytes]:
    """Of each label the union of its pixels, without vertices on straight lines."""
    numbers = np.unique(label[label > 0])
    pixels = [np.argwhere(label == number) for number in numbers]
    return plain([shapely.union_all(shapely.box(y, x, y + 1, x + 1)) for x, y in
                  (np.transpose(places) for places in pixels)])  # fmt: skip


def plain(polygons) -> list[bytes]:
    """WKB of polygons without vertices on straight lines, sorted."""
    return sorted(shapely.to_wkb(shapely.normalize(shapely.simplify(polygons, 0))).tolist())


@st.composite
def label_images(draw) -> np.ndarray:
    """4-connected labels that touch in all ways, and background."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    label = np.zeros(shape, int)
    values = random.integers(0, draw(st.integers(2, 5)), shape)
    for value in range(1, values.max() + 1):
        found = components(values == value)
        label[found > 0] = found[found > 0] + label.max()
    return label


def test_two_houses_share_their_wall():
    label = np.array([[1, 1, 2], [1, 1, 2]])
    walled = of_labels(label)
    assert walled.polygons.coords.tolist() == [
        *([0, 0], [0, 2], [2, 2], [2, 0], [0, 0]),
        *([2, 0], [2, 2], [3, 2], [3, 0], [2, 0]),
    ]
    assert walled.wall.tolist() == [0, 0, 1, 0, 0, 1, 0, 0, 0, 0]
    assert walled.polygons.pixels.tolist() == [4, 2]


def test_where_two_houses_meet_the_side_of_a_third_all_have_a_vertex():
    walled = of_labels(np.array([[1, 2], [1, 3]]))
    left = to_shapely(walled)[1]
    assert list(left.exterior.coords) == [(0, 0), (0, 2), (1, 2), (1, 1), (1, 0), (0, 0)]


def test_where_a_wall_begins_on_a_straight_side_there_is_a_vertex():
    (above, below) = to_shapely(of_labels(np.array([[1, 2], [1, 0]])))
    assert (1, 1) in above.exterior.coords and (1, 1) in below.exterior.coords


def test_a_wall_within_a_house_leaves_no_trace():
    """As between two arms of a U that are joined where the window of labels did not see it."""
    houses = np.ones((3, 2), bool)
    beside = np.array([[0, 1], [0, 1], [0, 0]], bool)
    walled = swept(houses, beside, np.zeros_like(houses))
    assert walled.polygons.coords.tolist() == [[0, 0], [0, 3], [2, 3], [2, 0], [0, 0]]
    assert not walled.wall.any()
    # A court that a slit joins to the outside is a hole again; a slit in the middle is gone.
    houses, beside = np.ones((3, 5), bool), np.zeros((3, 5), bool)
    houses[1, 1], beside[0, 1], beside[1, 4] = False, True, True
    (polygon,) = to_shapely(swept(houses, beside, np.zeros_like(houses)))
    assert shapely.equals(polygon, shapely.box(0, 0, 5, 3) - shapely.box(1, 1, 2, 2))
    assert len(polygon.interiors) == 1 and shapely.get_num_coordinates(polygon) == 10


def test_a_house_that_surrounds_another_touches_itself_in_no_corner():
    label = np.array([[1, 1, 1], [1, 2, 1], [3, 1, 1]])
    assert shapely.is_valid(to_shapely(of_labels(label))).all()
    assert plain(to_shapely(of_labels(label))) == unions(label)


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_without_walls_they_are_those_of_the_sweep_in_its_order(seed, rows):
    random = np.random.default_rng(seed)
    houses = random.random(random.integers(1, 24, 2)) < random.uniform(0.2, 0.9)
    values = random.integers(0, 255, houses.shape).astype(np.uint8)
    valid = values % 5 > 0
    sweep = Sweep(houses.shape[1])
    expected = Polygons.concatenate([sweep.push(houses, values, valid), sweep.finish()])
    none = np.zeros(houses.shape, bool)
    walled = swept(houses, none, none, rows, values, valid)
    assert_same(walled, WalledPolygons(expected, np.zeros(len(expected.coords), bool)))


@settings(max_examples=40)
@given(label_images())
def test_polygons_are_the_unions_of_their_pixels(label):
    polygons = to_shapely(of_labels(label))
    assert shapely.is_valid(polygons).all()
    assert plain(polygons) == unions(label)
    assert len(polygons) < 2 or shapely.coverage_is_valid(polygons)


@settings(max_examples=40)
@given(label_images(), st.integers(1, 9))
def test_polygons_do_not_depend_on_the_bands(label, rows):
    assert_same(of_labels(label, rows=rows), of_labels(label))


@settings(max_examples=40)
@given(label_images())
def test_a_wall_is_on_both_sides_an_edge_of_two_houses(label):
    walled = of_labels(label)
    coords = walled.polygons.coords
    edges = np.flatnonzero(walled.wall)
    house = np.repeat(
        np.arange(len(walled)), np.diff(walled.polygons.rings[walled.polygons.polygons])
    )
    sides = {(*coords[i], *coords[i + 1]): house[i] for i in edges}
    assert len(sides) == len(edges)
    for (*start, end_x, end_y), owner in sides.items():
        assert sides[(end_x, end_y, *start)] != owner
    length = sum(abs(coords[i + 1] - coords[i]).sum() for i in edges)
    assert length == 2 * sum(wall.sum() for wall in expected_walls(label))


@settings(max_examples=40)
@given(label_images())
def test_pixels_and_values_are_those_inside(label):
    values = np.arange(label.size, dtype=np.uint8).reshape(label.shape)
    valid = values % 3 > 0
    walled = of_labels(label, values=values, valid=valid)
    for i, polygon in enumerate(to_shapely(walled)):
        point = polygon.exterior.coords[0]  # the upper left corner of a pixel of the house
        inside = label == label[int(point[1]), int(point[0])]
        assert walled.polygons.pixels[i] == inside.sum()
        assert walled.polygons.sums[i] == values[inside & valid].sum()
        assert walled.polygons.counts[i] == (inside & valid).sum()


@settings(max_examples=40)
@given(masks(), st.sampled_from([1, 2]), st.sampled_from([1, 3]), st.integers(1, 5))
def test_walls_of_windows_make_the_houses_of_the_whole_mask(mask, reach, pixels, rows):
    houses, contacts = mask
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instances, "REACH", reach)
        patch.setattr(instances, "WINDOW_PIXELS", pixels * houses.shape[1])
        bands = list(walled_bands([(houses, None, contacts)], houses.shape[1]))
    beside, above = (np.concatenate([getattr(band, name) for band in bands])
                     for name in ("beside", "above"))  # fmt: skip
    polygons = to_shapely(swept(houses, beside, above, rows))
    assert shapely.is_valid(polygons).all()
    assert plain(polygons) == unions(labelled(houses, contacts, reach))
    assert len(polygons) < 2 or shapely.coverage_is_valid(polygons)

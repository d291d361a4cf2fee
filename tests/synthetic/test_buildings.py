"""geofcn.synthetic.buildings: roofs that fill their footprints, axes that turn the right way."""

import itertools
import math

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geofcn.synthetic import buildings
from geofcn.synthetic.buildings import Axes, draw_house, draw_plot


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    street = Axes(100, 50, 0.3)
    return street, [draw_house(street, rng) for _ in range(60)]


def roof_of(house) -> shapely.Geometry:
    roofs = {*buildings.ROOFS, "parapet"}
    return shapely.union_all([part.shape for part in house.surfaces if part.material in roofs])


def test_v_lies_to_the_right_of_u_as_y_points_down():
    north = Axes(10, 20, -math.pi / 2)
    np.testing.assert_allclose(north.point(3, 2), (12, 17))
    np.testing.assert_allclose(north.at(3, 2, math.pi / 2).point(1, 0), (13, 17))
    box = shapely.box(10, 17, 12, 20)
    assert north.box(0, 0, 3, 2).symmetric_difference(box).area < 1e-9


def test_a_roof_fills_its_footprint_and_nothing_else(drawn):
    for house in drawn[1]:
        assert roof_of(house).symmetric_difference(house.footprint).area < 1e-6


def test_a_pitched_roof_has_no_step_where_two_faces_meet(drawn):
    for house in drawn[1]:
        faces = [part for part in house.surfaces if part.material in buildings.ROOFS]
        for first, second in itertools.combinations(faces[:4], 2):
            for corner in first.shape.exterior.coords:
                if second.shape.boundary.distance(shapely.Point(corner)) < 1e-9:
                    assert height_of(first, corner) == pytest.approx(height_of(second, corner))


def height_of(surface, point) -> float:
    away = np.subtract(point[:2], (surface.place.x, surface.place.y))
    return surface.height + surface.rise * float(np.dot(away, surface.place.vector(0, 1)))


def test_a_house_stands_back_from_its_street(drawn):
    street, drawn_houses = drawn
    for house in drawn_houses:
        u, v = np.subtract((house.place.x, house.place.y), (street.x, street.y)) @ np.transpose(
            [street.vector(1, 0), street.vector(0, 1)]
        )
        assert u == pytest.approx(0)
        assert v == pytest.approx(house.setback + house.half[1])
        assert house.footprint.is_valid
        assert 3200 <= house.footprint.area < 11000


def test_houses_are_of_many_shapes_and_materials(drawn):
    corners = {len(house.footprint.exterior.coords) - 1 for house in drawn[1]}
    assert {4, 6, 8} <= corners
    materials = {part.material for house in drawn[1] for part in house.surfaces}
    assert materials >= {"red tiles", "slate", "parapet", "chimney", "solar panel"}


def test_a_tint_is_near_white_and_nearly_grey():
    tints = np.array([buildings.draw_tint(np.random.default_rng(seed)) for seed in range(200)])
    assert tints.shape == (200, 3)
    assert np.abs(tints.mean(axis=0) - 1).max() < 0.02
    assert np.ptp(tints, axis=1).mean() < tints.std(), "colours differ less than brightness"


@given(
    st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(-7, 7), st.floats(-50, 50),
    st.floats(-50, 50),
)  # fmt: skip
def test_axes_keep_lengths_and_a_turn_there_and_back_is_none(x, y, angle, u, v):
    axes = Axes(x, y, angle)
    assert math.hypot(*axes.vector(u, v)) == pytest.approx(math.hypot(u, v))
    back = axes.at(u, v, math.pi / 3).at(0, 0, -math.pi / 3).at(-u, -v)
    np.testing.assert_allclose((back.x, back.y, back.angle), (x, y, angle), atol=1e-9)


def test_a_crown_lies_within_its_bounds():
    tree = buildings.Tree("leaves", 20, 30, 10, 15, (1, 1, 1))
    assert tree.bounds == (6, 16, 34, 44)


def test_a_car_park_and_a_tennis_court_lie_within_the_size_they_state():
    axes = Axes(0, 0, 0)
    parking = shapely.union_all(
        [part.shape for part in buildings.car_park(axes, np.random.default_rng(0))]
    )
    court = shapely.union_all([part.shape for part in buildings.tennis_court(axes)])
    # The way in reaches out of the car park.
    assert parking.bounds == (-85, -68, 85, 48)
    assert court.bounds == (-90, -46, 90, 46)


def test_bare_ground_is_about_as_large_as_asked_for():
    rng = np.random.default_rng(3)
    areas = [buildings.bare_patch(Axes(0, 0, 0), 20, rng).shape.area for _ in range(50)]
    assert 0.75**2 < np.mean(areas) / (math.pi * 1.3 * 20**2) < 1.2**2


def test_gardens_have_what_is_mistaken_for_houses(drawn):
    rng = np.random.default_rng(1)
    materials = {part.material for house in drawn[1] for part in draw_plot(house, rng)}
    assert materials >= {"water", "bare ground", "hedge", "paving", "glass"}

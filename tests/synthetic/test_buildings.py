"""Made-up houses: roofs that fill their footprints, axes that turn the right way."""

import itertools
import math

import numpy as np
import pytest
import shapely

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
        for one, other in itertools.combinations(faces[:4], 2):
            for corner in one.shape.exterior.coords:
                if other.shape.boundary.distance(shapely.Point(corner)) < 1e-9:
                    assert height_of(one, corner) == pytest.approx(height_of(other, corner))


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


def test_gardens_have_what_is_mistaken_for_houses(drawn):
    rng = np.random.default_rng(1)
    materials = {part.material for house in drawn[1] for part in draw_plot(house, rng)}
    assert materials >= {"water", "bare ground", "hedge", "paving", "glass"}

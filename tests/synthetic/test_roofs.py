"""geofcn.synthetic.roofs: roofs that fill their houses, of many kinds, alike within a row."""

import itertools

import numpy as np
import pytest
import shapely

from geofcn.synthetic import render, roofs
from geofcn.synthetic.roofs import Look, draw_look, roof, vary

QUAD = ((0.0, 0.0), (30.0, 0.0), (30.0, 50.0), (0.0, 50.0))
WING = ((0.0, 50.0), (15.0, 50.0), (15.0, 62.0), (0.0, 62.0))
COVERS = {*roofs.TILES, *roofs.SHEETS, "parapet"}


def roofs_of(kind: str, wing=None) -> list:
    material = "pale deck" if kind == "flat" else "slate"
    footprint = shapely.union_all([shapely.Polygon(part) for part in (QUAD, wing) if part])
    look = Look(kind, material, (1, 1, 1), 30)
    return list(roof(footprint, QUAD, wing, look, np.random.default_rng(0)))


@pytest.mark.parametrize("kind", [*roofs.KINDS, "hip"])
@pytest.mark.parametrize("wing", [None, WING])
def test_a_roof_covers_its_house_and_nothing_else(kind, wing):
    cover = shapely.union_all(
        [part.shape for part in roofs_of(kind, wing) if part.material in COVERS]
    )
    whole = shapely.union_all([shapely.Polygon(part) for part in (QUAD, wing) if part])
    assert cover.symmetric_difference(whole).area < 1e-6


@pytest.mark.parametrize(("kind", "count"), [("gable", 2), ("cross gable", 2), ("hip", 4)])
def test_the_faces_of_a_roof_meet_at_one_height(kind, count):
    faces = [part for part in roofs_of(kind) if part.material == "slate"]
    assert len(faces) == count
    for first, second in itertools.combinations(faces, 2):
        for x, y in {*first.shape.exterior.coords} & {*second.shape.exterior.coords}:
            heights = [
                part.height + part.rise * part.place.across(x, y) for part in (first, second)
            ]
            assert heights[0] == pytest.approx(heights[1])


def test_a_ridge_lies_along_the_street_or_across_it():
    # The two faces of a gable lie behind one another, those of a cross gable side by side.
    for kind, axis in (("gable", 1), ("cross gable", 0)):
        faces = [part.shape.centroid for part in roofs_of(kind) if part.material == "slate"]
        apart = np.abs(np.subtract(faces[0].coords[0], faces[1].coords[0]))
        assert apart[axis] > 10
        assert apart[1 - axis] < 1e-9


def test_every_material_has_an_appearance():
    used = {part.material for kind in roofs.KINDS for part in roofs_of(kind)}
    assert {"parapet", "pale deck"} <= used
    assert used | {*roofs.TILES, *roofs.SHEETS} <= set(render.APPEARANCES)


def test_houses_of_a_row_are_alike_but_not_the_same():
    rng = np.random.default_rng(1)
    look = draw_look(rng)
    looks = [vary(look, rng) for _ in range(400)]
    alike = np.mean([(other.kind, other.material) == (look.kind, look.material) for other in looks])
    assert 0.5 < alike < 0.7
    assert len({other.material for other in looks}) > 8
    assert 5 < np.std([other.eave for other in looks]) < 15
    assert min(other.eave for other in looks) >= roofs.LEAST_EAVE


def test_a_house_behind_another_is_lower():
    rng = np.random.default_rng(2)
    look = Look("shed", "slate", (1, 1, 1), 36)
    fronts, rears = ([vary(look, rng, lower).eave for _ in range(200)] for lower in (0, 10))
    assert 7 < np.mean(fronts) - np.mean(rears) < 13

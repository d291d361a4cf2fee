"""geofcn.report.houses: houses of a page, however many they are and however they come."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import decoded

from geofcn.report import houses as houses_module
from geofcn.report.houses import AREAS, SHARES, Features, HouseMap, area_chart, share_chart
from geofcn.report.picture import Canvas, Kind

KINDS = Kind("good", (0, 0, 255)), Kind("bad", (255, 0, 0))
CANVAS = Canvas(100, 200, np.array([[1.0, 0, 0], [0, 1, 0]]))


def features(count: int, side: float = 3.0, seed: int = 0) -> Features:
    random = np.random.default_rng(seed)
    x, y = random.integers(0, 190, count), random.integers(0, 90, count)
    return Features(
        shapely.box(x, y, x + side, y + side),
        random.integers(0, 2, count),
        np.round(random.random(count), 1),
        np.arange(1, count + 1),
        random.integers(0, 3000, count).astype(float),
        np.where(random.random(count) < 0.2, np.nan, random.random(count)),
        np.full(count, None),
    )


def told(houses: Features, i: int) -> str:
    return f"house {houses.ids[i]}"


def picture_of(parts, most):
    houses = HouseMap(CANVAS, KINDS, most=most)
    for part in parts:
        houses.add(part)
    return houses, houses.picture("a", "", told)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 60), max_size=6), st.integers(1, 20))
def test_the_picture_does_not_depend_on_how_houses_come(cuts, most):
    every = features(60)
    bounds = [0, *sorted(cuts), 60]
    parts = [every.select(slice(*pair)) for pair in pairwise(bounds)]
    cut, whole = picture_of(parts, most), picture_of([every], most)
    assert cut[1] == whole[1]
    assert (cut[0].by_area == whole[0].by_area).all()


def test_the_first_can_be_pointed_at_and_all_others_are_painted():
    every = features(50)
    _, picture = picture_of([every], 10)
    order = np.lexsort((every.ids, every.ranks))
    assert [shape.text for shape in picture.shapes] == [f"house {i + 1}" for i in order[:10]]
    assert "40 of 50 houses are painted only" in picture.notes[-1]
    layer = np.asarray(decoded(picture.layer).convert("RGBA"))
    for i in order[10:]:
        x, y, _, _ = every.polygons[i].bounds
        assert layer[int(y) + 1, int(x) + 1, 3], i
    assert (layer[..., 3] > 0).sum() <= 40 * 4**2
    assert picture.counts == [str(n) for n in np.bincount(every.kinds)]


def test_few_houses_can_all_be_pointed_at():
    _, picture = picture_of([features(8)], 10)
    assert len(picture.shapes) == 8 and picture.layer == "" and not picture.notes
    _, nothing = picture_of([features(0)], 10)
    assert not nothing.shapes and nothing.counts == ["0", "0"]


def test_corners_are_bounded_too(monkeypatch):
    monkeypatch.setattr(houses_module, "CORNERS", 54)
    _, picture = picture_of([features(20)], 100)
    assert len(picture.shapes) == 10, "of five corners each, the first one being counted twice"
    assert picture.layer and "10 of 20 houses are painted only" in picture.notes[-1]


def test_histograms_count_every_house_in_its_class():
    every = features(300)
    houses, _ = picture_of([every], 10)
    expected = np.histogram(every.areas, [*AREAS, np.inf])[0]
    assert (houses.by_area.sum(axis=0) == expected).all()
    known = every.shares[~np.isnan(every.shares)]
    assert (houses.by_share.sum(axis=0) == np.histogram(known, SHARES, (0, 1))[0]).all()
    assert area_chart(houses).drawing.count("<rect") == (houses.by_area > 0).sum()
    only = share_chart(houses, "IoU", "IoU", 1).drawing
    assert only.count("<rect") == (houses.by_share[1] > 0).sum() and "good" not in only


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_shares_of_nothing_and_all_have_a_class(share):
    houses = HouseMap(CANVAS, KINDS)
    one = features(1)
    houses.add(replace(one, shares=np.array([share])))
    assert houses.by_share.sum() == 1

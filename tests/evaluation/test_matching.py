"""Matching polygons, and the distance of their outlines."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import Point, Polygon, box

from geofcn.evaluation import matching, sorted_houses
from geofcn.evaluation.matching import polis
from geofcn.evaluation.overlaps import SLACK
from geofcn.evaluation.sorted_houses import SortedHouses
from geofcn.io.polygon_store import NumberedPolygons


def houses_of(polygons, scores=None) -> SortedHouses:
    houses = SortedHouses()
    scores = np.full(len(polygons), np.nan) if scores is None else scores
    houses.add(NumberedPolygons(polygons, scores, np.arange(len(polygons))))
    houses.finish()
    return houses


def match(prediction, truth, least=0.5, scores=None) -> dict[tuple[int, int], float]:
    """Intersection over union of the pairs, by the numbers of a prediction and a truth."""
    found: dict[tuple[int, int], float] = {}
    for part in matching.match(houses_of(prediction, scores), houses_of(truth), least):
        for p, t in part.pairs:
            pair = int(part.prediction.houses.numbers[p]), int(part.truth.houses.numbers[t])
            found[pair] = part.prediction.iou[p]
            assert part.prediction.iou[p] == part.truth.iou[t]
        matched = part.prediction.is_matched.sum(), part.truth.is_matched.sum()
        assert matched == (len(part.pairs), len(part.pairs))
    return found


def counts(prediction, truth, least=0.5) -> tuple[dict[int, tuple[int, int]], ...]:
    """What each house holds, and in how many it lies, by its number: predictions, truths."""
    seen: tuple[dict[int, tuple[int, int]], ...] = ({}, {})
    for part in matching.match(houses_of(prediction), houses_of(truth), least):
        for numbers, side in zip(seen, (part.prediction, part.truth), strict=True):
            columns = side.houses.numbers.tolist(), side.holds.tolist(), side.within.tolist()
            for number, holds, within in zip(*columns, strict=True):
                assert number not in numbers, "every house once"
                numbers[number] = holds, within
    return seen


@pytest.fixture(params=[(2, 1, 1), (65_536, 512, 16_384)])
def _few_at_a_time(request, monkeypatch):
    """Houses come one by one, or all at once."""
    run, block, taken = request.param
    monkeypatch.setattr(sorted_houses, "RUN", run)
    monkeypatch.setattr(sorted_houses, "BLOCK", block)
    monkeypatch.setattr(matching, "TAKEN", taken)


pytestmark = pytest.mark.usefixtures("_few_at_a_time")

corners = st.integers(0, 8)
sizes = st.integers(1, 5)
boxes = st.lists(st.tuples(corners, corners, sizes, sizes), max_size=12, unique=True).map(
    lambda all_: np.array([box(x, y, x + w, y + h) for x, y, w, h in all_], dtype=object)
)
least = st.sampled_from([0.1, 0.3, 0.5, 0.8, 1.0])


def overlap(a, b):
    common = a.intersection(b).area
    return common / (a.area + b.area - common)


@given(prediction=boxes, truth=boxes, least=least)
def test_without_scores_it_is_the_greedy_loop_over_pairs(prediction, truth, least):
    every = [(-overlap(a, b), i, j) for i, a in enumerate(prediction) for j, b in enumerate(truth)]
    expected, taken_p, taken_t = {}, set(), set()
    for iou, i, j in sorted(every):
        if -iou >= least - SLACK and i not in taken_p and j not in taken_t:
            expected[i, j] = -iou
            taken_p.add(i)
            taken_t.add(j)
    assert match(prediction, truth, least) == pytest.approx(expected)


@given(prediction=boxes, truth=boxes, least=least, data=st.data())
def test_with_scores_it_is_the_loop_of_spacenet(prediction, truth, least, data):
    scores = data.draw(st.permutations(range(len(prediction))))
    free, expected = set(range(len(truth))), set()
    for i in sorted(range(len(prediction)), key=lambda i: -scores[i]):
        ious = {j: overlap(prediction[i], truth[j]) for j in sorted(free)}
        best = max(ious, key=ious.get, default=None)
        if best is not None and ious[best] >= least - SLACK:
            expected.add((i, best))
            free.remove(best)
    assert set(match(prediction, truth, least, np.array(scores, float))) == expected


def test_the_best_score_chooses_first_and_no_score_last():
    truth = np.array([box(0, 0, 10, 1)])
    prediction = np.array([box(0, 0, 10, 1), box(0, 0, 9, 1), box(0, 0, 8, 1)])
    assert set(match(prediction, truth)) == {(0, 0)}
    assert set(match(prediction, truth, 0.5, np.array([0.1, 0.9, 0.2]))) == {(1, 0)}
    assert set(match(prediction, truth, 0.5, np.array([np.nan, np.nan, -1.0]))) == {(2, 0)}


def test_an_overlap_of_exactly_the_least_is_a_match_anywhere_on_earth():
    x, y = 500_000.2, 5_000_000.6
    matches = match(
        np.array([box(x, y, x + 0.4, y + 0.2)]), np.array([box(x, y, x + 0.2, y + 0.2)]), 0.5
    )
    assert matches == pytest.approx({(0, 0): 0.5}, abs=1e-7)


def test_polygons_that_only_touch_never_match():
    assert len(match(np.array([box(0, 0, 1, 1)]), np.array([box(1, 0, 2, 1)]), 1e-9)) == 0


@pytest.mark.parametrize(("predictions", "truths"), [(0, 0), (0, 2), (2, 0)])
def test_nothing_matches_nothing(predictions, truths):
    squares = np.array([box(x, 0, x + 1, 1) for x in range(2)])
    matches = match(squares[:predictions], squares[:truths])
    assert len(matches) == 0


def test_a_house_that_reaches_far_down_waits_for_all_it_may_overlap():
    """Its first overlap is not its best one."""
    prediction = np.array([box(0, 0, 10, 100)])
    truth = np.array([box(0, 45, 10, 100), box(0, 0, 10, 99), box(50, 50, 60, 60)])
    assert set(match(prediction, truth)) == {(0, 1)}


# --- houses that touch ---


def test_a_prediction_of_three_houses_in_a_row_holds_them_and_a_house_in_pieces_holds_those():
    row = [box(x, 0, x + 10, 8) for x in (0, 10, 20)]
    whole, halves = box(50, 0, 60, 8), [box(50, 0, 54, 8), box(54, 0, 60, 8)]
    predicted, true = counts(np.array([box(0, 0, 30, 8), *halves]), np.array([*row, whole]))
    assert predicted == {0: (3, 0), 1: (0, 1), 2: (1, 1)}
    assert true == {0: (0, 1), 1: (0, 1), 2: (0, 1), 3: (2, 1)}


@pytest.mark.parametrize(("width", "held"), [(5, 0), (5 + 1e-5, 1)])
def test_exactly_a_half_is_not_more_than_a_half_anywhere_on_earth(width, held):
    x, y = 500_000.2, 5_000_000.6
    truth = np.array([box(x - 10, y, x + 10, y + 9.1)])
    predicted, true = counts(np.array([box(x - 50, y, x + 2 * width - 10, y + 9.1)]), truth)
    assert (predicted, true) == ({0: (held, 0)}, {0: (0, held)})


@given(prediction=boxes, truth=boxes, least=least)
def test_counts_of_what_lies_in_what_are_those_of_all_pairs(prediction, truth, least):
    common = np.zeros((len(prediction), len(truth)))
    for i, p in enumerate(prediction):
        for j, t in enumerate(truth):
            common[i, j] = p.intersection(t).area
    t_in_p = common > shapely.area(truth) / 2
    p_in_t = (common > shapely.area(prediction)[:, None] / 2).T
    expected = [
        dict(enumerate(zip(holds.tolist(), within.tolist(), strict=True)))
        for holds, within in ((t_in_p.sum(1), p_in_t.sum(0)), (p_in_t.sum(1), t_in_p.sum(0)))
    ]
    assert counts(prediction, truth, least) == tuple(expected)


# --- PoLiS ---------------------------------------------------------------------------------------


def test_polis_by_hand():
    """Beside its neighbour, two corners of a unit square are 1 off, two are on its boundary."""
    square = box(0, 0, 1, 1)
    counterparts = np.array([square, box(1, 0, 2, 1), box(-1, -1, 2, 2)], dtype=object)
    # Within the large one: its corners are sqrt(2) from the small one, whose own are 1 from it.
    expected = [0, 0.5, (1 + 2**0.5) / 2]
    assert polis(np.full(3, square), counterparts).tolist() == pytest.approx(expected)


def test_polis_counts_a_hole_as_boundary():
    full, holed = box(0, 0, 4, 4), box(0, 0, 4, 4).difference(box(1, 1, 3, 3))
    # Four of the eight vertices of the one with a hole are 1 from the other's boundary.
    assert polis(np.array([holed]), np.array([full]))[0] == pytest.approx((4 / 8 + 0) / 2)


@given(st.integers(0, 2**32 - 1))
def test_polis_is_that_of_its_definition_and_symmetric(seed):
    random = np.random.default_rng(seed)
    first, second = (
        shapely.convex_hull(shapely.multipoints(list(random.random((5, 6, 2))))) for _ in range(2)
    )

    def distance(polygon: Polygon, counterpart: Polygon) -> float:
        vertices = polygon.exterior.coords[:-1]
        return np.mean([counterpart.boundary.distance(Point(vertex)) for vertex in vertices])

    expected = [(distance(a, b) + distance(b, a)) / 2 for a, b in zip(first, second, strict=True)]
    assert polis(first, second) == pytest.approx(expected)
    assert polis(second, first) == pytest.approx(expected)


def test_polis_of_no_pairs_is_no_distance():
    assert polis(np.zeros(0, object), np.zeros(0, object)).shape == (0,)

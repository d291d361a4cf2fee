"""Scores over houses, and what became of each."""

from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from geofcn.core.geodesy import Ground
from geofcn.evaluation.matching import match
from geofcn.evaluation.object_scores import MATCHES_COLUMNS, MatchFeatures, ObjectCounter
from geofcn.evaluation.result import SIZES, Counts
from geofcn.evaluation.sorted_houses import SortedHouses
from geofcn.io.polygon_store import NumberedPolygons

# No CRS: coordinates are metres.
PLANE = Ground(None)


def houses(*polygons, scores=None) -> NumberedPolygons:
    if scores is None:
        scores = [nan] * len(polygons)
    return NumberedPolygons(
        np.array(polygons, dtype=object), np.array(scores, float), np.arange(len(polygons))
    )


def score_objects(sides, ground, iou, min_area):
    """Scores, and the features of the file of matches."""
    sorted_sides = [SortedHouses(ground, min_area) for _ in sides]
    for side, found in zip(sorted_sides, sides, strict=True):
        side.add(found)
        side.finish()
    counter, kept = ObjectCounter(ground), MatchFeatures()
    for matched in match(*sorted_sides, iou):
        counter.add(matched)
        kept.add(matched)
    return counter.scores(), list(kept.features(ground))


TRUTH = houses(box(0, 0, 10, 4), box(30, 0, 36, 6), box(60, 0, 80, 12))
PREDICTED = houses(box(60, 0, 80, 12), box(0, 0, 8, 4), box(90, 90, 93, 93))


def test_scores_by_hand():
    scores, _ = score_objects((PREDICTED, TRUTH), PLANE, 0.5, 0)
    assert (scores.tp, scores.fp, scores.fn) == (2, 1, 1)
    assert (scores.precision, scores.recall, scores.f1) == (2 / 3, 2 / 3, 2 / 3)
    assert scores.mean_iou == pytest.approx((1 + 0.8) / 2)
    # Two of the four corners of the house of 10 m are 2 m off; the others are on the boundary.
    assert scores.polis_m == pytest.approx((2 * 2 / 4 / 2 + 0) / 2)
    # The one of 40 m2 counts as small, as does what was predicted with 9 m2.
    assert scores.by_size == {
        "small": Counts(1, 1, 1), "medium": Counts(0, 0, 0), "large": Counts(1, 0, 0),
    }  # fmt: skip


def test_small_houses_are_left_out_before_they_are_matched():
    scores, features = score_objects((PREDICTED, TRUTH), PLANE, 0.5, 36)
    # 32 m2 and 9 m2 are too small; the house of 40 m2 is missed now, that of 36 m2 still.
    assert (scores.tp, scores.fp, scores.fn) == (1, 0, 2)
    assert [len(batch.geometry) for batch in features] == [1, 3]


def test_the_best_score_is_served_first():
    rivals = box(0, 0, 10, 4), box(0, 0, 9, 4)
    truth = houses(box(0, 0, 10, 4))
    for scores, iou in (([0.5, 0.9], 0.9), ([0.9, 0.5], 1.0), (None, 1.0)):
        objects, _ = score_objects((houses(*rivals, scores=scores), truth), PLANE, 0.5, 0)
        assert objects.mean_iou == pytest.approx(iou)


def test_a_size_class_starts_with_its_least_area():
    sides = houses(
        box(0, 0, 49.9, 1), box(0, 9, 50, 10), box(0, 20, 199.9, 21), box(0, 30, 200, 31)
    )
    scores, _ = score_objects((sides, sides), PLANE, 0.5, 0)
    assert [row.tp for row in scores.by_size.values()] == [1, 2, 1]


def test_panoptic_quality_by_hand():
    """Kirillov et al.: the sum of IoUs over matches and half of what has none."""
    scores, _ = score_objects((PREDICTED, TRUTH), PLANE, 0.5, 0)
    assert scores.pq == pytest.approx((1 + 0.8) / (2 + 1 / 2 + 1 / 2))
    assert scores.pq == pytest.approx(scores.sq * scores.rq)


def test_merged_and_split_houses_are_counted_and_told_in_the_file():
    """A row of two houses and a shed predicted as one; a house predicted in two halves."""
    row = box(0, 0, 10, 10), box(10, 0, 20, 10), box(20, 0, 22, 10)
    truth = houses(*row, box(50, 0, 60, 10), box(90, 0, 99, 9))
    predicted = houses(box(0, 0, 22, 10), box(50, 0, 54, 10), box(54, 0, 60, 10))
    scores, (first, second) = score_objects((predicted, truth), PLANE, 0.5, 0)
    assert (scores.merged, scores.split) == (1, 1)
    assert (scores.tp, scores.fp, scores.fn) == (1, 2, 4)
    assert first.columns["grouping"].tolist() == ["merged", None, None]
    assert second.columns["grouping"].tolist() == [None, None, None, "split", None]
    assert first.columns["holds"].tolist() == [3, 0, 1]
    assert first.columns["within"].tolist() == [0, 1, 1]
    assert second.columns["holds"].tolist() == [0, 0, 0, 2, 0]
    # What nobody saw is told from what was merged.
    assert second.columns["within"].tolist() == [1, 1, 1, 1, 0]


def test_a_house_and_its_shed_are_merged_unless_the_shed_is_too_small_to_count():
    truth = houses(box(0, 0, 10, 10), box(10, 0, 13, 3))
    predicted = houses(box(0, 0, 13, 10))
    for min_area, merged in ((9, 1), (9.1, 0)):
        scores, _ = score_objects((predicted, truth), PLANE, 0.5, min_area)
        assert (scores.tp, scores.merged) == (1, merged)


@pytest.mark.parametrize(("predictions", "truths"), [(0, 0), (0, 2), (2, 0)])
def test_without_matches_means_are_undefined(predictions, truths):
    sides = (
        houses(*[box(x, 0, x + 9, 9) for x in range(predictions)]),
        houses(*[box(x, 0, x + 9, 9) for x in range(truths)]),
    )
    scores, _ = score_objects(sides, PLANE, 0.5, 0)
    assert (scores.tp, scores.fp, scores.fn) == (0, predictions, truths)
    assert isnan(scores.mean_iou) and isnan(scores.polis_m)
    assert isnan(scores.pq) if predictions == truths else scores.pq == 0
    assert (scores.merged, scores.split) == (0, 0)
    assert isnan(scores.precision) == (predictions == 0)
    assert isnan(scores.recall) == (truths == 0)


corners = st.integers(0, 60)
sizes = st.integers(1, 20)
sides = st.lists(st.tuples(corners, corners, sizes, sizes), max_size=8, unique=True)


@given(sides, sides, st.sampled_from([0, 40, 100]))
def test_counts_by_size_add_up_and_every_house_is_in_one(predicted, true, min_area):
    pair = tuple(
        houses(*(box(x, y, x + width, y + height) for x, y, width, height in rectangles))
        for rectangles in (predicted, true)
    )
    scores, features = score_objects(pair, PLANE, 0.3, min_area)
    assert list(scores.by_size) == list(SIZES)
    for name in ("tp", "fp", "fn"):
        total = sum(getattr(row, name) for row in scores.by_size.values())
        assert total == getattr(scores, name)
    large = [sum(w * h >= min_area for *_, w, h in rectangles) for rectangles in (predicted, true)]
    assert [scores.tp + scores.fp, scores.tp + scores.fn] == large
    outcomes = [outcome for batch in features for outcome in batch.columns["outcome"]]
    assert outcomes.count("tp") == 2 * scores.tp
    assert (outcomes.count("fp"), outcomes.count("fn")) == (scores.fp, scores.fn)


def test_features_are_numbered_through_with_outcome_and_area():
    _, (predicted, true) = score_objects((PREDICTED, TRUTH), PLANE, 0.5, 0)
    assert list(predicted.columns) == list(true.columns) == list(MATCHES_COLUMNS)
    assert predicted.columns["id"].tolist() == [1, 2, 3]
    assert true.columns["id"].tolist() == [4, 5, 6]
    assert predicted.columns["outcome"].tolist() == ["tp", "tp", "fp"]
    assert true.columns["outcome"].tolist() == ["tp", "fn", "tp"]
    assert predicted.columns["iou"] == pytest.approx([1, 0.8, nan], nan_ok=True)
    assert set(predicted.columns["side"]) == {"prediction"}
    assert set(true.columns["side"]) == {"truth"}
    assert true.columns["area_m2"] == pytest.approx([40, 36, 240])
    assert (true.geometry == TRUTH.polygons).all()

"""geofcn.report.charts: lines and bars lie where their numbers are."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.report.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    POINTS,
    RIGHT,
    TOP,
    WIDTH,
    bar_chart,
    line_chart,
    running_mean,
)  # fmt: skip

NAMES = {"title": "a <title>", "x_name": "x & y", "y_name": "n"}


def parsed(chart) -> ElementTree.Element:
    return ElementTree.fromstring(f"<div>{chart}</div>")


def points(chart) -> list[list[float]]:
    (line,) = parsed(chart).iter("polyline")
    return [list(map(float, pair.split(","))) for pair in line.get("points").split()]


def texts(chart) -> list[str]:
    return [text.text for text in parsed(chart).iter("text")]


def test_a_line_goes_from_corner_to_corner():
    chart = line_chart({"a": (np.array([1, 2, 3]), np.array([0, 5, 10]))}, **NAMES)
    low, high = HEIGHT - BOTTOM, TOP
    assert points(chart) == [[LEFT, low], [(LEFT + WIDTH - RIGHT) / 2, (low + high) / 2],
                             [WIDTH - RIGHT, high]]  # fmt: skip
    assert {"0", "10", "1", "3", "x & y"} <= set(texts(chart))
    assert parsed(chart).find("svg").get("aria-label") == "a <title>"


def test_what_is_no_number_and_has_no_logarithm_is_left_out():
    x, y = np.arange(5), np.array([1, np.nan, 0, 10, 100])
    assert len(points(line_chart({"a": (x, y)}, logarithmic=True, **NAMES))) == 3
    chart = line_chart({"a": (x, y)}, logarithmic=True, **NAMES)
    assert points(chart)[1][1] == (HEIGHT - BOTTOM + TOP) / 2, "10 is half way from 1 to 100"
    assert line_chart({"a": (x, np.full(5, np.nan))}, **NAMES) == ""


def test_lines_have_names_where_there_are_several_and_one_point_is_a_dot():
    one = np.array([1]), np.array([0.5])
    assert parsed(line_chart({"a": one}, **NAMES)).find("ul") is None
    chart = line_chart({"a": one, "b": one}, limits=(0, 1), faint=("b",), **NAMES)
    assert [circle.get("class") for circle in parsed(chart).iter("circle")] == [
        "dot c0", "dot c1 faint",
    ]  # fmt: skip
    assert ["".join(item.itertext()) for item in parsed(chart).iter("li")] == ["a", "b"]


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30), st.booleans())
def test_any_line_stays_on_its_chart(values, logarithmic):
    lines = {"a": (np.arange(len(values)), np.array(values))}
    chart = line_chart(lines, logarithmic=logarithmic, **NAMES)
    for x, y in points(chart) if len(values) > 1 else []:
        assert LEFT - 0.1 <= x <= WIDTH - RIGHT + 0.1 and TOP - 0.1 <= y <= HEIGHT - BOTTOM + 0.1


def test_a_long_line_is_shown_by_means():
    values = np.tile([0.0, 2.0], 10 * POINTS)
    drawn = np.array(points(line_chart({"a": (np.arange(len(values)), values)}, **NAMES)))
    assert len(drawn) == POINTS and np.ptp(drawn[:, 1]) == 0, "means of 20 are all 1"


def test_bars_stand_on_each_other():
    bars = {"good": ("#00f", [1, 0]), "bad": ("#f00", [3, 2])}
    chart = bar_chart(bars, ["low", "high"], ["0", "1", "2"], **NAMES)
    rects = list(parsed(chart).iter("rect"))
    assert [rect.find("title").text for rect in rects] == ["good, low: 1", "bad, low: 3",
                                                           "bad, high: 2"]  # fmt: skip
    heights = [float(rect.get("height")) for rect in rects]
    whole = HEIGHT - BOTTOM - TOP
    assert heights == pytest.approx([whole / 4, 3 * whole / 4, whole / 2], abs=0.1)
    good, bad, _ = rects
    assert float(good.get("y")) == pytest.approx(float(bad.get("y")) + heights[1], abs=0.11)
    assert all(re.fullmatch(r"[\d,]+|x & y|n", text) for text in texts(chart)), "whole numbers"


def test_a_running_mean_of_more_than_there_is_is_the_mean():
    steps, means = running_mean(np.array([1.0, 3.0]), 9)
    assert (steps.tolist(), means.tolist()) == ([2], [2.0])

"""geofcn.polygons.outline: options that can be, and what they are made of."""

import pytest

from geofcn.errors import UsageError
from geofcn.polygons.outline import DEFAULT_OUTLINE, METHODS, Outline, make_outline


@pytest.mark.parametrize(
    "wrong", [{"method": "round"}, {"min_area": -1}, {"fill_holes": float("nan")}]
)
def test_an_outline_that_cannot_be_is_refused(wrong):
    with pytest.raises(UsageError, match=r"choose one of|from 0 up"):
        Outline(**wrong)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_makes_an_outline(method):
    assert make_outline(method) == Outline(method)
    assert make_outline(method, 2.5, 10, 4) == Outline(
        method, simplify=2.5, min_area=10, fill_holes=4
    )


def test_what_is_not_given_is_the_default():
    assert make_outline("simplify") == DEFAULT_OUTLINE
    assert make_outline("raw", min_area=3) == Outline("raw", min_area=3)
    # Zero is a number like any other.
    assert make_outline("simplify", simplify=0).simplify == 0


@pytest.mark.parametrize(
    ("method", "net_pixel", "tolerance"),
    [
        ("square", 4, 5), ("square", 2, 2.5), ("square", 11 / 8, 55 / 32), ("square", 1, 1.5),
        ("square", 1 / 8, 1.5), ("simplify", 4, 1.5), ("raw", 4, 1.5),
    ],
)  # fmt: skip
def test_right_angles_stray_by_net_pixels_unless_the_user_says_how_far(
    method, net_pixel, tolerance
):
    assert Outline(method).at_net_pixel(net_pixel).tolerance == tolerance
    for given in (0, 1.5, 8):
        assert Outline(method, simplify=given).at_net_pixel(net_pixel).tolerance == given


def test_an_outline_that_is_made_already_is_taken_as_it_is():
    outline = Outline("square", min_area=15)
    assert make_outline(outline) is outline
    with pytest.raises(UsageError, match="min_area, fill_holes: the Outline"):
        make_outline(outline, min_area=15, fill_holes=0)


def test_an_unknown_method_is_refused_and_the_known_ones_named():
    with pytest.raises(UsageError, match="outline round: choose one of raw, simplify, square"):
        make_outline("round")

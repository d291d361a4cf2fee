"""geofcn.tracing.instances: walls between houses that touch, whatever the bands."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from touching_houses import expected_walls, labelled, masks

from geofcn.tracing import instances as module
from geofcn.tracing.instances import REACH, numbered_band, walled_bands

SIDES = ("beside", "above")


def drawn(*rows: str) -> tuple[np.ndarray, np.ndarray]:
    """Houses (# and +) and contacts (+) of a drawing."""
    pixels = np.array([list(row) for row in rows])
    return pixels != ".", pixels == "+"


def walls(houses, contacts, rows=64) -> tuple[np.ndarray, np.ndarray]:
    """Walls beside and above all pixels, of bands of `rows` rows."""
    tops = range(0, len(houses), rows)
    bands = ((houses[top : top + rows], None, contacts[top : top + rows]) for top in tops)
    found = list(walled_bands(bands, houses.shape[1]))
    assert (np.concatenate([band.houses for band in found]) == houses).all()
    return tuple(np.concatenate([getattr(band, name) for band in found]) for name in SIDES)


def assert_walls(houses, contacts, rows=64, reach=REACH):
    expected = expected_walls(labelled(houses, contacts, reach))
    for found, right in zip(walls(houses, contacts, rows), expected, strict=True):
        np.testing.assert_array_equal(found, right)


def test_a_band_of_contacts_is_shared_by_the_houses_on_both_sides():
    """Of three pixels the middle one is taken by the first in order: the left one."""
    beside, above = walls(*drawn("##+++##"))
    assert beside.astype(int).tolist() == [[0, 0, 0, 0, 1, 0, 0]]
    assert not above.any()


def test_contacts_within_one_house_make_no_wall():
    houses, contacts = drawn("#####", "#+++#", "#####")
    assert not np.any(walls(houses, contacts))
    houses, contacts = drawn("+++", "+++")
    assert not np.any(walls(houses, contacts))


def test_contacts_that_are_farther_off_than_the_reach_are_a_house():
    houses, contacts = np.ones((1, REACH + 9), bool), np.ones((1, REACH + 9), bool)
    contacts[0, :2] = False
    (row,), _ = walls(houses, contacts)
    assert np.flatnonzero(row).tolist() == [REACH + 2]


def test_no_contacts_no_walls():
    houses, contacts = drawn("##.", "#.#")
    assert not np.any(walls(houses, contacts))


@settings(max_examples=40)
@given(masks())
def test_walls_are_those_of_the_definition(mask):
    assert_walls(*mask)


@settings(max_examples=40)
@given(masks(), st.sampled_from([1, 2, 3]), st.integers(1, 20))
def test_walls_do_not_depend_on_the_bands(mask, reach, rows):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "REACH", reach)
        once = walls(*mask)
        again = walls(*mask, rows)
    np.testing.assert_array_equal(once, again)


@settings(max_examples=40)
@given(masks(), st.sampled_from([1, 2, 3]), st.sampled_from([1, 4, 7]))
def test_windows_add_walls_within_a_house_at_the_most(mask, reach, pixels):
    """A window does not see that two seeds are one; between houses its walls are right."""
    houses, contacts = mask
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "REACH", reach)
        patch.setattr(module, "WINDOW_PIXELS", pixels * houses.shape[1])
        found = walls(houses, contacts)
    for wall, right in zip(found, expected_walls(labelled(*mask, reach)), strict=True):
        assert (wall | ~right).all()


def test_values_are_handed_through_with_their_rows():
    houses, contacts = drawn(*["#+#"] * 40)
    values = np.arange(120, dtype=np.uint8).reshape(40, 3)
    bands = ((houses[i : i + 7], values[i : i + 7], contacts[i : i + 7]) for i in range(0, 40, 7))
    found = list(walled_bands(bands, 3))
    np.testing.assert_array_equal(np.concatenate([band.values for band in found]), values)


@given(
    hnp.arrays(np.uint32, hnp.array_shapes(min_dims=2, max_dims=2), elements=st.integers(0, 3)),
    st.integers(1, 4),
)
def test_between_two_numbers_there_is_a_wall_whatever_the_bands(numbers, rows):
    above, found = None, []
    for top in range(0, len(numbers), rows):
        found.append(numbered_band(numbers[top : top + rows], above))
        above = numbers[min(top + rows, len(numbers)) - 1]
    for name, expected in zip(SIDES, expected_walls(numbers), strict=True):
        walls = np.concatenate([getattr(band, name) for band in found])
        np.testing.assert_array_equal(walls, expected)
    assert (np.concatenate([band.houses for band in found]) == (numbers > 0)).all()

"""geofcn.polygons.groups: houses that share walls come together, whatever the bands."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from touching_houses import components, expected_walls

from geofcn.polygons import groups as module
from geofcn.polygons.groups import ALONE, BOUNDLESS, group_houses
from geofcn.tracing.instances import WalledBand
from geofcn.tracing.walls import WalledSweep


def pushed(label, rows):
    """What a sweep over a mask of houses with numbers gives, band by band."""
    sweep, walls = WalledSweep(label.shape[1]), expected_walls(label)
    for top in range(0, len(label), rows):
        band = slice(top, top + rows)
        yield sweep.push(WalledBand(label[band] > 0, None, *(wall[band] for wall in walls)))
    yield sweep.finish()


def grouped(label, rows=64, gathered=1, largest=100) -> list[tuple[int, int]]:
    """Of each house, as they come: its number in `label`, and its group."""
    found, begin = [], 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "GATHERED", gathered)
        patch.setattr(module, "MAX_GROUP", largest)
        for groups in group_houses(pushed(label, rows)):
            polygons = groups.houses.polygons
            starts = polygons.coords[polygons.rings[polygons.polygons[:-1]]]
            numbers = [int(label[row, column]) for column, row in starts]
            numbered = np.where(groups.group < 0, groups.group, groups.group + begin)
            found += zip(numbers, numbered.tolist(), strict=True)
            begin += groups.group.max(initial=-1) + 1
    return found


STREET = np.array(
    [
        [1, 1, 2, 2, 0, 9],
        [1, 1, 2, 2, 0, 0],
        [0, 0, 2, 2, 0, 3],
        [4, 5, 0, 0, 0, 3],
        [4, 5, 0, 0, 0, 3],
    ]
)


@pytest.mark.parametrize("gathered", [1, 2, 100])
def test_a_group_comes_with_its_last_house(gathered):
    houses = grouped(STREET, gathered=gathered)
    assert [number for number, _ in houses] == [9, 1, 2, 4, 5, 3]
    group = dict(houses)
    assert group[9] == group[3] == ALONE
    assert group[1] == group[2] != group[4] == group[5]


def test_a_chain_of_houses_is_one_group():
    label = np.array([[1, 0, 3, 0, 5], [1, 2, 3, 4, 5]])
    assert {group for _, group in grouped(label)} == {0}


def test_houses_that_touch_at_a_corner_share_no_wall():
    assert [group for _, group in grouped(np.array([[1, 0], [0, 2]]))] == [ALONE, ALONE]


def test_a_group_with_too_many_houses_is_not_waited_for():
    label = np.arange(1, 13).reshape(12, 1)
    found = grouped(label, largest=3)
    assert found == [(number, BOUNDLESS) for number in range(1, 13)]
    assert {group for _, group in grouped(label[:3], largest=3)} == {0}


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 5), st.integers(1, 6))
def test_groups_do_not_depend_on_the_bands_and_share_their_walls(seed, rows, gathered, largest):
    random = np.random.default_rng(seed)
    values = random.integers(0, 4, random.integers(1, 14, 2))
    label = np.zeros(values.shape, int)
    for value in range(1, 4):
        found = components(values == value)
        label[found > 0] = found[found > 0] + label.max()
    houses = grouped(label, rows, gathered, largest)
    assert houses == grouped(label, 64, gathered, largest)
    assert sorted(number for number, _ in houses) == np.unique(label[label > 0]).tolist()
    beside, above = expected_walls(label)
    joined = set()
    for wall, step in ((beside, (0, 1)), (above, (1, 0))):
        after = np.argwhere(wall)
        joined |= {(label[tuple(pixel - step)], label[tuple(pixel)]) for pixel in after}
    group = dict(houses)
    assert all(group[a] == group[b] and group[a] != ALONE for a, b in joined)
    walled = {number for pair in joined for number in pair}
    assert all((group[number] == ALONE) == (number not in walled) for number in group)
    sizes = np.bincount([number for number in group.values() if number >= 0])
    assert (sizes <= largest).all() and (sizes != 1).all()

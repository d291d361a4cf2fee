"""Houses that share walls, handed on together as soon as the last of a group is finished."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from geofcn.tracing.permutations import offsets, spans, unite
from geofcn.tracing.rings import Polygons
from geofcn.tracing.segments import CORNER, ROW_SHIFT
from geofcn.tracing.walls import WalledPolygons

# Houses that are looked at together, at the least. Counted in houses, not in row bands, so what is
# handed on, and when, does not depend on the bands.
GATHERED = 1024
# A group of more houses is not waited for: they stay as they are. Some 20 MB of outlines wait for
# the last house of such a group; the largest block of touching houses of a town has some hundreds.
MAX_GROUP = 10_000


ALONE, BOUNDLESS = -1, -2


@dataclass(frozen=True)
class HouseGroups:
    """Finished houses, with all that they share a wall with.

    Attributes
    ----------
    houses : WalledPolygons
        In pixel corners.
    group : (n,) array of int
        A number of each house's group; ALONE: it has no walls; BOUNDLESS: its group has more than
        MAX_GROUP houses, of which others may come.
    """

    houses: WalledPolygons
    group: np.ndarray

    def select(self, chosen: np.ndarray) -> HouseGroups:
        """The houses with the numbers `chosen`, (m,), in that order; of groups all or none."""
        return HouseGroups(take(self.houses, chosen), self.group[chosen])

    def have_walled_holes(self) -> np.ndarray:
        """(n,) bool, whether a house shares a wall with another that is within a hole of it."""
        polygons = self.houses.polygons
        walled = np.diff(offsets(self.houses.wall)[polygons.rings]) > 0
        walled[polygons.polygons[:-1]] = False
        return np.diff(offsets(walled)[polygons.polygons]) > 0


def group_houses(swept: Iterable[WalledPolygons]) -> Iterator[HouseGroups]:
    """Put houses that share walls together.

    Parameters
    ----------
    swept : iterable of WalledPolygons
        The houses of a mask, as a `WalledSweep` gives them.

    Yields
    ------
    HouseGroups
        Groups in the order of their last houses, a house without walls being one; in a group, the
        houses in the sweep's order. Those of a boundless group come when it is known to be that, or
        when they are finished. Memory is bounded by what waits for the other side of a wall.
    """
    grouping = _Grouping()
    waiting: list[WalledPolygons] = []
    count = 0
    for walled in swept:
        while count + len(walled) >= grouping.wanted:
            missing = grouping.wanted - count
            index = np.arange(len(walled))
            waiting.append(take(walled, index[:missing]))
            yield grouping.add(concatenate(waiting))
            walled, waiting, count = take(walled, index[missing:]), [], 0
        if len(walled):
            waiting.append(walled)
            count += len(walled)
    if waiting:
        yield grouping.add(concatenate(waiting))


class _Grouping:
    """Houses that wait for others of their group, and walls that wait for their other side.

    A wall is an edge with the same corners on both sides.
    """

    def __init__(self) -> None:
        none = np.zeros(0, np.int64)
        self._houses: WalledPolygons | None = None
        self._group = none  # of each house that waits
        self._wall, self._wall_group = none, none
        self._size = none  # all houses of each group, also those that do not wait any more

    @property
    def wanted(self) -> int:
        """Houses to be added at once: a share of those that wait, so each is moved a few times."""
        return max(GATHERED, len(self._group) // 4)

    def add(self, new: WalledPolygons) -> HouseGroups:
        """Take more houses; return those that need wait no longer."""
        houses = new if self._houses is None else concatenate([self._houses, new])
        before, count = len(self._size), len(new)
        group = np.append(self._group, np.arange(before, before + count))
        wall, owner = _walls(new)
        self._wall = np.append(self._wall, wall)
        self._wall_group = np.append(self._wall_group, before + owner)
        size = np.append(self._size, np.ones(count, np.int64))
        first, second, single = self._pairs()
        root = unite(np.arange(len(size)), self._wall_group[first], self._wall_group[second])
        total = np.bincount(root, size, len(size)).astype(np.int64)
        group, open_group = root[group], root[self._wall_group[single]]
        is_open = np.zeros(len(size), bool)
        is_open[open_group] = True
        boundless = total > MAX_GROUP
        done = ~is_open[group] | boundless[group]
        is_alone = ~_has_walls(houses)
        found = _in_order(houses, group, done, boundless, is_alone)
        number = np.cumsum(is_open) - 1
        rest = np.flatnonzero(~done)
        self._houses, self._group = take(houses, rest), number[group[rest]]
        self._wall, self._wall_group = self._wall[single], number[open_group]
        self._size = total[is_open]
        return found

    def _pairs(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The two sides of each wall that has both; and those that wait for another."""
        order = np.argsort(self._wall, kind="stable")
        twice = np.flatnonzero(np.diff(self._wall[order]) == 0)
        first, second = order[twice], order[twice + 1]
        single = np.ones(len(order), bool)
        single[first] = single[second] = False
        return first, second, np.flatnonzero(single)


def _in_order(
    houses: WalledPolygons,
    group: np.ndarray,
    done: np.ndarray,
    boundless: np.ndarray,
    is_alone: np.ndarray,
) -> HouseGroups:
    """The houses that are done, groups in the order of their last houses."""
    position = np.arange(len(group))
    last = np.zeros(len(boundless), np.int64)
    np.maximum.at(last, group, position)
    place = np.where(boundless[group], position, last[group])
    chosen = np.flatnonzero(done)
    chosen = chosen[np.argsort(place[chosen], kind="stable")]
    _, number = np.unique(place[chosen], return_inverse=True)
    number[is_alone[chosen]] = ALONE
    number[boundless[group[chosen]]] = BOUNDLESS
    return HouseGroups(take(houses, chosen), number)


def _walls(walled: WalledPolygons) -> tuple[np.ndarray, np.ndarray]:
    """A key of each wall, the same from both sides, and the house that it is of."""
    edge = np.flatnonzero(walled.wall)
    return edge_keys(walled.polygons.coords, edge), house_of_corners(walled.polygons)[edge]


def edge_keys(coords: np.ndarray, edge: np.ndarray) -> np.ndarray:
    """(e,) integers, one for each edge of pixel corners, whichever way it runs.

    Parameters
    ----------
    coords : (n, 2) array of int32
        (column, row).
    edge : (e,) array of int
        The corner that each starts at; it ends at the next one.
    """
    start, end = coords[edge].astype(CORNER), coords[edge + 1].astype(CORNER)
    column, row = np.minimum(start, end).T
    is_vertical = (start[:, 0] == end[:, 0]).astype(CORNER)
    return (row << ROW_SHIFT) | (is_vertical << (ROW_SHIFT - 1)) | column


def house_of_corners(polygons: Polygons) -> np.ndarray:
    """(n,) the polygon that each corner is of."""
    return np.repeat(np.arange(len(polygons)), np.diff(polygons.rings[polygons.polygons]))


def _has_walls(walled: WalledPolygons) -> np.ndarray:
    """(n,) bool, whether a house shares a wall with another."""
    begin = walled.polygons.rings[walled.polygons.polygons]
    return np.diff(offsets(walled.wall)[begin]) > 0


def take(walled: WalledPolygons, chosen: np.ndarray) -> WalledPolygons:
    """The houses with the numbers `chosen`, (n,), in that order."""
    polygons = walled.polygons
    if np.array_equal(chosen, np.arange(len(polygons))):
        return walled
    rings = np.diff(polygons.polygons)[chosen]
    ring = spans(polygons.polygons[chosen], rings)
    size = np.diff(polygons.rings)[ring]
    corner = spans(polygons.rings[ring], size)
    return WalledPolygons(
        Polygons(
            polygons.coords[corner],
            offsets(size),
            offsets(rings),
            polygons.pixels[chosen],
            polygons.sums[chosen],
            polygons.counts[chosen],
        ),
        walled.wall[corner],
    )


def concatenate(parts: list[WalledPolygons]) -> WalledPolygons:
    """The houses of one or more parts of a sweep, in order."""
    if len(parts) == 1:
        return parts[0]
    return WalledPolygons(
        Polygons.concatenate([part.polygons for part in parts]),
        np.concatenate([part.wall for part in parts]),
    )

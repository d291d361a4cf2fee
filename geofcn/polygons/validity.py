"""Whether polygons are valid, in memory that does not depend on how many holes one has."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import shapely

from geofcn.tracing.permutations import unite

# Holes of a polygon that GEOS looks at together: it takes 800 bytes or more for each.
HOLES_AT_ONCE = 2**16


def are_valid(polygons: np.ndarray) -> np.ndarray:
    """Whether each polygon is valid, as `shapely.is_valid` says.

    Parameters
    ----------
    polygons : (n,) array of Polygon

    Returns
    -------
    (n,) bool array

    Notes
    -----
    Of a polygon with more than HOLES_AT_ONCE holes GEOS is shown the exterior with some holes after
    the other. Two holes whose boxes are apart have no point in common; so it is enough to show it
    together what hangs together by boxes that touch. That holds for an interior that holes cut
    through as well: a chain of holes that touch each other goes from the exterior to itself, or
    round to its first.
    """
    many = shapely.get_num_interior_rings(polygons) > HOLES_AT_ONCE
    valid = np.empty(len(polygons), bool)
    valid[~many] = shapely.is_valid(polygons[~many])
    valid[many] = [all(map(shapely.is_valid, _pieces(polygon))) for polygon in polygons[many]]
    return valid


def _pieces(polygon: shapely.Polygon) -> Iterator[shapely.Polygon]:
    """The exterior with some holes at a time; holes that may touch are in one of them."""
    group = _groups(_boxes(polygon))
    order = np.argsort(group, kind="stable")
    # Each piece ends with the group in which its share of the holes does.
    ends = np.flatnonzero(np.diff(group[order], append=-1)) + 1
    start = 0
    while start < len(order):
        end = ends[min(int(np.searchsorted(ends, start + HOLES_AT_ONCE)), len(ends) - 1)]
        holes = shapely.get_interior_ring(polygon, order[start:end])
        yield shapely.polygons(polygon.exterior, holes)
        start = end


def _boxes(polygon: shapely.Polygon) -> np.ndarray:
    """(n, 4) boxes of the holes: least x and y, greatest x and y."""
    count = shapely.get_num_interior_rings(polygon)
    boxes = np.empty((count, 4))
    for start in range(0, count, HOLES_AT_ONCE):
        some = np.arange(start, min(start + HOLES_AT_ONCE, count))
        boxes[some] = shapely.bounds(shapely.get_interior_ring(polygon, some))
    return boxes


def _groups(boxes: np.ndarray) -> np.ndarray:
    """(n,) int, equal for boxes that hang together by boxes that touch."""
    order = np.argsort(boxes[:, 1], kind="stable")
    parent, reaching = np.arange(len(boxes)), order[:0]
    for start in range(0, len(order), HOLES_AT_ONCE):
        some = order[start : start + HOLES_AT_ONCE]
        reaching = reaching[boxes[reaching, 3] >= boxes[some[0], 1]]
        near = np.concatenate([reaching, some])
        # A line from corner to corner has the same box as what it stands for.
        lines = shapely.linestrings(boxes[near].reshape(-1, 2, 2))
        first, second = shapely.STRtree(lines).query(lines[len(reaching) :])
        parent = unite(parent, some[first], near[second])
        reaching = near
    return parent

"""Clean geometry: valid polygons out of shapes of any kind, and a tally of what was not one."""

from __future__ import annotations

from collections import Counter

import numpy as np
import shapely

POLYGON, MULTIPOLYGON, COLLECTION = 3, 6, 7

# Why a shape counts for nothing, or how it was changed.
EMPTY = "empty"
NO_AREA = "without an area (points, lines)"
NOT_FINITE = "without a finite place"
MENDED = "mended"


def polygons_of(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray, Counter[str]]:
    """The polygons of shapes: parts of multipolygons and collections, mended, without heights.

    Parameters
    ----------
    shapes : (n,) array of shapely geometries
        Of any kind, valid or not; None for one that is missing.

    Returns
    -------
    polygons : (m,) array of shapely.Polygon
        Valid, in two dimensions, in the order of the shapes.
    owner : (m,) int array
        The shape that each is of.
    tally : Counter
        How many shapes gave no polygon, or had to be mended, by reason.

    Notes
    -----
    Outlines that cross themselves are mended by GEOS's `structure` method: what an exterior
    encloses is area, what a hole encloses is not.

    Examples
    --------
    >>> bow_tie = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    >>> polygons, owner, tally = polygons_of(np.array([shapely.Point(0, 0), bow_tie]))
    >>> shapely.area(polygons), owner
    (array([1., 1.]), array([1, 1]))
    >>> tally[NO_AREA], tally[MENDED]
    (1, 1)
    """
    there = np.flatnonzero(~(shapely.is_missing(shapes) | shapely.is_empty(shapes)))
    tally = Counter({EMPTY: len(shapes) - len(there)})
    areal, owner = _areal(shapes[there])
    tally[NO_AREA] += len(there) - len(np.unique(owner))
    owner = there[owner]
    areal = shapely.force_2d(areal)
    finite = np.isfinite(shapely.bounds(areal).reshape(-1, 4)).all(axis=1)
    tally[NOT_FINITE] += len(np.unique(owner)) - len(np.unique(owner[finite]))
    areal, owner = areal[finite], owner[finite]
    wrong = ~shapely.is_valid(areal)
    tally[MENDED] += len(np.unique(owner[wrong]))
    areal[wrong] = shapely.make_valid(areal[wrong], method="structure", keep_collapsed=False)
    polygons, part = shapely.get_parts(areal, return_index=True)
    full = ~shapely.is_empty(polygons)
    before, owner = len(np.unique(owner)), owner[part[full]]
    tally[NO_AREA] += before - len(np.unique(owner))
    return polygons[full], owner, +tally


def _areal(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Polygons and multipolygons, those in collections of any depth too; and whose they are."""
    owner = np.arange(len(shapes))
    while (types := shapely.get_type_id(shapes)).size and (types == COLLECTION).any():
        # Only collections fall apart: the parts of a multipolygon are mended together.
        opened = types == COLLECTION
        members, index = shapely.get_parts(shapes[opened], return_index=True)
        owner = np.concatenate([owner[~opened], owner[opened][index]])
        shapes = np.concatenate([shapes[~opened], members])
    chosen = np.isin(shapely.get_type_id(shapes), (POLYGON, MULTIPOLYGON))
    chosen &= ~shapely.is_empty(shapes)
    order = np.argsort(owner[chosen], kind="stable")
    return shapes[chosen][order], owner[chosen][order]

"""Regularise building outlines: simplified, or squared where they have right angles.

Everything here is in pixels, on whole arrays of polygons. What becomes of a polygon never depends
on the others of its array, to the last bit: the only sums that run across polygons are integer.
"""

from __future__ import annotations

import numpy as np
import shapely

from geofcn.core.ragged import intersection_over_union
from geofcn.polygons.orthogonalize import orthogonalize
from geofcn.polygons.outline import METHODS
from geofcn.polygons.simplify import MAX_HOLES, simplify

RAW, SIMPLIFIED, SQUARED = "raw", "simplified", "squared"
# A clean outline that agrees less with the raw one (intersection over union) is not used.
MIN_AGREEMENT = 0.80


def regularize(
    polygons: np.ndarray, method: str, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Clean outlines of polygons, and what was done to each.

    Parameters
    ----------
    polygons : (n,) array of Polygon
        Valid, in integer pixel corners.
    method : {"raw", "simplify", "square"}
        raw: as they are; simplify: Douglas-Peucker; square: right angles where an outline has
        them, else simplified.
    tolerance : float
        Of Douglas-Peucker, in pixels.

    Returns
    -------
    cleaned : (n,) array of Polygon
        Valid, with as many holes as before.
    status : (n,) array of str
        "squared", "simplified", or "raw" where nothing else was valid and agreed with the raw
        outline to MIN_AGREEMENT. A polygon with more than MAX_HOLES holes is never squared.

    Raises
    ------
    ValueError
        For an unknown method, or when asked to square coordinates that are not integers.

    Examples
    --------
    A house of 20 x 10 pixels, one of which is missing in a wall:

    >>> house = shapely.box(0, 0, 20, 10).difference(shapely.box(7, 0, 8, 1))
    >>> cleaned, status = regularize(np.array([house]), "square", 1.5)
    >>> str(status[0]), len(cleaned[0].exterior.coords) - 1
    ('squared', 4)
    """
    if method not in METHODS:
        raise ValueError(f"an outline is one of {', '.join(METHODS)}, not {method!r}")
    polygons = np.asarray(polygons, dtype=object)
    cleaned, status = polygons.copy(), np.full(len(polygons), RAW, dtype=object)
    if method == "raw":
        return cleaned, status
    simple = simplify(polygons, tolerance)
    simplified = ~simple.whole
    if method == "square":
        few = np.flatnonzero(_few_holes(polygons))
        which, square = orthogonalize(polygons[few], simple.polygons[few], tolerance)
        valid = shapely.is_valid(square)
        which, square = few[which][valid], square[valid]
        good = agreeing(square, polygons[which])
        which = which[good]
        cleaned[which], status[which] = square[good], SQUARED
        simplified[which] = False
    simplified[simplified] = agreeing(
        simple.polygons[simplified], polygons[simplified], simple.removed[simplified]
    )
    cleaned[simplified], status[simplified] = simple.polygons[simplified], SIMPLIFIED
    return cleaned, status


def _few_holes(polygons: np.ndarray) -> np.ndarray:
    """(n,) bool, where GEOS may be asked to overlay polygons."""
    return shapely.get_num_interior_rings(polygons) <= MAX_HOLES


def agreeing(
    cleaned: np.ndarray, raw: np.ndarray, difference: np.ndarray | float = np.inf
) -> np.ndarray:
    """Where clean outlines agree with the raw ones to MIN_AGREEMENT: (n,) bool.

    Parameters
    ----------
    cleaned, raw : (n,) array of Polygon
        Valid.
    difference : (n,) array or float
        The area that is in one of the two only, at most: where that is little already, GEOS need
        not intersect them. In square pixels.
    """
    before, after = shapely.area(raw), shapely.area(cleaned)
    # However they lie, they have the lesser area in common at the most.
    good = np.minimum(before, after) >= MIN_AGREEMENT * np.maximum(before, after)
    unsure = good & ~(before - difference >= MIN_AGREEMENT * (before + difference))
    good[unsure] = _few_holes(raw[unsure])
    unsure &= good
    good[unsure] = intersection_over_union(cleaned[unsure], raw[unsure]) >= MIN_AGREEMENT
    return good

"""Outlines of houses that touch, cleaned so that a wall in common stays one: the same vertices.

What is cleaned are chains, see `geofcn.polygons.chains`, so nothing overlaps and no gap opens as
long as chains do not cross; where they would, those of the houses concerned stay as they were.

Everything here is in pixels. What becomes of a group never depends on the others.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import shapely

from geofcn.core.ragged import Rings
from geofcn.polygons.chains import LEAST_RING, Chains, find_chains
from geofcn.polygons.convert import to_shapely
from geofcn.polygons.groups import ALONE, BOUNDLESS, HouseGroups
from geofcn.polygons.orthogonal_walls import square_chains
from geofcn.polygons.regularize import RAW, SIMPLIFIED, SQUARED, agreeing, regularize
from geofcn.polygons.simplify import MAX_HOLES, trapezoids

# Nearer to an edge a vertex might lie on its other side on the map, where digits are rounded.
MIN_CLEARANCE = 1e-3


def regularize_groups(
    groups: HouseGroups, method: str, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Clean outlines of houses, walls in common once, and what was done to each.

    Parameters
    ----------
    groups : HouseGroups
        Those of boundless groups stay as they are.
    method, tolerance
        See `geofcn.polygons.regularize.regularize`, by which houses without walls are cleaned.

    Returns
    -------
    cleaned : (n,) array of Polygon
        Valid; those of a group are a valid coverage. Where others would overlap, they and their
        groups are cleaned less: simplified where they would be squared, then with a third of the
        tolerance, else raw.
    status : (n,) array of str
        "squared", "simplified" or "raw".
    """
    raw = to_shapely(groups.houses.polygons)
    cleaned, status = _clean(groups, raw, method, tolerance)
    # The least first. Two outlines that stray by a third of 1.5 px do not meet across a pixel.
    simplified = [("simplify", tolerance / 3), ("simplify", tolerance)]
    ways = [("raw", 0.0), *simplified, ("square", tolerance)]
    strongest = {"raw": 0, "simplify": 2, "square": 3}[method]
    level = np.where(groups.group == BOUNDLESS, 0, strongest)
    # What is cleaned alike: a group, or a house of its own.
    unit = np.where(groups.group >= 0, groups.group + len(raw), np.arange(len(raw)))
    while True:
        overlapping = _overlapping(cleaned, unit, level > 0)
        if not overlapping.any():
            return cleaned, status
        weaker = np.flatnonzero(np.isin(unit, unit[overlapping]))
        level[weaker] -= 1
        for number in np.unique(level[weaker]):
            which = weaker[level[weaker] == number]
            cleaned[which], status[which] = _clean(groups.select(which), raw[which], *ways[number])


def _clean(
    groups: HouseGroups, raw: np.ndarray, method: str, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Houses cleaned, and how; each group for itself."""
    cleaned, status = raw.copy(), np.full(len(raw), RAW, dtype=object)
    alone, walled = np.flatnonzero(groups.group == ALONE), np.flatnonzero(groups.group >= 0)
    cleaned[alone], status[alone] = regularize(raw[alone], method, tolerance)
    if len(walled):
        own = groups.select(walled)
        chains = find_chains(own.houses, own.group)
        cleaned[walled], status[walled] = _regularize(chains, raw[walled], method, tolerance)
    return cleaned, status


def _overlapping(polygons: np.ndarray, unit: np.ndarray, is_cleaned: np.ndarray) -> np.ndarray:
    """(n,) bool, the cleaned polygons that overlap one of another unit; GEOS must overlay them."""
    few = np.flatnonzero(shapely.get_num_interior_rings(polygons) <= MAX_HOLES)
    asked = few[is_cleaned[few]]
    first, second = shapely.STRtree(polygons[few]).query(polygons[asked], "intersects")
    first, second = asked[first], few[second]
    apart = unit[first] != unit[second]
    first, second = first[apart], second[apart]
    common = shapely.area(shapely.intersection(polygons[first], polygons[second])) > 0
    found = np.zeros(len(polygons), bool)
    found[first[common]] = True
    return found


def _regularize(
    chains: Chains, raw: np.ndarray, method: str, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """Houses with walls cleaned, and how, from their chains and raw polygons."""
    status = np.full(len(raw), RAW, dtype=object)
    if method == "raw":
        return chains.polygons(), status
    simple = simplify_chains(chains, raw, tolerance)
    status[chains.house[chains.ring[~simple.whole[chains.chain]]]] = SIMPLIFIED
    if method == "simplify":
        return chains.select(simple.stays).polygons(), status
    cleaned, squared = _square(chains, simple, raw, tolerance)
    status[squared] = SQUARED
    return cleaned, status


class SimpleChains(NamedTuple):
    """What is left of chains that were simplified.

    Attributes
    ----------
    stays : (p,) array of bool
        Their vertices that stay.
    whole : (c,) array of bool
        Chains that had to stay as they were.
    """

    stays: np.ndarray
    whole: np.ndarray


def simplify_chains(chains: Chains, raw: np.ndarray, tolerance: float) -> SimpleChains:
    """Simplify each chain by Douglas-Peucker, from node to node.

    Where a house would be invalid, overlap another of its group or agree with its raw outline less
    than to MIN_AGREEMENT, its chains stay as they are.

    Parameters
    ----------
    chains : Chains
        Of whole groups, in integer pixel corners.
    raw : (h,) array of Polygon
        Their houses.
    tolerance : float
        In pixels.
    """
    needed = _choose(chains, tolerance)
    whole = chains.of_houses(shapely.get_num_interior_rings(raw) > MAX_HOLES)
    doubtful = np.ones(len(raw), bool)
    while True:
        stays = needed | whole[chains.of_point]
        bad, doubtful = _find_bad(chains.select(stays), raw, _removed(chains, stays), doubtful)
        more = chains.of_houses(bad) & ~whole
        if not more.any():
            return SimpleChains(stays, whole)
        whole |= more


def _choose(chains: Chains, tolerance: float) -> np.ndarray:
    """(p,) bool, the vertices that stay when each chain is simplified."""
    numbered = np.column_stack([chains.points, np.arange(len(chains.points))])
    lines = shapely.linestrings(numbered, indices=chains.of_point)
    lines = shapely.simplify(lines, tolerance, preserve_topology=False)
    stays = np.zeros(len(chains.points), bool)
    stays[shapely.get_coordinates(lines, include_z=True)[:, 2].astype(np.intp)] = True
    return stays


def _removed(chains: Chains, stays: np.ndarray) -> np.ndarray:
    """(h,) the area between each house and what is left of its vertices, (p,) bool, at most."""
    as_rings = Rings(chains.points, chains.first, np.arange(len(chains.first) - 1))
    return chains.sums_of_houses(trapezoids(as_rings, stays))


def _square(
    chains: Chains, simple: SimpleChains, raw: np.ndarray, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """The houses with right angles where they have them; and which ones, (h,) bool, have only such.

    Where a house would be bad, as in `simplify_chains`, its vertices are not moved.
    """
    squared = square_chains(chains, simple.stays, tolerance)
    count, removed = len(squared.movable), _removed(chains, simple.stays)
    is_moved = squared.movable & ~chains.vertices_of(simple.whole, count)
    doubtful = np.ones(len(raw), bool)
    while True:
        moved = squared.at(is_moved)
        difference = removed + squared.chains.sums_of_houses(squared.swept(is_moved))
        bad, doubtful = _find_bad(moved, raw, difference, doubtful)
        fixed = is_moved & chains.vertices_of(chains.of_houses(bad), count)
        if not fixed.any():
            break
        is_moved &= ~fixed
    left = np.zeros(len(chains.first) - 1, bool)
    left[moved.of_point[~is_moved[moved.vertex]]] = True
    has_left = np.zeros(len(raw), bool)
    has_left[chains.house[chains.ring[left[chains.chain]]]] = True
    return moved.polygons(), ~has_left


def _find_bad(
    chains: Chains, raw: np.ndarray, difference: np.ndarray, doubtful: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The houses that are not valid, overlap others of their group, or disagree.

    Or nearly so: by less than MIN_CLEARANCE.

    Parameters
    ----------
    chains : Chains
        Cleaned.
    raw : (h,) array of Polygon
        The houses as they were.
    difference : (h,) array
        The area that is in only one of the two, before and after, at most.
    doubtful : (h,) bool
        Where to look: whole groups.

    Returns
    -------
    bad : (h,) array of bool
        Which ones.
    doubtful : (h,) array of bool
        Where to look when these have changed. Where a house has no area, no other was looked at.
    """
    bad = np.zeros(len(raw), bool)
    bad[chains.house[chains.ring_sizes() < LEAST_RING]] = True
    if bad.any():
        return bad, doubtful
    polygons, group = chains.polygons(), chains.group
    bad = doubtful & ~shapely.is_valid(polygons)
    where = np.flatnonzero(doubtful & ~bad)
    bad[where] = shapely.minimum_clearance(polygons[where]) < MIN_CLEARANCE
    where = np.flatnonzero(doubtful)
    where = where[np.argsort(group[where], kind="stable")]
    for members in np.split(where, np.flatnonzero(np.diff(group[where])) + 1):
        if not bad[members].any():
            faults = shapely.coverage_invalid_edges(polygons[members], gap_width=MIN_CLEARANCE)
            bad[members] = ~shapely.is_empty(faults)
    sound = np.flatnonzero(doubtful & ~bad)
    bad[sound[~agreeing(polygons[sound], raw[sound], difference[sound])]] = True
    return bad, np.isin(chains.group, chains.group[bad])

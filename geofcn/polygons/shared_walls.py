"""Outlines of houses that touch, cleaned so that a wall in common stays one: the same vertices.

A NODE is a corner where three or more edges of a group's houses meet. Cut there, rings fall into
CHAINS; that of a wall in common is in the rings of both houses, once in each direction, and kept
once. What becomes of a chain becomes of both, so nothing overlaps and no gap opens, as long as
chains do not cross; where they do, those of the houses concerned stay as they are.

Everything here is in pixels. What becomes of a group never depends on the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import shapely

from geofcn.core.ragged import from_rings, intersection_over_union
from geofcn.polygons.convert import to_shapely
from geofcn.polygons.groups import ALONE, HouseGroups, edge_keys, house_of_corners, take
from geofcn.polygons.regularize import MIN_AGREEMENT, RAW, SIMPLIFIED, regularize
from geofcn.polygons.simplify import MAX_HOLES
from geofcn.tracing.permutations import offsets, spans
from geofcn.tracing.walls import WalledPolygons

# Edges of the least ring.
LEAST_RING = 3


@dataclass(frozen=True)
class Chains:
    """The outlines of groups of houses, walls in common kept once.

    Attributes
    ----------
    points : (p, 2) array
        Vertices, chain after chain, in pixels (column, row); the last one of a chain is the first
        one of another, or of the chain itself where its ring has no node.
    vertex : (p,) array of int
        The number of each vertex, the same for all chains of a group that meet there.
    first : (c + 1,) array of int
        The first vertex of each chain, and the number of all.
    chain : (u,) array of int
        The chains of each ring, ring after ring.
    is_reversed : (u,) array of bool
        Whether a ring runs along a chain against its direction.
    ring : (u,) array of int
        The ring.
    house : (r,) array of int
        The house of each ring; a house's first ring is its exterior.
    group : (h,) array of int
        The group of each house.
    """

    points: np.ndarray
    vertex: np.ndarray
    first: np.ndarray
    chain: np.ndarray
    is_reversed: np.ndarray
    ring: np.ndarray
    house: np.ndarray
    group: np.ndarray

    @property
    def of_point(self) -> np.ndarray:
        """(p,) the chain of each vertex."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))

    def of_houses(self, houses: np.ndarray) -> np.ndarray:
        """(c,) bool, the chains of houses that are given by (h,) bool."""
        found = np.zeros(len(self.first) - 1, bool)
        found[self.chain[houses[self.house[self.ring]]]] = True
        return found

    def select(self, stays: np.ndarray) -> Chains:
        """The same chains with the vertices given by (p,) bool; their ends must be among them."""
        return replace(
            self,
            points=self.points[stays],
            vertex=self.vertex[stays],
            first=offsets(stays)[self.first],
        )

    def ring_sizes(self) -> np.ndarray:
        """(r,) the number of edges of each ring."""
        size = np.diff(self.first)[self.chain] - 1
        return np.bincount(self.ring, size, len(self.house)).astype(np.int64)

    def polygons(self) -> np.ndarray:
        """(h,) the houses as shapely Polygons; each ring needs LEAST_RING edges."""
        size = np.diff(self.first)[self.chain] - 1
        step = np.where(self.is_reversed, -1, 1)
        begin = np.where(self.is_reversed, self.first[self.chain + 1] - 1, self.first[self.chain])
        along = spans(np.zeros_like(size), size)
        point = np.repeat(begin, size) + np.repeat(step, size) * along
        first = offsets(self.ring_sizes())
        closed = spans(first[:-1], np.diff(first) + 1)
        rings = offsets(np.diff(first) + 1)
        closed[rings[1:] - 1] = first[:-1]
        return from_rings(self.points[point[closed]], rings, self.house, len(self.group))


def find_chains(houses: WalledPolygons, group: np.ndarray) -> Chains:
    """The chains of groups of houses.

    Parameters
    ----------
    houses : WalledPolygons
        All houses of some groups.
    group : (h,) array of int
        Of each house.
    """
    edges = _Edges.of(houses, group)
    edges = edges.without(edges.is_straight())
    edges = edges.from_nodes()
    return edges.chains(group)


@dataclass(frozen=True)
class _Edges:
    """Edges of rings, in the rings' order.

    points    (e, 2) where they start
    vertex    (e,) the number of that vertex, counted in each group for itself
    is_node   (v,) bool
    partner   (e,) the same edge of the house on the other side; -1: there is none
    first     (r + 1,) where each ring begins
    house     (r,) the house of each ring
    """

    points: np.ndarray
    vertex: np.ndarray
    is_node: np.ndarray
    partner: np.ndarray
    first: np.ndarray
    house: np.ndarray

    @classmethod
    def of(cls, houses: WalledPolygons, group: np.ndarray) -> _Edges:
        polygons = houses.polygons
        corner = np.ones(len(polygons.coords), bool)
        corner[polygons.rings[1:] - 1] = False
        edge = np.flatnonzero(corner)
        owner = group[house_of_corners(polygons)]
        _, vertex = np.unique(
            np.column_stack([owner, polygons.coords]), axis=0, return_inverse=True
        )
        key = np.column_stack([owner[edge], edge_keys(polygons.coords, edge)])
        _, once, side = np.unique(key, axis=0, return_index=True, return_inverse=True)
        side = side.ravel()
        ends = vertex.ravel()[[edge[once], edge[once] + 1]]
        partner = np.full(len(edge), -1)
        order = np.argsort(side, kind="stable")
        twice = np.flatnonzero(np.diff(side[order]) == 0)
        partner[order[twice]], partner[order[twice + 1]] = order[twice + 1], order[twice]
        return cls(
            polygons.coords[edge],
            vertex.ravel()[edge],
            np.bincount(ends.ravel()) > 2,
            partner,
            polygons.rings - np.arange(len(polygons.rings)),
            np.repeat(np.arange(len(polygons)), np.diff(polygons.polygons)),
        )

    @property
    def size(self) -> np.ndarray:
        """(r,) how many edges each ring has."""
        return np.diff(self.first)

    @property
    def ring(self) -> np.ndarray:
        """(e,) the ring of each edge."""
        return np.repeat(np.arange(len(self.house)), self.size)

    @property
    def after(self) -> np.ndarray:
        """(e,) the edge after each in its ring."""
        after = np.arange(1, len(self.points) + 1)
        after[self.first[1:] - 1] = self.first[:-1]
        return after

    def is_straight(self) -> np.ndarray:
        """Whether an edge goes on straight from the one before it, and starts at no node."""
        after = self.after
        direction = np.sign(self.points[after] - self.points)
        straight = np.zeros(len(after), bool)
        straight[after] = (direction[after] == direction).all(axis=1)
        return straight & ~self.is_node[self.vertex]

    def without(self, joined: np.ndarray) -> _Edges:
        """Edges of which some, (e,) bool, are parts of those before them, on both sides."""
        if not joined.any():
            return self
        # On the other side run as many parts, which begin with the partner of the last one here.
        stays = ~joined
        number = np.cumsum(stays) - 1
        partner = self.partner[stays[self.after]]
        return replace(
            self,
            points=self.points[stays],
            vertex=self.vertex[stays],
            partner=np.where(partner < 0, -1, number[partner]),
            first=offsets(stays)[self.first],
        )

    def from_nodes(self) -> _Edges:
        """The same rings, each from its first node on; one without nodes as it is."""
        nodes = np.flatnonzero(self.is_node[self.vertex])
        ring, first = np.unique(self.ring[nodes], return_index=True)
        begin = self.first[:-1].copy()
        begin[ring] = nodes[first]
        moved = spans(begin, self.size)
        beyond = moved >= np.repeat(self.first[1:], self.size)
        moved[beyond] -= np.repeat(self.size, self.size)[beyond]
        place = np.empty(len(moved), np.int64)
        place[moved] = np.arange(len(moved))
        partner = self.partner[moved]
        return replace(
            self,
            points=self.points[moved],
            vertex=self.vertex[moved],
            partner=np.where(partner < 0, -1, place[partner]),
        )

    def chains(self, group: np.ndarray) -> Chains:
        """Rings that begin at nodes, cut at all nodes."""
        ring, after = self.ring, self.after
        begins = self.is_node[self.vertex]
        begins[self.first[:-1]] = True
        begin = np.flatnonzero(begins)
        part = np.cumsum(begins) - 1
        size = np.diff(np.append(begin, len(begins)))
        house = self.house[ring]
        # Of a wall in common that of the first house is kept.
        twin = self.partner[begin]
        is_copy = (twin >= 0) & (house[twin] < house[begin])
        own = np.flatnonzero(~is_copy)
        number = np.cumsum(~is_copy) - 1
        chain = number[np.where(is_copy, part[twin], np.arange(len(begin)))]
        edge = spans(begin[own], size[own] + 1)
        first = offsets(size[own] + 1)
        edge[first[1:] - 1] = after[edge[first[1:] - 2]]
        return Chains(
            self.points[edge].astype(np.float64),
            self.vertex[edge],
            first,
            chain,
            is_copy,
            ring[begin],
            self.house,
            group,
        )


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
        Valid; those of a group are a valid coverage.
    status : (n,) array of str
        "squared", "simplified" or "raw".
    """
    cleaned = to_shapely(groups.houses.polygons)
    status = np.full(len(cleaned), RAW, dtype=object)
    alone, walled = np.flatnonzero(groups.group == ALONE), np.flatnonzero(groups.group >= 0)
    cleaned[alone], status[alone] = regularize(cleaned[alone], method, tolerance)
    if len(walled):
        chains = find_chains(take(groups.houses, walled), groups.group[walled])
        cleaned[walled], status[walled] = _regularize(chains, cleaned[walled], method, tolerance)
    return cleaned, status


def _regularize(
    chains: Chains, raw: np.ndarray, method: str, tolerance: float
) -> tuple[np.ndarray, np.ndarray]:
    """The same for houses with walls, whose polygons are `raw`."""
    if method == "raw":
        return chains.polygons(), np.full(len(raw), RAW, dtype=object)
    simple, status = simplify_chains(chains, raw, tolerance)
    return simple.polygons(), status


def simplify_chains(chains: Chains, raw: np.ndarray, tolerance: float) -> tuple[Chains, np.ndarray]:
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

    Returns
    -------
    simple : Chains
        The same with fewer vertices; their polygons are valid, those of a group a valid coverage.
    status : (h,) array of str
        "simplified", or "raw" where all chains stay as they are.
    """
    needed = _choose(chains, tolerance)
    whole = chains.of_houses(shapely.get_num_interior_rings(raw) > MAX_HOLES)
    doubtful = np.ones(len(raw), bool)
    of_point = chains.of_point
    while True:
        stays = needed | whole[of_point]
        simple = chains.select(stays)
        bad = np.zeros(len(raw), bool)
        bad[simple.house[simple.ring_sizes() < LEAST_RING]] = True
        if not bad.any():
            bad = find_bad(simple.polygons(), raw, chains.group, doubtful)
        more = chains.of_houses(bad) & ~whole
        if not more.any():
            break
        whole |= more
        doubtful = np.isin(chains.group, chains.group[bad])
    status = np.full(len(raw), RAW, object)
    status[chains.house[chains.ring[~whole[chains.chain]]]] = SIMPLIFIED
    return simple, status


def _choose(chains: Chains, tolerance: float) -> np.ndarray:
    """(p,) bool, the vertices that stay when each chain is simplified."""
    numbered = np.column_stack([chains.points, np.arange(len(chains.points))])
    lines = shapely.linestrings(numbered, indices=chains.of_point)
    lines = shapely.simplify(lines, tolerance, preserve_topology=False)
    stays = np.zeros(len(chains.points), bool)
    stays[shapely.get_coordinates(lines, include_z=True)[:, 2].astype(np.intp)] = True
    return stays


def find_bad(
    polygons: np.ndarray, raw: np.ndarray, group: np.ndarray, doubtful: np.ndarray
) -> np.ndarray:
    """(h,) bool, the houses that are not valid, overlap others of their group, or disagree.

    Parameters
    ----------
    polygons, raw : (h,) array of Polygon
        Cleaned, and as they were.
    group : (h,) array of int
    doubtful : (h,) bool
        Where to look: whole groups.
    """
    bad = doubtful & ~shapely.is_valid(polygons)
    where = np.flatnonzero(doubtful)
    where = where[np.argsort(group[where], kind="stable")]
    for members in np.split(where, np.flatnonzero(np.diff(group[where])) + 1):
        if not bad[members].any():
            bad[members] = ~shapely.is_empty(shapely.coverage_invalid_edges(polygons[members]))
    sound = np.flatnonzero(doubtful & ~bad)
    agreement = intersection_over_union(polygons[sound], raw[sound])
    bad[sound[agreement < MIN_AGREEMENT]] = True
    return bad

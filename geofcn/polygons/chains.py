"""The outlines of houses that share walls, as chains of which each is kept once.

A NODE is a corner where three or more edges of a group's houses meet. Cut there, rings fall into
CHAINS; that of a wall in common is in the rings of both houses, once in each direction. What
becomes of a chain becomes of both, so no gap opens between them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from geofcn.core.ragged import from_rings
from geofcn.polygons.groups import edge_keys, house_of_corners
from geofcn.tracing.permutations import offsets, spans
from geofcn.tracing.segments import CORNER, ROW_SHIFT
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

    def vertices_of(self, chosen: np.ndarray, count: int) -> np.ndarray:
        """(count,) bool, the vertices of chains that are given by (c,) bool."""
        found = np.zeros(count, bool)
        found[self.vertex[chosen[self.of_point]]] = True
        return found

    def sums_of_houses(self, values: np.ndarray) -> np.ndarray:
        """(h,) sums over the outline of each house of values, (p,), of vertices or edges."""
        of_chain = np.bincount(self.of_point, values, len(self.first) - 1)
        house = self.house[self.ring]
        return np.bincount(house, of_chain[self.chain], len(self.group))

    def groups(self) -> np.ndarray:
        """(c,) the group of each chain."""
        group = np.empty(len(self.first) - 1, np.int64)
        group[self.chain] = self.group[self.house[self.ring]]
        return group

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


def _corner_keys(coords: np.ndarray) -> np.ndarray:
    """(n,) an integer for each corner, (n, 2), the same for those in one place."""
    column, row = coords.T.astype(CORNER)
    return (row << ROW_SHIFT) | column


def _sorted_pairs(major: np.ndarray, minor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The stable order of pairs, (n,), and whether each in that order is the first of its kind."""
    order = np.lexsort((minor, major))
    is_first = np.ones(len(order), bool)
    is_first[1:] = (np.diff(major[order]) != 0) | (np.diff(minor[order]) != 0)
    return order, is_first


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
        order, is_first = _sorted_pairs(owner, _corner_keys(polygons.coords))
        vertex = np.empty(len(order), np.int64)
        vertex[order] = np.cumsum(is_first) - 1
        order, is_first = _sorted_pairs(owner[edge], edge_keys(polygons.coords, edge))
        once, twice = order[is_first], np.flatnonzero(~is_first)
        ends = vertex[[edge[once], edge[once] + 1]]
        partner = np.full(len(edge), -1)
        partner[order[twice - 1]], partner[order[twice]] = order[twice], order[twice - 1]
        return cls(
            polygons.coords[edge],
            vertex[edge],
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

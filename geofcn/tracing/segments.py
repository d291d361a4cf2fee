"""What a sweep holds of outlines that are not finished, or not taken out yet."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from geofcn.tracing.permutations import find_roots

# A corner is the integer row << 32 | column, so corners compare by row, then column. In memory it
# is the pair (column, row) of int32. ~corner (negative) is one of a saddle that may need a split.
CORNER = np.dtype("<i8")
COORDINATE = np.dtype("<i4")
ROW_SHIFT = 32


@dataclass(frozen=True)
class Frontier:
    """What is open at the lower border of the rows swept so far.

    crossing   (2c,) columns of the vertical edges over the border; even ones run south, odd north
    chain      (2c,) the chain that crosses there, with its head (even) or its tail (odd)
    first      (c,) the first segment of each chain, a number in the store
    last       (c,) its last segment
    owner      (c,) its component, an index into the arrays that follow
    component  (k,) the components' numbers in the store
    totals     (k, 4) int64, see `sum_by_component`
    """

    crossing: np.ndarray
    chain: np.ndarray
    first: np.ndarray
    last: np.ndarray
    owner: np.ndarray
    component: np.ndarray
    totals: np.ndarray

    @classmethod
    def nothing(cls) -> Frontier:
        """What is open above the first row."""
        none = np.zeros(0, np.int64)
        return cls(none, none, none, none, none, none, np.zeros((0, 4), np.int64))


@dataclass(frozen=True)
class Segments:
    """Stretches of outlines.

    corners    all corners: of each edge the tail, then the head; segment after segment
    size       (s,) number of corners of each segment
    successor  (s,) the segment that follows on its outline (itself, as long as none does)
    component  (s,) the component it belongs to
    """

    corners: np.ndarray
    size: np.ndarray
    successor: np.ndarray
    component: np.ndarray

    def select(self, chosen: np.ndarray) -> Segments:
        """The segments marked in `chosen`, renumbered; their successors must be chosen too."""
        number = np.cumsum(chosen) - 1
        return Segments(
            self.corners[np.repeat(chosen, self.size)],
            self.size[chosen],
            number[self.successor[chosen]],
            self.component[chosen],
        )


class SegmentStore:
    """The segments of all components that are not finished or not taken out yet.

    A log: a strip appends what it adds, and only `take_finished` goes through all there is.

    segments    number of segments
    components  number of components
    held        number of corners
    ripe        number of corners of finished components
    """

    def __init__(self):
        none = np.zeros(0, np.int64)
        self._begin(Segments(np.zeros(0, CORNER), none, none, none), 0)

    def _begin(self, segments: Segments, components: int) -> None:
        self.segments, self.components = len(segments.size), components
        self.held, self.ripe = len(segments.corners), 0
        self._corners, self._sizes = [segments.corners], [segments.size]
        self._owners = [segments.component]
        self._links = [(np.arange(self.segments), segments.successor)]
        self._unions: list[tuple[np.ndarray, np.ndarray]] = []
        self._finished = [np.zeros(0, np.int64)]
        self._totals = [np.zeros((0, 4), np.int64)]

    def add_components(self, known: np.ndarray, label: np.ndarray) -> np.ndarray:
        """The number of the component of each label; components of one label are united.

        known  (k,) numbers of the components that the first k labels stand for
        """
        roots = np.flatnonzero(label == np.arange(len(label)))
        fresh = roots[roots >= len(known)]
        number = np.empty(len(label), np.int64)
        number[: len(known)] = known
        number[fresh] = np.arange(self.components, self.components + len(fresh))
        self.components += len(fresh)
        number = number[label]
        united = np.flatnonzero(number[: len(known)] != known)
        if len(united):
            self._unions.append((known[united], number[united]))
        return number

    def finish_components(self, component: np.ndarray, totals: np.ndarray) -> None:
        """Note that components are finished, with these totals, (f, 4)."""
        if len(component):
            self._finished.append(component)
            self._totals.append(totals)
            self.ripe += int(totals[:, 0].sum())

    def add_segments(
        self,
        corners: np.ndarray,
        size: np.ndarray,
        component: np.ndarray,
        links: tuple[np.ndarray, np.ndarray],
    ) -> None:
        """Append segments, and links between any that are held: (segments, their successors)."""
        if len(size):
            self.segments += len(size)
            self.held += len(corners)
            self._corners.append(corners)
            self._sizes.append(size)
            self._owners.append(component)
            self._links.append(links)

    def take_finished(self, frontier: Frontier) -> tuple[Segments, np.ndarray, Frontier]:
        """Take out the finished components: their segments, their totals (p, 4).

        The components of those segments are numbered 0 to p - 1. What stays gets new numbers too,
        so the frontier is returned with these.
        """
        successor = np.arange(self.segments)
        for segment, after in self._links:
            successor[segment] = after
        root = np.arange(self.components)
        for component, united in self._unions:
            root[component] = united
        root = find_roots(root)
        finished, kept = np.concatenate(self._finished), frontier.component
        number = np.empty(self.components, np.int64)
        number[finished] = np.arange(len(finished))
        number[kept] = np.arange(len(kept))
        is_finished = np.zeros(self.components, bool)
        is_finished[finished] = True
        owner = root[np.concatenate(self._owners)]
        segments = Segments(
            np.concatenate(self._corners), np.concatenate(self._sizes), successor, number[owner]
        )
        taken, totals = is_finished[owner], np.concatenate(self._totals)
        self._begin(segments.select(~taken), len(kept))
        renumbered = np.cumsum(~taken) - 1
        frontier = replace(
            frontier,
            first=renumbered[frontier.first],
            last=renumbered[frontier.last],
            component=np.arange(len(kept)),
        )
        return segments.select(taken), totals, frontier

"""Outlines that a sweep has not finished, or not handed out yet: stored segments and frontier."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from geofcn.tracing.permutations import find_roots

# A corner is the integer row << 32 | column, so corners compare by row, then column. In memory it
# is the pair (column, row) of int32.
CORNER = np.dtype("<i8")
COORDINATE = np.dtype("<i4")
ROW_SHIFT = 32


def mark_saddle(corners: np.ndarray) -> np.ndarray:
    """Mark corners as those of saddles that may need a split: the complement, which is negative."""
    return ~corners


def is_saddle(corners: np.ndarray) -> np.ndarray:
    """Whether corners are marked."""
    return corners < 0


def unmark_saddle(corners: np.ndarray) -> np.ndarray:
    """The corners that were marked."""
    return ~corners


@dataclass(frozen=True)
class Frontier:
    """What is open at the lower border of the rows swept so far.

    Attributes
    ----------
    crossing : (2c,) array of int
        Columns of the vertical edges over the border; even ones run south, odd ones north.
    chain : (2c,) array of int
        The chain that crosses there, with its head (even) or its tail (odd).
    first, last : (c,) array of int
        The first and last segment of each chain, numbers in the store.
    owner : (c,) array of int
        Its component, an index into the arrays that follow.
    component : (k,) array of int
        The components' numbers in the store.
    totals : (k, 4) array of int64
        See `geofcn.tracing.strip.sum_by_component`.
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
    """Stretches of outlines, as a ragged array of their corners.

    Attributes
    ----------
    corners : (n,) array of CORNER
        Of each edge the tail, then the head; segment after segment.
    size : (s,) array of int
        Number of corners of each segment.
    successor : (s,) array of int
        The segment that follows on its outline; itself, as long as none does.
    component : (s,) array of int
        The component it belongs to.
    """

    corners: np.ndarray
    size: np.ndarray
    successor: np.ndarray
    component: np.ndarray

    def select(self, chosen: np.ndarray) -> Segments:
        """The segments chosen by (s,) bool, renumbered; their successors must be chosen too."""
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

    Attributes
    ----------
    segments, components : int
        How many there are; they are numbered from 0.
    held : int
        Number of corners.
    ripe : int
        Number of corners of finished components.
    """

    def __init__(self) -> None:
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
        """Take in a strip's components; those of one label are united.

        Parameters
        ----------
        known : (k,) array of int
            Numbers of the components that the first k labels stand for.
        label : (l,) array of int
            Labels that are equal within a component: the index of its first one.

        Returns
        -------
        (l,) array of int
            The number of each one's component in the store.
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
        """Note that components, (f,) numbers, are finished, with these totals, (f, 4)."""
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
        """Append segments, and links between any that are held.

        Parameters
        ----------
        corners, size, component : array
            As in `Segments`.
        links : pair of (m,) arrays of int
            Segments, and the successor of each.
        """
        if len(size):
            self.segments += len(size)
            self.held += len(corners)
            self._corners.append(corners)
            self._sizes.append(size)
            self._owners.append(component)
            self._links.append(links)

    def take_finished(self, frontier: Frontier) -> tuple[Segments, np.ndarray, Frontier]:
        """Take out the finished components.

        Returns
        -------
        segments : Segments
            Theirs; the components are numbered 0 to p - 1.
        totals : (p, 4) array of int64
            Theirs.
        frontier : Frontier
            `frontier` with the new numbers of what stays.
        """
        successor = np.arange(self.segments)
        for segment, after in self._links:
            successor[segment] = after
        root = np.arange(self.components)
        for component, united in self._unions:
            root[component] = united
        root = find_roots(root)
        finished, unfinished = np.concatenate(self._finished), frontier.component
        number = np.empty(self.components, np.int64)
        number[finished] = np.arange(len(finished))
        number[unfinished] = np.arange(len(unfinished))
        is_finished = np.zeros(self.components, bool)
        is_finished[finished] = True
        owner = root[np.concatenate(self._owners)]
        segments = Segments(
            np.concatenate(self._corners), np.concatenate(self._sizes), successor, number[owner]
        )
        taken, totals = is_finished[owner], np.concatenate(self._totals)
        self._begin(segments.select(~taken), len(unfinished))
        renumbered = np.cumsum(~taken) - 1
        frontier = replace(
            frontier,
            first=renumbered[frontier.first],
            last=renumbered[frontier.last],
            component=np.arange(len(unfinished)),
        )
        return segments.select(taken), totals, frontier

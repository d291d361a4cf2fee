"""Whole arrays of integers at once: cycles of permutations, union-find, ragged arrays, sorting."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def stable_argsort(keys: np.ndarray) -> np.ndarray:
    """The stable order of integers from 0 to 2**32 - 1.

    By 16-bit digits (least significant first): numpy sorts those in linear time.

    Examples
    --------
    >>> stable_argsort(np.array([70_000, 5, 70_000, 4]))
    array([3, 1, 0, 2])
    """
    order = np.argsort(keys.astype(np.uint16), kind="stable")
    if len(keys) and keys.max() >> 16:
        order = order[np.argsort((keys >> 16).astype(np.uint16)[order], kind="stable")]
    return order


def interleave(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a[0], b[0], a[1], b[1] ..."""
    return np.column_stack([a, b]).ravel()


def offsets(sizes: np.ndarray) -> np.ndarray:
    """0 and the running sum of `sizes`: where each part of a ragged array begins, and its end.

    Examples
    --------
    >>> offsets(np.array([2, 0, 3]))
    array([0, 2, 2, 5])
    """
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def spans(begin: np.ndarray, size: np.ndarray) -> np.ndarray:
    """begin[0], begin[0] + 1, ... size[0] of them, then begin[1], begin[1] + 1 ...

    Examples
    --------
    >>> spans(np.array([10, 50, 20]), np.array([2, 0, 3]))
    array([10, 11, 20, 21, 22])
    """
    end = np.cumsum(size)
    return np.repeat(begin - (end - size), size) + np.arange(end[-1] if len(end) else 0)


@dataclass(frozen=True)
class Cycles:
    """The cycles of a permutation, in the order of their least items.

    Attributes
    ----------
    order : (n,) array of int
        The items, cycle by cycle, each from its least item on.
    start : (c,) array of int
        Where each cycle begins in `order`.
    of : (n,) array of int
        The cycle of each item.

    Examples
    --------
    0 -> 2 -> 4 -> 0 and 1 -> 3 -> 1:

    >>> cycles = Cycles.find(np.array([2, 3, 4, 1, 0]))
    >>> cycles.order, cycles.start, cycles.of
    (array([0, 2, 4, 1, 3]), array([0, 3]), array([0, 1, 0, 1, 0]))
    """

    order: np.ndarray
    start: np.ndarray
    of: np.ndarray

    @classmethod
    def find(cls, successor: np.ndarray) -> Cycles:
        """The cycles of the permutation `successor`, (n,), by pointer jumping (Wyllie, 1979)."""
        number = len(successor)
        leader, way = _to_leaders(successor, np.ones(number, np.int64))
        leads = leader == np.arange(number)
        of = (np.cumsum(leads) - 1)[leader]
        size = np.bincount(of)
        start = np.cumsum(size) - size
        order = np.empty(number, np.int64)
        # An item that is `way` steps before its leader is that many before the cycle's end.
        order[np.where(leads, start[of], (start + size)[of] - way)] = np.arange(number)
        return cls(order, start, of)


def _to_leaders(successor: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least item of each item's cycle, and the way to it; `step` is the way to the successor.

    By contraction: pointer jumping leads each item to the next VALLEY, an item less than both its
    neighbours. The valleys, at most every other item, form cycles of their own, to which the same
    is done; a cycle with one valley is finished.
    """
    items = np.arange(len(successor))
    valley = successor >= items
    valley[successor[successor > items]] = False
    target = np.where(valley, items, successor)
    way = np.where(valley, 0, step)
    moving = np.flatnonzero(~valley[target])
    while len(moving):
        via = target[moving]
        way[moving] += way[via]
        target[moving] = target[via]
        moving = moving[~valley[target[moving]]]
    valleys = np.flatnonzero(valley)
    onward = successor[valleys]
    is_shared = target[onward] != valleys  # its cycle has other valleys
    if not is_shared.any():
        return target, way
    shared, onward = valleys[is_shared], onward[is_shared]
    number = np.empty(len(successor), np.int64)
    number[shared] = np.arange(len(shared))
    leader, rest = _to_leaders(number[target[onward]], step[shared] + way[onward])
    leader_of, way_from = items, np.zeros(len(successor), np.int64)
    leader_of[shared], way_from[shared] = shared[leader], rest
    return leader_of[target], way + way_from[target]


def followers(start: np.ndarray, number: int) -> np.ndarray:
    """The successor of each of `number` items, laid out in cycles that begin at `start`.

    Examples
    --------
    >>> followers(np.array([0, 3]), 5)
    array([1, 2, 0, 4, 3])
    """
    follower = np.arange(1, number + 1)
    follower[np.append(start, number)[1:] - 1] = start
    return follower


def exchange(pair: np.ndarray, number: int) -> np.ndarray:
    """The permutation of `number` items that exchanges pair[0, i] and pair[1, i], all disjoint.

    Examples
    --------
    >>> exchange(np.array([[0, 4], [2, 1]]), 5)
    array([2, 4, 0, 3, 1])
    """
    permutation = np.arange(number)
    permutation[pair] = pair[::-1]
    return permutation


def unite(parent: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The roots of a forest once each a[i] and b[i] are joined; the lesser root stays.

    Union-find on whole arrays: greater roots are hooked to lesser ones, then all paths shortened,
    until nothing is left to join (after Shiloach and Vishkin, 1982).

    Parameters
    ----------
    parent : (n,) array of int
        The parent of each node, itself for a root; not greater than the node.
    a, b : (m,) array of int
        Nodes to be joined.

    Returns
    -------
    (n,) array of int
        The root of each node.

    Examples
    --------
    >>> unite(np.arange(6), np.array([5, 4]), np.array([4, 1]))
    array([0, 1, 2, 3, 1, 1])
    """
    root = find_roots(parent)
    while True:
        apart = root[a] != root[b]
        if not apart.any():
            return root
        a, b = root[a[apart]], root[b[apart]]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        root = find_roots(root)


def find_roots(parent: np.ndarray) -> np.ndarray:
    """The root of each node of a forest, by pointer jumping; a root is its own parent.

    Examples
    --------
    >>> find_roots(np.array([0, 0, 1, 2, 4]))
    array([0, 0, 0, 0, 4])
    """
    while True:
        grandparent = parent[parent]
        if np.array_equal(grandparent, parent):
            return parent
        parent = grandparent

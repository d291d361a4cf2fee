"""Tools on whole arrays of integers: ragged arrays, cycles of permutations, forests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


def stable_argsort(keys: np.ndarray) -> np.ndarray:
    """The order of non-negative integers, by 16-bit digits: numpy sorts those in linear time."""
    order = np.argsort(keys.astype(np.uint16), kind="stable")
    if len(keys) and keys.max() >> 16:
        order = order[np.argsort((keys >> 16).astype(np.uint16)[order], kind="stable")]
    return order


def interleave(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a[0], b[0], a[1], b[1] ..."""
    return np.column_stack([a, b]).ravel()


def offsets(sizes: np.ndarray) -> np.ndarray:
    """0 and the running sum of `sizes`."""
    return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])


def spans(begin: np.ndarray, size: np.ndarray) -> np.ndarray:
    """begin[0], begin[0] + 1, ... size[0] of them, then begin[1], begin[1] + 1 ..."""
    end = np.cumsum(size)
    return np.repeat(begin - (end - size), size) + np.arange(end[-1] if len(end) else 0)


@dataclass(frozen=True)
class Cycles:
    """The cycles of a permutation, in the order of their least items.

    order  (n,) the items, cycle by cycle, each from its least item on
    start  (c,) where each cycle begins in `order`
    of     (n,) the cycle of each item
    """

    order: np.ndarray
    start: np.ndarray
    of: np.ndarray

    @classmethod
    def find(cls, successor: np.ndarray) -> Cycles:
        """The cycles of the permutation `successor`."""
        number = len(successor)
        leader, way = _to_leaders(successor, np.ones(number, np.int64))
        leads = leader == np.arange(number)
        of = (np.cumsum(leads) - 1)[leader]
        size = np.bincount(of)
        start = np.cumsum(size) - size
        order = np.empty(number, np.int64)
        order[np.where(leads, start[of], (start + size)[of] - way)] = np.arange(number)
        return cls(order, start, of)


def _to_leaders(successor: np.ndarray, step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The least item of each item's cycle, and the way to it; `step` is the way to the successor.

    By contraction: pointer jumping leads each item to the next VALLEY, an item less than both its
    neighbours. The valleys, at most every other item, form cycles of their own.
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
    shared = target[onward] != valleys
    if not shared.any():
        return target, way
    some, onward = valleys[shared], onward[shared]
    number = np.empty(len(successor), np.int64)
    number[some] = np.arange(len(some))
    leader, rest = _to_leaders(number[target[onward]], step[some] + way[onward])
    final, more = items, np.zeros(len(successor), np.int64)
    final[some], more[some] = some[leader], rest
    return final[target], way + more[target]


def followers(start: np.ndarray, number: int) -> np.ndarray:
    """The successor of each of `number` items, laid out in cycles that begin at `start`."""
    follower = np.arange(1, number + 1)
    follower[np.append(start, number)[1:] - 1] = start
    return follower


def exchange(pair: np.ndarray, number: int) -> np.ndarray:
    """The permutation of `number` items that exchanges pair[0, i] and pair[1, i]."""
    permutation = np.arange(number)
    permutation[pair] = pair[::-1]
    return permutation


def unite(parent: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The roots of a forest once each a[i] and b[i] are joined; the lesser root stays."""
    root = find_roots(parent)
    while True:
        apart = root[a] != root[b]
        if not apart.any():
            return root
        a, b = root[a[apart]], root[b[apart]]
        np.minimum.at(root, np.maximum(a, b), np.minimum(a, b))
        root = find_roots(root)


def find_roots(parent: np.ndarray) -> np.ndarray:
    """The root of each node, by pointer jumping."""
    while True:
        grandparent = parent[parent]
        if np.array_equal(grandparent, parent):
            return parent
        parent = grandparent

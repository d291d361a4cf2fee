"""Sums over polygons from their edges alone, by tables of sums down the columns of a strip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from geofcn.tracing.permutations import offsets, spans

FIXED_POINT = 1 << 30
"""Floats are summed as integers, multiples of 1 / FIXED_POINT: the same sum in any order."""

SumType: TypeAlias = type[np.int64] | type[np.float64]


def sum_type(dtype: np.dtype) -> SumType:
    """The type of sums of values of `dtype`: int64 of integers and bools, float64 of floats.

    Raises
    ------
    ValueError
        For any other kind.
    """
    if dtype.kind in "biu":
        return np.int64
    if dtype.kind == "f":
        return np.float64
    raise ValueError(f"values of {dtype}, not of integers or floats")


def sum_tables(values: np.ndarray, valid: np.ndarray | None, rows: slice) -> list[np.ndarray]:
    """Column sums over some rows: of the valid values and, unless all are, of `valid`.

    Parameters
    ----------
    values : (height, width) array
        Integers, or floats between 0 and 1.
    valid : (height, width) array of bool, optional
        Which values count; default: all.
    rows : slice
        The rows, some at least.

    Returns
    -------
    list of (rows + 1, width) arrays of integers
        One or two tables, see `column_sums`; those of floats in multiples of 1 / FIXED_POINT.

    Raises
    ------
    ValueError
        For valid floats that are not between 0 and 1.
    """
    layers = [values[rows]]
    if valid is not None and not valid[rows].all():
        layers = [np.where(valid[rows], values[rows], 0), valid[rows]]
    if values.dtype.kind == "f":
        if not (layers[0].min() >= 0 and layers[0].max() <= 1):
            raise ValueError("values of floats must lie between 0 and 1")
        layers[0] = np.rint(layers[0] * FIXED_POINT).astype(np.int64)
    return [column_sums(layer) for layer in layers]


def column_sums(layer: np.ndarray) -> np.ndarray:
    """Running sums down the columns: T (rows + 1, columns), T[y, x] the sum of layer[:y, x].

    In int64; of bool and uint8 in the narrowest type that holds them, less memory to go through.

    Examples
    --------
    >>> column_sums(np.array([[1, 2], [3, 4]], np.uint8))
    array([[0, 0],
           [1, 2],
           [4, 6]], dtype=uint16)
    """
    height, width = layer.shape
    dtype = np.dtype(np.int64)
    if layer.dtype in (np.bool_, np.uint8):
        dtype = np.min_scalar_type(height * 255)
    table = np.empty((height + 1, width), dtype)
    table[0] = 0
    table[1:] = layer
    for row in range(2, height + 1):  # row by row, as they lie in memory, unlike np.cumsum(axis=0)
        table[row] += table[row - 1]
    return table


def sums_along(
    tables: Sequence[np.ndarray], line: np.ndarray, tail: np.ndarray, head: np.ndarray
) -> list[np.ndarray]:
    """Sums of tables along horizontal edges, positive to the east and negative to the west.

    Parameters
    ----------
    tables : sequence of (lines, columns) arrays of integers
    line : (n,) array of int
        The row of the tables that each edge lies on.
    tail, head : (n,) array of int
        The columns where each edge begins and ends: it passes over min(tail, head), ... up to, but
        without, max(tail, head).

    Returns
    -------
    list of (n,) arrays of int64
        One for each table.

    Examples
    --------
    >>> table = np.array([[0, 0, 0], [1, 10, 100]])
    >>> sums_along([table], np.array([1, 1]), tail=np.array([0, 3]), head=np.array([2, 1]))
    [array([  11, -110])]
    """
    if not tables:
        return []
    length = np.abs(head - tail)
    along = spans(line * tables[0].shape[1] + np.minimum(head, tail), length)
    sums = [np.diff(offsets(table.ravel()[along])[offsets(length)]) for table in tables]
    return [np.where(head < tail, -total, total) for total in sums]

"""Sums over polygons from their edges alone, by tables of sums down the columns of a strip."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from geofcn.tracing.permutations import offsets, spans

FIXED_POINT = 1 << 30
"""Floats are summed as integers, multiples of 1 / FIXED_POINT: the same sum in any order."""


def sum_type(dtype: np.dtype) -> type:
    """The type of sums of values of `dtype`."""
    if dtype.kind in "biu":
        return np.int64
    if dtype.kind == "f":
        return np.float64
    raise ValueError(f"values of {dtype}, not of integers or floats")


def sum_tables(values: np.ndarray, valid: np.ndarray | None, rows: slice) -> list[np.ndarray]:
    """Column sums over some rows: of the valid values and, unless all are, of `valid`."""
    layers = [values[rows]]
    if valid is not None and not valid[rows].all():
        layers = [np.where(valid[rows], values[rows], 0), valid[rows]]
    if values.dtype.kind == "f":
        if not (layers[0].min() >= 0 and layers[0].max() <= 1):
            raise ValueError("values of floats must lie between 0 and 1")
        layers[0] = np.rint(layers[0] * FIXED_POINT).astype(np.int64)
    return [column_sums(layer) for layer in layers]


def column_sums(layer: np.ndarray) -> np.ndarray:
    """T (rows + 1, columns) of integers, T[y, x] being the sum of layer[:y, x]."""
    height, width = layer.shape
    dtype = np.int64
    if layer.dtype in (np.bool_, np.uint8):  # narrow sums are several times as fast
        dtype = np.min_scalar_type(height * 255)
    table = np.empty((height + 1, width), dtype)
    table[0] = 0
    table[1:] = layer
    for row in range(2, height + 1):  # several times as fast as cumsum over axis 0
        table[row] += table[row - 1]
    return table


def sums_along(
    tables: Sequence[np.ndarray], line: np.ndarray, tail: np.ndarray, head: np.ndarray
) -> list[np.ndarray]:
    """(n,) int64 for each table: the sum of its entries along each edge, negative to the west."""
    if not tables:
        return []
    length = np.abs(head - tail)
    along = spans(line * tables[0].shape[1] + np.minimum(head, tail), length)
    sums = [np.diff(offsets(table.ravel()[along])[offsets(length)]) for table in tables]
    return [np.where(head < tail, -total, total) for total in sums]

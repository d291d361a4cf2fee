"""Bounds of coordinates as an area: a rectangle of any CRS on the grid of a scene."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyproj
import shapely
from pyproj.exceptions import CRSError

from geofcn.core.grid import Grid
from geofcn.core.pixels import HOUSE
from geofcn.core.windows import Window
from geofcn.errors import LabelsError, UsageError
from geofcn.io.scene import Scene
from geofcn.io.vector_labels import burned, in_pixels
from geofcn.io.vector_reader import Mover

# Parts of each side, whose ends are brought into the scene's CRS: a parallel is an arc in most.
PARTS = 64


@dataclass(frozen=True)
class Rectangle:
    """Bounds on a scene's grid; what `geofcn.io.vector_labels.VectorLabels` is of a file.

    Attributes
    ----------
    path : str
        What they are called in messages.
    grid : Grid
        Of the scene.
    polygons : (1,) array
        The rectangle, in pixels (column, row).
    """

    path: str
    grid: Grid
    polygons: np.ndarray = field(repr=False)

    @classmethod
    def of(cls, bounds: Sequence[float], crs: str | None, scene: Scene) -> Rectangle:
        """The pixels of a scene within some bounds.

        Parameters
        ----------
        bounds : (west, south, east, north)
            Least and largest coordinates; in degrees, west may be more than east, across the line
            where longitudes wrap.
        crs : str, optional
            What they are in, as an authority's code or anything else that PROJ knows; default: the
            scene's.
        scene : Scene
            What they belong to.

        Raises
        ------
        UsageError
            For what are no bounds, or no CRS.
        LabelsError
            Where they cannot be brought into the scene's CRS.
        """
        name = f"bounds {' '.join(f'{value:.10g}' for value in bounds)}"
        own = _crs_of(crs, scene)
        west, south, east, north = _checked(name, bounds, own)
        sides = np.array([shapely.box(west, south, east, north)])
        sides = shapely.segmentize(sides, max(east - west, north - south) / PARTS)
        centre, _ = scene.transform * (scene.width / 2, scene.height / 2)
        moved, _ = Mover(name, own, scene.crs, centre)(sides)
        if not len(moved):
            raise LabelsError(
                f"{name}: the CRS of {scene.name} does not reach there; correct them."
            )
        return cls(name, scene.grid, in_pixels(scene.grid, moved))

    @property
    def identity(self) -> str:
        """What changes when the rectangle does."""
        return str(self.polygons[0])

    @property
    def box(self) -> tuple[float, float, float, float]:
        """First column, first row, last column and last row, in pixels of the scene."""
        left, top, right, bottom = shapely.total_bounds(self.polygons).tolist()
        return left, top, right, bottom

    def read(self, window: Window) -> np.ndarray:
        """(rows, columns) uint8 of a window, HOUSE where a pixel's centre lies in it."""
        return burned(self.polygons, np.array([HOUSE]), np.zeros(window.shape, np.uint8), window)

    def in_pixels(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The rectangle in pixels (column, row), wherever the window is, and its number."""
        return self.polygons, np.zeros(1, np.int64)


def _crs_of(crs: str | None, scene: Scene) -> pyproj.CRS | None:
    """The CRS of bounds; None where neither they nor the scene have one."""
    if crs is None:
        return None if scene.crs is None else pyproj.CRS.from_user_input(scene.crs.to_wkt())
    if scene.crs is None:
        raise UsageError(
            f"bounds_crs {crs}: {scene.name} has no CRS; give bounds in units of its transform."
        )
    try:
        return pyproj.CRS.from_user_input(crs)
    except CRSError as error:
        raise UsageError(f"bounds_crs {crs}: no CRS is known by this; give EPSG:CODE.") from error


def _checked(
    name: str, bounds: Sequence[float], crs: pyproj.CRS | None
) -> tuple[float, float, float, float]:
    """West, south, east and north in their order, across the line where longitudes wrap, too."""
    if len(bounds) != 4 or not all(map(math.isfinite, bounds)):
        raise UsageError(f"{name}: give four numbers, W S E N.")
    west, south, east, north = map(float, bounds)
    if west > east and crs is not None and crs.is_geographic:
        east += 360
    if not (west < east and south < north):
        raise UsageError(f"{name}: W must be less than E, and S less than N.")
    return west, south, east, north

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
# How far around a scene bounds are followed, in parts of its width and height.
MARGIN = 1 / 16
# Degrees after which a longitude comes again, and of the latitude that is the largest.
TURN, POLE = 360, 90

# West, south, east and north.
Box = tuple[float, float, float, float]


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
            Where none of the scene lies in them, or they cannot be brought into its CRS.
        """
        name = f"bounds {' '.join(f'{value:.10g}' for value in bounds)}"
        own = _crs_of(crs, scene)
        checked = _checked(name, bounds, own)
        near = checked if own is None else _near(name, checked, own, scene)
        sides = _sides(*near)
        centre, _ = scene.transform * (scene.width / 2, scene.height / 2)
        moved, _ = Mover(name, own, scene.crs, centre)(sides)
        if not len(moved):
            raise _unreached(name, scene)
        return cls(name, scene.grid, in_pixels(scene.grid, moved))

    @property
    def identity(self) -> str:
        """What changes when the rectangle does."""
        return str(self.polygons[0])

    @property
    def box(self) -> Box:
        """First column, first row, last column and last row, in pixels of the scene."""
        left, top, right, bottom = shapely.total_bounds(self.polygons).tolist()
        return left, top, right, bottom

    def read(self, window: Window) -> np.ndarray:
        """(rows, columns) uint8 of a window, HOUSE where a pixel's centre lies in it."""
        return burned(self.polygons, np.array([HOUSE]), np.zeros(window.shape, np.uint8), window)

    def in_pixels(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The rectangle in pixels (column, row), wherever the window is, and its number."""
        return self.polygons, np.zeros(1, np.int64)


def holds_nothing(path: str, scene: Scene) -> LabelsError:
    """The error of an area, or of bounds, without a pixel of a scene."""
    return LabelsError(f"{path}: no pixel of {scene.name} lies there; check the place and the CRS.")


def _near(name: str, bounds: Box, crs: pyproj.CRS, scene: Scene) -> Box:
    """What of bounds lies on a scene or next to it.

    The wider they are, the farther the parts of their sides would stray from arcs.
    """
    west, south, east, north = bounds
    left, low, right, top = _around(name, scene, crs, (west + east) / 2)
    parts = [(max(west, left), min(east, right))]
    if crs.is_geographic and east - west >= TURN:
        parts = [(left, right)]
    elif crs.is_geographic:  # a side of them may meet the scene a turn further on
        parts += [(max(west, left + turn), min(east, right + turn)) for turn in (-TURN, TURN)]
    west, east = max(parts, key=lambda part: part[1] - part[0])
    south, north = max(south, low), min(north, top)
    if not (west < east and south < north):
        raise holds_nothing(name, scene)
    return west, south, east, north


def _around(name: str, scene: Scene, crs: pyproj.CRS, centre: float) -> Box:
    """The box of a scene in the CRS of bounds, a bit larger; longitudes are near a centre."""
    corners = [(0, 0), (scene.width, 0), (scene.width, scene.height), (0, scene.height)]
    outline = shapely.Polygon([scene.transform * corner for corner in corners])
    outline = shapely.segmentize(outline, outline.length / (4 * PARTS))
    moved, _ = Mover(name, _own(scene), crs, centre)(np.array([outline]))
    if not len(moved):
        raise _unreached(name, scene)
    left, low, right, top = shapely.total_bounds(moved).tolist()
    along, up = MARGIN * (right - left), MARGIN * (top - low)
    return left - along, low - up, right + along, top + up


def _unreached(name: str, scene: Scene) -> LabelsError:
    return LabelsError(f"{name}: the CRS of {scene.name} does not reach there; correct them.")


def _sides(west: float, south: float, east: float, north: float) -> np.ndarray:
    """A rectangle, (1,), with further points between its corners."""
    sides = np.array([shapely.box(west, south, east, north)])
    return shapely.segmentize(sides, max(east - west, north - south) / PARTS)


def _crs_of(crs: str | None, scene: Scene) -> pyproj.CRS | None:
    """The CRS of bounds; None where neither they nor the scene have one."""
    if crs is None:
        return _own(scene)
    if scene.crs is None:
        raise UsageError(
            f"bounds_crs {crs}: {scene.name} has no CRS; give bounds in units of its transform."
        )
    try:
        return pyproj.CRS.from_user_input(crs)
    except CRSError as error:
        raise UsageError(f"bounds_crs {crs}: no CRS is known by this; give EPSG:CODE.") from error


def _own(scene: Scene) -> pyproj.CRS | None:
    return None if scene.crs is None else pyproj.CRS.from_user_input(scene.crs.to_wkt())


def _checked(name: str, bounds: Sequence[float], crs: pyproj.CRS | None) -> Box:
    """West, south, east and north in their order, across the line where longitudes wrap, too."""
    if len(bounds) != 4 or not all(map(math.isfinite, bounds)):
        raise UsageError(f"{name}: give four numbers, W S E N.")
    west, south, east, north = map(float, bounds)
    if west > east and crs is not None and crs.is_geographic:
        east += TURN
    if not (west < east and south < north):
        raise UsageError(f"{name}: W must be less than E, and S less than N.")
    if crs is not None and crs.is_geographic and max(abs(south), abs(north)) > POLE + 1:
        raise UsageError(
            f"{name}: {crs.name} is in degrees, and these are none; say by --bounds-crs what they "
            "are in."
        )
    return west, south, east, north

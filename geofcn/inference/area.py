"""The part of a scene that an inference is about: the polygons of an area, or some bounds.

::

    +---------------------------+     Whole compute windows are computed, in their places on the
    |  +---------------------+  |     scene, so that pixels are the same with an area and without:
    |  |   _______  - extent |  |     those that touch the area, or come within its reach. Outputs
    |  |  / area  |          |  |     have the area's extent, and are blank beside its polygons.
    |  | /________|          |  |     Polygons are those of houses that begin in the area, as far
    |  +---------------------+  |     as the reach goes.
    +------ compute windows ----+
"""

from __future__ import annotations

import logging
import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from geofcn.core.geodesy import ground_resolution
from geofcn.core.pixels import BLANK, HOUSE
from geofcn.core.windows import Window, blocks, ceil_div
from geofcn.errors import LabelsError, UsageError
from geofcn.inference.schedule import Task
from geofcn.inference.shards import Arrays
from geofcn.io.bounds import Rectangle, holds_nothing
from geofcn.io.files import StrPath
from geofcn.io.labels import area_polygons, is_beside
from geofcn.io.scene import Scene
from geofcn.io.vector_labels import VectorLabels, come_into
from geofcn.tracing.rings import Polygons

# How far around an area it is computed, so that houses which begin in it are whole: in metres on
# the ground, or in pixels of a scene without CRS.
REACH, REACH_PIXELS = 100, 512
# Side of the squares in which it is looked up whether houses begin in an area.
LOOKED_UP = 512

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Area:
    """Pixels of a scene: those whose centres lie in some polygons.

    Attributes
    ----------
    polygons : VectorLabels or Rectangle
        On the scene's grid.
    extent : Window
        The pixels of the scene whose centres lie in the polygons' box; what outputs cover.
    reach : int
        How many pixels around them are computed, too; 0 where no polygons are wanted.
    """

    polygons: VectorLabels | Rectangle
    extent: Window
    reach: int = 0

    @classmethod
    def of(cls, polygons: VectorLabels | Rectangle, scene: Scene) -> Area:
        """The area of some polygons that are on the scene's grid.

        Raises
        ------
        LabelsError
            Where it holds no pixel of the scene.
        """
        left, top, right, bottom = polygons.box
        if not (left < scene.width and right > 0 and top < scene.height and bottom > 0):
            raise _beside(polygons, scene)
        row, col = math.ceil(top - 0.5), math.ceil(left - 0.5)
        height, width = math.floor(bottom + 0.5) - row, math.floor(right + 0.5) - col
        extent = Window(row, col, height, width).clip(*scene.window.shape)
        if not extent.pixels or not come_into(polygons.in_pixels(extent)[0], extent):
            raise _beside(polygons, scene)
        return cls(polygons, extent)

    def reaching(self, scene: Scene) -> Area:
        """The area with what is computed around it for the sake of polygons."""
        resolution = ground_resolution(scene.grid)
        return replace(self, reach=math.ceil(REACH / resolution) if resolution else REACH_PIXELS)

    @cached_property
    def identity(self) -> str:
        """What changes when its pixels do; another one each time where nobody knows."""
        return f"{self.polygons.identity or uuid.uuid4().hex} {self.reach}"

    def computed(self, scene: Window, side: int) -> Window:
        """What compute windows of `side` pixels cover, from the first that is wanted to the last.

        Parameters
        ----------
        scene : Window
            The whole scene.
        side : int
            Of a compute window.
        """
        reached = self.extent.grow(self.reach).clip(*scene.shape)
        return reached.aligned(side).clip(*scene.shape)

    def is_wanted(self, window: Window) -> bool:
        """Whether a window touches the area, or comes within its reach."""
        wide = window.grow(self.reach)
        return come_into(self.polygons.in_pixels(wide)[0], wide)

    def thinned(self, task: Task, side: int) -> Task:
        """A task without the compute windows of `side` pixels that are not wanted."""
        unwanted = (part for part in blocks(task.window, side) if not self.is_wanted(part))
        return replace(task, blank=frozenset(unwanted))

    def inside(self, window: Window) -> np.ndarray:
        """(rows, columns) bool, which pixels of a window lie in the area."""
        return np.equal(self.polygons.read(window), HOUSE)

    def cut(self, window: Window, arrays: Arrays) -> tuple[Window, Arrays]:
        """The part of some arrays in the extent, perhaps of no pixels, blank beside the area.

        Parameters
        ----------
        window : Window
            Where the arrays lie on the scene.
        arrays : dict of (rows, columns) array
            As `geofcn.inference.job.run_task` makes them.
        """
        part = window.intersect(self.extent)
        if not part.pixels:
            return part, {}
        here, outside = part.relative_to(window).slices, ~self.inside(part)
        pixels = {name: array[here].copy() for name, array in arrays.items()}
        for array in pixels.values():
            array[outside] = {"u": BLANK, "f": np.nan, "b": False}[array.dtype.kind]
        return part, pixels

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Whether pixels, (n, 2) as column and row, lie in the area: (n,) bool."""
        found = np.zeros(len(points), bool)
        squares, owner = np.unique(points // LOOKED_UP, axis=0, return_inverse=True)
        for number, (col, row) in enumerate(squares.tolist()):
            window = Window(row * LOOKED_UP, col * LOOKED_UP, LOOKED_UP, LOOKED_UP)
            there = np.flatnonzero(owner.ravel() == number)
            cols, rows = (points[there] - [window.col, window.row]).T
            found[there] = self.inside(window)[rows, cols]
        return found


def open_area(
    scene: Scene,
    area: StrPath | None,
    bounds: Sequence[float] | None,
    bounds_crs: str | None,
) -> Area | None:
    """The part of a scene that is asked for; None: all of it.

    Parameters
    ----------
    scene : Scene
        The scene.
    area : path, optional
        A vector file of polygons.
    bounds : (west, south, east, north), optional
        Instead of a file.
    bounds_crs : str, optional
        See `geofcn.io.bounds.Rectangle.of`.

    Raises
    ------
    UsageError
        For both of them, or for a CRS alone.
    LabelsError
        Where the file cannot be read, or holds no pixel of the scene.
    """
    if area is not None and bounds is not None:
        raise UsageError("area and bounds: give one of them, they say the same.")
    if bounds is None and bounds_crs is not None:
        raise UsageError("bounds_crs: it belongs to bounds; give these, too.")
    if bounds is not None:
        return Area.of(Rectangle.of(bounds, bounds_crs, scene), scene)
    return None if area is None else Area.of(area_polygons(area, scene), scene)


def _beside(polygons: VectorLabels | Rectangle, scene: Scene) -> LabelsError:
    """The error of an area without a pixel of the scene."""
    if isinstance(polygons, VectorLabels) and not polygons.touching:
        return is_beside(polygons, scene.name)
    return holds_nothing(polygons.path, scene)


class HousesOfArea:
    """Tells which houses begin in an area, and counts those that go on where nothing is computed.

    A house begins at the first of its pixels, in the topmost row the leftmost: so each is in one of
    several areas that lie side by side.

    Parameters
    ----------
    area : Area
        The area, with its reach.
    scene : Window
        The whole scene.
    side : int
        Of a compute window.
    """

    def __init__(self, area: Area, scene: Window, side: int):
        self._area, self._scene, self._side = area, scene, side
        self._computed = area.computed(scene, side)
        self._cut: list[int] = []  # of each call, for threads make them

    def __call__(self, houses: Polygons) -> np.ndarray:
        """Which houses begin in the area, (n,) bool."""
        first = houses.rings[houses.polygons[:-1]]
        begins = self._area.holds(houses.coords[first])
        if begins.any():
            self._cut.append(int(np.count_nonzero(self._meet_edge(houses.coords, first)[begins])))
        return begins

    def say_cut(self) -> None:
        """Warn of houses that may be cut, where there are any."""
        if count := sum(self._cut):
            log.warning(
                "%d house(s) that begin in the area reach to where nothing was computed, more than "
                "%d pixels beyond it, and may be cut there; a larger area makes them whole.",
                count,
                self._area.reach,
            )

    def _meet_edge(self, coords: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Whether the boxes of houses, a pixel larger, hold what is not computed: (n,) bool."""
        shape = np.array(self._scene.shape[::-1])
        low = np.maximum(np.minimum.reduceat(coords, first) - 1, 0)
        high = np.minimum(np.maximum.reduceat(coords, first) + 1, shape) - 1
        origin = np.array([self._computed.col, self._computed.row])
        # Counted from the ring of compute windows around those that are computed.
        left, top = ((low - origin) // self._side + 1).T
        right, bottom = ((high - origin) // self._side + 2).T
        sums = self._missing
        return np.asarray(
            sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left] > 0
        )

    @cached_property
    def _missing(self) -> np.ndarray:
        """Compute windows above and left of each that were not wanted, a ring of them around."""
        computed, side = self._computed, self._side
        wanted = [self._area.is_wanted(window) for window in blocks(computed, side)]
        shape = ceil_div(computed.height, side), ceil_div(computed.width, side)
        missing = np.pad(~np.array(wanted).reshape(shape), 1, constant_values=True)
        return np.pad(missing.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))

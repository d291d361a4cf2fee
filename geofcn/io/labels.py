"""Labels on a scene's grid, window by window, from a raster or from vectors.

Classes are (rows, columns) uint8: 0 background, 1 house, 255 where nothing is known.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Protocol

import numpy as np
import shapely
from rasterio.crs import CRS
from rasterio.features import rasterize
from rasterio.transform import Affine, array_bounds
from rasterio.warp import transform_bounds

from geofcn.core.pixels import BACKGROUND, BLANK, HOUSE
from geofcn.core.windows import Window, sample_windows
from geofcn.errors import LabelsError, SceneError
from geofcn.io.files import StrPath
from geofcn.io.identity import digest, files_behind
from geofcn.io.scene import Scene, aligned, names_apart, open_raster, open_scene
from geofcn.io.vector_reader import AREAL, is_raster_path, no_crs, read_vectors

# A grid is the same as the scene's when no corner is further off than this, in pixels.
SAME_GRID = 1e-3
VERTEX_STEPS = 1024

log = logging.getLogger(__name__)


class WindowLabels(Protocol):
    """What gives classes window by window."""

    def read(self, window: Window) -> np.ndarray:
        """Classes of a window that lies on the scene: (rows, columns) uint8."""
        ...


class Labels(WindowLabels, Protocol):
    """Labels on a scene's grid, from a file."""

    @property
    def path(self) -> str:
        """The file the labels come from."""
        ...

    @property
    def identity(self) -> str:
        """What changes when one of their files does; empty where nobody knows."""
        ...

    def refuse_changed(self) -> None:
        """Raise SceneError where what is read window by window is not what it was any more."""
        ...


class NoLabels:
    """The labels of a file without polygons: background everywhere."""

    def read(self, window: Window) -> np.ndarray:
        """Background for every pixel of a window: (rows, columns) uint8."""
        return np.full(window.shape, np.uint8(BACKGROUND))


@dataclass(frozen=True)
class RasterLabels:
    """The first band of a raster on the scene's grid; every value but 0 and nodata is a house.

    Attributes
    ----------
    scene : Scene
        The raster of the labels, on the grid of the scene that they belong to.
    """

    scene: Scene

    @property
    def path(self) -> str:
        """The file the labels come from."""
        return self.scene.path

    @property
    def identity(self) -> str:
        """What changes when one of the raster's files does."""
        return self.scene.identity

    def refuse_changed(self) -> None:
        """See Scene.refuse_changed."""
        self.scene.refuse_changed()

    def read(self, window: Window) -> np.ndarray:
        """Classes of a window that lies on the scene: (rows, columns) uint8.

        Raises
        ------
        SceneError
            Where the file cannot be read there.
        """
        image, valid = self.scene.read(window)
        classes = np.where(image[0] != 0, np.uint8(HOUSE), np.uint8(BACKGROUND))
        classes[~valid] = BLANK
        return classes


@dataclass(frozen=True)
class VectorLabels:
    """Polygons burned onto the scene's grid: a pixel is a house when its centre lies in one.

    All polygons of the file are read once and kept in memory.

    Attributes
    ----------
    path : str
        The file the labels come from.
    crs : CRS or None
        Of the scene.
    transform : Affine
        Of the scene: pixel corners (column, row) to CRS coordinates.
    identity : str
        Changes when one of the files does, whose polygons are read anew then; empty where nobody
        knows.
    """

    path: str
    crs: CRS | None
    transform: Affine
    identity: str

    def refuse_changed(self) -> None:
        """Nothing: all polygons are of the state that they were read in."""

    def read(self, window: Window) -> np.ndarray:
        """Classes of a window that lies on the scene: (rows, columns) uint8."""
        polygons, tree = _polygons(self)
        classes = np.zeros(window.shape, np.uint8)
        box = shapely.box(window.col, window.row, window.right, window.bottom)
        touching = tree.query(box)
        if len(touching):
            rasterize(
                [(polygon, HOUSE) for polygon in polygons[np.sort(touching)]],
                out=classes,
                transform=Affine.translation(window.col, window.row),
            )
        return classes


@dataclass(frozen=True)
class MaskedLabels:
    """Labels of which nothing counts outside of an area.

    Attributes
    ----------
    labels : Labels
        The labels.
    area : VectorLabels
        Polygons of the area on the same grid; a pixel is in it when its centre is.
    """

    labels: Labels
    area: VectorLabels

    @property
    def path(self) -> str:
        """The file the labels come from."""
        return self.labels.path

    @property
    def identity(self) -> str:
        """What changes when one of the files does."""
        parts = self.labels.identity, self.area.path, self.area.identity
        return " ".join(parts) if all(parts) else ""

    def refuse_changed(self) -> None:
        """See Labels."""
        self.labels.refuse_changed()

    def read(self, window: Window) -> np.ndarray:
        """Classes of a window that lies on the scene: (rows, columns) uint8, 255 outside."""
        classes = self.labels.read(window)
        classes[self.area.read(window) != HOUSE] = BLANK
        return classes


@dataclass(frozen=True)
class LabelledScene:
    """A scene and its labels, on one grid."""

    scene: Scene
    labels: Labels


def refuse_changed(sources: Iterable[LabelledScene]) -> None:
    """Check that scenes and raster labels are what they were when they were opened.

    Raises
    ------
    SceneError
        For one that has changed since, see `Scene.refuse_changed`.
    """
    for source in sources:
        source.scene.refuse_changed()
        source.labels.refuse_changed()


def open_labelled_scene(
    scene: StrPath,
    labels: StrPath,
    nodata: float | None = None,
    area: StrPath | None = None,
    bands: Sequence[int] | None = None,
) -> LabelledScene:
    """Open a scene and the labels that belong to it.

    Parameters
    ----------
    scene : path
        The raster, see `geofcn.io.scene.open_scene`.
    labels : path
        A raster or a vector file, see `open_labels`.
    nodata : float, optional
        A pixel of the scene with this value in every band is blank.
    area : path, optional
        A vector file of polygons outside of which the labels count for nothing.
    bands : sequence of int, optional
        Numbers of the scene's bands to look at.

    Raises
    ------
    SceneError
        Where the scene is no raster that geofcn can use.
    LabelsError
        Where labels or area do not fit it.
    """
    opened = open_scene(scene, nodata, bands)
    source = LabelledScene(opened, open_labels(labels, opened))
    if area is None:
        return source
    polygons = _area_polygons(os.fspath(area), opened)
    if not _touches(polygons, opened):
        raise _beside(polygons, opened.name)
    return _within(source, polygons)


def open_labelled_scenes(
    pairs: Sequence[tuple[StrPath, StrPath]],
    nodata: float | None = None,
    area: StrPath | None = None,
    bands: Sequence[int] | None = None,
) -> list[LabelledScene]:
    """Open scenes, each with its labels, and with the part of an area that lies on it.

    Parameters
    ----------
    pairs : sequence of (path, path)
        Scenes and their labels, see `open_labelled_scene`.
    nodata : float, optional
        A pixel with this value in every band of its scene is blank.
    area : path, optional
        A vector file of polygons, outside of which the labels of a scene that it touches count for
        nothing. A scene that it does not touch counts as a whole, with a warning in the log.
    bands : sequence of int, optional
        Numbers of the bands to look at, the same in all scenes.

    Raises
    ------
    SceneError
        Where a scene is no raster that geofcn can use.
    LabelsError
        Where labels do not fit their scene, or the area touches none of the scenes.
    """
    sources = [open_labelled_scene(*pair, nodata, bands=bands) for pair in pairs]
    if area is None:
        return sources
    name = os.fspath(area)
    areas = [_area_polygons(name, source.scene) for source in sources]
    are_touched = [
        _touches(polygons, source.scene) for polygons, source in zip(areas, sources, strict=True)
    ]
    if not any(are_touched):
        raise _beside(areas[0], " or ".join(names_apart([s.scene.path for s in sources])))
    return [
        _within(source, polygons) if is_touched else _as_a_whole(source, name)
        for source, polygons, is_touched in zip(sources, areas, are_touched, strict=True)
    ]


def _within(source: LabelledScene, area: VectorLabels) -> LabelledScene:
    return replace(source, labels=MaskedLabels(source.labels, area))


def _as_a_whole(source: LabelledScene, area: str) -> LabelledScene:
    log.warning("%s: no polygon of %s lies on it; it counts as a whole.", source.scene.path, area)
    return source


def open_labels(path: StrPath, scene: Scene) -> Labels:
    """Labels for a scene from a raster, or from vectors of any format and CRS.

    Parameters
    ----------
    path : path
        A raster is told by its ending. Of vectors, polygons count; of a raster, the first band,
        with 0 for background and one other value for houses. One on another grid is brought onto
        the scene's (nearest neighbour), with a warning in the log.
    scene : Scene
        What they belong to.

    Raises
    ------
    LabelsError
        Where the file is neither, has no place on the ground, or does not touch the scene.
    """
    name = os.fspath(path)
    if is_raster_path(name):
        raster = _open_raster(name)
        _check_values(raster)
        return RasterLabels(_with_background(_on_grid(raster, scene)))
    return _open_vectors(name, scene)


def _area_polygons(name: str, scene: Scene) -> VectorLabels:
    if is_raster_path(name):
        raise LabelsError(f"{name}: an area is given as polygons, not as a raster.")
    return VectorLabels(name, scene.crs, scene.transform, _identity(name))


def _open_vectors(name: str, scene: Scene) -> VectorLabels:
    labels = VectorLabels(name, scene.crs, scene.transform, _identity(name))
    if not _touches(labels, scene):
        raise _beside(labels, scene.name)
    return labels


def _touches(labels: VectorLabels, scene: Scene) -> bool:
    """Whether one of the polygons lies on the scene."""
    _, tree = _polygons(labels)
    return len(tree.query(shapely.box(0, 0, scene.width, scene.height))) > 0


def _beside(labels: VectorLabels, scene: str) -> LabelsError:
    polygons, _ = _polygons(labels)
    return LabelsError(
        f"{labels.path}: none of its {len(polygons)} polygons lies on {scene}; check its place "
        "and its CRS."
    )


def _open_raster(path: str) -> Scene:
    try:
        return open_raster(path)
    except SceneError as error:
        raise LabelsError(str(error)) from error


def _with_background(raster: Scene) -> Scene:
    """`raster` with its zeros as background, where it declares them nodata as many tools do."""
    if raster.declared != 0:
        return raster
    if raster.resampled:
        raise LabelsError(
            f"{raster.path}: it lies on another grid and declares 0 nodata, so background and "
            "unknown cannot be told apart; remove that with `gdal_edit.py -unsetnodata`."
        )
    log.warning("%s: it declares 0 nodata; 0 is taken as background.", raster.path)
    return replace(raster, masked=False)


def _check_values(raster: Scene) -> None:
    """Look at a sample of the values: one besides 0 is the house, more cannot be told apart."""
    values: set[float] = set()
    for window in sample_windows(raster.height, raster.width, 256, 64):
        image, valid = raster.read(window)
        values.update(np.unique(image[0][valid]).tolist())
    houses = sorted(values - {0})
    if len(houses) > 1:
        shown = ", ".join(f"{value:g}" for value in houses[:5])
        raise LabelsError(
            f"{raster.path}: it holds several values besides 0 ({shown}); give labels with 0 for "
            "background and one other value for houses."
        )
    if houses not in ([], [1]):
        log.warning("%s: its value %g is taken as house, 0 as background.", raster.path, *houses)


def _on_grid(raster: Scene, scene: Scene) -> Scene:
    if raster.crs != scene.crs and None not in (raster.crs, scene.crs):
        log.warning("%s: in another CRS than %s; it is reprojected.", raster.path, scene.name)
        return _overlapping(raster, scene)
    if raster.crs is None and scene.crs is not None:
        if (raster.height, raster.width) != (scene.height, scene.width):
            raise LabelsError(
                f"{raster.path}: it has no CRS and another size than {scene.name}, so its place is "
                "unknown; give labels with a CRS, or of the scene's size."
            )
        log.warning("%s: it has no CRS; taken as lying on %s's grid.", raster.path, scene.name)
        return raster
    shift = ~scene.transform * raster.transform
    corners = [(0, 0), (raster.width, 0), (0, raster.height), (raster.width, raster.height)]
    offset = max(
        abs(shifted - place)
        for corner in corners
        for shifted, place in zip(shift * corner, corner, strict=True)
    )
    if offset <= SAME_GRID and (raster.height, raster.width) == (scene.height, scene.width):
        return raster
    if raster.crs != scene.crs:
        raise LabelsError(
            f"{raster.path}: {scene.name} has no CRS, so labels on another grid cannot be brought "
            "onto it; give the scene its CRS, for instance with `gdal_edit.py -a_srs`."
        )
    log.warning("%s: on another grid than %s; it is aligned to it.", raster.path, scene.name)
    return _overlapping(raster, scene)


def _overlapping(raster: Scene, scene: Scene) -> Scene:
    """`raster` on the scene's grid. Raises LabelsError when they do not meet."""
    left, bottom, right, top = _bounds(raster)
    if raster.crs != scene.crs:
        left, bottom, right, top = transform_bounds(raster.crs, scene.crs, left, bottom, right, top)
    west, south, east, north = _bounds(scene)
    if left >= east or right <= west or bottom >= north or top <= south:
        raise LabelsError(
            f"{raster.path}: it does not overlap {scene.name}; check its place and its CRS."
        )
    return aligned(raster, scene)


def _bounds(raster: Scene) -> tuple[float, float, float, float]:
    """West, south, east and north, also of a raster that is upside down or mirrored."""
    left, bottom, right, top = array_bounds(raster.height, raster.width, raster.transform)
    return min(left, right), min(bottom, top), max(left, right), max(bottom, top)


def _identity(path: str) -> str:
    return digest(files_behind([path]))


@lru_cache(maxsize=8)
def _polygons(labels: VectorLabels) -> tuple[np.ndarray, shapely.STRtree]:
    """All polygons of the file in the scene's pixel coordinates (column, row), with an index."""
    frame = read_vectors(labels.path)
    if labels.identity and _identity(labels.path) != labels.identity:
        raise LabelsError(f"{labels.path}: it has changed while it was read; leave it alone.")
    if frame.crs is not None and labels.crs is not None:
        frame = frame.to_crs(labels.crs.to_wkt())
    elif labels.crs is not None:
        raise no_crs(labels.path)
    geometry = np.asarray(frame.geometry.values)
    areal = geometry[np.isin(shapely.get_type_id(geometry), AREAL)]
    if len(areal) == 0:
        raise LabelsError(f"{labels.path}: it holds no polygons; give the outlines of the houses.")
    areal = shapely.transform(areal, partial(_to_pixels, ~labels.transform))
    return areal, shapely.STRtree(areal)


def _to_pixels(map_to_pixels: Affine, points: np.ndarray) -> np.ndarray:
    """Map coordinates (n, 2) to (column, row), rounded to 1/VERTEX_STEPS of a pixel.

    Such coordinates lose no digit when a window's corner is subtracted from them: an edge that
    meets the centre of a pixel does so in every window.
    """
    return np.rint(np.column_stack(map_to_pixels * points.T) * VERTEX_STEPS) / VERTEX_STEPS

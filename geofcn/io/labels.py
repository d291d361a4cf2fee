"""Labels on a scene's grid, window by window, from a raster or from vectors.

Classes are (rows, columns) uint8: 0 background, 1 house, 255 where nothing is known.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from rasterio.transform import Affine, array_bounds
from rasterio.warp import transform_bounds

from geofcn.core.pixels import BLANK, HOUSE
from geofcn.core.windows import Window
from geofcn.errors import LabelsError, SceneError
from geofcn.io.files import StrPath, names_apart
from geofcn.io.label_source import LabelSource
from geofcn.io.masks import Mask, open_mask
from geofcn.io.opening import open_scene
from geofcn.io.scene import Scene, aligned
from geofcn.io.shift import in_units
from geofcn.io.vector_labels import VectorLabels
from geofcn.io.vector_reader import is_raster_path

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
        parts = self.labels.identity, self.area.identity
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
    labels: StrPath | LabelSource,
    nodata: float | None = None,
    area: StrPath | None = None,
    bands: Sequence[int] | None = None,
) -> LabelledScene:
    """Open a scene and the labels that belong to it; see `open_labelled_scenes`."""
    return open_labelled_scenes([(scene, labels)], nodata, area, bands)[0]


def open_labelled_scenes(
    pairs: Sequence[tuple[StrPath, StrPath | LabelSource]],
    nodata: float | None = None,
    area: StrPath | None = None,
    bands: Sequence[int] | None = None,
) -> list[LabelledScene]:
    """Open scenes, each with its labels, and with the part of an area that lies on it.

    Parameters
    ----------
    pairs : sequence of (path, path or LabelSource)
        Scenes and their labels, see `geofcn.io.opening.open_scene` and `open_labels`. Of several,
        one may have labels without a polygon on it: it is background, with a warning in the log.
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
    scenes = [open_scene(scene, nodata, bands) for scene, _ in pairs]
    sources = [
        LabelledScene(scene, _open(_source_of(labels), scene))
        for scene, (_, labels) in zip(scenes, pairs, strict=True)
    ]
    _refuse_all_beside(sources)
    if area is None:
        return sources
    areas = [_area_polygons(area, source.scene) for source in sources]
    if not any(polygons.touching for polygons in areas):
        raise is_beside(areas[0], " or ".join(names_apart([s.scene.path for s in sources])))
    return [
        _within(source, polygons) if polygons.touching else _as_a_whole(source, areas[0].path)
        for source, polygons in zip(sources, areas, strict=True)
    ]


def _refuse_all_beside(sources: Sequence[LabelledScene]) -> None:
    """Raise LabelsError where no labels touch their scene, and warn of those that do not."""
    beside = [
        (source.labels, source.scene)
        for source in sources
        if isinstance(source.labels, VectorLabels) and not source.labels.touching
    ]
    for labels, scene in beside:
        if len(beside) == len(sources):
            raise is_beside(labels, scene.name)
        log.warning(
            "%s: none of its polygons lies on %s; that counts as background.",
            labels.path,
            scene.path,
        )


def _within(source: LabelledScene, area: VectorLabels) -> LabelledScene:
    return replace(source, labels=MaskedLabels(source.labels, area))


def _as_a_whole(source: LabelledScene, area: str) -> LabelledScene:
    log.warning("%s: no polygon of %s lies on it; it counts as a whole.", source.scene.path, area)
    return source


def open_labels(path: StrPath | LabelSource, scene: Scene) -> Labels:
    """Labels for a scene from a raster, or from vectors of any format and CRS.

    Parameters
    ----------
    path : path or LabelSource
        A raster is told by its ending. Of vectors, polygons count; of a raster, what
        `geofcn.io.masks.open_mask` says. One on another grid is brought onto the scene's (nearest
        neighbour), with a warning in the log.
    scene : Scene
        What they belong to.

    Raises
    ------
    LabelsError
        Where the file is neither, has no place on the ground, or does not touch the scene.
    """
    labels = _open(_source_of(path), scene)
    if isinstance(labels, VectorLabels) and not labels.touching:
        raise is_beside(labels, scene.name)
    return labels


def _source_of(name: StrPath | LabelSource) -> LabelSource:
    return name if isinstance(name, LabelSource) else LabelSource.of(name)


def _open(source: LabelSource, scene: Scene) -> Mask | VectorLabels:
    if is_raster_path(source.path):
        shift = in_units(source, scene.grid)
        return on_grid(_open_mask(replace(source, shift=())), scene, shift)
    return VectorLabels.of(source, scene)


def on_grid(mask: Mask, scene: Scene, shift: tuple[float, float] | None = None) -> Mask:
    """A mask on the grid of a scene, with a warning in the log where it was on another.

    Moved along x and y by a `shift` in units of the scene's CRS.

    Raises
    ------
    LabelsError
        Where its place is unknown, or it does not overlap the scene.
    """
    raster = _on_grid(mask.raster, scene)
    if shift is not None:
        # What is moved to the right is found further left.
        raster = aligned(raster, replace(scene, grid=scene.grid.moved(-shift[0], -shift[1])))
    if raster.resampled and raster.declared in (0, *mask.houses):
        raise LabelsError(
            f"{raster.path}: it lies on another grid and declares {raster.declared:g} nodata, so "
            "that cannot be told from unknown; remove it with `gdal_edit.py -unsetnodata`."
        )
    return replace(mask, raster=raster)


def _open_mask(source: LabelSource) -> Mask:
    try:
        return open_mask(str(source))
    except SceneError as error:
        raise LabelsError(str(error)) from error


def _area_polygons(area: StrPath, scene: Scene) -> VectorLabels:
    source = LabelSource.of(area)
    if is_raster_path(source.path):
        raise LabelsError(f"{source.path}: an area is given as polygons, not as a raster.")
    return VectorLabels.of(source, scene)


def is_beside(labels: VectorLabels, scene: str) -> LabelsError:
    """The error of labels none of whose polygons lies on a scene."""
    if not labels.count and labels.source.where:
        return LabelsError(
            f"{labels.path}: none of its features fits the condition {labels.source.where}; "
            "correct that, or leave it out."
        )
    if not labels.count:
        return LabelsError(f"{labels.path}: it holds no polygons; give the outlines of the houses.")
    return LabelsError(
        f"{labels.path}: none of its {labels.count} polygons lies on {scene}; check its place "
        "and its CRS."
    )


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
        if raster.transform != Affine.identity() and not raster.grid.is_at(scene.grid):
            raise LabelsError(
                f"{raster.path}: it has no CRS and its own transform (or world file) puts it "
                f"elsewhere than {scene.name}; set its CRS with `gdal_edit.py -a_srs`, or take its "
                "transform away with `gdal_edit.py -unsetgt`."
            )
        log.warning("%s: it has no CRS; taken as lying on %s's grid.", raster.path, scene.name)
        return raster
    if raster.grid.is_at(scene.grid):
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

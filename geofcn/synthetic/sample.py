"""Write a synthetic aerial scene with its labels: two rasters and a GeoPackage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import shapely

from geofcn import defaults
from geofcn.core.grid import Grid
from geofcn.core.windows import blocks
from geofcn.errors import OutputError
from geofcn.io import files
from geofcn.io.datasets import close_handles
from geofcn.io.files import StrPath
from geofcn.io.locks import locked
from geofcn.io.projections import check_projections
from geofcn.io.raster_writer import (
    BLOCK,
    Band,
    RasterWriter,
    check_raster_target,
    stale_beside,
)
from geofcn.io.vector_writer import (
    FeatureBatch,
    check_vector_target,
    parts_of,
    write_polygons,
)
from geofcn.progress import Progress, automatic
from geofcn.synthetic.scene import SyntheticScene
from geofcn.text import printable


@dataclass(frozen=True)
class SampleResult:
    """The files of a synthetic scene.

    Attributes
    ----------
    scene : Path
        uint8 red, green, blue; the collar is 0, which is nodata.
    labels : Path
        uint8 on the same grid: 1 house, 0 background.
    polygons : Path
        The footprints, layer `houses`, column `id`.
    """

    scene: Path
    labels: Path
    polygons: Path

    @classmethod
    def in_folder(cls, folder: Path) -> SampleResult:
        """The files by their names in a folder."""
        return cls(folder / "scene.tif", folder / "labels.tif", folder / "labels.gpkg")

    def __str__(self) -> str:
        return "\n".join(printable(str(path)) for path in (self.scene, self.labels, self.polygons))


def sample(
    folder: StrPath,
    *,
    size: int = defaults.SAMPLE_SIZE,
    seed: int = 0,
    dense: bool = False,
    overwrite: bool = False,
    progress: Progress = automatic,
) -> SampleResult:
    """Write a synthetic aerial scene and its labels into a folder, made where it is missing.

    Memory does not depend on `size`.

    Parameters
    ----------
    folder : path
        Receives scene.tif, labels.tif and labels.gpkg.
    size : int
        Pixels a side.
    seed : int
        Which scene; the same one for the same number.
    dense : bool
        A town, most of whose houses have a wall in common with a neighbour, instead of villages. In
        labels.gpkg each of them is a polygon of its own, and neighbours have the vertices of their
        wall in common; in labels.tif they are one.
    overwrite : bool
        Replace files that exist.
    progress : callable, optional
        See `geofcn.progress.Progress`.

    Returns
    -------
    SampleResult
        The three paths.

    Raises
    ------
    OutputError
        Where a file exists (unless `overwrite`) or cannot be written.
    UsageError
        For a size that is too small.
    """
    check_projections()
    scene = SyntheticScene(size, seed, dense)
    result = SampleResult.in_folder(Path(folder))
    with files.without_new_folders(Path(folder)):
        _make_folder(Path(folder))
        with locked(result.scene, result.labels, result.polygons):
            check_raster_target(result.scene, overwrite)
            check_raster_target(result.labels, overwrite)
            check_vector_target(result.polygons, overwrite)
            with files.partial_folder(result.scene) as hidden:
                made = SampleResult.in_folder(hidden)
                _write(scene, made, progress)
                _publish(made, result)
    return result


def _publish(made: SampleResult, result: SampleResult) -> None:
    """Give the finished files their final names: all of them, or none."""
    moves = {
        made.polygons: result.polygons,
        made.labels: result.labels,
        made.scene: result.scene,
    }
    rasters = result.scene, result.labels
    stale = [path for raster in rasters for path in stale_beside(raster)]
    for raster in rasters:
        close_handles(raster)  # Windows replaces no file that is open
    try:
        files.publish_together(moves, [*stale, *parts_of(result.polygons)])
    except OSError as error:
        raise files.writing_failed(result.scene, error) from error


def _write(scene: SyntheticScene, result: SampleResult, progress: Progress) -> None:
    size = scene.size
    grid = Grid(size, size, scene.crs, scene.transform)
    colours = Band("uint8", nodata=0, count=3)
    classes = Band("uint8", description="house")
    with (
        RasterWriter(result.scene, grid, colours) as image_file,
        RasterWriter(result.labels, grid, classes) as labels_file,
        progress("painting", size * size, "px") as bar,
    ):
        # Several blocks at once: what stands around a window is painted with it.
        for window in blocks(grid.window, 4 * BLOCK):
            image_file.write(window, scene.paint(window)[0])
            labels_file.write(window, scene.labels(window))
            bar.advance(window.pixels)
    write_polygons(
        result.polygons,
        _footprints(scene),
        scene.crs,
        columns={"id": "int64"},
    )


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}: the folder cannot be made ({error.strerror}); choose another name."
        ) from error


def _footprints(scene: SyntheticScene) -> Iterator[FeatureBatch]:
    """The footprints in map coordinates, numbered from 1."""
    footprints, first = scene.footprints(), 1
    to_map = scene.transform
    scale, origin = np.array([to_map.a, to_map.e]), np.array([to_map.c, to_map.f])
    while houses := list(islice(footprints, 4096)):
        geometry = shapely.transform(np.array(houses), lambda corners: corners * scale + origin)
        yield FeatureBatch(geometry, {"id": np.arange(first, first + len(houses))})
        first += len(houses)

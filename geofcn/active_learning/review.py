"""Review an inference: the boxes in which a label would teach the model most, in a vector file."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import shapely
from rasterio.transform import Affine

from geofcn import defaults
from geofcn.active_learning.boxes import Box, box_bands, expected_boxes, most_wrong
from geofcn.active_learning.result import LAYER, ReviewResult
from geofcn.core.geodesy import Ground, ground_resolution
from geofcn.core.grid import Grid
from geofcn.core.windows import Window
from geofcn.errors import SceneError, UsageError, whole_number
from geofcn.io.files import StrPath, check_target, write_whole
from geofcn.io.frames import takes_frames
from geofcn.io.label_source import LabelSource
from geofcn.io.labels import Labels, open_labels
from geofcn.io.locks import locked
from geofcn.io.opening import open_scene
from geofcn.io.probability import open_probability
from geofcn.io.scene import Scene
from geofcn.io.vector_writer import FeatureBatch, check_vector_target, write_polygons
from geofcn.polygons.footprints import refuse_no_crs
from geofcn.progress import Progress, automatic

COLUMNS = {
    "id": "int64",
    "rank": "int64",
    "reason": "string",
    "wrong_m2": "float64",
    "houses_m2": "float64",
    "area_m2": "float64",
}


@takes_frames("probability", "map_")
def review(
    probability: StrPath,
    boxes: StrPath,
    *,
    count: int = defaults.REVIEWED,
    size: float = defaults.BOX_SIZE,
    map_: StrPath | None = None,
    report: tuple[StrPath, StrPath] | None = None,
    allow_no_crs: bool = False,
    overwrite: bool = False,
    progress: Progress = automatic,
) -> ReviewResult:
    """Write the boxes of a scene in which a label would teach its model most.

    They are those with the most pixels that are expected to be wrong: where the model is uncertain
    or, with a map, contradicts it. The file is an area as `geofcn.train` takes it, once the houses
    in its boxes are labelled; its layer is `boxes`, its columns `id` (of the box, from 1, row by
    row), `rank` (from 1), `reason` (uncertain or map), `wrong_m2` and `houses_m2` (what is expected
    to be wrong, and to be houses) and `area_m2`.

    Parameters
    ----------
    probability : path
        A uint8 probability raster of `geofcn.infer`; read in row bands.
    boxes : path
        File to write: .gpkg, .geojson, .fgb, .parquet or .shp.
    count : int
        Boxes, at the most.
    size : float
        Side of a box, in metres on the ground; without a CRS in units of the transform.
    map_ : path or GeoDataFrame, optional
        A map of houses, not of today: a raster or polygons, in the forms of `geofcn.train`'s
        labels.
    report : (path, path), optional
        The scene, and a page (.html) to write with a picture of each box.
    allow_no_crs : bool
        Write boxes of a raster without CRS, in the units of its transform.
    overwrite : bool
        Replace files that exist.
    progress : callable, optional
        See `geofcn.progress.Progress`.

    Returns
    -------
    ReviewResult
        Paths, number of boxes, seconds; ``.read()`` gives the GeoDataFrame.

    Raises
    ------
    GeofcnError
        One sentence that says what is wrong: SceneError, LabelsError, OutputError or UsageError.

    Notes
    -----
    Uncertainty sampling (Lewis and Gale, 1994), summed over the pixels of a box: so one with many
    houses comes before one with few, as long as they are as uncertain.
    """
    start = time.monotonic()
    count = whole_number("count", count, least=1)
    raster = open_probability(probability)
    side = _side(size, raster.grid)
    old_map = None if map_ is None else open_labels(LabelSource.of(map_), raster)
    scene, page = (None, None) if report is None else (_open_scene(report[0], raster), report[1])
    sources: list[Scene | Labels] = [s for s in (raster, old_map, scene) if s is not None]
    paths = [source.path for source in sources]
    with locked(boxes, page):
        target = check_vector_target(boxes, overwrite, *paths)
        written = None if page is None else check_target(page, (".html",), overwrite, *paths)
        refuse_no_crs(raster, allow_no_crs)
        bands = _read(raster, old_map, side, progress)
        found = most_wrong(expected_boxes(bands, raster.height, raster.width, side), count)
        content = b"" if scene is None else _page_of(found, scene, raster, side)
        for source in sources:
            source.refuse_changed()
        write_polygons(
            target,
            [_features(found, raster.grid)],
            raster.crs,
            columns=COLUMNS,
            layer=LAYER,
            overwrite=True,
        )
        if written is not None:
            write_whole(Path(written), content)
        return ReviewResult(target, len(found), time.monotonic() - start, written)


def _side(size: float, grid: Grid) -> int:
    """Pixels a side of boxes of `size` metres."""
    pixel = ground_resolution(grid) or math.sqrt(abs(grid.transform.determinant))
    if not (size > 0 and math.isfinite(size)):
        raise UsageError(f"size {size}: give a number above 0.")
    side = size / pixel
    if side < 1:
        raise UsageError(f"size {size:g}: a pixel is {pixel:.3g} wide; give more.")
    # No box is larger than the scene.
    return round(min(side, max(grid.height, grid.width)))


def _open_scene(path: StrPath, probability: Scene) -> Scene:
    scene = open_scene(path)
    if not scene.grid.is_at(probability.grid):
        raise SceneError(
            f"{path}: it is not on the grid of {probability.path}; give the scene of that "
            "inference."
        )
    return scene


def _read(
    raster: Scene, old_map: Labels | None, side: int, progress: Progress
) -> Iterator[tuple[Window, np.ndarray, np.ndarray | None]]:
    """The row bands of the boxes, with their probabilities and the classes of a map."""
    with progress("reviewing", raster.window.pixels, "px") as bar:
        for window in box_bands(raster.height, raster.width, side):
            classes = None if old_map is None else old_map.read(window)
            yield window, raster.read(window)[0][0], classes
            bar.advance(window.pixels)


def _page_of(found: Sequence[Box], scene: Scene, raster: Scene, side: int) -> bytes:
    from geofcn.active_learning.page import page_of  # what draws takes time to import

    return page_of(found, scene, raster, side)


def _features(found: Sequence[Box], grid: Grid) -> FeatureBatch:
    """Boxes as polygons in CRS coordinates with their columns."""
    squares = np.array([_square(box.window, grid.transform) for box in found], dtype=object)
    areas, _ = Ground(grid.crs).measure(squares)
    pixel = areas / [box.window.pixels for box in found]
    columns = {
        "id": np.array([box.number for box in found], np.int64),
        "rank": np.arange(1, len(found) + 1),
        "reason": np.array([box.reason for box in found], dtype=object),
        "wrong_m2": pixel * [box.wrong for box in found],
        "houses_m2": pixel * [box.houses for box in found],
        "area_m2": areas,
    }
    return FeatureBatch(squares, columns)


def _square(window: Window, transform: Affine) -> shapely.Polygon:
    left, top, right, bottom = window.col, window.row, window.right, window.bottom
    corners = ((left, top), (left, bottom), (right, bottom), (right, top))
    return shapely.Polygon([transform * corner for corner in corners])

"""Open rasters for reading: what a file says of itself becomes a `Scene`, or a sentence."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import ColorInterp

from geofcn.core.grid import Grid
from geofcn.errors import SceneError, UsageError
from geofcn.io.blank import alpha_bands, is_mask, masked_bands
from geofcn.io.datasets import identity, shared_dataset
from geofcn.io.drivers import driver_of
from geofcn.io.files import StrPath, is_missing, no_such_file
from geofcn.io.gdal import GDAL_ERRORS, reason_of
from geofcn.io.scene import FileBand, Scene

# Endings of files of shapes, which are given for a scene by mistake.
SHAPES = (".gpkg", ".geojson", ".json", ".fgb", ".parquet", ".shp", ".kml", ".gml")
MAX_BLOCK_BYTES = 512 * 2**20
MAX_PIXELS = 2**42
# A hyperspectral scene has some hundreds; what says that it has more is damaged.
MAX_BANDS = 1024

log = logging.getLogger(__name__)


def open_scene(
    path: StrPath, nodata: float | None = None, bands: Sequence[int] | None = None
) -> Scene:
    """Open a raster of colours: it is checked, and of its pixels only alpha is looked at.

    A palette's indices are read as the colours that they stand for. An alpha band that holds no
    mask is not taken for one, with a warning in the log.

    Parameters
    ----------
    path : path
        A file, a URL or a /vsi path; or many sheets: a folder, a pattern or a list, see
        `geofcn.io.sheets.find_sheets`.
    nodata : float, optional
        A pixel with this value in every band is blank, besides what the file declares.
    bands : sequence of int, optional
        1-based numbers of the bands to look at, in their order; default: all but alpha.

    Raises
    ------
    SceneError
        Where the path is no raster that geofcn can use.
    UsageError
        For bands that it does not have.
    """

    def scene_of(dataset: rasterio.DatasetReader) -> Scene:
        palette = _palette(dataset)
        about = _file_bands(dataset, bool(palette))
        chosen = _check_bands(path, bands, len(about)) if bands else _colours(about)
        false_masks = tuple(
            alpha
            for alpha in alpha_bands(dataset)
            if alpha not in chosen and not is_mask(dataset, alpha)
        )
        return replace(
            _scene_of(os.fspath(path), dataset, chosen, about, palette, false_masks),
            nodata=nodata,
            named=bool(bands),
        )

    scene = _opened(path, scene_of)
    if scene.false_masks and not scene.named:
        _tell_false_masks(scene)
    return scene


def open_raster(path: StrPath) -> Scene:
    """Open a raster of classes or other figures: the values of a palette stay as they are.

    Raises
    ------
    SceneError
        Where the path is no raster that geofcn can use.
    """

    def scene_of(dataset: rasterio.DatasetReader) -> Scene:
        about = _file_bands(dataset, is_expanded=False)
        return _scene_of(os.fspath(path), dataset, _colours(about), about)

    return _opened(path, scene_of)


def _opened(path: StrPath, scene_of: Callable[[rasterio.DatasetReader], Scene]) -> Scene:
    name = os.fspath(path)
    try:
        found = identity(name)
        with shared_dataset(name, found) as dataset:
            return replace(scene_of(dataset), identity=found)
    except UsageError:
        raise
    except (*GDAL_ERRORS, ValueError) as error:  # the latter for what can be no name of a file
        raise SceneError(_why_not_open(name, error)) from error


def _scene_of(
    path: str,
    dataset: rasterio.DatasetReader,
    bands: tuple[int, ...],
    file_bands: tuple[FileBand, ...],
    palette: tuple[tuple[int, ...], ...] = (),
    false_masks: tuple[int, ...] = (),
) -> Scene:
    _refuse_odd(path, dataset, bands, file_bands)
    scene = Scene(
        path=path,
        grid=Grid(dataset.height, dataset.width, dataset.crs, dataset.transform),
        bands=bands,
        file_bands=file_bands,
        block_shape=dataset.block_shapes[0],
        driver=dataset.driver,
        compression=dataset.compression.value if dataset.compression else None,
        false_masks=false_masks,
        palette=palette,
        declared=dataset.nodata,
    )
    return replace(scene, masked=_can_be_blank(scene, dataset))


def _can_be_blank(scene: Scene, dataset: rasterio.DatasetReader) -> bool:
    return (
        any(dataset.nodatavals[band - 1] is not None for band in scene._stored)
        or bool(scene._alphas(dataset) or masked_bands(dataset, scene._stored))
        or any(alpha == 0 for *_, alpha in scene.palette)
    )


def _colours(file_bands: Sequence[FileBand]) -> tuple[int, ...]:
    return tuple(n for n, band in enumerate(file_bands, 1) if band.colour != ColorInterp.alpha.name)


def _file_bands(dataset: rasterio.DatasetReader, is_expanded: bool) -> tuple[FileBand, ...]:
    if is_expanded:
        return tuple(FileBand(colour, "uint8") for colour in ("red", "green", "blue", "alpha"))
    names = (colour.name for colour in dataset.colorinterp)
    return tuple(
        map(
            FileBand, names, dataset.dtypes, map(float, dataset.scales), map(float, dataset.offsets)
        )
    )


def _palette(dataset: rasterio.DatasetReader) -> tuple[tuple[int, ...], ...]:
    """Red, green, blue and alpha of every value that a paletted first band can have."""
    if ColorInterp.palette not in dataset.colorinterp[:1]:
        return ()
    colours = dataset.colormap(1)
    values = np.iinfo(dataset.dtypes[0]).max + 1
    return tuple(colours.get(value, (0, 0, 0, 0)) for value in range(values))


def _check_bands(path: StrPath, bands: Sequence[int], count: int) -> tuple[int, ...]:
    chosen = tuple(bands)
    if len(set(chosen)) < len(chosen) or not all(1 <= band <= count for band in chosen):
        raise UsageError(
            f"{path}: bands {','.join(map(str, chosen))}: give different numbers from 1 to {count}."
        )
    return chosen


def _tell_false_masks(scene: Scene) -> None:
    """Say that a band which is called alpha is something else, and how it can be put to use."""
    alpha, bands = scene.false_masks[0], ",".join(map(str, scene.bands))
    log.warning(
        "%s: its band %d is called alpha but holds many values, as near infrared does, so it is "
        "not taken for a mask; give --bands %s,%d to look at it as well, --bands %s not to.",
        scene.path,
        alpha,
        bands,
        alpha,
        bands,
    )


def _why_not_open(path: str, error: Exception) -> str:
    if is_missing(path):
        return no_such_file(path)
    local = Path(path)
    if local.suffix.lower() == ".zip" and local.exists():
        return f"{path}: name the raster inside the archive, as in zip://{path}!scene.tif."
    if local.suffix.lower() in SHAPES and driver_of(path) is None:
        return (
            f"{path}: this holds shapes, and a raster is wanted here; if these are the labels, "
            "scene and labels are swapped."
        )
    return f"{path}: this cannot be opened as a raster ({reason_of(error)}); give a GeoTIFF."


def _refuse_odd(
    path: str,
    dataset: rasterio.DatasetReader,
    bands: Sequence[int],
    file_bands: Sequence[FileBand],
) -> None:
    """Raise SceneError for what would be read wrong, or would not fit in any memory."""
    if dataset.count == 0:
        raise SceneError(
            f"{path}: it holds no band of its own; name one of its subdatasets "
            f"({', '.join(dataset.subdatasets[:3]) or 'see gdalinfo'})."
        )
    if dataset.gcps[0] and dataset.crs is None:
        raise SceneError(
            f"{path}: it is placed by ground control points only; make a north-up raster of it "
            "with `gdalwarp` first."
        )
    rows, cols = dataset.block_shapes[0]
    block = rows * cols * np.dtype(dataset.dtypes[0]).itemsize * dataset.count
    if block > MAX_BLOCK_BYTES:
        raise SceneError(
            f"{path}: one of its blocks takes {block / 2**20:,.0f} MB; rewrite it in tiles with "
            "`gdal_translate -co TILED=YES`."
        )
    if dataset.width * dataset.height > MAX_PIXELS:
        raise SceneError(
            f"{path}: {dataset.width} x {dataset.height} pixels are more than geofcn takes; cut "
            "it with `gdal_translate -srcwin`."
        )
    if not bands:
        raise SceneError(f"{path}: its only band is alpha, a mask; give a raster with colours.")
    if len(bands) > MAX_BANDS:
        raise SceneError(
            f"{path}: it has {len(bands):,} bands, geofcn takes {MAX_BANDS:,} at the most; make a "
            "raster of those that matter with `gdal_translate -b`."
        )
    _, dtypes, scales, offsets = zip(*(file_bands[band - 1] for band in bands), strict=True)
    if len(set(dtypes)) > 1 or np.dtype(dtypes[0]).kind == "c":
        raise SceneError(
            f"{path}: its bands have the types {', '.join(dtypes)}; geofcn needs one real "
            "type for all (see `gdal_translate -ot`)."
        )
    if not (all(scales) and np.isfinite([*scales, *offsets]).all()):
        raise SceneError(
            f"{path}: it declares a scale of 0, or that is no number; set it by "
            "`gdal_edit.py -scale 1 -offset 0`."
        )

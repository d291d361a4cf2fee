"""What a finished GeoTIFF says of itself, compared with what it was asked to say."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import rasterio
from rasterio.crs import CRS
from rasterio.warp import transform

from geofcn.core.grid import SAME, Grid
from geofcn.io.gdal import GDAL_ERRORS

if TYPE_CHECKING:
    from geofcn.io.raster_writer import Band

# GDAL keeps what a GeoTIFF cannot hold in a file beside it, which is not looked at.
WITHOUT_SIDE_FILES = {"GDAL_PAM_ENABLED": "NO"}


def first_difference(
    dataset: rasterio.DatasetReader, grid: Grid, band: Band, tags: Mapping[str, str]
) -> str | None:
    """What a raster lacks, or says otherwise than it was asked to; None where there is nothing.

    Parameters
    ----------
    dataset : DatasetReader
        The raster, opened WITHOUT_SIDE_FILES.
    grid, band, tags
        What it should say.
    """
    kept = {
        "CRS": _is_same_crs(dataset.crs, grid),
        "transform": grid.is_at(Grid(grid.height, grid.width, grid.crs, dataset.transform)),
        "nodata value": all(_is_same(value, band.nodata) for value in dataset.nodatavals),
        "description": dataset.descriptions[0] == band.description,
        "scale": all(_is_same(scale, band.scale or 1.0) for scale in dataset.scales),
        "colours": not band.colours or _has_colours(dataset, band.colours),
        "tags": tags.items() <= dataset.tags().items(),
    }
    return next((name for name, is_kept in kept.items() if not is_kept), None)


def _is_same(value: float | None, asked: float | None) -> bool:
    if value is None or asked is None:
        return value is asked
    return value == asked or (math.isnan(value) and math.isnan(asked))


def _has_colours(
    dataset: rasterio.DatasetReader, colours: Mapping[int, tuple[int, int, int]]
) -> bool:
    palette = dataset.colormap(1)
    return all(palette[value][:3] == tuple(colour) for value, colour in colours.items())


def _is_same_crs(written: CRS | None, grid: Grid) -> bool:
    """Whether a CRS is the grid's, or puts its corners in the same places under another name."""
    if written == grid.crs:
        return True
    if written is None or grid.crs is None:
        return False
    corners = [(0, 0), (grid.width, 0), (0, grid.height), (grid.width, grid.height)]
    xs, ys = zip(*(grid.transform * corner for corner in corners), strict=True)
    try:
        there = zip(*transform(written, grid.crs, xs, ys), strict=True)
    except GDAL_ERRORS:
        return False
    moved = (~grid.transform * place for place in there)
    return all(
        math.dist(place, corner) <= SAME for place, corner in zip(moved, corners, strict=True)
    )

"""Polygons read from vector files of any format."""

from __future__ import annotations

import warnings
from pathlib import Path

import geopandas
import pyogrio

from geofcn.errors import LabelsError
from geofcn.io.files import is_missing, is_special, no_ordinary_file, no_such_file

RASTER_SUFFIXES = (".tif", ".tiff", ".vrt", ".png", ".jp2", ".img")
# Shapely's type ids of polygons and multipolygons.
AREAL = (3, 6)


def is_raster_path(path: str) -> bool:
    """Whether a file of labels or predictions is a raster, by its ending.

    Examples
    --------
    >>> is_raster_path("labels.TIF"), is_raster_path("labels.gpkg")
    (True, False)
    """
    return Path(path).suffix.lower() in RASTER_SUFFIXES


def no_crs(path: str) -> LabelsError:
    """The error of a vector file that states no CRS."""
    return LabelsError(
        f"{path}: it states no CRS, so its place is unknown; set it, for instance with "
        "`ogr2ogr -a_srs`."
    )


def read_vectors(path: str) -> geopandas.GeoDataFrame:
    """The shapes of a vector file, with its column `score` if it has one.

    Parameters
    ----------
    path : str
        Any format that GDAL reads (its first layer), or GeoParquet.

    Returns
    -------
    GeoDataFrame
        Shapes of any type in the file's own CRS, which may be None.

    Raises
    ------
    LabelsError
        Where the file cannot be read or holds no shapes.
    """
    if is_missing(path):
        raise LabelsError(no_such_file(path))
    if is_special(path):
        raise LabelsError(no_ordinary_file(path))
    try:
        if Path(path).suffix.lower() == ".parquet":
            # pyogrio's wheels have no Parquet driver.
            frame = geopandas.read_parquet(path)
            return frame[[name for name in ("score", frame.geometry.name) if name in frame]]
        with warnings.catch_warnings():
            # A GeoPackage of ours has its style in a second layer.
            warnings.filterwarnings("ignore", "More than one layer found")
            frame = pyogrio.read_dataframe(path, columns=["score"])
    except Exception as error:  # pyogrio raises several unrelated classes
        raise LabelsError(
            f"{path}: it cannot be read as polygons ({error}); give a vector file, or a raster "
            f"ending in one of {', '.join(RASTER_SUFFIXES)}."
        ) from error
    if "geometry" not in frame:
        raise LabelsError(f"{path}: it is a table without shapes; give polygons of houses.")
    return frame

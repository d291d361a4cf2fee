"""Polygons read from vector files of any format."""

from __future__ import annotations

import warnings
from pathlib import Path

import geopandas
import pyogrio

from geofcn.errors import LabelsError

RASTER_SUFFIXES = (".tif", ".tiff", ".vrt", ".png", ".jp2", ".img")


def read_vectors(path: str) -> geopandas.GeoDataFrame:
    """The shapes of a vector file, with its column `score` if it has one.

    Raises LabelsError where the file cannot be read or holds no shapes.
    """
    if "://" not in path and not path.startswith("/vsi") and not Path(path).exists():
        raise LabelsError(f"{path}: there is no such file; check the path.")
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

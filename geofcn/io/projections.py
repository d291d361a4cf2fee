"""PROJ's data: that of rasterio and pyproj themselves, not of another installation.

conda, QGIS and PostGIS leave PROJ_DATA or PROJ_LIB in the environment. With the database of another
version GDAL takes a CRS for a plan without a place, and areas in its units for areas on the ground.
"""

from __future__ import annotations

import logging
import os
from functools import lru_cache

import pyproj
import rasterio
from pyproj.exceptions import CRSError as PyprojError
from rasterio.crs import CRS
from rasterio.errors import CRSError

from geofcn.errors import SceneError
from geofcn.io.gdal import RASTER_OPTIONS

NAMES = ("PROJ_DATA", "PROJ_LIB")
# Two CRS by which the data are judged, and what they are.
KNOWN = {4326: ("WGS 84", False), 32632: ("WGS 84 / UTM zone 32N", True)}

log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def check_projections() -> None:
    """Check once in a process that rasterio and pyproj know what EPSG codes mean.

    Where the environment leads them to data of another PROJ it is taken out of the environment, of
    this process and of those that it starts, with a warning in the log.

    Raises
    ------
    SceneError
        Where that does not help.
    """
    if _are_right():
        return
    foreign = {name: os.environ.pop(name) for name in NAMES if name in os.environ}
    if not _are_right():
        raise SceneError(
            "PROJ: its data are missing or of another version, so no CRS can be told; install "
            "rasterio and pyproj anew, and leave PROJ_DATA and PROJ_LIB unset."
        )
    for name, path in foreign.items():
        log.warning("%s: %s is of another PROJ; the data of rasterio are used.", name, path)


def _are_right() -> bool:
    """Whether rasterio and pyproj both find the CRS of KNOWN to be what they are."""
    try:
        # In a new block rasterio looks for its data again.
        with rasterio.Env(**RASTER_OPTIONS):
            found = {code: CRS.from_epsg(code) for code in KNOWN}
            by_rasterio = {c: (_name(crs), crs.is_projected) for c, crs in found.items()}
        ours = {code: pyproj.CRS.from_epsg(code) for code in KNOWN}
    except (CRSError, PyprojError):
        return False
    by_pyproj = {code: (crs.name, crs.is_projected) for code, crs in ours.items()}
    return by_rasterio == by_pyproj == KNOWN


def _name(crs: CRS) -> str:
    """The name of a CRS as its WKT gives it."""
    return str(crs.to_wkt().split('"')[1])

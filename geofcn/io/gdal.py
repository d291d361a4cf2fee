"""GDAL's environment for reading and writing rasters."""

from __future__ import annotations

# Settings of the environment that break reads silently are forced off. GDAL's block cache would
# take 5 % of the machine's memory; rasterio counts it in bytes.
GDAL_OPTIONS = {
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GDAL_DISABLE_READDIR_ON_OPEN": "FALSE",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_CACHEMAX": 128 * 2**20,
}

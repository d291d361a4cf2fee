"""GDAL's settings for rasters and vectors, whatever the environment says."""

from __future__ import annotations

from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

# What GDAL's errors come as: rasterio does not wrap all of them.
GDAL_ERRORS = (RasterioError, CPLE_BaseError)
# Of GDAL's block cache, which would take 5 % of the machine's memory.
CACHE_BYTES = 128 * 2**20
# Drivers that write, send requests or run a program when they should read. GDAL takes this in when
# it registers its drivers, which it does once in a process.
SKIPPED_DRIVERS = (
    "MRF", "WMS", "WMTS", "WCS", "WFS", "OAPIF", "OGCAPI", "CSW", "HTTP", "DAAS", "EEDA", "EEDAI",
    "PLMOSAIC", "PLSCENES", "STACIT", "STACTA", "KMLSUPEROVERLAY", "NGW", "GDALG", "GMLAS", "Carto",
    "AmigoCloud", "Elasticsearch", "MongoDBv3", "PostgreSQL", "PostGISRaster", "PGDump", "MySQL",
    "MSSQLSpatial", "ODBC", "PGeo", "OCI", "GeoRaster", "HANA", "TileDB", "RDB", "Rasterlite",
)  # fmt: skip
# For rasters: settings of the environment that break reads silently are forced off. rasterio counts
# the cache in bytes.
RASTER_OPTIONS = {
    "GTIFF_IGNORE_READ_ERRORS": "NO",
    "GDAL_DISABLE_READDIR_ON_OPEN": "FALSE",
    "GDAL_VRT_ENABLE_PYTHON": "NO",
    "GDAL_CACHEMAX": CACHE_BYTES,
    "GDAL_SKIP": " ".join(SKIPPED_DRIVERS),
}
# For sheets, of which a folder may hold thousands: what lies beside one is asked for by its name.
SHEET_OPTIONS = RASTER_OPTIONS | {"GDAL_DISABLE_READDIR_ON_OPEN": "TRUE"}
# To look at the headers of all: the CRS of a GeoTIFF is not compared with that of the registry.
HEADER_OPTIONS = SHEET_OPTIONS | {"GTIFF_SRS_SOURCE": "GEOKEYS"}
# GDAL's names of types that numpy calls otherwise.
GDAL_TYPES = {
    "uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32",
    "int32": "Int32", "uint64": "UInt64", "int64": "Int64", "float32": "Float32",
    "float64": "Float64",
}  # fmt: skip
# What asks for a time gets this one: equal polygons must make equal files.
NO_DATE = "1970-01-01T00:00:00.000Z"
# For vectors.
VECTOR_OPTIONS = {
    "OGR_CURRENT_DATE": NO_DATE,  # a GeoPackage is stamped with the time
    # Bytes for a GeoPackage's spatial index in the making; by default a tenth of all memory.
    "OGR_GPKG_MAX_RAM_USAGE_RTREE": "64000000",
}


def reason_of(error: BaseException) -> str:
    """What GDAL says of an error, in one line; without rasterio's advice to programmers."""
    text, _, _ = str(error.__cause__ or error).partition("To debug: ")
    return " ".join(text.split())

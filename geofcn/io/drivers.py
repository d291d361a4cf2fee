"""Which of GDAL's drivers opens a raster: the one that its name says, and no other.

GDAL tries every driver on every file, and a small text file under any name can be a VRT that reads
other files, an MRF that writes its cache over one, or a WMS that sends requests. `RASTER_OPTIONS`
takes such drivers away before GDAL registers them, which it does once in a process; what is opened
here besides is checked by its name and its first bytes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from stat import S_ISREG
from urllib.parse import urlsplit

import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError

from geofcn.errors import SceneError
from geofcn.io.files import (
    absolute,
    file_mode,
    is_elsewhere,
    is_special_mode,
    no_ordinary_file,
)

# By the ending of a raster's name.
DRIVERS = {
    ".tif": "GTiff",
    ".tiff": "GTiff",
    ".vrt": "VRT",
    ".gti": "GTI",
    ".gti.gpkg": "GTI",
    ".jp2": "JP2OpenJPEG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".bmp": "BMP",
    ".img": "HFA",
    ".asc": "AAIGrid",
    ".bil": "EHdr",
    ".bsq": "ENVI",
    ".dat": "ENVI",
}
# Drivers whose rasters consist of others.
COLLECTIONS = ("VRT", "GTI")
# Files beside a raster in which GDAL looks for its mask and its overviews: TIFFs.
TIFF_SIDES = (".msk", ".ovr", ".msk.ovr")
TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def driver_of(path: str) -> str | None:
    """The driver that the ending of a file, a URL or a GDAL path says; None where it says none.

    Examples
    --------
    >>> driver_of("Scene.TIF"), driver_of("tiles.gti.gpkg"), driver_of("houses.gpkg")
    ('GTiff', 'GTI', None)
    >>> driver_of("https://example.org/scene.tif?sig=a.b&se=1")
    'GTiff'
    """
    if "://" in path:
        path = urlsplit(path).path
    elif path.startswith("/vsi"):
        path = path.partition("?")[0]
    name = path.lower()
    return next((driver for ending, driver in DRIVERS.items() if name.endswith(ending)), None)


def refuse_disguised(path: str) -> None:
    """Check a local raster, and mask and overviews beside it, before GDAL looks at them.

    Raises
    ------
    SceneError
        For a VRT, or another raster of XML, under the name of something else; for a mask or
        overviews that are no TIFF; for a pipe or a device, which would be waited for.
    """
    head = _head(path)
    if head and driver_of(path) not in COLLECTIONS:
        _refuse_xml(path, head)
    for side in (path + ending for ending in TIFF_SIDES):
        head = _head(side)
        if head is not None and not head.startswith(TIFF_STARTS):
            raise SceneError(
                f"{side}: it is no TIFF, as the masks and overviews beside a raster are; remove it."
            )


def refuse_disguised_sources(
    dataset: rasterio.DatasetReader, named_by: tuple[str, ...] = ()
) -> None:
    """Check the local files that a VRT names, and those that these name.

    Parameters
    ----------
    dataset : rasterio.DatasetReader
        The collection.
    named_by : tuple of str
        The collections by way of which it is reached.

    Raises
    ------
    SceneError
        For one whose name says no driver of DRIVERS, or that is something else than it says; for
        VRTs that name each other in a circle.
    """
    if dataset.driver not in COLLECTIONS:
        return
    above = (*named_by, absolute(dataset.name))
    for source in _sources(dataset.files):
        if driver_of(source) is None:
            raise SceneError(
                f"{dataset.name}: it names {source}, which ends in none of {', '.join(DRIVERS)}; "
                "convert that with `gdal_translate`."
            )
        if driver_of(source) == "GTI":
            raise SceneError(
                f"{dataset.name}: it names a tile index, {source}; make it of the rasters "
                "themselves with `gdalbuildvrt`."
            )
        refuse_disguised(source)
        if absolute(source) in above:
            raise SceneError(
                f"{above[0]}: it names itself, by way of {dataset.name}; make it anew with "
                "`gdalbuildvrt`."
            )
        if driver_of(source) == "VRT":
            with rasterio.open(source, driver="VRT") as inner:
                refuse_disguised_sources(inner, above)


def _sources(files: Sequence[str]) -> list[str]:
    """Of all files of a collection, itself the first, those that it is made of."""
    sides = (*TIFF_SIDES, ".aux.xml")
    return [name for name in files[1:] if name != files[0] and not name.lower().endswith(sides)]


def _refuse_xml(path: str, head: bytes) -> None:
    if b"<VRTDataset" in head:
        raise SceneError(f"{path}: this is a VRT under another name; rename it to end in .vrt.")
    if head.lstrip().startswith(b"<"):
        raise SceneError(f"{path}: this is a text file under the name of a raster; remove it.")


def _head(path: str) -> bytes | None:
    """As many of a file's first bytes as GDAL looks at to tell what it is; None for no file here.

    Raises
    ------
    SceneError
        For a pipe or a device.
    """
    mode = file_mode(path)  # asked once: there may be thousands of sheets
    if is_special_mode(mode):
        raise SceneError(no_ordinary_file(path))
    if not S_ISREG(mode):
        return None
    with open(path, "rb") as file:
        return file.read(1024)


def open_raster(path: str) -> rasterio.DatasetReader:
    """Open a raster with the one driver that its name says; to be called within a `rasterio.Env`.

    Raises
    ------
    RasterioError, CPLE_BaseError
        Where it cannot be opened.
    SceneError
        For what is something else than its name says.
    """
    driver = driver_of(path)
    refuse_disguised(path)
    if driver is None:
        raise RasterioIOError(f"its name ends in none of {', '.join(DRIVERS)}")
    with warnings.catch_warnings():
        # That a raster has no place on the ground is seen from its `crs` and said where it matters.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = _opened(path, driver)
    try:
        refuse_disguised_sources(dataset)
    except Exception:
        dataset.close()
        raise
    return dataset


def _opened(path: str, driver: str) -> rasterio.DatasetReader:
    """`rasterio.open` also looks for the credentials of servers, a third of the time of a file."""
    if is_elsewhere(path):
        return rasterio.open(path, driver=driver)
    return rasterio.DatasetReader(path, driver=driver)

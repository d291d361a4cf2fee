"""One raster of many sheets: an index for GDAL's driver of tile indexes (GTI), kept in memory.

GDAL leaves the place of a sheet that it cannot open blank, without an error. So the index names no
sheet, but for each the text of a small VRT: that always opens, and reading it fails where its file
does. These VRTs also say where the sheets lie in whole pixels of the frame.

Source: https://gdal.org/en/stable/drivers/raster/gti.html
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import uuid4
from xml.etree.ElementTree import Element, SubElement, tostring
from xml.sax.saxutils import escape

import numpy as np
import rasterio
import shapely
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from geofcn.io.blank import alpha_bands, is_mask
from geofcn.io.drivers import driver_of, open_raster
from geofcn.io.files import absolute
from geofcn.io.gdal import GDAL_TYPES
from geofcn.io.identity import Files, files_behind
from geofcn.io.sheet_headers import (
    Frame,
    Sheet,
    SheetBand,
    SheetKind,
    frame_of,
    read_headers,
    refuse_unlike,
)
from geofcn.io.sheets import find_sheets, is_index

LAYER, LOCATION, ORDER = "sheets", "location", "rank"
ALPHA = "alpha"
# By how much the outlines of sheets are smaller on each side, in pixels.
SHRUNK = 0.25
# In the text of a VRT, what is another one in that of the next sheet.
PLACE, PATH, OPTIONS = "\nplace", "\npath", "\noptions"
# The place of a sheet is known, so its CRS, half the time of opening a GeoTIFF, is not looked for.
TIFF_OPTIONS = '<OpenOptions><OOI key="GEOREF_SOURCES">NONE</OOI></OpenOptions>'


@dataclass(frozen=True)
class SheetSurvey:
    """How sheets lie.

    Attributes
    ----------
    count : int
        Sheets.
    gap_share : float
        Of their frame, without a sheet, 0 to 1.
    overlap_share : float
        Of their frame, with more than one; where three lie on each other that counts twice.
    """

    count: int
    gap_share: float
    overlap_share: float


@dataclass(frozen=True)
class _TileIndex:
    """The index of some sheets, in GDAL's memory as long as this is kept."""

    files: Files
    survey: SheetSurvey
    parts: tuple[MemoryFile, MemoryFile]

    def open(self) -> rasterio.DatasetReader:
        return rasterio.open(self.parts[1].name, driver="GTI", num_threads=1)


_indexes: dict[str, _TileIndex] = {}
_lock = threading.Lock()


def open_sheets(name: str) -> tuple[rasterio.DatasetReader, Files]:
    """Open many sheets as one raster; and the state in which their files were found before.

    They lie over each other in the order of `geofcn.io.sheets.find_sheets`, the last one on top:
    where its mask or alpha says that a pixel is blank, or a band has its nodata value, what lies
    below shows. What no sheet covers is blank.

    Parameters
    ----------
    name : str
        A folder, a pattern or a list.

    Raises
    ------
    SceneError
        Where there are no sheets, or some are missing, damaged or unlike the others.
    RasterioError, CPLE_BaseError
        Where GDAL cannot open their index.
    """
    index = _index(name)
    return index.open(), index.files


def files_of_sheets(name: str) -> Files:
    """All files of the sheets that there are now, and their state."""
    _, files = _found(name)
    return files


def survey_sheets(name: str) -> SheetSurvey:
    """How sheets lie; raises what `open_sheets` does."""
    return _index(name).survey


def _index(name: str) -> _TileIndex:
    """The index of the sheets as they are now: made once, and anew where one has changed."""
    with _lock:
        sheets, files = _found(name)
        known = _indexes.get(name)
        if known is None or known.files != files:
            known = _indexes[name] = _make_index(name, sheets, files)
        return known


def _found(name: str) -> tuple[list[str], Files]:
    """The sheets in their order, and all files that are read with them."""
    sheets = [absolute(sheet) for sheet in find_sheets(name)]
    return sheets, files_behind([name] if is_index(name) else sheets)


def _make_index(name: str, paths: Sequence[str], files: Files) -> _TileIndex:
    sheets = read_headers(name, paths, open_raster)
    refuse_unlike(name, sheets)
    frame = frame_of(name, sheets)
    survey = SheetSurvey(len(sheets), *frame.coverage())
    index = _TileIndex(files, survey, _written(sheets, frame, survey, alpha_is_mask=True))
    with index.open() as dataset:
        if all(is_mask(dataset, alpha) for alpha in alpha_bands(dataset)):
            return index
    # GDAL would leave out pixels where it is 0.
    return _TileIndex(files, survey, _written(sheets, frame, survey, alpha_is_mask=False))


def _written(
    sheets: Sequence[Sheet], frame: Frame, survey: SheetSurvey, alpha_is_mask: bool
) -> tuple[MemoryFile, MemoryFile]:
    """The files of an index: a GeoPackage of the sheets, and what says of them all."""
    import pyogrio.raw  # slow to import

    kind, buffer = sheets[0].kind, io.BytesIO()
    pixel = frame.transform
    west, north = pixel.c + pixel.a * frame.places[:, 0], pixel.f + pixel.e * frame.places[:, 1]
    corners = zip(west.tolist(), north.tolist(), strict=True)
    vrts = [
        _vrt(sheet, corner, pixel, alpha_is_mask)
        for sheet, corner in zip(sheets, corners, strict=True)
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it has no CRS: the other file says which
        pyogrio.raw.write(
            buffer,
            shapely.to_wkb(_outlines(frame)),
            [np.array(vrts, object), np.arange(len(vrts))],
            [LOCATION, ORDER],
            driver="GPKG",
            layer=LAYER,
            geometry_type="Polygon",
            crs=None,
        )
    folder = uuid4().hex
    index = MemoryFile(buffer.getvalue(), dirname=folder, filename="index.gpkg")
    has_nodata = any(band.nodata is not None for band in kind.bands)
    has_alpha = alpha_is_mask and any(band.colour == ALPHA for band in kind.bands)
    says_blank = has_nodata or has_alpha or survey.gap_share == 0
    masked = any(sheet.masked for sheet in sheets) or not says_blank
    described = tostring(_description(sheets, frame, index.name, masked))
    return index, MemoryFile(described, dirname=folder, filename="index.gti")


def _outlines(frame: Frame) -> np.ndarray:
    """Where GDAL looks for sheets: (n,) polygons, a bit smaller than these.

    A sheet that a window only touches would be found as well, and GDAL 3.10 leaves out all that lie
    over it in its order, also those that the window is in: they would be blank.
    """
    left, top, right, low = (frame.places + np.multiply(SHRUNK, (1, 1, -1, -1))).T
    pixel = frame.transform
    west, east = pixel.c + pixel.a * left, pixel.c + pixel.a * right
    return shapely.box(west, pixel.f + pixel.e * low, east, pixel.f + pixel.e * top)


def _vrt(sheet: Sheet, corner: tuple[float, float], pixel: Affine, alpha_is_mask: bool) -> str:
    """The text of a VRT of one sheet, at its place."""
    west, north = corner
    place = ", ".join(map(repr, map(float, (west, pixel.a, 0, north, 0, pixel.e))))
    size = sheet.height, sheet.width
    is_tiff = driver_of(sheet.path) == "GTiff"
    text = _vrt_text(sheet.kind, size, sheet.block_shape, sheet.masked, alpha_is_mask)
    text = text.replace(OPTIONS, TIFF_OPTIONS if is_tiff else "")
    return text.replace(PLACE, place).replace(PATH, escape(sheet.path))


@lru_cache(maxsize=64)
def _vrt_text(
    kind: SheetKind,
    size: tuple[int, int],
    block_shape: tuple[int, int],
    masked: bool,
    alpha_is_mask: bool,
) -> str:
    """What VRTs of sheets have in common, with words for what they have not: few are unlike."""
    height, width = map(str, size)
    root = Element("VRTDataset", rasterXSize=width, rasterYSize=height)
    SubElement(root, "GeoTransform").text = PLACE
    for number, band in enumerate(kind.bands, 1):
        colour = band.colour if alpha_is_mask or band.colour != ALPHA else "undefined"
        added = _add_band(root, number, band, colour)
        _add_source(added, size, block_shape, str(number), band.dtype)
    if masked:
        mask = SubElement(SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")
        _add_source(mask, size, block_shape, "mask,1", "uint8")
    return tostring(root, "unicode")


def _add_source(
    parent: Element, size: tuple[int, int], block_shape: tuple[int, int], band: str, dtype: str
) -> None:
    source = SubElement(parent, "SimpleSource")
    SubElement(source, "SourceFilename", relativeToVRT="0").text = PATH
    SubElement(source, "SourceBand").text = band
    source[-1].tail = OPTIONS
    rows, cols = block_shape
    height, width = map(str, size)
    # With these it is not opened before it is read.
    SubElement(
        source,
        "SourceProperties",
        RasterXSize=width,
        RasterYSize=height,
        DataType=GDAL_TYPES[dtype],
        BlockXSize=str(cols),
        BlockYSize=str(rows),
    )
    for part in ("SrcRect", "DstRect"):
        SubElement(source, part, xOff="0", yOff="0", xSize=width, ySize=height)


def _description(sheets: Sequence[Sheet], frame: Frame, index: str, masked: bool) -> Element:
    """All that a raster says once, in the driver's own words."""
    kind, transform = sheets[0].kind, frame.transform
    root = Element("GDALTileIndexDataset")
    rows, cols = (max(sides) for sides in zip(*(s.block_shape for s in sheets), strict=True))
    place = transform.c, transform.a, 0.0, transform.f, 0.0, transform.e
    facts: dict[str, Any] = {
        "IndexDataset": index,
        "IndexLayer": LAYER,
        "LocationField": LOCATION,
        "SortField": ORDER,
        "XSIZE": frame.width,
        "YSIZE": frame.height,
        "GEOTRANSFORM": ",".join(map(repr, map(float, place))),
        "BLOCKXSIZE": cols,
        "BLOCKYSIZE": rows,
        "MaskBand": str(masked).lower(),
    }
    if kind.crs is not None:
        facts["SRS"] = kind.crs_wkt
    for name, value in facts.items():
        SubElement(root, name).text = str(value)
    for number, band in enumerate(kind.bands, 1):
        added = _add_band(root, number, band, band.colour)
        SubElement(added, "Scale").text = repr(band.scale)
        SubElement(added, "Offset").text = repr(band.offset)
        if number == 1 and kind.palette:
            table = SubElement(added, "ColorTable")
            for colour in kind.palette:
                SubElement(table, "Entry", {f"c{n}": str(c) for n, c in enumerate(colour, 1)})
    metadata = SubElement(root, "Metadata")
    for key, value in _common_tags(sheets).items():
        SubElement(metadata, "MDI", key=key).text = value
    return root


def _add_band(root: Element, number: int, band: SheetBand, colour: str) -> Element:
    """A band of the index or of a VRT: they are described in the same words, but for this one."""
    name = "Band" if root.tag == "GDALTileIndexDataset" else "VRTRasterBand"
    added = SubElement(root, name, dataType=GDAL_TYPES[band.dtype], band=str(number))
    if band.nodata is not None:
        SubElement(added, "NoDataValue").text = repr(float(band.nodata))
    SubElement(added, "ColorInterp").text = colour.capitalize()
    return added


def _common_tags(sheets: Sequence[Sheet]) -> dict[str, str]:
    """The metadata in which all sheets agree."""
    tags = dict(sheets[0].tags.items())
    for sheet in sheets[1:]:
        tags = {key: value for key, value in tags.items() if sheet.tags.get(key) == value}
    return tags

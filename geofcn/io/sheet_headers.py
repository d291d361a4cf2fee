"""What sheets say of themselves, whether they fit each other, and the frame they lie in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
import shapely
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.transform import Affine

from geofcn.errors import SceneError
from geofcn.io.files import is_elsewhere, is_missing
from geofcn.io.gdal import GDAL_ERRORS, HEADER_OPTIONS, SHEET_OPTIONS, reason_of

# Headers on a server are waited for by many threads; those of files take turns with Python, which
# more threads than two make slower. Some sheets at a time for each.
THREADS_ELSEWHERE, THREADS, AT_A_TIME = 16, 2, 32
# How far a sheet's corners may lie beside those of the others' pixels, in pixels.
TOLERANCE = 0.01
# GDAL counts rows and columns with 31 bits.
LONGEST = 2**31 - 1
# Sheets that are named in a message.
NAMED = 3
# Characters of what is told of them.
SHOWN = 80


class SheetBand(NamedTuple):
    """What a sheet says of one of its bands."""

    dtype: str
    colour: str
    nodata: float | None
    scale: float
    offset: float


@dataclass(frozen=True)
class SheetKind:
    """What all sheets of a scene have in common.

    Attributes
    ----------
    crs : CRS or None
        None where they state none.
    crs_wkt : str
        The same as text, by which kinds are told apart.
    bands : tuple of SheetBand
        All their bands.
    palette : tuple of (int, int, int, int)
        Red, green, blue and alpha of each value; empty where values are no indices.
    masks_nodata : bool
        Whether a sheet has a mask besides a nodata value. That hides the nodata of its own file
        alone, which one raster cannot say of a part of it.
    """

    crs: CRS | None = field(compare=False)
    crs_wkt: str
    bands: tuple[SheetBand, ...]
    palette: tuple[tuple[int, ...], ...]
    masks_nodata: bool


@dataclass(frozen=True)
class Sheet:
    """One of the rasters.

    Attributes
    ----------
    path : str
        Absolute, or no local file's.
    height, width : int
        Rows and columns.
    transform : Affine
        Pixel corners (column, row) to CRS coordinates.
    block_shape : (int, int)
        Rows and columns of its blocks.
    kind : SheetKind
        What it has in common with the others.
    masked : bool
        Whether it has a mask, inside or beside it.
    tags : dict
        Its metadata.
    """

    path: str
    height: int
    width: int
    transform: Affine
    block_shape: tuple[int, int]
    kind: SheetKind
    masked: bool
    tags: dict[str, str]

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return Path(self.path).name


@dataclass(frozen=True)
class Frame:
    """The smallest raster in which all sheets lie.

    Attributes
    ----------
    height, width : int
        Rows and columns.
    transform : Affine
        Pixel corners (column, row) to CRS coordinates.
    places : (n, 4) int array
        First column and row of each sheet, and those behind its last ones.
    """

    height: int
    width: int
    transform: Affine
    places: np.ndarray

    def coverage(self) -> tuple[float, float]:
        """Shares of the frame without a sheet, and with more than one, 0 to 1.

        Where three lie on each other that counts twice.
        """
        boxes = shapely.box(*self.places.T.astype(float))
        covered = shapely.area(shapely.union_all(boxes))
        whole = self.height * self.width
        return 1 - covered / whole, (shapely.area(boxes).sum() - covered) / whole


def read_headers(
    scene: str, names: Sequence[str], open_raster: Callable[[str], rasterio.DatasetReader]
) -> list[Sheet]:
    """What each sheet says of itself.

    Parameters
    ----------
    scene : str
        What names them, for messages.
    names : sequence of str
        The sheets.
    open_raster : callable
        Opens one.

    Raises
    ------
    SceneError
        Where some are missing or damaged, or cannot be sheets.
    """

    def read(some: Sequence[str]) -> list[Sheet | SceneError]:
        with rasterio.Env(**HEADER_OPTIONS):
            return [_read_header(name, open_raster) for name in some]

    parts = [names[first : first + AT_A_TIME] for first in range(0, len(names), AT_A_TIME)]
    count = THREADS_ELSEWHERE if any(map(is_elsewhere, names)) else THREADS
    with ThreadPoolExecutor(count) as threads:
        found = [header for part in threads.map(read, parts) for header in part]
    errors = [header for header in found if isinstance(header, SceneError)]
    if errors:
        more = f" ({len(errors) - 1:,} more of {scene} cannot be used)" if errors[1:] else ""
        raise SceneError(str(errors[0]).rstrip(".") + f"{more}.") from errors[0]
    return _with_kinds([header for header in found if isinstance(header, Sheet)], open_raster)


def _with_kinds(
    headers: Sequence[Sheet], open_raster: Callable[[str], rasterio.DatasetReader]
) -> list[Sheet]:
    """The sheets, equal kinds of which are one object, with the CRS that files have for GDAL.

    That is read once of all that have the same one by their keys, as `HEADER_OPTIONS` has it.
    """
    kinds: dict[SheetKind, SheetKind] = {}
    crs_of: dict[str, CRS | None] = {}
    for header in headers:
        kind = header.kind
        if kind in kinds:
            continue
        if kind.crs_wkt not in crs_of:
            with rasterio.Env(**SHEET_OPTIONS), open_raster(header.path) as dataset:
                crs_of[kind.crs_wkt] = dataset.crs
        crs = crs_of[kind.crs_wkt]
        kinds[kind] = replace(kind, crs=crs, crs_wkt=_wkt(crs))
    return [replace(header, kind=kinds[header.kind]) for header in headers]


def _wkt(crs: CRS | None) -> str:
    return crs.to_wkt() if crs else ""


def _read_header(
    name: str, open_raster: Callable[[str], rasterio.DatasetReader]
) -> Sheet | SceneError:
    """A sheet, or why it cannot be one."""
    if is_missing(name):
        return SceneError(f"{name}: this sheet is missing; bring it back, or take it off the list.")
    try:
        with open_raster(name) as dataset:
            return _sheet(name, dataset)
    except SceneError as error:
        return error
    except GDAL_ERRORS as error:
        return SceneError(
            f"{name}: this sheet cannot be opened as a raster ({reason_of(error)}); copy or make "
            "it again."
        )


def _sheet(name: str, dataset: rasterio.DatasetReader) -> Sheet:
    flags = [set(flags) for flags in dataset.mask_flag_enums]
    if dataset.count == 0 or not all(flags):
        what = "masks of its bands that differ" if dataset.count else "no band of its own"
        raise SceneError(f"{name}: this sheet has {what}; make it anew with `gdal_translate`.")
    transform = dataset.transform
    if transform == Affine.identity() or not (transform.a > 0 > transform.e):
        raise SceneError(
            f"{name}: this sheet has no place on the ground, or is mirrored; set its corners with "
            "`gdal_edit.py -a_ullr`, or make it anew with `gdalwarp`."
        )
    if (transform.b, transform.d) != (0, 0):
        raise SceneError(f"{name}: this sheet is rotated; make it anew with `gdalwarp`.")
    colours = [colour.name for colour in dataset.colorinterp]
    values = dataset.nodatavals, dataset.scales, dataset.offsets
    bands = tuple(map(SheetBand, dataset.dtypes, colours, *values))
    palette: tuple[tuple[int, ...], ...] = ()
    if bands[0].colour == ColorInterp.palette.name:
        palette = tuple(tuple(colour) for _, colour in sorted(dataset.colormap(1).items()))
    masked = any(MaskFlags.per_dataset in some and MaskFlags.alpha not in some for some in flags)
    masks_nodata = masked and any(band.nodata is not None for band in bands)
    crs = dataset.crs
    rows, cols = zip(*dataset.block_shapes, strict=True)
    return Sheet(
        path=name,
        height=dataset.height,
        width=dataset.width,
        transform=transform,
        block_shape=(max(rows), max(cols)),
        kind=SheetKind(crs, _wkt(crs), bands, palette, masks_nodata),
        masked=masked,
        tags=dataset.tags(),
    )


# --- whether they fit each other -----------------------------------------------------------------


def refuse_unlike(scene: str, sheets: Sequence[Sheet]) -> None:
    """Check that sheets say the same of all that a raster says once.

    Raises
    ------
    SceneError
        Which names those that differ from most.
    """
    kinds = {id(sheet.kind): sheet.kind for sheet in sheets}  # of equal ones there is one
    for what, of, cure in _SAME if len(kinds) > 1 else ():
        told = {number: of(kind) for number, kind in kinds.items()}
        _refuse_odd(scene, sheets, what, [told[id(sheet.kind)] for sheet in sheets], cure)


def _refuse_odd(
    scene: str, sheets: Sequence[Sheet], what: str, values: Sequence[str], cure: str
) -> None:
    usual = values[_usual(values)]
    odd = [number for number, value in enumerate(values) if value != usual]
    if odd:
        shown = _named(sheets, odd, [f"{values[number]:.{SHOWN}}" for number in odd[:NAMED]])
        raise SceneError(
            f"{scene}: of its {len(sheets):,} sheets most have the {what} {usual:.{SHOWN}}, not "
            f"{shown}; take these out, or make them like the others with `{cure}."
        )


def _named(sheets: Sequence[Sheet], odd: Sequence[int], values: Sequence[str]) -> str:
    """The first of the sheets that are odd with what is, and the number of the others."""
    shown = ", ".join(
        f"{sheets[number].path} ({value})" for number, value in zip(odd, values, strict=False)
    )
    return shown + (f" and {len(odd) - len(values):,} more" if len(odd) > len(values) else "")


def _crs(kind: SheetKind) -> str:
    if kind.crs is None:
        return "none"
    authority = kind.crs.to_authority()
    return ":".join(authority) if authority else kind.crs_wkt


def _each(values: Iterable[object]) -> str:
    """What is said of all bands, once where it is the same."""
    texts = list(map(str, values))
    return texts[0] if len(set(texts)) == 1 else ",".join(texts)


def _types(kind: SheetKind) -> str:
    return _each(band.dtype for band in kind.bands)


def _nodata(kind: SheetKind) -> str:
    return _each(band.nodata for band in kind.bands)


def _colours(kind: SheetKind) -> str:
    return _each(band.colour for band in kind.bands)


def _scales(kind: SheetKind) -> str:
    return _each((band.scale, band.offset) for band in kind.bands)


# What must be the same: how it is called, what is said of it, and what changes it.
_SAME: tuple[tuple[str, Callable[[SheetKind], str], str], ...] = (
    ("CRS", _crs, "gdalwarp -t_srs` (or `gdal_edit.py -a_srs` where it is only said wrongly)"),
    ("number of bands", lambda kind: str(len(kind.bands)), "gdal_translate -b`"),
    ("type", _types, "gdal_translate -ot`"),
    ("nodata value", _nodata, "gdal_edit.py -a_nodata`"),
    ("mask besides nodata", lambda kind: str(kind.masks_nodata), "gdal_edit.py -unsetnodata`"),
    ("colours", _colours, "gdal_edit.py -colorinterp_1 red`"),
    ("scale and offset", _scales, "gdal_edit.py -scale 1 -offset 0`"),
    ("palette", lambda kind: str(kind.palette), "gdal_translate -expand rgb`"),
)


# --- where they lie ------------------------------------------------------------------------------


def frame_of(scene: str, sheets: Sequence[Sheet]) -> Frame:
    """The frame of sheets of one kind.

    Raises
    ------
    SceneError
        Where some lie a fraction of a pixel beside the others' grid, or too far from them.
    """
    transforms = np.array([sheet.transform[:6] for sheet in sheets])
    sizes = np.array([(sheet.width, sheet.height) for sheet in sheets])
    pixels, origins = transforms[:, [0, 4]], transforms[:, [2, 5]]
    pixel = pixels[_usual([f"{a:.6g} {e:.6g}" for a, e in pixels.tolist()])]
    drifts = np.abs((pixels / pixel - 1) * sizes).max(axis=1)
    _refuse_far(
        scene, sheets, drifts,
        f"most have pixels of {pixel[0]:.10g} x {-pixel[1]:.10g}, by which these stray from it in "
        "their last one", "bring them to that size with `gdalwarp -tr`",
    )  # fmt: skip
    beside = (origins - origins[0]) / pixel
    beside -= beside[_usual(list(map(str, (np.round(beside, 2) % 1).tolist())))] % 1
    places = np.round(beside).astype(np.int64)
    _refuse_far(
        scene, sheets, np.abs(beside - places).max(axis=1),
        "these lie beside the pixel grid of the others", "bring them onto it with `gdalwarp -tap`",
    )  # fmt: skip
    left, top = places.min(axis=0)
    places = np.hstack([places, places + sizes])
    width, height = (int(side) for side in places[:, 2:].max(axis=0) - (left, top))
    if max(width, height) > LONGEST:
        raise _too_far(scene, sheets, places, width, height)
    west, north = origins[places[:, 0] == left, 0][0], origins[places[:, 1] == top, 1][0]
    transform = Affine(pixel[0], 0, west, 0, pixel[1], north)
    return Frame(height, width, transform, places - np.tile((left, top), 2))


def _usual(values: Sequence[str]) -> int:
    """The place of the first of those values that are the most frequent one."""
    return values.index(Counter(values).most_common(1)[0][0])


def _refuse_far(
    scene: str, sheets: Sequence[Sheet], strayed: np.ndarray, what: str, cure: str
) -> None:
    """Raise SceneError for sheets that are too many pixels off."""
    odd = np.flatnonzero(strayed > TOLERANCE).tolist()
    if odd:
        shown = _named(sheets, odd, [f"by {strayed[number]:.2g} px" for number in odd[:NAMED]])
        raise SceneError(f"{scene}: of its {len(sheets):,} sheets {what}: {shown}; {cure}.")


def _too_far(
    scene: str, sheets: Sequence[Sheet], places: np.ndarray, width: int, height: int
) -> SceneError:
    distance = np.abs(places - np.median(places, axis=0)).max(axis=1)
    return SceneError(
        f"{scene}: its sheets lie in a frame of {width:,} x {height:,} pixels, more than geofcn "
        f"takes, of which {sheets[int(distance.argmax())].path} is the farthest; take it out, or "
        "correct its place."
    )

"""The one door out for rasters: written by windows under a temporary name, verified, renamed.

A final name is either absent or right. The temporary file is made before anything is computed, so
that a folder that cannot be written is found at once.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.io
import rasterio.shutil
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine

from geofcn.core.pixels import BACKGROUND, BLANK, HOUSE, PROBABILITY_STEPS
from geofcn.core.windows import Window
from geofcn.errors import OutputError, UsageError
from geofcn.io import files
from geofcn.recipes import GDAL_OPTIONS

ENDINGS = (".tif", ".tiff")
# Files in which GDAL keeps overviews, masks and statistics of a raster: those of an older one would
# be taken for the new one's.
STALE_ENDINGS = (".ovr", ".msk", ".msk.ovr", ".aux.xml")
BLOCK = 256
# Row bands start on multiples of 512 rows, which can be halved so often.
MAX_LEVELS = 9
# Of the COG: a third of the time of GDAL's level 6 on noisy masks, for a tenth more bytes.
COMPRESSION = {"COMPRESS": "DEFLATE", "LEVEL": 4}
# Scratch files are read once, right after they are written.
SCRATCH = {"compress": "zstd", "zstd_level": 1}
MASK_COLOURS = {BACKGROUND: (238, 236, 230), HOUSE: (226, 61, 40), BLANK: (255, 255, 255)}


def check_target(path: str | os.PathLike, overwrite: bool, *sources: str | os.PathLike) -> Path:
    """files.check_target for a GeoTIFF."""
    return files.check_target(path, ENDINGS, overwrite, *sources)


# Options of GDAL's COG driver that leave the pixels and their places alone.
OPTIONS = (
    "BIGTIFF", "BLOCKSIZE", "COMPRESS", "GEOTIFF_VERSION", "INTERLEAVE", "LEVEL", "NUM_THREADS",
    "OVERVIEWS", "OVERVIEW_COMPRESS", "OVERVIEW_PREDICTOR", "PREDICTOR", "SPARSE_OK", "STATISTICS",
)  # fmt: skip


def refuse_unknown_options(options: Iterable[str]) -> None:
    """Raise UsageError for creation options that GDAL would ignore, or that change the grid."""
    for name in sorted(set(options).difference(OPTIONS)):
        raise UsageError(
            f"--co {name}: not an option of GDAL's COG driver that leaves pixels and grid as they "
            f"are; choose among {', '.join(OPTIONS)}."
        )


@dataclass(frozen=True)
class Band:
    """What a raster says of its pixels.

    colours  value -> (red, green, blue), for a palette
    scale    what a value is multiplied by to get its meaning
    """

    dtype: str
    nodata: float | None = None
    description: str | None = None
    colours: Mapping[int, tuple[int, int, int]] | None = None
    scale: float | None = None
    count: int = 1


@dataclass(frozen=True)
class Frame:
    """Where a raster lies: rows, columns, CRS and transform."""

    height: int
    width: int
    crs: CRS | None
    transform: Affine


class RasterWriter:
    """One tiled, compressed GeoTIFF, written by windows; a context manager.

    Leaving the block without an error completes the file, syncs it to disk and renames it to
    `path`; leaving it with an error removes all that was made.
    Raises OutputError where the folder cannot be written, the disk is full, or the file reads back
    otherwise than it was written.
    """

    def __init__(self, path: Path, frame: Frame, band: Band, tags: Mapping[str, str] | None = None):
        self.path = path
        self.folder = path.with_name(f".{path.name}.partial")
        self._checksums: dict[Window, int] = {}
        self._files = ExitStack()
        self._thread = ThreadPoolExecutor(1)
        self._completing: Future[Path] | None = None
        self._left = Event()
        try:
            # What a killed run left; GDAL will not create a file over what is left of another one.
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir()
            self._dataset = self._create("0.tif", frame, band)
            with rasterio.Env(**GDAL_OPTIONS):
                _describe(self._dataset, band, tags)
        except (RasterioError, OSError) as error:
            self._discard()
            raise OutputError(
                f"{path}: it cannot be written in {path.parent} ({error}); choose another folder."
            ) from error

    def write(self, window: Window, array: np.ndarray) -> None:
        """Write (rows, columns), or (bands, rows, columns), pixels to a window."""
        array = np.ascontiguousarray(array)
        self._write(self._dataset, window, array)
        self._checksums[window] = zlib.crc32(array)

    def __enter__(self) -> RasterWriter:
        return self

    def __exit__(self, kind, error, trace) -> None:
        try:
            if kind is None:
                self.complete()
                self._publish(self._completing.result())
        finally:
            self._left.set()
            self._thread.shutdown()
            self._discard()

    def complete(self) -> None:
        """Begin to make of the file what is to be published, and to read back every window.

        A thread does so beside other work; leaving the block waits for it, or stops it if there is
        an error. Nothing may be written any more.
        """
        if self._completing is None:
            self._completing = self._thread.submit(self._complete)

    def _complete(self) -> Path:
        """The file that is to be published."""
        try:
            self._close()
            finished = self._finish()
            self._verify(finished)
        except (RasterioError, OSError) as failure:
            raise self._failed(failure.__cause__ or failure) from failure
        return finished

    def _publish(self, finished: Path) -> None:
        try:
            for ending in STALE_ENDINGS:
                self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
            files.publish(finished, self.path)
        except OSError as failure:
            raise self._failed(failure) from failure

    def _finish(self) -> Path:
        """The file as it is to be published, of those that were written."""
        return self.folder / "0.tif"

    def _create(
        self, name: str, frame: Frame, band: Band, **options: object
    ) -> rasterio.io.DatasetWriter:
        predictor = 3 if np.dtype(band.dtype).kind == "f" else 2 if band.count > 1 else 1
        profile = {
            "driver": "GTiff",
            **frame.__dict__,
            "count": band.count,
            "dtype": band.dtype,
            "nodata": band.nodata,
            "tiled": True,
            "blockxsize": BLOCK,
            "blockysize": BLOCK,
            "compress": "deflate",
            "predictor": predictor,
            "bigtiff": "if_safer",
            **options,
        }
        with rasterio.Env(**GDAL_OPTIONS):
            return self._files.enter_context(rasterio.open(self.folder / name, "w", **profile))

    def _write(self, dataset: rasterio.io.DatasetWriter, window: Window, array: np.ndarray) -> None:
        where = ((window.row, window.bottom), (window.col, window.right))
        with rasterio.Env(**GDAL_OPTIONS):
            try:
                # With its axis of bands: rasterio copies the pixels of an array without one.
                dataset.write(array.reshape(-1, *array.shape[-2:]), window=where)
            except (RasterioError, OSError) as error:
                raise self._failed(error.__cause__ or error) from error

    def _close(self) -> None:
        with rasterio.Env(**GDAL_OPTIONS):
            self._files.close()

    def _verify(self, finished: Path) -> None:
        """Read every window back: a full disk may pass for a success until here."""
        with rasterio.Env(**GDAL_OPTIONS), rasterio.open(finished, driver="GTiff") as dataset:
            for window, checksum in self._checksums.items():
                if self._left.is_set():
                    raise self._failed("it was stopped")
                where = ((window.row, window.bottom), (window.col, window.right))
                if zlib.crc32(dataset.read(window=where)) != checksum:
                    raise self._failed(f"{window} read back wrong")

    def _discard(self) -> None:
        with suppress(RasterioError, OSError):
            self._close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _failed(self, reason: object) -> OutputError:
        free = shutil.disk_usage(self.path.parent).free / 2**30
        return OutputError(
            f"{self.path}: writing failed ({reason}); {free:.1f} GB are free in its folder: make "
            "room or choose another folder."
        )


Reduce = Callable[[np.ndarray], np.ndarray]


class CogWriter(RasterWriter):
    """A cloud-optimised GeoTIFF of one band, written in full-width row bands from the top.

    Its overviews are made on the way, from what is in memory: `reduce` turns (2 n, 2 m) pixels into
    (n, m). Every band but the last has rows by the multiple of 2 to the number of overviews.
    """

    def __init__(
        self,
        path: Path,
        frame: Frame,
        band: Band,
        reduce: Reduce,
        tags: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ):
        super().__init__(path, frame, band, tags)
        self._reduce = reduce
        self._options = options or {}
        self._float = np.dtype(band.dtype).kind == "f"
        self._levels = []
        height, width = frame.height, frame.width
        while max(height, width) > BLOCK and len(self._levels) < MAX_LEVELS:
            height, width = -(-height // 2), -(-width // 2)
            # GDAL warns of rasters without a place; nobody opens these but the COG driver.
            place = Frame(height, width, frame.crs, frame.transform)
            self._levels.append(
                self._create(f"{len(self._levels) + 1}.tif", place, band, **SCRATCH)
            )

    def _create(self, name: str, frame: Frame, band: Band, **options: object):
        return super()._create(name, frame, band, **SCRATCH | options)

    def write(self, window: Window, array: np.ndarray) -> None:
        """Write the next full-width (rows, columns) band."""
        super().write(window, array)
        for level in self._levels:
            array = self._reduce(_even(array))
            window = Window(window.row // 2, 0, *array.shape)
            self._write(level, window, array)

    def _finish(self) -> Path:
        """Let GDAL's COG driver put pixels and overviews into one file."""
        stack, finished = self.folder / "stack.vrt", self.folder / "cog.tif"
        options = {
            **(COMPRESSION if "COMPRESS" not in self._options else {}),
            "PREDICTOR": "FLOATING_POINT" if self._float else "NO",
            "BLOCKSIZE": BLOCK,
            "BIGTIFF": "IF_SAFER",
            "NUM_THREADS": "ALL_CPUS",
            "OVERVIEWS": "FORCE_USE_EXISTING" if self._levels else "NONE",
            **self._options,
        }
        with rasterio.Env(**GDAL_OPTIONS):
            rasterio.shutil.copy(self.folder / "0.tif", stack, driver="VRT")
            _add_overviews(stack, len(self._levels))
            rasterio.shutil.copy(stack, finished, driver="COG", **options)
        return finished


def _describe(
    dataset: rasterio.io.DatasetWriter, band: Band, tags: Mapping[str, str] | None
) -> None:
    if band.colours:
        dataset.write_colormap(1, dict(band.colours))
    if band.description:
        dataset.set_band_description(1, band.description)
    if band.scale is not None:
        dataset.scales = (band.scale,) * band.count
    if tags:
        dataset.update_tags(**tags)


def _add_overviews(stack: Path, count: int) -> None:
    """Name the files 1.tif, 2.tif, ... as the overviews of a VRT's band."""
    tree = ElementTree.parse(stack)
    band = tree.getroot().find("VRTRasterBand")
    for level in range(1, count + 1):
        overview = ElementTree.SubElement(band, "Overview")
        source = ElementTree.SubElement(overview, "SourceFilename", relativeToVRT="1")
        source.text = f"{level}.tif"
        ElementTree.SubElement(overview, "SourceBand").text = "1"
    tree.write(stack)


def _even(array: np.ndarray) -> np.ndarray:
    """`array` with its last row or column doubled where their number is odd."""
    rows, cols = array.shape
    return (
        np.pad(array, ((0, rows % 2), (0, cols % 2)), mode="edge")
        if rows % 2 or cols % 2
        else array
    )


def halve_mask(mask: np.ndarray) -> np.ndarray:
    """(2 n, 2 m) classes to (n, m): a house where two or more of four pixels are, so that thin
    houses stay; blank where three or more are.
    """
    # 0x00, 0x01 and 0x11 for background, house and blank: the upper digit of a sum of four counts
    # blank pixels, the lower one these and houses.
    count = _sum_of_four(mask & 0x11)
    blank = count >= 0x30
    halved = ((count & 0xF) - (count >> 4) >= 2).view(np.uint8)
    halved[blank] = BLANK
    return halved


def halve_steps(steps: np.ndarray) -> np.ndarray:
    """(2 n, 2 m) uint8 probabilities to (n, m): the mean of what is not blank, rounded down."""
    known = steps != BLANK
    count = _count_of_four(known)
    total = _sum_of_four(np.where(known, steps, 0).astype(np.uint16))
    return np.where(count > 0, total // np.maximum(count, 1), BLANK).astype(np.uint8)


def halve_floats(values: np.ndarray) -> np.ndarray:
    """(2 n, 2 m) float probabilities to (n, m): the mean of what is not NaN."""
    known = ~np.isnan(values)
    count = _count_of_four(known)
    total = _sum_of_four(np.where(known, values, np.float32(0)))
    with np.errstate(invalid="ignore"):
        return (total / count).astype(np.float32)


def _count_of_four(where: np.ndarray) -> np.ndarray:
    return _sum_of_four(where.view(np.uint8))


def _sum_of_four(values: np.ndarray) -> np.ndarray:
    """Sums of 2 x 2 pixels."""
    rows = values[::2] + values[1::2]
    return rows[:, ::2] + rows[:, 1::2]


MASK = Band("uint8", BLANK, "house", MASK_COLOURS)
STEPS = Band("uint8", BLANK, "house probability", scale=1 / PROBABILITY_STEPS)
FLOATS = Band("float32", np.nan, "house probability")


def mask_writer(path: Path, frame: Frame, **given) -> CogWriter:
    """A uint8 mask with a colour table; further arguments as for CogWriter."""
    return CogWriter(path, frame, MASK, halve_mask, **given)


def probability_writer(path: Path, frame: Frame, dtype: str, **given) -> CogWriter:
    """House probabilities: uint8 0-254 with scale 1/254 and 255 blank, or float32 with NaN."""
    if dtype == "uint8":
        return CogWriter(path, frame, STEPS, halve_steps, **given)
    return CogWriter(path, frame, FLOATS, halve_floats, **given)

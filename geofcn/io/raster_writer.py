"""GeoTIFFs written by windows under a temporary name, verified, then renamed.

A final name is either absent or right. The temporary file is made before anything is computed, so
that a folder that cannot be written is found at once.
"""

from __future__ import annotations

import os
import warnings
import zlib
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from types import TracebackType
from typing import Self

import numpy as np
import rasterio
import rasterio.io
import rasterio.shutil
from rasterio.errors import NotGeoreferencedWarning

from geofcn.core.grid import Grid
from geofcn.core.windows import Window
from geofcn.errors import OutputError
from geofcn.io import files
from geofcn.io.datasets import close_handles
from geofcn.io.files import StrPath
from geofcn.io.gdal import GDAL_ERRORS, RASTER_OPTIONS, reason_of
from geofcn.io.readback import WITHOUT_SIDE_FILES, first_difference

FAILURES = (*GDAL_ERRORS, OSError)
ENDINGS = (".tif", ".tiff")
# Files in which GDAL keeps overviews, masks and statistics of a raster: those of an older one would
# be taken for the new one's.
STALE_ENDINGS = (".ovr", ".msk", ".msk.ovr", ".aux.xml")
# In the hidden folder: what becomes the .qml.
STYLE = "style.qml"
BLOCK = 256
# Rows of pixels that are read back from left to right, so that each block is decoded once.
VERIFIED_ROWS = 512


def check_raster_target(path: StrPath, overwrite: bool, *sources: StrPath) -> Path:
    """Check that a GeoTIFF may and can be written, see `geofcn.io.files.check_target`.

    Raises
    ------
    OutputError
        Where it must not or cannot.
    """
    return files.check_target(path, ENDINGS, overwrite, *sources, others=stale_beside(path))


def stale_beside(path: StrPath) -> list[Path]:
    """Files that would be read with a raster and are no part of it."""
    return [Path(f"{os.fspath(path)}{ending}") for ending in STALE_ENDINGS]


@dataclass(frozen=True)
class Band:
    """What a raster says of the pixels of its bands.

    Attributes
    ----------
    dtype : str
        Of the pixels.
    nodata : float or None
        The value that is blank.
    description : str or None
        Of the first band.
    colours : mapping or None
        Value -> (red, green, blue) of the first band, for a palette.
    scale : float or None
        What a value is multiplied by to get its meaning.
    count : int
        Number of bands.
    style : str or None
        The QGIS style (QML) that is saved beside the raster, see `geofcn.io.qgis`.
    """

    dtype: str
    nodata: float | None = None
    description: str | None = None
    colours: Mapping[int, tuple[int, int, int]] | None = None
    scale: float | None = None
    count: int = 1
    style: str | None = None


class RasterWriter:
    """One tiled, compressed GeoTIFF, written by windows; a context manager.

    Leaving the block without an error completes the file, syncs it to disk and renames it to
    `path`; leaving it with an error removes all that was made, and the error passes through. Where
    the band has a style it comes along as .qml; one that is there already may be the user's, and is
    left alone.

    Parameters
    ----------
    path : Path
        Of the file; `check_raster_target` tells whether it may be written.
    grid : Grid
        Rows, columns, CRS and transform.
    band : Band
        What the raster says of its pixels.
    tags : mapping, optional
        Metadata of the file.

    Attributes
    ----------
    path : Path
        Of the file.
    folder : Path
        The hidden folder beside it in which it is made.

    Raises
    ------
    OutputError
        Where the folder cannot be written, a GeoTIFF cannot hold what it should say, the disk is
        full, or the file reads back otherwise than it was written.
    """

    def __init__(self, path: Path, grid: Grid, band: Band, tags: Mapping[str, str] | None = None):
        self.path = path
        self.folder = files.partial_beside(path)
        self._grid, self._band, self._tags = grid, band, dict(tags or {})
        self._checksums: dict[Window, int] = {}
        self._files, self._settings = ExitStack(), ExitStack()
        self._thread = ThreadPoolExecutor(1)
        self._completing: Future[Path] | None = None
        self._left = Event()
        try:
            self.folder.mkdir(mode=0o700)
            self._refuse_unkept()
            self._dataset = self._create_files(grid, band, tags)
        except BaseException as error:
            self._discard()
            if isinstance(error, FAILURES) and not isinstance(error, OutputError):
                raise OutputError(
                    f"{path}: it cannot be written in {path.parent} ({reason_of(error)}); choose "
                    "another folder."
                ) from error
            raise

    def write(self, window: Window, array: np.ndarray) -> None:
        """Write pixels to a window.

        Parameters
        ----------
        window : Window
            Where they lie on the raster; windows come in any order and do not overlap.
        array : (rows, columns) or (bands, rows, columns) array
            The pixels.

        Raises
        ------
        OutputError
            Where the disk is full.
        """
        array = np.ascontiguousarray(array)
        self._write(self._dataset, window, array)
        self._checksums[window] = zlib.crc32(array.data)

    def __enter__(self) -> Self:
        # GDAL's cache has one size for all threads, and the main thread gives it the default one,
        # a twentieth of the machine's memory, whenever it leaves the last block with settings:
        # `_complete` would go on with that.
        self._settings.enter_context(rasterio.Env(**RASTER_OPTIONS))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._publish(self._begin_completing().result())
        finally:
            self._left.set()
            self._thread.shutdown()
            self._discard()
            self._settings.close()

    def complete(self) -> None:
        """Begin to make of the file what is to be published, and to read back every window.

        A thread does so beside other work; leaving the block waits for it, or stops it if there is
        an error. Nothing may be written any more.
        """
        self._begin_completing()

    def _begin_completing(self) -> Future[Path]:
        """The file that is to be published, as soon as it is complete; begun only once."""
        if self._completing is None:
            self._completing = self._thread.submit(self._complete)
        return self._completing

    def _complete(self) -> Path:
        """The file that is to be published."""
        try:
            self._close()
            finished = self._finish()
            self._verify(finished)
            if self._band.style is not None:
                (self.folder / STYLE).write_text(self._band.style, encoding="utf-8")
        except FAILURES as failure:
            raise files.writing_failed(self.path, reason_of(failure)) from failure
        return finished

    def _publish(self, finished: Path) -> None:
        style, beside = self.folder / STYLE, self.path.with_suffix(".qml")
        moves = {finished: self.path}
        if style.exists() and not os.path.lexists(beside):
            moves = {style: beside, **moves}
        try:
            close_handles(self.path)  # Windows replaces no file that is open
            files.publish_together(moves, stale_beside(self.path))
        except OSError as failure:
            raise files.writing_failed(self.path, failure) from failure

    def _finish(self) -> Path:
        """The file as it is to be published, of those that were written."""
        return self.folder / "0.tif"

    def _create_files(
        self, grid: Grid, band: Band, tags: Mapping[str, str] | None
    ) -> rasterio.io.DatasetWriter:
        """Create all that is written to; returns the file of the pixels."""
        dataset = self._create("0.tif", grid, band)
        with rasterio.Env(**RASTER_OPTIONS):
            _describe(dataset, band, tags)
        return dataset

    def _create(
        self, name: str, grid: Grid, band: Band, **options: object
    ) -> rasterio.io.DatasetWriter:
        predictor = 3 if np.dtype(band.dtype).kind == "f" else 2 if band.count > 1 else 1
        profile = {
            "driver": "GTiff",
            "height": grid.height,
            "width": grid.width,
            "crs": grid.crs,
            "transform": grid.transform,
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
        with rasterio.Env(**RASTER_OPTIONS):
            return self._files.enter_context(rasterio.open(self.folder / name, "w", **profile))

    def _write(self, dataset: rasterio.io.DatasetWriter, window: Window, array: np.ndarray) -> None:
        with rasterio.Env(**RASTER_OPTIONS):
            try:
                # With its axis of bands: rasterio copies the pixels of an array without one.
                dataset.write(array.reshape(-1, *array.shape[-2:]), window=window.ranges)
            except FAILURES as error:
                raise files.writing_failed(self.path, reason_of(error)) from error

    def _close(self) -> None:
        with rasterio.Env(**RASTER_OPTIONS):
            self._files.close()

    def _refuse_unkept(self) -> None:
        """Check on one pixel, before any work, that a GeoTIFF holds what the raster should say."""
        name = "probe.tif"
        pixel = Grid(1, 1, self._grid.crs, self._grid.transform)
        with rasterio.Env(**RASTER_OPTIONS), self._create(name, pixel, self._band) as dataset:
            _describe(dataset, self._band, self._tags)
        with _reopened(self.folder / name) as dataset:
            lost = first_difference(dataset, pixel, self._band, self._tags)
        if lost:
            raise OutputError(
                f"{self.path}: a GeoTIFF cannot hold its {lost} as it is; give the scene one that "
                "it can, a CRS for instance with `gdalwarp -t_srs`."
            )

    def _verify(self, finished: Path) -> None:
        """Read all of it back: a full disk may pass for a success until here."""
        with _reopened(finished) as dataset:
            if changed := first_difference(dataset, self._grid, self._band, self._tags):
                raise OSError(f"its {changed} read back wrong")
            in_place = sorted(self._checksums, key=lambda w: (w.row // VERIFIED_ROWS, w.col, w.row))
            for window in in_place:
                if self._left.is_set():
                    raise OSError("it was stopped")
                if zlib.crc32(dataset.read(window=window.ranges).data) != self._checksums[window]:
                    raise OSError(f"{window} read back wrong")

    def _discard(self) -> None:
        with suppress(*FAILURES):
            self._close()
        files.discard(self.folder)


@contextmanager
def _reopened(path: Path) -> Iterator[rasterio.DatasetReader]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with (
            rasterio.Env(**RASTER_OPTIONS, **WITHOUT_SIDE_FILES),
            rasterio.open(path, driver="GTiff") as dataset,
        ):
            yield dataset


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

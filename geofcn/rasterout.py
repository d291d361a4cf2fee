"""The one door out for rasters: written by windows under a temporary name, verified, renamed.

A final name is either absent or right. The temporary file is made before anything is computed, so
that a folder that cannot be written is found at once.
"""

from __future__ import annotations

import os
import shutil
import zlib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine

from geofcn.config import GDAL_OPTIONS
from geofcn.errors import OutputError
from geofcn.grid import Window
from geofcn.pixels import BACKGROUND, BLANK, HOUSE, PROBABILITY_STEPS

BLOCK = 512
MASK_COLOURS = {
    BACKGROUND: (0, 0, 0, 0),
    HOUSE: (226, 61, 40, 255),
    BLANK: (128, 128, 128, 0),
}


def check_target(path: str | os.PathLike, overwrite: bool, *sources: str | os.PathLike) -> Path:
    """Raise OutputError where `path` must not be written; return it as a Path.

    It must end in .tif or .tiff, be none of `sources` (also through a link), not exist unless
    `overwrite`, and its folder must exist.
    """
    target = Path(path)
    if target.suffix.lower() not in (".tif", ".tiff"):
        raise OutputError(f"{target}: rasters are written as GeoTIFF; give a name ending in .tif.")
    check_not_source(target, *sources)
    if target.is_dir():
        raise OutputError(f"{target}: this is a folder; give the name of a file.")
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: it exists already; give --overwrite to replace it.")
    if not target.parent.is_dir():
        raise OutputError(f"{target}: its folder does not exist; make {target.parent} first.")
    return target


def check_not_source(target: Path, *sources: str | os.PathLike) -> None:
    """Raise OutputError when `target` is one of the files being read."""
    for source in sources:
        with suppress(OSError):
            if target.samefile(source):
                raise OutputError(f"{target}: this is the input itself; give another name.")


class RasterWriter:
    """One tiled, compressed GeoTIFF band, written by windows; a context manager.

    Leaving the block without an error closes the file, reads back every window that was written,
    syncs it to disk and renames it to `path`; leaving it with an error removes the temporary file.
    Raises OutputError where the folder cannot be written, the disk is full, or the file reads back
    otherwise than it was written.
    """

    def __init__(
        self,
        path: Path,
        *,
        height: int,
        width: int,
        dtype: str,
        crs: CRS | None,
        transform: Affine,
        count: int = 1,
        nodata: float | None = None,
        colours: Mapping[int, tuple[int, int, int, int]] | None = None,
        description: str | None = None,
        scale: float | None = None,
        tags: Mapping[str, str] | None = None,
    ):
        self.path = path
        self.partial = path.with_name(f".{path.name}.partial.tif")
        self._checksums: dict[Window, int] = {}
        self._dataset = None
        profile = {
            "driver": "GTiff",
            "height": height,
            "width": width,
            "count": count,
            "dtype": dtype,
            "crs": crs,
            "transform": transform,
            "nodata": nodata,
            "tiled": True,
            "blockxsize": BLOCK,
            "blockysize": BLOCK,
            "compress": "deflate",
            "predictor": 3 if np.dtype(dtype).kind == "f" else 2 if count > 1 else 1,
            "bigtiff": "if_safer",
        }
        try:
            # GDAL will not create a file over what is left of another one.
            self.partial.unlink(missing_ok=True)
            with rasterio.Env(**GDAL_OPTIONS):
                self._dataset = rasterio.open(self.partial, "w", **profile)
                if colours:
                    self._dataset.write_colormap(1, dict(colours))
                if description:
                    self._dataset.set_band_description(1, description)
                if scale is not None:
                    self._dataset.scales = (scale,) * count
                if tags:
                    self._dataset.update_tags(**tags)
        except (RasterioError, OSError) as error:
            raise OutputError(
                f"{path}: it cannot be written in {path.parent} ({error}); choose another folder."
            ) from error

    def write(self, window: Window, array: np.ndarray) -> None:
        """Write (rows, columns), or (bands, rows, columns), pixels to a window."""
        where = ((window.row, window.bottom), (window.col, window.right))
        array = np.ascontiguousarray(array)
        with rasterio.Env(**GDAL_OPTIONS):
            try:
                if array.ndim == 2:
                    self._dataset.write(array, 1, window=where)
                else:
                    self._dataset.write(array, window=where)
            except (RasterioError, OSError) as error:
                raise self._failed(error.__cause__ or error) from error
        self._checksums[window] = zlib.crc32(array)

    def __enter__(self) -> RasterWriter:
        return self

    def __exit__(self, kind, error, trace) -> None:
        try:
            self._close()
            if kind is None:
                self._verify()
                publish(self.partial, self.path)
        finally:
            self.partial.unlink(missing_ok=True)

    def _close(self) -> None:
        try:
            with rasterio.Env(**GDAL_OPTIONS):
                self._dataset.close()
        except (RasterioError, OSError) as error:
            raise self._failed(error) from error

    def _verify(self) -> None:
        """Read every window back: a full disk may pass for a success until here."""
        try:
            with (
                rasterio.Env(**GDAL_OPTIONS),
                rasterio.open(self.partial, driver="GTiff") as dataset,
            ):
                for window, checksum in self._checksums.items():
                    where = ((window.row, window.bottom), (window.col, window.right))
                    if zlib.crc32(dataset.read(window=where)) != checksum:
                        raise self._failed(f"{window} read back wrong")
        except (RasterioError, OSError) as error:
            raise self._failed(error.__cause__ or error) from error

    def _failed(self, reason: object) -> OutputError:
        free = shutil.disk_usage(self.path.parent).free / 2**30
        return OutputError(
            f"{self.path}: writing failed ({reason}); {free:.1f} GB are free in its folder: make "
            "room or choose another folder."
        )


def publish(partial: Path, path: Path) -> None:
    """Give a finished file its final name in one step that outlives a power cut."""
    with open(partial, "rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Write a folder's entries to disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def mask_writer(path: Path, frame: Mapping, tags: Mapping[str, str] | None = None) -> RasterWriter:
    """A uint8 mask with a colour table; `frame`: height, width, crs, transform."""
    return RasterWriter(
        path,
        **frame,
        dtype="uint8",
        nodata=BLANK,
        colours=MASK_COLOURS,
        description="house",
        tags=tags,
    )


def probability_writer(
    path: Path, frame: Mapping, dtype: str, tags: Mapping[str, str] | None = None
) -> RasterWriter:
    """House probabilities: uint8 0-254 with scale 1/254 and 255 blank, or float32 with NaN."""
    steps = dtype == "uint8"
    return RasterWriter(
        path,
        **frame,
        dtype=dtype,
        nodata=BLANK if steps else np.nan,
        description="house probability",
        scale=1 / PROBABILITY_STEPS if steps else None,
        tags=tags,
    )

"""Open GDAL datasets, shared by the threads of a process and never used by two at once.

A GDAL handle used by two threads at once returns wrong pixels without a word, and so does one that
a forked process inherits: every process opens handles of its own, each used under a lock. The same
kind of cache as xarray's CachingFileManager, but with one lock for a few threads instead of one for
a file.
"""

from __future__ import annotations

import itertools
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.enums import ColorInterp, Resampling
from rasterio.errors import NotGeoreferencedWarning
from rasterio.vrt import WarpedVRT

from geofcn.core.grid import Grid
from geofcn.errors import SceneError
from geofcn.io.gdal import RASTER_OPTIONS
from geofcn.runtime import cores

# Datasets a cache keeps open, and threads that share a cache: one thread decodes more pixels than
# a few can compute, and each block is decoded once where they share GDAL's cache of it.
MAX_OPEN = 8
THREADS_PER_CACHE = 4

# A file's size and time of change; empty for what is no local file.
Stamp = tuple[int, ...]


class DatasetCache:
    """Open datasets behind one lock; the least recently used ones are closed.

    Attributes
    ----------
    lock : threading.RLock
        To be held while a dataset of the cache is opened or read.
    open : OrderedDict
        The open datasets by (path, stamp, grid), the most recently used one last.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.open: OrderedDict[tuple[str, Stamp, Grid | None], rasterio.DatasetReader] = (
            OrderedDict()
        )

    def dataset(self, path: str, grid: Grid | None = None) -> rasterio.DatasetReader:
        """The open dataset of a raster; the caller holds the lock.

        Parameters
        ----------
        path : str
            A file, a URL or a GDAL path. A file that was replaced is opened anew.
        grid : Grid, optional
            What the raster is brought onto, nearest neighbour, with an alpha band that is 0 where
            it does not reach.

        Raises
        ------
        RasterioError
            Where it cannot be opened.
        SceneError
            For a VRT whose name does not say so.
        """
        key = path, stamp(path), grid
        if key not in self.open:
            self.open[key] = _open(path) if grid is None else self._warped(path, grid)
        self.open.move_to_end(key)
        while len(self.open) > MAX_OPEN:
            self.open.popitem(last=False)[1].close()
        return self.open[key]

    def _warped(self, path: str, grid: Grid) -> WarpedVRT:
        source = self.dataset(path)
        return WarpedVRT(
            source,
            crs=grid.crs,
            src_crs=source.crs or grid.crs,
            transform=grid.transform,
            height=grid.height,
            width=grid.width,
            resampling=Resampling.nearest,
            add_alpha=not any(ColorInterp.alpha == colour for colour in source.colorinterp),
        )

    def close(self, path: Path | None = None) -> None:
        """Close all datasets, or those of one file; they are opened again when they are wanted."""
        with self.lock:
            for key in reversed(list(self.open)):
                if path is None or Path(key[0]).resolve() == path.resolve():
                    self.open.pop(key).close()


def _new_caches() -> list[DatasetCache]:
    return [DatasetCache() for _ in range(max(1, cores() // THREADS_PER_CACHE))]


_caches = _new_caches()
# Threads are numbered as they come, and take turns with the caches.
_thread_numbers = itertools.count()
_this_thread = threading.local()


def _cache() -> DatasetCache:
    """The cache this thread reads with."""
    if not hasattr(_this_thread, "number"):
        _this_thread.number = next(_thread_numbers)
    return _caches[_this_thread.number % len(_caches)]


@contextmanager
def shared_dataset(path: str, grid: Grid | None = None) -> Iterator[rasterio.DatasetReader]:
    """Context of the open dataset of a raster, for this thread alone.

    Parameters
    ----------
    path : str
        A file, a URL or a GDAL path.
    grid : Grid, optional
        What the raster is brought onto, nearest neighbour.

    Yields
    ------
    rasterio.DatasetReader
        To be used within the block only, in which GDAL's settings are those of `geofcn.io.gdal`.

    Raises
    ------
    RasterioError
        Where it cannot be opened, or be read within the block.
    SceneError
        For a VRT whose name does not say so.
    """
    cache = _cache()
    with cache.lock, rasterio.Env(**RASTER_OPTIONS):
        yield cache.dataset(path, grid)


def close_handles(path: Path | None = None) -> None:
    """Close the datasets this process holds open, or those of one file that is to be replaced."""
    for cache in _caches:
        cache.close(path)


def _forget_handles() -> None:
    """In a forked child: an inherited handle reads wrong pixels, and its lock may be held."""
    global _caches
    _caches = _new_caches()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_handles)


def stamp(path: str) -> Stamp:
    """Size and time of change of the file at `path`; empty where it is no local file.

    Examples
    --------
    >>> stamp("https://example.org/scene.tif")
    ()
    """
    try:
        status = Path(path).stat()
    except (OSError, ValueError):  # a name with a null byte is none of a file
        return ()
    return status.st_size, status.st_mtime_ns


def _open(path: str) -> rasterio.DatasetReader:
    """Open with the one driver the name allows: a VRT under another name could read any file."""
    suffix = Path(path).suffix.lower()
    driver = {".tif": "GTiff", ".tiff": "GTiff", ".vrt": "VRT"}.get(suffix)
    with warnings.catch_warnings():
        # That a raster has no place on the ground is seen from its `crs` and said where it matters.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        dataset = rasterio.open(path, driver=driver)
    if dataset.driver == "VRT" and suffix != ".vrt":
        dataset.close()
        raise SceneError(f"{path}: this is a VRT under another name; rename it to end in .vrt.")
    return dataset

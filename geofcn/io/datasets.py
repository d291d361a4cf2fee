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
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.enums import ColorInterp, Resampling
from rasterio.vrt import WarpedVRT

from geofcn.core.grid import Grid
from geofcn.errors import SceneError
from geofcn.io.drivers import open_raster
from geofcn.io.gdal import GDAL_ERRORS, RASTER_OPTIONS, SHEET_OPTIONS
from geofcn.io.identity import Files, State, digest, files_behind, state
from geofcn.io.projections import check_projections
from geofcn.io.sheets import names_sheets
from geofcn.io.tile_index import files_of_sheets, open_sheets
from geofcn.runtime import cores

# Datasets a cache keeps open, and threads that share a cache: one thread decodes more pixels than
# a few can compute, and each block is decoded once where they share GDAL's cache of it.
MAX_OPEN = 8
THREADS_PER_CACHE = 4

# Files of the datasets that this process has looked at, by path and identity.
_seen: dict[tuple[str, str], Files] = {}


class DatasetCache:
    """Open datasets behind one lock; the least recently used ones are closed.

    Attributes
    ----------
    lock : threading.RLock
        To be held while a dataset of the cache is opened or read.
    open : OrderedDict
        The open datasets by (path, identity, grid), the most recently used one last.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.open: OrderedDict[tuple[str, str, Grid | None], rasterio.DatasetReader] = OrderedDict()

    def dataset(self, path: str, identity: str, grid: Grid | None = None) -> rasterio.DatasetReader:
        """The open dataset of a raster; the caller holds the lock.

        Parameters
        ----------
        path : str
            A file, a URL or a GDAL path.
        identity : str
            The dataset's, see `identity`.
        grid : Grid, optional
            What the raster is brought onto, nearest neighbour, with an alpha band that is 0 where
            it does not reach.

        Raises
        ------
        RasterioError, CPLE_BaseError
            Where it cannot be opened.
        SceneError
            For what is something else than its name says, or has changed since this process
            looked at it first.
        """
        key = path, identity, grid
        if key in self.open:
            _refuse_other_state(path, identity)
            self.open.move_to_end(key)
        elif grid is None:
            self._keep(key, _open_unchanged(path, identity))
        else:
            self._keep(key, self._warped(path, identity, grid))
        return self.open[key]

    def look_at(self, path: str) -> str:
        """Open a raster, and keep it open for what is read next; its identity, see `identity`.

        The caller holds the lock.
        """
        dataset, files = _open(path)
        found = digest(files)
        _seen[path, found] = files
        key = path, found, None
        if key in self.open:
            dataset.close()
        else:
            self._keep(key, dataset)
        return found

    def _keep(
        self, key: tuple[str, str, Grid | None], dataset: rasterio.DatasetReader | WarpedVRT
    ) -> None:
        self.open[key] = dataset
        while len(self.open) > MAX_OPEN:
            self.open.popitem(last=False)[1].close()

    def _warped(self, path: str, identity: str, grid: Grid) -> WarpedVRT:
        source = self.dataset(path, identity)
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
def shared_dataset(
    path: str, identity: str, grid: Grid | None = None
) -> Iterator[rasterio.DatasetReader]:
    """Context of the open dataset of a raster, for this thread alone.

    Parameters
    ----------
    path : str
        A file, a URL or a GDAL path.
    identity : str
        The dataset's, see `identity`.
    grid : Grid, optional
        What the raster is brought onto, nearest neighbour.

    Yields
    ------
    rasterio.DatasetReader
        To be used within the block only, in which GDAL's settings are those of `geofcn.io.gdal`.

    Raises
    ------
    RasterioError, CPLE_BaseError
        Where it cannot be opened, or be read within the block; see GDAL_ERRORS.
    SceneError
        For what is something else than its name says, or has changed, or where PROJ's data are
        unusable.
    """
    check_projections()
    cache = _cache()
    with cache.lock, rasterio.Env(**_options(path)):
        yield cache.dataset(path, identity, grid)


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


def identity(path: str) -> str:
    """What changes when a raster does: a checksum of the state of all files that it is read from.

    Of each file of GDAL's own list, of the sources of a VRT or an index, of all sheets, and of the
    masks and notes beside them that is size and times of change; of an archive, its own. Empty
    where one of them is no local file: then nobody knows. A change from now on is refused by this
    process, see `shared_dataset`.

    Parameters
    ----------
    path : str
        A file, a URL or a GDAL path.

    Raises
    ------
    RasterioError, CPLE_BaseError
        Where it cannot be opened.
    SceneError
        For what is something else than its name says.
    """
    check_projections()
    cache = _cache()
    with cache.lock, rasterio.Env(**_options(path)):
        return cache.look_at(path)


def files_read(path: str, identity: str) -> Files:
    """The files that a raster is read from, and the state in which this process first found them.

    Parameters
    ----------
    path : str
        As for `identity`.
    identity : str
        What that returned in this process.
    """
    return _seen.get((path, identity), {})


def refuse_changed(path: str, identity: str) -> None:
    """Raise SceneError where a raster is not what this process has read from it.

    Parameters
    ----------
    path : str
        As for `identity`.
    identity : str
        What that returned, here or in the process that this one works for.
    """
    before = _seen.get((path, identity), {})
    if not any(before.values()):
        return  # of what is no local file nobody knows
    try:
        now = _files_now(path)
    except GDAL_ERRORS:
        now = {}
    _compare(path, before, now)


def _options(path: str) -> Mapping[str, object]:
    """GDAL's settings for what is read by a path: sheets are opened one after another."""
    return SHEET_OPTIONS if names_sheets(path) else RASTER_OPTIONS


def _files_now(path: str) -> Files:
    if names_sheets(path):
        return files_of_sheets(path)
    with rasterio.Env(**RASTER_OPTIONS):
        dataset, files = _open(path)
    dataset.close()
    return files


def _open_unchanged(path: str, identity: str) -> rasterio.DatasetReader:
    dataset, now = _open(path)
    try:
        # Another host may have a copy of its own, which must then stay what it is.
        _compare(path, _seen.setdefault((path, identity), now), now)
    except SceneError:
        dataset.close()
        raise
    return dataset


def _refuse_other_state(path: str, identity: str) -> None:
    """Raise SceneError where the file itself has changed: so much can be asked at every window."""
    name = str(Path(path).absolute())
    before = _seen[path, identity].get(name)
    if before:
        _compare(path, {name: before}, {name: state(Path(name))})


def _compare(path: str, before: Mapping[str, State], now: Mapping[str, State]) -> None:
    """Raise SceneError where one of a dataset's files is not as before."""
    for name in sorted(before.keys() | now.keys()):
        if before.get(name) != now.get(name):
            which = "it" if name == str(Path(path).absolute()) else f"its file {name}"
            raise SceneError(
                f"{path}: {which} has changed while it was read; leave it alone, and run the same "
                "command again."
            )


def _open(path: str) -> tuple[rasterio.DatasetReader, Files]:
    """The dataset of a path, and the state of all files that it is read from."""
    if names_sheets(path):
        return open_sheets(path)
    dataset = open_raster(path)
    return dataset, files_behind(dataset.files or [path])

"""Rasters opened for reading: a `Scene` knows its grid and reads windows on demand.

It is small, and can be pickled and shared by threads: every process opens handles of its own (see
`geofcn.io.datasets`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.transform import Affine

from geofcn.core.grid import Grid
from geofcn.core.windows import Window, blocks, sample_windows
from geofcn.errors import SceneError
from geofcn.io.datasets import Stamp, shared_dataset, stamp
from geofcn.io.files import StrPath, is_missing, no_such_file

if TYPE_CHECKING:
    import dask.array as da

MAX_BLOCK_BYTES = 512 * 2**20
MAX_PIXELS = 2**42


@dataclass(frozen=True)
class Scene:
    """A raster's grid, and windows of its pixels read on demand; made by `open_scene`.

    Attributes
    ----------
    path : str
        A file, a URL or a GDAL path.
    grid : Grid
        Rows, columns, CRS and transform.
    bands : tuple of int
        1-based numbers of the colour bands (an alpha band is a mask, not a band).
    dtype : str
        Of the pixels, the same for all bands.
    block_shape : (int, int)
        Rows and columns of the blocks in which the file is stored.
    driver : str
        GDAL's driver.
    compression : str or None
        Of the file.
    colours : tuple of str
        What each of `bands` shows: "red", "gray", "undefined", ...
    nodata : float or None
        The value that is blank when every band has it, besides what the file declares.
    declared : float or None
        The nodata value that the file itself declares for its first band.
    masked : bool
        Whether the file itself can say that pixels are blank: by nodata, a mask or alpha.
    resampled : bool
        The file lies on another grid, and is brought onto this one as it is read (nearest
        neighbour).
    identity : tuple of int
        Changes when the file is replaced; empty for what is no local file.
    scale : float
        What a value stands for is that many times the value.
    """

    path: str
    grid: Grid
    bands: tuple[int, ...]
    dtype: str
    block_shape: tuple[int, int]
    driver: str
    compression: str | None
    colours: tuple[str, ...]
    nodata: float | None = None
    declared: float | None = None
    masked: bool = False
    resampled: bool = False
    identity: Stamp = field(default=(), repr=False)
    scale: float = 1.0

    @property
    def height(self) -> int:
        """Rows, in pixels."""
        return self.grid.height

    @property
    def width(self) -> int:
        """Columns, in pixels."""
        return self.grid.width

    @property
    def crs(self) -> CRS | None:
        """CRS of the transform; None where the raster has no place on the ground."""
        return self.grid.crs

    @property
    def transform(self) -> Affine:
        """Pixel corners (column, row) to CRS coordinates (x, y)."""
        return self.grid.transform

    @property
    def window(self) -> Window:
        """The whole scene."""
        return Window(0, 0, self.height, self.width)

    @property
    def name(self) -> str:
        """The file's name without its folder."""
        return Path(self.path).name

    @property
    def declares_blank(self) -> bool:
        """Whether the raster (or the user) says which pixels are blank."""
        return self.masked or self.nodata is not None

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """The pixels of a window that lies on the scene.

        Returns
        -------
        image : (bands, rows, columns) array
            In the raster's dtype; 0 where the whole window is blank.
        valid : (rows, columns) bool array
            False where blank: by what the file declares, by `nodata`, or not finite in any band.

        Raises
        ------
        SceneError
            Where the file cannot be read there.
        """
        with self._reading(window) as dataset:
            valid = _declared(dataset, window) if self.masked else np.ones(window.shape, bool)
            if not valid.any():
                return np.zeros((len(self.bands), *window.shape), self.dtype), valid
            image = dataset.read(self.bands, window=window.ranges)
        if image.dtype.kind == "f":
            valid &= np.isfinite(image).all(axis=0)
        if self.nodata is not None:
            valid &= (image != self.nodata).any(axis=0)
        return image, valid

    def read_reduced(self, shape: tuple[int, int]) -> np.ndarray:
        """The whole scene at (rows, columns) `shape`, nearest neighbour: (bands, rows, columns).

        Raises
        ------
        SceneError
            Where the file cannot be read.
        """
        with self._reading(self.window) as dataset:
            return dataset.read(self.bands, out_shape=(len(self.bands), *shape))

    def to_dask(self, size: int) -> da.Array:
        """The scene as a dask array in `size` x `size` chunks, blank pixels as 0.

        Each chunk is read by its own task when it is wanted; nothing else is held.

        Returns
        -------
        (bands, rows, columns) dask array
        """
        import dask.array as da  # slow to import, and nothing else here wants it

        rows = tuple(window.height for window in blocks(Window(0, 0, self.height, 1), size))
        cols = tuple(window.width for window in blocks(Window(0, 0, 1, self.width), size))
        return da.map_blocks(
            _read_chunk,
            chunks=((len(self.bands),), rows, cols),
            dtype=self.dtype,
            meta=np.empty((0, 0, 0), self.dtype),
            scene=self,
        )

    @contextmanager
    def _reading(self, window: Window) -> Iterator[rasterio.DatasetReader]:
        """The dataset, on this scene's grid; what goes wrong with it is told of `window`."""
        try:
            with shared_dataset(self.path, self.grid if self.resampled else None) as dataset:
                yield dataset
        except RasterioError as error:
            reason = error.__cause__ or error
            raise SceneError(
                f"{self.path}: cannot read {window}: {reason}; the file is damaged or cut "
                "short, so copy or make it again."
            ) from error


def _declared(dataset: rasterio.DatasetReader, window: Window) -> np.ndarray:
    """Where the raster itself says that pixels are not blank: nodata, masks, alpha."""
    valid = dataset.dataset_mask(window=window.ranges) != 0
    # GDAL takes alpha for a mask only where it is the last of two or four bands.
    for band, colour in enumerate(dataset.colorinterp, 1):
        if colour == ColorInterp.alpha:
            valid &= dataset.read(band, window=window.ranges) != 0
    return valid


def _read_chunk(scene: Scene, block_info: Mapping[None, Any]) -> np.ndarray:
    """The chunk at the place that dask tells in `block_info`, under None for its result."""
    (top, bottom), (left, right) = block_info[None]["array-location"][1:]
    image, valid = scene.read(Window(top, left, bottom - top, right - left))
    image[:, ~valid] = 0
    return image


def aligned(source: Scene, target: Scene) -> Scene:
    """`source` on the grid of `target`, nearest neighbour; blank where it does not reach.

    Nothing is read yet.
    """
    return replace(source, grid=target.grid, masked=True, resampled=True)


def open_scene(path: StrPath, nodata: float | None = None) -> Scene:
    """Open a raster: it is checked, but no pixel is read.

    Parameters
    ----------
    path : path
        A file, a URL or a /vsi path.
    nodata : float, optional
        A pixel with this value in every band is blank, besides what the file declares.

    Raises
    ------
    SceneError
        Where the path is no raster that geofcn can use.
    """
    name = os.fspath(path)
    try:
        with shared_dataset(name) as dataset:
            return _scene_of(name, dataset, nodata)
    except RasterioError as error:
        raise SceneError(_why_not_open(name, error)) from error


def _scene_of(path: str, dataset: rasterio.DatasetReader, nodata: float | None) -> Scene:
    _refuse_odd(path, dataset)
    colours = dataset.colorinterp
    bands = tuple(i for i, colour in enumerate(colours, 1) if colour != ColorInterp.alpha)
    mask_flags = {flag for band in dataset.mask_flag_enums for flag in band}
    return Scene(
        path=path,
        grid=Grid(dataset.height, dataset.width, dataset.crs, dataset.transform),
        bands=bands,
        dtype=dataset.dtypes[bands[0] - 1],
        block_shape=dataset.block_shapes[0],
        driver=dataset.driver,
        compression=dataset.compression.value if dataset.compression else None,
        colours=tuple(colours[band - 1].name for band in bands),
        nodata=nodata,
        declared=dataset.nodata,
        masked=len(bands) < len(colours) or mask_flags != {MaskFlags.all_valid},
        identity=stamp(path),
        scale=dataset.scales[0],
    )


def read_tags(scene: Scene) -> dict[str, str]:
    """The metadata of a raster's file.

    Raises
    ------
    SceneError
        Where the file cannot be read.
    """
    with scene._reading(scene.window) as dataset:
        return dict(dataset.tags())


def names_apart(paths: Sequence[str]) -> tuple[str, ...]:
    """Names of several files: those that repeat with as many of their folders as tell them apart.

    Examples
    --------
    >>> names_apart(["north/scene.tif", "data/south/scene.tif", "data/east.tif"])
    ('north/scene.tif', 'south/scene.tif', 'east.tif')
    """
    parts = [Path(path).parts for path in paths]

    def fewest(path: tuple[str, ...]) -> int:
        """How many of its last parts tell a path from all others."""
        others = [other for other in parts if other != path]
        lengths = range(1, len(path) + 1)
        return next((n for n in lengths if all(o[-n:] != path[-n:] for o in others)), len(path))

    return tuple("/".join(path[-fewest(path) :]) for path in parts)


def absolute(path: StrPath) -> str:
    """A local file's path from the root, so that workers elsewhere find it; others as they are.

    Examples
    --------
    >>> absolute("https://example.org/scene.tif")
    'https://example.org/scene.tif'
    """
    return os.fspath(Path(path).absolute() if Path(path).exists() else path)


def _why_not_open(path: str, error: Exception) -> str:
    local = Path(path)
    if local.is_dir():
        return f"{path}: this is a folder; name the raster file in it."
    if local.suffix.lower() == ".zip" and local.exists():
        return f"{path}: name the raster inside the archive, as in zip://{path}!scene.tif."
    if is_missing(path):
        return no_such_file(path)
    return f"{path}: this cannot be opened as a raster ({error}); give a GeoTIFF."


def _refuse_odd(path: str, dataset: rasterio.DatasetReader) -> None:
    """Raise SceneError for what would be read wrong, or would not fit in any memory."""
    if dataset.count == 0:
        raise SceneError(
            f"{path}: it holds no band of its own; name one of its subdatasets "
            f"({', '.join(dataset.subdatasets[:3]) or 'see gdalinfo'})."
        )
    if dataset.gcps[0] and dataset.crs is None:
        raise SceneError(
            f"{path}: it is placed by ground control points only; make a north-up raster of it "
            "with `gdalwarp` first."
        )
    rows, cols = dataset.block_shapes[0]
    block = rows * cols * np.dtype(dataset.dtypes[0]).itemsize * dataset.count
    if block > MAX_BLOCK_BYTES:
        raise SceneError(
            f"{path}: one of its blocks takes {block / 2**20:,.0f} MB; rewrite it in tiles with "
            "`gdal_translate -co TILED=YES`."
        )
    if dataset.width * dataset.height > MAX_PIXELS:
        raise SceneError(
            f"{path}: {dataset.width} x {dataset.height} pixels are more than geofcn takes; cut "
            "it with `gdal_translate -srcwin`."
        )
    if len(set(dataset.dtypes)) > 1 or np.dtype(dataset.dtypes[0]).kind == "c":
        raise SceneError(
            f"{path}: its bands have the types {', '.join(dataset.dtypes)}; geofcn needs one real "
            "type for all (see `gdal_translate -ot`)."
        )
    if all(colour == ColorInterp.alpha for colour in dataset.colorinterp):
        raise SceneError(f"{path}: its only band is alpha, a mask; give a raster with colours.")


def undeclared_collar(scene: Scene) -> float | None:
    """The value that fills much of a scene that declares nothing blank; None where none does.

    A sample of the pixels is read, about 64 windows of 128 x 128: 0, or the type's highest value,
    in every band of more than a twentieth of them.
    """
    if scene.declares_blank:
        return None
    highest = np.iinfo(scene.dtype).max if np.dtype(scene.dtype).kind in "iu" else 1
    counts, total = {0: 0, highest: 0}, 0
    for window in sample_windows(scene.height, scene.width, 128, 64):
        image, _ = scene.read(window)
        total += window.pixels
        for value in counts:
            counts[value] += int(np.count_nonzero((image == value).all(axis=0)))
    value = max(counts, key=lambda candidate: counts[candidate])
    return value if counts[value] > total / 20 else None

"""Rasters opened for reading: a `Scene` knows its grid and reads windows on demand.

It is small, and can be pickled and shared by threads: every process opens handles of its own (see
`geofcn.io.datasets`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.transform import Affine

from geofcn.core.encoding import Conversion, Encoding, converted
from geofcn.core.grid import Grid
from geofcn.core.windows import Window, blocks, sample_windows
from geofcn.errors import SceneError
from geofcn.io.blank import alpha_bands, is_nodata, unmasked
from geofcn.io.datasets import files_read, refuse_changed, shared_dataset
from geofcn.io.drivers import COLLECTIONS
from geofcn.io.gdal import GDAL_ERRORS, GDAL_TYPES, reason_of

if TYPE_CHECKING:
    import dask.array as da

log = logging.getLogger(__name__)


class FileBand(NamedTuple):
    """What a file says of one of its bands: its colour, type, scale and offset."""

    colour: str
    dtype: str
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class Scene:
    """A raster's grid, and windows of its pixels read on demand; made by `open_scene`.

    Attributes
    ----------
    path : str
        A file, a URL or a GDAL path; or what names its sheets, see `geofcn.io.sheets`.
    grid : Grid
        Rows, columns, CRS and transform.
    bands : tuple of int
        1-based numbers of the bands that are looked at: those that were named, else all but alpha,
        which is a mask.
    file_bands : tuple of FileBand
        All bands of the file; red, green, blue and alpha of one with a palette.
    block_shape : (int, int)
        Rows and columns of the blocks in which the file is stored.
    driver : str
        GDAL's driver.
    compression : str or None
        Of the file.
    named : bool
        Whether the bands were named by the user.
    false_masks : tuple of int
        Numbers of the bands that are called alpha and hold something else.
    palette : tuple of (int, int, int, int)
        Red, green, blue and alpha of each value; empty where values are no indices.
    nodata : float or None
        The value that is blank when every band has it, besides what the file declares.
    declared : float or None
        The nodata value that the file itself declares for its first band.
    masked : bool
        Whether the file itself can say that pixels are blank: by nodata, a mask or alpha.
    resampled : bool
        The file lies on another grid, and is brought onto this one as it is read (nearest
        neighbour).
    identity : str
        Changes when one of its files does, see `geofcn.io.datasets.identity`; empty where nobody
        knows, as of a URL.
    conversion : tuple of (float, float)
        By what the values are brought into another encoding as they are read, see `seen_as`.
    """

    path: str
    grid: Grid
    bands: tuple[int, ...]
    file_bands: tuple[FileBand, ...]
    block_shape: tuple[int, int]
    driver: str
    compression: str | None
    named: bool = False
    false_masks: tuple[int, ...] = ()
    palette: tuple[tuple[int, ...], ...] = field(default=(), repr=False)
    nodata: float | None = None
    declared: float | None = None
    masked: bool = False
    resampled: bool = False
    identity: str = field(default="", repr=False)
    conversion: Conversion = ()

    @property
    def colours(self) -> tuple[str, ...]:
        """What each of `bands` shows: "red", "gray", "undefined", ..."""
        return tuple(self.file_bands[band - 1].colour for band in self.bands)

    @property
    def dtype(self) -> str:
        """Of the pixels as they are read, the same for all bands."""
        return "float32" if self.conversion else self.encoding.dtype

    @property
    def encoding(self) -> Encoding:
        """What the file's values of `bands` stand for."""
        _, dtypes, scales, offsets = zip(*(self.file_bands[n - 1] for n in self.bands), strict=True)
        return Encoding(dtypes[0], scales, offsets)

    @property
    def scale(self) -> float:
        """What a value of the first band stands for is that many times the value."""
        return self.file_bands[self.bands[0] - 1].scale

    @property
    def reading(self) -> str:
        """For fingerprints: what decides the pixels read, besides the file and `nodata`."""
        return repr((self.bands, self.false_masks, self.conversion))

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
    def files(self) -> tuple[str, ...]:
        """All that it is read from: a file and what lies beside it, sources, sheets."""
        return (self.path, *files_read(self.path, self.identity))

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
            valid = np.ones(window.shape, bool)
            if self.masked:
                valid = unmasked(dataset, self._stored, self._alphas(dataset), window)
            if valid.any():
                stored = dataset.read(self._stored, window=window.ranges)
                valid &= self._is_known(stored, dataset)
        if not valid.any():
            return np.zeros((len(self.bands), *window.shape), self.dtype), valid
        image, opaque = self._expanded(stored)
        valid &= opaque
        if self.nodata is not None:
            valid &= (image != self.nodata).any(axis=0)
        return (converted(image, self.conversion) if self.conversion else image), valid

    def read_reduced(
        self, shape: tuple[int, int], window: Window | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """A window, or the whole scene, at another (rows, columns) `shape`, to be looked at.

        Overviews are used where there are any, else each pixel is the mean of those that it stands
        for, or with a palette one of them.

        Returns
        -------
        image : (bands, rows, columns) array
            In the encoding of the file.
        valid : (rows, columns) bool array
            False where GDAL's mask of the file, or `nodata`, says so, or a value is not finite.

        Raises
        ------
        SceneError
            Where the file cannot be read.
        """
        window = window or self.window
        method = Resampling.nearest if self.palette else Resampling.average
        with self._reading(window) as dataset:
            stored = dataset.read(
                self._stored,
                window=window.ranges,
                out_shape=(len(self._stored), *shape),
                resampling=method,
            )
            valid = np.isfinite(stored).all(axis=0)
            if self.masked:
                masks = dataset.read_masks(self._stored[0], window=window.ranges, out_shape=shape)
                valid &= masks != 0
        image, opaque = self._expanded(stored)
        valid &= opaque
        if self.nodata is not None:
            valid &= (image != self.nodata).any(axis=0)
        return image, valid

    def refuse_changed(self) -> None:
        """Check that the file, and all that is read with it, is what it was when it was opened.

        Raises
        ------
        SceneError
            Where it has changed since: what was made of it may be half old, half new.
        """
        refuse_changed(self.path, self.identity)

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

    def with_bands(self, bands: Sequence[int]) -> Scene:
        """The scene with other bands of its file, by their 1-based numbers."""
        return replace(self, bands=tuple(bands))

    def seen_as(self, encoding: Encoding, whose: str) -> Scene:
        """The scene with values that stand for the same, in the encoding of another one.

        Parameters
        ----------
        encoding : Encoding
            The other one's, with as many bands.
        whose : str
            Who has it, for messages.

        Raises
        ------
        SceneError
            Where the pixels have another type, and no scale says what they stand for.
        """
        try:
            conversion = self.encoding.conversion_to(encoding)
        except ValueError as error:
            raise SceneError(
                f"{self.path}: its pixels are {self.dtype}, those of {whose} {encoding.dtype}, and "
                "neither declares by a scale what they stand for; convert it with "
                f"`gdal_translate {_translation(self.dtype, encoding.dtype)}`."
            ) from error
        if conversion:
            log.info("%s: its values are brought to the scale of %s.", self.path, whose)
        return replace(self, conversion=conversion)

    @property
    def _stored(self) -> list[int]:
        """Numbers of the file's bands from which `bands` are made."""
        return [1] if self.palette else list(self.bands)

    def _alphas(self, dataset: rasterio.DatasetReader) -> list[int]:
        """Numbers of the bands that are masks; a raster on another grid may have one more."""
        no_masks = {*self._stored, *self.false_masks}
        return [band for band in alpha_bands(dataset) if band not in no_masks]

    def _is_known(self, stored: np.ndarray, dataset: rasterio.DatasetReader) -> np.ndarray:
        """Where the file's values are finite and, as far as it counts, not nodata."""
        known = np.ones(stored.shape[1:], bool)
        if stored.dtype.kind == "f":
            known &= np.isfinite(stored).all(axis=0)
        if self.masked:
            known &= ~is_nodata(stored, [dataset.nodatavals[band - 1] for band in self._stored])
        return known

    def _expanded(self, stored: np.ndarray) -> tuple[np.ndarray, np.ndarray | bool]:
        """The image of `bands`, and where a palette does not make it transparent."""
        if not self.palette:
            return stored, True
        image = np.array(self.palette, np.uint8)[stored[0]].transpose(2, 0, 1)
        return np.ascontiguousarray(image[[band - 1 for band in self.bands]]), image[3] != 0

    @contextmanager
    def _reading(self, window: Window) -> Iterator[rasterio.DatasetReader]:
        """The dataset, on this scene's grid; what goes wrong with it is told of `window`."""
        try:
            grid = self.grid if self.resampled else None
            with shared_dataset(self.path, self.identity, grid) as dataset:
                yield dataset
        except GDAL_ERRORS as error:
            reason = reason_of(error)
            raise SceneError(
                f"{self.path}: cannot read {window}: {reason}; {self._way_out(reason)}"
            ) from error

    def _way_out(self, reason: str) -> str:
        """What to do about an error of reading, by the file that GDAL names for it."""
        if self.driver in COLLECTIONS:
            return "the file named there is missing or damaged, so copy or make it again."
        mask = f"{self.name}.msk"
        if mask in reason:
            return f"{mask} is damaged or the mask of another raster, so remove or make it again."
        return "the file is damaged or cut short, so copy or make it again."


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


def read_tags(scene: Scene) -> dict[str, str]:
    """The metadata of a raster's file.

    Raises
    ------
    SceneError
        Where the file cannot be read.
    """
    with scene._reading(scene.window) as dataset:
        return dict(dataset.tags())


def _translation(dtype: str, wanted: str) -> str:
    """Options of gdal_translate that make values of another type, spread over its range."""
    option = f"-ot {GDAL_TYPES.get(wanted, wanted)}"
    if "f" in (np.dtype(dtype).kind, np.dtype(wanted).kind):
        return option
    return f"{option} -scale 0 {np.iinfo(dtype).max} 0 {np.iinfo(wanted).max}"


def undeclared_collar(scene: Scene) -> float | None:
    """The value that fills much of a scene that declares nothing blank; None where none does.

    A sample of the pixels is read, about 64 windows of 128 x 128: 0, or the type's highest value,
    in every band of more than a twentieth of them.
    """
    if scene.declares_blank:
        return None
    scene = replace(scene, conversion=())  # `nodata` is compared with the file's values
    highest = np.iinfo(scene.dtype).max if np.dtype(scene.dtype).kind in "iu" else 1
    counts, total = {0: 0, highest: 0}, 0
    for window in sample_windows(scene.height, scene.width, 128, 64):
        image, _ = scene.read(window)
        total += window.pixels
        for value in counts:
            counts[value] += int(np.count_nonzero((image == value).all(axis=0)))
    value = max(counts, key=lambda candidate: counts[candidate])
    return value if counts[value] > total / 20 else None

"""Rasters opened for reading: a `Scene` knows its grid and reads windows on demand.

It is small, and can be pickled and shared by threads: every process opens handles of its own (see
`geofcn.io.datasets`).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from geofcn.core.encoding import Conversion, Encoding, converted
from geofcn.core.grid import Grid
from geofcn.core.windows import Window, blocks, sample_windows
from geofcn.errors import SceneError, UsageError
from geofcn.io.blank import alpha_bands, is_mask, is_nodata, masked_bands, unmasked
from geofcn.io.datasets import GDAL_ERRORS, identity, reason_of, refuse_changed, shared_dataset
from geofcn.io.drivers import COLLECTIONS
from geofcn.io.files import StrPath, is_missing, no_such_file

if TYPE_CHECKING:
    import dask.array as da

MAX_BLOCK_BYTES = 512 * 2**20
MAX_PIXELS = 2**42
# A hyperspectral scene has some hundreds; what says that it has more is damaged.
MAX_BANDS = 1024
# GDAL's names of types that numpy calls otherwise.
_GDAL_TYPES = {
    "uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32",
    "int32": "Int32", "uint64": "UInt64", "int64": "Int64", "float32": "Float32",
    "float64": "Float64",
}  # fmt: skip

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
        A file, a URL or a GDAL path.
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

    def read_reduced(self, shape: tuple[int, int]) -> np.ndarray:
        """The whole scene at (rows, columns) `shape`, nearest neighbour: (bands, rows, columns).

        In the encoding of the file.

        Raises
        ------
        SceneError
            Where the file cannot be read.
        """
        with self._reading(self.window) as dataset:
            stored = dataset.read(self._stored, out_shape=(len(self._stored), *shape))
        return self._expanded(stored)[0]

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


def open_scene(
    path: StrPath, nodata: float | None = None, bands: Sequence[int] | None = None
) -> Scene:
    """Open a raster of colours: it is checked, and of its pixels only alpha is looked at.

    A palette's indices are read as the colours that they stand for. An alpha band that holds no
    mask is not taken for one, with a warning in the log.

    Parameters
    ----------
    path : path
        A file, a URL or a /vsi path.
    nodata : float, optional
        A pixel with this value in every band is blank, besides what the file declares.
    bands : sequence of int, optional
        1-based numbers of the bands to look at, in their order; default: all but alpha.

    Raises
    ------
    SceneError
        Where the path is no raster that geofcn can use.
    UsageError
        For bands that it does not have.
    """

    def scene_of(dataset: rasterio.DatasetReader) -> Scene:
        palette = _palette(dataset)
        about = _file_bands(dataset, bool(palette))
        chosen = _check_bands(path, bands, len(about)) if bands else _colours(about)
        false_masks = tuple(
            alpha
            for alpha in alpha_bands(dataset)
            if alpha not in chosen and not is_mask(dataset, alpha)
        )
        return replace(
            _scene_of(os.fspath(path), dataset, chosen, about, palette, false_masks),
            nodata=nodata,
            named=bool(bands),
        )

    scene = _opened(path, scene_of)
    if scene.false_masks and not scene.named:
        _tell_false_masks(scene)
    return scene


def open_raster(path: StrPath) -> Scene:
    """Open a raster of classes or other figures: the values of a palette stay as they are.

    Raises
    ------
    SceneError
        Where the path is no raster that geofcn can use.
    """

    def scene_of(dataset: rasterio.DatasetReader) -> Scene:
        about = _file_bands(dataset, is_expanded=False)
        return _scene_of(os.fspath(path), dataset, _colours(about), about)

    return _opened(path, scene_of)


def _opened(path: StrPath, scene_of: Callable[[rasterio.DatasetReader], Scene]) -> Scene:
    name = os.fspath(path)
    try:
        found = identity(name)
        with shared_dataset(name, found) as dataset:
            return replace(scene_of(dataset), identity=found)
    except UsageError:
        raise
    except (*GDAL_ERRORS, ValueError) as error:  # the latter for what can be no name of a file
        raise SceneError(_why_not_open(name, error)) from error


def _scene_of(
    path: str,
    dataset: rasterio.DatasetReader,
    bands: tuple[int, ...],
    file_bands: tuple[FileBand, ...],
    palette: tuple[tuple[int, ...], ...] = (),
    false_masks: tuple[int, ...] = (),
) -> Scene:
    _refuse_odd(path, dataset, bands, file_bands)
    scene = Scene(
        path=path,
        grid=Grid(dataset.height, dataset.width, dataset.crs, dataset.transform),
        bands=bands,
        file_bands=file_bands,
        block_shape=dataset.block_shapes[0],
        driver=dataset.driver,
        compression=dataset.compression.value if dataset.compression else None,
        false_masks=false_masks,
        palette=palette,
        declared=dataset.nodata,
    )
    return replace(scene, masked=_can_be_blank(scene, dataset))


def _can_be_blank(scene: Scene, dataset: rasterio.DatasetReader) -> bool:
    return (
        any(dataset.nodatavals[band - 1] is not None for band in scene._stored)
        or bool(scene._alphas(dataset) or masked_bands(dataset, scene._stored))
        or any(alpha == 0 for *_, alpha in scene.palette)
    )


def _colours(file_bands: Sequence[FileBand]) -> tuple[int, ...]:
    return tuple(n for n, band in enumerate(file_bands, 1) if band.colour != ColorInterp.alpha.name)


def _file_bands(dataset: rasterio.DatasetReader, is_expanded: bool) -> tuple[FileBand, ...]:
    if is_expanded:
        return tuple(FileBand(colour, "uint8") for colour in ("red", "green", "blue", "alpha"))
    names = (colour.name for colour in dataset.colorinterp)
    return tuple(
        map(
            FileBand, names, dataset.dtypes, map(float, dataset.scales), map(float, dataset.offsets)
        )
    )


def _palette(dataset: rasterio.DatasetReader) -> tuple[tuple[int, ...], ...]:
    """Red, green, blue and alpha of every value that a paletted first band can have."""
    if ColorInterp.palette not in dataset.colorinterp[:1]:
        return ()
    colours = dataset.colormap(1)
    values = np.iinfo(dataset.dtypes[0]).max + 1
    return tuple(colours.get(value, (0, 0, 0, 0)) for value in range(values))


def _check_bands(path: StrPath, bands: Sequence[int], count: int) -> tuple[int, ...]:
    chosen = tuple(bands)
    if len(set(chosen)) < len(chosen) or not all(1 <= band <= count for band in chosen):
        raise UsageError(
            f"{path}: bands {','.join(map(str, chosen))}: give different numbers from 1 to {count}."
        )
    return chosen


def _tell_false_masks(scene: Scene) -> None:
    """Say that a band which is called alpha is something else, and how it can be put to use."""
    alpha, bands = scene.false_masks[0], ",".join(map(str, scene.bands))
    log.warning(
        "%s: its band %d is called alpha but holds many values, as near infrared does, so it is "
        "not taken for a mask; give --bands %s,%d to look at it as well, --bands %s not to.",
        scene.path,
        alpha,
        bands,
        alpha,
        bands,
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
    if is_missing(path):
        return no_such_file(path)
    local = Path(path)
    if local.is_dir():
        return f"{path}: this is a folder; name the raster file in it."
    if local.suffix.lower() == ".zip" and local.exists():
        return f"{path}: name the raster inside the archive, as in zip://{path}!scene.tif."
    return f"{path}: this cannot be opened as a raster ({reason_of(error)}); give a GeoTIFF."


def _refuse_odd(
    path: str,
    dataset: rasterio.DatasetReader,
    bands: Sequence[int],
    file_bands: Sequence[FileBand],
) -> None:
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
    if not bands:
        raise SceneError(f"{path}: its only band is alpha, a mask; give a raster with colours.")
    if len(bands) > MAX_BANDS:
        raise SceneError(
            f"{path}: it has {len(bands):,} bands, geofcn takes {MAX_BANDS:,} at the most; make a "
            "raster of those that matter with `gdal_translate -b`."
        )
    _, dtypes, scales, offsets = zip(*(file_bands[band - 1] for band in bands), strict=True)
    if len(set(dtypes)) > 1 or np.dtype(dtypes[0]).kind == "c":
        raise SceneError(
            f"{path}: its bands have the types {', '.join(dtypes)}; geofcn needs one real "
            "type for all (see `gdal_translate -ot`)."
        )
    if not (all(scales) and np.isfinite([*scales, *offsets]).all()):
        raise SceneError(
            f"{path}: it declares a scale of 0, or that is no number; set it by "
            "`gdal_edit.py -scale 1 -offset 0`."
        )


def _translation(dtype: str, wanted: str) -> str:
    """Options of gdal_translate that make values of another type, spread over its range."""
    option = f"-ot {_GDAL_TYPES.get(wanted, wanted)}"
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

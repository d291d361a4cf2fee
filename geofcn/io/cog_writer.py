"""Cloud-optimised GeoTIFFs of masks and probabilities, written in row bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.io
import rasterio.shutil
from rasterio._err import CPLE_BaseError  # what `copy` raises, besides RasterioError
from rasterio.errors import RasterioError

from geofcn.core.grid import Grid
from geofcn.core.pixels import BACKGROUND, BLANK, HOUSE, HOUSE_CONTACT, PROBABILITY_STEPS
from geofcn.core.windows import BAND_ROWS, Window, ceil_div, cut, round_up
from geofcn.errors import UsageError
from geofcn.io.gdal import RASTER_OPTIONS
from geofcn.io.overviews import Reduce, halve_floats, halve_mask, halve_quantised, pad_to_even
from geofcn.io.qgis import classes_style, probability_style
from geofcn.io.raster_writer import BLOCK, Band, RasterWriter
from geofcn.runtime import give_back_freed_memory

# Overviews at the most: the last one has a 512th of the raster's rows and columns.
MAX_LEVELS = 9
# Of the COG: less time than GDAL's level 6 on noisy masks, for a few more bytes.
COMPRESSION = {"COMPRESS": "DEFLATE", "LEVEL": 4}
# Columns that are written, halved and read back at once; a multiple of what the last overview
# makes one pixel of.
COLUMNS = 2**16
# Scratch files are read once, right after they are written.
SCRATCH = {"compress": "zstd", "zstd_level": 1}
# Pixels of their blocks, which are wide and low, and so full when a thin row band is written.
SCRATCH_COLUMNS, SCRATCH_PIXELS = 2**12, 2**16
LOSSLESS = ("DEFLATE", "ZSTD", "LZW", "LZMA", "LERC", "LERC_DEFLATE", "LERC_ZSTD", "NONE")
PREDICTORS = ("YES", "NO", "STANDARD", "FLOATING_POINT")
SWITCH = ("AUTO", "YES", "NO", "TRUE", "FALSE", "ON", "OFF")
# Options of GDAL's COG driver that leave the pixels and their places alone, and what they may be:
# GDAL ignores a value that it does not know, with a warning, or aborts.
OPTIONS: Mapping[str, Sequence[str]] = {
    "BIGTIFF": ("YES", "NO", "IF_NEEDED", "IF_SAFER"),
    "BLOCKSIZE": [str(side) for side in range(128, 4096 + 1, 16)],
    "COMPRESS": LOSSLESS,
    "GEOTIFF_VERSION": ("AUTO", "1.0", "1.1"),
    "INTERLEAVE": ("BAND", "PIXEL", "TILE"),
    "LEVEL": [str(level) for level in range(23)],
    "NUM_THREADS": ("ALL_CPUS", *map(str, range(1, 129))),
    "OVERVIEWS": ("AUTO", "IGNORE_EXISTING", "FORCE_USE_EXISTING", "NONE"),
    "OVERVIEW_COMPRESS": ("AUTO", *LOSSLESS),
    "OVERVIEW_PREDICTOR": PREDICTORS,
    "PREDICTOR": PREDICTORS,
    "SPARSE_OK": SWITCH,
    "STATISTICS": SWITCH,
}
MASK_COLOURS = {BACKGROUND: (238, 236, 230), HOUSE: (226, 61, 40), BLANK: (255, 255, 255)}
CONTACT_COLOURS = MASK_COLOURS | {HOUSE_CONTACT: (122, 20, 12)}
# One for all masks: it stays where a mask is replaced. What is no house lets the scene be seen.
MASK_STYLE = classes_style(
    {
        HOUSE: ("house", CONTACT_COLOURS[HOUSE], 255),
        HOUSE_CONTACT: ("house, where it meets another", CONTACT_COLOURS[HOUSE_CONTACT], 255),
        BACKGROUND: ("background", CONTACT_COLOURS[BACKGROUND], 0),
    }
)
MASK = Band("uint8", BLANK, "house", MASK_COLOURS, style=MASK_STYLE)
CONTACT_MASK = Band(
    "uint8", BLANK, "house (2: where it meets another)", CONTACT_COLOURS, style=MASK_STYLE
)
QUANTISED = Band(
    "uint8", BLANK, "house probability", scale=1 / PROBABILITY_STEPS, style=probability_style()
)
FLOATS = Band("float32", np.nan, "house probability", style=probability_style())


def refuse_unknown_options(options: Mapping[str, object]) -> None:
    """Check the names and values of creation options for GDAL's COG driver.

    Raises
    ------
    UsageError
        For one that GDAL would ignore, or that changes pixels or grid.

    Examples
    --------
    >>> refuse_unknown_options({"COMPRESS": "zstd", "LEVEL": 9})
    >>> refuse_unknown_options({"RESAMPLING": "CUBIC"})
    Traceback (most recent call last):
    geofcn.errors.UsageError: --co RESAMPLING: not an option of ...
    """
    for name in sorted(set(options).difference(OPTIONS)):
        raise UsageError(
            f"--co {name}: not an option of GDAL's COG driver that leaves pixels and grid as they "
            f"are; choose among {', '.join(OPTIONS)}."
        )
    for name, value in options.items():
        known = OPTIONS[name]
        if str(value).upper() not in known:
            shown = ", ".join(known) if len(known) < 10 else f"{known[0]} to {known[-1]}"
            raise UsageError(f"--co {name}={value}: GDAL's COG driver takes {shown} there.")


def count_overviews(height: int, width: int) -> int:
    """How many overviews a raster of that size gets: each half the one before, down to a block.

    Examples
    --------
    >>> count_overviews(256, 256), count_overviews(257, 100), count_overviews(20_000, 10_000)
    (0, 1, 7)
    """
    levels = 0
    while max(height, width) > BLOCK and levels < MAX_LEVELS:
        height, width, levels = ceil_div(height, 2), ceil_div(width, 2), levels + 1
    return levels


class CogWriter(RasterWriter):
    """A cloud-optimised GeoTIFF of one band, written in full-width row bands from the top.

    Its overviews are made on the way, from what is in memory: of each, the last row waits for the
    next row band where it is to be halved with that one's first. So row bands can be thin, and no
    more than a few of their rows are held.

    Parameters
    ----------
    path : Path
        Of the file, see `RasterWriter`.
    grid : Grid
        Of the whole raster.
    band : Band
        What the raster says of its pixels.
    reduce : callable
        Turns (2 n, 2 m) pixels into (n, m), see `geofcn.io.overviews`.
    tags : mapping, optional
        Metadata of the file.
    options : mapping, optional
        Creation options of GDAL's COG driver, see `refuse_unknown_options`.

    Raises
    ------
    OutputError
        As a RasterWriter does.
    """

    def __init__(
        self,
        path: Path,
        grid: Grid,
        band: Band,
        reduce: Reduce,
        tags: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
    ):
        self._reduce = reduce
        self._options = options or {}
        self._float = np.dtype(band.dtype).kind == "f"
        self._levels: list[rasterio.io.DatasetWriter] = []
        self._waiting: dict[tuple[int, int], np.ndarray] = {}
        super().__init__(path, grid, band, tags)

    def _create_files(
        self, grid: Grid, band: Band, tags: Mapping[str, str] | None
    ) -> rasterio.io.DatasetWriter:
        """Besides the file of the pixels one for each overview, down to the size of a block."""
        dataset = super()._create_files(grid, band, tags)
        height, width = grid.height, grid.width
        for level in range(1, count_overviews(height, width) + 1):
            height, width = ceil_div(height, 2), ceil_div(width, 2)
            # GDAL warns of rasters without a place; nobody opens these but the COG driver.
            halved = Grid(height, width, grid.crs, grid.transform)
            self._levels.append(self._create(f"{level}.tif", halved, band))
        return dataset

    def _create(
        self, name: str, grid: Grid, band: Band, **options: object
    ) -> rasterio.io.DatasetWriter:
        cols = min(round_up(grid.width, BAND_ROWS), SCRATCH_COLUMNS)
        rows = SCRATCH_PIXELS // cols // BAND_ROWS * BAND_ROWS
        shape = {"blockxsize": cols, "blockysize": rows}
        return super()._create(name, grid, band, **SCRATCH | shape | options)

    def write(self, window: Window, array: np.ndarray) -> None:
        """Write the next full-width (rows, columns) row band.

        Raises
        ------
        OutputError
            Where the disk is full.
        """
        for part in cut(window, window.height, COLUMNS):
            self._write_part(part, array[part.relative_to(window).slices])

    def _write_part(self, window: Window, array: np.ndarray) -> None:
        """Write some columns of a row band, and those of the overviews above them."""
        super().write(window, array)
        is_last = window.bottom == self._dataset.height
        row, col = window.row, window.col
        for number, level in enumerate(self._levels):
            array, row = self._with_waiting((number, col), array, row, is_last)
            if not len(array):
                return
            array, row, col = self._reduce(pad_to_even(array)), row // 2, col // 2
            self._write(level, Window(row, col, *array.shape), array)

    def _with_waiting(
        self, place: tuple[int, int], array: np.ndarray, row: int, is_last: bool
    ) -> tuple[np.ndarray, int]:
        """Whole pairs of rows, and the first one's number: of `array` and the row before it.

        A row that is left over waits for the next array of its place, a level and a column; but not
        the raster's last one.
        """
        waiting = self._waiting.pop(place, None)
        if waiting is not None:
            array, row = np.concatenate([waiting, array]), row - 1
        pairs = len(array) if is_last else len(array) // 2 * 2
        if pairs < len(array):
            self._waiting[place] = array[pairs:].copy()
        return array[:pairs], row

    def _finish(self) -> Path:
        """Let GDAL's COG driver put pixels and overviews into one file."""
        give_back_freed_memory()  # GDAL takes its own
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
        try:
            with rasterio.Env(**RASTER_OPTIONS):
                rasterio.shutil.copy(self.folder / "0.tif", stack, driver="VRT")
                _add_overviews(stack, len(self._levels))
                rasterio.shutil.copy(stack, finished, driver="COG", **options)
        except (RasterioError, CPLE_BaseError) as error:
            raise OSError(str(error)) from error
        return finished


def _add_overviews(stack: Path, count: int) -> None:
    """Name the files 1.tif, 2.tif, ... as the overviews of a VRT's only band."""
    tree = ElementTree.parse(stack)
    band = next(tree.iter("VRTRasterBand"))
    for level in range(1, count + 1):
        overview = ElementTree.SubElement(band, "Overview")
        source = ElementTree.SubElement(overview, "SourceFilename", relativeToVRT="1")
        source.text = f"{level}.tif"
        ElementTree.SubElement(overview, "SourceBand").text = "1"
    tree.write(stack)


def mask_writer(
    path: Path,
    grid: Grid,
    *,
    contacts: bool = False,
    tags: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> CogWriter:
    """Writer of a mask: uint8, 0 background, 1 house, 255 blank, with a colour table.

    Parameters
    ----------
    path, grid, tags, options
        As for `CogWriter`.
    contacts : bool
        Whether 2 is a house where it meets another.
    """
    return CogWriter(path, grid, CONTACT_MASK if contacts else MASK, halve_mask, tags, options)


def probability_writer(
    path: Path,
    grid: Grid,
    dtype: str,
    *,
    tags: Mapping[str, str] | None = None,
    options: Mapping[str, str] | None = None,
) -> CogWriter:
    """Writer of house probabilities.

    Parameters
    ----------
    path, grid, tags, options
        As for `CogWriter`.
    dtype : {"uint8", "float32"}
        uint8: 0-254 with the scale 1/254, 255 blank; float32: NaN blank.
    """
    if dtype == "uint8":
        return CogWriter(path, grid, QUANTISED, halve_quantised, tags, options)
    return CogWriter(path, grid, FLOATS, halve_floats, tags, options)

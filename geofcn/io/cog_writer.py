"""Cloud-optimised GeoTIFFs of masks and probabilities, written in row bands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import rasterio
import rasterio.io
import rasterio.shutil

from geofcn.core.grid import Grid
from geofcn.core.pixels import BACKGROUND, BLANK, HOUSE, PROBABILITY_STEPS
from geofcn.core.windows import Window, ceil_div
from geofcn.errors import UsageError
from geofcn.io.gdal import RASTER_OPTIONS
from geofcn.io.overviews import Reduce, _even, halve_floats, halve_mask, halve_quantised
from geofcn.io.raster_writer import BLOCK, Band, RasterWriter

# Row bands start on multiples of 512 rows, which can be halved so often.
MAX_LEVELS = 9


# Of the COG: a third of the time of GDAL's level 6 on noisy masks, for a tenth more bytes.
COMPRESSION = {"COMPRESS": "DEFLATE", "LEVEL": 4}


# Scratch files are read once, right after they are written.
SCRATCH = {"compress": "zstd", "zstd_level": 1}


MASK_COLOURS = {BACKGROUND: (238, 236, 230), HOUSE: (226, 61, 40), BLANK: (255, 255, 255)}


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


class CogWriter(RasterWriter):
    """A cloud-optimised GeoTIFF of one band, written in full-width row bands from the top.

    Its overviews are made on the way, from what is in memory: `reduce` turns (2 n, 2 m) pixels into
    (n, m). Every band but the last has rows by the multiple of 2 to the number of overviews.
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
        super().__init__(path, grid, band, tags)
        self._reduce = reduce
        self._options = options or {}
        self._float = np.dtype(band.dtype).kind == "f"
        self._levels = []
        height, width = grid.height, grid.width
        while max(height, width) > BLOCK and len(self._levels) < MAX_LEVELS:
            height, width = ceil_div(height, 2), ceil_div(width, 2)
            # GDAL warns of rasters without a place; nobody opens these but the COG driver.
            place = Grid(height, width, grid.crs, grid.transform)
            self._levels.append(
                self._create(f"{len(self._levels) + 1}.tif", place, band, **SCRATCH)
            )

    def _create(self, name: str, grid: Grid, band: Band, **options: object):
        return super()._create(name, grid, band, **SCRATCH | options)

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
        with rasterio.Env(**RASTER_OPTIONS):
            rasterio.shutil.copy(self.folder / "0.tif", stack, driver="VRT")
            _add_overviews(stack, len(self._levels))
            rasterio.shutil.copy(stack, finished, driver="COG", **options)
        return finished


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


MASK = Band("uint8", BLANK, "house", MASK_COLOURS)


QUANTISED = Band("uint8", BLANK, "house probability", scale=1 / PROBABILITY_STEPS)


FLOATS = Band("float32", np.nan, "house probability")


def mask_writer(path: Path, grid: Grid, **given) -> CogWriter:
    """A uint8 mask with a colour table; further arguments as for CogWriter."""
    return CogWriter(path, grid, MASK, halve_mask, **given)


def probability_writer(path: Path, grid: Grid, dtype: str, **given) -> CogWriter:
    """House probabilities: uint8 0-254 with scale 1/254 and 255 blank, or float32 with NaN."""
    if dtype == "uint8":
        return CogWriter(path, grid, QUANTISED, halve_quantised, **given)
    return CogWriter(path, grid, FLOATS, halve_floats, **given)

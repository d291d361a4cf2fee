"""What memory and time a polygon with many holes takes until it is ready to be written.

    python tests/benchmarks/bench_holes.py [SIDE]

A mask of 2 SIDE + 1 pixels a side (SIDE: 400) with a hole of a pixel in each second one, read in
thin bands. Prints the peak of resident memory above what a small mask takes, in all and per hole.
"""

import sys
import time

import numpy as np
from affine import Affine
from materials import peak
from rasterio.crs import CRS

from geofcn.polygons.footprints import RowBand, footprints
from geofcn.polygons.outline import Outline

ROWS = 256


def count_holes(mask: np.ndarray) -> int:
    """Holes of the mask's polygons, cleaned by default."""
    bands = (RowBand(mask[row : row + ROWS]) for row in range(0, len(mask), ROWS))
    place = Affine(0.2, 0, 500_000, 0, -0.2, 5_000_000)
    batches = footprints(bands, mask.shape[1], place, CRS.from_epsg(25832), Outline())
    return sum(len(polygon.interiors) for batch in batches for polygon in batch.geometry)


def main(side: str = "400") -> None:
    count_holes(np.ones((300, 300), bool))
    mask = np.ones((2 * int(side) + 1,) * 2, bool)
    mask[1::2, 1::2] = False
    before, start = peak(), time.perf_counter()
    holes = count_holes(mask)
    grown, seconds = peak() - before, time.perf_counter() - start
    print(
        f"{holes:,} holes: {grown / 2**20:.0f} MB, {grown / holes:.0f} bytes each, {seconds:.1f} s"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])

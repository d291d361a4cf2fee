"""Estimate the disk that the outputs of an inference take, and what they are made of."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

# Of a mask's packed bytes without overviews, those of its polygons in a GeoPackage: some hundred
# bytes a house, where the outline takes some tens in the mask.
POLYGONS_TO_MASK = 4.0


@dataclass(frozen=True)
class DiskEstimate:
    """Bytes on disk, in units of 1e9.

    Attributes
    ----------
    polygons_gb : float
        Of the polygons; roughly.
    peak_gb : float
        Of mask, probabilities and polygons, and of what they are made of: the finished row bands,
        and each raster once more, while GDAL makes a COG of it.
    free_gb : float
        On the disk of the current folder.
    """

    polygons_gb: float
    peak_gb: float
    free_gb: float


def estimate_disk(mask_gb: float, probability_gb: float) -> DiskEstimate:
    """The disk that all outputs take, from the size of the rasters with their overviews.

    Examples
    --------
    >>> disk = estimate_disk(0.4, 2.0)
    >>> round(disk.polygons_gb, 3), round(disk.peak_gb, 3)
    (1.2, 7.8)
    """
    polygons_gb = POLYGONS_TO_MASK * mask_gb * 3 / 4
    rasters = mask_gb + probability_gb
    shards = rasters * 3 / 4
    return DiskEstimate(
        polygons_gb=polygons_gb,
        peak_gb=shards + 2 * rasters + polygons_gb,
        free_gb=shutil.disk_usage(Path()).free / 1e9,
    )

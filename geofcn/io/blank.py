"""Which pixels a raster itself declares blank: by nodata, by masks inside or beside it, by alpha.

GDAL's own mask of a dataset is one of these, the first that it finds: an opaque alpha band hides
nodata, a `.msk` file hides both. Here a pixel is blank where any of them says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags

from geofcn.core.windows import Window, sample_windows

# An alpha band of more levels than that, which most of its pixels have, is no mask.
MOST_LEVELS = 16


def is_nodata(image: np.ndarray, nodata: Sequence[float | None]) -> np.ndarray:
    """Where every band that declares a nodata value has it.

    Parameters
    ----------
    image : (bands, rows, columns) array
        Values as the file has them.
    nodata : sequence of float or None
        Of each band; None where it declares none.

    Returns
    -------
    (rows, columns) bool array
        False everywhere where no band declares any.

    Examples
    --------
    >>> is_nodata(np.array([[[0, 0, 5]], [[9, 4, 9]], [[1, 2, 3]]]), [0, 9, None])
    array([[ True, False, False]])
    """
    blank = np.full(image.shape[1:], any(value is not None for value in nodata))
    for band, value in zip(image, nodata, strict=True):
        if value is not None:
            blank &= np.isnan(band) if np.isnan(value) else band == value
    return blank


def unmasked(
    dataset: rasterio.DatasetReader, bands: Sequence[int], alphas: Sequence[int], window: Window
) -> np.ndarray:
    """Where neither masks nor alpha make the pixels of a window blank: (rows, columns) bool.

    Where bands have masks of their own, a pixel is blank where all of them say so.

    Parameters
    ----------
    dataset : DatasetReader
        The raster.
    bands : sequence of int
        1-based numbers of those that are looked at.
    alphas : sequence of int
        And of those that are masks.
    window : Window
        A part of it.
    """
    valid = np.ones(window.shape, bool)
    masks = [
        dataset.read_masks(band, window=window.ranges) for band in masked_bands(dataset, bands)
    ]
    if masks:
        valid &= np.logical_or.reduce(masks)
    for alpha in alphas:
        valid &= dataset.read(alpha, window=window.ranges) != 0
    return valid


def masked_bands(dataset: rasterio.DatasetReader, bands: Sequence[int]) -> list[int]:
    """Numbers of the bands with masks inside or beside the file; one, where they share it."""
    masked = []
    enums = dataset.mask_flag_enums  # rasterio asks all bands each time
    for band in bands:
        flags = set(enums[band - 1])
        if flags & {MaskFlags.all_valid, MaskFlags.alpha} or flags == {MaskFlags.nodata}:
            continue
        if MaskFlags.per_dataset in flags:
            return [band]
        masked.append(band)
    return masked


def alpha_bands(dataset: rasterio.DatasetReader) -> list[int]:
    """1-based numbers of the bands that are called alpha."""
    return [n for n, colour in enumerate(dataset.colorinterp, 1) if colour == ColorInterp.alpha]


def is_mask(dataset: rasterio.DatasetReader, alpha: int) -> bool:
    """Whether an alpha band holds what a mask does, by a sample of its pixels.

    Near infrared is often written as alpha: most of its pixels are neither 0 nor of one common
    value, and they have many levels.
    """
    levels, counts = np.unique(
        np.concatenate([values[values != 0] for values in _sample(dataset, alpha)]),
        return_counts=True,
    )
    if len(levels) <= MOST_LEVELS:
        return True
    return bool(counts.max() >= counts.sum() / 2)


def _sample(dataset: rasterio.DatasetReader, band: int) -> Iterator[np.ndarray]:
    for window in sample_windows(dataset.height, dataset.width, 128, 64):
        yield dataset.read(band, window=window.ranges)

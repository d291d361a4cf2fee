"""Streamed statistics: mean and deviation of each band, and the mean image of tiles.

Those of a whole are the sum of those of its parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geofcn.core.pixels import Normalisation


@dataclass(frozen=True)
class BandMoments:
    """Count, mean and sum of squared deviations of each band, over the pixels that are valid.

    Parts are added by the numerically stable update of Chan, Golub and LeVeque (1979).

    Attributes
    ----------
    count : int
        Pixels.
    mean : (bands,) array
        In units of the raster's values.
    squares : (bands,) array
        Sums of squared deviations from the mean.

    Examples
    --------
    >>> left, right = (
    ...     BandMoments.of(np.array([[values]], np.uint8), np.ones((1, 2), bool))
    ...     for values in ([1, 3], [5, 7])
    ... )
    >>> whole = left + right
    >>> whole.count, whole.mean, whole.squares
    (4, array([4.]), array([20.]))
    """

    count: int
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def none(cls, bands: int) -> BandMoments:
        """Moments of no pixel at all."""
        return cls(0, np.zeros(bands), np.zeros(bands))

    @classmethod
    def of(cls, image: np.ndarray, valid: np.ndarray) -> BandMoments:
        """Moments of an image (bands, rows, columns) where `valid` (rows, columns) is true."""
        values = image.reshape(len(image), -1) if valid.all() else image[:, valid]
        if image.dtype == np.uint8:
            return cls._of_bytes(values)
        values = values.astype(np.float64)
        count = values.shape[1]
        mean = values.mean(axis=1) if count else np.zeros(len(image))
        return cls(count, mean, ((values - mean[:, None]) ** 2).sum(axis=1))

    @classmethod
    def _of_bytes(cls, values: np.ndarray) -> BandMoments:
        """The same from how often each of 256 values occurs: no image of floats is made."""
        counts = np.stack([np.bincount(band, minlength=256) for band in values])
        count = values.shape[1]
        levels = np.arange(256)
        mean = counts @ levels / max(1, count)
        return cls(count, mean, (counts * (levels - mean[:, None]) ** 2).sum(axis=1))

    def __add__(self, other: BandMoments) -> BandMoments:
        count = self.count + other.count
        if count == 0:
            return self
        shift = other.mean - self.mean
        share = other.count / count
        return BandMoments(
            count,
            self.mean + shift * share,
            self.squares + other.squares + shift**2 * (self.count * share),
        )

    def normalisation(self) -> Normalisation:
        """Normalise by mean and standard deviation; a band that never varies is only shifted."""
        deviation = np.sqrt(self.squares / max(1, self.count))
        scale = np.where(deviation > 0, deviation, 1)
        return Normalisation(self.mean.astype(np.float32)[:, None, None], scale.astype(np.float32))


@dataclass(frozen=True)
class MeanImage:
    """Sum of tiles of one size, for their mean, pixel by pixel.

    Attributes
    ----------
    count : int
        Tiles.
    total : (bands, n, n) array
        Their sum, float64.
    """

    count: int
    total: np.ndarray

    @classmethod
    def of(cls, image: np.ndarray) -> MeanImage:
        """The sum of one tile (bands, n, n)."""
        return cls(1, image.astype(np.float64))

    def __add__(self, other: MeanImage) -> MeanImage:
        return MeanImage(self.count + other.count, self.total + other.total)

    def normalisation(self) -> Normalisation:
        """Normalise by subtracting the mean image; values keep their units."""
        mean = (self.total / self.count).astype(np.float32)
        return Normalisation(mean, np.ones(len(mean), np.float32))

"""What the values of a raster's bands stand for: scale, offset, and the type that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Factor and shift of each band: values of one encoding times the factor, plus the shift, are those
# of another.
Conversion = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Encoding:
    """A value v of band i stands for scales[i] * v + offsets[i].

    Attributes
    ----------
    dtype : str
        Of the values.
    scales, offsets : tuple of float
        Of each band, as GDAL has them; 1 and 0 where nothing is declared.
    """

    dtype: str
    scales: tuple[float, ...]
    offsets: tuple[float, ...]

    @property
    def is_declared(self) -> bool:
        """Whether the values are told to stand for others."""
        return any(scale != 1 for scale in self.scales) or any(self.offsets)

    def conversion_to(self, other: Encoding) -> Conversion:
        """What makes values of the other encoding; empty where the two are the same.

        Raises
        ------
        ValueError
            Where the types differ and neither says what its values stand for.

        Examples
        --------
        >>> deep, plain = Encoding("uint16", (0.5,), (10.0,)), Encoding("uint8", (1.0,), (0.0,))
        >>> deep.conversion_to(plain)
        ((0.5, 10.0),)
        >>> plain.conversion_to(plain)
        ()
        """
        if self == other:
            return ()
        if self.dtype != other.dtype and not (self.is_declared or other.is_declared):
            raise ValueError(f"{self.dtype} is not {other.dtype}")
        if (self.scales, self.offsets) == (other.scales, other.offsets):
            return tuple((1.0, 0.0) for _ in self.scales)
        pairs = zip(self.scales, self.offsets, other.scales, other.offsets, strict=True)
        return tuple(
            (scale / wanted, (offset - shift) / wanted) for scale, offset, wanted, shift in pairs
        )


def converted(image: np.ndarray, conversion: Sequence[tuple[float, float]]) -> np.ndarray:
    """An image (bands, rows, columns) in another encoding, as float32.

    Examples
    --------
    >>> converted(np.array([[[0, 2]]], np.uint16), ((0.5, 10.0),))
    array([[[10., 11.]]], dtype=float32)
    """
    factors, shifts = np.array(conversion, np.float64).T[:, :, None, None]
    return (image * factors + shifts).astype(np.float32)

"""Resampling between the pixels of a scene and those that a net sees, by a ratio of integers.

A net pixel is p / q pixels of the scene wide, counted from the scene's origin: p pixels of the
scene are q net pixels. All weights are whole numbers, the same in each such group, so what a window
gives does not depend on where it starts.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import DTypeLike

# Up to this factor two ground resolutions are the same.
SAME = 1.05
# And beyond this one a net trained at one of them is not shown the other.
FARTHEST = 8
# What a ratio's `q` may be.
DENOMINATORS = (1, 2, 4, 8)


@dataclass(frozen=True)
class Ratio:
    """How many pixels of a scene a net pixel is wide, along each axis: p / q, in lowest terms.

    Attributes
    ----------
    p, q : int
        p pixels of the scene are as wide as q net pixels; q is a power of 2.

    Examples
    --------
    >>> str(Ratio(7, 4)), Ratio(7, 4).to_scene(8), Ratio(7, 4).to_net(14)
    ('7/4', 14, 8)
    """

    p: int
    q: int = 1

    @classmethod
    def near(cls, value: float) -> Ratio:
        """The ratio with the least q within a factor of SAME of `value`, else the nearest one.

        Examples
        --------
        >>> print(Ratio.near(3.9), Ratio.near(1.84), Ratio.near(1.5), Ratio.near(0.24))
        4 15/8 3/2 1/4
        """
        for q in DENOMINATORS:
            p = max(1, round(value * q))
            if is_same(p / q, value):
                break
        divisor = math.gcd(p, q)
        return cls(p // divisor, q // divisor)

    @classmethod
    def between(cls, scale: int, trained: float, resolution: float) -> Ratio:
        """The ratio by which a net sees one ground resolution as it saw another at a scale.

        Parameters
        ----------
        scale : int
            Pixels to a net pixel in training.
        trained, resolution : float
            Metres per pixel on the ground, of the training's scene and of another.

        Examples
        --------
        >>> print(Ratio.between(4, 0.2, 0.205), Ratio.between(4, 0.2, 0.3))
        4 11/4
        """
        same = is_same(trained, resolution)
        return cls(scale) if same else cls.near(scale * trained / resolution)

    @classmethod
    def parse(cls, text: str) -> Ratio | None:
        """The ratio that `str` made a text of; None for any other text.

        Examples
        --------
        >>> Ratio.parse("7/4"), Ratio.parse("4"), Ratio.parse("1.5")
        (Ratio(p=7, q=4), Ratio(p=4, q=1), None)
        """
        found = re.fullmatch(r"([1-9][0-9]{0,8})(?:/([1-9][0-9]{0,8}))?", text)
        return found and cls(int(found[1]), int(found[2] or 1))

    @property
    def number(self) -> float:
        """The quotient p / q, exactly; an int where it is a whole number."""
        return self.p if self.q == 1 else self.p / self.q

    def __str__(self) -> str:
        return str(self.p) if self.q == 1 else f"{self.p}/{self.q}"

    def to_scene(self, length: int) -> int:
        """`length` net pixels, a multiple of q, in pixels of the scene."""
        return length // self.q * self.p

    def to_net(self, length: int) -> int:
        """`length` pixels of the scene, a multiple of p, in net pixels."""
        return length // self.p * self.q


def is_same(one: float, other: float) -> bool:
    """Whether two ground resolutions, or two ratios, differ by a factor of SAME at most.

    Examples
    --------
    >>> is_same(0.2, 0.209), is_same(0.2, 0.19), is_same(0.2, 0.211)
    (True, False, False)
    """
    return max(one / other, other / one) <= SAME


def is_far(one: float, other: float) -> bool:
    """Whether two ground resolutions differ by more than a factor of FARTHEST.

    Examples
    --------
    >>> is_far(0.2, 1.6), is_far(0.2, 1.7), is_far(1.7, 0.2)
    (False, True, True)
    """
    return max(one / other, other / one) > FARTHEST


def area_sum(array: np.ndarray, ratio: Ratio, dtype: DTypeLike) -> np.ndarray:
    """Sums of the pixels under each net pixel, weighted by what they share with it.

    The unit of both axes is 1 / q pixel: a pixel is q of them wide, a net pixel p. So weights are
    whole numbers, their sum is p^2, and of integers the sums are exact. Where a net pixel is
    narrower than a pixel, it has the value of the pixel that it lies in, or of the two.

    Parameters
    ----------
    array : (..., rows, columns) array
        Rows and columns are multiples of p; the first ones start a group of p.
    ratio : Ratio
        Pixels to a net pixel.
    dtype : dtype
        Of the sums, which it holds.

    Returns
    -------
    (..., rows q / p, columns q / p) array of `dtype`

    Examples
    --------
    >>> area_sum(np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.uint8), Ratio(2), np.uint16)
    array([[14, 22]], dtype=uint16)

    Three pixels as two net pixels, of one and a half each:

    >>> area_sum(np.array([[1, 10, 100]] * 3, np.uint8), Ratio(3, 2), np.uint16)
    array([[ 36, 630],
           [ 36, 630]], dtype=uint16)
    """
    return _sum_along(_sum_along(array, ratio, -2, dtype), ratio, -1, dtype)


def _sum_along(array: np.ndarray, ratio: Ratio, axis: int, dtype: DTypeLike) -> np.ndarray:
    """Weighted sums along one axis, by strided adds: those of all groups at once."""
    shape = list(array.shape)
    shape[axis] = ratio.to_net(shape[axis])
    sums = np.empty(shape, dtype)
    source, target = np.moveaxis(array, axis, 0), np.moveaxis(sums, axis, 0)
    for phase, ((first, weight), *others) in enumerate(_weights(ratio)):
        total = target[phase :: ratio.q]
        np.multiply(source[first :: ratio.p], weight, out=total, dtype=dtype, casting="unsafe")
        for pixel, weight in others:
            part = source[pixel :: ratio.p]
            total += part if weight == 1 else np.multiply(part, weight, dtype=dtype)
    return sums


@lru_cache
def _weights(ratio: Ratio) -> tuple[tuple[tuple[int, int], ...], ...]:
    """For each of a group's q net pixels: the pixels it shares with, and how much of them.

    Net pixel j covers [j p, (j + 1) p), pixel i [i q, (i + 1) q), in units of 1 / q pixel.
    """
    p, q = ratio.p, ratio.q
    shared = (
        [(i, min((j + 1) * p, (i + 1) * q) - max(j * p, i * q)) for i in range(p)] for j in range(q)
    )
    return tuple(tuple((i, weight) for i, weight in row if weight > 0) for row in shared)


def bilinear_sources(ratio: Ratio, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Between which net pixels the pixels of a scene lie, and how far from the first of them.

    ::

        pixel d of p lies at ((2 d + 1) q - p) / (2 p), from the first net pixel's middle

    which is what align_corners=False means in torch.

    Parameters
    ----------
    ratio : Ratio
        Pixels to a net pixel.
    length : int
        Net pixels along the axis, a multiple of q.

    Returns
    -------
    lower, upper : (length p / q,) int64 array
        Numbers of net pixels; those beyond the ends are the ends.
    share : (length p / q,) float32 array
        Of the upper one, 0 to 1.

    Examples
    --------
    >>> lower, upper, share = bilinear_sources(Ratio(2), 2)
    >>> lower.tolist(), upper.tolist(), share.tolist()
    ([0, 0, 0, 1], [0, 1, 1, 1], [0.75, 0.25, 0.75, 0.25])
    """
    p, q = ratio.p, ratio.q
    twice = (2 * np.arange(p) + 1) * q - p
    groups = np.arange(0, length, q)[:, None]
    lower = (groups + twice // (2 * p)).ravel()
    share = np.tile((twice % (2 * p) / (2 * p)).astype(np.float32), len(groups))
    return lower.clip(min=0), (lower + 1).clip(max=length - 1), share

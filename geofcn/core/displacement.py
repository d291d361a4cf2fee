"""How far labels lie beside the image: the displacement for which their edges fit best."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Resamples of the windows by which the spread of a displacement is known.
RESAMPLES = 50
# Windows with labels that it takes for that.
LEAST_WINDOWS = 4


@dataclass(frozen=True)
class Displacement:
    """By how much labels have to be moved to fit best.

    Attributes
    ----------
    rows, cols : float
        Down and to the right, in pixels.
    spread : float
        Standard deviation of that among resamples of the windows, in pixels; of rows and columns
        the larger one.
    """

    rows: float
    cols: float
    spread: float


def agreement(image: np.ndarray, classes: np.ndarray, known: np.ndarray, reach: int) -> np.ndarray:
    """How well edges of labels lie on edges of an image, for each displacement of the labels.

    At a point of an outline with the unit normal n, and the gradient g of a band, (g . n)^2 is
    large where the image has an edge in the direction of the outline. In the products of their
    components this is a sum of three cross-correlations,

        (g . n)^2 = gx^2 nx^2 + 2 gx gy nx ny + gy^2 ny^2,

    taken for all displacements at once by the Fourier transform.

    Parameters
    ----------
    image : (bands, rows, columns) array of float
        Their edges are added up.
    classes : (rows, columns) array of float
        Share of houses of each pixel.
    known : (rows, columns) array of bool
        Where image and classes are known; edges elsewhere count for nothing.
    reach : int
        Largest displacement, in pixels. The outer `reach` pixels of the labels count for nothing,
        so that all displacements see the image.

    Returns
    -------
    (2 * reach + 1, 2 * reach + 1) array
        For displacements by -reach to reach rows and columns.

    Examples
    --------
    A house of 4 by 4 pixels, its label one row further up and two columns further left:

    >>> image, classes = np.zeros((1, 16, 16)), np.zeros((16, 16))
    >>> image[0, 7:11, 7:11] = 1
    >>> classes[6:10, 5:9] = 1
    >>> found = agreement(image, classes, np.ones((16, 16), bool), 3)
    >>> tuple(int(i) - 3 for i in np.unravel_index(found.argmax(), found.shape))
    (1, 2)
    """
    inside = np.zeros(classes.shape, bool)
    inside[reach:-reach, reach:-reach] = True
    counts = _eroded(known)
    across, down = _gradient(classes * known)
    strength = np.hypot(across, down)
    # A squared unit normal, as often as the outline is long here.
    weight = np.divide(counts & inside, strength, out=np.zeros_like(strength), where=strength > 0)
    outline = across**2 * weight, 2 * across * down * weight, down**2 * weight
    across, down = _gradient(image * known)
    across, down = across * counts, down * counts
    edges = [(part).sum(axis=0) for part in (across**2, across * down, down**2)]
    shape = tuple(length + reach for length in classes.shape)
    spectrum = sum(
        np.fft.rfft2(edge - edge.mean(), shape) * np.fft.rfft2(part, shape).conj()
        for edge, part in zip(edges, outline, strict=True)
    )
    around = np.arange(-reach, reach + 1)
    return np.fft.irfft2(spectrum, shape)[np.ix_(around, around)]


def best_displacement(agreements: Sequence[np.ndarray]) -> Displacement | None:
    """The displacement with the best agreement over windows.

    Parameters
    ----------
    agreements : sequence of (2 * reach + 1, 2 * reach + 1) array
        One for each window, see `agreement`.

    Returns
    -------
    Displacement or None
        None where windows are too few, or the best one is the farthest that was looked at.
    """
    if len(agreements) < LEAST_WINDOWS:
        return None
    stack = np.stack(agreements)
    best = _peak(stack.sum(axis=0))
    if best is None:
        return None
    random = np.random.default_rng(0)
    resamples = (
        _peak(stack[random.integers(0, len(stack), len(stack))].sum(axis=0))
        for _ in range(RESAMPLES)
    )
    found = [peak for peak in resamples if peak is not None]
    if len(found) < RESAMPLES:
        return None
    return Displacement(*best, spread=float(np.std(found, axis=0).max()))


def _peak(surface: np.ndarray) -> tuple[float, float] | None:
    """Row and column of the highest point from the middle, by parabolas through its neighbours."""
    row, col = (int(i) for i in np.unravel_index(surface.argmax(), surface.shape))
    side = len(surface)
    if not (0 < row < side - 1 and 0 < col < side - 1):
        return None
    middle = side // 2
    return (
        row - middle + _vertex(surface[row - 1 : row + 2, col]),
        col - middle + _vertex(surface[row, col - 1 : col + 2]),
    )


def _vertex(three: np.ndarray) -> float:
    """Where the parabola through values at -1, 0 and 1, the highest at 0, is highest."""
    before, here, after = three.tolist()
    bend = before - 2 * here + after
    return 0.5 * (before - after) / bend if bend < 0 else 0.0


def _gradient(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Derivatives to the right and down by Sobel's kernels; 0 on the outer pixels."""
    middle, padding = array[..., 1:-1, 1:-1], [(0, 0)] * (array.ndim - 2) + [(1, 1), (1, 1)]
    rows, cols = middle.shape[-2:]

    def at(row: int, col: int) -> np.ndarray:
        return array[..., 1 + row : 1 + row + rows, 1 + col : 1 + col + cols]

    across = sum((2 - abs(i)) * (at(i, 1) - at(i, -1)) for i in (-1, 0, 1))
    down = sum((2 - abs(i)) * (at(1, i) - at(-1, i)) for i in (-1, 0, 1))
    return np.pad(across, padding), np.pad(down, padding)


def _eroded(known: np.ndarray) -> np.ndarray:
    """Where all of 3 x 3 pixels are known; not on the outer ones."""
    inner = np.zeros_like(known)
    windows = np.lib.stride_tricks.sliding_window_view(known, (3, 3))
    inner[1:-1, 1:-1] = windows.all(axis=(-2, -1))
    return inner

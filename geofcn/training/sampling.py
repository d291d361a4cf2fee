"""Sampling: which tiles a training learns from, and which blocks it is validated on.

One streamed pass, the survey, counts in cells what the choice needs and takes the statistics; the
rest is arithmetic on the counts, however large the scene.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from geofcn.core.pixels import Normalisation, is_kept
from geofcn.core.windows import Window, blocks, training_windows
from geofcn.errors import LabelsError
from geofcn.executors import stream
from geofcn.io.labels import LabelledScene
from geofcn.progress import Progress, silent
from geofcn.recipes import Recipe
from geofcn.training.layout import tile_layouts
from geofcn.training.statistics import MeanImage
from geofcn.training.survey import Counts, Survey
from geofcn.training.tiles import SourceWindow, TileCache

# Validation blocks are laid out anew in every part of this many tiles a side.
PART_TILES = 16

# All houses in less than this share of a scene: the rest may not be labelled.
CORNER = 0.1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Selection:
    """The tiles to train on, and the windows to validate on.

    Attributes
    ----------
    windows : tuple of SourceWindow
        Of the tiles to train on, in column order.
    candidates : int
        How many tiles there were.
    house_share : float
        Houses among the labelled pixels of the chosen tiles, 0 to 1.
    normalisation : Normalisation
        Of the net's input.
    held_out : tuple of SourceWindow
        Windows kept from training, to score on.
    """

    windows: tuple[SourceWindow, ...]
    candidates: int
    house_share: float
    normalisation: Normalisation
    held_out: tuple[SourceWindow, ...] = ()


def select(
    tiles: TileCache,
    recipe: Recipe,
    statistics: Survey,
    held_out: Sequence[SourceWindow] = (),
    progress: Progress = silent,
    normalisation: Normalisation | None = None,
) -> Selection:
    """Choose the training tiles.

    A tile is thrown away when it is more than half blank and holds no house, when nothing in it is
    labelled, or when it comes within a tile of a `held_out` window of its source.

    Parameters
    ----------
    tiles : TileCache
        Where tiles are read, for the mean image.
    recipe : Recipe
        Tile, stride and normalisation.
    statistics : Survey
        Of the sources of `tiles`.
    held_out : sequence of SourceWindow
        See `held_out_blocks`.
    progress : callable
        Told of the tiles that are read.
    normalisation : Normalisation, optional
        Of the net's input, where it is known; default: from the tiles.

    Raises
    ------
    LabelsError
        Where no tile, or only one class, is left to learn.
    """
    layouts = tile_layouts(tiles.sources, recipe)
    bands = len(tiles.sources[0].scene.bands)
    windows: list[SourceWindow] = []
    candidates = houses = known = 0
    for number, source in enumerate(tiles.sources):
        scene, counts, layout = source.scene, statistics.counts[number], layouts[number]
        near = (block for of, block in held_out if of == number)
        blocked = _cells_near(near, layout.tile)
        for window in training_windows(scene.height, scene.width, layout.tile, layout.stride):
            if not blocked.isdisjoint(_cells(window, layout.tile)):
                continue
            candidates += 1
            values, with_house, labelled = counts.over(window)
            if labelled and is_kept(values, bands * window.pixels, with_house):
                windows.append(SourceWindow(number, window))
                houses, known = houses + with_house, known + labelled
    share = houses / known if known else 0.0
    _refuse_one_class(tiles.sources, share, known)
    if normalisation is None and recipe.normalise == "image":
        normalisation = _mean_image(tiles, windows, progress)
    elif normalisation is None:
        normalisation = statistics.moments.normalisation()
    return Selection(tuple(windows), candidates, share, normalisation, tuple(held_out))


def _mean_image(
    tiles: TileCache, windows: Sequence[SourceWindow], progress: Progress
) -> Normalisation:
    with progress("the mean image", len(windows), "tiles") as bar:
        total = MeanImage(0, np.zeros(1))
        for tile in stream(tiles.read, windows):
            total += MeanImage.of(tile.image)
            bar.advance(1)
    return total.normalisation()


def _cells(window: Window, size: int) -> Iterator[tuple[int, int]]:
    """The squares of `size` x `size` pixels that a window touches."""
    for row in range(window.row // size, (window.bottom - 1) // size + 1):
        for col in range(window.col // size, (window.right - 1) // size + 1):
            yield row, col


def _cells_near(held_out: Iterable[Window], size: int) -> set[tuple[int, int]]:
    """The squares of the held-out blocks, which are made of whole ones, and those around them."""
    return {cell for block in held_out for cell in _cells(block.grow(size), size)}


def _refuse_one_class(sources: Sequence[LabelledScene], share: float, labelled: int) -> None:
    name = ", ".join(source.labels.path for source in sources)
    if not labelled:
        raise LabelsError(
            f"{name}: no tile of the scene is both labelled and not blank; check that labels and "
            "scene overlap, or use a smaller --tile."
        )
    if share == 0:
        raise LabelsError(f"{name}: the labels hold no house on the scene; check values and CRS.")
    if share == 1:
        raise LabelsError(f"{name}: the labels call every pixel a house; check their values.")
    if share > 0.5:
        log.warning(
            "%s: %.0f %% of the pixels are houses; are house and background swapped?",
            name,
            100 * share,
        )


def point_out_corners(sources: Sequence[LabelledScene], statistics: Survey) -> None:
    """Warn of scenes all of whose houses lie in a small part of what is labelled.

    Parameters
    ----------
    sources : sequence of LabelledScene
        The scenes.
    statistics : Survey
        Of these.
    """
    for source, counts in zip(sources, statistics.counts, strict=True):
        learnable = (counts.known > 0) & (counts.values > 0)
        rows, cols = (np.flatnonzero((counts.houses > 0).any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            continue
        corner = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        share = float(learnable[corner].sum() / max(1.0, float(learnable.sum())))
        if share < CORNER:
            log.warning(
                "%s: all of its houses lie in %.1f %% of %s, and the rest is learnt as background; "
                "if that is not labelled, draw around what is, and give that by --area.",
                source.labels.path, 100 * share, source.scene.path,
            )  # fmt: skip


def held_out_blocks(
    sources: Sequence[LabelledScene], statistics: Survey, recipe: Recipe
) -> list[SourceWindow]:
    """Choose the blocks to validate on: about recipe.validate_fraction of each scene.

    A scene is cut into parts of up to PART_TILES x PART_TILES tiles. Each gives up one of its
    corners: the one whose share of houses is nearest to the whole part's, for scores that stand
    for the scene. Parts that are too small, or without a house in any corner, give up none.

    Parameters
    ----------
    sources : sequence of LabelledScene
        The scenes.
    statistics : Survey
        Of these.
    recipe : Recipe
        Tile and fraction.

    Returns
    -------
    list of SourceWindow
        Blocks that start on multiples of the tile's side; empty where the fraction is 0.
    """
    if recipe.validate_fraction == 0:
        return []
    return [
        SourceWindow(number, block)
        for number, layout in enumerate(tile_layouts(sources, recipe))
        for part in blocks(sources[number].scene.window, PART_TILES * layout.tile)
        for block in _corner(part, statistics.counts[number], layout.tile, recipe.validate_fraction)
    ]


def _corner(part: Window, counts: Counts, tile: int, fraction: float) -> list[Window]:
    """One corner of `part`; none where it is too small to give one up, or holds no house there."""
    height, width = (_side(length, tile, fraction) for length in part.shape)
    if height >= part.height or width >= part.width:
        return []
    corners = [
        Window(row, col, height, width).intersect(part)
        for row in (part.row, _last_start(part.row, part.height, height, tile))
        for col in (part.col, _last_start(part.col, part.width, width, tile))
    ]
    part_share = counts.house_share(part)
    shares = [counts.house_share(corner) for corner in corners]
    if max(shares) == 0:
        return []
    return [corners[int(np.argmin([abs(share - part_share) for share in shares]))]]


def _side(length: int, tile: int, fraction: float) -> int:
    """Whole tiles nearest to a side of `fraction`'s square root of `length`; at least one."""
    return max(1, round(length * fraction**0.5 / tile)) * tile


def _last_start(start: int, length: int, side: int, tile: int) -> int:
    """The first pixel of the last `side` pixels, moved back onto a multiple of `tile`."""
    return start + (length - side) // tile * tile

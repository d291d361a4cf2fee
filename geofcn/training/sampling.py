"""Which tiles a training learns from, and which parts of its scenes it is scored on.

One streamed pass, the survey, counts in cells what the choice needs and takes the statistics; the
rest is arithmetic on the counts, however large the scene.
"""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import gcd
from pathlib import Path

import numpy as np

from geofcn.core.pixels import BLANK, HOUSE, Normalisation, is_kept, nonblank_values
from geofcn.core.windows import Window, blocks, round_up, training_windows
from geofcn.errors import LabelsError
from geofcn.executors import stream
from geofcn.io.files import write_whole
from geofcn.io.labels import Source
from geofcn.progress import Progress, silent
from geofcn.recipes import Recipe
from geofcn.training.statistics import BandMoments, MeanImage
from geofcn.training.tiles import Place, Tiles

# Pixels a side that a task of the survey reads.
SURVEYED = 1024
# Validation blocks are laid out anew in every part of this many tiles a side.
PART_TILES = 16

log = logging.getLogger("geofcn")


@dataclass(frozen=True)
class Counts:
    """What a scene's cells hold, arrays (rows, columns) of int64, one entry a cell.

    cell    side of a cell in pixels; those at the scene's edge reach beyond it
    values  values that are neither blank nor 0, over all bands
    houses  pixels labelled house
    known   pixels labelled at all
    """

    cell: int
    values: np.ndarray
    houses: np.ndarray
    known: np.ndarray

    def over(self, window: Window) -> tuple[int, int, int]:
        """values, houses and known of a window that starts and ends on multiples of `cell`."""
        part = (
            slice(window.row // self.cell, -(-window.bottom // self.cell)),
            slice(window.col // self.cell, -(-window.right // self.cell)),
        )
        return tuple(int(a[part].sum()) for a in (self.values, self.houses, self.known))

    def house_share(self, window: Window) -> float:
        """Houses among the labelled pixels of a window, 0 to 1."""
        _, houses, known = self.over(window)
        return houses / known if known else 0.0


@dataclass(frozen=True)
class Survey:
    """What one pass over all sources found: counts of each, and moments of all their pixels."""

    counts: tuple[Counts, ...]
    moments: BandMoments


def survey(tiles: Tiles, recipe: Recipe, progress: Progress = silent) -> Survey:
    """Read every pixel of scenes and labels once; count cells, take the moments of each band."""
    cell = gcd(recipe.tile, recipe.stride)
    side = round_up(SURVEYED, cell)
    extents = [
        Window(0, 0, round_up(s.scene.height, recipe.tile), round_up(s.scene.width, recipe.tile))
        for s in tiles.sources
    ]
    places = [(n, block) for n, extent in enumerate(extents) for block in blocks(extent, side)]
    counts = [
        Counts(cell, *np.zeros((3, extent.height // cell, extent.width // cell), np.int64))
        for extent in extents
    ]
    moments = BandMoments.none(len(tiles.sources[0].scene.bands))
    with progress("looking at the scenes", sum(w.pixels for _, w in places), "px") as bar:
        for place, found in zip(places, stream(partial(_look, tiles, cell), places), strict=True):
            number, window = place
            part = Window(
                window.row // cell, window.col // cell, window.height // cell, window.width // cell
            ).slices
            for name, array in found[0].items():
                getattr(counts[number], name)[part] = array
            moments += found[1]
            bar.advance(window.pixels)
    return Survey(tuple(counts), moments)


def save_survey(path: Path, key: str, found: Survey) -> None:
    """Keep a survey for the next training on the same scenes; `key` says which these are."""
    moments = found.moments
    arrays = {"mean": moments.mean, "squares": moments.squares, "count": np.array(moments.count)}
    for number, counts in enumerate(found.counts):
        for name in ("cell", "values", "houses", "known"):
            arrays[f"{name}{number}"] = np.asarray(getattr(counts, name))
    content = io.BytesIO()
    np.savez_compressed(content, key=np.array(key), **arrays)
    write_whole(path, content.getvalue())


def load_survey(path: Path, key: str) -> Survey | None:
    """The survey kept at `path`, or None where there is none, or not that of `key`."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if str(arrays["key"]) != key:
                return None
            names = [name for name in arrays.files if name.startswith("cell")]
            counts = tuple(
                Counts(
                    int(arrays[f"cell{number}"]),
                    *(arrays[f"{name}{number}"] for name in ("values", "houses", "known")),
                )
                for number in range(len(names))
            )
            moments = BandMoments(int(arrays["count"]), arrays["mean"], arrays["squares"])
            return Survey(counts, moments)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile, EOFError):
        return None


def _look(tiles: Tiles, cell: int, place: Place) -> tuple[dict[str, np.ndarray], BandMoments]:
    tile = tiles.read_once(place)
    counted = {
        "values": nonblank_values(tile.image, tile.valid),
        "houses": tile.labels == HOUSE,
        "known": tile.labels != BLANK,
    }
    return (
        {name: _sums(array, cell) for name, array in counted.items()},
        BandMoments.of(tile.image, tile.valid),
    )


def _sums(array: np.ndarray, cell: int) -> np.ndarray:
    """Sums over cells of (rows, columns) small numbers; sides are multiples of `cell`."""
    rows, cols = array.shape
    across = array.reshape(rows, cols // cell, cell).sum(axis=2, dtype=np.int32)
    return across.reshape(rows // cell, cell, -1).sum(axis=1)


@dataclass(frozen=True)
class Selection:
    """The tiles to train on, and what to score on.

    places         of the tiles to train on, in column order
    candidates     how many tiles there were
    house_share    houses among the labelled pixels of the kept tiles, 0 to 1
    normalisation  of the net's input
    held_out       windows kept from training, to score on
    """

    places: tuple[Place, ...]
    candidates: int
    house_share: float
    normalisation: Normalisation
    held_out: tuple[Place, ...] = ()


def select(
    tiles: Tiles,
    recipe: Recipe,
    found: Survey,
    held_out: Sequence[Place] = (),
    progress: Progress = silent,
) -> Selection:
    """Choose the training tiles.

    A tile is thrown away when it is more than half blank and holds no house, when nothing in it is
    labelled, or when it comes within a tile of a `held_out` window of its source. Raises
    LabelsError where that leaves nothing to learn.
    """
    blocked = _cells_near(held_out, recipe.tile)
    bands = len(tiles.sources[0].scene.bands)
    kept, candidates, houses, known = [], 0, 0, 0
    for number, source in enumerate(tiles.sources):
        scene, counts = source.scene, found.counts[number]
        for window in training_windows(scene.height, scene.width, recipe.tile, recipe.stride):
            if not blocked.isdisjoint(_cells(number, window, recipe.tile)):
                continue
            candidates += 1
            values, with_house, labelled = counts.over(window)
            if labelled and is_kept(values, bands * window.pixels, with_house):
                kept.append((number, window))
                houses, known = houses + with_house, known + labelled
    share = houses / known if known else 0.0
    _refuse_one_class(tiles.sources, share, known)
    if recipe.normalise == "image":
        normalisation = _mean_image(tiles, kept, progress)
    else:
        normalisation = found.moments.normalisation()
    return Selection(tuple(kept), candidates, share, normalisation, tuple(held_out))


def _mean_image(tiles: Tiles, places: Sequence[Place], progress: Progress) -> Normalisation:
    with progress("the mean image", len(places), "tiles") as bar:
        total = None
        for tile in stream(tiles.read, places):
            image = MeanImage.of(tile.image)
            total = image if total is None else total + image
            bar.advance(1)
    return total.normalisation()


def _cells(number: int, window: Window, size: int) -> Iterator[tuple[int, int, int]]:
    """The squares of `size` x `size` pixels that a window of source `number` touches."""
    for row in range(window.row // size, (window.bottom - 1) // size + 1):
        for col in range(window.col // size, (window.right - 1) // size + 1):
            yield number, row, col


def _cells_near(held_out: Iterable[Place], size: int) -> set[tuple[int, int, int]]:
    """The squares of the held-out blocks, which are made of whole ones, and those around them."""
    return {cell for number, block in held_out for cell in _cells(number, block.grow(size), size)}


def _refuse_one_class(sources: Sequence[Source], share: float, labelled: int) -> None:
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


def held_out_blocks(sources: Sequence[Source], found: Survey, recipe: Recipe) -> list[Place]:
    """Blocks to validate on: about recipe.validate_fraction of each scene, few and square.

    A scene is cut into parts of up to 16 x 16 tiles. Each gives up one of its corners: the one
    whose share of houses is nearest to the whole part's, for scores that stand for the scene.
    Blocks start on multiples of the tile's side.
    """
    if recipe.validate_fraction == 0:
        return []
    return [
        (number, block)
        for number, source in enumerate(sources)
        for part in blocks(source.scene.window, PART_TILES * recipe.tile)
        for block in _corner(part, found.counts[number], recipe)
    ]


def _corner(part: Window, counts: Counts, recipe: Recipe) -> list[Window]:
    """One corner of `part`; none where it is too small to give one up, or holds no house there."""
    tile = recipe.tile
    height, width = (_side(length, tile, recipe.validate_fraction) for length in part.shape)
    if height >= part.height or width >= part.width:
        return []
    corners = [
        Window(row, col, height, width).intersect(part)
        for row in (part.row, _last_start(part.row, part.height, height, tile))
        for col in (part.col, _last_start(part.col, part.width, width, tile))
    ]
    wanted = counts.house_share(part)
    shares = [counts.house_share(corner) for corner in corners]
    if max(shares) == 0:
        return []
    return [corners[int(np.argmin([abs(share - wanted) for share in shares]))]]


def _side(length: int, tile: int, fraction: float) -> int:
    """Whole tiles nearest to a side of `fraction`'s square root of `length`; at least one."""
    return max(1, round(length * fraction**0.5 / tile)) * tile


def _last_start(start: int, length: int, side: int, tile: int) -> int:
    """The first pixel of the last `side` pixels, moved back onto a multiple of `tile`."""
    return start + (length - side) // tile * tile

"""Dataset statistics: one streamed pass that counts houses, labels and values in cells."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from functools import partial
from math import gcd
from pathlib import Path

import numpy as np

from geofcn.core.pixels import houses_and_known, nonblank_values
from geofcn.core.windows import Window, blocks, ceil_div, round_up
from geofcn.executors import stream
from geofcn.io.files import write_whole
from geofcn.progress import Progress, silent
from geofcn.recipes import Recipe
from geofcn.training.statistics import BandMoments
from geofcn.training.tiles import SourceWindow, TileCache

# Pixels a side that a task of the survey reads.
SURVEYED = 1024


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
            slice(window.row // self.cell, ceil_div(window.bottom, self.cell)),
            slice(window.col // self.cell, ceil_div(window.right, self.cell)),
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


def survey(tiles: TileCache, recipe: Recipe, progress: Progress = silent) -> Survey:
    """Read every pixel of scenes and labels once; count cells, take the moments of each band."""
    cell = gcd(recipe.tile, recipe.stride)
    side = round_up(SURVEYED, cell)
    extents = [
        Window(0, 0, round_up(s.scene.height, recipe.tile), round_up(s.scene.width, recipe.tile))
        for s in tiles.sources
    ]
    windows = [
        SourceWindow(number, block)
        for number, extent in enumerate(extents)
        for block in blocks(extent, side)
    ]
    counts = [
        Counts(cell, *np.zeros((3, extent.height // cell, extent.width // cell), np.int64))
        for extent in extents
    ]
    moments = BandMoments.none(len(tiles.sources[0].scene.bands))
    with progress("looking at the scenes", sum(w.pixels for _, w in windows), "px") as bar:
        results = stream(partial(_count, tiles, cell), windows)
        for (number, window), (counted, added) in zip(windows, results, strict=True):
            part = Window(
                window.row // cell, window.col // cell, window.height // cell, window.width // cell
            ).slices
            for name, array in counted.items():
                getattr(counts[number], name)[part] = array
            moments += added
            bar.advance(window.pixels)
    return Survey(tuple(counts), moments)


def save_survey(path: Path, key: str, statistics: Survey) -> None:
    """Keep a survey for the next training on the same scenes; `key` says which these are."""
    moments = statistics.moments
    arrays = {"mean": moments.mean, "squares": moments.squares, "count": np.array(moments.count)}
    for number, counts in enumerate(statistics.counts):
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


def _count(
    tiles: TileCache, cell: int, source_window: SourceWindow
) -> tuple[dict[str, np.ndarray], BandMoments]:
    """What the cells of a window hold, and the moments of its pixels."""
    tile = tiles.read_once(source_window)
    houses, known = houses_and_known(tile.labels)
    counted = {
        "values": nonblank_values(tile.image, tile.valid),
        "houses": houses,
        "known": known,
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

"""Dataset statistics: one streamed pass that counts houses, labels and values in cells."""

from __future__ import annotations

import io
from collections.abc import Sequence
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
from geofcn.training.layout import tile_layouts
from geofcn.training.statistics import BandMoments
from geofcn.training.tiles import SourceWindow, TileCache

# Side of the windows that are read, in pixels.
SURVEYED = 1024


@dataclass(frozen=True)
class Counts:
    """Counts of values, houses and labels in the square cells of a scene.

    Attributes
    ----------
    cell : int
        Side of a cell in pixels; those at the scene's edge reach beyond it.
    values : (rows, columns) int64 array
        In each cell, values that are neither blank nor 0, over all bands.
    houses : (rows, columns) int64 array
        Pixels labelled house.
    known : (rows, columns) int64 array
        Pixels labelled at all.

    Examples
    --------
    >>> counts = Counts(8, *np.array([[[60, 64]], [[0, 12]], [[64, 48]]]))
    >>> counts.over(Window(0, 0, 8, 16))
    (124, 12, 112)
    >>> counts.house_share(Window(0, 8, 8, 8))
    0.25
    """

    cell: int
    values: np.ndarray
    houses: np.ndarray
    known: np.ndarray

    def over(self, window: Window) -> tuple[int, int, int]:
        """Sums of `values`, `houses` and `known` over a window.

        Parameters
        ----------
        window : Window
            In pixels; it starts and ends on multiples of `cell`, or at the scene's edge.
        """
        part = (
            slice(window.row // self.cell, ceil_div(window.bottom, self.cell)),
            slice(window.col // self.cell, ceil_div(window.right, self.cell)),
        )
        return (
            int(self.values[part].sum()),
            int(self.houses[part].sum()),
            int(self.known[part].sum()),
        )

    def house_share(self, window: Window) -> float:
        """Houses among the labelled pixels of a window, 0 to 1; 0 where nothing is labelled."""
        _, houses, known = self.over(window)
        return houses / known if known else 0.0


@dataclass(frozen=True)
class Survey:
    """Statistics of the training scenes.

    Attributes
    ----------
    counts : tuple of Counts
        Of each scene.
    moments : BandMoments
        Of the valid pixels of all scenes.
    """

    counts: tuple[Counts, ...]
    moments: BandMoments


def survey(tiles: TileCache, recipe: Recipe, progress: Progress = silent) -> Survey:
    """Take the statistics of scenes and labels, each pixel of which is read once.

    Parameters
    ----------
    tiles : TileCache
        Of the scenes; nothing is kept in it.
    recipe : Recipe
        Tile and stride; the greatest common divisor of a scene's is the side of its cells.
    progress : callable
        Told of the pixels that are read.
    """
    layouts = tile_layouts(tiles.sources, recipe)
    cells = [gcd(layout.tile, layout.stride) for layout in layouts]
    scenes = [source.scene for source in tiles.sources]
    extents = [
        Window(0, 0, round_up(scene.height, layout.tile), round_up(scene.width, layout.tile))
        for scene, layout in zip(scenes, layouts, strict=True)
    ]
    windows = [
        SourceWindow(number, block)
        for number, extent in enumerate(extents)
        for block in blocks(extent, round_up(SURVEYED, cells[number]))
    ]
    counts = [
        Counts(cell, *np.zeros((3, extent.height // cell, extent.width // cell), np.int64))
        for cell, extent in zip(cells, extents, strict=True)
    ]
    moments = BandMoments.none(len(scenes[0].bands))
    pixels = sum(window.pixels for _, window in windows)
    with progress("looking at the scenes", pixels, "px") as bar:
        results = stream(partial(_count, tiles, cells), windows)
        for (number, window), (counted, added) in zip(windows, results, strict=True):
            cell = cells[number]
            part = Window(
                window.row // cell, window.col // cell, window.height // cell, window.width // cell
            ).slices
            for name, array in counted.items():
                getattr(counts[number], name)[part] = array
            moments += added
            bar.advance(window.pixels)
    return Survey(tuple(counts), moments)


def save_survey(path: Path, key: str, statistics: Survey) -> None:
    """Write a survey to an `.npz` file, for the next training on the same scenes.

    Parameters
    ----------
    path : Path
        File to write.
    key : str
        Says which scenes these are, and how they were counted.
    statistics : Survey
        To keep.
    """
    moments = statistics.moments
    arrays = {"mean": moments.mean, "squares": moments.squares, "count": np.array(moments.count)}
    for number, counts in enumerate(statistics.counts):
        for name in ("cell", "values", "houses", "known"):
            arrays[f"{name}{number}"] = np.asarray(getattr(counts, name))
    content = io.BytesIO()
    # The stubs take one of the arrays for allow_pickle.
    np.savez_compressed(content, key=np.array(key), **arrays)  # type: ignore[arg-type]
    write_whole(path, content.getvalue())


def load_survey(path: Path, key: str) -> Survey | None:
    """Read the survey at `path`; None where there is none, a damaged one, or one of another key."""
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
    except Exception:  # a damaged archive raises many unrelated classes; it is made anew
        return None


def _count(
    tiles: TileCache, cells: Sequence[int], source_window: SourceWindow
) -> tuple[dict[str, np.ndarray], BandMoments]:
    """Counts of the cells of a window, by name, and the moments of its pixels."""
    tile = tiles.read_once(source_window)
    houses, known = houses_and_known(tile.labels)
    counted = {
        "values": nonblank_values(tile.image, tile.valid),
        "houses": houses,
        "known": known,
    }
    return (
        {name: _sums(array, cells[source_window.source]) for name, array in counted.items()},
        BandMoments.of(tile.image, tile.valid),
    )


def _sums(array: np.ndarray, cell: int) -> np.ndarray:
    """Sums over cells of (rows, columns) small numbers; sides are multiples of `cell`."""
    rows, cols = array.shape
    across = array.reshape(rows, cols // cell, cell).sum(axis=2, dtype=np.int32)
    return across.reshape(rows // cell, cell, -1).sum(axis=1)

"""The drawings of how_it_works.md, made by the code that they explain.

    python examples/drawings.py FOLDER

Writes halo.png, edge.png, sweep.png and shards.png.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path as Outline

from geofcn.core.windows import Tile, Window, blocks, tile_at
from geofcn.inference.schedule import Layout
from geofcn.models.nets import make_net
from geofcn.models.receptive_field import probe
from geofcn.tracing.sweep import Polygons, Sweep

RED, BLUE, GREY, PALE = "#d1382a", "#1f6fb5", "#8a8a8a", "#f2e9d8"


def rectangle(axes: Axes, window: Window, **style: object) -> None:
    """A window, in pixels."""
    corner = window.col, window.row
    axes.add_patch(Rectangle(corner, window.width, window.height, **style))


def frame(axes: Axes, height: int, width: int, title: str) -> None:
    """A raster's frame, rows downwards."""
    axes.set(xlim=(-6, width + 6), ylim=(height + 6, -6), aspect="equal")
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_axis_off()


def draw_halo(path: Path) -> None:
    """The windows of a scene, and what two of them read."""
    height, width, side, halo = 200, 330, 64, 16
    figure, axes = plt.subplots(figsize=(7.5, 4.8), layout="constrained")
    scene = Window(0, 0, height, width)
    rectangle(axes, scene, facecolor=PALE, edgecolor="black", linewidth=1.5)
    for window in blocks(scene, side):
        rectangle(axes, window, facecolor="none", edgecolor=GREY, linewidth=0.6)
    for write in (Window(64, 128, 64, 64), Window(128, 256, 64, 64)):
        tile = tile_at(write.clip(height, width), halo, height, width)
        rectangle(axes, tile.read, facecolor=BLUE, alpha=0.25)
        rectangle(axes, tile.read, facecolor="none", edgecolor=BLUE, linewidth=1.5)
        rectangle(axes, tile.write, facecolor=RED, alpha=0.45)
    handles = [
        Patch(color=BLUE, alpha=0.35, label="read: the window and its halo, clipped at the edge"),
        Patch(color=RED, alpha=0.6, label="written: every pixel by one window"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    frame(axes, height, width, "windows start on multiples of the net's stride")
    save(figure, path)


def probabilities(net: torch.nn.Module, image: torch.Tensor) -> np.ndarray:
    """What a net says of an image, (rows, columns)."""
    with torch.no_grad():
        return torch.softmax(net(image[None]), dim=1)[0, 1].numpy()


def by_tiles(net: torch.nn.Module, image: torch.Tensor, halo: int, fills: bool) -> np.ndarray:
    """The same by windows of 64 pixels; with `fills` zeros lie beyond the image's edge."""
    _, height, width = image.shape
    result = np.zeros((height, width), np.float32)
    for write in blocks(Window(0, 0, height, width), 64):
        if fills:
            read = write.grow(halo)
            tile = Tile(read, write.relative_to(read), write)
            margins = (-read.col, read.right - width, -read.row, read.bottom - height)
            inner = read.clip(height, width)
            part = torch.nn.functional.pad(
                image[:, *inner.slices], [max(0, margin) for margin in margins]
            )
        else:
            tile = tile_at(write, halo, height, width)
            part = image[:, *tile.read.slices]
        result[write.slices] = probabilities(net, part)[tile.crop.slices]
    return result


def draw_edge(path: Path) -> None:
    """What three ways of tiling get wrong, by a net with random weights."""
    torch.manual_seed(7)
    net = make_net("fcnn2", 3, 1, "nearest", False).eval()
    halo = probe(net, 3).halo
    image = torch.rand(3, 192, 256) + 1
    whole = probabilities(net, image)
    ways = {
        "no halo": by_tiles(net, image, 0, False),
        f"a halo of {halo} px, zeros beyond the edge": by_tiles(net, image, halo, True),
        f"a halo of {halo} px, clipped at the edge": by_tiles(net, image, halo, False),
    }
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    for panel, (title, tiled) in zip(panels, ways.items(), strict=True):
        off = np.abs(tiled - whole)
        wrong = int(np.count_nonzero(off > 1e-5))
        shown = panel.imshow(np.maximum(off, 1e-7), norm=LogNorm(1e-7, 1e-1), cmap="inferno")
        panel.set_title(f"{title}:\n{wrong:,} pixels differ", fontsize=10, loc="left")
        panel.set_axis_off()
    figure.colorbar(shown, ax=panels, label="difference in probability", shrink=0.8)
    save(figure, path)


def outline_of(polygons: Polygons, number: int) -> Outline:
    """One polygon with its holes."""
    first, last = polygons.polygons[number : number + 2]
    rings = [
        polygons.coords[polygons.rings[ring] : polygons.rings[ring + 1]]
        for ring in range(first, last)
    ]
    return Outline.make_compound_path(*(Outline(ring, closed=True) for ring in rings))


def draw_sweep(path: Path) -> None:
    """A mask, and which of its polygons are finished after some of its row bands."""
    drawn = """
        ..............................
        ..#####......####.......####..
        ..#####......#..#.......####..
        ..#####..##..#..#..#########..
        .........##..####..#########..
        ....###..##........#########..
        ....###............####.......
        ....###..#########............
        .........##.....##...######...
        .........##.###.##...######...
        .........##.###.##...#####....
        .........##.....##............
        .........#########............
        ..............................
    """
    mask = np.array([[pixel == "#" for pixel in row] for row in drawn.split()], np.uint8)
    bands = (4, 9, len(mask))
    figure, panels = plt.subplots(1, 3, figsize=(11, 2.6), layout="constrained")
    for panel, read in zip(panels, bands, strict=True):
        sweep = Sweep(mask.shape[1])
        found = [sweep.push(mask[row : row + 1]) for row in range(read)]
        if read == len(mask):
            found.append(sweep.finish())
        shown = np.where(np.arange(len(mask))[:, None] < read, mask, 0)
        panel.imshow(
            shown, cmap=ListedColormap([PALE, "#f0b9a5"]), vmin=0, vmax=1,
            extent=(0, mask.shape[1], len(mask), 0),
        )  # fmt: skip
        count = 0
        for polygons in found:
            for number in range(len(polygons.polygons) - 1):
                outline = outline_of(polygons, number)
                panel.add_patch(PathPatch(outline, facecolor=RED, edgecolor="black", alpha=0.9))
                count += 1
        panel.axhspan(read, len(mask), facecolor="white", alpha=0.85)
        panel.axhline(read, color=BLUE, linewidth=2)
        panel.set_title(f"{read} rows read, {count} polygons handed on", fontsize=10, loc="left")
        panel.set_axis_off()
    save(figure, path)


def draw_shards(path: Path) -> None:
    """The blocks of a wide scene, some of them done, and the thin bands that are read of them."""
    layout = Layout.of(Window(0, 0, 2_900, 90_000), 512)
    figure, axes = plt.subplots(figsize=(9, 3.6), layout="constrained")
    done = 2 * layout.across + 1
    for number in range(len(layout)):
        row, col = divmod(number, layout.across)
        corner = col * layout.width, row * layout.height
        width = min(layout.width, layout.scene.width - corner[0])
        height = min(layout.height, layout.scene.height - corner[1])
        colour = RED if number < done else PALE
        axes.add_patch(Rectangle(corner, width, height, facecolor=colour, edgecolor="white"))
        axes.text(corner[0] + width / 2, corner[1] + height / 2, number, ha="center", va="center")
    band = Rectangle(
        (0, layout.height + 60), layout.scene.width, 46, facecolor=BLUE, edgecolor="none", zorder=3
    )
    axes.add_patch(band)
    handles = [
        Patch(color=RED, label="kept on disk"),
        Patch(color=PALE, label="to be computed"),
        Patch(color=BLUE, label="a row band on its way to the files"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    axes.set(xlim=(-500, 90_500), ylim=(layout.scene.height + 20, -20))
    title = (
        f"{layout.scene.width:,} columns, {layout.scene.height:,} rows (drawn too high): "
        f"{len(layout)} blocks of {layout.width:,} x {layout.height:,} px"
    )
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_axis_off()
    save(figure, path)


def save(figure: plt.Figure, path: Path) -> None:
    """A small PNG, and its name."""
    figure.savefig(path, dpi=100, facecolor="white")
    plt.close(figure)
    print(path)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    draw_halo(folder / "halo.png")
    draw_edge(folder / "edge.png")
    draw_sweep(folder / "sweep.png")
    draw_shards(folder / "shards.png")

"""Layout of training tiles in each scene: the same ground in all, whatever their resolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from geofcn.core.geodesy import ground_resolution
from geofcn.core.resampling import Ratio, is_same
from geofcn.core.windows import round_up
from geofcn.io.labels import LabelledScene
from geofcn.recipes import Recipe


@dataclass(frozen=True)
class TileLayout:
    """Training tiles in one of several scenes.

    Attributes
    ----------
    tile, stride : int
        Side of the windows that stand for tiles, and from one to the next, in pixels of the scene:
        about what tile and stride of the recipe are on the ground, and whole strides of the net.
    zoom : float
        Pixels of the scene to one of a tile.
    """

    tile: int
    stride: int
    zoom: float = 1.0


def tile_layouts(sources: Sequence[LabelledScene], recipe: Recipe) -> list[TileLayout]:
    """The layout for each scene: the recipe's own where its resolution is that of the tiles.

    Or where a resolution is not known.

    Parameters
    ----------
    sources : sequence of LabelledScene
        The scenes, with one ground resolution for the recipe's mean image.
    recipe : Recipe
        Scale, tile and stride, multiples of the scale, in pixels of its resolution: that of the
        first scene where it names none.
    """
    resolutions = [ground_resolution(source.scene.grid) for source in sources]
    wanted = recipe.resolution or resolutions[0]
    return [_layout(recipe, wanted, resolution) for resolution in resolutions]


def _layout(recipe: Recipe, wanted: float | None, resolution: float | None) -> TileLayout:
    if not (wanted and resolution) or is_same(wanted, resolution):
        return TileLayout(recipe.tile, recipe.stride)
    ratio = Ratio.between(recipe.scale, wanted, resolution)
    tile, stride = (
        ratio.to_scene(round_up(length // recipe.scale, ratio.q))
        for length in (recipe.tile, recipe.stride)
    )
    return TileLayout(tile, stride, wanted / resolution)

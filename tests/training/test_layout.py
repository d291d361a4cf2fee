"""geofcn.training.layout: tiles of the same ground in scenes of any resolution."""

from dataclasses import replace

import numpy as np
import pytest
from rasterio.transform import from_origin

from geofcn.io.labels import open_labelled_scene
from geofcn.recipes import DEFAULT
from geofcn.training.layout import TileLayout, tile_layouts

RECIPE = replace(DEFAULT, scale=4, tile=32, stride=16)


@pytest.fixture
def at(write_raster):
    """at(pixel, **profile) -> LabelledScene with `pixel` metres per pixel."""

    def make(pixel: float, **profile):
        grid = {"transform": from_origin(500_000, 5_000_000, pixel, pixel), **profile}
        image = write_raster(f"{pixel}.tif", np.ones((3, 8, 8), np.uint8), **grid)
        return open_labelled_scene(image, write_raster("l.tif", np.ones((8, 8), np.uint8), **grid))

    return make


@pytest.mark.parametrize(
    ("pixel", "tile", "stride"),
    [(0.2, 32, 16), (0.207, 32, 16), (0.1, 64, 32), (0.4, 16, 8), (0.3, 22, 11), (0.15, 44, 22)],
)
def test_a_tile_is_as_wide_on_the_ground_as_in_the_first_scene(at, pixel, tile, stride):
    first, layout = tile_layouts([at(0.2), at(pixel)], RECIPE)
    assert first == TileLayout(32, 16, 1)
    assert (layout.tile, layout.stride) == (tile, stride)
    assert layout.zoom == pytest.approx(1 if tile == 32 else 0.2 / pixel, rel=1e-3)


def test_a_recipe_may_name_the_resolution_of_its_tiles(at):
    layouts = tile_layouts([at(0.4), at(0.2)], replace(RECIPE, resolution=0.2))
    assert [(layout.tile, layout.stride) for layout in layouts] == [(16, 8), (32, 16)]
    assert [layout.zoom for layout in layouts] == pytest.approx([0.5, 1], rel=1e-3)


def test_a_scene_of_unknown_resolution_has_tiles_as_the_recipe_says(at):
    assert tile_layouts([at(0.2), at(1, crs=None)], RECIPE)[1] == TileLayout(32, 16)
    assert tile_layouts([at(1, crs=None), at(0.2)], RECIPE)[1] == TileLayout(32, 16)

"""geofcn.synthetic.render: light, shadow and texture against slow but plain reckonings."""

from dataclasses import replace

import numpy as np
import pytest
import shapely

from geofcn.core.windows import Window
from geofcn.synthetic import render
from geofcn.synthetic.buildings import CARS, DECKS, DRIVES, LAWNS, ROOFS, Axes, Surface, Tree
from geofcn.synthetic.countryside import CROPS, cell
from geofcn.synthetic.render import SHADOW_STEPS, SUN_RISE

WINDOW = Window(0, 0, 40, 40)


def test_every_material_has_an_appearance():
    things = cell(1024, 0, 0, 0)
    used = {thing.material for thing in (*things.surfaces, *things.trees)}
    assert used | {*CARS, *DECKS, *DRIVES, *LAWNS, *ROOFS, *CROPS} <= set(render.APPEARANCES)


def test_shadow_is_that_of_the_highest_ray_from_the_sun():
    rng = np.random.default_rng(4)
    window, reach = Window(0, 0, 20, 15), sum(SHADOW_STEPS)
    height = np.zeros((20 + reach, 15 + reach // 2), np.float32)
    height[rng.random(height.shape) < 0.02] = 40
    ray = np.full(window.shape, -np.inf)
    for step in range(reach + 1):
        moved = height[step : step + 20, step // 2 : step // 2 + 15] - step * SUN_RISE
        ray = np.maximum(ray, moved)
    expected = np.clip((ray - height[:20, :15] - 0.4) / 2, 0, 1)
    np.testing.assert_allclose(render._shadow(height, window), expected, atol=1e-4)


def test_a_post_throws_its_shadow_up_and_to_the_left():
    height = np.zeros((20 + 63, 20 + 31), np.float32)
    height[15, 10] = 10
    rows, cols = np.nonzero(render._shadow(height, Window(0, 0, 20, 20)))
    np.testing.assert_array_equal(np.sort(rows), np.arange(7, 15))
    assert cols.max() == 10
    assert cols.min() == 10 - 8 // 2


def test_a_face_towards_the_sun_is_brighter_than_level_ground_and_one_away_darker():
    # A roof that rises towards the north faces south, where the sun is.
    assert render.lambert((0, -1), 0.5) > render.lambert((0, -1), 0) == 1
    assert render.lambert((0, 1), 0.5) < 1


def test_level_ground_is_as_bright_whatever_its_axis():
    angles = np.linspace(0, 2 * np.pi, 9)
    assert {render.lambert((np.cos(t), np.sin(t)), 0) for t in angles} == {1}


def test_a_wall_away_from_the_sun_keeps_the_light_of_the_sky():
    assert render.lambert(render.SUN, 1e6) == pytest.approx(0.3)


def test_nothing_outside_of_its_scope_shows_in_a_window():
    scope = render.scope(WINDOW)
    tall = Surface("pale deck", shapely.box(0, 0, 5, 5), height=60)
    bare = render.paint([], [], WINDOW, 0)
    for col, row in ((scope.col - 5, 0), (scope.right, 0), (0, scope.row - 5), (0, scope.bottom)):
        moved = replace(tall, shape=shapely.box(col, row, col + 5, row + 5))
        np.testing.assert_array_equal(render.paint([moved], [], WINDOW, 0), bare)


def test_noise_is_smooth_and_fills_its_range():
    noise = render._noise(Window(-500, 300, 400, 400), 16, 9)
    assert -1 <= noise.min() < -0.8
    assert 0.8 < noise.max() <= 1
    assert np.abs(np.diff(noise, axis=0)).max() < 2 * 1.5 / 16 + 1e-6


def test_burning_covers_pixel_centres_and_later_shapes_lie_on_top():
    shapes = [shapely.box(100, 200, 103, 202), shapely.box(102, 201.4, 104, 202)]
    numbers = render.burn(shapes, Window(200, 100, 2, 4), numbered=True)
    np.testing.assert_array_equal(numbers, [[1, 1, 1, 0], [1, 1, 2, 2]])
    ones = render.burn(shapes, Window(200, 100, 2, 4))
    assert ones.dtype == np.uint8
    np.testing.assert_array_equal(ones, numbers > 0)
    assert not render.burn([], Window(0, 0, 2, 2)).any()


def test_what_lies_higher_in_the_order_of_materials_hides_the_rest_whatever_comes_first():
    ground, water = shapely.box(-10, -10, 50, 50), shapely.box(10, 10, 30, 30)
    surfaces = [Surface("water", water), Surface("meadow", ground)]
    image = render.paint(surfaces, [], WINDOW, 0)
    np.testing.assert_array_equal(image, render.paint(surfaces[::-1], [], WINDOW, 0))
    assert image[2, 15:25, 15:25].mean() > image[0, 15:25, 15:25].mean() + 60
    assert image[1, :8].mean() > image[2, :8].mean() + 20


def test_rows_run_along_u_and_repeat_every_period():
    field = Surface("vineyard", shapely.box(-50, -50, 90, 90), Axes(0, 0, 0))
    red = render.paint([field], [], Window(0, 0, 34, 60), 0)[0].astype(float).mean(axis=1)
    assert np.corrcoef(red[:17], red[17:])[0, 1] > 0.8
    assert np.ptp(red) > 20


def test_a_tree_stands_out_and_a_high_roof_hides_it():
    tree = Tree("leaves", 20, 20, 8, 16, (1, 1, 1))
    bare = render.paint([], [], WINDOW, 0)
    assert (render.paint([], [tree], WINDOW, 0)[:, 17:23, 17:23] != bare[:, 17:23, 17:23]).any()
    roof = Surface("pale deck", shapely.box(-50, -50, 120, 120), height=60)
    np.testing.assert_array_equal(
        render.paint([roof], [tree], WINDOW, 0), render.paint([roof], [], WINDOW, 0)
    )

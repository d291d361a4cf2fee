"""Render the synthetic countryside: an aerial photograph of surfaces and trees.

A window is painted in five steps: burn the surfaces' numbers, look up colours and heights, raise
the trees, cast the sun's shadows over the height field, and pass the result through a camera.
Textures are hashes of the world's pixel coordinates, so two windows agree on the pixels they share.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rasterio.features import rasterize
from rasterio.transform import Affine
from shapely import Polygon

from geofcn.core.windows import Window
from geofcn.synthetic.buildings import Colour, Surface, Tree

# Sunwards the ground path goes one column for every two rows; a ray climbs by SUN_RISE a row.
SUN = np.array([1.0, 2.0]) / math.sqrt(5)
SUN_SLOPE = 1.05
SUN_RISE = SUN_SLOPE * math.sqrt(5) / 2
SHADOW_STEPS = (1, 2, 4, 8, 16, 32)  # rows
SHADOW_TINT = (0.27, 0.34, 0.41)


@dataclass(frozen=True)
class Appearance:
    """How a material looks in full sun on level ground.

    Attributes
    ----------
    colour : (float, float, float)
        Red, green and blue, 0-255.
    mottle : float
        Strength of the patches of several metres.
    grain : float
        Strength of the texture of a few pixels.
    rows : (float, float, float), optional
        Colour of the rows that cross the surface.
    period : float
        From one row to the next, in pixels.
    crest : float
        Height of the rows (of the whole surface where it has none), in pixels; vegetation if > 0.
    """

    colour: Colour
    mottle: float
    grain: float
    rows: Colour | None = None
    period: float = 0
    crest: float = 0


# By the material's name, from the ground up: a material hides those above it in this table.
APPEARANCES = {
    "rough grass": Appearance((124, 136, 82), 0.2, 0.14),
    "meadow": Appearance((114, 144, 80), 0.15, 0.1),
    "dark meadow": Appearance((102, 132, 76), 0.15, 0.11),
    "mown meadow": Appearance((124, 146, 86), 0.16, 0.1, (136, 154, 94), 34),
    "hay": Appearance((160, 160, 106), 0.18, 0.09, (142, 150, 92), 22),
    "wheat": Appearance((194, 180, 136), 0.1, 0.08, (182, 166, 120), 6),
    "soil": Appearance((150, 122, 94), 0.16, 0.1, (132, 104, 80), 7),
    "potatoes": Appearance((110, 90, 68), 0.12, 0.1, (72, 108, 54), 8, 3),
    "vineyard": Appearance((138, 126, 88), 0.15, 0.14, (84, 116, 62), 17, 14),
    "cobbles": Appearance((158, 150, 140), 0.1, 0.07, (144, 137, 128), 4),
    "lawn": Appearance((122, 144, 84), 0.18, 0.12),
    "dark lawn": Appearance((110, 134, 80), 0.18, 0.12),
    "long grass": Appearance((104, 126, 76), 0.16, 0.14),
    "dry lawn": Appearance((138, 146, 92), 0.26, 0.13),
    "straw lawn": Appearance((156, 148, 106), 0.26, 0.13),
    "bare ground": Appearance((160, 126, 100), 0.14, 0.08),
    "gravel": Appearance((190, 180, 160), 0.12, 0.06),
    "concrete": Appearance((186, 183, 174), 0.06, 0.05),
    "paving": Appearance((182, 168, 152), 0.08, 0.04, (170, 156, 142), 4),
    "water": Appearance((56, 176, 206), 0.04, 0.02, (66, 188, 214), 9),
    "clay": Appearance((178, 112, 86), 0.05, 0.02),
    "tarmac": Appearance((156, 156, 154), 0.05, 0.03),
    "hedge": Appearance((78, 98, 60), 0.15, 0.2, crest=9),
    "verge": Appearance((132, 138, 88), 0.22, 0.16),
    "kerb": Appearance((186, 183, 174), 0.06, 0.05),
    "asphalt": Appearance((152, 152, 150), 0.05, 0.03),
    "marking": Appearance((228, 228, 224), 0.02, 0.02),
    "red tiles": Appearance((176, 116, 90), 0.12, 0.08, (162, 104, 80), 4),
    "brown tiles": Appearance((160, 128, 104), 0.16, 0.1, (146, 115, 93), 4),
    "dark tiles": Appearance((128, 98, 84), 0.12, 0.08, (116, 88, 76), 4),
    "slate": Appearance((88, 88, 92), 0.08, 0.06, (80, 80, 85), 4),
    "grey tiles": Appearance((176, 170, 158), 0.09, 0.05, (168, 161, 149), 5),
    "blue metal": Appearance((128, 148, 164), 0.06, 0.03, (116, 136, 152), 5),
    "red metal": Appearance((164, 84, 72), 0.06, 0.04, (150, 74, 64), 5),
    "rusty metal": Appearance((150, 122, 102), 0.2, 0.08, (134, 108, 92), 5),
    "parapet": Appearance((200, 197, 190), 0.1, 0.05),
    "pale deck": Appearance((170, 166, 158), 0.12, 0.06),
    "dark deck": Appearance((122, 120, 118), 0.12, 0.06),
    "white deck": Appearance((200, 198, 190), 0.1, 0.04),
    "green deck": Appearance((128, 130, 96), 0.22, 0.1),
    "party wall": Appearance((176, 168, 158), 0.1, 0.06),
    "chimney": Appearance((156, 144, 136), 0.1, 0.06),
    "tank": Appearance((66, 74, 84), 0.02, 0.03),
    "solar panel": Appearance((40, 58, 96), 0.02, 0.02, (70, 88, 124), 8),
    "white car": Appearance((216, 216, 214), 0.02, 0.03),
    "black car": Appearance((62, 64, 70), 0.02, 0.03),
    "silver car": Appearance((158, 162, 168), 0.02, 0.03),
    "red car": Appearance((136, 44, 40), 0.02, 0.03),
    "blue car": Appearance((52, 74, 118), 0.02, 0.03),
    "glass": Appearance((38, 46, 58), 0.02, 0.02),
    "leaves": Appearance((86, 106, 63), 0.12, 0.15, crest=1),
    "needles": Appearance((52, 76, 53), 0.12, 0.15, crest=1),
}
GROUND = Surface("rough grass", Polygon())  # what lies where nothing else does
# Name -> float32 (n, ...), a value for each of n things, which an array of their ids looks up.
Looks = dict[str, np.ndarray]
RANK = {material: rank for rank, material in enumerate(APPEARANCES)}


def scope(window: Window) -> Window:
    """The window in which things stand that show in a window, or throw their shadow into it.

    Examples
    --------
    >>> scope(Window(100, 200, 10, 10))
    Window(row=99, col=199, height=75, width=43)
    """
    reach, near = sum(SHADOW_STEPS), window.grow(1)
    return Window(near.row, near.col, near.height + reach, near.width + reach // 2)


def paint(
    surfaces: Sequence[Surface], trees: Sequence[Tree], window: Window, seed: int
) -> np.ndarray:
    """A window of the photograph.

    Parameters
    ----------
    surfaces, trees : sequence
        At least those that touch ``scope(window)``, in an order that does not depend on the window;
        later surfaces of the same material lie on top.
    window : Window
        What is rendered.
    seed : int
        Of the textures.

    Returns
    -------
    (3, rows, columns) array
        uint8 red, green and blue, never 0.
    """
    wide, near = scope(window), window.grow(1)
    surfaces = sorted(surfaces, key=lambda surface: RANK[surface.material])
    looks = _looks([GROUND, *surfaces], trees)
    ids = burn([surface.shape for surface in surfaces], wide, numbered=True)
    foliage = _noise(wide, 5, 16 * seed)
    rows, height = _relief(ids, looks, foliage, wide)
    for number, tree in enumerate(trees, 1 + len(surfaces)):
        _raise(tree, number, ids, height, foliage, wide)
    light = _facing(height, looks["crest"] > 0, ids, near)
    inner = np.s_[: near.height, : near.width]
    image = _colours(ids[inner], rows[inner], looks, light, near, seed)
    return _camera(image, _shadow(height, near), window, seed)


def burn(shapes: Sequence[Polygon], window: Window, numbered: bool = False) -> np.ndarray:
    """Which pixels' centres shapes cover, 0 where none does.

    Parameters
    ----------
    shapes : sequence of Polygon
        In pixels of the scene, as (column, row).
    window : Window
        What is burned.
    numbered : bool
        Give the number of the shape, from 1, the last one's where several cover a pixel.

    Returns
    -------
    (rows, columns) array
        uint8 1, or int32 numbers.

    Examples
    --------
    >>> import shapely
    >>> burn([shapely.box(0, 0, 2, 1), shapely.box(1, 0, 3, 2)], Window(0, 0, 2, 3), numbered=True)
    array([[1, 2, 2],
           [0, 2, 2]], dtype=int32)
    """
    dtype = np.int32 if numbered else np.uint8
    if not shapes:
        return np.zeros(window.shape, dtype)
    values = [(shape, number if numbered else 1) for number, shape in enumerate(shapes, 1)]
    to_scene = Affine.translation(window.col, window.row)
    return rasterize(values, window.shape, transform=to_scene, dtype=dtype)


def _looks(surfaces: Sequence[Surface], trees: Sequence[Tree]) -> Looks:
    """How every surface, and then every tree, looks and lies; see Looks."""
    things: list[Surface | Tree] = [*surfaces, *trees]
    appearances = [APPEARANCES[thing.material] for thing in things]
    # Trees are raised later: here they are as level as the ground.
    planes = [*surfaces, *[GROUND] * len(trees)]
    axes = np.array([plane.place.vector(0, 1) for plane in planes])
    origins = np.array([(plane.place.x, plane.place.y) for plane in planes])
    shade = [lambert(axis, plane.rise) for axis, plane in zip(axes, planes, strict=True)]
    tint = np.array([thing.tint for thing in things]) * np.array(shade)[:, None]
    looks = {
        "colour": tint * [look.colour for look in appearances],
        "rows": tint * [look.rows or look.colour for look in appearances],
        "frequency": [1 / look.period if look.period else 0 for look in appearances],
        "mottle": [look.mottle for look in appearances],
        "grain": [look.grain for look in appearances],
        "crest": [look.crest for look in appearances],
        "axis": axes,
        "offset": -(axes * origins).sum(axis=1),
        "height": [plane.height for plane in planes],
        "rise": [plane.rise for plane in planes],
    }
    return {name: np.asarray(values, np.float32) for name, values in looks.items()}


def lambert(axis: Sequence[float] | np.ndarray, rise: float) -> float:
    """Light on a plane (Lambert's cosine law), relative to level ground; some is sky light.

    Parameters
    ----------
    axis : (float, float)
        Unit vector (x, y) along which the plane rises.
    rise : float
        Pixels up per pixel along it.

    Examples
    --------
    >>> lambert((0, -1), 0)
    1.0
    """
    direct = max(0, 1 - rise * float(np.dot(axis, SUN)) / SUN_SLOPE) / math.hypot(1, rise)
    return 0.3 + 0.7 * direct


# --- relief -----------------------------------------------------------------------------------


def _relief(
    ids: np.ndarray, looks: Looks, foliage: np.ndarray, window: Window
) -> tuple[np.ndarray, np.ndarray]:
    """Row pattern (0 between two rows, 1 on a row) and height of the surfaces."""
    x = np.arange(window.col, window.right, dtype=np.float32)
    y = np.arange(window.row, window.bottom, dtype=np.float32)[:, None]
    t = looks["axis"][ids, 0] * x
    t += looks["axis"][ids, 1] * y
    t += looks["offset"][ids]
    rows = t * looks["frequency"][ids]
    rows -= np.floor(rows)
    rows = np.abs(2 * rows - 1)
    t *= looks["rise"][ids]
    t += looks["height"][ids]
    t += looks["crest"][ids] * rows * (np.float32(0.6) + np.float32(0.5) * foliage)
    return rows, t


def _raise(
    tree: Tree,
    number: int,
    ids: np.ndarray,
    height: np.ndarray,
    foliage: np.ndarray,
    window: Window,
) -> None:
    """Let a tree's crown stand out of the height field, in place."""
    x0, y0, x1, y1 = tree.bounds
    crown = Window(math.floor(y0), math.floor(x0), math.ceil(y1 - y0) + 1, math.ceil(x1 - x0) + 1)
    part = crown.intersect(window)
    inside = part.relative_to(window).slices
    dx = (np.arange(part.col, part.right) + (0.5 - tree.x)).astype(np.float32)
    dy = (np.arange(part.row, part.bottom) + (0.5 - tree.y)).astype(np.float32)[:, None]
    square = (dx * dx + dy * dy) / np.float32(tree.radius**2)
    lumps = np.float32(0.5) * foliage[inside]
    if tree.material == "needles":
        top = 1 - np.sqrt(square) + np.float32(0.6) * lumps
    else:
        top = np.sqrt(np.maximum(1 - square, 0)) + lumps * (1 - np.float32(0.3) * square)
        top[square > 1 + lumps] = 0
    top *= np.float32(tree.height)
    wins = (top > height[inside]) & (top > 2)
    height[inside][wins] = top[wins]
    ids[inside][wins] = number


def _shadow(height: np.ndarray, window: Window) -> np.ndarray:
    """How deep every pixel of a window lies in the shadow of what stands sunwards of it, 0-1.

    `height` reaches sum(SHADOW_STEPS) rows further down and half as many columns to the right. The
    highest ray over a pixel is found by doubling: over the first 2k rows sunwards it is the higher
    of that over the first k, and the same of the pixel k rows away, lowered by its way here.
    """
    ray = height
    for step in SHADOW_STEPS:
        aside = step // 2
        near = ray[:-step, : ray.shape[1] - aside]
        ray = np.maximum(near, ray[step:, aside:] - np.float32(step * SUN_RISE))
    inner = np.s_[: window.height, : window.width]
    return np.clip((ray[inner] - height[inner] - 0.4) * np.float32(0.5), 0, 1)


def _facing(
    height: np.ndarray, is_foliage: np.ndarray, ids: np.ndarray, window: Window
) -> np.ndarray:
    """Light on foliage: brighter where it slopes towards the sun; 1 elsewhere."""
    rows, cols = window.shape
    slope = height[:rows, :cols] - height[2 : rows + 2, 1 : cols + 1]
    slope = np.clip(slope * np.float32(0.07), -0.5, 0.6)
    return 1 + slope * is_foliage[ids[:rows, :cols]]


# --- textures and camera ----------------------------------------------------------------------


def _hashed(rows: np.ndarray, cols: np.ndarray, key: int) -> np.ndarray:
    """A random uint32 for every (row, column)."""
    salt = (key * 0x27D4EB2F) % 2**32
    h = (rows.astype(np.uint32) * np.uint32(0x9E3779B1) + np.uint32(salt))[:, None]
    h = h ^ (cols.astype(np.uint32) * np.uint32(0x85EBCA77))
    for shift, factor in ((15, 0x2C1B3C6D), (12, 0x297A2D39)):
        h ^= h >> np.uint32(shift)
        h *= np.uint32(factor)
    h ^= h >> np.uint32(15)
    return h


def _noise(window: Window, wavelength: int, key: int) -> np.ndarray:
    """Smooth noise in [-1, 1]: values hashed on a lattice, interpolated with a smooth step."""
    weights, nodes = [], []
    for start, length in ((window.row, window.height), (window.col, window.width)):
        node, rest = np.divmod(np.arange(start, start + length), wavelength)
        share = ((rest + 0.5) / wavelength).astype(np.float32)
        weights.append(share * share * (3 - 2 * share))
        nodes.append(node)
    (y, x), (wy, wx) = nodes, weights
    lattice = _hashed(np.arange(y[0], y[-1] + 2), np.arange(x[0], x[-1] + 2), key)
    values = lattice.astype(np.float32) * np.float32(2**-31) - 1
    y, x = y - y[0], x - x[0]
    rows = values[y] + wy[:, None] * (values[y + 1] - values[y])
    steps = np.diff(rows, axis=1)
    return rows[:, x] + wx * steps[:, x]


def _colours(
    ids: np.ndarray, rows: np.ndarray, looks: Looks, light: np.ndarray, window: Window, seed: int
) -> np.ndarray:
    """The surfaces' colours with their textures, (3, rows, columns) float32."""
    patches = 0.6 * _noise(window, 97, 16 * seed + 1) + 0.4 * _noise(window, 29, 16 * seed + 2)
    grain = 0.6 * _noise(window, 3, 16 * seed + 3) + 0.5 * _noise(window, 7, 16 * seed + 4)
    patches *= looks["mottle"][ids]
    light = light * (1 + grain * looks["grain"][ids])
    image = np.empty((3, *window.shape), np.float32)
    for band, share in enumerate((1.0, 0.6, 0.7)):
        base, crossing = looks["colour"][:, band], looks["rows"][:, band]
        np.add(base[ids], rows * (crossing - base)[ids], out=image[band])
        image[band] *= light * (1 + np.float32(share) * patches)
    return image


def _camera(image: np.ndarray, shadow: np.ndarray, window: Window, seed: int) -> np.ndarray:
    """What the camera makes of the light: shadows, haze, a slight blur and noise; uint8 >= 1.

    `image` and `shadow` reach one pixel further than the window on every side.
    """
    rows, cols = np.arange(window.row, window.bottom), np.arange(window.col, window.right)
    speckle = _hashed(rows, cols, 16 * seed + 5)
    # The sum of four bytes, each uniform, is nearly a normal distribution.
    common = np.zeros(window.shape, np.uint32)
    for shift in (0, 8, 16, 24):
        common += (speckle >> np.uint32(shift)) & np.uint32(255)
    noise = common.astype(np.float32) * np.float32(3 / 148) - np.float32(3 * 510 / 148)
    out = np.empty((3, *window.shape), np.uint8)
    for band, tint in enumerate(SHADOW_TINT):
        light = image[band] * (1 - np.float32(1 - tint) * shadow)
        light = light[:-2] + 2 * light[1:-1] + light[2:]
        light = light[:, :-2] + 2 * light[:, 1:-1] + light[:, 2:]
        own = ((speckle >> np.uint32(5 + 9 * band)) & np.uint32(7)).astype(np.float32)
        light = light * np.float32(0.95 / 16) + noise + own + np.float32(3)
        np.clip(light, 1, 255, out=light)
        out[band] = light
    return out

"""Pictures of scenes and the houses on them, of bounded size, for pages."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyproj
import shapely
from markupsafe import Markup
from PIL import Image

from geofcn.core.colours import Colour
from geofcn.core.grid import Grid
from geofcn.core.pixels import picture_of
from geofcn.core.windows import Window
from geofcn.io.scene import Scene

# The longer side of a picture in pixels, and bytes of a photograph, at the most.
LONGEST = 1600
PHOTOGRAPH = 800_000
QUALITIES = (85, 75, 60, 45, 30, 15)
# What is blank.
GREY = 128
# Outlines are drawn in tenths of a picture's pixels, and stray by a quarter of one.
STEPS, STRAY = 10, 0.25
# Of a layer that is painted over a photograph.
OPACITY = 120


@dataclass(frozen=True)
class Kind:
    """A class of houses: its name in the legend, and its colour; dashed where it is not there."""

    name: str
    colour: Colour
    dashed: bool = False


@dataclass(frozen=True)
class Shape:
    """A house on a picture that can be pointed at.

    Attributes
    ----------
    path : str
        Its outline as SVG takes it, in STEPS to a pixel.
    kind : int
        Of the picture's kinds.
    text : str
        What is known of it.
    """

    path: str
    kind: int
    text: str


@dataclass(frozen=True)
class Picture:
    """A scene with houses, or parts of it, in colours.

    Attributes
    ----------
    title : str
        What it shows.
    height, width : int
        In pixels.
    photograph : str
        The scene, as a URL with all data; empty where there is none.
    kinds : sequence of Kind
        Of the legend, with the number of each in `counts`, or empty.
    counts : sequence of str
    layer : str
        What is painted over the scene, as a URL; empty where nothing is.
    shapes : sequence of Shape
        Houses that can be pointed at.
    blocks : sequence of (float, float, float, float)
        Places that are marked: left, top, width and height, in pixels of the picture.
    notes : sequence of str
        What is to be known of it.
    """

    title: str
    height: int
    width: int
    photograph: str = ""
    kinds: Sequence[Kind] = ()
    counts: Sequence[str] = ()
    layer: str = ""
    shapes: Sequence[Shape] = ()
    blocks: Sequence[tuple[float, float, float, float]] = ()
    notes: Sequence[str] = ()


def reduced_shape(height: int, width: int, longest: int = LONGEST) -> tuple[int, int]:
    """Rows and columns of a picture of a scene: its own, or fewer in the same ratio.

    Examples
    --------
    >>> reduced_shape(300, 400), reduced_shape(20_000, 10_000), reduced_shape(1, 10_000)
    ((300, 400), (1600, 800), (1, 1600))
    """
    factor = min(1.0, longest / max(height, width))
    return max(1, round(height * factor)), max(1, round(width * factor))


def photograph(
    scene: Scene, shape: tuple[int, int], window: Window | None = None, most: int = PHOTOGRAPH
) -> str:
    """A scene, or a window of it, as a JPEG of at most so many bytes, as a URL with all data.

    Parameters
    ----------
    scene : Scene
        Its first three bands, or the first one in grey.
    shape : (int, int)
        Rows and columns of the picture.
    window : Window, optional
        Default: all.
    most : int
        Bytes.

    Raises
    ------
    SceneError
        Where it cannot be read.
    """
    image, valid = scene.read_reduced(shape, window)
    return photograph_of(image, valid, most)


def photograph_of(image: np.ndarray, valid: np.ndarray, most: int = PHOTOGRAPH) -> str:
    """An image (bands, rows, columns) as `photograph` has it; grey where it is not valid."""
    shown = picture_of(image, valid)
    shown[~valid] = GREY
    for quality in QUALITIES:
        content = io.BytesIO()
        Image.fromarray(shown).save(content, "JPEG", quality=quality, optimize=True)
        if content.tell() <= most:
            break
    return _data_url("image/jpeg", content.getvalue())


def png_of(picture: np.ndarray) -> str:
    """A picture (rows, columns, 3) of uint8 as a PNG, as a URL with all data."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    return _data_url("image/png", content.getvalue())


def layer_of(classes: np.ndarray, kinds: Sequence[Kind]) -> str:
    """Numbers of kinds from 1 (rows, columns) uint8 as a PNG, as a URL; empty where all are 0."""
    if not classes.any():
        return ""
    palette = Image.fromarray(classes)
    palette.putpalette([0, 0, 0, *(part for kind in kinds for part in kind.colour)])
    content = io.BytesIO()
    opacities = bytes([0] + [OPACITY] * len(kinds))
    palette.save(content, "PNG", optimize=True, transparency=opacities)
    return _data_url("image/png", content.getvalue())


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True)
class Canvas:
    """Where map coordinates lie on a picture.

    Attributes
    ----------
    height, width : int
        Of the picture.
    matrix : (2, 3) array
        From the coordinates of `crs` to pixels of the picture, x before y.
    crs : CRS or None
        Of the scene that is shown.
    """

    height: int
    width: int
    matrix: np.ndarray
    crs: pyproj.CRS | None = None

    @classmethod
    def of_grid(cls, grid: Grid) -> Canvas:
        """That of a picture of a whole scene."""
        height, width = reduced_shape(grid.height, grid.width)
        inverse = np.array(~grid.transform).reshape(3, 3)[:2]
        scales = np.array([[width / grid.width], [height / grid.height]])
        crs = None if grid.crs is None else pyproj.CRS.from_user_input(grid.crs.to_wkt())
        return cls(height, width, inverse * scales, crs)

    @classmethod
    def of_bounds(cls, bounds: np.ndarray) -> Canvas:
        """That of a picture without a scene: what lies within (west, south, east, north)."""
        west, south, east, north = bounds if np.isfinite(bounds).all() else np.zeros(4)
        side = max(east - west, north - south) or 1.0
        margin = 0.02 * side
        scale = LONGEST / (side + 2 * margin)
        height, width = (
            max(1, round((extent + 2 * margin) * scale)) for extent in (north - south, east - west)
        )
        left, top = west - margin, north + margin
        return cls(height, width, np.array([[scale, 0, -left * scale], [0, -scale, top * scale]]))

    def place(self, polygons: np.ndarray, crs: pyproj.CRS | None = None) -> np.ndarray:
        """Polygons in pixels of the picture; `crs` is theirs where it may be another one."""
        if None not in (crs, self.crs) and crs != self.crs:
            to_scene = pyproj.Transformer.from_crs(crs, self.crs, always_xy=True).transform
            polygons = shapely.transform(polygons, to_scene, interleaved=False)
        return shapely.transform(
            polygons, lambda points: points @ self.matrix[:, :2].T + self.matrix[:, 2]
        )


def simplified(placed: np.ndarray) -> np.ndarray:
    """Polygons on a picture as far as one can see them."""
    return shapely.simplify(placed, STRAY)


def path_of(polygon: shapely.Polygon, left: float = 0.0, top: float = 0.0) -> str:
    """A polygon as SVG draws it: all rings, each from its start by steps, in tenths of a pixel.

    Examples
    --------
    >>> path_of(shapely.box(0, 0, 2, 1))
    'M20 0l0 10 -20 0 0 -10z'
    """
    return "".join(
        _ring_path(np.rint((shapely.get_coordinates(ring) - (left, top)) * STEPS).astype(int))
        for ring in (polygon.exterior, *polygon.interiors)
    )


def _ring_path(points: np.ndarray) -> str:
    (x, y), moves = points[0], np.diff(points, axis=0)[:-1]
    return f"M{x} {y}l{' '.join(f'{dx} {dy}' for dx, dy in moves.tolist())}z"


def framed(photograph: str, shape: tuple[int, int], path: str, colour: str, name: str) -> Markup:
    """A small picture with one outline: an SVG element."""
    height, width = shape
    return Markup(
        '<svg role="img" aria-label="{name}" viewBox="0 0 {width} {height}">'
        '<image href="{photograph}" width="{width}" height="{height}"/>'
        '<path class="outline" style="stroke:{colour}" transform="scale({scale})" d="{path}"/>'
        "</svg>"
    ).format(
        name=name, width=width, height=height, photograph=photograph, colour=colour,
        scale=1 / STEPS, path=path,
    )  # fmt: skip

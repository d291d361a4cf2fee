"""Houses of a page, however many: some can be pointed at, the others are painted, all counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise

import numpy as np
import pyproj
import shapely
from PIL import Image, ImageDraw

from geofcn.core.colours import hex_of
from geofcn.report.charts import bar_chart
from geofcn.report.picture import (
    Canvas,
    Kind,
    Picture,
    Shape,
    layer_of,
    path_of,
    simplified,
)
from geofcn.report.report import Chart

# Houses that can be pointed at, and corners of all their outlines, at the most.
SHAPES, CORNERS = 3000, 120_000
# Classes of areas begin with these, in square metres.
AREAS = (0, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
# Classes of shares of 1.
SHARES = 20


@dataclass(frozen=True)
class Features:
    """Some houses with what is known of them.

    Attributes
    ----------
    polygons : (n,) array of shapely.Polygon
        In the coordinates of a map.
    kinds : (n,) int array
        Numbers of kinds.
    ranks : (n,) array
        Those with the least are the first to be looked at.
    ids : (n,) int array
        From 1 in their order; they tell houses of one rank apart.
    areas, shares : (n,) array
        Square metres; a score or an intersection over union, NaN without any.
    words : (n,) array of object
        What else is known, or None.
    """

    polygons: np.ndarray
    kinds: np.ndarray
    ranks: np.ndarray
    ids: np.ndarray
    areas: np.ndarray
    shares: np.ndarray
    words: np.ndarray

    def __len__(self) -> int:
        return len(self.polygons)

    def select(self, chosen: np.ndarray | slice) -> Features:
        """Those chosen by an index array or a slice."""
        return Features(*(getattr(self, each.name)[chosen] for each in fields(self)))

    def followed_by(self, others: Features) -> Features:
        """These and others."""
        pairs = ((getattr(self, each.name), getattr(others, each.name)) for each in fields(self))
        return Features(*map(np.concatenate, pairs))


@dataclass
class HouseMap:
    """Takes houses as they come, and makes a picture of them; memory is bounded.

    Attributes
    ----------
    canvas : Canvas
        Of the picture.
    kinds : sequence of Kind
        Of houses.
    crs : CRS or None
        Of their coordinates.
    most : int
        Houses that can be pointed at.

    Notes
    -----
    The picture is the same however the houses are cut into parts.
    """

    canvas: Canvas
    kinds: Sequence[Kind]
    crs: pyproj.CRS | None = None
    most: int = SHAPES
    first: Features | None = None
    counts: np.ndarray = field(init=False)
    by_area: np.ndarray = field(init=False)
    by_share: np.ndarray = field(init=False)
    _painted: list[Image.Image] = field(init=False)

    def __post_init__(self) -> None:
        size = self.canvas.width, self.canvas.height
        self.counts = np.zeros(len(self.kinds), np.int64)
        self.by_area = np.zeros((len(self.kinds), len(AREAS)), np.int64)
        self.by_share = np.zeros((len(self.kinds), SHARES), np.int64)
        self._painted = [Image.new("1", size) for _ in self.kinds]

    def add(self, houses: Features) -> None:
        """Take some houses, or none."""
        area = np.searchsorted(AREAS, houses.areas, side="right") - 1
        np.add.at(self.by_area, (houses.kinds, area), 1)
        known = ~np.isnan(houses.shares)
        share = np.minimum((houses.shares[known] * SHARES).astype(int), SHARES - 1)
        np.add.at(self.by_share, (houses.kinds[known], share), 1)
        self.counts += np.bincount(houses.kinds, minlength=len(self.kinds))
        self.first = houses if self.first is None else self.first.followed_by(houses)
        if len(self.first) > 2 * self.most:
            self._keep_first()

    def _keep_first(self) -> None:
        """Paint all but the first ones."""
        if self.first is not None:
            in_order = self.first.select(np.lexsort((self.first.ids, self.first.ranks)))
            self.first = in_order.select(slice(self.most))
            self._paint(in_order.select(slice(self.most, None)))

    def _paint(self, houses: Features) -> None:
        """Paint houses as a layer, without their courtyards."""
        draws = [ImageDraw.Draw(image) for image in self._painted]
        placed = self.canvas.place(houses.polygons, self.crs)
        rings = shapely.get_exterior_ring(placed)
        points, owner = shapely.get_coordinates(rings, return_index=True)
        ends = np.searchsorted(owner, np.arange(len(placed) + 1))
        flat = points.ravel().tolist()
        for kind, (start, end) in zip(houses.kinds.tolist(), pairwise(ends.tolist()), strict=True):
            draws[kind].polygon(flat[2 * start : 2 * end], fill=1)

    def picture(
        self,
        title: str,
        photograph: str,
        tell: Callable[[Features, int], str],
        notes: Sequence[str] = (),
    ) -> Picture:
        """The picture of all houses that came.

        Parameters
        ----------
        title, photograph, notes
            See `Picture`.
        tell : callable
            What is to be said of one of the houses.
        """
        self._keep_first()
        shapes = self._shapes(tell)
        painted = int(self.counts.sum()) - len(shapes)
        classes = np.zeros((self.canvas.height, self.canvas.width), np.uint8)
        for number, image in enumerate(self._painted, 1):
            classes[np.asarray(image)] = number
        if painted:
            notes = (
                *notes,
                f"{painted:,} of {int(self.counts.sum()):,} houses are painted only: the "
                f"{len(shapes):,} that are first to be looked at have an outline to point at.",
            )
        return Picture(
            title,
            self.canvas.height,
            self.canvas.width,
            photograph,
            self.kinds,
            [f"{count:,}" for count in self.counts.tolist()],
            layer_of(classes, self.kinds),
            shapes,
            notes=notes,
        )

    def _shapes(self, tell: Callable[[Features, int], str]) -> list[Shape]:
        """Those that can be pointed at, of which the later ones are painted if there is no room."""
        if self.first is None:
            return []
        placed = simplified(self.canvas.place(self.first.polygons, self.crs))
        corners = np.cumsum(shapely.get_num_coordinates(placed))
        room = int(np.searchsorted(corners, CORNERS, side="right"))
        self._paint(self.first.select(slice(room, None)))
        return [
            Shape(path_of(placed[i]), int(self.first.kinds[i]), tell(self.first, i))
            for i in range(room)
        ]


def area_chart(houses: HouseMap) -> Chart:
    """How many houses have which area."""
    names = [*(f"{low} to {high} m²" for low, high in pairwise(AREAS)), f"from {AREAS[-1]} m²"]
    bars = _bars(houses, houses.by_area)
    title = "Areas of the houses"
    edges = [*map(str, AREAS), ""]
    return Chart(title, bar_chart(bars, names, edges, title=title, x_name="m²", y_name="houses"))


def share_chart(houses: HouseMap, title: str, name: str, kind: int | None = None) -> Chart:
    """How many houses, of all kinds or of one, have which share of 1: their scores, say."""
    bounds = [f"{number / SHARES:.2g}" for number in range(SHARES + 1)]
    names = [f"{low} to {high}" for low, high in pairwise(bounds)]
    edges = [bound if number % 4 == 0 else "" for number, bound in enumerate(bounds)]
    bars = _bars(houses, houses.by_share, kind)
    drawing = bar_chart(bars, names, edges, title=title, x_name=name, y_name="houses")
    return Chart(title, drawing)


def _bars(
    houses: HouseMap, counts: np.ndarray, only: int | None = None
) -> dict[str, tuple[str, list[int]]]:
    """The counts of kinds for a chart, of those that there are."""
    return {
        kind.name: (hex_of(kind.colour), row)
        for number, (kind, row) in enumerate(zip(houses.kinds, counts.tolist(), strict=True))
        if any(row) and only in (None, number)
    }

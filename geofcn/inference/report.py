"""Report of an inference: the scene with the houses found, how sure they are, plan and model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely

from geofcn.core.colours import FALSE_ALARM, FOUND, MISSED, hex_of
from geofcn.core.geodesy import ground_resolution
from geofcn.core.pixels import BLANK, HOUSE
from geofcn.core.windows import Window, ceil_div
from geofcn.inference.job import Job
from geofcn.inference.shards import Arrays
from geofcn.inference.threshold import SceneThreshold
from geofcn.io.vector_writer import FeatureBatch
from geofcn.models.card import model_card
from geofcn.polygons.outline import Outline
from geofcn.report.call import Call
from geofcn.report.houses import Features, HouseMap, area_chart, share_chart
from geofcn.report.picture import (
    Canvas,
    Kind,
    Picture,
    framed,
    layer_of,
    path_of,
    photograph,
    reduced_shape,
)
from geofcn.report.report import Chart, Report, Table, Thumbnail, percent

# Houses are shown in classes of their score, from the second on from these up.
SCORES = (0.6, 0.8)
KINDS = (
    Kind("score below 0.6", FALSE_ALARM),
    Kind("0.6 to 0.8", MISSED),
    Kind("0.8 and more", FOUND),
)
MASK = (Kind("house", FOUND),)
# Houses that are shown one by one, the side of their pictures in pixels, and bytes of each.
SHOWN, SIDE, BYTES = 10, 240, 30_000
# What they show of the scene: so many times the house, and so many pixels at the least.
CONTEXT, LEAST_SIDE = 2.5, 64


@dataclass
class InferenceReport:
    """Takes what an inference makes as it goes by, and shows it on a page.

    Attributes
    ----------
    path : Path
        The page.
    job : Job
        What was done.
    call : Call
        How.
    outline : Outline or None
        How polygons are cleaned; None where none are wanted.
    found : SceneThreshold or None
        Where the threshold was found from the scene.
    """

    path: Path
    job: Job
    call: Call
    outline: Outline | None
    found: SceneThreshold | None
    houses: HouseMap = field(init=False)
    _pixels: np.ndarray = field(init=False)
    _mask: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.houses = HouseMap(Canvas.of_grid(self.job.grid), KINDS)
        # Background, house and blank.
        self._pixels = np.zeros(3, np.int64)
        self._mask = np.zeros(reduced_shape(*self.job.extent.shape), np.uint8)

    def watch(self, bands: Iterable[tuple[Window, Arrays]]) -> Iterator[tuple[Window, Arrays]]:
        """The same row bands; their masks are counted, and every so many pixels are kept."""
        (height, width), extent = self._mask.shape, self.job.extent
        rows = extent.row + ((np.arange(height) + 0.5) * extent.height / height).astype(int)
        cols = ((np.arange(width) + 0.5) * extent.width / width).astype(int)
        for window, arrays in bands:
            self._look_at(window, arrays["mask"], rows, cols)
            yield window, arrays
            del arrays  # before the next ones are read

    def _look_at(self, part: Window, mask: np.ndarray, rows: np.ndarray, cols: np.ndarray) -> None:
        if self.job.area is not None:
            part, seen = self.job.area.cut(part, {"mask": mask})
            mask = seen["mask"]
        if not part.pixels:
            return
        houses, blank = np.count_nonzero(mask == HOUSE), np.count_nonzero(mask == BLANK)
        self._pixels += (mask.size - houses - blank, houses, blank)
        own = slice(*np.searchsorted(rows, (part.row, part.bottom)))
        self._mask[own] = mask[rows[own] - part.row][:, cols] == HOUSE

    def add(self, batch: FeatureBatch) -> None:
        """Take some polygons."""
        columns = batch.columns
        scores = np.asarray(columns["score"], float)
        kinds = np.searchsorted(SCORES, scores, side="right")
        self.houses.add(
            Features(
                batch.geometry,
                kinds,
                scores,
                np.asarray(columns["id"]),
                np.asarray(columns["area_m2"]),
                scores,
                np.asarray(columns["status"], object),
            )
        )

    def write(self) -> None:
        """Write the page, once all polygons have come.

        Raises
        ------
        SceneError
            Where the scene cannot be read, or has changed.
        OutputError
            Where the page cannot be written.
        """
        scene = self.job.scene
        picture = self._picture(photograph(scene, self._mask.shape, self.job.extent))
        thumbnails = [] if self.outline is None else list(self._thumbnails())
        scene.refuse_changed()
        Report(
            "Inference",
            scene.name,
            self._headline(),
            self.call,
            [picture],
            thumbnails,
            self._charts(),
            [self._plan(), Table("The model", model_card(self.job.model))],
        ).write(self.path)

    def _picture(self, scene: str) -> Picture:
        if self.outline is not None:
            return self.houses.picture("The houses found", scene, _tell)
        height, width = self._mask.shape
        note = "Polygons, with --polygons, can be pointed at."
        layer = layer_of(self._mask, MASK)
        return Picture("The mask", height, width, scene, MASK, layer=layer, notes=[note])

    def _headline(self) -> list[tuple[str, str]]:
        background, houses, blank = self._pixels.tolist()
        shown = [(percent(houses / max(1, houses + background)), "of the pixels are houses")]
        if self.outline is not None:
            count = int(self.houses.counts.sum())
            doubtful = int(self.houses.counts[0])
            shown = [(f"{count:,}", "houses"), (f"{doubtful:,}", "with a score below 0.6"), *shown]
        if blank:
            shown.append((percent(blank / self.job.extent.pixels), "of the raster is blank"))
        return [*shown, (f"{self.job.threshold:.2f}", "threshold")]

    def _charts(self) -> list[Chart]:
        if self.outline is None or not self.houses.counts.any():
            return []
        return [
            area_chart(self.houses),
            share_chart(self.houses, "Scores of the houses", "score"),
        ]

    def _thumbnails(self) -> Iterator[Thumbnail]:
        """The first houses of the map, which are the least certain ones."""
        first = self.houses.first
        if first is not None:
            for i in range(min(SHOWN, len(first))):
                yield self._thumbnail(first.select(slice(i, i + 1)))

    def _thumbnail(self, house: Features) -> Thumbnail:
        scene = self.job.scene
        in_pixels = shapely.transform(
            house.polygons, lambda xy: np.column_stack(~scene.transform * xy.T)
        )
        window = _around(in_pixels[0], scene.window)
        shape = reduced_shape(*window.shape, SIDE)
        scales = np.array(shape[::-1]) / (window.width, window.height)
        placed = shapely.transform(in_pixels, lambda xy: (xy - (window.col, window.row)) * scales)
        text = _tell(house, 0)
        kind = KINDS[int(house.kinds[0])]
        picture = photograph(scene, shape, window, BYTES)
        return Thumbnail(
            framed(picture, shape, path_of(placed[0]), hex_of(kind.colour), text), text
        )

    def _plan(self) -> Table:
        job, scene = self.job, self.job.scene
        geometry, layout = job.model.geometry, job.layout
        computed = layout.extent
        windows = ceil_div(computed.height, job.window) * ceil_div(computed.width, job.window)
        resolution = ground_resolution(scene.grid)
        rows = {
            "scene": f"{scene.width:,} x {scene.height:,} pixels"
            + (f" of {resolution:.3g} m" if resolution else ""),
            "area": "" if job.area is None else f"{job.area.polygons.path}, {job.extent}",
            "CRS": scene.crs.to_string() if scene.crs else "none",
            "windows": f"{windows:,} of {job.window} x {job.window} pixels, kept in {len(layout):,}"
            " block(s) until all were done",
            "halo": f"{geometry.halo} pixels around each window",
            "net pixel": f"{job.model.ratio} x {job.model.ratio} pixels of the scene",
            "threshold": f"{job.threshold:.3g}",
            "threshold found": str(self.found) if self.found else "",
            "outlines": "" if self.outline is None else self._cleaning(self.outline),
        }
        return Table("The plan", [(name, text) for name, text in rows.items() if text])

    def _cleaning(self, outline: Outline) -> str:
        least = outline.least_area(self.job.scene.crs is not None)
        holes = f", holes under {outline.fill_holes:g} m² filled" if outline.fill_holes else ""
        within = "" if outline.method == "raw" else f" within {outline.tolerance:g} pixels"
        return f"{outline.method}{within}; those under {least:g} m² left out{holes}"


def _tell(house: Features, i: int) -> str:
    score, area = house.shares[i], house.areas[i]
    return f"house {house.ids[i]}: {area:,.0f} m², score {score:.2f}, {house.words[i]}"


def _around(polygon: shapely.Polygon, scene: Window) -> Window:
    """A square around a house; on a scene that is smaller, as much of it as there is."""
    left, top, right, bottom = polygon.bounds
    side = max(LEAST_SIDE, round(CONTEXT * max(right - left, bottom - top)))
    height, width = min(side, scene.height), min(side, scene.width)
    row, col = round((top + bottom - height) / 2), round((left + right - width) / 2)
    row, col = min(max(row, 0), scene.height - height), min(max(col, 0), scene.width - width)
    return Window(row, col, height, width)

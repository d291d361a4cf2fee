"""Page with a picture of each box: the scene, and what the model says of it beside that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from geofcn.active_learning.boxes import Box
from geofcn.core.pixels import BLANK, PROBABILITY_STEPS, picture_of
from geofcn.core.windows import Window, ceil_div
from geofcn.io.scene import Scene
from geofcn.report.picture import png_of
from geofcn.report.report import page

# Side of a picture at the most, and what is shown around a box, as a share of its side.
PICTURE_PIXELS, CONTEXT = 320, 0.25
FRAME = (255, 40, 20)


def page_of(boxes: Sequence[Box], scene: Scene, probability: Scene, side: int) -> bytes:
    """Make a page (HTML, with all pictures inside) of boxes.

    Parameters
    ----------
    boxes : sequence of Box
        In the order of the page.
    scene, probability : Scene
        On one grid; both are read around each box.
    side : int
        Of a whole box, in pixels.

    Raises
    ------
    SceneError
        Where one of them cannot be read.
    """
    figures = list(_figures(boxes, scene, probability, side))
    return page("review.html", title=scene.name, figures=figures)


def _figures(
    boxes: Sequence[Box], scene: Scene, probability: Scene, side: int
) -> Iterator[dict[str, str]]:
    for rank, box in enumerate(boxes, 1):
        around = box.window.grow(round(CONTEXT * side)).clip(scene.height, scene.width)
        step = ceil_div(max(around.shape), PICTURE_PIXELS)
        image, _ = scene.read(around)
        steps = probability.read(around)[0][0]
        grey = np.where(steps == BLANK, 0, steps * np.float32(255 / PROBABILITY_STEPS))
        frame = _frame(box.window.relative_to(around), around.shape, step)
        shown = (
            _framed(picture_of(array[:, ::step, ::step]), frame)
            for array in (image, grey[None].astype(np.uint8))
        )
        caption = f"{rank}. box {box.number}: {box.reason}"
        yield {**dict(zip(("scene", "probability"), shown, strict=True)), "caption": caption}


def _frame(box: Window, shape: tuple[int, int], step: int) -> np.ndarray:
    """Where the outline of a box is painted on a picture: (rows, columns) bool."""
    inside, core = np.zeros(shape, bool), np.zeros(shape, bool)
    inside[box.slices] = True
    core[box.grow(-2 * step).slices] = True
    return (inside & ~core)[::step, ::step]


def _framed(picture: np.ndarray, frame: np.ndarray) -> str:
    """A picture (rows, columns, 3) of uint8 with a frame, as a URL with all data."""
    return png_of(np.where(frame[..., None], np.array(FRAME, np.uint8), picture))

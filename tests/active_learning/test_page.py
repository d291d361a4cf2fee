"""geofcn.active_learning.page: the pictures of a report."""

import numpy as np
from pages import Page, decoded

from geofcn.active_learning.boxes import Box
from geofcn.active_learning.page import FRAME, PICTURE_PIXELS, page_of
from geofcn.core.windows import Window
from geofcn.io.opening import open_raster, open_scene


def pictures_in(text: str) -> list[np.ndarray]:
    """(rows, columns, 3) of uint8, as a browser shows them."""
    return [np.asarray(decoded(image["src"])).astype(int) for image in Page(text).all("img")]


def page(write_raster, steps, image, boxes, side) -> str:
    probability = open_raster(write_raster("p.tif", steps, nodata=255))
    scene = open_scene(write_raster("a<b.tif", image))
    return page_of(boxes, scene, probability, side).decode()


def test_a_box_is_framed_in_the_scene_and_in_the_probabilities(write_raster):
    steps = np.full((40, 40), 127, np.uint8)
    steps[12, 12], steps[13, 13] = 254, 255
    image = np.full((3, 40, 40), 9, np.uint8)
    box = Box(7, Window(8, 8, 16, 16), 1, 0, 0)
    text = page(write_raster, steps, image, [box], 16)
    assert "1. box 7: uncertain" in text and "a&lt;b.tif" in text
    scene, probability = pictures_in(text)
    # A quarter of the box is shown around it.
    assert scene.shape == probability.shape == (24, 24, 3)
    framed = (scene == FRAME).all(axis=-1)
    assert framed.sum() == 16 * 16 - 12 * 12 and framed[4, 4] and not framed[3, 3]
    assert (scene[~framed] == 9).all()
    assert probability[0, 0].tolist() == [127] * 3
    assert probability[8, 8].tolist() == [255] * 3 and probability[9, 9].tolist() == [0] * 3


def test_large_boxes_and_those_at_the_edge_become_small_pictures(write_raster):
    image = np.zeros((1, 700, 700), np.uint8)
    edge = Box(1, Window(0, 0, 700, 700), 1, 0, 0), Box(2, Window(690, 690, 10, 10), 1, 0, 0)
    pictures = pictures_in(page(write_raster, image[0], image, edge, 700))
    assert max(map(max, (picture.shape for picture in pictures))) <= PICTURE_PIXELS
    assert all((picture == FRAME).all(axis=-1).any() for picture in pictures)

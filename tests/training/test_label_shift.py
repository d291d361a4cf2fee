"""geofcn.training.label_shift: labels beside the houses of real scenes, and moved back."""

import logging

import numpy as np
import pytest

from geofcn.io.labels import open_labelled_scene
from geofcn.training.label_shift import LabelShift, find_shift, point_out_shift

TOLERANCE = 0.3


@pytest.mark.parametrize("labels", ["labels.gpkg", "labels.tif"])
def test_real_labels_that_were_moved_are_found_to_be(real_data, labels, caplog):
    """Moved by 1.5 m; and those that fit are said to."""
    scene, labels = real_data / "reschen" / "scene.tif", real_data / "reschen" / labels
    fits = find_shift(open_labelled_scene(scene, labels))
    assert abs(fits.x_m) < TOLERANCE and abs(fits.y_m) < TOLERANCE and not fits.is_notable
    moved = open_labelled_scene(scene, f"{labels}|shift=-1.2,0.9")
    found = find_shift(moved)
    assert found.is_notable
    assert abs(found.x_m - 1.2) < TOLERANCE and abs(found.y_m + 0.9) < TOLERANCE
    caplog.set_level(logging.WARNING, "geofcn")
    caplog.clear()
    point_out_shift(moved)
    (line,) = caplog.messages
    assert line.startswith(f"{labels}: the houses lie beside")
    assert line.endswith(f"--shift-labels {found.x_m:.1f},{found.y_m:.1f}.")


def test_nothing_is_said_where_nothing_is_known(source, village):
    scene, labels = village(size=64)
    assert find_shift(open_labelled_scene(scene, labels)) is None, "too few windows"
    image, houses = np.full((3, 64, 64), 9, np.uint8), np.eye(64, dtype=np.uint8)
    assert find_shift(source(image, houses)) is None


def test_what_may_fit_is_not_notable():
    assert not LabelShift(0.3, 0.2, 0.01).is_notable
    assert not LabelShift(1.0, 1.0, 0.5).is_notable
    assert LabelShift(1.0, 1.0, 0.3).is_notable

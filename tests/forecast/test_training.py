"""geofcn.forecast.training: what is counted for a training, by hand."""

import numpy as np
import pytest

from geofcn.errors import LabelsError
from geofcn.forecast.training import _held_out_shares, estimate_training
from geofcn.recipes import DEFAULT


@pytest.mark.parametrize(
    ("height", "width", "shares"),
    [
        # 16 tiles a side: 5 of them are held out, and one around.
        (16 * 256, 32 * 256, ((5 / 16) ** 2, (6 / 16) ** 2)),
        (256, 4096, (0.0, 0.0)),  # too narrow for a corner
        (512, 512, (0.0, 0.0)),  # nothing would be left
    ],
)
def test_what_is_held_out(height, width, shares):
    assert _held_out_shares(height, width, DEFAULT) == pytest.approx(shares)


def test_labels_without_a_tile_to_learn_from_are_refused(source):
    image = np.ones((3, 64, 64), np.uint8)
    labels = np.zeros((64, 64), np.uint8)
    labels[:2, :2] = 255
    with pytest.raises(LabelsError, match="no tile of a sample is both labelled and not blank"):
        estimate_training(source(image, np.full_like(labels, 255), labels_nodata=255))

"""geofcn.io.probability: which rasters are probabilities."""

import numpy as np
import pytest
import rasterio

from geofcn.errors import SceneError
from geofcn.io.masks import MODEL_TAG
from geofcn.io.probability import open_probability


def test_a_raster_without_a_scale_is_taken_with_a_notice(write_raster, caplog):
    path = write_raster("p.tif", np.zeros((4, 4), np.uint8))
    assert open_probability(path).dtype == "uint8"
    assert "p.tif: it declares no scale" in caplog.text
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (1 / 254,)
    caplog.clear()
    assert open_probability(path).scale == 1 / 254
    assert not caplog.text


@pytest.mark.parametrize(
    ("bands", "dtype", "message"), [(3, "uint8", "3 bands"), (1, "float32", "pixels are float32")]
)
def test_what_is_no_quantised_probability_is_refused(write_raster, bands, dtype, message):
    with pytest.raises(SceneError, match=message):
        open_probability(write_raster("p.tif", np.zeros((bands, 4, 4), dtype)))


def test_a_mask_of_geofcn_is_refused(write_raster):
    """Its houses would be probabilities of 1/254."""
    path = write_raster("m.tif", np.eye(4, dtype=np.uint8), nodata=255)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**{MODEL_TAG: "abc"})
    with pytest.raises(SceneError, match=r"m.tif: this is a mask of geofcn; give the raster of"):
        open_probability(path)

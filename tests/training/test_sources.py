import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from geofcn.errors import UsageError
from geofcn.models.model_file import load_model
from geofcn.training.train import train

# Small enough for a blink: 64 pixels are 2 x 2 tiles.
QUICK = {"tile": 32, "epochs": 2, "device": "cpu"}


def with_pixels_of(pixel: float, paths) -> list:
    """The pair of rasters, moved to pixels of `pixel` metres."""
    for path in paths:
        with rasterio.open(path, "r+") as raster:
            raster.transform = rasterio.Affine(pixel, 0, 500_000, 0, -pixel, 5_000_000)
    return list(paths)


def test_resolutions_that_cannot_be_made_up_for_are_refused(village, tmp_path):
    first, other = village(64), with_pixels_of(0.3, village(64, 1, "other"))
    refusal = r"other\.tif: it has 0\.3 m per pixel, village\.tif 0\.2 m; a mean image"
    for further in ({"and_": [other]}, {"validate": other}):
        with pytest.raises(UsageError, match=refusal):
            train(*first, tmp_path / "run", recipe="exercise", **further, **QUICK)
    far = with_pixels_of(1.7, other)
    with pytest.raises(UsageError, match=r"1\.7 m per pixel, .*; resample it to less than 8"):
        train(*first, tmp_path / "run", and_=[far], **QUICK)
    assert not (tmp_path / "run").exists()


def test_scenes_of_another_kind_are_not_mixed(village, write_raster, tmp_path):
    scene, labels = village()
    deep = write_raster("deep.tif", np.ones((3, 64, 64), np.uint16))
    with pytest.raises(UsageError, match=r"deep\.tif.*uint16.*village\.tif"):
        train(scene, labels, tmp_path / "run", and_=[(deep, labels)], **QUICK)
    with pytest.raises(UsageError, match=r"deep\.tif"):
        train(scene, labels, tmp_path / "run", validate=(deep, labels), **QUICK)


def test_scenes_with_their_bands_in_another_order_are_not_mixed(village, write_raster, tmp_path):
    scene, labels = village(64)
    with rasterio.open(scene) as dataset:
        swapped = write_raster(
            "swapped.tif",
            dataset.read([3, 2, 1]),
            photometric="minisblack",
            colours=[ColorInterp.blue, ColorInterp.green, ColorInterp.red],
        )
    with pytest.raises(UsageError, match="blue, green, red"):
        train(scene, labels, tmp_path / "run", and_=[(swapped, labels)], tile=64, epochs=1)


def test_scenes_of_one_name_are_told_apart_by_their_folders(village, tmp_path, caplog):
    pairs = []
    for place in ("north", "south"):
        (tmp_path / place).mkdir()
        pairs.append([path.rename(tmp_path / place / path.name) for path in village(64)])
    options = {"tile": 64, "scale": 1, "epochs": 1, "net": "fcnn"}
    train(*pairs[0], tmp_path / "run", and_=pairs[1:], **options)
    about = load_model(tmp_path / "run" / "last.safetensors").metadata
    assert about.scenes == ("north/village.tif", "south/village.tif")
    assert "north/village.tif, south/village.tif: too small" in caplog.text

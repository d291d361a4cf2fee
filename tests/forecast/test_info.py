"""geofcn.forecast.info: every fact of a tiny scene, known by hand."""

import json

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

import geofcn
from geofcn.errors import LabelsError, ModelError, SceneError
from geofcn.models.model_file import save_model


@pytest.fixture
def striped(write_raster):
    """60 x 40 pixels, of which the first 10 rows are blank."""
    image = np.full((3, 60, 40), 9, np.uint8)
    image[:, :10] = 0
    return write_raster("scene.tif", image, nodata=0)


def test_every_fact_of_a_scene(striped):
    info = geofcn.info(striped)
    assert info.path == str(striped)
    assert info.driver == "GTiff"
    assert (info.width, info.height, info.bands) == (40, 60, 3)
    assert info.colours == ["red", "green", "blue"]
    assert info.dtype == "uint8"
    assert info.crs == "EPSG:25832"
    assert info.transform == [0.2, 0, 500_000, 0, -0.2, 5_000_000]
    assert info.ground_resolution_m == pytest.approx(0.2, rel=1e-3)
    assert info.declares_blank
    assert info.blank_share == pytest.approx(10 / 60)
    assert (info.block[1], info.layout) == (40, "strips")
    assert info.compression == "none"
    assert info.tiles == 1
    assert info.blank_by == ["nodata 0"]
    assert info.inference is info.disk is info.labels is info.training is None
    assert info.odd == []


def test_tiles_and_their_compression(write_raster):
    image = np.full((3, 300, 520), 9, np.uint8)
    layout = {"tiled": True, "blockxsize": 64, "blockysize": 32, "compress": "deflate"}
    info = geofcn.info(write_raster("tiled.tif", image, **layout))
    assert (info.block, info.layout, info.compression) == ([32, 64], "tiles", "DEFLATE")
    assert info.tiles == 2 * 3, "256 pixels a side, side by side"


def test_what_is_unknown_is_none(write_raster):
    image = np.full((1, 20, 30), 9, np.uint8)
    info = geofcn.info(write_raster("plain.tif", image, crs=None))
    assert info.crs is None and info.ground_resolution_m is None
    assert not info.declares_blank and info.blank_share == 0


def test_a_crs_without_a_code_is_named_by_its_definition(write_raster):
    definition = "+proj=tmerc +lat_0=1.5 +lon_0=7 +k=0.9 +x_0=3 +y_0=4 +ellps=GRS80 +units=m"
    info = geofcn.info(write_raster("own.tif", np.ones((1, 20, 30), np.uint8), crs=definition))
    assert "Transverse_Mercator" in info.crs or "Transverse Mercator" in info.crs


def test_nodata_declares_what_is_blank(write_raster):
    image = np.ones((3, 20, 30), np.uint8)
    image[:, :, :15] = 0
    scene = write_raster("scene.tif", image)
    assert geofcn.info(scene).blank_share == 0
    info = geofcn.info(scene, nodata=0)
    assert info.declares_blank and info.blank_share == 0.5


def test_facts_print_as_a_table_and_as_html(striped):
    info = geofcn.info(striped)
    lines = str(info).splitlines()
    names = [line[:28].strip() for line in lines]
    assert names == [name.replace("_", " ") for name in info.to_dict() if name != "odd"]
    facts = {line[:28].strip(): line[28:] for line in lines}
    assert facts["declares blank"] == "yes"
    assert facts["compression"] == "none"
    assert facts["transform"] == "0.2, 0, 500000, 0, -0.2, 5000000"
    assert info._repr_html_().count("<tr>") == len(lines)


def test_facts_are_plain_json_those_of_the_inference_among_them(striped, make_model, tmp_path):
    model = tmp_path / "model.safetensors"
    save_model(make_model("fcnn", threshold=0.4), model)
    info = geofcn.info(striped, model=model)
    facts = info.to_dict()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["threshold"] == info.inference.threshold == 0.4
    assert facts["width"] == 40
    assert "inference" not in facts
    assert facts["disk_peak_gb"] == info.disk.peak_gb > facts["mask_gb"] + facts["probability_gb"]


def test_a_missing_scene_or_model_is_one_sentence(striped, tmp_path):
    with pytest.raises(SceneError, match="no such file"):
        geofcn.info(tmp_path / "none.tif")
    with pytest.raises(ModelError, match="no such model"):
        geofcn.info(striped, model=tmp_path / "none.safetensors")


def test_what_does_not_go_together_is_odd_and_no_error(write_raster, make_model, tmp_path):
    single = write_raster("single.tif", np.ones((1, 20, 30), np.uint8))
    elsewhere = write_raster(
        "elsewhere.tif", np.ones((20, 30), np.uint8), transform=from_origin(0, 0, 0.2, 0.2)
    )
    save_model(make_model("fcnn"), tmp_path / "model.safetensors")
    found = geofcn.info(single, elsewhere, model=tmp_path / "model.safetensors")
    assert found.inference is found.labels is found.training is None
    of_model, of_grid, of_labels = found.odd
    assert "on another grid" in of_grid
    assert "it has 1 band(s)" in of_model and of_model.endswith("name them by --bands.")
    assert "does not overlap" in of_labels and of_labels.endswith("its CRS.")
    assert str(found).splitlines()[-3:] == [f"odd: {line}" for line in found.odd]
    with pytest.raises(LabelsError, match=r"none\.tif: there is no such file"):
        geofcn.info(single, tmp_path / "none.tif")


def test_a_training_is_forecast_and_notices_of_its_labels_are_odd(village, write_raster, caplog):
    scene, labels = village(600)
    with rasterio.open(labels) as file:
        bright = write_raster("bright.tif", file.read(1) * 255)
    found = geofcn.info(scene, bright)
    # 5 x 5 windows of 256 pixels every 128, of which none is blank; a block of 256 of 600 pixels a
    # side is held out, and as much around it: too much of so small a scene.
    assert found.training.tiles in range(1, 26)
    assert found.training.steps == found.training.epochs * -(-found.training.tiles // 16)
    assert found.training.steps >= 750
    assert found.training.core_minutes > 0 and found.training.memory_mb > 100
    assert found.labels.kind == "raster"
    assert found.labels.median_house_m2 == pytest.approx(80 * 0.2**2, rel=0.01)
    assert found.odd[-1].startswith("half of the houses have less than 3.2 m2")
    assert any("its value 255 is taken as house" in line for line in found.odd)
    assert not caplog.records, "they are told once"
    facts = found.to_dict()
    assert json.loads(json.dumps(facts)) == facts
    assert facts["training_steps"] == found.training.steps and facts["labels_kind"] == "raster"

"""geofcn info"""

import json
import subprocess
import sys

import pytest


def test_json(geofcn_command, trained):
    facts = json.loads(geofcn_command("info", trained / "scene.tif", "--json").stdout)
    assert (facts["width"], facts["height"], facts["bands"]) == (512, 512, 3)
    assert facts["crs"] == "EPSG:32632"
    assert facts["ground_resolution_m"] == pytest.approx(0.2, rel=1e-2)
    assert 0 < facts["blank_share"] < 0.2
    assert facts["layout"] == "tiles"
    assert facts["compression"] == "DEFLATE"


def test_with_a_model(geofcn_command, trained):
    model = trained / "run" / "best-f1.safetensors"
    facts = json.loads(
        geofcn_command("info", trained / "scene.tif", "--model", model, "--json").stdout
    )
    assert facts["net"] == "lite"
    assert facts["scale"] == 2
    assert facts["stride"] == 32


def test_table(geofcn_command, trained):
    text = geofcn_command("info", trained / "scene.tif").stdout
    assert "ground resolution m" in text
    assert "EPSG:32632" in text


def test_a_reader_who_has_read_enough_is_no_error(trained):
    command = [sys.executable, "-m", "geofcn_cli", "info", str(trained / "scene.tif")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert "Error" not in process.stderr.read()
    process.wait()


def test_the_real_scenes(geofcn_command, real_data):
    facts = json.loads(
        geofcn_command("info", real_data / "kampala_alpha_gap" / "scene.tif", "--json").stdout
    )
    assert facts["bands"] == 3
    assert facts["blank_share"] == pytest.approx(0.845, abs=0.1)

"""geofcn review"""

import geopandas
import numpy as np


def test_boxes_and_their_page(geofcn_command, write_raster, tmp_path):
    steps = np.zeros((20, 20), np.uint8)
    steps[10:, :10] = 127
    probability, scene = write_raster("p.tif", steps), write_raster("s.tif", steps)
    given = "--size", 2, "--report", scene, tmp_path / "p.html", "--count", 3
    printed = geofcn_command("review", probability, tmp_path / "b.geojson", *given).stdout
    assert printed == f"{tmp_path / 'b.geojson'}: 1 boxes\n{tmp_path / 'p.html'}\n"
    found = geopandas.read_file(tmp_path / "b.geojson")
    assert found.crs == "EPSG:4326" and found["rank"].tolist() == [1]
    assert (tmp_path / "p.html").read_text().count("<img") == 2
    again = geofcn_command("review", probability, tmp_path / "b.geojson", code=1)
    assert "b.geojson: it exists already; give --overwrite" in again.stderr


def test_usage_errors_are_told(geofcn_command, tmp_path):
    for given in (("--size", 0), ("--count", 0), ("--report", "s.tif")):
        geofcn_command("review", tmp_path / "p.tif", tmp_path / "b.gpkg", *given, code=2)

"""geofcn.polygons.result: what was written can be read, in every format."""

from pathlib import Path

import numpy as np
import pytest

from geofcn.io.vector_writer import DRIVERS, FOOTPRINT_COLUMNS
from geofcn.polygons.polygonize import polygonize
from geofcn.polygons.result import PolygonizeResult


@pytest.fixture
def mask(write_raster):
    """Two houses, of 6 and of 12 pixels of 0.2 m."""
    pixels = np.zeros((8, 12), np.uint8)
    pixels[1:3, 1:4] = 1
    pixels[4:7, 6:10] = 1
    return write_raster("mask.tif", pixels)


@pytest.mark.parametrize("ending", [*DRIVERS, ".GPKG", ".PARQUET"])
def test_every_format_reads_back_as_it_was_written(mask, tmp_path, ending):
    result = polygonize(mask, tmp_path / f"houses{ending}", outline="raw", min_area=0)
    assert result.count == 2 and result.seconds > 0
    frame = result.read()
    names = list(FOOTPRINT_COLUMNS)
    if ending == ".shp":  # names have ten characters at most
        names[names.index("perimeter_m")] = "perimeter"
    assert [name for name in frame.columns if name in names] == names
    frame = frame.sort_values("id")  # FlatGeobuf has an order of its own
    assert frame["n_px"].tolist() == [6, 12]
    assert frame["status"].tolist() == ["raw", "raw"]
    assert frame["score"].isna().all()
    metres = frame.to_crs("EPSG:25832").area
    assert metres.tolist() == pytest.approx([6 * 0.04, 12 * 0.04], rel=1e-3)


def test_a_result_prints_its_file_and_how_many_polygons_it_has():
    assert str(PolygonizeResult(Path("a/h.gpkg"), 3, 0.5)) == f"{Path('a/h.gpkg')}: 3 polygons"


def test_a_file_without_polygons_reads_as_an_empty_frame(mask, tmp_path):
    result = polygonize(mask, tmp_path / "none.gpkg", house_value=[7])
    frame = result.read()
    assert result.count == len(frame) == 0
    assert set(FOOTPRINT_COLUMNS) <= set(frame.columns)

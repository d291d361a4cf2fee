"""geofcn polygonize"""

import geopandas
import numpy as np
import pytest
import rasterio
from shapely.geometry import Polygon

MASK = np.array(
    [
        [0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 0, 0],
        [0, 1, 0, 1, 0, 1, 1],
        [0, 1, 1, 1, 0, 1, 1],
        [0, 0, 0, 0, 0, 0, 255],
    ],
    np.uint8,
)


ALL = ("--min-area", 0)


@pytest.fixture
def mask(write_raster):
    """A ring of one pixel around a hole, and a square, at 0.2 m in UTM; 255 is nodata."""
    return write_raster("mask.tif", MASK, nodata=255)


def test_outlines_columns_and_order(geofcn_command, mask, tmp_path):
    result = geofcn_command("polygonize", mask, tmp_path / "h.gpkg", "--outline", "raw", *ALL)
    assert "2 polygons" in result.stdout
    houses = geopandas.read_file(tmp_path / "h.gpkg", layer="houses")
    with rasterio.open(mask) as dataset:
        left, top, crs = dataset.transform.c, dataset.transform.f, dataset.crs
    assert houses.crs == crs
    assert houses.columns.tolist() == [
        "id", "area_m2", "perimeter_m", "score", "n_px", "status", "geometry",
    ]  # fmt: skip

    def corner(col, row):
        return left + 0.2 * col, top - 0.2 * row

    ring = Polygon(
        [corner(1, 1), corner(4, 1), corner(4, 4), corner(1, 4)],
        [[corner(2, 2), corner(3, 2), corner(3, 3), corner(2, 3)]],
    )
    square = Polygon([corner(5, 2), corner(7, 2), corner(7, 4), corner(5, 4)])
    assert houses.geometry[0].normalize().equals_exact(ring.normalize(), 1e-6)
    assert houses.geometry[1].normalize().equals_exact(square.normalize(), 1e-6)
    assert all(geometry.exterior.is_ccw for geometry in houses.geometry)
    assert houses.n_px.tolist() == [8, 4]
    # On the ground a UTM metre is up to 0.04 % off.
    assert houses.area_m2.tolist() == pytest.approx([0.32, 0.16], rel=2e-3)
    assert houses.perimeter_m.tolist() == pytest.approx([3.2, 1.6], rel=2e-3)
    assert houses.score.isna().all()


@pytest.mark.parametrize("ending", [".gpkg", ".geojson", ".fgb", ".parquet", ".shp"])
def test_every_format(geofcn_command, mask, tmp_path, ending):
    path = tmp_path / f"houses{ending}"
    geofcn_command("polygonize", mask, path, *ALL)
    houses = (geopandas.read_parquet if ending == ".parquet" else geopandas.read_file)(path)
    assert len(houses) == 2
    assert set(houses.geom_type) == {"Polygon"}
    assert houses.crs == ("EPSG:4326" if ending == ".geojson" else "EPSG:25832")


def test_small_ones_are_left_out_by_their_area_on_the_ground(geofcn_command, mask, tmp_path):
    geofcn_command("polygonize", mask, tmp_path / "h.gpkg", "--outline", "raw", "--min-area", 0.2)
    assert geopandas.read_file(tmp_path / "h.gpkg").n_px.tolist() == [8]


def test_specks_are_left_out_unless_they_are_asked_for(geofcn_command, mask, tmp_path):
    result = geofcn_command("polygonize", mask, tmp_path / "h.gpkg")
    assert result.stdout.endswith("0 polygons\n")
    assert "2 polygon(s) smaller than 4 m2 were left out; --min-area 0" in result.stderr


def test_an_empty_mask_gives_an_empty_layer(geofcn_command, write_raster, tmp_path):
    mask = write_raster("empty.tif", np.zeros((8, 8), np.uint8))
    geofcn_command("polygonize", mask, tmp_path / "h.gpkg")
    houses = geopandas.read_file(tmp_path / "h.gpkg", layer="houses")
    assert len(houses) == 0
    assert "area_m2" in houses.columns


def test_without_crs_it_is_refused_unless_allowed(geofcn_command, write_raster, tmp_path):
    mask = write_raster("bare.tif", MASK, crs=None, nodata=255)
    result = geofcn_command("polygonize", mask, tmp_path / "h.gpkg", code=1)
    assert "--allow-no-crs" in result.stderr
    assert not (tmp_path / "h.gpkg").exists()
    geofcn_command("polygonize", mask, tmp_path / "h.gpkg", "--allow-no-crs")
    assert len(geopandas.read_file(tmp_path / "h.gpkg")) == 2


def test_rotated_rasters_give_their_own_place(geofcn_command, write_raster, tmp_path):
    turned = rasterio.Affine.translation(6e5, 5e6) @ rasterio.Affine.rotation(30)
    mask = write_raster("turned.tif", MASK, nodata=255, transform=turned)
    geofcn_command("polygonize", mask, tmp_path / "h.gpkg", "--outline", "raw", *ALL)
    square = geopandas.read_file(tmp_path / "h.gpkg").geometry[1]
    expected = Polygon([turned @ point for point in ((5, 2), (7, 2), (7, 4), (5, 4))])
    assert square.normalize().equals_exact(expected.normalize(), 1e-6)
    assert square.exterior.is_ccw


@pytest.mark.parametrize("method", ["raw", "simplify", "square"])
def test_houses_that_touch_are_apart_where_the_mask_says_where_they_meet(
    geofcn_command, write_raster, tmp_path, method
):
    houses, contacts = np.zeros((2, 20, 40), np.uint8)
    houses[2:18, 2:38], contacts[:, 19:22] = 1, 1
    path = write_raster("mask.tif", houses + (houses & contacts), nodata=255)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(GEOFCN_CONTACTS="2")
    geofcn_command("polygonize", path, tmp_path / "h.gpkg", "--outline", method)
    first, second = geopandas.read_file(tmp_path / "h.gpkg", layer="houses").itertuples()
    assert first.n_px + second.n_px == houses.sum() and abs(first.n_px - second.n_px) <= 32
    assert first.geometry.overlaps(second.geometry) is False
    assert first.geometry.intersection(second.geometry).length == pytest.approx(16 * 0.2)

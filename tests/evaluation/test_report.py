"""geofcn.evaluation.report: the page of an evaluation shows what became of each house."""

import numpy as np
import pytest
import shapely
from pages import Page

from geofcn.errors import OutputError, UsageError
from geofcn.evaluation.evaluate import evaluate


def box(col: int, row: int) -> shapely.Polygon:
    """10 x 10 pixels of 0.2 m."""
    x, y = 500_000 + 0.2 * col, 5_000_000 - 0.2 * row
    return shapely.box(x, y - 2, x + 2, y)


@pytest.fixture
def sides(write_vectors):
    """One house is found, one is a false alarm and two are missed."""
    predicted = write_vectors("p.gpkg", [box(10, 10), box(60, 10)])
    return predicted, write_vectors("t.gpkg", [box(10, 11), box(10, 60), box(40, 60)])


def shapes(page: Page) -> list[str]:
    return [path["class"].split()[0] for path in page.all("path")]


@pytest.mark.parametrize("crs", [None, "EPSG:4326"])
def test_houses_lie_on_the_scene_in_colours(sides, write_raster, tmp_path, crs):
    image = np.full((3, 100, 100), 90, np.uint8)
    more = {} if crs is None else {"crs": crs, "transform": degrees()}
    scene = write_raster("s.tif", image, **more)
    evaluate(*sides, report=tmp_path / "r.html", scene=scene)
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert sorted(shapes(page)) == ["k0", "k1", "k2", "k2"]
    assert len(page.all("image")) == 1
    (found,) = [path["d"] for path in page.all("path") if path["class"] == "k0"]
    x, y = map(int, found[1:].split("l")[0].split())
    slack = 3 if crs is None else 40
    assert abs(x - 200) <= slack or abs(x - 100) <= slack
    assert abs(y - 100) <= slack or abs(y - 200) <= slack
    for words in ("found 1", "false alarm 1", "missed 2", "found, 4 m², IoU 0.82", "missed, 4 m²"):
        assert words in page.text, words


def degrees():
    """About where the houses lie, in degrees: 100 pixels a side."""
    from rasterio.transform import from_bounds
    from rasterio.warp import transform_bounds

    bounds = transform_bounds("EPSG:25832", "EPSG:4326", 500_000, 4_999_980, 500_020, 5_000_000)
    return from_bounds(*bounds, 100, 100)


def test_without_a_scene_houses_lie_on_a_plain_ground(sides, tmp_path):
    evaluate(*sides, report=tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert len(shapes(page)) == 4 and not page.all("image")
    assert "p.gpkg against t.gpkg" in page.text and "Give --scene" in page.text


def test_a_raster_is_scored_and_shown_too(write_raster, tmp_path):
    houses = np.zeros((40, 40), np.uint8)
    houses[4:20, 4:20] = 1
    pair = write_raster("p.tif", houses), write_raster("t.tif", np.roll(houses, 1, axis=1))
    scores = evaluate(*pair, report=tmp_path / "r.html")
    text = Page((tmp_path / "r.html").read_text(encoding="utf-8")).text
    assert f"F1 of pixels {100 * scores.pixels.f1:.1f} %" in text and "Scores of pixels" in text


def test_places_without_any_house_have_a_page_without_a_picture(write_vectors, tmp_path):
    import geopandas

    nothing = geopandas.GeoDataFrame({"a": []}, geometry=[], crs="EPSG:25832")
    nothing.to_file(tmp_path / "n.gpkg", layer="houses")
    evaluate(tmp_path / "n.gpkg", tmp_path / "n.gpkg", report=tmp_path / "r.html")
    page = Page((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert not page.all("figure") and "undefined" in page.text


def test_a_page_is_refused_before_the_work(sides, tmp_path):
    (tmp_path / "r.html").write_text("mine")
    with pytest.raises(OutputError, match=r"r\.html: it exists already"):
        evaluate(*sides, report=tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text() == "mine"
    with pytest.raises(UsageError, match="give --report FILE"):
        evaluate(*sides, scene=tmp_path / "s.tif")

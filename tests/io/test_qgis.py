import sqlite3
from contextlib import closing
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pytest
import shapely

from geofcn.io.cog_writer import MASK_COLOURS, MASK_STYLE
from geofcn.io.gdal import NO_DATE
from geofcn.io.qgis import (
    NO_SCORE,
    NO_SCORE_COLOUR,
    SCORE_CLASSES,
    add_style,
    classes_style,
    outcome_style,
    probability_style,
    score_style,
)
from geofcn.io.vector_writer import FeatureBatch, write_polygons

CRS = "EPSG:25832"


@pytest.fixture
def write_scores(tmp_path):
    """write_scores(name) -> Path: one polygon with a score, in the layer `houses`."""

    def write(name: str):
        batch = FeatureBatch(np.array([shapely.box(0, 0, 1, 1)]), {"score": np.array([0.75])})
        write_polygons(tmp_path / name, [batch], CRS, columns={"score": "float64"})
        return tmp_path / name

    return write


def check_style(text):
    """Five classes from 0 to 1 without a gap, one more for no score; each has its symbol."""
    renderer = ElementTree.fromstring(text.split("\n", 1)[1]).find("renderer-v2")
    assert renderer.get("type") == "graduatedSymbol"
    assert '"score"' in renderer.get("attr")
    bounds = [(float(r.get("lower")), float(r.get("upper"))) for r in renderer.iter("range")]
    assert bounds == [(0, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1), (-1, -1)]
    symbols = {symbol.get("name") for symbol in renderer.iter("symbol")}
    assert symbols == {r.get("symbol") for r in renderer.iter("range")}


def test_the_style_is_xml_with_a_symbol_for_each_class():
    check_style(score_style())
    assert score_style().startswith("<!DOCTYPE qgis ")
    root = ElementTree.fromstring(score_style())
    assert root.tag == "qgis" and root.find("layerGeometryType").text == "2", "polygons"


def test_a_score_has_the_colour_of_its_class():
    root = ElementTree.fromstring(score_style())
    colours = {
        symbol.get("name"): symbol.find("layer/prop[@k='outline_color']").get("v")
        for symbol in root.iter("symbol")
    }
    by_bound = {float(r.get("upper")): colours[r.get("symbol")] for r in root.iter("range")}
    expected = {**SCORE_CLASSES, NO_SCORE: NO_SCORE_COLOUR}
    assert by_bound == {bound: f"{colour},255" for bound, colour in expected.items()}
    assert len(set(by_bound.values())) == len(expected), "no two classes look the same"


def test_polygons_are_outlines_through_which_the_scene_is_seen():
    for layer in ElementTree.fromstring(score_style()).iter("layer"):
        assert layer.get("class") == "SimpleFill"
        properties = {prop.get("k"): prop.get("v") for prop in layer.iter("prop")}
        assert properties["style"] == "no" and properties["outline_style"] == "solid"


def test_a_polygon_without_score_is_in_the_grey_class():
    root = ElementTree.fromstring(score_style())
    assert root.find("renderer-v2").get("attr") == f'coalesce("score", {NO_SCORE})'
    assert [r.get("label") for r in root.iter("range")][-1] == "no score"


# --- rasters ---


def test_probabilities_are_shown_from_0_to_1_and_what_is_hardly_a_house_not_at_all():
    renderer = ElementTree.fromstring(probability_style()).find("pipe/rasterrenderer")
    assert renderer.get("type") == "singlebandpseudocolor"
    items = [(float(i.get("value")), int(i.get("alpha"))) for i in renderer.iter("item")]
    assert items == sorted(items), "the likelier, the more is seen"
    assert items[0] == (0, 0) and items[1] == (0.1, 0) and items[-1] == (1, 255)


def test_classes_have_names_and_colours():
    text = classes_style({3: ("roof", (1, 16, 255), 9)})
    (entry,) = ElementTree.fromstring(text).iter("paletteEntry")
    expected = {"value": "3", "label": "roof", "color": "#0110ff", "alpha": "9"}
    assert entry.attrib == expected


def test_a_masks_style_has_its_colours_and_lets_the_scene_be_seen():
    entries = {
        int(e.get("value")): e for e in ElementTree.fromstring(MASK_STYLE).iter("paletteEntry")
    }
    assert entries[1].get("color") == "#{:02x}{:02x}{:02x}".format(*MASK_COLOURS[1])
    assert entries[1].get("alpha") == "255" and entries[0].get("alpha") == "0"
    assert set(entries) == {0, 1, 2}, "255 is nodata"


# --- where it is saved ---


def test_geopackage_holds_its_style_as_qgis_saves_it(write_scores):
    path = write_scores("a.gpkg")
    with closing(sqlite3.connect(path)) as database:
        (row,) = database.execute(
            "SELECT f_table_name, f_geometry_column, useAsDefault, styleQML FROM layer_styles"
        )
        geometry = database.execute("SELECT column_name FROM gpkg_geometry_columns").fetchone()[0]
        kind = database.execute(
            "SELECT data_type FROM gpkg_contents WHERE table_name = 'layer_styles'"
        ).fetchone()
        stamp = database.execute("SELECT update_time FROM layer_styles").fetchone()
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert row[:3] == ("houses", geometry, 1)
    assert kind == ("attributes",)
    assert stamp == (NO_DATE,)
    check_style(row[3])


def test_gdal_lists_the_style_as_a_table_beside_the_polygons(write_scores):
    layers = pyogrio.list_layers(write_scores("a.gpkg"))
    assert layers.tolist() == [["houses", "Polygon"], ["layer_styles", None]]


def test_other_formats_have_their_style_beside_them(write_scores):
    path = write_scores("a.fgb")
    check_style(path.with_suffix(".qml").read_text(encoding="utf-8"))


def test_a_style_of_the_users_is_left_alone(write_scores, tmp_path):
    (tmp_path / "a.qml").write_text("mine")
    write_scores("a.fgb")
    assert (tmp_path / "a.qml").read_text() == "mine"


def test_a_style_is_saved_once(write_scores):
    path = write_scores("a.gpkg")
    before = path.read_bytes()
    with pytest.raises(sqlite3.Error, match="layer_styles already exists"):
        add_style(path, "houses")
    assert path.read_bytes() == before


def test_a_style_that_cannot_be_saved_is_an_error(tmp_path):
    (tmp_path / "a.gpkg").write_bytes(b"no database at all")
    with pytest.raises(sqlite3.Error):
        add_style(tmp_path / "a.gpkg", "houses")
    with pytest.raises(OSError):
        add_style(tmp_path / "none" / "a.fgb", "houses")


def test_matches_have_a_colour_for_each_outcome(tmp_path):
    root = ElementTree.fromstring(outcome_style().split("\n", 1)[1])
    renderer = root.find("renderer-v2")
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "outcome")
    categories = {each.get("value"): each.get("symbol") for each in renderer.iter("category")}
    assert list(categories) == ["tp", "fp", "fn"]
    colours = {
        symbol.get("name"): symbol.find("layer/prop[@k='outline_color']").get("v")
        for symbol in root.iter("symbol")
    }
    assert [colours[name] for name in categories.values()] == [
        "86,180,233,255", "213,94,0,255", "240,228,66,255",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["m.gpkg", "m.fgb"])
def test_a_file_of_matches_opens_with_that_style(tmp_path, name):
    batch = FeatureBatch(np.array([shapely.box(0, 0, 1, 1)]), {"outcome": np.array(["fp"], object)})
    write_polygons(tmp_path / name, [batch], CRS, columns={"outcome": "string"}, layer="matches")
    if name == "m.fgb":
        assert (tmp_path / "m.qml").read_text(encoding="utf-8") == outcome_style()
        return
    with closing(sqlite3.connect(tmp_path / name)) as database:
        (row,) = database.execute("SELECT f_table_name, styleName, styleQML FROM layer_styles")
    assert row == ("matches", "outcome", outcome_style())

"""The styles that QGIS opens outputs with: polygons, masks and probabilities."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

from geofcn.core.colours import FALSE_ALARM, FOUND, MISSED
from geofcn.io.gdal import NO_DATE

# Upper bound of each class -> colour: from doubtful to certain.
SCORE_CLASSES = {
    0.6: "215,25,28",
    0.7: "253,141,60",
    0.8: "254,217,71",
    0.9: "120,198,121",
    1.0: "0,104,55",
}
NO_SCORE = -1
NO_SCORE_COLOUR = "128,128,128"
# Probability -> colour and its alpha: what is hardly a house lets the scene be seen.
PROBABILITY_RAMP = {
    0.0: ("#ffffb2", 0),
    0.1: ("#ffffb2", 0),
    0.3: ("#fecc5c", 150),
    0.5: ("#fd8d3c", 200),
    0.75: ("#f03b20", 230),
    1.0: ("#bd0026", 255),
}
# How every QGIS 3 names the document.
DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
# Outcome in an evaluation -> its name in the legend, and its colour.
OUTCOMES = {
    "tp": ("found", FOUND),
    "fp": ("false alarm", FALSE_ALARM),
    "fn": ("missed", MISSED),
}


def score_style() -> str:
    """A QGIS 3 style (QML, an XML text): outlines in five classes of score, grey without one."""
    bounds = [0.0, *SCORE_CLASSES]
    ranges = [
        _qml_range(i, lower, upper, f"{lower:g} - {upper:g}")
        for i, (lower, upper) in enumerate(zip(bounds, SCORE_CLASSES, strict=False))
    ]
    ranges.append(_qml_range(len(ranges), NO_SCORE, NO_SCORE, "no score"))
    colours = [*SCORE_CLASSES.values(), NO_SCORE_COLOUR]
    renderer = (
        f'type="graduatedSymbol" attr="coalesce(&quot;score&quot;, {NO_SCORE})" '
        'graduatedMethod="GraduatedColor"'
    )
    return _qml(renderer, f"  <ranges>\n{''.join(ranges)}  </ranges>\n", colours)


def outcome_style() -> str:
    """The same for the matches of an evaluation: outlines by what became of the houses."""
    categories = [
        f'   <category symbol="{i}" value="{outcome}" label="{name}" render="true"/>\n'
        for i, (outcome, (name, _)) in enumerate(OUTCOMES.items())
    ]
    colours = [",".join(map(str, colour)) for _, colour in OUTCOMES.values()]
    classes = f"  <categories>\n{''.join(categories)}  </categories>\n"
    return _qml('type="categorizedSymbol" attr="outcome"', classes, colours)


# Column by which outlines are coloured -> style.
STYLES: dict[str, Callable[[], str]] = {"score": score_style, "outcome": outcome_style}


def _qml(renderer: str, classes: str, colours: list[str]) -> str:
    """A style of a renderer, its classes, and the colours of their outlines."""
    symbols = [_qml_symbol(i, colour) for i, colour in enumerate(colours)]
    return f"""{DOCTYPE}
<qgis version="3.22.0" styleCategories="Symbology">
 <renderer-v2 {renderer} symbollevels="0" enableorderby="0" forceraster="0">
{classes}  <symbols>
{"".join(symbols)}  </symbols>
 </renderer-v2>
 <layerGeometryType>2</layerGeometryType>
</qgis>
"""


def _qml_range(symbol: int, lower: float, upper: float, label: str) -> str:
    return (
        f'   <range symbol="{symbol}" lower="{lower:.6f}" upper="{upper:.6f}" label="{label}" '
        'render="true"/>\n'
    )


def _qml_symbol(name: int, colour: str) -> str:
    properties = {
        "style": "no",
        "outline_color": f"{colour},255",
        "outline_style": "solid",
        "outline_width": "0.5",
        "outline_width_unit": "MM",
        "joinstyle": "miter",
    }
    # <prop> is what every QGIS 3 reads; <Option> came with 3.18.
    props = "".join(f'     <prop k="{k}" v="{v}"/>\n' for k, v in properties.items())
    return (
        f'   <symbol type="fill" name="{name}" alpha="1" clip_to_extent="1" force_rhr="0">\n'
        '    <layer class="SimpleFill" enabled="1" locked="0" pass="0">\n'
        f"{props}    </layer>\n   </symbol>\n"
    )


def probability_style() -> str:
    """A QGIS 3 style of probabilities 0 to 1: yellow to red, below a tenth transparent.

    QGIS applies the scale that a raster declares before, so it is one for uint8 and float32.
    """
    items = "".join(
        f'     <item value="{value:g}" alpha="{alpha}" color="{colour}" label="{value:g}"/>\n'
        for value, (colour, alpha) in PROBABILITY_RAMP.items()
    )
    return _raster_style(
        """  <rasterrenderer type="singlebandpseudocolor" band="1" opacity="1" alphaBand="-1" \
nodataColor="" classificationMin="0" classificationMax="1">
   <rasterTransparency/>
   <rastershader>
    <colorrampshader colorRampType="INTERPOLATED" classificationMode="1" clip="0" \
minimumValue="0" maximumValue="1">
"""
        f"{items}    </colorrampshader>\n   </rastershader>\n  </rasterrenderer>\n"
    )


def classes_style(classes: Mapping[int, tuple[str, tuple[int, int, int], int]]) -> str:
    """A QGIS 3 style of a raster of classes, which are named in the legend.

    Parameters
    ----------
    classes : mapping
        Value -> its name, (red, green, blue), and alpha, 0 transparent to 255.
    """
    entries = "".join(
        f'    <paletteEntry value="{value}" label="{name}" color="#{red:02x}{green:02x}{blue:02x}" '
        f'alpha="{alpha}"/>\n'
        for value, (name, (red, green, blue), alpha) in classes.items()
    )
    return _raster_style(
        """  <rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1" nodataColor="">
   <rasterTransparency/>
   <colorPalette>
"""
        f"{entries}   </colorPalette>\n  </rasterrenderer>\n"
    )


def _raster_style(renderer: str) -> str:
    return f"""{DOCTYPE}
<qgis version="3.22.0" styleCategories="Symbology">
 <pipe>
{renderer} </pipe>
 <blendMode>0</blendMode>
</qgis>
"""


# The table as QGIS makes it.
STYLE_TABLE = """CREATE TABLE layer_styles (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256),
    f_geometry_column TEXT(256), styleName TEXT(30), styleQML TEXT, styleSLD TEXT,
    useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
    update_time DATETIME DEFAULT CURRENT_TIMESTAMP)"""


def add_style(partial: Path, layer: str, column: str = "score") -> None:
    """Save the style where QGIS looks for it: in a GeoPackage itself, or beside another file.

    Parameters
    ----------
    partial : Path
        A finished vector file; one that is no .gpkg gets a .qml beside it.
    layer : str
        The layer of a GeoPackage that the style belongs to.
    column : str
        Of STYLES; the file has it.

    Raises
    ------
    OSError or sqlite3.Error
        Where that cannot be done.
    """
    style = STYLES[column]()
    if partial.suffix != ".gpkg":
        partial.with_suffix(".qml").write_text(style, encoding="utf-8")
        return
    with closing(sqlite3.connect(partial)) as database, database:
        (geometry,) = database.execute(
            "SELECT column_name FROM gpkg_geometry_columns WHERE table_name = ?", (layer,)
        ).fetchone()
        database.execute(STYLE_TABLE)
        database.execute(
            "INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, "
            "f_geometry_column, styleName, styleQML, useAsDefault, description, owner, "
            "update_time) VALUES ('', '', ?, ?, ?, ?, 1, ?, '', ?)",
            (layer, geometry, column, style, f"Outlines by {column}", NO_DATE),
        )
        database.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier, last_change) "
            "VALUES ('layer_styles', 'attributes', 'layer_styles', ?)",
            (NO_DATE,),
        )

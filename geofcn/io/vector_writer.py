"""Vector files of polygons: streamed under a temporary name, read back, then renamed.

::

    .gpkg     GeoPackage      spatial index, style inside
    .geojson  GeoJSON         RFC 7946: WGS 84, 9 decimals
    .fgb      FlatGeobuf      spatial index (which puts the features in the index's order)
    .parquet  GeoParquet 1.1  WKB, a bbox column to filter by
    .shp      Shapefile       clockwise exteriors, column names of 10 characters

A final name is either absent or right. Everything is written into a hidden folder beside the
target, so that side files (journals, the parts of a Shapefile) come and go with it.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import stat
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pyproj
import shapely
from pyproj.exceptions import ProjError

from geofcn.core.ragged import rings_in_turn
from geofcn.errors import OutputError
from geofcn.io import files
from geofcn.io.files import StrPath
from geofcn.io.gdal import NO_DATE, VECTOR_OPTIONS
from geofcn.io.qgis import STYLES, add_style

DRIVERS = {
    ".gpkg": "GPKG",
    ".geojson": "GeoJSON",
    ".fgb": "FlatGeobuf",
    ".parquet": "Parquet",
    ".shp": "ESRI Shapefile",
}
FOOTPRINT_COLUMNS = {
    "id": "int64",
    "area_m2": "float64",
    "perimeter_m": "float64",
    "score": "float64",
    "n_px": "int64",
    "status": "string",
}
GEOMETRY = "geometry"
GROUP_ROWS = 16_384
SHAPEFILE_NAME_LENGTH = 10
GEOJSON_DECIMALS = 9
# The newest that GDAL 3.0 and later read without a warning; nothing of 1.4 is needed.
GEOPACKAGE_VERSION = "1.2"
# Corners of a polygon at the most: GDAL writes larger ones, in GBs of memory, and reads none of
# them (OGR_GEOJSON_MAX_OBJ_SIZE).
GEOJSON_CORNERS = 700_000
# Files that belong to a target of these kinds: those of an older one would be taken for its own.
PARTS = {
    ".shp": (".shx", ".dbf", ".prj", ".cpg", ".qix", ".sbn", ".sbx", ".qpj", ".shp.xml"),
}
ENDINGS = {".gpkg": ("-journal", "-wal", "-shm")}
REASON_LENGTH = 160

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FeatureBatch:
    """Some polygons with their attributes, in the order in which they are to be written.

    Attributes
    ----------
    geometry : (n,) array of shapely Polygons
        In CRS coordinates, x before y.
    columns : mapping
        Name -> (n,) values; NaN becomes null.
    """

    geometry: np.ndarray
    columns: Mapping[str, np.ndarray]


def check_vector_target(path: StrPath, overwrite: bool, *sources: StrPath) -> Path:
    """Check that a vector file may and can be written, see `geofcn.io.files.check_target`.

    Raises
    ------
    OutputError
        Where it must not or cannot, or has a character in its path that pyogrio would not take
        for one of a name.
    """
    others = parts_of(Path(path))
    target = files.check_target(path, DRIVERS, overwrite, *sources, others=others)
    if {"!", ";"} & set(str(target.absolute())):
        # pyogrio would take them for parts of a URL, and write elsewhere.
        raise OutputError(f"{target}: its path must not hold '!' or ';'; choose another name.")
    return target


def write_polygons(
    path: StrPath,
    batches: Iterable[FeatureBatch],
    crs: object | None,
    *,
    columns: Mapping[str, str] = FOOTPRINT_COLUMNS,
    layer: str = "houses",
    overwrite: bool = False,
) -> int:
    """Write polygons, batch by batch, to a vector file; return their number.

    Memory is bounded by a batch, not by the number of polygons (but FlatGeobuf's index takes 60
    bytes for each), and the file does not depend on how they are cut into batches. Exteriors are
    turned counterclockwise (clockwise in a Shapefile). A `score` or `outcome` column brings a QGIS
    style: inside a GeoPackage, else beside the file as .qml (an existing .qml is left alone).

    Parameters
    ----------
    path : path
        File to write; its ending tells the format.
    batches : iterable of FeatureBatch
        The polygons in order, each with the `columns`.
    crs : CRS or None
        Of the batches: anything pyproj understands, a rasterio CRS too; None writes no CRS.
    columns : mapping
        The file's columns in order: name -> Arrow type ("int64", "float64", "string").
    layer : str
        The layer's name, where the format has layers.
    overwrite : bool
        Replace a file that exists.

    Returns
    -------
    int
        How many polygons were written.

    Raises
    ------
    OutputError
        As `check_vector_target` does, and where the file cannot be written or reads back with
        another number of polygons. An error raised by `batches` passes through as it is. Neither
        leaves anything behind.
    """
    target = check_vector_target(path, overwrite)
    kind = target.suffix.lower()
    crs = None if crs is None else pyproj.CRS.from_user_input(crs)
    names = (
        _shapefile_names(target, columns) if kind == ".shp" else {name: name for name in columns}
    )
    schema = _schema(columns, names, with_bbox=kind == ".parquet")
    prepare = _preparer(target, crs)
    if kind == ".geojson":
        batches = _readable_as_geojson(target, batches)
    source = _CountingReader(_record_batch(batch, names, schema, prepare) for batch in batches)
    reader = pa.RecordBatchReader.from_batches(schema, _regroup(source, schema))
    with files.partial_folder(target) as folder:
        # Endings in lower case, so that the parts of a Shapefile find each other.
        partial = folder / f"{target.stem}{kind}"
        try:
            if kind == ".parquet":
                _write_parquet(partial, reader, crs)
            else:
                _write_ogr(partial, reader, crs, layer)
            _verify(partial, source.count)
            for column in STYLES.keys() & columns.keys():
                add_style(partial, layer, column)
            _publish(folder, target)
        except (RuntimeError, OSError, sqlite3.Error, pa.ArrowException) as error:
            if source.error is not None:
                raise source.error from None
            raise _failed(target, error) from error
    return source.count


# --- from batches to Arrow -----------------------------------------------------------------------


class _CountingReader:
    """An iterator that counts rows and remembers the error that ended it.

    GDAL pulls the batches through a C interface, which turns any Python error into one of its own.
    """

    def __init__(self, batches: Iterator[pa.RecordBatch]):
        self._batches = batches
        self.count = 0
        self.error: BaseException | None = None

    def __iter__(self) -> _CountingReader:
        return self

    def __next__(self) -> pa.RecordBatch:
        try:
            batch = next(self._batches)
        except StopIteration:
            raise
        except BaseException as error:
            self.error = error
            raise
        self.count += batch.num_rows
        return batch


def _schema(columns: Mapping[str, str], names: Mapping[str, str], with_bbox: bool) -> pa.Schema:
    fields = [pa.field(names[name], pa.type_for_alias(kind)) for name, kind in columns.items()]
    fields.append(pa.field(GEOMETRY, pa.binary()))
    if with_bbox:
        sides = [(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")]
        fields.append(pa.field("bbox", pa.struct(sides)))
    return pa.schema(fields)


def _record_batch(
    batch: FeatureBatch,
    names: Mapping[str, str],
    schema: pa.Schema,
    prepare: Callable[[np.ndarray], np.ndarray],
) -> pa.RecordBatch:
    """A batch as Arrow: its columns under their names in the file, WKB, and maybe the bbox."""
    geometry = prepare(np.asarray(batch.geometry, dtype=object))
    arrays = [
        pa.array(batch.columns[name], schema.field(written).type, from_pandas=True)
        for name, written in names.items()
    ]
    wkb = shapely.to_wkb(geometry, output_dimension=2, byte_order=1, flavor="iso")
    arrays.append(pa.array(wkb, pa.binary()))
    if len(arrays) < len(schema):
        sides = shapely.bounds(geometry).reshape(-1, 4).T
        arrays.append(
            pa.StructArray.from_arrays(list(sides), fields=list(schema.field("bbox").type))
        )
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _regroup(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """The same rows in batches of GROUP_ROWS, the last maybe shorter."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= GROUP_ROWS:
            table = pa.Table.from_batches(waiting, schema).combine_chunks()
            full = rows - rows % GROUP_ROWS
            yield from table.slice(0, full).to_batches(max_chunksize=GROUP_ROWS)
            waiting, rows = table.slice(full).to_batches(), rows - full
    yield from pa.Table.from_batches(waiting, schema).combine_chunks().to_batches()


def _preparer(target: Path, crs: pyproj.CRS | None) -> Callable[[np.ndarray], np.ndarray]:
    """What the target's format asks of polygons: its ring order, and degrees for GeoJSON."""
    kind = target.suffix.lower()
    if kind != ".geojson" or crs is None:
        return partial(_oriented, clockwise=kind == ".shp")

    def refused(error: ProjError) -> OutputError:
        return OutputError(
            f"{target}: the polygons have no place in degrees, which GeoJSON demands ({error}); "
            "write a .gpkg."
        )

    try:
        transformer = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
    except ProjError as error:
        raise refused(error) from error

    def degrees(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return transformer.transform(x, y, errcheck=True)

    def prepare(geometry: np.ndarray) -> np.ndarray:
        try:
            return shapely.orient_polygons(shapely.transform(geometry, degrees, interleaved=False))
        except ProjError as error:
            raise refused(error) from error

    return prepare


def _readable_as_geojson(target: Path, batches: Iterable[FeatureBatch]) -> Iterator[FeatureBatch]:
    """The same batches; raises OutputError at a polygon that nobody could read back."""
    for batch in batches:
        if shapely.get_num_coordinates(batch.geometry).max(initial=0) > GEOJSON_CORNERS:
            raise OutputError(
                f"{target}: one of its polygons has more than {GEOJSON_CORNERS:,} corners, which "
                "readers of GeoJSON do not take; write a .gpkg."
            )
        yield batch


def _oriented(polygons: np.ndarray, clockwise: bool) -> np.ndarray:
    """Polygons whose exteriors run in a direction and holes in the other one.

    Those that do already are not copied: one may have a million holes.
    """
    wrong = np.zeros(len(polygons), bool)
    for owner, is_exterior, rings in rings_in_turn(polygons):
        wrong[owner[shapely.is_ccw(rings) != (is_exterior != clockwise)]] = True
    turned = polygons.copy()
    turned[wrong] = shapely.orient_polygons(polygons[wrong], exterior_cw=clockwise)
    return turned


def _shapefile_names(target: Path, columns: Mapping[str, str]) -> dict[str, str]:
    """Column -> its name in a Shapefile; what is cut is logged."""
    names = {name: name[:SHAPEFILE_NAME_LENGTH].rstrip("_") for name in columns}
    if len(set(names.values())) < len(names):
        raise OutputError(
            f"{target}: two columns have the same first {SHAPEFILE_NAME_LENGTH} letters, all that "
            "a Shapefile keeps; write a .gpkg."
        )
    cut = ", ".join(f"{name} is {short}" for name, short in names.items() if name != short)
    if cut:
        log.warning("%s: a Shapefile's column names have at most 10 letters: %s.", target, cut)
    return names


# --- from Arrow to a file ------------------------------------------------------------------------


def _write_ogr(
    partial: Path, reader: pa.RecordBatchReader, crs: pyproj.CRS | None, layer: str
) -> None:
    kind = partial.suffix
    options: dict[str, str] = {}
    file_options: dict[str, str] = {}
    if kind == ".geojson" and crs is not None:
        crs = pyproj.CRS("EPSG:4326")
        options = {"RFC7946": "YES", "COORDINATE_PRECISION": str(GEOJSON_DECIMALS)}
    elif kind == ".shp":
        options = {"DBF_DATE_LAST_UPDATE": NO_DATE[:10]}
    elif kind == ".gpkg":
        file_options = {"VERSION": GEOPACKAGE_VERSION}
    with _gdal_options(), warnings.catch_warnings():
        if crs is None:
            warnings.filterwarnings("ignore", "'crs' was not provided")
        pyogrio.write_arrow(
            reader,
            partial,
            layer=layer,
            driver=DRIVERS[kind],
            geometry_name=GEOMETRY,
            geometry_type="Polygon",
            crs=crs and crs.to_wkt(),
            encoding="UTF-8" if kind == ".shp" else None,
            layer_options=options,
            dataset_options=file_options,
        )


@contextmanager
def _gdal_options() -> Iterator[None]:
    before = {option: pyogrio.get_gdal_config_option(option) for option in VECTOR_OPTIONS}
    pyogrio.set_gdal_config_options(VECTOR_OPTIONS)
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)


def _write_parquet(partial: Path, reader: pa.RecordBatchReader, crs: pyproj.CRS | None) -> None:
    """GeoParquet 1.1 with the bbox covering, by which readers skip row groups."""
    schema = reader.schema.with_metadata({"geo": json.dumps(_geo_metadata(crs))})
    with pq.ParquetWriter(partial, schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch.cast(schema))


def _geo_metadata(crs: pyproj.CRS | None) -> dict[str, Any]:
    return {
        "version": "1.1.0",
        "primary_column": GEOMETRY,
        "columns": {
            GEOMETRY: {
                "encoding": "WKB",
                "geometry_types": ["Polygon"],
                "crs": crs and crs.to_json_dict(),
                "orientation": "counterclockwise",
                "covering": {
                    "bbox": {side: ["bbox", side] for side in ("xmin", "ymin", "xmax", "ymax")}
                },
            }
        },
    }


def _verify(partial: Path, count: int) -> None:
    """Read every polygon back: a header may promise what a full disk did not keep."""
    if partial.suffix == ".parquet":
        with pq.ParquetFile(partial) as file:
            intact = _count_geometry(file.iter_batches(columns=[GEOMETRY]))
    else:
        with (
            warnings.catch_warnings(),
            pyogrio.open_arrow(partial, columns=[], use_pyarrow=True) as (_, reader),
        ):
            # GeoJSON readers take `id` for the feature's own.
            warnings.filterwarnings("ignore", "Several features with id")
            intact = _count_geometry(reader)
    if intact != count:
        raise OSError(f"{intact} of {count} polygons read back")
    if count and partial.suffix in (".gpkg", ".fgb"):
        # GDAL gives up an index without a word where it finds no room for it.
        layer = pyogrio.list_layers(partial)[0, 0]
        if not pyogrio.read_info(partial, layer=layer)["capabilities"]["fast_spatial_filter"]:
            raise OSError("no spatial index was made")


def _count_geometry(batches: Iterable[pa.RecordBatch]) -> int:
    return sum(batch.num_rows - batch.column(0).null_count for batch in batches)


# --- names on disk -------------------------------------------------------------------------------


def _publish(folder: Path, target: Path) -> None:
    """Move the finished files to their final names, the target itself last: all or none."""
    mode, kind = _plain_mode(folder), target.suffix.lower()
    moves = {}
    for part in sorted(folder.iterdir(), key=lambda part: part.suffix == kind):
        part.chmod(mode)
        final = target if part.suffix == kind else target.with_suffix(part.suffix)
        if part.suffix != ".qml" or not os.path.lexists(final):
            moves[part] = final
    files.publish_together(moves, parts_of(target))


def _plain_mode(folder: Path) -> int:
    """The permissions of a file that is simply made: SQLite lets nobody else write, ever."""
    probe = folder / "mode"
    probe.touch()
    mode = stat.S_IMODE(probe.stat().st_mode)
    probe.unlink()
    return mode


def parts_of(target: Path) -> list[Path]:
    """Files besides a target that are parts of it, or would be taken for parts of it.

    SQLite would roll an old journal back into the new GeoPackage; an old spatial index would hide
    a new Shapefile's polygons.
    """
    kind = target.suffix.lower()
    return [
        *(target.with_suffix(suffix) for suffix in PARTS.get(kind, ())),
        *(target.with_name(target.name + ending) for ending in ENDINGS.get(kind, ())),
    ]


def _failed(target: Path, error: Exception) -> OutputError:
    reason = str(error).strip().rstrip(".") or type(error).__name__
    if len(reason) > REASON_LENGTH:
        # GDAL quotes whole SQL scripts; what went wrong stands at the end.
        reason = f"... {reason[-REASON_LENGTH:]}"
    return files.writing_failed(target, reason)

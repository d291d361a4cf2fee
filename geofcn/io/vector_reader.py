"""Polygons read from one layer of a vector file of any format, batch by batch and cleaned."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import shapely
from pyproj.exceptions import CRSError, ProjError
from rasterio.crs import CRS

from geofcn.core.cleaning import COLLECTION, EMPTY, MENDED, polygons_of
from geofcn.core.longitudes import unwrapped
from geofcn.errors import LabelsError, UsageError
from geofcn.io.files import is_missing, is_special, no_ordinary_file, no_such_file
from geofcn.io.label_source import LabelSource
from geofcn.io.sheets import holds_sheets

RASTER_SUFFIXES = (".tif", ".tiff", ".vrt", ".png", ".jp2", ".img", ".jpg", ".jpeg", ".txt")
GEOPARQUET = ".parquet"
# Layers of these types hold no house.
NEVER_AREAL = ("Point", "MultiPoint", "LineString", "MultiLineString")
# WKB's codes of curves and of what is made of them, or of triangles.
UNREADABLE_CODES = range(8, 18)
UNREADABLE = "of curves or triangles (see `ogr2ogr -nlt CONVERT_TO_LINEAR`)"
OUT_OF_RANGE = "where the CRS does not reach, or across its edge"
# Metres in a degree, and how much larger a polygon may become in a projection: by more it is torn
# apart, as Mercator's does at 180 degrees.
DEGREE, TORN = 111_320.0, 100
# GeoPackage's -1 and 0, which say that nothing is known.
UNDEFINED = ("Undefined Cartesian SRS", "Undefined geographic SRS")
BATCH = 16_384
# The driver's own way of making batches fails for a FlatGeobuf without an index in which a feature
# has no geometry.
pyogrio.set_gdal_config_options({"OGR_FLATGEOBUF_STREAM_BASE_IMPL": "YES"})

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PolygonBatch:
    """Some polygons of a file.

    Attributes
    ----------
    polygons : (n,) array
        Valid shapely Polygons; each part of a multipolygon is one of its own.
    scores : (n,) array
        The file's column `score`, NaN without one.
    """

    polygons: np.ndarray
    scores: np.ndarray


@dataclass
class Tally:
    """What was found in a file while it was read.

    Attributes
    ----------
    features : int
        All of them.
    left_out : Counter
        Features that count for nothing, by reason.
    mended : int
        Features whose outlines cross themselves.
    """

    features: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    mended: int = 0

    @property
    def is_notable(self) -> bool:
        """Whether anything is left out or mended."""
        return bool(self.left_out or self.mended)

    def __str__(self) -> str:
        parts = [f"{count:,} {reason}" for reason, count in self.left_out.items()]
        told = [f"{self.left_out.total():,} are left out ({', '.join(parts)})"] if parts else []
        told += [f"{self.mended:,} with outlines that cross are mended"] if self.mended else []
        return f"of its {self.features:,} features " + " and ".join(told or ["all are polygons"])


@dataclass(frozen=True)
class VectorLayer:
    """A layer of polygons, opened by `open_vectors`.

    Attributes
    ----------
    source : LabelSource
        Where it is, and what counts of it.
    layer : str or None
        Its name; None for GeoParquet, which has no layers.
    crs : pyproj.CRS or None
        None where none is stated.
    has_scores : bool
        Whether there are numbers in a column `score`.
    """

    source: LabelSource
    layer: str | None
    crs: pyproj.CRS | None
    has_scores: bool

    @property
    def path(self) -> str:
        """The file."""
        return self.source.path

    def batches(
        self,
        tally: Tally,
        crs: CRS | pyproj.CRS | None = None,
        centre: float | None = None,
    ) -> Iterator[PolygonBatch]:
        """All polygons, cleaned (see `geofcn.core.cleaning`), batch by batch in the file's order.

        What is left out or mended is told in one notice, after the last batch.

        Parameters
        ----------
        tally : Tally
            Counts the features.
        crs : CRS, optional
            What they are brought into; None, or a file without a CRS: they stay as they are.
        centre : float, optional
            Where `crs` is in degrees: they are moved by whole turns to within 180 of this.

        Raises
        ------
        LabelsError
            Where the file cannot be read, its shapes cannot be brought into `crs`, or all are
            left out.
        """
        move = Mover(self.path, self.crs, crs, centre)
        for wkb, scores in self._records():
            shapes, unreadable = _decoded(wkb)
            polygons, owner, found = polygons_of(shapes)
            moved, keeps = move(polygons)
            lost = len(np.unique(owner)) - len(np.unique(owner[keeps]))
            found[EMPTY] -= unreadable
            tally.features += len(wkb)
            tally.mended += found.pop(MENDED, 0)
            tally.left_out += found + Counter({UNREADABLE: unreadable, OUT_OF_RANGE: lost})
            yield PolygonBatch(moved, scores[owner[keeps]])
        if tally.left_out.total() == tally.features > 0:
            raise LabelsError(f"{self.path}: it holds no polygons: {tally}.")
        if tally.is_notable:
            log.warning("%s: %s.", self.path, tally)

    def _records(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """WKB (None where missing) and scores of all features, batch by batch."""
        try:
            yield from _of_parquet(self) if self.layer is None else _of_ogr(self)
        except LabelsError:
            raise
        except Exception as error:  # readers raise several unrelated classes
            if self.source.where is not None:
                raise LabelsError(
                    f"{self.path}: the condition {self.source.where!r} fails ({error}); write it "
                    "in SQL with the file's own columns."
                ) from error
            raise _unreadable(self.path, error) from error


class Mover:
    """Brings polygons of one CRS into another.

    Parameters
    ----------
    path : str
        Where they come from, for messages.
    own : CRS or None
        What they are in.
    crs, centre
        See `VectorLayer.batches`.

    Raises
    ------
    LabelsError
        Where the one CRS cannot be brought into the other.
    """

    def __init__(
        self,
        path: str,
        own: pyproj.CRS | None,
        crs: CRS | pyproj.CRS | None,
        centre: float | None,
    ):
        self._path, self._from, self._centre = path, own, centre
        self._to = own if crs is None else pyproj.CRS.from_user_input(crs.to_wkt())
        self._transformer: pyproj.Transformer | None = None
        if self._from is None or self._to is None or self._from.is_exact_same(self._to):
            return
        try:
            self._transformer = pyproj.Transformer.from_crs(self._from, self._to, always_xy=True)
        except (ProjError, CRSError) as error:
            raise LabelsError(
                f"{self._path}: its CRS {self._from.name} cannot be brought into {self._to.name} "
                f"({error}); set the right one, for instance with `ogr2ogr -a_srs`."
            ) from error

    def __call__(self, polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The polygons that have a place there, moved, and which of all these are (n,) bool."""
        keeps = np.ones(len(polygons), bool)
        if self._from is not None and self._from.is_geographic:
            _refuse_metres(self._path, self._from.name, polygons)
            polygons = unwrapped(polygons)
        if self._transformer is not None:
            sizes = _sizes(polygons)
            polygons = shapely.transform(polygons, self._transformed)
            keeps = np.isfinite(_sizes(polygons)) & ~self._is_torn(polygons, sizes)
            polygons = polygons[keeps]
        if self._centre is not None and self._to is not None and self._to.is_geographic:
            polygons = unwrapped(polygons, self._centre)
        return polygons, keeps

    def _is_torn(self, polygons: np.ndarray, degrees: np.ndarray) -> np.ndarray:
        """Which polygons lie in pieces at two edges of the projection, given their former sizes."""
        if not (self._from and self._to) or not self._from.is_geographic or self._to.is_geographic:
            return np.zeros(len(polygons), bool)
        unit = next((axis.unit_conversion_factor for axis in self._to.axis_info), 1.0)
        return _sizes(polygons) * unit > TORN * DEGREE * degrees

    def _transformed(self, points: np.ndarray) -> np.ndarray:
        assert self._transformer is not None
        return np.column_stack(self._transformer.transform(points[:, 0], points[:, 1]))


def _sizes(polygons: np.ndarray) -> np.ndarray:
    """Diagonals of the boxes of polygons, (n,)."""
    low, high = np.split(shapely.bounds(polygons).reshape(-1, 4), 2, axis=1)
    with np.errstate(invalid="ignore"):  # what has no place is infinite
        return np.hypot(*(high - low).T)


def _refuse_metres(path: str, crs: str, polygons: np.ndarray) -> None:
    """Raise LabelsError for coordinates that are no degrees, in a file that says they are."""
    west, south, east, north = shapely.bounds(polygons).reshape(-1, 4).T
    off = (south < -91) | (north > 91) | (west < -541) | (east > 541)
    if off.any():
        first = np.argmax(off)
        raise LabelsError(
            f"{path}: by its CRS {crs} it is in degrees, but there are coordinates such as "
            f"{west[first]:.6g}, {south[first]:.6g}; give it the CRS that it is in, for instance "
            "with `ogr2ogr -a_srs`, or write a .gpkg."
        )


def _decoded(wkb: np.ndarray) -> tuple[np.ndarray, int]:
    """Shapes of WKB, None for those that shapely does not know; and how many these are."""
    wkb = np.array([item or None for item in wkb], object)  # no bytes are no shape
    # One byte for the order, then the code, perhaps with flags of the dimensions.
    known = np.array([item is None or _code(item) not in UNREADABLE_CODES for item in wkb], bool)
    shapes = np.full(len(wkb), None, object)
    shapes[known] = shapely.from_wkb(wkb[known], on_invalid="fix")
    for i in np.flatnonzero(shapely.get_type_id(shapes) == COLLECTION):
        shapes[i] = shapes[i] if _falls_apart(shapes[i]) else None
    unreadable = np.array([item is not None for item in wkb], bool) & shapely.is_missing(shapes)
    return shapes, int(unreadable.sum())


def _falls_apart(collection: shapely.Geometry) -> bool:
    """Whether a collection is free of curves, on whose account shapely would give no part of it."""
    try:
        parts = shapely.get_parts(collection)
    except NotImplementedError:
        return False
    return all(_falls_apart(part) for part in parts[shapely.get_type_id(parts) == COLLECTION])


def _code(wkb: bytes) -> int:
    code = int.from_bytes(wkb[1:5], "little" if wkb[0] else "big")
    return (code & 0xFFFFFF) % 1000


# --- readers -------------------------------------------------------------------------------------


def _of_ogr(layer: VectorLayer) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    source = layer.source
    columns = ["score"] if layer.has_scores else []
    with pyogrio.open_arrow(
        source.path,
        layer=layer.layer,
        where=source.where,
        columns=columns,
        batch_size=BATCH,
        use_pyarrow=True,
    ) as (meta, reader):
        geometry = meta["geometry_name"] or "wkb_geometry"
        for batch in reader:
            yield _columns(batch, geometry, layer.has_scores)


def _of_parquet(layer: VectorLayer) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    import pyarrow.parquet as pq  # pyogrio's wheels have no Parquet driver

    with pq.ParquetFile(layer.path) as file:
        meta = _geo_metadata(file)
        name = meta["primary_column"]
        if meta["columns"][name]["encoding"] != "WKB":
            import geopandas

            frame = geopandas.read_parquet(layer.path)
            scores = frame["score"] if layer.has_scores else np.full(len(frame), np.nan)
            yield frame.geometry.to_wkb().to_numpy(), np.asarray(scores, float)
            return
        columns = [name, "score"] if layer.has_scores else [name]
        for batch in file.iter_batches(BATCH, columns=columns):
            yield _columns(batch, name, layer.has_scores)


def _columns(batch: Any, geometry: str, has_scores: bool) -> tuple[np.ndarray, np.ndarray]:
    wkb = batch.column(geometry).to_numpy(zero_copy_only=False)
    scores = np.full(len(wkb), np.nan)
    if has_scores:
        scores = batch.column("score").to_numpy(zero_copy_only=False).astype(float)
    return wkb, scores


# --- opening -------------------------------------------------------------------------------------


def is_raster_path(path: str) -> bool:
    """Whether labels or predictions are a raster, or a pattern, list or folder of such.

    That is told by the ending; of a folder by whether there is one such raster in it.

    Examples
    --------
    >>> is_raster_path("labels.TIF"), is_raster_path("labels.gpkg")
    (True, False)
    """
    return Path(path).suffix.lower() in RASTER_SUFFIXES or holds_sheets(path, RASTER_SUFFIXES)


def no_crs(path: str) -> LabelsError:
    """The error of a vector file that states no CRS."""
    return LabelsError(
        f"{path}: it states no CRS, so its place is unknown; set it, for instance with "
        "`ogr2ogr -a_srs`."
    )


def open_vectors(source: LabelSource) -> VectorLayer:
    """Open a layer of polygons; none is read yet.

    Parameters
    ----------
    source : LabelSource
        A file of any format that GDAL reads, or GeoParquet.

    Raises
    ------
    LabelsError
        Where the file cannot be read, holds no shapes, or several layers that may be meant.
    """
    path = source.path
    if is_missing(path):
        raise LabelsError(no_such_file(path))
    if is_special(path):
        raise LabelsError(no_ordinary_file(path))
    if {"!", ";"} & set(path) and Path(path).exists():
        # pyogrio would take them for parts of a URL.
        raise LabelsError(f"{path}: its path must not hold '!' or ';'; rename or move it.")
    if source.house_values:
        raise LabelsError(
            f"{path}: values of houses belong to rasters; choose features by --where."
        )
    if source.instances:
        raise LabelsError(
            f"{path}: instances belong to rasters, each polygon is a house anyway; leave them out."
        )
    if source.shift:
        raise UsageError(
            f"{path}: labels are moved as far as they lie on a raster; compare them with the mask."
        )
    try:
        if Path(path).suffix.lower() == GEOPARQUET:
            return _open_parquet(source)
        return _open_ogr(source)
    except LabelsError:
        raise
    except Exception as error:  # readers raise several unrelated classes
        raise _unreadable(path, error) from error


def layer_names(path: str) -> list[str]:
    """The layers of a vector file that may hold polygons."""
    return [
        str(name)
        for name, kind in pyogrio.list_layers(path)
        if kind is not None and not str(kind).startswith(NEVER_AREAL)
    ]


def _open_ogr(source: LabelSource) -> VectorLayer:
    layer = _only_layer(source.path) if source.layer is None else _named_layer(source)
    info = pyogrio.read_info(source.path, layer=layer)
    if info["geometry_type"] is None:
        raise _no_shapes(source.path)
    dtypes = dict(zip(info["fields"], info["dtypes"], strict=True))
    has_scores = "score" in dtypes and np.dtype(dtypes["score"]).kind in "iuf"
    return VectorLayer(source, layer, _crs_of(source.path, info["crs"]), has_scores)


def _only_layer(path: str) -> str:
    layers = layer_names(path)
    if len(layers) > 1:
        raise LabelsError(
            f"{path}: it has the layers {', '.join(layers)}; say which holds the houses, by "
            f"--layer or as {Path(path).name}|layername={layers[0]}."
        )
    if layers:
        return layers[0]
    named = pyogrio.list_layers(path)
    if any(kind is not None for _, kind in named):
        raise LabelsError(
            f"{path}: it holds no polygons, its layers are of points or lines; give the outlines "
            "of the houses."
        )
    raise _no_shapes(path)


def _named_layer(source: LabelSource) -> str:
    names = [str(name) for name, _ in pyogrio.list_layers(source.path)]
    if source.layer not in names:
        raise LabelsError(
            f"{source.path}: it has no layer {source.layer}; its layers are {', '.join(names)}."
        )
    return str(source.layer)


def _crs_of(path: str, text: str | None) -> pyproj.CRS | None:
    if not text:
        return None
    try:
        crs = pyproj.CRS.from_user_input(text)
    except CRSError as error:
        raise LabelsError(
            f"{path}: its CRS is not understood ({error}); set it, for instance with "
            "`ogr2ogr -a_srs`."
        ) from error
    return None if crs.name in UNDEFINED else crs


def _open_parquet(source: LabelSource) -> VectorLayer:
    import pyarrow.parquet as pq
    import pyarrow.types as kinds

    if source.layer is not None or source.where is not None:
        raise LabelsError(
            f"{source.path}: layers and conditions are for other formats than GeoParquet; write "
            "a .gpkg."
        )
    with pq.ParquetFile(source.path) as file:
        meta = _geo_metadata(file)
        schema = file.schema_arrow
    stated = meta["columns"][meta["primary_column"]].get("crs", "OGC:CRS84")
    has_scores = "score" in schema.names and (
        kinds.is_floating(schema.field("score").type)
        or kinds.is_integer(schema.field("score").type)
    )
    return VectorLayer(source, None, stated and pyproj.CRS.from_user_input(stated), has_scores)


def _geo_metadata(file: Any) -> dict[str, Any]:
    import json

    content = (file.schema_arrow.metadata or {}).get(b"geo")
    if content is None:
        raise ValueError("it is no GeoParquet: the metadata `geo` is missing")
    return dict(json.loads(content))


def _no_shapes(path: str) -> LabelsError:
    return LabelsError(f"{path}: it is a table without shapes; give polygons of houses.")


def _unreadable(path: str, error: Exception) -> LabelsError:
    if Path(path).is_dir():
        return LabelsError(
            f"{path}: this is a folder without rasters; name the file of polygons in it."
        )
    reason = " ".join(str(error).split())
    return LabelsError(
        f"{path}: it cannot be read as polygons ({reason}); give a vector file, or a raster "
        f"ending in one of {', '.join(RASTER_SUFFIXES)}."
    )

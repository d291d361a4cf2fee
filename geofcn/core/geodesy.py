"""Areas and lengths on the ground: on the ellipsoid, whatever the CRS."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyproj
import shapely
from rasterio.crs import CRS

from geofcn.core.grid import Grid
from geofcn.core.ragged import Rings

# Up to this length, in metres, a side is an arc of the authalic sphere's great circle to 1e-6 of
# the area of what it bounds.
SHORT = 2000.0


def ground_resolution(grid: Grid) -> float | None:
    """Metres on the ground per pixel at a grid's centre, on the ellipsoid; None without CRS.

    The geometric mean of the lengths of the centre pixel's two sides.
    """
    if grid.crs is None:
        return None
    crs = pyproj.CRS.from_user_input(grid.crs.to_wkt())
    if not (crs.is_geographic or crs.is_projected or crs.is_compound):
        return None
    to_degrees = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    geod = crs.get_geod()
    col, row = grid.width / 2, grid.height / 2
    corners = [grid.transform * point for point in ((col, row), (col + 1, row), (col, row + 1))]
    lons, lats = to_degrees.transform(*zip(*corners, strict=True))
    across = geod.line_length(lons[:2], lats[:2])
    down = geod.line_length([lons[0], lons[2]], [lats[0], lats[2]])
    resolution = math.sqrt(across * down)
    return resolution if math.isfinite(resolution) and resolution > 0 else None


@dataclass(frozen=True)
class Ground:
    """Measures polygons whose coordinates are in `crs`.

    None, or a CRS that is not tied to the Earth: the coordinates are plane, in metres or in the
    units that it states.
    """

    crs: CRS | pyproj.CRS | None

    def measure(self, polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Areas in square metres and perimeters, holes' included, in metres, of Polygons (n,).

        Sides are geodesics from vertex to vertex. The rings' directions do not matter.
        """
        if self._is_plane:
            return shapely.area(polygons) * self._unit**2, shapely.length(polygons) * self._unit
        if not len(polygons):
            return np.zeros(0), np.zeros(0)
        rings = Rings.of(polygons)
        ring, owner, side = rings.ring, rings.polygon, rings.edges
        lon, lat = self._to_degrees.transform(*rings.points.T)
        # East of the ring's first vertex: no jump at 180 degrees, and every digit for small rings.
        lon = _turned(lon - lon[rings.first[ring]])
        _, _, lengths = self._geod.inv(lon[side], lat[side], lon[side + 1], lat[side + 1])
        under = self._areas_under(lon, lat, side)
        areas = np.abs(np.bincount(ring[side], weights=under, minlength=len(rings)))
        for i in np.unique(ring[side[lengths > SHORT]]):
            own = slice(rings.first[i], rings.first[i + 1])
            areas[i] = abs(self._geod.polygon_area_perimeter(lon[own], lat[own])[0])
        signed = np.where(rings.is_exterior, areas, -areas)
        return (
            np.bincount(owner, weights=signed, minlength=len(polygons)),
            np.bincount(owner[ring[side]], weights=lengths, minlength=len(polygons)),
        )

    def local_metres(self, polygons: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """Polygons (n,) in metres east and north of their own origins, (n, 2) coordinates.

        On the plane that touches the ellipsoid at the origin, to which lengths at a distance d
        from it are true to about d * tan(latitude) / 6,400 km: 1 in 60,000 for 100 m at 46 degrees.
        """
        points, owner = shapely.get_coordinates(polygons, return_index=True)
        if self._is_plane:
            metres = (points - origins[owner]) * self._unit
            return shapely.set_coordinates(polygons.copy(), metres)
        lon, lat = self._to_degrees.transform(*points.T)
        lon_0, lat_0 = (np.asarray(part) for part in self._to_degrees.transform(*origins.T))
        # Radii of curvature, across the meridian and along it.
        sine = np.sin(np.radians(lat_0))
        across = self._geod.a / np.sqrt(1 - self._geod.es * sine**2)
        along = across * (1 - self._geod.es) / (1 - self._geod.es * sine**2)
        east = np.radians(_turned(lon - lon_0[owner])) * (across * np.cos(np.radians(lat_0)))[owner]
        north = np.radians(lat - lat_0[owner]) * along[owner]
        return shapely.set_coordinates(polygons.copy(), np.column_stack([east, north]))

    def _areas_under(self, lon: np.ndarray, lat: np.ndarray, side: np.ndarray) -> np.ndarray:
        """The signed area between each side, from point `side` to the next, and the equator.

        On the authalic sphere, which keeps areas, it is a spherical excess E: with longitudes L
        and authalic latitudes B, tan(E / 2) = tan(dL / 2) sin((B1 + B2) / 2) / cos((B1 - B2) / 2).
        """
        _, y = self._to_equal_area.transform(lon, lat)
        _, pole = self._to_equal_area.transform(0, 90)
        turn = np.radians(lon[side + 1] - lon[side])
        sine = y / pole
        cosine = np.sqrt(np.maximum(0, 1 - sine**2))
        sine_1, sine_2, cosine_1, cosine_2 = (
            values[which] for values in (sine, cosine) for which in (side, side + 1)
        )
        ratio = (sine_1 + sine_2) / (1 + sine_1 * sine_2 + cosine_1 * cosine_2)
        return 2 * np.arctan(np.tan(turn / 2) * ratio) * self._geod.a * pole

    @property
    def _is_plane(self) -> bool:
        return self.crs is None or self._pyproj.geodetic_crs is None

    @property
    def _unit(self) -> float:
        """Metres per unit of plane coordinates."""
        axes = () if self.crs is None else self._pyproj.axis_info
        return axes[0].unit_conversion_factor or 1.0 if axes else 1.0

    @cached_property
    def _pyproj(self) -> pyproj.CRS:
        return pyproj.CRS.from_user_input(self.crs.to_wkt())

    @cached_property
    def _geod(self) -> pyproj.Geod:
        return self._pyproj.get_geod()

    @cached_property
    def _to_degrees(self) -> pyproj.Transformer:
        return pyproj.Transformer.from_crs(self._pyproj, self._pyproj.geodetic_crs, always_xy=True)

    @cached_property
    def _to_equal_area(self) -> pyproj.Transformer:
        """To the cylindrical equal-area projection of the same ellipsoid, which keeps areas."""
        ellipsoid = f"+a={self._geod.a!r} +b={self._geod.b!r}"
        return pyproj.Transformer.from_pipeline(
            f"+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad "
            f"+step +proj=cea {ellipsoid}"
        )


def _turned(degrees: np.ndarray) -> np.ndarray:
    """Differences of longitudes, the shorter way around; those under 180 keep every bit."""
    return degrees - 360 * np.rint(degrees / 360)

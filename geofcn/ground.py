"""Areas and lengths on the ground: on the ellipsoid, whatever the CRS."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyproj
import shapely
from rasterio.crs import CRS

# Up to this size the straight sides of an outline and geodesics bound the same area to 1e-6.
SMALL = 2000.0


@dataclass(frozen=True)
class Ground:
    """Measures polygons whose coordinates are in `crs`; None: plane coordinates in metres."""

    crs: CRS | None

    def measure(self, polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Areas in square metres and perimeters, holes' included, in metres, of polygons (n,)."""
        if self.crs is None:
            return shapely.area(polygons), shapely.length(polygons)
        degrees = shapely.transform(polygons, self._to_degrees.transform, interleaved=False)
        plane = shapely.transform(degrees, self._to_equal_area.transform, interleaved=False)
        areas = shapely.area(plane)
        west, south, east, north = shapely.bounds(plane).reshape(-1, 4).T
        for i in np.flatnonzero(np.maximum(east - west, north - south) > SMALL):
            areas[i] = abs(self._geod.geometry_area_perimeter(degrees[i])[0])
        return areas, self._perimeters(degrees)

    def _perimeters(self, degrees: np.ndarray) -> np.ndarray:
        """Geodesic lengths of all rings of each polygon."""
        rings, owners = shapely.get_rings(degrees, return_index=True)
        points, ring = shapely.get_coordinates(rings, return_index=True)
        lon, lat = points.T
        sides = np.flatnonzero(ring[1:] == ring[:-1])
        _, _, lengths = self._geod.inv(lon[sides], lat[sides], lon[sides + 1], lat[sides + 1])
        return np.bincount(owners[ring[sides]], weights=lengths, minlength=len(degrees))

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

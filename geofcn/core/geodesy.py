"""Areas and lengths on the ground: on the ellipsoid, whatever the CRS."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyproj
import shapely
from affine import Affine
from rasterio.crs import CRS

from geofcn.core.grid import Grid
from geofcn.core.ragged import Rings

# Up to this length, in metres, a side is an arc of the authalic sphere's great circle to 1e-6 of
# the area of what it bounds.
SHORT = 2000.0


def ground_resolution(grid: Grid) -> float | None:
    """Metres on the ground per pixel at a grid's centre, on the ellipsoid.

    Returns
    -------
    float or None
        The geometric mean of the lengths of the centre pixel's two sides; None without a CRS that
        is tied to the Earth, and where the centre lies outside of the projection's range.

    Examples
    --------
    Web Mercator enlarges by 1 / cos(latitude): at 60 degrees north a pixel of 1 unit is half a
    metre wide.

    >>> from affine import Affine
    >>> mercator = CRS.from_epsg(3857)
    >>> round(ground_resolution(Grid(10, 10, mercator, Affine(1, 0, 0, 0, -1, 8_399_738))), 2)
    0.5
    """
    sides = _ground_sides(grid)
    return sides and math.sqrt(sides[0] * sides[1])


def _upright_at_centre(grid: Grid, side: float) -> Affine:
    """Pixels along the axes of the CRS, the first one's corner at the centre of a grid."""
    x, y = grid.transform * (grid.width / 2, grid.height / 2)
    return Affine(side, 0, x, 0, side, y)


def _ground_sides(grid: Grid) -> tuple[float, float] | None:
    """Metres on the ground of the upper and of the left side of the pixel at a grid's centre."""
    if grid.crs is None:
        return None
    crs = pyproj.CRS.from_user_input(grid.crs.to_wkt())
    earth = _Earth.of(crs)
    if earth is None or not (crs.is_geographic or crs.is_projected or crs.is_compound):
        return None
    col, row = grid.width / 2, grid.height / 2
    corners = [grid.transform * point for point in ((col, row), (col + 1, row), (col, row + 1))]
    x, y = zip(*corners, strict=True)
    lons, lats = earth.to_degrees.transform(x, y)
    across = earth.geod.line_length(lons[:2], lats[:2])
    down = earth.geod.line_length([lons[0], lons[2]], [lats[0], lats[2]])
    product = across * down
    return (across, down) if math.isfinite(product) and product > 0 else None


def metres_per_unit(grid: Grid) -> tuple[float, float] | None:
    """Metres on the ground per unit along x and along y of a grid's CRS, at the grid's centre.

    Returns
    -------
    (float, float) or None
        None where `ground_resolution` is.

    Examples
    --------
    >>> from affine import Affine
    >>> grid = Grid(10, 10, CRS.from_epsg(3857), Affine(1, 0, 0, 0, -1, 8_399_738))
    >>> [round(metres, 2) for metres in metres_per_unit(grid)]
    [0.5, 0.5]
    """
    step = math.sqrt(abs(grid.transform.determinant))
    along_axes = replace(grid, height=0, width=0, transform=_upright_at_centre(grid, step))
    sides = _ground_sides(along_axes)
    return sides and (sides[0] / step, sides[1] / step)


@dataclass(frozen=True)
class Ground:
    """Measures polygons in square metres and metres on the ground, whatever their CRS.

    Attributes
    ----------
    crs : rasterio.crs.CRS or pyproj.CRS, optional
        CRS of the polygons' coordinates. None, or a CRS that is not tied to the Earth: the
        coordinates are plane, in metres or in the units that it states.

    Examples
    --------
    >>> areas, perimeters = Ground(None).measure(np.array([shapely.box(0, 0, 3, 2)]))
    >>> areas, perimeters
    (array([6.]), array([10.]))

    A square of 10 units in Web Mercator, at 60 degrees north:

    >>> square = np.array([shapely.box(0, 8_399_738, 10, 8_399_748)])
    >>> areas, perimeters = Ground(CRS.from_epsg(3857)).measure(square)
    >>> areas.round(), perimeters.round()
    (array([25.]), array([20.]))
    """

    crs: CRS | pyproj.CRS | None

    def measure(self, polygons: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Areas and perimeters of polygons, whose sides are geodesics from vertex to vertex.

        Parameters
        ----------
        polygons : (n,) array of shapely.Polygon
            The directions of their rings do not matter.

        Returns
        -------
        areas : (n,) array
            Square metres.
        perimeters : (n,) array
            Metres, those of holes included.

        Notes
        -----
        Short sides are great circles of the authalic sphere: their areas follow in closed form
        (Karney, 2013, "Algorithms for geodesics"). Rings with a longer side go to
        `pyproj.Geod.polygon_area_perimeter`, one by one.
        """
        earth = self._earth
        if earth is None:
            return shapely.area(polygons) * self._unit**2, shapely.length(polygons) * self._unit
        if not len(polygons):
            return np.zeros(0), np.zeros(0)
        rings = Rings.of(polygons)
        areas, lengths = np.empty(len(rings)), np.empty(len(rings.points))
        for own, points, part in rings.parts():
            areas[own], lengths[points] = earth.measure(part)
        signed = np.where(rings.is_exterior, areas, -areas)
        owner = np.repeat(rings.polygon, np.diff(rings.first))
        return (
            np.bincount(rings.polygon, weights=signed, minlength=len(polygons)),
            np.bincount(owner, weights=lengths, minlength=len(polygons)),
        )

    def ring_areas(self, rings: Rings) -> np.ndarray:
        """(r,) the area within each ring in square metres, as `measure` has it."""
        areas = np.empty(len(rings))
        for own, _, part in rings.parts():
            lone = shapely.polygons(shapely.linearrings(part.points, indices=part.ring))
            areas[own] = self.measure(lone)[0]
        return areas

    def local_metres(self, polygons: np.ndarray, origins: np.ndarray) -> np.ndarray:
        """Polygons in metres east and north of their own origins.

        Parameters
        ----------
        polygons : (n,) array of shapely.Polygon
            They are left alone.
        origins : (n, 2) array
            (x, y) in the CRS.

        Returns
        -------
        (n,) array of shapely.Polygon
            On the plane that touches the ellipsoid at the origin.

        Notes
        -----
        Degrees are scaled by the radii of curvature at the origin (Snyder, 1987, "Map Projections:
        A Working Manual"). At a distance d from it lengths are true to about
        d * tan(latitude) / 6,400 km: 1 in 60,000 for 100 m at 46 degrees.
        """
        points, owner = shapely.get_coordinates(polygons, return_index=True)
        earth = self._earth
        if earth is None:
            metres = (points - origins[owner]) * self._unit
            return shapely.set_coordinates(polygons.copy(), metres)
        lon, lat = earth.to_degrees.transform(*points.T)
        lon_0, lat_0 = (np.asarray(part) for part in earth.to_degrees.transform(*origins.T))
        # Radii of curvature, across the meridian and along it.
        sine = np.sin(np.radians(lat_0))
        across = earth.geod.a / np.sqrt(1 - earth.geod.es * sine**2)
        along = across * (1 - earth.geod.es) / (1 - earth.geod.es * sine**2)
        east = np.radians(_turned(lon - lon_0[owner])) * (across * np.cos(np.radians(lat_0)))[owner]
        north = np.radians(lat - lat_0[owner]) * along[owner]
        return shapely.set_coordinates(polygons.copy(), np.column_stack([east, north]))

    @cached_property
    def _pyproj(self) -> pyproj.CRS | None:
        return None if self.crs is None else pyproj.CRS.from_user_input(self.crs.to_wkt())

    @cached_property
    def _earth(self) -> _Earth | None:
        """None where the coordinates are plane."""
        return None if self._pyproj is None else _Earth.of(self._pyproj)

    @property
    def _unit(self) -> float:
        """Metres per unit of plane coordinates."""
        axes = [] if self._pyproj is None else self._pyproj.axis_info
        return axes[0].unit_conversion_factor or 1.0 if axes else 1.0


@dataclass(frozen=True)
class _Earth:
    """The ellipsoid of a CRS, and the way to its longitudes and latitudes."""

    geod: pyproj.Geod
    to_degrees: pyproj.Transformer

    @classmethod
    def of(cls, crs: pyproj.CRS) -> _Earth | None:
        """None for a CRS that is not tied to the Earth, as that of a site plan."""
        geodetic, geod = crs.geodetic_crs, crs.get_geod()
        if geodetic is None or geod is None:
            return None
        return cls(geod, pyproj.Transformer.from_crs(crs, geodetic, always_xy=True))

    def measure(self, rings: Rings) -> tuple[np.ndarray, np.ndarray]:
        """(r,) the area within each ring; (p,) the length of the side after each vertex, or 0."""
        ring, side = rings.ring, rings.edges
        lon, lat = self.to_degrees.transform(*rings.points.T)
        # East of the ring's first vertex: no jump at 180 degrees, and every digit for small rings.
        lon = _turned(lon - lon[rings.first[ring]])
        lengths = np.zeros(len(lon))
        _, _, lengths[side] = self.geod.inv(lon[side], lat[side], lon[side + 1], lat[side + 1])
        under = self.areas_under(lon, lat, side)
        areas = np.abs(np.bincount(ring[side], weights=under, minlength=len(rings)))
        for i in np.unique(ring[lengths > SHORT]):
            own = slice(rings.first[i], rings.first[i + 1])
            areas[i] = abs(self.geod.polygon_area_perimeter(lon[own], lat[own])[0])
        return areas, lengths

    def areas_under(self, lon: np.ndarray, lat: np.ndarray, side: np.ndarray) -> np.ndarray:
        """The signed area between each side, from point `side` to the next, and the equator.

        On the authalic sphere, which keeps areas, it is a spherical excess E: with longitudes L
        and authalic latitudes B,

            tan(E / 2) = tan(dL / 2) sin((B1 + B2) / 2) / cos((B1 - B2) / 2)
                       = tan(dL / 2) (sin B1 + sin B2) / (1 + cos(B1 - B2))
        """
        _, y = self._to_equal_area.transform(lon, lat)
        _, pole = self._to_equal_area.transform(0, 90)
        end = side + 1
        turn = np.radians(lon[end] - lon[side])
        sine = y / pole  # of the authalic latitude
        cosine = np.sqrt(np.maximum(0, 1 - sine**2))
        ratio = (sine[side] + sine[end]) / (1 + sine[side] * sine[end] + cosine[side] * cosine[end])
        return 2 * np.arctan(np.tan(turn / 2) * ratio) * self.geod.a * pole

    @cached_property
    def _to_equal_area(self) -> pyproj.Transformer:
        """To the cylindrical equal-area projection of the same ellipsoid, which keeps areas."""
        ellipsoid = f"+a={self.geod.a!r} +b={self.geod.b!r}"
        return pyproj.Transformer.from_pipeline(
            f"+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad "
            f"+step +proj=cea {ellipsoid}"
        )


def _turned(degrees: np.ndarray) -> np.ndarray:
    """Differences of longitudes, the shorter way around; those under 180 keep every bit."""
    return degrees - 360 * np.rint(degrees / 360)

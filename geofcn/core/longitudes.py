"""Polygons in degrees, where longitudes wrap: 179 and -179 are neighbours, 190 is -170."""

from __future__ import annotations

import numpy as np
import shapely


def unwrapped(polygons: np.ndarray, centre: float | None = None) -> np.ndarray:
    """Polygons in degrees with longitudes that run on, each as near to a longitude as it can be.

    One that is more than 180 degrees wide is taken for one across the line where longitudes wrap.

    Parameters
    ----------
    polygons : (n,) array of shapely.Polygon
        x is the longitude.
    centre : float, optional
        Polygons are moved by whole turns to within 180 degrees of it; default: they are not moved.

    Examples
    --------
    >>> across = shapely.Polygon([(179, 0), (-179, 0), (-179, 1), (179, 1)])
    >>> print(unwrapped(np.array([across]))[0])
    POLYGON ((179 0, 181 0, 181 1, 179 1, 179 0))
    >>> print(unwrapped(np.array([across]), centre=-170)[0])
    POLYGON ((-181 0, -179 0, -179 1, -181 1, -181 0))
    """
    west, _, east, _ = shapely.bounds(polygons).reshape(-1, 4).T
    wide = east - west > 180
    if wide.any():
        middle = (west + east) / 2
        points, owner = shapely.get_coordinates(polygons[wide], return_index=True)
        points[:, 0] += 360 * (points[:, 0] < middle[wide][owner])
        polygons = polygons.copy()
        polygons[wide] = shapely.set_coordinates(polygons[wide].copy(), points)
        west, _, east, _ = shapely.bounds(polygons).T
    if centre is None:
        return polygons
    turns = np.rint((centre - (west + east) / 2) / 360)
    if not turns.any():
        return polygons
    points, owner = shapely.get_coordinates(polygons, return_index=True)
    points[:, 0] += 360 * turns[owner]
    return shapely.set_coordinates(polygons.copy(), points)

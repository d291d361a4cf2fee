"""Polygons where longitudes wrap."""

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.longitudes import unwrapped


@given(
    west=st.floats(-180, 179),
    width=st.floats(0.001, 100),
    centre=st.floats(-180, 360),
    start=st.sampled_from([-180, 0]),
)
def test_a_polygon_written_with_wrapped_longitudes_is_put_together(west, width, centre, start):
    """Whether longitudes run from -180 or from 0, it lies around the centre as one piece."""
    lon = np.array([west, west + width, west + width, west])
    written = (lon - start) % 360 + start
    polygon = shapely.Polygon(np.column_stack([written, [0, 0, 1, 1]]))
    (found,) = unwrapped(np.array([polygon]), centre)
    x = shapely.get_coordinates(found)[:4, 0]
    assert np.ptp(x) <= 180
    assert abs((x.min() + x.max()) / 2 - centre) <= 180 + 1e-9
    assert np.allclose((x - lon + 180) % 360, 180, atol=1e-9)


def test_what_does_not_wrap_keeps_every_bit():
    polygons = np.array([shapely.box(10.1, 46.3, 10.2, 46.4), shapely.box(-170, 0, 9.9, 1)])
    assert unwrapped(polygons) is polygons
    assert unwrapped(polygons, 11.0) is polygons


def test_no_polygons_are_none():
    assert len(unwrapped(np.zeros(0, object), 10.0)) == 0

"""Labels that lie beside the houses of their scene, moved by what their source says."""

from __future__ import annotations

from geofcn.core.geodesy import metres_per_unit
from geofcn.core.grid import Grid
from geofcn.errors import UsageError
from geofcn.io.label_source import LabelSource


def in_units(source: LabelSource, grid: Grid) -> tuple[float, float] | None:
    """By how many units of a grid's CRS labels are moved along x and y; None where they stay.

    Raises
    ------
    UsageError
        Where it is unknown how long such a unit is on the ground.
    """
    if not source.shift:
        return None
    metres = metres_per_unit(grid)
    if metres is None:
        raise UsageError(
            f"{source.path}: labels are moved by metres on the ground, and the scene has no CRS "
            "that tells how long these are; give it one with `gdal_edit.py -a_srs EPSG:CODE`."
        )
    x, y = source.shift
    return x / metres[0], y / metres[1]

"""Options of how outlines of polygons are cleaned."""

from __future__ import annotations

from dataclasses import dataclass

from geofcn.errors import UsageError

METHODS = ("raw", "simplify", "square")


@dataclass(frozen=True)
class Outline:
    """How finished polygons are cleaned.

    method      raw, simplify or square
    tolerance   of the simplification, in pixels
    min_area    smaller footprints are left out, in square metres on the ground
    fill_holes  smaller holes are filled, in square metres on the ground
    """

    method: str = "simplify"
    tolerance: float = 1.5
    min_area: float = 0.0
    fill_holes: float = 0.0

    def __post_init__(self):
        if self.method not in METHODS:
            raise UsageError(f"outline {self.method}: choose one of {', '.join(METHODS)}.")
        for name in ("tolerance", "min_area", "fill_holes"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"{name} {getattr(self, name)}: give a number from 0 up.")


SIMPLIFIED = Outline()

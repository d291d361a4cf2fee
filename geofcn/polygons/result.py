"""What a polygonizing returns: the file, its number of polygons, and the seconds it took."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import geopandas


@dataclass(frozen=True)
class PolygonizeResult:
    """What one polygonizing wrote: `count` polygons at `path`, in `seconds`."""

    path: Path
    count: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.path}: {self.count} polygons"

    def read(self) -> geopandas.GeoDataFrame:
        """The polygons, as a GeoDataFrame with their columns."""
        import geopandas

        if self.path.suffix.lower() == ".parquet":
            return geopandas.read_parquet(self.path)
        layered = self.path.suffix.lower() == ".gpkg"
        return geopandas.read_file(self.path, **({"layer": "houses"} if layered else {}))

"""What a polygonizing returns: the file, its number of polygons, and the seconds it took."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geofcn.text import printable

if TYPE_CHECKING:
    import geopandas


@dataclass(frozen=True)
class PolygonizeResult:
    """What one polygonizing wrote.

    Attributes
    ----------
    polygons : Path
        The vector file.
    count : int
        Its polygons.
    seconds : float
        Wall time.
    """

    polygons: Path
    count: int
    seconds: float

    def __str__(self) -> str:
        return printable(f"{self.polygons}: {self.count} polygons")

    def read(self) -> geopandas.GeoDataFrame:
        """The polygons with their columns, as a GeoDataFrame.

        Column names are the file's: a Shapefile has at most 10 characters of them.
        """
        import geopandas

        if self.polygons.suffix.lower() == ".parquet":
            return geopandas.read_parquet(self.polygons)
        layered = self.polygons.suffix.lower() == ".gpkg"
        return geopandas.read_file(self.polygons, **({"layer": "houses"} if layered else {}))

"""What a review returns: its files, the number of boxes, and the seconds it took."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import geopandas

LAYER = "boxes"


@dataclass(frozen=True)
class ReviewResult:
    """What one review wrote.

    Attributes
    ----------
    boxes : Path
        The vector file.
    count : int
        Its boxes.
    seconds : float
        Wall time.
    report : Path or None
        The page with their pictures.
    """

    boxes: Path
    count: int
    seconds: float
    report: Path | None = None

    def __str__(self) -> str:
        lines = [f"{self.boxes}: {self.count} boxes"]
        return "\n".join(lines if self.report is None else [*lines, str(self.report)])

    def read(self) -> geopandas.GeoDataFrame:
        """The boxes with their columns, by rank, as a GeoDataFrame."""
        import geopandas

        if self.boxes.suffix.lower() == ".parquet":
            return geopandas.read_parquet(self.boxes)
        # FlatGeobuf has an order of its own.
        return geopandas.read_file(self.boxes).sort_values("rank", ignore_index=True)

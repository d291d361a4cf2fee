"""What an export returns: its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ExportResult:
    """What one export wrote.

    Attributes
    ----------
    onnx : Path
        The model.
    tile : int
        Pixels a side of the images that it takes.
    stac : Path or None
        The STAC item.
    """

    onnx: Path
    tile: int
    stac: Path | None = None

    def __str__(self) -> str:
        lines = [f"{self.onnx}: tiles of {self.tile} px"]
        return "\n".join(lines if self.stac is None else [*lines, str(self.stac)])

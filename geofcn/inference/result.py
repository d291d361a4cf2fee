"""What an inference returns: paths, counts, seconds, and what its verification shows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geofcn.inference.threshold import SceneThreshold
from geofcn.inference.verify import Verification
from geofcn.text import printable


@dataclass(frozen=True)
class InferenceResult:
    """What one inference wrote.

    Attributes
    ----------
    mask : Path or None
        GeoTIFF: 0 background, 1 house, 255 blank; None where it was not wanted.
    probability, polygons : Path or None
        Likewise.
    pixels : int
        That the outputs cover: of the scene, or of the area's extent.
    count : int or None
        Of polygons, where these were wanted.
    seconds : float
        From the call to the published outputs, the verification left out.
    verification : Verification or None
        What windows computed again show, where they were wanted.
    scene_threshold : SceneThreshold or None
        The threshold with the share of houses it was found for, where it was to be found.
    report : Path or None
        The page; None where it was not wanted.
    """

    mask: Path | None
    probability: Path | None
    polygons: Path | None
    pixels: int
    count: int | None
    seconds: float
    verification: Verification | None = None
    scene_threshold: SceneThreshold | None = None
    report: Path | None = None

    def __str__(self) -> str:
        paths = self.mask, self.probability, self.polygons, self.report
        notes = self.scene_threshold, self.verification
        return "\n".join(printable(str(line)) for line in (*paths, *notes) if line)

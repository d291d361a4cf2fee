"""Describe a scene: size, bands, place, resolution, layout; and what inference on it will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from geofcn.core.geodesy import ground_resolution
from geofcn.core.windows import count_blocks, sample_windows
from geofcn.io.files import StrPath
from geofcn.io.scene import Scene, open_scene
from geofcn.recipes import DEFAULT

if TYPE_CHECKING:
    from geofcn.inference.estimate import InferenceEstimate

TRAINING_TILE = DEFAULT.tile
# Windows in which blank pixels are counted: their side in pixels, and how many.
SAMPLE_SIZE, SAMPLE_COUNT = 256, 64


@dataclass(frozen=True)
class SceneInfo:
    """What a scene is; what is unknown is None.

    Attributes
    ----------
    path, driver : str
        Of the file.
    width, height, bands : int
        Columns, rows, colour bands.
    colours : list of str
        What the bands show.
    dtype : str
        Of the pixels.
    crs : str or None
        As an authority's code, or WKT.
    transform : list of float
        a, b, c, d, e, f: x = a column + b row + c, y = d column + e row + f.
    ground_resolution_m : float or None
        Metres per pixel on the ground, at the scene's centre.
    declares_blank : bool
        Whether the raster (or `nodata`) says which pixels are blank.
    blank_share : float
        Of the pixels, from a sample.
    block : list of int
        Rows and columns of the file's blocks.
    layout : {"tiles", "strips"}
        Whether blocks are narrower than the scene.
    compression : str or None
        Of the file.
    tiles : int
        Tiles of the default recipe, side by side.
    inference : InferenceEstimate or None
        What inference will take, where a model was given.
    """

    path: str
    driver: str
    width: int
    height: int
    bands: int
    colours: list[str]
    dtype: str
    crs: str | None
    transform: list[float]
    ground_resolution_m: float | None
    declares_blank: bool
    blank_share: float
    block: list[int]
    layout: str
    compression: str | None
    tiles: int
    inference: InferenceEstimate | None = None

    def to_dict(self) -> dict[str, Any]:
        """All facts by name, those of the inference among them, as plain JSON types."""
        facts = asdict(self)
        return facts | (facts.pop("inference") or {})

    def __str__(self) -> str:
        return "\n".join(f"{name:<22}{text}" for name, text in self._rows())

    def _repr_html_(self) -> str:
        rows = (f"<tr><td>{name}</td><td>{escape(text)}</td></tr>" for name, text in self._rows())
        return f"<table>{''.join(rows)}</table>"

    def _rows(self) -> list[tuple[str, str]]:
        return [(name.replace("_", " "), _text(value)) for name, value in self.to_dict().items()]


def info(
    scene: StrPath,
    *,
    model: StrPath | None = None,
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
) -> SceneInfo:
    """Say what a scene is, and with a model what inference on it will take.

    Parameters
    ----------
    scene : path
        A raster: a file, a URL or a GDAL path.
    model : path, optional
        A model of `geofcn.train`.
    bands : sequence of int, optional
        1-based numbers of the bands to look at; default: all but alpha, or the model's.
    nodata : float, optional
        A pixel with this value in every band is blank, besides what the file declares.

    Returns
    -------
    SceneInfo
        Prints itself as a table.

    Raises
    ------
    SceneError, ModelError
        Where one of them cannot be read, or they do not go together.
    """
    opened = open_scene(scene, nodata, bands)
    # Before the estimate, whose bound of memory counts what this leaves in GDAL's cache.
    blank_share = _blank_share(opened)
    inference = None
    if model is not None:
        # A look at a scene does without torch, which is slow to import.
        from geofcn.inference.estimate import estimate_inference
        from geofcn.models.model_file import load_model

        inference = estimate_inference(opened, load_model(model))
    return SceneInfo(
        path=opened.path,
        driver=opened.driver,
        width=opened.width,
        height=opened.height,
        bands=len(opened.bands),
        colours=list(opened.colours),
        dtype=opened.dtype,
        crs=_crs_name(opened),
        transform=list(opened.transform)[:6],
        ground_resolution_m=ground_resolution(opened.grid),
        declares_blank=opened.declares_blank,
        blank_share=blank_share,
        block=list(opened.block_shape),
        layout="tiles" if opened.block_shape[1] != opened.width else "strips",
        compression=opened.compression,
        tiles=count_blocks(opened.height, opened.width, TRAINING_TILE),
        inference=inference,
    )


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.10g}"
    return "unknown" if value is None else str(value)


def _crs_name(scene: Scene) -> str | None:
    if scene.crs is None:
        return None
    authority = scene.crs.to_authority()
    return ":".join(authority) if authority else str(scene.crs.to_wkt())


def _blank_share(scene: Scene) -> float:
    """Share of blank pixels, 0 to 1, in windows spread over the scene."""
    blank = total = 0
    for window in sample_windows(scene.height, scene.width, SAMPLE_SIZE, SAMPLE_COUNT):
        _, valid = scene.read(window)
        blank += valid.size - int(np.count_nonzero(valid))
        total += valid.size
    return blank / total

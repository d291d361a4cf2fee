"""Describe a scene, its labels and a model: what is odd, and what work on them will take."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from geofcn.core.geodesy import ground_resolution
from geofcn.core.windows import count_blocks, sample_windows
from geofcn.errors import LabelsError, ModelError, UsageError
from geofcn.forecast.disk import DiskEstimate, estimate_disk
from geofcn.forecast.oddities import (
    oddities_of_disk,
    oddities_of_labels,
    oddities_of_model,
    oddities_of_place,
    oddities_of_scene,
)
from geofcn.io.files import StrPath, is_missing, no_such_file
from geofcn.io.label_source import LabelSource
from geofcn.io.opening import open_scene
from geofcn.io.scene import Scene
from geofcn.recipes import DEFAULT
from geofcn.text import printable

if TYPE_CHECKING:
    from geofcn.forecast.labels import LabelsInfo
    from geofcn.forecast.training import TrainingEstimate
    from geofcn.inference.estimate import InferenceEstimate

TRAINING_TILE = DEFAULT.tile
# Windows in which blank pixels are counted: their side in pixels, and how many.
SAMPLE_SIZE, SAMPLE_COUNT = 256, 64
# Characters of a fact that are shown.
LONGEST_FACT = 300


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
    blank_by : list of str
        What does.
    blank_share : float
        Of the pixels, from a sample.
    block : list of int
        Rows and columns of the file's blocks.
    layout : {"tiles", "strips"}
        Whether blocks are narrower than the scene.
    compression : str
        Of the file.
    tiles : int
        Tiles of the default recipe, side by side.
    inference : InferenceEstimate or None
        What inference will take, where a model was given that takes the scene.
    disk : DiskEstimate or None
        What its outputs take on disk, likewise.
    labels : LabelsInfo or None
        What the labels are, where some were given that lie on the scene.
    training : TrainingEstimate or None
        What a training on them will take, where they can be learnt from.
    odd : list of str
        What is odd about all of these: a line each, which ends with what to do.
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
    blank_by: list[str]
    blank_share: float
    block: list[int]
    layout: str
    compression: str
    tiles: int
    inference: InferenceEstimate | None = None
    disk: DiskEstimate | None = None
    labels: LabelsInfo | None = None
    training: TrainingEstimate | None = None
    odd: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """All facts by name, as plain JSON types; units are in the names.

        Those of the inference are among them, those of disk, labels and training with that word in
        front.
        """
        facts = asdict(self)
        facts |= facts.pop("inference") or {}
        for part in ("disk", "labels", "training"):
            facts |= _flat(part, facts.pop(part) or {})
        return facts | {"odd": facts.pop("odd")}

    def __str__(self) -> str:
        facts = [f"{name:<28}{text}" for name, text in self._rows()]
        return "\n".join([*facts, *(printable(f"odd: {line}") for line in self.odd)])

    def _repr_html_(self) -> str:
        rows = [*self._rows(), *(("odd", line) for line in self.odd)]
        cells = (f"<tr><td>{name}</td><td>{escape(text)}</td></tr>" for name, text in rows)
        return f"<table>{''.join(cells)}</table>"

    def _rows(self) -> list[tuple[str, str]]:
        facts = self.to_dict()
        del facts["odd"]
        return [(name.replace("_", " "), _text(value)) for name, value in facts.items()]


def info(
    scene: StrPath,
    labels: StrPath | None = None,
    *,
    model: StrPath | None = None,
    layer: str | None = None,
    where: str | None = None,
    house_value: Sequence[float] = (),
    bands: Sequence[int] | None = None,
    nodata: float | None = None,
) -> SceneInfo:
    """Say what a scene is, what is odd about it, and what inference or training on it will take.

    Parameters
    ----------
    scene : path
        A raster: a file, a URL or a GDAL path.
    labels : path, optional
        Its labels, as `geofcn.train` takes them: the training is forecast.
    model : path, optional
        A model of `geofcn.train`: the inference is forecast.
    layer, where : str, optional
        Layer of the labels, and a condition in SQL that their features must meet.
    house_value : sequence of float
        Values of a raster of labels that are houses, all others being background.
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
    SceneError, LabelsError, ModelError
        Where one of them cannot be read. That they do not go together is among what is odd.
    """
    with _noticed() as odd:
        opened = open_scene(scene, nodata, bands)
        # Before the estimate, whose bound of memory counts what this leaves in GDAL's cache.
        blank_share = _blank_share(opened)
        odd += oddities_of_scene(opened, blank_share)
        inference, disk = (None, None) if model is None else _inference(opened, model, odd)
        described, training = None, None
        if labels is not None:
            chosen = LabelSource.of(labels, layer, where, house_value)
            described, training = _training(opened, chosen, odd)
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
        blank_by=_blank_by(opened),
        blank_share=blank_share,
        block=list(opened.block_shape),
        layout="tiles" if opened.block_shape[1] != opened.width else "strips",
        compression=opened.compression or "none",
        tiles=count_blocks(opened.height, opened.width, TRAINING_TILE),
        inference=inference,
        disk=disk,
        labels=described,
        training=training,
        odd=odd,
    )


def _inference(
    scene: Scene, path: StrPath, odd: list[str]
) -> tuple[InferenceEstimate | None, DiskEstimate | None]:
    """What inference takes; None where the model does not take the scene, which is odd."""
    # A look at a scene does without torch, which is slow to import.
    from geofcn.inference.estimate import estimate_inference
    from geofcn.models.model_file import load_model

    model = load_model(path)
    try:
        inference = estimate_inference(scene, model)
    except ModelError as error:
        odd.append(str(error))
        return None, None
    disk = estimate_disk(inference.mask_gb, inference.probability_gb)
    odd += [*oddities_of_model(scene, model.metadata.resolution), *oddities_of_disk(disk)]
    return inference, disk


def _training(
    scene: Scene, chosen: LabelSource, odd: list[str]
) -> tuple[LabelsInfo | None, TrainingEstimate | None]:
    """What labels are, and what training on them takes; None where they do not fit, which is odd.

    Raises LabelsError where there is no such file.
    """
    if is_missing(chosen.path):
        raise LabelsError(no_such_file(chosen.path))
    # Readers of vector files are slow to import, too.
    from geofcn.forecast.labels import describe_labels
    from geofcn.io.labels import LabelledScene, open_labels

    labels = None
    try:
        source = LabelledScene(scene, open_labels(chosen, scene))
        labels = describe_labels(source)
        odd += [*oddities_of_labels(labels), *oddities_of_place(labels.shift)]
        from geofcn.forecast.training import estimate_training  # needs torch

        return labels, estimate_training(source)
    except (LabelsError, UsageError) as error:
        odd.append(str(error))
        return labels, None


class _Collector(logging.Handler):
    """Keeps messages."""

    def __init__(self, messages: list[str]):
        super().__init__(logging.WARNING)
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        message = printable(record.getMessage())
        if message not in self._messages:
            self._messages.append(message)


@contextmanager
def _noticed() -> Iterator[list[str]]:
    """A list of what is odd; warnings of the log go into it, and nowhere else."""
    log = logging.getLogger("geofcn")
    before = log.handlers, log.propagate, log.level
    odd: list[str] = []
    log.handlers, log.propagate = [_Collector(odd)], False
    log.setLevel(logging.WARNING)
    try:
        yield odd
    finally:
        log.handlers, log.propagate = before[:2]
        log.setLevel(before[2])


def _flat(name: str, value: object) -> dict[str, object]:
    """Facts within facts, each under the names that lead to it."""
    if not isinstance(value, dict):
        return {name: value}
    parts = (_flat(f"{name}_{inner}", fact) for inner, fact in value.items())
    return {key: fact for part in parts for key, fact in part.items()}


def _text(value: object) -> str:
    if isinstance(value, list):
        return printable(", ".join(map(_text, value)), LONGEST_FACT) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.10g}"
    return "unknown" if value is None else printable(str(value), LONGEST_FACT)


def _crs_name(scene: Scene) -> str | None:
    if scene.crs is None:
        return None
    authority = scene.crs.to_authority()
    return ":".join(authority) if authority else str(scene.crs.to_wkt())


def _blank_by(scene: Scene) -> list[str]:
    """What says which pixels are blank."""
    declared = [] if scene.declared is None else [f"nodata {scene.declared:g}"]
    if scene.masked and not declared:
        declared = ["a mask or alpha"]
    return declared + ([] if scene.nodata is None else [f"--nodata {scene.nodata:g}"])


def _blank_share(scene: Scene) -> float:
    """Share of blank pixels, 0 to 1, in windows spread over the scene."""
    blank = total = 0
    for window in sample_windows(scene.height, scene.width, SAMPLE_SIZE, SAMPLE_COUNT):
        _, valid = scene.read(window)
        blank += valid.size - int(np.count_nonzero(valid))
        total += valid.size
    return blank / total

"""One inference as its workers see it: what decides the pixels, and how a task computes some.

A compute window always has the same size and place, whatever the options: float rounding depends on
the shape of a pass and on torch's threads, so both are fixed and the bytes do not depend on how the
work is cut.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from geofcn import __version__
from geofcn.core.calibration import Calibration
from geofcn.core.grid import Grid
from geofcn.core.pixels import HOUSE, HOUSE_CONTACT, classify, quantise
from geofcn.core.windows import Window, blocks
from geofcn.defaults import SCENE_THRESHOLD
from geofcn.inference.area import Area
from geofcn.inference.schedule import Layout, Task
from geofcn.inference.shards import Arrays
from geofcn.io.masks import CONTACT_TAG, MODEL_TAG, SCALE_TAG
from geofcn.io.scene import Scene
from geofcn.models.device import one_torch_thread, processor
from geofcn.models.model import Model
from geofcn.models.model_file import model_digest
from geofcn.models.predictor import Predictor

# What a user says of a fingerprint's parts.
OPTIONS = {
    "model": "--model",
    "threshold": "--threshold",
    "nodata": "--nodata",
    "arrays": "choice of --probability and --polygons",
    "device": "--device",
    "window": "compute_window",
}


@dataclass(frozen=True)
class Job:
    """What decides the pixels of an inference, as every task gets it.

    Attributes
    ----------
    scene : Scene
        With the bands that the model takes.
    model : Model
        The net with its normalisation, made for the scene's resolution.
    threshold : float
        A pixel is a house where its probability reaches it.
    dtype : {"uint8", "float32"} or None
        Of the probability raster; None where none is wanted.
    scored : bool
        Whether the polygons' score needs uint8 probabilities.
    window : int
        Side of a compute window, in pixels of the scene.
    device : str
        Type of every worker's torch device.
    calibration : Calibration, optional
        By which another threshold is found once all probabilities are known; no task makes a mask.
    share : float, optional
        Share of houses for which the threshold was found.
    area : Area, optional
        The pixels that are asked for; default: all.

    Notes
    -----
    A GPU has larger windows, not several of them in a batch: it is as busy, and rounding depends on
    the batch, too.
    """

    scene: Scene
    model: Model
    threshold: float
    dtype: str | None
    scored: bool
    window: int
    device: str = "cpu"
    calibration: Calibration | None = None
    share: float | None = None
    area: Area | None = None

    @cached_property
    def predictor(self) -> Predictor:
        """The model ready to predict windows; made once in every process."""
        return Predictor(self.model, device=self.device)

    @property
    def extent(self) -> Window:
        """The pixels of the scene that outputs cover."""
        return self.scene.window if self.area is None else self.area.extent

    @property
    def grid(self) -> Grid:
        """The grid of the outputs: a part of the scene's."""
        return self.scene.grid.part(self.extent)

    @property
    def layout(self) -> Layout:
        """The blocks that are kept in shards."""
        whole = self.scene.window
        computed = whole if self.area is None else self.area.computed(whole, self.window)
        return Layout.of(computed, self.window)

    def fingerprint(self) -> dict[str, Any]:
        """Everything that decides a byte of a shard, as plain JSON types.

        It is another one each time where nobody knows whether the scene has changed.
        """
        contacts = self.model.metadata.contacts
        return {
            "geofcn": __version__,
            "torch": torch.__version__,
            "scene": [
                self.scene.path,
                self.scene.identity or uuid.uuid4().hex,
                self.scene.reading,
            ],
            "nodata": repr(self.scene.nodata),
            "model": model_digest(self.model),
            "net": [
                self.model.metadata.net,
                self.model.ratio.number,
                self.model.metadata.upsample,
            ],
            "threshold": self.threshold if self.calibration is None else SCENE_THRESHOLD,
            "arrays": [self.dtype, self.scored],
            "contacts": contacts and contacts.threshold,
            "window": self.window,
            "block": [self.layout.height, self.layout.width],
            "device": self.device,
            "processor": processor(self.device),
            **({} if self.area is None else {"area": [str(self.extent), self.area.identity]}),
        }

    def options_unlike(self, other: Mapping[str, Any]) -> list[str]:
        """The options by which another job differs from this one, by its fingerprint.

        None where the same options would not bring it back, either: the scene or the software has
        changed since, or nobody knows.
        """
        own = self.fingerprint()
        alike = {key for key, value in own.items() if other.get(key) == value}
        path, state, _ = other.get("scene") or (None, None, None)
        same_path = path == self.scene.path
        gone = {"geofcn", "torch"} | ({"processor"} if "device" in alike else set())
        if gone - alike or (same_path and state != own["scene"][1]):
            return []
        options = [] if same_path else ["SCENE"]
        options += ["--bands"] if same_path and "scene" not in alike else []
        options += [option for key, option in OPTIONS.items() if key not in alike]
        return options + (["--area or --bounds"] if own.get("area") != other.get("area") else [])

    def tags(self) -> dict[str, str]:
        """Metadata of the outputs: the model, and the options that change a pixel."""
        tags = {
            MODEL_TAG: model_digest(self.model),
            SCALE_TAG: str(self.model.ratio),
            "GEOFCN_THRESHOLD": f"{self.threshold:.6g}",
        }
        if self.model.metadata.contacts is not None:
            tags[CONTACT_TAG] = str(HOUSE_CONTACT)
        if self.share is not None:
            tags["GEOFCN_EXPECTED_SHARE"] = f"{self.share:.6g}"
        if self.scene.named:
            tags["GEOFCN_BANDS"] = ",".join(map(str, self.scene.bands))
        if self.scene.nodata is not None:
            tags["GEOFCN_NODATA"] = f"{self.scene.nodata:g}"
        if self.area is not None:
            tags["GEOFCN_AREA"] = Path(self.area.polygons.path).name
        return tags


def joined(extent: Window, parts: Iterable[tuple[Window, Arrays]]) -> Arrays:
    """The arrays of `extent`, from those of windows that cover it, name by name.

    Each part is drawn when the one before it has its place, so that the parts are not all held.

    Examples
    --------
    >>> left, right = {"mask": np.zeros((1, 2))}, {"mask": np.ones((1, 1))}
    >>> joined(Window(4, 6, 1, 3), [(Window(4, 8, 1, 1), right), (Window(4, 6, 1, 2), left)])
    {'mask': array([[0., 0., 1.]])}
    """
    whole: dict[str, np.ndarray] = {}
    for window, arrays in parts:
        if window == extent:
            return arrays
        for name, array in arrays.items():
            if name not in whole:
                whole[name] = np.empty(extent.shape, array.dtype)
            whole[name][window.relative_to(extent).slices] = array
    return whole


def warm_up(job: Job) -> tuple[Job, str]:
    """Make what all tasks of a process need, before two threads each make one; no remark on it."""
    _ = job.predictor
    return job, ""


def run_task(job: Job, task: Task) -> Arrays:
    """Predict a task's pixels.

    Returns
    -------
    dict
        By name, (rows, columns): `mask`, uint8, where the threshold is known; where the job wants
        them `quantised`, probabilities as uint8 0-254 (see `geofcn.core.pixels.quantise`), and
        `probability`, float32 with NaN where a pixel is blank; of a net that tells where houses
        meet `contacts`, bool.
    """
    with one_torch_thread():
        return joined(
            task.window,
            (
                (window, _predict_compute_window(job, window, window in task.blank))
                for window in blocks(task.window, job.window)
            ),
        )


def _predict_compute_window(job: Job, window: Window, is_blank: bool) -> dict[str, np.ndarray]:
    predictor = job.predictor
    prediction = predictor.blank(window) if is_blank else predictor.window(job.scene, window)
    probability, valid = prediction.probability, prediction.valid
    arrays = {}
    contacts = job.model.metadata.contacts
    if contacts is not None and prediction.contact is not None:
        arrays["contacts"] = contacts.found(prediction.contact)
    if job.calibration is None:
        arrays["mask"] = classify(probability, valid, job.threshold)
    if job.dtype == "uint8" or job.calibration is not None:
        arrays["quantised"] = quantise(probability, valid)
    elif job.scored:
        # Zeros wherever no polygon will be: next to nothing to compress, to keep and to sum.
        houses = arrays["mask"] == HOUSE
        arrays["quantised"] = np.zeros(houses.shape, np.uint8)
        arrays["quantised"][houses] = quantise(probability[houses])
    if job.dtype == "float32":
        arrays["probability"] = np.where(valid, probability, np.float32(np.nan))
    return arrays

"""What a worker compares with its client before its first task: torch, scene, processor.

Every process is to read the same pixels by the scene's path; a worker that does not is refused.
Content decides, by a sample: a copy of the file on another disk has a time of change of its own.
Processors of several types round differently, and go on with a word about it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from geofcn.core.windows import sample_windows
from geofcn.errors import SceneError, UsageError, WorkersError
from geofcn.inference.job import Job, warm_up
from geofcn.io.opening import open_scene
from geofcn.io.scene import Scene
from geofcn.io.sheets import lengths
from geofcn.models.device import processor

# Pixels that are compared: about so many windows of so many pixels a side.
WINDOWS, SIDE = 32, 128


@dataclass(frozen=True)
class Conditions:
    """What decides the pixels of a job besides the job itself, as one process finds it.

    Attributes
    ----------
    torch : str
        torch's release.
    scene : str
        Hash of what the scene's file declares, its length or those of its sheets, and some of its
        pixels.
    processor : str
        How it computes, see `geofcn.models.device.processor`.
    """

    torch: str
    scene: str
    processor: str


def conditions(job: Job) -> Conditions:
    """What this process finds.

    Raises
    ------
    SceneError
        Where the scene cannot be read.
    """
    release, _, _ = torch.__version__.partition("+")
    return Conditions(release, _content(job.scene), processor(job.device))


def admit(expected: Conditions, job: Job) -> tuple[Job, str]:
    """A worker's own job, where it finds what its client found.

    Parameters
    ----------
    expected : Conditions
        What the client found.
    job : Job
        As the client sent it.

    Returns
    -------
    job : Job
        With the scene as it lies here; ready for tasks.
    remark : str
        That this processor rounds differently; "" where it does not.

    Raises
    ------
    WorkersError
        Where torch or the scene is another one, or the scene cannot be read.
    """
    path = job.scene.path
    try:
        job = replace(job, scene=_as_it_lies_here(job.scene))
        found = conditions(job)
    except SceneError as error:
        raise WorkersError(
            f"{str(error).rstrip('.')}; workers read the scene by this path, so mount its folder "
            "there, or copy the file to it."
        ) from error
    if found.torch != expected.torch:
        raise WorkersError(
            f"its torch is {found.torch}, and {expected.torch} is needed; install that, and start "
            "the worker again."
        )
    if found.scene != expected.scene:
        raise WorkersError(
            f"{path}: its pixels there are others than where the job was started; mount the same "
            "folder there, or copy the file again."
        )
    remark = ""
    if found.processor != expected.processor:
        remark = (
            f"it computes by {found.processor}, this machine by {expected.processor}: "
            "probabilities of the two differ in their last digits, and the mask where one is that "
            "close to the threshold."
        )
    warm_up(job)
    return job, remark


def _as_it_lies_here(sent: Scene) -> Scene:
    """A scene that another process opened, opened by this one."""
    try:
        scene = open_scene(sent.path, sent.nodata, sent.bands)
    except UsageError as error:
        raise SceneError(str(error)) from error
    return replace(scene, conversion=sent.conversion, named=sent.named)


def _content(scene: Scene) -> str:
    """Hash of what decides the pixels of a scene, and of a sample of them."""
    path = Path(scene.path)
    length = lengths(scene.path) or (path.stat().st_size if path.is_file() else None)
    about = (
        scene.height, scene.width, tuple(scene.transform), scene.dtype, scene.bands,
        scene.declared, scene.masked, length,
    )  # fmt: skip
    digest = hashlib.sha256(repr(about).encode())
    for window in sample_windows(scene.height, scene.width, SIDE, WINDOWS):
        for array in scene.read(window):
            digest.update(array.tobytes())
    return digest.hexdigest()

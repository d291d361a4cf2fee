"""Model files: one `.safetensors` with everything a prediction needs, which cannot run code.

The tensors are the net's weights and the normalisation. Everything else is one JSON value in the
file's metadata: the net and its arguments, the bands, all training options, the threshold, the
calibration of the probabilities, scores, where the training scenes lie, and a SHA-256 of the
tensors that is checked at load.
"""

from __future__ import annotations

import hashlib
import json
import math
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import nn

from geofcn.core.calibration import Calibration, ScoreCalibration
from geofcn.core.contacts import Contacts
from geofcn.core.pixels import Normalisation
from geofcn.errors import ModelError
from geofcn.io.files import StrPath
from geofcn.io.opening import MAX_BANDS
from geofcn.models.model import Model, ModelMetadata, Parent
from geofcn.models.nets import REGISTRY, make_net
from geofcn.models.tensor_file import read_tensors, write_tensors
from geofcn.recipes import SCALES, UPSAMPLES

FORMAT = 1
# Of the pixels that a scene may have.
DTYPES = frozenset(
    [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    + [f"float{bits}" for bits in (16, 32, 64)]
)
NET_PREFIX = "net."
# Weights, and values of scenes, are smaller in size.
LARGEST_WEIGHT = 1e12
# Of contacts, in net pixels.
LARGEST_REACH = 64
# Fields that a file has only where they were fitted, or where the net tells of contacts.
CALIBRATIONS: Mapping[str, type[Calibration] | type[ScoreCalibration]] = {
    "calibration": Calibration,
    "score_calibration": ScoreCalibration,
}
OPTIONAL: Mapping[str, type[Calibration] | type[ScoreCalibration] | type[Contacts]] = {
    **CALIBRATIONS,
    "contacts": Contacts,
}


def save_model(model: Model, path: Path) -> None:
    """Write a model to a `.safetensors` file, which is there as a whole or not at all.

    Raises
    ------
    OutputError
        Where the file cannot be written.
    """
    tensors = _tensors(model)
    metadata = asdict(model.metadata)
    for name in OPTIONAL:
        if metadata[name] is None:
            del metadata[name]
    header = {"format": FORMAT, "sha256": _digest(tensors), **metadata}
    write_tensors(path, {"geofcn": json.dumps(header)}, tensors)


def model_digest(model: Model) -> str:
    """SHA-256 of a model's tensors: weights and normalisation, not metadata; hexadecimal."""
    return _digest(_tensors(model))


def load_model(path: StrPath) -> Model:
    """The model in a `.safetensors` file of geofcn, on the CPU and ready to predict.

    Whatever the file holds, none of it is run as code; the random state of the process stays.

    Raises
    ------
    ModelError
        When the file is missing, foreign, damaged, or does not fit its own net.
    """
    header, tensors = _read(Path(path))
    metadata = _metadata(Path(path), header)
    if _digest(tensors) != header.get("sha256"):
        raise _damaged(path, "its tensors are not those that were saved")
    if not all(_is_moderate(tensor) for tensor in tensors.values()):
        raise _damaged(path, "some of its weights are not finite, or far too large")
    try:
        normalisation = _normalisation(tensors, len(metadata.colours))
        net = _trained(metadata, tensors)
    except (KeyError, ValueError, RuntimeError) as error:
        raise _damaged(path, "its tensors do not fit its net") from error
    return Model(net.eval(), normalisation, metadata)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    if not path.exists():
        raise ModelError(f"{path}: there is no such model; train one with `geofcn train`.")
    if path.is_dir():
        raise ModelError(f"{path}: this is a folder; give a .safetensors file in it.")
    try:
        metadata, tensors = read_tensors(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, f"it is no safetensors file ({error})") from error
    except ValueError as error:
        raise _damaged(path, str(error)) from error
    if "geofcn" not in metadata:
        raise ModelError(f"{path}: geofcn did not write this model; give one from `geofcn train`.")
    try:
        header = json.loads(metadata["geofcn"])
    except (ValueError, RecursionError) as error:
        raise _damaged(path, "its header is no JSON") from error
    if not isinstance(header, dict):
        raise _damaged(path, "its header is no JSON object")
    return header, tensors


def _metadata(path: Path, header: dict[str, Any]) -> ModelMetadata:
    if header.get("format") != FORMAT:
        found, version = (reprlib.repr(header.get(name)) for name in ("format", "version"))
        raise ModelError(
            f"{path}: it has format {found}, this geofcn reads {FORMAT}; use the version that "
            f"wrote it ({version})."
        )
    known = {key: header[key] for key in ModelMetadata.__dataclass_fields__ if key in header}
    try:
        metadata = ModelMetadata(**known)
    except TypeError as error:
        raise _damaged(path, f"its header is incomplete ({error})") from error
    if faulty := _faulty_field(metadata):
        raise _damaged(path, f"its {faulty} is {reprlib.repr(getattr(metadata, faulty))}")
    fitted: dict[str, Any] = {
        name: kind(**known[name]) for name, kind in OPTIONAL.items() if known.get(name) is not None
    }
    return replace(
        metadata,
        colours=tuple(metadata.colours),
        bands=tuple(metadata.bands),
        scales=tuple(map(float, metadata.scales)),
        offsets=tuple(map(float, metadata.offsets)),
        scenes=tuple(metadata.scenes),
        parent=_parent(header.get("parent")),
        **fitted,
    )


def _parent(facts: dict[str, Any] | None) -> Parent | None:
    """The parent in a header that `_faulty_field` found sound."""
    return None if facts is None else Parent(facts["sha256"], tuple(facts["scenes"]))


def _faulty_field(metadata: ModelMetadata) -> str | None:
    """The first field that holds what it cannot; the values come from a file."""
    bands = len(metadata.colours) if _is_texts(metadata.colours) else 0
    sound = {
        "net": isinstance(metadata.net, str) and metadata.net in REGISTRY,
        "scale": type(metadata.scale) is int and metadata.scale in SCALES,
        "upsample": metadata.upsample in UPSAMPLES,
        "colours": _is_texts(metadata.colours) and 0 < len(metadata.colours) <= MAX_BANDS,
        "dtype": isinstance(metadata.dtype, str) and metadata.dtype in DTYPES,
        "bands": _is_for_each(metadata.bands, bands, _is_band),
        "scales": _is_for_each(metadata.scales, bands, _is_number) and 0 not in metadata.scales,
        "offsets": _is_for_each(metadata.offsets, bands, _is_number)
        and len(metadata.offsets) == len(metadata.scales),
        "threshold": _is_number(metadata.threshold) and 0 <= metadata.threshold <= 1,
        **{name: _is_calibration(getattr(metadata, name), name) for name in CALIBRATIONS},
        "recipe": isinstance(metadata.recipe, dict),
        "scores": isinstance(metadata.scores, dict),
        "scenes": _is_texts(metadata.scenes),
        "parent": metadata.parent is None or _is_parent(metadata.parent),
        "contacts": metadata.contacts is None or _is_contacts(metadata.contacts),
        "crs": metadata.crs is None or isinstance(metadata.crs, str),
        "resolution": metadata.resolution is None
        or (_is_number(metadata.resolution) and metadata.resolution > 0),
        "version": isinstance(metadata.version, str),
    }
    return next((field for field, is_sound in sound.items() if not is_sound), None)


def _is_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)


def _is_for_each(value: object, bands: int, is_sound: Callable[[object], bool]) -> bool:
    """Whether a value is a list of what is sound, empty or with one for each band."""
    return (
        isinstance(value, list | tuple) and len(value) in (0, bands) and all(map(is_sound, value))
    )


def _is_band(value: object) -> bool:
    return type(value) is int and value > 0


def _is_parent(value: object) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(value.get("sha256"), str)
        and _is_texts(value.get("scenes"))
    )


def _is_contacts(value: object) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"reach", "threshold"}
        and type(value["reach"]) is int
        and 0 < value["reach"] <= LARGEST_REACH
        and _is_number(value["threshold"])
        and 0 <= value["threshold"] <= 1
    )


def _is_number(value: object) -> bool:
    """Whether a value is a number, no bool, that a float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # JSON's whole numbers may have any length
        return False


def _is_calibration(value: object, name: str) -> bool:
    """Whether a value is None, or the JSON of a calibration by which numbers can be computed."""
    if value is None:
        return True
    names = {field.name for field in fields(CALIBRATIONS[name])}
    if not isinstance(value, dict) or value.keys() != names:
        return False
    sound = all(_is_number(number) and abs(number) < 1e6 for number in value.values())
    return sound and value["slope"] > 0 and 0 < value.get("share", 0.5) < 1


def _is_moderate(tensor: torch.Tensor) -> bool:
    """Whether products of a few such weights can be computed; false for NaN."""
    try:
        return bool((tensor.abs() < LARGEST_WEIGHT).all())
    except RuntimeError:  # a type of few bits: no net's, and refused as that
        return True


def _normalisation(tensors: Mapping[str, torch.Tensor], bands: int) -> Normalisation:
    """The normalisation among a file's tensors. Raises ValueError where it is not one."""
    mean, scale = tensors["mean"], tensors["scale"]
    period = mean.shape[-1] if mean.ndim else 0
    shapes = mean.shape == (bands, period, period) and scale.shape == (bands,)
    if not (shapes and period and mean.dtype == scale.dtype == torch.float32 and scale.min() > 0):
        raise ValueError("no normalisation")
    return Normalisation(mean.numpy(), scale.numpy())


def _trained(metadata: ModelMetadata, tensors: Mapping[str, torch.Tensor]) -> nn.Module:
    """The metadata's net with its weights, made without moving the random state of the process.

    Raises ValueError or RuntimeError where names, shapes or types differ.
    """
    with torch.random.fork_rng(devices=[]):
        net = make_net(
            metadata.net,
            len(metadata.colours),
            metadata.scale,
            metadata.upsample,
            contacts=metadata.contacts is not None,
        )
    weights = {
        name.removeprefix(NET_PREFIX): tensor
        for name, tensor in tensors.items()
        if name not in ("mean", "scale")
    }
    net_dtypes = {name: tensor.dtype for name, tensor in net.state_dict().items()}
    if net_dtypes != {name: tensor.dtype for name, tensor in weights.items()}:
        raise ValueError("other weights")
    net.load_state_dict(weights)
    return net


def _damaged(path: StrPath, reason: str) -> ModelError:
    return ModelError(f"{path}: the model cannot be used: {reason}; copy or train it again.")


def _tensors(model: Model) -> dict[str, torch.Tensor]:
    """All tensors by name, contiguous and each with memory of its own."""
    named = {
        f"{NET_PREFIX}{name}": tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.net.state_dict().items()
    }
    named["mean"] = torch.from_numpy(np.array(model.normalisation.mean, np.float32))
    named["scale"] = torch.from_numpy(np.array(model.normalisation.scale, np.float32))
    return named


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        # As bytes: a foreign file may hold types that numpy does not know.
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

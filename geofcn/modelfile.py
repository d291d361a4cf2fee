"""One `.safetensors` file with everything a prediction needs; it cannot run code.

The tensors are the net's weights and the normalisation. Everything else is one JSON value in the
file's metadata: the net and its arguments, the bands, all training options, the threshold, scores,
where the training scenes lie, and a SHA-256 of the tensors that is checked at load.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from geofcn.errors import ModelError, OutputError
from geofcn.model import Card, Model
from geofcn.nets import make_net
from geofcn.pixels import Normalisation

FORMAT = 1
NET_PREFIX = "net."


def save_model(model: Model, path: Path) -> None:
    """Write the model under a temporary name, then give it its own.

    Raises OutputError where the file cannot be written.
    """
    tensors = _tensors(model)
    header = {"format": FORMAT, "sha256": _digest(tensors), **asdict(model.card)}
    partial = path.with_name(f".{path.name}.partial")
    try:
        save_file(tensors, partial, {"geofcn": json.dumps(header)})
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        raise OutputError(
            f"{path}: the model cannot be written ({error}); make room or choose another folder."
        ) from error


def model_digest(model: Model) -> str:
    """SHA-256 of the model's tensors, in hexadecimal."""
    return _digest(_tensors(model))


def load_model(path: str | os.PathLike) -> Model:
    """The model in a `.safetensors` file of geofcn.

    Raises ModelError when the file is missing, foreign, damaged, or does not fit its own net.
    """
    header, tensors = _read(Path(path))
    card = _card(Path(path), header)
    if _digest(tensors) != header.get("sha256"):
        raise _damaged(path, "its tensors are not those that were saved")
    try:
        normalisation = Normalisation(tensors.pop("mean").numpy(), tensors.pop("scale").numpy())
        net = _untrained(card)
        net.load_state_dict({k.removeprefix(NET_PREFIX): v for k, v in tensors.items()})
    except (KeyError, RuntimeError) as error:
        raise _damaged(path, "its tensors do not fit its net") from error
    if normalisation.bands != len(card.colours):
        raise _damaged(path, "its normalisation has another number of bands than its net")
    if not all(torch.isfinite(tensor).all() for tensor in net.state_dict().values()):
        raise _damaged(path, "some of its weights are not finite")
    return Model(net.eval(), normalisation, card)


def _read(path: Path) -> tuple[dict, dict[str, torch.Tensor]]:
    if not path.exists():
        raise ModelError(f"{path}: there is no such model; train one with `geofcn train`.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise _damaged(path, f"it is no safetensors file ({error})") from error
    if "geofcn" not in metadata:
        raise ModelError(f"{path}: geofcn did not write this model; give one from `geofcn train`.")
    try:
        return json.loads(metadata["geofcn"]), tensors
    except ValueError as error:
        raise _damaged(path, "its header is no JSON") from error


def _card(path: Path, header: dict) -> Card:
    if header.get("format") != FORMAT:
        raise ModelError(
            f"{path}: it has format {header.get('format')}, this geofcn reads {FORMAT}; use the "
            f"version that wrote it ({header.get('version')})."
        )
    known = {key: header[key] for key in Card.__dataclass_fields__ if key in header}
    try:
        card = Card(**known)
        threshold = float(card.threshold)
    except (TypeError, ValueError) as error:
        raise _damaged(path, f"its header is incomplete ({error})") from error
    if not (0 <= threshold <= 1 and math.isfinite(threshold)):
        raise _damaged(path, f"its threshold is {threshold}")
    return replace(card, colours=tuple(card.colours), scenes=tuple(card.scenes))


def _untrained(card: Card) -> nn.Module:
    """The card's net, made without moving the random state of the process."""
    with torch.random.fork_rng(devices=[]):
        return make_net(card.net, len(card.colours), card.scale, card.upsample)


def _damaged(path: str | os.PathLike, reason: str) -> ModelError:
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
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()

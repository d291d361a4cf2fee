"""ONNX files of models, with the metadata by which QGIS's plugin Deepness sets itself up."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from geofcn.errors import UsageError
from geofcn.exporting.graph import TileGraph, Tiling
from geofcn.models.model import Model
from geofcn.models.model_file import model_digest

INPUT, OUTPUTS = "image", ("house", "contact")
OPSET = 18


def refuse_missing_onnx() -> None:
    """Raise UsageError where the packages that make ONNX files are not installed."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UsageError(
            f"export: {error.name} is not installed; `pip install geofcn[onnx]`."
        ) from error


def to_onnx(model: Model, tiling: Tiling) -> bytes:
    """A model as the bytes of an ONNX file.

    Parameters
    ----------
    model : Model
        With one mean a band.
    tiling : Tiling
        The size of its tiles is fixed in the file; how many it is given at once is not.

    Returns
    -------
    bytes
        One input, float32 (batch, bands, side, side), in values / UNIT; outputs OUTPUTS, the second
        where the model tells of contacts: float32 (batch, 1, side, side) from 0 to 1.
    """
    import onnx

    graph = TileGraph(model).eval()
    # Of a batch of 1 the exporter would take the size for a constant.
    image = torch.zeros(2, model.normalisation.bands, tiling.side, tiling.side)
    with _quietly(), torch.enable_grad():  # with gradients the nets use plain operators
        program = torch.onnx.export(
            graph,
            (image,),
            input_names=[INPUT],
            output_names=_outputs(model),
            opset_version=OPSET,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    proto: Any = program.model_proto
    for node in proto.graph.node:
        del node.metadata_props[:]  # of the machine that it was made on
    onnx.helper.set_model_props(proto, deepness_metadata(model, tiling))
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString(deterministic=True))


def deepness_metadata(model: Model, tiling: Tiling) -> dict[str, str]:
    """What QGIS's plugin Deepness reads of a model, by its keys, and which model it is; as JSON.

    Its documentation says `tiles_size` where its code reads `tile_size`. It divides values by UNIT
    by itself, and looks for `standardization_mean` to do more: there is none.
    """
    about = model.metadata
    classes = [{"0": "background", "1": name} for name in _outputs(model)]
    facts: dict[str, Any] = {
        "model_type": "Segmentor",
        "class_names": classes if len(classes) > 1 else classes[0],
        "tile_size": tiling.side,
        "tiles_size": tiling.side,
        "tiles_overlap": tiling.overlap,
        "seg_thresh": about.threshold,
        "seg_small_segment": 0,
        "geofcn": {"version": about.version, "sha256": model_digest(model)},
    }
    if about.resolution is not None:
        facts["resolution"] = 100 * about.resolution
    return {key: json.dumps(value) for key, value in facts.items()}


def _outputs(model: Model) -> list[str]:
    return list(OUTPUTS if model.metadata.contacts else OUTPUTS[:1])


@contextmanager
def _quietly() -> Iterator[None]:
    """Context in which torch's exporter tells nobody how it gets on."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)

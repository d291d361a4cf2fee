"""STAC item of an exported model, by the Machine Learning Model (MLM) extension."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from geofcn.exporting.graph import UNIT, Tiling
from geofcn.exporting.onnx_file import INPUT, OUTPUTS
from geofcn.models.model import UNNAMED, Model

EXTENSIONS = [
    "https://stac-extensions.github.io/mlm/v1.5.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
]
ARCHITECTURES = {"lite": "U-Net on EfficientNet-Lite0", "unet": "U-Net"}
TASKS = ["semantic-segmentation"]
# What a model is good for has no end in time.
ALWAYS = {"start_datetime": "1900-01-01T00:00:00Z", "end_datetime": "9999-12-31T23:59:59Z"}
DESCRIPTIONS = {
    "house": "Probability that a pixel is a house.",
    "contact": "Probability that houses meet at a pixel.",
}


def stac_item(model: Model, tiling: Tiling, onnx: Path, item: Path) -> bytes:
    """A STAC item (1.1) that describes an ONNX file of a model, as JSON.

    Parameters
    ----------
    model : Model
        What the file was made of.
    tiling : Tiling
        Its tiles.
    onnx, item : Path
        The file, and the one that the item is for: it names the first relatively to itself.
    """
    about = model.metadata
    properties: dict[str, Any] = {
        "description": f"geofcn {about.version}: houses in aerial scenes.",
        "datetime": None,
        **ALWAYS,
        "mlm:name": f"geofcn {about.net} at scale {about.scale}",
        "mlm:architecture": ARCHITECTURES.get(about.net, "FCN"),
        "mlm:framework": "ONNX",
        "mlm:tasks": TASKS,
        "mlm:total_parameters": sum(weight.numel() for weight in model.net.parameters()),
        "mlm:input": [_input(model, tiling)],
        "mlm:output": [
            _output(name, tiling) for name in OUTPUTS[: 2 if about.contacts is not None else 1]
        ],
    }
    if about.recipe:
        properties["mlm:hyperparameters"] = about.recipe
    if about.resolution is not None:
        properties["gsd"] = about.resolution
    document = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": EXTENSIONS,
        "id": onnx.stem,
        # Where its scenes lay a model does not keep.
        "geometry": None,
        "properties": properties,
        "links": [],
        "assets": {"model": _asset(model, onnx, item)},
    }
    return json.dumps(document, indent=2).encode()


def band_names(model: Model) -> list[str]:
    """A name for each band, in order: its colour where that tells it from the others."""
    colours = model.metadata.colours
    return [
        colour if colours.count(colour) == 1 and colour not in UNNAMED else f"band-{number}"
        for number, colour in enumerate(colours, 1)
    ]


def _input(model: Model, tiling: Tiling) -> dict[str, Any]:
    return {
        "name": INPUT,
        "description": f"Values of the scene divided by {UNIT}.",
        "bands": band_names(model),
        "input": _array(["batch", "bands"], model.normalisation.bands, tiling),
        "value_scaling": [{"type": "scale", "value": UNIT}],
        "resize_type": None,
        "pre_processing_function": None,
    }


def _output(name: str, tiling: Tiling) -> dict[str, Any]:
    return {
        "name": name,
        "description": DESCRIPTIONS[name],
        "tasks": TASKS,
        "result": _array(["batch", "class"], 1, tiling),
        "classification:classes": [
            {"value": 1, "name": name, "description": DESCRIPTIONS[name]},
        ],
        "post_processing_function": None,
    }


def _array(first: list[str], channels: int, tiling: Tiling) -> dict[str, Any]:
    return {
        "shape": [-1, channels, tiling.side, tiling.side],
        "dim_order": [*first, "height", "width"],
        "data_type": "float32",
    }


def _asset(model: Model, onnx: Path, item: Path) -> dict[str, Any]:
    about = model.metadata
    resolution = {"spatial_resolution": about.resolution} if about.resolution is not None else {}
    # A reference of a web page: what has a meaning there, or is no letter of ASCII, is escaped.
    href = quote(os.fsencode(Path(os.path.relpath(onnx, item.parent)).as_posix()))
    return {
        "href": href if href.startswith("..") else f"./{href}",
        "title": "ONNX model",
        "type": "application/octet-stream; framework=onnx; profile=onnx",
        "roles": ["mlm:model", "mlm:weights"],
        "mlm:artifact_type": "onnx",
        "raster:bands": [
            {"name": name, "data_type": about.dtype, **resolution} for name in band_names(model)
        ],
    }

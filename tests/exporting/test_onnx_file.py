"""geofcn.exporting.onnx_file: what Deepness reads, and the packages that are needed."""

import json
import sys

import pytest

from geofcn.core.contacts import Contacts
from geofcn.errors import UsageError
from geofcn.exporting.graph import Tiling
from geofcn.exporting.onnx_file import deepness_metadata, refuse_missing_onnx


def told(model):
    metadata = deepness_metadata(model, Tiling(832, 50))
    return {key: json.loads(text) for key, text in metadata.items()}


def test_metadata_are_those_that_deepness_reads(make_model):
    metadata = told(make_model(resolution=0.25, threshold=0.7))
    del metadata["geofcn"]
    assert metadata == {
        "model_type": "Segmentor",
        "class_names": {"0": "background", "1": "house"},
        "resolution": 25.0,
        "tile_size": 832,
        "tiles_size": 832,
        "tiles_overlap": 50,
        "seg_thresh": 0.7,
        "seg_small_segment": 0,
    }


def test_without_a_ground_resolution_none_is_told(make_model):
    assert "resolution" not in told(make_model())


def test_each_output_has_its_classes(make_model):
    metadata = told(make_model(contacts=Contacts(3, 0.5)))
    assert [names["1"] for names in metadata["class_names"]] == ["house", "contact"]


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_a_missing_package_is_named(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UsageError, match=rf"{package} is not installed; `pip install geofcn\[onnx"):
        refuse_missing_onnx()

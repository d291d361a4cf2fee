"""geofcn.exporting.stac: valid items, as far as stac-model and pystac tell without a network."""

import json
from pathlib import Path
from urllib.parse import urljoin

import pystac
import pytest
from pystac.validation import RegisteredValidator
from stac_model.schema import MLModelProperties

from geofcn.core.contacts import Contacts
from geofcn.exporting.graph import Tiling
from geofcn.exporting.stac import band_names, stac_item


def item_of(model, onnx="models/houses.onnx", item="models/houses.json"):
    return json.loads(stac_item(model, Tiling(512, 25), Path(onnx), Path(item)))


@pytest.mark.parametrize("contacts", [None, Contacts(3, 0.5)])
def test_an_item_is_valid(make_model, contacts):
    recipe = {"net": "fcnn", "epochs": 3, "class_weights": [1.0, 6.0]}
    item = item_of(make_model(contacts=contacts, resolution=0.2, recipe=recipe))
    RegisteredValidator.get_validator().validate_core(item, pystac.STACObjectType.ITEM, "1.1.0")
    known = MLModelProperties(**item["properties"])
    assert [output.name for output in known.output] == ["house", "contact"][: len(known.output)]
    assert len(known.output) == (2 if contacts else 1)
    assert known.input[0].input.shape == [-1, 3, 512, 512]
    assert item["properties"]["mlm:hyperparameters"] == recipe
    assert pystac.Item.from_dict(item).properties["gsd"] == 0.2


def test_bands_of_the_input_are_described_at_the_model(make_model):
    # What MLM's schema asks for; it is not to be had without a network.
    item = item_of(make_model(bands=5, resolution=0.2))
    (read,), asset = item["properties"]["mlm:input"], item["assets"]["model"]
    assert "bands" in read["input"]["dim_order"]
    assert read["bands"] == [band["name"] for band in asset["raster:bands"]]
    assert "mlm:model" in asset["roles"] and asset["mlm:artifact_type"] == "onnx"
    assert not any(key in asset for key in ("mlm:name", "mlm:input", "mlm:output"))


def test_bands_have_names_of_their_own(make_model):
    assert band_names(make_model(bands=5)) == ["red", "green", "blue", "nir", "band-5"]
    twice = make_model(bands=2, colours=("gray", "gray"))
    assert band_names(twice) == ["band-1", "band-2"]


def test_a_reference_leads_to_a_file_of_any_name(make_model, tmp_path):
    name = "a b#1?é%20.onnx"
    item = item_of(make_model(), tmp_path / name, tmp_path / "a.json")
    there = urljoin((tmp_path / "a.json").as_uri(), item["assets"]["model"]["href"])
    assert there == (tmp_path / name).as_uri()


@pytest.mark.parametrize(
    ("item", "href"), [("models/a.json", "./houses.onnx"), ("a.json", "./models/houses.onnx"),
                       ("items/a.json", "../models/houses.onnx")]
)  # fmt: skip
def test_an_item_names_the_model_relatively(make_model, item, href):
    assert item_of(make_model(), item=item)["assets"]["model"]["href"] == href

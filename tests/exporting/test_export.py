"""geofcn.export: onnxruntime gives what the predictor gives, and what is refused."""

import json

import numpy as np
import onnxruntime
import pytest

import geofcn
from geofcn.core.contacts import Contacts
from geofcn.core.pixels import Normalisation
from geofcn.core.windows import Window
from geofcn.errors import ModelError, OutputError
from geofcn.io.opening import open_scene
from geofcn.models.model_file import save_model
from geofcn.models.predictor import Predictor


@pytest.fixture
def model_file(tmp_path, make_model):
    """model_file(...) -> (path, Model): a saved model."""

    def make(*args, **options):
        model = make_model(*args, **options)
        save_model(model, tmp_path / "model.safetensors")
        return tmp_path / "model.safetensors", model

    return make


def test_onnxruntime_gives_the_predictors_probabilities_of_a_real_scene(
    geofcn_command, model_file, tmp_path, real_data
):
    path, model = model_file("fcnn2", scale=2, contacts=Contacts(3, 0.5), resolution=0.2)
    out, item = tmp_path / "houses.onnx", tmp_path / "houses.json"
    printed = geofcn_command("export", path, out, "--stac", item).stdout
    assert printed == f"{out}: tiles of 512 px\n{item}\n"
    assert json.loads(item.read_bytes())["assets"]["model"]["href"] == "./houses.onnx"
    session = onnxruntime.InferenceSession(out, providers=["CPUExecutionProvider"])
    assert [put.shape for put in (*session.get_inputs(), *session.get_outputs())] == [
        ["batch", 3, 512, 512], ["batch", 1, 512, 512], ["batch", 1, 512, 512],
    ]  # fmt: skip
    assert session.get_modelmeta().custom_metadata_map["model_type"] == '"Segmentor"'
    scene = open_scene(real_data / "bozen" / "scene.tif")
    halo = model.geometry.halo
    tiles = [Window(row, 64, 512, 512) for row in (0, 384, 448)]
    images = np.stack([scene.read(tile)[0] for tile in tiles]).astype(np.float32) / 255
    answers = session.run(["house", "contact"], {"image": images})
    predictor = Predictor(model)
    for number, tile in enumerate(tiles):
        inner = Window(tile.row + halo, tile.col + halo, 512 - 2 * halo, 512 - 2 * halo)
        expected = predictor.window(scene, inner)
        assert expected.valid.all() and np.ptp(expected.probability) > 0.1
        for answer, wanted in zip(answers, (expected.probability, expected.contact), strict=True):
            got = answer[number, 0, halo:-halo, halo:-halo]
            np.testing.assert_allclose(got, wanted, atol=1e-5)


def test_a_mean_image_is_refused(model_file, tmp_path):
    image = Normalisation(np.zeros((3, 32, 32), np.float32), np.ones(3, np.float32))
    path, _ = model_file(normalisation=image)
    with pytest.raises(ModelError, match="depends on where in the scene a tile lies"):
        geofcn.export(path, tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()


@pytest.mark.parametrize(
    ("out", "stac", "reason"),
    [
        ("m.pt", None, "must end in one of .onnx"),
        ("m.onnx", "m.txt", "must end in one of .json"),
        ("there.onnx", None, "it exists already; give --overwrite"),
        ("m.onnx", "there.json", "it exists already; give --overwrite"),
        ("no/m.onnx", None, "its folder does not exist"),
    ],
)
def test_outputs_that_must_not_be_written_are_refused_at_once(
    model_file, tmp_path, out, stac, reason
):
    path, _ = model_file()
    for name in ("there.onnx", "there.json"):
        (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=reason):
        geofcn.export(path, tmp_path / out, stac=stac and tmp_path / stac)
    assert not (tmp_path / "m.onnx").exists()
    assert (tmp_path / "there.onnx").read_text() == (tmp_path / "there.json").read_text() == "mine"

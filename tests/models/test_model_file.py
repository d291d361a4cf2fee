"""geofcn.models.model_file: there and back, damage, foreign files, and faulty headers."""

import json
import pickle
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import geofcn
from geofcn.core.calibration import Calibration, ScoreCalibration
from geofcn.core.contacts import Contacts
from geofcn.core.pixels import Normalisation
from geofcn.errors import ModelError, OutputError
from geofcn.io import files
from geofcn.models import model_file
from geofcn.models.model import Parent
from geofcn.models.model_file import load_model, model_digest, save_model
from geofcn.recipes import DEFAULT, EXERCISE


@pytest.fixture
def saved(make_model, tmp_path):
    """A model with a mean image, and the path it was saved to."""
    mean = np.random.default_rng(0).uniform(50, 150, (3, 16, 16)).astype(np.float32)
    model = make_model(
        "fcnn2",
        3,
        2,
        normalisation=Normalisation(mean, np.full(3, 40, np.float32)),
        threshold=0.375,
        calibration=Calibration(0.75, -1.5, 0.25),
        score_calibration=ScoreCalibration(0.5, -0.25),
        recipe=EXERCISE.to_json(),
        scores={"epoch": 3, "f1": 0.5, "precision": None},
        scenes=("häuser.tif",),
        parent=Parent("0123", ("alt.tif", "älter.tif")),
        crs="EPSG:3857",
        resolution=0.138,
    )
    path = tmp_path / "model.safetensors"
    save_model(model, path)
    return model, path


def header_and_tensors(path):
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(json.loads(raw[8 : 8 + length])["__metadata__"]["geofcn"]), load_file(path)


def rewrite(path, header, tensors, *, honest=True):
    """Save a header and tensors of one's own; `honest`: with the digest that belongs to them."""
    if honest:
        header = {**header, "sha256": model_file._digest(tensors)}
    save_file(tensors, path, {"geofcn": json.dumps(header)})


# --- there and back ---


def test_a_model_comes_back_as_it_went(saved):
    model, path = saved
    loaded = load_model(path)
    assert loaded.metadata == model.metadata
    assert loaded.metadata.version == geofcn.__version__
    assert not loaded.net.training
    image = np.random.default_rng(1).integers(0, 255, (3, 24, 20)).astype(np.uint8)
    assert (loaded.predict(image) == model.predict(image)).all()
    assert model_digest(loaded) == model_digest(model)


def test_a_file_says_nothing_of_a_calibration_that_there_is_not(make_model, tmp_path):
    path = tmp_path / "m.safetensors"
    save_model(make_model(), path)
    assert not {"calibration", "score_calibration"} & header_and_tensors(path)[0].keys()
    assert load_model(path).metadata.calibration is None
    assert load_model(path).metadata.score_calibration is None


@pytest.mark.parametrize("net", ["lite", "unet", "fcnn", "fcnn2"])
def test_a_net_that_tells_where_houses_meet_comes_back(make_model, tmp_path, net):
    path = tmp_path / "m.safetensors"
    model = make_model(net, contacts=Contacts(3, 0.25))
    save_model(model, path)
    loaded = load_model(path)
    assert loaded.metadata.contacts == Contacts(3, 0.25)
    assert model_digest(loaded) == model_digest(model)
    header, tensors = header_and_tensors(path)
    rewrite(path, {key: value for key, value in header.items() if key != "contacts"}, tensors)
    with pytest.raises(ModelError, match="do not fit its net"):
        load_model(path)


def test_a_net_without_contacts_says_nothing_of_them(make_model, tmp_path):
    save_model(make_model(recipe=EXERCISE.to_json()), tmp_path / "m.safetensors")
    header, _ = header_and_tensors(tmp_path / "m.safetensors")
    assert "contacts" not in header and "contacts" not in header["recipe"]


@pytest.mark.parametrize("recipe", [EXERCISE, DEFAULT])
def test_every_training_option_is_kept(make_model, tmp_path, recipe):
    path = tmp_path / "m.safetensors"
    save_model(make_model(recipe=recipe.to_json()), path)
    assert load_model(path).metadata.recipe == recipe.to_json()


def test_the_digest_knows_every_weight_and_nothing_else(make_model):
    model = make_model()
    before = model_digest(model)
    assert before == model_digest(make_model(threshold=0.1))
    with torch.no_grad():
        model.net.conv4.bias[1] += 1e-6
    assert model_digest(model) != before


def test_loading_does_not_move_the_random_state(saved):
    state = torch.get_rng_state()
    load_model(saved[1])
    assert torch.equal(torch.get_rng_state(), state)


def test_the_file_holds_copies_of_the_weights(saved):
    model, path = saved
    before = path.read_bytes()
    with torch.no_grad():
        model.net.net.conv1.weight.zero_()
    assert path.read_bytes() == before
    assert load_model(path).net.net.conv1.weight.abs().sum() > 0


def test_the_public_name_is_the_same_function():
    assert geofcn.load_model is load_model


# --- damage ---


@settings(max_examples=40)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_in_the_tensors_is_found(saved, tmp_path, where, bit):
    raw = bytearray(saved[1].read_bytes())
    (length,) = struct.unpack("<Q", raw[:8])
    start = 8 + length
    raw[start + int(where * (len(raw) - start))] ^= 1 << bit
    broken = tmp_path / "flipped.safetensors"
    broken.write_bytes(raw)
    with pytest.raises(ModelError, match=r"flipped\.safetensors"):
        load_model(broken)


@settings(max_examples=80)
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_one_flipped_bit_in_the_header_is_an_error_or_a_model_that_works(
    saved, tmp_path, where, bit
):
    raw = bytearray(saved[1].read_bytes())
    (length,) = struct.unpack("<Q", raw[:8])
    raw[int(where * (8 + length))] ^= 1 << bit
    broken = tmp_path / "flipped.safetensors"
    broken.write_bytes(raw)
    try:
        model = load_model(broken)
    except ModelError:
        return
    assert 0 <= model.metadata.threshold <= 1
    assert model.metadata.net in ("fcnn", "fcnn2")


@pytest.mark.parametrize("share", [0, 0.001, 0.5, 0.999])
def test_a_file_that_is_cut_short_is_found(saved, share):
    path = saved[1]
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ModelError, match=r"model\.safetensors: the model cannot be used"):
        load_model(path)


def test_a_header_of_an_absurd_length_is_refused(saved):
    path = saved[1]
    path.write_bytes(struct.pack("<Q", 2**62) + path.read_bytes()[8:])
    with pytest.raises(ModelError):
        load_model(path)


# --- foreign files ---


def test_a_missing_file_names_the_way_out(tmp_path):
    with pytest.raises(ModelError, match=r"no such model.*geofcn train"):
        load_model(tmp_path / "none.safetensors")


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(ModelError, match=f"{tmp_path}: this is a folder"):
        load_model(tmp_path)


def test_a_safetensors_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ModelError, match="geofcn did not write this model"):
        load_model(path)
    save_file({"weight": torch.zeros(3)}, path, {"format": "pt"})
    with pytest.raises(ModelError, match="geofcn did not write this model"):
        load_model(path)


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("writer", ["pickle", "torch"])
def test_a_pickle_is_refused_and_none_of_its_code_runs(tmp_path, writer):
    path, proof = tmp_path / "evil.safetensors", tmp_path / "it-ran"
    if writer == "pickle":
        path.write_bytes(pickle.dumps(Bomb(proof)))
    else:
        torch.save(Bomb(proof), path)
    with pytest.raises(ModelError, match="no safetensors file"):
        load_model(path)
    assert not proof.exists()


def test_text_is_refused(tmp_path):
    path = tmp_path / "notes.safetensors"
    path.write_text("this is no model")
    with pytest.raises(ModelError, match="no safetensors file"):
        load_model(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '"a"', "null"])
def test_a_header_that_is_no_json_object_is_refused(saved, text):
    _, path = saved
    save_file(load_file(path), path, {"geofcn": text})
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_model(path)


# --- a header or tensors that do not fit ---


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", float("nan")),
        ("threshold", -0.1),
        ("threshold", 1.5),
        ("threshold", "0.5"),
        ("threshold", None),
        ("threshold", [0.5]),
        ("threshold", True),
        ("threshold", 10**400),
        ("score_calibration", {"slope": -1.0, "offset": 0.0}),
        ("score_calibration", {"slope": 1.0, "offset": 0.0, "share": 0.5}),
        ("score_calibration", "steep"),
        ("calibration", {}),
        ("calibration", 0.5),
        ("calibration", [0.75, -1.5, 0.25]),
        ("calibration", {"slope": 0.75, "offset": -1.5}),
        ("calibration", {"slope": 0.0, "offset": -1.5, "share": 0.25}),
        ("calibration", {"slope": 10**400, "offset": -1.5, "share": 0.25}),
        ("calibration", {"slope": 0.75, "offset": "0", "share": 0.25}),
        ("calibration", {"slope": 0.75, "offset": float("nan"), "share": 0.25}),
        ("calibration", {"slope": 0.75, "offset": -1.5, "share": 1.0}),
        ("contacts", True),
        ("contacts", {"reach": 3}),
        ("contacts", {"reach": 0, "threshold": 0.3}),
        ("contacts", {"reach": 10**9, "threshold": 0.3}),
        ("contacts", {"reach": 3.5, "threshold": 0.3}),
        ("contacts", {"reach": 3, "threshold": 2}),
        ("contacts", {"reach": 3, "threshold": 0.3}),  # not the net of the tensors
        ("net", "__import__('os')"),
        ("net", ["fcnn"]),
        ("net", None),
        ("net", "fcnn"),  # not the net of the tensors
        ("scale", 0),
        ("scale", -2),
        ("scale", 3),
        ("scale", 10**12),
        ("scale", "2"),
        ("scale", 1),
        ("upsample", "evil"),
        ("upsample", None),
        ("colours", []),
        ("colours", ["red"]),
        ("colours", 3),
        ("colours", None),
        ("colours", [1, 2, 3]),
        ("bands", [1]),
        ("bands", [0, 1, 2]),
        ("bands", [1, 2, "3"]),
        ("bands", 3),
        ("scales", [1.0]),
        ("scales", [1.0, 0.0, 1.0]),
        ("scales", [1.0, None, 1.0]),
        ("scales", [1.0, 1.0, 1.0]),  # without offsets
        ("offsets", ["0", 0.0, 0.0]),
        ("offsets", None),
        ("colours", ["red"] * 2000),
        ("dtype", None),
        ("dtype", "object"),
        ("dtype", ["uint8"]),
        ("dtype", {}),
        ("recipe", None),
        ("recipe", [1]),
        ("scores", 5),
        ("scenes", 5),
        ("scenes", [5]),
        ("parent", "0123"),
        ("parent", {}),
        ("parent", {"sha256": 5, "scenes": []}),
        ("parent", {"sha256": "0123", "scenes": [5]}),
        ("crs", 5),
        ("resolution", "far"),
        ("resolution", 10**400),
        ("resolution", float("inf")),
        ("resolution", -0.2),
        ("version", 3),
        ("format", 2),
        ("format", None),
        ("sha256", None),
    ],
)
def test_a_header_field_of_the_wrong_kind_is_refused(saved, field, value):
    _, path = saved
    header, tensors = header_and_tensors(path)
    header[field] = value
    rewrite(path, header, tensors, honest=False)
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_model(path)


@pytest.mark.parametrize(
    "field", ["net", "scale", "upsample", "colours", "dtype", "sha256", "format"]
)
def test_a_missing_header_field_is_refused(saved, field):
    _, path = saved
    header, tensors = header_and_tensors(path)
    del header[field]
    rewrite(path, header, tensors, honest=False)
    with pytest.raises(ModelError, match=r"model\.safetensors"):
        load_model(path)


def test_a_model_that_says_nothing_of_a_parent_has_none(saved):
    _, path = saved
    header, tensors = header_and_tensors(path)
    del header["parent"]
    rewrite(path, header, tensors)
    assert load_model(path).metadata.parent is None


def test_a_model_of_a_later_format_names_the_version_that_wrote_it(saved):
    _, path = saved
    header, tensors = header_and_tensors(path)
    rewrite(path, {**header, "format": 9, "version": "7.0"}, tensors)
    with pytest.raises(ModelError, match=r"format 9.*7\.0"):
        load_model(path)


@pytest.mark.parametrize("field", ["format", "version", "net", "dtype", "threshold"])
def test_what_a_header_says_is_shown_in_short_and_harmless(saved, field):
    _, path = saved
    header, tensors = header_and_tensors(path)
    if field == "version":
        header["format"] = 9
    header[field] = "\x1b[2J\nError: " + "x" * 1_000_000
    rewrite(path, header, tensors)
    with pytest.raises(ModelError) as caught:
        load_model(path)
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


TENSOR_FAULTS = {
    "a weight missing": lambda t: t.pop("net.net.conv1.bias"),
    "one too many": lambda t: t.update({"net.net.conv9.bias": torch.zeros(3)}),
    "a foreign one": lambda t: t.update({"extra": torch.zeros(3)}),
    "another shape": lambda t: t.update({"net.net.conv1.bias": torch.zeros(3)}),
    "no mean": lambda t: t.pop("mean"),
    "no scale": lambda t: t.pop("scale"),
    "bfloat16": lambda t: t.update({"net.net.conv1.bias": torch.zeros(16, dtype=torch.bfloat16)}),
    "a type of eight bits": lambda t: t.update(
        {"net.net.conv1.bias": torch.zeros(16).to(torch.float8_e4m3fn)}
    ),
    "float64 mean": lambda t: t.update(mean=t["mean"].double()),
    "a mean of other bands": lambda t: t.update(mean=t["mean"][:2].clone()),
    "a mean that is not square": lambda t: t.update(mean=t["mean"][:, :4].clone()),
    "a mean of no size": lambda t: t.update(mean=t["mean"][:, :0, :0].clone()),
    "a mean that is a number": lambda t: t.update(mean=torch.tensor(1.0)),
    "a scale of other bands": lambda t: t.update(scale=t["scale"][:2].clone()),
    "a scale of 0": lambda t: t.update(scale=torch.zeros(3)),
    "a scale that is nan": lambda t: t.update(scale=torch.full((3,), torch.nan)),
    "a mean that is nan": lambda t: t["mean"].fill_(torch.nan),
    "a weight that is nan": lambda t: t["net.net.conv2.weight"][0, 0, 0].fill_(torch.nan),
    "a weight whose products are inf": lambda t: t["net.net.conv2.weight"].fill_(1e38),
    "a weight that is inf": lambda t: t["net.net.conv4.bias"].fill_(torch.inf),
}


@pytest.mark.parametrize("fault", TENSOR_FAULTS)
def test_tensors_that_do_not_fit_are_refused(saved, fault):
    _, path = saved
    header, tensors = header_and_tensors(path)
    TENSOR_FAULTS[fault](tensors)
    rewrite(path, header, tensors)
    with pytest.raises(ModelError, match=r"model\.safetensors: the model cannot be used"):
        load_model(path)


# --- writing ---


def test_nothing_is_left_when_a_model_cannot_be_written(make_model, tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    save_model(make_model(seed=1), path)
    before = path.read_bytes()

    def full_disk(partial, final):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "publish", full_disk)
    with pytest.raises(OutputError, match=r"m\.safetensors.*No space left"):
        save_model(make_model(seed=2), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_missing_folder_is_an_output_error(make_model, tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        save_model(make_model(), tmp_path / "none" / "m.safetensors")


def test_a_model_can_be_read_by_whom_other_files_can(make_model, tmp_path):
    save_model(make_model(), tmp_path / "m.safetensors")
    (tmp_path / "other").touch()
    modes = {path.stat().st_mode for path in tmp_path.iterdir()}
    assert len(modes) == 1

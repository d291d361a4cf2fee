import json

import pytest
import torch
from safetensors.torch import save_file

from geofcn.errors import OutputError, TrainingError
from geofcn.training.checkpoint import HEADER, Checkpoint, load_checkpoint, save_checkpoint

CHECKPOINT = Checkpoint(
    {
        "weights": torch.arange(6.0).reshape(2, 3),
        "losses": torch.tensor([0.1, float("inf")], dtype=torch.float64),
        "steps": torch.tensor(7),
        "none": torch.zeros(0, 4),
    },
    {"epoch": 2, "history": [[1, 0.5]], "name": "Köln", "device": None},
)


def test_a_checkpoint_comes_back_as_it_was(tmp_path):
    path = tmp_path / "state"
    save_checkpoint(path, CHECKPOINT)
    loaded = load_checkpoint(path)
    assert loaded.state == CHECKPOINT.state
    assert loaded.tensors.keys() == CHECKPOINT.tensors.keys()
    for name, tensor in CHECKPOINT.tensors.items():
        assert loaded.tensors[name].dtype == tensor.dtype
        assert torch.equal(loaded.tensors[name], tensor), name


def test_a_view_is_kept_in_its_own_order(tmp_path):
    turned = torch.arange(6.0).reshape(2, 3).T
    save_checkpoint(tmp_path / "state", Checkpoint({"turned": turned}, {}))
    assert torch.equal(load_checkpoint(tmp_path / "state").tensors["turned"], turned)


def test_a_newer_checkpoint_replaces_the_one_before(tmp_path):
    for epoch in (1, 2):
        save_checkpoint(tmp_path / "state", Checkpoint(CHECKPOINT.tensors, {"epoch": epoch}))
        assert load_checkpoint(tmp_path / "state").state == {"epoch": epoch}
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_none_is_none(tmp_path):
    assert load_checkpoint(tmp_path / "state") is None


@pytest.mark.parametrize("length", [0, 5, 40, -1])
def test_a_damaged_file_is_an_error(tmp_path, length):
    path = tmp_path / "state"
    save_checkpoint(path, CHECKPOINT)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(TrainingError, match=r"state: .*damaged.*--overwrite"):
        load_checkpoint(path)


def test_a_flipped_bit_is_an_error_wherever_it_lies(tmp_path):
    """One in the weights: F1 50 where it was 68, without a word."""
    path = tmp_path / "state"
    save_checkpoint(path, CHECKPOINT)
    content = path.read_bytes()
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        with pytest.raises(TrainingError, match=r"state: .*damaged.*--overwrite"):
            load_checkpoint(path)


def test_a_file_without_checksum_is_an_error(tmp_path):
    """Nobody knows what of it has changed: its history may be missing, or its weights others."""
    state = tmp_path / "state"
    save_file(CHECKPOINT.tensors, state, {HEADER: json.dumps(CHECKPOINT.state)})
    with pytest.raises(TrainingError, match=r"state: .*no checksum.*--overwrite"):
        load_checkpoint(state)


@pytest.mark.parametrize("metadata", [None, {"geofcn": "{}"}, {HEADER: "{"}])
def test_a_file_of_another_kind_is_an_error(tmp_path, metadata):
    path = tmp_path / "state"
    save_file(CHECKPOINT.tensors, path, metadata)
    with pytest.raises(TrainingError, match="no training's state"):
        load_checkpoint(path)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        save_checkpoint(tmp_path / "missing" / "state", CHECKPOINT)

"""geofcn.models.tensor_file: tensors in a file that can be replaced while they are in use."""

import os
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError

from geofcn.errors import OutputError
from geofcn.models.tensor_file import read_tensors, write_tensors

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor([7])}


def test_what_was_written_is_read(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"name": "net"}, TENSORS)
    metadata, tensors = read_tensors(tmp_path / "a.safetensors")
    assert metadata == {"name": "net"}
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in TENSORS.items())
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_equal_tensors_are_equal_files(tmp_path):
    """safetensors alone writes metadata in an order that is another one each time."""
    facts = dict.fromkeys("abcdefgh", "ö\n")
    for number in range(8):
        write_tensors(tmp_path / str(number), facts, TENSORS)
    assert len({(tmp_path / str(number)).read_bytes() for number in range(8)}) == 1
    assert read_tensors(tmp_path / "0")[0] == facts


def test_a_file_without_metadata_has_none(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {}, TENSORS)
    assert read_tensors(tmp_path / "a.safetensors")[0] == {}


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="/proc tells what is mapped")
def test_tensors_that_were_read_do_not_hold_their_file(tmp_path):
    path = tmp_path / "held.safetensors"
    write_tensors(path, {}, TENSORS)
    _, tensors = read_tensors(path)
    assert str(path) not in Path("/proc/self/maps").read_text()
    assert torch.equal(tensors["count"], TENSORS["count"])


@pytest.mark.parametrize("bit", range(8))
def test_a_flipped_bit_anywhere_is_an_error(tmp_path, bit):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"name": "net"}, TENSORS)
    content = path.read_bytes()
    before = read_tensors(path)
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << bit
        path.write_bytes(damaged)
        try:
            metadata, tensors = read_tensors(path)
        except (SafetensorError, ValueError):
            continue
        # What is left is a checksum under another name, and of the content nothing is lost.
        assert metadata.items() - before[0].items() == {(name, metadata[name]) for name in metadata
                                                         if name not in before[0]}  # fmt: skip
        assert all(torch.equal(tensors[name], before[1][name]) for name in TENSORS)


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\xff" * 64])
def test_another_file_is_an_error(tmp_path, content):
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(SafetensorError):
        read_tensors(tmp_path / "a.safetensors")


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match="cannot be written"):
        write_tensors(tmp_path / "none" / "a.safetensors", {}, TENSORS)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with a name")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.safetensors")
    with pytest.raises(OSError, match="pipe"):
        read_tensors(tmp_path / "a.safetensors")


def test_what_would_fill_memory_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {}, TENSORS)
    os.truncate(path, 2**40)  # takes no room on the disk
    with pytest.raises(OSError, match="it has 1099511627776 bytes"):
        read_tensors(path)


def test_a_header_that_would_fill_memory_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"name": "x" * 20_000_000}, TENSORS)
    with pytest.raises(OSError, match="its header has 2000"):
        read_tensors(path)

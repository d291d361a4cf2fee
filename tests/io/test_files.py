import pytest

from geofcn.errors import OutputError
from geofcn.io import files
from geofcn.io.files import write_whole


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    for content in (b"one", b"another"):
        write_whole(tmp_path / "a.bin", content)
        assert (tmp_path / "a.bin").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_what_stood_there_outlives_a_full_disk(tmp_path, monkeypatch):
    write_whole(tmp_path / "a.bin", b"one")

    def full_disk(partial, final):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "publish", full_disk)
    with pytest.raises(OutputError, match=r"a\.bin.*No space left.*make room"):
        write_whole(tmp_path / "a.bin", b"another")
    assert (tmp_path / "a.bin").read_bytes() == b"one"
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]

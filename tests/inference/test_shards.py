"""geofcn.inference.shards"""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geofcn.errors import OutputError
from geofcn.inference.shards import CLAIMS, Shards, claimed, pack, unpack

JOB = {"scene": ["a.tif", 1], "threshold": 0.5}
ARRAYS = {
    "mask": np.array([[0, 1, 255], [1, 1, 0]], np.uint8),
    "probability": np.array([[0.25, np.nan, -0.0], [1, np.inf, 1e-40]], np.float32),
}

dtypes = st.sampled_from(["u1", "i2", "<u4", ">u2", "f2", "f4", "f8", "?"])
shapes = hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=5)
arrays = st.dictionaries(st.text(max_size=8), hnp.arrays(dtypes, shapes), max_size=4)


def equal(first: dict, second: dict) -> bool:
    """The same names in the same order; the same bytes, types and shapes."""
    return list(first) == list(second) and all(
        (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        for a, b in zip(first.values(), second.values(), strict=True)
    )


@given(arrays)
def test_arrays_come_back_bit_for_bit(named):
    assert equal(unpack(pack(named)), named)


def test_a_view_is_packed_as_what_it_shows():
    view = np.arange(12, dtype=np.uint8).reshape(3, 4)[::2, ::-1]
    assert equal(unpack(pack({"a": view})), {"a": view})


@given(st.data())
def test_a_changed_or_missing_byte_never_passes(data):
    content = bytearray(pack(ARRAYS))
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    with pytest.raises(ValueError):
        unpack(bytes(content))


def test_shards_outlive_their_process(tmp_path):
    first = Shards(tmp_path / "work", JOB)
    assert not first.restarted and 3 not in first
    first.save(3, ARRAYS)
    second = Shards(tmp_path / "work", dict(reversed(JOB.items())))
    assert not second.restarted and 3 in second and 4 not in second
    assert equal(second.load(3), ARRAYS)
    second.remove()
    assert not (tmp_path / "work").exists()


@pytest.mark.parametrize("remains", ["another", "cut short", "not text", "none", "nested"])
def test_only_the_work_of_this_very_job_is_kept(tmp_path, remains):
    folder = tmp_path / "work"
    before = Shards(folder, JOB | {"threshold": 0.25} if remains == "another" else JOB)
    before.save(0, ARRAYS)
    fingerprint = folder / "job.json"
    if remains == "cut short":
        fingerprint.write_bytes(fingerprint.read_bytes()[:-1])
    elif remains == "not text":
        fingerprint.write_bytes(b"\xff\xfe")
    elif remains == "none":
        fingerprint.unlink()
    elif remains == "nested":
        fingerprint.unlink()
        fingerprint.mkdir()
    after = Shards(folder, JOB)
    assert 0 not in after
    assert [path.name for path in folder.iterdir()] == ["job.json"]
    assert after.restarted == (remains in ("another", "cut short", "not text"))
    assert not Shards(folder, JOB).restarted


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_shard_has_its_name_only_when_it_is_whole(tmp_path, monkeypatch, step):
    shards = Shards(tmp_path / "work", JOB)

    def fail(*_, **__) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if step == "write":
            patch.setattr(Path, "open", fail)
        elif step == "fsync":
            patch.setattr(os, "fsync", fail)
        else:
            patch.setattr(Path, "replace", fail)
        with pytest.raises(OutputError, match=r"work: unfinished work cannot be kept .*make room"):
            shards.save(0, ARRAYS)
    assert [path.name for path in shards.folder.iterdir()] == ["job.json"]
    shards.save(0, ARRAYS)
    assert equal(shards.load(0), ARRAYS)


def test_a_shard_is_on_disk_before_it_has_its_name(tmp_path, monkeypatch):
    done = []
    sync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (done.append("fsync"), sync(handle)))
    monkeypatch.setattr(Path, "replace", lambda *paths: (done.append("rename"), rename(*paths)))
    Shards(tmp_path / "work", JOB).save(0, ARRAYS)
    # The file, its name, and the folder that holds the name: of the fingerprint, then of the shard.
    assert done == ["fsync", "rename", "fsync"] * 2


@pytest.mark.parametrize("damage", ["flipped", "cut short", "emptied"])
def test_a_damaged_shard_is_never_used_but_made_anew(tmp_path, damage):
    shards = Shards(tmp_path / "work", JOB)
    shards.save(0, ARRAYS)
    shards.save(1, ARRAYS)
    path = shards.folder / "000000.shard"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes({"flipped": content, "cut short": content[:-9], "emptied": b""}[damage])
    with pytest.raises(OutputError, match=r"000000\.shard.*damaged.*same command"):
        shards.load(0)
    assert 0 not in shards and 1 in shards


@pytest.mark.parametrize("whose", ["another job's", "another band's", "an older version's"])
def test_a_shard_of_anything_else_is_never_used(tmp_path, whose):
    """Two jobs in one folder: the mask was one part this job's, one part the other's."""
    shards, other = Shards(tmp_path / "work", JOB), Shards(tmp_path / "other", {"scene": "b.tif"})
    other.save(0, ARRAYS)
    shards.save(1, ARRAYS)
    source = {
        "another job's": (other.folder / "000000.shard").read_bytes(),
        "another band's": (shards.folder / "000001.shard").read_bytes(),
        "an older version's": pack(ARRAYS),
    }[whose]
    (shards.folder / "000000.shard").write_bytes(source)
    with pytest.raises(OutputError, match=r"000000\.shard.*not of this job.*same command"):
        shards.load(0)
    assert 0 not in shards and 1 in shards


def test_a_folder_that_is_a_link_is_refused(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "mine").touch()
    (tmp_path / "work").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputError, match="work: this is a link"):
        Shards(tmp_path / "work", JOB)
    assert (tmp_path / "precious" / "mine").exists()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="unfinished work cannot be kept"):
        Shards(tmp_path / "file" / "work", JOB)
    with pytest.raises(OutputError, match="unfinished work cannot be kept"):
        Shards(tmp_path / "file", JOB)


def test_claims_are_those_of_this_very_job(tmp_path):
    folder = tmp_path / "work"
    assert claimed(folder, JOB) == frozenset()
    shards = Shards(folder, JOB)
    assert claimed(folder, JOB) == frozenset()
    shards.claim([tmp_path / "mask.tif", Path("relative.gpkg")])
    assert claimed(folder, JOB) == {tmp_path / "mask.tif", Path.cwd() / "relative.gpkg"}
    assert claimed(folder, JOB | {"threshold": 0.25}) == frozenset()
    shards.remove()
    assert claimed(folder, JOB) == frozenset()


@pytest.mark.parametrize("claim", [b"", b"{", b"3", b"[3]", b"null", b"\xff"])
def test_a_damaged_claim_claims_nothing(tmp_path, claim):
    shards = Shards(tmp_path / "work", JOB)
    (shards.folder / CLAIMS).write_bytes(claim)
    assert claimed(shards.folder, JOB) == frozenset()

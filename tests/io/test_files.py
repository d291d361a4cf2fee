import errno
import os
import re
import shutil
import stat
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from geofcn.errors import OutputError
from geofcn.io import files
from geofcn.io.files import (
    absolute,
    check_target,
    discard,
    discard_unfinished,
    free_gigabytes,
    is_missing,
    names_apart,
    no_such_file,
    partial_beside,
    publish,
    publish_bytes,
    publish_together,
    refuse_equal_names,
    remove_leftovers,
    sync,
    without_new_folders,
    write_whole,
    writing_failed,
)

ENDINGS = (".tif", ".tiff")
FULL = OSError(errno.ENOSPC, "No space left on device")


def refused(message, path, overwrite=False, *sources):
    with pytest.raises(OutputError, match=message) as caught:
        check_target(path, ENDINGS, overwrite, *sources)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- what may be written ---


def test_a_new_name_in_a_folder_is_returned_as_a_path(tmp_path):
    assert check_target(str(tmp_path / "a.tif"), ENDINGS, False) == tmp_path / "a.tif"
    assert check_target(tmp_path / "A.TIFF", ENDINGS, False) == tmp_path / "A.TIFF"
    assert names(tmp_path) == [], "to look leaves nothing behind"


def test_a_relative_name_stays_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(check_target("a.tif", ENDINGS, False)) == "a.tif"


@pytest.mark.parametrize("name", ["a.png", "a", "tif", ".tif", "a.tif.gz", "a.tif.", "a.tif "])
def test_another_ending_is_refused_and_the_legal_ones_named(tmp_path, name):
    refused(r"end in one of \.tif, \.tiff\.", tmp_path / name)


def test_a_folder_is_refused_even_where_it_may_be_overwritten(tmp_path):
    (tmp_path / "a.tif").mkdir()
    refused("this is a folder", tmp_path / "a.tif", True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_input_itself_is_refused(tmp_path, overwrite):
    path = tmp_path / "a.tif"
    path.write_bytes(b"pixels")
    (tmp_path / "sub").mkdir()
    refused("the input itself", path, overwrite, path)
    refused("the input itself", path, overwrite, "other.tif", str(path))
    refused("the input itself", tmp_path / "sub" / ".." / "a.tif", overwrite, path)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_to_the_input_is_refused(tmp_path, link):
    path = tmp_path / "a.tif"
    path.write_bytes(b"pixels")
    link(path, tmp_path / "b.tif")
    refused("the input itself", tmp_path / "b.tif", True, path)


@pytest.mark.parametrize("source", ["none.tif", "https://example.org/a.tif", "zip://a.zip!a.tif"])
def test_an_input_that_is_no_local_file_is_another_one(tmp_path, source):
    assert check_target(tmp_path / "a.tif", ENDINGS, False, source) == tmp_path / "a.tif"


def test_an_existing_file_needs_overwrite(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"precious")
    refused("exists already; give --overwrite", path)
    assert check_target(path, ENDINGS, True) == path
    assert path.read_bytes() == b"precious"


def test_a_link_that_leads_nowhere_exists_and_is_replaced_itself(tmp_path):
    path, other = tmp_path / "a.tif", tmp_path / "other.tif"
    for exists in (False, True):
        if exists:
            other.write_bytes(b"precious")
        path.symlink_to(other)
        refused("exists already; give --overwrite", path)
        assert check_target(path, ENDINGS, True) == path
        publish_bytes(path, b"pixels")
        assert not path.is_symlink() and other.exists() == exists
        path.unlink()
    assert other.read_bytes() == b"precious"


@pytest.mark.skipif(os.name == "nt", reason="it has no such files")
@pytest.mark.parametrize("kind", ["pipe", "device", "link to a device"])
def test_a_pipe_or_a_device_is_no_output(tmp_path, kind):
    path = tmp_path / "a.tif"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path(os.devnull) if kind == "device" else path
    if kind == "link to a device":
        path.symlink_to(os.devnull)
    message = "must end in" if kind == "device" else "a pipe or a device; give the name of a file"
    refused(message, path, True)


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    refused(f"its folder does not exist; make {tmp_path / 'none'} first", tmp_path / "none/a.tif")
    (tmp_path / "file").write_bytes(b"")
    refused("its folder does not exist", tmp_path / "file" / "a.tif")


def test_a_folder_in_which_no_file_can_be_made_is_refused(tmp_path, monkeypatch):
    def full_disk(**options):
        raise FULL

    monkeypatch.setattr(files.tempfile, "TemporaryFile", full_disk)
    refused(r"nothing can be written in .* \(No space left on device\)", tmp_path / "a.tif")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    refused(r"nothing can be written .* \(Permission denied\)", locked / "a.tif")


# --- messages ---


def test_a_failed_writing_states_the_reason_and_the_free_space(tmp_path):
    error = writing_failed(tmp_path / "a.tif", "disk on fire")
    assert isinstance(error, OutputError)
    assert str(error).startswith(f"{tmp_path / 'a.tif'}: writing failed (disk on fire); ")
    free = float(str(error).split("; ")[1].split(" GB are free")[0])
    assert free == pytest.approx(shutil.disk_usage(tmp_path).free / 2**30, abs=1)


def test_free_space_is_in_binary_gigabytes(tmp_path, monkeypatch):
    monkeypatch.setattr(files.shutil, "disk_usage", lambda folder: SimpleNamespace(free=5 * 2**29))
    assert free_gigabytes(tmp_path) == "2.5 GB"


def test_only_local_paths_can_be_missing(tmp_path):
    assert is_missing(str(tmp_path / "none.tif"))
    assert not is_missing(str(tmp_path))
    for elsewhere in (
        "https://a.org/a.tif",
        "zip://a.zip!a.tif",
        "s3://a/b",
        "/vsizip/a.zip/a.tif",
    ):
        assert not is_missing(elsewhere)
    assert no_such_file("a.tif") == "a.tif: there is no such file; check the path."


# --- what is unfinished ---


def test_what_is_unfinished_has_a_hidden_name_of_its_own_that_nobody_foresees(tmp_path):
    made = {partial_beside(tmp_path / "a.tif") for _ in range(20)}
    assert len(made) == 20 and made <= files.unfinished
    assert all(re.fullmatch(r"\.a\.tif\.[0-9a-f]{8}\.partial", path.name) for path in made)
    for path in made:
        discard(path)
    assert not made & files.unfinished


def test_what_is_unfinished_goes_with_its_process(tmp_path):
    folder, file = partial_beside(tmp_path / "a.tif"), partial_beside(tmp_path / "b.tif")
    never_made = partial_beside(tmp_path / "c.tif")
    folder.mkdir()
    (folder / "half").write_bytes(b"half")
    file.write_bytes(b"half")
    discard_unfinished()
    assert names(tmp_path) == []
    assert not {folder, file, never_made} & files.unfinished


def test_what_a_killed_process_left_of_an_output_is_removed_and_nothing_else(tmp_path):
    others = [
        ".a.tif.work",
        ".a.tif.0123456.partial",
        ".a.tif.b.0123abcd.partial",
        ".b.tif.0123abcd.partial",
        "a.tif.0123abcd.partial",
    ]
    for name in (".a.tif.0123abcd.partial", ".a.tif.partial", *others):
        (tmp_path / name).mkdir()
        (tmp_path / name / "half").write_bytes(b"half")
    (tmp_path / ".a.tif.ffffffff.partial").write_bytes(b"half")
    (tmp_path / ".a.tif.eeeeeeee.partial").symlink_to(tmp_path / ".a.tif.work")
    remove_leftovers(tmp_path / "a.tif")
    assert names(tmp_path) == sorted([*others, ".a.tif.eeeeeeee.partial"])
    assert names(tmp_path / ".a.tif.work") == ["half"]


def test_of_a_folder_all_is_removed_that_was_not_finished(tmp_path):
    (tmp_path / ".last.safetensors.0123abcd.partial").write_bytes(b"half")
    (tmp_path / "last.safetensors").write_bytes(b"whole")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == ["last.safetensors"]


def test_in_a_folder_what_somebody_else_writes_is_left(tmp_path):
    for name in (".m.tif.0123abcd.partial", ".m.tif.lock", ".last.safetensors.0123abcd.partial"):
        (tmp_path / name).write_bytes(b"half")
    remove_leftovers(tmp_path)
    assert names(tmp_path) == [".m.tif.0123abcd.partial", ".m.tif.lock"]


@pytest.mark.parametrize("error", [None, OutputError, KeyboardInterrupt])
def test_an_error_leaves_no_new_folder_that_is_empty(tmp_path, error):
    for inside, kept in (("", False), ("a", True)):
        folder = tmp_path / f"new{inside}" / "run"
        with nullcontext() if error is None else pytest.raises(error), without_new_folders(folder):
            folder.mkdir(parents=True)
            if inside:
                (folder / inside).touch()
            if error:
                raise error("refused")
        assert folder.exists() == folder.parent.exists() == (kept or error is None)
    with pytest.raises(OutputError), without_new_folders(tmp_path):
        raise OutputError("refused")
    assert tmp_path.exists(), "it was there before"


# --- files that belong together ---


def prepare(folder: Path, content: bytes = b"new") -> dict[Path, Path]:
    """Three finished files in a hidden folder, and where they go."""
    hidden = folder / ".a.shp.0123abcd.partial"
    hidden.mkdir()
    for name in ("a.dbf", "a.shx", "a.shp"):
        (hidden / name).write_bytes(content)
    return {hidden / name: folder / name for name in ("a.dbf", "a.shx", "a.shp")}


def test_files_that_belong_together_replace_older_ones_and_what_went_with_these(tmp_path):
    for name in ("a.dbf", "a.shx", "a.shp", "a.qix", "mine.txt"):
        (tmp_path / name).write_bytes(b"old")
    publish_together(prepare(tmp_path), [tmp_path / "a.qix"])
    remove_leftovers(tmp_path / "a.shp")
    found = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert found == {"mine.txt": b"old", "a.dbf": b"new", "a.shx": b"new", "a.shp": b"new"}


@pytest.mark.parametrize("position", range(3))
@pytest.mark.parametrize("old", [False, True])
def test_who_is_killed_between_leaves_no_file_that_the_next_one_finds(
    tmp_path, killed_while_publishing, position, old
):
    if old:
        for name in ("a.dbf", "a.shx", "a.shp"):
            (tmp_path / name).write_bytes(b"old")
    moves = prepare(tmp_path)
    killed_while_publishing(position, lambda: publish_together(moves))
    assert not (tmp_path / "a.shp").exists(), "neither an old one nor one without its parts"
    assert all(path.read_bytes() == b"new" for path in tmp_path.glob("a.*"))
    remove_leftovers(tmp_path / "a.shp")
    assert names(tmp_path) == []


def test_what_was_put_there_after_a_kill_is_kept(tmp_path, killed_while_publishing):
    killed_while_publishing(2, lambda: publish_together(prepare(tmp_path)))
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "mine").replace(tmp_path / "a.dbf")
    remove_leftovers(tmp_path / "a.shp")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.dbf": b"mine"}


@pytest.mark.parametrize(
    "note", ["", "{}", "[1]", '[["a.dbf", "a.dbf", 1]]', '[["a.dbf", "../b", 1]]', '[["", 1, 2]]']
)
def test_a_note_that_says_nothing_is_no_error(tmp_path, note):
    moves = prepare(tmp_path)
    hidden = next(iter(moves)).parent
    (hidden / files.NOTE).write_text(note)
    (tmp_path / "a.dbf").write_bytes(b"mine")
    remove_leftovers(tmp_path / "a.shp")
    assert names(tmp_path) == ["a.dbf"]


def test_an_error_on_the_way_takes_back_what_was_moved(tmp_path, monkeypatch):
    moves = prepare(tmp_path)
    replace = Path.replace

    def fail(path, target):
        if target.name == "a.shp":
            raise FULL
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="No space"):
        publish_together(moves)
    assert names(tmp_path) == [".a.shp.0123abcd.partial"]


# --- names of several outputs ---


@pytest.mark.parametrize("other", ["a.tif", "x/../a.tif", "link/a.tif", "A.TIF", "link/x/../a.TIF"])
def test_two_outputs_of_one_name_are_refused_however_it_is_written(tmp_path, other):
    (tmp_path / "x").mkdir()
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(OutputError, match="two outputs have this name"):
        refuse_equal_names([tmp_path / "b.tif", tmp_path / "a.tif", tmp_path / other])


def test_outputs_of_other_names_or_folders_are_not_refused(tmp_path):
    (tmp_path / "x").mkdir()
    refuse_equal_names([tmp_path / "a.tif", tmp_path / "a.tiff", tmp_path / "x" / "a.tif"])
    refuse_equal_names([tmp_path / "none" / "a.tif", tmp_path / "a.tif"])


# --- parts of an output ---


def test_a_part_of_an_output_that_exists_needs_overwrite_too(tmp_path):
    part = tmp_path / "a.tif.msk"
    part.symlink_to(tmp_path / "nowhere")
    with pytest.raises(OutputError) as caught:
        check_target(tmp_path / "a.tif", ENDINGS, False, others=[part])
    assert str(caught.value).startswith(f"{part}: it exists already and is a part of what a.tif ")
    assert check_target(tmp_path / "a.tif", ENDINGS, True, others=[part])


# --- to disk ---


@pytest.fixture
def synced(monkeypatch):
    """Each handle that is synced: whether it is a folder, and the flags it was opened with."""
    calls, opened = [], {}
    open_file, fsync = os.open, os.fsync

    def record_open(path, flags, *rest, **options):
        handle = open_file(path, flags, *rest, **options)
        opened[handle] = flags & (os.O_RDONLY | os.O_WRONLY | os.O_RDWR)
        return handle

    def record_sync(handle):
        calls.append((stat.S_ISDIR(os.fstat(handle).st_mode), opened.get(handle)))
        fsync(handle)

    monkeypatch.setattr(files.os, "open", record_open)
    monkeypatch.setattr(files.os, "fsync", record_sync)
    return calls


def test_files_and_folders_are_synced(tmp_path, synced):
    (tmp_path / "a").write_bytes(b"a")
    sync(tmp_path / "a")
    sync(tmp_path)
    assert synced == [(False, os.O_RDONLY), (True, os.O_RDONLY)]


def test_on_windows_files_are_opened_for_writing_and_folders_left_alone(
    tmp_path, synced, monkeypatch
):
    monkeypatch.setattr(files, "WINDOWS", True)
    (tmp_path / "a").write_bytes(b"a\x1a")
    sync(tmp_path)
    assert synced == []
    sync(tmp_path / "a")
    assert synced == [(False, os.O_RDWR)]
    assert (tmp_path / "a").read_bytes() == b"a\x1a"


@pytest.mark.parametrize("error", [None, FULL])
def test_a_handle_is_closed_even_where_syncing_fails(tmp_path, monkeypatch, error):
    handles = []

    def fsync(handle):
        handles.append(handle)
        if error:
            raise error

    monkeypatch.setattr(files.os, "fsync", fsync)
    with pytest.raises(OSError, match="No space left") if error else nullcontext():
        sync(tmp_path)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(handles[0])


def test_what_is_not_there_cannot_be_synced(tmp_path):
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "none")


@pytest.mark.parametrize("windows", [False, True])
def test_publishing_syncs_the_file_then_renames_it_then_syncs_the_folder(
    tmp_path, synced, monkeypatch, windows
):
    monkeypatch.setattr(files, "WINDOWS", windows)
    partial, path = tmp_path / "partial", tmp_path / "a.tif"
    partial.write_bytes(b"new")
    path.write_bytes(b"old")
    replace = files.Path.replace
    monkeypatch.setattr(
        files.Path, "replace", lambda *args: (synced.append("renamed"), replace(*args))
    )
    publish(partial, path)
    assert path.read_bytes() == b"new" and names(tmp_path) == ["a.tif"]
    assert [call if call == "renamed" else call[0] for call in synced] == (
        [False, "renamed"] if windows else [False, "renamed", True]
    )


def test_a_file_that_cannot_be_synced_is_not_renamed(tmp_path, monkeypatch):
    def full_disk(handle):
        raise FULL

    (tmp_path / "partial").write_bytes(b"new")
    (tmp_path / "a.tif").write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        publish(tmp_path / "partial", tmp_path / "a.tif")
    assert (tmp_path / "a.tif").read_bytes() == b"old"


def test_a_folder_that_cannot_be_synced_is_no_failure(tmp_path, monkeypatch):
    # Some network drives sync files only.
    def fail_for_folders(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")

    (tmp_path / "partial").write_bytes(b"new")
    monkeypatch.setattr(files.os, "fsync", fail_for_folders)
    publish(tmp_path / "partial", tmp_path / "a.tif")
    assert (tmp_path / "a.tif").read_bytes() == b"new"


# --- small files ---


@pytest.mark.parametrize("write", [publish_bytes, write_whole])
def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path, write):
    for content in (b"one", b"another", b""):
        write(tmp_path / "a.bin", content)
        assert (tmp_path / "a.bin").read_bytes() == content
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("step", ["publish", "sync"])
def test_what_stood_there_outlives_a_full_disk(tmp_path, monkeypatch, step):
    write_whole(tmp_path / "a.bin", b"one")

    def full_disk(*paths):
        raise FULL

    monkeypatch.setattr(files, step, full_disk)
    with pytest.raises(OutputError, match=r"a\.bin.*No space left.*make room"):
        write_whole(tmp_path / "a.bin", b"another")
    assert (tmp_path / "a.bin").read_bytes() == b"one"
    assert names(tmp_path) == ["a.bin"]


def test_publishing_bytes_fails_with_the_systems_own_error(tmp_path, monkeypatch):
    def full_disk(*paths):
        raise FULL

    monkeypatch.setattr(files, "publish", full_disk)
    with pytest.raises(OSError) as caught:
        publish_bytes(tmp_path / "a.bin", b"one")
    assert caught.value is FULL
    assert names(tmp_path) == []


def test_a_small_file_in_no_folder_is_one_output_error(tmp_path):
    path = tmp_path / "none" / "a.bin"
    with pytest.raises(FileNotFoundError):
        publish_bytes(path, b"one")
    with pytest.raises(OutputError) as caught:
        write_whole(path, b"one")
    assert str(caught.value).startswith(f"{path}: it cannot be written (")
    assert str(caught.value).count("choose another folder") == 1
    assert type(caught.value.__cause__) is FileNotFoundError


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ([], ()),
        (["a/x.tif"], ("x.tif",)),
        (["a/x.tif", "b/y.tif"], ("x.tif", "y.tif")),
        (["a/x.tif", "b/x.tif", "b/y.tif"], ("a/x.tif", "b/x.tif", "y.tif")),
        (["1/a/x.tif", "2/a/x.tif"], ("1/a/x.tif", "2/a/x.tif")),
        (["x.tif", "a/x.tif"], ("x.tif", "a/x.tif")),
        (["a/x.tif", "a/x.tif"], ("x.tif", "x.tif")),
    ],
)
def test_files_of_one_name_are_told_apart_by_their_folders(paths, names):
    assert names_apart(paths) == names


def test_local_paths_become_absolute_and_others_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.tif").write_bytes(b"")
    assert absolute("a.tif") == absolute(Path("a.tif")) == str(tmp_path / "a.tif")
    for name in ("none.tif", "https://a.org/a.tif", "zip://a.zip!a.tif", "/vsizip/a.zip/a.tif"):
        assert absolute(name) == name

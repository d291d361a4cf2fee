"""geofcn.io.sheets: a folder, a pattern or a list names the rasters of one scene."""

import os
from pathlib import Path

import numpy as np
import pytest

from geofcn.errors import OutputError, SceneError
from geofcn.io.sheets import find_sheets, lengths, names_sheets, refuse_new_sheet


@pytest.fixture
def folder(tmp_path):
    """A folder with three sheets, and what is none."""
    made = tmp_path / "sheets"
    (made / "deeper").mkdir(parents=True)
    for name in ("s10.tif", "s9.TIF", "a.png"):
        (made / name).write_bytes(b"123")
    for name in ("s.tif.aux.xml", "all.vrt", "all.gti.gpkg", "s9.tfw", ".s8.tif", "notes.txt"):
        (made / name).write_bytes(b"")
    (made / "deeper" / "s11.tif").write_bytes(b"")
    return made


def names(found):
    return [Path(name).name for name in found]


def test_a_folder_holds_its_rasters_in_the_order_in_which_people_count(folder):
    assert names_sheets(str(folder)) and names_sheets(f"{folder}/")
    assert names(find_sheets(str(folder))) == ["a.png", "s9.TIF", "s10.tif"]


def test_a_pattern_stands_for_the_rasters_that_fit_it(folder):
    assert names(find_sheets(f"{folder}/s*")) == ["s9.TIF", "s10.tif"]
    assert names(find_sheets(f"{folder}/**/s1?.tif")) == ["s10.tif", "s11.tif"]
    assert names(find_sheets(f"{folder}/*.vrt")) == ["all.vrt"]


def test_what_exists_is_no_pattern(tmp_path):
    path = tmp_path / "town[1].tif"
    assert names_sheets(str(path))
    path.write_bytes(b"")
    assert not names_sheets(str(path))


@pytest.mark.parametrize(
    "name",
    ["scene.tif", "https://a.org/scene.tif?sig=1", "/vsicurl/https://a.org/*.tif", "", "a\0b"],
)
def test_one_raster_is_not_many(name):
    assert not names_sheets(name) and lengths(name) == []


def test_a_list_names_paths_from_its_own_folder_on(folder, monkeypatch):
    listed = folder.parent / "list.txt"
    lines = ["\ufeff# the town", "", " sheets/s10.tif ", f"{folder}/s9.TIF", "https://a.org/b.tif"]
    lines += ["sheets/s10.tif"]
    listed.write_text("\r\n".join(lines), encoding="utf-8")
    monkeypatch.chdir(folder)
    expected = ["https://a.org/b.tif", f"{folder}/s9.TIF", f"{folder}/s10.tif"]
    assert find_sheets(str(listed)) == expected


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no raster is found by it"),
        (b"a.tif\nb.gpkg", "it lists b.gpkg, which ends in none of"),
        (b"a.tif\n\xff", "cannot be read as a list of rasters"),
        (None, "there is no such file"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, content, message):
    path = tmp_path / "list.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SceneError, match=message):
        find_sheets(str(path))


def test_a_list_is_no_pipe(tmp_path):
    os.mkfifo(tmp_path / "list.txt")
    with pytest.raises(SceneError, match="this is a pipe"):
        find_sheets(str(tmp_path / "list.txt"))


@pytest.mark.parametrize("name", ["", "/*.png", "/s[0-9].tif"])
def test_no_raster_is_no_scene(tmp_path, name):
    with pytest.raises(SceneError, match="no raster is found by it"):
        find_sheets(f"{tmp_path}{name}")


def test_the_length_of_each_sheet_is_told(folder):
    assert [length for _, length in lengths(str(folder))] == [3, 3, 3]


@pytest.mark.parametrize(
    ("scene", "output", "is_refused"),
    [
        ("sheets", "sheets/mask.tif", True),
        ("sheets", "sheets/../mask.tif", False),
        ("sheets/*.tif", "sheets/mask.tif", True),
        ("sheets/s*.tif", "sheets/mask.tif", False),
        ("sheets/*.tif", "link/mask.tif", True),
        ("link/*.tif", "sheets/mask.tif", True),
        ("link/../sheets/*.tif", "sheets/mask.tif", True),
        ("sheets/**/*.tif", "link/deeper/mask.tif", True),
        ("sheets/**", "sheets/deeper/mask.tif", True),
        ("sheets/*.tif", "sheets/deeper/mask.tif", False),
        ("list.txt", "sheets/mask.tif", False),
        ("scene.tif", "mask.tif", False),
        ("sheets", None, False),
    ],
)
def test_an_output_does_not_become_a_sheet(folder, monkeypatch, scene, output, is_refused):
    monkeypatch.chdir(folder.parent)
    Path("link").symlink_to(folder)
    if not is_refused:
        refuse_new_sheet(scene, output)
        return
    with pytest.raises(OutputError, match="would be one of the sheets"):
        refuse_new_sheet(scene, output)


def test_lists_of_many_are_found_in_natural_order(tmp_path):
    numbers = np.random.default_rng(0).permutation(300).tolist()
    (tmp_path / "list.txt").write_text("\n".join(f"s{number}.tif" for number in numbers))
    found = names(find_sheets(str(tmp_path / "list.txt")))
    assert found == [f"s{number}.tif" for number in range(300)]

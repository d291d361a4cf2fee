"""geofcn.io.identity, and what geofcn.io.datasets makes of it: what a dataset is, and stays."""

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import shapely
from rasterio.transform import from_origin

from geofcn.core.windows import Window
from geofcn.errors import LabelsError, SceneError
from geofcn.io import vector_labels
from geofcn.io.datasets import close_handles, identity
from geofcn.io.identity import digest, files_behind, local_file
from geofcn.io.labels import open_labels, refuse_changed
from geofcn.io.opening import open_scene

VRT = """<VRTDataset rasterXSize="4" rasterYSize="4">
<VRTRasterBand dataType="Byte" band="1">
<SimpleSource><SourceFilename relativeToVRT="1">{source}</SourceFilename>
<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"""
STATISTICS = """<PAMDataset>{more}<PAMRasterBand band="1"><Histograms><HistItem/></Histograms>
<Metadata><MDI key="STATISTICS_MEAN">7</MDI></Metadata></PAMRasterBand></PAMDataset>"""


def ones(value: int = 1) -> np.ndarray:
    return np.full((4, 4), value, np.uint8)


def renewed(path: Path) -> None:
    """Other pixels under the same name, of the same size and time of change."""
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def mosaic(write_raster, tmp_path) -> Path:
    """A VRT of a VRT of a raster."""
    write_raster("tile.tif", ones())
    (tmp_path / "inner.vrt").write_text(VRT.format(source="tile.tif"))
    (tmp_path / "mosaic.vrt").write_text(VRT.format(source="inner.vrt"))
    return tmp_path / "mosaic.vrt"


# --- which files ---


def test_a_mosaic_is_all_its_sources_and_what_lies_beside_them(mosaic, tmp_path):
    (tmp_path / "tile.tif.msk").write_bytes(b"mask")
    (tmp_path / "tile.tif.aux.xml").write_text("<PAMDataset><SRS>x</SRS></PAMDataset>")
    (tmp_path / "tile.geojson").write_text("no part of it")
    found = {Path(name).name for name in files_behind([str(mosaic)])}
    assert found == {"mosaic.vrt", "inner.vrt", "tile.tif", "tile.tif.msk", "tile.tif.aux.xml"}


def test_a_vrt_of_itself_ends(tmp_path):
    (tmp_path / "a.vrt").write_text(VRT.format(source="a.vrt"))
    assert len(files_behind([str(tmp_path / "a.vrt")])) == 1


@pytest.mark.parametrize(
    ("name", "beside"),
    [
        ("a.shp", {"a.dbf", "a.SHX", "a.prj", "a.cpg"}),
        ("a.gpkg", {"a.gpkg-wal", "a.gpkg-journal"}),
        ("a.tab", {"a.dat", "a.map", "a.id"}),
    ],
)
def test_a_vector_file_is_all_its_parts(tmp_path, name, beside):
    for each in (name, *beside, "b.dbf", "a.txt"):
        (tmp_path / each).write_bytes(b"part")
    assert {Path(path).name for path in files_behind([str(tmp_path / name)])} == {name, *beside}


def test_a_folder_is_all_that_it_holds_but_locks(tmp_path):
    folder = tmp_path / "a.gdb"
    folder.mkdir()
    for name in ("a1.gdbtable", "reader.lock"):
        (folder / name).write_bytes(b"part")
    assert {Path(path).name for path in files_behind([str(folder)])} == {"a.gdb", "a1.gdbtable"}


@pytest.mark.parametrize(
    "name", ["/vsizip/{}/b.tif", "/vsizip/{{{}}}/b.tif", "/vsitar//vsigzip/{}"]
)
def test_of_a_file_in_an_archive_the_archive_counts(tmp_path, name):
    archive = tmp_path / "a.zip"
    archive.write_bytes(b"archive")
    assert local_file(name.format(archive)) == archive


@pytest.mark.parametrize(
    "name",
    [
        "/vsicurl/https://a.org/b.tif",
        "/vsizip//vsicurl/https://a.org/a.zip/b",
        "/vsimem/a",
        "s3://a/b",
    ],
)
def test_what_is_no_local_file_is_not_known(name):
    assert local_file(name) is None
    assert digest(files_behind([name])) == ""


def test_an_identity_is_plain_json(write_raster):
    found = identity(str(write_raster("a.tif", ones())))
    assert found and json.loads(json.dumps(found)) == found == found.lower()


# --- when it changes ---


def changes(path) -> dict:
    """What may happen to a raster's files, by name: each changes its identity."""
    folder = path.parent
    return {
        "touched": lambda: os.utime(path),
        "other pixels of the same time": lambda: renewed(folder / "tile.tif"),
        "a source replaced by an older one": lambda: (
            shutil.copy(folder / "tile.tif", folder / "old.tif"),
            os.utime(folder / "old.tif", (1, 1)),
            (folder / "old.tif").replace(folder / "tile.tif"),
        ),
        "a mask beside a source": lambda: shutil.copy(folder / "tile.tif", folder / "tile.tif.msk"),
        "notes": lambda: (folder / "mosaic.vrt.aux.xml").write_text(
            "<PAMDataset><GeoTransform>1,2,3,4,5,6</GeoTransform></PAMDataset>"
        ),
        "a source gone": lambda: (folder / "tile.tif").unlink(),
    }


@pytest.mark.parametrize("change", changes(Path()))
def test_a_scene_whose_files_change_is_another_and_an_error_while_it_is_read(mosaic, change):
    scene = open_scene(mosaic)
    scene.read(scene.window)
    scene.refuse_changed()
    changes(mosaic)[change]()
    with pytest.raises(SceneError, match=r"mosaic\.vrt: .*has changed while it was read") as caught:
        scene.refuse_changed()
    assert ("its file " in str(caught.value)) == (change != "touched")
    close_handles()
    with pytest.raises(SceneError, match="has changed while it was read"):
        scene.read(scene.window)  # it is opened again
    if change != "a source gone":
        again = open_scene(mosaic)
        assert again.identity != scene.identity
        again.read(again.window)


@pytest.mark.parametrize("change", ["renewed", "gone", "added", "masked"])
@pytest.mark.parametrize("name", ["sheets", "sheets/*.tif"])
def test_sheets_of_which_one_changes_are_another_scene(write_raster, tmp_path, name, change):
    (tmp_path / "sheets").mkdir()
    for number in range(2):
        place = from_origin(500_000 + 4 * number, 5_000_000, 1, 1)
        write_raster(f"sheets/{number}.tif", ones(number), transform=place)
    scene = open_scene(tmp_path / name)
    before, _ = scene.read(scene.window)
    scene.refuse_changed()
    assert open_scene(tmp_path / name).identity == scene.identity
    last = tmp_path / "sheets" / "1.tif"
    if change == "renewed":
        renewed(last)
    elif change == "gone":
        last.unlink()
    elif change == "added":
        shutil.copy(last, last.with_name("2.tif"))
    else:
        shutil.copy(last, last.with_name("1.tif.msk"))
    with pytest.raises(SceneError, match=r"sheets.*: its file .* has changed while it was read"):
        scene.refuse_changed()
    close_handles()
    with pytest.raises(SceneError, match="has changed while it was read"):
        scene.read(scene.window)
    again = open_scene(tmp_path / name)
    assert again.identity != scene.identity
    assert (again.read(again.window)[0].shape == before.shape) == (change != "gone")


@pytest.mark.parametrize("by_name", [False, True])
def test_a_tile_index_is_all_that_it_names(write_raster, write_index, by_name):
    path = write_raster("a.tif", ones())
    index = write_index([path.name if by_name else str(path)])
    scene = open_scene(index)
    assert {Path(name).name for name in scene.files} == {index.name, "a.tif"}
    renewed(path)
    with pytest.raises(SceneError, match=r"its file .*a\.tif has changed"):
        scene.refuse_changed()


def test_a_tile_index_described_by_another_file_is_both(write_raster, write_index, tmp_path):
    index = write_index([str(write_raster("a.tif", ones()))])
    (tmp_path / "town.gti").write_text(
        f"<GDALTileIndexDataset><IndexDataset>{index}</IndexDataset></GDALTileIndexDataset>"
    )
    scene = open_scene(tmp_path / "town.gti")
    assert {Path(name).name for name in scene.files} == {"town.gti", index.name, "a.tif"}


def test_a_file_replaced_is_noticed_at_the_next_window_even_where_it_is_open(write_raster):
    """The new one was opened without a word: half of a mask was of another scene."""
    scene = open_scene(write_raster("a.tif", np.ones((512, 4), np.uint8)))
    assert scene.read(Window(0, 0, 4, 4))[0].all()
    write_raster("b.tif", np.zeros((512, 4), np.uint8)).replace(scene.path)
    with pytest.raises(SceneError, match=r"a\.tif: it has changed while it was read"):
        scene.read(Window(508, 0, 4, 4))


def test_a_changed_archive_is_another(tmp_path, write_raster):
    def pack(value: int) -> None:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
            file.write(write_raster("a.tif", ones(value)), "a.tif")

    pack(1)
    scene = open_scene(f"zip://{tmp_path / 'a.zip'}!a.tif")
    assert scene.identity
    pack(2)
    with pytest.raises(SceneError, match=r"its file .*a\.zip has changed"):
        scene.refuse_changed()


def test_a_look_at_a_scene_does_not_change_it(write_raster, tmp_path):
    """Whoever opens it in a GIS may leave statistics beside it, an empty journal, or a lock."""
    path = write_raster("a.tif", ones())
    scene = open_scene(path)
    (tmp_path / "a.tif.aux.xml").write_text(STATISTICS.format(more=""))
    scene.refuse_changed()
    assert open_scene(path).identity == scene.identity
    (tmp_path / "a.tif.aux.xml").write_text(STATISTICS.format(more="<SRS>x</SRS>"))
    with pytest.raises(SceneError, match=r"a\.tif\.aux\.xml has changed"):
        scene.refuse_changed()


def test_a_scene_opened_again_is_read_as_it_is_now(mosaic, write_raster):
    """A mosaic's handle kept its old sources open."""
    assert open_scene(mosaic).read(Window(0, 0, 4, 4))[0].max() == 1
    write_raster("tile.tif", ones(2))
    assert open_scene(mosaic).read(Window(0, 0, 4, 4))[0].max() == 2


# --- labels ---


def test_labels_of_polygons_that_change_while_they_are_read_are_an_error(
    write_raster, write_vectors, monkeypatch
):
    scene = open_scene(write_raster("a.tif", ones()))
    path = write_vectors("l.gpkg", [shapely.box(499_999, 4_999_990, 500_001, 5_000_001)])
    read = vector_labels.open_vectors
    monkeypatch.setattr(
        vector_labels, "open_vectors", lambda source: (os.utime(path), read(source))[1]
    )
    with pytest.raises(LabelsError, match=r"l\.gpkg: it has changed while it was read"):
        open_labels(path, scene)


def test_raster_labels_are_compared_with_their_scene(source):
    pair = source(ones(), ones())
    refuse_changed([pair])
    os.utime(pair.labels.path)
    with pytest.raises(SceneError, match=r"scene-labels\.tif: it has changed"):
        refuse_changed([pair])

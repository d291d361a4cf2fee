"""geofcn.io.frames: GeoDataFrames and open datasets where a verb takes a file."""

from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
from shapely import box

from geofcn.errors import LabelsError, UsageError
from geofcn.io.frames import takes_frames
from geofcn.io.identity import contents, digest, files_behind

UTM = "EPSG:25832"
SQUARES = [box(500_005, 4_999_990, 500_007, 4_999_995), box(500_001, 4_999_991, 500_002, 4_999_992)]


@takes_frames("labels", "and_")
def verb(labels, and_=(), other=None):
    """A verb: what it is given, and what is in its files."""
    files = [labels, *(name for pair in and_ for name in pair)]
    vectors = [name for name in files if str(name).endswith(".fgb")]
    read = [geopandas.read_file(name) for name in vectors]
    return labels, and_, read, [digest(files_behind([name])) for name in vectors]


@pytest.fixture
def frame():
    return geopandas.GeoDataFrame({"kind": ["house", "barn"]}, geometry=SQUARES, crs=UTM)


def test_a_frame_is_a_file_for_the_time_of_the_call(frame):
    name, _, (read,), _ = verb(frame)
    assert read.crs == UTM and read["kind"].tolist() == ["house", "barn"]
    assert read.geometry.to_list() == SQUARES, "in the frame's order"
    assert not Path(name).parent.exists() and not contents


def test_an_equal_frame_is_the_same_and_another_is_not(frame):
    ids = [verb(given)[3] for given in (frame, frame.copy(), frame.iloc[::-1], frame.geometry)]
    assert ids[0] == ids[1] and all(ids[0])
    assert len({*map(tuple, ids)}) == 3


def test_frames_are_taken_in_pairs_and_paths_stay(frame):
    labels, pairs, read, _ = verb("a.gpkg", and_=[("b.tif", frame), (Path("c.tif"), "c.gpkg")])
    assert labels == "a.gpkg"
    assert pairs[0][0] == "b.tif" and pairs[1] == (Path("c.tif"), "c.gpkg")
    assert len(read) == 1


def test_the_file_goes_with_an_error(frame):
    seen = []

    @takes_frames("labels")
    def failing(labels):
        seen.append(Path(labels))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing(frame)
    assert not seen[0].exists() and not contents


def test_an_open_dataset_is_its_name(write_raster):
    path = write_raster("scene.tif", np.zeros((3, 8, 8), np.uint8))
    with rasterio.open(path) as dataset:
        assert verb(dataset)[0] == str(path)


@pytest.mark.parametrize("value", [np.zeros((2, 3, 3)), 5, b"a.tif"])
def test_what_is_no_file_is_refused_with_a_way_out(value):
    with pytest.raises(UsageError, match=r"labels: a \w+ is neither a path nor a GeoDataFrame"):
        verb(value)


def test_a_frame_that_no_file_holds_is_refused(frame):
    with pytest.raises(LabelsError, match="labels: this frame cannot be written to a file"):
        verb(frame.assign(size=[1j, 2j]))


def test_other_parameters_and_wrong_calls_are_as_they_were(frame):
    assert verb("a.gpkg", other=frame)[0] == "a.gpkg"
    with pytest.raises(TypeError, match="unexpected keyword argument 'label'"):
        verb("a.gpkg", label=frame)

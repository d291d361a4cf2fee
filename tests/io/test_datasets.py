import os
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioIOError
from rasterio.transform import from_origin

from geofcn.core.grid import Grid
from geofcn.core.windows import Window, blocks
from geofcn.errors import SceneError
from geofcn.io import datasets
from geofcn.io.datasets import DatasetCache, close_handles, identity, shared_dataset
from geofcn.io.opening import open_scene
from geofcn.io.scene import aligned

UTM = CRS.from_epsg(25832)


def ramp(bands: int, height: int, width: int) -> np.ndarray:
    values = np.arange(bands * height * width).reshape(bands, height, width)
    return (values % 60_000).astype("uint16")


def pixels_of(path, grid=None) -> np.ndarray:
    with shared_dataset(str(path), identity(str(path)), grid) as dataset:
        return dataset.read()


def sum_of(scene) -> int:
    return int(scene.read(scene.window)[0].sum())


@pytest.fixture
def cache():
    """A cache that is closed in the end."""
    cache = DatasetCache()
    yield cache
    cache.close()


# --- the cache ---


def test_a_dataset_is_opened_once(write_raster, cache):
    path = str(write_raster("a.tif", ramp(1, 4, 4)))
    first = cache.dataset(path, identity(path))
    assert cache.dataset(path, identity(path)) is first and not first.closed
    assert (first.read() == ramp(1, 4, 4)).all()


def test_the_least_recently_used_dataset_is_closed(write_raster, cache):
    paths = [str(write_raster(f"{i}.tif", ramp(1, 4, 4))) for i in range(datasets.MAX_OPEN + 1)]
    opened = [cache.dataset(path, identity(path)) for path in paths[:-1]]
    cache.dataset(paths[0], identity(paths[0]))
    cache.dataset(paths[-1], identity(paths[-1]))
    assert [dataset.closed for dataset in opened] == [False, True, *[False] * (len(opened) - 2)]
    assert len(cache.open) == datasets.MAX_OPEN
    assert not cache.dataset(paths[1], identity(paths[1])).closed, "it is opened again"


def test_a_closed_cache_opens_anew(write_raster, cache):
    path = str(write_raster("a.tif", ramp(1, 4, 4)))
    first = cache.dataset(path, identity(path))
    cache.close()
    cache.close()
    assert first.closed and not cache.open
    assert (cache.dataset(path, identity(path)).read() == ramp(1, 4, 4)).all()


def test_a_raster_on_another_grid_is_another_dataset(write_raster, cache):
    path = str(write_raster("a.tif", ramp(1, 4, 4)))
    grid = Grid(3, 2, UTM, from_origin(500_000.2, 5_000_000, 0.2, 0.2))
    moved = cache.dataset(path, identity(path), grid)
    assert (moved.height, moved.width, moved.transform) == (3, 2, grid.transform)
    assert moved.count == 2 and moved.colorinterp[1] == ColorInterp.alpha
    assert (moved.read(1) == ramp(1, 4, 4)[0, :3, 1:3]).all()
    assert (moved.read(2) != 0).all()
    assert len(cache.open) == 2
    assert cache.dataset(path, identity(path), Grid(3, 2, UTM, grid.transform)) is moved


def test_an_alpha_band_of_its_own_is_not_doubled(write_raster, cache):
    path = write_raster("a.tif", ramp(2, 4, 4), colours=[ColorInterp.gray, ColorInterp.alpha])
    grid = Grid(4, 4, UTM, from_origin(500_000.2, 5_000_000, 0.2, 0.2))
    assert cache.dataset(str(path), identity(str(path)), grid).count == 2


def test_a_raster_without_crs_is_taken_to_be_in_the_grids(write_raster, cache):
    path = str(write_raster("a.tif", ramp(1, 4, 4), crs=None))
    grid = Grid(4, 4, UTM, from_origin(500_000.2, 5_000_000, 0.2, 0.2))
    assert (
        cache.dataset(path, identity(path), grid).read(1)[:, :3] == ramp(1, 4, 4)[0, :, 1:]
    ).all()


# --- one reader at a time ---


def is_free(lock) -> bool:
    """Whether another thread could take a lock."""

    def try_it() -> bool:
        taken = lock.acquire(blocking=False)
        if taken:
            lock.release()
        return taken

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(try_it).result()


def test_nobody_else_reads_within_the_block(write_raster):
    path = str(write_raster("a.tif", ramp(1, 4, 4)))
    lock = datasets._cache().lock
    with shared_dataset(path, identity(path)):
        assert not is_free(lock)
    assert is_free(lock)


def test_the_lock_is_released_after_an_error(tmp_path, write_raster):
    path = str(write_raster("a.tif", ramp(1, 4, 4)))
    with pytest.raises(RasterioIOError), shared_dataset(str(tmp_path / "none.tif"), ""):
        pass
    with pytest.raises(ZeroDivisionError), shared_dataset(path, identity(path)):
        raise ZeroDivisionError
    assert is_free(datasets._cache().lock)


def test_threads_take_turns_with_the_caches_and_keep_theirs(monkeypatch):
    caches = [DatasetCache(), DatasetCache()]
    monkeypatch.setattr(datasets, "_caches", caches)
    taken = []
    for _ in range(4):
        own = []
        thread = threading.Thread(
            target=lambda own=own: own.extend([datasets._cache(), datasets._cache()])
        )
        thread.start()
        thread.join()
        assert own[0] is own[1]
        taken.append(own[0])
    assert taken[0] is taken[2] and taken[1] is taken[3] and taken[0] is not taken[1]


def test_many_threads_read_the_right_pixels(write_raster):
    image = ramp(3, 256, 256)
    path = write_raster(
        "a.tif", image, tiled=True, blockxsize=32, blockysize=32, compress="deflate"
    )
    scene = open_scene(path)
    windows = list(blocks(scene.window, 40)) * 6

    def is_right(window: Window) -> bool:
        return (scene.read(window)[0] == image[:, *window.slices]).all()

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(is_right, windows))


def test_a_forked_process_opens_its_own_handle(write_raster):
    image = ramp(1, 64, 64)
    scene = open_scene(write_raster("a.tif", image, tiled=True, blockxsize=16, blockysize=16))
    scene.read(Window(0, 0, 16, 16))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        right = (scene.read(scene.window)[0] == image).all()
        os.write(writer, b"1" if right else b"0")
        os._exit(0)
    assert (scene.read(scene.window)[0] == image).all()
    os.waitpid(child, 0)
    assert os.read(reader, 1) == b"1"


def test_more_scenes_than_handles_are_kept(write_raster):
    images = [np.full((1, 4, 4), i, np.uint8) for i in range(12)]
    scenes = [open_scene(write_raster(f"{i}.tif", image)) for i, image in enumerate(images)]
    for _ in range(2):
        assert [sum_of(scene) for scene in scenes] == [16 * i for i in range(12)]
    assert len(datasets._cache().open) <= datasets.MAX_OPEN


def test_an_aligned_scene_outlives_the_handle_of_its_source(write_raster):
    image = ramp(1, 600, 600)
    target = open_scene(write_raster("target.tif", image))
    moved = write_raster("moved.tif", image, transform=from_origin(500_000.8, 5_000_000, 0.2, 0.2),
                         tiled=True, blockxsize=64, blockysize=64, compress="deflate")  # fmt: skip
    source = aligned(open_scene(moved), target)
    others = [open_scene(write_raster(f"{i}.tif", ramp(1, 4, 4))) for i in range(9)]
    for row in range(0, 600, 100):
        window = Window(row, 100, 100, 90)
        pixels, valid = source.read(window)
        assert valid.all() and (pixels == image[:, row : row + 100, 96:186]).all()
        for other in others[:7]:
            other.read(other.window)


def test_a_file_that_is_replaced_is_opened_anew(write_raster):
    path = write_raster("a.tif", np.full((4, 4), 1, np.uint8))
    assert sum_of(open_scene(path)) == 16
    path = write_raster("a.tif", np.full((4, 5), 2, np.uint8))
    scene = open_scene(path)
    assert scene.width == 5 and sum_of(scene) == 40


def test_handles_can_be_closed_and_come_back(write_raster):
    scene = open_scene(write_raster("a.tif", np.ones((4, 4), np.uint8)))
    close_handles()
    close_handles()
    assert sum_of(scene) == 16


# --- what is opened ---


def test_a_raster_without_georeference_is_opened_without_a_warning(write_raster):
    path = write_raster("plain.tif", ramp(1, 4, 4), crs=None, transform=None)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (pixels_of(path) == ramp(1, 4, 4)).all()


VRT = """<VRTDataset rasterXSize="{width}" rasterYSize="{height}">
<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">
<SourceFilename relativeToVRT="0">{source}</SourceFilename>
<ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>{width}</LineOffset>
</VRTRasterBand></VRTDataset>"""


@pytest.mark.parametrize("name", ["sly.tif", "sly.tiff", "sly.png", "sly.dat", "sly"])
def test_a_vrt_under_another_name_reads_no_other_file(tmp_path, name):
    secret = tmp_path / "secret.txt"
    secret.write_text("do not read me")
    path = tmp_path / name
    path.write_text(VRT.format(width=14, height=1, source=secret))
    with pytest.raises(SceneError, match=r"VRT|cannot be opened"):
        open_scene(path)


def test_a_vrt_that_takes_the_place_of_a_raster_is_told_once_and_as_it_is(tmp_path):
    path = tmp_path / "a.img"
    profile = {"driver": "HFA", "height": 1, "width": 14, "count": 1, "dtype": "uint8"}
    profile |= {"crs": "EPSG:25832", "transform": from_origin(0, 1, 1, 1)}
    with rasterio.open(path, "w", **profile) as file:
        file.write(np.ones((1, 1, 14), np.uint8))
    scene = open_scene(path)
    path.write_text(VRT.format(width=14, height=1, source=path))
    with pytest.raises(SceneError, match=r"a\.img: it has changed while it was read; "):
        scene.read(scene.window)
    with pytest.raises(SceneError) as caught:
        open_scene(path)
    assert str(caught.value) == (
        f"{path}: this is a VRT under another name; rename it to end in .vrt."
    )
    assert caught.value.__cause__ is None


def test_a_raster_that_is_looked_at_is_opened_once(write_raster, monkeypatch):
    """Of a mosaic each opening takes a look at every source."""
    path, opened = str(write_raster("a.tif", np.ones((4, 4), np.uint8))), []
    open_dataset = datasets._open
    monkeypatch.setattr(datasets, "_open", lambda p: (opened.append(p), open_dataset(p))[1])
    scene = open_scene(path)
    scene.read(scene.window)
    assert opened == [path]
    assert open_scene(path).identity == scene.identity

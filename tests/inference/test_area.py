"""geofcn.inference.area: an inference of an area alone has the pixels and houses of the whole."""

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cloudpickle
import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.features import rasterize

import geofcn
from geofcn import executors
from geofcn.core.calibration import Calibration, expected_share
from geofcn.core.windows import Window, blocks
from geofcn.errors import LabelsError, UsageError
from geofcn.inference import area as area_module
from geofcn.inference import schedule
from geofcn.inference.area import HousesOfArea, open_area
from geofcn.inference.job import Job, run_task
from geofcn.inference.schedule import Task
from geofcn.io.opening import open_scene
from geofcn.io.scene import Scene
from geofcn.models.model_file import save_model
from geofcn.models.predictor import Predictor
from geofcn.progress import silent
from geofcn.tracing.sweep import Polygons, Sweep

UTM = 25832
SIDE = 16
HEIGHT, WIDTH = 75, 101
CALIBRATION = Calibration(1.5, -0.5, 0.2)


def on_map(scene: Path, *polygons: shapely.Polygon) -> list[shapely.Polygon]:
    """Polygons in pixels (column, row) of a scene, in its CRS."""
    with rasterio.open(scene) as raster:
        transform = raster.transform
    return [
        shapely.transform(polygon, lambda points: np.column_stack(transform * points.T))
        for polygon in polygons
    ]


def on_pixels(polygons, inverse: Affine) -> list[shapely.Polygon]:
    """Polygons on the map in pixels (column, row)."""
    return [
        shapely.transform(polygon, lambda points: np.column_stack(inverse * points.T))
        for polygon in polygons
    ]


# --- which pixels, which windows ---


@pytest.fixture
def scene(write_raster) -> Path:
    return write_raster("blank.tif", np.ones((3, 40, 60), np.uint8))


@pytest.fixture
def area(scene, write_vectors):
    """area(*polygons in pixels) -> Area of the scene."""

    def make(*polygons):
        path = write_vectors("area.gpkg", on_map(scene, *polygons))
        return open_area(open_scene(scene), path, None, None)

    return make


def test_outputs_cover_the_pixels_whose_centres_lie_in_the_area(area):
    made = area(shapely.box(3.6, 2.2, 7.4, 5.6))
    assert made.extent == Window(row=2, col=4, height=4, width=3)
    inside = made.inside(Window(0, 0, 40, 60))
    assert inside[2:6, 4:7].all() and inside.sum() == 12


def test_what_lies_beside_the_scene_is_cut_off(area):
    assert area(shapely.box(-9, 30, 5, 99)).extent == Window(30, 0, 10, 5)


def test_a_triangle_is_blank_beside_itself_in_arrays_of_any_kind(area):
    made = area(shapely.Polygon([(8, 8), (12, 8), (8, 12)]))
    shape = (16, 16)
    arrays = {
        "mask": np.ones(shape, np.uint8),
        "probability": np.ones(shape, np.float32),
        "contacts": np.ones(shape, bool),
    }
    part, pixels = made.cut(Window(0, 0, *shape), arrays)
    assert part == Window(8, 8, 4, 4)
    inside = made.inside(part)
    assert 6 <= inside.sum() <= 10 and inside[0, :3].all() and not inside[3, 1:].any()
    assert (pixels["mask"] == np.where(inside, 1, 255)).all()
    assert (np.isnan(pixels["probability"]) == ~inside).all()
    assert (pixels["contacts"] == inside).all()
    assert (arrays["mask"] == 1).all(), "they are cut from a copy"
    assert not made.cut(Window(20, 0, *shape), arrays)[0].pixels


def test_wanted_are_compute_windows_that_touch_a_polygon(area):
    made = area(shapely.box(17, 1, 30, 7), shapely.box(49, 33, 50, 34))
    assert made.computed(Window(0, 0, 40, 60), SIDE) == Window(0, 16, 40, 44)
    task = made.thinned(Task(0, Window(0, 16, 40, 44)), SIDE)
    wanted = {str(part) for part in blocks(task.window, SIDE)} - set(map(str, task.blank))
    assert wanted == {str(Window(0, 16, 16, 16)), str(Window(32, 48, 8, 12))}


def test_polygons_want_a_margin_of_so_many_metres(area, scene):
    made = area(shapely.box(17, 1, 30, 7)).reaching(open_scene(scene))
    assert made.reach == pytest.approx(area_module.REACH / 0.2, rel=0.001)
    assert made.computed(Window(0, 0, 40, 60), SIDE) == Window(0, 0, 40, 60)


def test_a_pixel_is_held_as_it_is_burned_also_on_the_edge(area, monkeypatch):
    monkeypatch.setattr(area_module, "LOOKED_UP", 8)
    made = area(shapely.box(3.5, 2.5, 30.5, 20.5), shapely.Polygon([(40, 3), (55, 11), (38, 35)]))
    rows, cols = np.indices((40, 60)).reshape(2, -1)
    held = made.holds(np.column_stack([cols, rows]))
    assert (held == made.inside(Window(0, 0, 40, 60)).ravel()).all() and held.any()


def test_a_file_of_another_crs_and_bounds_mean_the_same(scene, write_vectors):
    box = on_map(scene, shapely.box(10, 10, 30, 20))
    degrees = geopandas.GeoSeries(box, crs=UTM).to_crs(4326)
    file = write_vectors("area.geojson", degrees, "EPSG:4326")
    open_part = partial(open_area, open_scene(scene))
    of_file, of_bounds = open_part(file, None, None), open_part(None, box[0].bounds, None)
    assert of_bounds.extent == Window(10, 10, 10, 20)
    assert np.abs(np.subtract(of_file.extent.ranges, of_bounds.extent.ranges)).max() <= 1


# --- houses ---


def choose(area, houses: np.ndarray) -> tuple[list[bool], HousesOfArea]:
    """Which of the houses of a scene begin in an area; only what is computed is traced."""
    scene = Window(0, 0, *houses.shape)
    part = area.computed(scene, 10)
    sweep = Sweep(part.width)
    traced = Polygons.concatenate([sweep.push(houses[part.slices]), sweep.finish()])
    chosen = HousesOfArea(area, scene, 10)
    return chosen(traced.moved(part.row, part.col)).tolist(), chosen


def test_a_house_begins_at_its_topmost_then_leftmost_pixel(area):
    houses = np.zeros((40, 60), bool)
    houses[4:8, 4:8] = True  # begins above the area
    houses[6:9, 20:24] = True  # begins in it
    houses[6:9, 32:34], houses[7:9, 28:32] = True, True  # does, though it reaches out to the left
    begins, _ = choose(area(shapely.box(0, 5, 24, 9), shapely.box(31, 5, 35, 9)), houses)
    assert begins == [False, True, True]


def test_a_house_that_goes_on_where_nothing_is_computed_is_told(area, caplog):
    """Compute windows of 10 pixels: rows 0 to 9 and columns 20 to 39 are computed."""
    houses = np.zeros((40, 60), bool)
    houses[0:9, 21:25] = True  # at the scene's edge: whole
    houses[3:10, 27:30] = True
    houses[2:5, 31:40] = True
    begins, chosen = choose(area(shapely.box(21, 0, 39, 9)), houses)
    chosen.say_cut()
    assert begins == [True, True, True]
    assert "2 house(s) that begin in the area reach" in caplog.text
    caplog.clear()
    _, chosen = choose(area(shapely.box(21, 0, 49, 19)), houses)
    chosen.say_cut()
    assert not caplog.text, "the windows below and on the right are computed now"


# --- what is refused ---


def test_what_is_no_area_is_refused_in_one_sentence(scene, write_vectors, write_raster):
    opened = open_scene(scene)
    far = write_vectors("far.gpkg", on_map(scene, shapely.box(900, 0, 990, 9)))
    thin = write_vectors("thin.gpkg", on_map(scene, shapely.box(3.6, 2, 4.4, 20)))
    with pytest.raises(LabelsError, match=r"far\.gpkg: none of its 1 polygons lies on blank\.tif"):
        open_area(opened, far, None, None)
    with pytest.raises(LabelsError, match=r"thin\.gpkg: no pixel of blank\.tif lies there"):
        open_area(opened, thin, None, None)
    with pytest.raises(LabelsError, match="as polygons, not as a raster"):
        open_area(opened, scene, None, None)
    with pytest.raises(LabelsError, match=r"bounds 1 2 3 4: no pixel of blank\.tif"):
        open_area(opened, None, (1, 2, 3, 4), None)
    with pytest.raises(UsageError, match="give one of them"):
        open_area(opened, far, (1, 2, 3, 4), None)
    with pytest.raises(UsageError, match="bounds_crs: it belongs to bounds"):
        open_area(opened, None, None, "EPSG:4326")


# --- a whole inference ---


@dataclass
class Whole:
    """A scene with what an inference of all of it gave."""

    scene: Path
    model: Path
    mask: np.ndarray
    probability: np.ndarray
    houses: geopandas.GeoDataFrame


OPTIONS = {"compute_window": SIDE, "outline": "raw", "min_area": 0, "threshold": "model"}


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read(1)


def read_houses(path: Path) -> geopandas.GeoDataFrame:
    return geopandas.read_file(path, layer="houses")


@pytest.fixture
def whole(tmp_path, write_raster, make_model) -> Whole:
    random = np.random.default_rng(0)
    patches = np.kron(random.integers(0, 200, (15, 20)), np.ones((6, 6)))[:HEIGHT, :WIDTH]
    image = patches + random.integers(0, 20, (3, HEIGHT, WIDTH))
    scene, model = write_raster("scene.tif", image.astype(np.uint8)), tmp_path / "m.safetensors"
    save_model(make_model("fcnn2", seed=2, threshold=0.6, calibration=CALIBRATION), model)
    paths = [tmp_path / name for name in ("all.tif", "all-p.tif", "all.gpkg")]
    geofcn.infer(
        scene, paths[0], model=model, probability=paths[1], polygons=paths[2], **OPTIONS
    )  # fmt: skip
    return Whole(scene, model, read(paths[0]), read(paths[1]), read_houses(paths[2]))


AREAS = (
    [shapely.Polygon([(17.3, 20.2), (60.7, 25.1), (38.2, 70.8)]), shapely.box(80, 3, 97, 12)],
    [shapely.box(33, 17, 64, 47)],
)


@pytest.mark.parametrize("polygons", AREAS)
def test_pixels_and_houses_are_those_of_the_whole_scene(
    whole, polygons, tmp_path, write_vectors, caplog
):
    file = write_vectors("area.gpkg", on_map(whole.scene, *polygons))
    result = geofcn.infer(
        whole.scene, tmp_path / "m.tif", model=whole.model, probability=tmp_path / "p.tif",
        polygons=tmp_path / "h.gpkg", area=file, verify=2, **OPTIONS,
    )  # fmt: skip
    burned = rasterize(polygons, (HEIGHT, WIDTH)) > 0
    left, top, right, bottom = np.rint(shapely.total_bounds(polygons)).astype(int)
    extent = np.s_[top:bottom, left:right]
    expected = np.where(burned, whole.mask, 255)[extent]
    assert (read(tmp_path / "m.tif") == expected).all() and set(np.unique(expected)) >= {0, 1}
    assert (read(tmp_path / "p.tif") == np.where(burned, whole.probability, 255)[extent]).all()
    with rasterio.open(tmp_path / "m.tif") as mask, rasterio.open(whole.scene) as scene:
        assert mask.transform.almost_equals(scene.transform * Affine.translation(left, top), 1e-6)
        assert mask.tags()["GEOFCN_AREA"] == "area.gpkg"
        inverse = ~scene.transform
    starts = np.array(
        [
            np.floor(np.add(inverse * shape.exterior.coords[0], 1e-6))
            for shape in whole.houses.geometry
        ]
    ).astype(int)
    begins = burned[starts[:, 1], starts[:, 0]]
    houses = read_houses(tmp_path / "h.gpkg")
    same = ["area_m2", "perimeter_m", "score", "n_px", "status", "geometry"]
    assert houses[same].equals(whole.houses[begins].reset_index(drop=True)[same])
    assert result.count == begins.sum() > 3 and result.pixels == expected.size
    assert (begins & (whole.houses.n_px > 9)).any(), "houses of more than a few pixels"
    beyond = rasterize(on_pixels(houses.geometry, inverse), (HEIGHT, WIDTH)) > burned
    assert beyond.any(), "houses go on beyond the area"
    assert 0 < result.verification.pixels <= burned.sum() and not result.verification.differing
    assert "cut" not in caplog.text


def test_the_threshold_of_an_area_is_found_from_its_pixels(whole, tmp_path):
    """As of a scene that holds nothing else."""
    (box,) = on_map(whole.scene, shapely.box(33, 17, 64, 47))
    options = {"model": whole.model} | OPTIONS | {"threshold": "scene"}
    of_all = geofcn.infer(whole.scene, tmp_path / "m.tif", **options)
    of_area = geofcn.infer(whole.scene, tmp_path / "a.tif", bounds=box.bounds, **options)
    steps = whole.probability[17:47, 33:64]
    histogram = np.bincount(steps.ravel(), minlength=255)
    share = expected_share(histogram, CALIBRATION)
    assert of_area.scene_threshold.share == share != of_all.scene_threshold.share


def test_tiles_and_threads_give_the_same_bytes(whole, tmp_path, write_vectors, monkeypatch):
    file = write_vectors("area.gpkg", on_map(whole.scene, *AREAS[0]))
    contents = set()
    for tile, threads in ((1, 1), (999, 3)):
        folder = tmp_path / str(tile)
        folder.mkdir()
        monkeypatch.setattr(executors, "cores", lambda threads=threads: threads)
        geofcn.infer(
            whole.scene, folder / "m.tif", polygons=folder / "h.geojson", model=whole.model,
            area=file, tile=tile, **OPTIONS,
        )  # fmt: skip
        contents.add(tuple(path.read_bytes() for path in sorted(folder.iterdir())))
    assert len(contents) == 1


@pytest.mark.parametrize("rasters", [("m.tif",), ()])
def test_what_is_interrupted_goes_on_and_says_what_it_keeps(whole, tmp_path, monkeypatch, rasters):
    """Two of four blocks stand; of polygons alone the work lies beside them."""
    monkeypatch.setattr(schedule, "BLOCK_PIXELS", 1)
    monkeypatch.setattr(executors, "cores", lambda: 1)
    monkeypatch.setattr(area_module, "REACH", 1)
    (box,) = on_map(whole.scene, shapely.box(38, 38, 58, 58))
    predict = Predictor.window

    def infer(folder: Path, progress=silent) -> dict[str, bytes]:
        folder.mkdir(exist_ok=True)
        geofcn.infer(
            whole.scene, *(folder / name for name in rasters), polygons=folder / "h.geojson",
            model=whole.model, bounds=box.bounds, progress=progress, **OPTIONS,
        )  # fmt: skip
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    class Stopping:
        advanced = 0

        def advance(self, amount, **figures):
            self.advanced += 1
            if self.advanced == 2:
                raise KeyboardInterrupt

    expected, windows = infer(tmp_path / "once"), []
    with pytest.raises(KeyboardInterrupt) as stopped:
        infer(tmp_path / "twice", lambda *_: nullcontext(Stopping()))
    assert stopped.value.__notes__ == ["2 of 4 blocks are kept"]
    (work,) = (tmp_path / "twice").iterdir()
    assert work.name == f".{[*rasters, 'h.geojson'][0]}.work"
    monkeypatch.setattr(
        Predictor, "window", lambda *about: windows.append(about[2]) or predict(*about)
    )
    assert infer(tmp_path / "twice") == expected
    assert len(windows) == 2


def test_a_worker_needs_no_file_of_the_area(area, scene, make_model):
    """It is told by its task which windows are wanted."""
    made = area(shapely.box(17, 1, 30, 7), shapely.box(49, 33, 50, 34))
    job = Job(open_scene(scene), make_model("fcnn2"), 0.5, "uint8", True, SIDE, area=made)
    task = made.thinned(Task(0, job.layout.extent), SIDE)
    Path(made.polygons.path).unlink()
    sent, sent_task = cloudpickle.loads(cloudpickle.dumps((job, task)))
    pixels = run_task(sent, sent_task)
    assert (pixels["mask"][:16, :16] != 255).all() and (pixels["mask"][:16, 16:] == 255).all()


def test_of_a_huge_scene_only_the_area_is_read(whole, tmp_path, monkeypatch):
    side, far = 1_000_000, 800_000
    scene = tmp_path / "huge.vrt"
    with rasterio.open(whole.scene) as small:
        place = small.transform.to_gdal()
        source = "".join(
            f'<VRTRasterBand dataType="Byte" band="{band}"><ColorInterp>{colour}</ColorInterp>'
            f'<SimpleSource><SourceFilename relativeToVRT="1">scene.tif</SourceFilename>'
            f"<SourceBand>{band}</SourceBand>"
            f'<SrcRect xOff="0" yOff="0" xSize="{WIDTH}" ySize="{HEIGHT}"/>'
            f'<DstRect xOff="{far}" yOff="{far}" xSize="{WIDTH}" ySize="{HEIGHT}"/>'
            "</SimpleSource></VRTRasterBand>"
            for band, colour in enumerate(("Red", "Green", "Blue"), start=1)
        )
        scene.write_text(
            f'<VRTDataset rasterXSize="{side}" rasterYSize="{side}"><SRS>EPSG:{UTM}</SRS>'
            f"<GeoTransform>{', '.join(map(str, place))}</GeoTransform>{source}</VRTDataset>"
        )
    (box,) = on_map(scene, shapely.box(far + 8, far + 8, far + 40, far + 40))
    windows, read_window = [], Scene.read
    monkeypatch.setattr(
        Scene, "read", lambda self, window: windows.append(window) or read_window(self, window)
    )
    monkeypatch.setattr(area_module, "REACH", 2)
    geofcn.infer(
        scene, tmp_path / "m.tif", polygons=tmp_path / "h.gpkg", model=whole.model,
        bounds=box.bounds, nodata=0, **OPTIONS,
    )  # fmt: skip
    assert read(tmp_path / "m.tif").shape == (32, 32)
    inner = np.s_[16:32, 16:32]  # the scene's edge changes what a net sees near it
    assert (read(tmp_path / "m.tif")[inner] == whole.mask[24:40, 24:40]).all()
    assert sum(window.pixels for window in windows) < 300_000

"""What several test modules share: the real scenes, and makers of tiny ones."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import torch
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, settings
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin
from shapely import box

from geofcn.core.contacts import Contacts
from geofcn.core.pixels import Normalisation
from geofcn.io import files
from geofcn.io.datasets import close_handles
from geofcn.io.labels import open_labelled_scene
from geofcn.models.model import Model, ModelMetadata
from geofcn.models.nets import make_net
from geofcn_cli.main import main

# Machines are shared and slow: no deadlines. Files made by a test's fixture are never changed by
# its examples. CI draws the same examples every time.
settings.register_profile(
    "geofcn",
    deadline=None,
    database=None,
    derandomize=os.environ.get("CI") == "true",
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("geofcn")

# Nets are tiny here: threads that wait for each other cost more than they bring.
torch.set_num_threads(1)

# Files of tests that take minutes: they come first, so that no process has one alone at the end.
LONG = ("test_memory.py", "test_fuzz.py", "test_packaging.py", "test_restart.py", "test_infer.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONG)


UTM = "EPSG:25832"
TRANSFORM = from_origin(500_000, 5_000_000, 0.2, 0.2)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real scenes beside the repository; skips where it is missing, fails in CI."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        reason = f"no real scenes in {folder}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return folder


@pytest.fixture(autouse=True)
def _no_open_handles():
    """Each test closes the datasets it left open in this thread."""
    yield
    close_handles()


@pytest.fixture
def write_raster(tmp_path):
    """write_raster(name, array, **profile) -> Path: a small GeoTIFF in UTM zone 32N at 0.2 m.

    `array` is (rows, columns) or (bands, rows, columns); `colours` names the bands.
    """

    def write(name: str, array: np.ndarray, *, colours=None, **profile) -> Path:
        array = array[None] if array.ndim == 2 else array
        count, height, width = array.shape
        settled = {
            "driver": "GTiff",
            "count": count,
            "height": height,
            "width": width,
            "dtype": array.dtype,
            "crs": UTM,
            "transform": TRANSFORM,
            # Told, not guessed from the number of bands: else GDAL takes a fourth one for alpha.
            "photometric": "rgb" if count == 3 else "minisblack",
            **profile,
        }
        path = tmp_path / name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path, "w", **settled) as file:
                if colours:
                    file.colorinterp = colours
                file.write(array)
        return path

    return write


@pytest.fixture
def write_vectors(tmp_path):
    """write_vectors(name, geometries, crs=UTM) -> Path: a file of one layer, `houses`."""

    def write(name: str, geometries, crs: str | None = UTM) -> Path:
        path = tmp_path / name
        frame = geopandas.GeoDataFrame(geometry=list(geometries), crs=crs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a file without CRS is made on purpose
            frame.to_file(path, layer="houses" if path.suffix == ".gpkg" else None)
        return path

    return write


@pytest.fixture
def write_index(tmp_path):
    """write_index(locations) -> Path: a GDAL tile index of rasters that write_raster wrote."""

    def write(locations) -> Path:
        path = tmp_path / "tiles.gti.gpkg"
        outlines = []
        for location in locations:
            with rasterio.open(tmp_path / location) as file:
                outlines.append(box(*file.bounds))
        frame = geopandas.GeoDataFrame({"location": locations}, geometry=outlines, crs=UTM)
        frame.to_file(path, layer="tiles")
        return path

    return write


@pytest.fixture
def village(write_raster):
    """village(size=64, seed=0) -> (scene path, labels path): bright houses on a dim texture."""

    def make(size: int = 64, seed: int = 0, name: str = "village") -> tuple[Path, Path]:
        random = np.random.default_rng(seed)
        labels = np.zeros((size, size), np.uint8)
        for row in range(4, size - 12, 24):
            for col in range(4, size - 12, 20):
                labels[row : row + 8, col : col + 10] = 1
        image = random.integers(20, 90, (3, size, size))
        image += labels * np.array([140, 90, 70])[:, None, None]
        scene = write_raster(f"{name}.tif", image.astype(np.uint8))
        return scene, write_raster(f"{name}-labels.tif", labels)

    return make


@pytest.fixture
def make_model():
    """make_model(net, bands, ...) -> Model: untrained, with weights drawn from `seed`."""

    def make(
        net: str = "fcnn",
        bands: int = 3,
        scale: int = 1,
        *,
        upsample: str = "nearest",
        normalisation: Normalisation | None = None,
        seed: int = 0,
        contacts: Contacts | None = None,
        **metadata,
    ) -> Model:
        colours = ("red", "green", "blue", "nir", "undefined")[:bands]
        settled = {"colours": colours, "dtype": "uint8", **metadata}
        if normalisation is None:
            normalisation = Normalisation(
                np.full((bands, 1, 1), 100, np.float32), np.full(bands, 50, np.float32)
            )
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            made = make_net(net, bands, scale, upsample, contacts is not None).eval()
        about = ModelMetadata(net=net, scale=scale, upsample=upsample, contacts=contacts, **settled)
        return Model(made, normalisation, about)

    return make


@pytest.fixture
def source(write_raster):
    """source(image, labels, nodata, ...) -> LabelledScene: raster labels on the scene's grid."""

    def make(image, labels, nodata=None, labels_nodata=None, name="scene"):
        return open_labelled_scene(
            write_raster(f"{name}.tif", image, nodata=nodata),
            write_raster(f"{name}-labels.tif", labels, nodata=labels_nodata),
        )

    return make


@pytest.fixture
def once_under_way():
    """once_under_way(action) -> Progress: `action()` is called when the first step advances."""

    def make(action):
        waiting = [action]

        class Bar:
            def advance(self, amount, **figures):
                while waiting:
                    waiting.pop()()

        return lambda what, total, unit: nullcontext(Bar())

    return make


@pytest.fixture
def killed_while_publishing(monkeypatch):
    """killed_while_publishing(position, action): as if the process had been killed in `action`,
    before so many files that belong together have got their names; nothing is tidied up.
    """

    class Killed(BaseException):
        pass

    def run(position: int, action) -> None:
        moved, replace = [], Path.replace

        def kill(path, target):
            if path.parent.suffix == ".partial" != target.parent.suffix:
                if len(moved) == position:
                    raise Killed
                moved.append(target)
            return replace(path, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", kill)
            patch.setattr(files, "_take_back", lambda folder: None)
            patch.setattr(files, "discard", lambda partial: None)
            with pytest.raises(Killed):
                action()

    return run


@contextmanager
def _log_as_it_was() -> Iterator[None]:
    """Undo what a command sets up for its process, which is this one's: tests look into the log."""
    log = logging.getLogger("geofcn")
    handlers, propagate, level = log.handlers, log.propagate, log.level
    try:
        yield
    finally:
        log.handlers, log.propagate = handlers, propagate
        log.setLevel(level)


@pytest.fixture(scope="session")
def geofcn_command():
    """geofcn_command(*args) -> click.testing.Result of the command line, run in this process."""

    def run(*args, code: int = 0) -> Result:
        with _log_as_it_was():
            result = CliRunner().invoke(main, [str(arg) for arg in args])
        assert result.exit_code == code, f"{result.output}\n{result.exception!r}"
        assert "Traceback" not in result.output
        return result

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory, geofcn_command) -> Path:
    """A folder with a sample scene, its labels and a run of a few epochs, made by the commands."""
    folder = tmp_path_factory.mktemp("trained")
    geofcn_command("sample", folder, "--size", 512)
    geofcn_command(
        "train", folder / "scene.tif", folder / "labels.tif", "-o", folder / "run",
        "--scale", 2, "--tile", 128, "--epochs", 6, "--validate-fraction", 0.1,
    )  # fmt: skip
    return folder

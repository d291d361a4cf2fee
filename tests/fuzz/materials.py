"""Sound files of every kind, small, that belong together: what is made odd afterwards."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import rasterio.shutil
import runner
import shapely
import torch
from rasterio.transform import from_origin

from geofcn.core.pixels import Normalisation
from geofcn.models.model import Model, ModelMetadata
from geofcn.models.model_file import save_model
from geofcn.models.nets import make_net

SIZE = 64
CRS = "EPSG:25832"
TRANSFORM = from_origin(500_000, 5_000_000, 0.5, 0.5)
TRAIN = (
    "--net", "fcnn", "--scale", "1", "--tile", "32", "--augment", "none", "--validate-fraction",
    "0", "--patience", "0", "-q",
)  # fmt: skip


@contextmanager
def workplace(keep: Path | None = None) -> Iterator[Path]:
    """A folder with `materials` in it: `keep`, or one that goes with the block."""
    runner.warm_up()
    place = keep or Path(tempfile.mkdtemp(prefix="geofcn-fuzz-"))
    place.mkdir(exist_ok=True)
    make(place / "materials")
    try:
        yield place
    finally:
        if not keep:
            shutil.rmtree(place)


def make(folder: Path) -> None:
    """Write scene, labels, masks, vectors, a model and a finished run into a folder."""
    folder.mkdir()
    failed = runner.in_child(lambda: _files(folder))
    assert failed is None, failed
    trained = runner.run(
        ["train", folder / "scene.tif", folder / "labels.tif", "-o", folder / "run", *TRAIN,
         "--epochs", "1"]
    )  # fmt: skip
    assert trained.code == 0, trained.stderr


def _files(folder: Path) -> None:
    random = np.random.default_rng(5)
    houses = np.zeros((SIZE, SIZE), np.uint8)
    corners = [(r, c) for r in range(3, SIZE - 12, 14) for c in range(2, SIZE - 12, 15)]
    for row, col in corners:
        houses[row : row + 8, col : col + 9] = 1
    image = random.integers(20, 90, (3, SIZE, SIZE), np.uint8)
    image += houses * np.array([140, 90, 70], np.uint8)[:, None, None]
    image[:, :5, -9:] = 0
    _raster(folder / "scene.tif", image, nodata=0)
    _raster(folder / "plain.tif", image, compress=None, tiled=False, nodata=None)
    _raster(folder / "labels.tif", houses[None])
    mask = np.roll(houses, 1, axis=1)
    mask[-4:, :10] = 255
    _raster(folder / "mask.tif", mask[None], nodata=255)
    rasterio.shutil.copy(folder / "scene.tif", folder / "scene.vrt", driver="VRT")
    shapes = [
        shapely.box(*(TRANSFORM * (col, row + 8)), *(TRANSFORM * (col + 9, row)))
        for row, col in corners
    ]
    shapes[0] = shapely.union(shapes[0], shapes[1])
    frame = geopandas.GeoDataFrame(
        {"score": np.linspace(0, 1, len(shapes) - 1)}, geometry=shapes[:1] + shapes[2:], crs=CRS
    )
    for name in ("labels.geojson", "labels.gpkg", "labels.shp"):
        frame.to_file(folder / name)
    # Of the tiles that a net sees, half: so that there are houses and none.
    torch.manual_seed(3)
    normalisation = Normalisation(
        np.full((3, 1, 1), 80, np.float32), np.array([50, 40, 40], np.float32)
    )
    metadata = ModelMetadata(
        net="fcnn", scale=1, upsample="nearest", colours=("red", "green", "blue"), dtype="uint8",
        threshold=0.5,
    )  # fmt: skip
    model = Model(make_net("fcnn", 3, 1, "nearest").eval(), normalisation, metadata)
    save_model(model, folder / "model.safetensors")


def _raster(path: Path, array: np.ndarray, **profile: object) -> None:
    settled = {
        "driver": "GTiff", "count": len(array), "height": SIZE, "width": SIZE, "dtype": "uint8",
        "crs": CRS, "transform": TRANSFORM, "photometric": "rgb" if len(array) == 3 else None,
        "tiled": True, "blockxsize": 32, "blockysize": 32, "compress": "deflate", **profile,
    }  # fmt: skip
    with rasterio.open(path, "w", **{k: v for k, v in settled.items() if v is not None}) as file:
        file.write(array)

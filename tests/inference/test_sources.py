"""The same pixels from other kinds of sources give the same mask; sources stay as they are."""

import subprocess
import sys
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling

from geofcn.core.pixels import classify
from geofcn.inference.infer import infer
from geofcn.models.model_file import load_model, save_model

SIZE, PART = 300, 100


@pytest.fixture
def scene(write_raster):
    """A tiled scene of texture, with a declared hole."""
    image = np.random.default_rng(0).integers(1, 256, (3, SIZE, SIZE), np.uint8)
    image[:, 120:210, 40:190] = 0
    layout = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    return write_raster("scene.tif", image, nodata=0, **layout)


@pytest.fixture
def mask_of(tmp_path, make_model):
    """mask_of(path) -> the mask that `infer` writes for the raster at `path`."""
    file = tmp_path / "model.safetensors"
    save_model(make_model("fcnn2"), file)

    def mask(path) -> np.ndarray:
        infer(path, tmp_path / "mask.tif", model=file, overwrite=True, compute_window=64)
        with rasterio.open(tmp_path / "mask.tif") as dataset:
            return dataset.read(1)

    mask.model = file
    return mask


def as_mosaic(scene, folder) -> str:
    """A VRT over nine files."""
    sources = []
    with rasterio.open(scene) as dataset:
        for row in range(0, SIZE, PART):
            for col in range(0, SIZE, PART):
                window = rasterio.windows.Window(col, row, PART, PART)
                profile = dataset.profile | {"width": PART, "height": PART, "tiled": False}
                profile.pop("blockxsize"), profile.pop("blockysize")
                profile["transform"] = dataset.window_transform(window)
                part = folder / f"part-{row}-{col}.tif"
                with rasterio.open(part, "w", **profile) as out:
                    out.write(dataset.read(window=window))
                sources.append((part, row, col))
        wkt, (c, a, b, f, d, e) = escape(dataset.crs.wkt), dataset.transform.to_gdal()
    bands = [
        f'<VRTRasterBand dataType="Byte" band="{band}"><NoDataValue>0</NoDataValue>'
        f"<ColorInterp>{colour}</ColorInterp>"
        + "".join(
            f"<SimpleSource><SourceFilename>{part}</SourceFilename><SourceBand>{band}</SourceBand>"
            f'<SrcRect xOff="0" yOff="0" xSize="{PART}" ySize="{PART}"/>'
            f'<DstRect xOff="{col}" yOff="{row}" xSize="{PART}" ySize="{PART}"/></SimpleSource>'
            for part, row, col in sources
        )
        + "</VRTRasterBand>"
        for band, colour in enumerate(("Red", "Green", "Blue"), 1)
    ]
    path = folder / "mosaic.vrt"
    path.write_text(
        f'<VRTDataset rasterXSize="{SIZE}" rasterYSize="{SIZE}"><SRS>{wkt}</SRS>'
        f"<GeoTransform>{c}, {a}, {b}, {f}, {d}, {e}</GeoTransform>{''.join(bands)}</VRTDataset>"
    )
    return str(path)


def as_stripes(scene, folder) -> str:
    """Full-width strips of 16 rows."""
    path = folder / "stripes.tif"
    options = {"TILED": "NO", "BLOCKYSIZE": 16, "COMPRESS": "LZW"}
    rasterio.shutil.copy(scene, path, driver="GTiff", **options)
    return str(path)


def in_a_zip(scene, folder) -> str:
    """A GeoTIFF inside an archive."""
    with zipfile.ZipFile(folder / "scenes.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(scene, "inner.tif")
    return f"/vsizip/{folder / 'scenes.zip'}/inner.tif"


def with_overviews(scene, folder) -> str:
    """A cloud-optimised copy with internal overviews."""
    path = folder / "cog.tif"
    rasterio.shutil.copy(scene, path, driver="COG", BLOCKSIZE=128, OVERVIEW_RESAMPLING="AVERAGE")
    with rasterio.open(path) as dataset:
        assert dataset.overviews(1)
    return str(path)


@pytest.mark.parametrize("kind", [as_mosaic, as_stripes, in_a_zip, with_overviews])
def test_the_same_pixels_from_elsewhere_give_the_same_mask(scene, tmp_path, mask_of, kind):
    folder = tmp_path / "other"
    folder.mkdir()
    expected, path = mask_of(scene), kind(scene, folder)
    assert {0, 1, 255} <= set(np.unique(expected))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    np.testing.assert_array_equal(mask_of(path), expected)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_cog_behind_a_url_is_read_in_parts(scene, tmp_path, mask_of):
    folder = tmp_path / "served"
    folder.mkdir()
    with_overviews(scene, folder)
    expected = mask_of(scene)
    script = Path(__file__).parents[1] / "support" / "range_http_server.py"
    command = [sys.executable, script, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            url = f"http://127.0.0.1:{int(server.stdout.readline())}/cog.tif"
            for path in (url, f"/vsicurl/{url}"):
                np.testing.assert_array_equal(mask_of(path), expected)
        finally:
            server.terminate()
        parts = server.stdout.read().split()
    assert parts and set(parts[::2]) != {"0"}


def test_a_jpeg_in_ycbcr_is_taken_as_the_colours_it_decodes_to(scene, tmp_path, mask_of):
    path = tmp_path / "jpeg.tif"
    smooth = tmp_path / "smooth.tif"
    with rasterio.open(scene) as dataset:
        shape = (3, SIZE // 20, SIZE // 20)
        image = dataset.read(out_shape=shape, resampling=Resampling.average)
        profile = dataset.profile | {"nodata": None}
    with rasterio.open(smooth, "w", **profile) as out:
        out.write(np.kron(image, np.ones((1, 20, 20), np.uint8)))
    rasterio.shutil.copy(smooth, path, driver="GTiff", COMPRESS="JPEG", PHOTOMETRIC="YCBCR",
                         TILED="YES", BLOCKXSIZE=64, BLOCKYSIZE=64)  # fmt: skip
    with rasterio.open(path) as dataset:
        assert dataset.photometric.name == "ycbcr"
        decoded = dataset.read()
    loaded = load_model(mask_of.model)
    probability = loaded.predict(decoded)
    mask = mask_of(path)
    clear = np.abs(probability - loaded.metadata.threshold) > 1e-5
    expected = classify(probability, np.ones((SIZE, SIZE), bool), loaded.metadata.threshold)
    np.testing.assert_array_equal(mask[clear], expected[clear])
    assert clear.mean() > 0.99 and 0 < mask.mean() < 1

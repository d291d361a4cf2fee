"""geofcn infer"""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.features import rasterize
from rio_cogeo.cogeo import cog_validate

import geofcn
from geofcn.core.calibration import expected_share, scene_threshold
from geofcn.inference.threshold import TRUST
from geofcn.models.model_file import save_model


@pytest.fixture(scope="module")
def outputs(geofcn_command, trained, tmp_path_factory):
    """A folder with mask.tif, probability.tif and houses.gpkg of the sample."""
    folder = tmp_path_factory.mktemp("outputs")
    geofcn_command(
        "infer", trained / "scene.tif", folder / "mask.tif", "--model",
        trained / "run" / "best-f1.safetensors", "--probability", folder / "probability.tif",
        "--polygons", folder / "houses.gpkg", "--outline", "raw", "--min-area", 0,
    )  # fmt: skip
    return folder


def test_mask_and_probability_lie_on_the_scene_and_are_valid_cogs(trained, outputs):
    with rasterio.open(trained / "scene.tif") as scene:
        for name in ("mask.tif", "probability.tif"):
            with rasterio.open(outputs / name) as output:
                assert output.crs == scene.crs
                assert output.transform == scene.transform
                assert output.shape == scene.shape
                assert output.dtypes == ("uint8",)
                assert output.nodata == 255
                assert output.is_tiled
                assert output.compression.name == "deflate"
                assert "GEOFCN_MODEL_SHA256" in output.tags()
            assert cog_validate(outputs / name, strict=True)[0]
    with rasterio.open(outputs / "mask.tif") as mask:
        assert mask.colormap(1)[1][:3] == (226, 61, 40)
    with rasterio.open(outputs / "probability.tif") as probability:
        assert probability.scales[0] == pytest.approx(1 / 254)


def test_mask_is_that_of_one_pass_over_the_whole_scene(trained, outputs):
    model = geofcn.load_model(trained / "run" / "best-f1.safetensors")
    with rasterio.open(trained / "scene.tif") as scene:
        image, valid = scene.read(), scene.dataset_mask() != 0
    probability = model.predict(image, valid)
    with rasterio.open(outputs / "mask.tif") as mask:
        classes = mask.read(1)
    near = np.abs(probability - model.metadata.threshold) < 1e-5
    expected = np.where(valid, probability >= model.metadata.threshold, 255)
    assert ((classes == expected) | near).all()
    assert (classes == 1).any()
    assert (classes == 0).any()
    with rasterio.open(outputs / "probability.tif") as raster:
        steps = raster.read(1)
    assert (steps[~valid] == 255).all()
    assert np.abs(steps[valid] / 254 - probability[valid]).max() < 0.5 / 254 + 1e-5


def test_raw_polygons_burned_again_are_the_mask(outputs):
    import geopandas

    houses = geopandas.read_file(outputs / "houses.gpkg", layer="houses")
    with rasterio.open(outputs / "mask.tif") as mask:
        classes = mask.read(1)
        burned = rasterize(houses.geometry, mask.shape, transform=mask.transform)
        assert houses.crs == mask.crs
    assert np.array_equal(burned, classes == 1)
    assert houses.n_px.sum() == (classes == 1).sum()
    assert houses.id.tolist() == list(range(1, len(houses) + 1))


def test_polygonize_gives_the_polygons_of_the_same_run(geofcn_command, outputs, tmp_path):
    import geopandas

    geofcn_command(
        "polygonize", outputs / "mask.tif", tmp_path / "again.gpkg", "--outline", "raw",
        "--min-area", 0, "--probability", outputs / "probability.tif",
    )  # fmt: skip
    first = geopandas.read_file(outputs / "houses.gpkg")
    second = geopandas.read_file(tmp_path / "again.gpkg")
    assert first.equals(second)


@pytest.mark.parametrize("tile", [1, 100, 512, 100_000])
def test_any_tile_gives_the_same_bytes(geofcn_command, trained, outputs, tmp_path, tile):
    geofcn_command(
        "infer", trained / "scene.tif", tmp_path / "mask.tif", "--model",
        trained / "run" / "best-f1.safetensors", "--tile", tile, "-q",
    )  # fmt: skip
    assert (tmp_path / "mask.tif").read_bytes() == (outputs / "mask.tif").read_bytes()


def test_threshold_and_float_probabilities(geofcn_command, trained, tmp_path):
    geofcn_command(
        "infer", trained / "scene.tif", tmp_path / "mask.tif", "--model",
        trained / "run" / "best-f1.safetensors", "--probability", tmp_path / "p.tif",
        "--probability-dtype", "float32", "--threshold", 0.9,
    )  # fmt: skip
    with rasterio.open(tmp_path / "p.tif") as raster, rasterio.open(tmp_path / "mask.tif") as mask:
        probability, classes = raster.read(1), mask.read(1)
        assert np.isnan(raster.nodata)
    assert np.array_equal(np.isnan(probability), classes == 255)
    assert np.array_equal(probability >= np.float32(0.9), classes == 1)


@pytest.mark.parametrize("tile", [100, 512])
def test_the_threshold_of_the_scene(geofcn_command, trained, tmp_path, tile):
    path = trained / "run" / "best-f1.safetensors"
    result = geofcn_command(
        "infer", trained / "scene.tif", tmp_path / "mask.tif", "--model", path, "--probability",
        tmp_path / "p.tif", "--threshold", "scene", "--tile", tile,
    )  # fmt: skip
    assert "% of the pixels are expected to be houses: threshold" in result.stdout
    with rasterio.open(tmp_path / "p.tif") as raster, rasterio.open(tmp_path / "mask.tif") as mask:
        steps, classes, tags = raster.read(1), mask.read(1), mask.tags()
    histogram = np.bincount(steps[steps != 255], minlength=255)
    about = geofcn.load_model(path).metadata
    share = expected_share(histogram, about.calibration)
    trusted = about.calibration.towards(share, TRUST)
    threshold = min(about.threshold, scene_threshold(histogram, about.calibration, trusted))
    assert tags["GEOFCN_THRESHOLD"] == f"{threshold:.6g}"
    assert tags["GEOFCN_EXPECTED_SHARE"] == f"{share:.6g}"
    assert np.array_equal(classes, np.where(steps == 255, 255, steps / 254 >= threshold))


def test_a_model_without_calibration_has_no_threshold_for_a_scene(
    geofcn_command, make_model, write_raster, tmp_path
):
    save_model(make_model(), tmp_path / "old.safetensors")
    scene = write_raster("scene.tif", np.ones((3, 20, 20), np.uint8))
    result = geofcn_command(
        "infer", scene, tmp_path / "m.tif", "--model", tmp_path / "old.safetensors",
        "--threshold", "scene", code=2,
    )  # fmt: skip
    assert "old.safetensors: " in result.stderr
    assert "give a number, or train again by the default recipe" in result.stderr
    assert not (tmp_path / "m.tif").exists()


@pytest.mark.parametrize(
    ("given", "code", "word"),
    [
        (["{scene}", "{scene}"], 1, "input"),
        (["{scene}", "{folder}/mask.png"], 1, ".tif"),
        (["{scene}", "{folder}/no/mask.tif"], 1, "folder"),
        (["{folder}/none.tif", "{folder}/m.tif"], 1, "none.tif"),
        (["{scene}", "{folder}/m.tif", "--threshold", "2"], 2, "threshold"),
        (["{scene}", "{folder}/m.tif", "--threshold", "scenes"], 2, "nor `scene`"),
        (["{scene}", "{folder}/m.tif", "--polygons", "{folder}/p.txt"], 1, ".gpkg"),
        (["{scene}", "{folder}/m.tif", "--probability", "{folder}/m.tif"], 1, "two outputs"),
        (["{labels}", "{folder}/m.tif"], 1, "band"),
    ],
)
def test_a_refusal_is_one_sentence_and_leaves_nothing(
    geofcn_command, trained, tmp_path, given, code, word
):
    places = {
        "scene": trained / "scene.tif",
        "labels": trained / "labels.tif",
        "folder": tmp_path,
    }
    before = (trained / "scene.tif").read_bytes()
    arguments = [argument.format(**places) for argument in given]
    model = trained / "run" / "best-f1.safetensors"
    result = geofcn_command("infer", *arguments, "--model", model, "--overwrite", code=code)
    assert word in result.stderr
    assert list(tmp_path.iterdir()) == []
    assert (trained / "scene.tif").read_bytes() == before


def test_an_existing_mask_is_kept_unless_told(geofcn_command, trained, outputs):
    before = (outputs / "mask.tif").read_bytes()
    model = trained / "run" / "best-f1.safetensors"
    result = geofcn_command(
        "infer", trained / "scene.tif", outputs / "mask.tif", "--model", model, code=1
    )
    assert "--overwrite" in result.stderr
    assert (outputs / "mask.tif").read_bytes() == before


def test_a_missing_model_names_the_way_out(geofcn_command, trained, tmp_path):
    result = geofcn_command(
        "infer", trained / "scene.tif", tmp_path / "m.tif", "--model", tmp_path / "no", code=1
    )
    assert "geofcn train" in result.stderr


def test_options_that_would_do_nothing_are_refused(geofcn_command, trained, tmp_path):
    given = (trained / "scene.tif", tmp_path / "m.tif", "--model", trained / "run/last.safetensors")
    result = geofcn_command("infer", *given, "--min-area", 5, code=2)
    assert "give --polygons" in result.stderr
    result = geofcn_command("infer", *given, "--co", "FOO=BAR", code=2)
    assert "--co FOO" in result.stderr
    assert not (tmp_path / "m.tif").exists()


def test_right_angles_follow_the_net_pixel_in_infer_and_in_polygonize(
    geofcn_command, trained, tmp_path
):
    """The net sees 2 pixels as one: right angles stray by 2.5 pixels, whichever verb makes them."""
    import geopandas

    mask, houses = tmp_path / "mask.tif", tmp_path / "houses.gpkg"
    model = trained / "run" / "best-f1.safetensors"
    square = ["--outline", "square", "--min-area", 0]
    geofcn_command(
        "infer", trained / "scene.tif", mask, "--model", model, "--polygons", houses, *square
    )

    def polygonized(*options):
        path = tmp_path / "again.gpkg"
        geofcn_command("polygonize", mask, path, *square, *options, "--overwrite")
        return geopandas.read_file(path, layer="houses").geometry.to_wkb().tolist()

    expected = geopandas.read_file(houses, layer="houses").geometry.to_wkb().tolist()
    assert len(expected) > 1
    assert polygonized() == expected == polygonized("--simplify", 2.5)
    assert polygonized("--simplify", 1.5) != expected


def shrink(scene: Path, path: Path, pixel: float) -> None:
    """Write a scene with pixels of `pixel` map units, means of those it has."""
    with rasterio.open(scene) as source:
        factor = source.transform.a / pixel
        shape = round(source.height * factor), round(source.width * factor)
        image = source.read(out_shape=(source.count, *shape), resampling=Resampling.average)
        transform = source.transform * rasterio.Affine.scale(1 / factor)
        profile = source.profile | {"height": shape[0], "width": shape[1], "transform": transform}
    with rasterio.open(path, "w", **profile) as reduced:
        reduced.write(image)


def test_a_scene_of_another_resolution_is_shown_to_the_net_as_in_training(
    geofcn_command, trained, outputs, tmp_path
):
    scene, mask = tmp_path / "scene.tif", tmp_path / "mask.tif"
    shrink(trained / "scene.tif", scene, 0.3)
    model = trained / "run" / "best-f1.safetensors"
    options = ["--model", model, "--verify", 4, "--overwrite"]
    result = geofcn_command("infer", scene, mask, *options, "-v")
    assert "the net sees 11/8 of them as one, 0.413 m (0.4 m in training)" in result.output
    assert ": 0 differ" in result.output
    with rasterio.open(scene) as source, rasterio.open(mask) as output:
        assert (output.crs, output.transform) == (source.crs, source.transform)
        assert output.shape == source.shape
        assert output.tags()["GEOFCN_SCALE"] == "11/8"
    assert cog_validate(mask, strict=True)[0]
    with rasterio.open(outputs / "mask.tif") as native:
        assert native.tags()["GEOFCN_SCALE"] == "2"
    f1, expected = (
        geofcn.evaluate(file, trained / "labels.gpkg").pixels.f1
        for file in (mask, outputs / "mask.tif")
    )
    assert expected > 0.4 and f1 > expected - 0.05
    before = mask.read_bytes()
    geofcn_command("infer", scene, mask, *options, "--tile", 1)
    assert mask.read_bytes() == before


def test_a_scene_of_a_far_resolution_is_refused(geofcn_command, trained, tmp_path):
    shrink(trained / "scene.tif", tmp_path / "far.tif", 2)
    model = trained / "run" / "best-f1.safetensors"
    verbs = ["infer", tmp_path / "far.tif", tmp_path / "m.tif"], ["info", tmp_path / "far.tif"]
    for verb, code in zip(verbs, (1, 0), strict=True):
        result = geofcn_command(*verb, "--model", model, code=code)
        assert "far.tif: it has 2 m per pixel, the model was trained at 0.2 m" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["far.tif"]


def test_polygons_alone_within_bounds(geofcn_command, trained, outputs, tmp_path):
    """Bounds west of Greenwich are negative numbers; the houses are those of the whole scene."""
    import geopandas

    with rasterio.open(trained / "scene.tif") as scene:
        middle = scene.transform * (200, 200), scene.transform * (330, 330)
        (west, north), (east, south) = middle
        meridian = scene.crs.to_epsg() % 100 * 6 - 183
        crs = f"+proj=tmerc +lon_0={meridian} +k=0.9996 +x_0=-9000000 +datum=WGS84"
        shift = 500_000 + 9_000_000
    geofcn_command(
        "infer", trained / "scene.tif", "--polygons", tmp_path / "some.gpkg", "--model",
        trained / "run" / "best-f1.safetensors", "--outline", "raw", "--min-area", 0,
        "--threshold", "model", "--bounds", west - shift, south, east - shift, north,
        "--bounds-crs", crs,
    )  # fmt: skip
    assert [path.name for path in tmp_path.iterdir()] == ["some.gpkg"]
    geofcn_command(
        "infer", trained / "scene.tif", tmp_path / "all.tif", "--polygons", tmp_path / "all.gpkg",
        "--model", trained / "run" / "best-f1.safetensors", "--outline", "raw", "--min-area", 0,
        "--threshold", "model",
    )  # fmt: skip
    some, every = (
        geopandas.read_file(tmp_path / name, layer="houses") for name in ("some.gpkg", "all.gpkg")
    )
    starts = np.array([shape.exterior.coords[0] for shape in every.geometry])
    begins = (starts[:, 0] >= west - 1e-6) & (starts[:, 0] < east - 1e-6)
    begins &= (starts[:, 1] <= north + 1e-6) & (starts[:, 1] > south + 1e-6)
    assert 0 < len(some) < len(every)
    assert some.drop(columns="id").equals(every[begins].reset_index(drop=True).drop(columns="id"))


def test_info_forecasts_an_area(geofcn_command, trained):
    model = trained / "run" / "best-f1.safetensors"
    with rasterio.open(trained / "scene.tif") as scene:
        bounds = tuple(scene.bounds)
    inside = bounds[0], bounds[3] - 10, bounds[0] + 10, bounds[3]
    told = [
        json.loads(
            geofcn_command("info", trained / "scene.tif", "--model", model, "--json", *more).stdout
        )
        for more in ((), ("--bounds", *inside))
    ]
    assert 0 < told[1]["mask_gb"] < told[0]["mask_gb"]
    refused = geofcn_command("info", trained / "scene.tif", "--bounds", *inside, code=2)
    assert "give a model, too" in refused.stderr


def test_what_does_not_go_together_is_a_usage_error(geofcn_command, trained, tmp_path):
    start = "infer", trained / "scene.tif", "--model", trained / "run" / "best-f1.safetensors"
    some = "--polygons", tmp_path / "h.gpkg"
    for more, sentence in (
        ((), "nothing is to be written; name a MASK, --probability FILE or --polygons FILE."),
        ((*some, "--verify", 3), "verify: it compares the mask; name a MASK, too."),
        ((*some, "--bounds", 1, 2, 1, 3), "bounds 1 2 1 3: W must be less than E"),
        ((*some, "--bounds-crs", "EPSG:4326"), "bounds_crs: it belongs to bounds"),
        ((*some, "--area", "a.gpkg", "--bounds", 1, 2, 3, 4), "give one of them"),
    ):
        assert sentence in geofcn_command(*start, *more, code=2).stderr
    assert not list(tmp_path.iterdir())

"""geofcn.models.model: one pass over a whole image, and scenes that fit a model or do not."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin

from geofcn.core.pixels import Normalisation
from geofcn.core.resampling import Ratio
from geofcn.errors import ModelError
from geofcn.io.opening import open_scene
from geofcn.models.model import net_geometry, to_batch
from geofcn.models.receptive_field import Geometry

RGB = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]


# --- what it says of itself ---


def test_a_model_is_described_in_one_line(make_model):
    model = make_model("unet", 3, 4, threshold=0.375, scenes=("häuser.tif",), resolution=0.1999)
    assert repr(model) == (
        "<Model: unet at scale 4, threshold 0.375, red green blue uint8, "
        "trained on häuser.tif at 0.2 m per pixel>"
    )


def test_a_model_of_many_scenes_names_the_first_ones(make_model):
    model = make_model(scenes=tuple(f"{name}.tif" for name in "abcde"))
    assert "trained on a.tif, b.tif, c.tif and 2 more>" in repr(model)
    assert "trained on unnamed scenes>" in repr(make_model())


def test_the_geometry_is_that_of_the_architecture_whatever_the_weights(make_model):
    model = make_model("fcnn2", 3, 2)
    assert model.geometry == Geometry(4, 16)
    with torch.no_grad():
        for parameter in model.net.parameters():
            parameter.zero_()
    assert model.geometry == Geometry(4, 16)
    # It is looked up by the metadata, not in the net that the model has.
    renamed = replace(model, metadata=replace(model.metadata, net="unet"))
    assert renamed.geometry == Geometry(16, 96)


def test_probing_a_registered_net_does_not_move_the_random_state():
    net_geometry.cache_clear()
    state = torch.get_rng_state()
    assert net_geometry("fcnn", 1, 1, "nearest") == Geometry(2, 6)
    assert torch.equal(torch.get_rng_state(), state)


# --- one pass over a whole image ---


def test_the_oracle_is_one_pass_of_the_plain_net(make_model):
    model = make_model("fcnn2", 3)
    image = np.random.default_rng(0).integers(0, 255, (3, 16, 20)).astype(np.uint8)
    with torch.inference_mode():
        x = torch.from_numpy((image.astype(np.float32) - 100) / 50)[None]
        expected = torch.softmax(model.net(x), dim=1)[0, 1].numpy()
    probability = model.predict(image)
    assert probability.dtype == np.float32 and probability.std() > 0.02
    np.testing.assert_allclose(probability, expected, atol=1e-6)


def test_an_odd_scene_is_extended_by_blank_pixels(make_model):
    model = make_model("fcnn2", 3)
    image = np.random.default_rng(0).integers(0, 255, (3, 13, 17)).astype(np.uint8)
    larger = np.zeros((3, 14, 18), np.uint8)
    larger[:, :13, :17] = image
    valid = np.zeros((14, 18), bool)
    valid[:13, :17] = True
    probability = model.predict(image)
    np.testing.assert_allclose(probability, model.predict(larger, valid)[:13, :17], atol=1e-6)
    # Black is not blank: it is a value like any other.
    assert np.abs(probability - model.predict(larger)[:13, :17]).max() > 1e-3


def test_blank_pixels_hold_zero_and_their_values_do_not_matter(make_model):
    model = make_model("fcnn", 3, dtype="float32")
    random = np.random.default_rng(1)
    image = random.uniform(0, 255, (3, 12, 12)).astype(np.float32)
    valid = random.random((12, 12)) < 0.7
    probability = model.predict(image, valid)
    assert (probability[~valid] == 0).all() and (probability[valid] > 0).all()
    for poison in (np.nan, np.inf, 1e30):
        image[:, ~valid] = poison
        assert (model.predict(image, valid) == probability).all()


def test_values_that_are_not_finite_are_blank_without_being_told(make_model):
    model = make_model("fcnn", 1, dtype="float32")
    image = np.full((1, 8, 8), 60, np.float32)
    image[0, 2, 3], image[0, 5, 5] = np.nan, -np.inf
    valid = np.isfinite(image[0])
    probability = model.predict(image)
    assert np.isfinite(probability).all()
    assert (probability == model.predict(image, valid)).all()


def test_a_batch_of_one_is_the_image_where_the_net_is():
    image = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    batch = to_batch(image, torch.nn.Conv2d(3, 2, 1))
    assert batch.shape == (1, 3, 2, 2) and batch.device.type == "cpu"
    np.testing.assert_array_equal(batch[0], image)
    assert to_batch(image, torch.nn.Conv2d(3, 2, 1, device="meta")).device.type == "meta"


@pytest.mark.parametrize("shape", [(2, 8, 8), (8, 8), (4, 8, 8)])
def test_an_image_of_another_shape_is_refused(make_model, shape):
    with pytest.raises(ModelError, match=r"needs \(3, rows, columns\)"):
        make_model().predict(np.zeros(shape, np.uint8))


# --- does the model fit the scene? ---


def test_bands_are_found_by_their_colours_whatever_their_order(make_model, write_raster):
    image = np.stack([np.full((4, 4), value, np.uint8) for value in (30, 20, 10)])
    path = write_raster("bgr.tif", image, colours=RGB[::-1], photometric="minisblack")
    fitted = make_model().select_bands(open_scene(path))
    assert fitted.bands == (3, 2, 1)
    assert fitted.read(fitted.window)[0][:, 0, 0].tolist() == [10, 20, 30]


def test_alpha_is_a_mask_and_never_an_input(make_model, write_raster):
    image = np.full((4, 4, 4), 7, np.uint8)
    image[3, 0, 0] = 0
    path = write_raster("rgba.tif", image, colours=[*RGB, ColorInterp.alpha])
    fitted = make_model().select_bands(open_scene(path))
    assert fitted.bands == (1, 2, 3)
    pixels, valid = fitted.read(fitted.window)
    assert len(pixels) == 3 and not valid[0, 0] and valid.sum() == 15


def test_infrared_is_left_out_for_a_model_of_colours_and_found_for_one_that_knows_it(
    make_model, write_raster
):
    image = np.stack([np.full((4, 4), value, np.uint8) for value in (90, 10, 20, 30)])
    path = write_raster("nrgb.tif", image, colours=[ColorInterp.nir, *RGB])
    assert make_model(bands=3).select_bands(open_scene(path)).bands == (2, 3, 4)
    assert make_model(bands=4).select_bands(open_scene(path)).bands == (2, 3, 4, 1)


def test_a_missing_band_is_refused_and_both_sides_named(make_model, write_raster):
    scene = open_scene(write_raster("grey.tif", np.ones((1, 4, 4), np.uint8)))
    with pytest.raises(
        ModelError, match=r"grey\.tif.*1 band\(s\) \(gray\).*3 \(red, green, blue\)"
    ):
        make_model().select_bands(scene)


def test_bands_without_colours_are_taken_by_position(make_model, write_raster):
    path = write_raster("plain.tif", np.ones((3, 4, 4), np.uint8), photometric="minisblack")
    assert make_model().select_bands(open_scene(path)).bands == (1, 2, 3)


def test_bands_with_other_colours_are_not_taken_by_position(make_model, write_raster):
    path = write_raster(
        "nrg.tif", np.ones((3, 4, 4), np.uint8), colours=[ColorInterp.nir, *RGB[:2]],
        photometric="minisblack",
    )  # fmt: skip
    with pytest.raises(ModelError, match="nir, red, green"):
        make_model().select_bands(open_scene(path))


def test_another_pixel_type_is_refused(make_model, write_raster):
    scene = open_scene(write_raster("deep.tif", np.ones((3, 4, 4), np.uint16)))
    with pytest.raises(ModelError, match=r"deep\.tif.*uint16.*uint8"):
        make_model().select_bands(scene)


def test_bands_that_the_user_named_are_taken_as_they_are(make_model, write_raster):
    path = write_raster("nrgb.tif", np.ones((4, 4, 4), np.uint8), colours=[ColorInterp.nir, *RGB])
    assert make_model().select_bands(open_scene(path, bands=(1, 2, 3))).bands == (1, 2, 3)
    with pytest.raises(ModelError, match=r"2 band\(s\) are named, the model was trained on 3"):
        make_model().select_bands(open_scene(path, bands=(1, 2)))


def test_a_mask_is_not_shown_to_a_model_of_near_infrared_called_alpha(make_model, write_raster):
    image = np.random.default_rng(0).integers(0, 255, (4, 30, 30)).astype(np.uint8)
    rgba = [*RGB, ColorInterp.alpha]
    model = make_model(bands=4, colours=("red", "green", "blue", "alpha"))
    infrared = open_scene(write_raster("nir.tif", image, colours=rgba))
    assert model.select_bands(infrared).bands == (1, 2, 3, 4)
    image[3] = 255
    with pytest.raises(ModelError, match=r"rgba\.tif: its band 4 is a mask"):
        model.select_bands(open_scene(write_raster("rgba.tif", image, colours=rgba)))


def test_bands_without_colours_are_found_by_the_numbers_that_were_named(make_model, write_raster):
    scene = open_scene(write_raster("many.tif", np.ones((5, 4, 4), np.uint8)))
    model = make_model(colours=("undefined",) * 3)

    def numbered(bands):
        return replace(model, metadata=replace(model.metadata, bands=bands))

    assert numbered((5, 3, 2)).select_bands(scene).bands == (5, 3, 2)
    with pytest.raises(ModelError, match=r"5 band\(s\).*or name them by --bands"):
        model.select_bands(scene)
    with pytest.raises(ModelError, match="as bands 6,3,2"):
        numbered((6, 3, 2)).select_bands(scene)


def test_a_scene_of_another_scale_is_seen_as_the_trainings(make_model, write_raster):
    path = write_raster("deep.tif", np.full((3, 4, 4), 257 * 7, np.uint16))
    with rasterio.open(path, "r+") as file:
        file.scales = (1 / 257,) * 3
    model = make_model(scales=(1.0,) * 3, offsets=(0.0,) * 3)
    fitted = model.select_bands(open_scene(path))
    np.testing.assert_allclose(fitted.read(fitted.window)[0], 7, rtol=1e-6)


def test_a_model_that_does_not_know_its_scale_takes_values_as_they_are(make_model, write_raster):
    path = write_raster("a.tif", np.full((3, 4, 4), 7, np.uint8))
    with rasterio.open(path, "r+") as file:
        file.scales = (0.1,) * 3
    fitted = make_model().select_bands(open_scene(path))
    assert fitted.dtype == "uint8" and (fitted.read(fitted.window)[0] == 7).all()


# --- scenes of another ground resolution ---


def scene_of(write_raster, pixel: float, **profile):
    """A small scene of `pixel` metres per pixel."""
    grid = {"transform": from_origin(5e5, 5e6, pixel, pixel), **profile}
    return open_scene(write_raster(f"{pixel}.tif", np.ones((3, 4, 4), np.uint8), **grid))


@pytest.mark.parametrize(
    ("pixel", "ratio", "geometry"),
    [
        (0.2, Ratio(2), Geometry(4, 16)),
        (0.209, Ratio(2), Geometry(4, 16)),
        (0.4, Ratio(1), Geometry(2, 8)),
        (0.25, Ratio(13, 8), Geometry(13, 13)),
        (1.5, Ratio(1, 4), Geometry(1, 2)),
        (0.03, Ratio(13), Geometry(26, 104)),
    ],
)
def test_a_net_sees_the_ground_resolution_of_the_training(
    make_model, write_raster, pixel, ratio, geometry
):
    model = make_model("fcnn2", 3, 2, resolution=0.2)
    resampled = model.at_resolution_of(scene_of(write_raster, pixel))
    assert (resampled.ratio, resampled.geometry) == (ratio, geometry)
    assert (resampled.resampled is None) == (ratio == Ratio(2))
    assert resampled.at_resolution_of(scene_of(write_raster, 0.2)).ratio == Ratio(2)


def test_what_the_net_sees_is_said_once(make_model, write_raster, caplog):
    with caplog.at_level(logging.INFO, "geofcn"):
        make_model("fcnn2", 3, 4, resolution=0.1).select_bands(scene_of(write_raster, 0.1))
        assert caplog.messages == []
        make_model("fcnn2", 3, 4, resolution=0.1).select_bands(scene_of(write_raster, 0.3))
    (message,) = caplog.messages
    assert message.startswith("0.3.tif has 0.3 m per pixel: the net sees 11/8 of them as one")
    assert message.endswith("0.413 m (0.4 m in training).")


@pytest.mark.parametrize("pixel", [0.024, 1.7])
def test_a_ground_resolution_beyond_reason_is_refused(make_model, write_raster, pixel):
    scene = scene_of(write_raster, pixel)
    with pytest.raises(ModelError, match=rf"{pixel}\.tif: it has .* m per pixel.*at 0\.2 m"):
        make_model(resolution=0.2).select_bands(scene)


def test_an_unknown_resolution_leaves_the_scale_as_it_is(make_model, write_raster, caplog):
    placeless = scene_of(write_raster, 5, crs=None)
    with caplog.at_level(logging.INFO, "geofcn"):
        for model in (make_model(scale=2), make_model(scale=2, resolution=0.2)):
            model.select_bands(placeless)
            assert model.at_resolution_of(placeless).ratio == Ratio(2)
        assert make_model().at_resolution_of(scene_of(write_raster, 9)).ratio == Ratio(1)
    assert caplog.messages == []


def test_a_mean_image_fits_the_pixels_of_its_training_alone(make_model, write_raster, caplog):
    """It is subtracted pixel by pixel: the net keeps its scale, and a warning says so."""
    image = Normalisation(np.zeros((3, 8, 8), np.float32), np.ones(3, np.float32))
    with caplog.at_level(logging.WARNING, "geofcn"):
        make_model(resolution=0.25, normalisation=image).select_bands(scene_of(write_raster, 0.2))
        assert caplog.messages == []
        model, coarse = make_model(resolution=0.5, normalisation=image), scene_of(write_raster, 5)
        model.select_bands(coarse)
    assert model.at_resolution_of(coarse).ratio == Ratio(1)
    assert "5 m per pixel" in caplog.text and "0.5 m: expect poor results" in caplog.text


@pytest.mark.parametrize(
    ("resampled", "side"), [(None, 256), (Ratio(5), 260), (Ratio(7, 4), 112), (Ratio(1, 4), 16)]
)
def test_windows_hold_no_more_net_pixels_than_at_the_trainings_resolution(
    make_model, resampled, side
):
    model = replace(make_model("fcnn2", 3, 4), resampled=resampled)
    assert model.side(256) == side

"""geofcn.models.predictor: windows give what one pass over the whole scene gives."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from hypothesis import given, settings
from hypothesis import strategies as st

from geofcn.core.contacts import Contacts
from geofcn.core.pixels import Normalisation, pad_to
from geofcn.core.resampling import Ratio
from geofcn.core.windows import Window, blocks, round_up
from geofcn.errors import ModelError
from geofcn.io.opening import open_scene
from geofcn.models import nets
from geofcn.models.model import net_geometry
from geofcn.models.predictor import HALOS, Predictor, compute_window_side

COUNTER = itertools.count()


def random_scene(write_raster, random, shape, dtype, blank: float):
    """A scene of two bands, partly blank; values fill the type's usual range."""
    image = random.integers(1, 250, (2, *shape)).astype(dtype)
    if dtype == "uint16":
        image *= 200
    holes = np.kron(random.random((shape[0] // 4 + 1, shape[1] // 4 + 1)) < blank, np.ones((4, 4)))
    holes = holes[: shape[0], : shape[1]].astype(bool)
    if dtype == "float32":
        image[1, holes] = np.nan
    else:
        image[:, holes] = 0
    nodata = None if dtype == "float32" else 0
    path = write_raster(f"scene-{next(COUNTER)}.tif", image, nodata=nodata)
    return open_scene(path), image, ~holes


def normalisation_for(random, dtype: str, period: int) -> Normalisation:
    unit = 200 if dtype == "uint16" else 1
    mean = random.uniform(80, 160, (2, period, period)) * unit
    return Normalisation(mean.astype(np.float32), np.array([70, 60], np.float32) * unit)


def by_windows(predictor: Predictor, scene, size: int):
    probability = np.full((scene.height, scene.width), np.nan, np.float32)
    valid = np.zeros((scene.height, scene.width), bool)
    for window in blocks(scene.window, size):
        part = predictor.window(scene, window)
        assert part.probability.dtype == np.float32
        assert part.probability.shape == part.valid.shape == window.shape
        probability[window.slices], valid[window.slices] = part.probability, part.valid
    return probability, valid


@settings(max_examples=30)
@given(
    net=st.sampled_from([("fcnn", "nearest"), ("fcnn", "bilinear"), ("fcnn2", "nearest")]),
    scale=st.sampled_from([1, 2, 4, 8]),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    size=st.integers(1, 40),
    dtype=st.sampled_from(["uint8", "uint16", "float32"]),
    period=st.sampled_from([1, 16, 128]),
    blank=st.sampled_from([0, 0.3, 0.9]),
    merge=st.booleans(),
    seed=st.integers(0, 5),
)
def test_windows_give_what_one_pass_over_the_whole_scene_gives(
    make_model, write_raster, net, scale, height, width, size, dtype, period, blank, merge, seed
):
    random = np.random.default_rng(seed)
    name, upsample = net
    normalisation = normalisation_for(random, dtype, period)
    model = make_model(
        name, 2, scale, upsample=upsample, dtype=dtype, normalisation=normalisation, seed=seed
    )
    scene, image, valid = random_scene(write_raster, random, (height, width), dtype, blank)
    whole = model.predict(image, valid)
    size = round_up(size, model.geometry.stride)
    probability, known = by_windows(Predictor(model, merge), scene, size)
    assert (known == valid).all()
    assert (probability[~valid] == 0).all()
    np.testing.assert_allclose(probability, whole, atol=1e-5, rtol=0)


@settings(max_examples=30)
@given(
    net=st.sampled_from(["fcnn", "fcnn2", "unet"]),
    ratio=st.builds(Ratio.near, st.floats(1 / 8, 6)),
    height=st.integers(1, 60),
    width=st.integers(1, 60),
    size=st.integers(1, 40),
    dtype=st.sampled_from(["uint8", "float32"]),
    blank=st.sampled_from([0, 0.3]),
    merge=st.booleans(),
    seed=st.integers(0, 5),
)
def test_windows_of_another_resolution_give_what_one_pass_gives(
    make_model, write_raster, net, ratio, height, width, size, dtype, blank, merge, seed
):
    random = np.random.default_rng(seed)
    normalisation = normalisation_for(random, dtype, 1)
    native = make_model(net, 2, 2, dtype=dtype, normalisation=normalisation, seed=seed)
    model = replace(native, resampled=ratio)
    # A unet on eighths of a pixel is slow.
    height, width = (min(side, math.ceil(60 * ratio.number)) for side in (height, width))
    scene, image, valid = random_scene(write_raster, random, (height, width), dtype, blank)
    size = round_up(size, model.geometry.stride)
    probability, known = by_windows(Predictor(model, merge, part=8), scene, size)
    assert (known == valid).all()
    np.testing.assert_allclose(probability, model.predict(image, valid), atol=1e-5, rtol=0)


@pytest.mark.parametrize("ratio", [None, Ratio(3, 2)])
@pytest.mark.parametrize("name", ["fcnn", "fcnn2", "unet", "lite"])
def test_windows_tell_where_houses_meet_as_one_pass_does(make_model, write_raster, name, ratio):
    contacts = Contacts(3, 0.3)
    random = np.random.default_rng(1)
    model = replace(make_model(name, 2, contacts=contacts), resampled=ratio)
    scene, image, valid = random_scene(write_raster, random, (100, 130), "uint8", 0.2)
    stride = model.geometry.stride
    padded = pad_to(
        model.normalisation.apply(image, valid, 0, 0), round_up(100, stride), round_up(130, stride)
    )
    whole = torch.sigmoid(model.logits(padded)[2, :100, :130]).numpy()
    for merge in (False, True):
        predictor = Predictor(model, merge)
        for window in blocks(scene.window, round_up(48, stride)):
            part = predictor.window(scene, window)
            expected = np.where(valid, whole, 0)[window.slices]
            np.testing.assert_allclose(part.contact, expected, atol=1e-5, rtol=0)
            assert part.contact.shape == window.shape
    assert Predictor(make_model(name, 2)).window(scene, Window(0, 0, 96, 96)).contact is None


def test_a_net_sees_area_means_and_its_logits_are_enlarged(make_model):
    """One pass by hand: each pixel as q x q, means of p x p of these, the net, bilinear."""
    model = replace(make_model("fcnn2", 1, 4), resampled=Ratio(3, 2))
    image = np.random.default_rng(0).integers(0, 255, (1, 12, 24)).astype(np.uint8)
    fine = torch.from_numpy(np.kron((image - np.float32(100)) / 50, np.ones((2, 2), np.float32)))
    with torch.inference_mode():
        logits = nets.without_scaling(model.net)(functional.avg_pool2d(fine[None], 3))
        logits = functional.interpolate(logits, size=(12, 24), mode="bilinear")
    expected = torch.softmax(logits, dim=1)[0, 1]
    np.testing.assert_allclose(model.predict(image), expected, atol=1e-5)


@pytest.mark.parametrize("scale", [1, 8])
def test_a_scene_smaller_than_the_stride(make_model, write_raster, scale):
    model = make_model("fcnn2", 2, scale)
    scene = open_scene(write_raster("dot.tif", np.full((2, 1, 1), 9, np.uint8)))
    part = Predictor(model).window(scene, scene.window)
    assert part.probability.shape == (1, 1)
    np.testing.assert_allclose(
        part.probability, model.predict(np.full((2, 1, 1), 9, np.uint8)), atol=1e-6
    )


def test_windows_that_are_blank_as_a_whole_are_not_computed(make_model, write_raster, monkeypatch):
    model = make_model("fcnn", 1)
    scene = open_scene(write_raster("blank.tif", np.zeros((1, 16, 16), np.uint8), nodata=0))
    predictor = Predictor(model)
    monkeypatch.setattr(predictor, "_probabilities", None)
    part = predictor.window(scene, Window(0, 0, 8, 8))
    assert not part.valid.any() and (part.probability == 0).all()


@settings(max_examples=30)
@given(
    data=st.data(),
    net=st.sampled_from(["fcnn", "fcnn2"]),
    scale=st.sampled_from([1, 2, 4]),
    merge=st.booleans(),
    step=st.integers(1, 24),
)
def test_only_what_is_not_blank_is_computed_and_is_the_whole_scenes(
    make_model, write_raster, data, net, scale, merge, step
):
    model = make_model(net, 1, scale)
    ends = st.sets(st.integers(0, 50), min_size=2, max_size=2)
    rows, cols = sorted(data.draw(ends)), sorted(data.draw(ends))
    image = np.zeros((1, 50, 50), np.uint8)
    part = (slice(*rows), slice(*cols))
    image[0][part] = np.random.default_rng(0).integers(1, 255, image[0][part].shape)
    scene = open_scene(write_raster("hole.tif", image, nodata=0))
    predictor, images = Predictor(model, merge, part=step), []
    see = predictor._batch
    predictor._batch = lambda image, *rest: (images.append(image), see(image, *rest))[1]
    prediction = predictor.window(scene, scene.window)
    np.testing.assert_allclose(
        prediction.probability, model.predict(image, image[0] != 0), atol=1e-5, rtol=0
    )
    reach = model.geometry.halo + round_up(step, model.geometry.stride)
    for side, (start, end) in zip(images[0].shape[1:], (rows, cols), strict=True):
        assert side <= end - start + 2 * reach


def test_a_window_off_the_nets_stride_is_refused(make_model, write_raster):
    scene = open_scene(write_raster("a.tif", np.ones((3, 16, 16), np.uint8)))
    with pytest.raises(ValueError, match="stride"):
        Predictor(make_model()).window(scene, Window(1, 0, 4, 4))


def test_a_new_net_needs_only_its_place_in_the_registry(make_model, write_raster, monkeypatch):
    """Nothing about a net is written down by hand: a deeper one is tiled exactly at once."""

    class Deep(torch.nn.Module):
        def __init__(self, bands: int, upsample: str):
            super().__init__()
            self.net = torch.nn.Sequential(
                torch.nn.Conv2d(bands, 4, 3, padding=1, stride=2),
                torch.nn.ReLU(),
                torch.nn.Conv2d(4, 4, 3, padding=3, dilation=3),
                torch.nn.MaxPool2d(2),
                torch.nn.Upsample(scale_factor=4, mode="bilinear"),
                torch.nn.Conv2d(4, 2, 1),
            )

        def forward(self, x):
            return self.net(x)

    monkeypatch.setitem(nets.REGISTRY, "deep", Deep)
    random = np.random.default_rng(2)
    model = make_model("deep", 2, 2, normalisation=normalisation_for(random, "uint8", 1))
    scene, image, valid = random_scene(write_raster, random, (91, 77), "uint8", 0.2)
    try:
        assert model.geometry.stride == 8
        probability, _ = by_windows(Predictor(model, merge=False), scene, 16)
        np.testing.assert_allclose(probability, model.predict(image, valid), atol=1e-5)
    finally:
        net_geometry.cache_clear()


@pytest.mark.parametrize("scale", [1, 2, 4, 8])
def test_compute_windows_are_whole_strides(make_model, scale):
    model = make_model("fcnn2", 3, scale)
    for device in ("cpu", "cuda", "mps"):
        assert compute_window_side(model, device) % model.geometry.stride == 0


@pytest.mark.parametrize("scale", [1, 4])
def test_a_gpu_gets_large_windows_at_every_scale(make_model, scale):
    model = make_model("fcnn2", 3, scale)
    assert compute_window_side(model, "cuda") == compute_window_side(model, "mps") == 2048
    assert compute_window_side(model) == 512 * scale


@pytest.mark.parametrize("net", ["fcnn", "fcnn2", "unet"])
def test_a_pass_stays_on_the_device_of_its_input(make_model, net):
    # Torch's meta device computes shapes only, and refuses a tensor of the processor's among them.
    predictor = Predictor(make_model(net, 3, 2))
    predictor.net.to("meta")
    means = torch.empty(1, 3, 64, 64, device="meta")
    with torch.inference_mode():
        if predictor.merged is None:
            difference = nets.class_difference(
                nets.answer_from_means(predictor.net, predictor.model.ratio)(means)
            )
        else:
            difference = predictor.merged.to("meta")(means)
            read, whole = Window(0, 0, 128, 128), Window(0, 0, 128, 256)
            predictor._redo_edges(difference, means, predictor.merged.border, read, whole)
    assert difference.device.type == "meta" and difference.shape == (1, 1, 128, 128)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("ratio", [Ratio(1, 8), Ratio(7, 4), Ratio(15, 8), Ratio(29, 8), Ratio(63)])
def test_compute_windows_of_another_resolution_are_bounded(make_model, device, ratio):
    model = replace(make_model("unet", 3, 8), resampled=ratio)
    side = compute_window_side(model, device)
    assert side % model.geometry.stride == 0
    assert side <= 4096 + model.geometry.stride, "pixels of the scene"
    assert ratio.to_net(side) <= 2048 + model.geometry.stride, "and of the net"


def test_a_predictor_on_a_device_of_its_own_leaves_the_models_net_alone(make_model):
    model = make_model("fcnn2", 3)
    predictor = Predictor(model, merge=False, device="cpu")
    assert predictor.net is not model.net
    assert Predictor(model, merge=False).net is model.net


def test_a_net_that_looks_far_gets_windows_of_many_times_its_halo(make_model, monkeypatch):
    class Far(torch.nn.Module):
        def __init__(self, bands: int, upsample: str):
            super().__init__()
            self.conv = torch.nn.Conv2d(bands, 2, 3, padding=200, dilation=200)

        def forward(self, x):
            return self.conv(x)

    monkeypatch.setitem(nets.REGISTRY, "far", Far)
    try:
        assert compute_window_side(make_model("far", 1)) == HALOS * 200
    finally:
        net_geometry.cache_clear()


def test_values_that_are_too_large_to_compute_with_are_an_error(write_raster, make_model):
    image = np.full((3, 16, 16), 100, np.float32)
    image[:, 4, 5] = -3.4e38  # as blank pixels that nothing declares are
    scene = open_scene(write_raster("scene.tif", image))
    small = Normalisation(np.full((3, 1, 1), 100, np.float32), np.full(3, 1e-3, np.float32))
    predictor = Predictor(make_model("fcnn", dtype="float32", normalisation=small))
    with pytest.raises(ModelError, match=r"scene\.tif: the net's answer is no number in rows 0-15"):
        predictor.window(scene, scene.window)
    declared = open_scene(scene.path, nodata=float(np.float32(-3.4e38)))
    assert np.isfinite(predictor.window(declared, scene.window).probability).all()

"""Which of a raster's values are houses: one rule for masks and for labels."""

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp

from geofcn.core.contacts import touching
from geofcn.core.pixels import BLANK
from geofcn.core.windows import Window
from geofcn.errors import GeofcnError, LabelsError
from geofcn.io import masks
from geofcn.io.masks import MODEL_TAG, has_background, net_pixel, open_mask

PATTERN = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], np.uint8)


def read(path, *values) -> np.ndarray:
    mask = open_mask(path, values)
    return mask.read(mask.raster.window)


def refused(name, message, path=None):
    with pytest.raises(GeofcnError, match=message) as caught:
        open_mask(name)
    assert str(caught.value).startswith(f"{path or name}: ") and "\n" not in str(caught.value)


# --- what is taken ---


@pytest.mark.parametrize("value", [1, 2, 255])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_the_only_value_besides_0_is_a_house(write_raster, caplog, value, dtype):
    path = write_raster("m.tif", PATTERN.astype(dtype) * dtype(value))
    assert (read(path) == PATTERN).all()
    assert ("is taken as house" in caplog.text) == (value != 1)


def test_nodata_is_unknown(write_raster):
    path = write_raster("m.tif", np.array([[0, 1, 9]], np.uint8), nodata=9)
    assert read(path).tolist() == [[0, 1, BLANK]]


def test_alpha_is_no_band_and_says_what_is_unknown(write_raster):
    both = np.array([[[0, 1, 1]], [[255, 255, 0]]], np.uint8)
    path = write_raster("a.tif", both, colours=[ColorInterp.gray, ColorInterp.alpha])
    assert read(path).tolist() == [[0, 1, BLANK]]


def test_0_that_is_declared_nodata_is_background(write_raster, caplog):
    assert (read(write_raster("m.tif", PATTERN, nodata=0)) == PATTERN).all()
    assert "0 is taken as background" in caplog.text


def tagged(path):
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(GEOFCN_CONTACTS="2")
    return path


def test_a_mask_may_say_where_houses_meet(write_raster):
    classes = PATTERN.copy()
    row, col = np.argwhere(PATTERN == 1)[0]
    classes[row, col] = 2
    mask = open_mask(tagged(write_raster("m.tif", classes, nodata=255)))
    assert (mask.read(mask.raster.window) == PATTERN).all()
    houses, contacts, _ = mask.split(mask.read_marked(mask.raster.window))
    assert (houses == (PATTERN == 1)).all()
    assert (contacts == (classes == 2)).all()


def test_chosen_values_are_the_houses_of_a_mask_with_contacts_too(write_raster):
    path = tagged(write_raster("m.tif", np.uint8([[0, 1, 2]])))
    only_inner = open_mask(path, (1,))
    assert only_inner.read(only_inner.raster.window).tolist() == [[0, 1, 0]]
    assert only_inner.split(only_inner.read_marked(only_inner.raster.window))[1] is None
    both = open_mask(path, (1, 2))
    assert both.split(both.read_marked(both.raster.window))[1].tolist() == [[False, False, True]]


def test_a_mask_of_one_value_knows_no_contacts(write_raster):
    mask = open_mask(write_raster("m.tif", PATTERN))
    houses, contacts, _ = mask.split(mask.read_marked(mask.raster.window))
    assert (houses == (PATTERN == 1)).all() and contacts is None


def test_a_2_that_nobody_explains_is_refused(write_raster):
    refused(write_raster("m.tif", np.uint8([[0, 1, 2]])), "several values")


def test_a_mask_with_contacts_holds_nothing_else(write_raster):
    mask = open_mask(tagged(write_raster("m.tif", np.uint8([[0, 1, 2, 3]]))))
    with pytest.raises(LabelsError, match="several values"):
        mask.read(mask.raster.window)


def test_bands_that_are_the_same_are_one_mask(write_raster):
    """As pictures of masks are that were saved in grey as RGB."""
    assert (read(write_raster("m.tif", np.stack([PATTERN * 255] * 3))) == PATTERN).all()


@settings(max_examples=30)
@given(
    values=st.lists(st.integers(0, 5), min_size=6, max_size=6),
    houses=st.sets(st.integers(0, 6), min_size=1),
    nodata=st.none() | st.integers(0, 5),
)
def test_values_of_houses_can_be_chosen(write_raster, values, houses, nodata):
    pixels = np.array(values, np.uint8).reshape(2, 3)
    classes = read(write_raster("m.tif", pixels, nodata=nodata), *houses)
    for value, found in zip(pixels.flat, classes.flat, strict=True):
        # A value of houses that is declared nodata counts, and so does the rest then.
        is_blank = value == nodata and nodata not in houses
        assert found == (BLANK if is_blank else int(value in houses))


def test_the_rare_house_is_found_outside_of_the_sample(write_raster, monkeypatch):
    """Once any value was a house where the sample showed none."""
    monkeypatch.setattr(masks, "_sample", lambda raster: [Window(0, 0, 1, 1)])
    monkeypatch.setattr(masks, "BAND_ROWS", 1)
    assert open_mask(write_raster("m.tif", PATTERN[::-1] * 7)).houses == (7,)


def test_a_third_value_outside_of_the_sample_is_an_error_where_it_is_read(
    write_raster, monkeypatch
):
    monkeypatch.setattr(masks, "_sample", lambda raster: [Window(0, 0, 1, 4)])
    pixels = PATTERN.copy()
    pixels[2, 3] = 9
    mask = open_mask(write_raster("m.tif", pixels))
    assert (mask.read(Window(0, 0, 2, 4)) == PATTERN[:2]).all()
    with pytest.raises(LabelsError, match=r"m\.tif: it holds several values besides 0 \(1, 9\)"):
        mask.read(mask.raster.window)


# --- instances ---

NUMBERS = np.array([[0, 7, 7, 300], [0, 7, 0, 300], [9, 0, 0, 65535]], np.uint16)


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.uint32, np.int64])
def test_each_value_of_a_raster_of_instances_is_a_house(write_raster, dtype):
    mask = open_mask(write_raster("i.tif", NUMBERS.astype(dtype), nodata=65535), instances=True)
    window = Window(0, 1, 3, 3)
    known = np.where(NUMBERS == 65535, BLANK, NUMBERS > 0)
    assert (mask.read(mask.raster.window) == known).all()
    assert (mask.instances(window) == np.where(NUMBERS == 65535, 0, NUMBERS)[:, 1:]).all()
    houses, contacts, numbers = mask.split(mask.read_marked(mask.raster.window))
    assert contacts is None and (numbers > 0)[houses].all()
    assert mask.identity != open_mask(f"{mask.path}|house=7").identity


def test_numbers_beyond_31_bits_stay_apart(write_raster):
    numbers = np.array([[2**32 - 1, 2**31 + 5, 0]], np.uint32)
    mask = open_mask(f"{write_raster('i.tif', numbers)}|instances")
    assert mask.instances(mask.raster.window).tolist() == numbers.tolist()
    assert touching(mask.instances(mask.raster.window), 1).tolist() == [[True, True, False]]


def test_instances_declared_0_nodata_have_background(write_raster, caplog):
    mask = open_mask(f"{write_raster('i.tif', NUMBERS, nodata=0)}|instances")
    assert (mask.read(mask.raster.window) == (NUMBERS > 0)).all()
    assert "0 is taken as background" in caplog.text


def test_what_numbers_no_houses_is_refused(write_raster):
    tags = tagged(write_raster("contacts.tif", np.uint8([[0, 1, 2]])))
    refused(f"{tags}|instances", "says where they meet", tags)
    floats = write_raster("floats.tif", NUMBERS.astype(np.float32))
    refused(f"{floats}|instances", "float32, numbers of houses are whole", floats)
    jpeg = write_raster("jpeg.tif", np.zeros((64, 64), np.uint8), compress="jpeg")
    refused(f"{jpeg}|instances", "JPEG changes numbers", jpeg)


def test_a_negative_number_is_refused_where_it_is_read(write_raster):
    numbers = NUMBERS.astype(np.int32)
    numbers[2, 3] = -1
    mask = open_mask(f"{write_raster('i.tif', numbers)}|instances")
    assert (mask.instances(Window(0, 0, 2, 4)) == numbers[:2]).all()
    for read in (mask.read, mask.instances):
        with pytest.raises(LabelsError, match=r"i\.tif: it holds -1, .*-a_nodata -1"):
            read(mask.raster.window)
    unknown = open_mask(f"{write_raster('u.tif', numbers, nodata=-1)}|instances")
    assert unknown.read(unknown.raster.window)[2, 3] == BLANK


# --- what cannot be told ---


def test_classes_are_refused_by_what_to_do(write_raster):
    many = np.array([[1, 2, 3, 4, 5, 6]], np.uint8)
    refused(write_raster("n.tif", many), r"\(1, 2, 3, 4, 5\); say which")
    refused(write_raster("m.tif", PATTERN + 1), r"several values besides 0 \(1, 2\); .*--house-val")
    refused(write_raster("i.tif", PATTERN + 1), "or by --instances that each of them is a house")


def test_probabilities_are_refused(write_raster):
    refused(write_raster("f.tif", PATTERN * np.float32(0.25) + 0.25), "fractions, as probabilities")
    path = write_raster("p.tif", PATTERN * 200)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales = (1 / 254,)
    refused(path, "scaled, as probabilities are")


def test_what_is_no_raster_and_layers_of_one_are_refused(write_raster):
    refused("none.tif", "no such file")
    path = write_raster("m.tif", PATTERN)
    with pytest.raises(LabelsError, match=r"m\.tif: layers and conditions belong to vector files"):
        open_mask(f"{path}|layername=a")


def test_jpeg_masks_are_refused(write_raster):
    mask = np.zeros((64, 64), np.uint8)
    mask[10:31, 13:38] = mask[40:55, 20:41] = 255
    path = write_raster("m.jpg", mask, driver="JPEG")
    refused(path, "near 0 or 255, as JPEG leaves them")


def test_coloured_pictures_are_refused(write_raster):
    refused(
        write_raster("m.tif", np.stack([PATTERN, PATTERN, 0 * PATTERN])),
        "3 bands that differ, .* swapped",
    )


@pytest.mark.parametrize("kind", ["palette", "miniswhite"])
def test_what_paints_0_white_and_the_other_value_black_is_refused(write_raster, kind):
    """Once such a picture was read the wrong way round: white on black is the house."""
    profile = {"photometric": "miniswhite"} if kind == "miniswhite" else {}
    path = write_raster("m.tif", 1 - PATTERN, **profile)
    if kind == "palette":
        with rasterio.open(path, "r+") as dataset:
            dataset.write_colormap(1, {0: (255, 255, 255), 1: (0, 0, 0)})
    refused(path, r"paints 0 white and 1 black.*--house-value")
    assert (read(path, 0) == PATTERN).all()


def test_a_palette_of_other_colours_is_no_matter(write_raster):
    path = write_raster("m.tif", PATTERN)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (255, 255, 255), 1: (200, 0, 0)})
    assert (read(path) == PATTERN).all()


def test_houses_that_may_be_nodata_are_pointed_out(write_raster, caplog):
    """0 and 255, of which 255 is declared nodata: all houses are unknown then."""
    path = write_raster("m.tif", PATTERN * 255, nodata=255)
    assert set(np.unique(read(path))) == {0, BLANK}
    assert "it holds no house" in caplog.text and "--house-value 255" in caplog.text
    assert (read(path, 255) == PATTERN).all()


def test_a_mask_of_a_model_without_houses_is_not_odd(write_raster, caplog):
    path = write_raster("m.tif", PATTERN * 255, nodata=255)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(**{MODEL_TAG: "abc"})
    assert set(np.unique(read(path))) == {0, BLANK}
    assert not caplog.text


def test_whether_there_is_background(write_raster):
    assert has_background(open_mask(write_raster("m.tif", PATTERN)))
    on_nodata = write_raster("n.tif", np.where(PATTERN == 1, 1, 9).astype(np.uint8), nodata=9)
    assert not has_background(open_mask(on_nodata))


@pytest.mark.parametrize(("tag", "width"), [("4", 4), ("11/8", 1.375), ("steep", 1), (None, 1)])
def test_the_tag_of_a_mask_says_how_wide_a_net_pixel_is(write_raster, tag, width):
    path = write_raster("m.tif", PATTERN)
    if tag is not None:
        with rasterio.open(path, "r+") as dataset:
            dataset.update_tags(GEOFCN_SCALE=tag)
    assert net_pixel(open_mask(path)) == width

"""Labels that tell where two houses meet: the same in every window, whatever the polygons."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from geofcn.core.pixels import BLANK, CONTACT, CONTACT_UNKNOWN, HOUSE
from geofcn.core.windows import Window, blocks
from geofcn.io.contact_labels import ContactLabels, instances_of, share_with_neighbours
from geofcn.io.labels import open_labelled_scene
from geofcn.io.masks import open_mask

X, Y = 500_000, 5_000_000


def box(left, top, right, bottom):
    """A rectangle in pixels of the scene, in its CRS."""
    return shapely.box(X + 0.2 * left, Y - 0.2 * bottom, X + 0.2 * right, Y - 0.2 * top)


@pytest.fixture
def labelled(write_raster, write_vectors):
    """labelled(polygons, reach) -> ContactLabels on a scene of 12 x 16 pixels."""

    def make(polygons, reach=1, area=None):
        scene = write_raster("scene.tif", np.full((3, 12, 16), 9, np.uint8))
        area = area and write_vectors("area.gpkg", area)
        source = open_labelled_scene(scene, write_vectors("l.gpkg", polygons), area=area)
        return ContactLabels(source.labels, source.scene, reach)

    return make


def contacts(labels):
    return labels.read(labels.scene.window) & CONTACT > 0


def test_the_wall_of_two_houses_is_a_contact(labelled):
    labels = labelled([box(2, 2, 6, 8), box(6, 2, 10, 8)])
    expected = np.zeros((12, 16), bool)
    # The corners of the squares around the pixels above and below hold both houses, too.
    expected[1:9, 5:7] = True
    assert (contacts(labels) == expected).all()
    assert (labels.read(labels.scene.window) & HOUSE > 0).sum() == 8 * 6
    assert (labels.labels.instances(Window(4, 4, 1, 4)) == [[1, 1, 2, 2]]).all()


@pytest.mark.parametrize("gap", [-0.4, -0.02, 0.02, 0.4])
def test_neighbours_that_overlap_or_leave_a_sliver_meet_as_well(labelled, gap):
    exact = labelled([box(2, 2, 6, 8), box(6, 2, 10, 8)])
    sliver = labelled([box(2, 2, 6, 8), box(6 + gap, 2, 10, 8)])
    assert (contacts(exact) == contacts(sliver)).all()


def test_a_house_that_is_there_twice_does_not_meet_itself(labelled):
    assert not contacts(labelled([box(2, 2, 6, 8), box(2, 2, 6, 8)])).any()


def test_parts_of_one_feature_are_houses(labelled):
    both = shapely.MultiPolygon([box(2, 2, 6, 8), box(6.01, 2, 10, 8)])
    assert contacts(labelled([both])).any()


def test_outside_of_an_area_nothing_is_known(labelled):
    labels = labelled([box(2, 2, 6, 8), box(6, 2, 10, 8)], area=[box(0, 0, 6, 12)])
    classes = labels.read(labels.scene.window)
    assert (classes[:, 6:] == BLANK).all()
    assert (classes[2:8, 5] == HOUSE | CONTACT).all()


def test_labels_without_instances_do_not_know(village):
    source = open_labelled_scene(*village())
    labels = ContactLabels(source.labels, source.scene, 2)
    assert instances_of(source.labels) is None
    assert (labels.read(source.scene.window) & CONTACT_UNKNOWN > 0).all()
    assert share_with_neighbours(source.labels, source.scene, 3) == 0


BOXES = st.tuples(st.integers(0, 13), st.integers(0, 9), st.integers(1, 6), st.integers(1, 5))


@settings(max_examples=8)
@given(st.lists(BOXES, min_size=1, max_size=6), st.integers(1, 3), st.integers(2, 9))
def test_a_raster_of_instances_says_what_its_polygons_do(
    labelled, write_raster, boxes, reach, side
):
    polygons = labelled([box(left, top, left + w, top + h) for left, top, w, h in boxes], reach)
    numbers = polygons.labels.instances(polygons.scene.window)
    raster = write_raster("i.tif", numbers.astype(np.uint16))
    source = open_labelled_scene(polygons.scene.path, f"{raster}|instances")
    labels = ContactLabels(source.labels, source.scene, reach)
    whole = polygons.read(polygons.scene.window)
    for window in blocks(source.scene.window, side):
        assert (labels.read(window) == whole[window.slices]).all()
    assert labels.identity != f"{open_mask(raster, (1,)).identity} contacts {reach}"


def test_a_number_in_two_places_does_not_meet_itself(labelled, write_raster):
    numbers = np.zeros((12, 16), np.uint8)
    numbers[2:8, 2:6] = numbers[2:8, 7:11] = 4
    scene = labelled([box(0, 0, 1, 1)]).scene
    source = open_labelled_scene(scene.path, f"{write_raster('i.tif', numbers)}|instances")
    assert not contacts(ContactLabels(source.labels, source.scene, 2)).any()


@pytest.mark.parametrize(("gap", "share"), [(0, 1.0), (2, 1.0), (3, 0.0)])
def test_instances_have_neighbours_as_near_as_polygons(labelled, write_raster, gap, share):
    polygons = labelled([box(0, 0, 4, 5), box(4 + gap, 0, 9 + gap, 5)])
    numbers = polygons.labels.instances(polygons.scene.window).astype(np.uint8)
    source = open_labelled_scene(polygons.scene.path, f"{write_raster('i.tif', numbers)}|instances")
    for labels in (polygons.labels, source.labels):
        assert share_with_neighbours(labels, source.scene, 2.5) == share


@pytest.mark.parametrize("side", [100, 257])
def test_every_window_of_a_real_town_gives_the_same(real_data, side):
    folder = real_data / "dense"
    source = open_labelled_scene(folder / "scene.tif", folder / "labels.gpkg")
    labels, part = ContactLabels(source.labels, source.scene, 3), Window(500, 700, 600, 500)
    whole = labels.read(part)
    for window in blocks(part, side):
        assert (labels.read(window) == whole[window.relative_to(part).slices]).all()
    assert 0.01 < (whole & CONTACT > 0).mean() < 0.5
    # Nearly all houses there have a neighbour.
    assert share_with_neighbours(source.labels, source.scene, 4) > 0.7


def test_the_identity_changes_with_the_reach(labelled):
    first, second = labelled([box(2, 2, 6, 8)], 1), labelled([box(2, 2, 6, 8)], 2)
    assert first.identity != second.identity
    assert first.path.endswith("l.gpkg")

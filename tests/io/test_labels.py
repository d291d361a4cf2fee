import itertools
import logging
import os
import pickle

import geopandas
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from rasterio.transform import Affine, from_origin

import geofcn
from geofcn.core.pixels import BLANK, HOUSE
from geofcn.core.windows import Window, blocks
from geofcn.errors import GeofcnError, LabelsError, SceneError
from geofcn.io.datasets import close_handles
from geofcn.io.labels import open_labelled_scene, open_labelled_scenes, open_labels
from geofcn.io.opening import open_scene
from geofcn.io.vector_labels import _to_pixels

WEST, NORTH = 500_000, 5_000_000
COUNTER = itertools.count()


@pytest.fixture
def scene(write_raster):
    """20 rows, 30 columns, blank nowhere."""
    return open_scene(write_raster("scene.tif", np.full((3, 20, 30), 9, np.uint8)))


@pytest.fixture
def messages(caplog):
    caplog.set_level(logging.INFO, "geofcn")
    return caplog


def pattern(height=20, width=30) -> np.ndarray:
    labels = np.zeros((height, width), np.uint8)
    labels[3:9, 4:11] = labels[12:18, 20:24] = 1
    return labels


def on_the_ground(*boxes) -> list:
    """Boxes (column, row, column, row) in pixels of the scene, as polygons in its CRS."""
    return [
        shapely.box(WEST + c0 * 0.2, NORTH - r1 * 0.2, WEST + c1 * 0.2, NORTH - r0 * 0.2)
        for c0, r0, c1, r1 in boxes
    ]


PATTERN_BOXES = (4, 3, 11, 9), (20, 12, 24, 18)


def refused(path, scene, message):
    with pytest.raises(LabelsError, match=message) as caught:
        open_labels(path, scene)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_of_label_rasters_is_read_as_one_raster(scene, tmp_path, write_raster):
    (tmp_path / "labels").mkdir()
    for number, left in enumerate((0, 16)):
        place = from_origin(WEST + left * 0.2, NORTH, 0.2, 0.2)
        write_raster(f"labels/{number}.tif", pattern()[:, left : left + 16], transform=place)
    (tmp_path / "labels" / "overview.geojson").write_text("{}")
    for name in ("labels", "labels/*.tif"):
        labels = open_labels(f"{tmp_path}/{name}", scene)
        assert (labels.read(scene.window) == pattern()).all()
    (tmp_path / "labels" / "1.tif").write_bytes(b"II*\0damaged")
    refused(tmp_path / "labels", scene, r"1\.tif: this sheet cannot be opened as a raster")


# --- rasters ---


def test_a_raster_on_the_scenes_grid_is_taken_as_it_is(scene, write_raster, messages):
    labels = open_labels(write_raster("l.tif", pattern()), scene)
    for window in (scene.window, Window(5, 6, 7, 8)):
        classes = labels.read(window)
        assert classes.dtype == np.uint8
        assert (classes == pattern()[window.slices]).all()
    assert messages.text == ""


def test_a_grid_off_by_a_thousandth_of_a_pixel_is_the_same(scene, write_raster, messages):
    nearly = from_origin(WEST + 0.2e-4, NORTH, 0.2, 0.2)
    labels = open_labels(write_raster("l.tif", pattern(), transform=nearly), scene)
    assert (labels.read(scene.window) == pattern()).all()
    assert messages.text == ""


def test_255_is_a_house_with_a_message(scene, write_raster, messages):
    labels = open_labels(write_raster("l.tif", pattern() * 255), scene)
    assert (labels.read(scene.window) == pattern()).all()
    assert "255 is taken as house" in messages.text


def test_declared_nodata_is_unknown(scene, write_raster):
    classes = pattern()
    classes[0, :5] = 255
    labels = open_labels(write_raster("l.tif", classes, nodata=255), scene)
    assert (labels.read(scene.window) == classes).all()
    assert labels.read(scene.window)[0, 0] == BLANK


def test_labels_that_declare_zero_nodata_have_background_all_the_same(write_raster, caplog):
    scene = open_scene(write_raster("scene.tif", np.full((3, 8, 8), 9, np.uint8)))
    truth = np.zeros((8, 8), np.uint8)
    truth[2:4, 2:5] = 1
    labels = open_labels(write_raster("labels.tif", truth, nodata=0), scene)
    assert np.array_equal(labels.read(scene.window), truth)
    assert "0 is taken as background" in caplog.text
    moved = write_raster(
        "moved.tif", truth, nodata=0, transform=from_origin(500_000.2, 5_000_000, 0.2, 0.2)
    )
    with pytest.raises(LabelsError, match="unsetnodata"):
        open_labels(moved, scene)


def test_several_values_cannot_be_told_apart(scene, write_raster):
    classes = pattern()
    classes[0, 0], classes[0, 1] = 2, 7
    refused(write_raster("l.tif", classes), scene, r"several values besides 0 \(1, 2, 7\)")


@pytest.mark.parametrize("shift", [(2, 0), (0, -3), (-5, 4)])
def test_a_shifted_grid_is_aligned_with_a_notice(scene, write_raster, messages, shift):
    cols, rows = shift
    transform = from_origin(WEST + cols * 0.2, NORTH - rows * 0.2, 0.2, 0.2)
    labels = open_labels(write_raster("l.tif", pattern(), transform=transform), scene)
    expected = np.full((20, 30), BLANK, np.uint8)
    for r in range(20):
        for c in range(30):
            if 0 <= r - rows < 20 and 0 <= c - cols < 30:
                expected[r, c] = pattern()[r - rows, c - cols]
    assert (labels.read(scene.window) == expected).all()
    assert "aligned" in messages.text
    assert (labels.read(Window(4, 3, 9, 11)) == expected[4:13, 3:14]).all()


def test_a_larger_grid_is_cut_to_the_scene(scene, write_raster):
    larger = np.zeros((60, 70), np.uint8)
    larger[20:40, 30:60] = pattern()
    transform = from_origin(WEST - 30 * 0.2, NORTH + 20 * 0.2, 0.2, 0.2)
    labels = open_labels(write_raster("l.tif", larger, transform=transform), scene)
    assert (labels.read(scene.window) == pattern()).all()


def test_a_coarser_grid_is_nearest_neighbour(scene, write_raster):
    coarse = np.random.default_rng(0).integers(0, 2, (4, 6)).astype(np.uint8)
    labels = open_labels(
        write_raster("l.tif", coarse, transform=from_origin(WEST, NORTH, 1, 1)), scene
    )
    assert (labels.read(scene.window) == np.kron(coarse, np.ones((5, 5), np.uint8))).all()


@pytest.mark.parametrize("sign", [1, -1])
def test_a_grid_upside_down_or_mirrored_overlaps_all_the_same(write_raster, sign):
    # Once refused as lying elsewhere: its "top" is below its "bottom".
    transform = Affine(-0.2 * sign, 0, WEST, 0, 0.2 * sign, NORTH)
    scene = open_scene(write_raster("s.tif", np.ones((20, 30), np.uint8), transform=transform))
    moved = transform @ Affine.translation(2, 1)
    labels = open_labels(write_raster("l.tif", pattern(), transform=moved), scene)
    classes = labels.read(scene.window)
    assert (classes[1:, 2:] == pattern()[:-1, :-2]).all()
    assert (classes[0] == BLANK).all() and (classes[:, :2] == BLANK).all()


def test_a_rotated_grid_is_aligned(write_raster):
    turned = Affine.translation(WEST, NORTH) @ Affine.rotation(30) @ Affine.scale(0.2, -0.2)
    scene = open_scene(write_raster("s.tif", np.ones((20, 30), np.uint8), transform=turned))
    moved = turned @ Affine.translation(3, 2)
    labels = open_labels(write_raster("l.tif", pattern(), transform=moved), scene)
    assert (labels.read(scene.window)[2:, 3:] == pattern()[:-2, :-3]).all()


def test_another_crs_is_reprojected_with_a_notice(scene, write_raster, messages):
    # The same ground in the neighbouring UTM zone, labelled generously around one large house.
    east = geopandas.GeoSeries(on_the_ground((0, 0, 30, 20)), crs="EPSG:25832").to_crs("EPSG:25833")
    west, _, _, north = east.total_bounds
    classes = np.zeros((80, 80), np.uint8)
    classes[:, 38:] = 1
    path = write_raster(
        "l.tif", classes, crs="EPSG:25833", transform=from_origin(west - 3, north + 3, 0.2, 0.2)
    )
    aligned = open_labels(path, scene).read(scene.window)
    assert "reprojected" in messages.text
    assert set(np.unique(aligned)) == {0, 1}
    # The zones' norths differ by 4 degrees or so: the edge slants, but there is one.
    assert (np.diff(aligned.astype(int), axis=1) >= 0).all()


def test_labels_elsewhere_are_refused(scene, write_raster):
    far = {"transform": from_origin(WEST + 9_000, NORTH, 0.2, 0.2)}
    refused(write_raster("l.tif", pattern(), **far), scene, "does not overlap scene.tif")
    near = {"transform": from_origin(WEST + 30 * 0.2, NORTH, 0.2, 0.2)}
    refused(write_raster("n.tif", pattern(), **near), scene, "does not overlap")
    refused(write_raster("z.tif", pattern(), crs="EPSG:25833"), scene, "does not overlap")


def test_labels_without_crs_need_the_scenes_size(scene, write_raster, messages):
    path = write_raster("l.tif", pattern(), crs=None, transform=None)
    assert (open_labels(path, scene).read(scene.window) == pattern()).all()
    assert "no CRS" in messages.text
    path = write_raster("m.tif", pattern(40, 30), crs=None, transform=None)
    refused(path, scene, "its place is unknown")


@pytest.mark.parametrize("name", ["l.tif", "l.png"])
def test_labels_without_crs_that_lie_elsewhere_are_not_laid_onto_the_scene(
    scene, write_raster, tmp_path, name
):
    """Once the transform of such labels, and a world file, were ignored."""
    place = {"transform": from_origin(WEST + 1000, NORTH, 0.2, 0.2)} if name == "l.tif" else {}
    driver = {"driver": "PNG" if name == "l.png" else "GTiff", "transform": None} | place
    path = write_raster(name, pattern(), crs=None, **driver)
    if name == "l.png":
        (tmp_path / "l.pgw").write_text(f"0.2\n0\n0\n-0.2\n{WEST + 1000.1}\n{NORTH - 0.1}\n")
    refused(path, scene, "puts it elsewhere than scene.tif")


def test_labels_without_crs_but_with_the_scenes_transform_are_taken(scene, write_raster, messages):
    path = write_raster("l.tif", pattern(), crs=None)
    assert (open_labels(path, scene).read(scene.window) == pattern()).all()
    assert "no CRS" in messages.text


def test_a_scene_without_crs_takes_labels_on_its_grid_only(write_raster):
    bare = open_scene(write_raster("s.tif", np.ones((20, 30), np.uint8), crs=None))
    same = open_labels(write_raster("l.tif", pattern()), bare)
    assert (same.read(bare.window) == pattern()).all()
    moved = from_origin(WEST + 0.4, NORTH, 0.2, 0.2)
    refused(write_raster("m.tif", pattern(), transform=moved), bare, "has no CRS")
    both = open_labels(write_raster("b.tif", pattern(), transform=moved, crs=None), bare)
    assert (both.read(bare.window)[:, 2:] == pattern()[:, :-2]).all()


def test_files_that_are_no_labels_are_label_errors(scene, tmp_path):
    refused(tmp_path / "none.tif", scene, "no such file")
    refused(tmp_path / "none.gpkg", scene, "no such file")
    (tmp_path / "text.geojson").write_text("not json")
    refused(tmp_path / "text.geojson", scene, "cannot be read")


def test_a_labelled_scene_is_a_scene_with_its_labels(write_raster):
    labelled = open_labelled_scene(
        write_raster("s.tif", np.full((20, 30), 7, np.uint8)), write_raster("l.tif", pattern()), 7
    )
    assert not labelled.scene.read(labelled.scene.window)[1].any()
    assert (labelled.labels.read(labelled.scene.window) == pattern()).all()
    with pytest.raises(SceneError):
        open_labelled_scene("none.tif", "none-either.tif")


# --- vectors ---


@pytest.mark.parametrize("name", ["l.gpkg", "l.shp", "l.fgb", "l.geojson"])
def test_vectors_of_any_format_are_burned(scene, write_vectors, name):
    labels = open_labels(write_vectors(name, on_the_ground(*PATTERN_BOXES)), scene)
    for window in (scene.window, Window(5, 6, 7, 8), Window(0, 0, 2, 2)):
        classes = labels.read(window)
        assert classes.dtype == np.uint8
        assert (classes == pattern()[window.slices]).all()


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:25833"])
def test_vectors_in_any_crs_are_brought_onto_the_scene(scene, write_vectors, crs):
    shapes = geopandas.GeoSeries(on_the_ground(*PATTERN_BOXES), crs="EPSG:25832").to_crs(crs)
    labels = open_labels(write_vectors("l.gpkg", shapes, crs), scene)
    assert (labels.read(scene.window) == pattern()).all()


def test_parts_and_holes(scene, write_vectors):
    ring, spot = on_the_ground((2, 2, 12, 12), (5, 5, 8, 8))
    apart = on_the_ground((20, 2, 24, 6))[0]
    several = shapely.MultiPolygon([ring.difference(spot), apart])
    classes = open_labels(write_vectors("l.gpkg", [several]), scene).read(scene.window)
    assert classes.sum() == 100 - 9 + 16 and classes[6, 6] == 0


def test_only_polygons_count(scene, write_vectors):
    point, line = (
        shapely.Point(WEST + 1, NORTH - 1),
        shapely.LineString([(WEST, NORTH), (WEST + 5, NORTH - 3)]),
    )
    mixed = write_vectors("m.geojson", [point, line, *on_the_ground((0, 0, 4, 4))])
    assert open_labels(mixed, scene).read(scene.window).sum() == 16
    refused(write_vectors("p.gpkg", [point]), scene, "no polygons")


def test_a_table_without_shapes_is_refused(scene, tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("name,height\na,3\n")
    refused(path, scene, "table without shapes")


def test_vectors_elsewhere_are_refused(scene, write_vectors):
    far = on_the_ground((900, 900, 910, 910))
    refused(write_vectors("l.gpkg", far), scene, r"none of its 1 polygons lies on scene\.tif")


def test_vectors_without_crs_are_refused(scene, write_vectors):
    refused(write_vectors("l.shp", on_the_ground((0, 0, 4, 4)), crs=None), scene, "states no CRS")


def test_vectors_that_are_replaced_are_read_anew(scene, write_vectors):
    path = write_vectors("l.geojson", on_the_ground((0, 0, 4, 4)))
    assert open_labels(path, scene).read(scene.window).sum() == 16
    path = write_vectors("l.geojson", on_the_ground((0, 0, 4, 4), (10, 10, 12, 12)))
    assert open_labels(path, scene).read(scene.window).sum() == 20


# Vertices anywhere, also on pixel corners and centres, where rounding decides.
numbers = st.one_of(
    st.integers(-5, 35).map(lambda n: n / 2),
    st.floats(-5, 35),
    st.integers(-15, 99).map(lambda n: n / 3),
)
triangles = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=3)


@settings(max_examples=60)
@given(shapes=st.lists(triangles, min_size=1, max_size=5), size=st.integers(1, 31))
def test_burning_by_windows_is_burning_the_whole(write_raster, write_vectors, shapes, size):
    flat = {"crs": None, "transform": Affine.translation(0, 1e-9)}
    scene = open_scene(write_raster("flat.tif", np.ones((20, 30), np.uint8), **flat))
    polygons = [shapely.Polygon(points) for points in shapes]
    polygons.append(shapely.box(-0.2, -0.2, 0.2, 0.2))  # on the scene, on no pixel's centre
    labels = open_labels(write_vectors(f"{next(COUNTER)}.fgb", polygons, crs=None), scene)
    by_windows = np.full((20, 30), 9, np.uint8)
    for window in blocks(scene.window, size):
        by_windows[window.slices] = labels.read(window)
    assert (by_windows == labels.read(scene.window)).all()


@pytest.mark.parametrize("corner", [0, 1_000, 70_000])
def test_an_edge_through_pixel_centres_is_the_same_in_every_window(corner):
    """Once a pixel in some hundred polygons with round coordinates depended on the window."""
    random = np.random.default_rng(corner)
    for _ in range(120):
        parts = random.choice([3, 5, 7, 10])
        points = random.integers(-5 * parts, 35 * parts, (4, 2)) / parts + corner
        polygon = shapely.Polygon(_to_pixels(Affine.identity(), points))
        images = []
        for size in (7, 30):
            image = np.zeros((30, 30), np.uint8)
            for window in blocks(Window(0, 0, 30, 30), size):
                shift = Affine.translation(corner + window.col, corner + window.row)
                image[window.slices] = rasterize(
                    [(polygon, HOUSE)], out_shape=window.shape, transform=shift
                )
            images.append(image)
        assert (images[0] == images[1]).all()


def test_geoparquet_labels_are_those_of_a_geopackage(write_raster, tmp_path):
    scene = open_scene(write_raster("scene.tif", np.full((3, 32, 32), 9, np.uint8)))
    house = shapely.box(500_001, 4_999_996, 500_003, 4_999_999)
    frame = geopandas.GeoDataFrame(geometry=[house], crs="EPSG:25832")
    frame.to_parquet(tmp_path / "houses.parquet")
    frame.to_file(tmp_path / "houses.gpkg")
    first, second = (
        open_labels(tmp_path / name, scene).read(scene.window)
        for name in ("houses.parquet", "houses.gpkg")
    )
    assert np.array_equal(first, second)
    assert first.sum() == 10 * 15


# --- within an area ---


def test_labels_count_for_nothing_outside_of_an_area(write_raster, write_vectors):
    scene_path = write_raster("s.tif", np.full((3, 20, 30), 9, np.uint8))
    area_path = write_vectors("area.gpkg", on_the_ground((2, 1, 15, 14), (18, 0, 30, 20)))
    expected = np.full((20, 30), BLANK, np.uint8)
    for rows, cols in ((slice(1, 14), slice(2, 15)), (slice(0, 20), slice(18, 30))):
        expected[rows, cols] = pattern()[rows, cols]
    for labels_path in (
        write_raster("l.tif", pattern()),
        write_vectors("l.gpkg", on_the_ground(*PATTERN_BOXES)),
    ):
        labelled = open_labelled_scene(scene_path, labels_path, area=area_path)
        assert (labelled.labels.read(labelled.scene.window) == expected).all()
        window = Window(5, 6, 7, 14)
        assert (labelled.labels.read(window) == expected[window.slices]).all()
        assert labelled.labels.path == str(labels_path)


def test_what_is_unknown_stays_unknown_within_the_area(write_raster, write_vectors):
    classes = pattern()
    classes[0, :5] = 255
    labelled = open_labelled_scene(
        write_raster("s.tif", np.full((3, 20, 30), 9, np.uint8)),
        write_raster("l.tif", classes, nodata=255),
        area=write_vectors("area.gpkg", on_the_ground((0, 0, 30, 20))),
    )
    assert (labelled.labels.read(labelled.scene.window) == classes).all()


def test_of_several_scenes_an_area_counts_for_those_it_touches(
    write_raster, write_vectors, messages
):
    image = np.full((3, 20, 30), 9, np.uint8)
    elsewhere = from_origin(WEST + 1000, NORTH, 0.2, 0.2)
    pairs = [
        (write_raster("near.tif", image), write_raster("near-labels.tif", pattern())),
        (
            write_raster("far.tif", image, transform=elsewhere),
            write_raster("far-labels.tif", pattern(), transform=elsewhere),
        ),
    ]
    area = write_vectors("area.gpkg", on_the_ground((0, 0, 15, 20)))
    near, far = open_labelled_scenes(pairs, area=area)
    assert (near.labels.read(near.scene.window)[:, 15:] == BLANK).all()
    assert (near.labels.read(near.scene.window)[:, :15] == pattern()[:, :15]).all()
    assert (far.labels.read(far.scene.window) == pattern()).all()
    assert messages.messages == [
        f"{pairs[1][0]}: no polygon of {area} lies on it; it counts as a whole."
    ]
    beside = write_vectors("beside.gpkg", on_the_ground((900, 900, 910, 910)))
    with pytest.raises(LabelsError, match=r"beside\.gpkg: none of its 1 .* near\.tif or far\.tif;"):
        open_labelled_scenes(pairs, area=beside)
    assert len(messages.messages) == 1


def test_a_scene_without_a_house_is_background_beside_others(write_raster, write_vectors, messages):
    """Once such a scene was refused, as if its labels were of another place."""
    image = np.full((3, 20, 30), 9, np.uint8)
    houses = write_vectors("l.gpkg", on_the_ground(*PATTERN_BOXES))
    empty = write_raster("e.tif", image, transform=from_origin(WEST + 1000, NORTH, 0.2, 0.2))
    pairs = [(write_raster("s.tif", image), houses), (empty, houses)]
    with_houses, without = open_labelled_scenes(pairs)
    assert (with_houses.labels.read(with_houses.scene.window) == pattern()).all()
    assert not without.labels.read(without.scene.window).any()
    assert messages.messages == [
        f"{houses}: none of its polygons lies on {empty}; that counts as background."
    ]
    with pytest.raises(LabelsError, match=r"none of its 2 polygons lies on e\.tif"):
        open_labelled_scenes([pairs[1], pairs[1]])


def test_an_area_that_will_not_do_is_refused(write_raster, write_vectors):
    scene_path = write_raster("s.tif", np.full((3, 20, 30), 9, np.uint8))
    labels_path = write_raster("l.tif", pattern())
    far = write_vectors("far.gpkg", on_the_ground((900, 900, 910, 910)))
    for area, message in (
        (labels_path, "given as polygons, not as a raster"),
        (far, r"none of its 1 polygons lies on s\.tif"),
        ("none.gpkg", "no such file"),
    ):
        with pytest.raises(LabelsError, match=message) as caught:
            open_labelled_scene(scene_path, labels_path, area=area)
        assert str(caught.value).startswith(f"{area}: ")


# --- what labels have in common ---


def test_labels_change_their_identity_when_one_of_their_files_does(write_raster, write_vectors):
    scene_path = write_raster("s.tif", np.full((3, 20, 30), 9, np.uint8))
    paths = {
        "raster": write_raster("l.tif", pattern()),
        "vector": write_vectors("l.gpkg", on_the_ground(*PATTERN_BOXES)),
        "area": write_vectors("area.gpkg", on_the_ground((0, 0, 30, 20))),
    }

    def identities() -> list:
        raster, vector, masked = (
            open_labelled_scene(scene_path, paths[kind], area=area).labels
            for kind, area in (("raster", None), ("vector", None), ("raster", paths["area"]))
        )
        return [raster.identity, vector.identity, masked.identity]

    changed = {"raster": [True, False, True], "vector": [False, True, False]}
    changed["area"] = [False, False, True]
    for kind, expected in changed.items():
        before = identities()
        assert identities() == before
        os.utime(paths[kind], ns=(0, 10**18))
        after = identities()
        assert [new != old for new, old in zip(after, before, strict=True)] == expected, kind


def test_labels_can_be_pickled_and_compared(scene, write_raster, write_vectors):
    for path in (
        write_raster("l.tif", pattern()),
        write_vectors("l.gpkg", on_the_ground(*PATTERN_BOXES)),
    ):
        labels = open_labels(path, scene)
        copy = pickle.loads(pickle.dumps(labels))
        assert copy == labels and hash(copy) == hash(labels)
        assert (copy.read(scene.window) == pattern()).all()


# --- errors ---


def test_an_error_of_the_raster_is_told_once_as_one_of_the_labels(scene, tmp_path):
    path = tmp_path / "l.tif"
    for content in (None, b"no raster"):
        if content:
            path.write_bytes(content)
        with pytest.raises(SceneError) as plain:
            open_scene(path)
        with pytest.raises(LabelsError) as caught:
            open_labels(path, scene)
        assert str(caught.value) == str(plain.value)
        assert type(caught.value.__cause__) is SceneError


def test_a_scene_that_cannot_be_opened_is_an_error_of_the_scene(write_raster, tmp_path):
    labels_path = write_raster("l.tif", pattern())
    with pytest.raises(SceneError, match=r"none\.tif: there is no such file"):
        open_labelled_scene(tmp_path / "none.tif", labels_path)


def test_an_error_of_the_vectors_is_told_once(scene, write_vectors, tmp_path):
    (tmp_path / "bad.gpkg").write_bytes(b"no database")
    line = shapely.LineString([(WEST, NORTH), (WEST + 5, NORTH - 3)])
    for path in (
        tmp_path / "none.gpkg",
        tmp_path / "bad.gpkg",
        write_vectors("nowhere.shp", on_the_ground((0, 0, 4, 4)), crs=None),
        write_vectors("lines.gpkg", [line]),
        write_vectors("far.gpkg", on_the_ground((900, 900, 910, 910))),
    ):
        with pytest.raises(LabelsError) as caught:
            open_labels(path, scene)
        assert str(caught.value).startswith(f"{path}: ")
        assert str(caught.value).count(f"{path}: ") == 1
        assert not isinstance(caught.value.__cause__, GeofcnError)


def test_damage_to_a_raster_of_labels_is_an_error_of_reading_it(scene, write_raster):
    path = write_raster("l.tif", pattern())
    labels = open_labels(path, scene)
    close_handles()
    path.unlink()
    with pytest.raises(SceneError, match=r"l\.tif: cannot read rows 0-19"):
        labels.read(scene.window)


# --- the real scene ---


def test_the_same_houses_in_three_crs_give_nearly_the_same_raster(real_data):
    folder = real_data / "karezza"
    scene = open_scene(folder / "scene.tif")
    window = Window(256, 512, 1280, 1280)
    truth = open_labels(folder / "labels.tif", scene).read(window)
    assert 0.05 < truth.mean() < 0.3
    for name in ("labels.gpkg", "labels_utm32.gpkg", "labels_wgs84.geojson"):
        burned = open_labels(folder / name, scene).read(window)
        assert (burned != truth).mean() < 5e-4, name
        overlap = np.count_nonzero(burned & truth) / np.count_nonzero(burned | truth)
        assert overlap > 0.995, name


@pytest.mark.parametrize("kind", ["raster", "polygons"])
def test_labels_are_moved_by_metres_on_the_ground(scene, write_raster, write_vectors, kind):
    """By 3 columns to the right and 2 rows up, of 0.2 units; UTM shrinks by 0.04 % here."""
    path = write_raster("labels.tif", pattern())
    if kind == "polygons":
        path = write_vectors("labels.gpkg", on_the_ground(*PATTERN_BOXES))
    labels = open_labels(f"{path}|shift=0.6,0.4", scene)
    expected = np.zeros((20, 30), np.uint8)
    expected[:-2, 3:] = pattern()[2:, :-3]
    found = labels.read(scene.window)
    if kind == "raster":
        # What the file does not reach is unknown.
        assert (found[-2:] == BLANK).all() and (found[:, :3] == BLANK).all()
        found = np.where(found == BLANK, 0, found)
    assert (found == expected).all()
    assert labels.identity != open_labels(path, scene).identity


def test_labels_are_not_moved_where_that_has_no_meaning(scene, write_raster, write_vectors):
    unplaced = open_scene(write_raster("none.tif", np.ones((3, 20, 30), np.uint8), crs=None))
    raster = write_raster("labels.tif", pattern(), crs=None)
    with pytest.raises(GeofcnError, match=r"labels\.tif: labels are moved by metres .*-a_srs"):
        open_labels(f"{raster}|shift=1,1", unplaced)
    moved = f"{write_vectors('l.gpkg', on_the_ground(*PATTERN_BOXES))}|shift=1,1"
    with pytest.raises(GeofcnError, match=r"l\.gpkg: .* as far as they lie on a raster; compare"):
        geofcn.evaluate(moved, moved)
    with pytest.raises(GeofcnError, match=r"labels\.tif: .* as far as they lie on another raster"):
        geofcn.polygonize(f"{raster}|shift=1,1", raster.with_suffix(".gpkg"))

import matplotlib.image
import numpy as np

from geofcn.core.windows import Window
from geofcn.defaults import BEST_F1
from geofcn.io.labels import open_labelled_scene
from geofcn.models.model_file import save_model
from geofcn.progress import silent
from geofcn.training import overlay
from geofcn.training.overlay import make_overlay
from geofcn.training.plots import LEGEND_ROWS, OVERLAY, TITLE_ROWS


def painted(source, folder, held_out=()) -> np.ndarray:
    """The picture without title and legend."""
    made = make_overlay(source, folder, silent, "a scene", held_out)
    made.save(folder / "overlay.png")
    picture = matplotlib.image.imread(folder / "overlay.png")[TITLE_ROWS:-LEGEND_ROWS, :, :3]
    return (picture * 255).round().astype(int)


def test_each_pixel_shows_what_the_model_says_of_it(make_model, write_raster, tmp_path):
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (3, 70, 52)).astype(np.uint8)
    labels = (random.random((70, 52)) < 0.4).astype(np.uint8)
    labels[:20] = 9
    probability = make_model("fcnn").predict(image)
    threshold = float(np.median(probability))
    save_model(make_model("fcnn", threshold=threshold), tmp_path / BEST_F1)
    source = open_labelled_scene(
        write_raster("s.tif", image), write_raster("l.tif", labels, nodata=9)
    )
    picture = painted(source, tmp_path)

    predicted, known = probability >= threshold, labels != 9
    expected = np.moveaxis(image, 0, -1).astype(float)
    for name, mask in (
        ("hit", known & predicted & (labels == 1)),
        ("missed", known & ~predicted & (labels == 1)),
        ("false alarm", known & predicted & (labels == 0)),
        ("found, not labelled", ~known & predicted),
    ):
        assert mask.any()
        expected[mask] = 0.45 * expected[mask] + 0.55 * np.array(OVERLAY[name])
    sure = abs(probability - threshold) > 1e-5
    assert sure.mean() > 0.99
    assert abs(picture - expected)[sure].max() <= 1


def test_windows_of_the_overlay_tile_the_reduced_scene(village, make_model, tmp_path, monkeypatch):
    source = open_labelled_scene(*village(160))
    image, valid = source.scene.read(source.scene.window)
    threshold = float(np.median(make_model("fcnn2").predict(image, valid)))
    save_model(make_model("fcnn2", threshold=threshold), tmp_path / BEST_F1)
    whole = painted(source, tmp_path)
    monkeypatch.setattr(overlay, "VALIDATION_WINDOW", 16)
    assert (painted(source, tmp_path) == whole).all()
    monkeypatch.setattr(overlay, "OVERLAY_PIXELS", 60)
    assert painted(source, tmp_path).shape[:2] == (54, 54), "every third pixel"


def test_what_was_kept_for_validation_has_a_frame(village, make_model, tmp_path, monkeypatch):
    source = open_labelled_scene(*village(160))
    save_model(make_model("fcnn2"), tmp_path / BEST_F1)
    monkeypatch.setattr(overlay, "OVERLAY_PIXELS", 80)
    plain = painted(source, tmp_path)
    framed = painted(source, tmp_path, [Window(20, 40, 60, 100)])
    rows, cols = np.nonzero((plain != framed).any(axis=-1))
    assert (rows.min(), rows.max(), cols.min(), cols.max()) == (10, 39, 20, 69)
    assert (framed[10, 20:70] == 255).all() and (framed[13:37, 23:67] == plain[13:37, 23:67]).all()

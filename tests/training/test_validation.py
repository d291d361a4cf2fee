import numpy as np
import pytest
import torch

from geofcn.core.metrics import Confusion, ScoreCurve, best_threshold
from geofcn.core.pixels import Normalisation
from geofcn.core.windows import blocks
from geofcn.io.labels import open_labelled_scene
from geofcn.io.scene import open_scene
from geofcn.training.tiles import TrainingTile
from geofcn.training.validation import score_tiles, score_windows


class SignNet:
    """Stands in for a model: a value above its mean image is a house, its mean is a tie."""

    normalisation = Normalisation(
        np.array([[[5, 6]]], np.float32).repeat(2, 1), np.ones(1, np.float32)
    )

    def logits(self, prepared: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([-prepared, prepared]))


def test_a_tie_is_background_and_the_mean_image_starts_with_each_tile():
    image = np.array([[[9, 6], [5, 9]]], np.uint8)  # house, tie; tie, house
    labels = np.array([[1, 1], [0, 0]], np.uint8)
    tile = TrainingTile(image, np.ones((2, 2), bool), labels)
    scored = score_tiles(lambda: [tile, tile])(SignNet())
    assert scored.confusion == Confusion(tp=2, fn=2, tn=2, fp=2)
    assert scored.threshold == 0.5


def test_padding_counts_as_background_and_unknown_labels_do_not_count():
    image = np.array([[[9, 9], [0, 0]]], np.uint8)
    labels = np.array([[1, 255], [0, 0]], np.uint8)
    tile = TrainingTile(image, np.ones((2, 2), bool), labels)
    assert score_tiles(lambda: [tile])(SignNet()).confusion == Confusion(tp=1, tn=2)


@pytest.mark.parametrize("net", ["fcnn", "fcnn2"])
def test_windows_are_judged_as_parts_of_the_whole(make_model, write_raster, net):
    random = np.random.default_rng(0)
    image = random.integers(1, 255, (2, 45, 61)).astype(np.uint8)
    image[:, 10:20, 30:50] = 0
    labels = (random.random((45, 61)) < 0.3).astype(np.uint8)
    labels[:4] = 255
    scene_path = write_raster("s.tif", image, nodata=0)
    source = open_labelled_scene(scene_path, write_raster("l.tif", labels, nodata=255))
    model = make_model(net, 2)
    window_of = list(blocks(source.scene.window, 16))
    scored = score_windows([(source, window) for window in window_of])(model)

    curve = ScoreCurve()
    valid = open_scene(scene_path).read(source.scene.window)[1]
    known = valid & (labels != 255)
    assert 0 < known.sum() < known.size
    curve.add(model.predict(image, valid), labels == 1, known)
    threshold, counts = best_threshold([curve])
    assert scored.threshold == pytest.approx(threshold, abs=1 / 254)
    assert scored.confusion.f1 == pytest.approx(counts.f1, abs=0.01)
    assert sum(vars(scored.confusion).values()) == known.sum()

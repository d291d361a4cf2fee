"""geofcn.training.report: the page of a training, in the folder of its run."""

import csv

import pytest
from pages import Page, decoded

from geofcn.training.train import train


def test_a_run_has_a_page_with_pictures_scores_plan_and_model(trained):
    page = Page((trained / "run" / "report.html").read_text(encoding="utf-8"))
    with open(trained / "run" / "history.csv", newline="") as file:
        best = max(csv.DictReader(file), key=lambda row: float(row["f1"]))
    assert f"F1 of pixels {100 * float(best['f1']):.1f} %" in page.text
    assert f"Scores after epoch {best['epoch']}" in page.text
    scene, *layers = page.all("image")
    assert decoded(scene["href"]).size == (512, 512) and len(layers) == 1
    assert "kept for validation" in page.text and len(page.all("polyline")) >= 7
    assert f"--output {trained.absolute()}/run" in page.text and "--tile 128" in page.text


@pytest.fixture
def pairs(village):
    return village(64), village(64, seed=1, name="other")


def test_the_scene_that_was_scored_on_is_shown_as_well(pairs, tmp_path):
    learnt, other = pairs
    options = {"net": "fcnn", "tile": 32, "epochs": 2, "device": "cpu"}
    result = train(*learnt, tmp_path / "run", validate=other, and_=[other], **options)
    page = Page(result.report.read_text(encoding="utf-8"))
    assert "village.tif, learnt from; scored on other.tif" in page.text
    assert "other.tif, scored on" in page.text
    assert "Of the 2 scenes that were learnt from the first one is shown." in page.text
    assert len([svg for svg in page.all("svg") if svg.get("class") == "map"]) == 2


def test_scores_of_what_was_learnt_from_are_called_so(pairs, tmp_path):
    options = {"net": "fcnn", "tile": 32, "epochs": 1, "device": "cpu", "validate_fraction": 0}
    result = train(*pairs[0], tmp_path / "run", **options)
    text = Page(result.report.read_text(encoding="utf-8")).text
    assert "Nothing was held out" in text and "Training scores" in text
    assert "on what is learnt from" in text

"""geofcn.inference.report: the page of an inference shows what was written."""

import re

import numpy as np
import pyogrio
import pytest
import rasterio
from pages import Page, decoded

from geofcn.errors import OutputError
from geofcn.inference.infer import infer
from geofcn.inference.report import SHOWN, InferenceReport
from geofcn.models.model_file import save_model


@pytest.fixture
def job(village, make_model, tmp_path):
    """The arguments of an inference that finds specks, threshold and all."""
    model = make_model("fcnn2")
    scene, _ = village(96)
    with rasterio.open(scene) as file:
        threshold = float(np.quantile(model.predict(file.read()), 0.8))
    save_model(model, tmp_path / "model.safetensors")
    given = {"model": tmp_path / "model.safetensors", "threshold": threshold, "min_area": 0}
    return {"scene": scene, "mask": tmp_path / "m.tif", "report": tmp_path / "r.html", **given}


def undated(path) -> str:
    return re.sub("<time.*?</time>", "", path.read_text(encoding="utf-8"))


def test_the_page_shows_all_polygons_and_the_least_certain_ones(job, tmp_path):
    result = infer(**job, polygons=tmp_path / "h.gpkg")
    assert result.report == job["report"] and str(result).splitlines()[2].endswith("r.html")
    parsed = Page(job["report"].read_text(encoding="utf-8"))
    houses = pyogrio.read_dataframe(tmp_path / "h.gpkg", layer="houses")
    assert result.count == len(houses) > SHOWN
    paths = [path for path in parsed.all("path") if path.get("class") != "outline"]
    assert len(paths) == len(houses)
    first = houses.sort_values(["score", "id"]).iloc[0]
    assert f"house {first.id}: {first.area_m2:,.0f} m², score {first.score:.2f}" in parsed.text
    assert len([b for b in parsed.all("button") if "data-show" in b]) == SHOWN
    for picture in parsed.all("image"):
        assert min(decoded(picture["href"]).size) > 1
    assert decoded(parsed.all("image")[0]["href"]).size == (96, 96)


def test_without_polygons_the_mask_is_painted(job, tmp_path):
    infer(**{**job, "min_area": None})
    _, layer = Page(job["report"].read_text(encoding="utf-8")).all("image")
    painted = np.asarray(decoded(layer["href"]).convert("RGBA"))[..., 3] > 0
    with rasterio.open(job["mask"]) as file:
        mask = file.read(1) == 1
    assert mask.any() and (painted == mask).all()


def test_the_page_changes_no_other_output_and_does_not_depend_on_tiles(job, tmp_path):
    plain = {**job, "report": None, "mask": tmp_path / "plain.tif"}
    infer(**plain, polygons=tmp_path / "plain.gpkg")
    pages = []
    for tile in (8, 64):
        infer(**job, polygons=tmp_path / "h.gpkg", tile=tile, overwrite=True)
        pages.append(undated(job["report"]).replace(f"tile {tile}", "").replace(f"tile={tile}", ""))
    assert pages[0] == pages[1]
    assert (tmp_path / "plain.gpkg").read_bytes() == (tmp_path / "h.gpkg").read_bytes()
    assert (tmp_path / "plain.tif").read_bytes() == (tmp_path / "m.tif").read_bytes()


def test_an_inference_that_ended_at_its_page_goes_on(job, tmp_path, monkeypatch):
    def fail(self):
        raise OutputError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(InferenceReport, "write", fail)
        with pytest.raises(OutputError, match="no room"):
            infer(**job, polygons=tmp_path / "h.gpkg")
    assert not job["mask"].exists() and not job["report"].exists()
    infer(**job, polygons=tmp_path / "h.gpkg")
    assert job["mask"].exists() and job["report"].exists()


def test_a_page_that_exists_or_is_none_is_refused_before_the_work(job):
    job["report"].write_text("mine")
    with pytest.raises(OutputError, match=r"r\.html: it exists already; give --overwrite"):
        infer(**job)
    assert job["report"].read_text() == "mine" and not job["mask"].exists()
    with pytest.raises(OutputError, match=r"must end in one of \.html"):
        infer(**{**job, "report": job["mask"].with_name("r.pdf")})
    with pytest.raises(OutputError, match="two outputs have this name"):
        infer(**{**job, "report": job["mask"]})


def test_a_scene_of_nothing_but_blank_pixels_has_a_page(job, write_raster):
    scene = write_raster("blank.tif", np.zeros((3, 40, 40), np.uint8), nodata=0)
    infer(**{**job, "scene": scene}, polygons=job["mask"].with_name("h.gpkg"))
    text = Page(job["report"].read_text(encoding="utf-8")).text
    assert "of the raster is blank 100.0 %" in text

"""geofcn.report.report: pages that ask nobody for anything, whatever is in the names on them."""

import re
from dataclasses import replace

import numpy as np
import pytest
import shapely
from markupsafe import Markup
from pages import Page

import geofcn
from geofcn.report.call import Call
from geofcn.report.houses import Features, HouseMap
from geofcn.report.picture import Canvas, Kind, Picture, Shape, photograph_of
from geofcn.report.report import Chart, Report, Table, Thumbnail, page, settled

HOSTILE = "\"><script>alert(1)</script>' onload=x \u202e\n\x1b[2J {{ 7 * 7 }} \udcff é.tif"
CALL = Call.of(geofcn.infer, {"scene": HOSTILE, "mask": "m.tif"})
PICTURE = Picture(
    HOSTILE, 20, 30, "", [Kind(HOSTILE, (1, 2, 3))], ["1"], shapes=[Shape("M0 0l1 0z", 0, HOSTILE)],
    blocks=[(1, 2, 3, 4)], notes=[HOSTILE],
)  # fmt: skip
REPORT = Report(
    HOSTILE,
    HOSTILE,
    [(HOSTILE, HOSTILE)],
    CALL,
    [PICTURE],
    [Thumbnail(Markup("<svg></svg>"), HOSTILE)],
    [Chart(HOSTILE, Markup("<svg></svg>"))],
    [Table(HOSTILE, [(HOSTILE, HOSTILE)], [HOSTILE, HOSTILE])],
    [HOSTILE],
)


@pytest.fixture
def written(tmp_path):
    """written(report) -> the text of its page."""

    def write(report: Report) -> str:
        report.write(tmp_path / "r.html")
        return (tmp_path / "r.html").read_text(encoding="utf-8")

    return write


def test_whatever_is_in_names_is_text(written):
    text = written(REPORT)
    parsed = Page(text)
    assert len(parsed.all("script")) == 1 and not parsed.all("script")[0]
    assert not any("onload" in attributes for _, attributes in parsed.elements)
    assert "alert(1)</script>" in parsed.text and "49" not in parsed.text.replace(HOSTILE, "")
    assert "\x1b" not in text and "\u202e" not in text


def test_a_page_asks_for_nothing_and_forbids_it(written):
    parsed = Page(written(REPORT))
    assert all(address.startswith("data:") for address in parsed.addresses())
    (policy,) = [m["content"] for m in parsed.all("meta") if "http-equiv" in m]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "url(" not in written(REPORT) and "@import" not in written(REPORT)


def test_a_page_is_the_same_but_for_its_date(written):
    first, second = (re.sub("<time.*?</time>", "", written(REPORT)) for _ in range(2))
    assert first == second and first.count("<time") == 0


def test_all_parts_have_names_for_those_who_do_not_see_them(written):
    parsed = Page(written(REPORT))
    assert parsed.all("html") == [{"lang": "en"}]
    (drawing,) = [a for a in parsed.all("svg") if a.get("class") == "map"]
    assert drawing["role"] == "img" and drawing["aria-label"] and drawing["tabindex"] == "0"
    assert [button.get("aria-label") for button in parsed.all("button")][:2] == [
        "Zoom in",
        "Zoom out",
    ]
    assert len(parsed.all("h1")) == 1


def test_what_is_not_there_has_no_heading(written):
    bare = Page(written(Report("Inference", "s.tif", [], CALL)))
    assert [tag for tag, _ in bare.elements].count("h2") == 1, "how to do it again"
    assert not bare.all("figure")


def test_without_a_command_python_is_shown_at_once(written):
    call = replace(CALL, in_shell=False)
    parsed = Page(written(replace(REPORT, call=call)))
    assert len(parsed.all("pre")) == 1 and "open" in parsed.all("details")[0]


def test_a_page_of_a_hundred_thousand_houses_is_small(written):
    random = np.random.default_rng(0)
    count, side = 100_000, 20_000
    centres = random.uniform(0, side, (count, 2))
    turns = np.sort(random.uniform(0, 2 * np.pi, (count, 12)), axis=1)
    corners = centres[:, None] + 15 * np.stack([np.cos(turns), np.sin(turns)], axis=-1)
    houses = HouseMap(
        Canvas(1600, 1600, np.array([[0.08, 0, 0], [0, 0.08, 0]])),
        [Kind("a", (9, 9, 9)), Kind("b", (99, 99, 99)), Kind("c", (9, 99, 9))],
    )
    for start in range(0, count, 5000):
        own = slice(start, start + 5000)
        houses.add(
            Features(
                shapely.polygons(corners[own]),
                random.integers(0, 3, 5000),
                random.random(5000),
                np.arange(start, start + 5000) + 1,
                random.uniform(0, 500, 5000),
                random.random(5000),
                np.full(5000, "simplified", object),
            )
        )
    noise = random.integers(0, 256, (3, 1600, 1600)).astype(np.uint8)
    photograph = photograph_of(noise, np.ones((1600, 1600), bool))
    shown = houses.picture("all", photograph, lambda some, i: f"house {some.ids[i]}, {99 * 'x'}")
    text = written(replace(REPORT, pictures=[shown]))
    assert len(text) < 5_000_000
    assert len(Page(text).all("path")) == 3000 and "97,000 of 100,000" in text


def test_options_are_told_in_short():
    assert settled({"lr": 4e-3, "on": True, "none": None, "weights": [1.0, 2.5]}) == [
        ("lr", "0.004"), ("on", "True"), ("weights", "1, 2.5"),
    ]  # fmt: skip


def test_a_review_has_the_same_frame():
    figures = [{"scene": "data:,", "probability": "data:,", "caption": HOSTILE}]
    parsed = Page(page("review.html", title=HOSTILE, figures=figures).decode())
    assert len(parsed.all("script")) == 1 and len(parsed.all("img")) == 2
    assert all(image["alt"] for image in parsed.all("img"))
    assert "no place" in Page(page("review.html", title="s", figures=[]).decode()).text

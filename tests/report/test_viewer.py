"""geofcn/report/templates/viewer.js: pictures are moved, zoomed and pointed at, in a browser."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest
import shapely
from chromium import CHROMIUM, chromium

import geofcn
from geofcn.report.call import Call
from geofcn.report.picture import Kind, Picture, Shape, framed, path_of, photograph_of
from geofcn.report.report import Report, Thumbnail

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")

VIEW = "document.querySelector('.map').getAttribute('viewBox').split(' ').map(Number)"
TIP = "(tip => tip.hidden ? '' : tip.textContent)(document.querySelector('.tip'))"
SHOWN = "getComputedStyle(document.querySelector('.over')).display"
CENTRE = """(box => [box.x + box.width / 2, box.y + box.height / 2])
(document.querySelectorAll('.shapes path')[{}].getBoundingClientRect())"""


def report() -> Report:
    image = np.full((3, 300, 400), 99, np.uint8)
    photograph = photograph_of(image, np.ones((300, 400), bool))
    paths = [path_of(shapely.box(x, 40, x + 20, 60)) for x in (20, 300)]
    shapes = [Shape(path, 0, f"house {i}: <b> & co") for i, path in enumerate(paths, 1)]
    picture = Picture(
        "a scene", 300, 400, photograph, [Kind("house", (9, 200, 9))], ["2"], "", shapes
    )
    thumbnail = Thumbnail(framed(photograph, (30, 40), paths[1], "#f00", "house 2"), "house 2")
    call = Call.of(geofcn.infer, {"scene": "s.tif", "mask": "m.tif"})
    return Report("Inference", "s.tif", [("2", "houses")], call, [picture], [thumbnail, thumbnail])


def test_a_picture_is_zoomed_moved_and_pointed_at(tmp_path):
    report().write(tmp_path / "r.html")

    async def use() -> None:
        async with chromium(tmp_path / "browser") as page:
            await page.open(tmp_path / "r.html")
            assert await page.evaluate(VIEW) == [0, 0, 400, 300]

            x, y = await page.evaluate(CENTRE.format(0))
            await page.mouse("mouseMoved", x, y)
            assert await page.evaluate(TIP) == "house 1: <b> & co"
            await page.mouse("mouseMoved", x + 150, y + 100)
            assert await page.evaluate(TIP) == ""

            await page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-300)
            left, top, width, height = await page.evaluate(VIEW)
            assert width < 300 and width / height == pytest.approx(4 / 3)
            below = await page.evaluate(CENTRE.format(0))
            assert below == pytest.approx([x, y], abs=1.5), "it stays below the pointer"

            await page.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
            await page.mouse("mouseMoved", x - 50, y - 20, button="left", buttons=1)
            await page.mouse("mouseReleased", x - 50, y - 20, button="left")
            moved = await page.evaluate(VIEW)
            assert moved[0] > left and moved[1] > top and moved[2:] == [width, height]

            await page.evaluate("document.querySelector('.map').focus()")
            await page.key("0")
            assert await page.evaluate(VIEW) == [0, 0, 400, 300]
            await page.key("n")
            await page.key("n")
            assert await page.evaluate(TIP) == "house 2: <b> & co"
            assert (await page.evaluate(VIEW))[0] > 200, "the house is in sight"

            await page.evaluate("document.querySelector('[data-do=hide]').click()")
            assert await page.evaluate(SHOWN) == "none"
            await page.evaluate("document.querySelector('[data-show=\"0\"]').click()")
            assert await page.evaluate(TIP) == "house 1: <b> & co"
            assert await page.evaluate(SHOWN) == "inline"

            await page.size(360, 700)
            assert await page.evaluate("document.documentElement.scrollWidth") == 360
            await page.theme("dark")
            background = "getComputedStyle(document.body).backgroundColor"
            assert await page.evaluate(background) == "rgb(20, 23, 26)"
            assert (await page.print()).startswith(b"%PDF")

            assert not page.complaints()
            file, *others = page.requests()
            assert file.startswith("file:///") and all(url.startswith("data:") for url in others)

    asyncio.run(use())


def test_a_browser_takes_nothing_from_elsewhere_and_runs_no_other_script(tmp_path):
    url = "http://127.0.0.1:9/p.png"
    made = report()
    made = replace(made, pictures=[replace(made.pictures[0], photograph=url)])
    made.write(tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text()
    (tmp_path / "r.html").write_text(
        text.replace("</main>", "<script>document.title = 'x'</script></main>")
    )

    async def look() -> None:
        async with chromium(tmp_path / "browser") as page:
            await page.open(tmp_path / "r.html")
            assert await page.evaluate("document.title") == "s.tif"
            failed = [e["params"] for e in page.events if e["method"] == "Network.loadingFailed"]
            assert [event.get("blockedReason") for event in failed] == ["csp"]

    asyncio.run(look())

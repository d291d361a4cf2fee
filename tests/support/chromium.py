"""A page in headless Chromium, driven by its DevTools protocol."""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import asynccontextmanager
from pathlib import Path

from tornado.websocket import websocket_connect

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
START_SECONDS = 60


class Page:
    """One tab. `events` are all that the browser has told of it so far."""

    def __init__(self, socket):
        self._socket, self._number, self.events = socket, 0, []

    async def call(self, method: str, **parameters):
        """The answer to a command of the protocol; events on the way are kept."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        await self._socket.write_message(json.dumps(message))
        while True:
            answer = json.loads(await self._socket.read_message())
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    async def evaluate(self, script: str):
        """The value of an expression in the page."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def open(self, path: Path, width: int = 1200, height: int = 900) -> None:
        """Show a file in a window of so many pixels, once it is loaded."""
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.call(f"{domain}.enable")
        await self.size(width, height)
        await self.call("Page.navigate", url=path.absolute().as_uri())
        while not await self.evaluate("document.readyState === 'complete' && !!document.body"):
            await asyncio.sleep(0.05)

    async def size(self, width: int, height: int) -> None:
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 500,
        )  # fmt: skip

    async def theme(self, name: str) -> None:
        """Prefer "light" or "dark"."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def mouse(self, kind: str, x: float, y: float, **more) -> None:
        """mouseMoved, mousePressed, mouseReleased or mouseWheel."""
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    async def key(self, text: str) -> None:
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key=text)

    async def picture(self) -> bytes:
        """The whole page as a PNG."""
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(shot["data"])

    async def print(self) -> bytes:
        """The page as a PDF."""
        printed = await self.call("Page.printToPDF", printBackground=True)
        return base64.b64decode(printed["data"])

    def requests(self) -> list[str]:
        """All addresses that the page has asked for."""
        sent = [e for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def complaints(self) -> list:
        """Errors and warnings of the console, and exceptions."""
        kinds = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [event for event in self.events if event["method"] in kinds]


@asynccontextmanager
async def chromium(folder: Path):
    """A Page of a new browser, whose own files are in a folder."""
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--disable-background-networking", "--no-first-run", f"--user-data-dir={folder}",
        "--remote-debugging-port=0", "--remote-allow-origins=*", "about:blank",
    ]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    home = {**os.environ, "HOME": str(folder)}
    process = subprocess.Popen(command, env=home, **quiet)
    try:
        port = _port(folder / "DevToolsActivePort", process)
        yield Page(await websocket_connect(await _tab(port), max_message_size=2**28))
    finally:
        process.terminate()
        process.wait()


def _port(file: Path, process: subprocess.Popen) -> int:
    """The port that the browser has chosen, once it says so."""
    for _ in range(20 * START_SECONDS):
        assert process.poll() is None, "the browser has ended"
        if file.exists() and (text := file.read_text()).count("\n"):
            return int(text.split("\n")[0])
        time.sleep(0.05)
    raise AssertionError("the browser has not started")


async def _tab(port: int) -> str:
    """The address of its first tab."""
    from tornado.httpclient import AsyncHTTPClient

    answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{port}/json/list")
    tabs = json.loads(answer.body)
    return next(tab["webSocketDebuggerUrl"] for tab in tabs if tab["type"] == "page")

"""Pages of HTML taken apart: elements, text, pictures."""

import base64
import io
from html.parser import HTMLParser

from PIL import Image

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Page(HTMLParser):
    """Elements of a page as (tag, attributes), and its text; fails where tags do not match."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.words, self._open = [], [], []
        self.feed(text)
        self.close()
        assert not self._open, self._open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    def addresses(self) -> list[str]:
        """Whatever an element of the page would ask for."""
        names = "src", "href", "data", "action", "poster", "srcset"
        return [a[name] for _, a in self.elements for name in names if name in a]


def decoded(url: str) -> Image.Image:
    """The picture in a URL with all data."""
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))

"""Reports as pages: one file of HTML with all pictures, styles and scripts inside.

A browser that opens one asks nobody for anything: the page forbids it, and any script but its own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from geofcn import __version__
from geofcn.core.colours import hex_of
from geofcn.io.files import write_whole
from geofcn.report.call import Call
from geofcn.report.picture import Picture
from geofcn.text import printable

# Characters of a text in a table that are shown.
LONGEST_TEXT = 400


@dataclass(frozen=True)
class Table:
    """Names with what is to be said of each.

    Attributes
    ----------
    title : str
    rows : sequence of tuple of str
        The name, and one text or more.
    head : sequence of str
        Names of the columns; empty where there is only one text for a name.
    """

    title: str
    rows: Sequence[tuple[str, ...]]
    head: Sequence[str] = ()


@dataclass(frozen=True)
class Chart:
    """A drawing of `geofcn.report.charts` and what it shows."""

    title: str
    drawing: Markup


@dataclass(frozen=True)
class Thumbnail:
    """A house to look at.

    Attributes
    ----------
    drawing : Markup
        An SVG element.
    caption : str
        What is known of it.
    """

    drawing: Markup
    caption: str


@dataclass(frozen=True)
class Report:
    """What a page says, from top to bottom.

    Attributes
    ----------
    kind : str
        What was done: "Training", "Inference", "Evaluation".
    title : str
        Of what.
    headline : sequence of (str, str)
        Figures, and what they are.
    pictures : sequence of Picture
        Of the scenes.
    thumbnails : sequence of Thumbnail
        The houses that are the least certain.
    charts : sequence of Chart
        Of losses, scores and areas.
    tables : sequence of Table
        Scores, plan and model.
    call : Call
        How it was done, to do it again.
    notes : sequence of str
        What the reader has to know.
    """

    kind: str
    title: str
    headline: Sequence[tuple[str, str]]
    call: Call
    pictures: Sequence[Picture] = ()
    thumbnails: Sequence[Thumbnail] = ()
    charts: Sequence[Chart] = ()
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()

    def write(self, path: Path) -> None:
        """Write the page in one step.

        Raises
        ------
        OutputError
            Where that cannot be done.
        """
        write_whole(path, page("report.html", report=self, title=self.title))


def page(template: str, **content: Any) -> bytes:
    """A page of a template in `geofcn/report/templates`, whatever is in names: all is escaped.

    Its date is all that differs when the same content is shown again.
    """
    script = _source("viewer.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = _environment().get_template(template).render(
        content,
        style=Markup(_source("style.css")),
        script=Markup(script),
        digest=digest,
        version=__version__,
        made=datetime.now(UTC),
    )  # fmt: skip
    return text.encode("utf-8", "backslashreplace")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("geofcn.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        # Whatever prints as nothing, or moves what stands around it, is shown by its number.
        finalize=lambda value: printable(value, len(value)) if type(value) is str else value,
    )
    environment.filters["shown"] = lambda text: printable(str(text), LONGEST_TEXT)
    environment.filters["hex"] = hex_of
    return environment


def _source(name: str) -> str:
    """A style or a script, as it is put into the page."""
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def percent(share: float) -> str:
    """A share of 1 for a reader.

    Examples
    --------
    >>> percent(0.9072), percent(float("nan"))
    ('90.7 %', 'undefined')
    """
    return "undefined" if share != share else f"{100 * share:.1f} %"


def settled(options: Mapping[str, object]) -> list[tuple[str, str]]:
    """Names and values of options, one a row; numbers short, and lists with commas."""
    return [(name, _text(value)) for name, value in options.items() if value is not None]


def _text(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)

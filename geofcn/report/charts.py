"""Charts as SVG: lines and bars whose lines a page's style colours, by classes c0, c1, ..."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from markupsafe import Markup

# Pixels of a chart, and of its margins: left, top, right, bottom.
WIDTH, HEIGHT = 460, 270
LEFT, TOP, RIGHT, BOTTOM = 56, 12, 18, 48
# Where the x axis has its numbers.
TICKS = HEIGHT - BOTTOM + 18
# Points of a line, at the most.
POINTS = 500


def line_chart(
    lines: Mapping[str, tuple[np.ndarray, np.ndarray]],
    *,
    title: str,
    x_name: str,
    y_name: str,
    faint: Sequence[str] = (),
    logarithmic: bool = False,
    limits: tuple[float, float] | None = None,
) -> Markup:
    """Lines over numbers; what is not finite, or has no logarithm, is left out.

    Parameters
    ----------
    lines : mapping
        Name -> (x, y), both (n,) arrays.
    title : str
        What it shows, for those who do not see it.
    x_name, y_name : str
        Of the axes.
    faint : sequence of str
        Lines that are there besides.
    logarithmic : bool
        Of the y axis.
    limits : (float, float), optional
        Of the y axis; default: by the lines.
    """
    seen = {name: _seen(x, y, logarithmic) for name, (x, y) in lines.items()}
    xs = np.concatenate([x for x, _ in seen.values()])
    ys = np.concatenate([y for _, y in seen.values()])
    if not len(xs):
        return Markup("")
    low, high = limits or (float(ys.min()), float(ys.max()))
    y_axis = _Axis(low, high, HEIGHT - BOTTOM, TOP, logarithmic)
    x_axis = _Axis(float(xs.min()), float(xs.max()), LEFT, WIDTH - RIGHT)
    styles = {
        name: f"c{number} faint" if name in faint else f"c{number}"
        for number, name in enumerate(seen)
    }
    marks = [
        _line(x_axis.place(x), y_axis.place(y), styles[name])
        for name, (x, y) in seen.items()
        if len(x)
    ]
    marks = [*_grid(y_axis), *_x_ticks(x_axis), *marks, *_names(x_name, y_name)]
    sample = Markup(
        '<svg viewBox="0 0 24 8" aria-hidden="true">'
        '<line class="line {}" x1="1" x2="23" y1="4" y2="4"/></svg>'
    )
    legend = {name: sample.format(style) for name, style in styles.items()}
    return _drawing(title, marks) + _legend(legend)


def _line(x: np.ndarray, y: np.ndarray, style: str) -> Markup:
    """A line, or a dot where it has one point only."""
    if len(x) == 1:
        dot = Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="4"/>')
        return dot.format(style, float(x[0]), float(y[0]))
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    return Markup('<polyline class="line {}" points="{}"/>').format(style, points)


def bar_chart(
    bars: Mapping[str, tuple[str, Sequence[int]]],
    names: Sequence[str],
    edges: Sequence[str],
    *,
    title: str,
    x_name: str,
    y_name: str,
) -> Markup:
    """Counts in classes, those of several kinds on top of each other.

    Parameters
    ----------
    bars : mapping
        Name of a kind -> its colour, as CSS takes it, and its counts in each class.
    names : sequence of str
        Of the classes.
    edges : sequence of str
        What is written where each class begins, and where the last one ends.
    title, x_name, y_name : str
        As `line_chart` takes them.
    """
    y_axis = _Axis(0.0, _highest([counts for _, counts in bars.values()]), HEIGHT - BOTTOM, TOP)
    step = (WIDTH - LEFT - RIGHT) / len(names)
    ticks = [_text(LEFT + i * step, TICKS, text, "middle") for i, text in enumerate(edges)]
    marks = [*_grid(y_axis, whole=True), *ticks]
    for i, name in enumerate(names):
        left, below = LEFT + i * step, 0
        for kind, (colour, counts) in bars.items():
            top, bottom = y_axis.place(np.array([below + counts[i], below], float)).tolist()
            text = f"{kind}, {name}: {counts[i]:,}"
            if counts[i]:
                marks.append(_bar(left + 1, top, step - 2, bottom - top, colour, text))
            below += counts[i]
    swatch = Markup('<span class="swatch" style="--k:{}"></span>')
    legend = {kind: swatch.format(colour) for kind, (colour, _) in bars.items()}
    return _drawing(title, [*marks, *_names(x_name, y_name)]) + _legend(legend)


def _highest(counts: Sequence[Sequence[int]]) -> float:
    return float(np.sum(counts, axis=0).max(initial=1))


def _bar(left: float, top: float, width: float, height: float, colour: str, text: str) -> Markup:
    return Markup(
        '<rect class="bar" style="fill:{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
        "<title>{}</title></rect>"
    ).format(colour, left, top, width, max(height, 0.5), text)


def running_mean(values: np.ndarray, span: int) -> tuple[np.ndarray, np.ndarray]:
    """Means of `span` values up to each, with the number of the last, from 1.

    Examples
    --------
    >>> running_mean(np.array([1.0, 3.0, 5.0]), 2)
    (array([2, 3]), array([2., 4.]))
    """
    span = max(1, min(span, len(values)))
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return np.arange(span, len(values) + 1), (sums[span:] - sums[:-span]) / span


class _Axis:
    """From values to pixels, with round numbers to name."""

    def __init__(self, low: float, high: float, start: float, end: float, is_log: bool = False):
        self._is_log = is_log
        low, high = (math.log10(low), math.log10(high)) if is_log else (low, high)
        self._low, self._high = (low, high) if high > low else (low - 0.5, high + 0.5)
        self._start, self._end = start, end

    def place(self, values: np.ndarray) -> np.ndarray:
        values = np.log10(values) if self._is_log else values
        share = (values - self._low) / (self._high - self._low)
        return self._start + share * (self._end - self._start)

    def ticks(self) -> list[float]:
        if not self._is_log:
            return _round_numbers(self._low, self._high)
        powers = range(math.floor(self._low), math.ceil(self._high) + 1)
        every = [10.0**power * digit for power in powers for digit in (1, 2, 5)]
        inside = [value for value in every if self._low <= math.log10(value) <= self._high]
        return inside if 2 <= len(inside) <= 7 else [value for value in inside if _is_power(value)]


def _is_power(value: float) -> bool:
    return math.log10(value) == round(math.log10(value))


def _round_numbers(low: float, high: float) -> list[float]:
    """About five round numbers within two."""
    raw = (high - low) / 5
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(digit * size for digit in (1, 2, 5, 10) if digit * size >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _seen(x: np.ndarray, y: np.ndarray, is_log: bool) -> tuple[np.ndarray, np.ndarray]:
    """What of a line is drawn: of many points the mean of some side by side."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    known = np.isfinite(y) & ((y > 0) | (not is_log))
    x, y = x[known], y[known]
    if len(x) <= POINTS:
        return x, y
    starts = np.linspace(0, len(x), POINTS, endpoint=False).astype(int)
    sizes = np.diff([*starts, len(x)])
    return np.add.reduceat(x, starts) / sizes, np.add.reduceat(y, starts) / sizes


def _grid(axis: _Axis, whole: bool = False) -> list[Markup]:
    marks = []
    for value in axis.ticks():
        if whole and value != round(value):
            continue
        y = float(axis.place(np.array([value]))[0])
        line = Markup('<line class="grid" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>')
        marks += [
            line.format(LEFT, WIDTH - RIGHT, y, y),
            _text(LEFT - 6, y + 4, _number(value), "end"),
        ]
    return marks


def _x_ticks(axis: _Axis) -> list[Markup]:
    whole = [value for value in axis.ticks() if value == round(value)]
    places = axis.place(np.array(whole, float)).tolist()
    return [
        _text(x, TICKS, _number(value), "middle") for value, x in zip(whole, places, strict=True)
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _names(x_name: str, y_name: str) -> list[Markup]:
    middle = (HEIGHT - BOTTOM + TOP) / 2
    turned = Markup(
        '<text class="name" text-anchor="middle" transform="translate(13 {}) rotate(-90)">{}</text>'
    )
    return [
        Markup('<text class="name" text-anchor="middle" x="{}" y="{}">{}</text>').format(
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_name
        ),
        turned.format(middle, y_name),
    ]


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, text
    )


def _drawing(title: str, marks: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="chart" role="img" viewBox="0 0 {} {}" aria-label="{}">{}</svg>'
    ).format(WIDTH, HEIGHT, title, Markup("").join(marks))


def _legend(entries: Mapping[str, Markup]) -> Markup:
    """What the marks mean, unless there is only one kind of them."""
    if len(entries) < 2:
        return Markup("")
    items = (Markup("<li>{}{}</li>").format(mark, name) for name, mark in entries.items())
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))

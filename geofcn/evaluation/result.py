"""Scores of an evaluation: by pixel and by house, with counts by size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from math import inf, isnan
from typing import Any

# Size class -> what a footprint of it is smaller than, in square metres.
SIZES = {"small": 50.0, "medium": 200.0, "large": inf}
NAMES = {
    "f1": "F1", "iou": "IoU", "mean_iou": "mean IoU", "polis_m": "PoLiS",
    "pq": "PQ", "sq": "SQ", "rq": "RQ",
}  # fmt: skip
# Counts that are shown among the scores.
SHOWN_COUNTS = "merged", "split"


@dataclass(frozen=True)
class PixelScores:
    """Scores over the pixels that neither side leaves blank.

    Attributes
    ----------
    precision, recall, f1, accuracy, iou : float
        Fractions of 1, NaN if undefined.
    """

    precision: float
    recall: float
    f1: float
    accuracy: float
    iou: float


@dataclass(frozen=True)
class Counts:
    """Counts of houses.

    Attributes
    ----------
    tp, fp, fn : int
        True positives, false positives and false negatives.
    """

    tp: int
    fp: int
    fn: int


@dataclass(frozen=True)
class ObjectScores:
    """Scores over houses, matched one to one.

    Attributes
    ----------
    precision, recall, f1 : float
        Fractions of 1, NaN if undefined.
    tp, fp, fn : int
        Houses found, false alarms, houses missed.
    mean_iou : float
        Mean intersection over union of the matches, NaN without any.
    polis_m : float
        Mean PoLiS distance of the matches, in metres, NaN without any.
    pq, sq, rq : float
        Panoptic quality (Kirillov et al., 2019) of the matches, and the segmentation quality and
        recognition quality whose product it is: these are the mean IoU and F1. NaN if undefined.
    merged : int
        Predictions in which several houses lie, each by more than half of itself.
    split : int
        Houses in which several predictions lie, each by more than half of itself.
    by_size : dict
        Counts in the size classes small, medium and large (see SIZES); a match counts in that of
        its truth.
    """

    precision: float
    recall: float
    f1: float
    tp: int
    fp: int
    fn: int
    mean_iou: float
    polis_m: float
    pq: float
    sq: float
    rq: float
    merged: int
    split: int
    by_size: Mapping[str, Counts]


@dataclass(frozen=True)
class Evaluation:
    """Scores of a prediction against labels; it prints itself as a table.

    Attributes
    ----------
    pixels : PixelScores or None
        None where no side is a raster.
    objects : ObjectScores
        Over houses.
    """

    pixels: PixelScores | None
    objects: ObjectScores

    def to_dict(self) -> dict[str, Any]:
        """All scores as nested dicts, by the names of the attributes; NaN where undefined."""
        return asdict(self)

    def tables(self) -> dict[str, list[tuple[str, str]]]:
        """Names and texts of the scores, for pixels, where there are any, and objects."""
        sides = {"pixels": self.pixels, "objects": self.objects}
        return {title: _shown(scores) for title, scores in sides.items() if scores is not None}

    def counts(self) -> list[tuple[str, str, str, str]]:
        """Counts of all houses and of each size class: a table, its head first."""
        rows = [
            (name, f"{row.tp:,}", f"{row.fp:,}", f"{row.fn:,}")
            for name, row in self._counts().items()
        ]
        return [("", "TP", "FP", "FN"), *rows]

    def __str__(self) -> str:
        lines = []
        for title, rows in self.tables().items():
            lines += [title, *(f"  {name:<10}{text}" for name, text in rows)]
        for name, *counts in self.counts():
            lines.append(f"  {name:<16}" + "".join(f"{count:>9}" for count in counts))
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [
            (title if number == 0 else "", name, text.strip())
            for title, scores in self.tables().items()
            for number, (name, text) in enumerate(scores)
        ]
        return _table(rows) + _table(self.counts())

    def _counts(self) -> dict[str, ObjectScores | Counts]:
        """Counts of all houses, and of each size class, by the name of the row."""
        names = {
            size: size if below == inf else f"{size} < {below:g} m2"
            for size, below in SIZES.items()
        }
        by_size = {names[size]: row for size, row in self.objects.by_size.items()}
        return {"all": self.objects, **by_size}


def _shown(scores: PixelScores | ObjectScores) -> list[tuple[str, str]]:
    """Names and texts of all scores, and of the counts that are in no table of their own."""
    return [
        (NAMES.get(name, name), _text(name, value))
        for name, value in vars(scores).items()
        if isinstance(value, float) or name in SHOWN_COUNTS
    ]


def _text(name: str, value: float) -> str:
    if name in SHOWN_COUNTS:
        return f"{value:6,}"
    if isnan(value):
        return "undefined"
    return f"{value:6.2f} m" if name == "polis_m" else f"{100 * value:6.2f} %"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    cells = ("".join(f"<td>{escape(text)}</td>" for text in row) for row in rows)
    return f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"

"""What an evaluation prints, and gives to machines."""

from dataclasses import replace
from math import isnan, nan

import pytest

from geofcn.evaluation.result import Counts, Evaluation, ObjectScores, PixelScores

BY_SIZE = {"small": Counts(1, 2, 0), "medium": Counts(0, 0, 0), "large": Counts(1234, 3, 4)}
OBJECTS = ObjectScores(
    precision=0.75, recall=0.5, f1=0.6, tp=1235, fp=5, fn=4, mean_iou=0.875, polis_m=0.25,
    pq=0.525, sq=0.875, rq=0.6, merged=1212, split=3, by_size=BY_SIZE,
)  # fmt: skip
PIXELS = PixelScores(1.0, 0.123456, 0.5, 0.25, 0.0)
EVALUATION = Evaluation(PIXELS, OBJECTS)
UNDEFINED = replace(
    OBJECTS, precision=nan, recall=nan, f1=nan, tp=0, fp=0, fn=0, mean_iou=nan, polis_m=nan,
    pq=nan, sq=nan, rq=nan, merged=0, split=0,
)  # fmt: skip


def test_it_prints_a_table_of_scores_and_one_of_counts():
    assert str(EVALUATION).splitlines() == [
        "pixels",
        "  precision 100.00 %",
        "  recall     12.35 %",
        "  F1         50.00 %",
        "  accuracy   25.00 %",
        "  IoU         0.00 %",
        "objects",
        "  precision  75.00 %",
        "  recall     50.00 %",
        "  F1         60.00 %",
        "  mean IoU   87.50 %",
        "  PoLiS       0.25 m",
        "  PQ         52.50 %",
        "  SQ         87.50 %",
        "  RQ         60.00 %",
        "  merged     1,212",
        "  split          3",
        "                         TP       FP       FN",
        "  all                 1,235        5        4",
        "  small < 50 m2           1        2        0",
        "  medium < 200 m2         0        0        0",
        "  large               1,234        3        4",
    ]


def test_without_a_raster_there_are_no_pixels():
    lines = str(Evaluation(None, OBJECTS)).splitlines()
    assert lines == str(EVALUATION).splitlines()[6:]
    assert Evaluation(None, OBJECTS).to_dict()["pixels"] is None
    assert "accuracy" not in Evaluation(None, OBJECTS)._repr_html_()


def test_scores_that_are_undefined_are_called_so():
    evaluation = Evaluation(None, UNDEFINED)
    assert str(evaluation).splitlines()[1:11] == [
        "  precision undefined",
        "  recall    undefined",
        "  F1        undefined",
        "  mean IoU  undefined",
        "  PoLiS     undefined",
        "  PQ        undefined",
        "  SQ        undefined",
        "  RQ        undefined",
        "  merged         0",
        "  split          0",
    ]
    assert evaluation._repr_html_().count("<td>undefined</td>") == 8
    assert "nan" not in str(evaluation) + evaluation._repr_html_()
    assert isnan(evaluation.to_dict()["objects"]["polis_m"])


def test_machines_get_every_score_by_its_name():
    assert EVALUATION.to_dict() == {
        "pixels": vars(PIXELS),
        "objects": {
            "precision": 0.75, "recall": 0.5, "f1": 0.6, "tp": 1235, "fp": 5, "fn": 4,
            "mean_iou": 0.875, "polis_m": 0.25, "pq": 0.525, "sq": 0.875, "rq": 0.6,
            "merged": 1212, "split": 3,
            "by_size": {
                "small": {"tp": 1, "fp": 2, "fn": 0},
                "medium": {"tp": 0, "fp": 0, "fn": 0},
                "large": {"tp": 1234, "fp": 3, "fn": 4},
            },
        },
    }  # fmt: skip


@pytest.mark.parametrize("evaluation", [EVALUATION, Evaluation(None, OBJECTS)])
def test_a_notebook_shows_the_same_in_two_tables(evaluation):
    html = evaluation._repr_html_()
    assert html.count("<table>") == html.count("</table>") == 2
    scores, counts = html.split("</table><table>")
    assert scores.count("<tr>") == (15 if evaluation.pixels else 10)
    assert "<tr><td>objects</td><td>precision</td><td>75.00 %</td></tr>" in scores
    assert "<tr><td></td><td>PoLiS</td><td>0.25 m</td></tr>" in scores
    assert "<tr><td></td><td>merged</td><td>1,212</td></tr>" in scores
    assert "<tr><td></td><td>TP</td><td>FP</td><td>FN</td></tr>" in counts
    assert "<tr><td>small &lt; 50 m2</td><td>1</td><td>2</td><td>0</td></tr>" in counts
    assert "<td>1,234</td>" in counts

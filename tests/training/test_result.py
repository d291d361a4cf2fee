import math
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from geofcn.training.result import TrainingResult
from geofcn.training.state import Epoch


def row(epoch: int, f1: float) -> Epoch:
    return Epoch(epoch, 0.1, 1.0, 0.5, 0.125, 0.25, f1, 0.9, 0.3, 0.5, 0.01)


RESULT = TrainingResult(Path("run"), (row(1, math.nan), row(2, 0.75), row(3, 0.75)))


def test_the_best_epoch_is_the_first_with_the_best_f1():
    assert RESULT.best is RESULT.epochs[1]
    assert RESULT.model == Path("run", "best-f1.safetensors")


def test_it_prints_the_best_scores_and_the_model():
    model = Path("run", "best-f1.safetensors")
    assert str(RESULT) == (
        f"best F1 75.00 (precision 12.50, recall 25.00) in epoch 2 of 3: {model}"
    )


def test_scores_of_what_was_learnt_from_are_said_to_be():
    rows = tuple(replace(epoch, scored_on="training") for epoch in RESULT.epochs)
    assert str(TrainingResult(Path("run"), rows)).startswith("best training F1 75.00 (")
    last = TrainingResult(Path("run"), (*rows, replace(rows[0], epoch=4, f1=0.5)), keeps_last=True)
    assert last.best is last.epochs[-1]
    assert str(last).startswith("training F1 50.00 (")
    assert " in epoch 4 of 4: " in str(last)


def test_the_history_is_a_table_by_epoch():
    history = RESULT.history
    assert list(history.index) == [1, 2, 3]
    assert tuple(history.loc[2]) == astuple(RESULT.epochs[1])[1:]
    assert history["f1"].isna().tolist() == [True, False, False]
    assert history["loss"].mean() == pytest.approx(1)


def test_a_notebook_shows_the_history_below_the_best_scores():
    html = RESULT._repr_html_()
    assert html.startswith(f"<p>{RESULT}</p>")
    assert html.count("<tr") == 2 + 3 and "0.125" in html and "NaN" in html

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.metrics import Confusion
from geofcn.recipes import DEFAULT
from geofcn.training.state import TrainingState, best_of
from geofcn.training.validation import ValidationScores


def scores_of(f1: float) -> ValidationScores:
    """Scores whose F1 is `f1`, a fraction of 100; NaN: none."""
    if math.isnan(f1):
        return ValidationScores(Confusion(tn=1), 0.5, 0.0)
    hits = round(100 * f1)
    return ValidationScores(Confusion(hits, 100 - hits, 100 - hits), 0.5, 0.0)


def state_after(*f1: float) -> TrainingState:
    """A training of one step an epoch."""
    state = TrainingState()
    for value in f1:
        state.step = 1
        state.losses.append(1.0)
        state.end_epoch(0.1, scores_of(value))
    return state


def test_best_is_the_first_of_equals():
    assert best_of([0.1]) == 1
    assert best_of([0.1, 0.2]) == 2
    assert best_of([0.2, 0.2]) == 1
    assert best_of([0.3, 0.1, 0.2]) == 1
    assert best_of([math.nan]) == best_of([math.nan, math.nan]) == 1
    assert best_of([math.nan, 0.0]) == 2, "no score at all is worse than 0"
    assert best_of([0.0, math.nan]) == 1


@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, math.nan]), min_size=1))
def test_best_is_what_a_loop_that_waits_for_better_finds(values):
    best, highest = 1, -math.inf
    for number, value in enumerate(values, start=1):
        if value > highest:
            best, highest = number, value
    assert best_of(values) == best


def test_an_epoch_ends_with_the_means_of_its_own_steps():
    state = TrainingState()
    state.losses += [4.0, 2.0]
    state.step, state.confusion = 2, Confusion(1, 1, 0)
    first = state.end_epoch(0.2, scores_of(0.5))
    assert (first.epoch, first.lr, first.loss, first.train_f1) == (1, 0.2, 3.0, 2 / 3)
    assert (state.epoch, state.step, state.confusion) == (2, 0, Confusion())
    state.losses.append(1.0)
    state.step = 1
    second = state.end_epoch(0.1, ValidationScores(Confusion(3, 1, 1, 5), 0.25, 0.125))
    assert (second.epoch, second.loss) == (2, 1.0), "the losses before are the first epoch's"
    assert math.isnan(second.train_f1), "nothing was labelled"
    assert (second.precision, second.recall, second.accuracy, second.iou) == (0.75, 0.75, 0.8, 0.6)
    assert (second.threshold, second.ece) == (0.25, 0.125)
    assert state.history == [first, second]


def test_the_history_says_what_is_scored():
    state = TrainingState(scored_on="training")
    state.losses.append(1.0)
    state.step = 1
    assert state.end_epoch(0.1, scores_of(0.5)).scored_on == "training"


@pytest.mark.parametrize(
    ("f1", "epochs"),
    [((), 0), ((0.5,), 0), ((0.5, 0.4, 0.5), 2), ((0.4, 0.5), 0), ((math.nan, math.nan), 1)],
)
def test_epochs_without_gain_are_those_since_the_best(f1, epochs):
    assert state_after(*f1).epochs_without_gain() == epochs


def test_a_training_is_finished_after_its_epochs_or_its_patience():
    recipe = replace(DEFAULT, epochs=3, patience=0)
    assert not state_after(0.5, 0.4).is_finished(recipe)
    assert state_after(0.5, 0.6, 0.7).is_finished(recipe)
    patient = replace(recipe, patience=2, epochs=9)
    assert not TrainingState().is_finished(patient)
    assert not state_after(0.5, 0.4).is_finished(patient)
    assert not state_after(0.5, 0.4, 0.6, 0.5).is_finished(patient)
    assert state_after(0.5, 0.4, 0.5).is_finished(patient)

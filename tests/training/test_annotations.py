"""geofcn.training.annotations: values of JSON are of the types that annotations name."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from geofcn.training.annotations import fits

PAIR, PATHS = tuple[float, float], Sequence[tuple[str, str]]


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1, int), (1, float), (1.5, float), (float("nan"), float), ("a", str), (True, bool),
        (None, str | None), ("auto", PAIR | str | None), ([1, 2.5], PAIR),
        ([], Sequence[int]), ([["a", "b"]], PATHS), ({}, Any), ("a", str | Path),
    ],
)  # fmt: skip
def test_a_value_of_the_type_fits(value, annotation):
    assert fits(value, annotation)


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (1.0, int), (True, int), (False, float), (0, bool), (None, str), ("ab", Sequence[str]),
        ([1], PAIR), ([1, "a"], PAIR), ([["a"]], PATHS),
        ({}, str | None), ("a", tuple[str]), ([True], Sequence[int]), ({}, Sequence[int]),
    ],
)  # fmt: skip
def test_a_value_of_another_type_does_not(value, annotation):
    assert not fits(value, annotation)

"""Polygons are kept aside and given back."""

import errno

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from geofcn.errors import OutputError
from geofcn.io import polygon_store
from geofcn.io.polygon_store import NumberedPolygons, PolygonStore


def batch(polygons, first=0) -> NumberedPolygons:
    numbers = np.arange(first, first + len(polygons))
    return NumberedPolygons(np.array(polygons, object), numbers / 3, numbers)


def holed(x: float) -> shapely.Polygon:
    return shapely.box(x, 0, x + 9, 9).difference(shapely.box(x + 1, 1, x + 2, 2.1))


@pytest.mark.parametrize("in_memory", [2**20, 1])
def test_what_is_kept_comes_back_bit_for_bit(monkeypatch, in_memory):
    monkeypatch.setattr(polygon_store, "IN_MEMORY", in_memory)
    store = PolygonStore()
    batches = [batch([holed(500_000.1), shapely.box(0, 0, 1 / 3, 1)]), batch([holed(0.7)], 2)]
    slots = [store.put(kept) for kept in batches]
    for kept, slot in reversed(list(zip(batches, slots, strict=True))):
        found = store.get(slot)
        assert shapely.equals_identical(found.polygons, kept.polygons).all()
        assert (found.scores == kept.scores).all() and (found.numbers == kept.numbers).all()


def test_a_full_temporary_folder_is_one_sentence(monkeypatch):
    def full(content):
        raise OSError(errno.ENOSPC, "No space left on device")

    store = PolygonStore()
    monkeypatch.setattr(store._file, "write", full, raising=False)
    with pytest.raises(OutputError, match=r"No space left on device.*TMPDIR"):
        store.put(batch([holed(0)]))


@given(st.lists(st.integers(0, 4), max_size=4))
def test_several_are_joined_in_order(counts):
    parts = [batch([holed(i)] * count, 10 * i) for i, count in enumerate(counts)]
    joined = NumberedPolygons.joined(parts)
    assert joined.numbers.tolist() == [n for part in parts for n in part.numbers]
    assert len(joined) == sum(counts)

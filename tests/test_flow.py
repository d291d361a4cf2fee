import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.flow import cores, stream
from geofcn.grid import Window


@given(st.integers(0, 40), st.integers(1, 7), st.integers(1, 4))
def test_every_result_once_and_in_order(count, group, threads):
    results = list(stream(lambda n: n * n, range(count), group=group, threads=threads))
    assert results == [n * n for n in range(count)]


def test_items_arrive_as_they_were_sent():
    items = [(3, Window(1, 2, 3, 4)), "a string", ["a", "list"], {"a": 1}, None, "a string"]
    assert list(stream(lambda item: item, items)) == items


def test_work_ahead_is_bounded_by_two_groups():
    pulled = 0

    def items():
        nonlocal pulled
        for pulled in itertools.count(1):
            yield pulled

    for consumed, _ in enumerate(stream(lambda n: n, items(), group=4)):
        assert pulled - consumed <= 2 * 4
        if consumed == 50:
            break


def test_work_is_done_by_as_many_threads_as_asked_for():
    meeting = threading.Barrier(3, timeout=30)
    # Passes only when three calls run at the same time.
    assert len(set(stream(lambda _: meeting.wait(), range(3), group=3, threads=3))) == 3


def test_one_thread_does_all_of_it_when_told():
    main = threading.get_ident()
    names = set(stream(lambda _: threading.get_ident(), range(40), group=8, threads=1))
    assert len(names) == 1 and main not in names


def test_an_error_reaches_the_consumer_after_the_groups_before_it():
    def fail_at_nine(number: int) -> int:
        if number == 9:
            raise OSError("the ninth")
        return number

    seen = []
    with pytest.raises(OSError, match="the ninth"):
        seen.extend(stream(fail_at_nine, range(100), group=4))
    seen = []
    with pytest.raises(OSError, match="the ninth"):
        for number in stream(fail_at_nine, range(100), group=4):
            seen.append(number)
    assert seen == list(range(8))


def test_a_consumer_that_leaves_early_stops_the_work():
    done = []
    results = stream(done.append, range(1000), group=4)
    next(results)
    results.close()
    assert len(done) <= 2 * 4
    threads = threading.active_count()
    for _ in range(5):
        results = stream(str, range(100))
        next(results)
        results.close()
    assert threading.active_count() <= threads + 2, "no thread is left behind"


def test_cores_is_a_positive_number():
    assert cores() >= 1

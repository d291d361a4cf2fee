import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.errors import UsageError
from geofcn.flow import Threads, cores, open_engine, stream
from geofcn.grid import Window


@given(st.integers(0, 40), st.integers(1, 7), st.integers(1, 4))
def test_every_result_once_and_in_order(count, ahead, threads):
    results = list(Threads(threads).stream(pow, 2, range(count), ahead))
    assert results == [2**n for n in range(count)]
    assert list(stream(str, range(count))) == [str(n) for n in range(count)]


def test_items_arrive_as_they_were_sent():
    items = [(3, Window(1, 2, 3, 4)), "a string", ["a", "list"], {"a": 1}, None, "a string"]
    assert list(stream(lambda item: item, items)) == items


def test_work_ahead_is_bounded_by_two_groups():
    pulled = 0

    def items():
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    for consumed, _ in enumerate(Threads(2).stream(max, 0, items(), 4)):
        assert pulled - consumed <= 2 * 4
        if consumed == 50:
            break


def test_work_is_done_by_as_many_threads_as_asked_for():
    meeting = threading.Barrier(3, timeout=30)
    # Passes only when three calls run at the same time.
    assert len(set(Threads(3).stream(lambda *_: meeting.wait(), None, range(3), 3))) == 3


def test_one_thread_does_all_of_it_when_told():
    main = threading.get_ident()
    names = set(Threads(1).stream(lambda *_: threading.get_ident(), None, range(40), 8))
    assert len(names) == 1 and main not in names


def test_an_error_reaches_the_consumer_after_the_groups_before_it():
    def fail_at_nine(_: None, number: int) -> int:
        if number == 9:
            raise OSError("the ninth")
        return number

    seen = []
    with pytest.raises(OSError, match="the ninth"):
        for number in Threads(2).stream(fail_at_nine, None, range(100), 4):
            seen.append(number)
    assert seen == list(range(8))


def test_a_consumer_that_leaves_early_stops_the_work():
    done = []
    results = Threads(2).stream(lambda _, item: done.append(item), None, range(1000), 4)
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
    assert cores() == Threads().count >= 1


def test_an_engine_is_of_one_kind():
    with open_engine() as engine:
        assert isinstance(engine, Threads)
    with pytest.raises(UsageError, match="not both"), open_engine(2, "tcp://localhost:1"):
        pass

"""geofcn.executors: every result once and in order, whoever computes it, and bounded work."""

import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geofcn.core.windows import Window
from geofcn.errors import UsageError
from geofcn.executors import ThreadExecutor, open_executor, stream
from geofcn.runtime import cores


@given(st.integers(0, 40), st.integers(1, 7), st.integers(1, 4))
def test_every_result_once_and_in_order(count, ahead, threads):
    results = list(ThreadExecutor(threads).stream(pow, 2, range(count), ahead))
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

    for consumed, _ in enumerate(ThreadExecutor(2).stream(max, 0, items(), 4)):
        assert pulled - consumed <= 2 * 4
        if consumed == 50:
            break


def test_work_is_done_by_as_many_threads_as_asked_for():
    meeting = threading.Barrier(3, timeout=30)
    # Passes only when three calls run at the same time.
    assert len(set(ThreadExecutor(3).stream(lambda *_: meeting.wait(), None, range(3), 3))) == 3


def test_one_thread_does_all_of_it_when_told():
    main = threading.get_ident()
    names = set(ThreadExecutor(1).stream(lambda *_: threading.get_ident(), None, range(40), 8))
    assert len(names) == 1 and main not in names


def test_an_error_reaches_the_consumer_after_the_groups_before_it():
    def fail_at_nine(_: None, number: int) -> int:
        if number == 9:
            raise OSError("the ninth")
        return number

    results = []
    with pytest.raises(OSError, match="the ninth"):
        for number in ThreadExecutor(2).stream(fail_at_nine, None, range(100), 4):
            results.append(number)
    assert results == list(range(8))


def test_a_consumer_that_leaves_early_stops_the_work():
    done = []
    results = ThreadExecutor(2).stream(lambda _, item: done.append(item), None, range(1000), 4)
    next(results)
    results.close()
    assert len(done) <= 2 * 4
    threads = threading.active_count()
    for _ in range(5):
        results = stream(str, range(100))
        next(results)
        results.close()
    assert threading.active_count() <= threads + 2, "no thread is left behind"


def test_there_is_a_thread_for_every_processor_unless_told():
    assert cores() == ThreadExecutor().count >= 1
    assert ThreadExecutor(3).count == 3


def test_an_executor_is_of_one_kind():
    with open_executor() as executor:
        assert isinstance(executor, ThreadExecutor)
    with pytest.raises(UsageError, match="not both"), open_executor(2, "tcp://localhost:1"):
        pass


def test_a_script_without_a_main_guard_is_told_so_and_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from geofcn.executors import leave_if_imported_by_a_worker, open_executor\n"
        "leave_if_imported_by_a_worker()\n"
        "print('once')\n"
        "with open_executor(workers=1):\n"
        "    pass\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.split() == ["once"]
    assert 'do so under `if __name__ == "__main__":`' in done.stderr.splitlines()[-1]

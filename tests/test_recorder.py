import struct
import sys
import threading

import pytest

from crawlers.contract import FETCH_COLUMNS, Recorder


def test_what_cannot_be_recorded_leaves_nothing_behind() -> None:
    record = Recorder()
    record(1, 2, 3, 200, 5)
    with pytest.raises(ValueError, match="'gone'"):
        record(1, 2, 3, 200, 5, "gone")
    with pytest.raises(ValueError, match="ends before it starts"):
        record(1, 3, 2, 200, 5)
    with pytest.raises(struct.error):
        record(1, 2.5, 3.5, 200, 5)  # type: ignore[arg-type]
    with pytest.raises(struct.error):
        record(2**63, 2, 3, 200, 5)
    assert len(record) == 1
    assert {name: list(column) for name, column in record.columns().items()} == {
        "seq": [1],
        "start_ns": [2],
        "end_ns": [3],
        "status": [200],
        "size_bytes": [5],
        "error": [0],
    }


def test_threads_may_share_a_recorder() -> None:
    record = Recorder()
    threads, each = 8, 5000

    def work(number: int) -> None:
        for value in range(number * each, (number + 1) * each):
            record(value, value, value, value, value)

    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    finally:
        sys.setswitchinterval(interval_s)
    columns = record.columns()
    rows = sorted(zip(*(columns[name] for name in FETCH_COLUMNS), strict=True))
    assert rows == [(value,) * 5 + (0,) for value in range(threads * each)]


def test_a_copy_so_far_is_whole_and_not_changed_by_what_is_recorded_later() -> None:
    recorder = Recorder()
    recorder(0, 10, 20, 200, 1)
    copy = recorder.so_far()
    recorder(1, 10, 30, 200, 1)
    assert (list(copy.columns()["seq"]), len(recorder)) == ([0], 2)


def test_limits_are_recorded_beside_the_fetches() -> None:
    """A crawler that adapts tells from when on how many it has in flight at most."""
    record = Recorder()
    record.limit(5, 1)
    record(0, 6, 7, 200, 1)
    record.limit(8, 2)

    assert [list(column) for column in record.limits().values()] == [[5, 8], [1, 2]]
    assert len(record) == 1
    assert record.so_far().limits() == record.limits()
    with pytest.raises(ValueError, match="limit of 0"):
        record.limit(9, 0)

"""Savers send each item before the next is computed; what is found of one that does not."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.accounts import Accounts
from bench.analysis.analyse import load_accounts
from bench.analysis.validity import Level
from bench.measure.session import measure
from bench.plan.delays import Delay
from bench.plan.experiment import ideal_makespan_ns
from bench.primes import experiment
from bench.primes.experiment import PrimesCell, PrimesExperiment, work_of
from bench.primes.saved_run import SavedRun, look_at
from bench.primes.savers import Saver, saver_of
from bench.primes.schedule import Hold, longest_hold, shortest_ns
from bench.results.columns import IntColumns
from bench.results.store import FILE_NAME, Store
from crawlers.contract import Job, Recorder, SharedIterator
from crawlers.loading import load
from crawlers.registry import find
from tests.accounts import arrivals, fetches
from tests.accounts import load as loads
from tests.factories import MS, run_row, usage

FREE = 5
"""Slots, more than there are items."""
WAIT_S = 10.0
"""For what comes at once."""
OLD_SCHEME = "asyncio"
"""C workers over one iterator, as a saver: all are ready in one turn of the loop."""


def computed(*spans_ms: tuple[int, int]) -> IntColumns:
    """Work, by the start and end of each item."""
    table = np.array(spans_ms, dtype=np.int64).reshape(-1, 2) * MS
    return {"item": np.arange(len(table)), "start_ns": table[:, 0], "end_ns": table[:, 1]}


def one_after_another(costs_ms: list[int]) -> IntColumns:
    ends = np.cumsum(costs_ms).tolist()
    return computed(*((end - cost, end) for end, cost in zip(ends, costs_ms, strict=True)))


def by_trying_all(costs_ms: list[int], delays_ms: list[int], slots: int) -> int:
    """The shortest schedule, of all ways to share the items out over the slots."""
    spans = []
    for slot_of in product(range(slots), repeat=len(costs_ms)):
        free_at, computed_ms = [0] * slots, 0
        for cost, delay, slot in zip(costs_ms, delays_ms, slot_of, strict=True):
            computed_ms += cost
            free_at[slot] = max(computed_ms, free_at[slot]) + delay
        spans.append(max(free_at))
    return min(spans)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=6), st.data(), st.integers(1, 3))
def test_the_bound_is_the_shortest_schedule(
    costs_ms: list[int], data: st.DataObject, slots: int
) -> None:
    delay_ms = data.draw(st.integers(0, 20))
    delays_us = [delay_ms * 1000] * len(costs_ms)
    found = shortest_ns(one_after_another(costs_ms), delays_us, slots, 1)
    assert found == by_trying_all(costs_ms, [delay_ms] * len(costs_ms), slots) * MS


@given(st.lists(st.integers(0, 20_000), min_size=1), st.integers(1, 9))
def test_without_computing_the_bound_is_the_ideal_makespan(
    delays_us: list[int], slots: int
) -> None:
    found = shortest_ns(one_after_another([0] * len(delays_us)), delays_us, slots, 1)
    assert found == ideal_makespan_ns(delays_us, slots)


@pytest.mark.parametrize(
    ("costs_ms", "delay_ms", "slots", "processes", "span_ms"),
    [
        # The last save begins when all is computed, and nothing is left to hide it.
        ([75] * 20, 100, 100, 1, 20 * 75 + 100),
        ([75] * 20, 100, 100, 2, 20 * 75 // 2 + 100),
        # Waiting is the limit: two waves, which begin when the first items are there.
        ([1, 1, 1, 1], 100, 2, 1, 1 + 100 + 100 + 1),
        ([50] * 4, 100, 1, 1, 50 + 4 * 100),
    ],
)
def test_bounds_by_hand(
    costs_ms: list[int], delay_ms: int, slots: int, processes: int, span_ms: int
) -> None:
    delays_us = [delay_ms * 1000] * len(costs_ms)
    assert shortest_ns(one_after_another(costs_ms), delays_us, slots, processes) == span_ms * MS


def saves(*rows_ms: tuple[int, int, int, int]) -> tuple[IntColumns, IntColumns]:
    """Fetches and arrivals, by start, arrival, reply and end of each item."""
    return (
        fetches(*((seq, row[0], row[3], 200, 1, 0) for seq, row in enumerate(rows_ms))),
        arrivals(*((seq, 1, *row[1:3], 50_000, 200, 1) for seq, row in enumerate(rows_ms))),
    )


THREE = [(0, 10), (10, 20), (20, 30)]


@pytest.mark.parametrize(
    ("rows_ms", "slots", "found"),
    [
        # Each is sent before the next is computed, or while it is.
        ([(10, 10, 60, 60), (20, 20, 70, 70), (30, 30, 80, 80)], FREE, None),
        ([(10, 19, 60, 60), (20, 29, 70, 70), (30, 39, 80, 80)], FREE, None),
        # All are computed, then sent: by clocks that start early, and late.
        ([(10, 31, 81, 81), (20, 31, 81, 81), (30, 31, 81, 81)], FREE, Hold(0, 2, 20 * MS)),
        ([(31, 31, 81, 81), (31, 31, 81, 81), (31, 31, 81, 81)], FREE, Hold(0, 2, 20 * MS)),
        # The second waits for the only slot, which is free from 25 on.
        ([(10, 10, 25, 25), (31, 31, 81, 81), (81, 81, 131, 131)], 1, Hold(1, 1, 5 * MS)),
        ([(10, 10, 60, 60), (60, 60, 110, 110), (110, 110, 160, 160)], 1, None),
    ],
)
def test_items_are_held_back_while_a_slot_is_free_and_others_are_computed(
    rows_ms: list[tuple[int, int, int, int]], slots: int, found: Hold | None
) -> None:
    assert longest_hold(computed(*THREE), *saves(*rows_ms), slots) == found


def test_nothing_is_held_back_where_nothing_arrived() -> None:
    assert longest_hold(computed(*THREE), fetches(), arrivals(), 1) is None
    assert longest_hold(computed(), fetches(), arrivals(), 1) is None


def all_at_once(saver: str, processes: int = 1, waited_ms: int = 0) -> SavedRun:
    """Computes three items for 30 ms, then sends them; so long it waited for its CPU."""
    run = run_row(
        3,
        delay_us=50_000,
        concurrency=3,
        crawler=saver,
        work=work_of("hashes", 3, 10, processes),
        usage=replace(usage(), wall_ns=90 * MS, waited_ns=waited_ms * MS),
    )
    fetched, arrived = saves(*[(31, 31, 81, 81)] * 3)
    return look_at(run, Accounts(fetched, arrived, loads()), computed(*THREE))


@pytest.mark.parametrize("saver", ["async", "async-uvloop", "threads"])
def test_a_saver_that_computes_ahead_is_suspect(saver: str) -> None:
    (reason,) = (one for one in all_at_once(saver).verdict.reasons if one.check == "computes ahead")
    assert reason.level is Level.SUSPECT
    assert "before item 0 reached the service, 2 further items were computed, for 0.020 s" in (
        reason.text
    )


def test_where_it_is_the_style_it_is_a_note_and_other_processes_hold_nobody_back() -> None:
    verdict = all_at_once("batches").verdict
    assert verdict.finds("computes ahead")
    assert verdict.level is Level.VALID
    assert not all_at_once("processes", processes=2).verdict.finds("computes ahead")


def test_a_busy_machine_is_named_instead() -> None:
    verdict = all_at_once("async", waited_ms=20).verdict
    assert verdict.finds("busy machine")
    assert not verdict.finds("computes ahead")


class Service:
    """Answers each request when that of the item three further on has arrived."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._arrived: set[int] = set()
        self._answered: set[int] = set()
        self._is_over = False
        self.posted: dict[int, tuple[str, bytes]] = {}
        """Type and body of what came by POST."""

    def arrive(self, seq: int) -> None:
        """Note a request; return when it is to be answered."""
        with self._changed:
            self._arrived.add(seq)
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._is_over or seq + 3 in self._arrived, WAIT_S)

    def answer(self, seq: int) -> None:
        """Note an answer."""
        with self._changed:
            self._answered.add(seq)
            self._changed.notify_all()

    def has(self, seq: int, wait_s: float) -> bool:
        """Wait for a request, and for the answer that becomes due with it."""
        with self._changed:
            return self._changed.wait_for(
                lambda: seq in self._arrived and (seq < 3 or seq - 3 in self._answered), wait_s
            )

    def end(self) -> None:
        """All are answered: no further item comes."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()


@contextmanager
def serving(service: Service) -> Iterator[str]:
    """Its URL. It is HTTP/1.0, so that each save has to open a connection."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size_bytes = int(self.headers["Content-Length"])
            service.posted[int(self.path[1:])] = (
                self.headers["Content-Type"],
                self.rfile.read(size_bytes),
            )
            self.do_GET()

        def do_GET(self) -> None:
            seq = int(self.path[1:])
            service.arrive(seq)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
            service.answer(seq)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def ahead_of(crawler: str, items: int, wait_s: float, body: bytes | None = None) -> list[int]:
    """The first item that had not arrived when the next one was asked for, if there is any."""
    service, ahead = Service(), []
    with serving(service) as url:

        def jobs() -> Iterator[Job]:
            for seq in range(items):
                if seq and not service.has(seq - 1, wait_s):
                    ahead.append(seq - 1)
                    break
                yield Job(seq, f"{url}/{seq}", body=body)
            service.end()

        record = Recorder()
        load(find(crawler))(SharedIterator(jobs()), items, WAIT_S, record)
    columns = record.columns()
    assert sorted(columns["seq"]) == list(range(ahead[0] + 1 if ahead else items))
    assert not any(columns["error"])
    return ahead


@pytest.mark.parametrize("body", [None, b"{}"])
@pytest.mark.parametrize("saver", ["async", "async-uvloop", "threads"])
def test_a_saver_sends_an_item_before_the_next_is_computed(saver: str, body: bytes | None) -> None:
    if saver == "async-uvloop":
        pytest.importorskip("uvloop")
    assert ahead_of(saver_of(saver).crawler, items=20, wait_s=WAIT_S, body=body) == []


@pytest.mark.parametrize("crawler", ["serial", "threads", "asyncio"])
def test_a_job_with_a_body_is_posted_as_json_and_one_without_is_a_get(crawler: str) -> None:
    service, record = Service(), Recorder()
    service.end()
    with serving(service) as url:
        jobs = [Job(0, f"{url}/0"), Job(1, f"{url}/1", body=b'{"item": 1}'), Job(2, f"{url}/2")]
        load(find(crawler))(SharedIterator(jobs), 1, WAIT_S, record)
    assert list(record.columns()["status"]) == [200] * 3
    assert service.posted == {1: ("application/json", b'{"item": 1}')}


def test_workers_that_share_the_items_compute_all_of_them_first() -> None:
    assert ahead_of(OLD_SCHEME, items=20, wait_s=0.1) == [0]


def test_the_old_scheme_is_found_in_its_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = 30

    def old(name: str) -> Saver:
        return replace(saver_of(name), crawler=OLD_SCHEME, declared_as="")

    monkeypatch.setattr(experiment, "saver_of", old)
    cells = (PrimesCell("async", work_of("hashes", items, 3000)),)
    asked = PrimesExperiment(cells, items, Delay.fixed(10_000), 1, 1, 10.0)
    folder, _ = measure(asked, tmp_path)
    with Store.open(folder / FILE_NAME) as store:
        (row,) = store.runs()
        accounts = load_accounts(store, row)
        work = store.work(row.number)
    assert accounts.arrivals is not None
    hold = longest_hold(work, accounts.fetches, accounts.arrivals, row.slots)
    assert hold is not None
    assert (hold.seq, hold.items) == (0, items - 1)
    verdict = look_at(row, accounts, work).verdict
    # A busy machine is named instead.
    assert verdict.finds("computes ahead") or verdict.finds("busy machine")

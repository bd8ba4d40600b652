"""Response times, send lags, windows and the verdicts on runs in open loop and on services."""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from bench.analysis.accounts import Accounts
from bench.analysis.bottleneck import bottleneck
from bench.analysis.keeping_up import kept_up
from bench.analysis.response import DueTimes
from bench.analysis.summary import RunSummary, summarise
from bench.analysis.validity import Level, judge
from bench.plan.load import Load
from bench.plan.rates import Rate
from bench.plan.sizes import Size
from bench.results.columns import IntColumns
from bench.results.schema import RunRow
from server.ledger import REFUSED
from server.service import Service
from tests.accounts import arrivals, fetches, load
from tests.factories import MS, run_row

FIRST_MS = 10_000
DELAY_MS = 20
EVERY_MS = 10


def open_run(requests: int, slots: int = 8, **changes: object) -> RunRow:
    """100 requests per second, each of which takes 20 ms."""
    row = run_row(requests, DELAY_MS * 1000, slots, first_due_ns=FIRST_MS * MS)
    return replace(row, **{"load": Load(Rate("100")), **changes})  # type: ignore[arg-type]


def on_time(requests: int, lag_ms: int = 0) -> list[tuple[int, ...]]:
    """Fetches that start a little after they are due, and take their delay and 2 ms more."""
    due = [FIRST_MS + seq * EVERY_MS for seq in range(requests)]
    return [(n, at + lag_ms, at + lag_ms + DELAY_MS + 2, 200, 1, 0) for n, at in enumerate(due)]


def arrived_of(rows: Sequence[tuple[int, ...]]) -> IntColumns:
    return arrivals(
        *((row[0], 1 + row[0] % 3, row[1] + 1, row[2] - 1, DELAY_MS * 1000, 200, 1) for row in rows)
    )


def summary_of(run: RunRow, rows: Sequence[tuple[int, ...]], arrived: IntColumns) -> RunSummary:
    summary = summarise(run, Accounts(fetches(*rows), arrived, load()))
    assert summary is not None
    return summary


def said(run: RunRow, summary: RunSummary) -> dict[str, Level]:
    return {reason.check: reason.level for reason in judge(run, summary, None).reasons}


def test_a_run_on_time_has_its_numbers_and_nothing_is_said() -> None:
    run, rows = open_run(1000), on_time(1000, lag_ms=1)
    summary = summary_of(run, rows, arrived_of(rows))
    assert summary.offered_per_s == pytest.approx(100)
    assert (summary.response_p50_ns, summary.response_p99_ns) == (23 * MS, 23 * MS)
    assert summary.p50_ns == 22 * MS
    assert summary.response_p999_ns is None  # that needs 10 000 requests
    assert (summary.send_lag_p99_ns, summary.client_lag_p99_ns) == (MS, MS)
    assert summary.makespan_ns == 999 * EVERY_MS * MS + 23 * MS
    assert (summary.early_ns, summary.does_ideal_wait, summary.is_bound) == (None, False, False)
    assert kept_up(summary)
    assert bottleneck(summary, judge(run, summary, None)).word == "offered rate"
    assert said(run, summary) == {}


def test_an_early_start_is_impossible() -> None:
    run, rows = open_run(100), on_time(100)
    rows[7] = (7, rows[7][1] - 3, *rows[7][2:])
    summary = summary_of(run, rows, arrived_of(on_time(100)))
    assert summary.early_ns == 3 * MS
    assert said(run, summary) == {"impossible": Level.INVALID}


def test_a_client_that_sends_late_is_found_and_a_slow_service_is_not_its_fault() -> None:
    run, rows = open_run(100), on_time(100, lag_ms=5)
    late = summary_of(run, rows, arrived_of(rows))
    assert said(run, late) == {"sent late": Level.SUSPECT}
    assert bottleneck(late, judge(run, late, None)).word == "client"
    # One slot can only start a request every 22 ms. That is not the client's doing, and the ideal
    # client waits, too.
    run = replace(run, slots=1, concurrency=1)
    rows = [(n, FIRST_MS + n * 22, FIRST_MS + n * 22 + 22, 200, 1, 0) for n in range(100)]
    capped = summary_of(run, rows, arrived_of(rows))
    assert capped.client_lag_p99_ns == 0
    assert capped.send_lag_p99_ns is not None
    assert capped.send_lag_p99_ns > 1000 * MS
    assert capped.does_ideal_wait
    assert said(run, capped)["cap reached"] is Level.VALID
    assert not kept_up(capped)
    assert bottleneck(capped, judge(run, capped, None)).word == "cap"


def test_a_cap_that_the_ideal_client_does_not_reach_is_suspect() -> None:
    """Three requests are slow to reach the client, so that those behind them wait for a slot."""
    run, rows = open_run(100, slots=3), on_time(100)
    assert said(run, summary_of(run, rows, arrived_of(rows))) == {}  # touched, and nobody waits
    late, free_at = [], [0, 0, 0]
    for seq, due, *_ in rows:
        free_at.sort()
        start = max(due, free_at[0])
        free_at[0] = start + DELAY_MS + (62 if 40 <= seq < 43 else 2)
        late.append((seq, start, free_at[0], 200, 1, 0))
    arrived = arrived_of([(seq, start, start + DELAY_MS + 2) for seq, start, *_ in late])
    summary = summary_of(run, late, arrived)
    assert (summary.client_peak, summary.does_ideal_wait) == (3, False)
    assert summary.waited_for_slot
    assert said(run, summary)["cap reached"] is Level.SUSPECT
    over = [(*row[:2], row[2] + (25 if 40 <= row[0] < 50 else 0), *row[3:]) for row in rows]
    assert said(run, summary_of(run, over, arrived_of(rows)))["overrun"] is Level.INVALID


def test_the_lag_of_a_client_is_counted_from_when_a_slot_was_free() -> None:
    """Against a simulation that goes through the starts one by one, and looks for a free slot."""
    for seed in range(50):
        drawn = random.Random(seed)
        slots, count = drawn.choice((1, 2, 5)), 40
        run = open_run(count, slots)
        free_at, expected = [0] * slots, []
        rows: list[tuple[int, ...]] = []
        for seq in range(count):
            due = FIRST_MS + seq * EVERY_MS
            slot = free_at.index(min(free_at))
            lag = drawn.choice((0, 0, 1, 7))
            # Those before it may have started later: a slot that is free is not yet its turn.
            start = max(due, free_at[slot]) + lag
            start = max(start, rows[-1][1] if rows else 0)
            free_at[slot] = start + drawn.randrange(1, 60)
            rows.append((seq, start, free_at[slot], 200, 1, 0))
            ends = sorted(row[2] for row in rows[:-1])
            turn = ends[seq - slots] if seq >= slots else 0
            expected.append((start - max(due, turn)) * MS)
        due_times = DueTimes.of(run, fetches(*rows))
        assert due_times is not None
        assert due_times.client_lag_ns.tolist() == expected, seed


def test_what_was_refused_as_planned_is_no_error_and_an_invented_refusal_is() -> None:
    service = Service.parse({"rate-limit": "50:1"})
    run, rows = open_run(100, service=service), on_time(100)
    rows = [(n, s, s + 2, 429, 0, 0) if n % 2 else (n, s, e, 200, 1, 0) for n, s, e, *_ in rows]
    arrived = arrived_of(rows)
    is_refused = arrived["seq"] % 2 == 1
    arrived["status"] = np.where(is_refused, 429, 200)
    arrived["outcome"] = np.where(is_refused, REFUSED, 1)
    arrived["due_ns"] = np.where(is_refused, arrived["arrived_ns"], arrived["due_ns"])
    arrived["begin_ns"] = arrived["arrived_ns"]
    summary = summary_of(run, rows, arrived)
    assert (summary.refused, summary.refused_by_status, summary.errors) == (50, {429: 50}, {})
    assert said(run, summary) == {"refused": Level.VALID}
    assert bottleneck(summary, judge(run, summary, None)).word == "rate limit"
    invented = summary_of(run, rows, arrived_of(rows))
    assert (invented.refused, invented.errors) == (0, {"status 429": 50})
    assert said(run, invented)["failures"] is Level.SUSPECT


def test_a_record_of_a_refusal_that_its_server_contradicts_is_impossible() -> None:
    run, rows = open_run(100, service=Service.parse({"rate-limit": "50:1"})), on_time(100)
    rows = [(n, s, s + 3, 429, 0, 0) if n % 2 else (n, s, e, 200, 1, 0) for n, s, e, *_ in rows]
    arrived = arrived_of(rows)
    is_refused = arrived["seq"] % 2 == 1
    arrived["status"] = np.where(is_refused, 429, 200)
    arrived["outcome"] = np.where(is_refused, REFUSED, 1)
    assert said(run, summary_of(run, rows, arrived)) == {"refused": Level.VALID}
    for edited in (
        (7, rows[7][1], rows[7][1], 429, 0, 0),  # over before the refusal was sent
        (7, rows[7][1] + 2, rows[7][2], 429, 0, 0),  # refused before it was started
        (7, *rows[7][1:3], 200, 1, 0),  # recorded as good
        (7, *rows[7][1:3], 503, 0, 0),
    ):
        lie = [edited if row[0] == 7 else row for row in rows]
        assert said(run, summary_of(run, lie, arrived))["impossible"] is Level.INVALID


def test_a_client_that_records_the_due_instant_as_the_start_is_found_by_the_ledger() -> None:
    run, rows = open_run(100), on_time(100)
    late = [(n, s, e + 20, *more) for n, s, e, *more in rows]
    arrived = arrived_of([(n, s + 20, e + 20, *more) for n, s, e, *more in rows])
    summary = summary_of(run, late, arrived)
    assert summary.send_lag_p99_ns == 0
    assert said(run, summary) == {"sent late": Level.SUSPECT}


@pytest.mark.parametrize(
    ("header", "is_said"),
    [
        ("Content-Length: 100", False),
        ("Transfer-Encoding: chunked", False),
        ("Content-Length: 0", True),
        ("Accept: */*", True),
    ],
)
def test_a_crawler_that_sends_no_body_is_found(header: str, is_said: bool) -> None:
    head = f"POST /add?name=run&seq=3&delay=20 HTTP/1.1\r\nHost: x\r\n{header}\r\n\r\n".encode()
    run, rows = open_run(100, body=Size("100"), request_head=head), on_time(100)
    summary = summary_of(run, rows, arrived_of(rows))
    assert said(run, summary) == ({"ledger": Level.INVALID} if is_said else {})


def test_failures_that_the_service_planned_are_told_from_others() -> None:
    service = Service.parse({"fault-share": "500@20"})
    planned = [seq for seq in range(100) if service.fault_of(seq)]
    assert 5 < len(planned) < 40
    run, rows = open_run(100, service=service), on_time(100)
    failing = [(*row[:3], 500 if row[0] in planned else 200, *row[4:]) for row in rows]
    arrived = arrived_of(rows)
    arrived["status"] = np.array([row[3] for row in failing])
    summary = summary_of(run, failing, arrived)
    assert summary.planned_failures == len(planned)
    assert said(run, summary) == {"failures": Level.VALID}
    other = next(seq for seq in range(100) if seq not in planned)
    failing[other] = (*failing[other][:3], 500, *failing[other][4:])
    arrived["status"][other] = 500
    assert said(run, summary_of(run, failing, arrived))["failures"] is Level.SUSPECT


def test_the_warm_up_does_not_count_and_a_run_ended_by_the_clock_counts_what_ended_in_time() -> (
    None
):
    """Two slots and 110 ms for each request: 18.2/s, and twice that in the first second."""
    fast = [(n, n // 2 * 55, n // 2 * 55 + 55, 200, 1, 0) for n in range(36)]
    slow = [(36 + n, 990 + n // 2 * 110, 1100 + n // 2 * 110, 200, 1, 0) for n in range(36)]
    rows = fast + slow
    run = run_row(len(rows), 50_000, 2)
    arrived = arrivals(*((n, 1 + n % 2, s + 1, e - 1, 50_000, 200, 1) for n, s, e, *_ in rows))
    whole = summary_of(run, rows, arrived)
    assert whole.requests_per_s == pytest.approx(72 / 2.97, rel=1e-6)
    warmed = summary_of(replace(run, load=Load(warm_up_s=0.99)), rows, arrived)
    assert warmed.requests_per_s == pytest.approx(36 / 1.98, rel=1e-6)
    assert (whole.p50_ns, warmed.p50_ns) == (55 * MS, 110 * MS)
    # Within 1.0 to 2.5 s, 2 x 13 requests end: at 1.10, 1.21, ... 2.42 s.
    cut = summary_of(replace(run, load=Load(duration_s=2.5, warm_up_s=1.0)), rows, arrived)
    assert cut.requests_per_s == pytest.approx(26 / 1.5, rel=1e-6)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.ledger import Reconciliation
from bench.store import ARRIVAL_COLUMNS, IntColumns, RunRow
from bench.summary import CellSummary, RunSummary, best_cells, in_flight, summarise
from crawlers.contract import FETCH_COLUMNS
from tests.factories import MS, planned, result, usage


def fetches(*rows: tuple[int, ...]) -> IntColumns:
    """Rows of seq, start_ms, end_ms, status, size, error."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 6)
    table[:, 1:3] *= MS
    return dict(zip(FETCH_COLUMNS, table.T, strict=True))


def arrivals(*rows: tuple[int, ...]) -> IntColumns:
    """Rows of seq, connection, arrived_ms, replied_ms, delay_us, status, outcome."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 7)
    table[:, 2:4] *= MS
    return dict(zip(ARRIVAL_COLUMNS, table.T, strict=True))


def run_row(requests: int, delay_us: int = 100_000, concurrency: int = 2) -> RunRow:
    return RunRow(
        *(1, 1, "asyncio", concurrency, concurrency, False, delay_us, requests),
        *("run", "", "", 0, 0, b""),
        usage=usage(),
        versions={},
    )


GOOD = [(seq, seq // 2 * 110, seq // 2 * 110 + 110, 200, 1, 0) for seq in range(4)]
ARRIVED = [
    (seq, 1 + seq % 2, seq // 2 * 110 + 5, seq // 2 * 110 + 105, 100_000, 200, 1)
    for seq in range(4)
]


def summary_of(fetched: IntColumns, arrived: IntColumns | None, requests: int) -> RunSummary:
    summary = summarise(run_row(requests), fetched, arrived)
    assert summary is not None
    return summary


def test_the_numbers_of_a_plain_run() -> None:
    summary = summary_of(fetches(*GOOD), arrivals(*ARRIVED), 4)
    assert (summary.requests, summary.good, summary.errors) == (4, 4, {})
    assert summary.makespan_ns == 220 * MS
    assert summary.requests_per_s == pytest.approx(4 / 0.220)
    assert summary.ideal_ns == 200 * MS
    assert summary.efficiency == pytest.approx(200 / 220)
    assert (summary.p50_ns, summary.p90_ns, summary.p99_ns) == (110 * MS, 110 * MS, None)
    assert summary.mean_in_flight == pytest.approx(400 / 210)
    assert (summary.peak_in_flight, summary.connections) == (2, 2)
    assert summary.cpu_us_per_request == pytest.approx(1e8 / 4 / 1e3)
    assert summary.ledger == Reconciliation(4, 0, 0, 0, 0, 0)


def test_what_failed_is_not_throughput() -> None:
    fetched = fetches(
        GOOD[0], (1, 0, 110, 500, 1, 0), (2, 110, 220, 200, 7, 0), (3, 110, 220, 0, 0, 1)
    )
    summary = summary_of(fetched, arrivals(*ARRIVED), 4)
    assert summary.good == 1
    assert summary.errors == {"timeout": 1, "status 500": 1, "size": 1}
    assert summary.requests_per_s == pytest.approx(1 / 0.220)
    assert summary.efficiency is None


def test_a_server_that_is_not_ours_has_no_ledger_and_no_plan() -> None:
    summary = summary_of(fetches((0, 0, 10, 200, 12_345, 0), (1, 0, 10, 404, 1, 0)), None, 2)
    assert (summary.good, summary.errors) == (1, {"status 404": 1})
    assert summary.ledger is None
    assert summary.efficiency is None
    assert summary.mean_in_flight is None


def test_a_run_without_requests_has_no_numbers() -> None:
    assert summarise(run_row(4), fetches(), arrivals()) is None


def test_p99_wants_a_thousand_requests() -> None:
    rows = [(seq, 0, 1 + seq, 200, 1, 0) for seq in range(1000)]
    assert summary_of(fetches(*rows[:999]), None, 999).p99_ns is None
    assert summary_of(fetches(*rows), None, 1000).p99_ns == 990 * MS


@pytest.mark.parametrize(
    ("fetched", "arrived", "resends", "expected"),
    [
        (GOOD, ARRIVED, False, Reconciliation(4, 0, 0, 0, 0, 0)),
        (GOOD, ARRIVED[:3], False, Reconciliation(3, 0, 1, 0, 0, 0)),
        (GOOD[:3], ARRIVED[:3], False, Reconciliation(3, 0, 1, 0, 0, 0)),
        (GOOD[:3], ARRIVED, False, Reconciliation(3, 1, 0, 0, 0, 0)),
        (GOOD, [*ARRIVED, ARRIVED[0]], False, Reconciliation(4, 0, 0, 0, 1, 0)),
        (GOOD, [*ARRIVED, ARRIVED[0]], True, Reconciliation(4, 0, 0, 1, 0, 0)),
        ([*GOOD, GOOD[1]], ARRIVED, True, Reconciliation(4, 0, 0, 0, 1, 0)),
        ([*GOOD, (9, 0, 1, 200, 1, 0)], ARRIVED, False, Reconciliation(4, 0, 0, 0, 1, 0)),
        (GOOD, [*ARRIVED, (-1, *ARRIVED[0][1:])], False, Reconciliation(4, 0, 0, 0, 0, 1)),
        (GOOD, [*ARRIVED, (4, *ARRIVED[0][1:])], False, Reconciliation(4, 0, 0, 0, 0, 1)),
        ([*GOOD[:3], (3, 0, 9, 0, 0, 1)], ARRIVED, False, Reconciliation(3, 1, 0, 0, 0, 0)),
        ([], ARRIVED[:1], False, Reconciliation(0, 1, 3, 0, 0, 0)),
    ],
)
def test_both_accounts_are_reconciled(
    fetched: list[tuple[int, ...]],
    arrived: list[tuple[int, ...]],
    resends: bool,
    expected: Reconciliation,
) -> None:
    found = Reconciliation.of(4, fetches(*fetched), arrivals(*arrived), resends)
    assert found == expected
    assert found.is_clean == (expected == Reconciliation(4, 0, 0, 0, 0, 0))
    # Every request is accounted for, once.
    assert found.matched + found.abandoned + found.lost == 4


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 50)), min_size=1, max_size=50))
def test_in_flight_is_what_a_count_at_every_instant_says(stays: list[tuple[int, int]]) -> None:
    rows = [(seq, 1, at, at + stay, 0, 200, 1) for seq, (at, stay) in enumerate(stays)]
    mean, peak = in_flight(arrivals(*rows))
    first, last = min(at for at, _ in stays), max(at + stay for at, stay in stays)
    counts = [sum(at <= t < at + stay for at, stay in stays) for t in range(first, last)]
    assert peak == max(counts)
    assert mean == pytest.approx(sum(counts) / len(counts))


def test_the_best_cell_is_the_one_of_most_throughput() -> None:
    def cell(crawler: str, concurrency: int, *rates: float) -> CellSummary:
        run = summary_of(fetches(*GOOD), arrivals(*ARRIVED), 4)
        from dataclasses import replace

        trials = tuple(replace(run, requests_per_s=rate) for rate in rates)
        return CellSummary(planned(crawler, concurrency).cell, trials, ())

    cells = [cell("a", 1, 10, 30, 11), cell("a", 10, 20, 21, 12), cell("b", 1), cell("c", 1, 5)]
    best = best_cells(cells)
    assert {name: chosen.cell.concurrency for name, chosen in best.items()} == {"a": 10, "c": 1}
    assert best["a"].requests_per_s == (20, 12, 21)


def test_a_made_up_result_is_what_it_claims_to_be() -> None:
    made = result(planned(), overhead_ms=5)
    assert made.outcome is not None
    assert len(made.outcome.fetches["seq"]) == 100


def test_only_the_first_record_of_a_job_that_arrived_counts() -> None:
    fetched = fetches(*GOOD[:3], GOOD[0], (9, 0, 1, 200, 1, 0))
    summary = summary_of(fetched, arrivals(*ARRIVED[:2]), 4)
    assert summary.errors == {"repeated": 2, "missing": 1, "never arrived": 1}
    assert summary.good == 2
    assert summary.efficiency is None


def test_a_crawler_that_sends_nothing_has_no_throughput() -> None:
    summary = summary_of(fetches(*GOOD), arrivals(), 4)
    assert (summary.good, summary.requests_per_s) == (0, 0)
    assert summary.errors == {"never arrived": 4}
    assert summary.p50_ns is None
    assert (summary.mean_in_flight, summary.connections) == (0, 0)


def test_more_at_a_time_than_asked_for_is_trouble_and_no_efficiency() -> None:
    together = [(seq, 0, 110, 200, 1, 0) for seq in range(4)]
    summary = summary_of(fetches(*together), arrivals(*ARRIVED), 4)
    assert summary.troubles == ("4 requests at a time, and 2 were asked for",)
    assert summary.efficiency is None
    assert not CellSummary(planned().cell, (summary,), ()).is_clean
    honest = summary_of(fetches(*GOOD), arrivals(*ARRIVED), 4)
    assert CellSummary(planned().cell, (honest,), ()).is_clean


def test_a_ledger_that_had_no_room_is_not_taken_for_the_whole() -> None:
    from dataclasses import replace

    summary = summarise(replace(run_row(4), unrecorded=3), fetches(*GOOD), arrivals(*ARRIVED[:1]))
    assert summary is not None
    assert (summary.good, summary.errors) == (4, {})
    assert summary.ledger is None
    assert summary.connections is None
    assert summary.troubles == ("the server had no room for 3 requests in its ledger",)

"""The numbers of a run, from rows made by hand."""

from dataclasses import replace

import pytest

from bench.analysis.accounts import Accounts
from bench.analysis.anomalies import Clusters
from bench.analysis.in_flight import Plateau
from bench.analysis.reconciliation import Reconciliation
from bench.analysis.summary import summarise
from tests.accounts import ARRIVED, GOOD, arrivals, fetches, load, summary_of
from tests.factories import MS, conditions, planned, result, run_row


def test_the_numbers_of_a_plain_run() -> None:
    summary = summary_of(fetches(*GOOD), arrivals(*ARRIVED), 4)
    assert (summary.requests, summary.good, summary.errors) == (4, 4, {})
    assert summary.makespan_ns == 220 * MS
    assert summary.requests_per_s == pytest.approx(4 / 0.220)
    assert summary.ideal_ns == 200 * MS
    assert summary.efficiency == pytest.approx(200 / 220)
    assert (summary.p50_ns, summary.p90_ns, summary.p99_ns) == (110 * MS, 110 * MS, None)
    assert summary.in_flight is not None
    assert summary.in_flight.mean == pytest.approx(400 / 210)
    assert (summary.in_flight.peak, summary.connections) == (2, 2)
    assert summary.cpu_us_per_request == pytest.approx(1e8 / 4 / 1e3)
    assert summary.reconciliation == Reconciliation(4, 0, 0, 0, 0, 0)
    assert (summary.impossible, summary.client_peak) == ((), 2)


QUEUES = conditions(queues=True)


def queueing(waves: int, slots: int, delay_ms: int = 100) -> Accounts:
    """All requests are started at 0. A wave follows the one before it after its delay and 5 ms."""
    requests = range(waves * slots)
    at_ms = [seq // slots * (delay_ms + 5) + 3 for seq in requests]
    fetched = [(seq, 0, at_ms[seq] + delay_ms + 2, 200, 1, 0) for seq in requests]
    arrived = [
        (seq, 1 + seq % slots, at_ms[seq], at_ms[seq] + delay_ms, delay_ms * 1000, 200, 1)
        for seq in reversed(requests)
    ]
    return Accounts(fetches(*fetched), arrivals(*arrived), load())


@pytest.mark.parametrize(("waves", "slots"), [(10, 100), (25, 40), (3, 7), (1, 5)])
def test_the_time_in_the_queue_of_a_client_is_what_a_formula_says(waves: int, slots: int) -> None:
    run = run_row(waves * slots, concurrency=slots, conditions=QUEUES)
    summary = summarise(run, queueing(waves, slots))
    assert summary is not None
    assert summary.queued_mean_ns == round((105 * (waves - 1) / 2 + 3) * MS)
    assert summary.queued_p50_ns == (105 * ((waves + 1) // 2 - 1) + 3) * MS
    has_p99 = waves * slots >= 1000
    assert summary.queued_p99_ns == ((105 * (waves - 1) + 3) * MS if has_p99 else None)
    # The service time holds the wait, and the time of slots does not.
    assert summary.p50_ns == summary.queued_p50_ns + 102 * MS
    assert summary.slot_time is not None
    assert summary.slot_time.under_way == pytest.approx(2 * waves / (105 * waves))
    assert summary.slot_time.opening == 0
    assert 0 <= summary.slot_time.idle < 0.1


def test_a_wait_in_a_queue_is_neither_beyond_the_time_limit_nor_a_dropped_syn() -> None:
    for declared, found in ((QUEUES, 0), (conditions(), 10)):
        run = run_row(20, 1_000_000, concurrency=10, conditions=declared, timeout_ns=1500 * MS)
        summary = summarise(run, queueing(2, 10, delay_ms=1000))
        assert summary is not None
        assert (summary.queued_mean_ns is None) == (declared is not QUEUES)
        assert summary.clusters is not None
        assert (summary.overtime, summary.clusters.around_1_s) == (found, found)


def test_without_a_ledger_nobody_knows_how_long_requests_wait_in_a_client() -> None:
    run = run_row(30, concurrency=2, conditions=QUEUES, timeout_ns=400 * MS, unrecorded=None)
    summary = summarise(run, replace(queueing(15, 2), arrivals=None))
    assert summary is not None
    assert (summary.queued_mean_ns, summary.overtime) == (None, 0)


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
    assert summary.reconciliation is None
    assert summary.efficiency is None
    assert summary.in_flight is None
    assert summary.split is None


def test_a_run_without_requests_has_no_numbers() -> None:
    assert summarise(run_row(4), Accounts(fetches(), arrivals(), load())) is None


def test_p99_wants_a_thousand_requests() -> None:
    rows = [(seq, 0, 1 + seq, 200, 1, 0) for seq in range(1000)]
    assert summary_of(fetches(*rows[:999]), None, 999).p99_ns is None
    assert summary_of(fetches(*rows), None, 1000).p99_ns == 990 * MS


def test_the_servers_load_is_what_the_samples_around_the_makespan_say() -> None:
    samples = [(at, at // 2, at // 10, 1) for at in range(-50, 1000, 50)]
    rows = [(seq, seq * 110, seq * 110 + 110, 200, 1, 0) for seq in range(5)]
    came = [(seq, 1, seq * 110 + 5, seq * 110 + 105, 100_000, 200, 1) for seq in range(5)]
    late = [(*row[:3], 30) if row[0] == 300 else row for row in samples]
    summary = summarise(
        run_row(5, concurrency=1), Accounts(fetches(*rows), arrivals(*came), load(*late))
    )
    assert summary is not None
    assert summary.server is not None
    assert summary.server.cpu_share == pytest.approx(0.5)
    assert summary.server.waited_share == pytest.approx(0.1)
    assert summary.server.longest_lag_ns == 30 * MS
    assert summary.server_cpu_us_per_request == pytest.approx(275_000 / 5)


@pytest.mark.parametrize(
    ("late_ms", "expected"),
    [
        ([1000, 1001, 5], Clusters(2, 0)),
        ([1000, 900, 800, 700], Clusters(0, 0)),  # a tail
        ([40] * 8 + [20], Clusters(0, 8)),
        ([40] * 4 + [30] * 2, Clusters(0, 0)),
    ],
)
def test_clusters_stand_out_of_their_neighbourhood(late_ms: list[int], expected: Clusters) -> None:
    n = len(late_ms)
    # The first of the connection opens it, and is no sign of a delayed ACK.
    fetched = [(0, 0, 0, 200, 1, 0)]
    fetched += [(seq + 1, 0, late, 200, 1, 0) for seq, late in enumerate(late_ms)]
    arrived = [(seq, 1, 0, 0, 0, 200, 1) for seq in range(n + 1)]
    for row in range(1, n + 1):
        fetched[row] = (row, 5, 5 + late_ms[row - 1], 200, 1, 0)
        arrived[row] = (row, 1, 5, 5, 0, 200, 1)
    arrived[0] = (0, 1, 1, 1, 0, 200, 1)
    fetched[0] = (0, 0, 2, 200, 1, 0)
    summary = summarise(
        run_row(n + 1, delay_us=0, concurrency=n + 1),
        Accounts(fetches(*fetched), arrivals(*arrived), load()),
    )
    assert summary is not None
    assert summary.clusters == expected


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
    assert summary.in_flight is not None
    assert (summary.in_flight.mean, summary.connections) == (0, 0)


def test_a_ledger_that_had_no_room_is_not_taken_for_the_whole() -> None:
    run = replace(run_row(4), unrecorded=3)
    summary = summarise(run, Accounts(fetches(*GOOD), arrivals(*ARRIVED[:1]), load()))
    assert summary is not None
    assert (summary.good, summary.errors) == (4, {})
    assert summary.reconciliation is None
    assert summary.connections is None


def test_a_good_fetch_beyond_the_limit_of_time_is_overtime() -> None:
    run = replace(run_row(4), timeout_ns=5 * MS)
    accounts = Accounts(fetches(*GOOD), arrivals(*ARRIVED), load())
    summary = summarise(run, accounts)
    assert summary is not None
    assert summary.overtime == 4
    # A tenth of a second is left to a client that is busy when the time is over.
    patient = summarise(replace(run, timeout_ns=20 * MS), accounts)
    assert patient is not None
    assert patient.overtime == 0


def test_requests_that_can_only_wait_inside_the_client_are_a_queue() -> None:
    """Four at a time by its own account, on two connections; from 110 ms on two are left."""
    fetched = [(seq, 0, 110 + seq // 2 * 110, 200, 1, 0) for seq in range(4)]
    queued = summary_of(fetches(*fetched), arrivals(*ARRIVED), 4)
    assert queued.queued_share == pytest.approx(0.5)
    assert summary_of(fetches(*GOOD), arrivals(*ARRIVED), 4).queued_share == 0
    # Requests that failed may never have had a connection.
    failed = [(*row[:3], 0, 0, 2) if row[0] > 1 else row for row in fetched]
    assert summary_of(fetches(*failed), arrivals(*ARRIVED), 4).queued_share == 0
    assert summary_of(fetches(*fetched), None, 4).queued_share is None


def test_the_level_of_the_client_itself_is_looked_for_in_the_steady_part() -> None:
    rows = [(seq, seq * 100, seq * 100 + 100, 200, 1, 0) for seq in range(9)]
    run = run_row(9, concurrency=4)
    summary = summarise(run, Accounts(fetches(*rows), None, load()))
    assert summary is not None
    assert summary.client_plateau == Plateau(1, 1.0)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], 0),
        ([1, 0, 3, 2, 5, 4, 7, 6], 0),  # as many places as there are slots
        ([2, 1, 0, 3, 4, 5, 6, 7], 0),
        ([3, 1, 2, 0, 4, 5, 6, 7], 2),
        ([7, 6, 5, 4, 3, 2, 1, 0], 6),
        ([4, 5, 6, 7, 4], 0),  # the others are missing, and one was recorded again
    ],
)
def test_a_start_far_from_its_place_in_the_order_of_the_jobs_is_out_of_order(
    order: list[int], expected: int
) -> None:
    rows = [(seq, at, at + 10, 200, 1, 0) for at, seq in enumerate(order)]
    assert summary_of(fetches(*rows), None, 8).out_of_order == expected


def test_a_delay_beyond_4_seconds_is_the_one_that_was_planned() -> None:
    """In ns, it does not fit into the 32 bits in which delays are drawn in µs."""
    run = run_row(4, 5_000_000, concurrency=2, timeout_ns=60_000 * MS)
    summary = summarise(run, queueing(2, 2, delay_ms=5000))
    assert summary is not None
    assert not [one for one in summary.impossible if "another delay" in one.what]

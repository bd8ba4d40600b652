"""The numbers of a run, and of the trials of a cell, from rows made by hand."""

from dataclasses import astuple, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cells import CellSummary, Trial, best_cells, knee, order_effects
from bench.in_flight import Levels, Plateau, steady_plateau
from bench.ledger import Mismatch, Reconciliation
from bench.split import Split
from bench.stalls import Stall, client_stall
from bench.store import ARRIVAL_COLUMNS, LOAD_COLUMNS, IntColumns
from bench.summary import Accounts, Clusters, RunSummary, summarise
from bench.validity import Level, Reason, Verdict
from crawlers.contract import FETCH_COLUMNS
from tests.factories import MS, planned, result, run_row


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


def load(*rows: tuple[int, ...]) -> IntColumns:
    """Rows of at_ms, cpu_ms, waited_ms, late_ms."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 4) * MS
    return dict(zip(LOAD_COLUMNS, table.T, strict=True))


GOOD = [(seq, seq // 2 * 110, seq // 2 * 110 + 110, 200, 1, 0) for seq in range(4)]
ARRIVED = [
    (seq, 1 + seq % 2, seq // 2 * 110 + 5, seq // 2 * 110 + 105, 100_000, 200, 1)
    for seq in range(4)
]


def summary_of(fetched: IntColumns, arrived: IntColumns | None, requests: int) -> RunSummary:
    summary = summarise(run_row(requests), Accounts(fetched, arrived, load()))
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
    assert summary.in_flight is not None
    assert summary.in_flight.mean == pytest.approx(400 / 210)
    assert (summary.in_flight.peak, summary.connections) == (2, 2)
    assert summary.cpu_us_per_request == pytest.approx(1e8 / 4 / 1e3)
    assert summary.ledger == Reconciliation(4, 0, 0, 0, 0, 0)
    assert (summary.impossible, summary.client_peak) == ((), 2)


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
    assert summary.in_flight is None
    assert summary.split is None


def test_a_run_without_requests_has_no_numbers() -> None:
    assert summarise(run_row(4), Accounts(fetches(), arrivals(), load())) is None


def test_p99_wants_a_thousand_requests() -> None:
    rows = [(seq, 0, 1 + seq, 200, 1, 0) for seq in range(1000)]
    assert summary_of(fetches(*rows[:999]), None, 999).p99_ns is None
    assert summary_of(fetches(*rows), None, 1000).p99_ns == 990 * MS


NEVER_FETCHED, NEVER_ARRIVED = "never fetched", "recorded as fetched, and never arrived"
NEVER_RECORDED = "arrived, and never recorded"
NEVER_ANSWERED = "recorded as fetched, and never answered"
UNDECLARED = "sent more than once, which the crawler does not declare"


@pytest.mark.parametrize(
    ("fetched", "arrived", "resends", "counts", "unexplained"),
    [
        (GOOD, ARRIVED, False, (4, 0, 0, 0, 0, 0), []),
        (GOOD, ARRIVED[:3], False, (3, 0, 1, 0, 0, 0), [(NEVER_ARRIVED, 3)]),
        (GOOD[:3], ARRIVED[:3], False, (3, 0, 1, 0, 0, 0), [(NEVER_FETCHED, 3)]),
        (GOOD[:3], ARRIVED, False, (3, 0, 0, 1, 0, 0), [(NEVER_RECORDED, 3)]),
        (GOOD, [*ARRIVED, ARRIVED[0]], False, (4, 0, 0, 0, 1, 0), [(UNDECLARED, 0)]),
        (GOOD, [*ARRIVED, ARRIVED[0]], True, (4, 1, 0, 0, 0, 0), []),
        ([*GOOD, GOOD[1]], ARRIVED, True, (4, 0, 0, 0, 1, 0), [("recorded more than once", 1)]),
        (
            [*GOOD, (9, 0, 1, 200, 1, 0)],
            ARRIVED,
            False,
            (4, 0, 0, 0, 1, 0),
            [("recorded, and never asked for", 9)],
        ),
        (
            GOOD,
            [*ARRIVED, (-1, *ARRIVED[0][1:])],
            False,
            (4, 0, 0, 0, 0, 1),
            [("arrived, and never asked for", -1)],
        ),
        (
            GOOD,
            [*ARRIVED[:3], (*ARRIVED[3][:6], 2)],
            False,
            (4, 0, 0, 0, 0, 0),
            [(NEVER_ANSWERED, 3)],
        ),
        # What failed, and says so, is explained: the server may have seen it, or not.
        ([*GOOD[:3], (3, 0, 9, 0, 0, 1)], ARRIVED, False, (3, 0, 0, 1, 0, 0), []),
        ([*GOOD[:3], (3, 0, 9, 0, 0, 2)], ARRIVED[:3], False, (3, 0, 1, 0, 0, 0), []),
    ],
)
def test_both_accounts_are_reconciled(
    fetched: list[tuple[int, ...]],
    arrived: list[tuple[int, ...]],
    resends: bool,
    counts: tuple[int, int, int, int, int, int],
    unexplained: list[tuple[str, int]],
) -> None:
    found = Reconciliation.of(4, fetches(*fetched), arrivals(*arrived), resends)
    mismatches = tuple(Mismatch(what, 1, (seq,)) for what, seq in unexplained)
    assert found == Reconciliation(*counts, mismatches)
    # Every request is accounted for, once.
    assert found.matched + found.abandoned + found.lost == 4


def test_a_mismatch_names_the_first_of_its_requests() -> None:
    found = Reconciliation.of(9, fetches(), arrivals(), False)
    (mismatch,) = found.unexplained
    assert str(mismatch) == "9 never fetched (seq 0, 1, 2, 3, 4, ...)"


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(1, 50)), min_size=1, max_size=50))
def test_in_flight_is_what_a_count_at_every_instant_says(stays: list[tuple[int, int]]) -> None:
    rows = [(seq, 1, at, at + stay, 0, 200, 1) for seq, (at, stay) in enumerate(stays)]
    levels = Levels.at_server(arrivals(*rows))
    assert levels is not None
    first, last = min(at for at, _ in stays), max(at + stay for at, stay in stays)
    counts = [sum(at <= t < at + stay for at, stay in stays) for t in range(first, last)]
    assert levels.peak == max(counts)
    assert levels.mean == pytest.approx(sum(counts) / len(counts))
    plateau = levels.plateau(first * MS, last * MS)
    assert plateau is not None
    assert sum(count > plateau.level for count in counts) <= 0.01 * len(counts) + 1e-9
    assert plateau.share == pytest.approx(counts.count(plateau.level) / len(counts))


def test_a_plateau_is_looked_for_between_the_first_wave_and_the_last_arrival() -> None:
    # Four at once at first, then two at a time; asked for were four.
    first = [(seq, 1, 0, 10, 0, 200, 1) for seq in range(4)]
    rest = [(seq, 1, 10 * (seq // 2), 10 * (seq // 2) + 10, 0, 200, 1) for seq in range(4, 20)]
    arrived = arrivals(*first, *rest)
    levels = Levels.at_server(arrived)
    assert levels is not None
    assert levels.peak == 4
    assert steady_plateau(levels, arrived, 4) == Plateau(2, 1.0)
    assert steady_plateau(levels, arrived, 10) is None


def test_the_parts_of_a_request_add_up_to_its_service_time() -> None:
    fetched = fetches((0, 0, 117, 200, 1, 0), (1, 0, 130, 200, 1, 0))
    # The second was sent again: the last arrival is the one that was answered.
    arrived = arrivals(
        (0, 7, 5, 107, 100_000, 200, 1),
        (1, 8, 3, 4, 100_000, 200, 2),
        (1, 8, 20, 120, 100_000, 200, 1),
    )
    split = Split.of(2, fetched, arrived)
    parts = [split.to_server, split.delay, split.overshoot, split.back]
    assert [(part // MS).tolist() for part in parts] == [[5, 20], [100, 100], [2, 0], [10, 10]]
    assert sum(parts).tolist() == (fetched["end_ns"] - fetched["start_ns"]).tolist()  # type: ignore[union-attr]
    assert split.is_first.tolist() == [True, False]


def test_the_time_of_all_slots_is_accounted_for() -> None:
    summary = summary_of(fetches(*GOOD), arrivals(*ARRIVED), 4)
    assert summary.slot_time is not None
    expected = [400 / 440, 0, 10 / 440, 30 / 440, 0]
    assert astuple(summary.slot_time) == pytest.approx(expected, abs=1e-12)


def test_a_stall_is_time_without_an_act_while_an_answer_waits() -> None:
    fetched = fetches((0, 0, 110, 200, 1, 0), (1, 0, 400, 200, 1, 0))
    arrived = arrivals((0, 1, 5, 105, 100_000, 200, 1), (1, 2, 5, 106, 100_000, 200, 1))
    # From its last act at 110 on, with an answer there since 106, until 400.
    assert client_stall(fetched, arrived) == Stall(110 * MS, 290 * MS)
    # Had the answer come at 390, the client would have waited with good reason.
    late = arrivals((0, 1, 5, 105, 100_000, 200, 1), (1, 2, 5, 390, 100_000, 200, 1))
    assert client_stall(fetched, late) == Stall(390 * MS, 10 * MS)
    assert client_stall(fetched, arrivals()) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 20), st.integers(1, 30), st.integers(1, 60)),
        min_size=1,
        max_size=30,
    )
)
def test_a_stall_is_what_a_look_at_every_instant_finds(
    stays: list[tuple[int, int, int, int]],
) -> None:
    times = [(at, at + a, at + a + b, at + a + b + c) for at, a, b, c in stays]
    fetched = fetches(*[(seq, t[0], t[3], 200, 1, 0) for seq, t in enumerate(times)])
    arrived = arrivals(*[(seq, 1, t[1], t[2], 0, 200, 1) for seq, t in enumerate(times)])
    acts = sorted({t for row in times for t in (row[0], row[1], row[3])})
    longest = 0
    for begin, end in pairwise(acts):
        due = [replied for _, _, replied, ended in times if replied < end <= ended]
        if due:
            longest = max(longest, end - max(begin, min(due)))
    found = client_stall(fetched, arrived)
    assert found is not None
    assert found.span_ns == longest * MS


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


def summary_with(rate: float) -> RunSummary:
    return replace(summary_of(fetches(*GOOD), arrivals(*ARRIVED), 4), requests_per_s=rate)


def cell(crawler: str, concurrency: int, *rates: float, level: Level = Level.VALID) -> CellSummary:
    reasons = (Reason(level, "a check", "a reason"),) if level else ()
    trials = tuple(
        Trial(run_row(4, trial=number), summary_with(rate), Verdict(reasons))
        for number, rate in enumerate(rates, 1)
    )
    return CellSummary(planned(crawler, concurrency).cell, trials)


def test_the_best_cell_is_the_one_of_most_throughput() -> None:
    cells = [cell("a", 1, 10, 30, 11), cell("a", 10, 20, 21, 12), cell("b", 1), cell("c", 1, 5)]
    best = best_cells(cells)
    assert {name: chosen.cell.concurrency for name, chosen in best.items()} == {"a": 10, "c": 1}
    assert best["a"].requests_per_s == (20, 12, 21)


def test_what_cannot_be_believed_is_the_best_only_if_there_is_nothing_else() -> None:
    cells = [cell("a", 1, 10), cell("a", 10, 99, level=Level.INVALID)]
    assert best_cells(cells)["a"].cell.concurrency == 1
    assert best_cells(cells[1:])["a"].cell.concurrency == 10


def test_a_cell_is_suspect_if_its_median_may_be() -> None:
    honest, suspect = cell("a", 1, 1, 2, 3), cell("a", 1, 4, level=Level.SUSPECT)
    invalid = cell("a", 1, 4, level=Level.INVALID)

    def together(*cells: CellSummary) -> Level:
        return CellSummary(honest.cell, tuple(t for one in cells for t in one.trials)).level

    assert together(honest) is Level.VALID
    assert together(honest, suspect) is Level.VALID
    assert together(honest, suspect, suspect, suspect) is Level.SUSPECT
    assert together(honest, invalid) is Level.INVALID


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({1: 10, 10: 100, 100: 980, 250: 1000, 500: 990}, 100),
        ({1: 10, 10: 100, 100: 900}, None),  # there may be more to be had
        ({1: 10, 10: 100, 100: 99}, 10),
        ({1: 10}, 1),
        ({}, None),
    ],
)
def test_the_knee_is_where_nearly_all_is_reached(
    rates: dict[int, float], expected: int | None
) -> None:
    assert knee([cell("a", at, rate) for at, rate in rates.items()]) == expected


def test_what_depends_on_the_order_of_the_trials_is_said() -> None:
    assert order_effects(cell("a", 1, 100, 101, 99, 102, 98, 100, 101), 1) == ()
    (warm_up,) = order_effects(cell("a", 1, 70, 101, 99, 102, 98), 1)
    assert warm_up.startswith("the first trial is an outlier: 70 requests/s")
    falling = cell("a", 1, *range(200, 180, -2))
    (drift,) = order_effects(falling, 1)
    assert drift.startswith("throughput falls with the order of the trials (Spearman -1.00")
    # One of very many cells may look like that by accident.
    assert order_effects(falling, 1000) == ()


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
    assert summary.ledger is None
    assert summary.connections is None

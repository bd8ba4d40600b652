"""What the numbers of a run are made of: ledger, concurrency, split, stalls."""

from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.in_flight import Levels, Plateau, steady_plateau
from bench.analysis.join import Join
from bench.analysis.limits import NO_LIMITS, Limits
from bench.analysis.reconciliation import Mismatch, Reconciliation
from bench.analysis.split import Split
from bench.analysis.stalls import IdleSpans, Stall, client_stall, idle_slots, idle_stall
from bench.results.columns import IntColumns
from server.ledger import MISBEHAVED
from tests.accounts import ARRIVED, GOOD, arrivals, fetches, summary_of
from tests.factories import MS

NEVER_FETCHED, NEVER_ARRIVED = "never fetched", "recorded as fetched, and never arrived"
NEVER_RECORDED = "arrived, and never recorded"
NEVER_ANSWERED = "recorded as fetched, and never answered"
UNDECLARED = "sent more than once, which the crawler does not declare"


def slots(number: int) -> Limits:
    """The same limit at all times."""
    return Limits.of(NO_LIMITS, number)


@pytest.mark.parametrize(
    ("fetched", "arrived", "resends", "counts", "unexplained"),
    [
        (GOOD, ARRIVED, 0, (4, 0, 0, 0, 0, 0), []),
        (GOOD, ARRIVED[:3], 0, (3, 0, 1, 0, 0, 0), [(NEVER_ARRIVED, 3)]),
        (GOOD[:3], ARRIVED[:3], 0, (3, 0, 1, 0, 0, 0), [(NEVER_FETCHED, 3)]),
        (GOOD[:3], ARRIVED, 0, (3, 0, 0, 1, 0, 0), [(NEVER_RECORDED, 3)]),
        (GOOD, [*ARRIVED, ARRIVED[0]], 0, (4, 0, 0, 0, 1, 0), [(UNDECLARED, 0)]),
        (GOOD, [*ARRIVED, ARRIVED[0]], 1, (4, 1, 0, 0, 0, 0), []),
        ([*GOOD, GOOD[1]], ARRIVED, 1, (4, 0, 0, 0, 1, 0), [("recorded more than once", 1)]),
        (
            [*GOOD, (9, 0, 1, 200, 1, 0)],
            ARRIVED,
            0,
            (4, 0, 0, 0, 1, 0),
            [("recorded, and never asked for", 9)],
        ),
        (
            GOOD,
            [*ARRIVED, (-1, *ARRIVED[0][1:])],
            0,
            (4, 0, 0, 0, 0, 1),
            [("arrived, and never asked for", -1)],
        ),
        (
            GOOD,
            [*ARRIVED[:3], (*ARRIVED[3][:6], 2)],
            0,
            (4, 0, 0, 0, 0, 0),
            [(NEVER_ANSWERED, 3)],
        ),
        # What failed, and says so, is explained: the server may have seen it, or not.
        ([*GOOD[:3], (3, 0, 9, 0, 0, 1)], ARRIVED, 0, (3, 0, 0, 1, 0, 0), []),
        ([*GOOD[:3], (3, 0, 9, 0, 0, 2)], ARRIVED[:3], 0, (3, 0, 1, 0, 0, 0), []),
    ],
)
def test_both_accounts_are_reconciled(
    fetched: list[tuple[int, ...]],
    arrived: list[tuple[int, ...]],
    resends: int,
    counts: tuple[int, int, int, int, int, int],
    unexplained: list[tuple[str, int]],
) -> None:
    found = Reconciliation.of(4, Join.of(fetches(*fetched), arrivals(*arrived)), resends)
    mismatches = tuple(Mismatch(what, 1, (seq,)) for what, seq in unexplained)
    assert found == Reconciliation(*counts, mismatches)
    # Every request is accounted for, once.
    assert found.matched + found.abandoned + found.lost == 4


ANSWERED = 1


def arrived_on(*connections_and_outcomes: tuple[int, int]) -> IntColumns:
    """Arrivals of seq 1, one for each connection, after a good one of seq 0 on connection 7."""
    rows = [
        (1, one, 200 + at, 201 + at, 0, 200, outcome)
        for at, (one, outcome) in enumerate(connections_and_outcomes)
    ]
    return arrivals((0, 7, 1, 2, 0, 200, ANSWERED), *rows)


@pytest.mark.parametrize(
    ("resends", "condition", "arrived", "counts", "mismatch"),
    [
        # A kept connection drops, and the request is sent again from a fresh one.
        (1, "kept", [(7, 3), (8, 3)], (1, 0), ""),
        (5, "kept", [(7, 3), (7, 3), (7, 3)], (2, 0), ""),
        (1, "any", [(8, 3), (9, 3)], (1, 0), ""),
        (1, "kept", [(8, 3), (9, 3)], (1, 0), "1 sent again from a fresh connection"),
        (1, "any", [(7, 3), (8, 3), (9, 3)], (1, 1), "1 sent more than 2 times, as the crawler"),
        (0, "", [(7, 3), (8, 3)], (0, 1), "1 sent more than once, which the crawler does not"),
        (1, "any", [(7, 1), (7, 1)], (1, 0), "1 sent again after an answer"),
        # Files of earlier versions declare no condition, and no number.
        (1, "", [(8, 3), (9, 3), (10, 3)], (2, 0), ""),
    ],
)
def test_resends_are_held_to_their_number_and_their_condition(
    resends: int,
    condition: str,
    arrived: list[tuple[int, int]],
    counts: tuple[int, int],
    mismatch: str,
) -> None:
    fetched = fetches((0, 0, 9, 200, 1, 0), (1, 10, 900, 0, 0, 4))
    found = Reconciliation.of(2, Join.of(fetched, arrived_on(*arrived)), resends, condition)
    assert (found.resent, found.duplicate) == counts
    assert [str(one) for one in found.unexplained if not str(one).startswith(mismatch)] == []
    assert len(found.unexplained) == bool(mismatch)


def test_a_mismatch_names_the_first_of_its_requests() -> None:
    found = Reconciliation.of(9, Join.of(fetches(), arrivals()))
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
    plateau = levels.plateau(first * MS, last * MS, slots(4))
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
    assert steady_plateau(levels, arrived["arrived_ns"], slots(4)) == Plateau(2, 1.0)
    assert steady_plateau(levels, arrived["arrived_ns"], slots(10)) is None


def test_the_parts_of_a_request_add_up_to_its_service_time() -> None:
    fetched = fetches((0, 0, 117, 200, 1, 0), (1, 0, 130, 200, 1, 0))
    # The second was sent again: the last arrival is the one that was answered.
    arrived = arrivals(
        (0, 7, 5, 107, 100_000, 200, 1),
        (1, 8, 3, 4, 100_000, 200, 2),
        (1, 8, 20, 120, 100_000, 200, 1),
    )
    split = Split.of(Join.of(fetched, arrived), np.ones(2, dtype=bool))
    parts = [split.to_server, split.service_wait, split.delay, split.late, split.back]
    assert [(part // MS).tolist() for part in parts] == [
        *([5, 20], [0, 0], [100, 100], [2, 0], [10, 10])
    ]
    assert sum(parts).tolist() == (fetched["end_ns"] - fetched["start_ns"]).tolist()  # type: ignore[union-attr]
    assert split.is_first.tolist() == [True, False]


def test_the_time_of_all_slots_is_accounted_for() -> None:
    summary = summary_of(fetches(*GOOD), arrivals(*ARRIVED), 4)
    assert summary.slot_time is not None
    expected = [400 / 440, 0, 0, 0, 10 / 440, 30 / 440, 0, 0]
    assert astuple(summary.slot_time) == pytest.approx(expected, abs=1e-12)


def test_spans_without_length_are_nowhere() -> None:
    waiting = arrivals((0, 1, 0, 10, 0, 200, 1), (1, 1, 10, 0, 0, 200, 0))
    levels = Levels.at_server(waiting)
    assert levels is not None
    assert (levels.peak, levels.mean) == (1, 1.0)
    alone = Levels.at_server(arrivals((0, 1, 7, 7, 0, 200, 1)))
    assert alone is not None
    assert alone.peak == 1


def test_a_free_slot_and_jobs_left_and_nothing_started() -> None:
    starts = np.array([0, 0, 10, 60]) * MS
    ends = np.array([10, 100, 20, 70]) * MS
    levels = Levels.of(starts, ends)
    # On two slots, one is free from 20 to 60; from 70 on there are no jobs left.
    assert idle_stall([IdleSpans.of(levels, slots(2), 4, starts, None)]) == Stall(20 * MS, 40 * MS)
    assert idle_stall([IdleSpans.of(levels, slots(1), 4, starts, None)]).span_ns == 0
    assert idle_stall([IdleSpans.of(levels, slots(2), 3, starts, None)]).span_ns == 0
    # In open loop, it is only idle while a job is due: here from 50 on.
    due = np.array([0, 0, 10, 50]) * MS
    assert idle_stall([IdleSpans.of(levels, slots(2), 4, starts, due)]) == Stall(50 * MS, 10 * MS)
    assert idle_slots([IdleSpans.of(levels, slots(2), 4, starts, due)]).time_share == 0.1


def test_what_the_ideal_schedule_leaves_idle_is_no_loss() -> None:
    """Three requests on two slots: the fourth place of the second wave is empty in any schedule."""
    summary = summary_of(fetches(*GOOD[:3]), arrivals(*ARRIVED[:3]), 3)
    assert summary.slot_time is not None
    assert summary.slot_time.unavoidable == pytest.approx(100 / 440)
    assert sum(astuple(summary.slot_time)) == pytest.approx(1)


def test_a_stall_is_time_without_an_act_while_an_answer_waits() -> None:
    fetched = fetches((0, 0, 110, 200, 1, 0), (1, 0, 400, 200, 1, 0))
    arrived = arrivals((0, 1, 5, 105, 100_000, 200, 1), (1, 2, 5, 106, 100_000, 200, 1))
    # From its last act at 110 on, with an answer there since 106, until 400.
    assert client_stall(Join.of(fetched, arrived)) == Stall(110 * MS, 290 * MS)
    # Had the answer come at 390, the client would have waited with good reason.
    late = arrivals((0, 1, 5, 105, 100_000, 200, 1), (1, 2, 5, 390, 100_000, 200, 1))
    assert client_stall(Join.of(fetched, late)) == Stall(390 * MS, 10 * MS)
    assert client_stall(Join.of(fetched, arrivals())) is None
    never_whole = {**arrived, "outcome": np.full_like(arrived["outcome"], MISBEHAVED)}
    assert client_stall(Join.of(fetched, never_whole)) is None


def test_a_stall_is_found_where_records_are_missing() -> None:
    """The answer that waits is of a seq above the number of records."""
    fetched = fetches((0, 0, 10, 200, 1, 0), (3, 0, 400, 200, 1, 0))
    arrived = arrivals((0, 1, 1, 9, 0, 200, 1), (3, 2, 2, 20, 0, 200, 1))
    assert client_stall(Join.of(fetched, arrived)) == Stall(20 * MS, 380 * MS)


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
    found = client_stall(Join.of(fetched, arrived))
    assert found is not None
    assert found.span_ns == longest * MS

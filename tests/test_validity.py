"""Every check of a run's validity: a run in which it fires, and an honest one like it."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from bench.analysis.accounts import Accounts
from bench.analysis.anomalies import Clusters, Impossible
from bench.analysis.in_flight import InFlight, Plateau
from bench.analysis.reconciliation import Mismatch, Reconciliation
from bench.analysis.server_load import ServerLoad
from bench.analysis.stalls import Stall
from bench.analysis.summary import RunSummary, summarise
from bench.analysis.validity import Level, Reason, Verdict, judge
from bench.plan.delays import Delay
from bench.results.columns import IntColumns
from bench.results.run_result import RunResult
from bench.results.schema import RunRow
from server.packed_columns import Columns
from server.process import ServerProcess
from tests.accounts import load
from tests.controls.__main__ import (
    CONTROLS,
    HONEST,
    POOLS,
    Control,
    trial_of,
    trial_on,
)
from tests.factories import MS, conditions, planned, result, run_row, usage

SLOTS = 100
QUEUES = conditions(queues=True)
LOAD = ServerLoad(cpu_share=0.1, waited_share=0.0, longest_lag_ns=2 * MS)


def honest() -> tuple[RunRow, RunSummary]:
    """A thousand requests of 100 ms on a hundred slots, 5 ms over in each wave."""
    made: RunResult = result(planned("asyncio", SLOTS, waves=10), overhead_ms=5)
    assert made.outcome is not None
    assert made.ledger is not None
    run = run_row(1000, concurrency=SLOTS)
    summary = summarise(
        run, Accounts(numbers(made.outcome.fetches), numbers(made.ledger.columns), load())
    )
    assert summary is not None
    return run, replace(summary, server=LOAD, outside_ns=0)


def numbers(columns: Columns) -> IntColumns:
    return {name: np.array(column, dtype=np.int64) for name, column in columns.items()}


Change = Callable[[RunRow, RunSummary], tuple[RunRow, RunSummary]]


def of_run(**changes: object) -> Change:
    return lambda run, summary: (replace(run, **changes), summary)  # type: ignore[arg-type]


def of_summary(**changes: object) -> Change:
    return lambda run, summary: (run, replace(summary, **changes))  # type: ignore[arg-type]


def of_plateau(level: int, share: float, **changes: object) -> Change:
    def change(run: RunRow, summary: RunSummary) -> tuple[RunRow, RunSummary]:
        assert summary.in_flight is not None
        in_flight = replace(summary.in_flight, plateau=Plateau(level, share))
        return run, replace(summary, in_flight=in_flight, **changes)  # type: ignore[arg-type]

    return change


def of_peak(peak: int, **changes: object) -> Change:
    def change(run: RunRow, summary: RunSummary) -> tuple[RunRow, RunSummary]:
        assert summary.in_flight is not None
        in_flight = replace(summary.in_flight, peak=peak, plateau=None)
        return run, replace(summary, in_flight=in_flight, **changes)  # type: ignore[arg-type]

    return change


def of_lateness(share: float) -> Change:
    def change(run: RunRow, summary: RunSummary) -> tuple[RunRow, RunSummary]:
        assert summary.slot_time is not None
        return run, replace(summary, slot_time=replace(summary.slot_time, late=share))

    return change


def both(first: Change, second: Change) -> Change:
    return lambda run, summary: second(*first(run, summary))


def foreign(run: RunRow, summary: RunSummary) -> tuple[RunRow, RunSummary]:
    """The same account of the client, with a server that is not ours."""
    without = dict.fromkeys(
        ("reconciliation", "in_flight", "connections", "split", "slot_time", "server")
    )
    summary = replace(summary, ideal_ns=0, efficiency=None, **without)  # type: ignore[arg-type]
    return replace(run, unrecorded=None), summary


def reconciled(**counts: object) -> Reconciliation:
    return replace(Reconciliation(1000, 0, 0, 0, 0, 0), **counts)  # type: ignore[arg-type]


def test_an_honest_run_is_valid_without_a_word() -> None:
    run, summary = honest()
    assert judge(run, summary, 50_000.0) == Verdict(())
    assert judge(run, summary, None).level is Level.VALID


@pytest.mark.parametrize(
    ("level", "check", "fires", "does_not"),
    [
        (
            Level.INVALID,
            "ledger",
            of_summary(
                reconciliation=reconciled(unexplained=(Mismatch("never fetched", 1, (17,)),))
            ),
            of_summary(reconciliation=reconciled(resent=3)),
        ),
        (Level.INVALID, "ledger", of_run(unrecorded=3), of_run(unrecorded=0)),
        (
            Level.SUSPECT,
            "failures",
            of_summary(errors={"timeout": 1}, good=999),
            of_summary(errors={}),
        ),
        (
            Level.INVALID,
            "failures",
            of_summary(errors={"timeout": 1000}, good=0),
            of_summary(errors={"timeout": 999}, good=1),
        ),
        (Level.INVALID, "overrun", of_summary(client_peak=101), of_summary(client_peak=100)),
        # Clocks may run while requests wait, if that is declared; the server decides.
        (
            Level.INVALID,
            "overrun",
            both(of_peak(101), of_run(conditions=QUEUES)),
            both(of_summary(client_peak=1000), of_run(conditions=QUEUES)),
        ),
        (Level.VALID, "queueing", of_run(conditions=QUEUES), of_run(conditions=conditions())),
        (
            Level.INVALID,
            "impossible",
            of_summary(impossible=(Impossible("arrived before they were started", 3, 7),)),
            of_summary(impossible=()),
        ),
        (Level.INVALID, "impossible", of_summary(efficiency=1.001), of_summary(efficiency=1.0)),
        (
            Level.SUSPECT,
            "server-limited",
            of_summary(requests_per_s=31_000.0),
            of_summary(requests_per_s=29_000.0),
        ),
        (
            Level.SUSPECT,
            "server-limited",
            of_summary(server=replace(LOAD, cpu_share=0.81)),
            of_summary(server=replace(LOAD, cpu_share=0.79)),
        ),
        (Level.SUSPECT, "late", of_lateness(0.031), of_lateness(0.029)),
        (
            Level.SUSPECT,
            "stall",
            of_summary(server=replace(LOAD, longest_lag_ns=60 * MS)),
            of_summary(server=replace(LOAD, longest_lag_ns=20 * MS)),
        ),
        (
            Level.SUSPECT,
            "stall",
            of_summary(client_stall=Stall(0, 60 * MS)),
            of_summary(client_stall=Stall(0, 20 * MS)),
        ),
        # The same stall in a run of ten seconds is 0.6 % of it.
        (
            Level.SUSPECT,
            "stall",
            of_summary(client_stall=Stall(0, 400 * MS), makespan_ns=10_000 * MS),
            of_summary(client_stall=Stall(0, 60 * MS), makespan_ns=10_000 * MS),
        ),
        (
            Level.SUSPECT,
            "connections",
            of_run(conditions=conditions(accepted=107)),
            of_run(conditions=conditions(accepted=103)),
        ),
        (
            Level.INVALID,
            "descriptors",
            of_run(conditions=conditions(turned_away=1)),
            of_run(conditions=conditions(turned_away=None)),
        ),
        (
            Level.SUSPECT,
            "descriptors",
            of_run(usage=replace(usage(), descriptors=199)),
            of_run(usage=replace(usage(), descriptors=200)),
        ),
        (Level.VALID, "client-bound", of_summary(cpu_share=0.95), of_summary(cpu_share=0.85)),
        (Level.SUSPECT, "capped", of_plateau(67, 0.8), of_plateau(100, 0.8)),
        # Noise spreads over many levels, and a busy CPU is a limit by itself.
        (Level.SUSPECT, "capped", of_plateau(67, 0.3), of_plateau(67, 0.05)),
        (Level.SUSPECT, "capped", of_plateau(67, 0.8), of_plateau(67, 0.8, cpu_share=0.95)),
        (
            Level.SUSPECT,
            "capped",
            of_plateau(67, 0.8),
            of_plateau(67, 0.8, server=replace(LOAD, cpu_share=0.9)),
        ),
        # At any delay, however busy the CPU: by its own account it never used its slots ...
        (
            Level.SUSPECT,
            "capped",
            of_summary(client_plateau=Plateau(50, 0.9), cpu_share=1.0),
            of_summary(client_plateau=Plateau(100, 0.9), cpu_share=1.0),
        ),
        # ... which threads that are still being started do not either, but at ever other levels.
        (
            Level.SUSPECT,
            "capped",
            of_summary(client_plateau=Plateau(50, 0.9)),
            of_summary(client_plateau=Plateau(50, 0.08)),
        ),
        # ... or it has more under way than it has connections.
        (
            Level.SUSPECT,
            "capped",
            both(of_peak(50, connections=50, queued_share=0.9), of_plateau(50, 0.01)),
            both(of_peak(50, connections=50, queued_share=0.0), of_plateau(50, 0.01)),
        ),
        (
            Level.SUSPECT,
            "capped",
            of_summary(connections=50, queued_share=0.9, in_flight=InFlight(50.0, 50, None)),
            of_summary(connections=98, queued_share=0.9, in_flight=InFlight(50.0, 50, None)),
        ),
        # A flat top at the server, of a crawler that opens a connection for each request.
        (
            Level.SUSPECT,
            "capped",
            of_summary(connections=1000, in_flight=InFlight(50.0, 60, Plateau(60, 0.06))),
            of_summary(connections=1000, in_flight=InFlight(50.0, 61, Plateau(60, 0.06))),
        ),
        (Level.SUSPECT, "connections", of_summary(connections=101), of_summary(connections=100)),
        (
            Level.VALID,
            "gc",
            of_summary(gc_share=0.011, gc_longest_ns=MS),
            of_summary(gc_share=0.009, gc_longest_ns=MS),
        ),
        (Level.VALID, "gc", of_summary(gc_longest_ns=6 * MS), of_summary(gc_longest_ns=4 * MS)),
        (
            Level.SUSPECT,
            "backlog",
            of_run(conditions=conditions(listen_overflows=1)),
            of_run(conditions=conditions(listen_overflows=None)),
        ),
        (
            Level.SUSPECT,
            "backlog",
            of_run(conditions=conditions(syn_retransmits=1)),
            of_run(conditions=conditions(syn_retransmits=0)),
        ),
        (
            Level.SUSPECT,
            "backlog",
            of_summary(clusters=Clusters(1, 0)),
            of_summary(clusters=Clusters(0, 0)),
        ),
        (
            Level.SUSPECT,
            "delayed ACK",
            of_summary(clusters=Clusters(0, 50), cpu_share=0.1),
            of_summary(clusters=Clusters(0, 49), cpu_share=0.1),
        ),
        # A client that is busy may take 40 ms for reasons of its own.
        (
            Level.SUSPECT,
            "delayed ACK",
            of_summary(clusters=Clusters(0, 500), cpu_share=0.1),
            of_summary(clusters=Clusters(0, 500), cpu_share=0.6),
        ),
        (
            Level.VALID,
            "ports",
            of_run(conditions=conditions(time_wait_before=14_001)),
            of_run(conditions=conditions(time_wait_before=14_000)),
        ),
        (
            Level.SUSPECT,
            "clock",
            of_run(conditions=conditions(clock_step_ns=-51 * MS)),
            of_run(conditions=conditions(clock_step_ns=49 * MS)),
        ),
        (
            Level.SUSPECT,
            "busy machine",
            of_summary(waited_share=0.06),
            of_summary(waited_share=0.04),
        ),
        (
            Level.SUSPECT,
            "busy machine",
            of_summary(server=replace(LOAD, waited_share=0.06)),
            of_summary(server=replace(LOAD, waited_share=None)),
        ),
        (
            Level.SUSPECT,
            "busy machine",
            of_run(conditions=conditions(stolen_ns=40 * MS)),
            of_run(conditions=conditions(stolen_ns=20 * MS)),
        ),
        # Counted from the start of the process on, which is most of a short run.
        (
            Level.SUSPECT,
            "busy machine",
            of_run(conditions=conditions(stolen_ns=70 * MS, span_ns=2000 * MS)),
            of_run(conditions=conditions(stolen_ns=50 * MS, span_ns=2000 * MS)),
        ),
        (
            Level.SUSPECT,
            "ledger",
            of_run(conditions=conditions(beside=1)),
            of_run(conditions=conditions(beside=None)),
        ),
        (
            Level.SUSPECT,
            "order",
            of_summary(out_of_order=3),
            of_summary(out_of_order=2),
        ),
        # One of a thousand is a thread that was stopped before it read its clock.
        (
            Level.SUSPECT,
            "order",
            both(of_run(requests=10_000), of_summary(out_of_order=11)),
            both(of_run(requests=10_000), of_summary(out_of_order=10)),
        ),
        (Level.INVALID, "overtime", of_summary(overtime=1), of_summary(overtime=0)),
        (
            Level.INVALID,
            "ledger",
            of_run(request_head=b"HEAD /add HTTP/1.1\r\n\r\n"),
            of_run(request_head=b"GET /add HTTP/1.1\r\n\r\n"),
        ),
        (
            Level.SUSPECT,
            "stall",
            of_summary(idle_stall=Stall(0, 60 * MS)),
            of_summary(idle_stall=Stall(0, 20 * MS)),
        ),
        (
            Level.SUSPECT,
            "outside",
            of_summary(outside_ns=60 * MS),
            of_summary(outside_ns=40 * MS),
        ),
        (
            Level.SUSPECT,
            "other processes",
            of_run(usage=replace(usage(), unwaited_cpu_ns=60 * MS)),
            of_run(usage=replace(usage(), unwaited_cpu_ns=40 * MS)),
        ),
        # SIGCHLD is ignored; or the system knows of no other process at all.
        (
            Level.SUSPECT,
            "other processes",
            of_run(usage=replace(usage(), unwaited_cpu_ns=None)),
            of_run(usage=replace(usage(), unwaited_cpu_ns=None, main_cpu_ns=None)),
        ),
        # A time slice in a run of a few milliseconds.
        (
            Level.SUSPECT,
            "busy machine",
            of_summary(waited_share=0.5, makespan_ns=20 * MS),
            of_summary(waited_share=0.5, makespan_ns=8 * MS),
        ),
        # Too short for a plateau: fewer connections than slots, all in use at once, and used again.
        (
            Level.SUSPECT,
            "capped",
            of_peak(50, connections=50),
            of_peak(50, connections=100),
        ),
        # Without a ledger nobody counts what a library sends again.
        (
            Level.VALID,
            "resent",
            of_run(unrecorded=None, resends=5, conditions=conditions(resend_condition="kept")),
            of_run(unrecorded=None, resends=0),
        ),
        (Level.VALID, "resent", of_run(unrecorded=None, resends=1), of_run(resends=1)),
        (Level.VALID, "last wave", of_run(requests=1050), of_run(requests=1100)),
        (Level.VALID, "few waves", of_run(requests=900), of_run(requests=1000)),
        # The ideal makespan is of no run but one whose delays are known.
        (Level.VALID, "last wave", of_run(requests=1050), both(of_run(requests=1050), foreign)),
        (Level.VALID, "few waves", of_run(requests=900), both(of_run(requests=900), foreign)),
    ],
)
def test_a_check_fires_and_does_not_where_all_is_well(
    level: Level, check: str, fires: Change, does_not: Change
) -> None:
    run, summary = honest()
    sick = judge(*fires(run, summary), 50_000.0)
    assert (sick.level, sick.finds(check)) == (level, True)
    assert all(reason.text for reason in sick.reasons)
    well = judge(*does_not(run, summary), 50_000.0)
    assert not any(one.check == check and one.level is level for one in well.reasons)


def test_a_crawl_that_failed_is_invalid_and_says_why() -> None:
    (reason,) = judge(run_row(4, failure="died of SIGSEGV"), None, None).reasons
    assert (reason.level, reason.text) == (Level.INVALID, "died of SIGSEGV")


def test_a_run_without_a_ledger_is_unchecked_and_neither_valid_nor_suspect() -> None:
    verdict = judge(*foreign(*honest()), None)
    assert (verdict.level, [one.check for one in verdict.reasons]) == (
        Level.UNCHECKED,
        ["no ledger"],
    )
    # What the client's own account shows counts as it does elsewhere.
    failed = both(foreign, of_summary(errors={"timeout": 1}, good=999))
    assert judge(*failed(*honest()), None).level is Level.SUSPECT


def test_a_reason_that_is_no_fault_is_called_a_note() -> None:
    run, summary = of_summary(cpu_share=0.95)(*honest())
    (note,) = judge(run, summary, None).reasons
    assert note.word == "note"
    assert {Reason(level, "", "").word for level in Level} == {
        *("note", "UNCHECKED", "SUSPECT", "INVALID")
    }


def test_without_delay_a_low_concurrency_is_no_cap() -> None:
    run, summary = of_plateau(1, 0.9)(*honest())
    run = replace(run, delay=Delay.fixed(0))
    assert not judge(run, summary, None).finds("capped")


def test_a_crawler_of_which_nothing_is_declared_may_open_connections() -> None:
    run, summary = of_summary(connections=1000)(*honest())
    assert judge(run, summary, None).finds("connections")
    assert not judge(replace(run, keep_alive=False), summary, None).finds("connections")


# What does not depend on how busy the machine is that runs the tests. scripts/controls has all.
_STEADY = (
    "ledger",
    "overrun",
    "impossible",
    "capped",
    "stall",
    "late",
    "descriptors",
    "order",
    "other processes",
)

_SIBLINGS = (
    *("crawler: invents", "crawler: early clock", "crawler: hurries", "crawler: suspended"),
    *("crawler: child of another session", "crawler: child of a child"),
    *("crawler: starts programs", "server: few files", "crawler: retries"),
    *("crawler: skips", "crawler: ignores in c"),
)
"""Controls that a check finds by what it also finds another one."""


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    """For all controls that are crawlers."""
    with ServerProcess() as process:
        yield process


@pytest.mark.parametrize(
    "control",
    [
        # tests/test_open_loop_analysis.py has those with a load of their own, without processes.
        *(
            pytest.param(one, marks=pytest.mark.thorough) if one.name in _SIBLINGS else one
            for one in CONTROLS
            if one.check in _STEADY and not one.load
        ),
        *(
            pytest.param(one, marks=pytest.mark.thorough)
            for one in POOLS
            if one.name.endswith(("aiohttp, C=200, 5 ms", "workers, C=200, 0 ms"))
        ),
    ],
    ids=lambda control: str(control.name),
)
def test_a_dishonest_crawler_or_a_sick_server_is_found_out(
    server: ServerProcess, control: Control
) -> None:
    verdict = (trial_of(control) if control.illness else trial_on(server, control)).verdict
    assert verdict.finds(control.check), verdict
    assert verdict.level >= control.level


def test_an_honest_crawler_at_the_same_setting_is_not_accused(server: ServerProcess) -> None:
    verdict = trial_on(server, HONEST).verdict
    for check in (
        "ledger",
        "overrun",
        "impossible",
        "capped",
        "descriptors",
        "failures",
        "order",
        "other processes",
    ):
        assert not verdict.finds(check), verdict


def test_a_child_that_is_waited_for_is_in_the_cpu_time_and_is_no_fault(
    server: ServerProcess,
) -> None:
    trial = trial_on(server, Control("honest", "tests.controls.crawlers:child_waited_for"))
    assert trial.run.usage is not None
    assert trial.run.usage.cpu_ns > 300 * MS
    assert not trial.verdict.finds("other processes")


def test_a_child_that_the_kernel_forgets_takes_nothing_from_the_cpu_time(
    server: ServerProcess,
) -> None:
    trial = trial_on(server, Control("forgotten", "tests.controls.early_child:crawl"))
    usage = trial.run.usage
    assert usage is not None
    assert usage.main_cpu_ns is not None
    assert usage.cpu_ns >= usage.main_cpu_ns * 0.9 > 0

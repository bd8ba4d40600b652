"""What is said of runs that several processes, server processes and machines had a part in."""

from array import array
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bench.analysis.accounts import Accounts
from bench.analysis.analyse import Analysis
from bench.analysis.bottleneck import bottleneck
from bench.analysis.parallel import by_interpreter, by_processes, format_runtime
from bench.analysis.reconciliation import Reconciliation
from bench.analysis.server_load import ServerLoad, server_use
from bench.analysis.summary import RunSummary, summarise
from bench.analysis.validity import Level, judge
from bench.measure.merging import merged_outcome
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import share_of
from bench.plan.ideal import ideal_curve
from bench.plan.load import Load
from bench.plan.rates import Rate
from bench.report.finding import finding_of_sweep
from bench.report.parallel import crawler_shares, machines_table, parallel_tables, processes_table
from bench.report.tables import lay_out
from bench.results.clock import ClockOffset, ClockReading
from bench.results.columns import IntColumns
from bench.results.run_result import ProcessResult
from bench.results.schema import RunRow
from crawlers.contract import DUE_AFTER_S, Recorder
from crawlers.runtime import Runtime
from crawlers.spec import Outcome, Spec, Usage
from crawlers.work import WorkLog
from server.ledger import LOAD_COLUMNS
from tests.accounts import arrivals, cell, fetches, load
from tests.factories import MS, conditions, experiment, run_row, usage

DELAY_MS = 100
PYTHON = Runtime("CPython", "3.14.2", is_free_threaded=True, has_gil=False, has_jit=False)


def shared(
    requests: int,
    slots: int,
    processes: int,
    *,
    over_ms: int = 2,
    slower: int = 0,
    from_ms: Callable[[int], int] = lambda _: 1000,
    **changes: object,
) -> tuple[RunRow, Accounts]:
    """A run of processes that know nothing of each other, each in waves of its own slots.

    Each wave takes its delay and `over_ms`; in process 1 `slower` more. `from_ms` is when a process
    starts. The connections of a process are its slots.
    """
    fetched, arrived = [], []
    for process in range(processes):
        own = share_of(slots, process, processes)
        span = DELAY_MS + over_ms + (slower if process == 1 else 0)
        for place, seq in enumerate(range(process, requests, processes)):
            start = from_ms(process) + place // own * span
            fetched.append((seq, start, start + span, 200, 1, 0))
            connection = 1 + process + processes * (place % own)
            came = (start + 1, start + 1 + DELAY_MS, DELAY_MS * 1000, 200, 1)
            arrived.append((seq, connection, *came))
    fetched.sort(key=lambda row: row[2])
    arrived.sort(key=lambda row: row[2])
    run = run_row(requests, DELAY_MS * 1000, slots, processes=processes, cores=processes)
    run = replace(run, **changes)  # type: ignore[arg-type]
    return run, Accounts(fetches(*fetched), arrivals(*arrived), load())


def summary_of(run: RunRow, accounts: Accounts) -> RunSummary:
    summary = summarise(run, accounts)
    assert summary is not None
    return replace(summary, outside_ns=0)


def said(run: RunRow, accounts: Accounts) -> dict[str, Level]:
    verdict = judge(run, summary_of(run, accounts), None)
    return {reason.check: reason.level for reason in verdict.reasons}


@pytest.mark.parametrize("slower", [0, 60])
def test_processes_that_do_not_keep_pace_are_in_order_each_by_itself(slower: int) -> None:
    """One that takes 1.6 times as long is hundreds of places behind the other, and honest."""
    run, accounts = shared(2000, 20, 2, slower=slower)
    summary = summary_of(run, accounts)
    assert (summary.out_of_order, summary.overrun, summary.idle_slots.share) == (0, None, 0)
    assert summary.beyond_slots_ns is None
    assert said(run, accounts) == {}
    # What one process does is seen: it starts its jobs from the last to the first.
    seq = accounts.fetches["seq"]
    backwards = np.where(seq % 2 == 0, seq, 2000 - seq)
    assert said(run, replace(accounts, fetches=accounts.fetches | {"seq": backwards}))["order"] == (
        Level.SUSPECT
    )


@pytest.mark.parametrize(
    ("requests", "slots", "processes", "waves"),
    [(100, 10, 1, 10), (100, 10, 2, 10), (100, 10, 4, 13), (99, 7, 3, 17), (8, 4, 4, 2)],
)
def test_the_ideal_is_that_of_the_split(
    requests: int, slots: int, processes: int, waves: int
) -> None:
    summary = summary_of(*shared(requests, slots, processes, over_ms=2))
    assert summary.ideal_ns == waves * DELAY_MS * MS
    assert summary.efficiency == pytest.approx(100 / 102)
    curve = ideal_curve(
        replace(
            experiment(concurrencies=(slots,), requests=requests),
            entrants=(Entrant("x", "x", processes=processes),),
        ),
        Delay.fixed(DELAY_MS * 1000),
        slots,
    )
    assert curve.concurrencies == tuple(range(processes, slots + 1))
    assert curve.good_per_s[-1] == pytest.approx(requests / (waves * DELAY_MS) * 1000)


def test_a_process_may_not_use_the_slots_of_another() -> None:
    """All ten at once, as were asked for; but eight of them in one process."""
    rows = [(seq, 1000, 1102, 200, 1, 0) for seq in (*range(0, 16, 2), 1, 3)]
    run, accounts = shared(10, 10, 2)
    accounts = replace(accounts, fetches=fetches(*rows), arrivals=None)
    summary = summary_of(replace(run, requests=16), accounts)
    assert summary.client_peak == 10
    assert summary.overrun is not None
    assert (summary.overrun.process, summary.overrun.peak, summary.overrun.slots) == (0, 8, 5)
    assert said(run, accounts)["overrun"] is Level.INVALID


def test_a_process_that_stands_still_is_found_behind_one_that_does_not() -> None:
    """Process 1 begins half a second late: its slots were free, and it had jobs."""
    run, accounts = shared(400, 20, 2, from_ms=lambda process: 1000 + 500 * process)
    summary = summary_of(run, accounts)
    assert (summary.idle_stall.start_ns, summary.idle_stall.span_ns) == (1000 * MS, 500 * MS)
    assert summary.idle_slots.share == pytest.approx(500 * 10 / (10 * 2040 + 10 * 2540))
    assert said(run, accounts)["stall"] is Level.SUSPECT
    assert "stall" not in said(*shared(400, 20, 2))
    # Here it leaves each answer for 0.3 s, in which the other acts.
    slow = summary_of(*shared(400, 20, 2, slower=300)).client_stall
    assert slow is not None
    assert slow.span_ns == 301 * MS


def usages(*cpu_ms: int, **changes: int) -> tuple[ProcessResult, ...]:
    parts = [
        Usage(**{**usage_fields(), "cpu_ns": ms * MS, "main_cpu_ns": ms * MS, **changes})
        for ms in cpu_ms
    ]
    return tuple(ProcessResult(at, "", 5, 500, one, PYTHON) for at, one in enumerate(parts))


def usage_fields() -> dict[str, int]:
    one = usage()
    return {name: getattr(one, name) for name in Usage.__dataclass_fields__}


def test_how_busy_a_client_is_is_told_of_its_busiest_process() -> None:
    run, accounts = shared(1000, 10, 2)
    run = replace(run, usage=replace(usage(), cpu_ns=1150 * MS))
    parts = usages(950, 200)
    busy = replace(accounts, processes=(parts[0], replace(parts[1])))
    summary = summary_of(run, busy)
    assert summary.cpu_share == pytest.approx(0.95)
    assert summary.cpu_us_per_request == pytest.approx(1150)
    found = bottleneck(summary, judge(run, summary, None))
    assert found.word == "client CPU"
    assert "the CPU of the busiest of its 2 processes is 95 % busy" in found.evidence
    # Without the parts, only the mean is known; on one CPU, the sum counts.
    assert summary_of(run, accounts).cpu_share == pytest.approx(0.575)
    assert summary_of(replace(run, cores=1), busy).cpu_share == pytest.approx(1.15)


def test_the_process_that_waited_the_longest_tells_of_a_busy_machine() -> None:
    run, accounts = shared(1000, 10, 2)
    first, second = usages(100, 100)
    assert second.usage is not None
    waiting = replace(second, usage=replace(second.usage, waited_ns=300 * MS))
    accounts = replace(accounts, processes=(first, waiting))
    assert summary_of(run, accounts).waited_share == pytest.approx(0.3)
    (reason,) = judge(run, summary_of(run, accounts), None).reasons
    assert reason.text.endswith("something else ran there")
    few = replace(run, cores=1)
    (reason,) = judge(few, summary_of(few, accounts), None).reasons
    assert reason.text.endswith("its 2 processes share 1 CPU")


OTHER = "something else ran there"


@pytest.mark.parametrize(
    ("processes", "servers", "cpus", "of_crawler", "of_server"),
    [
        (1, 1, 2, OTHER, OTHER),
        (
            1,
            1,
            1,
            "the crawler and the server share 1 CPU",
            "the crawler and the server share 1 CPU",
        ),
        (
            2,
            1,
            2,
            "its 2 processes and the server share 2 CPUs",
            "it shares 2 CPUs with the 2 processes of the crawler",
        ),
        (2, 1, 4, OTHER, OTHER),
        (1, 2, 2, OTHER, "its 2 processes share 1 CPU"),
        (2, 2, 4, OTHER, OTHER),
        (2, 1, 0, OTHER, OTHER),
    ],
)
def test_who_waits_for_a_cpu_is_told_who_of_the_measured_has_it(
    processes: int, servers: int, cpus: int, of_crawler: str, of_server: str
) -> None:
    told = conditions(server_processes=servers, accepted=10)
    run, accounts = shared(1000, 10, processes, conditions=told)
    accounts = replace(accounts, processes=usages(*[100] * processes, waited_ns=300 * MS))
    summary = replace(
        summary_of(replace(run, usage=replace(usage(), waited_ns=300 * MS)), accounts),
        server=ServerLoad(cpu_share=0.1, waited_share=0.3, longest_lag_ns=0),
    )
    found = [one for one in judge(run, summary, None, cpus).reasons if one.check == "busy machine"]
    assert [one.text.split(": ", 1)[1] for one in found] == [of_crawler, of_server]


def test_a_crawler_that_uses_more_cpus_than_it_declares_is_noted() -> None:
    run, accounts = shared(1000, 10, 2)
    for ms, is_noted in ((1400, True), (1040, False)):
        busy = replace(accounts, processes=usages(100, ms))
        assert ("cores" in said(run, busy)) == is_noted
    assert "cores" not in said(
        replace(run, cores=4), replace(accounts, processes=usages(100, 1400))
    )


def test_a_gil_that_was_switched_on_is_noted() -> None:
    run, accounts = shared(1000, 10, 2)
    parts = usages(10, 10)
    assert "GIL" not in said(run, replace(accounts, processes=parts))
    forced = replace(parts[1], runtime=replace(PYTHON, has_gil=True))
    assert said(run, replace(accounts, processes=(parts[0], forced)))["GIL"] is Level.VALID
    normal = replace(PYTHON, is_free_threaded=False, has_gil=True)
    assert "GIL" not in said(run, replace(accounts, processes=(replace(parts[0], runtime=normal),)))
    assert [format_runtime(one) for one in (PYTHON, forced.runtime, normal, None)] == [
        "3.14.2t",
        "3.14.2t with GIL",
        "3.14.2",
        "",
    ]


def test_due_times_wait_for_the_slots_of_their_own_process() -> None:
    """Process 0 has one slot, which a long request holds; that of process 1 is free."""
    rows = [(0, 1000, 1900, 200, 1, 0), (1, 1100, 1202, 200, 1, 0), (2, 1900, 2002, 200, 1, 0)]
    run = run_row(3, 100_000, 2, processes=2, load=Load(Rate("10")), first_due_ns=1000 * MS)
    summary = summary_of(run, Accounts(fetches(*rows), None, load()))
    assert summary.waited_for_slot == 1
    assert summary.client_lag_p99_ns == 0
    # One process with both slots would have had a free one.
    alone = summary_of(replace(run, processes=1), Accounts(fetches(*rows), None, load()))
    assert alone.client_lag_p99_ns == 698 * MS


def test_due_times_of_all_processes_count_from_their_common_start() -> None:
    """And not from when each is ready to take its first job, which would bend the schedule."""
    log, start_ns = WorkLog(), 7 * 10**9
    spec = Spec(
        crawler="protocol",
        concurrency=1,
        timeout_s=1.0,
        base_url="http://127.0.0.1:9",
        is_planned=True,
        run_name="run",
        delays_us=array("I", (0, 0)),
        due_after_ns=array("q", (5, 15)),
        first_seq=1,
        seq_step=2,
        begin_ns=start_ns,
    )
    first_due_ns = start_ns + round(DUE_AFTER_S * 1e9)
    assert [(job.seq, job.due_ns) for job in spec.jobs(log)] == [
        (1, first_due_ns + 5),
        (3, first_due_ns + 15),
    ]
    took = Outcome(usage(), {}, Recorder().columns(), WorkLog().columns(), log.first_due_ns)
    merged = merged_outcome([replace(took, first_due_ns=0), took])  # one had no time to take any
    assert merged is not None
    assert merged.first_due_ns == first_due_ns


def test_an_interruption_takes_each_process_where_it_is() -> None:
    """Process 0 came to its fourth request, process 1 to its second: the others are not lost."""
    run, accounts = shared(8, 2, 2, failure="interrupted")
    came = np.isin(accounts.fetches["seq"], (0, 2, 4, 6, 1, 3))
    arrived = accounts.arrivals
    assert arrived is not None
    accounts = replace(
        accounts,
        fetches={name: column[came] for name, column in accounts.fetches.items()},
        arrivals={
            name: column[np.isin(arrived["seq"], (0, 2, 4, 6, 1, 3))]
            for name, column in arrived.items()
        },
    )
    assert summary_of(run, accounts).reconciliation == Reconciliation(6, 0, 0, 0, 0, 0)
    # Process 0 fetched four requests in its only slot, one after the other; process 1 two.
    assert summary_of(run, accounts).ideal_ns == 4 * DELAY_MS * MS
    found = crawler_shares(usages(8, 8), accounts.fetches["seq"])
    assert [(one.fetched, one.cpu_us) for one in found] == [(4, 2000), (2, 4000)]
    # Two of process 1's were answered when it had stopped: the ideal is still of what it fetched.
    assert (run.requests, summary_of(run, replace(accounts, arrivals=arrived)).ideal_ns) == (
        8,
        4 * DELAY_MS * MS,
    )


def samples(*rows: tuple[int, ...]) -> IntColumns:
    """Rows of process, at_ms, cpu_ms, waited_ms, late_ms."""
    table = np.array(rows, dtype=np.int64)
    columns = dict(zip(("process", *LOAD_COLUMNS[:4]), table.T, strict=True))
    return {name: values * (1 if name == "process" else MS) for name, values in columns.items()}


def test_a_server_is_as_busy_as_its_busiest_process() -> None:
    both = samples((0, 0, 0, 0, 0), (1, 0, 100, 5, 0), (0, 1000, 900, 0, 3), (1, 1000, 200, 65, 7))
    use = server_use(both, 0, 1000 * MS)
    assert use.cpu_ns == 1000 * MS
    assert use.load is not None
    assert (use.load.cpu_share, use.load.longest_lag_ns) == (0.9, 7 * MS)
    assert use.load.waited_share == pytest.approx(0.06)


@pytest.mark.parametrize(("moved", "is_noted"), [(0, False), (2, False), (3, True), (8, True)])
def test_connections_that_are_spread_unevenly_are_noted(moved: int, is_noted: bool) -> None:
    """Of twenty connections on two processes, `moved` more than half are on the first."""
    run, accounts = shared(400, 20, 2, conditions=conditions(server_processes=2, accepted=20))
    arrived = accounts.arrivals
    assert arrived is not None
    connection = arrived["connection"].copy()
    for one in range(moved):  # the number says which process it is of
        connection[connection == 2 * one + 2] = 101 + 2 * one
    accounts = replace(accounts, arrivals=arrived | {"connection": connection})
    summary = summary_of(run, accounts)
    assert summary.connections_of_processes == (10 + moved, 10 - moved)
    assert ("uneven connections" in said(run, accounts)) == is_noted


def reading(offset_ms: float, bound_ms: float) -> ClockReading:
    one = ClockOffset(0, round(offset_ms * MS), round(bound_ms * MS))
    return ClockReading(one, one)


@pytest.mark.parametrize(("bound_ms", "level"), [(1.5, Level.VALID), (0.5, Level.INVALID)])
def test_clocks_of_machines_are_allowed_for_as_far_as_they_are_known(
    bound_ms: float, level: Level
) -> None:
    """Times of process 1 are 2 ms early: its requests end 1 ms before their responses."""
    run, accounts = shared(400, 20, 2)
    shift = np.where(accounts.fetches["seq"] % 2 == 1, 2 * MS, 0)
    early = {name: accounts.fetches[name] - shift for name in ("start_ns", "end_ns")}
    processes = (
        ProcessResult(0, "here", 10, 200, None, None, reading(0, 0.1)),
        ProcessResult(1, "there", 10, 200, None, None, reading(37.5, bound_ms)),
    )
    accounts = replace(accounts, fetches=accounts.fetches | early, processes=processes)
    summary = summary_of(run, accounts)
    verdict = judge(run, summary, None)
    assert (verdict.level, verdict.finds("impossible")) == (level, level is Level.INVALID)
    (note,) = [one for one in verdict.reasons if one.check == "clocks"]
    assert f"there +37.500 ms ± {bound_ms:.3f} ms" in note.text
    table = processes_table(crawler_shares(processes, accounts.fetches["seq"]))
    assert any("+37.500" in "".join(row) for row in table.cells())


def test_of_all_runs_each_machine_has_its_cost_and_the_range_of_its_clock() -> None:
    (one,) = usages(100)  # ms, for 500 requests
    there = replace(one, machine="there", clock=reading(-37.5, 0.1))
    later = replace(there, clock=reading(-37.25, 0.2))
    failed = replace(there, usage=None, runtime=None)
    here = replace(one, machine="here", clock=reading(0, 0.1))
    assert machines_table([there, here, later, failed]).cells() == [
        ["here", "500", "200", "+0.000 ± 0.100"],
        ["there", "1,000", "200", "-37.500 to -37.250 ± 0.200"],
    ]


@pytest.mark.parametrize(
    ("went_ms", "is_said"), [(0.9, False), (-1.1, False), (1.3, True), (-1000, True)]
)
def test_a_clock_that_jumps_is_suspect_and_one_that_drifts_is_not(
    went_ms: float, is_said: bool
) -> None:
    """In a second, sound clocks drift by 1 ms at most; each offset is wrong by 0.1 ms at most."""
    run, accounts = shared(400, 20, 2)
    before = ClockOffset(1000 * MS, 5 * MS, MS // 10)
    after = ClockOffset(2000 * MS, round((5 + went_ms) * MS), MS // 10)
    there = ProcessResult(1, "there", 10, 200, None, None, ClockReading(before, after))
    verdict = judge(run, summary_of(run, replace(accounts, processes=(there,))), None)
    texts = [one.text for one in verdict.reasons if one.check == "clock"]
    said = [f"the clock of there went {-went_ms:+,.3f} ms"] if is_said else []
    assert [text.partition(" against")[0] for text in texts] == said


@pytest.mark.parametrize(("bound_ms", "is_said"), [(50, False), (52, True), (2000, True)])
def test_clocks_that_are_hardly_known_make_no_makespan(bound_ms: float, is_said: bool) -> None:
    """The makespan is 2.04 s, and the bound counts at both ends of it."""
    run, accounts = shared(400, 20, 2)
    there = ProcessResult(1, "there", 10, 200, None, None, reading(5, bound_ms))
    assert ("clock" in said(run, replace(accounts, processes=(there,)))) == is_said


def test_the_tables_tell_what_processes_and_interpreters_bring() -> None:
    entrants = (
        Entrant("asyncio", "asyncio"),
        Entrant("asyncio*4", "asyncio", processes=4),
        Entrant("asyncio+uvloop", "asyncio", loop="uvloop"),
        Entrant("protocol*2", "protocol", processes=2),
    )
    cells = [
        cell("asyncio", 10, 100, 110, 120),
        cell("asyncio*4", 10, 330, 320, 340),
        cell("asyncio+uvloop", 10, 220),
        cell("protocol*2", 10, 900),
    ]
    analysis = Analysis(replace(experiment(), entrants=entrants), tuple(cells), ())
    (series,) = by_processes(analysis)
    assert (series.name, series.concurrency) == ("asyncio", 10)
    assert [(one.label, one.processes, one.rate) for one in series.points] == [
        ("asyncio", 1, 110),
        ("asyncio*4", 4, 330),
    ]
    assert series.points[1].rates == (330, 320, 340)
    (loops,) = by_interpreter(analysis)
    assert [(one.loop, one.rate) for one in loops.points] == [("", 110), ("uvloop", 220)]
    processes, interpreters = parallel_tables(analysis)
    assert [row[5:7] for row in processes.cells()] == [["100-120", "550 %"], ["320-340", "1650 %"]]
    assert [row[7] for row in processes.cells()] == ["1.00", "3.00"]
    for table in (processes, interpreters):
        lines = ["".join(span.text for span in line) for line in lay_out(table, 80)]
        assert max(map(len, lines)) <= 80
    # A floor crawler is one in any number of processes.
    (finding, _) = finding_of_sweep(analysis)
    assert finding.startswith("asyncio*4 has the highest throughput: 330 requests/s at 10")
    assert finding.endswith("The floor crawler, protocol*2, reaches 900.")

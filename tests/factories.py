"""Results of runs that never were, for tests of what is made of results."""

import io
from array import array
from dataclasses import replace

from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, Experiment, PlannedRun
from bench.plan.load import CLOSED
from bench.plan.sizes import ONE_BYTE
from bench.results.conditions import Conditions
from bench.results.run_result import RunResult
from bench.results.schema import RunRow
from crawlers.contract import Recorder
from crawlers.spec import Outcome, Usage
from crawlers.work import WorkLog
from server.ledger import ANSWERED, RunLedger, RunRecord
from server.loop_lag import LOAD_COLUMNS
from server.service import PLAIN

MS = 1_000_000


def experiment(crawlers: tuple[str, ...] = ("asyncio",), **changes: object) -> Experiment:
    fields: dict[str, object] = {
        "concurrencies": (1, 10),
        "delays": (Delay.fixed(100_000),),
        "trials": 1,
        "waves": 10,
        "seed": 1,
        "timeout_s": 10.0,
    }
    entrants = tuple(Entrant(name, name) for name in crawlers)
    return Experiment(entrants=entrants, **(fields | changes))  # type: ignore[arg-type]


def planned(
    crawler: str = "asyncio",
    concurrency: int = 10,
    number: int = 1,
    trial: int = 1,
    waves: int = 10,
    delay_us: int = 100_000,
) -> PlannedRun:
    cell = Cell(crawler, concurrency, Delay.fixed(delay_us))
    return PlannedRun(number, trial, cell, waves * concurrency, Entrant(crawler, crawler))


def result(run: PlannedRun, overhead_ms: float = 5, failure: str = "") -> RunResult:
    """A crawl in full waves, each request `overhead_ms` longer than its delay."""
    recorder = Recorder()
    ledger = RunLedger(b"GET / HTTP/1.1\r\n\r\n")
    delay_us = run.cell.delay.least_us
    wave_ns = delay_us * 1000 + round(overhead_ms * MS)
    lag_ns = round(overhead_ms * MS / 5)
    for seq in range(run.requests):
        start_ns = 10**12 + seq // run.cell.concurrency * wave_ns
        arrived_ns = start_ns + lag_ns
        replied_ns = arrived_ns + delay_us * 1000
        connection = 1 + seq % run.cell.concurrency
        row = ledger.arrive(seq, connection, arrived_ns, delay_us, 200)
        ledger.close_row(row, ANSWERED, replied_ns)
        recorder(seq, start_ns, start_ns + wave_ns, 200, 1)
    return RunResult(
        planned=run,
        started_utc="2026-01-01T00:00:00.000+00:00",
        failure=failure,
        stderr_tail="",
        outcome=None
        if failure
        else Outcome(usage(), {"python": "3.11"}, recorder.columns(), WorkLog().columns()),
        ledger=record_of(ledger),
        conditions=conditions(),
        timeout_s=10.0,
    )


def conditions(**changes: int | str | None) -> Conditions:
    """In which nothing happened."""
    fields: dict[str, int | str | None] = dict.fromkeys(Conditions.__dataclass_fields__, 0)
    fields |= {"resend_condition": "", "takes_all": False, "queues": False, "adapts": False}
    fields["server_processes"] = 1
    return Conditions(**(fields | changes))  # type: ignore[arg-type]


def no_load() -> "dict[str, array[int]]":
    """Samples of a server's load that are none."""
    return {name: array("q") for name in LOAD_COLUMNS}


def run_row(
    requests: int,
    delay_us: int = 100_000,
    concurrency: int = 2,
    trial: int = 1,
    **changes: object,
) -> RunRow:
    """A run as it is kept, that nothing happened to."""
    row = RunRow(
        number=1,
        role="cell",
        trial=trial,
        crawler="asyncio",
        program="asyncio",
        concurrency=concurrency,
        slots=concurrency,
        cores=1,
        keep_alive=True,
        resends=0,
        delay_low_us=delay_us,
        delay_high_us=delay_us,
        delay_seed=0,
        requests=requests,
        name="run",
        started_utc="",
        failure="",
        unrecorded=0,
        request_head=b"",
        usage=usage(),
        versions={},
        conditions=conditions(),
        timeout_ns=10**10,
        work=None,
        delay=Delay.fixed(delay_us),
        size=ONE_BYTE,
        body=None,
        load=CLOSED,
        service=PLAIN,
        first_due_ns=0,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def unpack(packed: bytes) -> RunRecord:
    return RunRecord.read(io.BytesIO(packed), len(packed))


def record_of(ledger: RunLedger) -> RunRecord:
    return unpack(b"".join(ledger.pack("run", no_load())))


def usage() -> Usage:
    return Usage(
        wall_ns=10**9,
        cpu_ns=10**8,
        peak_memory_bytes=40_000_000,
        gc_pauses=1,
        gc_pause_ns=1000,
        gc_longest_ns=1000,
        main_cpu_ns=10**8,
        waited_ns=0,
        descriptors=100_000,
        unwaited_cpu_ns=0,
    )


def q(*values: int) -> "array[int]":
    return array("q", values)

"""Results of runs that never were, for tests of what is made of results."""

from array import array

from bench.experiment import Cell, Experiment, PlannedRun
from bench.runner import RunResult
from crawlers.contract import Recorder
from crawlers.spec import Outcome, Usage
from server.ledger import ANSWERED, RunLedger, RunRecord, unpack

MS = 1_000_000


def experiment(crawlers: tuple[str, ...] = ("asyncio",), **changes: object) -> Experiment:
    fields: dict[str, object] = {
        "concurrencies": (1, 10),
        "delay_us": 100_000,
        "trials": 1,
        "waves": 10,
        "seed": 1,
        "timeout_s": 10.0,
    }
    return Experiment(crawlers=crawlers, **(fields | changes))  # type: ignore[arg-type]


def planned(
    crawler: str = "asyncio",
    concurrency: int = 10,
    number: int = 1,
    trial: int = 1,
    waves: int = 10,
) -> PlannedRun:
    return PlannedRun(number, trial, Cell(crawler, concurrency, 100_000), waves * concurrency)


def result(run: PlannedRun, overhead_ms: float = 5, failure: str = "") -> RunResult:
    """A crawl in full waves, each request `overhead_ms` longer than its delay."""
    recorder = Recorder()
    ledger = RunLedger(b"GET / HTTP/1.1\r\n\r\n")
    wave_ns = run.cell.delay_us * 1000 + round(overhead_ms * MS)
    lag_ns = round(overhead_ms * MS / 5)
    for seq in range(run.requests):
        start_ns = 10**12 + seq // run.cell.concurrency * wave_ns
        arrived_ns = start_ns + lag_ns
        replied_ns = arrived_ns + run.cell.delay_us * 1000
        connection = 1 + seq % run.cell.concurrency
        row = ledger.arrive(seq, connection, arrived_ns, run.cell.delay_us, 200)
        ledger.close_row(row, ANSWERED, replied_ns)
        recorder(seq, start_ns, start_ns + wave_ns, 200, 1)
    return RunResult(
        planned=run,
        started_utc="2026-01-01T00:00:00.000+00:00",
        failure=failure,
        stderr_tail="",
        outcome=None if failure else Outcome(usage(), {"python": "3.11"}, recorder.columns()),
        ledger=record_of(ledger),
        server_cpu_ns=run.requests * 50_000,
    )


def record_of(ledger: RunLedger) -> RunRecord:
    return unpack(b"".join(ledger.pack("run")))


def usage() -> Usage:
    return Usage(
        wall_ns=10**9,
        cpu_ns=10**8,
        peak_memory_bytes=40_000_000,
        gc_pauses=1,
        gc_pause_ns=1000,
        gc_longest_ns=1000,
    )


def q(*values: int) -> "array[int]":
    return array("q", values)

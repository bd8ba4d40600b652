"""Accounts of runs, made by hand."""

from dataclasses import replace

import numpy as np

from bench.analysis.accounts import Accounts
from bench.analysis.cells import CellSummary, Trial
from bench.analysis.summary import RunSummary, summarise
from bench.analysis.validity import Level, Reason, Verdict
from bench.results.columns import IntColumns
from bench.results.schema import ARRIVAL_COLUMNS
from crawlers.contract import FETCH_COLUMNS
from server.ledger import LOAD_COLUMNS
from tests.factories import MS, planned, run_row


def fetches(*rows: tuple[int, ...]) -> IntColumns:
    """Rows of seq, start_ms, end_ms, status, size, error."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 6)
    table[:, 1:3] *= MS
    return dict(zip(FETCH_COLUMNS, table.T, strict=True))


def arrivals(*rows: tuple[int, ...]) -> IntColumns:
    """Rows of seq, connection, arrived_ms, replied_ms, delay_us, status, outcome.

    All are served at once. For another service, replace `begin_ns` and `due_ns`.
    """
    table = np.array(rows, dtype=np.int64).reshape(-1, 7)
    table[:, 2:4] *= MS
    names = [name for name in ARRIVAL_COLUMNS if name not in ("begin_ns", "due_ns")]
    columns = dict(zip(names, table.T, strict=True))
    columns["begin_ns"] = columns["arrived_ns"]
    columns["due_ns"] = columns["arrived_ns"] + columns["delay_us"] * 1000
    return columns


def load(*rows: tuple[int, ...]) -> IntColumns:
    """Rows of at_ms, cpu_ms, waited_ms, late_ms."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 4) * MS
    with_process = np.column_stack((table, np.zeros(len(table), dtype=np.int64)))
    return dict(zip(LOAD_COLUMNS, with_process.T, strict=True))


GOOD = [(seq, seq // 2 * 110, seq // 2 * 110 + 110, 200, 1, 0) for seq in range(4)]
ARRIVED = [
    (seq, 1 + seq % 2, seq // 2 * 110 + 5, seq // 2 * 110 + 105, 100_000, 200, 1)
    for seq in range(4)
]


def summary_of(fetched: IntColumns, arrived: IntColumns | None, requests: int) -> RunSummary:
    summary = summarise(run_row(requests), Accounts(fetched, arrived, load()))
    assert summary is not None
    return summary


def summary_with(rate: float) -> RunSummary:
    return replace(summary_of(fetches(*GOOD), arrivals(*ARRIVED), 4), requests_per_s=rate)


def cell(crawler: str, concurrency: int, *rates: float, level: Level = Level.VALID) -> CellSummary:
    reasons = (Reason(level, "a check", "a reason"),) if level else ()
    trials = tuple(
        Trial(run_row(4, trial=number), summary_with(rate), Verdict(reasons))
        for number, rate in enumerate(rates, 1)
    )
    return CellSummary(planned(crawler, concurrency).cell, trials)

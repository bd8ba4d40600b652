"""Converts results of runs to rows, and rows to SQL values and back. Pure."""

from collections.abc import Mapping
from dataclasses import fields, replace
from reprlib import repr as shortened_repr
from typing import Any

from bench.printable import shortened
from bench.results.clock import ClockReading
from bench.results.codec import check_values, decode_object, encode, to_class
from bench.results.run_result import ProcessResult, RunResult
from bench.results.schema import RunRow
from crawlers.registry import find
from crawlers.runtime import Runtime
from crawlers.spec import Usage

RUN_COLUMNS = tuple(field.name for field in fields(RunRow))
_JSON_COLUMNS = (
    "usage",
    "versions",
    "conditions",
    "work",
    "delay",
    "size",
    "body",
    "load",
    "service",
    "site",
    "site_usage",
)
_NOTHING = {"usage": None, "work": "", "body": "", "site": "", "site_usage": ""}
"""Values of columns whose object is missing."""


def row_of(result: RunResult) -> RunRow:
    """Return the row of a run, with the declarations of its crawler."""
    planned, ledger, outcome = result.planned, result.ledger, result.outcome
    cell, entrant = planned.cell, planned.entrant
    info = find(entrant.crawler, entrant.declared_as)
    return RunRow(
        number=planned.number,
        role=planned.role,
        trial=planned.trial,
        crawler=cell.crawler,
        program=entrant.program,
        concurrency=cell.concurrency,
        slots=min(cell.concurrency, info.max_concurrency * entrant.processes),
        cores=result.cores or max(info.cores, planned.work.processes if planned.work else 1),
        keep_alive=info.keep_alive,
        resends=info.resends,
        delay_low_us=cell.delay.least_us,
        delay_high_us=cell.delay.most_us,
        delay_seed=planned.seed,
        requests=_requests_of(result),
        name=planned.name,
        started_utc=result.started_utc,
        failure=shortened(result.failure),
        unrecorded=ledger.unrecorded if ledger else None,
        request_head=ledger.first_request_head if ledger else None,
        usage=outcome.usage if outcome else None,
        versions=outcome.versions if outcome else {},
        conditions=replace(
            result.conditions,
            resend_condition=info.resend_condition,
            takes_all=info.takes_all,
            queues=info.queues,
            adapts=info.adapts,
        ),
        timeout_ns=round(result.timeout_s * 1e9),
        work=planned.work,
        delay=cell.delay,
        size=cell.size,
        body=planned.body,
        load=planned.load,
        service=planned.service,
        first_due_ns=outcome.first_due_ns if outcome else 0,
        site=planned.site,
        site_usage=outcome.site.usage if outcome and outcome.site else None,
        processes=entrant.processes,
    )


def _requests_of(result: RunResult) -> int:
    """Return how many requests the run had: where the time decided, those that it recorded."""
    planned, outcome = result.planned, result.outcome
    if outcome is None or not planned.load.ends_by_time:
        return planned.requests
    last = max(outcome.fetches["seq"], default=0)
    return min(planned.requests, last + 1)


PROCESS_COLUMNS = tuple(field.name for field in fields(ProcessResult))
_PROCESS_JSON = {"usage": Usage, "runtime": Runtime, "clock": ClockReading}


def process_to_sql(process: ProcessResult) -> tuple[Any, ...]:
    """Return the values of PROCESS_COLUMNS for a crawler process."""
    values = ((name, getattr(process, name)) for name in PROCESS_COLUMNS)
    return tuple(
        ("" if value is None else encode(value)) if name in _PROCESS_JSON else value
        for name, value in values
    )


def process_from_sql(values: Mapping[str, Any], name: str) -> ProcessResult:
    """Return the crawler process that values of PROCESS_COLUMNS describe.

    Raises ValueError or TypeError, which names the run and the field, if a value is impossible.
    """
    row = {}
    for column in PROCESS_COLUMNS:
        value, field = values[column], f"{name}.{column}"
        if column not in _PROCESS_JSON:
            row[column] = check_values(value, field)
        else:
            row[column] = decode_object(value, field) if value != "" else None
    process = to_class(row, ProcessResult, name)
    process.check()
    return process


def to_sql(row: RunRow) -> tuple[Any, ...]:
    """Return the values of RUN_COLUMNS for a row."""
    return tuple(_to_sql(name, getattr(row, name)) for name in RUN_COLUMNS)


def _to_sql(column: str, value: Any) -> Any:
    if column in _JSON_COLUMNS:
        return _NOTHING[column] if value is None else encode(value)
    return value


def from_sql(values: Mapping[str, Any]) -> RunRow:
    """Return the run that is described by values of RUN_COLUMNS, by name.

    Raises ValueError or TypeError, which names the run and the field, if a value is impossible.
    """
    name = f"run {shortened_repr(values['number'])}"
    row = {column: _from_sql(column, values[column], name) for column in RUN_COLUMNS}
    row["keep_alive"] = bool(row["keep_alive"])
    run = to_class(row, RunRow, name)
    run.check()
    return run


def _from_sql(column: str, value: Any, name: str) -> Any:
    if column not in _JSON_COLUMNS:
        return check_values(value, f"{name}.{column}")
    if column in _NOTHING and value == _NOTHING[column]:
        return None
    return decode_object(value, f"{name}.{column}")

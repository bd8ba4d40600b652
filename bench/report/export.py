"""Exports runs with their numbers, or requests as both ends saw them, as CSV or JSON.

docs/results.md describes the columns.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from typing import IO, Any

from bench.analysis.accounts import Accounts
from bench.analysis.analyse import analyse, load_accounts
from bench.analysis.bottleneck import bottleneck
from bench.results.schema import RunRow
from bench.results.store import Store
from crawlers.contract import ERROR_WORDS, FETCH_COLUMNS
from server.ledger import ANSWERED, CLIENT_GONE, MISBEHAVED, REFUSED, WAITING

JSON = "json"

_OF_RUN = ("run", "trial", "crawler", "concurrency")
_OF_FETCH = tuple(name for name in FETCH_COLUMNS if name != "seq")
_OF_ARRIVAL = (
    *("connection", "arrived_ns", "replied_ns", "delay_us", "outcome"),
    *("begin_ns", "due_ns"),  # at the end, because they came later
)
"""Columns of an arrival in the export. `seq` and `status` are taken from the fetch."""
_OF_PROCESS = ("process", "machine")
REQUEST_COLUMNS = (*_OF_RUN, "seq", *_OF_FETCH, *_OF_ARRIVAL, *_OF_PROCESS)
_SEQ = REQUEST_COLUMNS.index("seq")

_WORDS = dict(enumerate(ERROR_WORDS))
_OUTCOMES = {
    WAITING: "waiting",
    ANSWERED: "answered",
    CLIENT_GONE: "client gone",
    MISBEHAVED: "misbehaved",
    REFUSED: "refused",
}

_ABOUT_RUN = (
    "number",
    "role",
    "trial",
    "crawler",
    "program",
    "concurrency",
    "slots",
    "delay_low_us",
    "delay_high_us",
    "requests",
    "started_utc",
    "failure",
    "processes",
)


def export_runs(store: Store, form: str, stream: IO[str]) -> None:
    """Write one row per run: its plan, its verdict with reasons, and all numbers of its summary."""
    analysis = analyse(store)
    trials = [*analysis.ceilings, *(trial for cell in analysis.cells for trial in cell.trials)]
    rows = []
    for trial in sorted(trials, key=lambda trial: trial.run.number):
        about = {name: getattr(trial.run, name) for name in _ABOUT_RUN}
        about |= _about_load(trial.run)
        about["verdict"] = trial.verdict.level.name
        about["reasons"] = [f"{one.word}: {one.text}" for one in trial.verdict.reasons]
        about["versions"] = [f"{name} {version}" for name, version in trial.run.versions.items()]
        about["limited_by"] = (
            bottleneck(trial.summary, trial.verdict).word if trial.summary is not None else None
        )
        about["conditions"] = asdict(trial.run.conditions)
        about["summary"] = trial.summary.to_json() if trial.summary is not None else None
        rows.append(about)
    if form == JSON:
        _write_json(iter(rows), stream)
        return
    flat = [_flat(row) for row in rows]
    found = dict.fromkeys(chain.from_iterable(flat))
    # An object in one row may be None in another, so there may be `server` and `server.cpu_share`.
    nested = {name.rpartition(".")[0] for name in found}
    columns = [name for name in found if name not in nested]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(name)) for name in columns] for row in flat)


def _about_load(run: RunRow) -> dict[str, Any]:
    """Return what requests ask for, when they are due, and the service, as users write them."""
    return {
        "delay_ms": run.delay.text,
        "size_bytes": run.size.text,
        "body_bytes": run.body.text if run.body is not None else None,
        "rate_per_s": run.load.rate.text if run.load.rate is not None else None,
        "arrivals": run.load.arrivals if run.load.is_open else None,
        "duration_s": run.load.duration_s or None,
        "warm_up_s": run.load.warm_up_s or None,
        "service": str(run.service),
    }


def export_requests(store: Store, form: str, stream: IO[str]) -> None:
    """Write one row per fetch with the arrival that answered it, and then the other arrivals.

    Each has its crawler process and machine, and its URL where a list of URLs was fetched.
    """
    rows: Iterator[tuple[Any, ...]] = chain.from_iterable(
        _with_processes(run, accounts, _request_rows(run, accounts))
        for run in store.runs()
        for accounts in [load_accounts(store, run)]
    )
    urls = store.urls()
    columns = (*REQUEST_COLUMNS, *(("url",) if urls else ()))
    if urls:
        rows = _with_urls(rows, urls)
    if form == JSON:
        _write_json((dict(zip(columns, row, strict=True)) for row in rows), stream)
        return
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(_cell, row) for row in rows)


def _with_processes(
    run: RunRow, accounts: Accounts, rows: Iterable[tuple[Any, ...]]
) -> Iterator[tuple[Any, ...]]:
    machines = {one.ordinal: one.machine for one in accounts.processes}
    for row in rows:
        process = row[_SEQ] % run.processes
        yield (*row, process, machines.get(process, ""))


def _with_urls(rows: Iterable[tuple[Any, ...]], urls: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        yield (*row, urls[row[_SEQ] % len(urls)])


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would compute is quoted: https://owasp.org/www-community/attacks/CSV_Injection."""
    is_formula = isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{value}" if is_formula else value


def _request_rows(run: RunRow, accounts: Accounts) -> Iterator[tuple[Any, ...]]:
    about = (run.number, run.trial, run.crawler, run.concurrency)
    fetches, join = accounts.fetches, accounts.join
    ours = [fetches[name].tolist() for name in ("seq", *_OF_FETCH)]
    theirs = [join.arrivals[name].tolist() for name in _OF_ARRIVAL] if join is not None else []
    if theirs:
        at = _OF_ARRIVAL.index("outcome")
        theirs[at] = [_OUTCOMES.get(outcome, "?") for outcome in theirs[at]]
    arrival_of = join.arrival_of.tolist() if join is not None else [-1] * len(fetches["seq"])
    for row, (seq, start, end, status, size, error) in zip(
        arrival_of, zip(*ours, strict=True), strict=True
    ):
        arrival = [column[row] for column in theirs] if row >= 0 else [None] * len(_OF_ARRIVAL)
        yield (*about, seq, start, end, status, size, _WORDS.get(error, "?"), *arrival)
    if join is None:
        return
    for row in join.left_over().tolist():
        seq = int(join.arrivals["seq"][row])
        yield (*about, seq, *[None] * len(_OF_FETCH), *(column[row] for column in theirs))


def _write_json(rows: Iterator[dict[str, Any]], stream: IO[str]) -> None:
    """Write one JSON array row by row, so that a million rows need not be held in memory."""
    separator = "["
    for row in rows:
        stream.write(f"{separator}\n{json.dumps(row)}")
        separator = ","
    stream.write("\n]\n" if separator == "," else "[]\n")


def _flat(row: dict[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a row: nested names are joined by dots, and lists become text joined by `; `.

    Objects in lists become JSON.
    """
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        elif isinstance(value, list | tuple):
            texts = (json.dumps(one) if isinstance(one, dict) else str(one) for one in value)
            flat[f"{prefix}{name}"] = "; ".join(texts)
        else:
            flat[f"{prefix}{name}"] = value
    return flat

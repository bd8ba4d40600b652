"""Puts the cells of one crawler side by side: by its number of processes, by what it runs on. Pure.

Only cells in closed loop, because in open loop the throughput is what was asked for.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from bench.analysis.validity import Level
from bench.plan.entrants import Entrant, own_name
from bench.plan.experiment import RequestModel

if TYPE_CHECKING:
    from bench.analysis.analyse import Analysis
    from bench.analysis.cells import CellSummary
    from crawlers.runtime import Runtime

_PROCESSES = re.compile(r"\*\d+")
_REPETITION = re.compile(r"#\d+\Z")


@dataclass(frozen=True, slots=True)
class ParallelPoint:
    """One entrant at one concurrency and request model. Numbers are medians over its trials."""

    label: str
    processes: int
    """Number of its crawler processes."""
    server_processes: int
    runtime: str
    """Its interpreter, as in `3.11.7`, `3.14.2t` (a free-threaded build) or `3.14.2t with GIL`; ""
    if it is not known."""
    has_gil: bool | None
    """Whether the GIL was on once the crawler was loaded; None if it is not known."""
    has_jit: bool | None
    loop: str
    """The event loop that was asked for; "" for the crawler's own."""
    rates: tuple[float, ...]
    """Good requests per second of each trial that has a summary, in the order of the trials."""
    rate: float
    """Their median."""
    ideal_rate: float | None
    """Requests per second of the ideal client that is split in the same way; None where there is
    none, as without a delay."""
    client_cpu_us: float | None
    """CPU time of all crawler processes for a request, in µs."""
    server_cpu_us: float | None
    """The same of all server processes; None if it is not known."""
    is_valid: bool
    """Whether the cell is VALID."""


@dataclass(frozen=True, slots=True)
class ParallelSeries:
    """The same crawler in several numbers of processes, or on several interpreters and loops."""

    name: str
    request: RequestModel
    concurrency: int
    points: tuple[ParallelPoint, ...]


def by_processes(analysis: "Analysis") -> tuple[ParallelSeries, ...]:
    """Return each crawler that has several numbers of processes, its points ascending by it."""

    def name_of(entrant: Entrant) -> str:
        return _PROCESSES.sub("", entrant.label)

    def key_of(entrant: Entrant) -> tuple[str, str]:
        return entrant.program, _repetition(entrant)

    return tuple(
        ParallelSeries(name_of(first), request, concurrency, tuple(points))
        for first, request, concurrency, points in _series(analysis, key_of)
        if len({point.processes for point in points}) > 1
    )


def by_interpreter(analysis: "Analysis") -> tuple[ParallelSeries, ...]:
    """Return each crawler that has several interpreters or loops, its points as in the command."""
    entrants = {entrant.label: entrant for entrant in analysis.experiment.entrants}

    def name_of(entrant: Entrant) -> str:
        processes = f"*{entrant.processes}" if entrant.processes > 1 else ""
        return f"{own_name(entrant)}{processes}{_repetition(entrant)}"

    def key_of(entrant: Entrant) -> tuple[str, int, str]:
        return entrant.crawler, entrant.processes, _repetition(entrant)

    def runs_on(point: ParallelPoint) -> tuple[str, str]:
        return entrants[point.label].python, point.loop

    return tuple(
        ParallelSeries(name_of(first), request, concurrency, tuple(points))
        for first, request, concurrency, points in _series(analysis, key_of)
        if len(set(map(runs_on, points))) > 1
    )


def _repetition(entrant: Entrant) -> str:
    """Return what tells an entrant from another of the same text, as in `#2`; "" of the first."""
    found = _REPETITION.search(entrant.label)
    return found[0] if found else ""


def _series(
    analysis: "Analysis", key_of: Callable[[Entrant], object]
) -> Iterator[tuple[Entrant, RequestModel, int, list[ParallelPoint]]]:
    """Yield the points of entrants with the same key, ascending by processes, and the first one."""
    entrants = {entrant.label: entrant for entrant in analysis.experiment.entrants}
    cells: dict[object, list[CellSummary]] = {}
    for one in analysis.cells:
        entrant = entrants.get(one.cell.crawler)
        if entrant is None or not one.measured or analysis.experiment.is_open:
            continue
        key = key_of(entrant), one.cell.request, one.cell.concurrency
        cells.setdefault(key, []).append(one)
    for group in cells.values():
        group.sort(key=lambda one: entrants[one.cell.crawler].processes)
        cell = group[0].cell
        points = [_point(one, entrants[one.cell.crawler]) for one in group]
        yield entrants[cell.crawler], cell.request, cell.concurrency, points


def _point(cell: "CellSummary", entrant: Entrant) -> ParallelPoint:
    runtime = cell.runtime
    ideal_rates = [
        (one.requests - one.planned_failures) / one.ideal_ns * 1e9
        for one in cell.measured
        if one.ideal_ns
    ]
    return ParallelPoint(
        label=entrant.label,
        processes=entrant.processes,
        server_processes=max(trial.run.conditions.server_processes for trial in cell.trials),
        runtime=format_runtime(runtime),
        has_gil=runtime.has_gil if runtime is not None else None,
        has_jit=runtime.has_jit if runtime is not None else None,
        loop=entrant.loop,
        rates=tuple(cell.rates),
        rate=cell.requests_per_s[0],
        ideal_rate=median(ideal_rates) if ideal_rates else None,
        client_cpu_us=cell.median_of("cpu_us_per_request"),
        server_cpu_us=cell.median_of("server_cpu_us_per_request"),
        is_valid=cell.level is Level.VALID,
    )


def format_runtime(runtime: "Runtime | None") -> str:
    """Return an interpreter as in `3.14.2t with GIL`, or "" if it is not known."""
    if runtime is None:
        return ""
    implementation = "" if runtime.implementation == "CPython" else f"{runtime.implementation} "
    if not runtime.is_free_threaded:
        return f"{implementation}{runtime.version}"
    version = runtime.version.removesuffix("t")
    return f"{implementation}{version}t{' with GIL' if runtime.has_gil else ''}"

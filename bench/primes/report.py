"""Tables for people: how long each saver took, how much of the waiting it hid behind work."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.validity import Level
from bench.primes.analysis import (
    PrimesAnalysis,
    SavedCell,
    WorkKey,
    key_of,
    speed_up,
)
from bench.primes.experiment import PRIMES
from bench.primes.saved_run import format_failures
from bench.primes.savers import NO_IO
from bench.report.tables import make_table, shown
from bench.results.environment import machine_shown, versions_shown
from bench.results.store import Store
from crawlers.work import Work

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WORK_COLUMNS = (
    *("saver", "time s", "min-max", "x no-io", "faster than serial", "overlap"),
    *("CPU s", "x bound", "saved", "verdict"),
)
"""Of the table of one work."""
_SHOWN = 3
"""Runs that are not VALID, of each check."""
_CAPTION = (
    "time: from before the first item is computed to after the last is saved; medians over the "
    "trials. overlap: of the time that saves wait at the service, the share in which work is "
    "computed. x bound: the time over the longer of two that it cannot beat: its own CPU time "
    "(shared out over its processes), and the shortest schedule of its items and delays in the "
    "slots it has. saved: by the service's ledger, once each."
)


def print_primes(
    store: Store, analysis: PrimesAnalysis, console: "Console", *, show_all: bool
) -> None:
    """The works that say most, or all, saver by saver; the times of all works; what went wrong."""
    asked = analysis.experiment
    runs = [run.run for cell in analysis.cells for run in cell.runs]
    for line in (
        f"{store.path.parent}: {asked.format_plan()}; seed {asked.seed}; {store.created_utc()}",
        f"{machine_shown(store.environment())}; {versions_shown(runs)}",
    ):
        console.print(line, soft_wrap=True, markup=False)
    by_work = analysis.by_work()
    keys = list(by_work) if show_all else analysis.shown_works()
    for key in keys:
        caption = _CAPTION if key == keys[-1] else ""
        console.print(_work_table(key, by_work[key], analysis, caption))
    for kind in dict.fromkeys(kind for kind, _, _ in by_work):
        console.print(_times_table(kind, analysis))
    _print_wrong(analysis, console)
    missing = store.runs_asked() - len(runs)
    if missing:
        console.print(f"{missing} of the runs asked for were not done", markup=False)


def work_shown(key: WorkKey) -> str:
    """`primes among 1,024 numbers`, `1,000 hashes of 1,000 iterations`."""
    kind, cost, size = key
    if kind == PRIMES:
        return f"primes among {size:,} numbers"
    return f"{size:,} hashes of {cost:,} iterations"


def works_shown(works: Sequence[Work]) -> str:
    """Of one saver: `primes among 128, 256 numbers; 200 hashes of 100, 300 iterations`."""
    parts: dict[str, list[str]] = {}
    for work in works:
        if work.kind == PRIMES:
            parts.setdefault("primes among {} numbers", []).append(f"{work.size:,}")
        else:
            parts.setdefault(f"{work.size:,} hashes of {{}} iterations", []).append(
                f"{work.cost:,}"
            )
    return "; ".join(form.format(", ".join(values)) for form, values in parts.items())


def _work_table(
    key: WorkKey, savers: dict[str, SavedCell], analysis: PrimesAnalysis, caption: str
) -> "Table":
    table = make_table(work_title(key, savers), WORK_COLUMNS[:-1], WORK_COLUMNS[-1:], caption)
    for row in work_rows(savers):
        table.add_row(*row)
    return table


def work_title(key: WorkKey, savers: dict[str, SavedCell]) -> str:
    """`primes among 1,024 numbers: 172 items to save`."""
    items = next(iter(savers.values())).runs[0].run.requests
    return f"{work_shown(key)}: {items:,} items to save"


def work_rows(savers: dict[str, SavedCell]) -> Iterator[tuple[str, ...]]:
    """Of one work: for each saver the values of WORK_COLUMNS."""
    floor = savers.get(NO_IO)
    floor_s = floor.wall_s if floor is not None else None
    for name, cell in savers.items():
        wall_s, faster = cell.wall_s, speed_up(cell, savers)
        walls = cell.walls_s
        cpu_s = cell.median_of(lambda run: run.cpu_s)
        bound_s = cell.median_of(lambda run: run.bound_s)
        is_bounded = cell.is_whole and cell.runs[0].run.concurrency > 1
        yield (
            name,
            _seconds(wall_s),
            f"{_seconds(walls[0])}-{_seconds(walls[-1])}" if len(walls) > 1 else "-",
            _times(wall_s / floor_s if wall_s and floor_s and cell.is_whole else None),
            _times(faster if name != NO_IO else None),
            shown(cell.median_of(lambda run: run.overlap), ".0%") if name != NO_IO else "-",
            _seconds(cpu_s),
            shown(wall_s / bound_s if wall_s and bound_s and is_bounded else None, ".2f"),
            _saved(cell) if name != NO_IO else "-",
            cell.level.name,
        )


def _seconds(value: float | None) -> str:
    """To a millisecond, or two digits of less than a tenth of a second."""
    if value is not None and value < 0.1:
        return np.format_float_positional(value, precision=2, min_digits=2, fractional=False)
    return shown(value, ".3f")


def _times(value: float | None) -> str:
    return shown(value, ",.0f" if value is not None and value >= 100 else ".1f")


def _saved(cell: SavedCell) -> str:
    """`172 of 172` where every trial saved as many; the least, if not."""
    worst = min(cell.runs, key=lambda run: (run.saved, run.is_exact))
    exact = "" if worst.is_exact else ", not exact"
    return f"{worst.saved:,} of {worst.run.requests:,}{exact}"


def _times_table(kind: str, analysis: PrimesAnalysis) -> "Table":
    table = make_table(f"Seconds, all work: {kind}", ("work", "items", *analysis.savers()))
    for row in times_rows(kind, analysis):
        table.add_row(*row)
    return table


def times_rows(kind: str, analysis: PrimesAnalysis) -> Iterator[tuple[str, ...]]:
    """For each work of this kind: the work, its items, and the seconds of each saver."""
    for key, savers in analysis.by_work().items():
        if key[0] == kind:
            items = next(iter(savers.values())).runs[0].run.requests
            yield (
                work_shown(key),
                f"{items:,}",
                *(
                    _seconds(savers[name].wall_s) if name in savers else "-"
                    for name in analysis.savers()
                ),
            )


def _print_wrong(analysis: PrimesAnalysis, console: "Console") -> None:
    """What makes runs not VALID, a few of each kind; then every item that was not saved."""
    doubts: dict[tuple[Level, str], list[str]] = {}
    failed = []
    for cell in analysis.cells:
        where = f"{cell.saver}, {work_shown(key_of(cell.work))}"
        for run in cell.runs:
            at = f"{where}, trial {run.run.trial}"
            found: dict[tuple[Level, str], list[str]] = {}
            for reason in run.verdict.reasons:
                if reason.level and not (reason.check == "failures" and run.failures):
                    found.setdefault((reason.level, reason.check), []).append(reason.text)
            for (level, check), texts in found.items():
                line = f"{level.name}: {at}: {'; '.join(texts)}"
                doubts.setdefault((level, check), []).append(line)
            if run.failures:
                failed.append(
                    f"FAILED: {at}: {len(run.failures)} of {run.run.requests:,} items were not "
                    f"saved: {format_failures(run.failures)}"
                )
    runs = sum(len(cell.runs) for cell in analysis.cells)
    for (level, check), lines in sorted(doubts.items(), reverse=True):
        more = len(lines) - _SHOWN
        for line in lines[:_SHOWN]:
            console.print(line, soft_wrap=True, markup=False)
        if more > 0:
            text = f"{level.name}: {check}: {len(lines)} of {runs} runs in all (docs/validity.md)"
            console.print(text, soft_wrap=True, markup=False)
    for line in failed:
        console.print(line, soft_wrap=True, markup=False)

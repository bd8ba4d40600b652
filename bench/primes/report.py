"""Prints the tables of `crawlbench primes`: how long each saver takes, and its overlap."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.validity import Level
from bench.documents import document
from bench.primes.analysis import (
    PrimesAnalysis,
    SavedCell,
    WorkKey,
    key_of,
    speed_up,
)
from bench.primes.experiment import BCRYPT, PRIMES
from bench.primes.saved_run import format_failures
from bench.primes.savers import FILE_IO, NO_IO, SERIAL, saver_of
from bench.report.finding import verdict_counts
from bench.report.tables import LEVEL_COLOURS, Column, Table, format_number, print_table, print_text
from bench.results.environment import format_machine, format_versions
from bench.results.store import Store
from bench.wording import format_percent
from crawlers.work import Work

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 3
"""How many runs that are not VALID are shown for each check."""


def print_primes(
    store: Store, analysis: PrimesAnalysis, console: "Console", *, show_all: bool
) -> None:
    """Print the most informative works or all, the times of all works, and what went wrong."""
    asked = analysis.experiment
    runs = [run.run for cell in analysis.cells for run in cell.runs]
    for line in (
        f"{store.path.parent}: {asked.format_plan()}; seed {asked.seed}; {store.created_utc()}",
        f"{format_machine(store.environment())}; {format_versions(runs)}",
    ):
        print_text(line, console)
    print_text("", console)
    by_work = analysis.by_work()
    keys = list(by_work) if show_all else analysis.shown_works()
    for key in keys:
        print_table(work_table(key, by_work[key], has_notes=key == keys[-1]), console)
    for kind in dict.fromkeys(kind for kind, _, _ in by_work):
        print_table(times_table(kind, analysis), console)
    _print_wrong(analysis, console)
    missing = store.runs_asked() - len(runs)
    if missing:
        print_text(f"{missing} of the runs asked for were not done", console)
    for line in finding_of_primes(analysis):
        print_text(line, console, indent=2)


def format_work(key: WorkKey) -> str:
    """Return `primes among 1,024 numbers` or `1,000 hashes of 1,000 iterations`."""
    kind, cost, size = key
    if kind == PRIMES:
        return f"primes among {size:,} numbers"
    if kind == BCRYPT:
        return f"{size:,} bcrypt hashes of cost {cost}"
    return f"{size:,} hashes of {cost:,} iterations"


def format_works(works: Sequence[Work]) -> str:
    """Return `primes among 128, 256 numbers; 200 hashes of 100, 300 iterations`."""
    parts: dict[str, list[str]] = {}
    for work in works:
        if work.kind == PRIMES:
            parts.setdefault("primes among {} numbers", []).append(f"{work.size:,}")
        elif work.kind == BCRYPT:
            parts.setdefault(f"{work.size:,} bcrypt hashes of cost {{}}", []).append(f"{work.cost}")
        else:
            parts.setdefault(f"{work.size:,} hashes of {{}} iterations", []).append(
                f"{work.cost:,}"
            )
    return "; ".join(form.format(", ".join(values)) for form, values in parts.items())


@dataclass(frozen=True, slots=True)
class _SaverRow:
    """One saver and one work, with all savers of the same work to compare with."""

    cell: SavedCell
    savers: dict[str, SavedCell]

    @property
    def is_floor(self) -> bool:
        return self.cell.saver == NO_IO

    def spread(self) -> str:
        walls = self.cell.walls_s
        return f"{_seconds(walls[0])}-{_seconds(walls[-1])}" if len(walls) > 1 else "-"

    def times_floor(self) -> str:
        floor = self.savers.get(NO_IO)
        floor_s, wall_s = floor.wall_s if floor is not None else None, self.cell.wall_s
        return _times(wall_s / floor_s if wall_s and floor_s and self.cell.is_whole else None)

    def faster(self) -> str:
        return _times(None if self.is_floor else speed_up(self.cell, self.savers))

    def overlap(self) -> str:
        return (
            "-" if self.is_floor else format_percent(self.cell.median_of(lambda run: run.overlap))
        )

    def times_bound(self) -> str:
        wall_s, bound_s = self.cell.wall_s, self.cell.median_of(lambda run: run.bound_s)
        is_bounded = self.cell.is_whole and self.cell.runs[0].run.concurrency > 1
        return format_number(wall_s / bound_s if wall_s and bound_s and is_bounded else None, ".2f")

    def saved(self) -> str:
        return "-" if self.is_floor else _saved(self.cell)


def work_table(
    key: WorkKey, savers: dict[str, SavedCell], *, has_notes: bool = True
) -> Table[_SaverRow]:
    """Return a table with one row per saver. If `has_notes`, its columns are explained."""
    items = next(iter(savers.values())).runs[0].run.requests
    has_spread = any(len(cell.walls_s) > 1 for cell in savers.values())
    of = Column[_SaverRow]
    columns = (
        of("saver", lambda row: row.cell.saver),
        of(
            "time",
            lambda row: _seconds(row.cell.wall_s),
            "s",
            about="time: from before the first item is computed until the last is saved (median "
            "over the trials).",
        ),
        of("min-max", _SaverRow.spread, "s", priority=3 if has_spread else 9),
        of(
            "time",
            _SaverRow.times_floor,
            "× no-io",
            priority=2,
        ),
        of("speed", _SaverRow.faster, "× serial", priority=1),
        of(
            "overlap",
            _SaverRow.overlap,
            priority=2,
            about="overlap: of the time that saves wait for the service, the share in which work "
            "is computed.",
        ),
        of("CPU", lambda row: _seconds(row.cell.median_of(lambda run: run.cpu_s)), "s", priority=4),
        of(
            "time",
            _SaverRow.times_bound,
            "× bound",
            priority=3,
            about="bound: the time cannot be less than the larger of two: its own CPU time "
            "(divided by its processes), and the shortest schedule of its items and delays in the "
            "slots that it has.",
        ),
        of(
            "saved",
            _SaverRow.saved,
            priority=5,
            about="saved: once each, according to the ledger of the service, or to the file.",
        ),
        of(
            "verdict",
            lambda row: row.cell.level.name,
            is_text=True,
            style=lambda row: LEVEL_COLOURS[row.cell.level.name],
        ),
    )
    return Table(
        f"{format_work(key)}: {items:,} items to save",
        columns if has_notes else tuple(replace(column, about="") for column in columns),
        [_SaverRow(cell, savers) for cell in savers.values()],
    )


def _seconds(value: float | None) -> str:
    """Format seconds to a millisecond, or to two significant digits below 0.1 s."""
    if value is not None and value < 0.1:
        return np.format_float_positional(value, precision=2, min_digits=2, fractional=False)
    return format_number(value, ".3f")


def _times(value: float | None) -> str:
    return format_number(value, ",.0f" if value is not None and value >= 100 else ".1f")


def _saved(cell: SavedCell) -> str:
    """Return `172 of 172` for the trial that saved the fewest items."""
    worst = min(cell.runs, key=lambda run: (run.saved, run.is_exact))
    exact = "" if worst.is_exact else ", not exact"
    return f"{worst.saved:,} of {worst.run.requests:,}{exact}"


@dataclass(frozen=True, slots=True)
class _WorkRow:
    """One work, and the results of all savers."""

    key: WorkKey
    savers: dict[str, SavedCell]

    @property
    def items(self) -> int:
        return next(iter(self.savers.values())).runs[0].run.requests

    def seconds(self, saver: str) -> str:
        return _seconds(self.savers[saver].wall_s) if saver in self.savers else "-"


def times_table(kind: str, analysis: PrimesAnalysis) -> Table[_WorkRow]:
    """Return the table of the times of all savers for all works of a kind."""
    of = Column[_WorkRow]

    def of_saver(name: str) -> Column[_WorkRow]:
        return of(name, lambda row: row.seconds(name))

    rows = [_WorkRow(key, savers) for key, savers in analysis.by_work().items() if key[0] == kind]
    sizes = {size for _, _, size in (row.key for row in rows)}
    if kind == PRIMES:
        first = of("numbers", lambda row: f"{row.key[2]:,}")
        title = "Seconds to find the primes among so many numbers and save each"
    elif kind == BCRYPT:
        first = of("cost", lambda row: f"{row.key[1]}")
        title = "Seconds to compute bcrypt hashes of a cost and save each"
    elif len(sizes) == 1:
        first = of("iterations", lambda row: f"{row.key[1]:,}")
        title = f"Seconds to compute {sizes.pop():,} hashes of so many iterations and save each"
    else:
        first = of("work", lambda row: format_work(row.key))
        title = "Seconds to compute hashes and save each"
    columns = (
        first,
        of("items", lambda row: f"{row.items:,}", priority=1),
        *map(of_saver, analysis.savers()),
    )
    return Table(title, columns, rows)


def finding_of_primes(analysis: PrimesAnalysis) -> list[str]:
    """Say which saver is fastest for the most informative works, and count the verdicts."""
    by_work = analysis.by_work()
    lines = []
    for key in analysis.shown_works():
        whole = [
            (cell.wall_s, cell)
            for cell in by_work[key].values()
            if saver_of(cell.saver).has_service
            and cell.is_whole
            and cell.wall_s is not None
            and cell.level is not Level.INVALID
        ]
        if not any(saver_of(name).has_service for name in by_work[key]):
            continue
        if not whole:
            lines.append(f"{format_work(key)}: no saver saved every item in runs that are valid.")
            continue
        best_s, best = min(whole, key=lambda one: one[0])
        by_service = "of the savers that use the service, " if FILE_IO in by_work[key] else ""
        text = f"{format_work(key)}: {by_service}{best.saver} is fastest, {_seconds(best_s)} s"
        if len(best.walls_s) > 1:
            text += f" ({_seconds(best.walls_s[0])}-{_seconds(best.walls_s[-1])})"
        faster = speed_up(best, by_work[key])
        if faster is not None and best.saver != SERIAL:
            text += f", {_times(faster)} times as fast as {SERIAL}"
        floor = by_work[key].get(NO_IO)
        if floor is not None and floor.wall_s:
            text += f"; computing alone takes {_seconds(floor.wall_s)} s"
        lines.append(f"{text}.")
    levels = [run.verdict.level for cell in analysis.cells for run in cell.runs]
    return [*lines, verdict_counts(levels)]


def _print_wrong(analysis: PrimesAnalysis, console: "Console") -> None:
    """Print why runs are not VALID, a few per check, and then every item that was not saved."""
    doubts: dict[tuple[Level, str], list[str]] = {}
    failed = []
    for cell in analysis.cells:
        where = f"{cell.saver}, {format_work(key_of(cell.work))}"
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
        style = LEVEL_COLOURS[level.name]
        for line in lines[:_SHOWN]:
            print_text(line, console, style=style)
        if len(lines) > _SHOWN:
            print_text(
                f"{level.name}: {check}: {len(lines)} of {runs} runs in all "
                f"({document('validity.md')})",
                console,
                style=style,
            )
    for line in failed:
        print_text(line, console)
    if doubts or failed:
        print_text("", console)

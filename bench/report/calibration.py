"""The table of `crawlbench calibrate`, which shows how much each crawler adds to known delays."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.analyse import Analysis
from bench.analysis.cells import Trial
from bench.analysis.quantiles import BEYOND, quantile, tail_quantile
from bench.analysis.split import SplitSummary
from bench.analysis.validity import Level
from bench.report.finding import verdict_counts
from bench.report.tables import LEVEL_COLOURS, Column, Table, format_number, print_table, print_text
from bench.results.store import Store

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class _Added:
    """One run, with the time in ns that its crawler adds to the delays."""

    trial: Trial
    split: SplitSummary
    p50_ns: int
    p99_ns: int | None

    @property
    def verdict(self) -> str:
        return self.trial.verdict.level.name

    def part(self, name: str, of: str) -> str:
        """Return a quantile of a part of the split, in ms."""
        return format_number(getattr(getattr(self.split, name), of), ".3f", 1e6)


def print_calibration(store: Store, analysis: Analysis, console: "Console") -> None:
    """Print the table, the verdicts, and which crawlers add the least and the most."""
    rows = _added(store, analysis)
    asked = analysis.experiment
    title = (
        f"What each crawler adds to known delays, in ms: {asked.delays[0]}, "
        f"{asked.requests} requests"
    )
    print_table(Table(title, _columns(rows), rows), console)
    trials = [trial for cell in analysis.cells for trial in cell.trials]
    doubts = [(one, reason) for one in trials for reason in one.verdict.reasons if reason.level]
    for trial, reason in doubts:
        level = reason.level.name
        text = f"{level}: {trial.run.crawler}: {reason.text}"
        print_text(text, console, style=LEVEL_COLOURS[level])
    counts = verdict_counts(trial.verdict.level for trial in (*trials, *analysis.ceilings))
    if doubts:
        print_text("", console)
    print_text(_finding(rows), console, indent=2)
    print_text(f"{counts} Results in {store.path.parent}", console, indent=2)


def _added(store: Store, analysis: Analysis) -> list[_Added]:
    """Return the added time of each run with results: service time - delay of the same seq."""
    rows = []
    for trial in (trial for cell in analysis.cells for trial in cell.trials):
        if trial.summary is None or trial.summary.split is None:
            continue
        fetches = store.fetches(trial.run.number)
        drawn_ns = np.array(trial.run.delays_us(), dtype=np.int64) * 1000
        is_good = (
            (fetches["error"] == 0)
            & (fetches["status"] == 200)
            & (fetches["seq"] >= 0)
            & (fetches["seq"] < trial.run.requests)
        )
        seq = fetches["seq"][is_good]
        service_ns = (fetches["end_ns"] - fetches["start_ns"])[is_good]
        added = np.sort(service_ns - drawn_ns[seq])
        p50_ns, p99_ns = quantile(added, 0.5), tail_quantile(added, 0.99)
        rows.append(_Added(trial, trial.summary.split, p50_ns, p99_ns))
    return rows


def _columns(rows: list[_Added]) -> tuple[Column[_Added], ...]:
    of = Column[_Added]

    def quantiles(title: str, part: str, about: str) -> tuple[Column[_Added], ...]:
        return (
            of(title, lambda row: row.part(part, "p50_ns"), "p50", priority=1, about=about),
            of(title, lambda row: row.part(part, "p99_ns"), "p99", priority=2),
        )

    lacks_p99 = any(row.p99_ns is None for row in rows)
    return (
        of("crawler", lambda row: row.trial.run.crawler),
        of("at C", lambda row: str(row.trial.run.concurrency)),
        of(
            "added",
            lambda row: format_number(row.p50_ns, ".3f", 1e6),
            "p50",
            about="added: service time minus the delay drawn for the same request.",
        ),
        of(
            "added",
            lambda row: format_number(row.p99_ns, ".3f", 1e6),
            "p99",
            priority=1,
            about=f"p99 -: not given (needs {100 * BEYOND:,} requests)." if lacks_p99 else "",
        ),
        *quantiles("to server", "to_server", ""),
        *quantiles("late", "late", "late: the server's part of it."),
        *quantiles("back", "back", ""),
        of(
            "verdict",
            lambda row: row.verdict,
            is_text=True,
            style=lambda row: LEVEL_COLOURS[row.verdict],
        ),
    )


def _finding(rows: list[_Added]) -> str:
    """Return `protocol adds the least, 0.292 ms in the median; serial the most, 1.359 ms.`"""
    rows = [row for row in rows if row.trial.verdict.level is not Level.INVALID]
    if not rows:
        return "No run can be believed."
    least, most = (choose(rows, key=lambda row: row.p50_ns) for choose in (min, max))
    text = f"{least.trial.run.crawler} adds the least, {least.p50_ns / 1e6:.3f} ms in the median"
    if most is least:
        return f"{least.trial.run.crawler} adds {least.p50_ns / 1e6:.3f} ms in the median."
    return f"{text}; {most.trial.run.crawler} adds the most, {most.p50_ns / 1e6:.3f} ms."

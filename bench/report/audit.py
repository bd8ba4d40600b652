"""The table of `crawlbench audit`, which shows what each crawler sends, opens and costs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.bottleneck import bottleneck
from bench.analysis.cells import Trial
from bench.analysis.summary import RunSummary
from bench.plan.entrants import Entrant
from bench.report.tables import LEVEL_COLOURS, Column, Table, format_number, print_table, print_text
from crawlers.registry import NOT_DECLARED, CrawlerInfo, find

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One crawler: its two runs, and the floor crawler's CPU time per request."""

    entrant: Entrant
    plain: Trial
    many: Trial
    floor_us: float | None

    @property
    def info(self) -> CrawlerInfo:
        """The crawler's entry in the registry."""
        return find(self.entrant.crawler)

    @property
    def head(self) -> str:
        """The head of the first request, as the server received it."""
        return (self.plain.run.request_head or b"").decode("latin-1")

    def of(self, value: Callable[[RunSummary], float | None], form: str) -> str:
        """Return a formatted number of the plain run."""
        return format_number(value(self.plain.summary) if self.plain.summary else None, form)

    def times_floor(self) -> str:
        """Return the CPU time per request as a multiple of the floor crawler's."""
        cpu_us = self.plain.summary.cpu_us_per_request if self.plain.summary else None
        return format_number(cpu_us / self.floor_us if cpu_us and self.floor_us else None, ".1f")

    def memory(self) -> str:
        """Return the peak memory of the large run, in MB."""
        summary = self.many.summary
        return format_number(summary.peak_memory_bytes if summary else None, ".0f", 1e6)

    def timeout(self) -> str:
        """Return what the crawler's time limit bounds, if that is declared."""
        return self.info.timeout if self.info.is_declared else NOT_DECLARED

    def headers(self) -> str:
        """Return the names of the request's headers, or why the run failed."""
        if self.plain.summary is None:
            return self.plain.run.failure
        lines = self.head.split("\r\n")[1:]
        return ", ".join(line.partition(":")[0] for line in lines if line)


def audit_table(title: str, rows: Sequence[AuditRow]) -> Table[AuditRow]:
    """Return the table, with one row per crawler."""
    of = Column[AuditRow]
    columns = (
        of("crawler", lambda row: row.entrant.label),
        of("at C", lambda row: row.of(lambda _: row.plain.run.slots, "d"), priority=3),
        of(
            "in flight",
            lambda row: row.of(lambda one: one.in_flight.mean if one.in_flight else None, ".1f"),
            priority=2,
            about="in flight: at the server (mean).",
        ),
        of(
            "conn.",
            lambda row: row.of(lambda one: one.connections or 0, "d"),
            about="conn.: TCP connections opened.",
        ),
        of(
            "requests",
            lambda row: row.of(
                lambda one: one.requests / one.connections if one.connections else None, ".0f"
            ),
            "/conn.",
            priority=3,
        ),
        of(
            "head",
            lambda row: row.of(lambda _: len(row.head), "d"),
            "bytes",
            priority=2,
            about="head: of a request, as sent.",
        ),
        of(
            "resent",
            lambda row: row.of(
                lambda one: one.reconciliation.resent if one.reconciliation else None, "d"
            ),
            priority=3,
        ),
        of("CPU", lambda row: row.of(lambda one: one.cpu_us_per_request, ".0f"), "µs/req"),
        of(
            "CPU",
            AuditRow.times_floor,
            "× floor",
            priority=1,
            about="floor: the crawler protocol, the least that a client can do.",
        ),
        of("peak mem.", AuditRow.memory, "MB", priority=1),
        of(
            "may resend",
            lambda row: row.info.resends_in_words,
            is_text=True,
            may_stack=True,
            about="may resend, timeout bounds: as declared.",
        ),
        of("timeout bounds", AuditRow.timeout, is_text=True, may_stack=True),
        of("headers sent", AuditRow.headers, is_text=True, may_stack=True),
    )
    return Table(title, columns, rows)


def print_audit(table: Table[AuditRow], console: "Console") -> None:
    """Print the table, and then what is wrong with its runs."""
    print_table(table, console)
    for row in table.rows:
        for trial in (row.plain, row.many):
            for reason in trial.verdict.reasons:
                if reason.level:
                    level = reason.level.name
                    at = f"{row.entrant.label} at {trial.run.concurrency}"
                    print_text(f"{level}: {at}: {reason.text}", console, style=LEVEL_COLOURS[level])
            if trial.summary is not None and trial.summary.errors:
                limit = bottleneck(trial.summary, trial.verdict)
                print_text(f"{row.entrant.label}: {limit.word}", console)

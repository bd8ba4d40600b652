"""Tables of what more processes, other interpreters and other machines bring."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.analyse import Analysis
from bench.analysis.parallel import (
    ParallelPoint,
    ParallelSeries,
    by_interpreter,
    by_processes,
    format_runtime,
)
from bench.report.tables import LEVEL_COLOURS, Column, Table, format_number
from bench.results.run_result import ProcessResult
from bench.wording import format_percent, format_rate

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_CLOCK = "clock: what was added to its times (minus: its clock is fast)."


@dataclass(frozen=True, slots=True)
class _Row:
    """A point, and the series that it is in."""

    crawler: str
    """The crawler, and what its requests ask for if that differs in the table."""
    series: ParallelSeries
    point: ParallelPoint
    level: str
    """The verdict on its cell."""

    def spread(self) -> str:
        if len(self.point.rates) < 2:
            return "-"
        return f"{format_rate(min(self.point.rates))}-{format_rate(max(self.point.rates))}"

    def speed_up(self) -> str:
        """Return the throughput as a multiple of that of the first point."""
        first = self.series.points[0].rate
        return f"{self.point.rate / first:.2f}" if first else "-"

    def of_ideal(self) -> str:
        ideal = self.point.ideal_rate
        return format_percent(self.point.rate / ideal) if ideal else "-"


def parallel_tables(analysis: Analysis) -> tuple[Table[_Row], ...]:
    """Return the table by number of processes and the one by interpreter, where there is one."""
    processes = _rows(analysis, by_processes(analysis))
    interpreters = _rows(analysis, by_interpreter(analysis))
    return (
        *((processes_by_number(processes),) if processes else ()),
        *((interpreters_table(interpreters),) if interpreters else ()),
    )


def _rows(analysis: Analysis, found: Sequence[ParallelSeries]) -> list[_Row]:
    levels = {
        (one.cell.crawler, one.cell.concurrency, one.cell.request): one.level.name
        for one in analysis.cells
    }
    is_one = len({series.request for series in found}) == 1
    return [
        _Row(
            series.name if is_one else f"{series.name}, {series.request}",
            series,
            point,
            levels[point.label, series.concurrency, series.request],
        )
        for series in found
        for point in series.points
    ]


def processes_by_number(rows: Sequence[_Row]) -> Table[_Row]:
    """Return the table of crawlers that were measured in several numbers of processes."""
    of = Column[_Row]
    return Table(
        "By the number of crawler processes (medians over the trials)",
        (
            of("crawler", lambda row: row.crawler),
            of("C", lambda row: str(row.series.concurrency)),
            of("P", lambda row: str(row.point.processes), about="P: crawler processes."),
            of(
                "S",
                lambda row: str(row.point.server_processes),
                about="S: server processes.",
            ),
            *_throughput(how_split=" that is split in the same way"),
            of(
                "speed-up",
                _Row.speed_up,
                about="speed-up: against the fewest processes.",
            ),
            *_costs(),
        ),
        rows,
    )


def interpreters_table(rows: Sequence[_Row]) -> Table[_Row]:
    """Return the table of crawlers that were measured on several interpreters or loops."""
    of = Column[_Row]
    switches = {True: "on", False: "off", None: "-"}
    return Table(
        "By interpreter and event loop (medians over the trials)",
        (
            of("crawler", lambda row: row.crawler),
            of("C", lambda row: str(row.series.concurrency)),
            of("Python", lambda row: row.point.runtime or "-", is_text=True),
            of("GIL", lambda row: switches[row.point.has_gil], is_text=True, priority=2),
            of("JIT", lambda row: switches[row.point.has_jit], is_text=True, priority=3),
            of("loop", lambda row: row.point.loop or "own", is_text=True),
            *_throughput(),
            of("ratio", _Row.speed_up, about="ratio: to the first of the crawler."),
            *_costs(),
        ),
        rows,
    )


def _throughput(how_split: str = "") -> tuple[Column[_Row], ...]:
    return (
        Column[_Row]("throughput", lambda row: format_rate(row.point.rate), "requests/s"),
        Column[_Row]("min-max", _Row.spread, "requests/s", priority=2),
        Column[_Row](
            "of ideal",
            _Row.of_ideal,
            priority=5,
            about=f"of ideal: of the throughput of an ideal client{how_split}.",
        ),
    )


def _costs() -> tuple[Column[_Row], ...]:
    return (
        Column[_Row](
            "client",
            lambda row: format_number(row.point.client_cpu_us, ".0f"),
            "µs/req",
            priority=1,
        ),
        Column[_Row](
            "server",
            lambda row: format_number(row.point.server_cpu_us, ".0f"),
            "µs/req",
            priority=1,
            about="client, server: CPU time of all their processes.",
        ),
        Column[_Row](
            "verdict",
            lambda row: row.level,
            is_text=True,
            style=lambda row: LEVEL_COLOURS[row.level],
        ),
    )


@dataclass(frozen=True, slots=True)
class CrawlerShare:
    """A crawler process, and how many requests it fetched: fewer than given if interrupted."""

    process: ProcessResult
    fetched: int

    @property
    def cpu_us(self) -> float | None:
        """CPU time per request fetched."""
        usage = self.process.usage
        return usage.cpu_ns / self.fetched / 1e3 if usage is not None and self.fetched else None

    @property
    def busy_share(self) -> float | None:
        """CPU time per time of its crawl."""
        usage = self.process.usage
        return usage.cpu_ns / max(1, usage.wall_ns) if usage is not None else None


def crawler_shares(
    processes: Sequence[ProcessResult], seq: "NDArray[np.int64]"
) -> list[CrawlerShare]:
    """Return the crawler processes of a run; `seq` is that of each fetch of the run."""
    owner = seq % max(1, len(processes))
    return [CrawlerShare(one, int((owner == one.ordinal).sum())) for one in processes]


def processes_table(shares: Sequence[CrawlerShare]) -> Table[CrawlerShare]:
    """Return the table of the crawler processes of one run."""
    of = Column[CrawlerShare]
    clock = (
        of(
            "clock",
            lambda one: _clock(one.process),
            "ms",
            priority=2,
            about=_CLOCK,
        ),
    )
    return Table(
        "Crawler processes",
        (
            of("process", lambda one: f"{one.process.ordinal + 1} of {len(shares)}"),
            of("machine", lambda one: one.process.machine or "this one", is_text=True),
            of("Python", lambda one: format_runtime(one.process.runtime) or "-", is_text=True),
            of(
                "C",
                lambda one: str(one.process.concurrency),
                about="C: its part of the concurrency.",
            ),
            of("requests", lambda one: f"{one.fetched:,}"),
            of("CPU", lambda one: format_number(one.cpu_us, ".0f"), "µs/req"),
            of(
                "busy",
                lambda one: format_percent(one.busy_share),
                about="busy: CPU time / time of its crawl.",
            ),
            *(clock if any(one.process.clock is not None for one in shares) else ()),
        ),
        shares,
    )


def machines_table(processes: Sequence[ProcessResult]) -> Table[str]:
    """Return the table of machines, from the crawler processes of all runs."""
    by_machine: dict[str, list[ProcessResult]] = {}
    for one in processes:
        if one.usage is not None:
            by_machine.setdefault(one.machine, []).append(one)

    def requests(machine: str) -> int:
        return sum(one.requests for one in by_machine[machine])

    def cpu_us(machine: str) -> float:
        cpu_ns = sum(one.usage.cpu_ns for one in by_machine[machine] if one.usage is not None)
        return cpu_ns / max(1, requests(machine)) / 1e3

    def clock(machine: str) -> str:
        clocks = [one.clock for one in by_machine[machine] if one.clock is not None]
        if not clocks:
            return "-"
        low, high = (f"{pick(one.offset_ns for one in clocks) / 1e6:+,.3f}" for pick in (min, max))
        bound_ms = max(one.bound_ns for one in clocks) / 1e6
        return f"{low if low == high else f'{low} to {high}'} ± {bound_ms:.3f}"

    of = Column[str]
    return Table(
        "Machines (all runs)",
        (
            of("machine", lambda machine: machine or "this one"),
            of("requests", lambda machine: f"{requests(machine):,}"),
            of("CPU", lambda machine: f"{cpu_us(machine):.0f}", "µs/req"),
            *(
                (of("clock", clock, "ms", about=f"{_CLOCK} ±: by how much it is wrong at most."),)
                if any(one.clock is not None for one in processes)
                else ()
            ),
        ),
        sorted(by_machine),
    )


def share_as_json(share: CrawlerShare) -> dict[str, Any]:
    """Return a crawler process as plain values for JSON."""
    return {
        **asdict(share.process),
        "fetched": share.fetched,
        "cpu_us_per_request": share.cpu_us,
        "cpu_share": share.busy_share,
    }


def _clock(process: ProcessResult) -> str:
    clock = process.clock
    if clock is None:
        return "-"
    return f"{clock.offset_ns / 1e6:+,.3f} ± {clock.bound_ns / 1e6:.3f}"

"""The table of cells in open loop, and what to say of them in sentences."""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary, Series
from bench.analysis.keeping_up import keeps_up
from bench.analysis.quantiles import least_requests
from bench.report.tables import LEVEL_COLOURS, Column, Table, format_errors, format_number
from bench.wording import format_percent


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    cell: CellSummary

    def number(self, attribute: str, form: str, unit: float = 1) -> str:
        """Return the median of an attribute of RunSummary as text."""
        return format_number(self.cell.median_of(attribute), form, unit)

    def in_flight(self) -> str:
        peak = self.cell.median_of("client_peak")
        return "-" if peak is None else f"{peak:.0f}/{self.cell.cell.concurrency}"

    def refused(self) -> str:
        return refused_share(self.cell)

    def errors(self) -> str:
        return format_errors(self.cell.errors) if self.cell.measured else "-"


def refused_share(cell: CellSummary) -> str:
    """Return the share of requests that the service refused, or `-` if it is not known."""
    refused, requests = cell.median_of("refused"), cell.median_of("requests")
    return "-" if refused is None or not requests else format_percent(refused / requests, 1)


def open_loop_table(cells: Sequence[CellSummary], analysis: Analysis) -> Table[_Row]:
    """Return the table with the numbers of each cell of an open loop."""
    rows = [_Row(analysis.format_series(cell.cell), cell) for cell in cells]
    of = Column[_Row]
    has_errors = any(cell.errors for cell in cells)
    refuses = any(cell.median_of("refused") for cell in cells)
    lacking = [
        f"p{100 * q:g} needs {least_requests(q):,}"
        for q, name in ((0.99, "response_p99_ns"), (0.999, "response_p999_ns"))
        if any(cell.measured and cell.median_of(name) is None for cell in cells)
    ]
    about_lacking = f" -: not given ({' requests, '.join(lacking)} requests)." if lacking else ""

    def quantile(title: str, name: str, priority: int, about: str = "") -> Column[_Row]:
        return of(
            title, lambda row: row.number(name, ".1f", 1e6), "ms", priority=priority, about=about
        )

    return Table(
        "Response times by offered rate (medians over the trials)",
        (
            of("crawler", lambda row: row.name),
            of("offered", lambda row: row.number("offered_per_s", ",.1f"), "requests/s"),
            of(
                "answered",
                lambda row: row.number("requests_per_s", ",.1f"),
                "requests/s",
                about="answered: good responses per second, until the last request was due.",
            ),
            quantile(
                "p50",
                "response_p50_ns",
                1,
                "p50, p99, p99.9: of the response time, from when a request was due to its last "
                f"byte.{about_lacking}",
            ),
            quantile("p99", "response_p99_ns", 0),
            quantile("p99.9", "response_p999_ns", 3),
            quantile(
                "service p99", "p99_ns", 4, "service p99: from when it was sent to its last byte."
            ),
            quantile(
                "lag p99", "send_lag_p99_ns", 2, "lag: from when it was due to when it was sent."
            ),
            of(
                "in flight",
                _Row.in_flight,
                "peak/most",
                priority=5,
                about="in flight: as many as ever were, of as many as may be.",
            ),
            *((of("refused", _Row.refused, priority=2),) if refuses else ()),
            *((of("errors", _Row.errors, is_text=True, may_stack=True),) if has_errors else ()),
            of("CPU", lambda row: row.number("cpu_us_per_request", ".0f"), "µs/req", priority=6),
            of(
                "verdict",
                lambda row: row.cell.level.name,
                is_text=True,
                style=lambda row: LEVEL_COLOURS[row.cell.level.name],
            ),
        ),
        rows,
        "" if has_errors else "No request failed.",
    )


def finding_of_open_loop(analysis: Analysis) -> list[str]:
    """Say of each crawler up to which rate it kept up, and what users waited there."""
    series: dict[Series, list[CellSummary]] = {}
    for cell in analysis.cells:
        if cell.measured:
            series.setdefault(Series.of(cell.cell), []).append(cell)
    return [_sentence(analysis, cells) for cells in series.values()]


def _sentence(analysis: Analysis, cells: Sequence[CellSummary]) -> str:
    name = analysis.format_series(cells[0].cell)
    able = [cell for cell in cells if keeps_up(cell)]
    unable = [cell for cell in cells if not keeps_up(cell)]
    text = f"{name} keeps up with {able[-1].cell.rate}{_response(able[-1])}" if able else name
    if unable:
        first = unable[0]
        answered = format_number(first.median_of("requests_per_s"), ",.1f")
        joint = "; at" if able else " does not keep up: at"
        text += f"{joint} {first.cell.rate} it gets {answered}/s answered{_response(first)}"
    return f"{text}."


def _response(cell: CellSummary) -> str:
    for word, attribute in (("p99", "response_p99_ns"), ("p50", "response_p50_ns")):
        value = cell.median_of(attribute)
        if value is not None:
            return f" ({word} of the response time {value / 1e6:,.1f} ms)"
    return ""

"""Tables for people: an experiment's best cells, one run in detail, the crawlers there are."""

import sys
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from bench.experiment import Cell
from bench.store import RunRow, Store
from bench.summary import P99_NEEDS, CellSummary, RunSummary, best_cells, summarise
from crawlers.registry import ANY, REGISTRY, CrawlerInfo

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_WIDTH_WITHOUT_TERMINAL = 160


def make_console(to_stderr: bool = False) -> "Console":
    """A rich console: colours on a terminal only and never under NO_COLOR."""
    from rich.console import Console

    class QuietConsole(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to the command line: rich would exit with 1."""
            raise BrokenPipeError

    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH_WITHOUT_TERMINAL
    return QuietConsole(file=stream, width=width, highlight=False, soft_wrap=False)


def load_cells(store: Store) -> list[CellSummary]:
    """All cells of an experiment, by crawler as asked for, then by concurrency."""
    summaries: dict[Cell, list[RunSummary]] = defaultdict(list)
    failures: dict[Cell, list[str]] = defaultdict(list)
    for run in store.runs():
        cell = Cell(run.crawler, run.concurrency, run.delay_us)
        summary = load_run(store, run)
        if summary is None:
            failures[cell].append(run.failure or "recorded nothing")
        else:
            summaries[cell].append(summary)
    crawlers = store.experiment().crawlers
    cells = sorted(
        {*summaries, *failures},
        key=lambda cell: (crawlers.index(cell.crawler), cell.concurrency),
    )
    return [CellSummary(cell, tuple(summaries[cell]), tuple(failures[cell])) for cell in cells]


def load_run(store: Store, run: RunRow) -> RunSummary | None:
    """The numbers of a run; None if there are none."""
    arrivals = None if run.unrecorded is None else store.arrivals(run.number)
    return summarise(run, store.fetches(run.number), arrivals)


def print_report(
    store: Store, cells: list[CellSummary], console: "Console", *, show_all: bool
) -> None:
    """What was asked, the best cell of each crawler or all cells, and what is wrong."""
    asked = store.experiment()
    console.print(
        f"{store.path.parent}: delay {asked.delay_us / 1000:g} ms, "
        f"{asked.waves} x C requests a run, trials: {asked.trials}, seed {asked.seed}, "
        f"{store.created_utc()}",
        soft_wrap=True,
        markup=False,
    )
    if show_all:
        title = "All cells; medians over their trials"
        console.print(_cells_table(title, [cell for cell in cells if cell.trials]))
    else:
        title = "The cell of most throughput of each crawler; medians over its trials"
        console.print(_cells_table(title, list(best_cells(cells).values())))
    _print_trouble(store, cells, console)


def _cells_table(title: str, cells: list[CellSummary]) -> "Table":
    table = _table(
        title,
        (
            *("crawler", "requests/s", "min-max", "at C", "efficiency", "p50 ms", "p99 ms"),
            *("CPU us", "peak MB", "conn.", "errors"),
        ),
        "p50, p99: service time (closed loop); p99 of trials with at least "
        f"{P99_NEEDS} requests. CPU us: of the client per request. conn.: connections per request.",
    )
    from rich.markup import escape

    for best in cells:
        rate, least, most = best.requests_per_s
        connections = best.median_of("connections")
        requests = best.median_of("requests")
        table.add_row(
            escape(best.cell.crawler),
            f"{rate:,.0f}",
            f"{least:,.0f}-{most:,.0f}",
            str(best.cell.concurrency),
            _shown(best.median_of("efficiency"), ".3f"),
            _shown(best.median_of("p50_ns"), ".1f", 1e6),
            _shown(best.median_of("p99_ns"), ".1f", 1e6),
            _shown(best.median_of("cpu_us_per_request"), ".0f"),
            _shown(best.median_of("peak_memory_bytes"), ".0f", 1e6),
            "-" if connections is None or not requests else f"{connections / requests:.3f}",
            _errors_shown(best.errors),
        )
    return table


def _print_trouble(store: Store, cells: list[CellSummary], console: "Console") -> None:
    missing = store.runs_asked() - len(store.runs())
    if missing:
        console.print(f"{missing} of the runs asked for were not done", soft_wrap=True)
    for cell in cells:
        where = f"{cell.cell.crawler} at {cell.cell.concurrency}"
        for failure in cell.failures:
            console.print(f"{where}: {failure}", soft_wrap=True, markup=False)
        if cell.errors:
            console.print(f"{where}: {_errors_shown(cell.errors)}", soft_wrap=True, markup=False)
        for trial in cell.trials:
            for trouble in trial.troubles:
                console.print(f"{where}: {trouble}", soft_wrap=True, markup=False)


def print_run(run: RunRow, summary: RunSummary, console: "Console") -> None:
    """One run in detail, a line for each number."""
    milliseconds = [
        _shown(value, ".2f", 1e6) for value in (summary.p50_ns, summary.p90_ns, summary.p99_ns)
    ]
    lines = {
        "requests": f"{summary.requests}, {summary.good} good",
        "errors": _errors_shown(summary.errors),
        "makespan": f"{summary.makespan_ns / 1e9:.3f} s",
        "throughput": f"{summary.requests_per_s:,.1f} requests/s",
        "efficiency": _shown(summary.efficiency, ".3f")
        + f" (the ideal makespan is {summary.ideal_ns / 1e9:.3f} s)",
        "service time (closed loop)": "p50 {}, p90 {}, p99 {} ms".format(*milliseconds),
        "in flight at the server": f"mean {_shown(summary.mean_in_flight, '.1f')}, "
        f"peak {_shown(summary.peak_in_flight, 'd')}, of {run.concurrency} asked for",
        "connections": _shown(summary.connections, "d"),
        "CPU of the client": f"{summary.cpu_us_per_request:.0f} us a request",
        "peak memory of the client": f"{summary.peak_memory_bytes / 1e6:.0f} MB",
        "CPU of the server": f"{summary.server_cpu_us_per_request:.0f} us a request",
        "ledger": str(summary.ledger) if summary.ledger else _no_ledger(run),
    }
    if summary.ledger is None:
        for of_ledger in ("efficiency", "in flight at the server", "connections"):
            del lines[of_ledger]
        del lines["CPU of the server"]
    if summary.troubles:
        lines["not clean"] = "; ".join(summary.troubles)
    for name, text in lines.items():
        console.print(f"{name:>27}  {text}", soft_wrap=True, markup=False)


def _no_ledger(run: RunRow) -> str:
    if run.unrecorded is None:
        return "none: the server is not ours"
    return f"incomplete: the server had no room for {run.unrecorded} requests"


def print_crawlers(console: "Console") -> None:
    """The registry, with what is installed."""
    table = _table(
        "", ("crawler", "style", "library", "C up to", "keep-alive", "resends", "timeout bounds")
    )
    for info in REGISTRY:
        table.add_row(
            info.name,
            info.style,
            ", ".join(installed_versions(info)) or f"not installed: {install_command(info)}",
            "any" if info.max_concurrency == ANY else str(info.max_concurrency),
            "yes" if info.keep_alive else "no",
            "yes" if info.resends else "no",
            info.timeout,
        )
    console.print(table)


def installed_versions(info: CrawlerInfo) -> list[str]:
    """`library version` of a crawler's libraries; empty if one is missing."""
    try:
        return [f"{library} {version(library)}" for library in info.libraries] or [info.style]
    except PackageNotFoundError:
        return []


def install_command(info: CrawlerInfo) -> str:
    """What installs a crawler's libraries."""
    return f"pip install '.[{info.extra}]'" if info.extra else "pip install ."


def _table(title: str, columns: tuple[str, ...], caption: str = "") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(
        title=title or None,
        caption=caption or None,
        box=box.SIMPLE,
        title_justify="left",
        caption_justify="left",
    )
    words = ("crawler", "errors", "style", "library", "keep-alive", "resends", "timeout bounds")
    for name in columns:
        is_word = name in words
        table.add_column(
            name, justify="left" if is_word else "right", no_wrap=name == "crawler" or not is_word
        )
    return table


def _shown(value: float | None, form: str, unit: float = 1) -> str:
    if value is None:
        return "-"
    return format(value if unit == 1 else value / unit, form)


def _errors_shown(errors: dict[str, int]) -> str:
    return ", ".join(f"{word} {count}" for word, count in errors.items()) or "0"

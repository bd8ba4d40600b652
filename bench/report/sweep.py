"""Prints the tables of a sweep: its cells, their limits, their verdicts and where time goes."""

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from bench.analysis.analyse import Analysis
from bench.analysis.bottleneck import Bottleneck, bottleneck
from bench.analysis.cells import CellSummary, Knee, Series, Trial, best_cells, knee, order_effects
from bench.analysis.comparison import compare_neighbours
from bench.analysis.inference import LEAST_TRIALS
from bench.analysis.quantiles import BEYOND
from bench.analysis.summary import RunSummary
from bench.analysis.validity import Level, Reason, Verdict, reasons_by_trials, shared_reasons
from bench.documents import document
from bench.program import PROGRAM
from bench.report.finding import finding_of_sweep
from bench.report.open_loop import open_loop_table, refused_share
from bench.report.parallel import machines_table, parallel_tables
from bench.report.tables import (
    LEVEL_COLOURS,
    Column,
    Table,
    format_errors,
    format_number,
    print_table,
    print_text,
)
from bench.results.environment import format_machine, format_versions
from bench.results.store import Store
from bench.wording import format_count, format_percent, format_rate, is_or_are

if TYPE_CHECKING:
    from rich.console import Console

_CEILINGS_APART = 0.15
_NOTES = 3


def print_report(
    store: Store, analysis: Analysis, console: "Console", *, show_all: bool, show_split: bool
) -> None:
    """Print the plan, the best cell of each crawler or all cells, the verdicts and the finding.

    The finding comes last, for readers who only look at the end.
    """
    asked = analysis.experiment
    print_text(
        f"{store.path.parent}: {asked.format_plan()}; seed {asked.seed}; {store.created_utc()}",
        console,
    )
    print_text(f"{format_machine(store.environment())}; {format_versions(analysis.runs)}", console)
    for resumed in store.environment().get("resumed", []):
        different = "; ".join(resumed["different"]) or "nothing had changed"
        print_text(f"interrupted, and resumed {resumed['at_utc']}: {different}", console)
    best = best_cells(analysis.cells)
    # Where a service refuses, the highest throughput alone is no good choice.
    show_all = show_all or asked.service.refuses
    chosen = list(analysis.cells) if show_all else _best_or_failed(analysis, best)
    title = (
        "All cells (medians over their trials)"
        if show_all
        else "Best cell of each crawler (highest throughput; medians over its trials)"
    )
    print_text("", console)
    if asked.is_open:
        chosen = list(analysis.cells)
        print_table(open_loop_table(chosen, analysis), console)
    else:
        print_table(cells_table(title, chosen, analysis), console)
    if show_split:
        print_table(split_table(chosen, analysis), console)
    print_table(limits_table(chosen, analysis), console)
    for table in parallel_tables(analysis):
        print_table(table, console)
    processes = [one for run in analysis.runs for one in store.processes(run.number)]
    if any(one.machine for one in processes):
        print_table(machines_table(processes), console)
    for line in (*_ceiling_lines(analysis), *_differences(analysis)):
        print_text(line, console)
    missing = store.runs_asked() - len(store.runs())
    if missing:
        print_text(f"{missing} of the runs asked for were not done", console)
    _print_reasons(analysis, console)
    print_text("", console)
    for line in finding_of_sweep(analysis):
        print_text(line, console, indent=2)


def _best_or_failed(analysis: Analysis, best: dict[Series, CellSummary]) -> list[CellSummary]:
    """Return the best cell of each series, or its first cell if none has results."""
    first: dict[Series, CellSummary] = {}
    for cell in analysis.cells:
        first.setdefault(Series.of(cell.cell), cell)
    return [best.get(series, cell) for series, cell in first.items()]


@dataclass(frozen=True, slots=True)
class _CellRow:
    """A cell, and the name of its series."""

    name: str
    cell: CellSummary
    has_interval: bool
    """Whether the table shows confidence intervals, because all of its cells have one."""
    has_marks: bool
    """Whether any cell of the table is marked as unstable, so that all leave room for it."""

    @property
    def is_measured(self) -> bool:
        return bool(self.cell.measured)

    def rate(self) -> str:
        return format_rate(self.cell.requests_per_s[0]) if self.is_measured else "-"

    def spread(self) -> str:
        """Return the interval, or min to max over the trials, as in `783-923 *`."""
        if len(self.cell.rates) < 2:
            return "-"
        _, low, high = self.cell.requests_per_s
        interval = self.cell.interval
        if self.has_interval and interval:
            low, high = interval.low, interval.high
        mark = " *" if self.cell.is_unstable else "  "
        return f"{format_rate(low)}-{format_rate(high)}{mark if self.has_marks else ''}"

    def in_flight(self) -> str:
        found = [one.in_flight for one in self.cell.measured if one.in_flight]
        if not self.is_measured:
            return "-"
        mean, peak = (
            median([getattr(one, name) for one in found]) if found else None
            for name in ("mean", "peak")
        )
        return f"{format_number(mean, '.1f')}/{format_number(peak, '.0f')}"

    def own_limit(self) -> str:
        if self.cell.median_of("limit_mean") is None:
            return "-"
        return f"{self.number('limit_mean', '.1f')}/{self.number('limit_peak', '.0f')}"

    def number(self, attribute: str, form: str, unit: float = 1) -> str:
        """Return the median of an attribute of RunSummary as text."""
        return format_number(self.cell.median_of(attribute), form, unit)

    def connections(self) -> str:
        connections, requests = self.cell.median_of("connections"), self.cell.median_of("requests")
        return "-" if connections is None or not requests else f"{connections / requests:.3f}"

    def errors(self) -> str:
        return format_errors(self.cell.errors) if self.is_measured else "-"

    def other_trials(self) -> str:
        """Return the worst verdict, as in `5 of 6 SUSPECT`, or "" if all trials have it."""
        levels = [trial.verdict.level for trial in self.cell.trials]
        worst = max(levels)
        count = levels.count(worst)
        return f"{count} of {len(levels)} {worst.name}" if worst and count < len(levels) else ""


def cells_table(title: str, cells: Sequence[CellSummary], analysis: Analysis) -> Table[_CellRow]:
    """Return the table with the numbers of each cell."""
    has_interval = bool(cells) and all(cell.interval for cell in cells)
    is_unstable = any(cell.is_unstable for cell in cells)
    rows = [
        _CellRow(analysis.format_series(cell.cell), cell, has_interval, is_unstable)
        for cell in cells
    ]
    lacks_p99 = any(row.is_measured and row.cell.median_of("p99_ns") is None for row in rows)
    about_spread = "interval: 95 % confidence interval of the median. " if has_interval else ""
    if is_unstable:
        about_spread += "*: unstable, more than 5 % of the median to each side."
    of = Column[_CellRow]
    is_flawless = all(row.is_measured and not row.cell.errors for row in rows)
    errors = () if is_flawless else (of("errors", _CellRow.errors, is_text=True, may_stack=True),)
    trials = (
        (of("trials", _CellRow.other_trials, priority=4, is_text=True),)
        if any(row.other_trials() for row in rows)
        else ()
    )
    refused = (
        of(
            "refused",
            lambda row: refused_share(row.cell),
            about="refused: by the limits of the service.",
        ),
    )
    queued = (
        of(
            "queued",
            lambda row: row.number("queued_mean_ns", ".1f", 1e6),
            "ms",
            priority=3,
            about="queued: mean wait for a connection inside the client, with its clock running. "
            "p50 and p99 of these crawlers hold it.",
        ),
    )
    # Of a server that is not ours, there is neither a ledger nor a planned delay.
    has_ledger = analysis.experiment.knows_delays or any(
        cell.median_of("connections") is not None for cell in cells
    )
    in_flight = (
        of(
            "in flight",
            _CellRow.in_flight,
            "mean/peak",
            priority=5,
            about="in flight: at the server.",
        ),
    )
    own_limit = (
        of(
            "own limit",
            _CellRow.own_limit,
            "mean/peak",
            priority=5,
            about="own limit: how many a crawler that adapts allowed itself.",
        ),
    )
    efficiency = (of("efficiency", lambda row: row.number("efficiency", ".3f"), priority=2),)
    connections = (
        of(
            "conn.",
            _CellRow.connections,
            "/req",
            priority=8,
            about="conn.: connections per request.",
        ),
    )
    columns = (
        of("crawler", lambda row: row.name),
        of("throughput", _CellRow.rate, "requests/s"),
        of(
            "95 % interval" if has_interval else "min-max",
            _CellRow.spread,
            "requests/s",
            priority=1 if any(len(cell.rates) > 1 for cell in cells) else 9,
            about=about_spread.strip(),
        ),
        of("at C", lambda row: str(row.cell.cell.concurrency), about="at C: at this concurrency."),
        *(in_flight if has_ledger else ()),
        *(own_limit if any(cell.median_of("limit_mean") is not None for cell in cells) else ()),
        *(efficiency if analysis.experiment.knows_delays else ()),
        of(
            "p50",
            lambda row: row.number("p50_ns", ".1f", 1e6),
            "ms",
            priority=3,
            about="p50, p99: of the service time (closed loop).",
        ),
        of(
            "p99",
            lambda row: row.number("p99_ns", ".1f", 1e6),
            "ms",
            priority=4,
            about=f"p99 -: not given (needs {100 * BEYOND:,} requests)." if lacks_p99 else "",
        ),
        *(queued if any(cell.median_of("queued_mean_ns") is not None for cell in cells) else ()),
        of(
            "CPU",
            lambda row: row.number("cpu_us_per_request", ".0f"),
            "µs/req",
            priority=6,
            about="CPU: of the client, its start included.",
        ),
        of("peak mem.", lambda row: row.number("peak_memory_bytes", ".0f", 1e6), "MB", priority=7),
        *(connections if has_ledger else ()),
        *(refused if any(cell.median_of("refused") for cell in cells) else ()),
        *errors,
        of(
            "verdict",
            lambda row: row.cell.level.name,
            is_text=True,
            style=lambda row: LEVEL_COLOURS[row.cell.level.name],
        ),
        *trials,
    )
    return Table(title, columns, rows, "No request failed." if is_flawless else "")


@dataclass(frozen=True, slots=True)
class _TrialRow:
    """The median trial of a cell, and the name of its series."""

    name: str
    trial: Trial
    summary: RunSummary
    knee: Knee

    @property
    def limit(self) -> Bottleneck:
        return bottleneck(self.summary, self.trial.verdict)

    @property
    def waits(self) -> bool:
        """Whether requests waited in the service's queue."""
        return self.summary.slot_time is not None and self.summary.slot_time.service_wait > 0

    def quantile(self, part: str, of: str) -> str:
        """Return a quantile of a part of the split, in ms."""
        return format_number(getattr(getattr(self.summary.split, part), of), ".2f", 1e6)


def _trial_rows(cells: Sequence[CellSummary], analysis: Analysis) -> list[_TrialRow]:
    rows = []
    for cell in cells:
        trial = cell.median_trial()
        if trial is not None and trial.summary is not None:
            series = Series.of(cell.cell)
            at = knee([one for one in analysis.cells if Series.of(one.cell) == series])
            rows.append(_TrialRow(analysis.format_series(cell.cell), trial, trial.summary, at))
    return rows


def split_table(cells: Sequence[CellSummary], analysis: Analysis) -> Table[_TrialRow]:
    """Return the table of where the time of a request goes."""
    of = Column[_TrialRow]
    rows = [row for row in _trial_rows(cells, analysis) if row.summary.split is not None]

    def quantiles(title: str, part: str, about: str) -> tuple[Column[_TrialRow], ...]:
        return (
            of(title, lambda row: row.quantile(part, "p50_ns"), "p50", about=about),
            of(title, lambda row: row.quantile(part, "p99_ns"), "p99", priority=1),
        )

    clocks = (
        of(
            "clocks",
            lambda row: f"± {row.summary.clock_bound_ns / 1e6:.3f}" if row.summary.clocks else "-",
            about="clocks: by how much other machines' may be wrong, which moves time between to "
            "server and back.",
        ),
    )
    return Table(
        "Where the time of a request goes, in ms (medians and p99 of the median trial)",
        (
            of("crawler", lambda row: row.name),
            of("at", lambda row: row.trial.run.cell.format_level()),
            *quantiles(
                "to server",
                "to_server",
                "to server: client, network and the server's queue"
                + (
                    "; with the wait for a connection of a crawler that queues."
                    if any(row.trial.run.conditions.queues for row in rows)
                    else "."
                ),
            ),
            *(
                quantiles(
                    "waiting",
                    "service_wait",
                    "waiting: in the service's queue, for a place.",
                )
                if any(row.waits for row in rows)
                else ()
            ),
            *quantiles("delay", "delay", ""),
            *quantiles("late", "late", "late: lateness of the server, after the delay."),
            *quantiles("back", "back", "back: network and client."),
            *(clocks if any(row.summary.clocks for row in rows) else ()),
            of(
                "longest lag",
                lambda row: format_number(
                    row.summary.server.longest_lag_ns if row.summary.server else None, ".1f", 1e6
                ),
                priority=2,
                about="longest lag: of the server's event loop.",
            ),
        ),
        rows,
    )


def limits_table(cells: Sequence[CellSummary], analysis: Analysis) -> Table[_TrialRow]:
    """Return the table of what limits each crawler."""
    of = Column[_TrialRow]
    is_open = analysis.experiment.is_open
    knee_at = (
        of(
            "knee at C",
            lambda row: str(row.knee),
            about="knee: the smallest concurrency measured that reaches 95 % of the crawler's "
            "best throughput.",
        ),
    )
    return Table(
        "What limits each crawler"
        + ("" if is_open else ", and where more concurrency stops helping"),
        (
            of("crawler", lambda row: row.name),
            of("at", lambda row: row.trial.run.cell.format_level()),
            *(() if is_open else knee_at),
            of("limited by", lambda row: row.limit.word, is_text=True),
            of(
                "evidence",
                lambda row: row.limit.evidence,
                is_text=True,
                may_stack=True,
                about="evidence: from the median trial.",
            ),
        ),
        _trial_rows(cells, analysis),
    )


def _ceiling_lines(analysis: Analysis) -> list[str]:
    rates = [
        trial.summary.requests_per_s for trial in analysis.ceilings if trial.summary is not None
    ]
    if not rates:
        return []
    run = analysis.ceilings[0].run
    when = "measured first and last" if len(rates) > 1 else "measured first"
    shown_rates = " and ".join(f"{rate:,.0f}" for rate in rates)
    apart = max(rates) / min(rates) - 1 if min(rates) else 0.0
    doubt = (
        f"; they differ by {format_percent(apart)}: the machine drifts, or something else ran"
        if apart > _CEILINGS_APART
        else ""
    )
    how = f"by {run.crawler} at C={run.concurrency} without delay"
    return [f"Capacity of the server (ceiling): {shown_rates} requests/s, {when}, {how}{doubt}."]


def _differences(analysis: Analysis) -> list[str]:
    """Return lines that compare each crawler with the next slower one.

    In open loop all have the same rates, so that there is no slower one.
    """
    if analysis.experiment.is_open:
        return []
    crawlers = {cell.cell.crawler for cell in analysis.cells if cell.measured}
    if len(crawlers) < 2:
        return []
    if analysis.experiment.trials < LEAST_TRIALS:
        text = (
            f"Differences between crawlers were not tested: that needs at least {LEAST_TRIALS} "
            f"trials (--trials {LEAST_TRIALS}), and there are {analysis.experiment.trials}."
        )
        return [text]
    found = compare_neighbours(analysis.cells)
    several = len(analysis.experiment.requests_asked) > 1
    heading = (
        "Each crawler compared with the next slower one: ratio (95 % confidence interval, per "
        "line, unadjusted), p adjusted for all lines"
    )
    return [f"{heading}. {PROGRAM} compare shows the other cells."] + [
        f"  {one.candidate} and {one.baseline} at {one.cell.format_level()}"
        f"{f', {one.cell.request}' if several else ''}: {one.result}"
        for one in found
    ]


def _print_reasons(analysis: Analysis, console: "Console") -> None:
    """Print how many runs are not VALID, each reason once per cell, and the notes."""
    trials = [*analysis.ceilings, *(trial for cell in analysis.cells for trial in cell.trials)]
    doubtful = [trial for trial in trials if trial.verdict.level]
    groups = [
        (f"{analysis.format_series(cell.cell)} at {cell.cell.format_level()}", cell.trials)
        for cell in analysis.cells
    ]
    groups.append(("the server's capacity", analysis.ceilings))
    shared = shared_reasons([one.verdict for one in trials] for _, trials in groups)
    found = [
        _Found(one.level, one.check, f"every run: {one.text}")
        for one in sorted(shared, key=lambda one: (-one.level, one.check))
    ]
    found += [one for where, trials in groups for one in _reasons(where, trials, shared)]
    if doubtful:
        checks = Counter(
            check
            for trial in doubtful
            for check in dict.fromkeys(one.check for one in trial.verdict.reasons if one.level)
        )
        counts = ", ".join(f"{check} {count}" for check, count in checks.most_common())
        print_text(
            f"Verdicts: {len(doubtful)} of {format_count(len(trials), 'run')} "
            f"{is_or_are(len(doubtful))} not VALID: {counts} "
            f"({document('validity.md')})",
            console,
        )
    for one in found:
        if one.level:
            style = LEVEL_COLOURS[one.level.name]
            print_text(f"  {one.level.name}: {one.text}", console, style=style)
    notes = _notes(analysis, [one for one in found if not one.level])
    if notes:
        print_text("Notes:", console)
    for note in notes:
        print_text(f"  {note}", console)


@dataclass(frozen=True, slots=True)
class _Found:
    """A reason that trials of one cell share."""

    level: Level
    check: str
    text: str


def _reasons(where: str, trials: Sequence[Trial], shared: Container[Reason]) -> list[_Found]:
    """Return the reasons that not every run has, as reasons_by_trials does."""
    all_ = len(trials)
    return [
        _Found(
            one.level,
            one.check,
            f"{where}{f' ({count} of {all_} trials)' if all_ > 1 else ''}: {one.text}",
        )
        for one, count in reasons_by_trials(
            Verdict(tuple(one for one in trial.verdict.reasons if one not in shared))
            for trial in trials
        )
    ]


def _notes(analysis: Analysis, found: Sequence[_Found]) -> list[str]:
    """Return the notes: for each check the first _NOTES and the number of others.

    Effects of the order of trials are included.
    """
    counts: Counter[str] = Counter()
    notes = []
    for one in found:
        if one.check == "refused":  # the tables have it in a column, as a median
            continue
        counts[one.check] += 1
        if counts[one.check] <= _NOTES:
            notes.append(one.text)
    notes += [
        f"{analysis.format_series(cell.cell)} at {cell.cell.format_level()}: {effect}"
        for cell in analysis.cells
        for effect in order_effects(cell, len(analysis.cells))
    ]
    notes += [
        f"{check}: {format_count(count - _NOTES, 'more note')} like these"
        for check, count in counts.items()
        if count > _NOTES
    ]
    return notes

"""Tables for people: an experiment's cells, what they are worth, where their time went."""

from collections import Counter
from collections.abc import Sequence
from statistics import median
from typing import TYPE_CHECKING

from bench.analysis.analyse import Analysis
from bench.analysis.bottleneck import bottleneck
from bench.analysis.cells import CellSummary, Series, Trial, best_cells, knee, order_effects
from bench.analysis.comparison import compare_neighbours
from bench.analysis.inference import LEAST_TRIALS
from bench.analysis.quantiles import BEYOND
from bench.analysis.validity import Level
from bench.program import PROGRAM
from bench.report.tables import LEVEL_COLOURS, errors_shown, make_table, shown
from bench.results.environment import machine_shown, versions_shown
from bench.results.store import Store

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from bench.analysis.split import Part

_CEILINGS_APART = 0.15
_NOTES = 3


def print_report(
    store: Store, analysis: Analysis, console: "Console", *, show_all: bool, show_split: bool
) -> None:
    """What was asked, the best cell of each crawler or all cells, and what they are worth."""
    asked = analysis.experiment
    for line in (
        f"{store.path.parent}: {asked.format_plan()}; seed {asked.seed}; {store.created_utc()}",
        f"{machine_shown(store.environment())}; {versions_shown(analysis.runs)}",
    ):
        console.print(line, soft_wrap=True, markup=False)
    for resumed in store.environment().get("resumed", []):
        different = "; ".join(resumed["different"]) or "nothing had changed"
        console.print(
            f"interrupted, and resumed {resumed['at_utc']}: {different}",
            soft_wrap=True,
            markup=False,
        )
    best = best_cells(analysis.cells)
    chosen = list(analysis.cells) if show_all else _best_or_failed(analysis, best)
    title = (
        "All cells; medians over their trials"
        if show_all
        else "The cell of most throughput of each crawler; medians over its trials"
    )
    console.print(_cells_table(title, chosen, analysis))
    if show_split:
        console.print(_split_table(chosen, analysis))
    console.print(_limits_table(analysis, chosen))
    for line in (*_ceiling_lines(analysis), *_differences(analysis)):
        console.print(line, soft_wrap=True, markup=False)
    missing = store.runs_asked() - len(store.runs())
    if missing:
        console.print(f"{missing} of the runs asked for were not done", soft_wrap=True)
    _print_reasons(analysis, console)


def _best_or_failed(analysis: Analysis, best: dict[Series, CellSummary]) -> list[CellSummary]:
    """Of each series its best cell; its first if none came to anything."""
    first: dict[Series, CellSummary] = {}
    for cell in analysis.cells:
        first.setdefault(Series.of(cell.cell), cell)
    return [best.get(series, cell) for series, cell in first.items()]


def _spread_shown(cell: CellSummary, low: float, high: float) -> str:
    if len(cell.rates) == 1:
        return "-"
    return f"{_rate_shown(low)}-{_rate_shown(high)}" + (" unstable" if cell.is_unstable else "")


def _cells_table(title: str, cells: Sequence[CellSummary], analysis: Analysis) -> "Table":
    has_intervals = bool(cells) and all(cell.interval for cell in cells)
    spread = "95 %" if has_intervals else "min-max"
    table = make_table(
        title,
        (
            *("crawler", "requests/s", spread, "at C", "in flight", "efficiency", "p50 ms"),
            *("p99 ms", "CPU us", "peak MB", "conn."),
        ),
        ("errors", "verdict"),
        ("95 %: interval of the median. " if has_intervals else "")
        + "in flight: mean/peak at the server. p50, p99: service time (closed loop); p99 of trials "
        f"with at least {100 * BEYOND} requests. CPU us: of the client per request, its start "
        "included. conn.: connections per request.",
    )
    from rich.markup import escape

    for cell in cells:
        if not cell.measured:
            blank = ["-"] * (len(table.columns) - 4)
            at = str(cell.cell.concurrency)
            name = escape(analysis.series_shown(cell.cell))
            table.add_row(name, *blank[:2], at, *blank[2:], "-", _verdict_shown(cell))
            continue
        rate, low, high = cell.requests_per_s
        if has_intervals and cell.interval:
            low, high = cell.interval.low, cell.interval.high
        connections = cell.median_of("connections")
        requests = cell.median_of("requests")
        in_flight = [one.in_flight for one in cell.measured if one.in_flight]
        mean, peak = (
            median([getattr(one, name) for one in in_flight]) if in_flight else None
            for name in ("mean", "peak")
        )
        table.add_row(
            escape(analysis.series_shown(cell.cell)),
            _rate_shown(rate),
            _spread_shown(cell, low, high),
            str(cell.cell.concurrency),
            f"{shown(mean, '.1f')}/{shown(peak, '.0f')}",
            shown(cell.median_of("efficiency"), ".3f"),
            shown(cell.median_of("p50_ns"), ".1f", 1e6),
            shown(cell.median_of("p99_ns"), ".1f", 1e6),
            shown(cell.median_of("cpu_us_per_request"), ".0f"),
            shown(cell.median_of("peak_memory_bytes"), ".0f", 1e6),
            "-" if connections is None or not requests else f"{connections / requests:.3f}",
            errors_shown(cell.errors),
            _verdict_shown(cell),
        )
    return table


def _rate_shown(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"


def _verdict_shown(cell: CellSummary) -> str:
    """The cell's, and how many of its trials have a worse one, or the same if not all."""
    levels = [trial.verdict.level for trial in cell.trials]
    worst = max(levels)
    count = levels.count(worst)
    of_all = f" ({count} of {len(levels)} {worst.name})" if worst and count < len(levels) else ""
    return f"[{LEVEL_COLOURS[cell.level.name]}]{cell.level.name}[/]{of_all}"


def _split_table(cells: Sequence[CellSummary], analysis: Analysis) -> "Table":
    table = make_table(
        "Where the time of a request goes, in ms: medians and p99 (of the median trial)",
        (
            "crawler",
            "at C",
            "to server",
            "p99",
            "delay",
            "p99",
            "late",
            "p99",
            "back",
            "p99",
            "lag",
        ),
        caption="to server: client, network and the server's queue. late: the server's, after the "
        "delay. back: network and client. lag: of the server's event loop, at the worst.",
    )
    from rich.markup import escape

    for cell in cells:
        trial = cell.median_trial()
        split = trial.summary.split if trial is not None and trial.summary is not None else None
        if trial is None or trial.summary is None or split is None:
            continue
        server = trial.summary.server
        parts: list[str] = []
        for part in (split.to_server, split.delay, split.late, split.back):
            parts += _part_shown(part)
        table.add_row(
            escape(analysis.series_shown(cell.cell)),
            str(cell.cell.concurrency),
            *parts,
            shown(server.longest_lag_ns if server else None, ".1f", 1e6),
        )
    return table


def _part_shown(part: "Part") -> tuple[str, str]:
    return shown(part.p50_ns, ".2f", 1e6), shown(part.p99_ns, ".2f", 1e6)


def _limits_table(analysis: Analysis, cells: Sequence[CellSummary]) -> "Table":
    table = make_table(
        "What limits each crawler, and from where on more concurrency brings little",
        ("crawler", "at C", "knee at C"),
        ("limited by", "evidence (of the median trial)"),
        "knee: the smallest concurrency measured that reaches 95 % of the crawler's best.",
    )
    from rich.markup import escape

    for cell in cells:
        trial = cell.median_trial()
        if trial is None or trial.summary is None:
            continue
        limit = bottleneck(trial.summary, trial.verdict)
        series = Series.of(cell.cell)
        table.add_row(
            escape(analysis.series_shown(cell.cell)),
            str(cell.cell.concurrency),
            str(knee([one for one in analysis.cells if Series.of(one.cell) == series])),
            limit.word,
            escape(limit.evidence),
        )
    return table


def _ceiling_lines(analysis: Analysis) -> list[str]:
    rates = [
        trial.summary.requests_per_s for trial in analysis.ceilings if trial.summary is not None
    ]
    if not rates:
        return []
    run = analysis.ceilings[0].run
    when = "first and last" if len(rates) > 1 else "first"
    shown_rates = " and ".join(f"{rate:,.0f}" for rate in rates)
    apart = max(rates) / min(rates) - 1 if min(rates) else 0.0
    doubt = (
        f"; they differ by {apart:.0%}: the machine drifts, or something else ran"
        if apart > _CEILINGS_APART
        else ""
    )
    how = f"by {run.crawler} at C={run.concurrency} without delay"
    return [f"Ceiling of the server: {shown_rates} requests/s, {when}, {how}{doubt}"]


def _differences(analysis: Analysis) -> list[str]:
    """Between crawlers next to each other in throughput, where both went highest."""
    crawlers = {cell.cell.crawler for cell in analysis.cells if cell.measured}
    if len(crawlers) < 2:
        return []
    if analysis.experiment.trials < LEAST_TRIALS:
        too_few = f"too few trials ({analysis.experiment.trials})"
        return [f"Differences between crawlers: {too_few}; --trials {LEAST_TRIALS} and more tell"]
    found = compare_neighbours(analysis.cells)
    several = len(analysis.experiment.delays) > 1
    heading = "Each crawler against the next slower one: ratio (95 %), p adjusted for these lines"
    return [f"{heading}; {PROGRAM} compare has the other cells"] + [
        f"  {one.candidate} against {one.baseline} at C={one.concurrency}"
        f"{f', {one.delay}' if several else ''}: {one.result}"
        for one in found
    ]


def _print_reasons(analysis: Analysis, console: "Console") -> None:
    """How many runs are not VALID, then each reason once for a cell, with how many trials."""
    trials = [*analysis.ceilings, *(trial for cell in analysis.cells for trial in cell.trials)]
    doubtful = [trial for trial in trials if trial.verdict.level]
    if doubtful:
        checks = Counter(
            check
            for trial in doubtful
            for check in dict.fromkeys(one.check for one in trial.verdict.reasons if one.level)
        )
        counts = ", ".join(f"{check} {count}" for check, count in checks.most_common())
        console.print(
            f"{len(doubtful)} of {len(trials)} runs are not VALID: {counts} (docs/validity.md)",
            soft_wrap=True,
        )
    notes: Counter[str] = Counter()
    for cell in analysis.cells:
        where = f"{analysis.series_shown(cell.cell)} at {cell.cell.concurrency}"
        _print_trials(where, cell.trials, notes, console)
        for effect in order_effects(cell, len(analysis.cells)):
            console.print(f"note: {where}: {effect}", soft_wrap=True, markup=False)
    _print_trials("the server's ceiling", analysis.ceilings, notes, console)
    for check, count in notes.items():
        if count > _NOTES:
            console.print(f"note: {check}: {count - _NOTES} cells more like these", markup=False)


def _print_trials(
    where: str, trials: Sequence[Trial], notes: Counter[str], console: "Console"
) -> None:
    """Of notes, which are no fault, those of _NOTES cells for each check."""
    found: dict[tuple[Level, str], list[str]] = {}
    for trial in trials:
        for level, check in dict.fromkeys((one.level, one.check) for one in trial.verdict.reasons):
            texts = [
                one.text
                for one in trial.verdict.reasons
                if (one.level, one.check) == (level, check)
            ]
            found.setdefault((level, check), []).append("; ".join(texts))
    for (level, check), texts in sorted(found.items(), key=lambda item: -item[0][0]):
        if not level:
            notes[check] += 1
            if notes[check] > _NOTES:
                continue
        word = level.name if level else "note"
        share = f" ({len(texts)} of {len(trials)} trials)" if len(trials) > 1 else ""
        style = LEVEL_COLOURS[level.name] if level else None
        console.print(
            f"{word}: {where}{share}: {texts[0]}", soft_wrap=True, markup=False, style=style
        )

"""Formats the finding of an experiment: the few lines at the end of a command's output. Pure."""

from collections import Counter
from collections.abc import Container, Iterable, Sequence

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary, best_cells
from bench.analysis.comparison import (
    BETTER,
    TOO_FEW,
    WORSE,
    Neighbours,
    compare_neighbours,
)
from bench.analysis.inference import LEAST_TRIALS
from bench.analysis.validity import Level
from bench.plan.floor import FLOORS
from bench.report.open_loop import finding_of_open_loop, refused_share
from bench.wording import format_rate


def finding_of_sweep(analysis: Analysis) -> list[str]:
    """Say which crawler is fastest, whether the next one differs, and count the verdicts.

    With several delays there is a line for each.
    """
    trials = [*analysis.ceilings, *(trial for cell in analysis.cells for trial in cell.trials)]
    counts = verdict_counts(trial.verdict.level for trial in trials)
    if analysis.experiment.is_open:
        return [*(finding_of_open_loop(analysis) or ["No run has results."]), counts]
    best = best_cells(analysis.cells)
    neighbours = compare_neighbours(analysis.cells)
    several = len(analysis.experiment.requests_asked) > 1
    entrants = analysis.experiment.entrants
    floors = {one.label for one in entrants if one.crawler in FLOORS} | set(FLOORS)
    lines = []
    for request in dict.fromkeys(series.request for series in best):
        ranked = sorted(
            (
                cell
                for series, cell in best.items()
                if series.request == request and cell.level is not Level.INVALID
            ),
            key=lambda cell: -cell.requests_per_s[0],
        )
        at_delay = f"Delay {request}: " if several else ""
        if ranked:
            chosen = [cell for cell in ranked if cell.cell.crawler not in floors]
            line = (
                f"{at_delay}{_fastest((chosen or ranked)[0])}{_next(chosen or ranked, neighbours)}."
            )
            lines.append(line + (_floor(ranked, floors) if chosen else ""))
        else:
            lines.append(f"{at_delay}every crawler has INVALID runs, so none is the fastest.")
    if not lines:
        lines = ["No run has results."]
    return [*lines, counts]


def verdict_counts(levels: Iterable[Level]) -> str:
    """Return `152 runs: 116 VALID, 36 SUSPECT.`"""
    counts = Counter(levels)
    runs = sum(counts.values())
    words = ", ".join(f"{counts[level]} {level.name}" for level in Level if counts[level])
    return f"{runs} run{'' if runs == 1 else 's'}: {words}." if runs else "0 runs."


def _fastest(cell: CellSummary) -> str:
    """Return `a has the highest throughput: 962 requests/s at 100 (95 % interval 944-986)`."""
    name, rate = cell.cell.crawler, format_rate(cell.requests_per_s[0])
    text = f"{name} has the highest throughput: {rate} requests/s at {cell.cell.concurrency}"
    if cell.interval is not None:
        low, high = format_rate(cell.interval.low), format_rate(cell.interval.high)
        text += f" (95 % interval {low}-{high})"
    if cell.median_of("refused"):
        text += f", with {refused_share(cell)} of the requests refused"
    if cell.level is not Level.VALID:
        text += f", {cell.level.name}"
    return text


def _floor(ranked: Sequence[CellSummary], floors: Container[str]) -> str:
    """Return how far the floor crawler gets, with which nobody would crawl; "" without one."""
    for cell in ranked:
        if cell.cell.crawler in floors:
            rate = format_rate(cell.requests_per_s[0])
            return f" The floor crawler, {cell.cell.crawler}, reaches {rate}."
    return ""


def _next(ranked: Sequence[CellSummary], neighbours: Sequence[Neighbours]) -> str:
    """Describe the second fastest crawler; "" if there is none."""
    if len(ranked) < 2:
        return ""
    first, second = (cell.cell for cell in ranked[:2])
    rate = format_rate(ranked[1].requests_per_s[0])
    text = f"; {second.crawler} is next: {rate} at {second.concurrency}"
    for one in neighbours:
        if (one.candidate, one.baseline, one.cell.request) == (
            first.crawler,
            second.crawler,
            first.request,
        ):
            places = {first.concurrency, second.concurrency, one.cell.concurrency}
            at = f" at {one.cell.concurrency}" if len(places) > 1 else ""
            return text + _compared(one, at)
    return f"{text}, not compared"


def _compared(one: Neighbours, at: str) -> str:
    """Say whether two crawlers differ, at the highest concurrency at which both were measured."""
    result = one.result
    if result.verdict == TOO_FEW:
        return f", not tested for a difference (needs at least {LEAST_TRIALS} trials)"
    if result.verdict not in (BETTER, WORSE) or result.ratio is None:
        return f", {result.verdict}{at}"
    interval = result.interval
    around = f" (95 % interval {interval.low:.3f}-{interval.high:.3f})" if interval else ""
    text = f"{one.candidate} reaches {result.ratio:.3f} times the throughput of {one.baseline}"
    return f"; {text}{at}{around}"

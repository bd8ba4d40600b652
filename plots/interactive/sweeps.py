"""Figures of all cells of a sweep: metrics against concurrency, or in open loop against the rate.

They come twice: at once from the crawlers' own records, and from the analysis when it is ready.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary
from bench.plan.advice import ADVICE
from bench.plan.experiment import CELL, Cell, Experiment, RequestModel
from bench.plan.ideal import ideal_curve
from bench.results.reader import Outline
from bench.results.schema import RunRow
from plots.interactive.drawing import (
    NOT_CHECKED,
    Drawn,
    Guide,
    Line,
    Metric,
    Point,
    Spread,
    draw_lines,
)
from plots.looks import LineStyle, styles_of

THROUGHPUT = "requests_per_s"


class _Source(NamedTuple):
    """An attribute of RunSummary, and what it is divided by to be in the unit of its metric."""

    metric: Metric
    attribute: str
    unit: float = 1.0


_OF_CLOSED_LOOP = (
    _Source(Metric(THROUGHPUT, "throughput (good requests / s)"), "requests_per_s"),
    _Source(Metric("efficiency", "efficiency (ideal / measured time)"), "efficiency"),
    _Source(Metric("p50_ms", "service time p50 (ms)"), "p50_ns", 1e6),
    _Source(Metric("p99_ms", "service time p99 (ms)"), "p99_ns", 1e6),
)
_OF_OPEN_LOOP = (
    _Source(Metric("response_p50_ms", "response time p50 (ms)"), "response_p50_ns", 1e6),
    _Source(Metric("response_p99_ms", "response time p99 (ms)"), "response_p99_ns", 1e6),
    _Source(Metric("response_p999_ms", "response time p99.9 (ms)"), "response_p999_ns", 1e6),
    _Source(Metric(THROUGHPUT, "achieved (good requests / s)"), "requests_per_s"),
)
_OF_BOTH = (
    _Source(Metric("cpu_us", "CPU per request (µs)"), "cpu_us_per_request"),
    _Source(Metric("memory_mb", "peak memory (MB)"), "peak_memory_bytes", 1e6),
)
_ADDED = Metric("added_ms", "p50 of the service time less the delay (ms)")
_HOW_TO_READ = (
    "Each point is a cell: the median of its trials, with a line from the lowest to the highest."
)
_IDEAL = (
    " The dashed line joins the ideal at the same concurrencies: no time but the delays. Where it "
    "is far above what was measured, it leaves the figure."
)
_WHOLE_WAVES = (
    " A fixed number of requests is made in whole waves: from one concurrency to the next, the "
    "ideal rises only if that saves a wave."
)
_RECOMMENDED = " The vertical line is the recommendation, the concurrency of the answer."


def unchecked_figures(
    asked: Experiment, runs: Sequence[RunRow], outlines: Mapping[int, Outline]
) -> Iterator[Drawn]:
    """Yield the figures of cells as far as the crawlers' own records have them."""
    by_cell: dict[Cell, list[RunRow]] = {}
    for run in runs:
        if run.role == CELL and run.number in outlines and run.usage is not None:
            by_cell.setdefault(run.cell, []).append(run)
    points = {}
    for cell, own in by_cell.items():
        known = [(run.usage.cpu_ns, outlines[run.number]) for run in own if run.usage]
        values = {
            THROUGHPUT: spread_of([rate_per_s(outline) for _, outline in known]),
            "cpu_us": spread_of([cpu_ns / outline.fetches / 1e3 for cpu_ns, outline in known]),
        }
        points[cell] = Point(cell.level, _about(cell, len(own)), NOT_CHECKED, values)
    yield from _figures(asked, points)


def checked_figures(analysis: Analysis, recommended: int | None = None) -> Iterator[Drawn]:
    """Yield the figures of cells, with all metrics and with verdicts.

    The recommended concurrency, if there is one, is marked.
    """
    points = {one.cell: _checked(one) for one in analysis.cells if one.measured}
    yield from _figures(analysis.experiment, points, recommended)


def checked_lines(analysis: Analysis, label: str, styles: Mapping[str, LineStyle]) -> list[Line]:
    """Return a line for each crawler and what its requests ask for, `label` added to its name."""
    found: dict[str, list[CellSummary]] = {}
    for cell in analysis.cells:
        if cell.measured:
            found.setdefault(analysis.format_series(cell.cell), []).append(cell)
    return [
        Line(f"{name}{label}", styles[cells[0].cell.crawler], [_checked(cell) for cell in cells])
        for name, cells in found.items()
    ]


def metrics_of(asked: Experiment) -> tuple[Metric, ...]:
    """Return the metrics of cells, the most important one first."""
    return tuple(source.metric for source in _sources(is_open=asked.is_open))


def level_label(asked: Experiment) -> str:
    """Return what the cells of a series differ in."""
    return "offered rate (requests / s)" if asked.is_open else "concurrency (requests in flight)"


def rate_per_s(outline: Outline) -> float:
    """Return the good requests per second, by the crawler's own record."""
    return outline.good / max(1, outline.last_ns - outline.first_ns) * 1e9


def spread_of(values: Sequence[float]) -> Spread:
    """Return the median, the lowest and the highest of at least one value."""
    return Spread(median(values), min(values), max(values))


def _sources(*, is_open: bool) -> tuple[_Source, ...]:
    return (*(_OF_OPEN_LOOP if is_open else _OF_CLOSED_LOOP), *_OF_BOTH)


def _checked(summary: CellSummary) -> Point:
    cell = summary.cell
    values = {}
    for source in _sources(is_open=cell.rate is not None):
        found = [getattr(one, source.attribute) for one in summary.measured]
        known = [one / source.unit for one in found if one is not None]
        if known:
            values[source.metric.key] = spread_of(known)
    if "p50_ms" in values and cell.delay.is_fixed:
        delay_ms, of = cell.delay.mean_us / 1e3, values["p50_ms"]
        values[_ADDED.key] = Spread(of.value - delay_ms, of.low - delay_ms, of.high - delay_ms)
    return Point(cell.level, _about(cell, len(summary.measured)), summary.level.name, values)


def _figures(
    asked: Experiment, points: Mapping[Cell, Point], recommended: int | None = None
) -> Iterator[Drawn]:
    """Yield a figure for each delay, or one against the delay if there is but one level."""
    styles = styles_of(asked.crawlers)
    requests = list(dict.fromkeys(cell.request for cell in points))
    levels = {cell.level for cell in points}
    if len(levels) == 1 and len(requests) > 1:
        lines = _lines(points, styles, by_delay=True)
        ticks = sorted({cell.delay.mean_us / 1e3 for cell in points})
        metrics = (_ADDED, *metrics_of(asked))
        drawn = draw_lines(
            "cells", "Cells against the delay", lines, metrics, "mean delay (ms)",
            ticks=ticks, x_name="delay", how_to_read=_HOW_TO_READ,
        )  # fmt: skip
        yield from [drawn] if drawn else []
        return
    for rank, request in enumerate(requests):
        own = {cell: point for cell, point in points.items() if cell.request == request}
        guides = _guides(asked, request, own)
        several = len(requests) > 1
        drawn = draw_lines(
            f"cells-{rank}" if several else "cells",
            f"{'Cells against the rate' if asked.is_open else 'Cells against concurrency'}"
            f"{f', delay {request}' if several else ''}",
            _lines(own, styles),
            metrics_of(asked),
            level_label(asked),
            guides=guides,
            ticks=sorted({cell.level for cell in own}),
            axes={
                "x": "log" if asked.kind == ADVICE else "linear",
                "y": "log" if asked.is_open else "linear",
            },
            x_name="rate" if asked.is_open else "concurrency",
            marked=(recommended, f"recommended: {recommended:,}") if recommended else None,
            how_to_read=_HOW_TO_READ
            + _IDEAL * bool(guides)
            + _WHOLE_WAVES * bool(guides and asked.requests)
            + _RECOMMENDED * bool(recommended),
        )
        yield from [drawn] if drawn else []


def _lines(
    points: Mapping[Cell, Point], styles: Mapping[str, LineStyle], *, by_delay: bool = False
) -> list[Line]:
    found: dict[str, list[Point]] = {}
    for cell, point in points.items():
        if by_delay:
            about = f"{cell.request}, {point.about.partition(', ')[2]}"
            point = replace(point, x=cell.delay.mean_us / 1e3, about=about)
        found.setdefault(cell.crawler, []).append(point)
    return [
        Line(name, styles[name], sorted(found[name], key=lambda point: point.x))
        for name in styles
        if name in found
    ]


def _guides(asked: Experiment, request: RequestModel, cells: Iterable[Cell]) -> list[Guide]:
    """Return the ideal client's throughput and efficiency, where they are known."""
    if not asked.knows_delays:
        return []
    measured = sorted({cell.concurrency for cell in cells})
    curve = ideal_curve(asked, request.delay, max(measured, default=1))
    if not curve.concurrencies:
        return []
    # As what was measured, it is known at these concurrencies, and lines between them are straight.
    at = [one for one in measured if one >= curve.concurrencies[0]]
    rates = np.interp(at, curve.concurrencies, curve.good_per_s).tolist()
    return [Guide("ideal", at, {THROUGHPUT: rates, "efficiency": [1.0] * len(at)})]


def _about(cell: Cell, trials: int) -> str:
    return f"{cell.format_level()}, {trials} trial{'' if trials == 1 else 's'}"

"""time-vs-concurrency.png: the time to make N requests, against concurrency.

There is one panel per crawler with one line per delay; or, if there is only one delay, a single
panel with one line per crawler.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary, best_cells, knee
from bench.analysis.inference import Interval
from bench.plan.delays import Delay
from bench.plan.experiment import Experiment
from bench.plan.ideal import ideal_curve
from plots.lines import Point, Shape, draw_line, marker_legend, name_ends, plan_and_spread
from plots.looks import FAILED, GREY, LineStyle, styles_of
from plots.scenes import Drawn, SweepScene
from plots.style import (
    add_axes_title,
    add_small_print,
    add_title,
    new_figure,
    spread_ticks,
    styles_of_delays,
)
from plots.words import format_ideal, format_interval, rate

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCALED_TO = 1000
"""If runs differ in their number of requests, times are scaled to this many requests."""


_X_LABEL = "concurrency asked for"
_CHAPTER_CONCURRENCY = 100
"""The concurrency of every crawler in the chapter. Its figure has a mark there, too."""
_MARK_LABEL = f"{_CHAPTER_CONCURRENCY}, as in the book"
_MARK: dict[str, Any] = {"color": FAILED, "linewidth": 1.2, "alpha": 0.5, "zorder": 1}
_IDEAL: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "zorder": 2}

_HOW_TO_READ = (
    "Lower is better; the axis is logarithmic. The thin line is the ideal, no time but the delays "
    "and what the service adds. Where a crawler's line leaves it, the crawler's own work has "
    "become the limit; where it is flat, more concurrency gains nothing. Between measured points, "
    "lines follow the ideal."
)

_WITHOUT_DELAYS = (
    "Lower is better; the axis is logarithmic. Where a line is flat, more concurrency gains "
    "nothing."
)


def draw(scene: SweepScene) -> Drawn | None:
    """Draw time-vs-concurrency.png. Returns None if nothing was measured."""
    figure = time_figure(scene.analysis, scene.small_print)
    if figure is None:
        return None
    heading = "Time against concurrency"
    finding = findings(scene.analysis)
    is_known = scene.analysis.experiment.knows_delays
    how_to_read = _HOW_TO_READ if is_known else _WITHOUT_DELAYS
    return Drawn("time-vs-concurrency", heading, figure, how_to_read, finding)


def time_figure(analysis: Analysis, small_print: str) -> Figure | None:
    """Return a figure of the median time over the trials, with min to max.

    The gids of lines are `CRAWLER` or `CRAWLER DELAY`, and `ideal DELAY`. The ideal is thin,
    because with a fixed number of requests it is a sawtooth: the last wave is seldom full. Lines
    between points have the gid `CRAWLER between` and follow the ideal. Returns None if nothing was
    measured.
    """
    asked = analysis.experiment
    by_crawler = analysis.by_crawler()
    if not by_crawler:
        return None
    figure = new_figure()
    if len(asked.delays) == 1:
        axes = figure.add_subplot()
        _draw_panel(axes, asked, by_crawler, styles_of(asked.crawlers))
        handles = marker_legend([cell.level for cells in by_crawler.values() for cell in cells])
        handles = [*_line_handles(asked), *handles]
        if handles:  # the legend is below the ideal, where no line can be
            axes.legend(handles=handles, loc="lower left", fontsize=9)
        add_axes_title(axes, *_title(asked))
    else:
        _draw_panels(figure, asked, by_crawler)
        add_title(figure, *_title(asked))
    has_ideal = not all(delay.is_none for delay in asked.delays)
    guide = "the ideal" if has_ideal else "a power of the concurrency"
    add_small_print(figure, f"{small_print}; between points, lines follow {guide}")
    return figure


def _draw_panels(
    figure: Figure, asked: Experiment, by_crawler: Mapping[str, Sequence[CellSummary]]
) -> None:
    """Draw one panel per crawler, with one line per delay."""
    columns = min(3, len(by_crawler))
    rows = -(-len(by_crawler) // columns)
    figure.set_size_inches(max(9.6, 4.8 * columns), max(6.0, 3.6 * rows + 1))
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    panels = list(grid.flat)
    styles = styles_of_delays(asked.delays)
    levels = []
    for panel, (name, cells) in zip(panels, by_crawler.items(), strict=False):
        lines: dict[str, list[CellSummary]] = {}
        for cell in cells:
            lines.setdefault(str(cell.cell.delay), []).append(cell)
        _draw_panel(panel, asked, lines, styles, f"{name} ")
        levels += [cell.level for cell in cells]
        panel.set_title(name, fontsize=12)
        panel.label_outer()
    for unused in panels[len(by_crawler) :]:
        unused.remove()
    for lowest in panels[max(0, len(by_crawler) - columns) : len(by_crawler)]:
        lowest.set_xlabel(_X_LABEL)
        lowest.tick_params(labelbottom=True)
    handles = [*_line_handles(asked), *marker_legend(levels)]
    # Next to the title, which is long: one column.
    figure.legend(handles=handles, loc="upper right", fontsize=9)


def _draw_panel(
    axes: Axes,
    asked: Experiment,
    lines: Mapping[str, Sequence[CellSummary]],
    styles: Mapping[str, LineStyle],
    prefix: str = "",
) -> None:
    concurrencies = sorted({cell.cell.concurrency for cells in lines.values() for cell in cells})
    most = max(concurrencies)
    if _has_mark(asked):
        axes.axvline(_CHAPTER_CONCURRENCY, gid="mark", **_MARK)
    for delay in dict.fromkeys(cell.cell.delay for cells in lines.values() for cell in cells):
        at, seconds = ideal_s(asked, delay, most)
        if len(at):
            colour = styles[str(delay)].colour if prefix else GREY
            axes.plot(at, seconds, gid=f"ideal {delay}", **_IDEAL | {"color": colour})
    last = {}
    for name, cells in lines.items():
        points = [point for cell in cells if (point := _point(cell, asked)) is not None]
        if points:
            shape = _shape(asked, cells[0].cell.delay, most)
            draw_line(axes, prefix + name, styles[name], points, shape)
            last[name] = points[-1]
    axes.set_yscale("log")
    axes.set_xlim(0, most * 1.02)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(spread_ticks(concurrencies, 0.08 if prefix else 0.045))
    axes.set_xlabel(_X_LABEL)
    axes.set_ylabel(f"time to fetch {asked.requests or SCALED_TO:,} requests (s)")
    axes.autoscale_view()
    name_ends(axes, last, styles)


def _has_mark(asked: Experiment) -> bool:
    """Return whether the question is the chapter's: which C for a fixed number of requests?"""
    at = asked.concurrencies
    return bool(asked.requests) and min(at) < _CHAPTER_CONCURRENCY < max(at)


def _line_handles(asked: Experiment) -> list[Line2D]:
    """Return the entries of the legend for the ideal and for the mark, where they are drawn."""
    handles = []
    most = max(asked.concurrencies)
    if any(ideal_curve(asked, delay, most).concurrencies for delay in asked.delays):
        handles.append(Line2D([], [], label=format_ideal(asked), **_IDEAL))
    if _has_mark(asked):
        handles.append(Line2D([], [], label=_MARK_LABEL, **_MARK))
    return handles


def _title(asked: Experiment) -> tuple[str, str]:
    n = asked.requests or SCALED_TO
    scaled = "" if asked.requests else " (scaled)"
    return f"Time to fetch {n:,} requests{scaled} against concurrency", plan_and_spread(asked)


def _shape(asked: Experiment, delay: Delay, most: int) -> Shape:
    """Return the ideal; without one, a shape that lets lines follow powers of concurrency."""
    at, seconds = ideal_s(asked, delay, most)
    if len(at):
        return Shape(at, seconds)
    at = np.arange(1, most + 1)
    return Shape(at, np.ones(len(at)))


def _point(cell: CellSummary, asked: Experiment) -> Point | None:
    """Return the point for the runs in which every request was good, or None if there are none."""
    whole = [one for one in cell.measured if one.good and not one.errors]
    if not whole:
        return None
    if asked.requests:
        seconds = sorted(one.makespan_ns / 1e9 for one in whole)
    else:
        seconds = sorted(SCALED_TO / one.requests_per_s for one in whole)
    middle = float(np.median(seconds))
    at = cell.cell.concurrency
    return Point(at, at, middle, seconds[0], seconds[-1], cell.level)


def ideal_s(
    asked: Experiment, delay: Delay, most: int
) -> "tuple[NDArray[np.int64], NDArray[np.float64]]":
    """Return concurrencies from 1 to `most`, and the ideal time at each, in seconds.

    It is that of `requests`, or of SCALED_TO requests if runs differ in their number. Both arrays
    are empty if there is none; see bench.plan.ideal.ideal_curve.
    """
    curve = ideal_curve(asked, delay, most)
    at = np.array(curve.concurrencies, dtype=np.int64)
    return at, (asked.requests or SCALED_TO) / np.array(curve.good_per_s, dtype=float)


def findings(analysis: Analysis) -> str:
    """Say how much time concurrency saves, for each series."""
    asked = analysis.experiment
    n = asked.requests or SCALED_TO
    texts = []
    for series, best in best_cells(analysis.cells).items():
        cells = [
            cell
            for cell in analysis.cells
            if (cell.cell.crawler, cell.cell.request) == series and cell.measured
        ]
        name = analysis.format_series(best.cell)
        first = cells[0]
        text = f"{name}: {_seconds_at(best, n)}"
        if best is not first:
            text += f", {n / max(rate(first), 1e-9):.3g} s at {first.cell.concurrency}"
        at = knee(cells).exact
        if at is not None and at != best.cell.concurrency:
            text += f", 95 % of that rate from {at} on"
        texts.append(text)
    return f"Time for {n:,} requests. {'; '.join(texts)}."


def _seconds_at(cell: CellSummary, requests: int) -> str:
    """Return `1.02 s at 100 (95 % interval 1.01 to 1.05)`."""

    def seconds(per_s: float) -> str:
        return f"{requests / max(per_s, 1e-9):.3g}"

    rates = cell.interval
    times = rates and Interval(rates.high, rates.low, rates.coverage)
    at = cell.cell.concurrency
    return f"{seconds(rate(cell))} s at {at}{format_interval(times, seconds)}"

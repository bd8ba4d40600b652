"""efficiency.png: ideal makespan / measured makespan, against concurrency."""

from math import log, log10
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, StrMethodFormatter

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary
from bench.plan.ideal import is_bound
from plots.lines import (
    Point,
    draw_line,
    marker_legend,
    name_ends,
    plan_and_spread,
    set_apart,
)
from plots.looks import GREY, styles_of
from plots.scenes import DelayScene, Drawn
from plots.style import add_axes_title, add_small_print, new_figure, spread_ticks_log
from plots.words import format_ideal, lowest_and_highest

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NEAR = 0.01
"""Distance from 0 and from 100 % within which the axis is linear. In between it is log odds."""
_TICKS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0, 1.02, 1.05)
_HEIGHT_OF_1 = log10((1 + _NEAR) / _NEAR)
_SLOPE = (1 / (1 + _NEAR) + 1 / _NEAR) / log(10)
"""The slope of the axis at 1, which it keeps above: an ideal that is no bound may be beaten."""


_HOW_TO_READ = (
    "Higher is better: the ideal makespan, which is that of the delays and of what the service "
    "adds, as a share of the measured one. A crawler at 100 % adds no time at all; opening its "
    "connections counts too. The axis is stretched near 0 and 100 %, so that crawlers that "
    "coincide elsewhere are apart. Where requests wait for each other in the service, overhead "
    "changes their order, so that an honest crawler may exceed 100 % by a little."
)


def draw(scene: DelayScene) -> Drawn | None:
    """Draw efficiency.png. Returns None for a delay of 0."""
    figure = efficiency_figure(scene.analysis, scene.small_print)
    if figure is None:
        return None
    heading = f"Efficiency{scene.title}"
    finding = findings(scene.analysis)
    return Drawn(f"efficiency{scene.suffix}", heading, figure, _HOW_TO_READ, finding)


def efficiency_figure(analysis: Analysis, small_print: str) -> Figure | None:
    """Return a figure with one line per crawler: medians over the trials, with min to max.

    The gid of each line is the crawler's name. Points of different crawlers are shifted sideways a
    little, so that none hides another. Returns None for a delay of 0, which has no ideal makespan.
    """
    lines = {
        name: [cell for cell in cells if _efficiencies(cell)]
        for name, cells in analysis.by_crawler().items()
    }
    lines = {name: cells for name, cells in lines.items() if cells}
    if not lines:
        return None
    figure = new_figure()
    axes = figure.add_subplot()
    styles = styles_of(analysis.experiment.crawlers)
    last = {}
    shifts = set_apart(lines)
    for name, cells in lines.items():
        shift = shifts[name]
        points = [_point(cell, shift) for cell in cells]
        draw_line(axes, name, styles[name], points)
        last[name] = points[-1]
    asked = sorted({cell.cell.concurrency for cells in lines.values() for cell in cells})
    every = [point for cells in lines.values() for cell in cells for point in _efficiencies(cell)]
    is_one = is_bound(analysis.experiment.service, max(asked), analysis.experiment.is_open)
    axes.axhline(1, color=GREY, linestyle="--", linewidth=1.3, gid="ideal", zorder=2)
    axes.annotate(
        format_ideal(analysis.experiment) + ("" if is_one else " (a reference, and no bound)"),
        (0.995, 1),
        xycoords=("axes fraction", "data"),
        xytext=(0, -4),
        textcoords="offset points",
        ha="right",
        va="top",
        color=GREY,
        fontsize=10,
    )
    axes.set_xscale("log")
    axes.set_xlim(min(asked) * 0.8, max(asked) * 1.2)
    axes.set_yscale("function", functions=(stretched, unstretched))
    axes.set_ylim(max(0.0, min(0.9, min(every) - 0.05)), max(1.001, max(every) + 0.001))
    name_ends(axes, last, styles, offset=(30, -60))
    if handles := marker_legend([cell.level for cells in lines.values() for cell in cells]):
        axes.legend(handles=handles, loc="lower left", fontsize=10)
    axes.xaxis.set_major_locator(FixedLocator(spread_ticks_log(asked)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_major_locator(FixedLocator(_TICKS))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    axes.set_xlabel("concurrency asked for (crawlers are drawn side by side)")
    axes.set_ylabel("efficiency: ideal / measured makespan")
    add_axes_title(axes, "Efficiency against concurrency", plan_and_spread(analysis.experiment))
    add_small_print(figure, small_print)
    return figure


def stretched(efficiency: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Map shares to heights on the axis, which is stretched near 0 and 1, and even above 1."""
    share = np.clip(efficiency, 0, 1)
    beyond = np.maximum(efficiency - 1, 0) * _SLOPE
    return np.asarray(np.log10((share + _NEAR) / (1 - share + _NEAR)) + beyond)


def unstretched(height: "NDArray[np.float64]") -> "NDArray[np.float64]":
    """Map heights on the axis back to shares: the inverse of `stretched`."""
    odds = 10.0 ** np.minimum(height, _HEIGHT_OF_1)
    beyond = np.maximum(height - _HEIGHT_OF_1, 0) / _SLOPE
    return np.asarray((odds * (1 + _NEAR) - _NEAR) / (1 + odds) + beyond)


def _efficiencies(cell: CellSummary) -> list[float]:
    return [one.efficiency for one in cell.measured if one.efficiency is not None]


def _point(cell: CellSummary, shift: float) -> Point:
    values = _efficiencies(cell)
    at = cell.cell.concurrency
    return Point(at, at * shift, median(values), min(values), max(values), cell.level)


def findings(analysis: Analysis) -> str:
    """Say which crawlers have the lowest and highest efficiency at the highest concurrency."""
    most = max(cell.cell.concurrency for cell in analysis.cells)
    cells = [cell for cell in analysis.cells if cell.cell.concurrency == most]
    said = lowest_and_highest(
        cells, "efficiency", "throughput", lambda value: f"{100 * value:.1f} %"
    )
    if not said:
        return "No run at the highest concurrency has an efficiency."
    return f"Efficiency at {most}: {said}."

"""efficiency.png: the ideal makespan over the measured one, against concurrency. Rows -> Figure."""

from statistics import median

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, PercentFormatter, StrMethodFormatter

from bench.analysis import Analysis
from bench.cells import CellSummary
from plots.lines import Point, draw_line, marker_legend, name_ends, plan_and_spread
from plots.scenes import DelayScene, Drawn
from plots.style import GREY, add_small_print, new_figure, spread_ticks_log, styles_of
from plots.words import from_to

_APART = 0.02
"""Of the concurrency: how far two crawlers are set apart sideways, so that both are seen."""


_HOW_TO_READ = (
    "The share of the makespan that the delays alone would have taken: 100 % is a crawler "
    "that costs no time at all. Opening the connections is part of the rest."
)


def draw(scene: DelayScene) -> Drawn | None:
    """efficiency.png; None without a delay."""
    figure = efficiency_figure(scene.analysis, scene.small_print)
    if figure is None:
        return None
    heading = f"Efficiency{scene.title}"
    finding = findings(scene.analysis)
    return Drawn(f"efficiency{scene.suffix}", heading, figure, _HOW_TO_READ, finding)


def efficiency_figure(analysis: Analysis, small_print: str) -> Figure | None:
    """Medians with min to max over the trials; a line a crawler, with its name as gid.

    Crawlers are set apart a little sideways. None without a delay: there is no ideal then.
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
    for rank, (name, cells) in enumerate(lines.items()):
        shift = 1 + _APART * (rank - (len(lines) - 1) / 2)
        points = [_point(cell, shift) for cell in cells]
        draw_line(axes, name, styles[name], points)
        last[name] = points[-1]
    asked = sorted({cell.cell.concurrency for cells in lines.values() for cell in cells})
    lowest = min(
        point for cells in lines.values() for cell in cells for point in _efficiencies(cell)
    )
    axes.axhline(1, color=GREY, linestyle="--", linewidth=1.3, gid="ideal", zorder=2)
    axes.annotate(
        "ideal: the delays alone",
        (0.995, 1),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="right",
        color=GREY,
        fontsize=10,
    )
    axes.set_xscale("log")
    axes.set_xlim(min(asked) * 0.8, max(asked) * 1.2)
    axes.set_ylim(max(0.0, min(0.9, lowest - 0.05)), 1.04)
    name_ends(axes, last, styles, beside=(30, -60))
    if handles := marker_legend([cell.level for cells in lines.values() for cell in cells]):
        axes.legend(handles=handles, loc="lower left", fontsize=10)
    axes.xaxis.set_major_locator(FixedLocator(spread_ticks_log(asked)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("concurrency asked for (crawlers are set apart sideways, to be seen)")
    axes.set_ylabel("efficiency: ideal / measured makespan")
    axes.set_title(
        f"Efficiency against concurrency\n{plan_and_spread(analysis.experiment)}",
    )
    add_small_print(figure, small_print)
    return figure


def _efficiencies(cell: CellSummary) -> list[float]:
    return [one.efficiency for one in cell.measured if one.efficiency is not None]


def _point(cell: CellSummary, shift: float) -> Point:
    values = _efficiencies(cell)
    at = cell.cell.concurrency
    return Point(at, at * shift, median(values), min(values), max(values), cell.level)


def findings(analysis: Analysis) -> str:
    """From whom to whom it goes at the highest concurrency."""
    most = max(cell.cell.concurrency for cell in analysis.cells)
    shares = {
        cell.cell.crawler: share
        for cell in analysis.cells
        if cell.cell.concurrency == most and (share := cell.median_of("efficiency")) is not None
    }
    return from_to(shares, lambda value: f"{value:.1%}", f"At {most} efficiency goes") or (
        "Not one run at the highest concurrency has an efficiency."
    )

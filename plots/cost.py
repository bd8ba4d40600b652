"""cost.png: CPU a request and peak memory, as multiples of the floor crawler's. Rows -> Figure."""

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary
from bench.plan.floor import cost_unit
from plots.style import (
    GREY,
    LineStyle,
    add_small_print,
    add_title,
    marker_of,
    new_figure,
    styles_of,
)

_ROOM = 1.5
"""Of the axis to the longest bar, in logarithms."""


class _Cost(NamedTuple):
    title: str
    attribute: str
    per_unit: float
    unit: str


_COSTS = (
    _Cost("CPU of a request", "cpu_us_per_request", 1.0, "us"),
    _Cost("peak memory of the process", "peak_memory_bytes", 1e6, "MB"),
)


def times_floor(cell: CellSummary, analysis: Analysis, attribute: str) -> float | None:
    """Of an attribute: the multiple of the floor crawler's at the same delay and concurrency."""
    beside = {
        one.cell.crawler: one
        for one in analysis.cells
        if one.measured
        and (one.cell.delay, one.cell.concurrency) == (cell.cell.delay, cell.cell.concurrency)
    }
    floor = cost_unit(beside)
    unit = beside[floor].median_of(attribute) if floor else None
    value = cell.median_of(attribute)
    return value / unit if value is not None and unit else None


def cost_figure(
    cells: Mapping[str, CellSummary], asked: Analysis, small_print: str
) -> Figure | None:
    """A row a crawler, of the cell given for each; medians over the trials.

    Points have `CRAWLER cpu_us_per_request` and so on as gid. None if nothing was measured.
    """
    if not cells:
        return None
    floor = cost_unit(cells)
    figure = new_figure()
    figure.set_size_inches(11.0, 1.9 + 0.42 * len(cells))
    styles = styles_of(asked.experiment.crawlers)
    axes = figure.subplots(1, 2, sharey=True)
    for panel, cost in zip(axes, _COSTS, strict=True):
        _draw(panel, cells, cost, asked, styles)
    axes[0].set_yticks(range(len(cells)))
    axes[0].set_yticklabels(
        [f"{name} (at {cell.cell.concurrency})" for name, cell in cells.items()]
    )
    axes[0].set_ylim(len(cells) - 0.5, -0.5)
    multiples = (
        f"multiples of {floor} at the same C"
        if floor
        else "no floor crawler was measured with them"
    )
    add_title(figure, f"What a crawler costs: {multiples}", asked.experiment.plan_shown())
    add_small_print(figure, f"{small_print}; the CPU of starting the crawl included")
    return figure


def _draw(
    panel: Axes,
    cells: Mapping[str, CellSummary],
    cost: _Cost,
    analysis: Analysis,
    styles: Mapping[str, LineStyle],
) -> None:
    floor = cost_unit(cells)
    shown = []
    for row, (name, cell) in enumerate(cells.items()):
        value = cell.median_of(cost.attribute)
        if value is None:
            continue
        absolute = f"{value / cost.per_unit:,.0f} {cost.unit}"
        at = times_floor(cell, analysis, cost.attribute) if floor else value / cost.per_unit
        if at is None:  # the floor was not measured at its concurrency
            panel.text(1, row, f"  {absolute}", va="center", fontsize=10)
            continue
        style = styles[name]
        if floor:
            panel.plot([1, at], [row, row], color=style.colour, linewidth=3, alpha=0.5)
        panel.plot(
            [at],
            [row],
            linestyle="",
            gid=f"{name} {cost.attribute}",
            **marker_of(cell.level, style.marker, style.colour),
        )
        panel.annotate(
            f"{at:.1f} x ({absolute})" if floor else absolute,
            (max(at, 1.0) if floor else at, row),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
        )
        shown.append(at)
    if floor:
        panel.axvline(1, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
        shown.append(1.0)
    panel.set_xscale("log")
    low, high = min(shown, default=1.0), max(shown, default=1.0)
    # Room for the words at the right of the longest bar.
    panel.set_xlim(low * 0.85, low * max((high / low) ** _ROOM, 2 * high / low))
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel(f"times that of {floor}" if floor else cost.unit)
    panel.set_title(cost.title, fontsize=12)
    panel.grid(axis="y", visible=False)

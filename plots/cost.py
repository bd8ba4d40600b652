"""cost.png: CPU a request and peak memory, as multiples of the floor crawler's. Rows -> Figure."""

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.analysis import Analysis
from bench.cells import CellSummary
from plots.style import GREY, LineStyle, add_small_print, marker_of, new_figure, styles_of

FLOORS = ("protocol", "protocol-uvloop")
"""As little as a client can do; the first that was measured is what others are multiples of."""


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


def floor_of(cells: Mapping[str, CellSummary]) -> str | None:
    """The crawler that costs are multiples of; None where no floor crawler was measured."""
    return next((name for name in FLOORS if name in cells), None)


def cost_figure(
    cells: Mapping[str, CellSummary], asked: Analysis, small_print: str
) -> Figure | None:
    """A row a crawler, of the cell given for each; medians over the trials.

    Points have `CRAWLER cpu_us_per_request` and so on as gid. None if nothing was measured.
    """
    if not cells:
        return None
    floor = floor_of(cells)
    figure = new_figure()
    figure.set_size_inches(11.0, 1.9 + 0.42 * len(cells))
    styles = styles_of(asked.experiment.crawlers)
    axes = figure.subplots(1, 2, sharey=True)
    for panel, cost in zip(axes, _COSTS, strict=True):
        _draw(panel, cells, cost, floor, styles)
    axes[0].set_yticks(range(len(cells)))
    axes[0].set_yticklabels(
        [f"{name} (at {cell.cell.concurrency})" for name, cell in cells.items()]
    )
    axes[0].set_ylim(len(cells) - 0.5, -0.5)
    multiples = f"as multiples of {floor}" if floor else "no floor crawler was measured with them"
    figure.suptitle(
        f"What a crawler costs: {multiples}\n{asked.experiment.plan_shown()}",
        x=0.01,
        ha="left",
        fontsize=14,
    )
    add_small_print(figure, f"{small_print}; the CPU of starting the crawl included")
    return figure


def _draw(
    panel: Axes,
    cells: Mapping[str, CellSummary],
    cost: _Cost,
    floor: str | None,
    styles: Mapping[str, LineStyle],
) -> None:
    values = {name: cell.median_of(cost.attribute) for name, cell in cells.items()}
    unit = (values[floor] if floor else None) or cost.per_unit
    start = 1.0 if floor else min((value or unit) for value in values.values()) / unit
    for row, (name, value) in enumerate(values.items()):
        if value is None:
            continue
        style = styles[name]
        multiple = value / unit
        panel.plot([start, multiple], [row, row], color=style.colour, linewidth=3, alpha=0.5)
        panel.plot(
            [multiple],
            [row],
            linestyle="",
            gid=f"{name} {cost.attribute}",
            **marker_of(cells[name].level, style.marker, style.colour),
        )
        absolute = f"{value / cost.per_unit:,.0f} {cost.unit}"
        panel.annotate(
            f"{multiple:.1f} x ({absolute})" if floor else absolute,
            (max(multiple, start), row),
            xytext=(9, 0),
            textcoords="offset points",
            va="center",
            fontsize=10,
        )
    if floor:
        panel.axvline(1, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
    panel.set_xscale("log")
    multiples = [value / unit for value in values.values() if value]
    low, high = min([start, *multiples]), max([start, *multiples])
    # Room for the words at the right of the longest bar.
    panel.set_xlim(low * 0.85, low * max((high / low) ** _ROOM, 2 * high / low))
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel(f"times that of {floor}" if floor else cost.unit)
    panel.set_title(cost.title, fontsize=12)
    panel.grid(axis="y", visible=False)

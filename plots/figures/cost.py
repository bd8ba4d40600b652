"""cost.png: CPU time and peak memory of each crawler, as multiples of the floor crawler's."""

from collections.abc import Mapping
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary
from bench.analysis.comparison import METRICS, NO_DIFFERENCE, compare
from bench.plan.floor import cost_unit
from plots.floor import floor_cell_for, times_floor
from plots.looks import GREY, LineStyle, styles_of
from plots.scenes import DelayScene, Drawn
from plots.style import add_small_print, add_title, marker_of, new_figure
from plots.words import TIMES

_ROOM = 1.5
"""Length of the logarithmic axis, as a multiple of the longest bar."""


class _Cost(NamedTuple):
    title: str
    attribute: str
    per_unit: float
    unit: str


_COSTS = (
    _Cost("CPU time per request", "cpu_us_per_request", 1.0, "µs"),
    _Cost("peak memory of the crawler's processes", "peak_memory_bytes", 1e6, "MB"),
)


_HOW_TO_READ = (
    "Lower is better: the CPU time of a request and the memory of the crawler, of all its "
    "processes together, compared with the floor crawler, which does as little as a client can. "
    "It shows how far a crawler could go where waiting is not the limit."
)


def draw(scene: DelayScene) -> Drawn | None:
    """Draw cost.png. Returns None if nothing was measured."""
    figure = cost_figure(scene.chosen, scene.analysis, scene.small_print)
    if figure is None:
        return None
    finding = findings(scene.chosen, scene.analysis)
    return Drawn(f"cost{scene.suffix}", f"Cost{scene.title}", figure, _HOW_TO_READ, finding)


def cost_figure(
    cells: Mapping[str, CellSummary], asked: Analysis, small_print: str
) -> Figure | None:
    """Return a figure with one row per crawler: medians over the trials of the cell given for it.

    The gids of points are `CRAWLER cpu_us_per_request` and `CRAWLER peak_memory_bytes`. Returns
    None if nothing was measured.
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
    title = f"Cost as a multiple of the floor crawler, {floor}" if floor else "Cost of each crawler"
    add_title(figure, title, asked.experiment.format_plan())
    at_same = "; the floor crawler is taken at the same concurrency" if floor else ""
    add_small_print(figure, f"{small_print}; CPU time includes starting the crawl{at_same}")
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
        if at is None:  # the floor crawler was not measured at this cell's concurrency
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
            f"{at:.1f} {TIMES} ({absolute})" if floor else absolute,
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
    # Leave room for the label to the right of the longest bar.
    panel.set_xlim(low * 0.85, low * max((high / low) ** _ROOM, 2 * high / low))
    panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    panel.xaxis.set_minor_formatter(NullFormatter())
    panel.set_xlabel(f"{TIMES} {floor}" if floor else cost.unit)
    panel.set_title(cost.title, fontsize=12)
    panel.grid(axis="y", visible=False)


def findings(cells: Mapping[str, CellSummary], analysis: Analysis) -> str:
    """Say which crawlers cost the least and the most, as multiples of the floor crawler's costs."""
    floor = cost_unit(cells)
    if floor is None:
        return "No floor crawler was measured: costs are given as they are."
    others = [cell for name, cell in cells.items() if name != floor]
    texts = []
    for words, attribute, metric in (
        ("CPU time per request", "cpu_us_per_request", "cpu"),
        ("Peak memory", "peak_memory_bytes", "memory"),
    ):
        known = [
            (multiple, cell)
            for cell in others
            if (multiple := times_floor(cell, analysis, attribute)) is not None
        ]
        ranked = sorted(known, key=lambda one: one[0])
        said = [_said(multiple, cell, analysis, metric) for multiple, cell in ranked]
        if len(said) == 1:
            texts.append(f"{words}: {said[0]}")
        elif said:
            texts.append(f"{words}: from {said[0]} to {said[-1]}")
    if not texts:
        return f"Only {floor} was measured."
    return f"{'. '.join(texts)}: multiples of {floor}."


def _said(multiple: float, cell: CellSummary, analysis: Analysis, metric: str) -> str:
    """Return `3.0 (asyncio; 95 % interval 2.9 to 3.1)`. The ratios are those of paired trials."""
    floor_cell = floor_cell_for(cell, analysis)
    assert floor_cell is not None  # without it there would be no multiple
    result = compare({"": (floor_cell, cell)}, METRICS[metric])[""]
    text = f"{multiple:.1f} ({cell.cell.crawler}"
    if result.interval is not None:
        text += f"; 95 % interval {result.interval.low:.1f} to {result.interval.high:.1f}"
    if result.verdict == NO_DIFFERENCE:
        text += "; no difference is seen"
    return f"{text})"

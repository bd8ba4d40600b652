"""site-throughput.png: pages per second against concurrency, with one line per spider."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.analysis.validity import Level
from bench.plan.sizes import Size
from bench.sites.analysis import SiteAnalysis, SiteCell
from plots.lines import (
    Point,
    draw_line,
    draw_markers,
    marker_legend,
    name_ends,
    name_failed,
    set_apart,
)
from plots.looks import GREY, LineStyle, styles_of
from plots.scenes import Drawn, SiteScene
from plots.style import add_small_print, add_title, marker_of, new_figure, spread_ticks_log

_HOW_TO_READ = (
    "Higher is better; both axes are logarithmic. Counted are pages that should be fetched and "
    "were fetched whole, each once. The dashed line is the ideal: a client that follows the same "
    "links in the order in which it finds them, keeps the same limits, and takes no time but the "
    "delays. It cannot ask for a page before it has found a link to it, so that it is below "
    "C / delay. A spider on this line spends its time waiting; where it falls below, its own work "
    "has become the limit. A cross is INVALID: a spider that skips pages, or fetches what it "
    "should not, is not fast. No line leads to it."
)
_IDEAL = "ideal: the same links, no time but the delays"
_NOTHING = float("nan")
_MOST_COLUMNS = 2


def draw(scene: SiteScene) -> Drawn | None:
    """Draw site-throughput.png. Returns None if no page was fetched."""
    figure = site_throughput_figure(scene.analysis, scene.small_print)
    if figure is None:
        return None
    heading = "Pages per second against concurrency"
    return Drawn("site-throughput", heading, figure, _HOW_TO_READ, findings(scene.analysis))


def site_throughput_figure(analysis: SiteAnalysis, small_print: str) -> Figure | None:
    """Return a figure with a panel for each size of pages, and in it one line per spider.

    Lines are medians over the trials, with min to max, and are interrupted at INVALID cells, which
    have markers only. The gid of a line is the spider's label, that of the ideal is "ideal".
    Returns None if no page was fetched.
    """
    asked = analysis.experiment
    lines = {size: _lines(analysis, size) for size in asked.sizes}
    shown = [size for size, found in lines.items() if found]
    if not shown:
        return None
    columns = min(_MOST_COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    figure = new_figure()
    if len(shown) > 1:
        figure.set_size_inches(7.6 * columns, 4.6 * rows + 1.0)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    styles = styles_of(asked.crawlers)
    for panel, size in zip(panels, shown, strict=False):
        _draw_panel(panel, lines[size], _ideal(analysis, size), styles)
        name_failed(panel, [name for name in asked.crawlers if name not in lines[size]])
        if len(asked.sizes) > 1:
            panel.set_title(f"pages of {size}", fontsize=12)
    for unused in panels[len(shown) :]:
        unused.remove()
    spread = ", median and min-max" if asked.trials > 1 else ""
    plan = f"{asked.format_site()}{spread}"
    add_title(figure, "Pages per second against concurrency", plan)
    add_small_print(figure, small_print)
    return figure


def _lines(analysis: SiteAnalysis, size: Size) -> dict[str, list[Point]]:
    """Return the points of each spider that fetched a page, in the order of concurrency."""
    lines: dict[str, list[Point]] = {}
    apart = set_apart(analysis.experiment.crawlers)
    for cell in sorted(analysis.cells, key=lambda cell: cell.concurrency):
        rates = [summary.pages_per_s for summary in cell.measured]
        rate = cell.median_of("pages_per_s")
        if cell.size == size and rate:
            at = cell.concurrency
            point = Point(at, at * apart[cell.spider], rate, min(rates), max(rates), cell.level)
            lines.setdefault(cell.spider, []).append(point)
    return {name: lines[name] for name in analysis.experiment.crawlers if name in lines}


def _ideal(analysis: SiteAnalysis, size: Size) -> dict[int, float]:
    """Return the pages per second of the ideal client by concurrency.

    Spiders that leave something out by design have ideals of their own; the highest is shown.
    """
    ideal: dict[int, float] = {}
    for cell in sorted(analysis.cells, key=lambda cell: cell.concurrency):
        if cell.size == size and cell.ideal_pages_per_s:
            known = ideal.get(cell.concurrency, 0.0)
            ideal[cell.concurrency] = max(known, cell.ideal_pages_per_s)
    return ideal


def _draw_panel(
    axes: Axes,
    lines: Mapping[str, Sequence[Point]],
    ideal: Mapping[int, float],
    styles: Mapping[str, LineStyle],
) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    if ideal:
        # A single concurrency has a short line, because a point would be taken for a spider.
        at = list(ideal) if len(ideal) > 1 else [share * min(ideal) for share in (1 / 1.1, 1.1)]
        axes.plot(
            at,
            np.broadcast_to(list(ideal.values()), len(at)),
            "--",
            color=GREY,
            linewidth=1.3,
            zorder=2,
            gid="ideal",
            label=_IDEAL,
        )
    for name, points in lines.items():
        _draw_spider(axes, name, styles[name], points)
    every = [point for points in lines.values() for point in points]
    asked = sorted({int(point.concurrency) for point in every})
    rates = [*(point.low for point in every), *(point.high for point in every), *ideal.values()]
    axes.set_xlim(asked[0] / 1.25, asked[-1] * 1.25)
    axes.set_ylim(min(rate for rate in rates if rate) / 1.7, max(rates) * 1.9)
    axes.set_xticks(spread_ticks_log(asked), [f"{at:,}" for at in spread_ticks_log(asked)])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(which="minor", length=0)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("concurrency (pages fetched at a time)")
    axes.set_ylabel("pages fetched / s")
    handles = [line for line in axes.lines if line.get_label() == _IDEAL]
    last = {name: points[-1] for name, points in lines.items()}
    # Next to a line that ends early, its name would be among the other lines.
    early = {name: last.pop(name) for name in lines if last[name].concurrency < asked[-1]}
    handles += [_handle(name, styles[name], point) for name, point in early.items()]
    handles += marker_legend([point.level for point in every])
    if handles:  # above the ideal, where few lines are
        axes.legend(handles=handles, loc="upper left", fontsize=10)
    name_ends(axes, last, styles)


def _handle(name: str, style: LineStyle, point: Point) -> Line2D:
    looks = marker_of(Level.VALID, style.marker, style.colour) | {"linestyle": style.line}
    return Line2D([], [], label=f"{name} (up to {point.concurrency:g})", **looks)


def _draw_spider(axes: Axes, name: str, style: LineStyle, points: Sequence[Point]) -> None:
    invalid = [point for point in points if point.level is Level.INVALID]
    if len(invalid) < len(points):
        # A line has a gap where a value is missing.
        draw_line(axes, name, style, [_gap(one) if one in invalid else one for one in points])
    draw_markers(axes, name, style, invalid)


def _gap(point: Point) -> Point:
    return replace(point, y=_NOTHING, low=_NOTHING, high=_NOTHING, level=Level.VALID)


def findings(analysis: SiteAnalysis) -> str:
    """Say which spiders are fastest and slowest, and which are INVALID."""
    asked = analysis.experiment
    texts = []
    for size in asked.sizes:
        said = _ranking([cell for cell in analysis.cells if cell.size == size and cell.measured])
        if said:
            several = len(asked.sizes) > 1
            texts.append(f"Pages of {size}: {said}" if several else said[0].upper() + said[1:])
    wrong = [f"{cell.spider} at {cell.concurrency}" for cell in _invalid(analysis)]
    if wrong:
        texts.append(f"INVALID, and not compared: {', '.join(dict.fromkeys(wrong))}")
    return f"{'. '.join(texts)}." if texts else "Nothing was measured."


def _invalid(analysis: SiteAnalysis) -> list[SiteCell]:
    return [cell for cell in analysis.cells if cell.level is Level.INVALID]


def _ranking(cells: Sequence[SiteCell]) -> str:
    best: dict[str, SiteCell] = {}
    for cell in cells:
        if cell.level is not Level.INVALID:
            known = best.get(cell.spider)
            best[cell.spider] = cell if known is None else max(known, cell, key=_rate)
    ranked = sorted(best.values(), key=_rate, reverse=True)
    if not ranked:
        return ""
    text = f"highest: {_said(ranked[0])}"
    efficiency = ranked[0].median_of("efficiency")
    if efficiency:
        text += f", {100 * efficiency:.0f} % of the ideal"
    if len(ranked) > 1:
        text += f"; lowest: {_said(ranked[-1])}"
    return text


def _rate(cell: SiteCell) -> float:
    return cell.median_of("pages_per_s") or 0.0


def _said(cell: SiteCell) -> str:
    """Return `asyncio, 978 pages/s at 100`."""
    rate = _rate(cell)
    return f"{cell.spider}, {rate:{',.0f' if rate >= 100 else '.1f'}} pages/s at {cell.concurrency}"

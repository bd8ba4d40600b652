"""throughput.png: requests a second against concurrency, a line a crawler. Rows -> Figure."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from bench.analysis import Analysis
from bench.cells import CellSummary, KneeKind, best_cells, knee
from bench.delays import Delay
from bench.validity import CEILING_SHARE, Level
from plots.figures.time_vs_concurrency import ideal_s
from plots.lines import Point, draw_line, marker_legend, name_ends, plan_and_spread
from plots.scenes import DelayScene, Drawn
from plots.style import (
    FAILED,
    GREY,
    add_small_print,
    new_figure,
    spread_ticks,
    styles_of,
)
from plots.words import rate, rate_at

_KNEE = "ring: knee, 95 % of its best"
_RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 17,
    "markerfacecolor": "none",
    "markeredgecolor": GREY,
    "markeredgewidth": 1.6,
}


_HOW_TO_READ = (
    "Up is better. The dashed line is C / delay: with C requests in flight that take the delay "
    "each, nothing can be above. A crawler on it spends its time waiting; where it bends away, "
    "its own work has become the limit. Rings are knees."
)


def draw(scene: DelayScene) -> Drawn:
    """throughput.png."""
    figure = throughput_figure(scene.analysis, scene.small_print)
    heading = f"Throughput{scene.title}"
    finding = findings(scene.analysis)
    return Drawn(f"throughput{scene.suffix}", heading, figure, _HOW_TO_READ, finding)


def throughput_figure(analysis: Analysis, small_print: str) -> Figure:
    """Medians with min to max over the trials; the ceilings are dashed.

    Each crawler's line has its name as gid, C / delay has "ceiling", the server's has "server",
    a ring around a knee `CRAWLER knee`. Markers show the verdict of
    a cell, as in `marker_of`. The analysis is of one delay.
    """
    experiment, cells = analysis.experiment, analysis.cells
    (delay,) = experiment.delays
    figure = new_figure()
    axes = figure.add_subplot()
    styles = styles_of(experiment.crawlers)
    by_crawler = analysis.by_crawler()
    last = {}
    knees = []
    for name, measured in by_crawler.items():
        points = [_point(cell) for cell in measured]
        draw_line(axes, name, styles[name], points)
        knees.append(_mark_knee(axes, measured, styles[name].colour, name))
        last[name] = points[-1]
    asked = sorted({cell.cell.concurrency for cell in cells})
    _name_failed(axes, [name for name in experiment.crawlers if name not in by_crawler])
    rates = [cell.requests_per_s[2] for cell in cells if cell.measured]
    highest = max(rates, default=0.0) or 1.0  # of failures alone
    most = max(asked, default=1)
    axes.set_xlim(0, most * 1.02)
    axes.set_ylim(0, highest * 1.12)
    if experiment.requests and delay.mean_us:
        _draw_staircase(axes, delay, experiment.requests, most)
    else:
        _draw_ceiling(axes, delay, most, highest * 1.12)
    _draw_server_ceiling(axes, analysis.ceiling_per_s)
    levels = [cell.level for line in by_crawler.values() for cell in line]
    _explain_markers(axes, levels, any(knees))
    name_ends(axes, last, styles)
    axes.set_xticks(spread_ticks(asked, 0.045))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_xlabel("concurrency asked for (requests in flight)")
    axes.set_ylabel("throughput (good requests / s)")
    axes.set_title(f"Throughput against concurrency\n{plan_and_spread(experiment)}")
    add_small_print(figure, small_print)
    return figure


def _point(cell: CellSummary) -> Point:
    rate, least, most = cell.requests_per_s
    at = cell.cell.concurrency
    return Point(at, at, rate, least, most, cell.level)


def _mark_knee(axes: Axes, cells: Sequence[CellSummary], colour: str, name: str) -> bool:
    """A ring around the knee, where there is one between the ends of the line."""
    at = knee(cells).exact
    found = next((cell for cell in cells if cell.cell.concurrency == at), None)
    if found is None:
        return False
    axes.plot(
        [found.cell.concurrency],
        [found.requests_per_s[0]],
        gid=f"{name} knee",
        linestyle="",
        zorder=5,
        **_RING | {"markeredgecolor": colour},
    )
    return True


def _name_failed(axes: Axes, names: Sequence[str]) -> None:
    """Crawlers of which not one run came to anything: INVALID, and nowhere to be drawn."""
    if names:
        axes.annotate(
            f"INVALID, no result: {', '.join(names)}",
            (0.01, 0.8),
            xycoords="axes fraction",
            color=FAILED,
            fontsize=11,
        )


def _explain_markers(axes: Axes, levels: Sequence[Level], has_knees: bool) -> None:
    """A legend of what is not VALID, and of knees, if there are any."""
    handles = marker_legend(levels)
    handles += [line for line in axes.lines if str(line.get_label()).startswith("ceiling")]
    if has_knees:
        handles.append(Line2D([], [], linestyle="", label=_KNEE, **_RING | {"markersize": 12}))
    if handles:
        axes.legend(handles=handles, loc="best", fontsize=10)


def _draw_server_ceiling(axes: Axes, ceiling_per_s: float | None) -> None:
    """How fast this server answers a floor client; above 60 % of it the server is measured."""
    if ceiling_per_s is None:
        return
    if CEILING_SHARE * ceiling_per_s > axes.get_ylim()[1]:
        axes.annotate(
            f"off the scale: the server's ceiling, {ceiling_per_s:,.0f} requests/s",
            (0.995, 0.015),
            xycoords="axes fraction",
            ha="right",
            color=GREY,
            fontsize=9,
        )
        return
    axes.axhline(ceiling_per_s, color=GREY, linewidth=1.3, linestyle=":", zorder=2, gid="server")
    axes.axhspan(
        CEILING_SHARE * ceiling_per_s, ceiling_per_s, color=GREY, alpha=0.12, linewidth=0, zorder=1
    )
    axes.annotate(
        f"above {CEILING_SHARE:.0%} of the server's own {ceiling_per_s:,.0f} requests/s: SUSPECT",
        (0.5, CEILING_SHARE * ceiling_per_s),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        color=GREY,
        fontsize=10,
    )


def _draw_staircase(axes: Axes, delay: Delay, requests: int, most: int) -> None:
    """So many requests are whole waves: concurrencies between two steps bring nothing more."""
    at, seconds = ideal_s(delay, requests, most)
    axes.step(
        at,
        requests / seconds,
        "--",
        where="post",
        color=GREY,
        linewidth=1.3,
        zorder=2,
        gid="ceiling",
        label="ceiling: N / ideal time (the last wave is not full)",
    )


def _draw_ceiling(axes: Axes, delay: Delay, most: int, top: float) -> None:
    """Requests that take at least `delay` each, C at a time: C / delay is not to be beaten."""
    if not delay.mean_us:
        return
    per_slot = 1e6 / delay.mean_us
    axes.plot(
        [0, most], [0, most * per_slot], "--", color=GREY, linewidth=1.3, zorder=2, gid="ceiling"
    )
    # Named where the line is well inside the axes, left of it.
    at = 0.72 * min(float(most), top / per_slot)
    axes.annotate(
        "ceiling: C / delay",
        (at, at * per_slot),
        xytext=(-10, 6),
        textcoords="offset points",
        ha="right",
        color=GREY,
        fontsize=11,
    )


def findings(analysis: Analysis) -> str:
    """Who is fastest, how near the ceiling, and where the knees are."""
    best = sorted(best_cells(analysis.cells).values(), key=rate, reverse=True)
    if not best:
        return "Nothing was measured."
    first = best[0]
    text = f"Most: {rate_at(first)}"
    share = first.median_of("efficiency")
    if share is not None:
        text += f", {share:.0%} of the ceiling"
    if len(best) > 1:
        text += f". Least: {rate_at(best[-1])}"
    by_crawler = analysis.by_crawler()
    knees = {name: knee(cells) for name, cells in by_crawler.items()}
    within = [f"{name} at {at}" for name, at in knees.items() if at.exact is not None]
    if within:
        text += f". 95 % of its best is reached by {', '.join(within)}"
    rising = [name for name, at in knees.items() if at.kind is KneeKind.NOT_REACHED]
    if rising:
        most = max(cell.cell.concurrency for cell in analysis.cells)
        text += f". At {most}, the highest measured, still rising: {', '.join(rising)}"
    return text + "."

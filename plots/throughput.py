"""throughput.png: requests a second against concurrency, a line a crawler. Rows -> Figure."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from bench.analysis import Analysis
from bench.cells import CellSummary
from bench.delays import Delay
from bench.validity import CEILING_SHARE, Level
from plots.style import (
    FAILED,
    GREY,
    LineStyle,
    add_small_print,
    marker_of,
    new_figure,
    spread_labels,
    spread_ticks,
    styles_of,
)

_LABEL_HEIGHT = 0.05
"""Of a label, as a share of the height of the axes."""
_LEADER: dict[str, Any] = {
    "arrowstyle": "-",
    "linewidth": 0.7,
    "alpha": 0.6,
    "shrinkA": 2,
    "shrinkB": 5,
}


def throughput_figure(analysis: Analysis, small_print: str) -> Figure:
    """Medians with min to max over the trials; the ceilings are dashed.

    Each crawler's line has its name as gid, C / delay has "ceiling", the server's has "server".
    Markers are hollow where a cell is SUSPECT, crosses where it is INVALID.
    """
    experiment, cells = analysis.experiment, analysis.cells
    figure = new_figure()
    axes = figure.add_subplot()
    styles = styles_of(experiment.crawlers)
    by_crawler: dict[str, list[CellSummary]] = defaultdict(list)
    for cell in cells:
        if cell.measured:
            by_crawler[cell.cell.crawler].append(cell)
    for name, measured in by_crawler.items():
        _draw_line(axes, name, styles[name], measured)
    asked = sorted({cell.cell.concurrency for cell in cells})
    _name_failed(axes, [name for name in experiment.crawlers if name not in by_crawler])
    highest = max((cell.requests_per_s[2] for cell in cells if cell.measured), default=1.0)
    most = max(asked, default=1)
    axes.set_xlim(0, most * 1.02)
    axes.set_ylim(0, highest * 1.12)
    _draw_ceiling(axes, experiment.delay, most, highest * 1.12)
    _draw_server_ceiling(axes, analysis.ceiling_per_s)
    _explain_markers(axes, [cell.level for line in by_crawler.values() for cell in line])
    _label_ends(axes, {name: line[-1] for name, line in by_crawler.items()}, styles)
    axes.set_xticks(spread_ticks(asked, 0.045))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_xlabel("concurrency asked for (requests in flight)")
    axes.set_ylabel("throughput (good requests / s)")
    trials = experiment.trials
    waves = f"{experiment.waves} x C requests"
    size = f"{experiment.requests} requests" if experiment.requests else waves
    spread = "1 trial" if trials == 1 else f"median and min-max of {trials} trials"
    axes.set_title(
        f"Throughput against concurrency\ndelay {experiment.delay}, {size} a run, {spread}"
    )
    add_small_print(figure, small_print)
    return figure


def _draw_line(axes: Axes, name: str, style: LineStyle, measured: list[CellSummary]) -> None:
    rates = [cell.requests_per_s for cell in measured]
    bars = axes.errorbar(
        [cell.cell.concurrency for cell in measured],
        [rate for rate, _, _ in rates],
        yerr=[[rate - least for rate, least, _ in rates], [most - rate for rate, _, most in rates]],
        color=style.colour,
        linestyle=style.line,
        capsize=4,
        zorder=3,
    )
    bars.lines[0].set_gid(name)
    for level in Level:
        points = [
            (cell.cell.concurrency, cell.requests_per_s[0])
            for cell in measured
            if cell.level is level
        ]
        if points:
            axes.plot(
                *zip(*points, strict=True),
                linestyle="",
                zorder=4,
                gid=f"{name} {level.name}",
                **marker_of(level, style.marker, style.colour),
            )


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


def _explain_markers(axes: Axes, levels: Sequence[Level]) -> None:
    """A legend of what is not VALID, if anything is not."""
    meaning = {
        Level.SUSPECT: "hollow: SUSPECT, see crawlbench report",
        Level.INVALID: "cross: INVALID, not to be believed",
    }
    handles = [
        Line2D([], [], linestyle="", label=meaning[level], **marker_of(level, "o", GREY))
        for level in meaning
        if level in levels
    ]
    if handles:
        axes.legend(handles=handles, loc="upper left", fontsize=10)


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


def _label_ends(axes: Axes, last: dict[str, CellSummary], styles: dict[str, LineStyle]) -> None:
    """Each line's name at the height of its last point, right of the axes, none over another.

    A crawler that was not measured at the highest concurrency is named beside its last point.
    """
    most = max((cell.cell.concurrency for cell in last.values()), default=1)
    height = axes.get_ylim()[1]
    to_the_end = {
        name: cell.requests_per_s[0] for name, cell in last.items() if cell.cell.concurrency == most
    }
    placed = spread_labels([rate / height for rate in to_the_end.values()], _LABEL_HEIGHT)
    for (name, rate), y in zip(to_the_end.items(), placed, strict=True):
        axes.annotate(
            name,
            xy=(most, rate),
            xytext=(axes.get_xlim()[1] * 1.035, y * height),
            va="center",
            annotation_clip=False,
            arrowprops=_LEADER | {"color": styles[name].colour},
            color=styles[name].colour,
            fontweight="bold",
        )
    for name, cell in last.items():
        if name not in to_the_end:
            axes.annotate(
                f"{name} (up to {cell.cell.concurrency})",
                xy=(cell.cell.concurrency, cell.requests_per_s[0]),
                xytext=(48, 3),
                textcoords="offset points",
                va="bottom",
                arrowprops=_LEADER | {"color": styles[name].colour},
                color=styles[name].colour,
                fontweight="bold",
            )

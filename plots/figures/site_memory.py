"""site-memory.png: the frontier and the memory of each spider over its run."""

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.sites.analysis import Curve, SiteCell, SiteSummary
from plots.looks import LineStyle, styles_of
from plots.scenes import Drawn, SiteScene
from plots.style import add_small_print, add_title, new_figure

_HOW_TO_READ = (
    "One run of each spider, at the concurrency at which it is fastest; all are stretched to the "
    "same width. Above: links that it had found and not yet fetched. (The frontiers that scrapy "
    "and crawlee keep of their own are not known: theirs are the pages under way.) Below: the "
    "memory of the spider and of the processes in which it parses. Memory that goes on rising "
    "while the frontier falls is kept for each page that was fetched."
)
_MB = 1e6


def draw(scene: SiteScene) -> Drawn | None:
    """Draw site-memory.png. Returns None if no run was long enough to sample its memory."""
    cells = list(scene.chosen.values())
    figure = site_memory_figure(cells, scene.analysis.experiment.format_site(), scene.small_print)
    if figure is None:
        return None
    return Drawn(
        f"site-memory{scene.suffix}",
        f"Frontier and memory over time{scene.title}",
        figure,
        _HOW_TO_READ,
        findings(cells),
    )


def site_memory_figure(cells: Sequence[SiteCell], plan: str, small_print: str) -> Figure | None:
    """Return a figure with a line for each of these cells, of which the median trial is shown.

    The gids of lines are `SPIDER frontier` and `SPIDER memory`. Returns None without samples of
    memory.
    """
    shown = {
        f"{cell.spider} at {cell.concurrency}": (cell.spider, trial.summary)
        for cell in cells
        if (trial := cell.middle) is not None and trial.summary is not None
    }
    if not any(summary.memory.at_s for _, summary in shown.values()):
        return None
    figure = new_figure()
    figure.set_size_inches(9.6, 7.0)
    frontier, memory = figure.subplots(2, 1, sharex=True)
    styles = styles_of([cell.spider for cell in cells])
    for label, (name, summary) in shown.items():
        _draw(frontier, f"{name} frontier", label, styles[name], summary, lambda one: one.frontier)
        _draw(memory, f"{name} memory", label, styles[name], summary, _megabytes)
    frontier.set_ylabel("links found and not fetched")
    memory.set_ylabel("memory (MB)")
    memory.set_xlabel("progress of the run (% of its time)")
    memory.set_xlim(0, 100)
    for axes in (frontier, memory):
        axes.set_ylim(0, None)
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, steps=(1, 2, 5, 10)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    frontier.legend(loc="upper left", bbox_to_anchor=(1.005, 1.03), fontsize=10)
    add_title(figure, "Frontier and memory over time", plan)
    add_small_print(figure, small_print)
    return figure


def _megabytes(summary: SiteSummary) -> Curve:
    return Curve(summary.memory.at_s, tuple(value / _MB for value in summary.memory.values))


def _draw(
    axes: Axes,
    gid: str,
    label: str,
    style: LineStyle,
    summary: SiteSummary,
    curve_of: Callable[[SiteSummary], Curve],
) -> None:
    curve = curve_of(summary)
    if curve.at_s:
        end_s = summary.makespan_ns / 1e9
        axes.plot(
            100 * np.array([*curve.at_s, max(end_s, curve.at_s[-1])]) / end_s,
            np.array([*curve.values, curve.values[-1]]),
            drawstyle="steps-post",
            color=style.colour,
            linestyle=style.line,
            linewidth=1.6,
            gid=gid,
            label=label,
        )


def findings(cells: Sequence[SiteCell]) -> str:
    """Say who held the most and the least memory, and the longest frontier."""
    known = [
        (one.summary, cell.spider)
        for cell in cells
        if (one := cell.middle) is not None and one.summary is not None
    ]
    held = sorted((one.peak_memory_bytes, name) for one, name in known if one.peak_memory_bytes)
    texts = []
    if held:
        least, most = held[0], held[-1]
        texts.append(f"Most memory: {most[1]}, {most[0] / _MB:,.0f} MB")
        if len(held) > 1:
            texts[-1] += f"; least: {least[1]}, {least[0] / _MB:,.0f} MB"
    frontiers = [(max(one.frontier.values), name) for one, name in known if one.frontier.values]
    if frontiers:
        most_links, name = max(frontiers)
        texts.append(f"Longest frontier: {name}, {most_links:,.0f} links")
    return "".join(f"{text}. " for text in texts).strip()

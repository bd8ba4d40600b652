"""throughput.png: requests per second against concurrency, with one line per crawler."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary, KneeKind, best_cells, knee
from bench.analysis.comparison import NO_DIFFERENCE, TOO_FEW, Neighbours
from bench.analysis.inference import LEAST_TRIALS
from bench.analysis.validity import CEILING_SHARE, Level
from bench.plan.delays import Delay
from bench.plan.experiment import Experiment
from bench.plan.ideal import Ceiling, IdealCurve, ceilings, ideal_curve
from plots.lines import (
    Point,
    Shape,
    draw_line,
    marker_legend,
    name_ends,
    name_failed,
    plan_and_spread,
)
from plots.looks import GREY, styles_of
from plots.scenes import DelayScene, Drawn
from plots.style import add_axes_title, add_small_print, new_figure, spread_ticks
from plots.words import format_ideal, is_difference_seen, rate, rate_at

_NEAR = 1.5
"""Ceilings of a service up to this multiple of the highest throughput are on the scale."""
_KNEE = "ring: knee, 95 % of the best"
_RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 17,
    "markerfacecolor": "none",
    "markeredgecolor": GREY,
    "markeredgewidth": 1.6,
}


_HOW_TO_READ = (
    "Higher is better. The dashed line is the ideal: C requests in flight, each of which takes the "
    "delay and what the service adds, and nothing more. A crawler on this line spends its time "
    "waiting; where it falls below, its own work has become the limit. Crawlers that coincide here "
    "are apart in the efficiency figure. The ceilings of a service are dash-dotted. The server "
    "ceiling is what this server can answer without a delay."
)

_WITHOUT_DELAYS = (
    "Higher is better. Where a line goes on rising, more concurrency still helps; where it is "
    "flat, the crawler or the server has reached its limit. There is no ideal, because the time "
    "that this server takes is not known."
)


def draw(scene: DelayScene) -> Drawn:
    """Draw throughput.png."""
    figure = throughput_figure(scene.analysis, scene.small_print)
    heading = f"Throughput{scene.title}"
    finding = findings(scene.analysis, scene.neighbours)
    is_known = scene.analysis.experiment.knows_delays
    how_to_read = _HOW_TO_READ if is_known else _WITHOUT_DELAYS
    return Drawn(f"throughput{scene.suffix}", heading, figure, how_to_read, finding)


def throughput_figure(analysis: Analysis, small_print: str) -> Figure:
    """Return a figure with one line per crawler: medians over the trials, with min to max.

    The ideal is dashed, the server ceiling is dotted, and ceilings of a service are dash-dotted.
    The gid of each line is the crawler's name, "ideal", "server ceiling", or the text of a ceiling;
    that of a ring around a knee is `CRAWLER knee`. Markers show the verdict of a cell, as in
    `marker_of`. `analysis` must have exactly one delay.
    """
    experiment, cells = analysis.experiment, analysis.cells
    (delay,) = experiment.delays
    figure = new_figure()
    axes = figure.add_subplot()
    styles = styles_of(experiment.crawlers)
    by_crawler = analysis.by_crawler()
    asked = sorted({cell.cell.concurrency for cell in cells})
    most = max(asked, default=1)
    ideal = ideal_curve(experiment, delay, most)
    shape = _shape(experiment, ideal)
    last = {}
    knees = []
    for name, measured in by_crawler.items():
        points = [_point(cell) for cell in measured]
        draw_line(axes, name, styles[name], points, shape)
        knees.append(_mark_knee(axes, measured, styles[name].colour, name))
        last[name] = points[-1]
    name_failed(axes, [name for name in experiment.crawlers if name not in by_crawler])
    rates = [cell.requests_per_s[2] for cell in cells if cell.measured]
    highest = max(rates, default=0.0) or 1.0  # 0 if every request failed
    limits = ceilings(experiment.service, delay.mean_us)
    near = [one.per_s for one in limits if one.per_s < _NEAR * highest]
    top = max(highest, *near) * 1.12 if near else highest * 1.12
    axes.set_xlim(0, most * 1.02)
    axes.set_ylim(0, top)
    if shape is not None:
        _draw_shape(axes, shape, experiment)
    elif ideal.concurrencies:
        _draw_ideal(axes, delay, most, top)
    _draw_service_ceilings(axes, limits)
    _draw_server_ceiling(axes, analysis.ceiling_per_s)
    levels = [cell.level for line in by_crawler.values() for cell in line]
    _explain_markers(axes, levels, any(knees))
    name_ends(axes, last, styles)
    axes.set_xticks(spread_ticks(asked, 0.045))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_xlabel("concurrency asked for (requests in flight)")
    axes.set_ylabel("throughput (good requests / s)")
    add_axes_title(axes, "Throughput against concurrency", plan_and_spread(experiment))
    guide = "; between points, lines follow the ideal" if shape is not None else ""
    add_small_print(figure, small_print + guide)
    return figure


def _point(cell: CellSummary) -> Point:
    rate, least, most = cell.requests_per_s
    at = cell.cell.concurrency
    return Point(at, at, rate, least, most, cell.level)


def _mark_knee(axes: Axes, cells: Sequence[CellSummary], colour: str, name: str) -> bool:
    """Draw a ring around the knee if it is known exactly. Returns whether it was drawn."""
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


def _explain_markers(axes: Axes, levels: Sequence[Level], has_knees: bool) -> None:
    """Add a legend for the markers of verdicts other than VALID, for the ideal and for knees."""
    handles = marker_legend(levels)
    handles += [line for line in axes.lines if str(line.get_label()).startswith("ideal")]
    if has_knees:
        handles.append(Line2D([], [], linestyle="", label=_KNEE, **_RING | {"markersize": 12}))
    if handles:
        axes.legend(handles=handles, loc="best", fontsize=10)


def _draw_server_ceiling(axes: Axes, ceiling_per_s: float | None) -> None:
    """Draw the server ceiling, and the range below it in which runs are SUSPECT."""
    if ceiling_per_s is None:
        return
    if CEILING_SHARE * ceiling_per_s > axes.get_ylim()[1]:
        axes.annotate(
            f"off the scale: the server ceiling, {ceiling_per_s:,.0f} requests/s",
            (0.995, 0.015),
            xycoords="axes fraction",
            ha="right",
            color=GREY,
            fontsize=9,
        )
        return
    axes.axhline(
        ceiling_per_s, color=GREY, linewidth=1.3, linestyle=":", zorder=2, gid="server ceiling"
    )
    axes.axhspan(
        CEILING_SHARE * ceiling_per_s, ceiling_per_s, color=GREY, alpha=0.12, linewidth=0, zorder=1
    )
    axes.annotate(
        f"SUSPECT above {100 * CEILING_SHARE:.0f} % of the server ceiling, "
        f"{ceiling_per_s:,.0f} requests/s",
        (0.5, CEILING_SHARE * ceiling_per_s),
        xycoords=("axes fraction", "data"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        color=GREY,
        fontsize=10,
    )


def _shape(asked: Experiment, curve: IdealCurve) -> Shape | None:
    """Return the ideal where it is more than a straight line; None if it is one, or there is none.

    For a fixed `requests` it is a staircase, because requests are made in whole waves: a higher
    concurrency that saves no wave gains nothing.
    """
    if not curve.concurrencies or (curve.is_exact and not asked.requests):
        return None
    at = np.array(curve.concurrencies, dtype=np.int64)
    return Shape(at, np.array(curve.good_per_s), is_stepped=curve.is_exact)


def _draw_shape(axes: Axes, ideal: Shape, asked: Experiment) -> None:
    axes.plot(
        ideal.x,
        ideal.y,
        "--",
        drawstyle="steps-post" if ideal.is_stepped else "default",
        color=GREY,
        linewidth=1.3,
        zorder=2,
        gid="ideal",
        label="ideal: whole waves of C requests" if ideal.is_stepped else format_ideal(asked),
    )


def _draw_service_ceilings(axes: Axes, found: Sequence[Ceiling]) -> None:
    """Draw the ceilings of the service, and name those that are off the scale."""
    top = axes.get_ylim()[1]
    for ceiling in found:
        if ceiling.per_s < top:
            axes.axhline(
                ceiling.per_s,
                color=GREY,
                linewidth=1.3,
                linestyle="-.",
                zorder=2,
                gid=ceiling.text,
            )
            axes.annotate(
                ceiling.text,
                (0.985, ceiling.per_s),
                xycoords=("axes fraction", "data"),
                xytext=(0, 4),
                textcoords="offset points",
                ha="right",
                color=GREY,
                fontsize=10,
            )
    beyond = [ceiling.text for ceiling in found if ceiling.per_s >= top]
    if beyond:
        axes.annotate(
            f"off the scale: {'; '.join(beyond)}",
            (0.995, 0.055),
            xycoords="axes fraction",
            ha="right",
            color=GREY,
            fontsize=9,
        )


def _draw_ideal(axes: Axes, delay: Delay, most: int, top: float) -> None:
    """Draw the ideal throughput C / delay: C requests at a time, each of which takes the delay."""
    per_slot = 1e6 / delay.mean_us
    axes.plot(
        [0, most], [0, most * per_slot], "--", color=GREY, linewidth=1.3, zorder=2, gid="ideal"
    )
    # The label is to the left of the line, at a point well inside the axes.
    at = 0.72 * min(float(most), top / per_slot)
    axes.annotate(
        "ideal: C / delay",
        (at, at * per_slot),
        xytext=(-10, 6),
        textcoords="offset points",
        ha="right",
        color=GREY,
        fontsize=11,
    )


def findings(analysis: Analysis, neighbours: Sequence[Neighbours]) -> str:
    """Say which crawlers are fastest and slowest, where the knees are, and what is undecided."""
    best = sorted(best_cells(analysis.cells).values(), key=rate, reverse=True)
    if not best:
        return "Nothing was measured."
    undecided = [one for one in neighbours if one.result.verdict == NO_DIFFERENCE]
    is_tie = any(one.candidate == best[0].cell.crawler for one in undecided)
    texts = [_highest(best, is_tie)]
    if len(best) > 1 + is_tie:
        lowest = f"Lowest: {rate_at(best[-1])}"
        is_seen = is_difference_seen(best[0], best[-1], "throughput")
        texts.append(lowest if is_seen else f"{lowest}; no difference is seen to the highest")
    knees = {name: knee(cells) for name, cells in analysis.by_crawler().items()}
    within = [f"{name} at {at}" for name, at in knees.items() if at.exact is not None]
    if within:
        texts.append(f"95 % of the best is reached by {', '.join(within)}")
    rising = [name for name, at in knees.items() if at.kind is KneeKind.NOT_REACHED]
    if rising:
        most = max(cell.cell.concurrency for cell in analysis.cells)
        who = "every crawler" if len(rising) == len(knees) else ", ".join(rising)
        texts.append(f"Still rising at {most}, the highest measured: {who}")
    if len(undecided) > is_tie:
        texts.append(f"No difference is seen from one to the next: {_chains(undecided)}")
    if any(one.result.verdict == TOO_FEW for one in neighbours):
        texts.append(f"Differences are tested from {LEAST_TRIALS} trials on")
    return ". ".join(texts) + "."


def _highest(best: Sequence[CellSummary], is_tie: bool) -> str:
    """Name the fastest crawler, and the second one if no difference between them is seen."""
    text = f"Highest: {rate_at(best[0])}"
    share = best[0].median_of("efficiency")
    if share is not None:
        text += f", {100 * share:.0f} % of the ideal"
    if is_tie:
        text += f", with no difference seen to {rate_at(best[1])}"
    return text


def _chains(undecided: Sequence[Neighbours]) -> str:
    """Return `a, b, c (at 100); d, e (at 1)`: runs of neighbours without a difference."""
    chains: list[tuple[int, list[str]]] = []
    for pair in undecided:
        if not chains or chains[-1] != (
            pair.cell.concurrency,
            [*chains[-1][1][:-1], pair.candidate],
        ):
            chains.append((pair.cell.concurrency, [pair.candidate]))
        chains[-1][1].append(pair.baseline)
    return "; ".join(f"{', '.join(names)} (at {at})" for at, names in chains)

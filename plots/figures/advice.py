"""advice.png: goodput and p99 against concurrency, and what `crawlbench advise` recommends."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from bench.advice import points as measured
from bench.advice.analysis import AdviceAnalysis, CrawlerAdvice
from bench.advice.objectives import Objective
from bench.advice.recommendation import ENOUGH
from bench.advice.words import answer
from bench.plan.advice import WARM_UP_SHARE, AdviceExperiment
from bench.plan.ideal import ideal_curve, steady_rate_per_s
from bench.wording import format_percent
from plots.lines import Point, draw_markers
from plots.looks import FAILED, GREY, LineStyle, styles_of
from plots.scenes import AdviceScene, Drawn
from plots.style import (
    LEGEND_INCHES,
    add_small_print,
    add_title,
    marks_explained,
    new_figure,
    spread_ticks_log,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LOG_FROM = 10
"""Ratio of the longest to the shortest p99 from which its axis is logarithmic."""
_MARGIN = 1.15
"""Room beside the smallest and the largest concurrency, as a factor."""
_TICKS = 14
_LABEL_APART = 0.06
"""Least distance of two labels of failed shares, as a share of the width of the axes."""
_LOW = 0.12
"""Below this share of the height, such a label is above its point and not below it."""
_SHAPE_POINTS = 200
_ARROW_POINTS = 20
_RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 16,
    "markerfacecolor": "none",
    "markeredgewidth": 1.8,
    "linestyle": "",
    "zorder": 5,
}
_SQUARE: dict[str, Any] = {
    "marker": "s",
    "markersize": 13,
    "markerfacecolor": "none",
    "markeredgecolor": FAILED,
    "markeredgewidth": 1.2,
    "linestyle": "",
    "zorder": 5,
}
_IDEAL: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 1.2, "zorder": 2.5}
_LAW: dict[str, Any] = {"linestyle": (0, (1, 1.5)), "linewidth": 3.5, "alpha": 0.45, "zorder": 2}
_OBJECTIVE: dict[str, Any] = {"color": FAILED, "linestyle": "-.", "linewidth": 1.3, "zorder": 2}
_ENOUGH: dict[str, Any] = {"color": GREY, "linestyle": ":", "linewidth": 1.3, "zorder": 2}
_BAND_ALPHA = 0.16

_ABOUT = (
    "Above, higher is better; below, lower is better. Each point is a concurrency that was "
    "measured, with its 95 % confidence interval. An arrow is an interval whose upper end is not "
    "known: with so few requests, single ones decide the p99. The vertical line is the "
    "recommendation, the smallest concurrency with 95 % of the best throughput{kept}; those in the "
    "shaded band are as good. To the left of it throughput is lost; to the right of it requests "
    "take longer{lost}. "
)
_ABOUT_IDEAL = (
    "The dashed line is the ideal: a client without overhead at the same service, in the long run. "
    "Where a crawler stays below it, the crawler is the limit, and not the service. "
)
_ABOUT_LAW = (
    "A wide dotted line is the universal scalability law, drawn where it is within 5 % of every "
    "point."
)


def draw(scene: AdviceScene) -> Drawn | None:
    """Draw advice.png. Returns None if nothing was measured."""
    advice = scene.advice
    figure = advice_figure(advice, scene.small_print)
    if figure is None:
        return None
    about = _ABOUT.format(
        kept=" of those that meet the objectives" if advice.experiment.objectives else "",
        lost=", or fail" if any(point.failed_share for point in _points(advice)) else "",
    )
    how_to_read = (
        f"{about}{_ABOUT_IDEAL if advice.experiment.knows_delays else ''}"
        f"{_ABOUT_LAW if any(one.law for one in advice.crawlers) else ''}"
    ).strip()
    return Drawn("advice", "How many at a time", figure, how_to_read, answer(advice))


def advice_figure(advice: AdviceAnalysis, small_print: str) -> Figure | None:
    """Return a figure of two panels over the concurrency: goodput above, p99 below.

    The gids of lines are the crawlers' names, `NAME recommended` for a ring, `NAME law`, `NAME
    failed` for squares, "ideal", "enough", "recommendation" and the names of objectives; that of
    the band is "as good". Returns None if nothing was measured.
    """
    every = sorted({point.concurrency for point in _points(advice)})
    if not every:
        return None
    figure = new_figure()
    figure.set_size_inches(13.0, 8.6)
    goodput, p99 = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    styles = styles_of(advice.experiment.crawlers)
    chosen = advice.chosen
    for one in sorted(advice.crawlers, key=lambda one: one is chosen):  # the chosen one on top
        style = styles[one.crawler]
        _draw_crawler(goodput, one, style, _goodput)
        _draw_crawler(p99, one, style, _p99)
        _draw_law(goodput, one, style)
    goodput.set_xscale("log")
    goodput.set_xlim(every[0] / _MARGIN, every[-1] * _MARGIN)
    _set_scales(goodput, p99, advice)
    ideal = ideal_points(advice.experiment, every[-1])
    if ideal:
        goodput.plot(*_between(*zip(*ideal, strict=True)), gid="ideal", **_IDEAL)
    for panel in (goodput, p99):
        _draw_objectives(panel, advice.experiment, "rate" if panel is goodput else "p99")
        if chosen is not None:
            _draw_recommendation(panel, chosen, styles[chosen.crawler].colour)
    if chosen is not None:
        _label_recommendation(goodput, chosen, styles[chosen.crawler].colour)
    _label_failed(goodput, _points(advice), chosen.recommended if chosen is not None else None)
    p99.xaxis.set_major_locator(FixedLocator(_ticks(every)))
    p99.xaxis.set_major_formatter(FuncFormatter(_plain))
    p99.xaxis.set_minor_locator(NullLocator())
    p99.set_xlabel("concurrency (requests at a time)")
    goodput.set_ylabel("goodput (good requests / s)")
    p99.set_ylabel("p99 of the service time (ms)")
    handles = _legend(advice, styles, has_ideal=bool(ideal))
    figure.legend(handles=handles, loc="outside right upper", fontsize=10)
    add_title(
        figure, "How many at a time", advice.experiment.format_plan(), beside_inches=LEGEND_INCHES
    )
    marks = marks_explained(point.level for point in _points(advice))
    note = "95 % confidence intervals; lines are straight on logarithmic axes"
    add_small_print(figure, f"{small_print}; {note}{marks}")
    return figure


def ideal_points(asked: AdviceExperiment, most: int) -> list[tuple[float, float]]:
    """Return concurrency and goodput of the ideal client up to `most`; empty if it is not known.

    They are those of the long run, by a formula, for any model of delays. A service that changes
    with time has none, so that the ideal client is simulated for the length of a box.
    """
    if not asked.knows_delays or most == 1:
        return []
    (delay,) = asked.delays
    if steady_rate_per_s(asked.service, delay.mean_us, 1) is None:
        box = replace(asked, warm_up_s=WARM_UP_SHARE * asked.duration_s)
        curve = ideal_curve(box, delay, most)
        return list(zip(curve.concurrencies, curve.good_per_s, strict=True))
    at = {round(n) for n in np.geomspace(1, most, _SHAPE_POINTS)}
    at |= {step.capacity for step in asked.service.capacity if step.capacity <= most}
    rates = ((n, steady_rate_per_s(asked.service, delay.mean_us, n)) for n in sorted(at))
    return [(n, per_s) for n, per_s in rates if per_s is not None]


def _points(advice: AdviceAnalysis) -> list[measured.Point]:
    return [point for one in advice.crawlers for point in one.points]


def _goodput(one: measured.Point) -> Point:
    y, interval = one.good_per_s, one.interval
    low, high = (interval.low, interval.high) if interval is not None else (y, y)
    return Point(one.concurrency, one.concurrency, y, low, high, one.level)


def _p99(one: measured.Point) -> Point | None:
    """Return the p99 in ms, or None if no request was good."""
    if one.p99_ns is None:
        return None
    y, interval = one.p99_ns / 1e6, one.p99_interval
    low, high = (interval.low / 1e6, interval.high / 1e6) if interval is not None else (y, y)
    return Point(one.concurrency, one.concurrency, y, low, high, one.level)


def _draw_crawler(
    panel: Axes,
    one: CrawlerAdvice,
    style: LineStyle,
    drawn: Callable[[measured.Point], Point | None],
) -> None:
    points = [point for at in one.points if (point := drawn(at)) is not None]
    if not points:
        return
    x, y = [point.x for point in points], [point.y for point in points]
    look: dict[str, Any] = {"color": style.colour, "linewidth": 1.2, "zorder": 3}
    panel.plot(*_between(x, y), linestyle=style.line, gid=one.crawler, **look)
    # The interval of a centre that resists outliers need not contain the mean, which is the point.
    low = [point.low for point in points]
    high = [point.high if math.isfinite(point.high) else point.y for point in points]
    panel.vlines(x, low, high, gid=f"{one.crawler} intervals", **look)
    for point in points:
        if not math.isfinite(point.high):
            panel.annotate(
                "",
                (point.x, point.y),
                (0, _ARROW_POINTS),
                textcoords="offset points",
                arrowprops={"arrowstyle": "<-", "color": style.colour, "linewidth": 1.2},
                gid=f"{one.crawler} open",
            )
    draw_markers(panel, one.crawler, style, points)
    best = one.recommended
    point = drawn(best) if best is not None else None
    if point is not None:
        ring = {**_RING, "markeredgecolor": style.colour}
        panel.plot(point.x, point.y, gid=f"{one.crawler} recommended", **ring)


def _between(x: Sequence[float], y: Sequence[float]) -> "tuple[NDArray[Any], NDArray[Any]]":
    """Return the points and many between them, on lines that are straight if both axes are log.

    Such a line follows n / D up to a capacity, where one that is straight on the panel would be
    above the ideal between two points on it.
    """
    if min(y) <= 0:  # every request failed
        return np.array(x), np.array(y)
    every = np.union1d(x, np.geomspace(x[0], x[-1], _SHAPE_POINTS))
    return every, np.exp(np.interp(np.log(every), np.log(x), np.log(y)))


def _draw_law(panel: Axes, one: CrawlerAdvice, style: LineStyle) -> None:
    if one.law is None:
        return
    at = np.geomspace(one.points[0].concurrency, one.points[-1].concurrency, _SHAPE_POINTS)
    rates = [one.law.per_s(n) for n in at]
    panel.plot(at, rates, color=style.colour, gid=f"{one.crawler} law", **_LAW)


def _set_scales(goodput: Axes, p99: Axes, advice: AdviceAnalysis) -> None:
    highest = max(point.good_per_s for point in _points(advice)) or 1.0  # 0 if all failed
    goodput.set_ylim(0, highest * 1.2)
    goodput.yaxis.set_major_formatter(FuncFormatter(_plain))
    times_ms = [point.p99_ns / 1e6 for point in _points(advice) if point.p99_ns is not None]
    times_ms += [objective.condition.limit for objective in _objectives(advice.experiment, "p99")]
    if not times_ms:  # no request was good
        return
    if max(times_ms) > _LOG_FROM * min(times_ms) > 0:
        p99.set_yscale("log")
        p99.set_ylim(min(times_ms) / 1.5, max(times_ms) * 1.8)
        p99.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        p99.yaxis.set_minor_formatter(NullFormatter())
    else:
        p99.set_ylim(0, max(times_ms) * 1.25)
    p99.yaxis.set_major_formatter(FuncFormatter(_plain))  # a change of the scale resets it


def _objectives(asked: AdviceExperiment, metric: str) -> list[Objective]:
    found = map(Objective.parse, asked.objectives)
    return [objective for objective in found if objective.metric == metric]


def _draw_objectives(panel: Axes, asked: AdviceExperiment, metric: str) -> None:
    for objective in _objectives(asked, metric):
        panel.axhline(objective.condition.limit, gid=objective.name, **_OBJECTIVE)


def _draw_recommendation(panel: Axes, chosen: CrawlerAdvice, colour: str) -> None:
    found = chosen.recommendation
    assert found is not None
    panel.axvspan(found.low, found.high, color=colour, alpha=_BAND_ALPHA, gid="as good", lw=0)
    panel.axvline(found.concurrency, color=colour, linewidth=1.4, gid="recommendation", zorder=2)


def _label_recommendation(panel: Axes, chosen: CrawlerAdvice, colour: str) -> None:
    """Write the recommendation above the panel, where it hides nothing, and draw ENOUGH."""
    found = chosen.recommendation
    assert found is not None
    panel.axhline(ENOUGH * found.best_per_s, gid="enough", **_ENOUGH)
    text = f"{found.concurrency:,} at a time"
    if found.low < found.high:
        text += f" ({found.low:,} to {found.high:,} are as good)"
    left, right = map(math.log, panel.get_xlim())
    share = (math.log(found.concurrency) - left) / (right - left)
    panel.annotate(
        text,
        (found.concurrency, 1),
        (0, 5),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="left" if share < 0.25 else "right" if share > 0.75 else "center",
        color=colour,
        fontweight="bold",
    )


def _label_failed(
    panel: Axes, points: Sequence[measured.Point], recommended: measured.Point | None
) -> None:
    """Mark points with refusals or errors, and write the share at those that are far enough apart.

    That of the recommended point is written first, then the largest ones.
    """
    failing = sorted(
        (point for point in points if point.failed_share),
        key=lambda one: (one is not recommended, -one.failed_share),
    )
    if not failing:
        return
    at = [(point.concurrency, point.good_per_s) for point in failing]
    panel.plot(*zip(*at, strict=True), gid="failed", **_SQUARE)
    width = math.log(panel.get_xlim()[1] / panel.get_xlim()[0])
    labelled: list[int] = []
    for point in failing:
        x = point.concurrency
        if all(abs(math.log(x / other)) >= _LABEL_APART * width for other in labelled):
            labelled.append(x)
            is_low = point.good_per_s < _LOW * panel.get_ylim()[1]
            panel.annotate(
                format_percent(point.failed_share, 1),
                (x, point.good_per_s),
                (0, 11 if is_low else -11),
                textcoords="offset points",
                ha="left",
                va="bottom" if is_low else "top",
                fontsize=9,
                color=FAILED,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
            )


def _ticks(every: Sequence[int]) -> list[int]:
    return spread_ticks_log(every, max(1.25, (every[-1] / every[0]) ** (1 / _TICKS)))


def _legend(
    advice: AdviceAnalysis, styles: dict[str, LineStyle], *, has_ideal: bool
) -> list[Line2D | Patch]:
    return [*_of_crawlers(advice, styles), *_of_lines(advice, styles, has_ideal=has_ideal)]


def _of_crawlers(advice: AdviceAnalysis, styles: dict[str, LineStyle]) -> Iterator[Line2D]:
    for one in advice.crawlers:
        style, found = styles[one.crawler], one.recommendation
        use = f"use {found.concurrency:,}" if found is not None else "no answer"
        look: dict[str, Any] = {"color": style.colour, "linestyle": style.line}
        yield Line2D([], [], marker=style.marker, label=f"{one.crawler}: {use}", **look)


def _of_lines(
    advice: AdviceAnalysis, styles: dict[str, LineStyle], *, has_ideal: bool
) -> Iterator[Line2D | Patch]:
    chosen = advice.chosen
    found = chosen.recommendation if chosen is not None else None
    if chosen is not None and found is not None:
        colour = styles[chosen.crawler].colour
        ring = {**_RING, "markeredgecolor": GREY, "markersize": 11}
        yield Line2D([], [], label="ring: recommended", **ring)
        if found.low < found.high:
            yield Patch(color=colour, alpha=_BAND_ALPHA, label="as good", linewidth=0)
        text = f"{100 * ENOUGH:.0f} % of the best"
        kept = "\nthat meets the objectives" if advice.experiment.objectives else ""
        yield Line2D([], [], label=f"{text} of {chosen.crawler}{kept}", **_ENOUGH)
    if has_ideal:
        yield Line2D([], [], label="ideal: a client\nwithout overhead", **_IDEAL)
    if any(one.law for one in advice.crawlers):
        yield Line2D([], [], label="universal scalability law", color=GREY, **_LAW)
    shown = [*_objectives(advice.experiment, "rate"), *_objectives(advice.experiment, "p99")]
    if shown:
        text = "\n".join(objective.name for objective in shown)
        yield Line2D([], [], label=f"objective: {text}", **_OBJECTIVE)
    if any(point.failed_share for point in _points(advice)):
        label = "square: share of requests\nthat were refused or failed"
        yield Line2D([], [], label=label, **{**_SQUARE, "markersize": 10})


def _plain(value: float, _: object) -> str:
    return f"{value:,.10g}"

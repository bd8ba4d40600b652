"""latency-vs-load.png: quantiles of the response time against the offered rate, in open loop."""

from collections.abc import Collection, Mapping, Sequence
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary
from bench.analysis.keeping_up import KEPT_UP_SHARE, keeps_up
from bench.analysis.quantiles import least_requests, quantile, tail_quantile
from bench.plan.ideal import GOOD, Ceiling, ceilings, simulate
from bench.results.schema import RunRow
from plots.lines import Point, draw_line, plan_and_spread
from plots.looks import FAILED, GREY, LineStyle, styles_of
from plots.scenes import DelayScene, Drawn
from plots.style import (
    LEGEND_INCHES,
    add_small_print,
    add_title,
    marks_explained,
    new_figure,
    spread_ticks,
    spread_ticks_log,
)

_QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
_NAMES = {"p50": "p50", "p99": "p99", "p999": "p99.9"}
_LOG_FROM = 20
"""Ratio of the highest to the lowest rate from which the axis is logarithmic."""
_NEAR = 1.5
"""Ceilings up to this multiple of the highest rate are on the scale."""
_APART = 0.2
"""All crawlers' points at one rate lie within this share of the distance to the next rate."""
_MOST_APART = 0.5
"""And within this share of the rate, if the next one is far away."""
_MOST_SIMULATED = 400_000
"""About how many requests are simulated for the ideal client, which takes half a second."""
_IDEAL: dict[str, Any] = {"color": "black", "linestyle": "--", "linewidth": 1.2, "zorder": 3.5}
_CEILING: dict[str, Any] = {"color": GREY, "linewidth": 1.3, "zorder": 2}
_CEILING_LINES = ("-.", (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2, 1, 2)))
_RING: dict[str, Any] = {
    "marker": "o",
    "markersize": 13,
    "markerfacecolor": "none",
    "markeredgecolor": FAILED,
    "markeredgewidth": 1.0,
    "linestyle": "",
}
_RING_LABEL = f"ring: did not keep up\n(under {100 * KEPT_UP_SHARE:.0f} % of the offered rate)"

_ABOUT_TIMES = (
    "Lower is better: how long a user waits, from the instant at which a request is due to the "
    "last byte of its answer, while the rate rises. "
)
_ABOUT_IDEAL = (
    "The dashed line is the ideal: a client without overhead, with the same requests at the same "
    "service. What lies above it is the crawler's own. Ceilings of the service are dash-dotted: to "
    "the right of a capacity requests wait longer and longer, and to the right of a rate limit the "
    "others are refused, whatever the client does. "
)
_ABOUT_RINGS = (
    "A ring marks rates at which the run did not keep up; its response times depend on how long it "
    "lasted."
)


def draw(scene: DelayScene) -> Drawn | None:
    """Draw latency-vs-load.png. Returns None for a single rate, or if no request was good."""
    figure = latency_vs_load_figure(scene.analysis, scene.small_print)
    if figure is None:
        return None
    heading = f"Latency against load{scene.title}"
    finding = findings(scene.analysis)
    is_known = scene.analysis.experiment.knows_delays
    how_to_read = f"{_ABOUT_TIMES}{_ABOUT_IDEAL if is_known else ''}{_ABOUT_RINGS}"
    return Drawn(f"latency-vs-load{scene.suffix}", heading, figure, how_to_read, finding)


def latency_vs_load_figure(analysis: Analysis, small_print: str) -> Figure | None:
    """Return a figure with three panels of quantiles, and one of the rate that was achieved.

    Points are medians over the trials, with min to max. The gids of lines are `CRAWLER p50`,
    `CRAWLER p99`, `CRAWLER p999` and `CRAWLER achieved`; `ideal` instead of the crawler is the
    ideal client. Rings have the gid `CRAWLER behind`, and ceilings their text. `analysis` must have
    exactly one delay and size. Returns None for a single rate, or if no request was good.
    """
    by_crawler = {
        name: known
        for name, cells in analysis.by_crawler().items()
        if (known := [cell for cell in cells if any(one.response_p50_ns for one in cell.measured)])
    }
    rates = sorted({offered_per_s(cell) for cells in by_crawler.values() for cell in cells})
    if len(rates) < 2:
        return None
    figure = new_figure()
    figure.set_size_inches(13.0, 8.4)
    grid = figure.subplots(2, 2).flat
    panels = dict(zip((*_QUANTILES, "achieved"), grid, strict=True))
    styles = styles_of(analysis.experiment.crawlers)
    places = {name: _places(rates, rank, len(by_crawler)) for rank, name in enumerate(by_crawler)}
    ideal = ideal_points(by_crawler) if analysis.experiment.knows_delays else {}
    drawn: dict[str, list[Point]] = {}
    for key, panel in panels.items():
        shown = drawn[key] = _draw_crawlers(panel, key, by_crawler, styles, places)
        at = {one.concurrency for one in shown}
        ideal_here = [point for point in ideal.get(key, ()) if point[0] in at and point[1]]
        if ideal_here:
            rates_known, values = zip(*ideal_here, strict=True)
            panel.plot(rates_known, values, gid=f"ideal {key}", **_IDEAL)
        _set_axes(panel, key, rates)
        if key in _QUANTILES:
            _note_few_requests(panel, key, {point.concurrency for point in shown}, rates)
    (delay,) = analysis.experiment.delays
    limits = ceilings(analysis.experiment.service, delay.mean_us)
    of_ceilings = _draw_ceilings([one for one in panels.values() if one.axison], limits, rates)
    shared = {key: panels[key] for key in _QUANTILES if panels[key].axison}
    _share_scale(list(shared.values()), [one for key in shared for one in drawn[key]])
    is_behind = any(not keeps_up(cell) for cells in by_crawler.values() for cell in cells)
    axes = panels["p50"]
    handles = [
        axes.plot([], [], color=one.colour, linestyle=one.line, marker=one.marker, label=name)[0]
        for name, one in styles.items()
        if name in by_crawler
    ]
    if any(str(line.get_gid()).startswith("ideal") for line in axes.lines):
        handles.append(Line2D([], [], label="ideal: a client\nwithout overhead", **_IDEAL))
    handles += of_ceilings
    if is_behind:
        handles.append(Line2D([], [], label=_RING_LABEL, **_RING | {"markersize": 11}))
    figure.legend(handles=handles, loc="outside right upper", fontsize=10)
    add_title(
        figure, "Response time against load", plan_and_spread(analysis.experiment), LEGEND_INCHES
    )
    marks = marks_explained(point.level for points in drawn.values() for point in points)
    add_small_print(figure, f"{small_print}; crawlers are drawn side by side{marks}")
    return figure


def offered_per_s(cell: CellSummary) -> float:
    """Return the rate that was offered: as asked for, or the measured mean of a schedule."""
    rate = cell.cell.rate
    if rate is None or rate.is_constant:
        return cell.cell.level
    return cell.median_of("offered_per_s") or cell.cell.level


def ideal_points(
    by_crawler: Mapping[str, Sequence[CellSummary]],
) -> dict[str, list[tuple[float, float]]]:
    """Return offered rate and value of the ideal client, for each quantile and "achieved".

    The values are medians over trials with the same due times, delays and slots as the runs had.
    """
    runs: dict[float, dict[int, RunRow]] = {}
    for cells in by_crawler.values():
        for cell in cells:
            of_rate = runs.setdefault(offered_per_s(cell), {})
            for trial in cell.trials:
                known = of_rate.get(trial.run.trial)
                if known is None or trial.run.slots > known.slots:
                    of_rate[trial.run.trial] = trial.run
    once = sum(next(iter(of_rate.values())).requests for of_rate in runs.values())
    trials = max(1, _MOST_SIMULATED // max(1, once))
    found: dict[str, list[tuple[float, float]]] = {key: [] for key in (*_QUANTILES, "achieved")}
    for rate, of_rate in sorted(runs.items()):
        values = [_ideal_of(run) for run in list(of_rate.values())[:trials]]
        for key, points in found.items():
            known_values = [one[key] for one in values if key in one]
            if known_values:
                points.append((rate, median(known_values)))
    return found


def _ideal_of(run: RunRow) -> dict[str, float]:
    """Return the quantiles in ms, and the good requests per second, of the ideal client."""
    due_after_ns = run.due_after_ns()
    ideal = simulate(
        run.delays_us(),
        run.service,
        slots=run.slots,
        due_after_ns=due_after_ns,
        processes=run.processes,
    )
    due_ns, end_ns = np.array(ideal.due_ns), np.array(ideal.end_ns)
    is_counted = np.array(ideal.status) == GOOD
    is_counted &= due_ns >= run.load.warm_up_s * 1e9
    response_ns = np.sort((end_ns - due_ns)[is_counted])
    if not len(response_ns):
        return {}
    from_ns = round(run.load.warm_up_s * 1e9)
    values = {"achieved": ideal.good_per_s_within(from_ns, int(due_ns.max()))}
    for key, q in _QUANTILES.items():
        value = quantile(response_ns, q) if key == "p50" else tail_quantile(response_ns, q)
        if value is not None:
            values[key] = value / 1e6
    return values


def _places(rates: Sequence[float], rank: int, count: int) -> dict[float, float]:
    """Return where the points of one crawler are drawn, beside those of the others."""
    gaps = [high - low for low, high in pairwise(rates)]
    share = _APART * ((rank + 0.5) / count - 0.5)
    return {
        rate: rate + share * min(*gaps[max(0, i - 1) : i + 1], _MOST_APART * rate)
        for i, rate in enumerate(rates)
    }


def _draw_crawlers(
    panel: Axes,
    key: str,
    by_crawler: Mapping[str, Sequence[CellSummary]],
    styles: Mapping[str, LineStyle],
    places: Mapping[str, Mapping[float, float]],
) -> list[Point]:
    attribute, unit = ("requests_per_s", 1) if key == "achieved" else (f"response_{key}_ns", 1e6)
    drawn = []
    for name, cells in by_crawler.items():
        points, behind = [], []
        for cell in cells:
            known = [getattr(one, attribute) for one in cell.measured]
            values = [value / unit for value in known if value is not None]
            if values:
                rate = offered_per_s(cell)
                at = places[name][rate]
                ends = min(values), max(values)
                points.append(Point(rate, at, median(values), *ends, cell.level))
                behind += [] if keeps_up(cell) else [points[-1]]
        if points:
            draw_line(panel, f"{name} {key}", styles[name], points)
            rings = [(point.x, point.y) for point in behind]
            if rings:
                panel.plot(*zip(*rings, strict=True), gid=f"{name} behind", zorder=5, **_RING)
        drawn += points
    return drawn


def _set_axes(panel: Axes, key: str, rates: Sequence[float]) -> None:
    panel.set_xlabel("offered rate (requests / s)")
    panel.xaxis.set_minor_locator(NullLocator())
    whole = [round(rate) for rate in rates]
    if rates[-1] > _LOG_FROM * rates[0]:
        panel.set_xscale("log")
        panel.set_xlim(rates[0] / 1.2, rates[-1] * 1.2)
        panel.xaxis.set_major_locator(FixedLocator(spread_ticks_log(whole, 1.5)))
    else:
        panel.set_xlim(0, rates[-1] * 1.1)
        panel.xaxis.set_major_locator(
            FixedLocator(spread_ticks(whole, 0.1 if rates[-1] < 1000 else 0.14))
        )
    panel.xaxis.set_major_formatter(FuncFormatter(_plain))
    if key == "achieved":
        panel.plot(
            [0, rates[-1]], [0, rates[-1]], color=GREY, linewidth=0.8, linestyle=":", zorder=1
        )
        panel.set_ylim(bottom=0)
        panel.yaxis.set_major_formatter(FuncFormatter(_plain))
        panel.set_ylabel("good answers / s")
        panel.set_title("achieved (dotted: as offered)", fontsize=12)
        return
    panel.set_ylabel("response time (ms)")
    panel.set_title(_NAMES[key], fontsize=12)


def _note_few_requests(
    panel: Axes, key: str, known: Collection[float], rates: Sequence[float]
) -> None:
    """Say on the panel at which rates a quantile is missing, and why."""
    missing = [rate for rate in rates if rate not in known]
    if not missing:
        return
    needs = f"the {least_requests(_QUANTILES[key]):,} requests that a {_NAMES[key]} needs"
    text = f"no run has {needs}"
    if known:
        text = f"not drawn where no run\nhas {needs.replace(' that', chr(10) + 'that')}"
    at = (0.5, 0.5) if not known else (0.03, 0.97)
    panel.annotate(
        text,
        at,
        xycoords="axes fraction",
        ha="left" if known else "center",
        va="top" if known else "center",
        fontsize=10,
        color=GREY,
    )
    if not known:
        panel.set(xlabel="", ylabel="")
        panel.set_axis_off()


def _draw_ceilings(
    panels: Sequence[Axes], found: Sequence[Ceiling], rates: Sequence[float]
) -> list[Line2D]:
    """Draw the ceilings that are near the rates. Returns entries of the legend, for all of them."""
    handles = []
    for rank, one in enumerate(found):
        line = {**_CEILING, "linestyle": _CEILING_LINES[rank % len(_CEILING_LINES)]}
        text = one.text.replace(": ", ":\n")
        if one.per_s >= _NEAR * rates[-1]:
            handles.append(Line2D([], [], linestyle="", label=f"off the scale:\n{text}"))
            continue
        handles.append(Line2D([], [], label=text, **line))
        for panel in panels:
            panel.axvline(one.per_s, gid=one.text, **line)
            panel.set_xlim(right=max(panel.get_xlim()[1], one.per_s * 1.06))
    return handles


def _share_scale(panels: Sequence[Axes], drawn: Sequence[Point]) -> None:
    """Give all panels the same logarithmic scale, so that they can be compared directly."""
    low, high = min(point.low for point in drawn), max(point.high for point in drawn)
    for panel in panels:
        panel.set_yscale("log")
        panel.set_ylim(low / 1.5, high * 1.5)
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.yaxis.set_major_formatter(FuncFormatter(_plain))
        panel.yaxis.set_minor_formatter(NullFormatter())


def _plain(value: float, _: object) -> str:
    return f"{value:,.10g}"


def findings(analysis: Analysis) -> str:
    """Say up to which rate each crawler keeps up, and what a user then waits."""
    texts = []
    for name, cells in analysis.by_crawler().items():
        kept = [cell for cell in cells if keeps_up(cell)]
        if not kept:
            texts.append(f"{name} keeps up with none of the rates")
            continue
        last = max(kept, key=offered_per_s)
        text = f"{name} keeps up to {offered_per_s(last):,.10g}/s"
        times = [
            f"{_NAMES[key]} {value / 1e6:,.1f} ms"
            for key in _QUANTILES
            if (value := last.median_of(f"response_{key}_ns")) is not None
        ]
        texts.append(f"{text} ({', '.join(times)})" if times else text)
    highest = max(map(offered_per_s, analysis.cells))
    return f"Of rates up to {highest:,.10g}/s: {'; '.join(texts)}."

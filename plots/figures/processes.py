"""processes.png: the same crawl in one process and in several, and what a request costs."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from bench.analysis.analyse import Analysis
from bench.analysis.parallel import ParallelPoint, ParallelSeries, by_processes
from bench.analysis.validity import Level
from bench.plan.experiment import RequestModel
from bench.wording import format_percent
from plots.bars import cost_legend, cost_of, draw_cost, draw_rate, highest, rate_legend
from plots.looks import GREY, LineStyle, styles_of
from plots.scenes import Drawn, SweepScene, cell_of, shown_series
from plots.style import add_small_print, add_title, legend_below, marks_explained, new_figure
from plots.words import TIMES, format_rate, is_difference_seen

_WIDTH, _GAP = 0.8, 0.9
"""Width of a bar, and the gap between two crawlers; numbers of processes are 1 apart."""
_WIDE_BARS, _WIDE_COSTS = 8, 6
"""Up to so many bars in a panel, there is room for numbers on them that are not turned: on the
left, and in the narrower panel on the right."""
_TICKS_INCHES, _NAME_INCHES, _LABEL_INCHES = 0.23, 0.16, 0.42
"""Height of a line of numbers below the axes, of a line of names, and of the label with gaps."""
_TALL = 0.42
"""A bar of this share of the axes has room for its number; that of a lower bar is above it."""
_MOST_ROOM = 2.2
"""Height of the axes as a multiple of the highest bar, at most, for the marks of the reference."""
_LABEL_ROOM = 0.2
"""Height of a number with its gain, as a share of the axes."""
_LEAST_GAIN = 0.05
"""Smaller differences, as a share, are not called a gain."""
_ON_WHITE = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.5}
_IDEAL = "ideal client, split in the same way"
_REFERENCE = "P times the rate of one process"

_HOW_TO_READ = (
    "Each run is shared among P processes: together they make the same requests, with as many in "
    "flight. Left, higher is better: where a crawl waits, further processes change nothing, "
    "because one process can wait for many requests. Where it computes, they help until the "
    "cores are used up; a dotted mark is what they would reach if nothing was shared, unless it is "
    "beyond the ideal or the panel. Right, lower is better: the CPU time of a request, in all "
    "processes of each end."
)


def draw(scene: SweepScene) -> Drawn | None:
    """Draw processes.png. Returns None if no crawler has several numbers of processes."""
    shown = shown_series(by_processes(scene.analysis))
    if not shown:
        return None
    figure = processes_figure(scene.analysis, shown, scene.small_print)
    heading = "Processes against coroutines"
    return Drawn("processes", heading, figure, _HOW_TO_READ, findings(scene.analysis, shown))


def processes_figure(
    analysis: Analysis, shown: Sequence[ParallelSeries], small_print: str
) -> Figure:
    """Return a figure with one row of panels for each request model: throughput, and CPU time.

    The gids of the medians are `LABEL VALID` etc., that of trials is `LABEL trials`, and those of
    bars of CPU time are `LABEL client` and `LABEL server`.
    """
    by_request: dict[RequestModel, list[ParallelSeries]] = {}
    for series in shown:
        by_request.setdefault(series.request, []).append(series)
    figure = new_figure()
    most = max(sum(len(series.points) for series in group) for group in by_request.values())
    width = 12.0 if most <= _WIDE_BARS else 14.0
    figure.set_size_inches(width, 2.3 + (3.0 if most <= _WIDE_BARS else 3.5) * len(by_request))
    panels = figure.subplots(len(by_request), 2, squeeze=False, width_ratios=(3, 2))
    styles = styles_of(list(dict.fromkeys(series.name for series in shown)))
    for (request, group), (left, right) in zip(by_request.items(), panels, strict=True):
        places = _places(group)
        _draw_rates(left, analysis, group, places, styles)
        _draw_costs(right, group, places)
        left.set_title(f"{_delay_title(analysis, request)}throughput", fontsize=12)
        right.set_title("CPU time of a request", fontsize=12)
        for panel in (left, right):
            _name_bars(panel, group, places, styles)
    points = [point for series in shown for point in series.points]
    handles = rate_legend(points, _IDEAL)
    if any(any(marks) for group in by_request.values() for marks in _references(group)):
        handles.append(Line2D([], [], color=GREY, linestyle=":", label=_REFERENCE))
    has_servers = _has_servers(points)
    lines = max(1 + _wrapped(series.name).count("\n") for series in shown)
    names_inches = _NAME_INCHES * lines * _has_names(shown)
    below = _TICKS_INCHES * (1 + has_servers) + names_inches + _LABEL_INCHES
    for panel, entries in zip(panels[-1], (handles, cost_legend(points)), strict=True):
        panel.set_xlabel(
            f"processes that share a run{' (in brackets: that serve it)' * has_servers}",
            labelpad=4 + 72 * names_inches,
        )
        legend_below(panel, entries, below)
    at = ", ".join(f"{at}" for at in dict.fromkeys(series.concurrency for series in shown))
    add_title(
        figure,
        "Processes against coroutines",
        f"concurrency {at} in all processes together; {analysis.experiment.format_plan()}",
    )
    levels = [cell_of(analysis, one, point).level for one in shown for point in one.points]
    add_small_print(figure, f"{small_print}{_format_servers(shown)}{marks_explained(levels)}")
    return figure


def _delay_title(analysis: Analysis, request: RequestModel) -> str:
    return f"delay {request}: " if analysis.experiment.knows_delays else ""


def _has_names(shown: Sequence[ParallelSeries]) -> bool:
    return len({series.name for series in shown}) > 1


def _has_servers(points: Sequence[ParallelPoint]) -> bool:
    return any(point.server_processes > 1 for point in points)


def _wrapped(name: str) -> str:
    return name.replace("-", "-\n").replace("+", "\n+").replace("@", "\n@")


def _format_servers(shown: Sequence[ParallelSeries]) -> str:
    most = {point.server_processes for series in shown for point in series.points}
    return "; served by one process" if most == {1} else ""


def _places(group: Sequence[ParallelSeries]) -> list[list[float]]:
    """Return where the bars of each series are."""
    places: list[list[float]] = []
    at = 0.0
    for series in group:
        places.append([at + rank for rank in range(len(series.points))])
        at += len(series.points) + _GAP
    return places


def _draw_rates(
    panel: Axes,
    analysis: Analysis,
    group: Sequence[ParallelSeries],
    places: Sequence[Sequence[float]],
    styles: dict[str, LineStyle],
) -> None:
    points = [point for series in group for point in series.points]
    top = _top(group)
    panel.set_ylim(0, top)
    is_wide = len(points) <= _WIDE_BARS
    for series, at, marks in zip(group, places, _references(group), strict=True):
        style = styles[series.name]
        one = series.points[0]
        for x, point, mark in zip(at, series.points, marks, strict=True):
            level = cell_of(analysis, series, point).level
            draw_rate(panel, point, style, level, x, _WIDTH, is_upright=True)
            gain = f"{TIMES} {point.rate / one.rate:.2f}" if point is not one else ""
            text = format_rate(point.rate) + (("\n" if is_wide else "  ") + gain if gain else "")
            is_inside = point.rate > _TALL * top
            above = max(point.rates)
            if mark:
                ends = (x - _WIDTH / 2, x + _WIDTH / 2)
                panel.plot(ends, (mark, mark), ":", color=GREY, zorder=3)
                above = mark if above < mark < above + _LABEL_ROOM * top else above
            panel.annotate(
                text,
                (x, 0 if is_inside else above),
                xytext=(0, 7),
                textcoords="offset points",
                ha="center",
                va="bottom",
                rotation=0 if is_wide else 90,
                fontsize=10 if is_wide else 8.5,
                zorder=6,
                bbox=None if is_inside else _ON_WHITE,
            )
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    panel.set_ylabel("requests / s")


def _top(group: Sequence[ParallelSeries]) -> float:
    """Return the end of the axis of rates, with room for the references if they are not too far."""
    most = max(highest(point) for series in group for point in series.points)
    reference = max(max(_reference(series)) for series in group)
    return max(1.13 * most, min(_MOST_ROOM * most, 1.05 * reference))


def _references(group: Sequence[ParallelSeries]) -> list[list[float]]:
    """Return the reference at each point of each series; 0 at the first and outside the panel."""
    top = _top(group)
    return [
        [
            reference[rank] if 0 < rank < len(reference) and reference[rank] <= top else 0.0
            for rank in range(len(series.points))
        ]
        for series in group
        for reference in [_reference(series)]
    ]


def _reference(series: ParallelSeries) -> list[float]:
    """Return P times the rate of one, from one process on as long as it is below the ideal."""
    one = series.points[0]
    rates = [one.rate]
    for point in series.points[1:]:
        rate = one.rate / one.processes * point.processes
        if point.ideal_rate is not None and rate > point.ideal_rate:
            break
        rates.append(rate)
    return rates


def _draw_costs(
    panel: Axes, group: Sequence[ParallelSeries], places: Sequence[Sequence[float]]
) -> None:
    points = [point for series in group for point in series.points]
    top = 1.12 * max(map(cost_of, points))
    is_wide = len(points) <= _WIDE_COSTS
    for at, point in zip((x for row in places for x in row), points, strict=True):
        draw_cost(panel, point, at, _WIDTH, is_upright=True)
        client, both = point.client_cpu_us or 0.0, cost_of(point)
        for start, end, colour in ((0.0, client, "black"), (client, both, "white")):
            if end - start > (0.07 if is_wide else 0.2) * top:
                text, middle = f"{end - start:,.0f}", (start + end) / 2
                panel.text(
                    at,
                    middle,
                    text,
                    ha="center",
                    va="center",
                    color=colour,
                    rotation=0 if is_wide else 90,
                    fontsize=12 if len(points) <= _WIDE_BARS / 2 else 9,
                )
    panel.set_ylim(0, top or 1.0)
    panel.yaxis.set_major_locator(MaxNLocator(5))
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    panel.set_ylabel("CPU µs / request")


def _name_bars(
    panel: Axes,
    group: Sequence[ParallelSeries],
    places: Sequence[Sequence[float]],
    styles: dict[str, LineStyle],
) -> None:
    """Write the numbers of processes under the bars, and under those the crawlers' names."""
    points = [point for series in group for point in series.points]
    has_servers = _has_servers(points)
    panel.set_xticks(
        [x for row in places for x in row],
        [f"{one.processes}" + f"\n({one.server_processes})" * has_servers for one in points],
    )
    panel.tick_params(axis="x", length=0, labelsize=12 if len(points) <= _WIDE_BARS else 10)
    panel.grid(axis="x", visible=False)
    panel.set_xlim(-0.7, places[-1][-1] + 0.7)
    if not _has_names(group):
        return
    for series, row in zip(group, places, strict=True):
        panel.annotate(
            _wrapped(series.name),
            (fmean((row[0], row[-1])), 0),
            xycoords=("data", "axes fraction"),
            xytext=(0, -72 * _TICKS_INCHES * (1 + has_servers)),
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=10 if len(points) <= _WIDE_BARS else 9,
            fontweight="bold",
            color=styles[series.name].colour,
        )


def findings(analysis: Analysis, shown: Sequence[ParallelSeries]) -> str:
    """Say for each request model what several processes gain, and how busy one process is."""
    texts = []
    for request in dict.fromkeys(series.request for series in shown):
        group = [
            valid
            for series in shown
            if series.request == request
            if len((valid := _without_invalid(analysis, series)).points) > 1
        ]
        if not group:
            continue
        text = (
            _said_of_one(analysis, group[0])
            if len(group) == 1
            else _said_of_several(analysis, group)
        )
        texts.append(f"{_delay_title(analysis, request)}{text}.")
    joined = " ".join(f"{text[:1].upper()}{text[1:]}" for text in texts)
    return joined or "No crawler has valid runs in several numbers of processes."


def _without_invalid(analysis: Analysis, series: ParallelSeries) -> ParallelSeries:
    points = tuple(
        point
        for point in series.points
        if cell_of(analysis, series, point).level is not Level.INVALID
    )
    return replace(series, points=points)


def _said_of_one(analysis: Analysis, series: ParallelSeries) -> str:
    one, *more = series.points
    gains = [point.rate / one.rate for point in more]
    computes = _format_busy(one)
    if not any(_is_gain(analysis, series, point) for point in more):
        low, high = min(gains), max(gains)
        times = f"{low:.2f}" if f"{low:.2f}" == f"{high:.2f}" else f"{low:.2f} to {high:.2f}"
        return (
            f"further processes of {series.name} make no clear difference ({times} times the rate "
            f"of {_format_count(one)}){computes}"
        )
    first = f"{gains[0]:.2f} times as fast with {more[0].processes} processes as with "
    others = [
        f", {gain:.2f} times with {point.processes}"
        for point, gain in zip(more[1:], gains[1:], strict=True)
    ]
    count = "one" if one.processes == 1 else str(one.processes)
    return f"{series.name} is {first}{count}{''.join(others)}{computes}"


def _said_of_several(analysis: Analysis, group: Sequence[ParallelSeries]) -> str:
    best = []
    for series in group:
        one, *more = series.points
        point = max(more, key=lambda point: point.rate)
        best.append((point.rate / one.rate, series, point))
    best.sort(key=lambda found: found[0])
    if not any(_is_gain(analysis, series, point) for _, series, point in best):
        return (
            "further processes make no clear difference for any crawler (at best "
            f"{best[-1][0]:.2f} times the rate)"
        )
    least, most = (
        f"{gain:.2f} times ({series.name}, {_format_count(point)}{_format_busy(series.points[0])})"
        for gain, series, point in (best[0], best[-1])
    )
    return f"with further processes the rate is from {least} to {most} that of the fewest"


def _is_gain(analysis: Analysis, series: ParallelSeries, point: ParallelPoint) -> bool:
    """Return whether the rate differs from that of the fewest processes by enough to be named.

    Of few trials there is no test of a difference; it then has to be the same way in all of them.
    """
    one, other = (cell_of(analysis, series, it) for it in (series.points[0], point))
    if abs(point.rate / series.points[0].rate - 1) < _LEAST_GAIN:
        return False
    before, after = (
        {trial.run.trial: trial.summary.requests_per_s for trial in cell.trials if trial.summary}
        for cell in (one, other)
    )
    is_more = {after[trial] > before[trial] for trial in before.keys() & after.keys()}
    return len(is_more) == 1 and is_difference_seen(one, other, "throughput")


def _format_count(point: ParallelPoint) -> str:
    return "one process" if point.processes == 1 else f"{point.processes} processes"


def _format_busy(one: ParallelPoint) -> str:
    """Return `; one process computes for 13 % of the time`, or "" for several processes."""
    if one.client_cpu_us is None or one.processes != 1:
        return ""
    share = one.rate * one.client_cpu_us / 1e6  # its start is in it, and it may have threads
    time = "all the time" if share >= 1 else f"for {format_percent(share)} of the time"
    return f"; one process computes {time}"

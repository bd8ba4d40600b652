"""interpreters.png: the same crawlers on several Pythons and event loops."""

from collections import Counter
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from bench.analysis.analyse import Analysis
from bench.analysis.parallel import ParallelPoint, ParallelSeries, by_interpreter
from bench.analysis.validity import Level
from plots.bars import cost_legend, cost_of, draw_cost, draw_rate, highest, rate_legend
from plots.looks import LineStyle, styles_of
from plots.scenes import DelayScene, Drawn, cell_of, shown_series
from plots.style import add_small_print, add_title, legend_below, marks_explained, new_figure
from plots.words import TIMES, format_rate, is_difference_seen

_HEIGHT = 0.7
"""Height of a bar. Bars are 1 apart, and so is the name of a crawler from its first bar."""
_ROOM = 1.35
"""Length of an axis as a multiple of its longest bar, for the numbers next to the bars."""

_HOW_TO_READ = (
    "The same crawlers on several interpreters and event loops. Left, higher is better: where a "
    "crawl waits for its responses, they are alike. Right, lower is better: what a request costs "
    "in CPU time shows how they differ. Without the GIL, several threads of one process compute "
    "at the same time; a JIT compiles what runs often."
)


def draw(scene: DelayScene) -> Drawn | None:
    """Draw interpreters.png. Returns None if no crawler has several interpreters or loops."""
    shown = shown_series(by_interpreter(scene.analysis))
    if not shown:
        return None
    figure = interpreters_figure(scene.analysis, shown, scene.small_print)
    heading = f"{_title(shown)}{scene.title}"
    finding = findings(scene.analysis, shown)
    return Drawn(f"interpreters{scene.suffix}", heading, figure, _HOW_TO_READ, finding)


def interpreters_figure(
    analysis: Analysis, shown: Sequence[ParallelSeries], small_print: str
) -> Figure:
    """Return a figure with one bar for each crawler on each interpreter and loop.

    The gids of the medians are `LABEL VALID` etc., that of trials is `LABEL trials`, and those of
    bars of CPU time are `LABEL client` and `LABEL server`.
    """
    points = [(series, point) for series in shown for point in series.points]
    headings, places = _places(shown)
    figure = new_figure()
    figure.set_size_inches(12.0, 2.2 + 0.36 * (places[-1] + 1))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    styles = styles_of(list(dict.fromkeys(series.name for series in shown)))
    _draw_rates(left, analysis, points, places, styles)
    _draw_costs(right, [point for _, point in points], places)
    left.set_yticks(places, [text for series in shown for text in runs_on(series)])
    left.set_ylim(places[-1] + 0.6, -0.5)
    for series, y in zip(shown, headings, strict=True):
        left.annotate(
            series.name,
            (0, y),
            xycoords=("axes fraction", "data"),
            xytext=(-4, 0),
            textcoords="offset points",
            ha="right",
            va="center",
            fontweight="bold",
            color=styles[series.name].colour,
        )
    for panel in (left, right):
        panel.tick_params(axis="y", length=0)
        panel.grid(axis="y", visible=False)
        panel.xaxis.set_major_locator(MaxNLocator(5))
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    every = [point for _, point in points]
    if handles := rate_legend(every, "ideal client"):
        legend_below(left, handles, 0.6)
    legend_below(right, cost_legend(every), 0.6)
    at = ", ".join(f"{at}" for at in dict.fromkeys(series.concurrency for series in shown))
    add_title(figure, _title(shown), f"concurrency {at}; {analysis.experiment.format_plan()}")
    levels = [cell_of(analysis, *one).level for one in points]
    add_small_print(figure, f"{small_print}{marks_explained(levels)}")
    return figure


def _title(shown: Sequence[ParallelSeries]) -> str:
    has_loops = any(len({point.loop for point in series.points}) > 1 for series in shown)
    return "By interpreter and event loop" if has_loops else "By interpreter"


def _places(shown: Sequence[ParallelSeries]) -> tuple[list[float], list[float]]:
    """Return where the names of the crawlers are, and where the bars of all are."""
    headings: list[float] = []
    places: list[float] = []
    at = 0.0
    for series in shown:
        headings.append(at)
        places += [at + 1 + rank for rank in range(len(series.points))]
        at = places[-1] + 1.2
    return headings, places


def runs_on(series: ParallelSeries) -> list[str]:
    """Return what each point runs on, as in `3.14.2t, no GIL`; its label if that is not unique."""
    has_loops = len({point.loop for point in series.points}) > 1
    texts = [_format_point(point, has_loops=has_loops) for point in series.points]
    count = Counter(texts)
    return [
        text if text and count[text] == 1 else point.label
        for text, point in zip(texts, series.points, strict=True)
    ]


def _format_point(point: ParallelPoint, *, has_loops: bool) -> str:
    if not point.runtime:
        return ""
    parts = [point.runtime]
    parts += ["no GIL"] if point.has_gil is False else []
    parts += ["JIT"] if point.has_jit else []
    parts += [point.loop or "its own loop"] if has_loops else []
    return ", ".join(parts)


def _draw_rates(
    panel: Axes,
    analysis: Analysis,
    points: Sequence[tuple[ParallelSeries, ParallelPoint]],
    places: Sequence[float],
    styles: dict[str, LineStyle],
) -> None:
    for y, (series, point) in zip(places, points, strict=True):
        level = cell_of(analysis, series, point).level
        draw_rate(panel, point, styles[series.name], level, y, _HEIGHT, is_upright=False)
        _write(panel, highest(point), y, format_rate(point.rate))
    panel.set_xlim(0, _ROOM * max(highest(point) for _, point in points))
    panel.set_xlabel("requests / s")


def _write(panel: Axes, x: float, y: float, text: str) -> None:
    """Write a number to the right of a bar."""
    panel.annotate(
        text, (x, y), xytext=(9, 0), textcoords="offset points", va="center", fontsize=10
    )


def _draw_costs(panel: Axes, points: Sequence[ParallelPoint], places: Sequence[float]) -> None:
    for y, point in zip(places, points, strict=True):
        draw_cost(panel, point, y, _HEIGHT, is_upright=False)
        client, server = point.client_cpu_us or 0.0, point.server_cpu_us
        both = f"{client:,.0f}" + (f" + {server:,.0f}" if server is not None else "")
        _write(panel, cost_of(point), y, both)
    most = max(map(cost_of, points))
    panel.set_xlim(0, _ROOM * most or 1.0)
    panel.set_xlabel("CPU µs / request")


def findings(analysis: Analysis, shown: Sequence[ParallelSeries]) -> str:
    """Say for each crawler on what it is fastest and slowest, and what a request costs on both."""
    texts = []
    for series in shown:
        named = [
            (point, text)
            for point, text in zip(series.points, runs_on(series), strict=True)
            if cell_of(analysis, series, point).level is not Level.INVALID
        ]
        if len(named) < 2:
            continue
        ranked = sorted(named, key=lambda one: one[0].rate)
        (slowest, slow), (fastest, fast) = ranked[0], ranked[-1]
        one, other = (cell_of(analysis, series, point) for point in (slowest, fastest))
        ratio = f"{fastest.rate / slowest.rate:.2f} {TIMES} the throughput"
        if not is_difference_seen(one, other, "throughput"):
            ratio += " (no difference is seen)"
        texts.append(
            f"{series.name} on {fast}: {ratio} on {slow}{_format_costs(fastest, slowest)}."
        )
    return " ".join(texts) or "No crawler has valid runs on several interpreters or loops."


def _format_costs(one: ParallelPoint, other: ParallelPoint) -> str:
    """Return `, with 73 against 111 µs of CPU per request`."""
    if one.client_cpu_us is None or other.client_cpu_us is None:
        return ""
    return (
        f", with {one.client_cpu_us:,.0f} against {other.client_cpu_us:,.0f} µs of CPU per request"
    )

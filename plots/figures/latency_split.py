"""latency-split.png: the time added to the delay, by where it is spent, against concurrency."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from bench.analysis.analyse import Analysis
from bench.analysis.cells import Trial
from bench.analysis.split import Part, SplitSummary
from plots.lines import P99_NOTE, note_few_requests, set_apart
from plots.looks import LineStyle, styles_of
from plots.scenes import DelayScene, Drawn
from plots.style import (
    LEGEND_INCHES,
    add_small_print,
    add_title,
    marker_of,
    marks_explained,
    new_figure,
    spread_ticks_log,
)
from plots.words import format_clocks

_PARTS = {
    "to_server": "on the way to the server\n(client, network, server's queue)",
    "service_wait": "waiting in the service's queue\n(for a place)",
    "late": "late in the server\n(after the planned delay)",
    "back": "on the way back\n(network, client)",
}
_IN_WORDS = {
    "to_server": "on the way to the server",
    "service_wait": "in the service's queue",
    "late": "in the server",
    "back": "on the way back",
}
_QUEUED = "in the client's queue and on the way to the server"
_MARKER_POINTS, _MARKERS = 8, 0.75
"""Marker size in other figures, in points, and its share here, where panels are smaller."""
_LEAST_MS = 0.01
"""Lower end of the logarithmic axis. Smaller values are drawn there."""


_HOW_TO_READ = (
    "Lower is better: the time that is added to the delay, by where it is spent. The way to the "
    "server includes the client's own work and the server's queue. Of a crawler with queueing it "
    "includes the wait for a connection inside the client. Medians above, p99 below."
)
_OF_CLOCKS = (
    " An error of the clock of another machine adds to one way what it takes from the other; the "
    "small print has its bound."
)


def draw(scene: DelayScene) -> Drawn | None:
    """Draw latency-split.png. Returns None if no run has a ledger."""
    figure = latency_split_figure(scene.analysis, scene.small_print)
    if figure is None:
        return None
    heading = f"Where the time goes{scene.title}"
    finding = findings(scene.analysis)
    every = (one for cell in scene.analysis.cells for one in cell.measured)
    has_clocks = any(one.clocks for one in every)
    how_to_read = _HOW_TO_READ + _OF_CLOCKS * has_clocks
    return Drawn(f"latency-split{scene.suffix}", heading, figure, how_to_read, finding)


def latency_split_figure(analysis: Analysis, small_print: str) -> Figure | None:
    """Return a figure with one column for each part except the delay: medians above p99, in ms.

    Waits in the service's queue have a column if there were any.

    Each cell is represented by its trial with the median throughput. The gids of lines are
    `CRAWLER PART p50` and `CRAWLER PART p99`. Returns None if no run has a ledger.
    """
    by_crawler: dict[str, list[Trial]] = defaultdict(list)
    for cell in analysis.cells:
        trial = cell.median_trial()
        if trial is not None and trial.summary is not None and trial.summary.split is not None:
            by_crawler[cell.cell.crawler].append(trial)
    if not by_crawler:
        return None
    has_waited = any(map(_has_waited, chain.from_iterable(by_crawler.values())))
    parts = [part for part in _PARTS if has_waited or part != "service_wait"]
    figure = new_figure()
    # Runs with few requests have no p99.
    quantiles = [
        quantile
        for quantile in ("p50", "p99")
        if any(_points(trials, part, quantile) for trials in by_crawler.values() for part in parts)
    ]
    figure.set_size_inches(12.0, 3.0 + 2.0 * len(quantiles))
    axes = figure.subplots(len(quantiles), len(parts), sharex=True, sharey=True, squeeze=False)
    styles = styles_of(analysis.experiment.crawlers)
    shifts = set_apart(by_crawler)
    asked = sorted({trial.run.concurrency for trials in by_crawler.values() for trial in trials})
    for row, quantile in enumerate(quantiles):
        for column, part in enumerate(parts):
            panel = axes[row][column]
            drawn = set()
            for name, trials in by_crawler.items():
                points = _points(trials, part, quantile)
                _draw(panel, points, styles[name], f"{name} {part} {quantile}", shifts[name])
                drawn |= {at for at, _, _ in points}
            if quantile != "p50":
                note_few_requests(panel, quantile, drawn, asked)
            panel.set_yscale("log")
            panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
            if row == 0:
                panel.set_title(_PARTS[part], fontsize=11 if len(parts) < 4 else 10)
            if row == len(quantiles) - 1:
                panel.set_xlabel("concurrency asked for")
    for panel in axes.flat:
        panel.set_xscale("log")
        panel.set_xlim(min(asked) / 1.25, max(asked) * 1.25)
        panel.xaxis.set_major_locator(FixedLocator(spread_ticks_log(asked, 2.5)))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    # Set last, because the panels share their limits.
    axes[0][0].set_ylim(bottom=_LEAST_MS)
    for row, quantile in enumerate(quantiles):
        axes[row][0].set_ylabel("median (ms)" if quantile == "p50" else "p99 (ms)")
    handles = [
        axes[0][0].plot(
            [],
            [],
            color=style.colour,
            linestyle=style.line,
            marker=style.marker,
            label=analysis.latency_label(name),
        )[0]
        for name, style in styles.items()
        if name in by_crawler
    ]
    figure.legend(handles=handles, loc="outside right upper", fontsize=10)
    add_title(
        figure,
        f"Time added to a delay of {analysis.experiment.delays[0]}, by where it is spent",
        f"{analysis.experiment.format_plan()}; the median trial of each cell",
        LEGEND_INCHES,
    )
    marks = marks_explained(
        trial.verdict.level for trials in by_crawler.values() for trial in trials
    )
    shown = (trial.summary for trials in by_crawler.values() for trial in trials)
    clocks = format_clocks(one for one in shown if one is not None)
    add_small_print(figure, f"{small_print}; {P99_NOTE}{marks}\n{clocks}")
    return figure


def _has_waited(trial: Trial) -> bool:
    """Return whether requests waited in the service's queue."""
    slot_time = trial.summary.slot_time if trial.summary is not None else None
    return slot_time is not None and slot_time.service_wait > 0


def _points(trials: Sequence[Trial], part: str, quantile: str) -> list[tuple[int, float, Trial]]:
    points = []
    for trial in trials:
        assert trial.summary is not None
        assert trial.summary.split is not None
        value = _value(trial.summary.split, part, quantile)
        if value is not None:
            points.append((trial.run.concurrency, max(_LEAST_MS, value / 1e6), trial))
    return points


def _value(split: SplitSummary, part: str, quantile: str) -> int | None:
    found: Part = getattr(split, part)
    return found.p50_ns if quantile == "p50" else found.p99_ns


def _draw(
    panel: Axes, points: list[tuple[int, float, Trial]], style: LineStyle, gid: str, shift: float
) -> None:
    panel.plot(
        [at * shift for at, _, _ in points],
        [value for _, value, _ in points],
        color=style.colour,
        linestyle=style.line,
        gid=gid,
    )
    for at, value, trial in points:
        marks = marker_of(trial.verdict.level, style.marker, style.colour)
        panel.plot(
            [at * shift],
            [value],
            linestyle="",
            clip_on=False,
            zorder=5,
            **marks | {"markersize": _MARKERS * marks.get("markersize", _MARKER_POINTS)},
        )


def findings(analysis: Analysis) -> str:
    """Say where most time is added to the delay."""
    parts = []
    for cell in analysis.cells:
        trial = cell.median_trial()
        split = trial.summary.split if trial is not None and trial.summary is not None else None
        if split is not None:
            parts += [
                (
                    getattr(split, part).p50_ns / 1e6,
                    cell.cell,
                    _QUEUED if cell.queues and part == "to_server" else words,
                )
                for part, words in _IN_WORDS.items()
            ]
    if not parts:
        return "No run has a ledger."
    most, by, words = max(parts, key=lambda part: part[0])
    return (
        f"Most time is added {words}: a median of {most:.1f} ms in the median trial of "
        f"{by.crawler} at {by.concurrency}."
    )

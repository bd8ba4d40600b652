"""in-flight-CRAWLER.png: requests in flight at the server over time, and C. Rows -> Figure."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.analysis.cells import Trial
from bench.analysis.in_flight import Levels
from bench.results.columns import IntColumns
from plots.scenes import Drawn, RunScene
from plots.style import GREY, SERVER, add_small_print, doubt_shown, new_figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINS = 800
"""Across the axes: about a pixel each, so that a million requests are drawn like a thousand."""


_HOW_TO_READ = (
    "Requests in flight at the server over time, and the concurrency asked for. Dips show a client "
    "that is busy between waves; a flat top below the dashed line shows a hidden limit."
)


def draw(scene: RunScene) -> Drawn | None:
    """in-flight-CRAWLER.png; None without a ledger, without a delay, and if nothing arrived."""
    arrivals = scene.accounts.arrivals
    if arrivals is None:
        return None
    figure = in_flight_figure(scene.trial, arrivals, scene.small_print)
    if figure is None:
        return None
    return Drawn(
        f"in-flight-{scene.file_name}",
        "Concurrency achieved",
        figure,
        _HOW_TO_READ,
        findings(scene.trial),
        scene.trial.run.crawler,
    )


def in_flight_figure(trial: Trial, arrivals: IntColumns, small_print: str) -> Figure | None:
    """Mean of each moment as a line, least to most as an area; gids "mean", "range", "asked".

    Of few requests the level itself, with gid "level". None if nothing arrived, and without a
    delay: requests are then answered as they are read, and next to nothing is in flight.
    """
    if not trial.run.delay.high_us:
        return None
    levels = Levels.at_server(arrivals)
    if levels is None:
        return None
    run = trial.run
    figure = new_figure()
    axes = figure.add_subplot()
    if len(levels.instant_ns) <= _BINS:
        seconds = (levels.instant_ns - levels.instant_ns[0]) / 1e9
        (line,) = axes.step(seconds, levels.level, where="post", color=SERVER, linewidth=1.5)
        line.set(gid="level", label="in flight")
    else:
        seconds = _draw_bins(axes, levels)
    axes.axhline(
        run.concurrency, color=GREY, linestyle="--", linewidth=1.3, gid="asked", label="asked for"
    )
    axes.set_xlim(0, seconds[-1])
    axes.set_ylim(0, 1.2 * max(run.concurrency, levels.peak))  # the legend has its place above
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("time since the first arrival (s)")
    axes.set_ylabel("requests in flight at the server")
    achieved = f"mean {levels.mean:.1f}, peak {levels.peak}, of {run.concurrency} asked for"
    axes.set_title(
        f"Concurrency achieved: {run.crawler}\n"
        f"{achieved}; delay {run.delay}, {run.requests:,} requests, trial {run.trial}"
        f"{doubt_shown(trial.verdict)}"
    )
    axes.legend(loc="upper right", ncols=3, fontsize=11)
    add_small_print(figure, small_print)
    return figure


def _draw_bins(axes: Axes, levels: Levels) -> "NDArray[np.float64]":
    """Returns the edges of the bins, in seconds."""
    edges, mean, least, most = binned(levels)
    seconds: NDArray[np.float64] = (edges - edges[0]) / 1e9
    middle = (seconds[:-1] + seconds[1:]) / 2
    axes.fill_between(
        middle,
        least,
        most,
        color=SERVER,
        alpha=0.25,
        linewidth=0,
        gid="range",
        label="range within each pixel",
    )
    axes.plot(middle, mean, color=SERVER, linewidth=1.5, gid="mean", label="mean")
    return seconds


def binned(
    levels: Levels,
) -> "tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]":
    """Edges of equal spans of time in ns; in each the mean over time, the least and the most."""
    instants = levels.instant_ns
    edges = np.linspace(float(instants[0]), float(max(instants[-1], instants[0] + 1)), _BINS + 1)
    area = np.concatenate([[0], np.cumsum(levels.level[:-1] * np.diff(instants))])
    mean = np.diff(np.interp(edges, instants, area)) / np.diff(edges)
    # In force at the left edge of each bin, and whatever begins within it.
    first = np.searchsorted(instants, edges[:-1], side="right") - 1
    last = np.searchsorted(instants, edges[1:], side="left")
    bounds = np.stack([first, np.maximum(last, first + 1)], axis=1).ravel()
    padded = np.append(levels.level, levels.level[-1])
    least = np.minimum.reduceat(padded, bounds)[::2]
    most = np.maximum.reduceat(padded, bounds)[::2]
    return edges, mean, least, most


def findings(trial: Trial) -> str:
    """The concurrency achieved, and that asked for."""
    summary = trial.summary
    assert summary is not None
    assert summary.in_flight is not None
    flying = summary.in_flight
    return (
        f"{flying.mean:.1f} requests in flight on average, {flying.peak} at most, of "
        f"{trial.run.concurrency} asked for."
    )

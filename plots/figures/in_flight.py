"""in-flight-CRAWLER.png: requests in flight at the server over time, compared with C."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.analysis.cells import Trial
from bench.analysis.in_flight import Levels
from bench.results.columns import IntColumns
from plots.looks import GREY, SERVER
from plots.scenes import Drawn, RunScene
from plots.style import add_axes_title, add_small_print, format_doubt, new_figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BINS = 800
"""Number of bins across the axes. Each is about a pixel wide, for any number of requests."""


_HOW_TO_READ = (
    "Requests in flight at the server over time, and the concurrency asked for. Dips show a client "
    "that is busy between waves; a flat top below the dashed line shows a hidden limit."
)


def draw(scene: RunScene) -> Drawn | None:
    """Draw in-flight-CRAWLER.png. Returns None without a ledger or delay, or if nothing arrived."""
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
    """Return a figure of the requests in flight over time.

    For many requests, a line shows the mean of each bin (gid "mean") and an area its min to max
    (gid "range"). For few requests, a line shows the exact level (gid "level"). The asked
    concurrency has the gid "asked". Returns None if nothing arrived, and for a delay of 0, when
    requests are answered as soon as they are read and almost nothing is in flight.
    """
    if trial.run.delay.is_none:
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
    add_axes_title(
        axes,
        f"Concurrency achieved: {run.crawler}",
        f"{achieved}; delay {run.delay}, {run.requests:,} requests, trial {run.trial}",
        format_doubt(trial.verdict),
    )
    axes.legend(loc="upper right", ncols=3, fontsize=11)
    add_small_print(figure, small_print)
    return figure


def _draw_bins(axes: Axes, levels: Levels) -> "NDArray[np.float64]":
    """Draw mean and range of each bin. Returns the edges of the bins, in seconds."""
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
    """Return the edges of bins of equal duration, in ns, and the mean, min and max level in each.

    There is one more edge than there are bins. Means are weighted by time.
    """
    instants = levels.instant_ns
    edges = np.linspace(float(instants[0]), float(max(instants[-1], instants[0] + 1)), _BINS + 1)
    area = np.concatenate([[0], np.cumsum(levels.level[:-1] * np.diff(instants))])
    mean = np.diff(np.interp(edges, instants, area)) / np.diff(edges)
    # The level at the left edge of each bin, and every level that begins inside the bin.
    first = np.searchsorted(instants, edges[:-1], side="right") - 1
    last = np.searchsorted(instants, edges[1:], side="left")
    bounds = np.stack([first, np.maximum(last, first + 1)], axis=1).ravel()
    padded = np.append(levels.level, levels.level[-1])
    least = np.minimum.reduceat(padded, bounds)[::2]
    most = np.maximum.reduceat(padded, bounds)[::2]
    return edges, mean, least, most


def findings(trial: Trial) -> str:
    """State the achieved and the asked concurrency."""
    summary = trial.summary
    assert summary is not None
    assert summary.in_flight is not None
    flying = summary.in_flight
    return (
        f"{flying.mean:.1f} requests in flight on average, {flying.peak} at most, of "
        f"{trial.run.concurrency} asked for."
    )

"""Draws bars of crawlers that are run in several ways: rates with their trials, and CPU time."""

from collections.abc import Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from bench.analysis.parallel import ParallelPoint
from bench.analysis.validity import Level
from plots.looks import CLIENT, GREY, SERVER, LineStyle
from plots.style import lightened, marker_of


def draw_rate(
    panel: Axes,
    point: ParallelPoint,
    style: LineStyle,
    level: Level,
    at: float,
    width: float,
    *,
    is_upright: bool,
) -> None:
    """Draw a bar of the median rate, a dot for each trial, and a line at the ideal if there is one.

    The gid of the median's marker is `LABEL VALID` etc., and that of the dots `LABEL trials`.
    """
    bar, line = (panel.bar, panel.hlines) if is_upright else (panel.barh, panel.vlines)
    bar(at, point.rate, width, color=lightened(style.colour), zorder=2)
    if point.ideal_rate is not None:
        ends = (at - width / 2, at + width / 2)
        line(point.ideal_rate, *ends, color=GREY, linestyles="--", zorder=3)
    if len(point.rates) > 1:
        step = width / 2 / (len(point.rates) - 1)
        beside = [at - width / 4 + step * rank for rank in range(len(point.rates))]
        dots = (beside, point.rates) if is_upright else (point.rates, beside)
        panel.plot(*dots, "k.", markersize=5, gid=f"{point.label} trials", zorder=5)
    median = ([at], [point.rate]) if is_upright else ([point.rate], [at])
    gid = f"{point.label} {level.name}"
    mark = marker_of(level, style.marker, style.colour)
    panel.plot(*median, linestyle="", gid=gid, zorder=4, **mark)


def highest(point: ParallelPoint) -> float:
    """Return the end of what draw_rate draws."""
    return max(*point.rates, point.ideal_rate or 0.0)


def draw_cost(
    panel: Axes, point: ParallelPoint, at: float, width: float, *, is_upright: bool
) -> None:
    """Draw a bar of CPU time: the client's, and then the server's if it is known.

    Their gids are `LABEL client` and `LABEL server`.
    """
    client = point.client_cpu_us or 0.0
    for end, start, cost, colour in (
        ("client", 0.0, client, CLIENT),
        ("server", client, point.server_cpu_us, SERVER),
    ):
        if cost is None:
            continue
        gid = f"{point.label} {end}"
        if is_upright:
            panel.bar(at, cost, width, bottom=start, color=colour, gid=gid, zorder=2)
        else:
            panel.barh(at, cost, width, left=start, color=colour, gid=gid, zorder=2)


def cost_of(point: ParallelPoint) -> float:
    """Return the CPU time of a request at both ends, as far as it is known."""
    return (point.client_cpu_us or 0.0) + (point.server_cpu_us or 0.0)


def rate_legend(points: Sequence[ParallelPoint], ideal: str) -> list[Artist]:
    """Return legend entries for what draw_rate has drawn."""
    handles: list[Artist] = []
    if any(len(point.rates) > 1 for point in points):
        handles.append(Line2D([], [], marker=".", color="black", linestyle="", label="a trial"))
    if any(point.ideal_rate is not None for point in points):
        handles.append(Line2D([], [], color=GREY, linestyle="--", label=ideal))
    return handles


def cost_legend(points: Sequence[ParallelPoint]) -> list[Artist]:
    """Return legend entries for what draw_cost has drawn."""
    is_known = any(point.server_cpu_us is not None for point in points)
    server = [Patch(color=SERVER, label="server")] if is_known else []
    return [Patch(color=CLIENT, label="client"), *server]

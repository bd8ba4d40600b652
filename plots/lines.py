"""Draws lines of crawlers: points with their spread and verdict, and a name at each line's end."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.analysis.quantiles import least_requests
from bench.analysis.validity import Level
from bench.plan.experiment import Experiment
from plots.looks import FAILED, GREY, LineStyle
from plots.style import keep_inside, marker_of, spread_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LABEL_HEIGHT = 0.05
"""Height of a label, as a share of the height of the axes."""
P99_NOTE = f"p99 of runs of at least {least_requests(0.99):,} requests"
"""Text for the small print of figures that show a p99."""
_APART = 0.02
"""Sideways distance of two crawlers' points, as a share of the concurrency, so that both show."""
_LEADER: dict[str, Any] = {
    "arrowstyle": "-",
    "linewidth": 0.7,
    "alpha": 0.6,
    "shrinkA": 2,
    "shrinkB": 5,
    "relpos": (0, 0.5),
}
_MEANING = {
    Level.UNCHECKED: "half filled: UNCHECKED, no ledger",
    Level.SUSPECT: "hollow: SUSPECT, see the report",
    Level.INVALID: "cross: INVALID, do not use it",
}


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a line: a median with its minimum and maximum, and the verdict of its cell."""

    concurrency: float
    """The concurrency, or in open loop the offered rate."""
    x: float
    """Where the point is drawn: at its concurrency, or near it."""
    y: float
    low: float
    high: float
    level: Level


class Shape(NamedTuple):
    """The ideal at every concurrency, which lines follow between their points."""

    x: "NDArray[np.int64]"
    y: "NDArray[np.float64]"
    is_stepped: bool = False
    """Whether the value stays constant from each concurrency to the next."""


def draw_line(
    axes: Axes,
    name: str,
    style: LineStyle,
    points: Sequence[Point],
    shape: Shape | None = None,
) -> None:
    """Draw one line. Its gid is `name`, and that of the markers of a verdict is `NAME VALID` etc.

    Between points the line is straight, or follows `shape` and has the gid `NAME between`. It then
    interpolates its ratio to the shape, so that it crosses the ideal only if a point is beyond it.
    """
    follows = shape is not None and all(point.y > 0 for point in points)
    bars = axes.errorbar(
        [point.x for point in points],
        [point.y for point in points],
        yerr=[
            [point.y - point.low for point in points],
            [point.high - point.y for point in points],
        ],
        color=style.colour,
        linestyle="" if follows else style.line,
        elinewidth=1.2,
        capsize=2.5,
        zorder=3,
    )
    bars.lines[0].set_gid(name)
    if follows and shape is not None:
        at = np.array([point.x for point in points])
        shares = np.array([point.y for point in points]) / np.interp(at, shape.x, shape.y)
        inside = (shape.x >= at[0]) & (shape.x <= at[-1])
        between = shape.x[inside]
        axes.plot(
            between,
            shape.y[inside] * np.exp(np.interp(np.log(between), np.log(at), np.log(shares))),
            color=style.colour,
            linestyle=style.line,
            linewidth=1.4 if shape.is_stepped else None,
            drawstyle="steps-post" if shape.is_stepped else "default",
            zorder=3,
            gid=f"{name} between",
        )
    draw_markers(axes, name, style, points)


def draw_markers(axes: Axes, name: str, style: LineStyle, points: Sequence[Point]) -> None:
    """Draw a marker at each point. The gid of those of a verdict is `NAME VALID` etc."""
    for level in Level:
        marked = [(point.x, point.y) for point in points if point.level is level]
        if marked:
            axes.plot(
                *zip(*marked, strict=True),
                linestyle="",
                zorder=4,
                gid=f"{name} {level.name}",
                **marker_of(level, style.marker, style.colour),
            )


def set_apart(names: Collection[str]) -> dict[str, float]:
    """Return a factor for the x positions of each crawler, so that no marker hides another.

    The axis must be logarithmic.
    """
    middle = (len(names) - 1) / 2
    return {name: 1 + _APART * (rank - middle) for rank, name in enumerate(names)}


def note_few_requests(
    axes: Axes, quantile: str, concurrencies: Collection[float], measured: Collection[float]
) -> None:
    """Note on the axes why a quantile has no line, if it is known for one concurrency or none.

    No more than one may have been `measured`; then nothing is missing.
    """
    if len(concurrencies) > 1 or len(concurrencies) == len(measured):
        return
    text = f"no run has enough requests for a {quantile}"
    if concurrencies:
        text = f"only runs at {min(concurrencies):g} have\nenough requests for a {quantile}"
    axes.annotate(text, (0.04, 0.5), xycoords="axes fraction", va="center", fontsize=10, color=GREY)


def marker_legend(levels: Sequence[Level]) -> list[Line2D]:
    """Return legend entries for the markers of those `levels` that are not VALID."""
    return [
        Line2D([], [], linestyle="", label=_MEANING[level], **marker_of(level, "o", GREY))
        for level in _MEANING
        if level in levels
    ]


def name_ends(
    axes: Axes,
    last: Mapping[str, Point],
    styles: Mapping[str, LineStyle],
    offset: tuple[float, float] | None = (48, 3),
) -> None:
    """Write each line's name to the right of the axes, near the height of its last point.

    Names do not overlap. A line that ends at a lower concurrency than others is named next to its
    last point, `offset` points to the right and up; if `offset` is None, it is named with the
    others. The limits of the axes must be set before.
    """
    most = max((point.concurrency for point in last.values()), default=1)
    ends = {
        name: point for name, point in last.items() if point.concurrency == most or offset is None
    }
    wanted = [_height(axes, point) for point in ends.values()]
    placed = keep_inside(spread_labels(wanted, _LABEL_HEIGHT), _LABEL_HEIGHT)
    for (name, point), y in zip(ends.items(), placed, strict=True):
        axes.annotate(
            name,
            xy=(point.x, point.y),
            xytext=(1.035, y),
            textcoords="axes fraction",
            va="center",
            annotation_clip=False,
            arrowprops=_LEADER | {"color": styles[name].colour},
            color=styles[name].colour,
            fontweight="bold",
        )
    for name, point in last.items():
        if name not in ends:
            axes.annotate(
                f"{name} (up to {point.concurrency})",
                xy=(point.x, point.y),
                xytext=offset,
                textcoords="offset points",
                va="bottom",
                arrowprops=_LEADER | {"color": styles[name].colour},
                color=styles[name].colour,
                fontweight="bold",
            )


def name_failed(axes: Axes, names: Sequence[str]) -> None:
    """Name the crawlers without a single result. They are INVALID and have no line."""
    if names:
        axes.annotate(
            f"INVALID, no result: {', '.join(names)}",
            (0.01, 0.8),
            xycoords="axes fraction",
            color=FAILED,
            fontsize=11,
        )


def _height(axes: Axes, point: Point) -> float:
    """Return the height of a point as a share of the axes' height, for any scale."""
    display = axes.transData.transform((point.x, point.y))
    return float(axes.transAxes.inverted().transform(display)[1])


def plan_and_spread(asked: Experiment) -> str:
    """Return a subtitle: what was asked; and with several trials, what points and bars show."""
    return asked.format_plan() + (", median and min-max" if asked.trials > 1 else "")

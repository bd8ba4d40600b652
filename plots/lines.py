"""Lines of crawlers: points with their spread and verdict, and each line's name at its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from bench.analysis.validity import Level
from bench.plan.experiment import Experiment
from plots.style import GREY, LineStyle, marker_of, spread_labels

_STEPS = 400
"""Of a line that is not straight."""
_LABEL_HEIGHT = 0.05
"""Of a label, as a share of the height of the axes."""
_LEADER: dict[str, Any] = {
    "arrowstyle": "-",
    "linewidth": 0.7,
    "alpha": 0.6,
    "shrinkA": 2,
    "shrinkB": 5,
    "relpos": (0, 0.5),
}
_MEANING = {
    Level.UNCHECKED: "half filled: UNCHECKED, there was no ledger",
    Level.SUSPECT: "hollow: SUSPECT, see the report",
    Level.INVALID: "cross: INVALID, not to be believed",
}


@dataclass(frozen=True, slots=True)
class Point:
    """Of a line: a median with its least and most, and what it is worth."""

    concurrency: int
    x: float
    """Where it is drawn: at its concurrency, or near it."""
    y: float
    low: float
    high: float
    level: Level


def draw_line(
    axes: Axes,
    name: str,
    style: LineStyle,
    points: Sequence[Point],
    *,
    is_power: bool = False,
) -> None:
    """The line has the name as gid, the markers of each verdict `NAME VALID` and so on.

    Between points it is straight; or, for `is_power`, follows powers of x (as C / delay and its
    inverse do, whatever the scales of the axes), and has the gid `NAME between`.
    """
    bars = axes.errorbar(
        [point.x for point in points],
        [point.y for point in points],
        yerr=[
            [point.y - point.low for point in points],
            [point.high - point.y for point in points],
        ],
        color=style.colour,
        linestyle="" if is_power else style.line,
        elinewidth=1.2,
        capsize=2.5,
        zorder=3,
    )
    bars.lines[0].set_gid(name)
    if is_power:
        log_x = np.log([point.x for point in points])
        log_y = np.log([point.y for point in points])
        between = np.linspace(log_x[0], log_x[-1], _STEPS)
        axes.plot(
            np.exp(between),
            np.exp(np.interp(between, log_x, log_y)),
            color=style.colour,
            linestyle=style.line,
            zorder=3,
            gid=f"{name} between",
        )
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


def marker_legend(levels: Sequence[Level]) -> list[Line2D]:
    """What hollow markers and crosses mean, if there are any."""
    return [
        Line2D([], [], linestyle="", label=_MEANING[level], **marker_of(level, "o", GREY))
        for level in _MEANING
        if level in levels
    ]


def name_ends(
    axes: Axes,
    last: Mapping[str, Point],
    styles: Mapping[str, LineStyle],
    beside: tuple[float, float] | None = (48, 3),
) -> None:
    """Each line's name right of the axes at the height of its last point, none over another.

    A line that ends at a lower concurrency than others is named `beside` its last point, so many
    points to the right and up; for None, with all others. The limits of the axes are set by now.
    """
    most = max((point.concurrency for point in last.values()), default=1)
    ends = {
        name: point for name, point in last.items() if point.concurrency == most or beside is None
    }
    wanted = [_height(axes, point) for point in ends.values()]
    for (name, point), y in zip(ends.items(), spread_labels(wanted, _LABEL_HEIGHT), strict=True):
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
                xytext=beside,
                textcoords="offset points",
                va="bottom",
                arrowprops=_LEADER | {"color": styles[name].colour},
                color=styles[name].colour,
                fontweight="bold",
            )


def _height(axes: Axes, point: Point) -> float:
    """As a share of the axes, whatever their scale."""
    display = axes.transData.transform((point.x, point.y))
    return float(axes.transAxes.inverted().transform(display)[1])


def plan_and_spread(asked: Experiment) -> str:
    """For titles: what was asked; and what points and their bars are, if there are more trials."""
    return asked.plan_shown() + (", median and min-max" if asked.trials > 1 else "")

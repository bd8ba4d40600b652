"""The style of all figures. A crawler has the same colour, marker and line style in each of them.

Colours are Okabe and Ito's (2008) and some of Tol's (2021), which colour-blind readers can
distinguish. Markers and line styles distinguish the lines in print without colour.
"""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import ScaledTranslation

from bench.analysis.validity import Level, Verdict
from bench.plan.delays import Delay

_Line = str | tuple[int, tuple[int, ...]]
_DOTS: _Line = (0, (1, 1))
_LONG: _Line = (0, (7, 2))
_DASH_DOTS: _Line = (0, (5, 1, 1, 1, 1, 1))

_OWN: dict[str, tuple[str, str, _Line]] = {
    "serial": ("#882255", ">", "-"),
    "gevent": ("#009E73", "^", "--"),
    "grequests": ("#117733", "v", "-."),
    "tornado": ("#D55E00", "s", "-"),
    "tornado-callback": ("#E69F00", "d", _DOTS),
    "asyncio": ("#0072B2", "o", "-"),
    "asyncio-uvloop": ("#332288", "D", "--"),
    "twisted": ("#CC79A7", "p", "-"),
    "threads": ("#56B4E9", "<", "-."),
    "tornado-simple": ("#8C6D31", "P", _LONG),
    "tornado-simple-callback": ("#661100", "X", _DOTS),
    "geventhttpclient": ("#44AA99", "h", _DASH_DOTS),
    "httpx": ("#999933", "8", _LONG),
    "protocol": ("#777777", "H", "-"),
    "protocol-uvloop": ("#000000", "*", "--"),
    "asyncio-semaphore": ("#BB5566", "s", "--"),
    "asyncio-taskgroup": ("#DDAA33", "X", "-"),
    "asyncio-chunks": ("#AA4499", "D", _DASH_DOTS),
    "asyncio-queue": ("#004488", "v", "-."),
    "gevent-pool": ("#228833", "P", _LONG),
    "threads-map": ("#6699CC", "*", "-"),
    "scrapy": ("#D55E00", "P", _LONG),
    "crawlee": ("#E69F00", "h", _DASH_DOTS),
    # Savers of bench.primes have the colours of the crawlers that they are made from.
    "no-io": ("#777777", "P", "-"),
    "file-io": ("#999933", "8", _DASH_DOTS),
    "batches": ("#117733", "v", "-."),
    "batches-aiohttp": ("#44AA99", "h", _LONG),
    "async": ("#0072B2", "o", "-"),
    "async-uvloop": ("#332288", "D", "--"),
    "async-sleep": ("#CC79A7", "p", "-"),
    "async-sleep-uvloop": ("#AA3377", "d", _DOTS),
    "processes": ("#D55E00", "X", _LONG),
}
_LARGER = {"*": 13, "P": 10, "X": 10, "d": 9}
"""Sizes in points of markers that look smaller than others of the same size."""
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#882255")
_MARKERS = ("o", "s", "^", "D", "v", "P", "*", "<", ">", "h", "p", "d")
_LINES: tuple[_Line, ...] = ("-", "--", "-.", _DOTS, _DASH_DOTS)
_OF_DELAYS = "magma"
"""Colour map for delays: longer delays are darker. No crawler has one of these colours."""
_LIGHTEST, _DARKEST = 0.78, 0.12

_SMALL_PER_INCH = 16
"""Characters of small print per inch."""
_SMALL_INCHES, _SMALL_GAP_INCHES = 0.137, 0.1
"""Height of a line of small print, and the gap above the first line."""

_TITLE_PER_INCH = 9.2
"""Characters of a title per inch."""
LEGEND_INCHES = 2.6
"""Room beside a title for a legend at the upper right."""
_AXIS_INCHES = 1.0
"""Room left of the title of an axes, where its labels are."""

_SIDE_INCHES = 0.12
"""Margin between the edge of a figure and its content; without one, text touches the edge."""

_TINT = 0.32
"""Share of a colour in its light tint; the rest is white."""

GREY = "#555555"
CLIENT = "#E69F00"
SERVER = "#0072B2"
FAILED = "#B22222"

mpl.use("Agg")
mpl.rcParams.update(
    {
        "figure.figsize": (9.6, 6.0),
        "figure.dpi": 125,
        "savefig.dpi": 125,
        "font.size": 12,
        "axes.titlesize": 14,
        "axes.titlelocation": "left",
        "axes.titlepad": 12,
        "axes.labelsize": 12,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": "#DDDDDD",
        "grid.linewidth": 0.8,
        "lines.linewidth": 2.0,
        "lines.markersize": 8,
        "legend.frameon": False,
        "text.parse_math": False,  # a $ in a name is an ordinary character
    }
)


@dataclass(frozen=True, slots=True)
class LineStyle:
    """Colour, line style and marker of one crawler."""

    colour: str
    marker: str
    line: _Line


def styles_of(crawlers: Sequence[str]) -> dict[str, LineStyle]:
    """Return a style for each crawler: a fixed one if it is built in, else the next free one."""
    taken = {_OWN[name][:2] for name in crawlers if name in _OWN}
    free = (
        look
        for i in count()
        if (
            look := (
                _COLOURS[i % len(_COLOURS)],
                _MARKERS[i % len(_MARKERS)],
                _LINES[i % len(_LINES)],
            )
        )[:2]
        not in taken
    )
    return {name: LineStyle(*(_OWN.get(name) or next(free))) for name in crawlers}


def styles_of_delays(delays: Sequence[Delay]) -> dict[str, LineStyle]:
    """Return a style for each delay, by the delay as text."""
    ranked = sorted(delays, key=lambda delay: delay.mean_us)
    step = (_LIGHTEST - _DARKEST) / max(1, len(ranked) - 1)
    shades = mpl.colormaps[_OF_DELAYS]
    return {
        str(delay): LineStyle(
            to_hex(shades(_LIGHTEST - step * rank)), _MARKERS[rank % len(_MARKERS)], "-"
        )
        for rank, delay in enumerate(ranked)
    }


def marker_of(level: Level, marker: str, colour: str) -> dict[str, Any]:
    """Return matplotlib's options for a marker of this verdict.

    VALID is filled, UNCHECKED half filled, SUSPECT hollow, and INVALID a cross.
    """
    if level is Level.INVALID:
        return {"marker": "x", "color": colour, "markeredgewidth": 2.5}
    if level is Level.SUSPECT:
        hollow = {"markerfacecolor": "white", "markeredgecolor": colour, "markeredgewidth": 2.0}
        return {"marker": marker, "color": colour, **hollow}
    if level is Level.UNCHECKED:
        half = {"fillstyle": "bottom", "markerfacecoloralt": "white", "markeredgecolor": colour}
        return {"marker": marker, "color": colour, **half}
    size = {"markersize": _LARGER[marker]} if marker in _LARGER else {}
    edge = {"markeredgecolor": "white", "markeredgewidth": 0.8}
    return {"marker": marker, "color": colour, **edge, **size}


def marks_explained(levels: Iterable[Level]) -> str:
    """Return an addition to the small print, as in `; hollow: SUSPECT`, or "" if all are VALID."""
    said = {
        Level.UNCHECKED: "; half filled: UNCHECKED",
        Level.SUSPECT: "; hollow: SUSPECT",
        Level.INVALID: "; cross: INVALID",
    }
    return "".join(said[level] for level in sorted(set(levels)) if level in said)


def format_doubt(verdict: Verdict) -> str:
    """Return a further line for a title, as in `SUSPECT: late, stall`, or "" for a VALID run."""
    checks = sorted({one.check for one in verdict.reasons if one.level})
    return f"\n{verdict.level.name}: {', '.join(checks)}" if checks else ""


def new_figure() -> Figure:
    """Return an empty figure. `add_small_print` makes room for its text at the bottom."""
    return Figure(layout=ConstrainedLayoutEngine(w_pad=_SIDE_INCHES))


def add_title(figure: Figure, first: str, second: str, beside_inches: float = 0.3) -> None:
    """Add a title at the top left of a figure with several panels; the second text is wrapped."""
    wrapped = _wrapped(second, figure.get_figwidth() - beside_inches)
    figure.suptitle(f"{first}\n{wrapped}", x=0.01, ha="left", fontsize=14)


def add_axes_title(axes: Axes, first: str, second: str, last: str = "") -> None:
    """Add a title above the only axes of a figure; the second text is wrapped.

    `last` is as from `format_doubt`, on a line of its own.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    axes.set_title(f"{first}\n{_wrapped(second, figure.get_figwidth() - _AXIS_INCHES)}{last}")


def _wrapped(text: str, inches: float) -> str:
    return "\n".join(textwrap.wrap(text, int(_TITLE_PER_INCH * inches)))


def add_small_print(figure: Figure, text: str) -> None:
    """Add small text at the bottom, wrapped to the width of the figure: where it was measured."""
    width = int(_SMALL_PER_INCH * figure.get_figwidth())
    lines = [line for part in text.splitlines() for line in textwrap.wrap(part, width)]
    height = (_SMALL_INCHES * len(lines) + _SMALL_GAP_INCHES) / figure.get_figheight()
    engine = figure.get_layout_engine()
    assert isinstance(engine, ConstrainedLayoutEngine)
    engine.set(rect=(0, height, 1, 1 - height))
    figure.text(0.01, 0.008, "\n".join(lines), fontsize=8, color=GREY, ha="left", va="bottom")


def legend_below(axes: Axes, handles: Sequence[Artist], inches: float) -> None:
    """Add a legend so far below the axes, in one line."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    lower = ScaledTranslation(0, -inches, figure.dpi_scale_trans)
    axes.legend(
        handles=handles,
        ncols=len(handles),
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=axes.transAxes + lower,
        fontsize=10,
        columnspacing=1.4,
        borderaxespad=0,
    )


def lightened(colour: str) -> str:
    """Return a light tint of a colour, for an area that numbers are written on."""
    red, green, blue = (1 - _TINT * (1 - part) for part in to_rgb(colour))
    return to_hex((red, green, blue))


def spread_labels(wanted: Sequence[float], least_gap: float) -> list[float]:
    """Return positions near the wanted ones, in the same order, at least `least_gap` apart.

    Used for labels at the ends of lines. The centre of each crowded group stays where it was.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    groups: list[list[int]] = []
    centres: list[float] = []
    for i in order:
        groups.append([i])
        centres.append(wanted[i])
        while len(groups) > 1 and _top(centres[-2], groups[-2], least_gap) + least_gap > _bottom(
            centres[-1], groups[-1], least_gap
        ):
            merged = groups[-2] + groups[-1]
            centre = sum(wanted[j] for j in merged) / len(merged)
            groups[-2:] = [merged]
            centres[-2:] = [centre]
    placed = [0.0] * len(wanted)
    for centre, group in zip(centres, groups, strict=True):
        for rank, i in enumerate(group):
            placed[i] = _bottom(centre, group, least_gap) + rank * least_gap
    return placed


def keep_inside(placed: Sequence[float], least_gap: float) -> list[float]:
    """Return the positions from spread_labels, moved into 0 to 1 if there is room for all."""
    order = sorted(range(len(placed)), key=lambda i: placed[i])
    kept = list(placed)
    for rank, i in enumerate(reversed(order)):
        kept[i] = min(kept[i], 1 - rank * least_gap)
    for rank, i in enumerate(order):
        kept[i] = max(kept[i], rank * least_gap)
    return kept


def _bottom(centre: float, group: list[int], gap: float) -> float:
    return centre - (len(group) - 1) * gap / 2


def _top(centre: float, group: list[int], gap: float) -> float:
    return centre + (len(group) - 1) * gap / 2


def spread_ticks(asked: Sequence[int], least_share: float) -> list[int]:
    """Return ticks for a linear axis: the measured concurrencies without those that would overlap.

    Two ticks are at least `least_share` of the highest apart. The lowest and the highest are kept.
    """
    gap = least_share * max(asked)
    ticks: list[int] = []
    for concurrency in sorted(asked, reverse=True):
        if not ticks or ticks[-1] - concurrency >= gap:
            ticks.append(concurrency)
    lowest = min(asked)
    if ticks[-1] != lowest and len(ticks) > 1:
        ticks[-1] = lowest
    return ticks[::-1]


def spread_ticks_log(asked: Sequence[int], least_ratio: float = 1.25) -> list[int]:
    """Return ticks for a logarithmic axis: each is at least `least_ratio` times the one before."""
    ticks: list[int] = []
    for concurrency in sorted(asked, reverse=True):
        if not ticks or ticks[-1] >= least_ratio * concurrency:
            ticks.append(concurrency)
    return ticks[::-1]

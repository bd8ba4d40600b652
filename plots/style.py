"""The style of all figures that matplotlib draws. plots.looks has that of each crawler."""

import textwrap
from collections.abc import Iterable, Sequence
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
from plots.looks import GREY, MARKERS, LineStyle

_LARGER = {"*": 13, "P": 10, "X": 10, "d": 9}
"""Sizes in points of markers that look smaller than others of the same size."""
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


def styles_of_delays(delays: Sequence[Delay]) -> dict[str, LineStyle]:
    """Return a style for each delay, by the delay as text."""
    ranked = sorted(delays, key=lambda delay: delay.mean_us)
    step = (_LIGHTEST - _DARKEST) / max(1, len(ranked) - 1)
    shades = mpl.colormaps[_OF_DELAYS]
    return {
        str(delay): LineStyle(
            to_hex(shades(_LIGHTEST - step * rank)), MARKERS[rank % len(MARKERS)], "-"
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

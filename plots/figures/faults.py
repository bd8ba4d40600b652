"""faults.png: how each crawler reports each fault, and how soon."""

from collections.abc import Sequence
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from bench.results.environment import format_machine
from plots.looks import GREY
from plots.style import add_small_print, add_title, new_figure

_ROW_INCHES = 0.27
_WIDTH_INCHES = 13.0
_WORD_POINTS, _AXIS_POINTS = 8.5, 10.5

_EXACT, _DECLARED, _GOOD, _ENDLESS, _OTHER = range(5)
_KINDS = (
    ("the exact word, or the status", "#DDEEF8"),
    ("another word: its library cannot tell", "#F7D9A0"),
    ("taken for a good answer", "#E58E3C"),
    ("no timeout ends it", "#B9B9B9"),
    ("another word that is not declared", "#C9A6C4"),
)
"""Hues by Okabe and Ito (2008), with different lightness so that they differ in grey, too."""
_SHADES = "Blues"
_LEAST_MS, _MOST_MS = 0.1, 2000.0
_DARK_SHARE = 0.6
"""Share of the colour scale from which shades are so dark that their text is white."""

Cells = dict[str, dict[str, dict[str, Any]]]
"""Results of `bench.contract.faults.Played.to_json`, by crawler and by fault."""


def faults_figure(report: dict[str, Any]) -> Figure:
    """Return the figure for a report from `crawlbench check --faults --json`.

    Raises LookupError or TypeError if `report` is not such a report.
    """
    cells: Cells = {}
    for played in report["played"]:
        cells.setdefault(played["crawler"], {})[played["fault"]] = played
    faults = list(dict.fromkeys(played["fault"] for played in report["played"]))
    figure = new_figure()
    figure.set_size_inches(_WIDTH_INCHES, 2.9 + 2 * _ROW_INCHES * (len(cells) + 1.6))
    above, below = figure.subplots(2, 1)
    limit_ms = report["timeout_s"] * 1000
    add_title(
        figure,
        "A server that misbehaves: what each crawler calls it, and how soon it knows",
        f"one fault at a time, after a good answer; timeout of a fetch: {limit_ms:.0f} ms",
    )
    _draw_words(above, cells, faults)
    _draw_times(below, cells, faults)
    versions = sorted({one for all_ in report["versions"].values() for one in all_})
    add_small_print(figure, f"{format_machine(report['environment'])}\n{', '.join(versions)}")
    return figure


def _draw_words(axes: Axes, cells: Cells, faults: Sequence[str]) -> None:
    """Draw the error word that each crawler gave, and how often the request was sent."""
    used: set[int] = set()
    for y, row in enumerate(cells.values()):
        for x, fault in enumerate(faults):
            played = row[fault]
            kind = _kind(played)
            used.add(kind)
            axes.add_patch(_tile(x, y, _KINDS[kind][1]))
            again = f" x{played['arrivals']}" if (played["arrivals"] or 0) > 1 else ""
            weight = "bold" if again else "normal"
            text = f"{played['heard']}{again}"
            axes.text(x, y, text, ha="center", va="center", size=_WORD_POINTS, weight=weight)
    _frame(axes, cells, faults)
    axes.set_xlim(-0.5, len(faults) + 1.0)  # as below
    handles = [Patch(facecolor=_KINDS[kind][1], label=_KINDS[kind][0]) for kind in sorted(used)]
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, -0.01),
        ncols=len(handles),
        fontsize=9.5,
        handlelength=1.2,
    )
    axes.set_title("The word recorded; x2: the server got the request twice", fontsize=12)


def _draw_times(axes: Axes, cells: Cells, faults: Sequence[str]) -> None:
    """Draw the time until the fault was noticed, in ms; last, how long the server kept working."""
    norm = LogNorm(_LEAST_MS, _MOST_MS)
    shades = colormaps[_SHADES]
    last = len(faults) + 0.4
    for y, row in enumerate(cells.values()):
        for x, fault in enumerate(faults):
            seconds = row[fault]["noticed_s"]
            if seconds is None:
                axes.add_patch(_tile(x, y, "white"))
                axes.text(x, y, "-", ha="center", va="center", size=_WORD_POINTS, color=GREY)
                continue
            milliseconds = max(_LEAST_MS, seconds * 1000)
            share = float(norm(milliseconds))
            axes.add_patch(_tile(x, y, shades(min(1.0, share))))
            axes.text(
                *(x, y, _short(seconds * 1000)),
                ha="center",
                va="center",
                size=_WORD_POINTS,
                color="white" if share > _DARK_SHARE else "black",
            )
        worked_on = [one["worked_on_s"] for one in row.values() if one["worked_on_s"] is not None]
        text = _short(max(worked_on) * 1000) if worked_on else "-"
        axes.text(last, y, text, ha="center", va="center", size=_WORD_POINTS)
    _frame(axes, cells, faults)
    axes.set_xlim(-0.5, last + 0.6)
    names = [*map(_in_two_lines, faults), "server\nwent on"]
    axes.set_xticks([*range(len(faults)), last], names)
    axes.set_title(
        "ms until the crawler noticed; last column: ms for which the server went on after that",
        fontsize=12,
    )


def _frame(axes: Axes, cells: Cells, faults: Sequence[str]) -> None:
    axes.set_xlim(-0.5, len(faults) - 0.5)
    axes.set_ylim(len(cells) - 0.5, -0.5)
    axes.set_xticks(range(len(faults)), map(_in_two_lines, faults))
    axes.set_yticks(range(len(cells)), list(cells))
    axes.tick_params(length=0, labelsize=_AXIS_POINTS)
    axes.xaxis.tick_top()
    axes.tick_params(axis="x", labelsize=9.5)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _in_two_lines(fault: str) -> str:
    return fault.replace("-", "-\n")


def _tile(x: float, y: float, colour: Any) -> Rectangle:
    return Rectangle((x - 0.48, y - 0.46), 0.96, 0.92, facecolor=colour, linewidth=0)


def _kind(played: dict[str, Any]) -> int:
    if played["heard"] in ("unbounded", "not ended"):
        return _ENDLESS
    if played["heard"] == "good":
        return _GOOD
    if played["is_exact"]:
        return _EXACT
    return _DECLARED if played["is_as_declared"] else _OTHER


def _short(milliseconds: float) -> str:
    return f"{milliseconds:.1f}" if milliseconds < 10 else f"{milliseconds:,.0f}"

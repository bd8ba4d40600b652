"""primes.png and workload.png: how long each way of saving takes. Rows -> Figure."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from bench.primes.analysis import PrimesAnalysis, SavedCell
from bench.primes.savers import NO_IO
from plots.lines import Point, draw_line, name_ends
from plots.style import (
    GREY,
    add_small_print,
    marks_explained,
    new_figure,
    spread_ticks_log,
    styles_of,
)

_MARGIN = 1.4


class _Line(NamedTuple):
    """Of a saver, in the order of x."""

    name: str
    points: tuple[Point, ...]


def primes_figure(analysis: PrimesAnalysis, small_print: str) -> Figure | None:
    """Time against numbers probed, both logarithmic; lines have the saver's name as gid.

    None if no primes were looked for.
    """
    cells = [cell for cell in analysis.cells if cell.work.kind == "primes"]
    lines = _lines(analysis, cells, lambda cell: float(cell.work.size), lambda _: 1.0)
    if not lines:
        return None
    sizes = sorted({cell.work.size for cell in cells})
    figure = new_figure()
    axes = figure.add_subplot()
    _draw(axes, lines)
    axes.xaxis.set_major_locator(FixedLocator(spread_ticks_log(sizes)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("numbers probed")
    axes.set_ylabel("time until all primes are saved (s)")
    axes.set_title(f"Find primes, save each one\n{_plan(analysis)}")
    _finish(figure, axes, lines, small_print)
    return figure


def workload_figure(analysis: PrimesAnalysis, small_print: str) -> Figure | None:
    """Times slower than no I/O, against the CPU time of an item, both logarithmic.

    Lines have the saver's name as gid. None if no hashes were computed, or not without I/O.
    """
    cells = [cell for cell in analysis.cells if cell.work.kind == "hashes"]
    floor = {cell.work.cost: cell for cell in cells if cell.saver == NO_IO and cell.wall_s}
    cells = [cell for cell in cells if cell.work.cost in floor]

    def floor_s(cell: SavedCell) -> float:
        return max(floor[cell.work.cost].wall_s or 0.0, 1e-9)

    def cpu_ms(cell: SavedCell) -> float:
        return floor_s(cell) / cell.runs[0].run.requests * 1e3

    lines = _lines(analysis, cells, cpu_ms, floor_s)
    if not lines:
        return None
    figure = new_figure()
    axes = figure.add_subplot()
    _draw(axes, lines)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("CPU time of an item (ms)")
    axes.set_ylabel("times the time without saving")
    items = cells[0].runs[0].run.requests
    balance_ms = analysis.waiting_s(items) / items * 1e3
    left, right = axes.get_xlim()
    if left < balance_ms < right:
        axes.axvline(balance_ms, color=GREY, linestyle="--", linewidth=1.2, zorder=1)
        axes.annotate(
            "balanced: CPU = waiting\n(whole waves of saves)",
            (balance_ms, 0.985),
            xycoords=("data", "axes fraction"),
            xytext=(6, 0),
            textcoords="offset points",
            va="top",
            fontsize=10,
            color=GREY,
        )
    axes.set_title(f"Compute hashes, save each one: what saving costs\n{_plan(analysis)}")
    _finish(figure, axes, lines, small_print)
    return figure


def _plan(analysis: PrimesAnalysis) -> str:
    spread = ", median and min-max" if analysis.experiment.trials > 1 else ""
    return analysis.experiment.plan_shown() + spread


def _lines(
    analysis: PrimesAnalysis,
    cells: Sequence[SavedCell],
    x_of: Callable[[SavedCell], float],
    unit_s: Callable[[SavedCell], float],
) -> list[_Line]:
    lines = []
    for name in analysis.savers():
        points = []
        for cell in cells:
            if cell.saver == name and cell.wall_s is not None:
                walls = [wall_s / unit_s(cell) for wall_s in cell.walls_s]
                at = round(1e6 * x_of(cell))
                middle = cell.wall_s / unit_s(cell)
                points.append(Point(at, x_of(cell), middle, walls[0], walls[-1], cell.level))
        if points:
            lines.append(_Line(name, tuple(sorted(points, key=lambda point: point.x))))
    return lines


def _draw(axes: Axes, lines: Iterable[_Line]) -> None:
    styles = styles_of([line.name for line in lines])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_autoscale_on(False)  # of a single point it makes limits that are no range
    points = [point for line in lines for point in line.points]
    axes.set_xlim(
        min(point.x for point in points) / _MARGIN, max(point.x for point in points) * _MARGIN
    )
    axes.set_ylim(
        min(point.low for point in points) / _MARGIN, max(point.high for point in points) * _MARGIN
    )
    for line in lines:
        draw_line(axes, line.name, styles[line.name], line.points)
    axes.xaxis.set_major_formatter(FuncFormatter(_plain))
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(_plain))
    axes.yaxis.set_minor_formatter(NullFormatter())


def _finish(figure: Figure, axes: Axes, lines: Sequence[_Line], small_print: str) -> None:
    levels = [point.level for line in lines for point in line.points]
    last = {line.name: line.points[-1] for line in lines}
    name_ends(axes, last, styles_of(list(last)), beside=None)
    add_small_print(figure, small_print + marks_explained(levels))


def _plain(value: float, _: object) -> str:
    return f"{value:,.10g}"

"""Draws lines of savers: their times against the size or the cost of the work."""

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.primes.analysis import PrimesAnalysis, SavedCell
from bench.primes.savers import NO_IO
from plots.lines import Point, draw_line, name_ends
from plots.looks import styles_of
from plots.style import add_small_print, marks_explained

_MARGIN = 1.4


class SaverLine(NamedTuple):
    """The points of one saver, in ascending order of x."""

    name: str
    points: tuple[Point, ...]


def plan_and_spread(analysis: PrimesAnalysis) -> str:
    """Return a subtitle: what was asked; and with several trials, what points and bars show."""
    spread = ", median and min-max" if analysis.experiment.trials > 1 else ""
    return analysis.experiment.format_plan() + spread


def lines_of(
    analysis: PrimesAnalysis,
    cells: Sequence[SavedCell],
    x_of: Callable[[SavedCell], float],
    unit_s: Callable[[SavedCell], float],
) -> list[SaverLine]:
    """Return the line of each measured saver: the times of its cells at `x_of`, over `unit_s`."""
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
            lines.append(SaverLine(name, tuple(sorted(points, key=lambda point: point.x))))
    return lines


def draw_lines(axes: Axes, lines: Iterable[SaverLine]) -> None:
    """Draw lines on logarithmic axes. The gid of each line is the saver's name."""
    styles = styles_of([line.name for line in lines])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_autoscale_on(False)  # for a single point, its two limits would be equal
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


def finish(figure: Figure, axes: Axes, lines: Sequence[SaverLine], small_print: str) -> None:
    """Add the names at the ends of the lines, and the small print."""
    levels = [point.level for line in lines for point in line.points]
    last = {line.name: line.points[-1] for line in lines}
    name_ends(axes, last, styles_of(list(last)), offset=None)
    add_small_print(figure, small_print + marks_explained(levels))


def findings(
    lines: Sequence[SaverLine], at: Callable[[float], str], shown: Callable[[float], str]
) -> str:
    """Return `AT X, fastest: ...; slowest: ...` for the largest x, with min to max over trials."""

    def said(line: SaverLine) -> str:
        point = line.points[-1]
        spread = f" ({shown(point.low)} to {shown(point.high)})" if point.high > point.low else ""
        return f"{line.name}, {shown(point.y)}{spread}"

    farthest = max(line.points[-1].x for line in lines)
    ends = [line for line in lines if line.points[-1].x == farthest and line.name != NO_IO]
    ends = ends or list(lines)
    ranked = sorted(ends, key=lambda line: line.points[-1].y)
    text = f"{at(farthest)}, fastest: {said(ranked[0])}"
    return f"{text}; slowest: {said(ranked[-1])}." if len(ranked) > 1 else f"{text}."


def _plain(value: float, _: object) -> str:
    return f"{value:,.10g}"

"""workload-bcrypt.png: the time of each saver against the cost of bcrypt, next to no I/O."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.primes.analysis import PrimesAnalysis, SavedCell, WorkKey, key_of
from bench.primes.experiment import BCRYPT
from bench.primes.savers import NO_IO
from plots.lines import draw_line
from plots.looks import styles_of
from plots.saver_lines import SaverLine, findings, finish, lines_of, plan_and_spread
from plots.scenes import Drawn, PrimesScene
from plots.style import add_title, new_figure

_HOW_TO_READ = (
    "Lower is better. On the left, the time until an item is computed and saved, on average; on "
    "the right, the same as a multiple of the time without saving. With each step of the cost, "
    "computing takes twice as long."
)
_MARGIN = 1.3


def draw(scene: PrimesScene) -> Drawn | None:
    """Draw workload-bcrypt.png. Returns None without bcrypt, or without bcrypt without I/O."""
    figure = bcrypt_figure(scene.analysis, scene.small_print)
    if figure is None:
        return None
    finding = findings(
        _multiples(scene.analysis),
        lambda cost: f"With bcrypt of cost {cost:.0f}",
        lambda times: f"{times:.3g} times the time without saving",
    )
    return Drawn("workload-bcrypt", "bcrypt, save each hash", figure, _HOW_TO_READ, finding)


def bcrypt_figure(analysis: PrimesAnalysis, small_print: str) -> Figure | None:
    """Return a figure with time per item, and time relative to no I/O, against the cost.

    The gid of each line is the saver's name. Returns None without bcrypt, or without bcrypt
    without I/O.
    """
    multiples = _multiples(analysis)
    if not multiples:
        return None
    each = lines_of(
        analysis, _cells(analysis), _cost_of, lambda cell: cell.runs[0].run.requests / 1e3
    )
    figure = new_figure()
    left, right = figure.subplots(1, 2)
    _draw(left, each)
    left.set_ylabel("time per item (ms)")
    _draw(right, multiples)
    right.set_ylabel("time, as a multiple of that without saving")
    add_title(figure, "Hash passwords with bcrypt, save each hash", plan_and_spread(analysis))
    finish(figure, right, multiples, small_print)
    return figure


def _cells(analysis: PrimesAnalysis) -> list[SavedCell]:
    return [cell for cell in analysis.cells if cell.work.kind == BCRYPT]


def _cost_of(cell: SavedCell) -> float:
    return float(cell.work.cost)


def _multiples(analysis: PrimesAnalysis) -> list[SaverLine]:
    cells = _cells(analysis)
    floor_s: dict[WorkKey, float] = {
        key_of(cell.work): cell.wall_s for cell in cells if cell.saver == NO_IO and cell.wall_s
    }
    compared = [cell for cell in cells if key_of(cell.work) in floor_s]
    return lines_of(analysis, compared, _cost_of, lambda cell: floor_s[key_of(cell.work)])


def _draw(axes: Axes, lines: Sequence[SaverLine]) -> None:
    styles = styles_of([line.name for line in lines])
    points = [point for line in lines for point in line.points]
    costs = sorted({point.x for point in points})
    axes.set_yscale("log")
    axes.set_autoscale_on(False)  # for a single point, its two limits would be equal
    axes.set_xlim(costs[0] - 0.5, costs[-1] + 0.5)
    axes.set_ylim(
        min(point.low for point in points) / _MARGIN, max(point.high for point in points) * _MARGIN
    )
    for line in lines:
        draw_line(axes, line.name, styles[line.name], line.points)
    axes.set_xticks(costs, [f"{cost:.0f}" for cost in costs])
    axes.set_xlabel("cost of bcrypt")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())

"""primes.png: how long each saver takes to find primes and save each one."""

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from bench.primes.analysis import PrimesAnalysis
from bench.primes.experiment import PRIMES
from plots.saver_lines import (
    SaverLine,
    draw_lines,
    findings,
    finish,
    lines_of,
    plan_and_spread,
)
from plots.scenes import Drawn, PrimesScene
from plots.style import new_figure, spread_ticks_log

_HOW_TO_READ = (
    "Lower is better; both axes are logarithmic. Savers that wait for each save in turn are far "
    "above those that have several under way."
)


def draw(scene: PrimesScene) -> Drawn | None:
    """Draw primes.png. Returns None if no primes were searched for."""
    figure = primes_figure(scene.analysis, scene.small_print)
    if figure is None:
        return None
    finding = findings(
        _lines(scene.analysis),
        lambda size: f"With {size:,.0f} numbers probed",
        lambda seconds: f"{seconds:.3g} s",
    )
    return Drawn("primes", "Find primes, save each one", figure, _HOW_TO_READ, finding)


def _lines(analysis: PrimesAnalysis) -> list[SaverLine]:
    cells = [cell for cell in analysis.cells if cell.work.kind == PRIMES]
    return lines_of(analysis, cells, lambda cell: float(cell.work.size), lambda _: 1.0)


def primes_figure(analysis: PrimesAnalysis, small_print: str) -> Figure | None:
    """Return a figure of time against numbers probed, both axes logarithmic.

    The gid of each line is the saver's name. Returns None if no primes were searched for.
    """
    lines = _lines(analysis)
    if not lines:
        return None
    sizes = sorted({round(point.x) for line in lines for point in line.points})
    figure = new_figure()
    axes = figure.add_subplot()
    draw_lines(axes, lines)
    axes.xaxis.set_major_locator(FixedLocator(spread_ticks_log(sizes)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("numbers probed")
    axes.set_ylabel("time until all primes are saved (s)")
    axes.set_title(f"Find primes, save each one\n{plan_and_spread(analysis)}")
    finish(figure, axes, lines, small_print)
    return figure

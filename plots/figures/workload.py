"""workload.png: how much longer computing takes with saving, against CPU time per item."""

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from bench.primes.analysis import PrimesAnalysis, SavedCell
from bench.primes.experiment import HASHES
from bench.primes.savers import NO_IO
from plots.looks import GREY
from plots.saver_lines import (
    SaverLine,
    draw_lines,
    findings,
    finish,
    lines_of,
    plan_and_spread,
)
from plots.scenes import Drawn, PrimesScene
from plots.style import new_figure

_HOW_TO_READ = (
    "Lower is better: 1 is a saver that adds no time to computing. Left of the dashed line there "
    "is more waiting than computing; right of it, more computing than waiting."
)


def draw(scene: PrimesScene) -> Drawn | None:
    """Draw workload.png. Returns None if no hashes were computed, or none without I/O."""
    figure = workload_figure(scene.analysis, scene.small_print)
    if figure is None:
        return None
    finding = findings(
        _lines(scene.analysis),
        lambda cpu_ms: f"With {cpu_ms:.3g} ms of CPU time per item",
        lambda times: f"{times:.3g} times the time without saving",
    )
    return Drawn("workload", "Compute hashes, save each one", figure, _HOW_TO_READ, finding)


def _lines(analysis: PrimesAnalysis) -> list[SaverLine]:
    cells = [cell for cell in analysis.cells if cell.work.kind == HASHES]
    floor = {cell.work.cost: cell for cell in cells if cell.saver == NO_IO and cell.wall_s}

    def floor_s(cell: SavedCell) -> float:
        return max(floor[cell.work.cost].wall_s or 0.0, 1e-9)

    def cpu_ms(cell: SavedCell) -> float:
        return floor_s(cell) / cell.runs[0].run.requests * 1e3

    return lines_of(analysis, [cell for cell in cells if cell.work.cost in floor], cpu_ms, floor_s)


def workload_figure(analysis: PrimesAnalysis, small_print: str) -> Figure | None:
    """Return a figure of time relative to no I/O, against CPU time per item, both axes logarithmic.

    The gid of each line is the saver's name. Returns None if no hashes were computed, or none
    without I/O.
    """
    lines = _lines(analysis)
    if not lines:
        return None
    figure = new_figure()
    axes = figure.add_subplot()
    draw_lines(axes, lines)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("CPU time per item (ms)")
    axes.set_ylabel("time, as a multiple of that without saving")
    items = next(cell.runs[0].run.requests for cell in analysis.cells if cell.work.kind == HASHES)
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
    axes.set_title(f"Compute hashes, save each one: what saving costs\n{plan_and_spread(analysis)}")
    finish(figure, axes, lines, small_print)
    return figure

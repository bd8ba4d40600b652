"""compare.png: the ratio of candidate to baseline for each cell, with confidence intervals."""

from pathlib import PurePath

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.analysis.comparison import BETTER, WORSE
from bench.report.comparison import Compared
from plots.looks import GREY
from plots.style import add_small_print, new_figure

_MARKS = {BETTER: ("#009E73", "^"), WORSE: ("#D55E00", "v")}
_UNDECIDED = (GREY, "o")
_LOG_FROM = 2.0
"""Ratio of highest to lowest value from which the axis is logarithmic."""


def comparison_figure(comparison: Compared, small_print: str) -> Figure:
    """Return a figure with one row per cell: its ratio with the 95 % confidence interval.

    A ratio of 1 means no difference. The gid of each point is the name of its cell.
    """
    figure = new_figure()
    figure.set_size_inches(10.0, 2.4 + 0.5 * len(comparison.results))
    axes = figure.add_subplot()
    extremes = [1.0]
    for row, (name, result) in enumerate(comparison.results.items()):
        colour, marker = _MARKS.get(result.verdict, _UNDECIDED)
        if result.ratio is not None:
            low = result.interval.low if result.interval else result.ratio
            high = result.interval.high if result.interval else result.ratio
            extremes += [low, high]
            axes.plot([low, high], [row, row], color=colour, linewidth=2)
            axes.plot([result.ratio], [row], marker, color=colour, markersize=9, gid=name)
        p = f"p {result.p:.3f}, " if result.p is not None else ""
        ratio = f"{result.ratio:.3f}, " if result.ratio is not None else ""
        axes.annotate(
            f"{ratio}{p}{result.verdict}",
            (1.02, row),
            xycoords=("axes fraction", "data"),
            va="center",
            color=colour,
            annotation_clip=False,
        )
    axes.axvline(1, color=GREY, linestyle="--", linewidth=1.3, zorder=1)
    axes.set_yticks(range(len(comparison.results)))
    axes.set_yticklabels(list(comparison.results))
    axes.set_ylim(len(comparison.results) - 0.4, -0.6)
    spread = max(max(extremes), 1 / min(extremes), 1.02) ** 1.15
    if spread > _LOG_FROM:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlim(1 / spread, spread)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axes.grid(axis="y", visible=False)
    better = "higher" if comparison.metric.is_more_better else "lower"
    baseline, candidate = (
        PurePath(name).name for name in (comparison.baseline, comparison.candidate)
    )
    axes.set_xlabel(f"{candidate} / {baseline} ({better} is better)")
    axes.set_title(
        f"{comparison.metric.name}: {candidate} against {baseline}\n"
        "ratio of paired trials (pseudo-median) with its 95 % interval"
    )
    add_small_print(figure, small_print)
    return figure

"""site-parse.png: pages per second and CPU time by where pages are parsed."""

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.analysis.validity import Level
from bench.plan.sizes import Size
from bench.sites.analysis import SiteAnalysis, SiteCell, SiteSummary
from plots.looks import FAILED, styles_of
from plots.scenes import Drawn, SiteScene
from plots.style import LEGEND_INCHES, add_small_print, add_title, new_figure

_HOW_TO_READ = (
    "A row for each place in which a spider parses pages: loop (where it fetches), threads or "
    "processes, with their number. Left: pages per second, at the highest concurrency measured. "
    "Right: the CPU time of a page, in all processes, by what it was used for. While a page is "
    "parsed on the loop, nothing else is done there, which does not matter for small pages and "
    "decides for large ones. Other places mostly cost more CPU time, because pages must get there "
    "and links must come back; threads of one Python process take turns. INVALID rows are hollow."
)
_GAP = 0.5
"""Room between two spiders, in rows."""
_PARTS: tuple[tuple[str, Callable[[SiteSummary], int], str], ...] = (
    ("fetching and all else", lambda summary: summary.fetch_cpu_ns, "#BBBBBB"),
    ("parsing", lambda summary: summary.parse_cpu_ns, "#D55E00"),
    ("keeping the frontier", lambda summary: summary.frontier_cpu_ns, "#009E73"),
)
"""The parts of the CPU time: name, time in a run, and colour."""


def draw(scene: SiteScene) -> Drawn | None:
    """Draw site-parse.png. Returns None if every spider parses in one place."""
    figure = site_parse_figure(scene.analysis, scene.small_print)
    if figure is None:
        return None
    heading = "Where to parse"
    return Drawn("site-parse", heading, figure, _HOW_TO_READ, findings(scene.analysis))


def site_parse_figure(analysis: SiteAnalysis, small_print: str) -> Figure | None:
    """Return a figure with two panels for each size of pages: pages per second and CPU time.

    The gids of bars are `SPIDER SIZE rate` and `SPIDER SIZE parsing` and so on, with the label of a
    spider, which has the place. Returns None if every spider parses in one place.
    """
    by_size = {size: _compared(analysis, size) for size in analysis.experiment.sizes}
    by_size = {size: groups for size, groups in by_size.items() if groups}
    if not by_size:
        return None
    bars = [sum(map(len, groups)) + _GAP * len(groups) for groups in by_size.values()]
    figure = new_figure()
    figure.set_size_inches(11.5, 1.7 + 0.4 * sum(bars) + 1.0 * len(bars))
    grid = figure.subplots(len(by_size), 2, squeeze=False, height_ratios=bars, sharey="row")
    for (rates, costs), (size, groups) in zip(grid, by_size.items(), strict=True):
        _draw_panels(rates, costs, groups, str(size))
        rates.set_title(f"pages per second, pages of {size}", fontsize=12)
        costs.set_title(f"CPU time per page, pages of {size}", fontsize=12)
    patches = [Patch(color=colour, label=what) for what, _, colour in _PARTS]
    figure.legend(handles=patches, loc="upper right", fontsize=10, ncols=2)
    plan = analysis.experiment.format_site()
    add_title(figure, "Where to parse", plan, LEGEND_INCHES + 1.8)
    add_small_print(figure, small_print)
    return figure


def _compared(analysis: SiteAnalysis, size: Size) -> list[list[SiteCell]]:
    """Return the cells of each spider that parses in several places, each at its highest
    concurrency."""
    highest: dict[str, SiteCell] = {}
    for cell in sorted(analysis.cells, key=lambda cell: cell.concurrency):
        if cell.size == size and cell.median_of("pages"):
            highest[cell.spider] = cell
    groups: dict[tuple[str, str], list[SiteCell]] = {}
    for entrant in analysis.experiment.entrants:
        if entrant.label in highest:
            program = entrant.crawler, entrant.python
            groups.setdefault(program, []).append(highest[entrant.label])
    return [group for group in groups.values() if len(group) > 1]


def _draw_panels(rates: Axes, costs: Axes, groups: Sequence[Sequence[SiteCell]], size: str) -> None:
    row = 0.0
    names = {}
    styles = styles_of([_name(group[0]) for group in groups])
    for group in groups:
        for cell in group:
            names[row] = f"{_name(cell)} at {cell.concurrency}: {cell.format_place()}"
            colour = styles[_name(cell)].colour
            _draw_rate(rates, row, cell, colour, f"{cell.spider} {size} rate")
            _draw_cost(costs, row, cell, f"{cell.spider} {size}")
            row += 1
        row += _GAP
    rates.set_yticks(list(names), list(names.values()))
    rates.set_ylim(row - _GAP - 0.4, -0.6)
    for axes, what in ((rates, "pages fetched / s"), (costs, "CPU time per page (ms)")):
        axes.set_xlim(0, 1.3 * axes.dataLim.x1)  # the numbers have room
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=(1, 2, 5, 10)))
        axes.set_xlabel(what)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _name(cell: SiteCell) -> str:
    """Return the label of a spider without the place."""
    return cell.spider.removesuffix(f"+{cell.parse}")


def _draw_rate(axes: Axes, row: float, cell: SiteCell, colour: str, gid: str) -> None:
    is_invalid = cell.level is Level.INVALID
    rate = _rate(cell)
    fill = "white" if is_invalid else colour
    axes.barh(row, rate, 0.72, color=fill, edgecolor=colour, linewidth=1.5, gid=gid)
    text = f"{_format_rate(cell)}{_doubt(cell)}"
    _annotate(axes, rate, row, text, FAILED if is_invalid else "black")


def _draw_cost(axes: Axes, row: float, cell: SiteCell, gid: str) -> None:
    left = 0.0
    for what, cpu_ns_of, colour in _PARTS:
        value = _cost_ms(cell, cpu_ns_of)
        axes.barh(row, value, 0.72, left, color=colour, gid=f"{gid} {what}")
        left += value
    _annotate(axes, left, row, f"{left:.2f}" if left < 10 else f"{left:.0f}", "black")


def _annotate(axes: Axes, x: float, row: float, text: str, colour: str) -> None:
    axes.annotate(
        text,
        (x, row),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize=10,
        color=colour,
    )


def _rate(cell: SiteCell) -> float:
    return cell.median_of("pages_per_s") or 0.0


def _cost_ms(cell: SiteCell, cpu_ns_of: Callable[[SiteSummary], int]) -> float:
    """Return the CPU time per page of one part in ms, in the median trial."""
    trial = cell.middle
    assert trial is not None
    assert trial.summary is not None
    return cpu_ns_of(trial.summary) / trial.summary.pages / 1e6


def findings(analysis: SiteAnalysis) -> str:
    """Say in which place each spider fetches most pages, by their size."""
    texts = []
    for size in analysis.experiment.sizes:
        for group in _compared(analysis, size):
            ranked = sorted(group, key=_rank, reverse=True)
            said = [f"{one.format_place()} {_format_rate(one)}{_doubt(one)}" for one in ranked]
            texts.append(
                f"{_name(ranked[0])}, pages of {size}, in pages/s: {', '.join(said)}; with "
                f"{ranked[0].format_place()}, {_share_of_parsing(ranked[0])}"
            )
    return "".join(f"{text}. " for text in texts).strip()


def _rank(cell: SiteCell) -> tuple[bool, float]:
    return cell.level is not Level.INVALID, _rate(cell)


def _format_rate(cell: SiteCell) -> str:
    rate = _rate(cell)
    return f"{rate:{',.0f' if rate >= 100 else '.1f'}}"


def _doubt(cell: SiteCell) -> str:
    return f" {cell.level.name}" if cell.level > Level.UNCHECKED else ""


def _share_of_parsing(cell: SiteCell) -> str:
    """Return `parsing is 83 % of the CPU time`."""
    parts = {what: _cost_ms(cell, cpu_ns_of) for what, cpu_ns_of, _ in _PARTS}
    share = parts["parsing"] / (sum(parts.values()) or 1.0)
    return f"parsing is {100 * share:.0f} % of the CPU time"

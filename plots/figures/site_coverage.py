"""site-coverage.png: what each spider had found and fetched over time."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bench.analysis.validity import Level
from bench.results.schema import RunRow
from bench.sites.analysis import Curve, SiteCell, SiteSummary
from plots.looks import CLIENT, FAILED, GREY, SERVER
from plots.scenes import Drawn, SiteScene
from plots.style import LEGEND_INCHES, add_small_print, add_title, new_figure

_HOW_TO_READ = (
    "One run of each spider, at the concurrency at which it is fastest, from left to right; each "
    "panel has a time of its own. The upper line is what the spider had found so far: pages, and "
    "also redirects, robots.txt and whatever else links name. The lower one is the pages that "
    "should be fetched and were; it must end on the dotted line, which is their number. Between "
    "the two is the frontier. Where they meet early, the spider waits for links to follow. (Of "
    "scrapy and crawlee, which keep a frontier of their own, it is not known when they find a "
    "link: their upper line is what they had asked for.) The dashed line is the ideal client on "
    "the same links. A line that goes on rising above the dotted one is a spider in the endless "
    "calendar."
)
_MOST_COLUMNS = 3
_FOUND, _FETCHED = "found (all that links name)", "pages fetched"
_SHOULD, _IDEAL = "pages that should be fetched", "pages fetched by the ideal"


def draw(scene: SiteScene) -> Drawn | None:
    """Draw site-coverage.png. Returns None if nothing was measured."""
    cells = list(scene.chosen.values())
    figure = site_coverage_figure(cells, scene.analysis.experiment.format_site(), scene.small_print)
    if figure is None:
        return None
    return Drawn(
        f"site-coverage{scene.suffix}",
        f"Pages found and fetched over time{scene.title}",
        figure,
        _HOW_TO_READ,
        findings(cells),
    )


def site_coverage_figure(cells: Sequence[SiteCell], plan: str, small_print: str) -> Figure | None:
    """Return a figure with one panel for each of these cells, of which the median trial is shown.

    The gids of lines are `SPIDER found`, `SPIDER fetched`, `SPIDER should` and `SPIDER ideal`.
    Returns None if there is no cell.
    """
    if not cells:
        return None
    columns = min(_MOST_COLUMNS, len(cells))
    rows = -(-len(cells) // columns)
    figure = new_figure()
    figure.set_size_inches(max(9.6, 4.6 * columns), max(5.4, 3.1 * rows + 1.2))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel, cell in zip(panels, cells, strict=False):
        _draw_panel(panel, cell)
    for unused in panels[len(cells) :]:
        unused.remove()
    for panel in panels[: len(cells) : columns]:
        panel.set_ylabel("number")
    handles = {str(line.get_label()): line for line in panels[0].lines}
    figure.legend(handles=handles.values(), loc="upper right", fontsize=10, ncols=2)
    add_title(figure, "Pages found and fetched over time", plan, 2 * LEGEND_INCHES)
    add_small_print(figure, small_print)
    return figure


def _draw_panel(axes: Axes, cell: SiteCell) -> None:
    trial = cell.middle
    assert trial is not None
    assert trial.summary is not None
    summary, name = trial.summary, cell.spider
    end_s = summary.makespan_ns / 1e9
    _draw_curve(axes, summary.found, end_s, color=CLIENT, gid=f"{name} found", label=_FOUND)
    _draw_curve(axes, summary.fetched, end_s, color=SERVER, gid=f"{name} fetched", label=_FETCHED)
    ideal_end_s = cell.ideal_ns / 1e9
    looks = {"color": GREY, "linestyle": "--", "linewidth": 1.3}
    _draw_curve(axes, cell.ideal.fetched, ideal_end_s, gid=f"{name} ideal", label=_IDEAL, **looks)
    axes.axhline(
        summary.should,
        color=GREY,
        linestyle=":",
        linewidth=1.6,
        gid=f"{name} should",
        label=_SHOULD,
    )
    axes.set_xlim(0, max(end_s, ideal_end_s))
    axes.set_ylim(0, None)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True, steps=(1, 2, 5, 10)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.set_xlabel("time since the first fetch was started (s)", fontsize=10)
    name_cell(axes, cell)


def name_cell(axes: Axes, cell: SiteCell) -> None:
    """Give a panel the title `SPIDER at CONCURRENCY`, with the verdict of the shown run if it is
    not VALID."""
    trial = cell.middle
    assert trial is not None
    level = trial.verdict.level
    axes.set_title(
        f"{cell.spider} at {cell.concurrency}{f', {level.name}' if level else ''}",
        fontsize=12,
        color=FAILED if level is Level.INVALID else "black",
    )


def _draw_curve(axes: Axes, curve: Curve, end_s: float, **looks: object) -> None:
    """Draw values that are each valid until the next, and the last one until the end."""
    if curve.at_s:
        at, values = [*curve.at_s, end_s], [*curve.values, curve.values[-1]]
        axes.plot(np.array(at), np.array(values), drawstyle="steps-post", **looks)  # type: ignore[arg-type]


def findings(cells: Sequence[SiteCell]) -> str:
    """Say which spiders fetched all pages, what the others missed, and what was fetched besides."""
    known = [
        (cell.spider, trial.run, trial.summary)
        for cell in cells
        if (trial := cell.middle) is not None and trial.summary is not None
    ]
    whole = [f"{name} {_time(one)}" for name, _, one in known if one.pages == one.should]
    texts = [f"All pages were fetched by {', '.join(whole)}"] if whole else []
    texts += [f"{name} missed {_missed(one)}" for name, _, one in known if one.pages < one.should]
    besides = [f"{name}: {said}" for name, run, one in known if (said := _besides(run, one))]
    if besides:
        texts.append(f"Fetched besides by {'; '.join(besides)}")
    return "".join(f"{text}. " for text in texts).strip()


def _time(summary: SiteSummary) -> str:
    return f"(in {summary.makespan_ns / 1e9:,.1f} s; ideal {summary.ideal_ns / 1e9:,.1f} s)"


def _missed(summary: SiteSummary) -> str:
    """Return `12 of 487 pages: encodings 8 of 10, plain 4 of 400`, the most first."""
    by_number = sorted(summary.missed.items(), key=lambda item: -item[1][0])
    parts = [f"{name or 'plain'} {n} of {of}" for name, (n, of) in by_number if n]
    text = f"{summary.should - summary.pages:,} of {summary.should:,} pages"
    return f"{text}: {', '.join(parts)}" if parts else text


def _besides(run: RunRow, summary: SiteSummary) -> str:
    """Return `repeated 3, disallowed 15`, or "" if there is nothing.

    Months of the calendar are left out that the limit of depth allows.
    """
    allowed = run.site.max_depth if run.site else 0
    counts = {
        "repeated": summary.fetched_twice,
        "disallowed": summary.disallowed,
        "nofollow": summary.nofollow,
        "off the site": summary.off_site,
        f"months of the calendar, of which {allowed} are allowed,": (
            summary.in_trap if summary.in_trap > allowed else 0
        ),
    }
    return ", ".join(f"{what} {count:,}" for what, count in counts.items() if count)

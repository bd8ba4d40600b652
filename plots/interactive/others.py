"""Figures of the kinds of experiments that are no sweeps: sites, savers and scenarios."""

from collections.abc import Iterator

from bench.primes.analysis import PrimesAnalysis, SavedCell
from bench.primes.experiment import PRIMES
from bench.scenarios.analysis import ScenariosAnalysis
from bench.sites.analysis import SiteAnalysis, SiteCell
from plots.interactive.drawing import Drawn, Guide, Line, Metric, Point, Spread, draw_lines
from plots.interactive.sweeps import spread_of
from plots.looks import styles_of

_LOG = {"x": "log", "y": "log"}
_PAGES = Metric("pages_per_s", "pages per second")
_OF_SITES = (
    _PAGES,
    Metric("efficiency", "efficiency (ideal / measured time)"),
    Metric("coverage", "coverage (share of the pages to fetch)"),
)
_TIME = Metric("wall_s", "time until all is saved (s)")
_SCORE = Metric("score", "score (1 is the ideal client)")


def site_figures(analysis: SiteAnalysis) -> Iterator[Drawn]:
    """Yield a figure of pages per second against concurrency for each size of pages."""
    styles = styles_of(analysis.experiment.crawlers)
    for rank, size in enumerate(analysis.experiment.sizes):
        cells = sorted(
            (cell for cell in analysis.cells if cell.size == size and cell.measured),
            key=lambda cell: cell.concurrency,
        )
        ideal = {cell.concurrency: cell.ideal_pages_per_s for cell in cells if cell.ideal_ns}
        drawn = draw_lines(
            f"pages-{rank}",
            f"Pages against concurrency, pages of {size}",
            [
                Line(name, look, [_of_site(cell) for cell in cells if cell.spider == name])
                for name, look in styles.items()
            ],
            _OF_SITES,
            "concurrency (requests in flight)",
            guides=[Guide("ideal", list(ideal), {_PAGES.key: list(ideal.values())})],
            ticks=sorted({cell.concurrency for cell in cells}),
            axes=_LOG,
            x_name="concurrency",
            how_to_read="Each point is a cell: the median of its trials, with a line from the "
            "lowest to the highest. The dashed line is the ideal: the same links, and no time but "
            "the delays.",
        )
        yield from [drawn] if drawn else []


def _of_site(cell: SiteCell) -> Point:
    values = {}
    for metric in _OF_SITES:
        known = [one for run in cell.measured if (one := getattr(run, metric.key)) is not None]
        if known:
            values[metric.key] = spread_of(known)
    about = f"C={cell.concurrency}, {len(cell.measured)} trials"
    return Point(cell.concurrency, about, cell.level.name, values)


def primes_figures(analysis: PrimesAnalysis) -> Iterator[Drawn]:
    """Yield a figure of the time of each saver for each kind of work."""
    styles = styles_of(analysis.savers())
    for kind in dict.fromkeys(cell.work.kind for cell in analysis.cells):
        cells = [cell for cell in analysis.cells if cell.work.kind == kind and cell.walls_s]
        points: dict[str, list[Point]] = {}
        for cell in cells:
            points.setdefault(cell.saver, []).append(_of_saver(cell))
        drawn = draw_lines(
            f"savers-{kind}",
            f"Compute and save: {kind}",
            [
                Line(name, look, sorted(points[name], key=lambda point: point.x))
                for name, look in styles.items()
                if name in points
            ],
            [_TIME],
            "numbers probed" if kind == PRIMES else f"cost of {kind}",
            axes=_LOG,
            x_name="work",
            how_to_read="Lower is better. Each point is the median of its trials, with a line "
            "from the lowest to the highest.",
        )
        yield from [drawn] if drawn else []


def _of_saver(cell: SavedCell) -> Point:
    work = cell.work
    about = f"size {work.size:,}, cost {work.cost}, {len(cell.walls_s)} trials"
    x = work.size if work.kind == PRIMES else work.cost
    return Point(x, about, cell.level.name, {_TIME.key: spread_of(cell.walls_s)})


def scenarios_figures(analysis: ScenariosAnalysis) -> Iterator[Drawn]:
    """Yield a figure of the score of every entrant in every scenario."""
    names = [scenario.name for scenario in analysis.experiment.scenarios]
    ranking = analysis.ranking()
    styles = styles_of([one.name for one in ranking])
    levels = {
        (entry, cell.scenario.name): cell.level.name
        for entry in {one.entry for one in ranking}
        for cell in analysis.of(entry)
    }
    lines = [
        Line(
            one.name,
            styles[one.name],
            [
                Point(
                    at,
                    name,
                    levels.get((one.entry, name), ""),
                    {_SCORE.key: Spread.of(score)},
                )
                for at, (name, score) in enumerate(zip(names, one.scores, strict=True))
                if score is not None
            ],
        )
        for one in ranking
    ]
    drawn = draw_lines(
        "scores",
        "Scores in all scenarios",
        lines,
        [_SCORE],
        "scenario",
        ticks=list(range(len(names))),
        tick_names=names,
        axes={"y": "linear"},
        x_name="scenario",
        how_to_read="1 is as good as the ideal client at its best fixed concurrency, 0 is no use, "
        "and below 0 more was refused than answered in time.",
    )
    yield from [drawn] if drawn else []

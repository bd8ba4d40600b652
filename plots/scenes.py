"""The input of figures (scenes), and their output: a figure with the text that explains it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.advice.analysis import AdviceAnalysis
from bench.analysis.accounts import Accounts
from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary, Trial
from bench.analysis.comparison import Neighbours
from bench.analysis.keeping_up import highest_kept_up
from bench.analysis.parallel import ParallelPoint, ParallelSeries
from bench.analysis.validity import Level
from bench.primes.analysis import PrimesAnalysis
from bench.primes.saved_run import SavedRun
from bench.results.columns import IntColumns
from bench.results.environment import format_machine, format_versions
from bench.results.schema import RunRow
from bench.results.store import Store
from bench.scenarios.analysis import ScenariosAnalysis
from bench.sites.analysis import SiteAnalysis, SiteCell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN_CONCURRENCY = 100
"""Figures of a single concurrency show the measured one that is nearest to this."""
_NAME_CHARACTERS = 100
"""Longest crawler name in a file name, in characters. File systems allow 255 bytes in all."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure with the text that explains it."""

    stem: str
    """Name of the figure's file, without the suffix."""
    heading: str
    figure: "Figure"
    how_to_read: str
    finding: str
    """What the figure shows for these results, in numbers."""
    crawler: str = ""
    """The crawler or saver whose single run the figure shows, or "" if it shows all of them."""


@dataclass(frozen=True, slots=True)
class SweepScene:
    """A sweep or a calibration with all its delays."""

    analysis: Analysis
    small_print: str


@dataclass(frozen=True, slots=True)
class DelayScene:
    """What was measured at one delay."""

    store: Store
    analysis: Analysis
    """The analysis of this delay alone."""
    small_print: str
    suffix: str
    """Part of the file names that names the delay, or "" if there is only one."""
    title: str
    """Part of the headings that names the delay, or "" if there is only one."""
    neighbours: tuple[Neighbours, ...]
    """Comparisons of each crawler with the next slower one, as in the report."""

    @property
    def chosen(self) -> dict[str, CellSummary]:
        """The cell of each crawler that is shown if only one can be."""
        return chosen_cells(self.analysis)


@dataclass(frozen=True, slots=True)
class RunScene:
    """One run, the median trial of its cell."""

    trial: Trial
    accounts: Accounts
    small_print: str

    @property
    def file_name(self) -> str:
        """The crawler's name as part of a file name."""
        return file_name(self.trial.run.crawler)


@dataclass(frozen=True, slots=True)
class AdviceScene:
    """What `crawlbench advise` measured, and its answer."""

    advice: AdviceAnalysis
    small_print: str


@dataclass(frozen=True, slots=True)
class PrimesScene:
    """An experiment that computes primes or hashes and saves them in several ways."""

    analysis: PrimesAnalysis
    small_print: str


@dataclass(frozen=True, slots=True)
class SaverScene:
    """The median run of one saver."""

    saver: str
    saved: SavedRun
    accounts: Accounts
    work: IntColumns
    """What was computed and when, as in bench.results.schema.WORK_COLUMNS."""
    what: str
    """Description of the work, as in `primes among 1,024 numbers`."""
    small_print: str


@dataclass(frozen=True, slots=True)
class ScenariosScene:
    """An experiment that scores crawlers over all scenarios."""

    analysis: ScenariosAnalysis
    small_print: str


@dataclass(frozen=True, slots=True)
class SiteScene:
    """The crawls of a whole site, or of the sites that differ in the size of their pages."""

    analysis: SiteAnalysis
    small_print: str
    suffix: str = ""
    """Part of the file names that names the size of the pages, or "" if the figure has them all."""
    title: str = ""
    """Part of the headings that names the size of the pages, or "" if the figure has them all."""

    @property
    def chosen(self) -> dict[str, SiteCell]:
        """The cell of each spider that is shown if only one can be: that of most pages per second.

        A cell with an INVALID run is only chosen if its spider has no other.
        """
        chosen: dict[str, SiteCell] = {}
        for cell in self.analysis.cells:
            if not cell.measured:
                continue
            known = chosen.get(cell.spider)
            if known is None or _rank(cell) > _rank(known):
                chosen[cell.spider] = cell
        return chosen


def _rank(cell: SiteCell) -> tuple[bool, float]:
    return cell.level is not Level.INVALID, cell.median_of("pages_per_s") or 0.0


def small_print_of(store: Store, analysis: Analysis) -> str:
    """Return the small print of every figure: the machine, the date and what was measured."""
    is_open = analysis.experiment.is_open
    plan = f"{analysis.experiment.format_plan()}{'' if is_open else '; closed loop'}"
    return small_print_of_runs(store, analysis.runs, plan)


def small_print_of_primes(store: Store, analysis: PrimesAnalysis) -> str:
    """Return the small print of the figures of `crawlbench primes`."""
    runs = [run.run for cell in analysis.cells for run in cell.runs]
    return small_print_of_runs(store, runs, analysis.experiment.format_plan())


def small_print_of_site(store: Store, analysis: SiteAnalysis) -> str:
    """Return the small print of the figures of `crawlbench site`, with the difficulties."""
    asked = analysis.experiment
    plan = "; with ".join(filter(None, [asked.format_plan(), asked.format_difficulties()]))
    return small_print_of_runs(store, analysis.runs, plan)


def small_print_of_runs(store: Store, runs: Iterable[RunRow], plan: str) -> str:
    """Return the machine and the date, the versions that ran, and what was asked."""
    about = store.environment()
    return (
        f"{format_machine(about)}; {about.get('pinning', '?')}; {store.created_utc()[:10]}\n"
        f"{format_versions(runs)}; {plan}"
    )


def chosen_cells(analysis: Analysis) -> dict[str, CellSummary]:
    """Return the cell of each crawler at the concurrency that is nearest to _SHOWN_CONCURRENCY.

    It has the first delay that is not 0, if there is one: for a delay of 0, almost nothing is in
    flight. Of a crawler that adapts, it is the largest concurrency, which leaves it the choice. In
    open loop, it is the cell with the highest rate that the crawler kept up with.
    """

    def distance(cell: CellSummary) -> tuple[bool, int]:
        return cell.cell.delay.is_none, abs(cell.cell.concurrency - _SHOWN_CONCURRENCY)

    by_crawler = analysis.by_crawler()
    if analysis.experiment.is_open:
        return {name: highest_kept_up(_of_one_request(cells)) for name, cells in by_crawler.items()}
    return {
        name: max(_of_one_request(cells), key=lambda cell: cell.cell.concurrency)
        if cells[0].adapts
        else min(cells, key=distance)
        for name, cells in by_crawler.items()
    }


def shown_series(every: Iterable[ParallelSeries]) -> list[ParallelSeries]:
    """Return one series for each name and request: of the concurrency with the most points.

    Of several, it is the one that is nearest to _SHOWN_CONCURRENCY.
    """

    def rank(series: ParallelSeries) -> tuple[int, int]:
        return -len(series.points), abs(series.concurrency - _SHOWN_CONCURRENCY)

    shown: dict[object, ParallelSeries] = {}
    for series in every:
        key = series.name, series.request
        if key not in shown or rank(series) < rank(shown[key]):
            shown[key] = series
    return list(shown.values())


def cell_of(analysis: Analysis, series: ParallelSeries, point: ParallelPoint) -> CellSummary:
    """Return the cell that a point of a series was made from."""
    key = point.label, series.concurrency, series.request
    cells = (one for one in analysis.cells if one.measured)
    return next(
        one for one in cells if (one.cell.crawler, one.cell.concurrency, one.cell.request) == key
    )


def _of_one_request(cells: Sequence[CellSummary]) -> list[CellSummary]:
    """Return the cells of the first delay and size, of the first delay that is not 0 if any is."""
    request = min(cells, key=lambda cell: cell.cell.delay.is_none).cell.request
    return [cell for cell in cells if cell.cell.request == request]


def file_name(crawler: str) -> str:
    """Return a crawler's name as part of a file name.

    The name of a user's own crawler has a colon, and may have any other character.
    """
    return re.sub(r"[^A-Za-z0-9._-]", "_", crawler)[:_NAME_CHARACTERS]

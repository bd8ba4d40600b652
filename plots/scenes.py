"""What figures are drawn from, and what is handed back: a figure with the words beside it."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.accounts import Accounts
from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary, Trial
from bench.analysis.comparison import Neighbours
from bench.primes.analysis import PrimesAnalysis
from bench.primes.saved_run import SavedRun
from bench.results.columns import IntColumns
from bench.results.environment import machine_shown, versions_shown
from bench.results.store import Store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SHOWN_CONCURRENCY = 100
"""Figures of one concurrency are of the one that is nearest to this."""
_NAME_CHARACTERS = 100
"""Of a crawler, in the name of a file: file systems take 255."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure with what is said beside it."""

    stem: str
    """Of its file's name."""
    heading: str
    figure: "Figure"
    how_to_read: str
    finding: str
    """What it shows of this run, in numbers."""
    crawler: str = ""
    """Of a figure of a single run, the crawler or saver; "" for a figure of all."""


@dataclass(frozen=True, slots=True)
class SweepScene:
    """A sweep, or a calibration, with all its delays."""

    analysis: Analysis
    small_print: str


@dataclass(frozen=True, slots=True)
class DelayScene:
    """What was measured at one delay."""

    store: Store
    analysis: Analysis
    """Of this delay alone."""
    small_print: str
    suffix: str
    """Of the names of files: "" where there is one delay only."""
    title: str
    """Of headings, as the suffix."""
    neighbours: tuple[Neighbours, ...]
    """Crawlers compared in the order of their throughput, as the report compares them."""

    @property
    def chosen(self) -> dict[str, CellSummary]:
        """Of each crawler the cell that is shown where only one can be."""
        return chosen_cells(self.analysis)


@dataclass(frozen=True, slots=True)
class RunScene:
    """One run, the median trial of its cell."""

    trial: Trial
    accounts: Accounts
    small_print: str

    @property
    def file_name(self) -> str:
        """The crawler, as a part of a file's name."""
        return file_name(self.trial.run.crawler)


@dataclass(frozen=True, slots=True)
class PrimesScene:
    """Primes or hashes, saved in several ways."""

    analysis: PrimesAnalysis
    small_print: str


@dataclass(frozen=True, slots=True)
class SaverScene:
    """The median run of one saver."""

    saver: str
    saved: SavedRun
    accounts: Accounts
    work: IntColumns
    """What was computed, and when."""
    what: str
    """The work, in words."""
    small_print: str


def small_print_of(store: Store, analysis: Analysis) -> str:
    """Of every figure: on what, when and what was measured."""
    about = store.environment()
    return (
        f"{machine_shown(about)}; {about.get('pinning', '?')}; {store.created_utc()[:10]}\n"
        f"{versions_shown(analysis.runs)}; {analysis.experiment.plan_shown()}; closed loop"
    )


def small_print_of_primes(store: Store, analysis: PrimesAnalysis) -> str:
    """The same of primes."""
    about = store.environment()
    runs = [run.run for cell in analysis.cells for run in cell.runs]
    return (
        f"{machine_shown(about)}; {about.get('pinning', '?')}; {store.created_utc()[:10]}\n"
        f"{versions_shown(runs)}; {analysis.experiment.plan_shown()}"
    )


def chosen_cells(analysis: Analysis) -> dict[str, CellSummary]:
    """Of each crawler the cell at the concurrency next to _SHOWN_CONCURRENCY.

    Of its first delay that is one: without a delay there is next to nothing in flight to be seen.
    """

    def distance(cell: CellSummary) -> tuple[bool, int]:
        return not cell.cell.delay.high_us, abs(cell.cell.concurrency - _SHOWN_CONCURRENCY)

    return {name: min(cells, key=distance) for name, cells in analysis.by_crawler().items()}


def file_name(crawler: str) -> str:
    """A crawler that was brought along has a name with a colon, and may have anything."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", crawler)[:_NAME_CHARACTERS]

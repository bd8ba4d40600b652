"""Judges the runs of `site` by the truth of the site and by what its server saw. Pure.

docs/site.md explains the numbers and the verdicts.
"""

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from bench.analysis.validity import Level, Verdict
from bench.plan.sizes import Size
from bench.plan.site import SiteExperiment
from bench.results.schema import RunRow
from bench.sites.curves import Curve

if TYPE_CHECKING:
    from bench.results.store import Store


@dataclass(frozen=True, slots=True)
class HostSummary:
    """What one host saw of a run."""

    host: str
    """Its address."""
    requests: int
    most_at_once: int
    """The most requests that were being answered at a time."""
    least_gap_ns: int | None
    """The least time between two arrivals; None for fewer than two."""
    median_gap_ns: int | None
    in_flight: Curve = field(default_factory=Curve)
    """The most requests at a time in each interval of the run."""


@dataclass(frozen=True, slots=True)
class SiteSummary:
    """The numbers of a run."""

    makespan_ns: int
    """From the start of the first fetch to the end of the last."""
    pages: int
    """Distinct pages that were fetched with their true content, of those that should be."""
    pages_per_s: float
    should: int
    """Pages that should be fetched."""
    coverage: float
    """pages / should."""
    fetched_twice: int
    """Requests of a resource after the first, without declared retries and resends."""
    retried: int
    """Declared retries of an answer 500, and declared resends of the library."""
    disallowed: int
    """Requests that robots.txt disallows."""
    nofollow: int
    """Distinct pages that were fetched though every link to them says nofollow."""
    off_site: int
    """Distinct links to an address that is not of the site and that were fetched."""
    in_trap: int
    """Distinct months of the endless calendar."""
    missed: dict[str, tuple[int, int]]
    """By difficulty, "" for a plain page: how many pages were missed, of how many."""
    hosts: tuple[HostSummary, ...]
    ideal_ns: int
    """The makespan of the ideal client on the same site with the same limits."""
    efficiency: float
    """pages_per_s over those of the ideal client."""
    fetch_cpu_ns: int
    """CPU time of the run that is neither of the next two."""
    parse_cpu_ns: int
    frontier_cpu_ns: int
    peak_memory_bytes: int
    """Of all processes of the spider; 0 if unknown."""
    pending: int
    """URLs that were found and not fetched when the spider ended."""
    errors: dict[str, int]
    """Failed fetches by their error words."""
    found: Curve = field(default_factory=Curve)
    """Distinct resources that the spider had found."""
    fetched: Curve = field(default_factory=Curve)
    """Pages that were fetched, of those that should be."""
    frontier: Curve = field(default_factory=Curve)
    """Jobs that were found and not yet fetched."""
    memory: Curve = field(default_factory=Curve)
    """Bytes that the spider and its processes held."""


@dataclass(frozen=True, slots=True)
class SiteTrial:
    """One run with its verdict."""

    run: RunRow
    summary: SiteSummary | None
    """None without results."""
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class SiteCell:
    """All trials of a spider at one concurrency on one site."""

    spider: str
    """The label of the entrant."""
    concurrency: int
    """The slots that it used: its maximum, if that is less than what was asked for."""
    size: Size
    parse: str
    """Where it parses."""
    trials: tuple[SiteTrial, ...]
    should: int
    """Pages that the spider should fetch."""
    ideal_ns: int
    """The makespan of the ideal client with the same slots and limits."""

    @property
    def measured(self) -> tuple[SiteSummary, ...]:
        """The summaries of all trials that have results."""
        return tuple(one.summary for one in self.trials if one.summary is not None)

    @property
    def ideal_pages_per_s(self) -> float:
        """Pages per second of the ideal client."""
        return self.should / self.ideal_ns * 1e9 if self.ideal_ns else 0.0

    @property
    def level(self) -> Level:
        """The worst verdict of its trials."""
        return max(one.verdict.level for one in self.trials)

    @property
    def middle(self) -> SiteTrial | None:
        """The trial whose pages/s are the median (the lower of two); None without results."""
        known = [one for one in self.trials if one.summary is not None]
        known.sort(key=lambda one: one.summary.pages_per_s if one.summary else 0.0)
        return known[(len(known) - 1) // 2] if known else None

    def median_of(self, attribute: str) -> float | None:
        """Return the median over the trials of a number of SiteSummary; None without results."""
        values = [getattr(one, attribute) for one in self.measured]
        return median(values) if values else None


@dataclass(frozen=True, slots=True)
class SiteAnalysis:
    """The analysis of a whole experiment."""

    experiment: SiteExperiment
    cells: tuple[SiteCell, ...]
    """Those that were measured, in the order of the command: spider, size, concurrency."""

    @property
    def runs(self) -> tuple[RunRow, ...]:
        """All runs."""
        return tuple(trial.run for cell in self.cells for trial in cell.trials)

    @property
    def is_sound(self) -> bool:
        """Whether no run is INVALID."""
        return all(cell.level is not Level.INVALID for cell in self.cells)


def analyse_site(store: "Store") -> SiteAnalysis:
    """Analyse a results file of this kind. Raises StoreError."""
    raise NotImplementedError

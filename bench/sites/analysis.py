"""Judges the runs of `site` by the truth of the site and by what its server saw. Pure.

docs/site.md explains the numbers and the verdicts.
"""

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from bench.analysis.analyse import load_run
from bench.analysis.summary import summarise
from bench.analysis.validity import Level, Verdict, judge
from bench.errors import StoreError
from bench.plan.site import SiteExperiment
from bench.plan.sizes import Size
from bench.results.schema import RunRow
from bench.sites.accounts import SiteAccounts
from bench.sites.curves import Curve
from bench.sites.ideal import Limits, SiteIdeal, ideal_of
from bench.sites.summary import HostSummary, Records, SiteSummary, summarise_site
from bench.sites.truth import truth_of
from bench.sites.validity import judge_site
from crawlers.spiders.registry import SpiderInfo, find_spider
from crawlers.spiders.task import LOOP
from server.site.resources import NO_RESOURCE, Kind, kind_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.results.store import Store

__all__ = [
    "Curve",
    "HostSummary",
    "SiteAnalysis",
    "SiteCell",
    "SiteSummary",
    "SiteTrial",
    "analyse_site",
]


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
    ideal: SiteIdeal
    """The ideal client with the same slots and limits."""

    def format_place(self) -> str:
        """Return where it parses: `loop`, or `processes (2)`."""
        site = self.trials[0].run.site
        return (
            self.parse if self.parse == LOOP or site is None else f"{self.parse} ({site.parsers})"
        )

    @property
    def ideal_ns(self) -> int:
        """The makespan of the ideal client."""
        return self.ideal.makespan_ns

    @property
    def measured(self) -> tuple[SiteSummary, ...]:
        """The summaries of all trials that have results."""
        return tuple(one.summary for one in self.trials if one.summary is not None)

    @property
    def ideal_pages_per_s(self) -> float:
        """Pages per second of the ideal client."""
        return self.should / self.ideal_ns * 1e9 if self.ideal_ns else 0.0

    @property
    def efficiency(self) -> float | None:
        """The median over the trials; None without results, or if the ideal takes no time."""
        return self.median_of("efficiency") if self.ideal_ns else None

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
    asked = store.read_asked(SiteExperiment)
    labels = asked.crawlers
    trials: dict[tuple[str, Size, int], list[SiteTrial]] = {}
    for run in store.runs():
        if run.site is None or run.crawler not in labels or run.size not in asked.sizes:
            raise StoreError(f"cannot read {store.path}: run {run.number} is not in the plan")
        if run.site.site != asked.spec_of(run.size).text:
            raise StoreError(f"cannot read {store.path}: run {run.number} is of another site")
        key = (run.crawler, run.size, run.slots)
        trials.setdefault(key, []).append(_trial(store, run))
    ordered = sorted(
        trials, key=lambda key: (labels.index(key[0]), asked.sizes.index(key[1]), key[2])
    )
    return SiteAnalysis(asked, tuple(_cell(asked, trials[key]) for key in ordered))


def _cell(asked: SiteExperiment, trials: list[SiteTrial]) -> SiteCell:
    run = trials[0].run
    assert run.site is not None, "it is of a site"
    info = _info(run)
    omits = info.omits if info is not None else ()
    return SiteCell(
        spider=run.crawler,
        concurrency=run.slots,
        size=run.size,
        parse=asked.parse_of(run.crawler),
        trials=tuple(trials),
        should=int(truth_of(run.site.site).should_be_fetched(omits).sum()),
        ideal=_ideal(run),
    )


def _trial(store: "Store", kept: RunRow) -> SiteTrial:
    run, accounts = load_run(store, kept)
    jobs = store.jobs(run.number)
    assert run.site is not None, "it is of a site"
    if accounts.arrivals is None or run.site_usage is None or run.failure:
        return SiteTrial(run, None, judge(run, None, None))
    wrong = _unknown(jobs["resource"], accounts.arrivals["seq"])
    if wrong is not None:
        failed = replace(run, failure=f"impossible record: resource {wrong}")
        return SiteTrial(failed, None, judge(failed, None, None))
    truth = truth_of(run.site.site)
    joined = SiteAccounts.of(run, accounts, jobs, truth)
    plain = summarise(joined.run, joined.accounts)
    if plain is None:
        return SiteTrial(run, None, judge(run, None, None))
    records = Records(joined, jobs, store.memory(run.number), truth, run.site, _info(run))
    summary = summarise_site(records, plain, _ideal(run))
    return SiteTrial(run, summary, judge_site(records, summary, plain))


def _unknown(*columns: "NDArray[np.int64]") -> int | None:
    """Return a number that no resource can have; None if there is none."""
    for numbers in columns:
        is_wrong = (numbers < NO_RESOURCE) | (kind_of(numbers) > max(Kind))
        if is_wrong.any():
            return int(numbers[is_wrong][0])
    return None


def _info(run: RunRow) -> SpiderInfo | None:
    return find_spider(run.program.partition("@")[0])


def _ideal(run: RunRow) -> SiteIdeal:
    assert run.site is not None, "it is of a site"
    info, task = _info(run), run.site
    limits = Limits(
        slots=run.slots,
        per_host=task.per_host,
        host_delay_ns=round(task.host_delay_s * 1e9),
        crawl_delay_ns=round(truth_of(task.site).site.spec.crawl_delay_s * 1e9),
        max_depth=task.max_depth,
    )
    return ideal_of(task.site, limits, info.omits if info is not None else ())

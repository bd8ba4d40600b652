"""The kinds of experiments, in one table: how each is read, reported and resumed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import StoreError
from bench.plan.advice import ADVICE, AdviceExperiment
from bench.plan.crawl import CRAWL, CrawlExperiment
from bench.plan.experiment import CALIBRATION, SWEEP, Asked, Experiment
from bench.plan.site import SITE, SiteExperiment
from bench.primes.experiment import NAME as PRIMES
from bench.primes.experiment import PrimesExperiment
from bench.primes.savers import SAVERS
from bench.scenarios.experiment import NAME as SCENARIOS
from bench.scenarios.experiment import ScenariosExperiment
from crawlers.spiders.registry import SPIDERS

if TYPE_CHECKING:
    from rich.console import Console

    from bench.results.store import Store


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report shows beyond the minimum."""

    show_all: bool = False
    """Show every cell, and not only the best of each series."""
    show_split: bool = False
    """Show where the time of requests goes, too."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of experiment. Results files have its `name`."""

    name: str
    asked: type[Asked]
    """The class of the experiment; results files hold it as JSON."""
    analyse: Callable[["Store"], Any]
    """Analyses its results. The analysis can be pickled, so that the process that draws has it."""
    print_report: Callable[["Store", Any, "Console", ReportOptions], bool]
    """Prints the tables; returns whether no run is INVALID and no request failed."""
    has_figures: bool = True
    programs: frozenset[str] = frozenset()
    """The crawlers of this kind that are in this package and not in the registry."""
    why_not_resumed: str = ""
    """Why an interrupted experiment cannot be resumed; "" if it can."""


def _analyse(store: "Store") -> Any:
    from bench.analysis.analyse import analyse

    return analyse(store)


def _analyse_primes(store: "Store") -> Any:
    from bench.primes.analysis import analyse_primes

    return analyse_primes(store)


def _analyse_scenarios(store: "Store") -> Any:
    from bench.scenarios.analysis import analyse_scenarios

    return analyse_scenarios(store)


def _report_sweep(
    store: "Store", analysis: Any, console: "Console", options: ReportOptions
) -> bool:
    from bench.report.failed_urls import print_failed_urls
    from bench.report.sweep import print_report

    print_report(store, analysis, console, show_all=options.show_all, show_split=options.show_split)
    print_failed_urls(store, analysis.experiment, analysis.runs)
    return bool(analysis.is_sound)


def _report_calibration(
    store: "Store", analysis: Any, console: "Console", options: ReportOptions
) -> bool:
    from bench.report.calibration import print_calibration

    print_calibration(store, analysis, console)
    return bool(analysis.is_sound)


def _report_primes(
    store: "Store", analysis: Any, console: "Console", options: ReportOptions
) -> bool:
    from bench.primes.report import print_primes

    print_primes(store, analysis, console, show_all=options.show_all)
    return bool(analysis.is_sound)


def _report_scenarios(
    store: "Store", analysis: Any, console: "Console", options: ReportOptions
) -> bool:
    from bench.scenarios.report import print_scenarios

    print_scenarios(store, analysis, console, show_all=options.show_all)
    return bool(analysis.is_sound)


def _report_crawl(
    store: "Store", analysis: Any, console: "Console", options: ReportOptions
) -> bool:
    from bench.report.run import print_crawl

    trial = analysis.only_trial
    if trial is None:
        raise StoreError(f"{store.path} has no run: the crawl was killed before it ended")
    print_crawl(store, store.read_asked(CrawlExperiment), trial, console)
    return bool(analysis.is_sound)


def _analyse_advice(store: "Store") -> Any:
    from bench.advice.analysis import analyse_advice

    return analyse_advice(store)


def _report_advice(
    store: "Store", analysis: Any, console: "Console", options: ReportOptions
) -> bool:
    from bench.advice.report import print_advice

    print_advice(store, analysis, console, show_all=options.show_all)
    return bool(analysis.is_sound)


def _analyse_site(store: "Store") -> Any:
    from bench.sites.analysis import analyse_site

    return analyse_site(store)


def _report_site(store: "Store", analysis: Any, console: "Console", options: ReportOptions) -> bool:
    from bench.sites.report import print_site

    print_site(store, analysis, console, show_all=options.show_all)
    return bool(analysis.is_sound)


KINDS = (
    Kind(SWEEP, Experiment, _analyse, _report_sweep),
    Kind(CALIBRATION, Experiment, _analyse, _report_calibration, has_figures=False),
    Kind(
        CRAWL,
        CrawlExperiment,
        _analyse,
        _report_crawl,
        why_not_resumed="it has a single crawl: make it again with the verb crawl",
    ),
    Kind(
        ADVICE,
        AdviceExperiment,
        _analyse_advice,
        _report_advice,
        why_not_resumed="each of its runs depends on those before it: ask again with advise",
    ),
    Kind(
        PRIMES,
        PrimesExperiment,
        _analyse_primes,
        _report_primes,
        programs=frozenset(saver.crawler for saver in SAVERS),
    ),
    Kind(SCENARIOS, ScenariosExperiment, _analyse_scenarios, _report_scenarios),
    Kind(
        SITE,
        SiteExperiment,
        _analyse_site,
        _report_site,
        programs=frozenset(spider.program for spider in SPIDERS),
    ),
)


def kind_of(store: "Store") -> Kind:
    """Return the kind of the experiment in a results file. Raises StoreError."""
    name = store.asked()["kind"]
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise StoreError(
        f"cannot read {store.path}: this version does not know experiments of kind {name!r}"
    )

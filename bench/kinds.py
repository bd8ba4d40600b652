"""The kinds of experiments, in one table: how each is read, reported and resumed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import StoreError
from bench.plan.experiment import CALIBRATION, SWEEP, Asked, Experiment
from bench.primes.experiment import NAME as PRIMES
from bench.primes.experiment import PrimesExperiment
from bench.primes.savers import SAVERS

if TYPE_CHECKING:
    from rich.console import Console

    from bench.results.store import Store


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """What a report is to show beyond the least."""

    show_all: bool = False
    """Every cell, and not only the best of each series."""
    show_split: bool = False
    """Where the time of requests goes, too."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of experiment. `name` is what results files say."""

    name: str
    asked: type[Asked]
    """The class of what is asked; results files hold it as JSON."""
    analyse: Callable[["Store"], Any]
    """What its results mean; it can be pickled, so that what draws need not do it again."""
    print_report: Callable[["Store", Any, "Console", ReportOptions], bool]
    """Prints the tables; returns whether no run is INVALID and no request failed."""
    has_figures: bool = True
    programs: frozenset[str] = frozenset()
    """Its crawlers that are of this package and not in the registry."""


def _analyse(store: "Store") -> Any:
    from bench.analysis.analyse import analyse

    return analyse(store)


def _analyse_primes(store: "Store") -> Any:
    from bench.primes.analysis import analyse_primes

    return analyse_primes(store)


def _report_sweep(
    store: "Store", analysis: Any, console: "Console", options: ReportOptions
) -> bool:
    from bench.report.sweep import print_report

    print_report(store, analysis, console, show_all=options.show_all, show_split=options.show_split)
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


KINDS = (
    Kind(SWEEP, Experiment, _analyse, _report_sweep),
    Kind(CALIBRATION, Experiment, _analyse, _report_calibration, has_figures=False),
    Kind(
        PRIMES,
        PrimesExperiment,
        _analyse_primes,
        _report_primes,
        programs=frozenset(saver.crawler for saver in SAVERS),
    ),
)


def kind_of(store: "Store") -> Kind:
    """The kind of the experiment in a results file. Raises StoreError."""
    name = store.asked()["kind"]
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise StoreError(f"cannot read {store.path}: it is of a kind that is not known: {name}")

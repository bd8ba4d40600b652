"""The kinds of experiments, in one table: how each is read, reported and resumed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    print_report: Callable[["Store", "Console", ReportOptions], bool]
    """Prints the tables; returns whether no run is INVALID and no request failed."""
    has_figures: bool = True
    programs: frozenset[str] = frozenset()
    """The crawlers of this kind that are in this package and not in the registry."""


def _report_sweep(store: "Store", console: "Console", options: ReportOptions) -> bool:
    from bench.analysis.analyse import analyse
    from bench.report.sweep import print_report

    analysis = analyse(store)
    print_report(store, analysis, console, show_all=options.show_all, show_split=options.show_split)
    return analysis.is_sound


def _report_calibration(store: "Store", console: "Console", options: ReportOptions) -> bool:
    from bench.analysis.analyse import analyse
    from bench.report.calibration import print_calibration

    analysis = analyse(store)
    print_calibration(store, analysis, console)
    return analysis.is_sound


def _report_primes(store: "Store", console: "Console", options: ReportOptions) -> bool:
    from bench.primes.analysis import analyse_primes
    from bench.primes.report import print_primes

    analysis = analyse_primes(store)
    print_primes(store, analysis, console, show_all=options.show_all)
    return analysis.is_sound


KINDS = (
    Kind(SWEEP, Experiment, _report_sweep),
    Kind(CALIBRATION, Experiment, _report_calibration, has_figures=False),
    Kind(
        PRIMES,
        PrimesExperiment,
        _report_primes,
        programs=frozenset(saver.crawler for saver in SAVERS),
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

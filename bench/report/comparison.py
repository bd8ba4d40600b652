"""Compares two folders of results, or two crawlers in one folder, for `crawlbench compare`."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from bench.analysis.analyse import Analysis, analyse
from bench.analysis.cells import CellSummary
from bench.analysis.comparison import METRICS, NOT_GIVEN, WORSE, Metric, Result, compare
from bench.analysis.inference import ERROR_RATE, LEAST_TRIALS, Interval
from bench.analysis.validity import Level
from bench.documents import document
from bench.errors import UsageError
from bench.plan.advice import ADVICE
from bench.plan.entrants import label_of
from bench.plan.experiment import SWEEP, Cell, Experiment
from bench.program import PROGRAM
from bench.report.tables import Column, Table, print_markdown, print_table, print_text
from bench.results.environment import OF_CRAWLERS, differences, format_machine, format_versions
from bench.results.folder import find_file
from bench.results.store import FILE_NAME, Store
from bench.wording import format_percent, is_or_are
from crawlers.registry import UnknownCrawlerError, located

if TYPE_CHECKING:
    from rich.console import Console

MARKDOWN, JSON = "markdown", "json"

_PLAN = {
    "delays": "delays",
    "sizes": "sizes",
    "body": "body",
    "waves": "waves",
    "requests": "requests",
    "arrivals": "arrivals",
    "duration_s": "duration",
    "warm_up_s": "warm-up",
    "service": "service",
    "seed": "seed",
    "timeout_s": "timeout",
}
"""What must be equal in two experiments, and how a message calls it."""


class _Unit(NamedTuple):
    """The unit in which the medians of a metric are shown."""

    divisor: float
    name: str


_UNITS = {
    "throughput": _Unit(1.0, "requests/s"),
    "cpu": _Unit(1.0, "µs/req"),
    "p50": _Unit(1e6, "ms"),
    "p99": _Unit(1e6, "ms"),
    "response_p50": _Unit(1e6, "ms"),
    "response_p99": _Unit(1e6, "ms"),
    "memory": _Unit(1e6, "MB"),
}


class NotComparableError(UsageError):
    """The two things cannot be compared; the text says why, and what to do instead."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison as the figure needs it. `results` are by the name of the cell."""

    baseline: str
    candidate: str
    metric: Metric
    results: dict[str, Result]

    @classmethod
    def from_json(cls, report: Mapping[str, Any]) -> Self:
        """Read the output of `crawlbench compare --json`. Raises LookupError, TypeError."""
        results = {
            cell["cell"]: Result(
                trials=cell["trials"],
                ratio=cell["ratio"],
                interval=Interval(**cell["interval"]) if cell["interval"] else None,
                p=cell["p"],
                verdict=cell["verdict"],
            )
            for cell in report["cells"]
        }
        return cls(report["baseline"], report["candidate"], METRICS[report["metric"]], results)


@dataclass(frozen=True, slots=True)
class Comparison(Compared):
    """A comparison with its cells, and with warnings about them."""

    pairs: dict[str, tuple[CellSummary, CellSummary]]
    worst: Level
    """Runs with a verdict worse than this are left out."""
    warnings: tuple[str, ...]
    gaps: tuple[str, ...]
    """Parts of the candidate that are INVALID or missing, one sentence each."""
    measured_on: tuple[str, ...]
    """The machine and the date of each results file."""

    def check_gate(self) -> None:
        """Raise NotComparableError if the results do not show whether there is a regression."""
        if self.gaps:
            raise NotComparableError(f"--fail-on-regression cannot decide: {'; '.join(self.gaps)}")
        if any(result.verdict == NOT_GIVEN for result in self.results.values()):
            raise NotComparableError(
                f"--fail-on-regression cannot decide: {self.metric.name} is not given for so few "
                f"requests; {document('results.md')} says how many it needs"
            )
        lacking = [name for name, result in self.results.items() if result.p is None]
        if lacking:
            raise NotComparableError(
                f"--fail-on-regression cannot decide: too few trials of {', '.join(lacking)} can "
                f"be believed; it needs at least {LEAST_TRIALS}"
            )

    def has_regressed(self, share: float) -> bool:
        """Return whether any cell is significantly worse, by at least this share."""
        for result in self.results.values():
            if result.verdict != WORSE or result.ratio is None:
                continue
            loss = 1 - result.ratio if self.metric.is_more_better else result.ratio - 1
            if loss >= share:
                return True
        return False


class _Noticed(NamedTuple):
    """Findings from matching the cells of both sides."""

    warnings: list[str]
    gaps: list[str]
    measured_on: list[str]


def _measured_on(store: Store) -> str:
    return f"{format_machine(store.environment())}, {store.created_utc()[:10]}"


def compare_two(
    baseline: str, candidate: str, folder: Path | None, metric: str, worst: Level
) -> Comparison:
    """Compare two folders of results, or else two crawlers of the results in `folder`.

    Runs with a verdict worse than `worst` are left out. Raises NotComparableError and StoreError.
    """
    chosen = METRICS[metric]
    if folder is None and _is_results(baseline) and _is_results(candidate):
        return _compare_folders(Path(baseline), Path(candidate), chosen, worst)
    path = find_file(folder, SWEEP)
    with Store.open(path) as store:
        _check_repeated(store)
        analysis = analyse(store)
        measured_on = [_measured_on(store)]
    known = analysis.experiment.crawlers
    baseline, candidate = (_label(name, analysis) for name in (baseline, candidate))
    for name in (baseline, candidate):
        if name not in known:
            raise NotComparableError(
                f"{name!r} is no folder of results, and no crawler of {path.parent}, which has "
                f"{', '.join(known)}"
            )
    if baseline == candidate:
        raise NotComparableError(
            f"{baseline!r} with itself: {PROGRAM} run --crawlers {baseline},{baseline} measures "
            f"it twice, as {baseline} and {baseline}#2"
        )
    before, after = (_by_point(analysis, name) for name in (baseline, candidate))
    pairs = {at: (before[at], after[at]) for at in before if at in after}
    gaps = [f"{candidate} was not measured at {at}" for at in before if at not in after]
    return _comparison(baseline, candidate, chosen, pairs, _Noticed([], gaps, measured_on), worst)


def _label(name: str, analysis: Analysis) -> str:
    try:
        crawler = located(name)
    except UnknownCrawlerError:  # it may be the name of a folder
        crawler = name
    return label_of(name, crawler, analysis.experiment.entrants)


def _check_repeated(store: Store) -> None:
    asked = store.experiment()
    if not asked.is_repeated:
        what = "runs of a search, which" if asked.kind == ADVICE else "a single crawl, which"
        raise NotComparableError(
            f"{store.path.parent} has {what} cannot be compared: measure both with "
            f"{PROGRAM} run --crawlers A,B --trials {LEAST_TRIALS}"
        )


def _is_results(name: str) -> bool:
    path = Path(name)
    return path.is_file() or (path / FILE_NAME).is_file()


def _by_point(analysis: Analysis, label: str) -> dict[str, CellSummary]:
    return {
        _point(analysis, cell.cell): cell for cell in analysis.cells if cell.cell.crawler == label
    }


def _point(analysis: Analysis, cell: Cell) -> str:
    """Return `C=10`, followed by what requests ask for if that differs between cells."""
    is_one = len(analysis.experiment.requests_asked) == 1
    return cell.format_level() + ("" if is_one else f", {cell.request}")


def _compare_folders(baseline: Path, candidate: Path, metric: Metric, worst: Level) -> Comparison:
    if find_file(baseline).samefile(find_file(candidate)):
        raise NotComparableError(f"{baseline} and {candidate} are the same results")
    with Store.open(find_file(baseline)) as one, Store.open(find_file(candidate)) as other:
        return compare_stores(str(baseline), one, str(candidate), other, metric, worst)


def compare_stores(
    baseline: str,
    one: Store,
    candidate: str,
    other: Store,
    metric: Metric,
    worst: Level,
    analysed: Callable[[Store], Analysis] = analyse,
) -> Comparison:
    """Compare two results, which messages call `baseline` and `candidate`.

    Runs with a verdict worse than `worst` are left out. Raises NotComparableError and StoreError.
    """
    for store in (one, other):
        _check_repeated(store)
    differences = list(_plan_differences(one.experiment(), other.experiment()))
    if differences:
        raise NotComparableError(
            f"{baseline} and {candidate} differ in what was asked: {'; '.join(differences)}"
        )
    warnings = list(_environment_differences(one, other))
    before, after = analysed(one), analysed(other)
    measured_on = [_measured_on(one), _measured_on(other)]
    found = {cell.cell: cell for cell in after.cells}
    pairs = {
        f"{cell.cell.crawler}, {_point(before, cell.cell)}": (cell, found[cell.cell])
        for cell in before.cells
        if cell.cell in found
    }
    gaps = [
        f"{cell.cell.crawler}, {_point(before, cell.cell)} is not in {candidate}"
        for cell in before.cells
        if cell.cell not in found
    ]
    alone = len(before.cells) + len(after.cells) - 2 * len(pairs)
    if alone:
        warnings.append(f"{alone} cells are only in one of the two")
    noticed = _Noticed(warnings, gaps, measured_on)
    return _comparison(baseline, candidate, metric, pairs, noticed, worst)


def _comparison(
    baseline: str,
    candidate: str,
    metric: Metric,
    pairs: dict[str, tuple[CellSummary, CellSummary]],
    noticed: "_Noticed",
    worst: Level,
) -> Comparison:
    if not pairs:
        raise NotComparableError(f"{baseline} and {candidate} have no cell in common")
    for name, pair in pairs.items():
        for side, cell in zip((baseline, candidate), pair, strict=True):
            levels = [trial.verdict.level for trial in cell.trials]
            bad = sum(level is not Level.VALID for level in levels)
            left_out = sum(level > worst for level in levels)
            if bad:
                noticed.warnings.append(
                    f"{side}, {name}: {bad} of {len(levels)} trials {is_or_are(bad)} not VALID"
                    f"{f', {left_out} {is_or_are(left_out)} left out' if left_out else ''}; "
                    f"see {PROGRAM} report"
                )
            if cell.queues and metric.name in ("p50", "p99"):
                noticed.warnings.append(
                    f"{side}, {name}: {metric.name} holds the wait for a connection in the client"
                )
            invalid = levels.count(Level.INVALID)
            if invalid and side == candidate:
                noticed.gaps.append(
                    f"{invalid} of {len(levels)} runs of {side}, {name} are INVALID"
                )
    return Comparison(
        baseline,
        candidate,
        metric,
        results=compare(pairs, metric, worst),
        pairs=pairs,
        worst=worst,
        warnings=tuple(noticed.warnings),
        gaps=tuple(noticed.gaps),
        measured_on=tuple(noticed.measured_on),
    )


def _plan_differences(one: Experiment, other: Experiment) -> Iterator[str]:
    if one.is_open != other.is_open:
        yield "a concurrency and a rate"
    for name, word in _PLAN.items():
        before, after = getattr(one, name), getattr(other, name)
        if before != after:
            yield f"{word} {_format(before)} and {_format(after)}"


def _format(value: object) -> str:
    """Return a value of the plan as text. Delays are a tuple."""
    text = ", ".join(str(one) for one in value) if isinstance(value, tuple) else str(value)
    return text or "without limits"


def _environment_differences(one: Store, other: Store) -> Iterator[str]:
    return differences(*(_with_versions(store) for store in (one, other)))


def _with_versions(store: Store) -> dict[str, Any]:
    """Return the environment together with the versions that the crawlers reported."""
    reported: dict[str, set[str]] = {}
    for run in store.runs():
        for name, version in run.versions.items():
            reported.setdefault(name, set()).add(version)
    versions = {f"{OF_CRAWLERS}{name}": ", ".join(sorted(all_)) for name, all_ in reported.items()}
    return {**store.environment(), **versions}


def print_comparison(comparison: Comparison, form: str, console: "Console") -> None:
    """Print a comparison as a table, or in the form MARKDOWN or JSON."""
    if form == JSON:
        print(json.dumps(as_json(comparison), indent=2))
        return
    table = comparison_table(comparison)
    if form == MARKDOWN:
        print_markdown(table)
        print(f"\n{table.notes()}")
    else:
        print_table(table, console)
    for warning in comparison.warnings:
        if form == MARKDOWN:
            print(f"\nwarning: {warning}")
        else:
            print_text(f"warning: {warning}", console)


@dataclass(frozen=True, slots=True)
class _Compared:
    """One cell: its name, its medians and the result of the comparison."""

    name: str
    baseline: str
    candidate: str
    result: Result

    def ratio(self) -> str:
        return "-" if self.result.ratio is None else f"{self.result.ratio:.3f}"

    def interval(self) -> str:
        interval = self.result.interval
        return f"{interval.low:.3f}-{interval.high:.3f}" if interval else "-"

    def p(self) -> str:
        return "-" if self.result.p is None else f"{self.result.p:.3f}"


def comparison_table(comparison: Comparison) -> Table[_Compared]:
    """Return the table, with one row for each cell that both sides have."""
    metric = comparison.metric
    unit = _UNITS[metric.name].name
    of = Column[_Compared]
    rows = [
        _Compared(
            name,
            _format_median(comparison.pairs[name][0], metric),
            _format_median(comparison.pairs[name][1], metric),
            result,
        )
        for name, result in comparison.results.items()
    ]
    return Table(
        f"{metric.name}: {comparison.candidate} compared with {comparison.baseline}",
        (
            of("cell", lambda row: row.name),
            of("baseline", lambda row: row.baseline, unit, priority=2),
            of("candidate", lambda row: row.candidate, unit, priority=2),
            of("ratio", _Compared.ratio, about="ratio: pseudo-median over paired trials."),
            of(
                "95 % interval",
                _Compared.interval,
                priority=1,
                about="95 % confidence interval of the ratio, per cell, unadjusted.",
            ),
            of(
                "p",
                _Compared.p,
                priority=3,
                about="p: sign-flip test of signed ranks, adjusted for all cells: "
                f"{format_percent(ERROR_RATE)} risk of any false alarm.",
            ),
            of("trials", lambda row: str(row.result.trials), priority=4),
            of("verdict", lambda row: row.result.verdict, is_text=True),
        ),
        rows,
    )


def _format_median(cell: CellSummary, metric: Metric) -> str:
    value = cell.median_of(metric.attribute)
    if value is None:
        return "-"
    number = value / _UNITS[metric.name].divisor
    return f"{number:,.0f}" if number >= 1000 else f"{number:.4g}"


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return the output of `--json`, which is also the input of plots.compare."""
    return {
        "baseline": comparison.baseline,
        "candidate": comparison.candidate,
        "metric": comparison.metric.name,
        "error_rate": ERROR_RATE,
        "warnings": list(comparison.warnings),
        "measured": _measured(comparison),
        "cells": [
            {
                "cell": name,
                "concurrency": comparison.pairs[name][1].cell.concurrency,
                "baseline_median": comparison.pairs[name][0].median_of(comparison.metric.attribute),
                "candidate_median": comparison.pairs[name][1].median_of(
                    comparison.metric.attribute
                ),
                "ratio": result.ratio,
                "interval": result.interval._asdict() if result.interval else None,
                "p": result.p,
                "trials": result.trials,
                "verdict": result.verdict,
            }
            for name, result in comparison.results.items()
        ],
    }


def _measured(comparison: Comparison) -> dict[str, Any]:
    """Return a description of the runs of both sides together."""
    trials = [one for pair in comparison.pairs.values() for cell in pair for one in cell.trials]
    levels = [trial.verdict.level for trial in trials]
    verdicts = {level: levels.count(level) for level in Level if level in levels}
    return {
        "on": list(dict.fromkeys(comparison.measured_on)),
        "versions": format_versions(trial.run for trial in trials),
        "delays": list(dict.fromkeys(str(trial.run.delay) for trial in trials)),
        "loop": "open" if trials[0].run.load.is_open else "closed",
        "requests": sorted({trial.run.requests for trial in trials}),
        "trials": max(len(cell.trials) for pair in comparison.pairs.values() for cell in pair),
        "verdicts": {level.name: count for level, count in verdicts.items()},
        "left_out": [level.name for level in verdicts if level > comparison.worst],
    }

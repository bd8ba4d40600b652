"""Decides whether one crawler is better than another, from ratios of paired trials. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.analysis.cells import CellSummary, Series, Trial, best_cells
from bench.analysis.inference import (
    ERROR_RATE,
    LEAST_TRIALS,
    Interval,
    pseudo_median,
    pseudo_median_interval,
    sign_flip_p,
)
from bench.analysis.validity import Level
from bench.plan.experiment import Cell

BETTER = "better"
WORSE = "worse"
NO_DIFFERENCE = "no difference seen"
TOO_FEW = "too few trials"
NOT_GIVEN = "not given"


@dataclass(frozen=True, slots=True)
class Metric:
    """A number to compare by: an attribute of RunSummary."""

    name: str
    attribute: str
    is_more_better: bool


METRICS = {
    metric.name: metric
    for metric in (
        Metric("throughput", "requests_per_s", True),
        Metric("cpu", "cpu_us_per_request", False),
        Metric("p50", "p50_ns", False),
        Metric("p99", "p99_ns", False),
        Metric("response_p50", "response_p50_ns", False),
        Metric("response_p99", "response_p99_ns", False),
        Metric("memory", "peak_memory_bytes", False),
    )
}


@dataclass(frozen=True, slots=True)
class Result:
    """The comparison of candidate and baseline in one cell."""

    trials: int
    """Number of pairs in which both runs can be believed."""
    ratio: float | None
    """Pseudo-median of the ratios candidate / baseline; None without pairs."""
    interval: Interval | None
    """Confidence interval of the ratio, for this cell alone; None if there are too few pairs."""
    p: float | None
    """p-value, adjusted for all cells of the comparison; None if there are too few pairs."""
    verdict: str

    def __str__(self) -> str:
        if self.ratio is None:
            return self.verdict
        interval = f" ({self.interval.low:.3f}-{self.interval.high:.3f})" if self.interval else ""
        p = f", p {self.p:.3f}" if self.p is not None else ""
        return f"{self.ratio:.3f}{interval}{p}, {self.verdict}"


def compare(
    pairs: Mapping[str, tuple[CellSummary, CellSummary]],
    metric: Metric,
    worst: Level = Level.SUSPECT,
) -> dict[str, Result]:
    """Return the ratio and the verdict for each named pair of baseline and candidate.

    Runs with a verdict worse than `worst` are left out. If nothing differs, the risk that any pair
    is found to differ is ERROR_RATE.
    """
    logs = {name: _logs(*pair, metric, worst) for name, pair in pairs.items()}
    p_of = sign_flip_p(
        {name: by_trial for name, by_trial in logs.items() if len(by_trial) >= LEAST_TRIALS}
    )
    return {
        name: Result(0, None, None, None, NOT_GIVEN)
        if any(_lacks(cell, metric) for cell in pairs[name])
        else _result(list(by_trial.values()), p_of.get(name), metric)
        for name, by_trial in logs.items()
    }


def _logs(
    baseline: CellSummary, candidate: CellSummary, metric: Metric, worst: Level
) -> dict[int, float]:
    """Return log(candidate / baseline) by trial, for trials in which both can be believed."""
    before, after = _values(baseline, metric, worst), _values(candidate, metric, worst)
    return {trial: math.log(after[trial] / before[trial]) for trial in before if trial in after}


def _values(cell: CellSummary, metric: Metric, worst: Level) -> dict[int, float]:
    values: dict[int, float] = {}
    for trial in cell.trials:
        value = _value(trial, metric)
        if value and trial.verdict.level <= worst:
            values[trial.run.trial] = value
    return values


def _lacks(cell: CellSummary, metric: Metric) -> bool:
    """Return whether a cell has results but not this metric, as p99 with few requests."""
    return bool(cell.measured) and not any(_value(trial, metric) for trial in cell.trials)


def _value(trial: Trial, metric: Metric) -> float | None:
    value: float | None = getattr(trial.summary, metric.attribute, None)
    return value


def _result(logs: list[float], p: float | None, metric: Metric) -> Result:
    if not logs:
        return Result(0, None, None, None, TOO_FEW)
    centre = pseudo_median(logs)
    ratio = math.exp(centre)
    around = pseudo_median_interval(logs)
    if p is None or around is None:
        return Result(len(logs), ratio, None, None, TOO_FEW)
    interval = Interval(math.exp(around.low), math.exp(around.high), around.coverage)
    verdict = NO_DIFFERENCE
    if p <= ERROR_RATE:
        verdict = BETTER if (centre > 0) is metric.is_more_better else WORSE
    return Result(len(logs), ratio, interval, p, verdict)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The comparison of a crawler with the next slower one."""

    baseline: str
    candidate: str
    cell: Cell
    """The cell of the candidate."""
    result: Result


def compare_neighbours(cells: Sequence[CellSummary]) -> list[Neighbours]:
    """Compare each crawler with the next slower one, by best throughput.

    They are compared at the highest concurrency, or rate, at which both were measured.
    """
    by_series: dict[Series, dict[float, CellSummary]] = {}
    for cell in cells:
        if cell.measured:
            by_series.setdefault(Series.of(cell.cell), {})[cell.cell.level] = cell
    best = best_cells(cells)
    pairs: dict[str, tuple[CellSummary, CellSummary]] = {}
    for request in dict.fromkeys(series.request for series in best):
        ranked = sorted(
            (series for series in best if series.request == request),
            key=lambda series: -best[series].requests_per_s[0],
        )
        for faster, slower in pairwise(ranked):
            common = by_series[faster].keys() & by_series[slower].keys()
            if common:
                at = max(common)
                name = f"{faster.crawler} {request}"
                pairs[name] = (by_series[slower][at], by_series[faster][at])
    results = compare(pairs, METRICS["throughput"])
    return [
        Neighbours(
            baseline.cell.crawler,
            candidate.cell.crawler,
            candidate.cell,
            results[name],
        )
        for name, (baseline, candidate) in pairs.items()
    ]

"""Whether one crawler, or one version, is better than another: ratios over paired trials. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from bench.cells import CellSummary, Trial, best_cells
from bench.inference import ERROR_RATE, LEAST_TRIALS, Interval, median_interval, sign_flip_p
from bench.validity import Level

BETTER = "better"
WORSE = "worse"
NO_DIFFERENCE = "no difference seen"
TOO_FEW = "too few trials"


@dataclass(frozen=True, slots=True)
class Metric:
    """What is compared: an attribute of RunSummary."""

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
        Metric("memory", "peak_memory_bytes", False),
    )
}


@dataclass(frozen=True, slots=True)
class Result:
    """Of one cell: candidate over baseline."""

    trials: int
    """Pairs of which neither run is INVALID."""
    ratio: float | None
    """The median of the ratios; None of none."""
    interval: Interval | None
    """Of that median."""
    p: float | None
    """Adjusted for all cells of the comparison."""
    verdict: str

    def __str__(self) -> str:
        if self.ratio is None:
            return f"{self.verdict} ({self.trials})"
        interval = f" ({self.interval.low:.3f}-{self.interval.high:.3f})" if self.interval else ""
        p = f", p {self.p:.3f}" if self.p is not None else ""
        return f"{self.ratio:.3f}{interval}{p}, {self.verdict}"


def compare(
    pairs: Mapping[str, tuple[CellSummary, CellSummary]], metric: Metric
) -> dict[str, Result]:
    """For each pair of baseline and candidate by some name: ratio and verdict.

    The error rate of 5 % is that of the whole comparison.
    """
    ratios = {name: _ratios(*pair, metric) for name, pair in pairs.items()}
    p_of = sign_flip_p(
        {
            name: {trial: math.log(ratio) for trial, ratio in by_trial.items()}
            for name, by_trial in ratios.items()
            if len(by_trial) >= LEAST_TRIALS
        }
    )
    return {
        name: _result(list(by_trial.values()), p_of.get(name), metric)
        for name, by_trial in ratios.items()
    }


def _ratios(baseline: CellSummary, candidate: CellSummary, metric: Metric) -> dict[int, float]:
    """Candidate over baseline by trial, of trials that both have and that can be believed."""
    before, after = _values(baseline, metric), _values(candidate, metric)
    return {trial: after[trial] / before[trial] for trial in before if trial in after}


def _values(cell: CellSummary, metric: Metric) -> dict[int, float]:
    values: dict[int, float] = {}
    for trial in cell.trials:
        value = _value(trial, metric)
        if value:
            values[trial.run.trial] = value
    return values


def _value(trial: Trial, metric: Metric) -> float | None:
    if trial.summary is None or trial.verdict.level is Level.INVALID:
        return None
    value: float | None = getattr(trial.summary, metric.attribute)
    return value


def _result(ratios: list[float], p: float | None, metric: Metric) -> Result:
    if not ratios:
        return Result(0, None, None, None, TOO_FEW)
    ratio = median(ratios)
    if p is None:
        return Result(len(ratios), ratio, None, None, TOO_FEW)
    verdict = NO_DIFFERENCE
    if p <= ERROR_RATE:
        # Which way: that of the mean of the logarithms, which is what was tested.
        is_more = sum(map(math.log, ratios)) > 0
        verdict = BETTER if is_more is metric.is_more_better else WORSE
    return Result(len(ratios), ratio, median_interval(ratios), p, verdict)


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Two crawlers next to each other in throughput."""

    baseline: str
    candidate: str
    concurrency: int
    result: Result


def compare_neighbours(cells: Sequence[CellSummary]) -> list[Neighbours]:
    """Crawlers in the order of their best throughput, each with the next slower one.

    At the highest concurrency that both were measured at.
    """
    by_crawler: dict[str, dict[int, CellSummary]] = {}
    for cell in cells:
        if cell.measured:
            by_crawler.setdefault(cell.cell.crawler, {})[cell.cell.concurrency] = cell
    ranked = sorted(best_cells(cells).values(), key=lambda cell: -cell.requests_per_s[0])
    labels = [cell.cell.crawler for cell in ranked]
    pairs: dict[str, tuple[CellSummary, CellSummary]] = {}
    for faster, slower in pairwise(labels):
        common = by_crawler[faster].keys() & by_crawler[slower].keys()
        if common:
            at = max(common)
            pairs[faster] = (by_crawler[slower][at], by_crawler[faster][at])
    results = compare(pairs, METRICS["throughput"])
    return [
        Neighbours(
            baseline.cell.crawler, candidate.cell.crawler, candidate.cell.concurrency, results[name]
        )
        for name, (baseline, candidate) in pairs.items()
    ]

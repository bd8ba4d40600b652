"""Summarises the trials of a cell, and finds the best cell and the knee of a series. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import NamedTuple, Self

from bench.analysis.inference import Interval, median_interval, spearman
from bench.analysis.summary import RunSummary
from bench.analysis.validity import Level, Verdict
from bench.plan.experiment import Cell, RequestModel
from bench.results.schema import RunRow
from crawlers.runtime import Runtime

KNEE_SHARE = 0.95
UNSTABLE_SHARE = 0.05
"""A cell is unstable if half the width of its interval exceeds this share of the median."""
_DRIFT_P = 0.01
_DRIFT_TRIALS = 6
_WARM_UP_TRIALS = 5
_WARM_UP_RANGES = 3.0
_WARM_UP_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Trial:
    """A run with its summary, which is None if it has no results, and its verdict."""

    run: RunRow
    summary: RunSummary | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class CellSummary:
    """All trials of a cell, in the order of their numbers."""

    cell: Cell
    trials: tuple[Trial, ...]

    @property
    def measured(self) -> list[RunSummary]:
        """The summaries of the trials that have results."""
        return [trial.summary for trial in self.trials if trial.summary is not None]

    @property
    def rates(self) -> list[float]:
        """The throughput in requests/s of each trial that has results."""
        return [summary.requests_per_s for summary in self.measured]

    @property
    def requests_per_s(self) -> tuple[float, float, float]:
        """Median, minimum and maximum over the trials. Raises StatisticsError without results."""
        return median(self.rates), min(self.rates), max(self.rates)

    @property
    def interval(self) -> Interval | None:
        """Confidence interval of the median throughput; None if there are too few trials."""
        return median_interval(self.rates)

    @property
    def is_unstable(self) -> bool:
        """Whether the confidence interval is too wide; see UNSTABLE_SHARE."""
        interval = self.interval
        if interval is None:
            return False
        return (interval.high - interval.low) / 2 > UNSTABLE_SHARE * median(self.rates)

    @property
    def level(self) -> Level:
        """INVALID if any trial is; otherwise the worst verdict that at least half of them reach.

        With half of the trials, the median may be one of them. Without trials it is VALID.
        """
        levels = sorted((trial.verdict.level for trial in self.trials), reverse=True)
        if not levels:
            return Level.VALID
        return Level.INVALID if levels[0] is Level.INVALID else levels[(len(levels) - 1) // 2]

    @property
    def queues(self) -> bool:
        """Whether its crawler is declared to queue, so that its latencies hold that wait."""
        return any(trial.run.conditions.queues for trial in self.trials)

    @property
    def runtime(self) -> Runtime | None:
        """What its crawler ran on, in the first trial that says so; None if none does."""
        return next((one.runtime for one in self.measured if one.runtime is not None), None)

    @property
    def adapts(self) -> bool:
        """Whether its crawler chooses itself how many are in flight."""
        return any(trial.run.conditions.adapts for trial in self.trials)

    @property
    def errors(self) -> dict[str, int]:
        """Number of errors of each kind over all trials, most frequent first."""
        total: Counter[str] = Counter()
        for summary in self.measured:
            total.update(summary.errors)
        return dict(total.most_common())

    def median_of(self, attribute: str) -> float | None:
        """Return the median of an attribute of RunSummary; None if no trial has it."""
        values = [getattr(summary, attribute) for summary in self.measured]
        known = [value for value in values if value is not None]
        return float(median(known)) if known else None

    def median_trial(self) -> Trial | None:
        """Return the trial with the median throughput (the lower of two); None without results."""
        measured = [trial for trial in self.trials if trial.summary is not None]
        if not measured:
            return None
        return sorted(measured, key=_rate)[(len(measured) - 1) // 2]


def _rate(trial: Trial) -> float:
    return trial.summary.requests_per_s if trial.summary is not None else 0.0


class Series(NamedTuple):
    """The key of cells that differ only in their concurrency, or only in their rate."""

    crawler: str
    request: RequestModel

    @classmethod
    def of(cls, cell: Cell) -> Self:
        """Return the series that a cell belongs to."""
        return cls(cell.crawler, cell.request)


def best_cells(cells: Sequence[CellSummary]) -> dict[Series, CellSummary]:
    """Return the cell with the highest throughput of each series, in the order of the cells.

    A cell with an INVALID run is only chosen if its series has no other.
    """
    best: dict[Series, CellSummary] = {}
    for cell in cells:
        if not cell.measured:
            continue
        series = Series.of(cell.cell)
        known = best.get(series)
        if known is None or _rank(cell) > _rank(known):
            best[series] = cell
    return best


def _rank(cell: CellSummary) -> tuple[bool, float]:
    return cell.level is not Level.INVALID, cell.requests_per_s[0]


class KneeKind(Enum):
    """How well a knee is known."""

    AT = "at"
    """Concurrencies on both sides of the knee were measured, or the knee is at 1."""
    AT_MOST = "at most"
    """The smallest measured concurrency is sufficient. A smaller one may be, too."""
    NOT_REACHED = "not reached"
    """Only the highest measured concurrency is sufficient. A higher one may be faster."""
    UNKNOWN = "unknown"
    """Fewer than two concurrencies were measured."""


@dataclass(frozen=True, slots=True)
class Knee:
    """The smallest concurrency that reaches 95 % of the best throughput of a series."""

    kind: KneeKind
    concurrency: int | None = None
    """Set for AT and AT_MOST."""

    def __str__(self) -> str:
        match self.kind:
            case KneeKind.AT:
                return str(self.concurrency)
            case KneeKind.AT_MOST:
                return f"<= {self.concurrency}"
            case KneeKind.NOT_REACHED:
                return "not reached"
            case KneeKind.UNKNOWN:
                return "-"

    @property
    def exact(self) -> int | None:
        """The concurrency if it is known exactly, otherwise None."""
        return self.concurrency if self.kind is KneeKind.AT else None


def knee(cells: Sequence[CellSummary]) -> Knee:
    """Return the knee of the cells of one series. Cells with INVALID runs are left out."""
    measured = [cell for cell in cells if cell.measured and cell.level is not Level.INVALID]
    asked = [cell.cell.concurrency for cell in measured]
    if len(asked) < 2:
        return Knee(KneeKind.UNKNOWN)
    most = max(cell.requests_per_s[0] for cell in measured)
    first = min(
        cell.cell.concurrency for cell in measured if cell.requests_per_s[0] >= KNEE_SHARE * most
    )
    if first == max(asked):
        return Knee(KneeKind.NOT_REACHED)
    return Knee(KneeKind.AT_MOST if first == min(asked) > 1 else KneeKind.AT, first)


def order_effects(cell: CellSummary, cells: int) -> tuple[str, ...]:
    """Return sentences about trials that depend on their order: a slow first one, or a drift.

    `cells` is the number of cells that are tested, for which p is adjusted (Bonferroni).
    """
    rates = cell.rates
    found = []
    if len(rates) >= _WARM_UP_TRIALS:
        first, rest = rates[0], rates[1:]
        beyond = max(min(rest) - first, first - max(rest))
        spread = max(rest) - min(rest)
        if beyond > _WARM_UP_RANGES * spread and beyond > _WARM_UP_SHARE * median(rest):
            found.append(
                f"the first trial is an outlier: {first:,.0f} requests/s, the others "
                f"{min(rest):,.0f}-{max(rest):,.0f}"
            )
    if len(rates) >= _DRIFT_TRIALS:
        rho, p = spearman(rates)
        if p * cells < _DRIFT_P:
            word = "rises" if rho > 0 else "falls"
            found.append(
                f"throughput {word} with the order of the trials (Spearman {rho:+.2f}, p {p:.2g}): "
                "the machine drifts"
            )
    return tuple(found)

"""The trials of a cell together, the best cell of a series, and its knee. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import NamedTuple, Self

from bench.analysis.inference import Interval, median_interval, spearman
from bench.analysis.summary import RunSummary
from bench.analysis.validity import Level, Verdict
from bench.plan.delays import Delay
from bench.plan.experiment import Cell
from bench.results.schema import RunRow

KNEE_SHARE = 0.95
UNSTABLE_SHARE = 0.05
"""Of the median: half the width of its interval."""
_DRIFT_P = 0.01
_DRIFT_TRIALS = 6
_WARM_UP_TRIALS = 5
_WARM_UP_RANGES = 3.0
_WARM_UP_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Trial:
    """One run, its numbers (None if there are none), and what they are worth."""

    run: RunRow
    summary: RunSummary | None
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class CellSummary:
    """All trials of one cell, in the order of their numbers."""

    cell: Cell
    trials: tuple[Trial, ...]

    @property
    def measured(self) -> list[RunSummary]:
        """The numbers of the trials that came to something."""
        return [trial.summary for trial in self.trials if trial.summary is not None]

    @property
    def rates(self) -> list[float]:
        """Requests/s of each trial that came to something."""
        return [summary.requests_per_s for summary in self.measured]

    @property
    def requests_per_s(self) -> tuple[float, float, float]:
        """Median, least and most over the trials. Raises statistics.StatisticsError for none."""
        return median(self.rates), min(self.rates), max(self.rates)

    @property
    def interval(self) -> Interval | None:
        """Of the median of requests/s; None of too few trials."""
        return median_interval(self.rates)

    @property
    def is_unstable(self) -> bool:
        """Whether the interval is too wide to say much."""
        interval = self.interval
        if interval is None:
            return False
        return (interval.high - interval.low) / 2 > UNSTABLE_SHARE * median(self.rates)

    @property
    def level(self) -> Level:
        """INVALID if any trial is, else the worst that half of them reach: the median may be one.

        Of no trial it is VALID.
        """
        levels = sorted((trial.verdict.level for trial in self.trials), reverse=True)
        if not levels:
            return Level.VALID
        return Level.INVALID if levels[0] is Level.INVALID else levels[(len(levels) - 1) // 2]

    @property
    def errors(self) -> dict[str, int]:
        """By word, over all trials."""
        total: Counter[str] = Counter()
        for summary in self.measured:
            total.update(summary.errors)
        return dict(total.most_common())

    def median_of(self, attribute: str) -> float | None:
        """Of an attribute of RunSummary, over the trials that have it."""
        values = [getattr(summary, attribute) for summary in self.measured]
        known = [value for value in values if value is not None]
        return float(median(known)) if known else None

    def median_trial(self) -> Trial | None:
        """The trial whose throughput is the median, or next below it; None if there is none."""
        measured = [trial for trial in self.trials if trial.summary is not None]
        if not measured:
            return None
        return sorted(measured, key=_rate)[(len(measured) - 1) // 2]


def _rate(trial: Trial) -> float:
    return trial.summary.requests_per_s if trial.summary is not None else 0.0


class Series(NamedTuple):
    """Cells that differ in their concurrency alone."""

    crawler: str
    delay: Delay

    @classmethod
    def of(cls, cell: Cell) -> Self:
        """To which a cell belongs."""
        return cls(cell.crawler, cell.delay)


def best_cells(cells: Sequence[CellSummary]) -> dict[Series, CellSummary]:
    """For each series, in the order in which it was asked for, the cell of most throughput.

    A cell with an INVALID run is the best only where there is no other.
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
    """What is known of a knee."""

    AT = "at"
    """Both sides of it were measured, or it is at 1."""
    AT_MOST = "at most"
    """The smallest concurrency measured is enough: a smaller one may be, too."""
    NOT_REACHED = "not reached"
    """Only the highest concurrency measured is enough: a higher one may bring more."""
    UNKNOWN = "unknown"
    """Fewer than two concurrencies were measured."""


@dataclass(frozen=True, slots=True)
class Knee:
    """The smallest concurrency that reaches 95 % of the best throughput of a series."""

    kind: KneeKind
    concurrency: int | None = None
    """Of AT and AT_MOST."""

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
        """The concurrency, where it is known exactly."""
        return self.concurrency if self.kind is KneeKind.AT else None


def knee(cells: Sequence[CellSummary]) -> Knee:
    """The knee of the cells of one series, those with INVALID runs left out."""
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
    """What depends on when a trial was done, where that shows; one of `cells` cells looked at."""
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

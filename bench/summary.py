"""Numbers of a run and of a cell, from both ends' raw requests. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from bench.delays import fixed
from bench.experiment import Cell, ideal_makespan_ns
from bench.ledger import Reconciliation
from bench.store import IntColumns, RunRow
from crawlers.contract import ERROR_WORDS

if TYPE_CHECKING:
    from numpy.typing import NDArray


P99_NEEDS = 1000
"""Requests below which a 99th percentile rests on fewer than ten of them, and is not given."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run. Spans are in ns, shares from 0 to 1; None where there is nothing to say."""

    requests: int
    good: int
    """Whole bodies with the planned status and size: only these count as throughput."""
    errors: dict[str, int]
    """The others, by word: of ERROR_WORDS, `status N`, or `size`."""
    makespan_ns: int
    """From the first start to the last end."""
    requests_per_s: float
    ideal_ns: int
    efficiency: float | None
    """Ideal over measured makespan; None if a request failed, or nothing was planned."""
    p50_ns: int
    p90_ns: int
    p99_ns: int | None
    """Of the service time of good requests; p99 from P99_NEEDS requests on."""
    mean_in_flight: float | None
    peak_in_flight: int | None
    """At the server, from its arrivals; None without a ledger."""
    connections: int | None
    cpu_us_per_request: float
    peak_memory_bytes: int
    server_cpu_us_per_request: float
    ledger: Reconciliation | None


def summarise(
    run: RunRow, slots: int, fetches: IntColumns, arrivals: IntColumns | None, resends: bool
) -> RunSummary | None:
    """The numbers of a run; None if it failed, or recorded nothing.

    `slots` is the concurrency, or what the crawler can do if that is less; `arrivals` is None
    where the server is not ours.
    """
    if run.usage is None or not len(fetches["seq"]):
        return None
    is_planned = arrivals is not None
    errors = _errors(fetches, is_planned)
    is_good = errors.is_good
    count = len(is_good)
    good = int(is_good.sum())
    makespan_ns = int(fetches["end_ns"].max() - fetches["start_ns"].min())
    ideal_ns = ideal_makespan_ns(fixed(run.delay_us, run.requests), slots)
    service_ns = np.sort((fetches["end_ns"] - fetches["start_ns"])[is_good])
    p50, p90, p99 = (_quantile(service_ns, q) for q in (0.5, 0.9, 0.99))
    mean, peak = in_flight(arrivals) if arrivals is not None else (None, None)
    return RunSummary(
        requests=count,
        good=good,
        errors=errors.by_word,
        makespan_ns=makespan_ns,
        requests_per_s=good / max(1, makespan_ns) * 1e9,
        ideal_ns=ideal_ns,
        efficiency=(
            ideal_ns / makespan_ns
            if is_planned and good == run.requests and ideal_ns and makespan_ns
            else None
        ),
        p50_ns=p50,
        p90_ns=p90,
        p99_ns=p99 if good >= P99_NEEDS else None,
        mean_in_flight=mean,
        peak_in_flight=peak,
        connections=len(np.unique(arrivals["connection"])) if arrivals is not None else None,
        cpu_us_per_request=run.usage.cpu_ns / count / 1e3,
        peak_memory_bytes=run.usage.peak_memory_bytes,
        server_cpu_us_per_request=run.server_cpu_ns / count / 1e3,
        ledger=(
            Reconciliation.of(run.requests, fetches, arrivals, resends)
            if arrivals is not None
            else None
        ),
    )


@dataclass(frozen=True, slots=True)
class _Errors:
    is_good: "NDArray[np.bool_]"
    by_word: dict[str, int]


def _errors(fetches: IntColumns, is_planned: bool) -> _Errors:
    status, error, size = fetches["status"], fetches["error"], fetches["size_bytes"]
    has_word = error != 0
    has_status = ~has_word & ((status != 200) if is_planned else (status >= 400))
    has_size = ~has_word & ~has_status & (size != 1) if is_planned else np.zeros_like(has_word)
    counts = Counter(ERROR_WORDS[code] for code in error[has_word].tolist())
    counts.update(f"status {code}" for code in status[has_status].tolist())
    if has_size.any():
        counts["size"] = int(has_size.sum())
    return _Errors(~(has_word | has_status | has_size), dict(counts.most_common()))


def _quantile(ordered: "NDArray[np.int64]", q: float) -> int:
    """The smallest value that at least a share q does not exceed; 0 of nothing."""
    if not len(ordered):
        return 0
    return int(ordered[max(0, int(np.ceil(q * len(ordered))) - 1)])


def in_flight(arrivals: IntColumns) -> tuple[float, int]:
    """Mean and peak of the requests in flight at the server, from first arrival to last reply.

    The mean is over time: the sum of all stays over the span.
    """
    arrived = arrivals["arrived_ns"]
    answered = arrivals["replied_ns"] > 0
    if not answered.any():
        return 0.0, len(arrived)
    replied = np.where(answered, arrivals["replied_ns"], arrivals["replied_ns"].max())
    span_ns = max(1, int(replied.max() - arrived.min()))
    instants = np.concatenate([arrived, replied])
    steps = np.concatenate([np.ones(len(arrived), np.int64), -np.ones(len(replied), np.int64)])
    # At the same instant a reply comes before an arrival: a slot is free before it is taken.
    order = np.lexsort((steps, instants))
    return float((replied - arrived).sum() / span_ns), int(np.cumsum(steps[order]).max())


@dataclass(frozen=True, slots=True)
class CellSummary:
    """The trials of one cell that came to something, and how many did not."""

    cell: Cell
    trials: tuple[RunSummary, ...]
    failures: tuple[str, ...]

    @property
    def requests_per_s(self) -> tuple[float, float, float]:
        """Median, least and most over the trials. Raises statistics.StatisticsError for none."""
        rates = [trial.requests_per_s for trial in self.trials]
        return median(rates), min(rates), max(rates)

    def median_of(self, attribute: str) -> float | None:
        """Of an attribute of RunSummary, over the trials that have it."""
        values = [getattr(trial, attribute) for trial in self.trials]
        known = [value for value in values if value is not None]
        return float(median(known)) if known else None

    @property
    def errors(self) -> dict[str, int]:
        """By word, over all trials."""
        total: Counter[str] = Counter()
        for trial in self.trials:
            total.update(trial.errors)
        return dict(total.most_common())


def best_cells(cells: Sequence[CellSummary]) -> dict[str, CellSummary]:
    """For each crawler, in the order in which it was asked for, the cell of most throughput."""
    best: dict[str, CellSummary] = {}
    for cell in cells:
        if not cell.trials:
            continue
        known = best.get(cell.cell.crawler)
        if known is None or cell.requests_per_s[0] > known.requests_per_s[0]:
            best[cell.cell.crawler] = cell
    return best

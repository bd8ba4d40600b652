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
    """What is wrong, by word: of ERROR_WORDS, `status N`, `size`, `missing` (a job that was never
    recorded), `repeated` (one recorded again), `never arrived` (at the server)."""
    makespan_ns: int
    """From the first start to the last end."""
    requests_per_s: float
    ideal_ns: int
    efficiency: float | None
    """Ideal over measured makespan; None if nothing was planned, or with errors or troubles."""
    p50_ns: int | None
    p90_ns: int | None
    p99_ns: int | None
    """Of the service time of good requests, if there are any; p99 from P99_NEEDS of them on."""
    mean_in_flight: float | None
    peak_in_flight: int | None
    """At the server, from its arrivals; None without a ledger."""
    connections: int | None
    cpu_us_per_request: float
    peak_memory_bytes: int
    server_cpu_us_per_request: float
    ledger: Reconciliation | None
    """None without a ledger, or with one that had no room for all."""
    troubles: tuple[str, ...]
    """What makes the run doubtful beside `errors`, each in a line."""


def summarise(run: RunRow, fetches: IntColumns, arrivals: IntColumns | None) -> RunSummary | None:
    """The numbers of a run; None if it failed, or recorded nothing.

    `arrivals` is None where the server is not ours.
    """
    if run.usage is None or not len(fetches["seq"]):
        return None
    is_planned = arrivals is not None
    # A ledger that had no room for all says nothing of those that are missing.
    ledger = arrivals if not run.unrecorded else None
    errors = _errors(run.requests, fetches, is_planned, ledger)
    is_good = errors.is_good
    count = len(is_good)
    good = int(is_good.sum())
    makespan_ns = int(fetches["end_ns"].max() - fetches["start_ns"].min())
    ideal_ns = ideal_makespan_ns(fixed(run.delay_us, run.requests), run.slots)
    service_ns = np.sort((fetches["end_ns"] - fetches["start_ns"])[is_good])
    p50, p90, p99 = (_quantile(service_ns, q) for q in (0.5, 0.9, 0.99))
    mean, peak = in_flight(ledger) if ledger is not None else (None, None)
    reconciled = (
        Reconciliation.of(run.requests, fetches, ledger, run.resends)
        if ledger is not None
        else None
    )
    _, client_peak = overlap(fetches["start_ns"], fetches["end_ns"])
    troubles = []
    if run.unrecorded:
        troubles.append(f"the server had no room for {run.unrecorded} requests in its ledger")
    if reconciled is not None and not reconciled.is_clean:
        troubles.append(f"ledger: {reconciled}")
    if client_peak > run.slots:
        troubles.append(f"{client_peak} requests at a time, and {run.slots} were asked for")
    return RunSummary(
        requests=count,
        good=good,
        errors=errors.by_word,
        makespan_ns=makespan_ns,
        requests_per_s=good / max(1, makespan_ns) * 1e9,
        ideal_ns=ideal_ns,
        efficiency=(
            ideal_ns / makespan_ns
            if is_planned and good == run.requests and not troubles and ideal_ns and makespan_ns
            else None
        ),
        p50_ns=p50,
        p90_ns=p90,
        p99_ns=p99 if good >= P99_NEEDS else None,
        mean_in_flight=mean,
        peak_in_flight=peak,
        connections=len(np.unique(ledger["connection"])) if ledger is not None else None,
        cpu_us_per_request=run.usage.cpu_ns / count / 1e3,
        peak_memory_bytes=run.usage.peak_memory_bytes,
        server_cpu_us_per_request=run.server_cpu_ns / count / 1e3,
        ledger=reconciled,
        troubles=tuple(troubles),
    )


@dataclass(frozen=True, slots=True)
class _Errors:
    is_good: "NDArray[np.bool_]"
    by_word: dict[str, int]


def _errors(
    requests: int, fetches: IntColumns, is_planned: bool, ledger: IntColumns | None
) -> _Errors:
    """Which fetches are good, and what is wrong with the others; a job without a fetch counts too.

    A fetch that the server knows nothing of is not good, whatever the crawler says of it.
    """
    status, error, size, seq = (fetches[name] for name in ("status", "error", "size_bytes", "seq"))
    rest = np.ones(len(seq), dtype=bool)
    by_word: Counter[str] = Counter()

    def set_aside(is_bad: "NDArray[np.bool_]", word: str) -> None:
        count = int((is_bad & rest).sum())
        if count:
            by_word[word] += count
        rest[is_bad] = False

    is_first = np.zeros(len(seq), dtype=bool)
    is_first[np.unique(seq, return_index=True)[1]] = True
    set_aside(~is_first | (seq < 0) | (seq >= requests), "repeated")
    missing = requests - int(rest.sum())
    if missing:
        by_word["missing"] = missing
    for code, word in enumerate(ERROR_WORDS):
        if code:
            set_aside(error == code, word)
    for code in np.unique(status).tolist():
        if (code != 200) if is_planned else not 100 <= code < 400:
            set_aside(status == code, f"status {code}")
    if is_planned:
        set_aside(size != 1, "size")
    if ledger is not None:
        set_aside(~np.isin(seq, ledger["seq"]), "never arrived")
    return _Errors(rest, dict(by_word.most_common()))


def _quantile(ordered: "NDArray[np.int64]", q: float) -> int | None:
    """The smallest value that at least a share q does not exceed; None of nothing."""
    if not len(ordered):
        return None
    return int(ordered[max(0, int(np.ceil(q * len(ordered))) - 1)])


def in_flight(arrivals: IntColumns) -> tuple[float, int]:
    """Mean and peak of the requests in flight at the server, from first arrival to last reply.

    The mean is over time: the sum of all stays over the span.
    """
    arrived = arrivals["arrived_ns"]
    if not len(arrived):
        return 0.0, 0
    answered = arrivals["replied_ns"] > 0
    last_ns = max(arrived.max(), arrivals["replied_ns"].max())
    return overlap(arrived, np.where(answered, arrivals["replied_ns"], last_ns))


def overlap(starts: "NDArray[np.int64]", ends: "NDArray[np.int64]") -> tuple[float, int]:
    """Mean over time, and peak, of how many of these spans there are at an instant."""
    span_ns = max(1, int(ends.max() - starts.min()))
    instants = np.concatenate([starts, ends])
    steps = np.concatenate([np.ones(len(starts), np.int64), -np.ones(len(ends), np.int64)])
    # At the same instant an end comes before a start: a slot is free before it is taken.
    order = np.lexsort((steps, instants))
    return float((ends - starts).sum() / span_ns), int(np.cumsum(steps[order]).max())


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
    def is_clean(self) -> bool:
        """Whether every run came to something, and every request was fetched and arrived once."""
        return not self.failures and all(
            not trial.errors and not trial.troubles for trial in self.trials
        )

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

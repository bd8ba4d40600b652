"""Finds the good requests of a run, and what is wrong with the others. Pure."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.analysis.accounts import Accounts
from bench.results.columns import IntColumns
from bench.results.schema import RunRow
from crawlers.contract import ERROR_WORDS, failure_word, is_good
from server.ledger import REFUSED

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class GoodRequests:
    """The good requests of a run, and the number of the others by kind of error."""

    is_good: "NDArray[np.bool_]"
    """For each fetch, whether it is good."""
    is_refused: "NDArray[np.bool_]"
    """For each fetch, whether the service refused it as planned."""
    refused: dict[int, int]
    """Number of requests that the service refused as planned, by status. They are no errors."""
    planned_failures: int
    """Number of failed fetches that were to fail by the service's share of faults."""
    errors: dict[str, int]
    """Number of errors by the words of bench.analysis.summary.RunSummary, most frequent first."""

    @classmethod
    def of(cls, run: RunRow, accounts: Accounts) -> Self:
        """Classify every fetch. A job without a fetch is an error, too.

        A request that never arrived at the server is not good, even if the crawler reports success.
        """
        fetches, is_planned = accounts.fetches, accounts.is_planned
        error, status = fetches["error"], fetches["status"]
        is_left = _are_jobs(fetches["seq"], run.requests)
        jobs = int(is_left.sum())
        errors = Counter({"repeated": len(is_left) - jobs})
        if not run.failure:  # requests in flight when a crawl was interrupted are not missing
            errors["missing"] = run.requests - jobs
        has_failed = ~is_good(error, status, is_planned=is_planned) & is_left
        is_refused = has_failed & _is_refused(run, accounts)
        has_failed &= ~is_refused
        for code, count in _counted(error[has_failed]):
            if code:
                errors[ERROR_WORDS[code]] = count
        for code, count in _counted(status[has_failed & (error == 0)]):
            errors[failure_word(0, code, is_planned=is_planned)] = count
        planned_failures = _failures_as_planned(run, fetches["seq"][has_failed])
        is_left &= ~has_failed & ~is_refused
        if is_planned:
            has_size = fetches["size_bytes"] == _planned_sizes(run, accounts, fetches["seq"])
            errors["size"] = int((is_left & ~has_size).sum())
            is_left &= has_size
        join = accounts.complete_join(run)
        if join is not None:
            errors["never arrived"] = int((is_left & ~join.has_arrived).sum())
            is_left &= join.has_arrived
        return cls(
            is_left,
            is_refused,
            dict(_counted(status[is_refused])),
            planned_failures,
            {word: count for word, count in errors.most_common() if count},
        )


def recorded_good(run: RunRow, fetches: IntColumns) -> "NDArray[np.bool_]":
    """Return for each fetch whether it got a good response, by the crawler's own record."""
    is_planned = run.unrecorded is not None
    return is_good(fetches["error"], fetches["status"], is_planned=is_planned)


def recorded_results(fetches: IntColumns) -> list[str]:
    """Return what became of each fetch: one of ERROR_WORDS, or else its status."""
    pairs = zip(fetches["error"].tolist(), fetches["status"].tolist(), strict=True)
    last = len(ERROR_WORDS) - 1
    return [ERROR_WORDS[min(error, last)] if error > 0 else str(status) for error, status in pairs]


def _is_refused(run: RunRow, accounts: Accounts) -> "NDArray[np.bool_]":
    """Return for each fetch whether the ledger has the refusal that it reports."""
    fetches = accounts.fetches
    join = accounts.complete_join(run) if run.service.refuses else None
    if join is None:
        return np.zeros(len(fetches["seq"]), dtype=bool)
    outcome = np.append(join.arrivals["outcome"], 0)[join.arrival_of]
    status = np.append(join.arrivals["status"], 0)[join.arrival_of]
    is_refused: NDArray[np.bool_] = (outcome == REFUSED) & (fetches["error"] == 0)
    is_refused &= fetches["status"] == status
    return is_refused


def _failures_as_planned(run: RunRow, seqs: "NDArray[np.int64]") -> int:
    if not run.service.fault_share:
        return 0
    return sum(1 for seq in seqs.tolist() if run.service.fault_of(seq))


def _are_jobs(seq: "NDArray[np.int64]", requests: int) -> "NDArray[np.bool_]":
    """Return for each fetch whether it is the first record of a job of the run."""
    is_first = np.zeros(len(seq), dtype=bool)
    is_first[np.unique(seq, return_index=True)[1]] = True
    return is_first & (seq >= 0) & (seq < requests)


def _counted(values: "NDArray[np.int64]") -> "Iterator[tuple[int, int]]":
    """Yield each value and how often it occurs, in ascending order."""
    found, counts = np.unique(values, return_counts=True)
    return zip(found.tolist(), counts.tolist(), strict=True)


def _planned_sizes(
    run: RunRow, accounts: Accounts, seq: "NDArray[np.int64]"
) -> "NDArray[np.int64]":
    """Return the planned body size of each fetch, in bytes."""
    sizes = np.array([plan.size_bytes for plan in accounts.plans] or run.sizes_bytes())
    return sizes[np.clip(seq, 0, len(sizes) - 1)]

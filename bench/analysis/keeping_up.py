"""Whether a run in open loop keeps up with the rate that it is offered. Pure."""

from collections.abc import Sequence
from functools import lru_cache

from bench.analysis.cells import CellSummary, Trial
from bench.analysis.summary import RunSummary
from bench.plan.delays import Delay
from bench.plan.load import Load

KEPT_UP_SHARE = 0.97
"""A run keeps up if it gets this share of what is possible answered well."""


def kept_up(summary: RunSummary) -> bool:
    """Return whether a run kept up with its offered rate, as far as its numbers alone tell.

    The last requests are answered after the last due instant, so that even the ideal client has a
    makespan longer than the time of the offers. One median response time is therefore left out; of
    delays with a long tail that is not enough, see `kept_up_share`.
    """
    if summary.offered_per_s is None or summary.response_p50_ns is None:
        return False
    span_ns = max(1, summary.makespan_ns - summary.response_p50_ns)
    is_answered = summary.good >= KEPT_UP_SHARE * summary.requests
    return is_answered and summary.requests / span_ns * 1e9 >= KEPT_UP_SHARE * summary.offered_per_s


def kept_up_share(trial: Trial) -> float | None:
    """Return the good answers per second, as a share of those of a service that never waits.

    There each request takes its delay from the instant at which it is due. The last one may be
    long, so that even there fewer requests per second end than are due. Returns None in closed
    loop, and for a run without results.
    """
    run, summary = trial.run, trial.summary
    if summary is None or not run.load.is_open:
        return None
    alone_ns = _alone_ns(run.load, run.delay, run.delay_seed, run.requests)
    return summary.good / run.requests * min(1.0, alone_ns / max(1, summary.makespan_ns))


def keeps_up(cell: CellSummary) -> bool:
    """Return whether most trials of a cell kept up."""
    shares = [share for trial in cell.trials if (share := kept_up_share(trial)) is not None]
    return 2 * sum(share >= KEPT_UP_SHARE for share in shares) > len(shares)


def highest_kept_up(cells: Sequence[CellSummary]) -> CellSummary:
    """Return the cell with the highest rate that was kept up with; if there is none, the lowest."""
    kept = [cell for cell in cells if keeps_up(cell)]
    if not kept:
        return min(cells, key=lambda cell: cell.cell.level)
    return max(kept, key=lambda cell: cell.cell.level)


@lru_cache(maxsize=200)
def _alone_ns(load: Load, delay: Delay, seed: int, requests: int) -> int:
    """Return the time from the first due instant to the last end if no request ever waits.

    All crawlers of a trial have the same seed, so it is computed once for each rate and trial.
    """
    due_ns = load.due_after_ns(seed, requests)
    delays_us = delay.drawn(seed, requests)
    ends = (due + 1000 * takes for due, takes in zip(due_ns, delays_us, strict=True))
    return max(ends, default=0)

"""Whether a run in open loop keeps up with the rate that it is offered. Pure."""

from bench.analysis.cells import CellSummary
from bench.analysis.summary import RunSummary

KEPT_UP_SHARE = 0.97
"""A run keeps up if it gets this share of what is offered answered well."""


def kept_up(summary: RunSummary) -> bool:
    """Return whether a run kept up with its offered rate.

    The last requests are answered after the last due instant, so that even the ideal client has a
    makespan longer than the time of the offers. One median response time is therefore left out.
    """
    if summary.offered_per_s is None or summary.response_p50_ns is None:
        return False
    span_ns = max(1, summary.makespan_ns - summary.response_p50_ns)
    is_answered = summary.good >= KEPT_UP_SHARE * summary.requests
    return is_answered and summary.requests / span_ns * 1e9 >= KEPT_UP_SHARE * summary.offered_per_s


def keeps_up(cell: CellSummary) -> bool:
    """Return whether most trials of a cell kept up."""
    measured = cell.measured
    return bool(measured) and 2 * sum(map(kept_up, measured)) > len(measured)

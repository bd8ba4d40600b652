"""How long an end may stand still before it counts as a fault. Pure."""

from bench.analysis.summary import RunSummary

STALL_NS = 50_000_000
STALL_SHARE = 0.03


def stall_limit_ns(summary: RunSummary) -> float:
    """Return the limit in ns: 50 ms or 3 % of the makespan, whichever is longer."""
    return max(STALL_NS, STALL_SHARE * summary.makespan_ns)

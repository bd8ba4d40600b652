"""How long an end may stand still before that is a fault. Pure."""

from bench.analysis.summary import RunSummary

STALL_NS = 50_000_000
STALL_SHARE = 0.03


def stall_limit_ns(summary: RunSummary) -> float:
    """50 ms, and 3 % of the makespan."""
    return max(STALL_NS, STALL_SHARE * summary.makespan_ns)

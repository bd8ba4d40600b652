"""Checks of the server: whether it, and not the crawler, was measured. Pure."""

from collections.abc import Iterator

from bench.analysis.validity.stall import stall_limit_ns
from bench.analysis.validity.verdict import Check, Evidence, Reason, invalid, suspect
from bench.wording import format_percent

LATE_SHARE = 0.03
"""Share of the time of all slots that is lost because the server answers late."""
CEILING_SHARE = 0.60
SERVER_CPU_SHARE = 0.80


def _ceiling(evidence: Evidence) -> Iterator[Reason]:
    """The server can answer many more requests than the crawler sends."""
    summary, ceiling_per_s = evidence.summary, evidence.ceiling_per_s
    if ceiling_per_s and summary.requests_per_s > CEILING_SHARE * ceiling_per_s:
        share = summary.requests_per_s / ceiling_per_s
        yield suspect(
            "server-limited",
            f"server-limited: {format_percent(share)} of the server's capacity (ceiling) of "
            f"{ceiling_per_s:,.0f} requests/s; above {format_percent(CEILING_SHARE)} the server is "
            "measured",
        )


def _cpu(evidence: Evidence) -> Iterator[Reason]:
    """The server's CPU is not the limit."""
    server = evidence.summary.server
    if server is not None and server.cpu_share > SERVER_CPU_SHARE:
        yield suspect(
            "server-limited",
            f"server-limited: the server's CPU was {format_percent(server.cpu_share)} busy",
        )


def _late(evidence: Evidence) -> Iterator[Reason]:
    """The server answers in time."""
    slot_time = evidence.summary.slot_time
    if slot_time is not None and slot_time.late > LATE_SHARE and slot_time.delay > 0:
        yield suspect(
            "late",
            f"the server answered late: {format_percent(slot_time.late, 1)} of the time of all "
            "slots is its "
            "lateness, not the crawler's",
        )


def _stall(evidence: Evidence) -> Iterator[Reason]:
    """The server's event loop never stands still."""
    server = evidence.summary.server
    if server is not None and server.longest_lag_ns > stall_limit_ns(evidence.summary):
        yield suspect("stall", f"the server stood still for {server.longest_lag_ns / 1e9:.2f} s")


def _descriptors(evidence: Evidence) -> Iterator[Reason]:
    """The server may open as many files as there are connections."""
    turned_away = evidence.run.conditions.turned_away
    if turned_away:
        yield invalid(
            "descriptors",
            f"the server turned {turned_away} connections away: it may open no more files; raise "
            "its limit (ulimit -n)",
        )


CHECKS: tuple[Check, ...] = (_ceiling, _cpu, _late, _stall, _descriptors)

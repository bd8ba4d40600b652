"""Checks of the server: whether it, and not the crawler, was measured. Pure."""

from collections.abc import Iterator

from bench.analysis.validity.stall import stall_limit_ns
from bench.analysis.validity.verdict import Check, Evidence, Reason, invalid, note, suspect
from bench.wording import format_percent

LATE_SHARE = 0.03
"""Share of the time of all slots that is lost because the server answers late."""
CEILING_SHARE = 0.60
SERVER_CPU_SHARE = 0.80
UNEVEN_TIMES = 1.25
"""Connections of the busiest server process, as a multiple of the mean. The kernel spreads them by
a hash: at 100 connections, the busiest of 4 has 1.2 times its share in the median."""
MOST_SHOWN = 16


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
    count = evidence.run.conditions.server_processes
    if server is not None and server.cpu_share > SERVER_CPU_SHARE:
        whose = f"the busiest of {count} server processes" if count > 1 else "the server's CPU"
        yield suspect(
            "server-limited",
            f"server-limited: {whose} was {format_percent(server.cpu_share)} busy",
        )


def _spread(evidence: Evidence) -> Iterator[Reason]:
    """The server's processes have about as many connections each."""
    found = evidence.summary.connections_of_processes
    if found is None or len(found) < 2 or not sum(found):
        return
    times = max(found) * len(found) / sum(found)
    if times > UNEVEN_TIMES:
        shown = ", ".join(map(str, found[:MOST_SHOWN])) + (", ..." if found[MOST_SHOWN:] else "")
        yield note(
            "uneven connections",
            f"the busiest of {len(found)} server processes had {times:.2f} times its share of the "
            f"connections ({shown}), as the kernel spreads them: it may be at its limit before the "
            "others",
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


CHECKS: tuple[Check, ...] = (_ceiling, _cpu, _spread, _late, _stall, _descriptors)

"""Checks for what limits the crawler: its CPU, or a cap below the concurrency asked for. Pure."""

from collections.abc import Iterator

from bench.analysis.limits import CAP_SLACK
from bench.analysis.summary import RunSummary
from bench.analysis.validity.server import SERVER_CPU_SHARE
from bench.analysis.validity.verdict import (
    Check,
    Evidence,
    Reason,
    format_busiest,
    note,
    suspect,
)
from bench.results.schema import RunRow
from bench.wording import format_percent

CLIENT_CPU_SHARE = 0.90
MORE_CPU_SHARE = 0.05
MORE_CPU_NS = 20_000_000
"""CPU time beyond that of one CPU, at least two of the ticks of 10 ms in which Linux counts that of
processes it does not read exactly (`getconf CLK_TCK` is 100)."""
CAP_TIME_SHARE = 0.25
"""Of the time that must be spent on one level exactly for it to be a plateau: noise around a mean
spreads over many levels."""
FLAT_TOP = 50
FLAT_TOP_SHARE = 0.05
"""The highest level of all, if it is as high as this, and the share of the time spent on it that
makes it a plateau: noise touches its highest level for less than 1 % of the time."""
OWN_CAP_SHARE = 0.50
"""The same as CAP_TIME_SHARE, by the crawler's own account, which has less noise: honest crawlers
are on their C for 80 % of the time and more; threads that are still being started are on no level
for more than 8 %."""
QUEUED_SHARE = 0.25
"""Of the time with requests waiting inside the crawler: 0 of honest crawlers, 90 % of a pool of
100 behind a concurrency of 200."""


def _client_cpu(evidence: Evidence) -> Iterator[Reason]:
    """The crawler's CPU is not the limit; if it is, that is what is being looked for."""
    summary = evidence.summary
    share = summary.cpu_share
    if share > CLIENT_CPU_SHARE:
        whose = "its CPU" if summary.processes == 1 else f"the CPU of {format_busiest(summary)}"
        yield note("client-bound", f"client-bound: {whose} was {format_percent(share)} busy")


def _more_cpus(evidence: Evidence) -> Iterator[Reason]:
    """A crawler that is declared to use one CPU uses one.

    A process that is pinned to a single CPU cannot show that it would use more.
    """
    run, summary, usage = evidence.run, evidence.summary, evidence.run.usage
    is_helped = run.site is not None or run.work is not None  # by processes that it was told to use
    if usage is None or is_helped or run.cores > run.processes:
        return
    beyond_ns = (summary.cpu_share - 1) * usage.wall_ns
    if beyond_ns > max(MORE_CPU_NS, MORE_CPU_SHARE * usage.wall_ns):
        yield note(
            "cores",
            f"it used {summary.cpu_share:.2f} CPUs at a time, and is declared to use one: give it "
            "`cores` in its row of the registry, so that it gets them",
        )


def _cap(evidence: Evidence) -> Iterator[Reason]:
    """All slots are used; the first sign of a limit is enough."""
    run, summary = evidence.run, evidence.summary
    if run.load.is_open:  # there, the concurrency is a limit, and not what is to be reached
        return
    most = min(CAP_SLACK * summary.most_slots, summary.most_slots - 1)
    text = (
        _own_cap(summary, most)
        or _queue(run, summary, most)
        or _cap_at_the_server(run, summary, most)
    )
    if text:
        yield suspect("capped", text)


def _own_cap(summary: RunSummary, most: float) -> str:
    """The crawler itself says that it never used all slots."""
    plateau = summary.client_plateau
    if plateau is None or plateau.level > most or plateau.share < OWN_CAP_SHARE:
        return ""
    return (
        f"capped: by its own account {plateau.level} at a time for "
        f"{format_percent(plateau.share)} of the time "
        f"and hardly ever more, {_allowed(summary)}"
    )


def _queue(run: RunRow, summary: RunSummary, most: float) -> str:
    """The crawler counts requests as under way that can only wait inside it.

    This holds without a delay and for a crawler that is busy, too: whatever it has sent is on a
    connection.
    """
    in_flight, connections = summary.in_flight, summary.connections
    if in_flight is None or connections is None or summary.queued_share is None:
        return ""
    limit = max(connections, in_flight.peak)
    if limit > most or summary.queued_share < QUEUED_SHARE:
        return ""
    if run.requests < 2 * summary.most_slots:
        return ""
    return (
        f"capped: by its own account more than {limit} under way for "
        f"{format_percent(summary.queued_share)} of "
        f"the time, {_allowed(summary)}, and it has {connections} connections: requests wait "
        "inside it, and its clocks run"
    )


def _cap_at_the_server(run: RunRow, summary: RunSummary, most: float) -> str:
    """In flight at the server stays at one level.

    Without delay a peak of one is normal; where a CPU is busy, that is the limit.
    """
    in_flight = summary.in_flight
    server_share = summary.server.cpu_share if summary.server is not None else 0.0
    if (
        in_flight is None
        or summary.connections is None
        or run.delay.is_none
        or summary.cpu_share >= CLIENT_CPU_SHARE
        or server_share >= SERVER_CPU_SHARE
    ):
        return ""
    beside = (
        f"{_allowed(summary)}, with {summary.connections} connections and the client's CPU "
        f"{format_percent(summary.cpu_share)} busy"
    )
    plateau = in_flight.plateau
    if plateau is not None and plateau.level <= most:
        is_flat_top = plateau.level == in_flight.peak >= FLAT_TOP
        if plateau.share >= (FLAT_TOP_SHARE if is_flat_top else CAP_TIME_SHARE):
            return (
                f"capped: {plateau.level} in flight for {format_percent(plateau.share)} of the "
                "time and hardly "
                f"ever more, {beside}"
            )
    # Too short for a plateau, but never as many connections as slots, each used again.
    if (
        plateau is None
        and summary.connections == in_flight.peak <= most
        and run.requests >= 2 * summary.most_slots
    ):
        return f"capped: never more than {in_flight.peak} in flight, {beside}"
    return ""


def _allowed(summary: RunSummary) -> str:
    if summary.limit_mean is None:
        return f"of {summary.slots} asked for"
    return f"of {summary.limit_mean:.0f} on average that its own limit allowed"


CHECKS: tuple[Check, ...] = (_client_cpu, _more_cpus, _cap)

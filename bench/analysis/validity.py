"""Whether a run may be believed: VALID, UNCHECKED, SUSPECT or INVALID, and why. Pure.

docs/validity.md has the checks in a table, with what each is for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from bench.analysis.summary import RunSummary
from bench.results.conditions import Conditions
from bench.results.schema import SPARE_DESCRIPTORS, RunRow
from crawlers.registry import RESEND_CONDITIONS

CLOCK_STEP_NS = 50_000_000
LATE_SHARE = 0.03
"""Of the time of all slots, lost to answers that the server gave late."""
CEILING_SHARE = 0.60
SERVER_CPU_SHARE = 0.80
CLIENT_CPU_SHARE = 0.90
CAP_SLACK = 0.97
"""A plateau above this share of the concurrency asked for is no cap."""
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
STALL_NS = 50_000_000
STALL_SHARE = 0.03
OUTSIDE_SHARE = 0.05
UNWAITED_NS = 50_000_000
"""What starting a Python that does nothing costs."""
UNWAITED_SHARE = 0.05
"""Of the crawler's CPU time."""
WAITED_SHARE = 0.05
WAITED_NS = 5_000_000
STOLEN_SHARE = 0.03
STOLEN_NS = 20_000_000
"""Two ticks of its clock at the least: one falls where it falls."""
TIME_WAIT = 14_000
"""Half of the ports that Linux gives out, 28 232 by default: a run may need as many again."""
GC_SHARE = 0.01
GC_PAUSE_NS = 5_000_000
UNUSED_LEAST = 5
UNUSED_SHARE = 0.05
"""Of the slots: connections without a request. A library may open one more than it needs."""
CLUSTER_SHARE = 0.05
CLUSTER_LEAST = 10
CLUSTER_CPU_SHARE = 0.50
ORDER_SHARE = 0.001
"""Of the requests, and two of them: a thread may be stopped between taking a job and its clock."""
WAVES = 10


class Level(IntEnum):
    """Of a reason, and of a verdict: the worst of its reasons, or VALID."""

    VALID = 0
    """As a reason: something to know, and no fault."""
    UNCHECKED = 1
    """There is no ledger, so that most checks could not be made; those that could found nothing."""
    SUSPECT = 2
    INVALID = 3


@dataclass(frozen=True, slots=True)
class Reason:
    """What one check found. `check` names it, the same for all runs."""

    level: Level
    check: str
    text: str

    @property
    def word(self) -> str:
        """How its level is written: a reason of level VALID is a note."""
        return self.level.name if self.level else "note"


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one run."""

    reasons: tuple[Reason, ...]

    @property
    def level(self) -> Level:
        """The worst of the reasons."""
        return max((reason.level for reason in self.reasons), default=Level.VALID)

    def finds(self, check: str) -> bool:
        """Whether a check found something."""
        return any(reason.check == check for reason in self.reasons)


def judge(run: RunRow, summary: RunSummary | None, ceiling_per_s: float | None) -> Verdict:
    """All checks on one run.

    `ceiling_per_s`: requests/s of this server with a floor client, measured in the same experiment;
    None if it was not.
    """
    if summary is None or run.failure:
        text = run.failure or "the crawler recorded nothing"
        return Verdict((Reason(Level.INVALID, "failed", text),))
    return Verdict(
        (
            *_of_the_accounts(run, summary),
            *_of_resends(run),
            *_of_physics(run, summary),
            *_of_the_server(run, summary, ceiling_per_s),
            *_of_the_client(run, summary),
            *_of_the_kernel(run, summary),
            *_of_the_machine(run, summary),
            *_of_the_plan(run, summary),
        )
    )


def _invalid(check: str, text: str) -> Reason:
    return Reason(Level.INVALID, check, text)


def _suspect(check: str, text: str) -> Reason:
    return Reason(Level.SUSPECT, check, text)


def _unchecked(check: str, text: str) -> Reason:
    return Reason(Level.UNCHECKED, check, text)


def _note(check: str, text: str) -> Reason:
    return Reason(Level.VALID, check, text)


def _of_the_accounts(run: RunRow, summary: RunSummary) -> Iterator[Reason]:
    if run.unrecorded:
        yield _invalid(
            "ledger",
            f"the server had no room for {run.unrecorded} requests in its ledger: what the crawler "
            "says cannot be checked",
        )
    elif summary.ledger is None:
        yield _unchecked(
            "no ledger",
            "there is no ledger of what reached the server: only the crawler's own account was "
            "checked",
        )
    if summary.ledger is not None:
        for mismatch in summary.ledger.unexplained:
            yield _invalid("ledger", f"ledger: {mismatch}")
        if summary.ledger.resent:
            yield _note(
                "resent", f"{summary.ledger.resent} requests were sent again by the library"
            )
    failures = {word: count for word, count in summary.errors.items() if word != "never arrived"}
    if not summary.good:
        yield _invalid("failures", f"not one request was good: {_counts(summary.errors)}")
    elif failures:
        yield _suspect(
            "failures",
            f"{sum(failures.values())} of {run.requests} requests failed: {_counts(failures)}",
        )
    if run.conditions.beside:
        yield _suspect(
            "ledger",
            f"{run.conditions.beside} requests reached the server beside those of the run: by the "
            "crawler, or somebody else",
        )
    if summary.out_of_order > max(2, ORDER_SHARE * run.requests):
        yield _suspect(
            "order",
            f"{summary.out_of_order} of {run.requests} requests were started more than {run.slots} "
            "places away from their place in the order of the jobs: the ideal makespan is that of "
            "another order",
        )
    if summary.overtime:
        yield _invalid(
            "overtime",
            f"{summary.overtime} requests took longer than the limit of "
            f"{run.timeout_ns / 1e9:g} s, and are recorded as good",
        )
    if run.request_head and not run.request_head.startswith(b"GET "):
        method = run.request_head.split(b" ")[0][:20].decode("ascii", "replace")
        yield _invalid("ledger", f"it asks with {method!r}, and not with GET")
    if summary.client_peak > run.slots:
        yield _invalid(
            "overrun",
            f"by its own account {summary.client_peak} requests at a time, and {run.slots} were "
            "asked for: it starts clocks before it holds a slot, or exceeds the concurrency",
        )


def _of_resends(run: RunRow) -> Iterator[Reason]:
    if run.resends and run.unrecorded is None:
        yield _note(
            "resent",
            "the crawler's library may send a request again, and without a ledger nobody counts "
            f"that; it declares {run.resends} for each request at most, if "
            f"{RESEND_CONDITIONS.get(run.conditions.resend_condition, 'a connection dropped')}",
        )


def _of_physics(run: RunRow, summary: RunSummary) -> Iterator[Reason]:
    for one in summary.impossible:
        yield _invalid(
            "impossible", f"{one.count} of {run.requests} requests {one.what} (seq {one.seq})"
        )
    if summary.efficiency is not None and summary.efficiency > 1:
        yield _invalid(
            "impossible",
            f"faster than {run.slots} slots can wait for these delays: in "
            f"{summary.makespan_ns / 1e9:.3f} s instead of {summary.ideal_ns / 1e9:.3f} s",
        )


def _of_the_server(
    run: RunRow, summary: RunSummary, ceiling_per_s: float | None
) -> Iterator[Reason]:
    if ceiling_per_s and summary.requests_per_s > CEILING_SHARE * ceiling_per_s:
        share = summary.requests_per_s / ceiling_per_s
        yield _suspect(
            "server-limited",
            f"server-limited: {share:.0%} of the {ceiling_per_s:,.0f} requests/s that this server "
            f"gives a floor client; above {CEILING_SHARE:.0%} the server is measured",
        )
    server = summary.server
    if server is not None and server.cpu_share > SERVER_CPU_SHARE:
        yield _suspect(
            "server-limited",
            f"server-limited: the server's CPU was {server.cpu_share:.0%} busy",
        )
    slot_time = summary.slot_time
    if slot_time is not None and slot_time.late > LATE_SHARE and slot_time.delay > 0:
        yield _suspect(
            "late",
            f"the server answered late: {slot_time.late:.1%} of the time of all slots is its "
            "lateness, not the crawler's",
        )
    limit_ns = _stall_limit_ns(summary)
    if server is not None and server.longest_lag_ns > limit_ns:
        yield _suspect("stall", f"the server stood still for {server.longest_lag_ns / 1e9:.2f} s")
    if run.conditions.turned_away:
        yield _invalid(
            "descriptors",
            f"the server turned {run.conditions.turned_away} connections away: it may open no more "
            "files; raise its limit (ulimit -n)",
        )


def _of_the_client(run: RunRow, summary: RunSummary) -> Iterator[Reason]:
    if summary.cpu_share > CLIENT_CPU_SHARE:
        yield _note(
            "client-bound",
            f"client-bound: its CPU was {summary.cpu_share:.0%} busy",
        )
    capped = _cap(run, summary)
    if capped:
        yield _suspect("capped", capped)
    if (
        run.keep_alive
        and summary.connections is not None
        and summary.connections > run.slots + sum(summary.errors.values())
    ):
        yield _suspect(
            "connections",
            f"{summary.connections} connections for {run.slots} slots, by a crawler that is "
            "declared to keep them",
        )
    unused = (run.conditions.accepted or 0) - (summary.connections or 0)
    most_unused = max(UNUSED_LEAST, UNUSED_SHARE * run.slots) + sum(summary.errors.values())
    if summary.connections is not None and unused > most_unused:
        yield _suspect(
            "connections",
            f"{unused} connections besides the {summary.connections} of the run carried no whole "
            "request of it: opening them, and what was sent on them, is in no number",
        )
    usage = run.usage
    needed = run.slots + SPARE_DESCRIPTORS
    if usage is not None and usage.descriptors is not None and usage.descriptors < needed:
        yield _suspect(
            "descriptors",
            f"the crawler may open {usage.descriptors} files, and needs {needed}: raise the limit "
            "(ulimit -n)",
        )
    stall = summary.client_stall
    if stall is not None and stall.span_ns > _stall_limit_ns(summary):
        yield _suspect(
            "stall",
            f"the crawler stood still for {stall.span_ns / 1e9:.2f} s with answers at hand",
        )
    idle = summary.idle_stall
    if idle.span_ns > _stall_limit_ns(summary):
        yield _suspect(
            "stall",
            f"the crawler started nothing for {idle.span_ns / 1e9:.2f} s, with a free slot and "
            "jobs left",
        )
    if summary.outside_ns > max(STALL_NS, OUTSIDE_SHARE * summary.makespan_ns):
        yield _suspect(
            "outside",
            f"the crawler worked or slept for {summary.outside_ns / 1e9:.2f} s before its first "
            "start and after its last end, which no number counts",
        )
    yield from _of_other_processes(run)
    if summary.gc_share > GC_SHARE or summary.gc_longest_ns > GC_PAUSE_NS:
        yield _note(
            "gc",
            f"the garbage collector paused the crawler for {summary.gc_share:.1%} of the time, "
            f"{summary.gc_longest_ns / 1e6:.1f} ms at the longest",
        )


def _of_other_processes(run: RunRow) -> Iterator[Reason]:
    usage = run.usage
    if usage is None:
        return
    unwaited_ns = usage.unwaited_cpu_ns
    # Where the system knows of a thread, it knows of processes.
    if unwaited_ns is None and usage.main_cpu_ns is not None:
        yield _suspect(
            "other processes",
            "the crawler ignores SIGCHLD, so that the system does not count what processes that it "
            "starts use: its CPU time may be more",
        )
    if unwaited_ns is not None and unwaited_ns > max(UNWAITED_NS, UNWAITED_SHARE * usage.cpu_ns):
        yield _suspect(
            "other processes",
            f"processes that the crawler started and did not wait for used {unwaited_ns / 1e9:.2f} "
            "s of CPU: that is in its CPU time, but what they use later is in no number, nor is "
            "their memory",
        )


def _cap(run: RunRow, summary: RunSummary) -> str:
    """What shows a limit below the concurrency asked for; "" if nothing does."""
    most = min(CAP_SLACK * run.slots, run.slots - 1)
    return (
        _own_cap(run, summary, most)
        or _queue(run, summary, most)
        or _cap_at_the_server(run, summary, most)
    )


def _own_cap(run: RunRow, summary: RunSummary, most: float) -> str:
    """The crawler itself says that it never used all slots."""
    plateau = summary.client_plateau
    if plateau is None or plateau.level > most or plateau.share < OWN_CAP_SHARE:
        return ""
    return (
        f"capped: by its own account {plateau.level} at a time for {plateau.share:.0%} of the time "
        f"and hardly ever more, of {run.slots} asked for"
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
    if limit > most or summary.queued_share < QUEUED_SHARE or run.requests < 2 * run.slots:
        return ""
    return (
        f"capped: by its own account more than {limit} under way for {summary.queued_share:.0%} of "
        f"the time, of {run.slots} asked for, and it has {connections} connections: requests wait "
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
        or not run.delay.high_us
        or summary.cpu_share >= CLIENT_CPU_SHARE
        or server_share >= SERVER_CPU_SHARE
    ):
        return ""
    beside = (
        f"of {run.slots} asked for, with {summary.connections} connections and the client's CPU "
        f"{summary.cpu_share:.0%} busy"
    )
    plateau = in_flight.plateau
    if plateau is not None and plateau.level <= most:
        is_flat_top = plateau.level == in_flight.peak >= FLAT_TOP
        if plateau.share >= (FLAT_TOP_SHARE if is_flat_top else CAP_TIME_SHARE):
            return (
                f"capped: {plateau.level} in flight for {plateau.share:.0%} of the time and hardly "
                f"ever more, {beside}"
            )
    # Too short for a plateau, but never as many connections as slots, each used again.
    if (
        plateau is None
        and summary.connections == in_flight.peak <= most
        and run.requests >= 2 * run.slots
    ):
        return f"capped: never more than {in_flight.peak} in flight, {beside}"
    return ""


def _of_the_kernel(run: RunRow, summary: RunSummary) -> Iterator[Reason]:
    conditions = run.conditions
    backlog = {
        "listen queue overflows": conditions.listen_overflows,
        "listen drops": conditions.listen_drops,
        "SYNs sent again": conditions.syn_retransmits,
    }
    seen = {name: count for name, count in backlog.items() if count}
    if seen:
        yield _suspect("backlog", f"connections were held up by the kernel: {_counts(seen)}")
    clusters = summary.clusters
    if clusters is not None and clusters.around_1_s:
        yield _suspect(
            "backlog",
            f"{clusters.around_1_s} requests took about a second more than planned, as after a SYN "
            "that was dropped",
        )
    if (
        clusters is not None
        and clusters.around_40_ms >= max(CLUSTER_LEAST, CLUSTER_SHARE * summary.good)
        and summary.cpu_share < CLUSTER_CPU_SHARE
    ):
        yield _suspect(
            "delayed ACK",
            f"{clusters.around_40_ms} requests were 40 ms longer on the way, the client idle: "
            "Nagle's algorithm and a delayed ACK (send a request in one piece, or set TCP_NODELAY)",
        )
    if conditions.time_wait_before is not None and conditions.time_wait_before > TIME_WAIT:
        yield _note(
            "ports",
            f"{conditions.time_wait_before} sockets were in TIME_WAIT before the run: ports may "
            "run out",
        )


def _of_the_machine(run: RunRow, summary: RunSummary) -> Iterator[Reason]:
    conditions = run.conditions
    if abs(conditions.clock_step_ns) > CLOCK_STEP_NS:
        yield _suspect(
            "clock",
            f"the wall clock went {conditions.clock_step_ns / 1e6:+.0f} ms against the monotonic "
            "clock: it was set, or the machine slept",
        )
    waits = {
        "crawler": summary.waited_share,
        "server": summary.server.waited_share if summary.server is not None else None,
    }
    for who, share in waits.items():
        is_long = share is not None and share * summary.makespan_ns > WAITED_NS
        if share is not None and is_long and share > WAITED_SHARE:
            yield _suspect(
                "busy machine",
                f"the {who} waited for its CPU {share:.0%} of the time: something else ran there",
            )
    yield from of_the_host(conditions, summary.makespan_ns)


def of_the_host(conditions: Conditions, crawl_ns: int) -> Iterator[Reason]:
    """Whether a crawl of so long was made by a machine that has its CPUs to itself."""
    # Counted over the whole run, its process's start included: of a short crawl that is most.
    span_ns = max(conditions.span_ns, crawl_ns)
    stolen_ns = conditions.stolen_ns or 0
    if stolen_ns >= STOLEN_NS and stolen_ns > STOLEN_SHARE * span_ns:
        yield _suspect(
            "busy machine",
            "the host of this machine took CPU time from it: "
            f"{stolen_ns / span_ns:.0%} of the run's time",
        )


def _of_the_plan(run: RunRow, summary: RunSummary) -> Iterator[Reason]:
    if not summary.ideal_ns:
        return
    if run.slots > 1 and run.requests % run.slots:
        yield _note(
            "last wave",
            f"{run.requests} requests are no multiple of {run.slots}: the last wave is not full, "
            "as the ideal makespan takes into account",
        )
    elif run.requests < WAVES * run.slots:
        yield _note(
            "few waves",
            f"{run.requests // run.slots} full waves: opening the connections weighs more than in "
            f"{WAVES} or more",
        )


def _stall_limit_ns(summary: RunSummary) -> float:
    return max(STALL_NS, STALL_SHARE * summary.makespan_ns)


def _counts(counts: dict[str, int] | dict[str, int | None]) -> str:
    return ", ".join(f"{word} {count}" for word, count in counts.items())

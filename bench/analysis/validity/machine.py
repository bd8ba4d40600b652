"""Checks of what lies between the ends, and below them: kernel, clocks, CPUs. Pure."""

from collections.abc import Iterator

from bench.analysis.clocks import format_bound
from bench.analysis.validity.verdict import Check, Evidence, Reason, format_counts, note, suspect
from bench.results.conditions import Conditions
from bench.wording import format_count, format_percent

CLOCK_STEP_NS = 50_000_000
WAITED_SHARE = 0.05
WAITED_NS = 5_000_000
STOLEN_SHARE = 0.03
STOLEN_NS = 20_000_000
"""Two ticks of its clock at the least: one falls where it falls."""
TIME_WAIT = 14_000
"""Half of the ports that Linux gives out, 28 232 by default: a run may need as many again."""
CLUSTER_SHARE = 0.05
CLUSTER_LEAST = 10
CLUSTER_CPU_SHARE = 0.50
CLOCKS_SHOWN = 3
UNKNOWN_SHARE = 0.05
"""Share of the makespan by which clocks may be off together, as other checks have for a share of
the time."""


def _backlog(evidence: Evidence) -> Iterator[Reason]:
    """The kernel holds no connection up."""
    conditions, clusters = evidence.run.conditions, evidence.summary.clusters
    counters = {
        "listen queue overflows": conditions.listen_overflows,
        "listen drops": conditions.listen_drops,
        "SYNs sent again": conditions.syn_retransmits,
    }
    seen = {name: count for name, count in counters.items() if count}
    if seen:
        yield suspect("backlog", f"connections were held up by the kernel: {format_counts(seen)}")
    if clusters is not None and clusters.around_1_s:
        yield suspect(
            "backlog",
            f"{clusters.around_1_s} requests took about a second more than planned, as after a SYN "
            "that was dropped",
        )


def _delayed_ack(evidence: Evidence) -> Iterator[Reason]:
    """No request waits for an acknowledgement."""
    summary = evidence.summary
    clusters = summary.clusters
    if (
        clusters is not None
        and clusters.around_40_ms >= max(CLUSTER_LEAST, CLUSTER_SHARE * summary.good)
        and summary.cpu_share < CLUSTER_CPU_SHARE
    ):
        yield suspect(
            "delayed ACK",
            f"{clusters.around_40_ms} requests were 40 ms longer on the way, the client idle: "
            "Nagle's algorithm and a delayed ACK (send a request in one piece, or set TCP_NODELAY)",
        )


def _ports(evidence: Evidence) -> Iterator[Reason]:
    """There are enough ports for the connections of a run."""
    in_time_wait = evidence.run.conditions.time_wait_before
    if in_time_wait is not None and in_time_wait > TIME_WAIT:
        yield note(
            "ports",
            f"{in_time_wait} sockets were in TIME_WAIT before the run: ports may run out",
        )


def _clock(evidence: Evidence) -> Iterator[Reason]:
    """The clocks of the machine go on at the same pace."""
    step_ns = evidence.run.conditions.clock_step_ns
    if abs(step_ns) > CLOCK_STEP_NS:
        yield suspect(
            "clock",
            f"the wall clock went {step_ns / 1e6:+.0f} ms against the monotonic clock: it was set, "
            "or the machine slept",
        )


def _own_cpus(evidence: Evidence) -> Iterator[Reason]:
    """Each end has its CPU to itself."""
    summary = evidence.summary
    waits = {
        "crawler": summary.waited_share,
        "server": summary.server.waited_share if summary.server is not None else None,
    }
    for who, share in waits.items():
        is_long = share is not None and share * summary.makespan_ns > WAITED_NS
        if share is not None and is_long and share > WAITED_SHARE:
            yield suspect(
                "busy machine",
                f"the {who} waited for its CPU {format_percent(share)} of the time: "
                f"{_what_ran(evidence, who)}",
            )


def _what_ran(evidence: Evidence, who: str) -> str:
    """Return which of the measured processes share a CPU, or else that something else ran there.

    It follows from how bench.measure.pinning gives the CPUs out: one to each process of the server
    as long as one is left, and the others to the crawler. Where these are too few for its
    processes, they have all.
    """
    run, cpus = evidence.run, evidence.cpus
    if who == "crawler" and evidence.summary.clocks:
        return "something else ran there"  # on other machines, whose CPUs are not known
    servers = run.conditions.server_processes
    of_server = min(servers, max(1, cpus - 1)) if cpus else servers
    if cpus and run.processes > 1 and run.cores + of_server > cpus and not evidence.summary.clocks:
        every = format_count(cpus, "CPU")
        if who == "crawler":
            return f"its {run.processes} processes and the server share {every}"
        return f"it shares {every} with the {run.processes} processes of the crawler"
    if who == "crawler" and run.cores < run.processes:
        return f"its {run.processes} processes share {format_count(run.cores, 'CPU')}"
    if who == "server" and of_server < servers:
        return f"its {servers} processes share {format_count(of_server, 'CPU')}"
    if cpus == 1:
        return f"the crawler and the server share {format_count(cpus, 'CPU')}"
    return "something else ran there"


def _other_clocks(evidence: Evidence) -> Iterator[Reason]:
    """Times of other machines are compared with the server's as far as their clocks allow."""
    clocks = evidence.summary.clocks
    if clocks:
        shown = "; ".join(map(str, clocks[:CLOCKS_SHOWN]))
        bound = format_bound(evidence.summary.clock_bound_ns)
        more = len(clocks) - CLOCKS_SHOWN
        yield note(
            "clocks",
            f"clock offsets of other machines, which were added to their times: {shown}"
            + (f"; and {more} more" if more > 0 else "")
            + f". Comparisons of both ends allow for {bound}",
        )


def _known_clocks(evidence: Evidence) -> Iterator[Reason]:
    """The clocks of several machines are known well enough for a makespan."""
    summary = evidence.summary
    # The first start may be on one clock, and the last end on another.
    share = 2 * summary.clock_bound_ns / max(1, summary.makespan_ns)
    if evidence.run.processes > 1 and share > UNKNOWN_SHARE:
        yield suspect(
            "clock",
            f"the clocks of other machines are known to {format_bound(summary.clock_bound_ns)} "
            f"each, and twice that is {format_percent(share)} of the makespan: make more requests",
        )


def _steady_clocks(evidence: Evidence) -> Iterator[Reason]:
    """The clocks of other machines drift, and do not jump."""
    stepped = [clock for clock in evidence.summary.clocks if clock.step_ns]
    if stepped:
        worst = max(stepped, key=lambda clock: abs(clock.step_ns))
        yield suspect(
            "clock",
            f"the clock of {worst.machine} went {-worst.step_ns / 1e6:+,.3f} ms against the "
            "server's during the run, which is no drift: that machine, or the server's, slept or "
            "was stopped, and times of its fetches are wrong by up to as much",
        )


def _host(evidence: Evidence) -> Iterator[Reason]:
    """The host of the machine takes no CPU time from it."""
    return of_the_host(evidence.run.conditions, evidence.summary.makespan_ns)


def of_the_host(conditions: Conditions, crawl_ns: int) -> Iterator[Reason]:
    """Whether a machine that made a crawl of so long had its CPUs to itself."""
    # Counted over the whole run, its process's start included: of a short crawl that is most.
    span_ns = max(conditions.span_ns, crawl_ns)
    stolen_ns = conditions.stolen_ns or 0
    if stolen_ns >= STOLEN_NS and stolen_ns > STOLEN_SHARE * span_ns:
        yield suspect(
            "busy machine",
            "the host of this machine took CPU time from it: "
            f"{format_percent(stolen_ns / span_ns)} of the run's time",
        )


CHECKS: tuple[Check, ...] = (
    _backlog,
    _delayed_ack,
    _ports,
    _clock,
    _own_cpus,
    _host,
    _other_clocks,
    _known_clocks,
    _steady_clocks,
)

"""Checks of the crawler: whether it used what it was given, and all of it was counted. Pure."""

from collections.abc import Iterator

from bench.analysis.shares import slots_of
from bench.analysis.validity.stall import STALL_NS, stall_limit_ns
from bench.analysis.validity.verdict import Check, Evidence, Reason, note, suspect
from bench.results.schema import SPARE_DESCRIPTORS
from bench.wording import format_percent

OUTSIDE_SHARE = 0.05
UNWAITED_NS = 50_000_000
"""CPU time of starting a Python that does nothing."""
UNWAITED_SHARE = 0.05
"""Share of the crawler's CPU time that may be used by processes that it does not wait for."""
GC_SHARE = 0.01
GC_PAUSE_NS = 5_000_000
UNUSED_LEAST = 5
UNUSED_SHARE = 0.05
"""Connections without a request, as a share of the slots. A library may open one too many."""


def _kept_connections(evidence: Evidence) -> Iterator[Reason]:
    """It keeps its connections, if it is declared to."""
    run, summary = evidence.run, evidence.summary
    if (
        run.keep_alive
        and summary.connections is not None
        and summary.connections > summary.most_slots + sum(summary.errors.values())
    ):
        yield suspect(
            "connections",
            f"{summary.connections} connections for {summary.most_slots} slots, by a crawler that "
            "is declared to keep them",
        )


def _unused_connections(evidence: Evidence) -> Iterator[Reason]:
    """Every connection carries a request."""
    run, summary = evidence.run, evidence.summary
    if summary.connections is None:
        return
    unused = (run.conditions.accepted or 0) - summary.connections
    most_unused = max(UNUSED_LEAST, UNUSED_SHARE * summary.most_slots) + sum(
        summary.errors.values()
    )
    if unused > most_unused:
        yield suspect(
            "connections",
            f"{unused} connections besides the {summary.connections} of the run carried no whole "
            "request of it: opening them, and what was sent on them, is in no number",
        )


def _descriptors(evidence: Evidence) -> Iterator[Reason]:
    """It may open as many files as it has slots."""
    run = evidence.run
    needed = slots_of(run, 0) + SPARE_DESCRIPTORS
    if run.usage is not None and run.usage.descriptors is not None:
        if run.usage.descriptors >= needed:
            return
        yield suspect(
            "descriptors",
            f"the crawler may open {run.usage.descriptors} files, and needs {needed}: raise the "
            "limit (ulimit -n)",
        )


def _stalls(evidence: Evidence) -> Iterator[Reason]:
    """It never stands still with something to do."""
    summary = evidence.summary
    limit_ns = stall_limit_ns(summary)
    stall = summary.client_stall
    if stall is not None and stall.span_ns > limit_ns + summary.clock_bound_ns:
        yield suspect(
            "stall",
            f"the crawler stood still for {stall.span_ns / 1e9:.2f} s with answers at hand",
        )
    idle = summary.idle_stall
    if idle.span_ns > limit_ns:
        yield suspect(
            "stall",
            f"the crawler started nothing for {idle.span_ns / 1e9:.2f} s, with a free slot and "
            "jobs left",
        )


def _outside(evidence: Evidence) -> Iterator[Reason]:
    """It does nothing before its first start and after its last end."""
    summary = evidence.summary
    if summary.outside_ns > max(STALL_NS, OUTSIDE_SHARE * summary.makespan_ns):
        yield suspect(
            "outside",
            f"the crawler worked or slept for {summary.outside_ns / 1e9:.2f} s before its first "
            "start and after its last end, which no number counts",
        )


def _other_processes(evidence: Evidence) -> Iterator[Reason]:
    """It waits for the processes that it starts, so that all they use is counted."""
    usage = evidence.run.usage
    if usage is None:
        return
    unwaited_ns = usage.unwaited_cpu_ns
    # Where the system knows of a thread, it knows of processes.
    if unwaited_ns is None and usage.main_cpu_ns is not None:
        yield suspect(
            "other processes",
            "the crawler ignores SIGCHLD, so that the system does not count what processes that it "
            "starts use: its CPU time may be more",
        )
    if unwaited_ns is not None and unwaited_ns > max(UNWAITED_NS, UNWAITED_SHARE * usage.cpu_ns):
        yield suspect(
            "other processes",
            f"processes that the crawler started and did not wait for used {unwaited_ns / 1e9:.2f} "
            "s of CPU: that is in its CPU time, but what they use later is in no number, nor is "
            "their memory",
        )


def _gc(evidence: Evidence) -> Iterator[Reason]:
    """The garbage collector hardly pauses it."""
    summary = evidence.summary
    if summary.gc_share > GC_SHARE or summary.gc_longest_ns > GC_PAUSE_NS:
        yield note(
            "gc",
            f"the garbage collector paused the crawler for {format_percent(summary.gc_share, 1)} "
            "of the time, "
            f"{summary.gc_longest_ns / 1e6:.1f} ms at the longest",
        )


def _gil(evidence: Evidence) -> Iterator[Reason]:
    """A build that can do without the GIL does."""
    runtime = evidence.summary.runtime
    if runtime is not None and runtime.is_gil_forced:
        yield note(
            "GIL",
            f"the GIL was on in a free-threaded build ({runtime.implementation} "
            f"{runtime.version}): a module that it loaded is not made for running without it, or "
            "PYTHON_GIL=1 is set",
        )


CHECKS: tuple[Check, ...] = (
    _kept_connections,
    _unused_connections,
    _descriptors,
    _stalls,
    _outside,
    _other_processes,
    _gc,
    _gil,
)

"""Checks of the records of a run: whether both ends agree, and whether they can be true. Pure."""

import re
from collections.abc import Iterator

from bench.analysis.summary import RunSummary
from bench.analysis.validity.verdict import (
    Check,
    Evidence,
    Reason,
    format_counts,
    invalid,
    note,
    suspect,
    unchecked,
)
from bench.wording import format_percent
from crawlers.registry import RESEND_CONDITIONS

ORDER_SHARE = 0.001
"""Share of requests that may be out of order, or beyond the crawler's own limit (or two, if that is
more), because a thread may be stopped between taking a job and reading its clock."""


def _whole_ledger(evidence: Evidence) -> Iterator[Reason]:
    """There is a ledger, and it had room for the whole run."""
    run, summary = evidence.run, evidence.summary
    if run.unrecorded:
        yield invalid(
            "ledger",
            f"the server had no room for {run.unrecorded} requests in its ledger: what the crawler "
            "says cannot be checked",
        )
    elif summary.reconciliation is None:
        yield unchecked(
            "no ledger",
            "there is no ledger of what reached the server: only the crawler's own account was "
            "checked",
        )


def _reconciliation(evidence: Evidence) -> Iterator[Reason]:
    """Every request is accounted for at both ends."""
    found = evidence.summary.reconciliation
    if found is None:
        return
    for mismatch in found.unexplained:
        yield invalid("ledger", f"ledger: {mismatch}")
    if found.resent:
        yield note("resent", f"{found.resent} requests were sent again by the library")


def _failures(evidence: Evidence) -> Iterator[Reason]:
    """No request failed."""
    run, summary = evidence.run, evidence.summary
    failures = {word: count for word, count in summary.errors.items() if word != "never arrived"}
    planned = summary.planned_failures
    if not summary.good:
        yield invalid("failures", f"not one request was good: {_format_outcomes(summary)}")
    elif planned and sum(failures.values()) == planned:
        yield note("failures", f"{planned} requests failed as planned: {format_counts(failures)}")
    elif failures:
        yield suspect(
            "failures",
            f"{sum(failures.values())} of {run.requests} requests failed: "
            f"{format_counts(failures)}" + (f"; {planned} of them as planned" if planned else ""),
        )


def _counted(evidence: Evidence) -> Iterator[Reason]:
    """Some requests begin after the warm-up."""
    if not evidence.summary.counted:
        yield invalid(
            "warm-up",
            f"all requests began in the warm-up of {evidence.run.load.warm_up_s:g} s, so that none "
            "counts",
        )


def _refusals(evidence: Evidence) -> Iterator[Reason]:
    """Refusals by the limits of the service are as planned, and they are reported."""
    summary = evidence.summary
    if summary.refused:
        counts = format_counts(
            {f"status {status}": count for status, count in summary.refused_by_status.items()}
        )
        share = format_percent(summary.refused / summary.requests, 1)
        yield note("refused", f"the service refused {share} of the requests, as planned: {counts}")


def _format_outcomes(summary: RunSummary) -> str:
    refused = {"refused": summary.refused} if summary.refused else {}
    return format_counts({**refused, **summary.errors})


def _nothing_beside(evidence: Evidence) -> Iterator[Reason]:
    """The server got no requests but those of the run."""
    beside = evidence.run.conditions.beside
    if beside:
        yield suspect(
            "ledger",
            f"{beside} requests reached the server beside those of the run: by the crawler, or "
            "somebody else",
        )


def _order(evidence: Evidence) -> Iterator[Reason]:
    """Jobs are started in their order."""
    run, summary = evidence.run, evidence.summary
    if summary.out_of_order > max(2, ORDER_SHARE * run.requests):
        places = f"{run.slots} places" if run.processes == 1 else "the slots of their process"
        yield suspect(
            "order",
            f"{summary.out_of_order} of {run.requests} requests were started more than {places} "
            "away from their place in the order of the jobs: the ideal makespan is that of "
            "another order",
        )


def _overtime(evidence: Evidence) -> Iterator[Reason]:
    """No good request took longer than the time limit."""
    run, summary = evidence.run, evidence.summary
    if summary.overtime:
        yield invalid(
            "overtime",
            f"{summary.overtime} requests took longer than the limit of "
            f"{run.timeout_ns / 1e9:g} s, and are recorded as good",
        )


def _method(evidence: Evidence) -> Iterator[Reason]:
    """The crawler asks with GET, or with the method by which its work is to be saved."""
    head, work = evidence.run.request_head, evidence.run.work
    asked = work.method if work is not None else "GET" if evidence.run.body is None else "POST"
    if head and not head.startswith(f"{asked} ".encode("ascii")):
        method = head.split(b" ")[0][:20].decode("ascii", "replace")
        yield invalid("ledger", f"it asks with {method!r}, and not with {asked}")


def _body(evidence: Evidence) -> Iterator[Reason]:
    """The first request has the body that was planned, if it says how long it is."""
    run = evidence.run
    head = (run.request_head or b"").lower()
    seq = re.search(rb"[?&]seq=(\d{1,8})\b", head.partition(b"\r\n")[0])
    length = re.search(rb"\r\ncontent-length:[ \t]*(\d{1,15})[ \t]*\r\n", head)
    if run.body is None or seq is None or int(seq[1]) >= run.requests or b"\r\ntransfer-" in head:
        return
    planned, sent = run.body_bytes(int(seq[1]) + 1)[-1], int(length[1]) if length else 0
    if sent != planned:
        yield invalid(
            "ledger",
            f"the body of seq {int(seq[1])} has {sent:,} bytes, and not the planned {planned:,}",
        )


def _overrun(evidence: Evidence) -> Iterator[Reason]:
    """There are never more requests at a time than asked for."""
    run, summary = evidence.run, evidence.summary
    if run.conditions.queues:  # its clocks run while its requests wait, so that the server decides
        at_server = summary.in_flight.peak if summary.in_flight is not None else 0
        if at_server > run.slots:
            yield invalid(
                "overrun",
                f"{at_server} requests at a time at the server, and {run.slots} were asked for",
            )
    elif summary.client_peak > run.slots:
        yield invalid(
            "overrun",
            f"by its own account {summary.client_peak} requests at a time, and {run.slots} were "
            "asked for: it starts clocks before it holds a slot, or exceeds the concurrency",
        )
    over = summary.overrun
    if over is not None:
        yield invalid(
            "overrun",
            f"process {over.process + 1} of {run.processes} had {over.peak} requests at a time, "
            f"and its share of the {run.slots} asked for is {over.slots}",
        )


def _own_limit(evidence: Evidence) -> Iterator[Reason]:
    """A crawler that adapts tells its limit, and keeps it."""
    run, summary = evidence.run, evidence.summary
    if not run.conditions.adapts:
        return
    beyond = summary.beyond_limit
    if beyond is None:
        yield suspect(
            "own limit",
            "the crawler is declared to choose itself how many are in flight, and recorded no "
            f"limit: it is judged by the {run.slots} asked for",
        )
    elif beyond > max(2, ORDER_SHARE * run.requests):
        yield invalid(
            "own limit",
            f"{beyond} of {run.requests} requests were started with more in flight than the limit "
            "that the crawler itself recorded for that time",
        )


def _queueing(evidence: Evidence) -> Iterator[Reason]:
    """No clock runs while a request waits inside the crawler."""
    if not evidence.run.conditions.queues:
        return
    mean_ns = evidence.summary.queued_mean_ns
    known = f": {mean_ns / 1e6:,.1f} ms in the mean" if mean_ns is not None else ""
    yield note(
        "queueing",
        "as declared, its clocks run while its requests wait for a connection, so that its "
        f"latencies hold that wait{known}; its time limit begins after it",
    )


def _unseen_resends(evidence: Evidence) -> Iterator[Reason]:
    """A library that may send again has a ledger that counts it."""
    run = evidence.run
    if run.resends and run.unrecorded is None:
        yield note(
            "resent",
            "the crawler's library may send a request again, and without a ledger nobody counts "
            f"that; it declares {run.resends} for each request at most, if "
            f"{RESEND_CONDITIONS.get(run.conditions.resend_condition, 'a connection dropped')}",
        )


def _possible(evidence: Evidence) -> Iterator[Reason]:
    """The records obey physics and the plan."""
    run, summary = evidence.run, evidence.summary
    for one in summary.impossible:
        yield invalid(
            "impossible", f"{one.count} of {run.requests} requests {one.what} (seq {one.seq})"
        )
    if summary.early_ns is not None:
        yield invalid(
            "impossible",
            f"requests started up to {summary.early_ns / 1e6:,.3f} ms before they were due",
        )
    for beyond_ns, what in (
        (summary.beyond_slots_ns, f"its own requests allow on {run.slots} slots"),
        (summary.beyond_service_ns, "the service allows for what arrived"),
    ):
        if beyond_ns is not None:
            yield invalid("impossible", f"{beyond_ns / 1e6:,.3f} ms faster than {what}")
    # Of a makespan, the start and the end may each be off by the bound of a clock.
    ahead_ns = ((summary.efficiency or 0) - 1) * summary.makespan_ns
    if summary.is_bound and ahead_ns > 2 * summary.clock_bound_ns:
        yield invalid(
            "impossible",
            f"faster than {run.slots} slots can wait for these delays: in "
            f"{summary.makespan_ns / 1e9:.3f} s instead of {summary.ideal_ns / 1e9:.3f} s",
        )


CHECKS: tuple[Check, ...] = (
    _whole_ledger,
    _reconciliation,
    _failures,
    _refusals,
    _counted,
    _nothing_beside,
    _order,
    _overtime,
    _method,
    _body,
    _overrun,
    _own_limit,
    _queueing,
    _unseen_resends,
    _possible,
)

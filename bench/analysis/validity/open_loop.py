"""Checks of an open loop: whether requests were sent when they were due. Pure."""

from collections.abc import Iterator

from bench.analysis.validity.verdict import Check, Evidence, Reason, note, suspect

LEAST_LAG_NS = 3_000_000
LAG_SHARE = 0.05
"""The client sends late if the p99 of its lag is over 3 ms, or over this share of the median
response time if that is longer."""


def _sent_late(evidence: Evidence) -> Iterator[Reason]:
    """The client sends each request when it is due and a slot is free."""
    summary = evidence.summary
    lag_ns, response_ns = summary.client_lag_p99_ns, summary.response_p50_ns
    if lag_ns is None:
        return
    # Of several machines, each has the schedule as exactly as its clock is known.
    most_ns = max(LEAST_LAG_NS, LAG_SHARE * (response_ns or 0)) + 2 * summary.clock_bound_ns
    if lag_ns > most_ns:
        yield suspect(
            "sent late",
            f"the client sent late: 1 % of the requests started {lag_ns / 1e6:,.1f} ms or more "
            f"after they were due, with a slot free; at most {most_ns / 1e6:,.1f} ms are accepted",
        )
    # By the ledger, too: a crawler that records the due instant as the start shows no lag.
    split = summary.split
    if split is None or evidence.run.conditions.queues or lag_ns > most_ns:
        return
    sent_ns = split.to_server.p50_ns
    if sent_ns > most_ns:
        yield suspect(
            "sent late",
            f"sent late: half of the requests reached the server {sent_ns / 1e6:,.1f} ms or more "
            f"after they were recorded as started; more than {most_ns / 1e6:,.1f} ms is "
            "the client's doing",
        )


def _cap_reached(evidence: Evidence) -> Iterator[Reason]:
    """Requests do not wait for a slot, unless the ideal client has to wait, too."""
    run, summary = evidence.run, evidence.summary
    if not summary.waited_for_slot:
        return
    in_flight = f"{run.slots} requests were in flight, as many as are allowed"
    if run.processes > 1:
        in_flight = "as many requests were in flight as the share of a process allows"
    text = (
        f"{in_flight}; "
        f"{summary.waited_for_slot:,} that were due waited for a slot, which their response times "
        "include"
    )
    if summary.does_ideal_wait:
        yield note("cap reached", text)
    else:
        yield suspect("cap reached", text)


CHECKS: tuple[Check, ...] = (_sent_late, _cap_reached)

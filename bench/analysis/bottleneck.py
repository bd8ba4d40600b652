"""What limits the throughput of a run, in one word and with evidence. Pure."""

from dataclasses import dataclass

from bench.analysis.keeping_up import kept_up
from bench.analysis.limits import CAP_SLACK
from bench.analysis.slot_time import SlotTime
from bench.analysis.summary import RunSummary
from bench.analysis.validity import CLIENT_CPU_SHARE, Verdict
from bench.analysis.validity.verdict import format_busiest
from bench.wording import format_percent
from server.service import TOO_MANY_REQUESTS, UNAVAILABLE

NOT_KNOWN = "not known"
"""The word if there is no ledger, so that nothing can be said."""
_OWN = "its own limit"
_NEARLY_ALL = 0.95
REFUSED_SHARE = 0.05
"""If more requests are refused than this share, the refusals are the limit."""
_WAIT_SHARE = 0.25
"""In open loop, the capacity is the limit if half of the requests wait longer in its queue than
this share of their time in service."""
_BUSY_SHARE = 0.5
"""If the client's CPU is busy for more of the makespan than this, it is the limit, and not bursts
between which it is idle."""
_IDLE_SHARE = 0.25
"""Share of the makespan with an idle slot, jobs left and an idle client CPU, above which the
slots themselves are the limit."""


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """What limits a run: one word, and the numbers that show it."""

    word: str
    evidence: str


def bottleneck(summary: RunSummary, verdict: Verdict) -> Bottleneck:
    """Return what limits a run: a cause that a check found, or where most of the slots' time goes.

    docs/validity.md defines the words.
    """
    cpu = f"{_whose_cpu(summary)} is {format_percent(summary.cpu_share)} busy"
    if not summary.good:
        return Bottleneck("failures", "not one request was good")
    for check, word in (
        ("capped", "cap"),
        ("sent late", "client"),
        ("server-limited", "server"),
        ("busy machine", "machine"),
    ):
        if verdict.finds(check):
            return Bottleneck(word, _text(verdict, check))
    if summary.refused and summary.refused > REFUSED_SHARE * summary.requests:
        return _refusals(summary)
    if summary.cpu_share > CLIENT_CPU_SHARE:
        return Bottleneck("client CPU", cpu)
    if summary.offered_per_s is not None:
        return _in_open_loop(summary, summary.offered_per_s, cpu)
    slot_time = summary.slot_time
    if _are_slots_idle(summary):
        return Bottleneck(
            "idle slots",
            f"for {format_percent(summary.idle_slots.share)} of their time slots have no request "
            f"although jobs are left, and {cpu}: the client pauses between requests, or limits "
            "its own rate",
        )
    own = _own_limit(summary)
    if slot_time is None:
        if own:
            return Bottleneck(_OWN, f"{own}; {cpu}")
        return Bottleneck(NOT_KNOWN, f"there is no ledger; {cpu}")
    in_service = slot_time.delay + slot_time.service_wait + slot_time.unavoidable
    if slot_time.service_wait > max(1 - _NEARLY_ALL, 1 - in_service):
        return Bottleneck(
            "capacity",
            f"for {format_percent(slot_time.service_wait)} of the slots' time requests wait in the "
            f"service's queue for a place; {cpu}",
        )
    if slot_time.added > 1 - _NEARLY_ALL and slot_time.added > 1 - in_service:
        return Bottleneck(
            "service",
            f"for {format_percent(slot_time.added)} of the slots' time requests take longer than "
            f"the delay that they ask for, because the service slows down or stands still; {cpu}",
        )
    if in_service >= _NEARLY_ALL:
        delay = f"{format_percent(slot_time.delay)} of the slots' time is the delay itself; {cpu}"
        return Bottleneck(_OWN, f"{own}; {delay}") if own else Bottleneck("delay", delay)
    return _largest_loss(summary, slot_time, cpu)


def _whose_cpu(summary: RunSummary) -> str:
    if summary.processes == 1:
        return "the client's CPU"
    return f"the CPU of {format_busiest(summary)}"


def _own_limit(summary: RunSummary) -> str:
    """Return how much less than it may a crawler that adapts allowed itself; "" if it did not."""
    mean = summary.limit_mean
    if mean is None or mean > min(CAP_SLACK * summary.slots, summary.slots - 1):
        return ""
    return f"the crawler allowed itself {mean:,.0f} at a time on average, of {summary.slots:,}"


def _refusals(summary: RunSummary) -> Bottleneck:
    limited = summary.refused_by_status.get(TOO_MANY_REQUESTS, 0)
    unavailable = summary.refused_by_status.get(UNAVAILABLE, 0)
    share = format_percent((summary.refused or 0) / summary.requests)
    if limited >= unavailable:
        return Bottleneck("rate limit", f"the service refused {share} of the requests with 429")
    return Bottleneck("full queue", f"the service refused {share} of the requests with 503")


def _in_open_loop(summary: RunSummary, offered_per_s: float, cpu: str) -> Bottleneck:
    """Return what limits a run in open loop, where the rate is given and slots may be idle."""
    rates = f"{summary.requests_per_s:,.1f} of {offered_per_s:,.1f} requests/s"
    split = summary.split
    waited_ns = 0 if split is None else split.service_wait.p50_ns
    in_service_ns = 0 if split is None else split.delay.p50_ns
    if waited_ns > _WAIT_SHARE * in_service_ns:
        return Bottleneck(
            "capacity",
            f"half of the requests wait {waited_ns / 1e6:,.0f} ms or longer in the service's "
            f"queue; it answers {rates}",
        )
    longest_ns = 0 if split is None else split.service_wait.p99_ns or 0
    if not kept_up(summary) and longest_ns > in_service_ns:
        return Bottleneck(
            "capacity",
            f"1 % of the requests wait {longest_ns / 1e6:,.0f} ms or longer in its queue; "
            f"the service answers {rates}",
        )
    if not kept_up(summary) and summary.does_ideal_wait:
        return Bottleneck("cap", f"requests wait for a free slot; answered: {rates}")
    return Bottleneck("offered rate", f"{rates} are answered; {cpu}")


def _are_slots_idle(summary: RunSummary) -> bool:
    """Return whether most time is lost by slots that the client could use and does not.

    A client whose CPU is busy, or taken by another process, also starts its next jobs late. Only
    idle time beyond that is a pause of the client's.
    """
    idle, slot_time = summary.idle_slots, summary.slot_time
    most = 1 - _NEARLY_ALL
    if slot_time is not None:
        most = max(most, slot_time.opening, slot_time.late, slot_time.under_way)
    busy = summary.cpu_share + (summary.waited_share or 0.0)
    return idle.share > most and idle.time_share - busy > _IDLE_SHARE


def _largest_loss(summary: RunSummary, slot_time: SlotTime, cpu: str) -> Bottleneck:
    """Return the limit by the largest part of the slots' time that is not the delay.

    The client's CPU can be the limit without being busy all the time: answers arrive in waves, and
    each waits until the answers before it are handled, at most for the CPU time of C requests. If
    more time is lost than that, the CPU does not explain it.
    """
    client = slot_time.under_way + slot_time.idle
    if slot_time.opening >= max(client, slot_time.late):
        lost = (
            f"{format_percent(slot_time.opening)} of the slots' time goes into opening connections"
        )
        return Bottleneck("connections", f"{lost}; {cpu}")
    if slot_time.late >= client:
        lost = f"{format_percent(slot_time.late)} of the slots' time is the server's lateness"
        return Bottleneck("server", f"{lost}; {cpu}")
    slots = summary.mean_slots
    # Each process has its own CPU, for its share of the answers.
    at_once = -(-min(summary.most_slots, summary.requests) // summary.processes)
    lost_us = client * slots * summary.makespan_ns / summary.requests / 1e3
    burst_us = at_once * summary.cpu_us_per_request
    lost = f"{format_percent(client)} of the slots' time is spent between client and server"
    if lost_us <= burst_us and at_once > 1:
        queued = (
            f"{lost}: {at_once} answers can arrive at once and queue for {_whose_cpu(summary)} "
            f"({burst_us / 1e3:.1f} ms for all of them), which is"
        )
        busy = f"{format_percent(summary.cpu_share)} busy"
        if summary.cpu_share > _BUSY_SHARE:
            return Bottleneck("client CPU", f"{queued} {busy}")
        return Bottleneck("bursts", f"{queued} idle in between ({busy})")
    if lost_us <= burst_us:
        return Bottleneck(
            "client CPU", f"{lost}: a request costs the client {burst_us / 1e3:.1f} ms of CPU"
        )
    return Bottleneck(
        "round trip",
        f"{lost}, more than the client's CPU explains ({format_percent(summary.cpu_share)} busy): "
        "kernel, network, the server's queue, or waiting in the client",
    )


def _text(verdict: Verdict, check: str) -> str:
    return next(reason.text for reason in verdict.reasons if reason.check == check)

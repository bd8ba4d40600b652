"""Computes the numbers of a run from the records of both ends. Pure.

bench.analysis.validity decides whether they can be believed.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from operator import gt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.analysis.abandoned import Abandoned
from bench.analysis.accounts import Accounts
from bench.analysis.anomalies import Clusters, Impossible, impossible, out_of_order, untrue_answers
from bench.analysis.bounds import faster_than_service, faster_than_slots, started_early
from bench.analysis.client_use import client_use
from bench.analysis.clocks import MachineClock, clocks_of
from bench.analysis.good import GoodRequests
from bench.analysis.in_flight import InFlight, Levels, Plateau, steady_plateau
from bench.analysis.join import Join
from bench.analysis.limits import NO_LIMITS, Limits
from bench.analysis.quantiles import quantile, tail_quantile
from bench.analysis.reconciliation import Reconciliation
from bench.analysis.response import DueTimes
from bench.analysis.server_load import ServerLoad, connections_of_processes, server_use
from bench.analysis.shares import Overrun, Share, overrun_of, shares_of
from bench.analysis.slot_time import SlotTime
from bench.analysis.split import Split, SplitSummary
from bench.analysis.stalls import (
    IdleSlots,
    IdleSpans,
    Stall,
    client_stall,
    idle_slots,
    idle_stall,
    longest_stall,
)
from bench.analysis.window import Window
from bench.plan.ideal import is_bound, simulate
from bench.plan.ideal import makespan_ns as ideal_makespan_ns
from bench.results.columns import IntColumns
from bench.results.schema import RunRow
from crawlers.contract import DUE_AFTER_S
from crawlers.runtime import Runtime
from server.ledger import ANSWERED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BEFORE_FIRST_DUE_NS = round(DUE_AFTER_S * 1e9)
_SHORT_WAIT_NS = 3_000_000
_SLACK_NS = 100_000_000
"""Allowance for a client that is busy when the time limit passes."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """The numbers of one run. Shares are from 0 to 1. None means that a number is not known."""

    requests: int
    slots: int
    processes: int
    """Number of crawler processes that shared the run."""
    runtime: Runtime | None
    """What they ran on: of the first that has the GIL although it could do without, or else of the
    first. None for results older than schema 9."""
    clocks: tuple[MachineClock, ...]
    """The clocks of other machines. Times of both ends are compared with their largest bound as the
    tolerance."""
    limit_mean: float | None
    """Mean over the makespan, and peak, of the limit that the crawler chose itself. None, like
    `beyond_limit`, unless it is declared to adapt and recorded a limit."""
    limit_peak: int | None
    beyond_limit: int | None
    """Number of requests that were started although that made them more than that limit."""
    good: int
    """Number of good requests: whole bodies with the planned status and size, known to the server.
    Only these count as throughput."""
    errors: dict[str, int]
    """Number of errors by kind: one of ERROR_WORDS, `status N`, `size`, `missing` (a job without a
    record), `repeated` (a further record of a job) or `never arrived` (at the server)."""
    counted: int
    """Number of requests that began, or were due, after the warm-up."""
    makespan_ns: int
    """From the first start, or the first due instant, to the last end."""
    requests_per_s: float
    """Good requests per second, of the time that counts."""
    ideal_ns: int
    is_bound: bool
    """Whether no client can be faster than the ideal one, so that an efficiency above 1 is
    impossible. With a limited service, an honest client may finish sooner in another order."""
    efficiency: float | None
    """Ideal / measured makespan; None if no delay was planned, or not all requests are good."""
    p50_ns: int | None
    p90_ns: int | None
    p99_ns: int | None
    """p50, p90 and p99 of the service time of good requests; p99 needs 1000 requests."""
    refused: int | None
    """Number of requests that the service refused as planned; None without a ledger. They are no
    errors."""
    refused_by_status: dict[int, int]
    planned_failures: int
    """Number of errors that the service's share of faults planned."""
    abandoned: Abandoned | None
    """What the server did for requests that the client had given up; None without a ledger."""
    offered_per_s: float | None
    """Requests that were due per second. This and the following are None in closed loop."""
    response_p50_ns: int | None
    response_p90_ns: int | None
    response_p99_ns: int | None
    response_p999_ns: int | None
    """Quantiles of the time from the due instant to the last byte of good requests; p99 needs 1000
    requests, and p99.9 needs 10 000."""
    send_lag_p50_ns: int | None
    send_lag_p99_ns: int | None
    """Quantiles of the time from the due instant to the start, over all requests."""
    client_lag_p99_ns: int | None
    """The same, but only while a slot was free: the lag that is the client's."""
    waited_for_slot: int | None
    """Number of requests that were due for over 3 ms while no slot was free."""
    backlog_peak: int | None
    """The most requests that were due and not started."""
    does_ideal_wait: bool | None
    """Whether the ideal client, too, has to wait for a slot."""
    early_ns: int | None
    """By how much a request started before it was due, at most; None if none did."""
    split: SplitSummary | None
    """`split`, `slot_time`, `in_flight` and `connections` are None without a ledger."""
    slot_time: SlotTime | None
    in_flight: InFlight | None
    connections: int | None
    """Number of connections that the server saw."""
    connections_of_processes: tuple[int, ...] | None
    """The same of each server process."""
    cpu_us_per_request: float
    """CPU time of all its processes."""
    cpu_share: float
    """CPU time of the crawl, as a share of the CPUs that the crawler can use. This, `waited_share`
    and `gc_share` are those of the process for which they are the highest."""
    waited_share: float | None
    """Share of the crawl in which its only thread was ready to run while another process had the
    CPU; None if it is not known or the crawler uses several threads."""
    gc_share: float
    gc_longest_ns: int
    peak_memory_bytes: int
    server_cpu_us_per_request: float | None
    server: ServerLoad | None
    reconciliation: Reconciliation | None
    """Comparison of both ends' records; None without a ledger that has the whole run."""
    client_peak: int
    """Peak of requests in flight, by the client's own records."""
    overrun: Overrun | None
    """The process that exceeded its share of the slots the most; None if none did, or if there is
    only one."""
    client_plateau: Plateau | None
    """Plateau of requests in flight by the client's own records, from the first wave to the last
    start."""
    queued_share: float | None
    """Share of the time in which requests waited inside the client: by its own records more were in
    flight than it ever had connections or requests at the server, failed requests added. None
    without a ledger."""
    queued_mean_ns: int | None
    """Mean, p50 and p99 of the time from the start to the arrival of good requests, which is mostly
    their wait for a connection. None unless the crawler is declared to queue, or without a ledger;
    p99 needs 1000 requests."""
    queued_p50_ns: int | None
    queued_p99_ns: int | None
    impossible: tuple[Impossible, ...]
    beyond_slots_ns: int | None
    """By how much the run was faster than its own order of starts allows on its slots; None if it
    was not, or without a ledger."""
    beyond_service_ns: int | None
    """The same, of the server's own order of arrivals and the service."""
    client_stall: Stall | None
    idle_stall: Stall
    """The longest time in which the client had a free slot and jobs left, but started none."""
    idle_slots: IdleSlots
    clusters: Clusters | None
    out_of_order: int
    """Number of requests that started more than `slots` places away from their place by seq. In
    several processes, each has an order and slots of its own."""
    overtime: int
    """Number of good requests that took over 1.1 times the time limit, and 0.1 s longer than it. Of
    a crawler that is declared to queue, the time from the arrival counts; 0 without a ledger."""
    outside_ns: int
    """Time of the crawl before the first start and after the last end."""

    @property
    def clock_bound_ns(self) -> int:
        """By how much the times of fetches may be off the server's clock at most."""
        return max((clock.bound_ns for clock in self.clocks), default=0)

    @property
    def most_slots(self) -> int:
        """The slots, or the highest limit that the crawler chose itself."""
        return self.slots if self.limit_peak is None else self.limit_peak

    @property
    def mean_slots(self) -> float:
        """The slots, or the mean limit that the crawler chose itself."""
        return self.slots if self.limit_mean is None else self.limit_mean

    def to_json(self) -> dict[str, Any]:
        """Return all fields, by the names in the output of `export` and `crawl --json`."""
        return {_EXPORTED_AS.get(name, name): value for name, value in asdict(self).items()}


_EXPORTED_AS = {"reconciliation": "ledger"}
"""Fields with a different name in exports, which must not change for those who read them."""


@dataclass(frozen=True, slots=True)
class _FromLedger:
    """The fields of RunSummary that need a ledger with the whole run."""

    abandoned: Abandoned | None = None
    reconciliation: Reconciliation | None = None
    in_flight: InFlight | None = None
    connections: int | None = None
    connections_of_processes: tuple[int, ...] | None = None
    split: SplitSummary | None = None
    in_slots: Split | None = None
    """The part of each request's time that it spends in a slot."""
    queued_share: float | None = None
    queued_ns: "NDArray[np.int64] | None" = None
    """Sorted, for a crawler that queues and has good requests."""
    impossible: tuple[Impossible, ...] = ()
    beyond_slots_ns: int | None = None
    beyond_service_ns: int | None = None
    client_stall: Stall | None = None
    clusters: Clusters | None = None


def summarise(run: RunRow, accounts: Accounts) -> RunSummary | None:
    """Return the numbers of a run, or None if it failed or recorded nothing.

    For a crawl that was interrupted, only the requests that it had started count.
    """
    fetches, usage = accounts.fetches, run.usage
    if usage is None or not len(fetches["seq"]):
        return None
    if run.failure:
        run = replace(run, requests=_begun(run, accounts))
    shares = shares_of(run, accounts)
    clocks = clocks_of(accounts.processes)
    bound_ns = max((clock.bound_ns for clock in clocks), default=0)
    requests = GoodRequests.of(run, accounts)
    count, good = len(requests.is_good), int(requests.is_good.sum())
    limits = accounts.limits_of(run)
    due = DueTimes.of(run, fetches)
    first_ns, last_ns = int(fetches["start_ns"].min()), int(fetches["end_ns"].max())
    begin_ns = run.first_due_ns if due is not None else first_ns
    makespan_ns = last_ns - begin_ns
    mean_limit = limits.mean(begin_ns, begin_ns + max(1, makespan_ns))
    is_own = not limits.is_constant
    delays_us = _planned_delays_us(run, accounts)
    ideal = _ideal_of(run, delays_us, shares)
    is_as_planned = ideal.makespan_ns and makespan_ns and good == run.requests
    window = Window.of(
        run.load, fetches, due.due_ns if due is not None else None, begin_ns, last_ns
    )
    counted = requests.is_good & window.is_counted
    service_ns = np.sort((fetches["end_ns"] - fetches["start_ns"])[counted])
    levels = Levels.of(fetches["start_ns"], fetches["end_ns"])
    server = server_use(accounts.load, first_ns, last_ns)
    client = client_use(run, usage, accounts.processes)
    idle = _idle_spans(levels, limits, shares, due)
    join, seen = accounts.complete_join(run), _FromLedger()
    if join is not None:
        seen = _from_ledger(run, join, requests, shares, levels, limits, delays_us, bound_ns)
    slot_time = None
    if seen.in_slots is not None:
        # The schedule of an ideal client with the same limits is not known.
        ideal_ns = 0 if is_own else ideal.makespan_ns
        slot_time = SlotTime.of(seen.in_slots, mean_limit, makespan_ns, ideal_ns)
    return RunSummary(
        requests=count,
        slots=run.slots,
        processes=run.processes,
        runtime=_runtime(accounts),
        clocks=clocks,
        limit_mean=mean_limit if is_own else None,
        limit_peak=limits.peak if is_own else None,
        beyond_limit=limits.beyond(fetches["start_ns"], fetches["end_ns"]) if is_own else None,
        good=good,
        errors=requests.errors,
        counted=int(window.is_counted.sum()),
        makespan_ns=makespan_ns,
        requests_per_s=window.rate_per_s(fetches, requests.is_good),
        ideal_ns=ideal.makespan_ns,
        is_bound=ideal.is_bound,
        efficiency=ideal.makespan_ns / makespan_ns if is_as_planned else None,
        p50_ns=_quantile(service_ns, 0.5),
        p90_ns=_quantile(service_ns, 0.9),
        p99_ns=tail_quantile(service_ns, 0.99),
        refused=sum(requests.refused.values()) if join is not None else None,
        refused_by_status=requests.refused,
        planned_failures=requests.planned_failures,
        abandoned=seen.abandoned,
        **_of_responses(due, fetches, counted, window, ideal, bound_ns),
        split=seen.split,
        slot_time=slot_time,
        in_flight=seen.in_flight,
        connections=seen.connections,
        connections_of_processes=seen.connections_of_processes,
        cpu_us_per_request=usage.cpu_ns / count / 1e3,
        cpu_share=client.cpu_share,
        waited_share=client.waited_share,
        gc_share=client.gc_share,
        gc_longest_ns=usage.gc_longest_ns,
        peak_memory_bytes=usage.peak_memory_bytes,
        server_cpu_us_per_request=server.cpu_ns / count / 1e3 if server.cpu_ns else None,
        server=server.load,
        reconciliation=seen.reconciliation,
        client_peak=levels.peak,
        overrun=overrun_of(run, shares),
        client_plateau=steady_plateau(levels, fetches["start_ns"], limits),
        queued_share=seen.queued_share,
        queued_mean_ns=round(seen.queued_ns.mean()) if seen.queued_ns is not None else None,
        queued_p50_ns=quantile(seen.queued_ns, 0.5) if seen.queued_ns is not None else None,
        queued_p99_ns=tail_quantile(seen.queued_ns, 0.99) if seen.queued_ns is not None else None,
        impossible=seen.impossible,
        beyond_slots_ns=seen.beyond_slots_ns,
        beyond_service_ns=seen.beyond_service_ns,
        client_stall=seen.client_stall,
        idle_stall=idle_stall(idle),
        idle_slots=idle_slots(idle),
        clusters=seen.clusters,
        out_of_order=sum(out_of_order(one.accounts.fetches, one.slots) for one in shares),
        overtime=_overtime(_limited_ns(run, accounts, requests), run.timeout_ns),
        outside_ns=max(0, usage.wall_ns - makespan_ns - (_BEFORE_FIRST_DUE_NS if due else 0)),
    )


def _of_responses(
    due: DueTimes | None,
    fetches: IntColumns,
    counted: "NDArray[np.bool_]",
    window: Window,
    ideal: "_IdealOfRun",
    bound_ns: int,
) -> dict[str, Any]:
    """Return the fields of RunSummary that only an open loop has."""
    if due is None:
        return dict.fromkeys(_OPEN_LOOP_ONLY)
    response_ns = np.sort(due.response_ns[counted])
    lag_ns = np.sort(due.send_lag_ns[window.is_counted])
    client_lag_ns = np.sort(due.client_lag_ns[window.is_counted])
    return {
        "offered_per_s": due.offered_per_s(window.is_counted),
        "response_p50_ns": _quantile(response_ns, 0.5),
        "response_p90_ns": _quantile(response_ns, 0.9),
        "response_p99_ns": tail_quantile(response_ns, 0.99),
        "response_p999_ns": tail_quantile(response_ns, 0.999),
        "send_lag_p50_ns": _quantile(lag_ns, 0.5),
        "send_lag_p99_ns": _quantile(lag_ns, 0.99),
        "client_lag_p99_ns": _quantile(client_lag_ns, 0.99),
        "waited_for_slot": int((due.slot_wait_ns > _SHORT_WAIT_NS).sum()),
        "backlog_peak": max(0, Levels.of(due.due_ns, fetches["start_ns"]).peak),
        "does_ideal_wait": ideal.does_wait,
        "early_ns": started_early(fetches["start_ns"], due.due_ns, bound_ns),
    }


_OPEN_LOOP_ONLY = (
    "offered_per_s",
    "response_p50_ns",
    "response_p90_ns",
    "response_p99_ns",
    "response_p999_ns",
    "send_lag_p50_ns",
    "send_lag_p99_ns",
    "client_lag_p99_ns",
    "waited_for_slot",
    "backlog_peak",
    "does_ideal_wait",
    "early_ns",
)


def _quantile(ordered: "NDArray[np.int64]", q: float) -> int | None:
    return quantile(ordered, q) if len(ordered) else None


class _IdealOfRun(NamedTuple):
    makespan_ns: int
    is_bound: bool
    does_wait: bool = False


def _ideal_of(run: RunRow, delays_us: Sequence[int], shares: Sequence[Share]) -> _IdealOfRun:
    """Return how long the ideal client takes for the same requests at the same service."""
    if not delays_us or (run.service.refuses and not run.load.is_open):
        # The ideal client does not wait after a refusal, and burns its requests in no time.
        return _IdealOfRun(0, is_bound=False)
    if run.load.is_open:
        ideal = simulate(
            delays_us,
            run.service,
            slots=run.slots,
            due_after_ns=run.due_after_ns(),
            processes=run.processes,
        )
        does_wait = any(map(gt, ideal.start_ns, ideal.due_ns))
        return _IdealOfRun(ideal.makespan_ns, is_bound=False, does_wait=does_wait)
    if run.failure and run.service.is_plain:
        return _IdealOfRun(_ideal_of_fetched_ns(run, delays_us, shares), is_bound=True)
    ideal_ns = ideal_makespan_ns(delays_us, run.service, slots=run.slots, processes=run.processes)
    return _IdealOfRun(ideal_ns, is_bound(run.service, run.slots, is_open_loop=False))


def _ideal_of_fetched_ns(run: RunRow, delays_us: Sequence[int], shares: Sequence[Share]) -> int:
    """Return the ideal makespan of what each process of an interrupted run had fetched.

    Requests that were in flight are left out, as they are from the measured makespan.
    """
    planned_us = np.array(delays_us)
    makespans_ns = [0]
    for share in shares:
        seq = np.unique(share.accounts.fetches["seq"])
        fetched_us = planned_us[seq[(seq >= 0) & (seq < len(planned_us))]].tolist()
        makespans_ns.append(ideal_makespan_ns(fetched_us, run.service, slots=share.slots))
    return max(makespans_ns)


def _begun(run: RunRow, accounts: Accounts) -> int:
    """Return how many requests were started before an interruption. Jobs start in order of seq.

    Of several processes, one may not have come as far as another; see `_was_begun`.
    """
    return max(1, min(run.requests, _last_seq(accounts) + 1))


def _was_begun(run: RunRow, shares: Sequence[Share]) -> "NDArray[np.bool_] | None":
    """Return for each request of an interrupted run whether its process had come to it."""
    if not run.failure or run.processes == 1:
        return None
    was_begun = np.zeros(run.requests, dtype=bool)
    for share in shares:
        was_begun[share.ordinal : _last_seq(share.accounts) + 1 : run.processes] = True
    return was_begun


def _last_seq(accounts: Accounts) -> int:
    seqs = [accounts.fetches["seq"]]
    seqs += [accounts.arrivals["seq"]] if accounts.arrivals is not None else []
    return max(int(seq.max()) for seq in seqs if len(seq))


def _runtime(accounts: Accounts) -> Runtime | None:
    """Return what the crawler ran on; of several, what has the GIL although it could do without."""
    known = [one.runtime for one in accounts.processes if one.runtime is not None]
    return next((one for one in known if one.is_gil_forced), known[0] if known else None)


def _idle_spans(
    levels: Levels, limits: Limits, shares: Sequence[Share], due: DueTimes | None
) -> list[IdleSpans]:
    """Return when each process had free slots. None may use those of another.

    `levels` and `limits` are those of the run. In closed loop, all could start with the first.
    """
    from_ns = int(levels.instant_ns[0])
    spans = []
    for share in shares:
        fetches = share.accounts.fetches
        if len(shares) > 1:
            levels = Levels.of(fetches["start_ns"], fetches["end_ns"])
            limits = Limits.of(NO_LIMITS, share.slots)
        due_ns = due.due_ns[share.rows] if due is not None else None
        spans.append(
            IdleSpans.of(
                levels,
                limits,
                share.requests,
                fetches["start_ns"],
                due_ns,
                from_ns if due is None else None,
            )
        )
    return spans


def good_service_ns(run: RunRow, accounts: Accounts) -> "NDArray[np.int64]":
    """Return the sorted service times of the good requests of a run, in ns."""
    return _service_ns(accounts, GoodRequests.of(run, accounts))


def _service_ns(accounts: Accounts, requests: GoodRequests) -> "NDArray[np.int64]":
    spans_ns = accounts.fetches["end_ns"] - accounts.fetches["start_ns"]
    return np.sort(spans_ns[requests.is_good])


def _planned_delays_us(run: RunRow, accounts: Accounts) -> Sequence[int]:
    """Return the planned delays in the order of seq; empty for a server other than crawlbench's."""
    if accounts.plans:
        return [plan.delay_us for plan in accounts.plans[: run.requests]]
    return run.delays_us() if accounts.is_planned else ()


def _from_ledger(
    run: RunRow,
    join: Join,
    requests: GoodRequests,
    shares: Sequence[Share],
    levels: Levels,
    limits: Limits,
    delays_us: Sequence[int],
    bound_ns: int,
) -> _FromLedger:
    """Return the numbers that need a ledger. `levels` are from the client's own records."""
    in_flight = InFlight.of(join.arrivals, limits)
    connections = int(join.is_first_on_connection.sum())
    split = Split.of(join, requests.is_good)
    # Every request that was sent is on a connection. A failed request may have had none.
    most_sent = max(connections, in_flight.peak) + sum(requests.errors.values())
    # A wait in a queue takes no slot, and says nothing about the way to the server.
    queues = run.conditions.queues
    in_slots = split.from_arrival() if queues else split
    return _FromLedger(
        reconciliation=Reconciliation.of(
            run.requests,
            join,
            run.resends,
            run.conditions.resend_condition,
            _was_begun(run, shares),
        ),
        in_flight=in_flight,
        connections=connections,
        connections_of_processes=connections_of_processes(
            join.arrivals["connection"], run.conditions.server_processes
        ),
        abandoned=Abandoned.of(join.arrivals),
        split=SplitSummary.of(split),
        in_slots=in_slots,
        queued_share=levels.share_above(most_sent),
        queued_ns=np.sort(split.to_server) if queues and len(split.seq) else None,
        impossible=(
            *impossible(split, np.array(delays_us, dtype=np.int64), bound_ns),
            *untrue_answers(join, bound_ns),
        ),
        beyond_slots_ns=_beyond_slots_ns(run, shares),
        beyond_service_ns=_beyond_service_ns(run, join),
        client_stall=longest_stall(
            [stall for share in shares if (stall := client_stall(_join_of(share))) is not None]
        ),
        clusters=Clusters.of(in_slots, bound_ns),
    )


def _join_of(share: Share) -> Join:
    join = share.accounts.join
    assert join is not None, "the run has a ledger"
    return join


def _beyond_slots_ns(run: RunRow, shares: Sequence[Share]) -> int | None:
    """Compare each process with the list schedule of its own starts; see bench.analysis.bounds."""
    beyond = (_beyond_own_slots_ns(run, _join_of(share), share.slots) for share in shares)
    return max((one for one in beyond if one is not None), default=None)


def _beyond_own_slots_ns(run: RunRow, join: Join, slots: int) -> int | None:
    fetches, arrivals = join.fetches, join.arrivals
    if run.conditions.queues or not join.has_arrived.all():
        return None  # clocks hold waits, or a request that failed before it was sent took no time
    is_served = arrivals["outcome"] == ANSWERED
    least_ns = np.where(is_served, arrivals["delay_us"] * 1000, 0)[join.arrival_of]
    least_ns = np.where(fetches["error"] == 0, least_ns, 0)
    return faster_than_slots(fetches["start_ns"], fetches["end_ns"], least_ns, slots)


def _beyond_service_ns(run: RunRow, join: Join) -> int | None:
    """Compare the server with the list schedule of its own arrivals."""
    is_served = join.arrivals["outcome"] == ANSWERED
    if run.service.is_plain or not is_served.any():
        return None
    served = {name: column[is_served] for name, column in join.arrivals.items()}
    return faster_than_service(
        served["arrived_ns"],
        served["begin_ns"],
        served["replied_ns"],
        served["delay_us"],
        run.service,
        first_ns=int(join.arrivals["arrived_ns"].min()),
    )


def _limited_ns(run: RunRow, accounts: Accounts, requests: GoodRequests) -> "NDArray[np.int64]":
    """Return the part of each good request's time that the time limit bounds, where it is known."""
    if not run.conditions.queues:
        return _service_ns(accounts, requests)
    join = accounts.complete_join(run)
    if join is None:
        return np.empty(0, dtype=np.int64)
    split = Split.of(join, requests.is_good)
    return split.service_wait + split.delay + split.late + split.back


def _overtime(limited_ns: "NDArray[np.int64]", timeout_ns: int) -> int:
    """Count requests that took over 1.1 times the time limit, and 0.1 s longer than it."""
    return int((limited_ns > max(1.1 * timeout_ns, timeout_ns + _SLACK_NS)).sum())

"""The ideal client: what a run would be if the client cost nothing, event by event. Pure.

It sends in the order of seq, and keeps all slots in flight (closed loop) or sends at the due time
(open loop). The network takes no time, and the server is the service in virtual time, by the same
module that the server itself asks. Efficiency is the ideal makespan over the measured one.
"""

import math
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from heapq import heapify, heappop, heapreplace
from itertools import compress
from operator import sub
from statistics import median
from typing import NamedTuple

from bench.plan.delays import Delay
from bench.plan.experiment import Experiment, PlannedRun, ideal_makespan_ns, share_of
from bench.plan.load import most_requests
from bench.plan.site import expected_site_ns
from server.service import MOST_CAPACITY, SERVED, CapacityStep, Service, ServiceState

GOOD = 200
"""The status of a request that is served. One that the service lets fail has the status 0."""

_CURVE_REQUESTS = 300_000
"""About how many requests are simulated for a curve, which takes half a second."""
_CURVE_POINTS = 48
_LEAST_POINTS = 12
_CURVE_SEEDS = 3


@dataclass(frozen=True, slots=True)
class Ideal:
    """What happens to each request, by seq. Times are in ns.

    Time 0 is the first start (closed loop), or the instant that due times count from (open loop).
    """

    due_ns: "array[int]"
    """When a request was due; in closed loop, when it was sent."""
    start_ns: "array[int]"
    """When it was sent, and arrived."""
    begin_ns: "array[int]"
    """When the service began with it."""
    end_ns: "array[int]"
    """When it was answered."""
    status: "array[int]"
    """GOOD, 0 for one that the service lets fail, 429 or 503 for one that it refuses."""

    @property
    def makespan_ns(self) -> int:
        """The time from the first due instant to the last end."""
        return max(self.end_ns) - self.due_ns[0] if self.end_ns else 0

    @property
    def good(self) -> int:
        """The number of good requests."""
        return self.status.count(GOOD)

    @property
    def good_per_s(self) -> float:
        """Good requests per second of the makespan; 0 if it takes no time."""
        return self.good / self.makespan_ns * 1e9 if self.makespan_ns else 0.0

    def good_per_s_within(self, from_ns: int, to_ns: int) -> float:
        """Return the good requests per second of those that end within a span of time."""
        ends = compress(self.end_ns, (status == GOOD for status in self.status))
        return sum(from_ns < end <= to_ns for end in ends) / max(1, to_ns - from_ns) * 1e9

    def response_ns(self, q: float) -> int | None:
        """Return a quantile of the response time, from due to end, of good requests."""
        return self._quantile(self.end_ns, self.due_ns, q)

    def wait_ns(self, q: float) -> int | None:
        """Return a quantile of the wait in the service's queue of good requests."""
        return self._quantile(self.begin_ns, self.start_ns, q)

    def _quantile(self, later: "array[int]", earlier: "array[int]", q: float) -> int | None:
        is_good = (status == GOOD for status in self.status)
        ordered = sorted(compress(map(sub, later, earlier), is_good))
        return ordered[max(0, math.ceil(q * len(ordered)) - 1)] if ordered else None


def simulate(
    delays_us: Sequence[int],
    service: Service,
    *,
    slots: int,
    due_after_ns: Sequence[int] = (),
    duration_ns: int = 0,
    processes: int = 1,
) -> Ideal:
    """Return what happens to each request of a plan if the client costs nothing.

    With `processes` > 1 it is split among so many: each has every so many-th request and its share
    of the slots, and cannot use a slot of another.

    `due_after_ns` are due times in the order of seq, which ascend; without them the loop is closed.
    With a `duration_ns`, no request is sent after that time. In closed loop, a request that is
    refused frees its slot at once, so that a service that refuses may burn a plan in no time.
    """
    if processes > 1:
        assert not duration_ns, "runs that end by time are carried by one process"
        return _simulate_split(delays_us, service, slots, due_after_ns, processes)
    admit = ServiceState(service).admit
    columns = tuple(array("q") for _ in range(5))
    add_due, add_start, add_begin, add_end, add_status = (column.append for column in columns)
    free_at = [0] * max(1, min(slots, len(delays_us)))
    last_ns = duration_ns or math.inf
    for seq, delay_us in enumerate(delays_us):
        due_ns = start_ns = free_at[0]
        if due_after_ns:
            due_ns = due_after_ns[seq]
            start_ns = max(due_ns, start_ns)
        if start_ns >= last_ns:
            break
        status, begin_ns, end_ns, _ = admit(start_ns, delay_us)
        heapreplace(free_at, end_ns)
        add_due(due_ns)
        add_start(start_ns)
        add_begin(begin_ns)
        add_end(end_ns)
        add_status(GOOD if status == SERVED else status)
    return _with_faults(Ideal(*columns), service)


def _with_faults(ideal: Ideal, service: Service) -> Ideal:
    """Have those requests fail that the service lets fail."""
    if service.fault_share:
        for seq, status in enumerate(ideal.status):
            if status == GOOD and service.fault_of(seq):
                ideal.status[seq] = 0
    return ideal


def _simulate_split(
    delays_us: Sequence[int],
    service: Service,
    slots: int,
    due_after_ns: Sequence[int],
    processes: int,
) -> Ideal:
    """Return what happens to each request if each process has every so many-th of them."""
    admit = ServiceState(service).admit
    due, start, begin, end, statuses = (array("q", bytes(8 * len(delays_us))) for _ in range(5))
    free_at = [[0] * max(1, share_of(slots, one, processes)) for one in range(processes)]

    def earliest(seq: int) -> tuple[int, int]:
        """Return when a request can be sent, which is the order in which they arrive."""
        free_ns = free_at[seq % processes][0]
        return (max(due_after_ns[seq], free_ns) if due_after_ns else free_ns), seq

    upcoming = [earliest(seq) for seq in range(min(processes, len(delays_us)))]
    heapify(upcoming)
    while upcoming:
        start_ns, seq = upcoming[0]
        status, begin_ns, end_ns, _ = admit(start_ns, delays_us[seq])
        heapreplace(free_at[seq % processes], end_ns)
        due[seq] = due_after_ns[seq] if due_after_ns else start_ns
        start[seq], begin[seq], end[seq] = start_ns, begin_ns, end_ns
        statuses[seq] = GOOD if status == SERVED else status
        if seq + processes < len(delays_us):
            heapreplace(upcoming, earliest(seq + processes))
        else:
            heappop(upcoming)
    return _with_faults(Ideal(due, start, begin, end, statuses), service)


def makespan_ns(
    delays_us: Sequence[int],
    service: Service,
    *,
    slots: int,
    due_after_ns: Sequence[int] = (),
    processes: int = 1,
) -> int:
    """Return the makespan of the ideal client, faster than by `simulate` for a plain service."""
    if service.is_plain and not due_after_ns:
        return max(
            ideal_makespan_ns(delays_us[one::processes], max(1, share_of(slots, one, processes)))
            for one in range(processes)
        )
    ideal = simulate(
        delays_us, service, slots=slots, due_after_ns=due_after_ns, processes=processes
    )
    return ideal.makespan_ns


def expected_ns(run: PlannedRun, slots: int) -> int:
    """Return how long the ideal client takes for a run on this many slots; roughly, for a site."""
    if run.site is not None:
        return expected_site_ns(run, slots)
    if run.load.ends_by_time:
        return round((run.load.duration_s + run.cell.delay.mean_us / 1e6) * 1e9)
    due_after_ns = run.due_after_ns()
    delays_us = run.delays_us()
    return makespan_ns(
        delays_us,
        run.service,
        slots=slots,
        due_after_ns=due_after_ns,
        processes=run.entrant.processes,
    )


def is_bound(service: Service, slots: int, is_open_loop: bool) -> bool:
    """Return whether no client of one process can be faster than the ideal one.

    Elsewhere the ideal is a reference: where requests wait for a place, for example, a client's
    overhead changes their order, and another order may end sooner.
    """
    least = min((step.capacity for step in service.capacity), default=slots)
    is_limited = least < slots or service.refuses or service.is_slowed_down
    return not (is_open_loop or is_limited)


class IdealCurve(NamedTuple):
    """The goodput of the ideal client at some concurrencies, in closed loop."""

    concurrencies: tuple[int, ...]
    good_per_s: tuple[float, ...]
    is_exact: bool
    """Whether it is ceil(N / C) x D, at every concurrency; otherwise it is simulated."""


@lru_cache(maxsize=100)
def ideal_curve(asked: Experiment, delay: Delay, most: int) -> IdealCurve:
    """Return the curve from 1 to `most` for the number of requests that runs have.

    It is that of the entrants with the fewest processes, whose split costs the least, and begins
    where each process has a slot. For a fixed delay and a plain service it is exact. Otherwise it
    is the median over a few trials' seeds, at those concurrencies that were asked for and some
    between. It is empty where there is none: in open loop; for a delay of 0 and a plain service,
    when the ideal client takes no time; and for a service that refuses, because the ideal client
    does not wait after a refusal.
    """

    def requests(concurrency: int) -> int:
        if asked.duration_s and not asked.requests:
            span_s = asked.duration_s
            return most_requests(concurrency, delay.mean_us, span_s, may_refuse=False)
        return asked.requests or asked.waves * concurrency

    service = asked.service
    processes = min(entrant.processes for entrant in asked.entrants)
    if asked.is_open or service.refuses or delay.is_none or most < processes:
        return IdealCurve((), (), is_exact=True)
    if service.is_plain and delay.is_fixed and not asked.duration_s:
        every = tuple(range(processes, most + 1))
        rates = (
            requests(at) / _waves(requests(at), at, processes) / delay.mean_us * 1e6 for at in every
        )
        return IdealCurve(every, tuple(rates), is_exact=True)
    known = {at for at in asked.concurrencies if at <= most}
    known |= {step.capacity for step in service.capacity if step.capacity <= most}
    points = max(_LEAST_POINTS, min(_CURVE_POINTS, _CURVE_REQUESTS // requests(most)))
    chosen = tuple(at for at in sorted(known | set(_spread(most, points))) if at >= processes)
    work = sum(map(requests, chosen))
    trials = range(1, 1 + max(1, min(asked.trials, _CURVE_SEEDS, _CURVE_REQUESTS // work)))
    drawn = [delay.drawn(asked.trial_seed(trial), requests(most)) for trial in trials]
    rates = (
        median(
            ideal_rate_per_s(
                delays[: requests(at)],
                service,
                at,
                asked.duration_s,
                asked.warm_up_s,
                processes=processes,
            )
            for delays in drawn
        )
        for at in chosen
    )
    return IdealCurve(chosen, tuple(rates), is_exact=False)


def _waves(requests: int, slots: int, processes: int) -> int:
    """Return how many fixed delays a run takes: those of the process that takes the most."""
    return max(
        -(-len(range(one, requests, processes)) // share_of(slots, one, processes))
        for one in range(processes)
    )


def ideal_rate_per_s(
    delays_us: Sequence[int],
    service: Service,
    slots: int,
    duration_s: float = 0.0,
    warm_up_s: float = 0.0,
    *,
    processes: int = 1,
) -> float:
    """Return the goodput of the ideal client in closed loop; 0 if it takes no time.

    With a duration it counts what ends within it and after the warm-up, as in measured runs.
    """
    if service.is_plain and not duration_s:
        makespan = makespan_ns(delays_us, service, slots=slots, processes=processes)
        return len(delays_us) / makespan * 1e9 if makespan else 0.0
    duration_ns = round(duration_s * 1e9)
    ideal = simulate(delays_us, service, slots=slots, duration_ns=duration_ns, processes=processes)
    if not duration_ns:
        return ideal.good_per_s
    return ideal.good_per_s_within(round(warm_up_s * 1e9), duration_ns)


def steady_rate_per_s(service: Service, mean_us: float, concurrency: int) -> float | None:
    """Return the goodput of the ideal client in the long run, in closed loop.

    By Little's law it is the number in service over the mean time there. A request that is refused
    is sent again at once, so that every place and every token of the bucket is used. None if the
    service changes with time, if it is both slowed down and limited in its rate, or if requests
    take no time.
    """
    is_changing = bool(service.stall_for_s) or len(service.capacity) > 1
    if not mean_us or is_changing or (service.is_slowed_down and service.rate_limit_per_s):
        return None
    in_service = min(concurrency, service.most_capacity() or concurrency)
    most_per_s = service.rate_limit_per_s or math.inf
    good_share = 1 - sum(percent for _, percent in service.fault_share) / 100
    return good_share * min(_rate_with(in_service, service, mean_us), most_per_s)


class Ceiling(NamedTuple):
    """A rate of good requests that a service never exceeds for long."""

    text: str
    """`capacity 50 at 100 ms: 500/s`."""
    per_s: float


def ceilings(service: Service, mean_us: float) -> tuple[Ceiling, ...]:
    """Return the ceilings that a service sets to requests with this mean delay."""
    return (*_service_ceilings(service, mean_us), *_rate_ceilings(service))


def _service_ceilings(service: Service, mean_us: float) -> Iterator[Ceiling]:
    if not mean_us:
        return
    delay = f"at {mean_us / 1000:.4g} ms"
    if service.is_slowed_down:
        at, per_s = _peak(service, mean_us)
        if at:
            yield Ceiling(f"slowdown {delay}: {per_s:,.4g}/s with {at} in service", per_s)
        return
    for capacity in dict.fromkeys(step.capacity for step in service.capacity):
        per_s = capacity / mean_us * 1e6
        yield Ceiling(f"capacity {capacity} {delay}: {per_s:,.4g}/s", per_s)


def _rate_ceilings(service: Service) -> Iterator[Ceiling]:
    if service.rate_limit_per_s:
        yield Ceiling(f"rate limit {service.rate_limit_per_s:,.4g}/s", service.rate_limit_per_s)


def _peak(service: Service, mean_us: float) -> tuple[int, float]:
    """Return the number in service with the highest rate, and that rate; 0 if there is none.

    n in service finish n / (D (1 + sigma (n - 1) + kappa n (n - 1))) per second, with a peak at
    sqrt((1 - sigma) / kappa); see server.service.
    """
    peak = 1.0 if service.sigma > 1 else math.inf  # falls from the start, or rises for ever
    if service.kappa:
        peak = math.sqrt(max(0.0, 1 - service.sigma) / service.kappa)
    peak = min(peak, service.most_capacity() or math.inf)
    if peak == math.inf:
        return 0, 0.0

    best = max(
        max(1, math.floor(peak)),
        math.ceil(peak),
        key=lambda at: _rate_with(at, service, mean_us),
    )
    return best, _rate_with(best, service, mean_us)


def _rate_with(at: int, service: Service, mean_us: float) -> float:
    """Return the requests per second with so many in service."""
    slower = 1 + service.sigma * (at - 1) + service.kappa * at * (at - 1)
    return at / (mean_us * slower) * 1e6


class LimitStep(NamedTuple):
    """How many requests at a time a service allows without making them wait, from a time on."""

    from_s: float
    """Seconds after the first arrival."""
    most: float


def ideal_limit_steps(service: Service, mean_us: float) -> tuple[LimitStep, ...]:
    """Return the ideal limit of a client over time; empty if the service sets none.

    It is the smallest of the capacity at that time, the number in service at which a service that
    slows down is fastest, and what the rate limit keeps in service: by Little's law, its rate times
    the time that each takes, which is the mean delay if nothing slows it down.
    """
    bounds = [_at_rate_limit(service, mean_us)]
    if service.is_slowed_down and mean_us:
        bounds.append(_peak(replace(service, capacity=()), mean_us)[0] or math.inf)
    steps = [
        LimitStep(step.from_s, min(step.capacity, *bounds))
        for step in service.capacity or (CapacityStep(MOST_CAPACITY, 0.0),)
    ]
    return tuple(steps) if any(step.most < MOST_CAPACITY for step in steps) else ()


def _at_rate_limit(service: Service, mean_us: float) -> float:
    """Return how many are in service when as many are accepted as the rate limit allows.

    With n in service, each takes D (1 + sigma (n - 1) + kappa n (n - 1)), so that n = R times that
    is a quadratic equation. Its smaller root counts; without one, the rate is never reached.
    """
    at_once = service.rate_limit_per_s * mean_us / 1e6
    if not at_once:
        return math.inf
    square, free = at_once * service.kappa, at_once * (1 - service.sigma)
    linear = 1 - at_once * (service.sigma - service.kappa)
    under_root = linear**2 - 4 * square * free
    if under_root < 0 or linear + math.sqrt(under_root) <= 0:
        return math.inf
    return max(1.0, 2 * free / (linear + math.sqrt(under_root)))


def _spread(most: int, points: int) -> Iterator[int]:
    """Return about so many whole numbers from 1 to `most`, denser where they are small."""
    for point in range(points):
        yield round(most ** (point / (points - 1)))

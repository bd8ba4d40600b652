"""Limiters against the service in virtual time, event by event.

The client is in closed loop, and its number in flight follows the limit. scripts/limiters prints
the table of docs/crawlers.md.
"""

import statistics
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, pairwise
from random import Random
from typing import NamedTuple

from bench.plan.delays import Delay
from crawlers.limiters.aimd import AimdLimiter
from crawlers.limiters.limiter import Limiter, Sign, sign_of
from crawlers.limiters.vegas import VegasLimiter
from server.service import SERVED, TOO_MANY_REQUESTS, UNAVAILABLE, Service, ServiceState

MOST = 200
_WAY_NS = 500_000
"""To the service and back, and what the client needs: a refused request costs this much."""
_FEW = 5_000
"""Where more than this is refused, and twice what is good, a simulation ends early."""


class Fixed(Limiter):
    """A limit that never changes: the controls, and what limiters are compared with."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = float(limit)

    def started(self, at_ns: int) -> None:
        pass

    def ended(self, start_ns: int, end_ns: int, sign: Sign) -> None:
        pass


@dataclass(frozen=True, slots=True)
class Scenario:
    """A service, the delays that are asked of it, and how long an answer may take to be of use."""

    name: str
    delay: str
    objective_ms: float
    flags: dict[str, str] = field(default_factory=dict)
    duration_s: float = 30.0


_TAIL = "lognormal:median=120,p99=900"
_SLOWDOWN = {"slowdown": "0.02,0.0005"}

SCENARIOS = (
    Scenario("wide", "100", 300),
    Scenario("wide, tail", _TAIL, 2000),
    Scenario("capacity 50, tail", _TAIL, 2000, {"capacity": "50"}),
    Scenario("capacity 50", "100", 300, {"capacity": "50"}),
    Scenario("slowdown", "100", 300, _SLOWDOWN),
    Scenario("slowdown, tail", _TAIL, 2000, _SLOWDOWN),
    Scenario("200/s", "100", 300, {"rate-limit": "200"}),
    Scenario("capacity 50, 20, 50", "100", 300, {"capacity": "50@0,20@10,50@20"}),
    Scenario("stalls", "100", 300, {"capacity": "50", "stall": "10:1.4"}),
    Scenario("1 % fail", "100", 300, {"capacity": "50", "fault-share": "500@1"}),
    Scenario("queue of 10", "100", 300, {"capacity": "50", "queue": "10"}),
    Scenario("capacity 5", "100", 300, {"capacity": "5"}),
    Scenario("capacity 150", "100", 300, {"capacity": "150"}),
    Scenario("capacity 50, 20 ms", "20", 60, {"capacity": "50"}),
    Scenario("capacity 50, 500 ms", "500", 1500, {"capacity": "50"}, 60.0),
    Scenario("capacity 5, tail", _TAIL, 2000, {"capacity": "5"}),
    Scenario("20/s", "100", 300, {"rate-limit": "20"}),
)

LIMITERS: dict[str, Callable[[], Limiter]] = {
    "aimd": lambda: AimdLimiter(MOST),
    "vegas": lambda: VegasLimiter(MOST),
    "always 1": lambda: Fixed(1),
    "never less": lambda: Fixed(MOST),
}


class Simulated(NamedTuple):
    """What a client got from a service."""

    good_per_s: float
    """Good answers within the objective."""
    refused_per_s: float
    mean_limit: float
    limits: list[tuple[int, int]]
    """From each instant in ns on, how many may be in flight."""

    @property
    def score(self) -> float:
        """Good answers per second, less those that were refused."""
        return self.good_per_s - self.refused_per_s


def simulate(scenario: Scenario, limiter: Limiter, seed: int = 1) -> Simulated:
    """Return what a client gets that keeps to a limiter and costs hardly anything itself."""
    service = Service.parse(scenario.flags)
    admit = ServiceState(service).admit
    delays_us = _delays_us(scenario, seed)
    last_ns, objective_ns = round(scenario.duration_s * 1e9), round(scenario.objective_ms * 1e6)
    in_flight: list[tuple[int, int, int, int]] = []
    """End, seq, start and status of each."""
    seqs = count()
    now_ns = good = refused = 0
    limits = [(0, int(limiter.limit))]
    while now_ns <= last_ns and refused <= _FEW + 2 * good:
        while len(in_flight) < int(limiter.limit):
            seq = next(seqs)
            status, _, due_ns, _ = admit(now_ns, next(delays_us))
            if status == SERVED:
                status = 500 if service.fault_of(seq) else 200
            heappush(in_flight, (due_ns + _WAY_NS, seq, now_ns, status))
            limiter.started(now_ns)
        now_ns, _, start_ns, status = heappop(in_flight)
        good += status == 200 and now_ns - start_ns <= objective_ns
        refused += status in (TOO_MANY_REQUESTS, UNAVAILABLE)
        limiter.ended(start_ns, now_ns, sign_of(status, ""))
        if int(limiter.limit) != limits[-1][1]:
            limits.append((now_ns, int(limiter.limit)))
    spans = pairwise([*limits, (now_ns, 0)])
    mean = sum(most * (to_ns - from_ns) for (from_ns, most), (to_ns, _) in spans) / now_ns
    return Simulated(good / now_ns * 1e9, refused / now_ns * 1e9, mean, limits)


def _delays_us(scenario: Scenario, seed: int) -> Iterator[int]:
    delay, generator = Delay.parse(scenario.delay), Random(seed)
    while True:
        yield from delay.drawn(generator.randrange(2**32), 1000)


_TRIED = (*range(1, 10), 20, 50, *(round(10 * 1.1**step) for step in range(31)), MOST)


def best_fixed(scenario: Scenario) -> tuple[float, int]:
    """Return the highest score of a limit that never changes, and that limit."""
    return max((simulate(scenario, Fixed(limit)).score, limit) for limit in _TRIED)


def _row(scenario: Scenario) -> str:
    best, at = best_fixed(scenario)
    cells = []
    for make in LIMITERS.values():
        runs = [simulate(scenario, make(), seed) for seed in range(1, 7)]
        shares = [run.score / best for run in runs]
        mean = statistics.mean(shares)
        cells.append(f"{mean:.2f} ({min(shares):.2f})" if mean > 0 else "below 0")
        cells.append(f"{statistics.mean(run.mean_limit for run in runs):.0f}")
    return " | ".join([f"| {scenario.name}", f"{best:.0f}", f"{at}", *cells]) + " |"


def main() -> None:
    """Print the table in Markdown."""
    heads = [head for name in LIMITERS for head in (name, "limit")]
    print(" | ".join(["| scenario", "best per s", "at", *heads]), "|")
    print("|---" + "|--:" * (2 + len(heads)) + "|")
    with ProcessPoolExecutor() as executor:
        for row in executor.map(_row, SCENARIOS):
            print(row, flush=True)


if __name__ == "__main__":
    main()

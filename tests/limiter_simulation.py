"""A client whose number in flight follows a limiter, against the service in virtual time."""

import random
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from heapq import heappop, heappush
from math import exp, log
from itertools import islice

from crawlers.limiters.limiter import Limiter, Sign, sign_of
from server.service import SERVED, Service, ServiceState

_WAY_NS = 500_000
"""From the client to the service and back."""


@dataclass(frozen=True)
class Scenario:
    name: str
    flags: dict
    median_ms: float
    p99_ms: float = 0.0
    objective_ms: float = 300.0
    most: int = 200
    duration_s: float = 30.0

    def draw(self, seed):
        r = random.Random(seed)
        if not self.p99_ms:
            us = round(self.median_ms * 1000)
            while True:
                yield us
        sigma = log(self.p99_ms / self.median_ms) / 2.32635
        while True:
            yield min(60_000_000, round(self.median_ms * 1000 * exp(sigma * r.gauss(0, 1))))


class Fixed:
    def __init__(self, most):
        self.limit = most

    def started(self, at_ns):
        pass

    def ended(self, *a):
        pass


def simulate(scenario, limiter, seed=1):
    state = ServiceState(Service.parse(scenario.flags))
    svc = state.service
    admit = state.admit
    end_ns = round(scenario.duration_s * 1e9)
    flying = []
    seq = 0
    now = 0
    good = refused = 0
    delays = scenario.draw(seed)
    objective_ns = scenario.objective_ms * 1e6
    changes = [(0, int(limiter.limit))]
    while True:
        while len(flying) < int(limiter.limit):
            status, begin, due, _ = admit(now, next(delays))
            if status == SERVED:
                status = 200
                if svc.fault_share and svc.fault_of(seq):
                    status = 500
            heappush(flying, (due + _WAY_NS, seq, now, status))
            limiter.started(now)
            seq += 1
        now, _, start, status = heappop(flying)
        if now > end_ns or refused > 5000 + 2 * good:
            break
        good += status == 200 and now - start <= objective_ns
        refused += status in (429, 503)
        limiter.ended(start, now, sign_of(status, ""))
        if int(limiter.limit) != changes[-1][1]:
            changes.append((now, int(limiter.limit)))
    return good, refused, changes


SCENARIOS = [
    Scenario("wide", {}, 100),
    Scenario("wide tail", {}, 120, 900, 2000),
    Scenario("tail K=50", {"capacity": "50"}, 120, 900, 2000),
    Scenario("K=50", {"capacity": "50"}, 100),
    Scenario("slowdown", {"slowdown": "0.02,0.0005"}, 100),
    Scenario("200/s", {"rate-limit": "200"}, 100),
    Scenario("50,20,50", {"capacity": "50@0,20@10,50@20"}, 100),
    Scenario("stall", {"capacity": "50", "stall": "10:1.4"}, 100),
    Scenario("1% 500", {"capacity": "50", "fault-share": "500@1"}, 100),
    Scenario("K=50 Q=10", {"capacity": "50", "queue": "10"}, 100),
    Scenario("K=5", {"capacity": "5"}, 100),
    Scenario("K=150", {"capacity": "150"}, 100),
    Scenario("tail K=20", {"capacity": "20"}, 120, 900, 2000),
    Scenario("tail 2.5x after", {"capacity": "50"}, 120, 900, 2000, most=400),
    Scenario("K=50 20ms", {"capacity": "50"}, 20, 0, 60),
    Scenario("K=50 500ms", {"capacity": "50"}, 500, 0, 1500, duration_s=60),
    Scenario("tail K=5", {"capacity": "5"}, 120, 900, 2000),
    Scenario("tail 500/s", {"rate-limit": "500"}, 120, 900, 2000),
    Scenario("20/s", {"rate-limit": "20"}, 100),
    Scenario("tail slowdown", {"slowdown": "0.02,0.0005"}, 120, 900, 2000),
]


@cache
def best_fixed(i):
    s = SCENARIOS[i]
    best = (0, 0)
    for n in [
        1,
        2,
        3,
        4,
        5,
        6,
        7,
        8,
        10,
        12,
        15,
        18,
        19,
        20,
        21,
        22,
        25,
        28,
        31,
        35,
        40,
        44,
        48,
        50,
        52,
        55,
        60,
        70,
        80,
        100,
        120,
        150,
        160,
        200,
    ]:
        good, refused, _ = simulate(s, Fixed(n))
        best = max(best, (good - refused, n))
    return best


def mean_limit(changes, end_s):
    total = 0
    for (a, n), (b, _) in zip(changes, changes[1:] + [(end_s * 1e9, 0)]):
        total += n * (b - a)
    return total / end_s / 1e9


def table(limiters, seeds=(1, 2)):
    print(f"{'':14}{'best':>12} " + "".join(f"{n:>22}" for n, _ in limiters))
    sums = [0.0] * len(limiters)
    for i, s in enumerate(SCENARIOS):
        score, n = best_fixed(i)
        row = f"{s.name:14}{score / s.duration_s:8.0f} @{n:<3}"
        for j, (name, make) in enumerate(limiters):
            sc = mean = 0
            for seed in seeds:
                good, refused, changes = simulate(s, make(s.most), seed)
                sc += (good - refused) / score / len(seeds)
                mean += mean_limit(changes, s.duration_s) / len(seeds)
            sums[j] += max(sc, 0)
            row += f"{sc:12.3f} ({mean:5.1f})  "
        print(row, flush=True)
    print("mean", " " * 22, [round(x / len(SCENARIOS), 3) for x in sums])


if __name__ == "__main__":
    from crawlers.limiters.aimd import AimdLimiter

    from crawlers.limiters.vegas import VegasLimiter

    table(
        [
            ("aimd", AimdLimiter),
            ("vegas", VegasLimiter),
            ("one", lambda m: Fixed(1)),
            ("never less", Fixed),
        ],
        seeds=(1, 2),
    )

"""The simulated service against formulas of queueing theory, models against theory, and times.

`scripts/queueing` prints it all and exits with 1 if anything disagrees, or if a wrong number of
places is not rejected. A wait is rejected if it is more than 4 standard errors off.
"""

import argparse
import math
import sys
import time
from array import array
from collections.abc import Callable
from itertools import accumulate
from typing import NamedTuple

import numpy as np

from bench.plan.ideal import simulate
from server.models import Exponential, Lognormal, Model, Trace, Uniform, Weighted
from server.service import PLAIN, CapacityStep, Service

ARRIVALS = 1_000_000
BATCHES = 32
DROPPED = 0.1
"""The share of a run at its begin that is left out: the queue is empty at first."""
MOST_SIGMAS = 4.0

MODELS: dict[str, Model] = {
    "100": Uniform(100_000, 100_000),
    "20-200": Uniform(20_000, 200_000),
    "exponential:mean=100": Exponential(100_000),
    "lognormal:median=120,p99=900": Lognormal(120_000, 900_000),
    "weighted:50@90,500@9,2000@1": Weighted((50_000, 500_000, 2_000_000), (90, 9, 1)),
    "trace:FILE": Trace("FILE", tuple(range(1_000, 201_000, 200))),
}
SERVICES: dict[str, Service] = {
    "plain": PLAIN,
    "capacity": Service.parse({"capacity": "50"}),
    "queue": Service.parse({"capacity": "50", "queue": "40"}),
    "rate limit": Service.parse({"rate-limit": "200:20"}),
    "slowdown": Service.parse({"slowdown": "0.02,0.0005"}),
    "stall": Service.parse({"stall": "10:1.4"}),
    "fault share": Service.parse({"fault-share": "500@1"}),
    "all": Service.parse(
        {
            "capacity": "50@0,20@10",
            "queue": "40",
            "rate-limit": "400:40",
            "slowdown": "0.02,0.0005",
            "stall": "10:1.4",
            "fault-share": "500@1",
        }
    ),
}


def poisson_ns(per_s: float, seed: int, count: int) -> "array[int]":
    """Return instants of Poisson arrivals."""
    return array("q", accumulate(Exponential(1e9 / per_s).drawn(seed, count)))


def erlang_c_wait_s(per_s: float, service_s: float, places: int) -> float:
    """Return the mean wait of M/M/K: C(K, a) / (K mu - lambda), with C from Erlang B."""
    load = per_s * service_s
    blocked = 1.0
    for k in range(1, places + 1):
        blocked = load * blocked / (k + load * blocked)
    utilisation = load / places
    waits = blocked / (1 - utilisation * (1 - blocked))
    return waits / (places / service_s - per_s)


def pollaczek_khinchine_wait_s(per_s: float, service_s: float, squared_cv: float) -> float:
    """Return the mean wait of M/G/1; `squared_cv` is the variance over the squared mean."""
    load = per_s * service_s
    return load * service_s * (1 + squared_cv) / 2 / (1 - load)


def usl_rate_per_s(delay_s: float, sigma: float, kappa: float, clients: int) -> float:
    """Return the throughput of the universal scalability law, in closed loop."""
    n = clients
    return n / (delay_s * (1 + sigma * (n - 1) + kappa * n * (n - 1)))


class Wait(NamedTuple):
    """A mean wait, by simulation, with its standard error by batch means."""

    mean_s: float
    error_s: float

    def sigmas_off(self, formula_s: float) -> float:
        """Return how many standard errors it is off."""
        return (self.mean_s - formula_s) / self.error_s


def simulated_wait(model: Model, per_s: float, places: int, count: int, seed: int) -> Wait:
    """Return the mean wait of Poisson arrivals for one of some places."""
    service = Service(capacity=(CapacityStep(places, 0.0),))
    due_ns = poisson_ns(per_s, seed + 1, count)
    found = simulate(model.drawn(seed, count), service, slots=count, due_after_ns=due_ns)
    waits_s = (np.asarray(found.begin_ns) - np.asarray(found.start_ns)) / 1e9
    kept = waits_s[int(DROPPED * count) :]
    means = [float(batch.mean()) for batch in np.array_split(kept, BATCHES)]
    return Wait(float(kept.mean()), float(np.std(means, ddof=1)) / math.sqrt(BATCHES))


class Queue(NamedTuple):
    """A queue with a formula for its mean wait."""

    name: str
    model: Model
    per_s: float
    places: int
    formula_s: float


def queues() -> list[Queue]:
    """Return M/M/K by Erlang C, M/D/1 and M/G/1 by Pollaczek-Khinchine."""
    mean_us = 10_000
    found = []
    for places, load in ((1, 0.7), (5, 0.8), (50, 0.9)):
        per_s = load * places / mean_us * 1e6
        wait_s = erlang_c_wait_s(per_s, mean_us / 1e6, places)
        found.append(Queue(f"M/M/{places}", Exponential(mean_us), per_s, places, wait_s))
    wait_s = pollaczek_khinchine_wait_s(70, 0.01, 0)
    found.append(Queue("M/D/1", Uniform(mean_us, mean_us), 70, 1, wait_s))
    tail = Lognormal(8_000, 40_000)
    wait_s = pollaczek_khinchine_wait_s(60, tail.mean / 1e6, math.exp(tail.sigma**2) - 1)
    found.append(Queue("M/lognormal/1", tail, 60, 1, wait_s))
    return found


def print_waits(count: int) -> bool:
    """Print formula and simulation of each queue, with K and with K + 1 places."""
    print(f"Mean wait in a queue: {count:,} Poisson arrivals, {BATCHES} batch means")
    print(f"{'':16}{'places':>7}{'load':>7}{'formula':>12}{'simulated':>12}{'error':>10}{'off':>9}")
    is_right = True
    for queue in queues():
        for places in (queue.places, queue.places + 1):
            wait = simulated_wait(queue.model, queue.per_s, places, count, seed=1)
            off = wait.sigmas_off(queue.formula_s)
            is_wrong = places > queue.places
            is_right &= (abs(off) > MOST_SIGMAS) == is_wrong
            print(
                f"{queue.name:16}{places:7}{queue.per_s * queue.model.mean / 1e6 / places:7.2f}"
                f"{queue.formula_s * 1e3:9.4f} ms{wait.mean_s * 1e3:9.4f} ms"
                f"{wait.error_s * 1e3:7.4f} ms{off:+9.1f}"
                f"{'  rejected' if abs(off) > MOST_SIGMAS else ''}"
            )
    return is_right


def print_slowdown() -> bool:
    """Print the throughput against concurrency of a service with a slowdown, and its peak."""
    sigma, kappa, delay_s = 0.02, 0.0005, 0.1
    peak = math.sqrt((1 - sigma) / kappa)
    print(f"\nThroughput with a slowdown of {sigma},{kappa} at 100 ms: formula and simulation")
    service = Service(sigma=sigma, kappa=kappa)
    rates = {}
    is_right = True
    for clients in (1, 5, 10, 20, 30, 40, 44, 50, 60, 80, 100, 200):
        rate = simulate([100_000] * 200 * clients, service, slots=clients).good_per_s
        formula = usl_rate_per_s(delay_s, sigma, kappa, clients)
        rates[clients] = rate
        is_right &= abs(rate / formula - 1) < 0.01
        print(f"C = {clients:4}{formula:10.2f}/s{rate:10.2f}/s{rate / formula - 1:+9.2%}")
    best = max(rates, key=lambda clients: rates[clients])
    print(f"peak: sqrt((1 - sigma) / kappa) = {peak:.1f}, and {best} of those simulated")
    return is_right and best == 44


QUANTILES = (0.1, 0.5, 0.9, 0.99)


def quantile_error(model: Model, q: float, count: int, seed: int) -> float:
    """Return how far the share of drawn values up to a quantile is from q, in standard errors.

    Of a value with a probability of its own, the share below it counts if q is closer to that.
    """
    values = np.asarray(model.drawn(seed, count))
    at = model.quantile(q)
    least, most = float((values < at).mean()), float((values <= at).mean())
    off = max(least - q, 0.0, q - most)
    return off / math.sqrt(q * (1 - q) / count)


def print_quantiles(count: int = 10_000) -> bool:
    """Print the quantiles of drawn values against theory."""
    print(f"\nQuantiles in ms of {count:,} drawn delays: theory and drawn")
    print(f"{'':30}{'mean':>17}" + "".join(f"{f'p{100 * q:g}':>19}" for q in QUANTILES))
    is_right = True
    for name, model in MODELS.items():
        values = np.sort(np.asarray(model.drawn(1, count)))
        row = f"{name:30}{model.mean / 1e3:8.1f} {values.mean() / 1e3:8.1f}"
        for q in QUANTILES:
            drawn = values[math.ceil(q * count) - 1]
            row += f"{model.quantile(q) / 1e3:10.1f} {drawn / 1e3:8.1f}"
            is_right &= quantile_error(model, q, count, seed=1) < MOST_SIGMAS
        print(row)
    return is_right


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def print_times(count: int = 100_000) -> None:
    """Print how long planning and simulating takes."""
    print(f"\nSeconds to draw {count:,} delays, and to simulate them with C = 100 and each service")
    print(f"{'':30}{'draw':>7}" + "".join(f"{name:>12}" for name in SERVICES))
    for name, model in MODELS.items():
        row = f"{name:30}{seconds_of(lambda: model.drawn(1, count)):7.3f}"  # noqa: B023
        delays_us = model.drawn(1, count)
        for service in SERVICES.values():
            took = seconds_of(lambda: simulate(delays_us, service, slots=100))  # noqa: B023
            row += f"{took:12.3f}"
        print(row)


def main() -> int:
    """Print all tables; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/queueing", description=__doc__)
    parser.add_argument(
        "--arrivals", type=int, default=ARRIVALS, help="arrivals per queue (default: %(default)s)"
    )
    count = parser.parse_args().arrivals
    results = [print_waits(count), print_slowdown(), print_quantiles()]
    print_times()
    print("\nall as the formulas say" if all(results) else "\nnot as the formulas say")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

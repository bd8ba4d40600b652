"""The figures of docs/how-many.md: formulas next to the simulated ideal client.

    .venv/bin/python -P scripts/how_many.py

The services are those of the page. The ideal client is that of bench/plan/ideal.py.
"""

import argparse
import math
from collections.abc import Iterable, Sequence
from statistics import fmean

from bench.plan.delays import Delay
from bench.plan.ideal import simulate
from server.service import Service

_SHARE = 0.95
_SECOND_NS = 1_000_000_000
_BOX_DELAYS = 30
_DROPPED = 0.2
_SEEDS = range(1, 21)
_TAIL = "lognormal:median=120,p99=900"


def boxed_per_s(delay: Delay, service: Service, slots: int, seed: int, box_s: float) -> float:
    """Return the goodput of the ideal client in a time box, without the first fifth of it.

    It is corrected by the mean of the delays that were drawn for the box.
    """
    box_ns = round(box_s * _SECOND_NS)
    drawn = delay.drawn(seed, math.ceil(slots * box_s / delay.mean_us * 2e6) + slots)
    ideal = simulate(drawn, service, slots=slots, duration_ns=box_ns)
    goodput = ideal.good_per_s_within(round(box_ns * _DROPPED), box_ns)
    return goodput * fmean(drawn[: len(ideal.end_ns)]) / delay.mean_us


def waves_per_s(delay: Delay, service: Service, slots: int, seed: int) -> float:
    """Return requests per second of the makespan of ten waves."""
    return simulate(delay.drawn(seed, 10 * slots), service, slots=slots).good_per_s


def law_per_s(slots: int, delay_s: float, sigma: float, kappa: float) -> float:
    """Return the throughput by the universal scalability law (docs/how-many.md)."""
    return slots / (delay_s * (1 + sigma * (slots - 1) + kappa * slots * (slots - 1)))


def knee(concurrencies: Sequence[int], per_s: Iterable[float]) -> int:
    """Return the smallest concurrency that reaches 95 % of the best goodput."""
    goodput = dict(zip(concurrencies, per_s, strict=True))
    return next(at for at in concurrencies if goodput[at] >= _SHARE * max(goodput.values()))


def main() -> None:
    """Print all figures."""
    argparse.ArgumentParser(prog="scripts/how_many.py", description=__doc__).parse_args()
    fixed, tail = Delay.parse("100"), Delay.parse(_TAIL)
    limited = Service.parse({"capacity": "50"})
    slowed = Service.parse({"slowdown": "0.02,0.0005"})
    print("capacity 50, 100 ms: C, min(C, 50) / 0.1 s, simulated")
    for slots in (10, 25, 47, 48, 50, 100, 200):
        simulated = boxed_per_s(fixed, limited, slots, 1, 20)
        print(f"{slots:4d} {min(slots, 50) / 0.1:7.1f} {simulated:7.1f}")

    print("slowdown 0.02,0.0005, 100 ms: C, law, simulated")
    for slots in (10, 20, 30, 31, 44, 65, 80, 150):
        law = law_per_s(slots, 0.1, 0.02, 0.0005)
        simulated = boxed_per_s(fixed, slowed, slots, 1, 200)
        print(f"{slots:4d} {law:7.1f} {simulated:7.1f}")
    every = range(1, 200)
    print("95 % point of the law:", knee(every, (law_per_s(n, 0.1, 0.02, 0.0005) for n in every)))

    tried = range(5, 101, 5)
    box_s = _BOX_DELAYS * tail.mean_us / 1e6
    waves = [knee(tried, (waves_per_s(tail, limited, n, seed) for n in tried)) for seed in _SEEDS]
    boxes = [
        knee(tried, (boxed_per_s(tail, limited, n, seed, box_s) for n in tried)) for seed in _SEEDS
    ]
    print(f"{_TAIL}, capacity 50: the 95 % point with each of {len(_SEEDS)} seeds")
    print("ten waves: ", *sorted(waves))
    print(f"{box_s:.2f} s boxes:", *sorted(boxes))


if __name__ == "__main__":
    main()

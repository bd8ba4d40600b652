"""Time boxes of the ideal client, simulated: what `crawlbench advise` would measure."""

import random
from dataclasses import dataclass, field

import numpy as np

from bench.advice.boxes import Box, rates_of
from bench.advice.objectives import Objective, bounds_times
from bench.advice.points import Point, points_of
from bench.advice.recommendation import Recommendation, recommend
from bench.advice.search import search, to_confirm
from bench.analysis.bottleneck import Bottleneck
from bench.analysis.validity import Level
from bench.plan.advice import WARM_UP_SHARE, box_s
from bench.plan.delays import Delay
from bench.plan.ideal import GOOD, simulate
from bench.plan.load import most_requests
from server.service import Service

_MOST_SIMULATED = 20_000
"""The ideal client does not wait after a refusal, and would burn any number of requests."""


@dataclass
class SimulatedService:
    """A service, what is asked of it, and what was measured so far."""

    delay: Delay
    service: Service
    seed: int = 1
    is_ours: bool = True
    """Whether delays and the ledger are known."""
    objectives: tuple[str, ...] = ()
    most: int = 4096
    boxes: list[Box] = field(default_factory=list)
    points: dict[int, Point] = field(default_factory=dict)

    def measure(self, concurrency: int) -> None:
        """Simulate one time box, and note its point."""
        delay, number = self.delay, len(self.boxes) + 1
        span_s = box_s(delay.mean_us, is_fixed=delay.is_fixed)
        may_refuse = self.service.refuses
        count = most_requests(concurrency, delay.mean_us, span_s, may_refuse=may_refuse)
        seed = random.Random(f"{self.seed}/{number}").getrandbits(60)
        delays_us = delay.drawn(seed, min(count, _MOST_SIMULATED))
        span_ns = round(span_s * 1e9)
        ideal = simulate(delays_us, self.service, slots=concurrency, duration_ns=span_ns)
        start_ns, end_ns = np.array(ideal.start_ns), np.array(ideal.end_ns)
        is_good = np.array(ideal.status) == GOOD
        lasted_ns = end_ns - start_ns
        served_ns = np.array(ideal.begin_ns) if self.is_ours else end_ns - lasted_ns[is_good].min()
        drawn_us = np.array(delays_us[: len(end_ns)])
        from_ns = round(WARM_UP_SHARE * span_ns)
        self.boxes.append(
            Box(
                number=number,
                trial=1,
                concurrency=concurrency,
                rates=rates_of(
                    served_ns[is_good],
                    end_ns[is_good],
                    from_ns,
                    span_ns,
                    drawn_us[is_good] if self.is_ours and not delay.is_fixed else None,
                    delay.mean_us,
                ),
                raw_per_s=float((is_good & (end_ns > from_ns) & (end_ns <= span_ns)).sum())
                / (span_ns - from_ns)
                * 1e9,
                counted_ns=span_ns - from_ns,
                times_ns=np.sort(lasted_ns[is_good & (start_ns >= from_ns)]),
                requests=len(end_ns),
                errors=0,
                refused=int((~is_good).sum()),
                cpu_us_per_request=100.0,
                cpu_share=0.1,
                level=Level.VALID,
                limit=Bottleneck("delay", "simulated"),
            )
        )
        objectives = tuple(map(Objective.parse, self.objectives))
        self.points.clear()
        self.points.update(points_of(self.boxes, objectives))

    def advise(self) -> Recommendation | None:
        """Search, confirm, and return the answer."""
        is_bound = bounds_times(map(Objective.parse, self.objectives))
        for at in search(self.points, self.most, is_ours=self.is_ours, bounds_times=is_bound):
            self.measure(at)
        answer = recommend(self.points, bounds_times=is_bound)
        if answer is None:
            return None
        for at in 2 * to_confirm(self.points, answer):
            self.measure(at)
        return recommend(self.points, bounds_times=is_bound)

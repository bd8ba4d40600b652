"""The scenarios: named services, for comparing crawlers by how they cope with all of them. Pure.

docs/scenarios.md describes them, and says how a crawler is scored.
"""

from dataclasses import dataclass
from difflib import get_close_matches

from bench.plan.delays import Delay
from bench.plan.load import Load, most_requests
from server.service import CapacityStep, Service

ALL = "all"
"""Stands for all scenarios, in `run --scenario all`."""
MOST_OBJECTIVE_MS = 3_600_000.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """A service, how long it is measured, and how soon an answer must come to count."""

    name: str
    summary: str
    """What happens there, in a sentence."""
    delay: Delay
    service: Service
    duration_s: float
    warm_up_s: float
    objective_ms: float
    """The service objective: an answer that takes longer from its start is no goodput."""

    @property
    def load(self) -> Load:
        """The closed loop in which it is measured."""
        return Load(duration_s=self.duration_s, warm_up_s=self.warm_up_s)

    @property
    def objective_ns(self) -> int:
        """The service objective in ns."""
        return round(self.objective_ms * 1e6)

    @property
    def steps(self) -> tuple[CapacityStep, ...]:
        """The changes of its capacity within the duration."""
        return tuple(step for step in self.service.capacity[1:] if step.from_s < self.duration_s)

    def most_requests(self, concurrency: int) -> int:
        """Return a number of requests that the ideal client does not make at a concurrency."""
        mean_us = self.delay.mean_us
        return most_requests(concurrency, mean_us, self.duration_s, may_refuse=False)

    def options(self) -> dict[str, str]:
        """Return the options of `run` that ask for the same, by name without dashes."""
        times = {"duration": f"{self.duration_s:g}", "warm-up": f"{self.warm_up_s:g}"}
        return {"delay": self.delay.text, **self.service.flags(), **times}

    def check(self) -> None:
        """Raise ValueError for values of the right types that make no sense."""
        self.delay.check()
        self.service.check()
        self.load.check()
        if not self.duration_s:
            raise ValueError(f"scenario {self.name!r} has no duration")
        if not 0 < self.objective_ms <= MOST_OBJECTIVE_MS:
            raise ValueError(f"scenario {self.name!r} has an objective of {self.objective_ms} ms")


def _scenario(
    name: str,
    summary: str,
    *,
    delay: str = "100",
    duration_s: float = 8.0,
    objective_ms: float = 250.0,
    **flags: str,
) -> Scenario:
    """Return a scenario, with the flags of the service by name with underscores."""
    service = Service.parse({flag.replace("_", "-"): text for flag, text in flags.items()})
    return Scenario(name, summary, Delay.parse(delay), service, duration_s, 2.0, objective_ms)


SCENARIOS = (
    _scenario("steady", "Serves everything at once: the more in flight, the better."),
    _scenario(
        "heavy-tail",
        "Serves 50 at a time; one request in a hundred takes over seven times the median.",
        delay="lognormal:median=120,p99=900",
        duration_s=12.0,
        objective_ms=500.0,
        capacity="50",
    ),
    _scenario(
        "capacity", "Serves 50 at a time: more in flight only wait in its queue.", capacity="50"
    ),
    _scenario(
        "retrograde",
        "Slows down with each request in service: beyond 44 at a time, throughput falls.",
        objective_ms=700.0,
        slowdown="0.02,0.0005",
    ),
    _scenario(
        "partner",
        "Accepts 200 requests per second, and refuses all others with 429.",
        rate_limit="200",
    ),
    # 50 in flight take 250 ms each at a capacity of 20. With an objective of more than that, they
    # would be good enough all the time, and nobody would have to adapt.
    _scenario(
        "steps",
        "Serves 50 at a time, from the tenth second on 20, and from the twentieth on 50 again.",
        duration_s=30.0,
        objective_ms=180.0,
        capacity="50@0,20@10,50@20",
    ),
    _scenario(
        "stalls",
        "Serves 50 at a time, and stands still for 1.4 s every 10 s.",
        duration_s=22.0,
        capacity="50",
        stall="10:1.4",
    ),
    _scenario(
        "faults",
        "Serves 50 at a time; one request in a hundred fails, whatever the load.",
        capacity="50",
        fault_share="500@0.5,reset@0.5",
    ),
)
"""All scenarios. With five entrants they take less than ten minutes."""


def find_scenario(name: str) -> Scenario:
    """Return the scenario of a name. Raises LookupError, with the name that may have been meant."""
    for scenario in SCENARIOS:
        if scenario.name == name:
            return scenario
    names = [scenario.name for scenario in SCENARIOS]
    near = get_close_matches(name, (*names, ALL), 1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(names)}, {ALL}"
    raise LookupError(f"there is no scenario {name!r}; {hint}")

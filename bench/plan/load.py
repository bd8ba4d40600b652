"""How the requests of a run are spread over time: closed loop or open loop, and for how long. Pure.

In closed loop a request begins when one before it has ended. In open loop it begins when it is due.
"""

import math
from array import array
from dataclasses import dataclass

from bench.plan.rates import ARRIVALS, FIXED, MOST_SECONDS, Rate

OPEN_LOOP_S = 10.0
"""How long a run takes in open loop, unless something else is asked for."""
LEAST_IN_FLIGHT = 100
_MOST_PER_S = 60_000
"""More requests per second than any crawler makes on one core; the job iterator of a run with a
duration has that many ready."""
_SHARE_BEYOND = 2.0
_WAVES_BEYOND = 20


@dataclass(frozen=True, slots=True)
class Load:
    """What a run has besides its cell's concurrency."""

    rate: Rate | None = None
    """None in closed loop."""
    arrivals: str = FIXED
    """One of bench.plan.rates.ARRIVALS."""
    duration_s: float = 0.0
    """After how long no further request begins; 0 if the number of requests decides."""
    warm_up_s: float = 0.0
    """How long requests do not count."""

    @property
    def is_open(self) -> bool:
        """Whether requests begin when they are due, whatever happened to those before them."""
        return self.rate is not None

    @property
    def ends_by_time(self) -> bool:
        """Whether the number of requests is only known when the time is over."""
        return bool(self.duration_s) and not self.is_open

    def due_after_ns(self, seed: int, requests: int) -> "array[int]":
        """Return when each request is due, in ns after the first; empty in closed loop."""
        if self.rate is None:
            return array("q")
        return self.rate.due_after_ns(self.arrivals, seed ^ _SEED_OF_ARRIVALS, requests)

    def requests(self, seed: int) -> int:
        """Return how many requests are due within the duration, in open loop."""
        assert self.rate is not None
        span_s = self.duration_s or OPEN_LOOP_S
        return self.rate.requests_within(span_s, self.arrivals, seed ^ _SEED_OF_ARRIVALS)

    def check(self) -> None:
        """Raise ValueError for values that cannot have been asked for."""
        if self.rate is not None:
            self.rate.check()
        if self.arrivals not in ARRIVALS:
            raise ValueError(f"it asks for arrivals {self.arrivals!r}")
        for name, value in (("duration", self.duration_s), ("warm-up", self.warm_up_s)):
            if not 0 <= value <= MOST_SECONDS:
                raise ValueError(f"it asks for a {name} of {value} s")
        if self.duration_s and self.warm_up_s >= self.duration_s:
            raise ValueError(
                f"it asks for a warm-up of {self.warm_up_s:g} s, which is all the time"
            )


CLOSED = Load()
_SEED_OF_ARRIVALS = 0x0A881BA15
"""Arrivals and delays have generators of their own."""
SEED_OF_SIZES = 0x512E5
SEED_OF_BODIES = 0xB0D1E5


def most_requests(concurrency: int, mean_us: float, duration_s: float, *, may_refuse: bool) -> int:
    """Return a number of requests that no crawler makes within a duration, in closed loop."""
    most = _MOST_PER_S * duration_s
    if mean_us and not may_refuse:  # a refusal takes no time
        ideal = concurrency * duration_s * 1e6 / mean_us
        most = min(most, _SHARE_BEYOND * ideal + _WAVES_BEYOND * concurrency)
    return max(1, math.ceil(most))


def most_in_flight(rate: Rate, mean_us: float) -> int:
    """Return how many requests may be in flight in open loop, unless a concurrency is asked for."""
    return max(LEAST_IN_FLIGHT, math.ceil(4 * rate.most_per_s * mean_us / 1e6))

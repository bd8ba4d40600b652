"""Seeded delay models: how long each request of a run asks the server to wait. Pure."""

import math
import random
from array import array
from dataclasses import dataclass
from typing import Self

from server.request_plan import PlanError, parse_delay_us


@dataclass(frozen=True, slots=True)
class Delay:
    """Uniform from `low_us` to `high_us`, both included, in us; fixed if they are equal."""

    low_us: int
    high_us: int

    @classmethod
    def fixed(cls, delay_us: int) -> Self:
        """The same for all requests."""
        return cls(delay_us, delay_us)

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ms as people write them: `100`, or `20-200`. Raises PlanError."""
        low, dash, high = text.partition("-")
        if dash and not (low and high):
            raise PlanError(f"delay is {text!r}: milliseconds, as in 100, or a range, as in 20-200")
        low_us = parse_delay_us(low)
        high_us = parse_delay_us(high) if dash else low_us
        if high_us < low_us:
            raise PlanError(f"delay is {text!r}: from the smaller to the larger, as in 20-200")
        return cls(low_us, high_us)

    @property
    def mean_us(self) -> float:
        """The expected delay."""
        return (self.low_us + self.high_us) / 2

    def quantile_us(self, q: float) -> int:
        """The smallest delay that at least a share q of all does not exceed."""
        values = self.high_us - self.low_us + 1
        return self.low_us + max(0, math.ceil(q * values - 1e-9) - 1)

    def drawn(self, seed: int, requests: int) -> "array[int]":
        """Of a run, in us, in the order of seq; a longer run begins like a shorter one."""
        if self.low_us == self.high_us:
            return array("I", [self.low_us]) * requests
        # random() alone is promised to give the same numbers in every version of Python.
        draw = random.Random(seed).random  # noqa: S311 - not for secrets
        values = self.high_us - self.low_us + 1
        return array("I", (self.low_us + int(draw() * values) for _ in range(requests)))

    def __str__(self) -> str:
        low = f"{self.low_us / 1000:g}"
        return f"{low} ms" if self.low_us == self.high_us else f"{low}-{self.high_us / 1000:g} ms"

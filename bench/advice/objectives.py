"""Objectives such as `p99<=500` that a concurrency has to keep. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

from bench.analysis.thresholds import METRICS, Threshold, ThresholdError

RATE = "rate"
KNOWN = ("p50", "p90", "p99", "errors", "refused", RATE)
"""The metrics that a time box has in closed loop. RATE must be at least a value, and all others at
most."""


_METRIC = re.compile(r"\s*([a-z0-9_.]+)\s*[<>]", re.ASCII)


class ObjectiveError(ValueError):
    """A text that is no objective; the text of the error names it, the cause and the fix."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A condition on a metric of a time box. What meets it is kept."""

    condition: Threshold

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the objective that a text such as `p99<=500` describes. Raises ObjectiveError."""
        named = _METRIC.match(text)
        if named is not None and named[1] in METRICS and named[1] not in KNOWN:
            raise ObjectiveError(
                f"{text!r}: {named[1]} needs {METRICS[named[1]].needs}, and advice is about a "
                f"closed loop: use {', '.join(KNOWN)}"
            )
        if named is None or named[1] not in METRICS:
            raise ObjectiveError(
                f"{text!r} is not an objective: write one of {', '.join(KNOWN)} with a value, as "
                "in 'p99<=500', 'errors<=0.1%' or 'rate>=900'"
            )
        try:
            condition = Threshold.parse(text)
        except ThresholdError as error:
            raise ObjectiveError(str(error)) from None
        is_least = condition.operator.startswith(">")
        if is_least != (condition.metric == RATE):
            bound = "least" if condition.metric == RATE else "most"
            sign = ">=" if condition.metric == RATE else "<="
            raise ObjectiveError(
                f"{text!r}: {condition.metric} should be at {bound} a value: write "
                f"{condition.metric}{sign} and the value"
            )
        return cls(condition)

    @property
    def metric(self) -> str:
        """The metric, one of KNOWN."""
        return self.condition.metric

    @property
    def name(self) -> str:
        """The objective as it is printed: `p99 <= 500 ms`."""
        return self.condition.name

    def missed_by(self, values: Mapping[str, float | None]) -> str:
        """Return `p99 is 612.0 ms`, or "" if the metrics meet the condition.

        A metric that is not known does not.
        """
        value = values[self.metric]
        if value is None:
            return f"{self.metric} is not known"
        if self.condition.is_crossed_by(value):
            return ""
        return f"{self.metric} is {self.condition.format(value)}"


def bounds_times(objectives: Iterable[Objective]) -> bool:
    """Return whether one of the objectives bounds the times of requests."""
    return any(one.condition.unit == "ms" for one in objectives)

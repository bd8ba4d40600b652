"""Objectives such as `p99<=500` that a concurrency has to keep. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from bench.analysis.thresholds import METRICS, Threshold, ThresholdError

RATE = "rate"
KNOWN = ("p50", "p90", "p99", "errors", "refused", RATE)
"""The metrics that a time box has in closed loop. RATE must be at least a value, and all others at
most."""


class ObjectiveError(ValueError):
    """A text that is no objective; the text of the error names it, the cause and the fix."""


@dataclass(frozen=True, slots=True)
class Objective:
    """A condition on a metric of a time box. What meets it is kept."""

    condition: Threshold

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the objective that a text such as `p99<=500` describes. Raises ObjectiveError."""
        try:
            condition = Threshold.parse(text)
        except ThresholdError as error:
            said = str(error).replace("is not a threshold", "is not an objective")
            raise ObjectiveError(said) from None
        if condition.metric not in KNOWN:
            raise ObjectiveError(
                f"{text!r}: {condition.metric} needs {METRICS[condition.metric].needs}, and advice "
                f"is about a closed loop: use {', '.join(KNOWN)}"
            )
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

    def is_kept_by(self, values: Mapping[str, float | None]) -> bool:
        """Return whether the metrics meet the condition. One that is not known does not."""
        value = values[self.metric]
        return value is not None and self.condition.is_crossed_by(value)

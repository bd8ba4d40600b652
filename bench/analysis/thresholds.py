"""Thresholds such as `p99>500` that a run or a sweep must not cross. Pure."""

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from bench.analysis.cells import CellSummary
from bench.analysis.quantiles import BEYOND
from bench.analysis.summary import RunSummary

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}
_UNITS = {"ms": {"": 1.0, "ms": 1.0, "s": 1000.0}, "%": {"%": 1.0}, "/s": {"": 1.0, "/s": 1.0}}
"""How values are written, by the unit of a metric, with the factor to that unit."""
_MOST_DIGITS = 9


class ThresholdError(ValueError):
    """A text that is no threshold; the text of the error names it, the cause and the fix."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A number of a run that can have a threshold."""

    attribute: str
    """The attribute of bench.analysis.summary.RunSummary."""
    unit: str
    """`ms` of an attribute in ns, `%` of a number of requests, or `/s`."""
    needs: str = ""
    """What a run needs for this number to be known."""

    def of(self, summary: RunSummary) -> float | None:
        """Return the number in the metric's unit; None if it is not known in this run."""
        value: Any = getattr(summary, self.attribute)
        if value is None:
            return None
        if self.unit == "%":
            count = sum(value.values()) if isinstance(value, dict) else value
            return 100.0 * min(1.0, count / max(1, summary.requests))
        return value / 1e6 if self.unit == "ms" else float(value)


_ENOUGH = f"at least {100 * BEYOND:,} good requests"
METRICS = {
    "p50": Metric("p50_ns", "ms", "a good request"),
    "p90": Metric("p90_ns", "ms", "a good request"),
    "p99": Metric("p99_ns", "ms", _ENOUGH),
    "response_p50": Metric("response_p50_ns", "ms", "open loop (--rate)"),
    "response_p90": Metric("response_p90_ns", "ms", "open loop (--rate)"),
    "response_p99": Metric("response_p99_ns", "ms", f"open loop (--rate) and {_ENOUGH}"),
    "response_p99.9": Metric(
        "response_p999_ns",
        "ms",
        f"open loop (--rate) and at least {1000 * BEYOND:,} good requests",
    ),
    "send_lag_p99": Metric("send_lag_p99_ns", "ms", "open loop (--rate)"),
    "errors": Metric("errors", "%"),
    "refused": Metric("refused", "%", "the ledger of a crawlbench server"),
    "rate": Metric("requests_per_s", "/s"),
}
_SHAPE = re.compile(r"\s*([A-Za-z0-9_.]+)\s*(>=|<=|>|<)\s*([0-9.]+)\s*(\S*)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Threshold:
    """A condition on a metric. What meets it fails."""

    metric: str
    operator: str
    limit: float
    """In the unit of the metric."""

    @classmethod
    def parse(cls, text: str) -> "Threshold":
        """Return the threshold that a text such as `p99>500` or `errors > 0.1%` describes."""
        shape = _SHAPE.fullmatch(text)
        if shape is None:
            raise ThresholdError(
                f"{text!r} is not a threshold: write a metric, one of > >= < <=, and a value, as "
                "in 'p99>500' or 'errors>0.1%'"
            )
        name, sign, number, unit = shape.groups()
        if name not in METRICS:
            raise ThresholdError(f"{text!r}: there is no metric {name!r}: use {', '.join(METRICS)}")
        units = _UNITS[METRICS[name].unit]
        try:
            value = float(number)
        except ValueError:
            raise ThresholdError(f"{text!r}: {number!r} is not a number") from None
        if unit not in units and not (unit == "" and value == 0):
            raise ThresholdError(
                f"{text!r}: {name} is {_IN[METRICS[name].unit]}, as in "
                f"{name + sign + number + METRICS[name].unit!r}"
            )
        limit = value * units.get(unit, 1.0)
        if not math.isfinite(limit) or (METRICS[name].unit == "%" and limit > 100):
            raise ThresholdError(f"{text!r}: {number}{unit} is more than {name} can be")
        return cls(name, sign, limit)

    def is_crossed_by(self, value: float) -> bool:
        """Return whether a value, in the unit of the metric, meets the condition."""
        return _OPERATORS[self.operator](value, self.limit)

    @property
    def unit(self) -> str:
        """The unit of the metric."""
        return METRICS[self.metric].unit

    @property
    def name(self) -> str:
        """The threshold as it is printed: `p99 > 500 ms`."""
        return f"{self.metric} {self.operator} {self.limit:.10g}{_space(self.unit)}"

    def format(self, value: float) -> str:
        """Return a value with its unit, with as many digits as show on which side it is."""
        for digits in range(1 + (self.unit == "%"), _MOST_DIGITS):
            text = f"{value:.{digits}f}"
            if self.is_crossed_by(float(text)) == self.is_crossed_by(value):
                break
        return f"{text}{_space(self.unit)}"


_IN = {
    "ms": "a time in ms (or s)",
    "%": "a share of the requests in percent",
    "/s": "a number of requests per second, without a unit",
}


def _space(unit: str) -> str:
    return unit if unit.startswith("/") else f" {unit}"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a cell has of a metric: the median over its trials, or None if no trial knows it."""

    cell: str
    """The name of the cell, as in `asyncio, C=100`."""
    value: float | None
    lacks: str = ""
    """What the cell needs for a value that is not known."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A threshold with what was measured in each cell."""

    threshold: Threshold
    measured: tuple[Measured, ...]

    @property
    def failing(self) -> tuple[Measured, ...]:
        """The cells that cross the threshold or whose value is not known, the farthest first.

        A threshold that cannot be evaluated fails, so that a typing mistake cannot hide a fault.
        """
        crossing = [
            one
            for one in self.measured
            if one.value is None or self.threshold.is_crossed_by(one.value)
        ]
        return tuple(sorted(crossing, key=self._rank, reverse=True))

    @property
    def has_failed(self) -> bool:
        """Whether a cell fails, or nothing was measured."""
        return bool(self.failing) or not self.measured

    @property
    def nearest(self) -> Measured | None:
        """The cell that is farthest on the failing side, or nearest to it."""
        return max(self.measured, key=self._rank, default=None)

    def _rank(self, one: Measured) -> tuple[bool, float]:
        sign = 1 if self.threshold.operator.startswith(">") else -1
        return one.value is not None, sign * (one.value or 0.0)


def _lacking(metric: Metric, cell: CellSummary) -> str:
    needs = metric.needs or "a run with results"
    if cell.cell.rate is not None:
        needs = needs.removeprefix("open loop (--rate) and ")
    good = cell.median_of("good")
    has = f" and has {good:,.0f}" if good is not None and needs.endswith("requests") else ""
    return needs + has


def judge_thresholds(
    thresholds: Sequence[Threshold], cells: Sequence[CellSummary], names: Sequence[str]
) -> tuple[Judged, ...]:
    """Return each threshold with what every cell has of it. `names` are those of the cells."""
    found = []
    for threshold in thresholds:
        metric = METRICS[threshold.metric]
        measured = []
        for cell, name in zip(cells, names, strict=True):
            values = [metric.of(summary) for summary in cell.measured]
            known = [value for value in values if value is not None]
            value = median(known) if known else None
            measured.append(Measured(name, value, "" if known else _lacking(metric, cell)))
        found.append(Judged(threshold, tuple(measured)))
    return tuple(found)

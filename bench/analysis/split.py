"""Splits the time of each request into parts, on the clock that both ends share. Pure."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.analysis.join import Join
from bench.analysis.quantiles import quantile, tail_quantile
from bench.results.columns import IntColumns
from server.ledger import ANSWERED

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of each matched request, in ns. They add up to its service time."""

    seq: "NDArray[np.int64]"
    to_server: "NDArray[np.int64]"
    """Client, network and the server's queue: from the start to the end of parsing the request."""
    service_wait: "NDArray[np.int64]"
    """Wait in the service's queue: from the arrival until the service had a place for it."""
    delay: "NDArray[np.int64]"
    """From then until the response was due: the delay asked for, unless the service slowed down or
    stood still."""
    late: "NDArray[np.int64]"
    """Lateness of the server: from when it was due to the first byte of the response."""
    back: "NDArray[np.int64]"
    """Network and client: from the first byte of the response to the last byte read."""
    is_first: "NDArray[np.bool_]"
    """Whether it was the first on its connection; `to_server` then includes opening it."""
    asked_delay: "NDArray[np.int64]"
    """The delay that it asked for. It is no part of its own."""

    @classmethod
    def of(cls, join: Join, is_good: "NDArray[np.bool_]") -> Self:
        """Split the good fetches that were answered. `is_good` has a value for each fetch."""
        fetches, arrivals = join.fetches, join.arrivals
        is_matched = is_good & (join.replied_ns > 0)
        rows = join.arrival_of[is_matched]
        start, end = fetches["start_ns"][is_matched], fetches["end_ns"][is_matched]
        arrived, begin, due, replied = (
            arrivals[name][rows] for name in ("arrived_ns", "begin_ns", "due_ns", "replied_ns")
        )
        return cls(
            seq=fetches["seq"][is_matched],
            to_server=arrived - start,
            service_wait=begin - arrived,
            delay=due - begin,
            late=replied - due,
            back=end - replied,
            is_first=join.is_first_on_connection[rows],
            asked_delay=arrivals["delay_us"][rows] * 1000,
        )

    def from_arrival(self) -> Self:
        """Return the parts of the same requests as if their clocks had started at the server."""
        return replace(self, to_server=np.zeros_like(self.to_server))


@dataclass(frozen=True, slots=True)
class Part:
    """Quantiles of one part, in ns. p99 is None if there are too few requests."""

    p50_ns: int
    p99_ns: int | None

    @classmethod
    def of(cls, values: "NDArray[np.int64]") -> Self:
        """Compute the quantiles of at least one value."""
        ordered = np.sort(values)
        return cls(quantile(ordered, 0.5), tail_quantile(ordered, 0.99))


@dataclass(frozen=True, slots=True)
class SplitSummary:
    """Quantiles of all parts. Medians of parts do not add up to the median of the service time."""

    to_server: Part
    service_wait: Part
    delay: Part
    late: Part
    back: Part

    @classmethod
    def of(cls, split: Split) -> Self | None:
        """Compute the quantiles of all parts. Returns None if no request was matched."""
        if not len(split.seq):
            return None
        return cls(
            Part.of(split.to_server),
            Part.of(split.service_wait),
            Part.of(split.delay),
            Part.of(split.late),
            Part.of(split.back),
        )


def answered_of(arrivals: IntColumns) -> IntColumns:
    """Return the arrivals that the server answered, without those that it refused."""
    is_answered = arrivals["outcome"] == ANSWERED
    return {name: column[is_answered] for name, column in arrivals.items()}

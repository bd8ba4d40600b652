"""How many requests a run may have in flight at each time. Pure.

That is the number of its slots, unless its crawler adapts: then it is what the crawler recorded.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.results.columns import IntColumns
from crawlers.contract import LIMIT_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_LIMITS: IntColumns = {name: np.empty(0, dtype=np.int64) for name in LIMIT_COLUMNS}

CAP_SLACK = 0.97
"""A plateau above this share of the limit is no cap."""

_DECISION_NS = 3_000_000
"""A crawler decides to start a request a little before it reads the clock, and its limit may fall
in between. The send lag of honest crawlers is below this, too."""


@dataclass(frozen=True, slots=True)
class Limits:
    """A step function over time: `most[i]` holds until `change_ns[i]`, and `most[-1]` after all."""

    change_ns: "NDArray[np.int64]"
    most: "NDArray[np.int64]"

    @classmethod
    def of(cls, columns: IntColumns, slots: int) -> Self:
        """Return the recorded limits, none above the slots; without any, the slots at all times.

        Nothing may be in flight before the first limit.
        """
        if not len(columns["most"]):
            return cls(columns["at_ns"], np.array([slots]))
        return cls(columns["at_ns"], np.append(0, np.minimum(columns["most"], slots)))

    @property
    def is_constant(self) -> bool:
        """Whether it is the number of slots at all times."""
        return not len(self.change_ns)

    @property
    def peak(self) -> int:
        """The highest limit."""
        return int(self.most.max())

    def at(self, instant_ns: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """Return the limit at each instant."""
        return self.most[np.searchsorted(self.change_ns, instant_ns, side="right")]

    def highest_cap_at(self, instant_ns: "NDArray[np.int64]") -> "NDArray[np.float64]":
        """Return the most that is clearly below the limit at each instant."""
        limit = self.at(instant_ns)
        highest: NDArray[np.float64] = np.minimum(CAP_SLACK * limit, limit - 1)
        return highest

    def mean(self, from_ns: int, to_ns: int) -> float:
        """Return the mean limit over a span of time that is not empty."""
        if self.is_constant:
            return float(self.most[0])
        edges = np.clip(self.change_ns, from_ns, to_ns)
        spans = np.diff(np.concatenate([[from_ns], edges, [to_ns]]))
        return float(np.average(self.most, weights=spans))

    def beyond(self, start_ns: "NDArray[np.int64]", end_ns: "NDArray[np.int64]") -> int:
        """Count the requests that were started although that made them more than the limit.

        A limit that falls ends no request, so that more may be in flight for a while; but none may
        be started then. The highest limit of the last 3 ms counts.
        """
        starts = np.sort(start_ns)
        in_flight = np.arange(1, len(starts) + 1)
        in_flight -= np.searchsorted(np.sort(end_ns), starts, side="right")
        return int((in_flight > self._highest(starts - _DECISION_NS, starts)).sum())

    def _highest(
        self, from_ns: "NDArray[np.int64]", to_ns: "NDArray[np.int64]"
    ) -> "NDArray[np.int64]":
        """Return the highest limit in each span of time, its ends included."""
        first, last = (
            np.searchsorted(self.change_ns, one, side="right") for one in (from_ns, to_ns)
        )
        spans = np.column_stack([first, last + 1]).ravel()
        # Every other one is a gap between two spans. The last span may reach beyond the last limit.
        return np.maximum.reduceat(np.append(self.most, 0), spans)[::2]

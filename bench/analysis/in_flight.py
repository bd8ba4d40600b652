"""Computes how many requests were in flight: mean, peak and plateau. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.analysis.limits import Limits
from bench.results.columns import IntColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SELDOM = 0.01
"""Share of the time for which a plateau may be exceeded."""


@dataclass(frozen=True, slots=True)
class Plateau:
    """The level that is exceeded for at most 1 % of the time, and the share of time spent at it.

    Of a crawler that adapts, the share is that of the time in which its limit was clearly higher.
    """

    level: int
    share: float


@dataclass(frozen=True, slots=True)
class Levels:
    """A step function over time: `level[i]` lasts from `instant_ns[i]` to `instant_ns[i + 1]`."""

    instant_ns: "NDArray[np.int64]"
    level: "NDArray[np.int64]"

    @classmethod
    def of(cls, starts_ns: "NDArray[np.int64]", ends_ns: "NDArray[np.int64]") -> Self:
        """Count at least one span. Each includes its start and excludes its end.

        Spans of length 0 are ignored; if all are, each counts as one nanosecond.
        """
        has_length = ends_ns > starts_ns
        if not has_length.any():
            ends_ns = starts_ns + 1
        elif not has_length.all():
            starts_ns, ends_ns = starts_ns[has_length], ends_ns[has_length]
        # At the same instant, ends come before starts, because a slot is free before it is taken.
        # With the kind of event in the lowest bit, a single sort is enough.
        events = np.sort(np.concatenate([starts_ns * 2 + 1, ends_ns * 2]))
        return cls(events >> 1, np.cumsum((events & 1) * 2 - 1))

    @classmethod
    def at_server(cls, arrivals: IntColumns) -> Self | None:
        """Count requests at the server, from arrival to reply; None if nothing arrived."""
        arrived = arrivals["arrived_ns"]
        if not len(arrived):
            return None
        replied = arrivals["replied_ns"]
        last_ns = max(arrived.max(), replied.max())
        return cls.of(arrived, np.where(replied > 0, replied, last_ns))

    @property
    def peak(self) -> int:
        """The highest level."""
        return int(self.level.max())

    @property
    def mean(self) -> float:
        """The mean level over time, from the first start to the last end."""
        spans = np.diff(self.instant_ns)
        return float((self.level[:-1] * spans).sum() / max(1, spans.sum()))

    def share_above(self, limit: int) -> float:
        """Return the share of the time with a level above `limit`."""
        spans = np.diff(self.instant_ns)
        return float(spans[self.level[:-1] > limit].sum() / max(1, spans.sum()))

    def plateau(self, from_ns: int, to_ns: int, limits: Limits) -> Plateau | None:
        """Return the plateau between two times, or None if the window is empty."""
        spans = np.diff(np.clip(self.instant_ns, from_ns, to_ns))
        whole = int(spans.sum())
        if whole <= 0:
            return None
        time_at = np.bincount(self.level[:-1], weights=spans) / whole
        time_above = 1 - np.cumsum(time_at)
        level = int(np.argmax(time_above <= _SELDOM))
        if limits.is_constant:
            return Plateau(level, float(time_at[level]))
        is_held = self.level[:-1] == level
        is_held &= level <= limits.highest_cap_at(self.instant_ns[:-1])
        return Plateau(level, float(spans[is_held].sum() / whole))


def steady_plateau(
    levels: Levels, begins_ns: "NDArray[np.int64]", limits: Limits
) -> Plateau | None:
    """Return the plateau between the first wave of requests and the start of the last request.

    The first wave is left out because a burst at the start may reach the asked concurrency and hide
    a cap. After the last start there is nothing left to send. Returns None if nothing is in
    between.
    """
    if not len(begins_ns):
        return None
    ordered = np.sort(begins_ns)
    wave = int(limits.at(ordered[:1])[0])
    if len(ordered) <= 2 * wave:
        return None
    return levels.plateau(int(ordered[wave]), int(ordered[-1]), limits)


@dataclass(frozen=True, slots=True)
class InFlight:
    """Requests in flight at the server, from arrival to reply."""

    mean: float
    peak: int
    plateau: Plateau | None

    @classmethod
    def of(cls, arrivals: IntColumns, limits: Limits) -> Self:
        """Compute them from the complete ledger of a run."""
        levels = Levels.at_server(arrivals)
        if levels is None:
            return cls(0.0, 0, None)
        plateau = steady_plateau(levels, arrivals["arrived_ns"], limits)
        return cls(levels.mean, levels.peak, plateau)

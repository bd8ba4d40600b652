"""Which concurrency to use, by what was measured. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

ENOUGH = 0.95
"""A concurrency is enough if it has this share of the best goodput; the knee of a sweep is defined
by the same share."""
SAME_TIME = 1.1
"""A concurrency is as good as the recommended one if its requests take at most this many times as
long in the mean, unless objectives say what is good."""
SAME_FAILED = 0.01
"""... and if its share of requests that fail or are refused is larger by at most this."""
_ERRORS = 2.0
"""Points are as good as the best one if they are within this many standard errors of it."""


class Measured(Protocol):
    """What a decision needs of a point."""

    @property
    def concurrency(self) -> int:
        """The concurrency."""

    @property
    def good_per_s(self) -> float:
        """The goodput."""

    @property
    def error_per_s(self) -> float:
        """The standard error of the goodput."""

    @property
    def mean_ns(self) -> float:
        """The mean time of a request."""

    @property
    def failed_share(self) -> float:
        """The share of requests that were not good."""

    @property
    def is_kept(self) -> bool:
        """Whether the objectives are kept, but for those of a rate."""

    @property
    def has_rate(self) -> bool:
        """Whether the objectives of a rate are kept."""


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The answer for one crawler."""

    concurrency: int
    """The smallest concurrency that has ENOUGH of the best goodput and meets the objectives."""
    low: int
    high: int
    """The smallest and the largest measured concurrency that are as good."""
    best_per_s: float
    """The best goodput of those that meet the objectives."""


def kept(points: Mapping[int, Measured]) -> list[Measured]:
    """Return the points that meet the objectives up to the first that does not, in order.

    Beyond that, a point that keeps them does so by accident.
    """
    found = []
    for at in sorted(points):
        if not points[at].is_kept:
            break
        found.append(points[at])
    return found


def best_per_s(points: Mapping[int, Measured]) -> float:
    """Return the best goodput of those that meet the objectives; 0 if none does.

    The maximum of several noisy values is too high. The mean of those that cannot be told from it
    is not.
    """
    candidates = kept(points)
    if not candidates:
        return 0.0
    top = max(candidates, key=lambda point: point.good_per_s)
    least = top.good_per_s - _ERRORS * top.error_per_s
    alike = [point.good_per_s for point in candidates if point.good_per_s >= least]
    return sum(alike) / len(alike)


def recommend(points: Mapping[int, Measured], *, bounds_times: bool) -> Recommendation | None:
    """Return the answer, or None if no point meets the objectives with a good request."""
    best = best_per_s(points)
    candidates = kept(points)
    enough = (one for one in candidates if one.good_per_s >= ENOUGH * best > 0 and one.has_rate)
    chosen = next(enough, None)
    if chosen is None:
        return None
    low = high = chosen.concurrency
    for point in reversed([one for one in candidates if one.concurrency < low]):
        if not is_as_good(point, chosen, bounds_times=bounds_times):
            break
        low = point.concurrency
    for point in [one for one in candidates if one.concurrency > high]:
        if not is_as_good(point, chosen, bounds_times=bounds_times):
            break
        high = point.concurrency
    return Recommendation(chosen.concurrency, low, high, best)


def is_as_good(point: Measured, chosen: Measured, *, bounds_times: bool) -> bool:
    """Return whether a point is as good as the recommended one.

    It has ENOUGH of its goodput within one standard error, meets the objectives, and no more of its
    requests fail. Unless an objective bounds their times (`bounds_times`), they do not take much
    longer, either.
    """
    if not (point.is_kept and point.has_rate):
        return False
    if point.good_per_s + point.error_per_s < ENOUGH * chosen.good_per_s:
        return False
    if point.failed_share > chosen.failed_share + SAME_FAILED:
        return False
    return bounds_times or point.mean_ns <= SAME_TIME * chosen.mean_ns

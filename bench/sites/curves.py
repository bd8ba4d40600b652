"""Numbers of a run over time, in few points, for figures. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.in_flight import Levels

if TYPE_CHECKING:
    from numpy.typing import NDArray

POINTS = 200
"""How many points a curve has at most."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Numbers over time, each valid until the next; at most POINTS + 1."""

    at_s: tuple[float, ...] = ()
    """Seconds since the first fetch was started."""
    values: tuple[float, ...] = ()


def counted(instants_ns: "NDArray[np.int64]", span_ns: int) -> Curve:
    """Return how many of the instants had passed, from 0 to the end of the span."""
    at_ns = _instants(span_ns)
    counts = np.searchsorted(np.sort(instants_ns), at_ns, "right")
    return _curve(at_ns, counts)


def difference(more: Curve, less: Curve) -> Curve:
    """Return one curve less another one of the same instants."""
    pairs = zip(more.values, less.values, strict=True)
    return Curve(more.at_s, tuple(one - other for one, other in pairs))


def sampled(at_ns: "NDArray[np.int64]", values: "NDArray[np.int64]") -> Curve:
    """Return samples in the order of time; of too many, the largest of each group."""
    if not len(at_ns):
        return Curve()
    every = -(-len(at_ns) // POINTS)
    firsts = np.arange(0, len(at_ns), every)
    return _curve(at_ns[firsts], np.maximum.reduceat(values, firsts))


def most_at_once(
    starts_ns: "NDArray[np.int64]", ends_ns: "NDArray[np.int64]", span_ns: int
) -> Curve:
    """Return the highest number of spans at a time in each interval from 0 to the end."""
    at_ns = _instants(span_ns)
    if not len(starts_ns):
        return Curve()
    levels = Levels.of(starts_ns, ends_ns)
    # The level at the begin of each interval, or a higher one within it.
    begin = np.searchsorted(levels.instant_ns, at_ns, "right") - 1
    most = np.where(begin >= 0, levels.level[begin], 0)
    interval = np.searchsorted(at_ns, levels.instant_ns, "right") - 1
    np.maximum.at(most, np.clip(interval, 0, len(at_ns) - 1), levels.level)
    return _curve(at_ns, most)


def _instants(span_ns: int) -> "NDArray[np.int64]":
    return np.linspace(0, max(span_ns, 1), POINTS + 1).astype(np.int64)


def _curve(at_ns: "NDArray[np.int64]", values: "NDArray[np.int64]") -> Curve:
    return Curve(tuple((at_ns / 1e9).tolist()), tuple(map(float, values.tolist())))

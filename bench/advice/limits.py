"""What limits a crawler beyond the recommended concurrency. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from bench.advice.points import Point
from bench.advice.recommendation import Recommendation
from bench.analysis.bottleneck import NOT_KNOWN

MOST, OBJECTIVE, SERVER, UNFINISHED = "--most", "objective", "server", "unfinished"
"""Words beside those of bench.analysis.bottleneck: the goodput still grows at the largest
concurrency that was tried; it still grows where an objective is missed; a server of others, of
which nothing more is known, answers more slowly; or the search did not come to its end."""
CAP = "cap"
"""The word of bench.analysis.bottleneck for a crawler that makes no more at a time."""
_SATURATED = 0.9
"""A point is saturated if its goodput is below this share of what it would be in proportion to its
concurrency."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What limits: one word, the concurrency at which it shows, and the evidence."""

    word: str
    concurrency: int
    evidence: str


def limit_of(points: Mapping[int, Point], answer: Recommendation | None, most: int) -> Limit:
    """Return what limits a crawler; without an answer, an objective or what the first run says."""
    missed = next((at for at in points if not points[at].is_kept), None)
    if answer is None:
        if missed is None:  # then a rate is missed, which the best goodput comes nearest to
            best = max(points, key=lambda at: points[at].good_per_s, default=None)
            missed = best if best is not None and not points[best].has_rate else None
        if missed is not None:
            return _objective(points[missed])
        first = next(iter(points.values()), None)
        return Limit(first.limit.word, first.concurrency, first.limit.evidence) if first else _NONE
    chosen = points[answer.concurrency]
    saturated = [
        point
        for at, point in points.items()
        if at > answer.concurrency
        and (missed is None or at < missed)
        and point.good_per_s < _SATURATED * chosen.good_per_s * at / chosen.concurrency
    ]
    if saturated:
        # Next to the knee, noise may look like another limit than further on.
        word = Counter(point.limit.word for point in saturated).most_common(1)[0][0]
        first = next(point for point in saturated if point.limit.word == word)
        word = SERVER if word == NOT_KNOWN else word
        return Limit(word, first.concurrency, first.limit.evidence)
    if missed is not None:
        return _objective(points[missed])
    last = max(points)
    if last < most:
        return Limit(CAP, last, f"the crawler makes at most {last:,} at a time")
    tried = f"the throughput still grows at {last:,} at a time, the most that was tried"
    return Limit(MOST, last, f"{tried} (--most {most:,})")


def _objective(point: Point) -> Limit:
    return Limit(OBJECTIVE, point.concurrency, "; ".join((*point.missed, *point.missed_rate)))


_NONE = Limit(NOT_KNOWN, 0, "nothing was measured")

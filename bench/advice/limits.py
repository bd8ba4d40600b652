"""What limits a crawler beyond the recommended concurrency. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.advice.objectives import Objective
from bench.advice.points import Point
from bench.advice.recommendation import Recommendation
from bench.analysis.bottleneck import NOT_KNOWN

MOST, OBJECTIVE, SERVER = "most", "objective", "server"
"""Words beside those of bench.analysis.bottleneck: the goodput still grows at the largest
concurrency that was tried; it still grows where an objective is missed; or a server of others, of
which nothing more is known, answers more slowly."""
_SATURATED = 0.9
"""A point is saturated if its goodput is below this share of what it would be in proportion to its
concurrency."""


@dataclass(frozen=True, slots=True)
class Limit:
    """What limits: one word, the concurrency at which it shows, and the evidence."""

    word: str
    concurrency: int
    evidence: str


def limit_of(
    points: Mapping[int, Point],
    answer: Recommendation | None,
    most: int,
    objectives: Sequence[Objective],
) -> Limit:
    """Return what limits a crawler; without an answer, an objective or what the first run says."""
    missed = next((at for at in points if not points[at].is_kept), None)
    missing = ", ".join(objective.name for objective in objectives)
    if answer is None:
        if missed is None:  # then a rate is missed, which the best goodput comes nearest to
            best = max(points, key=lambda at: points[at].good_per_s, default=None)
            missed = best if best is not None and not points[best].has_rate else None
        if missed is not None:
            return Limit(OBJECTIVE, missed, missing)
        first = next(iter(points.values()), None)
        return Limit(first.limit.word, first.concurrency, first.limit.evidence) if first else _NONE
    chosen = points[answer.concurrency]
    for at, point in points.items():
        fair_per_s = chosen.good_per_s * at / chosen.concurrency
        if at > answer.concurrency and point.good_per_s < _SATURATED * fair_per_s:
            if missed is not None and at >= missed:
                break
            word = SERVER if point.limit.word == NOT_KNOWN else point.limit.word
            return Limit(word, at, point.limit.evidence)
    if missed is not None:
        return Limit(OBJECTIVE, missed, missing)
    last = max(points)
    return Limit(MOST, last, f"the goodput still grows at {last:,} at a time; --most {most:,}")


_NONE = Limit(NOT_KNOWN, 0, "nothing was measured")

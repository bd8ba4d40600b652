"""The search for a concurrency: what to measure next, given what was measured. Pure.

Each function is a generator of concurrencies. Its caller measures each one, and adds the point to
`points` before it asks for the next.
"""

import math
from collections.abc import Iterator, Mapping
from itertools import pairwise

from bench.advice.recommendation import (
    ENOUGH,
    SAME_TIME,
    Measured,
    Recommendation,
    best_per_s,
    kept,
    recommend,
)

Points = Mapping[int, Measured]

CLOSE, CLOSE_ABOVE = 1.05, 1.1
"""A bracket is closed when its upper end is at most this many times its lower end. CLOSE_ABOVE is
for the last concurrency that is as good, which is no sharp edge without objectives."""
OWN_GROWTH, OTHER_GROWTH = 4, 2
"""By which factor the concurrency grows first. A server of others is approached with more care."""
MOST_FAILED_SHARE = 0.05
MOST_TIMES_SLOWER = 10.0
"""The search does not load a server of others further when more requests fail than this share, or
when the mean time is this many times that at a concurrency of 1."""
_STILL_GROWS = 1.05
_CLOSE_TO_PEAK = 1.5
_MOST_PROBES = 12
_MIDDLE_EVERY = 4
_CLEARLY_BETTER = 1.02
_NOISE = 4.0
"""A bracket stays open by as many relative standard errors of the best goodput more. Two would be
the noise of one end."""
_INSIDE = 0.98
"""A guess of the last concurrency that is as good is exact for a fixed capacity. Noise decides on
which side of it a point falls, so that a point a little below it is tried."""


def search(points: Points, most: int, *, is_ours: bool, bounds_times: bool) -> Iterator[int]:
    """Yield the concurrencies to measure, up to `most`."""
    yield from _grow(points, most, is_ours=is_ours)
    yield from _last_kept(points)
    yield from _peak(points)
    yield from settle(points, bounds_times=bounds_times)


def settle(points: Points, *, bounds_times: bool) -> Iterator[int]:
    """Yield what closes the brackets around the answer, as far as they are not."""
    yield from _lower_end(points)
    yield from _upper_end(points, bounds_times=bounds_times)


def to_confirm(points: Points, answer: Recommendation) -> tuple[int, ...]:
    """Return the concurrencies that decide about an answer, to be measured again.

    They are the recommended one and the nearest measured ones below and above it; and the one with
    the best goodput, if it is so much better than these that it decides by itself.
    """
    at = answer.concurrency
    below = [one for one in points if one < at]
    above = [one for one in points if one > at]
    chosen = [*([max(below)] if below else []), at, *([min(above)] if above else [])]
    top = max(kept(points), key=lambda point: point.good_per_s)
    if top.good_per_s > _CLEARLY_BETTER * max(points[one].good_per_s for one in chosen):
        chosen.append(top.concurrency)
    return tuple(chosen)


def _grow(points: Points, most: int, *, is_ours: bool) -> Iterator[int]:
    """Grow until more brings nothing, or an objective is missed."""
    at, before = 1, 0
    while True:
        yield at
        point = points.get(at)
        if point is None or at >= most or not point.is_kept or not point.good_per_s:
            return
        if not is_ours and (
            point.failed_share > MOST_FAILED_SHARE
            or point.mean_ns > MOST_TIMES_SLOWER * points[1].mean_ns
        ):
            return
        if before and point.good_per_s < _STILL_GROWS * points[before].good_per_s:
            return
        before, at = at, min(most, at * (OWN_GROWTH if is_ours else OTHER_GROWTH))


def _last_kept(points: Points) -> Iterator[int]:
    """Find the largest concurrency that meets the objectives, if one missed them."""
    for turn in range(_MOST_PROBES):
        missed = [at for at in points if not points[at].is_kept]
        fine = kept(points)
        if not missed or not fine or _is_closed(fine[-1].concurrency, min(missed)):
            return
        yield _between(fine[-1].concurrency, min(missed), math.nan, turn)


def _peak(points: Points) -> Iterator[int]:
    """Narrow the peak down, if the goodput falls after it."""
    for _ in range(_MOST_PROBES):
        fine = kept(points)
        if not fine:
            return
        top = max(range(len(fine)), key=lambda index: fine[index].good_per_s)
        if top + 1 == len(fine) or fine[-1].good_per_s > ENOUGH * fine[top].good_per_s:
            return
        around = [one.concurrency for one in fine[max(0, top - 1) : top + 2]]
        gaps = [(high / low, low, high) for low, high in pairwise(around)]
        ratio, low, high = max(gaps)
        probe = round(math.sqrt(low * high))
        if ratio <= _CLOSE_TO_PEAK + _noise(points) or probe in points:
            return
        yield probe


def _lower_end(points: Points) -> Iterator[int]:
    """Find the smallest concurrency that has enough of the best goodput."""
    for turn in range(_MOST_PROBES):
        # The best goodput may change with each point, and the bracket with it.
        target_per_s = ENOUGH * best_per_s(points)
        enough = [
            one.concurrency
            for one in kept(points)
            if one.good_per_s >= target_per_s > 0 and one.has_rate
        ]
        below = [at for at in points if enough and at < enough[0]]
        close = CLOSE + _noise(points)
        if not below or _is_closed(max(below), enough[0], close):
            return
        low, high = points[max(below)], points[enough[0]]
        # Goodput grows in proportion to the concurrency at most, so that this is too low, or right.
        guess = low.concurrency * target_per_s / max(low.good_per_s, 1e-9)
        if turn % _MIDDLE_EVERY == 1:  # It bends down, so that the chord is right, or too high.
            part = (target_per_s - low.good_per_s) / (high.good_per_s - low.good_per_s)
            guess = low.concurrency + part * (high.concurrency - low.concurrency)
        yield _between(low.concurrency, high.concurrency, guess, turn, close)


def _upper_end(points: Points, *, bounds_times: bool) -> Iterator[int]:
    """Find the largest concurrency that is as good as the recommended one."""
    for turn in range(_MOST_PROBES):
        answer = recommend(points, bounds_times=bounds_times)
        above = [at for at in points if answer is not None and at > answer.high]
        close = (CLOSE if bounds_times else CLOSE_ABOVE) + _noise(points)
        if answer is None or not above or _is_closed(answer.high, min(above), close):
            return
        guess = math.nan
        if not bounds_times:  # by Little's law, with the best goodput
            guess = SAME_TIME * points[answer.concurrency].mean_ns * answer.best_per_s / 1e9
            guess *= _INSIDE
        yield _between(answer.high, min(above), guess, turn, close)


def _noise(points: Points) -> float:
    """Return by how much wider brackets are left open: noise hides where they would close."""
    top = max(kept(points), key=lambda point: point.good_per_s, default=None)
    return _NOISE * top.error_per_s / top.good_per_s if top and top.good_per_s else 0.0


def _is_closed(low: int, high: int, close: float = CLOSE) -> bool:
    return high <= max(low + 1, low * close)


def _between(low: int, high: int, guess: float, turn: int, close: float = CLOSE) -> int:
    """Return where to look between two ends: at the guess, and now and then in the middle.

    A guess near an end is moved so far from it that the bracket is closed if the guess was right.
    """
    middle = at = math.sqrt(low * high)
    if turn % _MIDDLE_EVERY != _MIDDLE_EVERY - 1 and not math.isnan(guess):
        at = min(max(guess, low * close), high / close)
    return min(high - 1, max(low + 1, math.ceil(at) if at > middle else int(at)))

"""What was measured at one concurrency, over all its time boxes. Pure."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev
from typing import TYPE_CHECKING

import numpy as np

from bench.advice.boxes import Box
from bench.advice.objectives import RATE, Objective
from bench.analysis.bottleneck import Bottleneck
from bench.analysis.inference import Interval, mean_interval, quantile_interval
from bench.analysis.quantiles import quantile, tail_quantile
from bench.analysis.validity import Level
from bench.plan.advice import SEARCH

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPEED_NOISE = 0.05
"""By how much runs of the same crawler are taken to differ when its CPU is the limit, as a share.
It is chosen, not derived: with it, brackets of such a crawler close at a quarter. Single runs on a
shared machine with two cores differed by more."""


@dataclass(frozen=True, slots=True)
class Point:
    """One concurrency of one crawler. Rates are in requests/s, of good requests."""

    concurrency: int
    boxes: int
    """How many time boxes there are."""
    is_confirmed: bool
    """Whether one of them is a fresh run that confirms a search."""
    good_per_s: float
    """The goodput, corrected as in bench.advice.boxes."""
    error_per_s: float
    """The standard error of the goodput: from the spread of the batches, and from that of the speed
    of a CPU, SPEED_NOISE, as far as the goodput depends on it."""
    interval: Interval | None
    """The confidence interval of the goodput."""
    raw_per_s: float
    mean_ns: float
    """The mean time that a request takes, by Little's law: concurrency / goodput."""
    p50_ns: int | None
    p99_ns: int | None
    """Quantiles of the service times of good requests. With fewer than 1000 of them, the p99 is
    decided by single requests; its interval then has no upper end."""
    p99_interval: Interval | None
    error_share: float
    refused_share: float
    cpu_us_per_request: float
    level: Level
    limit: Bottleneck
    missed: tuple[str, ...]
    """The objectives that are missed, with what was measured, but for those of a rate: more at a
    time may have it."""
    missed_rate: tuple[str, ...]
    """The objectives of a rate that are missed."""
    is_steady: bool
    """Whether a time box is long enough for the requests to come back at least twice. Otherwise
    the goodput is still on its way to what it would become."""

    @property
    def is_kept(self) -> bool:
        """Whether all objectives are kept, but for those of a rate."""
        return not self.missed

    @property
    def has_rate(self) -> bool:
        """Whether the objectives of a rate are kept."""
        return not self.missed_rate

    @property
    def failed_share(self) -> float:
        """The share of requests that were not good."""
        return self.error_share + self.refused_share


def points_of(boxes: Iterable[Box], objectives: Sequence[Objective]) -> dict[int, Point]:
    """Return the points of one crawler by concurrency, in ascending order.

    A box whose run is INVALID has no point.
    """
    found: dict[int, list[Box]] = {}
    for box in boxes:
        if box.level is not Level.INVALID:
            found.setdefault(box.concurrency, []).append(box)
    return {at: _point(found[at], objectives) for at in sorted(found)}


def _point(boxes: Sequence[Box], objectives: Sequence[Objective]) -> Point:
    rates = [rate for box in boxes for rate in box.rates]
    good_per_s = fmean(rates)
    times_ns = np.sort(np.concatenate([box.times_ns for box in boxes]))
    has_times = len(times_ns) > 0
    requests = max(1, sum(box.requests for box in boxes))
    error_share = sum(box.errors for box in boxes) / requests
    refused_share = sum(box.refused for box in boxes) / requests
    values: Mapping[str, float | None] = {
        **{f"p{q}": _time_ms(times_ns, q / 100) if has_times else None for q in (50, 90, 99)},
        "errors": 100 * error_share,
        "refused": 100 * refused_share,
        "rate": good_per_s,
    }
    at = boxes[0].concurrency
    cpu_share = min(1.0, max(box.cpu_share for box in boxes))
    mean_ns = at / good_per_s * 1e9 if good_per_s else math.inf
    by_rate = sorted(boxes, key=lambda box: box.raw_per_s)
    return Point(
        concurrency=at,
        boxes=len(boxes),
        is_confirmed=any(box.trial > SEARCH for box in boxes),
        good_per_s=good_per_s,
        error_per_s=math.hypot(
            stdev(rates) / len(rates) ** 0.5,
            SPEED_NOISE * cpu_share * good_per_s / len(boxes) ** 0.5,
        ),
        interval=mean_interval(rates),
        raw_per_s=median(box.raw_per_s for box in boxes),
        mean_ns=mean_ns,
        p50_ns=quantile(times_ns, 0.5) if has_times else None,
        p99_ns=quantile(times_ns, 0.99) if has_times else None,
        p99_interval=quantile_interval(times_ns, 0.99) if has_times else None,
        error_share=error_share,
        refused_share=refused_share,
        cpu_us_per_request=median(box.cpu_us_per_request for box in boxes),
        level=max(box.level for box in boxes),
        limit=by_rate[(len(by_rate) - 1) // 2].limit,
        missed=_missed(values, (one for one in objectives if one.metric != RATE)),
        missed_rate=_missed(values, (one for one in objectives if one.metric == RATE)),
        is_steady=all(2 * mean_ns <= box.counted_ns for box in boxes),
    )


def _missed(values: Mapping[str, float | None], objectives: Iterable[Objective]) -> tuple[str, ...]:
    found = ((one.missed_by(values), one.name) for one in objectives)
    return tuple(f"{text} (wanted: {name})" for text, name in found if text)


def _time_ms(times_ns: "NDArray[np.int64]", q: float) -> float:
    """Return a quantile in ms by which an objective is judged.

    With too few requests, single ones would decide. Then it is the lower end of its interval: an
    objective is missed if that can be shown.
    """
    value = tail_quantile(times_ns, q)
    return (value if value is not None else quantile_interval(times_ns, q).low) / 1e6

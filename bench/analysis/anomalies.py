"""Requests whose records cannot be true, or that the kernel or the crawler held up. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.analysis.split import Split
from bench.results.columns import IntColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Impossible:
    """Good requests whose records cannot be true, and one of them."""

    what: str
    count: int
    seq: int


@dataclass(frozen=True, slots=True)
class Clusters:
    """Good requests that are late by a span that the kernel is known to cause."""

    around_1_s: int
    """0.95 to 1.25 s: a SYN that was dropped and sent again."""
    around_40_ms: int
    """35 to 45 ms on the way there or back: Nagle's algorithm and a delayed ACK. The first request
    of a connection is left out: opening many connections at once takes as long."""

    @classmethod
    def of(cls, split: Split) -> Self:
        """Count those that stand out from their neighbourhood; the rest are a tail."""
        late = split.to_server + split.late + split.back
        second = _between(late, 950, 1250)
        if 3 * _between(late, 650, 950) > second:
            second = 0
        acks = 0
        for way in (split.to_server[~split.is_first], split.back[~split.is_first]):
            inside = _between(way, 35, 45)
            if inside > 3 * max(_between(way, 25, 35), _between(way, 45, 55)):
                acks += inside
        return cls(second, acks)


def impossible(split: Split, planned_us: "NDArray[np.int64]") -> tuple[Impossible, ...]:
    """What physics or the plan forbids, for requests that both ends have recorded.

    `planned_us` are the delays of the plan, in the order of seq.
    """
    found = []
    for what, is_wrong in (
        ("arrived before they were started", split.to_server < 0),
        ("were over before they were answered", split.back < 0),
        ("were answered before their delay was over", split.late < 0),
        ("asked for another delay than planned", split.delay != planned_us[split.seq] * 1000),
    ):
        if is_wrong.any():
            found.append(Impossible(what, int(is_wrong.sum()), int(split.seq[is_wrong][0])))
    return tuple(found)


def out_of_order(fetches: IntColumns, slots: int) -> int:
    """How many jobs were started more than `slots` places away from their place by seq.

    Jobs are handed out in the order of seq, one to a slot; a clock may be read a little later.
    Repeated records do not count, and missing ones shift no other job.
    """
    by_start = fetches["seq"][np.argsort(fetches["start_ns"], kind="stable")]
    seqs, at = np.unique(by_start, return_index=True)
    place = np.empty(len(seqs), dtype=np.int64)
    place[np.argsort(at)] = np.arange(len(seqs))
    return int((np.abs(place - np.arange(len(seqs))) > slots).sum())


def _between(values: "NDArray[np.int64]", low_ms: int, high_ms: int) -> int:
    return int(((values >= low_ms * 1_000_000) & (values < high_ms * 1_000_000)).sum())

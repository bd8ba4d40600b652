"""Finds requests with impossible records, or that were delayed by kernel or crawler. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.analysis.join import Join
from bench.analysis.split import Split
from bench.results.columns import IntColumns
from server.ledger import ANSWERED, REFUSED

if TYPE_CHECKING:
    from numpy.typing import NDArray


_HALF_CLUSTER_NS = 5_000_000


@dataclass(frozen=True, slots=True)
class Impossible:
    """Good requests whose records are impossible: in what way, how many, and the seq of one."""

    what: str
    count: int
    seq: int


@dataclass(frozen=True, slots=True)
class Clusters:
    """Numbers of good requests that are late by a typical delay of the kernel's."""

    around_1_s: int
    """Late by 0.95 to 1.25 s: a SYN was dropped and retransmitted."""
    around_40_ms: int
    """Late by 35 to 45 ms in one direction: Nagle's algorithm with delayed ACKs. First requests of
    connections do not count, because opening many connections at once takes as long."""

    @classmethod
    def of(cls, split: Split, bound_ns: int = 0) -> Self:
        """Count clusters that stand out from their neighbourhood, to exclude long tails.

        Where the times of the fetches may be wrong by more than half the width of a cluster, the
        one of 40 ms is not looked for; of the other, the sum of both ways, the error cancels out.
        """
        late = split.to_server + split.late + split.back
        second = _between(late, 950, 1250)
        if 3 * _between(late, 650, 950) > second:
            second = 0
        acks = 0
        ways = (split.to_server[~split.is_first], split.back[~split.is_first])
        for way in ways if bound_ns <= _HALF_CLUSTER_NS else ():
            inside = _between(way, 35, 45)
            if inside > 3 * max(_between(way, 25, 35), _between(way, 45, 55)):
                acks += inside
        return cls(second, acks)


def impossible(
    split: Split, planned_us: "NDArray[np.int64]", bound_ns: int = 0
) -> tuple[Impossible, ...]:
    """Return what contradicts causality or the plan, for requests that both ends have recorded.

    `planned_us` are the planned delays in the order of seq. The times of the fetches are wrong by
    `bound_ns` at most.
    """
    from_arrival = split.service_wait + split.delay + split.late
    is_early = (split.late < 0) | (from_arrival < split.asked_delay)
    found = []
    for what, is_wrong in (
        ("arrived before they were started", split.to_server < -bound_ns),
        ("were over before they were answered", split.back < -bound_ns),
        ("were answered before their delay was over", is_early),
        ("asked for another delay than planned", split.asked_delay != planned_us[split.seq] * 1000),
    ):
        if is_wrong.any():
            found.append(Impossible(what, int(is_wrong.sum()), int(split.seq[is_wrong][0])))
    return tuple(found)


def untrue_answers(join: Join, bound_ns: int = 0) -> tuple[Impossible, ...]:
    """Return what contradicts the ledger, for requests that were answered or refused in full.

    The times of the fetches are wrong by `bound_ns` at most.
    """
    fetches, arrivals = join.fetches, join.arrivals
    is_answer = np.isin(arrivals["outcome"], (ANSWERED, REFUSED))
    is_answered = join.has_arrived & (fetches["error"] == 0)
    is_answered[is_answered] = is_answer[join.arrival_of[is_answered]]
    rows = join.arrival_of[is_answered]
    seq, start, end, status = (
        fetches[name][is_answered] for name in ("seq", "start_ns", "end_ns", "status")
    )
    is_refused = arrivals["outcome"][rows] == REFUSED
    is_untrue = start > arrivals["arrived_ns"][rows] + bound_ns
    is_untrue |= end < arrivals["replied_ns"][rows] - bound_ns
    found = []
    for what, is_wrong in (
        (
            "were recorded with another status than the server sent",
            status != arrivals["status"][rows],
        ),
        ("were refused before they were started, or after they were over", is_refused & is_untrue),
    ):
        if is_wrong.any():
            found.append(Impossible(what, int(is_wrong.sum()), int(seq[is_wrong][0])))
    return tuple(found)


def out_of_order(fetches: IntColumns, slots: int) -> int:
    """Count the jobs that were started more than `slots` places away from their place by seq.

    Jobs are handed out in the order of seq, one per slot, and the clock may be read slightly later.
    Repeated records are ignored, and missing records do not shift other jobs.
    """
    by_start = fetches["seq"][np.argsort(fetches["start_ns"], kind="stable")]
    seqs, at = np.unique(by_start, return_index=True)
    place = np.empty(len(seqs), dtype=np.int64)
    place[np.argsort(at)] = np.arange(len(seqs))
    return int((np.abs(place - np.arange(len(seqs))) > slots).sum())


def _between(values: "NDArray[np.int64]", low_ms: int, high_ms: int) -> int:
    return int(((values >= low_ms * 1_000_000) & (values < high_ms * 1_000_000)).sum())

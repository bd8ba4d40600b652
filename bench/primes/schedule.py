"""The fastest schedule of computing and saving, and the items that were held back. Pure."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.in_flight import Levels
from bench.results.columns import IntColumns


@dataclass(frozen=True, slots=True)
class Hold:
    """A computed item that was not sent for a while."""

    seq: int
    items: int
    """How many further items were computed before its request reached the server."""
    span_ns: int
    """How long others were computed while a slot was free."""


def shortest_ns(work: IntColumns, delays_us: Sequence[int], slots: int, processes: int) -> int:
    """Return the shortest time in which these items can be computed and saved, in ns.

    Items are computed in their order, divided among the processes, so that item k is ready after
    the computing time of items 0 to k divided by the processes. Its save begins then, or as soon as
    a slot is free, and takes its delay. Without any computing this is
    bench.plan.experiment.ideal_makespan_ns; a list schedule is the shortest for saves that begin in
    this order (Graham 1966).
    """
    if not len(work["item"]):
        return 0
    computed_ns = np.cumsum(work["end_ns"] - work["start_ns"]) // processes
    free_at = [0] * min(slots, len(computed_ns))
    for ready_ns, delay_us in zip(computed_ns.tolist(), delays_us, strict=False):
        heapq.heapreplace(free_at, max(ready_ns, free_at[0]) + delay_us * 1000)
    return max(*free_at, int(computed_ns[-1]))


def longest_hold(
    work: IntColumns, fetches: IntColumns, arrivals: IntColumns, slots: int
) -> Hold | None:
    """Return the item that was held back longest while a slot was free and others were computed.

    It applies to work in one process, where items are computed one after another. A slot is taken
    from the start of a fetch to the server's reply, or to the fetch's end if there was none. Only
    items that were computed from start to end before the request arrived count, because threads
    send while the next item is being computed. None if no item was held back.
    """
    starts, ends = work["start_ns"], work["end_ns"]
    count = len(ends)
    arrived = _first_by_seq(arrivals["seq"], arrivals["arrived_ns"], count)
    # Nobody knows when requests that never arrived were sent.
    seqs = np.flatnonzero(arrived)
    if not len(seqs) or not len(fetches["seq"]):
        return None
    last = np.searchsorted(ends, arrived[seqs], side="right") - 1
    is_held = last > seqs
    seqs, last = seqs[is_held], last[is_held]
    if not len(seqs):
        return None
    replied = _first_by_seq(arrivals["seq"], arrivals["replied_ns"], count)
    seq = fetches["seq"]
    is_ours = (seq >= 0) & (seq < count)
    reply = np.where(is_ours, replied[np.where(is_ours, seq, 0)], 0)
    levels = Levels.of(fetches["start_ns"], np.where(reply > 0, reply, fetches["end_ns"]))
    # Cut time into pieces: in each, an item is or is not computed, and a slot is or is not free.
    instants = np.unique(np.concatenate([starts, ends, levels.instant_ns]))
    at = instants[:-1]
    item = np.searchsorted(starts, at, side="right") - 1
    is_computing = (item >= 0) & (at < ends[item])
    piece = np.searchsorted(levels.instant_ns, at, side="right") - 1
    is_free = (piece < 0) | (levels.level[piece] < slots)
    lost = np.concatenate([[0], np.cumsum(np.diff(instants) * (is_computing & is_free))])
    spans = np.interp(ends[last] - at[0], instants - at[0], lost) - np.interp(
        ends[seqs] - at[0], instants - at[0], lost
    )
    longest = int(spans.argmax())
    if spans[longest] <= 0:
        return None
    return Hold(int(seqs[longest]), int(last[longest] - seqs[longest]), int(spans[longest]))


def _first_by_seq(
    seq: "np.typing.NDArray[np.int64]", at_ns: "np.typing.NDArray[np.int64]", count: int
) -> "np.typing.NDArray[np.int64]":
    """Return the earliest time of each seq below `count`; 0 for a seq without one."""
    is_known = (seq >= 0) & (seq < count) & (at_ns > 0)
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, seq[is_known], at_ns[is_known])
    first[first == np.iinfo(np.int64).max] = 0
    return first

"""Finds the times in which the client stood still although it had something to do. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.analysis.in_flight import Levels
from bench.analysis.join import Join
from bench.analysis.limits import Limits
from server.ledger import MISBEHAVED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BLOCK = 100_000
"""Acts of a client that are looked at together."""


@dataclass(frozen=True, slots=True)
class IdleSlots:
    """Slots without a request while jobs were left, by the client's own records."""

    share: float
    """Idle share of the total time of all slots."""
    time_share: float
    """Share of the makespan in which at least one slot was idle; of several processes, the mean of
    the shares of each, because each has its own CPU to do something about it."""


@dataclass(frozen=True, slots=True)
class Stall:
    """The longest stall: when it began and how long it lasted."""

    start_ns: int
    span_ns: int


def client_stall(join: Join) -> Stall | None:
    """Return the longest time in which the client did nothing while a response waited for it.

    Signs of activity are a start, an end, and a request that arrives. A response waits from the
    server's reply to the end of the fetch; one that the server never completes, as planned, does
    not. Returns None without a response.
    """
    fetches, replied = join.fetches, join.replied_ns
    was_answered = (replied > 0) & (replied < fetches["end_ns"])
    was_answered &= np.append(join.arrivals["outcome"] != MISBEHAVED, False)[join.arrival_of]
    acts = np.concatenate([fetches["start_ns"], fetches["end_ns"], join.arrivals["arrived_ns"]])
    acts.sort()
    return _longest(acts, replied[was_answered], fetches["end_ns"][was_answered])


@dataclass(frozen=True, slots=True)
class IdleSpans:
    """Spans of time in which slots were free, and requests could have started on them."""

    instant_ns: "NDArray[np.int64]"
    """When each span begins."""
    span_ns: "NDArray[np.int64]"
    """Its length; 0 if no slot was free or nothing was left to start."""
    slots: "NDArray[np.int64]"
    """How many requests could have started."""
    makespan_ns: int
    slots_ns: float
    """The total time of all slots in it."""

    @classmethod
    def of(
        cls,
        levels: Levels,
        limits: Limits,
        requests: int,
        start_ns: "NDArray[np.int64]",
        due_ns: "NDArray[np.int64] | None",
        from_ns: int | None = None,
    ) -> Self:
        """Compute them from the client's own records; `levels` are of its starts and ends.

        In closed loop any job that is left could start, from `from_ns` on or else the first start.
        In open loop (`due_ns` is given) only one that is due.
        """
        instants, in_flight = levels.instant_ns, levels.level
        begin_ns, end_ns = int(instants[0]), int(instants[-1])
        makespan_ns = max(1, end_ns - begin_ns)
        left = requests - np.cumsum(np.diff(in_flight, prepend=0) > 0)
        is_within = (limits.change_ns > begin_ns) & (limits.change_ns < end_ns)
        more = [limits.change_ns[is_within], *([due_ns] if due_ns is not None else [])]
        if from_ns is not None and from_ns < begin_ns:
            more.append(np.array([from_ns]))
            begin_ns, makespan_ns = from_ns, end_ns - from_ns
        if any(map(len, more)):
            instants = np.sort(np.concatenate([instants, *more]))
            at = np.searchsorted(levels.instant_ns, instants, side="right") - 1
            in_flight = np.where(at >= 0, in_flight[at], 0)
            left = np.where(at >= 0, left[at], requests)
        if due_ns is not None:
            left = np.searchsorted(np.sort(due_ns), instants, side="right")
            left = left - np.searchsorted(np.sort(start_ns), instants, side="right")
        free = limits.at(instants[:-1]) - in_flight[:-1]
        if due_ns is not None:
            free = np.minimum(free, left[:-1])
        could = (free > 0) & (left[:-1] > 0)
        spans = np.where(could, np.diff(instants), 0)
        slots_ns = limits.mean(begin_ns, begin_ns + makespan_ns) * makespan_ns
        return cls(instants[:-1], spans, np.where(could, free, 0), makespan_ns, slots_ns)


def idle_stall(of_processes: Sequence[IdleSpans]) -> Stall:
    """Return the longest time in which a process had a free slot and could have started a job."""
    stalls = [
        Stall(int(idle.instant_ns[at]), int(idle.span_ns[at]))
        for idle in of_processes
        if len(idle.span_ns)
        for at in [int(idle.span_ns.argmax())]
    ]
    return longest_stall(stalls) or Stall(0, 0)


def idle_slots(of_processes: Sequence[IdleSpans]) -> IdleSlots:
    """Return how long slots were free although a job could have started."""
    lost = sum(int((idle.span_ns * idle.slots).sum()) for idle in of_processes)
    slots_ns = sum(idle.slots_ns for idle in of_processes)
    idle_ns = sum(int(idle.span_ns.sum()) for idle in of_processes)
    makespans_ns = sum(idle.makespan_ns for idle in of_processes)
    return IdleSlots(lost / max(1.0, slots_ns), idle_ns / max(1, makespans_ns))


def longest_stall(stalls: Sequence[Stall]) -> Stall | None:
    """Return the longest of several stalls; None of none."""
    return max(stalls, key=lambda stall: stall.span_ns, default=None)


def _longest(
    acts: "NDArray[np.int64]", due_ns: "NDArray[np.int64]", done_ns: "NDArray[np.int64]"
) -> Stall | None:
    """Return the longest span without an act in which something was due and not done.

    `acts` are sorted. Item i is due from `due_ns[i]` until an act at `done_ns[i]`.
    """
    if not len(due_ns):
        return None
    order = np.argsort(done_ns, kind="stable")
    done = done_ns[order]
    # For each act, the earliest due time of everything that is done then or later.
    earliest_due = np.minimum.accumulate(due_ns[order][::-1])[::-1]
    longest = Stall(int(acts[0]), 0)
    # In blocks, because a million requests have three million acts, and six columns of them.
    for first in range(0, len(acts) - 1, _BLOCK):
        begins, ends = acts[first : first + _BLOCK], acts[first + 1 : first + _BLOCK + 1]
        index = np.searchsorted(done, ends)
        is_any = index < len(done)
        begins = np.maximum(begins[: len(ends)], earliest_due[np.where(is_any, index, 0)])
        spans = np.where(is_any, ends - begins, 0)
        at = int(spans.argmax())
        if spans[at] > longest.span_ns:
            longest = Stall(int(begins[at]), int(spans[at]))
    return longest

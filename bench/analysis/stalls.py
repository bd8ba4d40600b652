"""Finds the times in which the client stood still although it had something to do. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.in_flight import Levels
from bench.analysis.join import Join

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class IdleSlots:
    """Slots without a request while jobs were left, by the client's own records."""

    share: float
    """Idle share of the total time of all slots."""
    time_share: float
    """Share of the makespan in which at least one slot was idle."""


@dataclass(frozen=True, slots=True)
class Stall:
    """The longest stall: when it began and how long it lasted."""

    start_ns: int
    span_ns: int


def client_stall(join: Join) -> Stall | None:
    """Return the longest time in which the client did nothing while a response waited for it.

    Signs of activity are a start, an end, and a request that arrives. A response waits from the
    server's reply to the end of the fetch. Returns None without a response.
    """
    fetches, replied = join.fetches, join.replied_ns
    was_answered = (replied > 0) & (replied < fetches["end_ns"])
    acts = np.concatenate([fetches["start_ns"], fetches["end_ns"], join.arrivals["arrived_ns"]])
    acts.sort()
    return _longest(acts, replied[was_answered], fetches["end_ns"][was_answered])


def idle_stall(levels: Levels, slots: int, requests: int) -> Stall:
    """Return the longest time in which the client had a free slot and jobs left, but started none.

    `levels` are computed from the client's own starts and ends.
    """
    spans = _free_spans(levels, slots, requests)
    at = int(spans.argmax()) if len(spans) else 0
    return Stall(int(levels.instant_ns[at]), int(spans[at]) if len(spans) else 0)


def idle_slots(levels: Levels, slots: int, requests: int) -> IdleSlots:
    """Return how long slots were free with jobs left. `levels` are from the client's records."""
    spans = _free_spans(levels, slots, requests)
    makespan_ns = max(1, int(levels.instant_ns[-1] - levels.instant_ns[0]))
    idle = int((spans * (slots - levels.level[:-1])).sum())
    return IdleSlots(idle / (slots * makespan_ns), int(spans.sum()) / makespan_ns)


def _free_spans(levels: Levels, slots: int, requests: int) -> "NDArray[np.int64]":
    """Return the duration of each level, in ns; 0 if no slot was free or no job was left."""
    is_start = np.diff(levels.level, prepend=0) > 0
    could = (levels.level[:-1] < slots) & (np.cumsum(is_start)[:-1] < requests)
    return np.where(could, np.diff(levels.instant_ns), 0)


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
    ends = acts[1:]
    index = np.searchsorted(done, ends)
    is_any = index < len(done)
    due = earliest_due[np.where(is_any, index, 0)]
    begins = np.maximum(acts[:-1], due)
    spans = np.where(is_any, ends - begins, 0)
    if not len(spans) or spans.max() <= 0:
        return Stall(int(acts[0]), 0)
    at = int(spans.argmax())
    return Stall(int(begins[at]), int(spans[at]))

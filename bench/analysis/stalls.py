"""How long an end stood still with something to do. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.in_flight import Levels
from bench.analysis.join import Join

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class IdleSlots:
    """Slots without a request, by the client's own account, while there were jobs left."""

    share: float
    """Of the time of all slots."""
    time_share: float
    """Of the makespan: at least one was idle."""


@dataclass(frozen=True, slots=True)
class Stall:
    """The longest: from when on, and how long."""

    start_ns: int
    span_ns: int


def client_stall(join: Join) -> Stall | None:
    """The longest time in which the client did nothing while an answer waited for it.

    What shows that it does something: a start, an end, or a request that arrives. An answer waits
    from the server's reply to the fetch's end. None without an answer.
    """
    fetches, replied = join.fetches, join.replied_ns
    was_answered = (replied > 0) & (replied < fetches["end_ns"])
    acts = np.concatenate([fetches["start_ns"], fetches["end_ns"], join.arrivals["arrived_ns"]])
    acts.sort()
    return _longest(acts, replied[was_answered], fetches["end_ns"][was_answered])


def idle_stall(levels: Levels, slots: int, requests: int) -> Stall:
    """The longest time in which the client had a free slot and jobs left, and started nothing.

    `levels` are of the client's own starts and ends.
    """
    spans = _free_spans(levels, slots, requests)
    at = int(spans.argmax()) if len(spans) else 0
    return Stall(int(levels.instant_ns[at]), int(spans[at]) if len(spans) else 0)


def idle_slots(levels: Levels, slots: int, requests: int) -> IdleSlots:
    """How much of the time slots were free with jobs left. `levels` are of the client's own."""
    spans = _free_spans(levels, slots, requests)
    makespan_ns = max(1, int(levels.instant_ns[-1] - levels.instant_ns[0]))
    idle = int((spans * (slots - levels.level[:-1])).sum())
    return IdleSlots(idle / (slots * makespan_ns), int(spans.sum()) / makespan_ns)


def _free_spans(levels: Levels, slots: int, requests: int) -> "NDArray[np.int64]":
    """How long each level lasted, in ns; 0 where no slot was free, or no job was left."""
    is_start = np.diff(levels.level, prepend=0) > 0
    could = (levels.level[:-1] < slots) & (np.cumsum(is_start)[:-1] < requests)
    return np.where(could, np.diff(levels.instant_ns), 0)


def _longest(
    acts: "NDArray[np.int64]", due_ns: "NDArray[np.int64]", done_ns: "NDArray[np.int64]"
) -> Stall | None:
    """The longest span without an act in which something was due and not done.

    `acts` are sorted. Each thing is due from `due_ns` until it is done by an act at `done_ns`.
    """
    if not len(due_ns):
        return None
    order = np.argsort(done_ns, kind="stable")
    done = done_ns[order]
    # Of all that is done at an act or later, what was due first.
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

"""Response times from the due instants of an open loop, and send lags. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.analysis.shares import rows_by_process, slots_of
from bench.results.columns import IntColumns
from bench.results.schema import RunRow

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class DueTimes:
    """When the fetches of a run in open loop were due, and how late they were sent, in ns."""

    due_ns: "NDArray[np.int64]"
    """For each fetch, when it was due."""
    send_lag_ns: "NDArray[np.int64]"
    """For each fetch, start - due: negative if it was sent early."""
    client_lag_ns: "NDArray[np.int64]"
    """The part of it in which a slot was free, so that only the client kept the request waiting."""
    slot_wait_ns: "NDArray[np.int64]"
    """The other part of it, in which no slot was free."""
    response_ns: "NDArray[np.int64]"
    """For each fetch, end - due: what a user waits."""

    @classmethod
    def of(cls, run: RunRow, fetches: IntColumns) -> Self | None:
        """Compute them; None in closed loop, or if the crawler took no job."""
        if not run.load.is_open or not run.first_due_ns:
            return None
        after_ns = np.array(run.due_after_ns(), dtype=np.int64)
        due_ns = run.first_due_ns + after_ns[np.clip(fetches["seq"], 0, len(after_ns) - 1)]
        start_ns, end_ns = fetches["start_ns"], fetches["end_ns"]
        could_start_ns = due_ns.copy()
        for ordinal, own in rows_by_process(fetches["seq"], run.processes):
            could_start_ns[own] = _could_start_ns(
                due_ns[own], start_ns[own], end_ns[own], slots_of(run, ordinal)
            )
        return cls(
            due_ns=due_ns,
            send_lag_ns=start_ns - due_ns,
            client_lag_ns=start_ns - could_start_ns,
            slot_wait_ns=could_start_ns - due_ns,
            response_ns=end_ns - due_ns,
        )

    def offered_per_s(self, is_counted: "NDArray[np.bool_]") -> float | None:
        """Return how many requests were due per second; None for fewer than two."""
        due_ns = self.due_ns[is_counted]
        span_ns = int(due_ns.max() - due_ns.min()) if len(due_ns) else 0
        return (len(due_ns) - 1) / span_ns * 1e9 if span_ns else None


def _could_start_ns(
    due_ns: "NDArray[np.int64]",
    start_ns: "NDArray[np.int64]",
    end_ns: "NDArray[np.int64]",
    slots: int,
) -> "NDArray[np.int64]":
    """Return when each request could start: it was due, and a slot was free.

    Requests start in the order in which they are due. The i-th can only start when all but
    `slots` - 1 of those before it have ended.
    """
    order = np.argsort(start_ns, kind="stable")
    could_ns = due_ns.copy()
    later = order[slots:]
    could_ns[later] = np.maximum(due_ns[later], np.sort(end_ns)[: len(later)])
    return could_ns

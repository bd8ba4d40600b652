"""Response times from the due instants of an open loop, and send lags. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.analysis.limits import Limits
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
    def of(cls, run: RunRow, fetches: IntColumns, limits: Limits) -> Self | None:
        """Compute them; None in closed loop, or if the crawler took no job."""
        if not run.load.is_open or not run.first_due_ns:
            return None
        after_ns = np.array(run.due_after_ns(), dtype=np.int64)
        due_ns = run.first_due_ns + after_ns[np.clip(fetches["seq"], 0, len(after_ns) - 1)]
        start_ns, end_ns = fetches["start_ns"], fetches["end_ns"]
        could_start_ns = _could_start_ns(due_ns, start_ns, end_ns, limits)
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
    limits: Limits,
) -> "NDArray[np.int64]":
    """Return when each request could start: it was due, and a slot was free.

    Requests start in the order in which they are due. With `most` slots, the i-th can only start
    when all but `most` - 1 of those before it have ended. A limit that falls later counts as if it
    had fallen before, in favour of the client.
    """
    order = np.argsort(start_ns, kind="stable")
    ends = np.sort(end_ns)
    changes = np.sort(np.concatenate([ends, limits.change_ns]))
    # How many can have been started after each change, and before the first.
    allowed = np.searchsorted(ends, changes, side="right") + limits.at(changes)
    allowed = np.minimum.accumulate(np.append(limits.most[0], allowed)[::-1])[::-1]
    at = np.searchsorted(allowed, np.arange(len(order)), side="right")
    could_ns = due_ns.copy()
    is_later = at > 0
    later = order[is_later]
    could_ns[later] = np.maximum(due_ns[later], changes[at[is_later] - 1])
    return np.minimum(could_ns, np.maximum(due_ns, start_ns))

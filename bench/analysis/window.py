"""Which requests of a run count, and in what time: without the warm-up. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.plan.load import Load
from bench.results.columns import IntColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Window:
    """The time that counts."""

    is_counted: "NDArray[np.bool_]"
    """For each fetch, whether its times count: it began, or was due, after the warm-up."""
    begin_ns: int
    end_ns: int
    is_cut: bool
    """Whether requests are in flight when the time is over, because it ends by the clock (closed
    loop) or with the last due instant (open loop). Throughput then counts what ended within it."""

    @classmethod
    def of(
        cls,
        load: Load,
        fetches: IntColumns,
        due_ns: "NDArray[np.int64] | None",
        begin_ns: int,
        last_ns: int,
    ) -> Self:
        """Return the window of a run that begins with its first start, or its first due instant.

        `due_ns` says when each fetch was due; None in closed loop.
        """
        from_ns = begin_ns + round(load.warm_up_s * 1e9)
        begins_ns = fetches["start_ns"] if due_ns is None else due_ns
        to_ns = last_ns
        if load.ends_by_time:
            to_ns = min(last_ns, begin_ns + round(load.duration_s * 1e9))
        elif due_ns is not None:  # the slowest of all says little about the rate
            to_ns = int(due_ns.max())
        is_cut = from_ns < to_ns < last_ns
        return cls(begins_ns >= from_ns, from_ns, to_ns if is_cut else last_ns, is_cut)

    def rate_per_s(self, fetches: IntColumns, is_good: "NDArray[np.bool_]") -> float:
        """Return the good requests per second."""
        if self.is_cut:
            ends = fetches["end_ns"]
            good = int((is_good & (ends > self.begin_ns) & (ends <= self.end_ns)).sum())
        else:
            good = int((is_good & self.is_counted).sum())
        return good / max(1, self.end_ns - self.begin_ns) * 1e9

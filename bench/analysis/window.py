"""Which requests of a run count, and in what time: without the warm-up. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.analysis.response import DueTimes
from bench.results.columns import IntColumns
from bench.results.schema import RunRow

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
    """Whether the run ended by the clock, so that requests were in flight when the time began and
    when it was over. Throughput then counts what ended within it."""

    @classmethod
    def of(
        cls,
        run: RunRow,
        fetches: IntColumns,
        due: DueTimes | None,
        begin_ns: int,
        last_ns: int,
    ) -> Self:
        """Return the window of a run that begins with its first start, or its first due instant."""
        from_ns = begin_ns + round(run.load.warm_up_s * 1e9)
        begins_ns = fetches["start_ns"] if due is None else due.due_ns
        is_cut = run.load.ends_by_time
        to_ns = last_ns
        if is_cut:
            to_ns = max(from_ns + 1, min(last_ns, begin_ns + round(run.load.duration_s * 1e9)))
        return cls(begins_ns >= from_ns, from_ns, to_ns, is_cut)

    def rate_per_s(self, fetches: IntColumns, is_good: "NDArray[np.bool_]") -> float:
        """Return the good requests per second."""
        if self.is_cut:
            ends = fetches["end_ns"]
            good = int((is_good & (ends > self.begin_ns) & (ends <= self.end_ns)).sum())
        else:
            good = int((is_good & self.is_counted).sum())
        return good / max(1, self.end_ns - self.begin_ns) * 1e9

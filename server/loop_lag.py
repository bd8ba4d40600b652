"""How busy and how late the server's event loop is, sampled twenty times a second."""

import asyncio
import time
from array import array
from bisect import bisect_right

from server.ledger import LOAD_COLUMNS as LOAD_COLUMNS
from server.packed_columns import Columns
from server.process_usage import main_thread_times

_SAMPLE_EVERY_S = 0.05
_MOST_SAMPLES = 72_000
"""One hour of samples: a longer run keeps at least its last half hour."""


class LoopLag:
    """Samples of the event loop, and a summary of their lateness."""

    def __init__(self) -> None:
        self.samples = 0
        self.sum_ns = 0
        self.max_ns = 0
        self._columns = {name: array("q") for name in LOAD_COLUMNS}

    def keep_sampling(self) -> None:
        """Sample twenty times a second from now on."""
        due_ns = time.monotonic_ns() + int(_SAMPLE_EVERY_S * 1e9)
        asyncio.get_running_loop().call_later(_SAMPLE_EVERY_S, self._sample, due_ns)

    def since(self, start_ns: int) -> Columns:
        """Return the samples from the last one before `start_ns` on, and one taken now."""
        first = max(0, bisect_right(self._columns["at_ns"], start_ns) - 1)
        columns = {name: column[first:] for name, column in self._columns.items()}
        _append(columns, 0)
        return columns

    def _sample(self, due_ns: int) -> None:
        late_ns = max(0, time.monotonic_ns() - due_ns)
        self.samples += 1
        self.sum_ns += late_ns
        self.max_ns = max(self.max_ns, late_ns)
        if len(self._columns["at_ns"]) >= _MOST_SAMPLES:
            self._columns = {
                name: column[_MOST_SAMPLES // 2 :] for name, column in self._columns.items()
            }
        _append(self._columns, late_ns)
        self.keep_sampling()


def _append(columns: "dict[str, array[int]]", late_ns: int) -> None:
    times = main_thread_times()
    columns["at_ns"].append(time.monotonic_ns())
    columns["cpu_ns"].append(time.process_time_ns())
    columns["waited_ns"].append(times.waited_ns if times else -1)
    columns["late_ns"].append(late_ns)
    columns["process"].append(0)

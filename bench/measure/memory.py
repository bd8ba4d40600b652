"""Samples the memory of a process and its descendants while it runs, from outside."""

from array import array
from threading import Event, Thread
from time import monotonic_ns

import psutil

from bench.results.schema import MEMORY_COLUMNS
from server.packed_columns import Columns

_EVERY_S = 0.2


class MemorySampler:
    """Samples the resident memory of a process tree in a thread, from `begin` to `end`."""

    def __init__(self) -> None:
        self._columns = {name: array("q") for name in MEMORY_COLUMNS}
        self._is_over = Event()
        self._thread: Thread | None = None

    def begin(self, pid: int) -> None:
        """Begin to sample a process, which may end at any time."""
        self._thread = Thread(target=self._sample, args=(pid,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()

    def columns(self) -> Columns:
        """Return the MEMORY_COLUMNS, in the order of time."""
        return self._columns

    def _sample(self, pid: int) -> None:
        try:
            root = psutil.Process(pid)
            while not self._is_over.wait(_EVERY_S):
                at_ns, held_bytes = monotonic_ns(), root.memory_info().rss
                held_bytes += sum(map(_resident_bytes, root.children(recursive=True)))
                self._columns["at_ns"].append(at_ns)
                self._columns["bytes"].append(held_bytes)
        except psutil.Error:
            return  # it has ended


def _resident_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0

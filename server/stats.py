"""What the server says of itself: CPU, memory, and how late its event loop runs."""

import asyncio
import sys
import time
from pathlib import Path

_SAMPLE_EVERY_S = 0.05


class LoopLag:
    """How late the loop's timers fire: time that a request may have waited to be looked at.

    A timer of asyncio is up to 1 ms late on an idle loop: epoll counts in milliseconds.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.sum_ns = 0
        self.max_ns = 0

    def keep_sampling(self) -> None:
        """Sample twenty times a second from now on."""
        due_ns = time.monotonic_ns() + int(_SAMPLE_EVERY_S * 1e9)
        asyncio.get_running_loop().call_later(_SAMPLE_EVERY_S, self._sample, due_ns)

    def _sample(self, due_ns: int) -> None:
        late_ns = max(0, time.monotonic_ns() - due_ns)
        self.samples += 1
        self.sum_ns += late_ns
        self.max_ns = max(self.max_ns, late_ns)
        self.keep_sampling()


def peak_memory_bytes() -> int:
    """The largest resident size that this process has had.

    On Linux from VmHWM: the kernel hands ru_maxrss down from the process that started this one.
    """
    if sys.platform == "linux":
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import psutil  # where there is no /proc; not worth its import time elsewhere

    memory = psutil.Process().memory_info()
    return int(getattr(memory, "peak_wset", memory.rss))

"""How late the server's event loop runs."""

import asyncio
import time

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

"""An event loop of asyncio whose timers are not a millisecond late."""

import asyncio
import select
import selectors
import sys

if sys.platform == "linux":

    class PreciseSelector(selectors.EpollSelector):
        """Waits in microseconds, by select on the epoll instance.

        epoll itself counts in milliseconds, and asyncio rounds up: half of one late on average.
        """

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """As selectors.BaseSelector.select."""
            if timeout is None or timeout <= 0:
                return super().select(timeout)
            # A busy loop finds something at once: no more calls than before.
            ready = super().select(0)
            if ready:
                return ready
            # The first descriptors of a process are below the 1024 that select can do.
            select.select([self.fileno()], [], [], timeout)
            return super().select(0)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """As asyncio.new_event_loop, with timers in microseconds."""
    if sys.platform == "linux":
        return asyncio.SelectorEventLoop(PreciseSelector())
    return asyncio.new_event_loop()


def least_wait_s(is_precise: bool) -> float:
    """The shortest time that a loop waits; uvloop's counts in milliseconds."""
    return 0.00005 if is_precise and sys.platform == "linux" else 0.001

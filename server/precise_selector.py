"""An asyncio event loop whose timers are precise to much less than a millisecond."""

import asyncio
import select
import selectors
import sys

if sys.platform == "linux":

    class PreciseSelector(selectors.EpollSelector):
        """A selector that waits in microseconds, by calling select on the epoll instance.

        epoll itself counts in milliseconds, and asyncio rounds up, so that timers are half a
        millisecond late on average.
        """

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            """Wait as selectors.BaseSelector.select does."""
            if timeout is None or timeout <= 0:
                return super().select(timeout)
            # A busy loop finds something ready at once, so that this costs no further call.
            ready = super().select(0)
            if ready:
                return ready
            # select takes descriptors below 1024; the first ones of a process are.
            select.select([self.fileno()], [], [], timeout)
            return super().select(0)


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return an event loop as asyncio.new_event_loop does, with timers in microseconds."""
    if sys.platform == "linux":
        return asyncio.SelectorEventLoop(PreciseSelector())
    return asyncio.new_event_loop()


def least_wait_s(is_precise: bool) -> float:
    """Return the shortest time that a loop can wait; uvloop counts in milliseconds."""
    return 0.00005 if is_precise and sys.platform == "linux" else 0.001

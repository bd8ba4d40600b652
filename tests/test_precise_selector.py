import asyncio
import selectors
import socket
import sys

import pytest

from server.precise_selector import least_wait_s, new_event_loop


def test_timers_sockets_and_threads_wake_the_loop() -> None:
    async def main() -> bytes:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.0001)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            loop.call_later(0.001, theirs.send, b"late")
            first = await loop.sock_recv(ours, 10)
        return first + await asyncio.to_thread(lambda: b", thread")

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        assert runner.run(main()) == b"late, thread"


@pytest.mark.skipif(sys.platform != "linux", reason="epoll is Linux's")
def test_a_wait_ends_with_what_is_ready_or_with_nothing() -> None:
    from server.precise_selector import PreciseSelector

    ours, theirs = socket.socketpair()
    with PreciseSelector() as selector, ours, theirs:
        selector.register(ours, selectors.EVENT_READ)
        assert selector.select(0) == []
        assert selector.select(0.0005) == []
        theirs.send(b"x")
        for timeout in (10, 0, None):
            ((key, events),) = selector.select(timeout)
            assert (key.fileobj, events) == (ours, selectors.EVENT_READ)


def test_a_loop_that_counts_in_milliseconds_is_not_asked_for_less() -> None:
    assert least_wait_s(is_precise=False) == 0.001

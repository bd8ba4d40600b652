"""The open loop of crawlers.dispatch on asyncio's event loops."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Any

from crawlers import dispatch
from crawlers.contract import Job
from crawlers.dispatch import Slot
from crawlers.loops import chosen
from server.precise_selector import new_event_loop as new_precise_loop


def new_event_loop(
    is_open_loop: bool, own: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> asyncio.AbstractEventLoop:
    """Return an event loop of the kind that was chosen; of the crawler's own, if none was.

    That is asyncio's unless `own` makes another. In an open loop its timers are in microseconds:
    epoll counts in milliseconds, so that requests would start up to one late.
    """
    if make := chosen(own):
        return make()
    return new_precise_loop() if is_open_loop else asyncio.new_event_loop()


class FreeSlots(asyncio.LifoQueue[Slot]):
    """Slots that are free: the one that was used last is used first, as its connection is warm."""

    def __init__(self, slots: Iterable[Slot] = ()) -> None:
        super().__init__()
        for slot in slots:
            self.put_nowait(slot)

    async def start_when_due(self, jobs: Iterator[Job], start: Callable[[Slot, Job], None]) -> None:
        """Start each job on a slot when it is due, and return when all slots are back."""
        await dispatch.dispatch(jobs, self.qsize(), self.get, asyncio.sleep, start)


async def fetch_when_due(
    jobs: Iterator[Job], concurrency: int, fetch: Callable[[Job], Coroutine[Any, Any, None]]
) -> None:
    """Fetch each job when it is due, in a task of its own."""
    free = FreeSlots(range(concurrency))
    async with asyncio.TaskGroup() as tasks:

        def start(slot: int, job: Job) -> None:
            task = tasks.create_task(fetch(job))
            task.add_done_callback(lambda _: free.put_nowait(slot))

        await free.start_when_due(jobs, start)


async def fetch_all(
    jobs: Iterator[Job],
    concurrency: int,
    fetch: Callable[[Job], Coroutine[Any, Any, None]],
    is_open_loop: bool,
) -> None:
    """Fetch each job: when it is due, or as soon as one of C workers is free."""
    if is_open_loop:
        await fetch_when_due(jobs, concurrency, fetch)
        return

    async def work() -> None:
        for job in jobs:
            await fetch(job)

    async with asyncio.TaskGroup() as workers:
        for _ in range(concurrency):
            workers.create_task(work())

"""The open loop: each job is due at an instant, whether the ones before it are done or not.

One dispatcher takes a slot, then the next job, waits until that job is due, and starts it. So jobs
start in their order and never early, and one that is late because no slot was free starts at once.
C workers that each waited for a job of their own would start them out of order, and would open C
connections for any rate.

In a closed loop no job has a due time, and crawlers have C workers, which cost less.
"""

from collections.abc import Awaitable, Callable, Iterator
from itertools import chain
from time import monotonic_ns
from typing import TypeVar

from crawlers.contract import Job

Slot = TypeVar("Slot")


def look_ahead(jobs: Iterator[Job]) -> tuple[Iterator[Job], bool]:
    """Return the same jobs, and whether the loop is open, which the first of them shows.

    What is returned may not be shared between threads.
    """
    first = next(jobs, None)
    if first is None:
        return iter(()), False
    return chain((first,), jobs), first.due_ns > 0


def when_due(jobs: Iterator[Job], sleep: Callable[[float], object]) -> Iterator[Job]:
    """Yield each job when it is due; `sleep` takes seconds."""
    for job in jobs:
        # The clock is read again after each sleep, because a timer may fire early.
        while (left_ns := job.due_ns - monotonic_ns()) > 0:
            sleep(left_ns / 1e9)
        yield job


async def dispatch(
    jobs: Iterator[Job],
    concurrency: int,
    take_slot: Callable[[], Awaitable[Slot]],
    sleep: Callable[[float], Awaitable[object]],
    start: Callable[[Slot, Job], None],
) -> None:
    """Start each job when it is due, and return when all are done.

    `take_slot` returns one of `concurrency` slots as soon as one is free; `start` must give it back
    when the job is done, and must not wait.
    """
    while True:
        slot = await take_slot()
        job = next(jobs, None)
        if job is None:
            break
        while (left_ns := job.due_ns - monotonic_ns()) > 0:
            await sleep(left_ns / 1e9)
        start(slot, job)
    for _ in range(concurrency - 1):
        await take_slot()

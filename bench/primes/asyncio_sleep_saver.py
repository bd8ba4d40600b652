"""Saves with coroutines and aiohttp as the later editions of the chapter do.

A task for each save waits for a semaphore, and after each item the loop has one turn. A request
that has to open a connection needs more turns than one, so that further items are computed before
it is sent: bench.primes.asyncio_saver waits until it is.
"""

import asyncio
from collections.abc import Callable, Iterator

from crawlers.asyncio_aiohttp import fetch_each, open_session
from crawlers.contract import Job, Recorder


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Save every item, on asyncio's own event loop."""
    crawl_on(asyncio.new_event_loop, jobs, concurrency, timeout_s, record)


def crawl_on(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
    jobs: Iterator[Job],
    concurrency: int,
    timeout_s: float,
    record: Recorder,
) -> None:
    """Save every item, on an event loop from this factory."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_crawl(jobs, concurrency, timeout_s, record))


async def _crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    slots = asyncio.Semaphore(concurrency)

    async def save(job: Job) -> None:
        async with slots:
            await fetch_each([job], session, record)

    async with (
        open_session(concurrency, timeout_s) as session,
        asyncio.TaskGroup() as saves,
    ):
        for job in jobs:
            saves.create_task(save(job))
            await asyncio.sleep(0)

"""Coroutines, with aiohttp, in the ways that people write them: each function is a crawler.

They differ from crawlers.asyncio_aiohttp, and from each other, only in how jobs become tasks.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from itertools import islice

from crawlers.asyncio_aiohttp import fetch_each, open_session, run_on
from crawlers.asyncio_dispatch import new_event_loop
from crawlers.contract import Job, Recorder

_JOBS_AHEAD = 1
"""Jobs that wait in the queue of `queue`: each is taken before a slot is free."""


def semaphore(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Start a task for every job at once, behind a semaphore, and await them as they complete."""

    async def crawl() -> None:
        slots = asyncio.Semaphore(concurrency)

        async def fetch(job: Job) -> None:
            async with slots:
                await fetch_each((job,), session, record)

        async with open_session(concurrency, timeout_s) as session:
            # as_completed puts coroutines into a set, so that they would start in any order.
            tasks = [asyncio.create_task(fetch(job)) for job in jobs]
            for done in asyncio.as_completed(tasks):
                await done

    run_on(partial(new_event_loop, False), crawl())


def taskgroup(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Start a task for every job at once; the tasks queue for the connector's C connections."""

    async def crawl() -> None:
        async with (
            open_session(concurrency, timeout_s, is_queue_timed=False) as session,
            asyncio.TaskGroup() as tasks,
        ):
            for job in jobs:
                tasks.create_task(fetch_each((job,), session, record))

    run_on(partial(new_event_loop, False), crawl())


def chunks(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Gather C jobs at a time: the next chunk starts when the slowest job of this one is done."""

    async def crawl() -> None:
        async with open_session(concurrency, timeout_s) as session:
            while chunk := list(islice(jobs, concurrency)):
                await asyncio.gather(*(fetch_each((job,), session, record) for job in chunk))

    run_on(partial(new_event_loop, False), crawl())


def queue(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Feed a short queue from one task, and fetch what is in it with C workers."""

    async def crawl() -> None:
        waiting: asyncio.Queue[Job | None] = asyncio.Queue(_JOBS_AHEAD)

        async def work() -> None:
            while job := await waiting.get():
                await fetch_each((job,), session, record)

        async with open_session(concurrency, timeout_s) as session, asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(work())
            for job in jobs:
                await waiting.put(job)
            for _ in range(concurrency):
                await waiting.put(None)  # Queue.shutdown needs Python 3.13

    run_on(partial(new_event_loop, False), crawl())

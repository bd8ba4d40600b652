"""Saves with coroutines and aiohttp: one producer computes, and one task per item saves.

This is the scheme of the chapter. Computing blocks the event loop, so the next item is computed
only when the previous request has been sent. C workers that share the items, as in
crawlers.asyncio_aiohttp, would all be ready in one turn of the loop: the first C items would be
computed before anything is sent.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import aiohttp

from crawlers.asyncio_aiohttp import fetch_each, open_session
from crawlers.contract import Job, Recorder

if TYPE_CHECKING:
    from aiohttp.connector import Connection


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
    latest_sent = asyncio.Event()

    class Request(aiohttp.ClientRequest):
        # A fixed number of turns of the loop would be too few to open a connection and too many
        # for items that cost little. Before Python 3.12, aiohttp writes a body in a task of its
        # own, which runs before whoever waits for the event: it was scheduled earlier.
        async def send(self, conn: "Connection") -> aiohttp.ClientResponse:
            response = await super().send(conn)
            latest_sent.set()
            return response

    async def save(job: Job, is_sent: asyncio.Event) -> None:
        try:
            await fetch_each([job], session, record)
        finally:
            slots.release()
            is_sent.set()  # the request may have failed before it was sent

    async with (
        open_session(concurrency, timeout_s, Request) as session,
        asyncio.TaskGroup() as saves,
    ):
        for job in jobs:
            # While no slot is free the loop waits for answers, and computes no further items: a
            # slot that becomes free would stay empty for as long as an item takes.
            await slots.acquire()
            latest_sent = asyncio.Event()
            saves.create_task(save(job, latest_sent))
            await latest_sent.wait()

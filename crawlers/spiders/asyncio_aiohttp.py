"""Coroutines over one frontier, with aiohttp."""

import asyncio
from collections.abc import Callable
from functools import partial

import aiohttp

from crawlers.asyncio_aiohttp import fetch_one, work_on
from crawlers.asyncio_dispatch import new_event_loop
from crawlers.contract import Recorder
from crawlers.spiders.contract import Frontier, Visit


def spider(
    frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder, visit: Visit
) -> None:
    """Crawl a site, on the event loop that was chosen, or asyncio's own."""
    spider_on(partial(new_event_loop, False), frontier, concurrency, timeout_s, record, visit)


def spider_on(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    frontier: Frontier,
    concurrency: int,
    timeout_s: float,
    record: Recorder,
    visit: Visit,
) -> None:
    """Crawl a site, on an event loop that this function makes."""

    async def follow_links(session: aiohttp.ClientSession) -> None:
        async for job in frontier:
            chunks: list[bytes] = []
            found: list[str] = []
            response = await fetch_one(job, session, record, chunks)
            if response is not None:
                found = await visit.later(job, response.status, response.headers, b"".join(chunks))
            frontier.done(job, found)

    work_on(new_loop, concurrency, timeout_s, follow_links)

"""Saves in batches, with aiohttp: computes C items, then saves all of them in a session of its own.

The later editions of the chapter do it this way: each batch opens its connections again.
"""

import asyncio
from collections.abc import Iterator
from itertools import islice

from crawlers.asyncio_aiohttp import fetch_each, open_session
from crawlers.contract import Job, Recorder


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Save every item, `concurrency` at a time."""
    with asyncio.Runner() as runner:
        while batch := list(islice(jobs, concurrency)):
            runner.run(_save(batch, timeout_s, record))


async def _save(batch: list[Job], timeout_s: float, record: Recorder) -> None:
    async with open_session(len(batch), timeout_s) as session:
        await asyncio.gather(*(fetch_each([job], session, record) for job in batch))

"""Coroutines, with aiohttp, on uvloop; a separate module, as `asyncio` must not import uvloop."""

from collections.abc import Iterator

import uvloop

from crawlers.asyncio_aiohttp import crawl_on
from crawlers.contract import Job, Recorder


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    crawl_on(uvloop.new_event_loop, jobs, concurrency, timeout_s, record)

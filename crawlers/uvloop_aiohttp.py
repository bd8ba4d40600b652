"""Coroutines, with aiohttp, on uvloop; a separate module, as `asyncio` must not import uvloop."""

from collections.abc import Iterator

import uvloop

from crawlers.asyncio_aiohttp import crawl_on
from crawlers.contract import Job, Recorder
from crawlers.dispatch import look_ahead


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    jobs, is_open_loop = look_ahead(jobs)
    crawl_on(uvloop.new_event_loop, jobs, concurrency, timeout_s, record, is_open_loop)

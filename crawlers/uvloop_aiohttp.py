"""Coroutines, with aiohttp, on uvloop; a separate module, as `asyncio` must not import uvloop."""

from collections.abc import Iterator
from functools import partial

import uvloop

from crawlers.asyncio_aiohttp import crawl_on
from crawlers.asyncio_dispatch import new_event_loop
from crawlers.contract import Job, Recorder
from crawlers.dispatch import look_ahead


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    jobs, is_open_loop = look_ahead(jobs)
    new_loop = partial(new_event_loop, is_open_loop, uvloop.new_event_loop)
    crawl_on(new_loop, jobs, concurrency, timeout_s, record, is_open_loop)

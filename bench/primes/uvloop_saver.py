"""The savers with coroutines, on uvloop; a separate module for the import."""

from collections.abc import Iterator

import uvloop

from bench.primes import asyncio_saver, asyncio_sleep_saver
from crawlers.contract import Job, Recorder


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Save every item, and wait until each is sent."""
    asyncio_saver.crawl_on(uvloop.new_event_loop, jobs, concurrency, timeout_s, record)


def crawl_and_sleep(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Save every item, with one turn of the loop after each."""
    asyncio_sleep_saver.crawl_on(uvloop.new_event_loop, jobs, concurrency, timeout_s, record)

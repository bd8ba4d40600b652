"""The coroutines of bench.primes.asyncio_saver on uvloop; a separate module for the import."""

from collections.abc import Iterator

import uvloop

from bench.primes.asyncio_saver import crawl_on
from crawlers.contract import Job, Recorder


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Save every item."""
    crawl_on(uvloop.new_event_loop, jobs, concurrency, timeout_s, record)

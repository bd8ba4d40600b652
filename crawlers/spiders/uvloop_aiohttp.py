"""Coroutines over one frontier, with aiohttp, on uvloop."""

import uvloop

from crawlers.contract import Recorder
from crawlers.spiders.asyncio_aiohttp import spider_on
from crawlers.spiders.contract import Frontier, Visit


def spider(
    frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder, visit: Visit
) -> None:
    """Crawl a site."""
    spider_on(uvloop.new_event_loop, frontier, concurrency, timeout_s, record, visit)

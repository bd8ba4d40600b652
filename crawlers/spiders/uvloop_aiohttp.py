"""Coroutines over one frontier, with aiohttp, on uvloop."""

from functools import partial

import uvloop

from crawlers.asyncio_dispatch import new_event_loop
from crawlers.contract import Recorder
from crawlers.spiders.asyncio_aiohttp import spider_on
from crawlers.spiders.contract import Frontier, Visit


def spider(
    frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder, visit: Visit
) -> None:
    """Crawl a site."""
    new_loop = partial(new_event_loop, False, uvloop.new_event_loop)
    spider_on(new_loop, frontier, concurrency, timeout_s, record, visit)

"""Greenlets over one frontier, with urllib3 on patched sockets."""

# ruff: noqa: I001 - this import patches the standard library, so it comes first
from crawlers.gevent_urllib3 import fetch_one

import gevent

from crawlers.contract import Job, Recorder
from crawlers.spiders.contract import Frontier, Visit
from crawlers.spiders.following import Response, follow_links
from crawlers.urllib3_pools import open_pools


def spider(
    frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder, visit: Visit
) -> None:
    """Crawl a site."""
    pools = open_pools(concurrency, len(frontier.hosts))

    def fetch(job: Job, chunks: list[bytes]) -> Response | None:
        return fetch_one(job, pools, timeout_s, record, chunks)

    workers = [gevent.spawn(follow_links, frontier, visit, fetch) for _ in range(concurrency)]
    gevent.joinall(workers, raise_error=True)
    pools.clear()

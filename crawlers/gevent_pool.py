"""Greenlets, with urllib3 on patched sockets: a greenlet for each job, in a gevent pool of C."""

# ruff: noqa: I001 - this import patches the standard library, so it comes first
from crawlers.gevent_urllib3 import fetch_one

from collections.abc import Iterator

import gevent
from gevent.pool import Pool

from crawlers.contract import Job, Recorder
from crawlers.dispatch import when_due
from crawlers.urllib3_pools import open_pools


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    pools = open_pools(concurrency)

    def fetch(job: Job) -> None:
        fetch_one(job, pools, timeout_s, record)

    for _ in Pool(concurrency).imap_unordered(fetch, when_due(jobs, gevent.sleep)):
        pass
    pools.clear()

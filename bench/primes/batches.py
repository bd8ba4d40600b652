"""Saves in batches, with grequests: computes C items, sends all of them, waits for all of them.

The chapter does it this way; a crawler of `crawlers` would take a new job for each free slot.
"""

from collections.abc import Iterator
from itertools import islice

import grequests

from crawlers.contract import Job, Recorder
from crawlers.grequests_imap import Fetch, sized_session


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job, `concurrency` at a time."""
    with sized_session(concurrency) as session:
        while batch := list(islice(jobs, concurrency)):
            fetches = [Fetch(job, session, timeout_s, record) for job in batch]
            grequests.map(fetches, size=concurrency)

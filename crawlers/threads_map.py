"""A pool of C threads, with urllib3: every job is handed to the executor at once, by its map."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from crawlers.contract import Job, Recorder
from crawlers.threads_urllib3 import fetch_one
from crawlers.urllib3_pools import open_pools


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    pools = open_pools(concurrency)

    def fetch(job: Job) -> None:
        fetch_one(job, pools, timeout_s, record)

    with ThreadPoolExecutor(concurrency) as executor:
        for _ in executor.map(fetch, jobs):
            pass
    pools.clear()

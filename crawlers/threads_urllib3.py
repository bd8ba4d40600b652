"""A pool of threads, with urllib3: C threads over one iterator, one sized connection pool."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic_ns

import urllib3

from crawlers.contract import Job, Recorder
from crawlers.urllib3_bodies import read_whole
from crawlers.urllib3_errors import error_word
from crawlers.urllib3_pools import open_pools


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    pools = open_pools(concurrency)

    def work() -> None:
        for job in jobs:
            fetch_one(job, pools, timeout_s, record)

    with ThreadPoolExecutor(concurrency) as executor:
        for worker in [executor.submit(work) for _ in range(concurrency)]:
            worker.result()
    pools.clear()


def fetch_one(job: Job, pools: urllib3.PoolManager, timeout_s: float, record: Recorder) -> None:
    """Fetch one job."""
    status = size_bytes = 0
    error = ""
    start_ns = monotonic_ns()
    try:
        response = pools.request(
            job.method,
            job.url,
            body=job.body,
            headers=job.headers,
            redirect=False,
            retries=False,
            preload_content=False,
            decode_content=False,
            timeout=timeout_s,
        )
        status = response.status
        for chunk_bytes in read_whole(response, start_ns + int(timeout_s * 1e9)):
            size_bytes += chunk_bytes
        response.release_conn()
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as exception:
        error = error_word(exception)
    record(job.seq, start_ns, monotonic_ns(), status, size_bytes, error)

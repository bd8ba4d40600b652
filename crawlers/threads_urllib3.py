"""A pool of threads, with urllib3: C threads over one iterator, one sized connection pool."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import Semaphore
from time import monotonic_ns, sleep

import urllib3

from crawlers.contract import Job, Recorder, SharedIterator
from crawlers.dispatch import look_ahead, when_due
from crawlers.urllib3_bodies import read_whole
from crawlers.urllib3_errors import error_word
from crawlers.urllib3_pools import open_pools


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    pools = open_pools(concurrency)
    fetch = partial(fetch_one, pools=pools, timeout_s=timeout_s, record=record)
    jobs, is_open_loop = look_ahead(jobs)
    if is_open_loop:
        _fetch_when_due(jobs, concurrency, fetch)
    else:
        _fetch_at_once(SharedIterator(jobs), concurrency, fetch)
    pools.clear()


def _fetch_at_once(jobs: Iterator[Job], concurrency: int, fetch: Callable[[Job], object]) -> None:
    def work() -> None:
        for job in jobs:
            fetch(job)

    with ThreadPoolExecutor(concurrency) as executor:
        for worker in [executor.submit(work) for _ in range(concurrency)]:
            worker.result()


def _fetch_when_due(jobs: Iterator[Job], concurrency: int, fetch: Callable[[Job], object]) -> None:
    slots, due = Semaphore(concurrency), when_due(jobs, sleep)
    failures: list[BaseException] = []

    def finished(fetched: "Future[object]") -> None:
        if failure := fetched.exception():
            failures.append(failure)
        slots.release()

    with ThreadPoolExecutor(concurrency) as executor:
        while slots.acquire() and not failures and (job := next(due, None)) is not None:
            executor.submit(fetch, job).add_done_callback(finished)
    if failures:
        raise failures[0]


def fetch_one(
    job: Job,
    pools: urllib3.PoolManager,
    timeout_s: float,
    record: Recorder,
    chunks: list[bytes] | None = None,
) -> urllib3.BaseHTTPResponse | None:
    """Fetch one job; return its response unless it failed, and leave its body in `chunks`."""
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
        for chunk in read_whole(response, start_ns + int(timeout_s * 1e9)):
            size_bytes += len(chunk)
            if chunks is not None:
                chunks.append(chunk)
        response.release_conn()
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as exception:
        error = error_word(exception)
    record(job.seq, start_ns, monotonic_ns(), status, size_bytes, error)
    return None if error else response

"""Greenlets, with urllib3 on patched sockets: C greenlets over one iterator, one sized pool."""

# ruff: noqa: E402 - the standard library must be patched before anything else imports it
from gevent import monkey

monkey.patch_all()

from collections.abc import Iterator
from functools import partial
from time import monotonic_ns

import gevent
import urllib3

from crawlers.contract import Job, Recorder
from crawlers.gevent_dispatch import fetch_all
from crawlers.urllib3_errors import error_word
from crawlers.urllib3_pools import open_pools

_CHUNK_BYTES = 65_536


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    pools = open_pools(concurrency)
    fetch = partial(fetch_one, pools=pools, timeout_s=timeout_s, record=record)
    fetch_all(jobs, concurrency, fetch)
    pools.clear()


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
    # Unlike urllib3's own timeouts, which bound each read, this one bounds the whole fetch.
    deadline = gevent.Timeout.start_new(timeout_s)
    response = None
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
            timeout=None,
        )
        status = response.status
        while chunk := response.read1(_CHUNK_BYTES):
            if size_bytes:
                gevent.sleep(0)  # data that has arrived is read without letting other greenlets run
            size_bytes += len(chunk)
            if chunks is not None:
                chunks.append(chunk)
        response.release_conn()
    except gevent.Timeout as expired:
        if expired is not deadline:
            raise
        error = "timeout"
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as exception:
        error = error_word(exception)
    finally:
        deadline.cancel()
        if error and response is not None:
            response.close()
    record(job.seq, start_ns, monotonic_ns(), status, size_bytes, error)
    return None if error else response

"""Coroutines, with httpx (its maintained fork httpx2): C workers over one iterator."""

import asyncio
import ssl
from collections.abc import Iterator
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import monotonic_ns

import httpx2

from crawlers.asyncio_dispatch import fetch_all, new_event_loop
from crawlers.contract import HEADERS, Job, Recorder
from crawlers.dispatch import look_ahead
from crawlers.trust import ssl_context


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    jobs, is_open_loop = look_ahead(jobs)
    with asyncio.Runner(loop_factory=partial(new_event_loop, is_open_loop)) as runner:
        runner.run(_crawl(jobs, is_open_loop, concurrency, timeout_s, record))


async def _crawl(
    jobs: Iterator[Job], is_open_loop: bool, concurrency: int, timeout_s: float, record: Recorder
) -> None:
    async with httpx2.AsyncClient(
        # By default 100 connections, of which 20 are kept.
        limits=httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency),
        timeout=None,
        follow_redirects=False,
        trust_env=False,
        # No cookie of a response is kept: a malformed one would fail all further requests.
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
        verify=ssl_context() or True,
        headers=HEADERS,
    ) as client:

        async def fetch(job: Job) -> None:
            status = size_bytes = 0
            error = ""
            start_ns = monotonic_ns()
            try:
                async with (
                    asyncio.timeout(timeout_s),
                    client.stream(
                        job.method, job.url, content=job.body, headers=job.headers
                    ) as response,
                ):
                    status = response.status_code
                    async for chunk in response.aiter_raw():
                        size_bytes += len(chunk)
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as exception:
                error = _error_word(exception)
            record(job.seq, start_ns, monotonic_ns(), status, size_bytes, error)

        await fetch_all(jobs, concurrency, fetch, is_open_loop)


def _error_word(exception: Exception) -> str:
    match exception:
        case TimeoutError() | httpx2.TimeoutException():
            return "timeout"
        case httpx2.ConnectError() | ssl.SSLError():
            return "connect"
        case httpx2.RemoteProtocolError():
            is_closed = "disconnected" in str(exception) or "closed" in str(exception)
            return "closed" if is_closed else "malformed"
        case httpx2.ReadError() | httpx2.WriteError() | ConnectionResetError():
            return "reset"
        case _:
            return "failed"

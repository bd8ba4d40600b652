"""Coroutines, with httpx (its maintained fork httpx2): C workers over one iterator."""

import asyncio
import ssl
from collections.abc import Iterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from time import monotonic_ns

import httpx2

from crawlers.contract import HEADERS, Job, Recorder
from crawlers.trust import ssl_context


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    asyncio.run(_crawl(jobs, concurrency, timeout_s, record))


async def _crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
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

        async def work() -> None:
            for job in jobs:
                status = size_bytes = 0
                error = ""
                start_ns = monotonic_ns()
                try:
                    async with (
                        asyncio.timeout(timeout_s),
                        client.stream("GET", job.url) as response,
                    ):
                        status = response.status_code
                        async for chunk in response.aiter_raw():
                            size_bytes += len(chunk)
                except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as exception:
                    error = _error_word(exception)
                record(job.seq, start_ns, monotonic_ns(), status, size_bytes, error)

        async with asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(work())


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

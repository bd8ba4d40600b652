"""Coroutines, with aiohttp: C workers over one iterator."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from time import monotonic_ns

import aiohttp
from yarl import URL

from crawlers.asyncio_dispatch import fetch_when_due, new_event_loop
from crawlers.collector import collect_less_often
from crawlers.contract import HEADERS, Job, Recorder
from crawlers.dispatch import look_ahead
from crawlers.trust import ssl_context


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job, on the event loop that was chosen, or asyncio's own."""
    jobs, is_open_loop = look_ahead(jobs)
    new_loop = partial(new_event_loop, is_open_loop)
    crawl_on(new_loop, jobs, concurrency, timeout_s, record, is_open_loop)


def crawl_on(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    jobs: Iterator[Job],
    concurrency: int,
    timeout_s: float,
    record: Recorder,
    is_open_loop: bool = False,
) -> None:
    """Fetch every job, on an event loop that this function makes."""
    if not is_open_loop:
        work_on(new_loop, concurrency, timeout_s, lambda session: fetch_each(jobs, session, record))
        return

    async def crawl() -> None:
        async with open_session(concurrency, timeout_s) as session:
            await fetch_when_due(jobs, concurrency, lambda job: fetch_each((job,), session, record))

    run_on(new_loop, crawl())


def work_on(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    concurrency: int,
    timeout_s: float,
    work: Callable[[aiohttp.ClientSession], Coroutine[None, None, None]],
) -> None:
    """Run `concurrency` workers that share a session, on an event loop that this function makes."""

    async def crawl() -> None:
        async with (
            open_session(concurrency, timeout_s) as session,
            asyncio.TaskGroup() as workers,
        ):
            for _ in range(concurrency):
                workers.create_task(work(session))

    run_on(new_loop, crawl())


def run_on(
    new_loop: Callable[[], asyncio.AbstractEventLoop], crawl: Coroutine[None, None, None]
) -> None:
    """Run a crawl on an event loop that this function makes."""
    collect_less_often()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(crawl)


def open_session(
    concurrency: int,
    timeout_s: float,
    request_class: type[aiohttp.ClientRequest] = aiohttp.ClientRequest,
    *,
    is_queue_timed: bool = True,
) -> aiohttp.ClientSession:
    """Return a session of at most `concurrency` connections that keeps the contract.

    aiohttp's time limit of a whole fetch includes the wait for a connection. Unless
    `is_queue_timed`, the limit is that of connecting, and of each read.
    """
    limits = ("total",) if is_queue_timed else ("sock_connect", "sock_read")
    return aiohttp.ClientSession(
        # With the default limit of 100, no higher concurrency could be measured.
        connector=aiohttp.TCPConnector(limit=concurrency, ssl=ssl_context() or True),
        # aiohttp would round timeouts of 5 s and more up to whole seconds of the loop's clock.
        timeout=aiohttp.ClientTimeout(**dict.fromkeys(limits, timeout_s), ceil_threshold=math.inf),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        headers=HEADERS,
        request_class=request_class,
    )


async def fetch_each(
    jobs: Iterable[Job],
    session: aiohttp.ClientSession,
    record: Callable[[int, int, int, int, int, str], None],
) -> None:
    """Fetch these jobs, one after another."""
    for job in jobs:
        await fetch_one(job, session, record)


async def fetch_one(
    job: Job,
    session: aiohttp.ClientSession,
    record: Callable[[int, int, int, int, int, str], None],
    chunks: list[bytes] | None = None,
) -> aiohttp.ClientResponse | None:
    """Fetch one job; return its response unless it failed, and leave its body in `chunks`."""
    status = size_bytes = 0
    error = ""
    response = None
    start_ns = monotonic_ns()
    try:
        # The URL is sent as it is, and is not quoted again for every request.
        url = URL(job.url, encoded=True)
        async with session.request(
            job.method, url, data=job.body, headers=job.headers, allow_redirects=False
        ) as response:
            status = response.status
            async for chunk in response.content.iter_any():
                size_bytes += len(chunk)
                if chunks is not None:
                    chunks.append(chunk)
    except (aiohttp.ClientError, OSError, ValueError) as exception:
        error = _error_word(exception)
    record(job.seq, start_ns, monotonic_ns(), status, size_bytes, error)
    return None if error else response


def _error_word(exception: Exception) -> str:
    match exception:
        case TimeoutError():
            return "timeout"
        case aiohttp.ClientConnectorError():
            return "connect"
        # If a body of known length is truncated, only the text of the error has the reason.
        case aiohttp.ClientPayloadError() if "ConnectionResetError" in str(exception):
            return "reset"
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return "closed"
        case ConnectionResetError() | aiohttp.ClientOSError():
            return "reset"
        case aiohttp.ClientResponseError():
            return "malformed"
        case _:
            return "failed"

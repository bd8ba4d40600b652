"""A minimal loop with each library, to compare our crawlers with: what does the contract cost?

Each is what the documentation of its library suggests, with pools of the size of the concurrency.
There is no time limit, no word for errors, and no promise about proxies: the first failure ends it.

    ./benchmark.sh run --crawlers asyncio,plainest=scripts.plainest_loops:aiohttp
"""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic_ns
from typing import Any

from crawlers.contract import Job, Recorder


def requests(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Compare with `serial`."""
    import requests

    with requests.Session() as session:
        for job in jobs:
            start_ns = monotonic_ns()
            response = session.get(job.url)
            body = response.content
            record(job.seq, start_ns, monotonic_ns(), response.status_code, len(body))


def threads(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """urllib3 in threads; compare with `threads`."""
    import urllib3

    pool = urllib3.PoolManager(maxsize=concurrency)

    def work() -> None:
        for job in jobs:
            start_ns = monotonic_ns()
            response = pool.request("GET", job.url)
            record(job.seq, start_ns, monotonic_ns(), response.status, len(response.data))

    with ThreadPoolExecutor(concurrency) as executor:
        for worker in [executor.submit(work) for _ in range(concurrency)]:
            worker.result()


def gevent(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """urllib3 on greenlets; compare with `gevent`."""
    from gevent import monkey

    monkey.patch_all()
    import gevent
    import urllib3

    pool = urllib3.PoolManager(maxsize=concurrency)

    def work() -> None:
        for job in jobs:
            start_ns = monotonic_ns()
            response = pool.request("GET", job.url)
            record(job.seq, start_ns, monotonic_ns(), response.status, len(response.data))

    gevent.joinall([gevent.spawn(work) for _ in range(concurrency)], raise_error=True)


def grequests(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Compare with `grequests`. Its clocks start too early: imap does not report when it sends."""
    import grequests
    from requests.adapters import HTTPAdapter

    session = grequests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=concurrency))

    def asked(job: Job) -> Any:
        start_ns = monotonic_ns()

        def answered(response: Any, **_: object) -> None:
            body = response.content
            record(job.seq, start_ns, monotonic_ns(), response.status_code, len(body))

        return grequests.get(job.url, session=session, callback=answered)

    for _ in grequests.imap((asked(job) for job in jobs), size=concurrency):
        pass


def tornado_simple(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Tornado's own client; compare with `tornado-simple`."""
    from tornado.httpclient import AsyncHTTPClient

    async def main() -> None:
        client = AsyncHTTPClient(max_clients=concurrency)

        async def work() -> None:
            for job in jobs:
                start_ns = monotonic_ns()
                response = await client.fetch(job.url)
                record(job.seq, start_ns, monotonic_ns(), response.code, len(response.body))

        await asyncio.gather(*(work() for _ in range(concurrency)))

    asyncio.run(main())


def tornado_simple_callback(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """The same by callbacks; compare with `tornado-simple-callback`."""
    from tornado.httpclient import AsyncHTTPClient, HTTPResponse

    async def main() -> None:
        client = AsyncHTTPClient(max_clients=concurrency)
        loop = asyncio.get_running_loop()
        ends = [loop.create_future() for _ in range(concurrency)]

        def start(end: "asyncio.Future[None]") -> None:
            job = next(jobs, None)
            if job is None:
                end.set_result(None)
                return
            start_ns = monotonic_ns()

            def finished(future: "asyncio.Future[HTTPResponse]") -> None:
                response = future.result()
                record(job.seq, start_ns, monotonic_ns(), response.code, len(response.body))
                start(end)

            client.fetch(job.url).add_done_callback(finished)

        for end in ends:
            start(end)
        await asyncio.gather(*ends)

    asyncio.run(main())


def tornado(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Compare with `tornado`."""
    _configure_curl()
    tornado_simple(jobs, concurrency, timeout_s, record)


def tornado_callback(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Compare with `tornado-callback`."""
    _configure_curl()
    tornado_simple_callback(jobs, concurrency, timeout_s, record)


def _configure_curl() -> None:
    from tornado.httpclient import AsyncHTTPClient

    AsyncHTTPClient.configure("tornado.curl_httpclient.CurlAsyncHTTPClient")


def aiohttp(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Compare with `asyncio`."""
    asyncio.run(_aiohttp(jobs, concurrency, record))


def aiohttp_uvloop(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Compare with `asyncio-uvloop`."""
    import uvloop

    uvloop.run(_aiohttp(jobs, concurrency, record))


async def _aiohttp(jobs: Iterator[Job], concurrency: int, record: Recorder) -> None:
    import aiohttp

    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def work() -> None:
            for job in jobs:
                start_ns = monotonic_ns()
                async with session.get(job.url) as response:
                    body = await response.read()
                record(job.seq, start_ns, monotonic_ns(), response.status, len(body))

        await asyncio.gather(*(work() for _ in range(concurrency)))


def twisted(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Compare with `twisted`."""
    import contextlib

    from twisted.internet import task
    from twisted.internet.defer import Deferred, gatherResults
    from twisted.web.client import Agent, HTTPConnectionPool, readBody

    def main(reactor: Any) -> "Deferred[Any]":
        pool = HTTPConnectionPool(reactor)
        pool.maxPersistentPerHost = concurrency
        agent = Agent(reactor, pool=pool)

        async def work() -> None:
            for job in jobs:
                start_ns = monotonic_ns()
                response: Any = await agent.request(b"GET", job.url.encode())
                body = await readBody(response)
                record(job.seq, start_ns, monotonic_ns(), response.code, len(body))

        return gatherResults([Deferred.fromCoroutine(work()) for _ in range(concurrency)])

    with contextlib.suppress(SystemExit):
        task.react(main)


def geventhttpclient(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Compare with `geventhttpclient`."""
    from urllib.parse import urlsplit

    import gevent
    from geventhttpclient import HTTPClient

    clients: list[HTTPClient] = []

    def work() -> None:
        for job in jobs:
            start_ns = monotonic_ns()
            if not clients:
                clients.append(HTTPClient.from_url(job.url, concurrency=concurrency))
            parts = urlsplit(job.url)
            response = clients[0].get(f"{parts.path}?{parts.query}")
            body = response.read()
            record(job.seq, start_ns, monotonic_ns(), response.status_code, len(body))

    gevent.joinall([gevent.spawn(work) for _ in range(concurrency)], raise_error=True)


def httpx(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Compare with `httpx`."""
    import httpx2

    async def main() -> None:
        limits = httpx2.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
        async with httpx2.AsyncClient(limits=limits, timeout=None) as client:

            async def work() -> None:
                for job in jobs:
                    start_ns = monotonic_ns()
                    response = await client.get(job.url)
                    body = response.content
                    record(job.seq, start_ns, monotonic_ns(), response.status_code, len(body))

            await asyncio.gather(*(work() for _ in range(concurrency)))

    asyncio.run(main())

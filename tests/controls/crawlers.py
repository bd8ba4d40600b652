"""Crawlers that are `asyncio` but for one thing that they do wrong, or that happens to them."""

import asyncio
import ctypes
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from time import monotonic_ns
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from crawlers.asyncio_aiohttp import crawl as honest
from crawlers.contract import HEADERS, Job, Recorder

_EVERY = 50
_PAUSE_S = 0.4


class Edited(Recorder):
    """Records what `edit` makes of each record; nothing where that is None."""

    def __init__(self, record: Recorder) -> None:
        super().__init__()
        self._record = record

    def edit(self, seq: int, start_ns: int, end_ns: int) -> tuple[int, int, int] | None:
        return seq, start_ns, end_ns

    def __call__(
        self, seq: int, start_ns: int, end_ns: int, status: int, size_bytes: int, error: str = ""
    ) -> None:
        edited = self.edit(seq, start_ns, end_ns)
        if edited is not None:
            self._record(*edited, status, size_bytes, error)


def retries(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetches some requests twice, and says nothing of it."""

    seen: set[int] = set()

    class Once(Edited):
        def edit(self, seq: int, start_ns: int, end_ns: int) -> tuple[int, int, int] | None:
            if seq in seen:
                return None
            seen.add(seq)
            return seq, start_ns, end_ns

    def some_twice() -> Iterator[Job]:
        for job in jobs:
            yield job
            if job.seq % _EVERY == 0:
                yield job

    honest(some_twice(), concurrency, timeout_s, Once(record))


def skips(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Leaves some requests out."""
    kept = (job for job in jobs if job.seq % _EVERY)
    honest(kept, concurrency, timeout_s, record)


def invents(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Leaves some requests out, and says that it fetched them."""

    def kept() -> Iterator[Job]:
        for job in jobs:
            if job.seq % _EVERY:
                yield job
            else:
                now_ns = monotonic_ns()
                record(job.seq, now_ns, now_ns, 200, 1)

    honest(kept(), concurrency, timeout_s, record)


def hidden_pool(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Has as many workers as it should, and 67 connections for a hundred of them."""
    connector = aiohttp.TCPConnector
    aiohttp.TCPConnector = lambda limit, **more: connector(limit=limit * 67 // 100, **more)  # type: ignore[assignment, misc]
    honest(jobs, concurrency, timeout_s, record)


def twice_as_many(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Has twice as many requests in flight as it was asked for."""
    honest(jobs, 2 * concurrency, timeout_s, record)


def early_clock(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Starts all requests at once and lets them wait for a slot: gather behind a semaphore."""

    async def main() -> None:
        slots = asyncio.Semaphore(concurrency)
        connector = aiohttp.TCPConnector(limit=concurrency)
        async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:

            async def fetch(job: Job) -> None:
                start_ns = monotonic_ns()
                async with slots, session.get(job.url) as response:
                    size_bytes = len(await response.read())
                record(job.seq, start_ns, monotonic_ns(), response.status, size_bytes)

            await asyncio.gather(*(fetch(job) for job in jobs))

    asyncio.run(main())


def late_clock(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Starts its clock when half of the time is over."""

    class Late(Edited):
        def edit(self, seq: int, start_ns: int, end_ns: int) -> tuple[int, int, int]:
            return seq, (start_ns + end_ns) // 2, end_ns

    honest(jobs, concurrency, timeout_s, Late(record))


def hurries(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Asks the server for shorter delays than it was told to."""
    shorter = (job._replace(url=job.url.replace("delay=", "delay=1&was=")) for job in jobs)
    honest(shorter, concurrency, timeout_s, record)


def stands_still(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Blocks its event loop once, for 0.4 s."""

    def with_a_pause() -> Iterator[Job]:
        for job in jobs:
            if job.seq == 500:
                time.sleep(_PAUSE_S)
            yield job

    honest(with_a_pause(), concurrency, timeout_s, record)


def paces_itself(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Sleeps for 50 ms after each request, its slot free."""

    async def main() -> None:
        connector = aiohttp.TCPConnector(limit=concurrency)
        async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:

            async def work() -> None:
                for job in jobs:
                    start_ns = monotonic_ns()
                    async with session.get(job.url) as response:
                        size_bytes = len(await response.read())
                    record(job.seq, start_ns, monotonic_ns(), response.status, size_bytes)
                    await asyncio.sleep(0.05)

            await asyncio.gather(*(work() for _ in range(concurrency)))

    asyncio.run(main())


def shuffles(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Takes all jobs first, and fetches them in an order of its own."""
    honest(reversed(list(jobs)), concurrency, timeout_s, record)


def suspended(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Is stopped by somebody, and continued after 0.4 s."""

    def with_a_stop() -> Iterator[Job]:
        for job in jobs:
            if job.seq == 500:
                me = os.getpid()
                subprocess.Popen(
                    ["/bin/sh", "-c", f"kill -STOP {me}; sleep {_PAUSE_S}; kill -CONT {me}"]
                )
            yield job

    # The shell's end must not be waited for, nor warned of.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    honest(with_a_stop(), concurrency, timeout_s, record)


_BUSY = """
import os, sys, time
if sys.argv[1:] == ["again"]:
    if os.fork():
        os._exit(0)
    os.setsid()
while time.process_time() < 0.3:
    pass
print("busy", flush=True)
sys.stdin.read()
"""


def _beside_a_busy_child(
    jobs: Iterator[Job],
    concurrency: int,
    timeout_s: float,
    record: Recorder,
    *words: str,
    has_session: bool = False,
) -> None:
    """Honest, but for a process that uses 0.3 s of CPU, and ends with this one."""
    child = subprocess.Popen(
        [sys.executable, "-c", _BUSY, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=has_session,
    )
    assert child.stdout is not None
    child.stdout.readline()
    if words:
        child.wait()  # its own child goes on
    honest(jobs, concurrency, timeout_s, record)


def child_left_running(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Has a child that uses CPU, and does not wait for it."""
    _beside_a_busy_child(jobs, concurrency, timeout_s, record)


def child_of_another_session(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """The same, in a session of its own."""
    _beside_a_busy_child(jobs, concurrency, timeout_s, record, has_session=True)


def child_of_a_child(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """The same by a child that has ended."""
    _beside_a_busy_child(jobs, concurrency, timeout_s, record, "again")


def child_waited_for(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Honest: has a child that uses as much, and waits for it."""
    command = [sys.executable, "-c", _BUSY]
    subprocess.run(command, input=b"", stdout=subprocess.DEVNULL, check=True)
    honest(jobs, concurrency, timeout_s, record)


def few_files(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """May open 64 files, and needs a connection for each of a hundred slots."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    honest(jobs, concurrency, timeout_s, record)


def two_pieces(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Sends each request in two pieces, with Nagle's algorithm on."""

    def work() -> None:
        connection = None
        for job in jobs:
            parts = urlsplit(job.url)
            start_ns = monotonic_ns()
            if connection is None:
                address = (parts.hostname or "", parts.port or 80)
                connection = socket.create_connection(address, timeout_s)
            connection.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\n".encode())
            connection.sendall(f"Host: {parts.netloc}\r\n\r\n".encode())
            answer = b""
            while not answer.endswith(b"\r\n\r\n."):
                answer += connection.recv(4096)
            record(job.seq, start_ns, monotonic_ns(), 200, 1)
        if connection is not None:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def slower(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Spends 50 us of CPU more on each request."""

    class Slow(Edited):
        def edit(self, seq: int, start_ns: int, end_ns: int) -> tuple[int, int, int]:
            until_ns = time.thread_time_ns() + 50_000
            while time.thread_time_ns() < until_ns:
                pass
            return seq, start_ns, end_ns

    honest(jobs, concurrency, timeout_s, Slow(record))


_POOL = 100
"""Of connections, whatever is asked for: the default of aiohttp and httpx."""


def pool_of_aiohttp(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Has as many workers as it should, and a pool of 100 connections."""
    connector = aiohttp.TCPConnector
    aiohttp.TCPConnector = lambda limit, **more: connector(limit=min(limit, _POOL), **more)  # type: ignore[assignment, misc]
    honest(jobs, concurrency, timeout_s, record)


def pool_of_httpx(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """The same with httpx."""
    import httpx2

    from crawlers.httpx_asyncio import crawl

    limits = httpx2.Limits(max_connections=_POOL, max_keepalive_connections=_POOL)
    httpx2.Limits = lambda **_: limits  # type: ignore[assignment, misc]
    crawl(jobs, concurrency, timeout_s, record)


def pool_of_urllib3(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """The same with threads, which wait for a connection."""
    import urllib3

    from crawlers.threads_urllib3 import crawl

    manager = urllib3.PoolManager
    urllib3.PoolManager = lambda maxsize, **more: manager(  # type: ignore[assignment, misc]
        maxsize=min(maxsize, _POOL), block=True, **more
    )
    crawl(jobs, concurrency, timeout_s, record)


def pool_of_geventhttpclient(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """The same with greenlets."""
    from geventhttpclient import HTTPClient

    from crawlers.gevent_geventhttpclient import crawl

    from_url = HTTPClient.from_url
    HTTPClient.from_url = lambda url, concurrency, **more: from_url(  # type: ignore[method-assign]
        url, concurrency=min(concurrency, _POOL), **more
    )
    crawl(jobs, concurrency, timeout_s, record)


def pool_of_tornado(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Tornado's own client, which opens a connection for each request, 100 at a time."""
    from tornado.simple_httpclient import SimpleAsyncHTTPClient

    from crawlers.tornado_simple import crawl

    initialize = SimpleAsyncHTTPClient.initialize

    def limited(self: SimpleAsyncHTTPClient, max_clients: int, **more: Any) -> None:
        initialize(self, min(max_clients, _POOL), **more)

    SimpleAsyncHTTPClient.initialize = limited  # type: ignore[assignment, method-assign]
    crawl(jobs, concurrency, timeout_s, record)


def hundred_workers(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Has 100 workers, whatever is asked for."""
    honest(jobs, min(concurrency, _POOL), timeout_s, record)


def starts_programs(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Starts a short program for each job, and waits for none: each uses less than a clock tick."""

    def with_programs() -> Iterator[Job]:
        for job in jobs:
            os.posix_spawn("/bin/true", ["true"], {})
            yield job

    honest(with_programs(), concurrency, timeout_s, record)


def ignores_in_c(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Ignores SIGCHLD behind the back of the signal module."""
    ctypes.CDLL(None).signal(signal.SIGCHLD.value, ctypes.c_void_p(1))
    honest(jobs, concurrency, timeout_s, record)


def reconnects(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Opens a further connection for each job, and sends half a request on it."""

    def with_halves() -> Iterator[Job]:
        for job in jobs:
            parts = urlsplit(job.url)
            address = parts.hostname or "", parts.port or 80
            with socket.create_connection(address) as connection:
                connection.sendall(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost:".encode())
            yield job

    honest(with_halves(), concurrency, timeout_s, record)


def starts_early(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Starts each job 20 ms before it is due."""
    early = (job._replace(due_ns=job.due_ns - 20_000_000) for job in jobs)
    honest(early, concurrency, timeout_s, record)


def sends_late(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Starts each job 20 ms after it is due."""
    late = (job._replace(due_ns=job.due_ns + 20_000_000) for job in jobs)
    honest(late, concurrency, timeout_s, record)


def drops_late_jobs(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Has five slots, and leaves out what became late while all were taken."""
    fresh = (job for job in jobs if monotonic_ns() < job.due_ns + 20_000_000)
    honest(fresh, min(concurrency, 5), timeout_s, record)


def retries_refused(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Sends a refused request again by itself, and only records how it ended."""
    from urllib3 import PoolManager

    pool = PoolManager(maxsize=1)
    for job in jobs:
        start_ns = monotonic_ns()
        response = pool.request("GET", job.url, retries=False)
        if response.status == 429:
            response = pool.request("GET", job.url, retries=False)
        record(job.seq, start_ns, monotonic_ns(), response.status, len(response.data))
